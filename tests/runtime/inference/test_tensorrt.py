"""An engine either answers as its model does or is refused with one sentence; run on a double of TensorRT."""

import errno
import gc
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from amr_edge.errors import AmrError, CardError, CheckFailedError, ClipError, ConfigError, MissingError, ReadError
from amr_edge.runtime.inference import tensorrt_build, tensorrt_manifest
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.inference.tensorrt import make_engine, open_engine, open_gpu
from amr_edge.runtime.inference.tensorrt_build import (
    MB,
    BuildConfig,
    available_bytes,
    check_memory,
    needed_bytes,
    tensorrt_comes_from,
    trtexec_line,
)

Install = Callable[..., Any]
Build = Callable[..., Path]


@pytest.fixture
def build(write_model: Callable[..., Path], install: Install) -> Build:
    """build(version=..., config=..., card=..., **failures): an engine, its manifest and its ONNX file in one folder."""

    def built(
        card: Any = None,
        *,
        version: str = "10.3.0",
        config: BuildConfig | None = None,
        free_bytes: int | None = None,
        progress: Callable[[str], None] = lambda line: None,
        **failures: object,
    ) -> Path:
        world = install(version, **failures)
        onnx = write_model(card, name="model.engine.onnx")
        engine = onnx.with_name("model.engine")
        make_engine(
            onnx,
            engine,
            card=read_onnx(onnx).card,
            config=config or BuildConfig(max_clips=4),
            gpu=open_gpu("this test"),
            free_bytes=free_bytes,
            progress=progress,
        )
        built.world = world  # type: ignore[attr-defined]
        return engine

    return built


