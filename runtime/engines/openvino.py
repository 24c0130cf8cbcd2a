"""Run a model on OpenVINO: often the fastest engine on Intel and AMD processors, in fp32 or in bf16."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ClipError, MissingError, ReadError
from amr_edge.extras import require
from amr_edge.runtime.contract import (
    RANKS,
    Session,
    check_clips,
    check_contract,
    check_probs,
    first_sentence,
    takes_budget,
    titled,
    tokens_for,
)
from amr_edge.runtime.onnx_file import read_onnx
from amr_edge.skeleton import Mask


def open_engine(path: Path, *, threads: int | None, budget: float | None) -> Session:
    """Open a model.onnx in the precision that it was written in; see `open_session`.

    OpenVINO left alone would compute in bf16 where the processor can, which changes the numbers without a word.
    """
    return _open(path, "f32", threads, budget)


def open_bf16(path: Path, *, threads: int | None, budget: float | None) -> Session:
    """Open a model.onnx in bf16, which is faster on processors that have it; judge it by `amr-edge evaluate`."""
    return _open(path, "bf16", threads, budget)


def _open(path: Path, precision: str, threads: int | None, budget: float | None) -> Session:
    model = read_onnx(path)
    check_contract(model)
    free = takes_budget(model)
    tokens = tokens_for(model.card, budget, path, free=free)
    require("openvino", "the engine openvino")
    import openvino

    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise MissingError("this processor computes no bf16, it would be slower than fp32; take --engine openvino")
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = core.compile_model(core.read_model(model.content, b""), "CPU", settings)
        request = compiled.create_infer_request()
    except (RuntimeError, UnicodeDecodeError) as cause:  # the latter where its sentence quotes damaged bytes
        raise ReadError(
            f"{path}: expected an ONNX model, OpenVINO {_version()} cannot open it ({first_sentence(cause)}); "
            "export or copy it again, or take --engine onnxruntime"
        ) from cause
    return _OpenVinoSession(
        card=model.card,
        title=titled(model.card, path, tokens, f"OpenVINO {_version()} (CPU, {precision})"),
        tokens=tokens,
        request=request,
        file=path,
        ranks=np.arange(tokens, dtype=np.int64) if free else None,
    )


def _version() -> str:
    import openvino

    return str(openvino.__version__).partition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenVinoSession:
    """OpenVINO behind the `Session` protocol."""

    card: Card
    title: str
    tokens: int
    request: Any
    file: Path
    ranks: NDArray[np.int64] | None  # which ranks by motion energy to look at, where the graph asks for them

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        """See `Session.probs`."""
        check_clips(values, present, self.card)
        if not len(values):
            return np.zeros((0, len(self.card.classes)), dtype=np.float32)
        feed = {"clip": values, "present": present}
        if self.ranks is not None:
            feed[RANKS] = self.ranks
        try:
            out = self.request.infer(feed)["probs"]
        except RuntimeError as cause:
            raise ClipError(
                f"{self.file}: the model cannot run clips {values.shape} ({first_sentence(cause)}); export it again"
            ) from cause
        # The engine's own memory, which the next answer overwrites.
        return check_probs(np.array(out, dtype=np.float32), len(values), self.card, self.file)
