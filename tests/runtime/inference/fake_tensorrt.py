# ruff: noqa: N801, N802, N815  (the names of CUDA are not ours)
"""A double of TensorRT and of CUDA's bindings: it records what is called and fails where it is told to.

No name in it may be missing from the real ones (test_tensorrt_contract.py compares them). What it "builds" is the ONNX
file in an envelope, and what it runs is that file on ONNX Runtime, so the probabilities that come out are real; so are
addresses, sizes and copies, which lie in this process's memory.
"""

import ctypes
import json
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime

MAGIC = b"double of a TensorRT engine\n"


@dataclass
class World:
    """What shall go wrong, and what was done.

    A failure that is left at its default does not happen.
    """

    parser_errors: list[tuple[str, str, str, int]] = field(default_factory=list)  # text, node's name, operator, number
    build_fails: str | None = None  # what TensorRT logs before it returns None
    during_build: Any = None  # called once while building
    profile_refused: bool = False
    deserialize_fails: bool = False
    no_context: bool = False
    execute_fails: bool = False
    refuse: str = ""  # "shape" or "address"
    bad_timing_caches: tuple[bytes, ...] = ()
    nan: bool = False
    half: bool = False  # the tensors of floats are fp16, as a graph of such inputs would have it
    cuda_fails: dict[str, int] = field(default_factory=dict)  # function -> error code
    compute: tuple[int, int] = (8, 7)
    used: set[tuple[str, str]] = field(default_factory=set)  # (class, member) of TensorRT
    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)  # of CUDA
    memory: dict[int, Any] = field(default_factory=dict)  # address -> buffer
    builds: list[dict[str, Any]] = field(default_factory=list)


class LoggerSeverity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(IntEnum):
    WORKSPACE = 0


class BuilderFlag(IntEnum):
    TF32 = 4


