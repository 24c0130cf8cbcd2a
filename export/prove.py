"""Export a run, put real clips to the trained model and to the file, and keep the file only if it is proven."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amr_edge.clips import Clips
from amr_edge.errors import CheckFailedError
from amr_edge.export.parity import Answer, Limits, Parity, compare
from amr_edge.export.part import part_of, run_folder
from amr_edge.export.to_onnx import OPSET, write_onnx
from amr_edge.preprocess import Clip
from amr_edge.runtime.session import Session, open_session
from amr_edge.terminal import table, to_json
from amr_edge.training.checkpoint import load_classifier
from amr_edge.training.classifier import Classifier
from amr_edge.training.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that was written and proven."""

    path: Path
    size_bytes: int
    opset: int
    parity: Parity

    def to_dict(self) -> dict[str, object]:
        """What export_report.json says."""
        return {
            "file": self.path.name,
            "size_bytes": self.size_bytes,
            "opset": self.opset,
            "proven": not self.parity.failures,
            "failures": self.parity.failures,
            **asdict(self.parity),
        }

    def text(self) -> str:
        """The proof as a table."""
        p = self.parity
        rows = [
            ("clips compared", f"{p.clips}", ""),
            ("max probability difference", f"{p.max_difference:.2e}", f"<= {p.limits.probability:.0e}"),
            ("top-1 agreement", f"{p.agreement:.2%}", f">= {p.limits.agreement:.2%}"),
            ("accuracy, trained", f"{p.accuracy_trained:.4f}", ""),
            ("accuracy, ONNX", f"{p.accuracy_deployed:.4f}", f">= trained - {p.limits.accuracy:g}"),
            ("size", f"{self.size_bytes / 1e6:.2f} MB", ""),
            ("opset", f"{self.opset}", ""),
        ]
        return table(rows, ("proof", "value", "limit"))


def trained_answer(model: Classifier) -> Answer:
    """The trained model as a function of clips."""

    def answer(clips: Clip) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = model(torch.from_numpy(clips.values), torch.from_numpy(clips.present))  # (N, K)
            return np.asarray(logits.softmax(dim=1).numpy(), dtype=np.float32)

    return answer


def deployed_answer(session: Session) -> Answer:
    """An opened file as a function of clips."""
    return lambda clips: session.probs(clips.values, clips.present)


def keep_if_proven(
    candidate: Path, path: Path, model: Classifier, clips: Clips, limits: Limits, opset: int
) -> Exported:
    """Move `candidate` to `path` if it answers as `model` does; otherwise delete it.

    Writes export_report.json beside `path` either way.

    Raises:
        CheckFailedError: If it does not, saying by how much.
    """
    try:
        parity = compare(trained_answer(model), deployed_answer(open_session(candidate)), clips, limits)
        exported = Exported(path=path, size_bytes=candidate.stat().st_size, opset=opset, parity=parity)
        report = path.with_name("export_report.json")
        report.write_text(to_json(exported.to_dict(), indent=2) + "\n", encoding="utf-8")
        if parity.failures:
            raise CheckFailedError(
                f"{path} was not kept: {'; '.join(parity.failures)} on {parity.clips} clips; see {report}"
            )
        os.replace(candidate, path)  # noqa: PTH105  (atomic)
    finally:
        candidate.unlink(missing_ok=True)
    return exported


def export_run(
    source: Path,
    *,
    data: Path | None = None,
    name: str | None = None,
    out: Path | None = None,
    opset: int = OPSET,
    limits: Limits | None = None,
) -> Exported:
    """Write a run's last weights as ONNX and prove the file on the run's own test clips.

    Args:
        source: A run folder or a classifier checkpoint.
        data: Another store to prove on.
        name: Another split to prove on.
        out: The file; RUN/export/model.onnx by default.
        opset: ONNX operator set.
        limits: What may differ.

    Raises:
        CheckFailedError: If the file answers differently; no model file is left.
        ConfigError: If a bare checkpoint comes without data to prove it on.
    """
    model, card = load_classifier(Run(source).last if source.is_dir() else source)
    part = part_of(source, data, name)
    clips = Clips(part.store, part.which, card.prepare, card.persons)
    path = out or run_folder(source) / "export" / "model.onnx"
    path.unlink(missing_ok=True)  # what stood there was proven for other weights
    candidate = write_onnx(model, card, path.with_name("unproven-" + path.name), opset=opset)
    return keep_if_proven(candidate, path, model, clips, limits or Limits(), opset)
