"""Build a TensorRT engine from an ONNX file, with nothing but `tensorrt`, so that a device can build by itself.

Networks are strongly typed: precision stands in the ONNX file (fp16 casts, int8 QDQ) and nowhere else. That is the
one recipe that TensorRT 10 and 11 share; 11 has removed the precision flags and the calibrators.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from amr_edge.errors import CheckFailedError, ConfigError, MissingError, ReadError

Shape = tuple[int, ...]
Profile = dict[str, tuple[Shape, Shape, Shape]]  # input -> smallest, usual, largest shape

MB = 1 << 20
# What a build takes before it has seen a model: CUDA's context, the libraries and their kernels. An estimate from
# what users of small boards report, on the safe side; it was not measured with TensorRT here.
LIBRARIES_MB = 1000
MODEL_COPIES = 6  # ONNX, parsed, constant-folded, the builder's, on the device, serialised


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """Build settings of an engine.

    Attributes:
        max_clips: N, clips that one run may answer: people, for a model of single persons.
        workspace_mb: Scratch memory that a kernel may take; the default fits a board with 4 GB.
        level: Optimisation level of the builder, 0 builds fastest, 5 searches longest.
        timing_cache: Where kernel timings are kept between builds; None keeps none.
    """

    max_clips: int = 8
    workspace_mb: int = 256
    level: int = 3
    timing_cache: Path | None = None

    def __post_init__(self) -> None:
        if self.max_clips < 1 or self.workspace_mb < 1 or not 0 <= self.level <= 5:
            raise ConfigError(
                "an engine needs --max-people >= 1, --workspace >= 1 MB and --opt-level 0 to 5, got "
                f"{self.max_clips}, {self.workspace_mb} and {self.level}"
            )


def profile_of(frames: int, joints: int, persons: int, max_clips: int) -> Profile:
    """The shapes that an engine must take: 1 to `max_clips` clips of 1 to `persons` people, tuned for one clip.

    >>> profile_of(64, 25, 1, 8)["present"]
    ((1, 1, 64, 25), (1, 1, 64, 25), (8, 1, 64, 25))
    """
    clips = ((1, 1), (1, persons), (max_clips, persons))
    smallest, usual, largest = ((*two, frames, joints) for two in clips)
    return {
        "clip": ((*smallest, 3), (*usual, 3), (*largest, 3)),
        "present": (smallest, usual, largest),
    }


def load_tensorrt(wanted_by: str, way_out: str) -> Any:
    """Python's `tensorrt`.

    Args:
        wanted_by: What needs TensorRT, as the subject of the sentence.
        way_out: Where TensorRT comes from on this platform.

    Raises:
        MissingError: If it is not installed or cannot load its libraries.
    """
    try:
        trt = import_module("tensorrt")
    except (ImportError, OSError) as cause:
        raise MissingError(f"{wanted_by} needs TensorRT's Python package ({cause}); {way_out}") from cause
    if not hasattr(trt, "Builder"):
        raise MissingError(
            f"{wanted_by} needs TensorRT, the package 'tensorrt' that is installed is an empty shell; {way_out}"
        )
    return trt


def tensorrt_comes_from(system: str, machine: str, l4t: str) -> str:
    """How to install TensorRT on a platform, as the end of a sentence."""
    if l4t:
        return (
            "JetPack brings it for the system's Python: sudo apt install python3-libnvinfer, and make a virtual "
            "environment with --system-site-packages so that it is seen there"
        )
    if (system, machine) == ("Linux", "x86_64"):
        return (
            "with an NVIDIA GPU it comes from NVIDIA's own index, type: "
            "pip install tensorrt-cu12 cuda-python --extra-index-url https://pypi.nvidia.com"
        )
    if (system, machine) == ("Linux", "aarch64"):
        return "on a Jetson it comes with JetPack, on other Arm servers from NVIDIA's own index https://pypi.nvidia.com"
    return "it runs on machines with an NVIDIA GPU only (Linux, Windows), so build the engine on such a machine"


def needed_bytes(model_bytes: int, workspace_mb: int) -> int:
    """Memory that a build takes, estimated: libraries, copies of the weights, the workspace twice."""
    return LIBRARIES_MB * MB + MODEL_COPIES * model_bytes + 2 * workspace_mb * MB


def available_bytes(meminfo: str) -> int | None:
    """Free memory by the text of /proc/meminfo; None if it does not say.

    >>> available_bytes("MemAvailable:   2 kB")
    2048
    """
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == "MemAvailable" and words and words[0].isdigit():
            return int(words[0]) * 1024
    return None


def check_memory(model_bytes: int, config: BuildConfig, free_bytes: int | None) -> None:
    """Refuse a build that would be killed for memory half-way.

    Args:
        model_bytes: Size of the ONNX file.
        config: The workspace counts.
        free_bytes: Memory that is free; None is unknown and is not refused.

    Raises:
        MissingError: With what is needed and what is free.
    """
    needed = needed_bytes(model_bytes, config.workspace_mb)
    if free_bytes is not None and free_bytes < needed:
        raise MissingError(
            f"building the engine needs about {needed / 1e9:.1f} GB of memory, free are {free_bytes / 1e9:.1f}; close "
            "other programs (the desktop takes most), add swap, or ask for less with --workspace"
        )


def build_engine(
    trt: Any,
    model: bytes,
    *,
    where: str,
    profile: Profile,
    config: BuildConfig,
    progress: Callable[[str], None],
) -> bytes:
    """Build and serialise an engine.

    Args:
        trt: The `tensorrt` module.
        model: The ONNX file.
        where: Its name, for the sentences.
        profile: Shapes of the inputs.
        config: How it is built.
        progress: Takes a line for the person: phases and their progress, a timing cache that does not fit.

    Returns:
        The serialised engine.

    Raises:
        ReadError: If TensorRT cannot read the model; every error of its parser is in the sentence.
        MissingError: If there is not enough memory.
        CheckFailedError: If TensorRT builds nothing for another reason, which is in the sentence.
        KeyboardInterrupt: If Ctrl-C was pressed during the build.
    """
    log = create_logger(trt)
    builder = trt.Builder(log)
    # A no-op in TensorRT 11, where every network is strongly typed.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        raise ReadError(
            f"{where}: TensorRT {trt.__version__} cannot read the model: {_parser_errors(parser) or messages_of(log)}; "
            "export it again, or use a newer TensorRT"
        )
    inputs = [network.get_input(index).name for index in range(network.num_inputs)]
    if set(inputs) != set(profile):
        raise ReadError(
            f"{where}: an engine is built from a file with the inputs {', '.join(profile)} and a fixed number of "
            f"tokens, this one takes {', '.join(inputs)}; write one with: amr-edge export RUN --trt"
        )
    options = builder.create_builder_config()
    options.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace_mb * MB)
    options.builder_optimization_level = config.level
    # On by default, and fp32 would mean 10 bits of mantissa.
    options.clear_flag(trt.BuilderFlag.TF32)
    shapes = builder.create_optimization_profile()
    for name, (smallest, usual, largest) in profile.items():
        shapes.set_shape(name, smallest, usual, largest)
    if options.add_optimization_profile(shapes) < 0:
        raise CheckFailedError(
            f"{where}: TensorRT refuses the shapes {profile} ({messages_of(log)}); export the model again"
        )
    cached = _load_timing_cache(options, config.timing_cache, progress)
    monitor = _create_progress_monitor(trt, progress)
    options.progress_monitor = monitor
    with _interrupts(monitor):
        blob = builder.build_serialized_network(network, options)
    if monitor.stopped:
        raise KeyboardInterrupt
    if blob is None:
        reason = messages_of(log)
        if any(word in reason.lower() for word in ("out of memory", "outofmemory", "insufficient memory")):
            raise MissingError(
                f"{where}: TensorRT ran out of memory while building ({reason}); close other programs, or ask for "
                "less with --workspace or --max-people"
            )
        raise CheckFailedError(f"{where}: TensorRT {trt.__version__} built no engine: {reason}")
    if cached and config.timing_cache is not None:
        cache = options.get_timing_cache()
        write_whole(config.timing_cache, bytes(cache.serialize()))
    return bytes(blob)


def create_logger(trt: Any) -> Any:
    """A logger for TensorRT that keeps what goes wrong, for our sentence, and prints nothing."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 demands this call by name
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(" ".join(msg.split())[:300].rstrip(" ."))

    return Logger()


