"""The doubles of TensorRT and CUDA, put where `import tensorrt` finds them."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent


def load(name: str) -> ModuleType:
    """A file beside this one as a module."""
    spec = importlib.util.spec_from_file_location(f"engines_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """The doubles themselves."""
    return load("fake_tensorrt")


@pytest.fixture(scope="session")
def names() -> ModuleType:
    """The generator of the names."""
    return load("tensorrt_names")


@pytest.fixture
def install(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """install(version=..., **failures): a machine with TensorRT, whose `World` is returned."""

    def put(version: str = "10.3.0", **failures: object) -> object:
        world = fake.World(**failures)
        monkeypatch.setitem(sys.modules, "tensorrt", fake.tensorrt(world, version))
        for name in ("cuda", "cuda.bindings"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
            sys.modules[name].__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", fake.cuda_runtime(world))
        return world

    return put


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without TensorRT and CUDA, even where the tests run on one that has them."""
    for name in ("tensorrt", "cuda", "cuda.bindings", "cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    return
