"""Run a model on ONNX Runtime: on the CPU, or on a GPU by its CUDA and TensorRT providers."""

from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ClipError, MissingError, ReadError
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
from amr_edge.runtime.onnx_file import OnnxFile, read_onnx
from amr_edge.skeleton import Mask

QUIET = 4  # ONNX Runtime's severity "fatal": what goes wrong is said by us, in a sentence
CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


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
    engine = _start(model, providers, options)
    return _OnnxSession(
        card=model.card,
        title=titled(model.card, path, tokens, f"ONNX Runtime {onnxruntime.__version__} ({_short(providers[0])})"),
        tokens=tokens,
        engine=engine,
        file=path,
        ranks=np.arange(tokens, dtype=np.int64) if free else None,
    )


def _start(model: OnnxFile, providers: tuple[str, ...], options: Any) -> Any:
    """ONNX Runtime's own session on the first of the providers.

    Raises:
        ReadError: If the file is to blame.
        MissingError: If the provider's device or libraries are.
    """
    import onnxruntime

    first = providers[0]
    absent = f"ONNX Runtime's {_short(first)} could not start"
    cure = "see whether nvidia-smi shows a GPU and a driver that fits, or take --engine onnxruntime"
    try:
        # Left alone it prints to stdout, the place of answers, that it tries again with other providers.
        engine = onnxruntime.InferenceSession(model.content, options, providers=list(providers), enable_fallback=0)
    except _refusals() as cause:
        if first != CPU:
            _start(model, (CPU,), options)
            raise MissingError(f"{absent} ({first_sentence(cause)}); {cure}") from cause
        raise ReadError(
            f"{model.path}: expected an ONNX model, ONNX Runtime {onnxruntime.__version__} cannot open it "
            f"({first_sentence(cause)}); export or copy it again"
        ) from cause
    # Without its libraries a provider is left out and the next one taken, with no more than a warning.
    if first not in engine.get_providers():
        raise MissingError(f"{absent}; {cure}")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnnxSession:
    """ONNX Runtime behind the `Session` protocol."""

    card: Card
    title: str
    tokens: int
    engine: Any
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
            (out,) = self.engine.run(["probs"], feed)
        except _refusals() as cause:
            raise ClipError(
                f"{self.file}: the model cannot run clips {values.shape} ({first_sentence(cause)}); export it again"
            ) from cause
        return check_probs(np.asarray(out, dtype=np.float32), len(values), self.card, self.file)


def _refusals() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its exceptions have no class of their own in common."""
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