def messages_of(log: Any) -> str:
    """TensorRT's error messages, on one line."""
    return "; ".join(dict.fromkeys(log.errors)) or "it gave no reason"


def _parser_errors(parser: Any) -> str:
    """Every error of the parser, with the node it is about."""
    found = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        text = " ".join(error.desc().split())[:200].rstrip(" .")
        found.append(f"node {error.node()} '{error.node_name()}' ({error.node_operator()}): {text}")
    return "; ".join(found)


def _load_timing_cache(options: Any, path: Path | None, progress: Callable[[str], None]) -> bool:
    """Give the builder the timings of earlier builds; True if it keeps timings."""
    if path is None:
        return False
    kept = path.read_bytes() if path.is_file() else b""
    for data in (kept, b"") if kept else (b"",):
        cache = options.create_timing_cache(data)
        # False: a cache of another GPU or TensorRT would time kernels that do not exist here.
        if cache is not None and options.set_timing_cache(cache, ignore_mismatch=False):
            return True
        if data:
            progress(f"{path}: the timing cache is of another machine or damaged; timing anew")
    return False


def _create_progress_monitor(trt: Any, progress: Callable[[str], None]) -> Any:
    """TensorRT's progress as lines; Ctrl-C ends the build at its next step."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped = False
            self.steps: dict[str, int] = {}
            self.tenths: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name], self.tenths[phase_name] = num_steps, 0
            if parent_phase is None:
                progress(f"building: {phase_name}")

        def step_complete(self, phase_name: str, step: int) -> bool:
            tenth = 10 * (step + 1) // max(self.steps.get(phase_name, 1), 1)
            # Phases of few steps are over before they can be read.
            if self.steps.get(phase_name, 0) >= 10 and tenth > self.tenths[phase_name]:
                self.tenths[phase_name] = tenth
                progress(f"building: {phase_name} {10 * tenth} %")
            return not self.stopped

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


@contextmanager
def _interrupts(monitor: Any) -> Iterator[None]:
    """Let Ctrl-C ask the monitor to stop: an exception must not fly through TensorRT's C++."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are delivered to the main thread only
        return

    def stop(_signal: int, _frame: object) -> None:
        monitor.stopped = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: If the disk is full or the folder cannot be written; nothing is left behind.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)  # noqa: PTH105  (atomic)
    finally:
        part.unlink(missing_ok=True)


def trtexec_line(trtexec: str, onnx: Path, engine: Path, profile: Profile, config: BuildConfig) -> Sequence[str]:
    """The trtexec command that builds the same engine.

    Args:
        trtexec: The program.
        onnx: The model.
        engine: Where the engine goes.
        profile: Shapes of the inputs.
        config: How it is built.

    Returns:
        Program and arguments.
    """

    def shapes(which: int) -> str:
        return ",".join(f"{name}:{'x'.join(map(str, three[which]))}" for name, three in profile.items())

    return [
        trtexec,
        f"--onnx={onnx}",
        f"--saveEngine={engine}",
        "--stronglyTyped",
        "--noTF32",
        f"--minShapes={shapes(0)}",
        f"--optShapes={shapes(1)}",
        f"--maxShapes={shapes(2)}",
        f"--memPoolSize=workspace:{config.workspace_mb}",
        f"--builderOptimizationLevel={config.level}",
        *([f"--timingCacheFile={config.timing_cache}"] if config.timing_cache is not None else []),
        "--skipInference",
    ]
