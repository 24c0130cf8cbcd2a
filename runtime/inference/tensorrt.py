"""What does a TensorRT engine answer: manifest first, then the engine, on buffers that are allocated once."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import CardError, CheckFailedError, ClipError, ConfigError, MissingError, ReadError
from amr_edge.runtime.inference.cuda import Cuda, contiguous, open_cuda
from amr_edge.runtime.inference.io_contract import Session, check_clips, check_probs, titled, tokens_for
from amr_edge.runtime.inference.tensorrt_build import (
    BuildConfig,
    Profile,
    available_bytes,
    build_engine,
    check_memory,
    create_logger,
    load_tensorrt,
    messages_of,
    profile_of,
    tensorrt_comes_from,
    write_whole,
)
from amr_edge.runtime.inference.tensorrt_manifest import (
    AGAIN,
    BuildMachine,
    Manifest,
    machine,
    onnx_beside,
    read_manifest,
    remove,
    sha256,
)
from amr_edge.skeleton import Mask, layout
from amr_edge.terminal import note

MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """TensorRT and CUDA, opened."""

    trt: Any
    cuda: Cuda
    machine: BuildMachine


def open_gpu(wanted_by: str) -> Gpu:
    """TensorRT and CUDA of this machine.

    Raises:
        MissingError: If either is not installed, or there is no GPU.
    """
    here = machine("", "", "")
    trt = load_tensorrt(wanted_by, tensorrt_comes_from(here.system, here.machine, here.l4t))
    cuda = open_cuda(wanted_by)
    return Gpu(trt=trt, cuda=cuda, machine=machine(trt.__version__, cuda.version(), cuda.compute_capability()))


def free_memory(meminfo: Path = MEMINFO) -> int | None:
    """Bytes that are free on this machine; None where the system does not say."""
    return available_bytes(meminfo.read_text(encoding="utf-8")) if meminfo.is_file() else None


def profile_for(card: Card, config: BuildConfig) -> Profile:
    """The shapes that an engine of a model must take."""
    return profile_of(card.prepare.frames, len(layout(card.prepare.layout)), card.persons, config.max_clips)


def make_engine(
    onnx: Path,
    engine: Path,
    *,
    card: Card,
    config: BuildConfig,
    gpu: Gpu,
    free_bytes: int | None,
    progress: Callable[[str], None],
) -> Manifest:
    """Build the engine of an ONNX file, and its manifest.

    Args:
        onnx: The model, with a fixed number of tokens.
        engine: Where the engine goes; its manifest lies beside it.
        card: The model's contract.
        config: How it is built.
        gpu: TensorRT and CUDA.
        free_bytes: Memory that is free; None if unknown.
        progress: Takes lines about the progress.

    Returns:
        What was built.

    Raises:
        ReadError: If TensorRT cannot read the model.
        MissingError: If memory does not suffice.
        CheckFailedError: If TensorRT builds nothing.
        OSError: If it cannot be written; no half file is left.
    """
    model = onnx.read_bytes()
    check_memory(len(model), config, free_bytes)
    remove(engine)
    profile = profile_for(card, config)
    progress(f"building {engine.name} with TensorRT {gpu.machine.tensorrt}; this takes minutes on a small board")
    blob = build_engine(gpu.trt, model, where=str(onnx), profile=profile, config=config, progress=progress)
    write_whole(engine, blob)
    return describe_engine(
        onnx,
        engine,
        card=card,
        config=config,
        built_for=gpu.machine,
        built_by="Python",
    )


def describe_engine(
    onnx: Path,
    engine: Path,
    *,
    card: Card,
    config: BuildConfig,
    built_for: BuildMachine,
    built_by: str,
) -> Manifest:
    """Write the manifest of an engine that was just built; without a manifest no engine is left.

    Args:
        onnx: What it was built from.
        engine: The engine.
        card: The model's contract.
        config: How it was built.
        built_for: The machine.
        built_by: "Python" or "trtexec".
    """
    manifest = Manifest(
        engine_sha256=sha256(engine),
        onnx=onnx.name,
        onnx_sha256=sha256(onnx),
        built_for=built_for,
        built_by=built_by,
        profile=profile_for(card, config),
        workspace_mb=config.workspace_mb,
        level=config.level,
        card=card,
    )
    try:
        manifest.write(engine)
    except OSError:
        remove(engine)
        raise
    return manifest


def open_engine(
    path: str | Path,
    *,
    threads: int | None = None,
    budget: float | None = None,
    rebuild: bool = False,
    progress: Callable[[str], None] = note,
) -> Session:
    """Open a TensorRT engine; its manifest is read and compared before TensorRT sees the file.

    Args:
        path: A .engine with its manifest beside it.
        threads: Means nothing on a GPU; refused if below 1, as for any other model.
        budget: Share of the tokens; an engine has one, another one is refused.
        rebuild: Build the engine again from the ONNX file beside it if it does not fit this machine.
        progress: Takes lines about a rebuild.

    Raises:
        ConfigError: If `threads` or the budget cannot be had.
        ReadError: If the engine or its manifest is missing, damaged, or made for another machine or model.
        CardError: If the manifest was changed, or engine and card contradict each other.
        MissingError: If TensorRT, its GPU or memory is not here.
    """
    engine = Path(path)
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be at least 1, got {threads}")
    if not engine.is_file():
        raise ReadError(f"{engine}: there is no such engine; build it with: amr-edge export RUN --trt")
    manifest = read_manifest(engine)
    tokens = tokens_for(manifest.card, budget, engine, free=False)
    onnx = engine.with_name(manifest.onnx)
    again = AGAIN.format(onnx=onnx)
    if onnx.is_file() and sha256(onnx) != manifest.onnx_sha256:
        raise ReadError(f"{engine}: {onnx.name} beside it is not the model that it was built from; {again}")
    gpu = open_gpu(f"{engine}")
    wrong = manifest.built_for.differs(gpu.machine)
    if not wrong and sha256(engine) != manifest.engine_sha256:
        wrong = "the file is not the one that its manifest describes, it was cut off or replaced"
    if wrong:
        manifest = _rebuild(engine, manifest, onnx, wrong, gpu, allowed=rebuild, progress=progress)
    return _load_engine(engine, manifest, gpu, tokens)


def _rebuild(
    engine: Path,
    manifest: Manifest,
    onnx: Path,
    wrong: str,
    gpu: Gpu,
    *,
    allowed: bool,
    progress: Callable[[str], None],
) -> Manifest:
    """Build an engine that is `wrong` here again, if that is allowed and its ONNX file is at hand."""
    if not onnx.is_file():
        raise ReadError(f"{engine}: {wrong}; copy {onnx.name} beside it, then type: amr-edge export {onnx} --trt")
    if not allowed:
        raise ReadError(f"{engine}: {wrong}; {AGAIN.format(onnx=onnx)}")
    progress(f"{engine}: {wrong}; building it again from {onnx.name}")
    return make_engine(
        onnx,
        engine,
        card=manifest.card,
        config=manifest.config,
        gpu=gpu,
        free_bytes=free_memory(),
        progress=progress,
    )


def _load_engine(engine_file: Path, manifest: Manifest, gpu: Gpu, tokens: int) -> Session:
    """Hand the engine to TensorRT, compare it with the card, and take its buffers."""
    trt, card = gpu.trt, manifest.card
    again = AGAIN.format(onnx=engine_file.with_name(manifest.onnx))
    log = create_logger(trt)
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(engine_file.read_bytes())
    if engine is None:
        raise ReadError(
            f"{engine_file}: TensorRT {trt.__version__} cannot load the engine ({messages_of(log)}); {again}"
        )
    _check_engine(trt, engine, manifest, engine_file)
    context = engine.create_execution_context()
    if context is None:
        raise CheckFailedError(f"{engine_file}: TensorRT gives no execution context ({messages_of(log)}); {again}")
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    largest, classes = manifest.profile["clip"][2], len(card.classes)
    kinds = {name: _numpy_type(trt, engine.get_tensor_dtype(name), name, engine_file) for name in names}
    shapes = {name: three[2] for name, three in manifest.profile.items()}
    shapes |= {name: (largest[0], classes) for name in names if name not in shapes}
    sizes = {name: int(np.prod(shapes[name])) * kinds[name].itemsize for name in names}
    stream, addresses = _buffers(gpu.cuda, sizes)
    refused = [name for name, address in addresses.items() if not context.set_tensor_address(name, address)]
    if refused:
        gpu.cuda.release(addresses, stream)
        raise CheckFailedError(
            f"{engine_file}: TensorRT refuses the buffers of {', '.join(refused)} ({messages_of(log)}); {again}"
        )
    words = f"TensorRT {manifest.built_for.tensorrt} {card.precision}, up to {largest[0]} clips at once"
    return _EngineSession(
        card=card,
        title=titled(card, engine_file, tokens, words),
        tokens=tokens,
        file=engine_file,
        parts=_Parts(log=log, runtime=runtime, engine=engine, context=context, cuda=gpu.cuda, stream=stream),
        addresses=addresses,
        kinds=kinds,
        max_clips=largest[0],
    )


def _buffers(cuda: Cuda, sizes: dict[str, int]) -> tuple[Any, dict[str, int]]:
    """A stream and memory for every tensor; if one cannot be had, none is kept."""
    stream = cuda.stream()
    addresses: dict[str, int] = {}
    try:
        for name, size in sizes.items():
            addresses[name] = cuda.memory(size)
    except MissingError:
        cuda.release(addresses, stream)
        raise
    return stream, addresses


def _check_engine(trt: Any, engine: Any, manifest: Manifest, file: Path) -> None:
    """Refuse an engine whose inputs, outputs or shapes are not the ones that its manifest promises."""
    classes = len(manifest.card.classes)
    modes: dict[str, Any] = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        modes[name] = engine.get_tensor_mode(name)
    inputs = sorted(name for name, mode in modes.items() if mode == trt.TensorIOMode.INPUT)
    outputs = sorted(set(modes) - set(inputs))
    contradiction = ""
    if inputs != ["clip", "present"] or "probs" not in outputs or set(outputs) - {"logits", "probs"}:
        contradiction = f"inputs clip, present and output probs, it has {', '.join(inputs)} and {', '.join(outputs)}"
    else:
        for name, wanted in manifest.profile.items():
            have = tuple(tuple(shape) for shape in engine.get_tensor_profile_shape(name, 0))
            if have != wanted:
                contradiction = f"'{name}' of the shapes {wanted}, it has {have}"
        answer = tuple(engine.get_tensor_shape("probs"))
        if not contradiction and (len(answer) != 2 or answer[1] != classes):
            contradiction = f"probs (N, {classes}), it has {answer}"
    if contradiction:
        raise CardError(
            f"{file}: by its manifest the engine has {contradiction}; "
            f"{AGAIN.format(onnx=file.with_name(manifest.onnx))}"
        )


def _numpy_type(trt: Any, kind: Any, name: str, file: Path) -> np.dtype[Any]:
    """NumPy's word for the type of a tensor."""
    known = {
        trt.DataType.FLOAT: np.float32,
        trt.DataType.HALF: np.float16,
        trt.DataType.BOOL: np.bool_,
    }
    if kind not in known:
        raise CardError(f"{file}: the tensor '{name}' has type {kind}, expected float or bool; export the model again")
    return np.dtype(known[kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Objects that must live as long as the session, in the order of their dependencies."""

    log: Any
    runtime: Any
    engine: Any
    context: Any
    cuda: Cuda
    stream: Any


class _EngineSession:
    """A TensorRT engine behind the `Session` protocol; one thread at a time."""

    def __init__(
        self,
        *,
        card: Card,
        title: str,
        tokens: int,
        file: Path,
        parts: _Parts,
        addresses: dict[str, int],
        kinds: dict[str, np.dtype[Any]],
        max_clips: int,
    ) -> None:
        self.card = card
        self.title = title
        self.tokens = tokens
        self.file = file
        self.parts = parts
        self.addresses = addresses
        self.kinds = kinds
        self.max_clips = max_clips
        weakref.finalize(self, parts.cuda.release, addresses, parts.stream)

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        """See `Session.probs`; more clips than the engine takes at once are answered in parts."""
        check_clips(values, present, self.card)
        if values.shape[1] > self.card.persons:
            raise ClipError(
                f"{self.file}: the engine takes up to {self.card.persons} persons in a clip, got {values.shape[1]}; "
                "build one from a model of larger scenes"
            )
        out = np.zeros((len(values), len(self.card.classes)), dtype=np.float32)
        for start in range(0, len(values), self.max_clips):
            part = slice(start, start + self.max_clips)
            out[part] = self._run(values[part], present[part])
        return check_probs(out, len(values), self.card, self.file)

    def _run(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        """Probabilities of as many clips as the engine takes at once."""
        context, cuda, stream = self.parts.context, self.parts.cuda, self.parts.stream
        feed = {
            "clip": contiguous(values, self.kinds["clip"]),
            "present": contiguous(present, self.kinds["present"]),
        }
        for name, array in feed.items():
            if not context.set_input_shape(name, array.shape):
                raise self._refused(f"the shape {array.shape} of '{name}'")
            cuda.upload(self.addresses[name], array, stream)
        if not context.execute_async_v3(int(stream)):
            raise self._refused(f"to run clips {values.shape}")
        answer = np.empty((len(values), len(self.card.classes)), dtype=self.kinds["probs"])
        cuda.download(answer, self.addresses["probs"], stream)
        cuda.wait(stream)
        return np.asarray(answer, dtype=np.float32)

    def _refused(self, what: str) -> CheckFailedError:
        again = AGAIN.format(onnx=onnx_beside(self.file))
        return CheckFailedError(f"{self.file}: TensorRT refuses {what} ({messages_of(self.parts.log)}); {again}")