class TensorIOMode(IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class DataType(IntEnum):
    FLOAT = 0
    HALF = 1
    BOOL = 4
    INT64 = 8


NUMPY = {DataType.FLOAT: np.float32, DataType.HALF: np.float16, DataType.BOOL: np.bool_, DataType.INT64: np.int64}


def tensorrt(world: World, version: str = "10.3.0") -> ModuleType:
    """The double as a module named `tensorrt`."""

    class Recorded:
        """Remembers every public name that is used of it."""

        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("_"):
                for kind in type(self).__mro__:
                    if kind.__name__ in REAL and name in vars(kind):
                        world.used.add((kind.__name__, name))
            return object.__getattribute__(self, name)

        def __setattr__(self, name: str, value: object) -> None:
            if type(self).__name__ in REAL and not name.startswith("_"):
                if name not in dir(type(self)):
                    raise AttributeError(f"{type(self).__name__} has no attribute {name}")
                world.used.add((type(self).__name__, name))
            object.__setattr__(self, name, value)

    class ILogger(Recorded):
        ERROR = LoggerSeverity.ERROR
        INTERNAL_ERROR = LoggerSeverity.INTERNAL_ERROR

        def log(self, severity: LoggerSeverity, msg: str) -> None:
            raise NotImplementedError

    class IProgressMonitor(Recorded):
        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None: ...
        def step_complete(self, phase_name: str, step: int) -> bool: ...
        def phase_finish(self, phase_name: str) -> None: ...

    class IHostMemory(bytes):
        pass

    class ITimingCache(Recorded):
        def __init__(self, data: bytes) -> None:
            self._data = data

        def serialize(self) -> IHostMemory:
            return IHostMemory(self._data or b"timings")

    class IOptimizationProfile(Recorded):
        def __init__(self) -> None:
            self._shapes: dict[str, Any] = {}

        def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002
            self._shapes[input] = [list(min), list(opt), list(max)]

    class ITensor(Recorded):
        name = ""

        def __init__(self, name: str) -> None:
            self.name = name

    class INetworkDefinition(Recorded):
        num_inputs = 0

        def __init__(self, flags: int) -> None:
            self._flags, self._model, self._inputs = flags, b"", []

        def get_input(self, index: int) -> ITensor:
            return self._inputs[index]

    class IBuilderConfig(Recorded):
        builder_optimization_level = 3
        progress_monitor: Any = None

        def __init__(self) -> None:
            self._pools: dict[MemoryPoolType, int] = {}
            self._cleared: list[BuilderFlag] = []
            self._profiles: list[IOptimizationProfile] = []
            self._cache: ITimingCache | None = None

        def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
            self._pools[pool] = pool_size

        def clear_flag(self, flag: BuilderFlag) -> None:
            self._cleared.append(flag)

        def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
            if world.profile_refused:
                return -1
            self._profiles.append(profile)
            return len(self._profiles) - 1

        def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
            return ITimingCache(bytes(serialized_timing_cache))

        def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
            if cache._data in world.bad_timing_caches and not ignore_mismatch:
                return False
            self._cache = cache
            return True

        def get_timing_cache(self) -> ITimingCache | None:
            return self._cache

    class Builder(Recorded):
        def __init__(self, logger: ILogger) -> None:
            self._log = logger

        def create_network(self, flags: int = 0) -> INetworkDefinition:
            return INetworkDefinition(flags)

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def create_optimization_profile(self) -> IOptimizationProfile:
            return IOptimizationProfile()

        def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
            monitor = config.progress_monitor
            going = True
            if monitor is not None:
                monitor.phase_start("Building", None, 20)
                monitor.phase_start("A short part", "Building", 2)
                monitor.phase_finish("A short part")
                for step in range(20):
                    if step == 10 and world.during_build is not None:
                        world.during_build()
                    going = going and monitor.step_complete("Building", step)
                monitor.phase_finish("Building")
            if world.build_fails is not None:
                self._log.log(LoggerSeverity.WARNING, "a warning that explains nothing")
                self._log.log(LoggerSeverity.ERROR, world.build_fails)
                return None
            if not going:
                return None
            shapes = config._profiles[0]._shapes
            world.builds.append(
                {
                    "flags": network._flags,
                    "cleared": config._cleared,
                    "workspace": config._pools[MemoryPoolType.WORKSPACE],
                    "level": config.builder_optimization_level,
                    "timing": None if config._cache is None else config._cache._data,
                    "profile": shapes,
                }
            )
            head = json.dumps({"version": version, "profile": shapes, "size": len(network._model)}).encode()
            return IHostMemory(MAGIC + head + b"\n" + network._model)

    class ParserError(Recorded):
        def __init__(self, text: str, name: str, kind: str, number: int) -> None:
            self._said = (text, name, kind, number)

        def desc(self) -> str:
            return self._said[0]

        def node_name(self) -> str:
            return self._said[1]

        def node_operator(self) -> str:
            return self._said[2]

        def node(self) -> int:
            return self._said[3]

    class OnnxParser(Recorded):
        num_errors = 0

        def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
            self._network, self._errors = network, world.parser_errors
            self.num_errors = len(self._errors)

        def parse(self, model: bytes) -> bool:
            if self._errors:
                return False
            session = _session(bytes(model))
            self._network._model = bytes(model)
            self._network._inputs = [ITensor(tensor.name) for tensor in session.get_inputs()]
            self._network.num_inputs = len(self._network._inputs)
            return True

        def get_error(self, index: int) -> ParserError:
            return ParserError(*self._errors[index])

    class IExecutionContext(Recorded):
        def __init__(self, engine: Any) -> None:
            self._engine, self._addresses, self._shapes = engine, {}, {}

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self._addresses[name] = memory
            return world.refuse != "address"

        def set_input_shape(self, name: str, shape: Any) -> bool:
            low, _, high = self._engine._profile[name]
            self._shapes[name] = tuple(shape)
            inside = all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))
            return inside and world.refuse != "shape"

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert isinstance(stream_handle, int)
            if world.execute_fails:
                self._engine._log.log(LoggerSeverity.ERROR, "a kernel was not found")
                return False
            feed = {
                name: _at(self._addresses[name], shape, self._engine.get_tensor_dtype(name))
                for name, shape in self._shapes.items()
            }
            feed = {name: value.astype(np.float32) if name == "clip" else value for name, value in feed.items()}
            for name, value in zip(
                self._engine._outputs, self._engine._session.run(self._engine._outputs, feed), strict=True
            ):
                out = np.full_like(value, np.nan) if world.nan else value
                _at(self._addresses[name], value.shape, self._engine.get_tensor_dtype(name))[...] = out
            return True

    class ICudaEngine(Recorded):
        num_io_tensors = 0

        def __init__(self, model: bytes, profile: dict[str, Any], log: ILogger) -> None:
            self._log, self._profile, self._session = log, profile, _session(model)
            self._tensors = {t.name: (TensorIOMode.INPUT, t) for t in self._session.get_inputs()}
            self._tensors |= {t.name: (TensorIOMode.OUTPUT, t) for t in self._session.get_outputs()}
            self._outputs = [t.name for t in self._session.get_outputs()]
            self.num_io_tensors = len(self._tensors)

        def get_tensor_name(self, index: int) -> str:
            return list(self._tensors)[index]

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            return self._tensors[name][0]

        def get_tensor_dtype(self, name: str) -> DataType:
            found = self._tensors[name][1].type
            if found == "tensor(float)":
                return DataType.HALF if world.half else DataType.FLOAT
            return {"tensor(bool)": DataType.BOOL, "tensor(int64)": DataType.INT64}[found]

        def get_tensor_shape(self, name: str) -> list[int]:
            return [size if isinstance(size, int) else -1 for size in self._tensors[name][1].shape]

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Any]:
            assert profile_index == 0
            return self._profile[name]

        def create_execution_context(self) -> IExecutionContext | None:
            return None if world.no_context else IExecutionContext(self)

    class Runtime(Recorded):
        def __init__(self, logger: ILogger) -> None:
            self._log = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            if not serialized_engine.startswith(MAGIC) or world.deserialize_fails:
                self._log.log(LoggerSeverity.ERROR, "Error Code 1: Serialization (magic tag does not match.)")
                return None
            head, _, model = serialized_engine[len(MAGIC) :].partition(b"\n")
            said = json.loads(head)
            if said["version"] != version or len(model) != said["size"]:
                self._log.log(LoggerSeverity.ERROR, "Error Code 6: the engine plan file is not compatible")
                return None
            return ICudaEngine(model, said["profile"], self._log)

    public = (
        ILogger, IProgressMonitor, ITimingCache, IOptimizationProfile, ITensor, INetworkDefinition, IBuilderConfig,
        Builder, ParserError, OnnxParser, IExecutionContext, ICudaEngine, Runtime, IHostMemory,
        NetworkDefinitionCreationFlag, BuilderFlag, MemoryPoolType, TensorIOMode, DataType,
    )  # fmt: skip
    REAL = {kind.__name__ for kind in public}
    module = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)  # torch asks for it
    for kind in public:
        setattr(module, kind.__name__, kind)
    module.__version__ = version
    return module


