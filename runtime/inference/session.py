"""What does a model file answer to a batch of clips: find the file, choose an engine, open it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ConfigError, MissingError, ReadError
from amr_edge.pretrained import DEFAULT, resolve_model_path
from amr_edge.runtime.inference.io_contract import Session, check_clips, describe, tokens_for
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.skeleton import Mask

__all__ = ["AUTO", "ENGINES", "Session", "check_clips", "describe", "model_path", "open_session", "tokens_for"]

AUTO = "auto"
# Engine -> the function that opens a file with it. Strings, so that no engine is imported before it is needed.
ENGINES: dict[str, str] = {
    "onnxruntime": "amr_edge.runtime.inference.onnx_runtime:open_engine",
    "onnxruntime-cuda": "amr_edge.runtime.inference.onnx_runtime:open_cuda",
    "onnxruntime-tensorrt": "amr_edge.runtime.inference.onnx_runtime:open_tensorrt",
    "openvino": "amr_edge.runtime.inference.openvino:open_engine",
    "openvino-bf16": "amr_edge.runtime.inference.openvino:open_bf16",
    "tensorrt": "amr_edge.runtime.inference.tensorrt:open_engine",
}
_SUFFIX = ".engine"  # of TensorRT's files, which nothing else can read


def model_path(path: str | Path) -> Path:
    """The model file that `path` means: the file itself, the exported model of a run folder, or one of the box.

    Raises:
        ReadError: If there is no such file; a run folder without an exported model gets the line to type.
        MissingError: If it is one of the box by name and this installation lacks its file.
    """
    path = resolve_model_path(path)
    if not path.is_dir():
        if not path.is_file():
            raise ReadError(
                f"{path}: there is no such model file; name an exported model.onnx, a run folder, or {DEFAULT}, which "
                "comes with amr-edge"
            )
        return path
    model = path / "export" / "model.onnx"
    if not model.is_file():
        raise ReadError(f"{path}: the run has no export/model.onnx yet; type: amr-edge export {path} --onnx")
    return model


def open_session(
    path: str | Path,
    *,
    engine: str = AUTO,
    threads: int | None = None,
    budget: float | None = None,
    rebuild: bool = False,
) -> Session:
    """Open a model.

    Args:
        path: An exported file with a card, a run folder that has a model.onnx, or the name of a model of the box.
        engine: A key of `ENGINES`; "auto" takes what fits the file and is installed, and says why in the title.
        threads: Threads inside one inference, where the engine computes on the CPU; None lets it take one for each
            core.
        budget: Share of each body's tokens to look at, in (0, 1]; None takes what the card says.
        rebuild: Whether a TensorRT engine that does not fit this machine may be built again from the ONNX file beside
            it, which takes minutes.

    Raises:
        ConfigError: If `threads` is not at least 1, the engine has no such name or cannot read this kind of file, the
            budget is none that the file can be opened with, or `rebuild` comes with a file that is no TensorRT engine.
        MissingError: If the engine's package or device is not here.
        ReadError: If there is no such file, or it is no model that can be run here.
        CardError: If it carries no card, or its inputs and outputs contradict the card.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be at least 1, got {threads}")
    if engine != AUTO and engine not in ENGINES:
        raise ConfigError(f"there is no engine '{engine}'; choose {AUTO} or one of {', '.join(ENGINES)}")
    file = model_path(path)
    built = file.suffix == _SUFFIX
    if rebuild and not built:
        raise ConfigError(f"{file}: only a TensorRT engine can be built again, this is none; leave --rebuild away")
    if engine != AUTO and built != (engine == "tensorrt"):
        raise ConfigError(
            f"{file}: the engine {engine} reads {'.onnx' if built else '.engine'} files; "
            + ("leave --engine away" if built else f"type: amr-edge export RUN --trt, or leave --engine {engine}")
        )
    if built:
        session = _opener("tensorrt")(file, threads=threads, budget=budget, rebuild=rebuild)
        return session if engine != AUTO else _AutoSession(inner=session, why="an .engine file is TensorRT's")
    if engine != AUTO:
        return _opener(engine)(file, threads=threads, budget=budget)
    return _first_that_starts(file, threads, budget)


def _first_that_starts(file: Path, threads: int | None, budget: float | None) -> Session:
    """Open an ONNX file with the first engine that is here, naming those before it that are not."""
    absent = []
    for engine, why in _candidates(file):
        try:
            session = _opener(engine)(file, threads=threads, budget=budget)
        except MissingError as cause:
            absent.append((why, cause))
            continue
        return _AutoSession(inner=session, why="; ".join([why, *(f"{cause}" for _, cause in absent)]))
    raise MissingError(f"no engine is here to run {file}; type: pip install onnxruntime") from absent[-1][1]


def _candidates(file: Path) -> Iterator[tuple[str, str]]:
    """Engines for an ONNX file with the reason to take them, the fastest that keeps the numbers first."""
    if _installed("onnxruntime-gpu"):
        yield "onnxruntime-cuda", "onnxruntime-gpu is installed"
    if find_spec("openvino") is None:
        yield "onnxruntime", "no GPU build and no OpenVINO is installed"
    elif read_onnx(file).card.precision == "int8":
        # Measured: OpenVINO takes two to four times as long for ranges that are found at every run.
        yield "onnxruntime", "the fastest for int8 with ranges found at every run"
        yield "openvino", "OpenVINO is installed"
    else:
        yield "openvino", "OpenVINO is installed and keeps fp32"
        yield "onnxruntime", "ONNX Runtime is installed"


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _opener(engine: str) -> Callable[..., Session]:
    module, _, function = ENGINES[engine].partition(":")
    return cast("Callable[..., Session]", getattr(import_module(module), function))


@dataclass(frozen=True, slots=True, kw_only=True)
class _AutoSession:
    """A session on an automatically chosen engine, whose title gives the reason."""

    inner: Session
    why: str

    @property
    def card(self) -> Card:
        return self.inner.card

    @property
    def title(self) -> str:
        return f"{self.inner.title} ({self.why})"

    @property
    def tokens(self) -> int:
        return self.inner.tokens

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        """See `Session.probs`."""
        return self.inner.probs(values, present)