def clips(n: int = 2, m: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    present = rng.random((n, m, 16, 20)) < 0.9
    return np.where(present[..., None], rng.normal(size=(n, m, 16, 20, 3)), 0).astype(np.float32), present


def sentence(error: pytest.ExceptionInfo[AmrError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_an_engine_answers_what_its_onnx_file_answers(build: Build) -> None:
    engine = build()
    values, present = clips(3)
    wanted = open_session(engine.with_name("model.engine.onnx"), engine="onnxruntime").probs(values, present)
    session = open_engine(engine)
    np.testing.assert_array_equal(session.probs(values, present), wanted)
    np.testing.assert_allclose(wanted.sum(axis=1), 1, atol=1e-6)
    assert session.card == read_onnx(engine.with_name("model.engine.onnx")).card
    assert "TensorRT 10.3.0 fp32, up to 4 clips at once" in session.title
    assert session.tokens == session.card.tokens


def test_open_session_takes_an_engine_by_its_name(build: Build) -> None:
    values, present = clips(2)
    engine = build()
    np.testing.assert_array_equal(
        open_session(engine).probs(values, present), open_engine(engine).probs(values, present)
    )


def test_more_clips_than_the_engine_takes_are_answered_in_parts(build: Build) -> None:
    engine = build()
    values, present = clips(11)
    session = open_engine(engine)
    one_by_one = np.concatenate([session.probs(values[i : i + 1], present[i : i + 1]) for i in range(11)])
    np.testing.assert_allclose(session.probs(values, present), one_by_one, atol=1e-6)
    assert session.probs(values[:0], present[:0]).shape == (0, 3)


def test_answers_do_not_depend_on_what_was_asked_before(build: Build) -> None:
    session = open_engine(build())
    first, second = clips(4), clips(2)
    alone = session.probs(*second)
    session.probs(*first)
    np.testing.assert_array_equal(session.probs(*second), alone)


def test_views_and_slices_are_copied_whole(build: Build) -> None:
    session = open_engine(build())
    values, present = clips(8)
    np.testing.assert_array_equal(
        session.probs(values[::2], present[::2]), session.probs(values[::2].copy(), present[::2].copy())
    )


def test_tensors_of_fp16_are_converted_on_the_way_in_and_out(build: Build) -> None:
    engine = build(half=True)
    values, present = clips(2)
    wanted = open_session(engine.with_name("model.engine.onnx"), engine="onnxruntime").probs(values, present)
    got = open_engine(engine).probs(values, present)
    assert got.dtype == np.float32
    assert 0 < np.abs(got - wanted).max() < 0.02


def test_a_scene_of_fewer_people_than_the_model_takes_is_answered_and_one_of_more_is_refused(
    build: Build, card_of: Callable[..., Any]
) -> None:
    session = open_engine(build(card_of(persons=2)))
    assert session.probs(*clips(1, 1)).shape == (1, 3)
    assert session.probs(*clips(1, 2)).shape == (1, 3)
    with pytest.raises(ClipError, match="up to 2 persons in a clip, got 3"):
        session.probs(*clips(1, 3))


def test_the_network_is_strongly_typed_and_built_as_asked(build: Build) -> None:
    build(config=BuildConfig(max_clips=6, workspace_mb=128, level=5))
    (made,) = build.world.builds
    assert made["flags"] == 1 << 1  # STRONGLY_TYPED is number 1
    assert made["workspace"] == 128 * 1024 * 1024
    assert made["level"] == 5
    assert made["timing"] is None
    assert [flag.name for flag in made["cleared"]] == ["TF32"]
    assert made["profile"] == {
        "clip": [[1, 1, 16, 20, 3], [1, 1, 16, 20, 3], [6, 1, 16, 20, 3]],
        "present": [[1, 1, 16, 20], [1, 1, 16, 20], [6, 1, 16, 20]],
    }


def test_progress_is_told_while_building_and_short_phases_are_not(build: Build) -> None:
    lines: list[str] = []
    build(progress=lines.append)
    assert lines[0].startswith("building model.engine with TensorRT 10.3.0")
    assert lines[1] == "building: Building"
    assert lines[2:] == [f"building: Building {10 * tenth} %" for tenth in range(1, 11)]


def test_every_name_that_was_used_of_the_double_is_seen_by_the_generator(build: Build, names: ModuleType) -> None:
    open_engine(build()).probs(*clips(2))
    assert build.world.used <= names.used()
    assert ("IExecutionContext", "execute_async_v3") in build.world.used


def test_the_gpu_memory_is_given_back_with_the_session(build: Build) -> None:
    engine = build()
    session = open_engine(engine)
    held = {len(buffer) for buffer in build.world.memory.values()}
    assert held == {4 * 16 * 20 * 3 * 4, 4 * 16 * 20, 4 * 3 * 4}
    del session
    gc.collect()
    assert not build.world.memory
    assert build.world.calls[-1][0] == "cudaStreamDestroy"


# The timing cache.


def test_timings_are_kept_between_builds_and_those_of_another_machine_are_replaced(
    build: Build, tmp_path: Path
) -> None:
    cache = tmp_path / "timings"
    build(config=BuildConfig(timing_cache=cache))
    assert cache.read_bytes() == b"timings"
    build(config=BuildConfig(timing_cache=cache))
    assert build.world.builds[0]["timing"] == b"timings"
    cache.write_bytes(b"of an Orin")
    lines: list[str] = []
    build(config=BuildConfig(timing_cache=cache), bad_timing_caches=(b"of an Orin",), progress=lines.append)
    assert build.world.builds[0]["timing"] == b""
    assert any("timing anew" in line for line in lines)
    assert cache.read_bytes() == b"timings"


def test_a_builder_that_takes_no_timing_cache_builds_all_the_same(build: Build, tmp_path: Path) -> None:
    cache = tmp_path / "timings"
    build(config=BuildConfig(timing_cache=cache), bad_timing_caches=(b"",))
    assert not cache.exists()


# What can fail while building.


def test_every_error_of_the_parser_stands_in_the_sentence(build: Build, tmp_path: Path) -> None:
    errors = [("No importer for Foo\nat all.", "/foo", "Foo", 3), ("Bar is of type INT4", "/bar", "Bar", 9)]
    with pytest.raises(ReadError, match=r"model\.engine\.onnx: TensorRT 10\.3\.0 cannot read the model") as error:
        build(parser_errors=errors)
    assert "node 3 '/foo' (Foo): No importer for Foo at all; node 9 '/bar' (Bar): Bar is of type INT4" in sentence(
        error
    )
    assert not (tmp_path / "model.engine").exists()


def test_a_build_that_runs_out_of_memory_says_so_and_leaves_nothing(build: Build, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="ran out of memory while building") as error:
        build(build_fails="[defaultAllocator.cpp] Error Code 1: Cuda Runtime (out of memory)")
    assert "--workspace" in sentence(error)
    assert error.value.exit_code == 3
    assert [p.name for p in tmp_path.iterdir()] == ["model.engine.onnx"]


def test_a_build_that_fails_otherwise_gives_tensorrts_reason(build: Build) -> None:
    with pytest.raises(CheckFailedError, match="built no engine: Error Code 10: no implementation for /softmax"):
        build(build_fails="Error Code 10: no implementation\n for /softmax.")


def test_a_failed_build_does_not_leave_the_old_engine_to_be_taken_for_the_new_one(build: Build) -> None:
    engine = build()
    with pytest.raises(CheckFailedError):
        build(build_fails="x")
    assert not engine.exists()
    assert not engine.with_name("model.engine.json").exists()


def test_refused_shapes_are_a_sentence(build: Build) -> None:
    with pytest.raises(CheckFailedError, match="refuses the shapes"):
        build(profile_refused=True)


def test_ctrl_c_ends_a_build_at_its_next_step(build: Build, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        build(during_build=lambda: os.kill(os.getpid(), signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "model.engine").exists()


def test_a_build_is_not_begun_when_memory_does_not_suffice(build: Build) -> None:
    with pytest.raises(MissingError, match=r"needs about 1\.\d GB of memory, free are 0\.7"):
        build(free_bytes=700_000_000)
    assert not hasattr(build, "world")


def test_the_default_workspace_can_be_built_with_on_a_board_of_4_gb() -> None:
    # 3.9 GB are visible on such a board and about half of them free with the desktop running.
    assert needed_bytes(25 * MB, BuildConfig().workspace_mb) < 1.95e9
    check_memory(25 * MB, BuildConfig(), int(1.95e9))
    check_memory(25 * MB, BuildConfig(), None)


@pytest.mark.parametrize("text", ["", "MemTotal: 3 kB\n", "MemAvailable: many kB\n", "MemAvailable:\n"])
def test_a_system_that_does_not_say_what_is_free_is_not_refused(text: str) -> None:
    assert available_bytes(text) is None


@pytest.mark.parametrize("file", ["model.engine", "model.engine.json"])
def test_a_full_disk_leaves_no_half_engine(
    file: str, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == file + ".part":
            real(self, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        build()
    assert [p.name for p in tmp_path.iterdir()] == ["model.engine.onnx"]


@pytest.mark.parametrize("wrong", [{"max_clips": 0}, {"workspace_mb": 0}, {"level": 6}, {"level": -1}])
def test_a_build_that_cannot_mean_anything_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        BuildConfig(**wrong)


# What can fail while opening.


def test_an_engine_of_another_machine_is_refused_before_it_is_loaded(build: Build, install: Install) -> None:
    engine = build()
    world = install("10.13.3.9", compute=(7, 2))
    with pytest.raises(ReadError) as error:
        open_engine(engine)
    text = sentence(error)
    assert "built with TensorRT 10.3.0 for compute 8.7; this machine has 10.13.3.9 and 7.2" in text
    assert f"amr-edge export {engine.with_name('model.engine.onnx')} --trt" in text
    assert not any(owner == "Runtime" for owner, _ in world.used)


def test_the_same_versions_on_another_platform_are_another_machine(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build()
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ReadError, match=r"built on \w+ \w+; this machine is \w+ riscv64"):
        open_engine(engine)


def test_a_mismatch_is_rebuilt_from_the_onnx_file_if_that_is_allowed(build: Build, install: Install) -> None:
    engine = build(config=BuildConfig(max_clips=3, workspace_mb=64, level=2))
    values, present = clips(2)
    wanted = open_engine(engine).probs(values, present)
    world = install("10.13.3.9", compute=(11, 0))
    lines: list[str] = []
    session = open_engine(engine, rebuild=True, progress=lines.append)
    np.testing.assert_array_equal(session.probs(values, present), wanted)
    assert "building it again from model.engine.onnx" in lines[0]
    (made,) = world.builds
    assert (made["workspace"], made["level"], made["profile"]["clip"][2][0]) == (64 * MB, 2, 3)
    # From now on it fits, and nothing is built.
    open_engine(engine)
    assert len(world.builds) == 1
    assert json.loads(engine.with_name("model.engine.json").read_text())["built_for"]["tensorrt"] == "10.13.3.9"


def test_a_mismatch_without_the_onnx_file_cannot_be_rebuilt(build: Build, install: Install) -> None:
    engine = build()
    engine.with_name("model.engine.onnx").unlink()
    install("10.13.3.9")
    with pytest.raises(ReadError, match=r"copy model\.engine\.onnx beside it"):
        open_engine(engine, rebuild=True)


def test_an_engine_needs_no_onnx_file_where_it_was_built(build: Build) -> None:
    engine = build()
    engine.with_name("model.engine.onnx").unlink()
    assert open_engine(engine).probs(*clips(1)).shape == (1, 3)


def test_a_newer_onnx_file_beside_an_engine_is_told_and_never_rebuilt_under_the_old_card(
    build: Build, write_model: Callable[..., Path], card_of: Callable[..., Any]
) -> None:
    engine = build()
    write_model(card_of(name="newer"), name="model.engine.onnx")
    for rebuild in (False, True):
        with pytest.raises(ReadError, match="not the model that it was built from"):
            open_engine(engine, rebuild=rebuild)


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_a_truncated_engine_is_refused_and_rebuilt_if_allowed(keep: float, build: Build) -> None:
    engine = build()
    whole = engine.read_bytes()
    engine.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ReadError, match="cut off or replaced"):
        open_engine(engine)
    open_engine(engine, rebuild=True, progress=lambda line: None)
    assert engine.read_bytes() == whole


def test_an_engine_without_a_manifest_is_not_given_to_tensorrt(build: Build) -> None:
    engine = build()
    engine.with_name("model.engine.json").unlink()
    with pytest.raises(ReadError, match=r"there is no model\.engine\.json beside it") as error:
        open_engine(engine)
    assert error.value.exit_code == 4


def test_an_engine_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such engine; build it with: amr-edge export RUN --trt"):
        open_engine(tmp_path / "model.engine")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda said: said["card"]["classes"].reverse(), "was changed after it was written"),
        (lambda said: said["built_for"].update(compute="7.2"), "was changed after it was written"),
        (lambda said: said["profile"].clear(), "was changed after it was written"),
        (lambda said: said.pop("seal"), "was changed after it was written"),
        (lambda said: said.update(schema=9), "expected a manifest of schema 1, got 9"),
        (lambda said: said.clear(), "expected a manifest of schema 1, got None"),
    ],
)
def test_a_manifest_that_was_changed_is_refused(change: Callable[[Any], Any], why: str, build: Build) -> None:
    engine = build()
    path = engine.with_name("model.engine.json")
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))
    with pytest.raises(CardError, match=why):
        open_engine(engine)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '"x"', "[" * 100_000, "{}\x00", "\xff\xfe"])
