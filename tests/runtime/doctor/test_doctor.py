"""Each check says what is so on the machine it is given, and every failing line has a fix."""

import importlib.util
import json
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amr_edge.cli import run
from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import EXTRAS
from amr_edge.runtime.doctor import checks, system_info
from amr_edge.runtime.doctor.checks import Check
from amr_edge.runtime.doctor.cli import screen
from amr_edge.runtime.doctor.system_info import ProbeResult, SystemInfo

FACTS: dict[str, dict[str, Any]] = {
    "onnxruntime": {"providers": ["CPUExecutionProvider"]},
    "openvino": {"devices": ["CPU"]},
    "mediapipe": {"version": "0.10.30"},
    "tensorrt": {"version": "10.3.0"},
    "model": {"name": "rehab8", "classes": 9, "bytes": 1_900_000},
}
HEALTHY = {
    "onnxruntime": "1.20.0",
    "openvino": "2025.1.0",
    "torch": "2.6.0",
    "safetensors": "0.5",
    "matplotlib": "3.9",
    "onnx": "1.18.0",
    "onnxscript": "0.3",
    "mediapipe": "0.10.30",
    "opencv-contrib-python": "4.11",
}


@pytest.fixture
def system(tmp_path: Path) -> SystemInfo:
    """A desktop on which everything works but CUDA, camera and pose model."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 9000000 kB\nSwapFree: 0 kB\n")
    return SystemInfo(
        root=tmp_path,
        environ={"OMP_WAIT_POLICY": "PASSIVE", "DISPLAY": ":0", "AMR_EDGE_CACHE": str(tmp_path / "cache")},
        installed=HEALTHY,
        required=['onnx>=1.17; extra == "export"', 'mediapipe>=0.10.30; extra == "pose"', "numpy>=1.24"],
        probe=lambda package: ProbeResult(facts=FACTS[package]),
        platform="linux",
        python=(3, 12, 1),
        bits=64,
        wall_s=1.8e9,
        kernel_clock=(True, 3.0),
    )


def lines(system: SystemInfo, area: str) -> list[Check]:
    return [check for check in checks.examine(system) if check.area == area]


def test_every_line_that_fails_has_a_cure_and_no_line_that_is_well_has_one(system: SystemInfo) -> None:
    worst = replace(
        system,
        installed={
            "onnxruntime": "1",
            "onnxruntime-gpu": "1",
            "mediapipe": "0.10.30",
            "tensorrt": "10",
            "openvino": "1",
        },
        probe=lambda _: ProbeResult(facts=None, trouble="it crashed"),
        environ={"OMP_WAIT_POLICY": "ACTIVE"},
        python=(3, 9, 0),
        wall_s=0.0,
    )
    for machine in (system, worst):
        for check in checks.examine(machine):
            assert not (check.state == "ok" and check.fix), check
            assert check.state == "ok" or check.fix or check.area in ("jetson", "cuda"), check
            assert check.message


def test_a_healthy_desktop_is_well(system: SystemInfo) -> None:
    states = {check.name: check.state for check in checks.examine(system)}
    assert states["ONNX Runtime"] == states["OpenVINO"] == states["MediaPipe"] == states["extra export"] == "ok"
    assert states["OpenMP"] == states["memory"] == states["clock"] == states["display"] == "ok"
    assert states["camera"] == states["TensorRT"] == states["CUDA"] == states["Jetson"] == "absent"
    assert states["pose model"] == "bad"


@pytest.mark.parametrize(
    ("both", "keep"),
    [
        (("onnxruntime", "onnxruntime-gpu"), "pip install onnxruntime-gpu"),
        (("opencv-python-headless", "opencv-contrib-python"), "pip install opencv-contrib-python"),
    ],
)
def test_two_packages_that_write_one_folder_are_a_clash(system: SystemInfo, both: tuple[str, str], keep: str) -> None:
    (clash,) = checks.clashes(replace(system, installed={**HEALTHY, **dict.fromkeys(both, "1.0")}))
    assert clash.state == "bad"
    assert all(name in clash.message and name in clash.fix for name in both)
    assert clash.fix.endswith(keep)
    assert list(checks.clashes(system)) == []


def test_an_old_package_of_an_extra_is_named_with_its_version(system: SystemInfo) -> None:
    old = replace(system, installed={**HEALTHY, "onnx": "1.9.0"})
    (export,) = lines(old, "export")
    assert (export.state, "onnx 1.9.0 (required: 1.17 or newer)" in export.message) == ("warn", True)
    assert lines(system, "export")[0].state == "ok"


def test_an_extra_that_is_not_here_gets_the_line_to_type(system: SystemInfo) -> None:
    bare = replace(system, installed={"onnxruntime": "1.20.0"})
    (train,) = lines(bare, "train")
    assert (train.state, train.fix) == ("absent", 'pip install "amr-edge[train]"')


def test_an_extra_is_here_exactly_if_its_modules_can_be_imported_here() -> None:
    found = {check.area: check.state for check in checks.extras(system_info.read_system_info())}
    for extra, modules in EXTRAS.items():
        if extra != "openvino":  # an engine
            can = all(importlib.util.find_spec(module) is not None for module in modules)
            assert (found[extra] != "absent") == can, extra


def test_a_package_that_crashes_its_interpreter_does_not_take_the_doctor_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(system_info.PROBES, "crash", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setitem(system_info.PROBES, "absent", "import no_such_package_anywhere")
    assert "crashed (signal 11)" in system_info.probe("crash").trouble
    assert "No module named 'no_such_package_anywhere'" in system_info.probe("absent").trouble


def test_a_real_engine_tells_its_providers() -> None:
    found = system_info.probe("onnxruntime")
    assert found.facts is not None
    assert "CPUExecutionProvider" in found.facts["providers"]


def test_mediapipe_before_the_tasks_interface_is_bad(system: SystemInfo) -> None:
    old = replace(system, installed={**HEALTHY, "mediapipe": "0.10.21"})
    check = next(check for check in checks.examine(old) if check.name == "MediaPipe")
    assert check.state == "bad"
    assert "Tasks" in check.message


def test_a_fetched_pose_model_that_changed_must_be_fetched_again(system: SystemInfo, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "pose_landmarker_full.task").write_bytes(b"changed")
    (cache / "pose_landmarker_full.task.json").write_text('{"sha256": "0", "size": 9, "origin": "x"}')
    check = next(check for check in checks.examine(system) if check.name == "pose model")
    assert (check.state, check.fix) == ("bad", "amr-edge pose fetch full --force")


def test_a_camera_is_named_and_a_closed_one_gets_its_group(system: SystemInfo) -> None:
    (system.root / "dev").mkdir()
    device = system.root / "dev/video0"
    device.touch()
    assert lines(system, "camera")[0].state == "ok"
    assert lines(replace(system, grab=lambda: "it is used by another program"), "camera")[0].state == "bad"
    if os.geteuid() != 0:  # root may read everything
        device.chmod(0)
        assert "usermod -aG video" in lines(system, "camera")[0].fix


@pytest.mark.parametrize(
    ("wall_s", "kernel", "state", "words"),
    [
        (0.0, (True, 0.0), "bad", "1970-01-01"),
        (1.8e9, (False, 12.0), "warn", "no time server"),
        (1.8e9, (True, -400.0), "warn", "-400 parts per million (35 s a day)"),
        (1.8e9, None, "ok", "does not report"),
        (1.8e9, (True, 5.0), "ok", "held by a time server"),
    ],
)
def test_the_clock(
    system: SystemInfo, wall_s: float, kernel: tuple[bool, float] | None, state: str, words: str
) -> None:
    check = checks.clock(replace(system, wall_s=wall_s, kernel_clock=kernel))
    assert (check.state, words in check.message) == (state, True), check


def test_too_little_memory_for_a_build_is_said_with_both_numbers(system: SystemInfo) -> None:
    (system.root / "proc/meminfo").write_text("MemTotal: 4000000 kB\nMemAvailable: 600000 kB\nSwapFree: 100000 kB\n")
    check = checks.memory(system)
    assert check.state == "warn"
    assert "585 MB free, 97 MB swap" in check.message
    (system.root / "proc/meminfo").write_text("garbage")
    assert checks.memory(system).state == "warn"


@pytest.fixture
def jetson(system: SystemInfo, jetson_tree: Callable[..., Path]) -> Callable[..., SystemInfo]:
    """jetson("orin-nano", locked=True): a machine with the files of a board."""

    def make(name: str, **how: Any) -> SystemInfo:
        return replace(system, root=jetson_tree(name, **how))

    return make


def test_a_jetson_tells_software_mode_and_heat(jetson: Callable[..., SystemInfo]) -> None:
    board, mode, heat = lines(jetson("orin-nano"), "jetson")
    assert "L4T 36.4.3, JetPack 6.2" in board.message
    assert (mode.state, mode.message) == ("warn", "25W, clocks free")
    assert "nvpmodel" in mode.fix
    assert (heat.state, heat.message) == ("ok", "not slowed down, hottest tj-thermal 50 °C")


def test_a_jetson_at_full_speed_is_well_and_a_slowed_one_is_not(jetson: Callable[..., SystemInfo]) -> None:
    assert lines(jetson("agx-orin", locked=True), "jetson")[1].state == "ok"
    assert "cpu-throttle-alert" in lines(jetson("thor", slowed=1), "jetson")[2].message


def test_tensorrt_outside_the_virtual_environment_of_a_jetson_is_explained(jetson: Callable[..., SystemInfo]) -> None:
    machine = replace(
        jetson("orin-nano"), probe=lambda _: ProbeResult(facts=None, trouble="No module named 'tensorrt'")
    )
    check = checks.tensorrt(machine)
    assert check.state == "bad"
    assert "the system has 10.3.0" in check.message
    assert "--system-site-packages" in check.fix


def test_what_is_needed_is_named_and_unknown_names_are_refused() -> None:
    assert checks.needed("pose, trt") == ("pose", "tensorrt")
    with pytest.raises(ConfigError, match="got teapot"):
        checks.needed("teapot")


def test_a_report_for_an_issue_holds_no_name_and_no_home() -> None:
    names = checks.private_names({"USER": "ada", "SUDO_USER": "bob"}, Path("/home/ada"), "engine")
    said = {"path": "/home/ada/models/ada.onnx", "by bob": ["engine: adapter", 3, None]}
    found = checks.without_names(said, names)
    assert found == {"path": "~/models/<user>.onnx", "by <user>": ["<host>: adapter", 3, None]}
    assert checks.private_names({"USER": "root"}, Path("/root"), "localhost") == {"/root": "~"}


def test_the_screen_fits_its_width(system: SystemInfo) -> None:
    text = screen(list(checks.examine(system)), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[-1] == "next: amr-edge demo"


@pytest.mark.slow
def test_the_command_ends_with_3_only_if_something_needed_is_missing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle.json"
    assert run(["doctor", "--need", "python,onnxruntime", "--json", "--bundle", str(bundle)]) == 0
    out = json.loads(capfd.readouterr().out)
    assert out["ok"]
    text = bundle.read_text()
    assert json.loads(text)["packages"]["numpy"]
    assert str(Path.home()) not in text
    assert platform.node() not in text
    absent = [check["area"] for check in out["checks"] if check["state"] == "absent"]
    assert absent
    assert run(["doctor", "--need", absent[0]]) == 3
    assert "was requested" in capfd.readouterr().err
    assert run(["doctor", "--need", "teapot"]) == 2
