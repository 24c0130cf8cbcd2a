"""Run a model on ONNX Runtime: on the CPU, or on a GPU by its CUDA and TensorRT providers."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import MissingError, ReadError
from amr_edge.runtime.inference.graph_session import Feed, GraphSession
from amr_edge.runtime.inference.io_contract import (
    RANKS,
    Session,
    check_contract,
    first_sentence,
    takes_budget,
    titled,
    tokens_for,
)
from amr_edge.runtime.inference.onnx_metadata import OnnxFile, read_onnx

QUIET = 4  # ONNX Runtime's severity "fatal": errors are raised as our own, in a sentence
CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
NAMES = {CPU: "onnxruntime", CUDA: "onnxruntime-cuda", TENSORRT: "onnxruntime-tensorrt"}


def open_engine(path: Path, *, threads: int | None, budget: float | None) -> Session:
    """Open a model.onnx on the CPU; see `open_session`."""
    return _open(path, (CPU,), threads, budget)


def open_cuda(path: Path, *, threads: int | None, budget: float | None) -> Session:
    """Open a model.onnx on a GPU by CUDA; see `open_session`."""
    return _open(path, (CUDA, CPU), threads, budget)


def open_tensorrt(path: Path, *, threads: int | None, budget: float | None) -> Session:
    """Open a model.onnx on a GPU by TensorRT inside ONNX Runtime, which builds an engine first; see `open_session`."""
    return _open(path, (TENSORRT, CUDA, CPU), threads, budget)


def _open(path: Path, providers: tuple[str, ...], threads: int | None, budget: float | None) -> Session:
    model = read_onnx(path)
    check_contract(model)
    free = takes_budget(model)
    tokens = tokens_for(model.card, budget, path, free=free)
    if find_spec("onnxruntime") is None:
        raise MissingError("ONNX Runtime is not installed; type: pip install onnxruntime")
    import onnxruntime

    _require(providers[0], onnxruntime)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    # A spinning pool takes the cores that pose estimation needs between two answers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    if free:
        _fix_tokens(model, tokens, options)
    engine = _start(model, providers, options)

    def infer(feed: Feed) -> NDArray[np.float32]:
        (out,) = engine.run(["probs"], feed)
        return np.asarray(out, dtype=np.float32)

    return GraphSession(
        card=model.card,
        title=titled(model.card, path, tokens, f"ONNX Runtime {onnxruntime.__version__} ({_short(providers[0])})"),
        tokens=tokens,
        engine=NAMES[providers[0]],
        providers=tuple(engine.get_providers()),
        file=path,
        free=free,
        infer=infer,
        refusals=_refusals(),
    )


def _fix_tokens(model: OnnxFile, tokens: int, options: Any) -> None:
    """Tell the engine how many tokens every call will bring, so that it works out shapes once and not every time."""
    for tensor in model.inputs:
        if tensor.name == RANKS and isinstance(tensor.shape[0], str) and tensor.shape[0]:
            options.add_free_dimension_override_by_name(tensor.shape[0], tokens)


def _start(model: OnnxFile, providers: tuple[str, ...], options: Any) -> Any:
    """ONNX Runtime's own session on the first of the providers.

    Raises:
        ReadError: If the file is to blame.
        MissingError: If the provider's device or libraries are.
    """
    import onnxruntime

    first = providers[0]
    absent = f"ONNX Runtime's {_short(first)} could not start"
    fix = "see whether nvidia-smi shows a GPU and a driver that fits, or take --engine onnxruntime"
    try:
        # Left alone it prints to stdout, the place of answers, that it tries again with other providers.
        engine = onnxruntime.InferenceSession(model.content, options, providers=list(providers), enable_fallback=0)
    except _refusals() as cause:
        if first != CPU:
            _start(model, (CPU,), options)
            raise MissingError(f"{absent} ({first_sentence(cause)}); {fix}") from cause
        raise ReadError(
            f"{model.path}: expected an ONNX model, ONNX Runtime {onnxruntime.__version__} cannot open it "
            f"({first_sentence(cause)}); export or copy it again"
        ) from cause
    # Without its libraries a provider is left out and the next one taken, with no more than a warning.
    if first not in engine.get_providers():
        raise MissingError(f"{absent}; {fix}")
    return engine


def _require(provider: str, onnxruntime: Any) -> None:
    """Refuse a provider that this build of ONNX Runtime does not have."""
    if provider in onnxruntime.get_available_providers():
        return
    both = {"onnxruntime", "onnxruntime-gpu"} <= {str(found.name) for found in metadata.distributions() if found.name}
    raise MissingError(
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other, so there is no "
        f"{_short(provider)}; type: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        if both
        else f"this ONNX Runtime {onnxruntime.__version__} was built without {_short(provider)}; "
        "type: pip uninstall -y onnxruntime && pip install onnxruntime-gpu (on a Jetson: NVIDIA's own wheel)"
    )


def _short(provider: str) -> str:
    return {CPU: "CPU", CUDA: "CUDA", TENSORRT: "TensorRT"}[provider]


def _refusals() -> tuple[type[Exception], ...]:
    """Exceptions of ONNX Runtime, which have no class of their own in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        UnicodeDecodeError,  # its sentence quotes damaged bytes
    )