def test_a_manifest_that_is_no_json_of_ours_is_refused(text: str, build: Build) -> None:
    engine = build()
    engine.with_name("model.engine.json").write_bytes(text.encode("latin-1"))
    with pytest.raises((ReadError, CardError), match=r"model\.engine\.json: expected"):
        open_engine(engine)


@pytest.mark.parametrize("gone", ["engine_sha256", "built_for", "profile", "card", "workspace_mb"])
def test_a_manifest_with_a_new_seal_but_without_a_field_is_refused(gone: str, build: Build) -> None:
    engine = build()
    path = engine.with_name("model.engine.json")
    said = json.loads(path.read_text())
    del said[gone]
    said["seal"] = tensorrt_manifest._seal(said)
    path.write_text(json.dumps(said))
    with pytest.raises(CardError, match="cannot be used"):
        open_engine(engine)


def test_a_manifest_holds_what_a_person_wants_to_know(build: Build) -> None:
    said = json.loads(build().with_name("model.engine.json").read_text())
    assert said["built_for"] | {"system": "", "machine": "", "l4t": ""} == {
        "tensorrt": "10.3.0",
        "cuda": "12.6",
        "compute": "8.7",
        "system": "",
        "machine": "",
        "l4t": "",
    }
    assert (said["precision"], said["budget"], said["tokens"]) == ("fp32", 1.0, 80)
    assert said["profile"]["present"][2] == [4, 1, 16, 20]
    assert said["card"]["classes"] == ["none", "wave", "sit"]