def _session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def _at(address: int, shape: tuple[int, ...], kind: DataType) -> np.ndarray:
    """The array that lies at an address."""
    dtype = np.dtype(NUMPY[kind])
    size = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), dtype=dtype).reshape(shape)


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorIllegalAddress = 700


class cudaMemcpyKind(IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaDeviceAttr(IntEnum):
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class cudaStream_t:
    """A handle that `int` takes, as in the bindings."""

    def __int__(self) -> int:
        return 0x5EED


def cuda_runtime(world: World) -> ModuleType:
    """The double as `cuda.bindings.runtime`: every function answers (code, value...)."""
    module = ModuleType("cuda.bindings.runtime")
    module.__spec__ = ModuleSpec("cuda.bindings.runtime", None)
    module.cudaError_t, module.cudaMemcpyKind, module.cudaDeviceAttr = cudaError_t, cudaMemcpyKind, cudaDeviceAttr

    def answer(function: Any) -> Any:
        name = function.__name__

        def call(*args: Any) -> tuple[Any, ...]:
            world.calls.append((name, args))
            if name in world.cuda_fails:
                return (cudaError_t(world.cuda_fails[name]), None)
            value = function(*args)
            return (cudaError_t.cudaSuccess,) if value is None else (cudaError_t.cudaSuccess, value)

        setattr(module, name, call)
        return call

    @answer
    def cudaMalloc(size: int) -> int:
        assert size > 0
        buffer = ctypes.create_string_buffer(size)
        world.memory[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    @answer
    def cudaFree(address: int) -> None:
        del world.memory[address]

    @answer
    def cudaMemcpyAsync(dst: int, src: int, count: int, kind: cudaMemcpyKind, stream: cudaStream_t) -> None:
        device = dst if kind == cudaMemcpyKind.cudaMemcpyHostToDevice else src
        assert count <= len(world.memory[device]), "past the end of a buffer"
        ctypes.memmove(dst, src, count)

    @answer
    def cudaStreamCreate() -> cudaStream_t:
        return cudaStream_t()

    @answer
    def cudaStreamDestroy(stream: cudaStream_t) -> None: ...

    @answer
    def cudaStreamSynchronize(stream: cudaStream_t) -> None: ...

    @answer
    def cudaDeviceGetAttribute(attr: cudaDeviceAttr, device: int) -> int:
        assert device == 0
        return world.compute[attr == cudaDeviceAttr.cudaDevAttrComputeCapabilityMinor]

    @answer
    def cudaRuntimeGetVersion() -> int:
        return 12060

    @answer
    def cudaGetErrorString(error: cudaError_t) -> bytes:
        return error.name.encode()

    return module
