"""A Jetson's files are read as what they are documented to be; damaged ones leave answers unknown."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.runtime.hardware import jetson

Tree = Callable[..., Path]

# Name -> L4T, JetPack, TensorRT, CUDA, power mode, watts that the module takes in.
EXPECTED = {
    "nano": ("32.7.4", "4.6.4", "8.2.1", "10.2.300", "MAXN", 4.5),
    "xavier-nx": ("35.4.1", "5.1", "8.5.2", "11.4.315", "MODE_15W_6CORE", 6.0),
    "orin-nano": ("36.4.3", "6.2", "10.3.0.30", "12.6.11", "25W", 6.5),
    "orin-nx": ("36.3.0", "6.0", None, "12.2.140", "25W", 7.6),
    "agx-orin": ("36.4.0", "6.1", None, "12.6.11", "MAXN", 12.0),
    "thor": ("38.2.2", "7.0", "10.13.3.9", "13.0.0", "120W", 23.0),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_board_is_known_by_its_files(jetson_tree: Tree, name: str) -> None:
    root = jetson_tree(name)
    found = jetson.read_jetson(root)
    assert found is not None
    said = (found.l4t, found.jetpack, found.tensorrt, found.cuda, found.power_mode_name)
    assert said == EXPECTED[name][:5]
    assert found.module is not None
    assert found.module.startswith("NVIDIA Jetson")
    assert "\0" not in found.module
    assert "gpu" in found.clocks_mhz
    assert found.clocks_locked is False


@pytest.mark.parametrize("name", EXPECTED)
def test_the_input_of_a_board_is_not_counted_twice(jetson_tree: Tree, name: str) -> None:
    watts = {rail.name: rail.watts() for rail in jetson.rails(jetson_tree(name))}
    assert None not in watts.values()
    assert "NC" not in watts
    assert jetson.total({rail: value for rail, value in watts.items() if value is not None}) == pytest.approx(
        EXPECTED[name][5]
    )


def test_thor_without_its_boards_monitor_adds_up_the_modules_rails(jetson_tree: Tree) -> None:
    root = jetson_tree("thor")
    (root / "sys/class/hwmon/hwmon2/power1_input").unlink()
    watts = {rail.name: rail.watts() or 0.0 for rail in jetson.rails(root)}
    assert jetson.total(watts) == pytest.approx(3 + 6 + 6)


def test_locked_clocks_are_seen(jetson_tree: Tree) -> None:
    found = jetson.read_jetson(jetson_tree("orin-nano", locked=True))
    assert found is not None
    assert found.clocks_locked is True
    assert found.clocks_mhz["cpu0"] == (1510.4, 1510.4, 1510.4)


def test_a_sensor_without_power_has_no_temperature(jetson_tree: Tree) -> None:
    hot = jetson.temperatures(jetson_tree("orin-nano"))
    assert hot == {"cpu-thermal": 48.5, "gpu-thermal": 49.0, "tj-thermal": 49.5}


def test_a_fan_that_turns_is_no_throttling_and_an_alert_is(jetson_tree: Tree) -> None:
    assert jetson.slowed_now(jetson_tree("orin-nano")) == set()
    assert jetson.slowed_now(jetson_tree("orin-nx", slowed=1)) == {"cpu-throttle-alert"}


def test_over_current_counters_and_those_of_an_x86_core_are_read(jetson_tree: Tree, tmp_path: Path) -> None:
    root = jetson_tree("orin-nano")
    (root / "sys/class/hwmon/hwmon3/oc3_event_cnt").write_text("7\n")
    assert jetson.throttle_counts(root) == {"over-current oc1": 0, "over-current oc2": 0, "over-current oc3": 7}
    x86 = tmp_path / "x86/sys/devices/system/cpu/cpu0/thermal_throttle"
    x86.mkdir(parents=True)
    (x86 / "core_throttle_count").write_text("3\n")
    assert jetson.throttle_counts(tmp_path / "x86") == {"heat cpu0 core": 3}


def test_a_machine_that_is_no_jetson_is_none(tmp_path: Path) -> None:
    assert jetson.read_jetson(tmp_path) is None
    assert jetson.rails(tmp_path) == []
    assert jetson.temperatures(tmp_path) == {}


def test_a_damaged_tree_leaves_answers_unknown_and_raises_nothing(jetson_tree: Tree) -> None:
    root = jetson_tree("orin-nano")
    for k, path in enumerate(sorted(p for p in root.rglob("*") if p.is_file() and p.name != "model")):
        path.write_bytes([b"", b"\xff\xfe\0garbage", b"12abc\n", b"nan sense"][k % 4])
    (root / "var/lib/nvpmodel/status").unlink()
    (root / "sys/class/thermal/thermal_zone0/temp").unlink()
    (root / "sys/class/thermal/thermal_zone0/temp").mkdir()  # reading a folder is an OSError
    found = jetson.read_jetson(root)
    assert found is not None
    assert (found.l4t, found.jetpack, found.power_mode, found.clocks_locked) == (None, None, None, None)
    assert found.clocks_mhz == {}
    assert jetson.rails(root) == []
    assert jetson.temperatures(root) == {}
    assert jetson.slowed_now(root) == set()
    assert jetson.throttle_counts(root) == {}


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [("32.7.1", "4.6"), ("35.1.0", "5.0"), ("35.6.1", "5.1"), ("36.4.4", "6.2"), ("38.4.0", "7.1"), ("40.1", None)],
)
def test_jetpack_follows_from_the_release_where_no_package_tells(tmp_path: Path, l4t: str, jetpack: str | None) -> None:
    major, _, rest = l4t.partition(".")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text(f"# R{major} (release), REVISION: {rest}, GCID: 1\n")
    found = jetson.read_jetson(tmp_path)
    assert found is not None
    assert (found.l4t, found.jetpack) == (l4t, jetpack)


# The form of these lines is that of the guides' "tegrastats Utility"; the numbers are invented.
NANO = (
    "RAM 1000/4000MB (lfb 3x4MB) SWAP 10/2000MB (cached 1MB) CPU [1%@1400,2%@1400] EMC_FREQ 0%@1600 GR3D_FREQ 12%@90 "
    "PLL@31C CPU@32C PMIC@50C POM_5V_IN 2000/1900 POM_5V_GPU 40/50 POM_5V_CPU 300/310"
)
ORIN = (
    "01-02-2025 03:04:05 RAM 2000/7600MB (lfb 2x4MB) CPU [0%@1510,off] GR3D_FREQ 40% cv0@-256C cpu@41.5C tj@42.25C "
    "VDD_IN 5000mW/4900mW VDD_CPU_GPU_CV 600mW/500mW VDD_SOC 1500mW/1400mW"
)
THOR = (
    "RAM 5000/125000MB (lfb 1x4MB) GR3D_FREQ @[1000] cpu@40.5C tj@41C VDD_GPU 2000mW/2100mW "
    "VDD_CPU_SOC_MSS 6000mW/6100mW VIN_SYS_5V0 5000mW/5100mW VIN 20000mW/20500mW"
)
LINES = {
    "nano": (NANO, {"POM_5V_IN": 2.0, "POM_5V_GPU": 0.04, "POM_5V_CPU": 0.3}, 2.0),
    "orin-nano": (ORIN, {"VDD_IN": 5.0, "VDD_CPU_GPU_CV": 0.6, "VDD_SOC": 1.5}, 5.0),
    "thor": (THOR, {"VDD_GPU": 2.0, "VDD_CPU_SOC_MSS": 6.0, "VIN_SYS_5V0": 5.0, "VIN": 20.0}, 20.0),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_of_tegrastats_tells_rails_and_temperatures(name: str) -> None:
    line, watts, total = LINES[name]
    found = jetson.parse_tegrastats(line)
    assert found.watts == watts
    assert found.ram_mb is not None
    assert "cv0" not in found.temperatures
    assert found.temperatures
    assert jetson.total(found.watts) == total


@given(st.text(max_size=300))
def test_no_line_of_tegrastats_raises(line: str) -> None:
    found = jetson.parse_tegrastats(line)
    assert all(value >= 0 for value in found.watts.values())