def test_an_engine_that_tensorrt_does_not_take_is_refused_with_its_reason(build: Build, install: Install) -> None:
    engine = build()
    install(deserialize_fails=True)
    with pytest.raises(ReadError, match=r"cannot load the engine \(Error Code 1: Serialization"):
        open_engine(engine)


def test_an_engine_of_other_shapes_than_its_manifest_is_refused(build: Build) -> None:
    engine = build()
    other = build(config=BuildConfig(max_clips=9))
    assert other == engine
    path = engine.with_name("model.engine.json")
    said = json.loads(path.read_text())
    for shapes in said["profile"].values():
        shapes[2][0] = 4
    said["seal"] = tensorrt_manifest._seal(said)
    path.write_text(json.dumps(said))
    with pytest.raises(CardError, match="by its manifest the engine has"):
        open_engine(engine)


def test_an_engine_of_other_classes_than_its_card_is_refused(
    build: Build, write_model: Callable[..., Path], card_of: Callable[..., Any]
) -> None:
    engine = build()
    path = engine.with_name("model.engine.json")
    said = json.loads(path.read_text())
    said["card"]["classes"].append("fall")
    said["seal"] = tensorrt_manifest._seal(said)
    path.write_text(json.dumps(said))
    with pytest.raises(CardError, match=r"probs \(N, 4\), it has \(-1, 3\)"):
        open_engine(engine)


