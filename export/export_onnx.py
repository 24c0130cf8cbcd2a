"""Export a run, put real clips to the trained model and to the file, and keep the file only if it is proven."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.errors import CheckFailedError
from amr_edge.export.convert.deploy_module import Deployed
from amr_edge.export.convert.onnx import OPSET, save_onnx, write_onnx
from amr_edge.export.convert.precision import LIMITS, SAMPLE, calibration, file_name, lowered
from amr_edge.export.verify.parity import Limits, Predictor, compare
from amr_edge.export.verify.verification_data import VerificationData, load_verification_data, run_folder
from amr_edge.export.verify.verification_report import PROVEN_ON, ExportResult, VerificationReport
from amr_edge.preprocess import Clip
from amr_edge.runtime.bench.compare import Ratio, paired
from amr_edge.runtime.bench.measure import MeasureConfig, measure
from amr_edge.runtime.bench.models import inference_call
from amr_edge.runtime.bench.synthetic_inputs import moving_clips
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.runtime.inference.session import Session, open_session
from amr_edge.terminal import to_json
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import selected_checkpoint
from amr_edge.training.models.classifier import Classifier

SHARES = (1.0, 0.25, 0.1)  # budgets that a file is proven on


def trained_predictor(model: Classifier, card: Card, tokens: int) -> Predictor:
    """The trained model as a function of clips, looking at `tokens` tokens of each body."""
    whole = tokens == card.tokens
    deployed = Deployed(model, card)

    def answer(clips: Clip) -> NDArray[np.float32]:
        clip, present = torch.from_numpy(clips.values), torch.from_numpy(clips.present)
        with torch.inference_mode():
            # On a full budget nothing is chosen: the file must then answer as a model that knows no budgets.
            logits = model(clip, present) if whole else deployed(clip, present, torch.arange(tokens))[0]  # (N, K)
            return np.asarray(logits.softmax(dim=1).numpy(), dtype=np.float32)

    return answer


def deployed_predictor(session: Session) -> Predictor:
    """An opened file as a function of clips."""
    return lambda clips: session.probs(clips.values, clips.present)


def report_of(path: Path) -> Path:
    """Path of the verification report of a file: export_report.json for model.onnx, else beside it by its own name."""
    return path.with_name("export_report.json" if path.name == "model.onnx" else f"{path.stem}.report.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxConfig:
    """How a run becomes an ONNX file, and how the file is verified.

    Attributes:
        precision: One of `card.PRECISIONS`.
        opset: ONNX operator set.
        calibrate_on: Training clips that int8-static is calibrated on.
        engine: Runs the file for the verification.
        limits: Parity limits; None takes those of the precision.
        shares: Budgets to verify on, the largest first.
        force: Keep the file even if the verification fails.
    """

    precision: str = "fp32"
    opset: int = OPSET
    calibrate_on: int = SAMPLE
    engine: str = PROVEN_ON
    limits: Limits | None = None
    shares: tuple[float, ...] = SHARES
    force: bool = False


def keep_if_proven(
    candidate: Path,
    path: Path,
    model: Classifier,
    clips: Clips,
    config: OnnxConfig | None = None,
    *,
    fp32: Path | None = None,
) -> ExportResult:
    """Move `candidate` to `path` if it predicts what `model` does on every budget; otherwise delete it.

    Writes its report beside `path` either way, see `report_of`.

    Args:
        candidate: The file to verify.
        path: Where it will stand.
        model: The trained model.
        clips: The input of both.
        config: Engine, limits and budgets.
        fp32: The file in full precision, to compare the latency with.

    Raises:
        CheckFailedError: If it does not, with the differences.
    """
    config = config or OnnxConfig()
    limits, engine = config.limits or LIMITS[config.precision], config.engine
    try:
        proofs = []
        shares = config.shares if read_onnx(candidate).card.has_budget else (1.0,)
        for share in shares:
            session = open_session(candidate, engine=engine, budget=share)
            trained = trained_predictor(model, session.card, session.tokens)
            parity = compare(trained, deployed_predictor(session), clips, limits)
            proofs.append(VerificationReport(share=share, tokens=session.tokens, parity=parity))
        exported = ExportResult(
            path=path,
            size_bytes=candidate.stat().st_size,
            opset=config.opset,
            proofs=tuple(proofs),
            precision=session.card.precision,
            engine=engine,
            pace=None if fp32 is None else _pace(candidate, fp32, engine),
        )
        report = report_of(path)
        report.write_text(to_json(exported.to_dict(), indent=2) + "\n", encoding="utf-8")
        if exported.failures and not config.force:
            raise CheckFailedError(
                f"{path} was not kept: {'; '.join(exported.failures)} on {len(clips)} clips; see {report}, "
                "or keep it all the same with --force"
            )
        os.replace(candidate, path)  # noqa: PTH105  (atomic)
    finally:
        candidate.unlink(missing_ok=True)
    return exported


def _pace(candidate: Path, fp32: Path, engine: str) -> Ratio | None:
    """The candidate's time for one clip as a multiple of the fp32 file's, in turns on one thread."""
    files = [open_session(file, engine=engine, threads=1) for file in (candidate, fp32)]
    values, present = moving_clips(files[0].card, 1, np.random.default_rng(0))
    timed = measure(
        [inference_call(session, values, present) for session in files],
        MeasureConfig(warmup_s=0.2, seconds=1.5, count=16, turn_s=0.1),
        now=time.perf_counter,
        sleep=time.sleep,
        rng=np.random.default_rng(0),
    )
    return paired(timed[0].turns_ms(), timed[1].turns_ms())


def export_run(
    source: Path,
    config: OnnxConfig | None = None,
    *,
    data: Path | None = None,
    name: str | None = None,
    out: Path | None = None,
) -> ExportResult:
    """Write a run's selected weights as ONNX and verify the file on the run's own test clips.

    Args:
        source: A run folder or a classifier checkpoint.
        config: Precision, operator set, engine and limits.
        data: Another store to verify on.
        name: Another split to verify on.
        out: The file; RUN/export/model.onnx or, below fp32, model.PRECISION.onnx by default.

    Raises:
        CheckFailedError: If the file predicts differently; no model file is left.
        ConfigError: If a bare checkpoint comes without data to verify it on.
    """
    config = config or OnnxConfig()
    precision = config.precision
    model, card = load_classifier(selected_checkpoint(source))
    part = load_verification_data(source, data, name)
    clips = Clips(part.store, part.which, card.prepare, card.persons)
    path = out or run_folder(source) / "export" / file_name(precision)
    path.unlink(missing_ok=True)  # the file there was verified for other weights
    candidate = write_onnx(model, card, path.with_name("unproven-" + path.name), opset=config.opset)
    if precision == "fp32":
        return keep_if_proven(candidate, path, model, clips, config)
    try:
        lower = _lower(
            candidate,
            precision,
            replace(card, precision=precision),
            _calibration_part(source, part),
            config.calibrate_on,
        )
        return keep_if_proven(lower, path, model, clips, config, fp32=candidate)
    finally:
        candidate.unlink(missing_ok=True)


def _calibration_part(source: Path, test_part: VerificationData) -> VerificationData:
    """Training recordings of the model's own run, whatever store verifies it."""
    known = (run_folder(source) / "config.json").is_file()
    return load_verification_data(source, None, None) if known else test_part


def _lower(fp32: Path, precision: str, card: Card, part: VerificationData, sample: int) -> Path:
    """Write the graph of a fp32 file in another precision, beside it."""
    graph = onnx.load(fp32)
    inputs = [value.name for value in graph.graph.input]
    feeds = calibration(part, card, inputs, count=sample, rng=np.random.default_rng(0))
    return save_onnx(lowered(graph, precision, feeds), card, fp32.with_name(f"{fp32.stem}-lowered.onnx"))
