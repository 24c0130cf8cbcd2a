"""Does every name that we call exist in every TensorRT that we support, and does our double invent none?"""

import enum
import json
import os
from pathlib import Path
from types import ModuleType

import pytest

STORED = json.loads((Path(__file__).resolve().parent / "tensorrt_api.json").read_text(encoding="utf-8"))
APIS: dict[str, dict[str, list[str]]] = STORED["tensorrt"]
# Names that some version lacks and the code therefore asks for with hasattr: none today.
GUARDED: set[tuple[str, str]] = set()


def test_the_four_versions_of_the_field_are_covered() -> None:
    assert [".".join(version.split(".")[:2]) for version in APIS] == ["10.3", "10.13", "10.16", "11.4"]


@pytest.mark.parametrize("version", APIS)
def test_every_name_that_our_code_uses_exists_in(version: str, names: ModuleType) -> None:
    api = APIS[version]
    used = names.used()
    assert len(used) > 40
    for owner, name in used - names.OF_THE_PACKAGE - GUARDED:
        if owner:
            assert name in api[owner], f"TensorRT {version} has no {owner}.{name}"
        else:
            assert name in api, f"TensorRT {version} has no {name}"


def test_the_generator_would_see_a_name_that_tensorrt_11_removed(
    names: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "old.py"
    source.write_text("def build(trt, options):\n    options.set_flag(trt.BuilderFlag.FP16)\n")
    monkeypatch.setattr(names, "SOURCES", [source])
    assert names.used() == {("IBuilderConfig", "set_flag"), ("", "BuilderFlag"), ("BuilderFlag", "FP16")}
    assert "FP16" in next(api for version, api in APIS.items() if version.startswith("10.3"))["BuilderFlag"]
    assert "FP16" not in next(api for version, api in APIS.items() if version.startswith("11."))["BuilderFlag"]


@pytest.mark.parametrize("version", APIS)
def test_the_double_has_no_name_that_the_real_one_lacks(version: str, fake: ModuleType) -> None:
    module = fake.tensorrt(fake.World(), version)
    for kind_name, kind in vars(module).items():
        if kind_name.startswith("__"):
            continue
        assert kind_name in APIS[version]
        if issubclass(kind, enum.Enum):
            members = {member.name for member in kind}
        elif kind_name == "IHostMemory":
            continue  # a buffer and nothing else
        else:
            members = {name for name in vars(kind) if not name.startswith("_")}
        assert members <= set(APIS[version][kind_name]), kind_name


def test_every_cuda_name_exists_in_the_bindings_and_in_no_double_alone(names: ModuleType, fake: ModuleType) -> None:
    ((version, known),) = STORED["cuda"].items()
    assert names.used_of_cuda() <= set(known), version
    double = {name for name in vars(fake.cuda_runtime(fake.World())) if name.startswith("cuda")}
    enums = (fake.cudaError_t, fake.cudaMemcpyKind, fake.cudaDeviceAttr)
    assert double | {member.name for kind in enums for member in kind} <= set(known)


@pytest.mark.data
def test_the_stored_names_are_those_of_the_snapshots(names: ModuleType) -> None:
    data = os.environ.get("AMR_EDGE_DATA")
    if not data or not (Path(data) / "tensorrt_api").is_dir():
        pytest.skip("AMR_EDGE_DATA has no tensorrt_api: the stored names are not compared with their source")
    assert names.stored(Path(data) / "tensorrt_api")["tensorrt"] == APIS