def test_no_context_is_a_sentence(build: Build, install: Install) -> None:
    engine = build()
    install(no_context=True)
    with pytest.raises(CheckFailedError, match="no execution context"):
        open_engine(engine)


def test_refused_buffers_are_given_back(build: Build, install: Install) -> None:
    engine = build()
    world = install(refuse="address")
    with pytest.raises(CheckFailedError, match="refuses the buffers of clip"):
        open_engine(engine)
    assert not world.memory


@pytest.mark.parametrize("budget", [0.25, 0.0, 1.5])
def test_an_engine_has_one_budget_and_refuses_others(budget: float, build: Build) -> None:
    engine = build()
    with pytest.raises(ConfigError, match="budget"):
        open_engine(engine, budget=budget)
    assert open_engine(engine, budget=1.0).tokens == 80


def test_threads_below_one_are_refused_as_for_any_model(build: Build) -> None:
    with pytest.raises(ConfigError, match="threads"):
        open_engine(build(), threads=0)


# What can fail while running.


@pytest.mark.parametrize(
    ("failure", "error", "why"),
    [
        ({"execute_fails": True}, CheckFailedError, r"refuses to run clips .*\(a kernel was not found\)"),
        ({"refuse": "shape"}, CheckFailedError, "refuses the shape"),
        ({"nan": True}, CardError, "NaN or infinity"),
        ({"cuda_fails": {"cudaMemcpyAsync": 700}}, MissingError, "code 700 .* while copying to the GPU"),
        ({"cuda_fails": {"cudaStreamSynchronize": 700}}, MissingError, "cudaErrorIllegalAddress.* waiting for the GPU"),
    ],
)
def test_a_failure_while_running_is_a_sentence(
    failure: dict[str, Any], error: type[AmrError], why: str, build: Build, install: Install
) -> None:
    engine = build()
    install(**failure)
    session = open_engine(engine)
    with pytest.raises(error, match=why) as raised:
        session.probs(*clips(1))
    sentence(raised)


