"""Run a model on OpenVINO: often the fastest engine on Intel and AMD processors, in fp32 or in bf16."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import MissingError, ReadError
from amr_edge.optional_dependencies import require
from amr_edge.runtime.inference.graph_session import Feed, GraphSession
from amr_edge.runtime.inference.io_contract import (
    Session,
    check_contract,
    first_sentence,
    takes_budget,
    titled,
    tokens_for,
)
from amr_edge.runtime.inference.onnx_metadata import read_onnx


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

    def infer(feed: Feed) -> NDArray[np.float32]:
        # A copy: the engine's own memory is overwritten by the next answer.
        return np.array(request.infer(feed)["probs"], dtype=np.float32)

    return GraphSession(
        card=model.card,
        title=titled(model.card, path, tokens, f"OpenVINO {_version()} (CPU, {precision})"),
        tokens=tokens,
        engine="openvino",
        file=path,
        free=free,
        infer=infer,
        refusals=(RuntimeError,),
    )


def _version() -> str:
    import openvino

    return str(openvino.__version__).partition("-")[0]
