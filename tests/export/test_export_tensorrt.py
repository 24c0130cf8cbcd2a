"""From a run to an engine, on a double of TensorRT that runs the ready file on ONNX Runtime."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from amr_edge.cli import run as amr_edge
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.errors import CheckFailedError, ConfigError, MissingError
from amr_edge.export import export_tensorrt as to_tensorrt
from amr_edge.export.convert.onnx import write_onnx
from amr_edge.export.convert.precision import LIMITS
from amr_edge.export.export_tensorrt import Engine, TensorrtConfig
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.inference.tensorrt import open_engine
from amr_edge.runtime.inference.tensorrt_build import BuildConfig
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import RunFolder

DOUBLES = Path(__file__).resolve().parents[1] / "runtime" / "inference" / "fake_tensorrt.py"
Install = Callable[..., Any]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """install(version, **failures): a machine with TensorRT."""
    spec = importlib.util.spec_from_file_location("export_fake_tensorrt", DOUBLES)
    assert spec is not None
    assert spec.loader is not None
    fake = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, fake)
    spec.loader.exec_module(fake)

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
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "cuda", "cuda.bindings", "cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)


def export_tensorrt(source: Path, **options: Any) -> Engine:
    """The function, with the fields of its configuration among its keywords; `config` is the builder's."""
    named = {"rng": np.random.default_rng(0), "progress": silent} | options
    settings = {each.name: named.pop(each.name) for each in fields(TensorrtConfig) if each.name in named}
    if "config" in named:
        settings["build"] = named.pop("config")
    return to_tensorrt.export_tensorrt(source, TensorrtConfig(**settings), **named)


def silent(line: str) -> None:
    pass


Ready = Callable[..., Path]
WRITTEN: dict[tuple[str, float], bytes] = {}  # the weights of `run` are always the same, and writing takes seconds


@pytest.fixture
def ready(run: RunFolder) -> Ready:
    """ready(precision, budget): the ready file of `run`, in its folder."""

    def put(precision: str = "fp32", budget: float = 0.25) -> Path:
        path = run.folder / "export" / "model.engine.onnx"
        if (precision, budget) not in WRITTEN:
            with pytest.MonkeyPatch.context() as patch:
                for name in ("tensorrt", "cuda.bindings.runtime", "cuda.cudart"):
                    patch.setitem(sys.modules, name, None)
                with pytest.raises(MissingError):
                    export_tensorrt(run.folder, precision=precision, budget=budget)
            WRITTEN[precision, budget] = path.read_bytes()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(WRITTEN[precision, budget])
        return path

    return put


@pytest.mark.slow
def test_a_run_becomes_an_engine_that_is_proven_on_its_test_clips(run: RunFolder, install: Install) -> None:
    world = install()
    engine = export_tensorrt(run.folder, budget=0.25, config=BuildConfig(max_clips=4))
    assert engine.path == run.folder / "export" / "model.engine"
    assert set(engine.proofs) == {"ONNX", "engine"}
    assert engine.proofs["engine"].clips == 20
    assert engine.proofs["engine"].max_difference < 1e-4
    ready = read_onnx(engine.ready)
    assert ready.card.fixed_tokens == ready.card.tokens_at(0.25) == 25
    assert ready.opset == 20
    assert [tensor.name for tensor in ready.inputs] == ["clip", "present"]
    assert open_session(engine.path).tokens == 25
    assert world.builds[0]["profile"]["present"] == [[1, 1, 16, 25], [1, 2, 16, 25], [4, 2, 16, 25]]
    assert sorted(p.name for p in engine.path.parent.iterdir()) == [
        "model.engine",
        "model.engine.json",
        "model.engine.onnx",
        "model.engine_report.json",
    ]
    report = json.loads(engine.path.with_name("model.engine_report.json").read_text())
    assert report["proven"] is True
    assert report["tokens"] == 25


def test_the_whole_graph_is_taken_where_the_card_says_so(run: RunFolder, install: Install) -> None:
    install()
    engine = export_tensorrt(run.folder)
    assert open_engine(engine.path).tokens == engine.manifest.card.tokens == 100


@pytest.mark.slow
def test_fp16_stands_in_the_ready_file_and_is_judged_by_its_own_limits(ready: Ready, install: Install) -> None:
    install()
    engine = export_tensorrt(ready("fp16"))
    graph = onnx.load(engine.ready).graph
    halves = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    assert halves
    # Ranked in fp16, other tokens would be looked at.
    assert not [name for name in halves if name.startswith("choice.")]
    assert not [node for node in graph.node if node.op_type == "Einsum"]
    assert engine.manifest.card.precision == "fp16"
    assert engine.proofs["engine"].limits.probability == 0.02