def test_a_gpu_that_is_full_or_gone_is_told_when_opening(build: Build, install: Install) -> None:
    engine = build()
    world = install(cuda_fails={"cudaMalloc": 2})
    with pytest.raises(MissingError, match=r"cudaErrorMemoryAllocation\) while taking [\d,]+ bytes"):
        open_engine(engine)
    assert world.calls[-1][0] == "cudaStreamDestroy"
    install(cuda_fails={"cudaStreamCreate": 2})
    with pytest.raises(MissingError, match="creating a stream"):
        open_engine(engine)
    install(cuda_fails={"cudaDeviceGetAttribute": 35})
    with pytest.raises(MissingError, match=r"cudaErrorInsufficientDriver\) while asking for a GPU"):
        open_engine(engine)


@pytest.mark.parametrize("shape", [(1, 1, 15, 20, 3), (1, 1, 16, 21, 3), (1, 16, 20, 3)])
def test_clips_that_the_card_does_not_ask_for_are_refused(shape: tuple[int, ...], build: Build) -> None:
    session = open_engine(build())
    with pytest.raises(ClipError, match="expects clips"):
        session.probs(np.zeros(shape, np.float32), np.zeros(shape[:-1], np.bool_))


# Machines without TensorRT.


@pytest.mark.usefixtures("nothing_installed")
def test_without_tensorrt_opening_ends_with_exit_code_3(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingError, match="needs TensorRT's Python package") as error:
        open_engine(engine)
    assert error.value.exit_code == 3


def test_without_cuda_bindings_the_line_to_type_is_said(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = build()
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingError, match="pip install cuda-python"):
        open_engine(engine)


def test_the_layout_of_older_cuda_bindings_is_found(
    build: Build, fake: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build()
    monkeypatch.setitem(sys.modules, "cuda.cudart", sys.modules["cuda.bindings.runtime"])
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    assert open_engine(engine).probs(*clips(1)).shape == (1, 3)


def test_an_empty_package_named_tensorrt_is_not_taken_for_tensorrt(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build()
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    with pytest.raises(MissingError, match="empty shell"):
        open_engine(engine)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (("Linux", "aarch64", "R36.4.0"), "--system-site-packages"),
        (("Linux", "x86_64", ""), "pypi.nvidia.com"),
        (("Linux", "aarch64", ""), "JetPack"),
        (("Darwin", "arm64", ""), "NVIDIA GPU only"),
    ],
)
def test_where_tensorrt_comes_from_depends_on_the_platform(where: tuple[str, str, str], says: str) -> None:
    assert says in tensorrt_comes_from(*where)


def test_the_release_of_a_jetson_is_read_from_its_file(tmp_path: Path) -> None:
    release = tmp_path / "nv_tegra_release"
    assert tensorrt_manifest.l4t(release) == ""
    release.write_text("# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic, EABI: aarch64\n")
    assert tensorrt_manifest.l4t(release) == "R36.4.0"
    release.write_text("something else\n")
    assert tensorrt_manifest.l4t(release) == "unknown"


# trtexec.


def test_the_trtexec_line_says_what_the_python_build_does(tmp_path: Path) -> None:
    config = BuildConfig(max_clips=8, workspace_mb=128, level=2, timing_cache=tmp_path / "t")
    profile = tensorrt_build.profile_of(64, 25, 1, 8)
    line = trtexec_line("trtexec", Path("m.onnx"), Path("m.engine"), profile, config)
    assert line == [
        "trtexec",
        "--onnx=m.onnx",
        "--saveEngine=m.engine",
        "--stronglyTyped",
        "--noTF32",
        "--minShapes=clip:1x1x64x25x3,present:1x1x64x25",
        "--optShapes=clip:1x1x64x25x3,present:1x1x64x25",
        "--maxShapes=clip:8x1x64x25x3,present:8x1x64x25",
        "--memPoolSize=workspace:128",
        "--builderOptimizationLevel=2",
        f"--timingCacheFile={tmp_path / 't'}",
        "--skipInference",
    ]


def test_a_copied_folder_opens_as_the_original(build: Build, tmp_path: Path) -> None:
    engine = build()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (engine, engine.with_name("model.engine.json"), engine.with_name("model.engine.onnx")):
        shutil.copy(path, copy)
    np.testing.assert_array_equal(
        open_engine(copy / "model.engine").probs(*clips(2)), open_engine(engine).probs(*clips(2))
    )