@pytest.mark.slow
def test_int8_stands_in_the_ready_file_as_calibrated_pairs(ready: Ready, install: Install) -> None:
    install()
    engine = export_tensorrt(ready("int8-static"))
    kinds = {node.op_type for node in onnx.load(engine.ready).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert "MatMulInteger" not in kinds
    assert engine.manifest.card.precision == "int8-static"
    assert engine.proofs["engine"].agreement == 1


def test_every_sort_of_the_ready_file_has_a_k_that_can_be_read_from_the_file(ready: Ready) -> None:
    graph = onnx.load(ready()).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    sorts = [node for node in graph.node if node.op_type == "TopK"]
    assert sorts
    assert [constants[node.input[1]].tolist() for node in sorts] == [[100]] * len(sorts)
    kinds = {tensor.data_type for tensor in graph.initializer}
    assert onnx.TensorProto.DOUBLE not in kinds


def test_more_tokens_than_tensorrt_sorts_are_refused_where_there_is_something_to_sort(ready: Ready) -> None:
    model = onnx.load(ready())
    with pytest.raises(ConfigError, match="sorts at most 3840"):
        to_tensorrt.fix_sorts(model, 3841)
    del model.graph.node[:]
    to_tensorrt.fix_sorts(model, 3841)


def test_the_limits_are_those_of_the_onnx_export() -> None:
    assert {name: LIMITS[name] for name in to_tensorrt.LIMITS} == to_tensorrt.LIMITS


def test_the_ready_file_is_built_where_there_is_no_run(
    ready: Ready, install: Install, store: Store, tmp_path: Path
) -> None:
    install()
    made = export_tensorrt(ready("fp16"))
    device = tmp_path / "device"
    device.mkdir()
    copied = device / "model.engine.onnx"
    copied.write_bytes(made.ready.read_bytes())
    alone = export_tensorrt(copied)
    assert alone.path == device / "model.engine"
    assert alone.proofs == {}
    assert "not proven" in alone.text()
    assert alone.manifest.card.precision == "fp16"
    proven = export_tensorrt(copied, data=store.path, name="xsub")
    assert proven.proofs["engine"].clips == 20
    assert proven.proofs["engine"].max_difference == 0
    clips = Clips(store, store.subjects == 2, made.manifest.card.prepare, 2).whole(np.arange(5))
    np.testing.assert_array_equal(
        open_engine(alone.path).probs(clips.values, clips.present),
        open_engine(made.path).probs(clips.values, clips.present),
    )


def test_building_a_ready_file_imports_no_training_framework(ready: Ready, tmp_path: Path) -> None:
    code = f"""
import importlib.util, sys, types
for name in ("torch", "onnx", "safetensors"):
    sys.modules[name] = None
spec = importlib.util.spec_from_file_location("fake", {str(DOUBLES)!r})
fake = sys.modules["fake"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake)
world = fake.World()
sys.modules["tensorrt"] = fake.tensorrt(world)
for name in ("cuda", "cuda.bindings"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["cuda.bindings.runtime"] = fake.cuda_runtime(world)
from amr_edge.cli import run
sys.exit(run(["export", {str(ready())!r}, "--trt", "--out", {str(tmp_path / "x.engine")!r}, "--json"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["proofs"]["engine"]["agreement"] == 1


def test_a_ready_file_keeps_its_own_precision_and_budget(ready: Ready, install: Install) -> None:
    install()
    for wrong in ({"precision": "fp16"}, {"budget": 0.5}):
        with pytest.raises(ConfigError, match="computes in fp32 on 25 of 100 tokens"):
            export_tensorrt(ready(), progress=silent, **wrong)
    assert export_tensorrt(ready(), budget=0.25).manifest.card.fixed_tokens == 25


@pytest.mark.slow
def test_a_file_whose_budget_is_free_is_no_source_of_an_engine(run: RunFolder, install: Install) -> None:
    install()
    model, card = load_classifier(run.last)
    free = write_onnx(model, card, run.folder / "export" / "model.onnx")
    with pytest.raises(ConfigError, match="--budget"):
        export_tensorrt(free)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.slow
def test_without_tensorrt_the_ready_file_stays_and_the_lines_to_type_are_said(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert amr_edge(["export", str(run.folder), "--trt", "--budget", "0.25", "--max-people", "2"]) == 3
    said = capsys.readouterr().err
    ready = run.folder / "export" / "model.engine.onnx"
    assert ready.is_file()
    assert f"trtexec --onnx={ready} --saveEngine={ready.with_name('model.engine')} --stronglyTyped" in said
    assert "--maxShapes=clip:2x2x16x25x3,present:2x2x16x25" in said
    assert "amr-edge export model.engine.onnx --trt" in said
    assert "Traceback" not in said
    assert not ready.with_name("model.engine").exists()


def test_an_engine_that_answers_differently_is_not_kept(run: RunFolder, ready: Ready, install: Install) -> None:
    install(half=True)
    with pytest.raises(CheckFailedError, match=r"model\.engine was not kept: a probability differs"):
        export_tensorrt(ready())
    left = {p.name for p in (run.folder / "export").iterdir()}
    assert left == {"model.engine.onnx", "model.engine_report.json"}


def test_a_ready_file_that_answers_differently_is_not_kept_and_takes_the_old_engine_with_it(
    run: RunFolder, ready: Ready, install: Install
) -> None:
    install()
    assert export_tensorrt(ready()).path.is_file()
    with pytest.raises(CheckFailedError, match=r"model\.engine\.onnx was not kept"):
        export_tensorrt(run.folder, max_difference=-1.0)
    assert {p.name for p in (run.folder / "export").iterdir()} == {"model.engine_report.json"}


@pytest.mark.parametrize("failure", [{"build_fails": "out of memory"}, {"cuda_fails": {"cudaDeviceGetAttribute": 35}}])
def test_a_device_that_cannot_build_leaves_the_ready_file(
    failure: dict[str, Any], ready: Ready, install: Install
) -> None:
    install(**failure)
    path = ready()
    with pytest.raises(MissingError, match=r"model\.engine\.onnx is ready"):
        export_tensorrt(path)
    assert path.is_file()


@pytest.mark.parametrize(
    "options", [[], ["--onnx", "--trt"], ["--trt", "--fp16", "--int8"], ["--trt", "--workspace", "0"]]
)
def test_options_that_contradict_each_other_end_with_2(
    options: list[str], run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert amr_edge(["export", str(run.folder), *options]) == 2
    assert capsys.readouterr().err.startswith("amr-edge: ")


# trtexec, played by a program of ours that is really run.

PROGRAM = """#!{python}
import sys
sys.path.insert(0, {folder!r})
import fake_tensorrt, json
said = dict(part[2:].split("=", 1) for part in sys.argv[1:] if "=" in part)
print("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec " + " ".join(sys.argv[1:]))
{fault}
shapes = [dict(item.split(":") for item in said[key].split(",")) for key in ("minShapes", "optShapes", "maxShapes")]
profile = {{n: [list(map(int, three[n].split("x"))) for three in shapes] for n in shapes[0]}}
model = open(said["onnx"], "rb").read()
head = json.dumps({{"version": "10.3.0", "profile": profile, "size": len(model)}}).encode()
open(said["saveEngine"], "wb").write(fake_tensorrt.MAGIC + head + b"\\n" + model)
print("&&&& PASSED TensorRT.trtexec [TensorRT v100300]")
"""


@pytest.fixture
def trtexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """trtexec(fault): put the program on the PATH; `fault` is a line of Python in it."""

    def put(fault: str = "") -> None:
        program = tmp_path / "bin" / "trtexec"
        program.parent.mkdir(exist_ok=True)
        program.write_text(PROGRAM.format(python=sys.executable, folder=str(DOUBLES.parent), fault=fault))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    return put


def test_trtexec_builds_the_engine_that_our_line_asks_for(
    ready: Ready, install: Install, trtexec: Callable[..., None]
) -> None:
    world = install("10.3.0")
    trtexec()
    engine = export_tensorrt(ready(), by_trtexec=True)
    assert world.builds == []
    assert engine.manifest.built_by == "trtexec"
    assert engine.manifest.built_for.tensorrt == "10.3.0"
    assert engine.proofs["engine"].agreement == 1


def test_what_trtexec_complains_of_stands_in_the_sentence(
    ready: Ready, install: Install, trtexec: Callable[..., None]
) -> None:
    install()
    trtexec('print("[11/20] [E] Error[4]: could not find any implementation"); sys.exit(1)')
    with pytest.raises(CheckFailedError, match=r"trtexec ended with 1 .*could not find any implementation"):
        export_tensorrt(ready(), by_trtexec=True)
    trtexec("sys.exit(0)")
    with pytest.raises(CheckFailedError, match="built no engine"):
        export_tensorrt(ready(), by_trtexec=True)
    assert not list(ready().parent.glob("*.part"))


def test_without_trtexec_the_sentence_says_where_it_was_looked_for(
    ready: Ready, install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(to_tensorrt, "TRTEXEC", tmp_path / "trtexec")
    with pytest.raises(MissingError, match="neither on the PATH nor"):
        export_tensorrt(ready(), by_trtexec=True)
