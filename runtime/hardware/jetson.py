"""What a Jetson says about itself: module, software, power mode, clocks, temperatures, throttling and power rails.

Everything is read from files under a root that is given (`/` on the device), so that it can be tested anywhere. What
the files mean was taken from NVIDIA's Jetson Linux Developer Guides (releases 32 to 38, chapters "Platform Power and
Performance" and "tegrastats Utility") and from files that owners have shown in public; nothing of it has run on a
device of ours yet (docs/jetson.md).

A file that is absent, unreadable or garbled leaves its answer unknown (None, or missing from a table): a sensor of a
part that is switched off answers with an error, and that is normal.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OFF_C = -200.0  # a sensor of a part without power reads -256 degrees
# Cooling devices that mean "slowed down": fans run and clocks scale without anything being wrong.
_SLOWED = re.compile(r"throttle|alert", re.IGNORECASE)
# First digits of the L4T release -> JetPack; the package's own version is believed first.
_JETPACKS = (
    ("32.7", "4.6"),
    ("32.6", "4.6"),
    ("32.5", "4.5"),
    ("32.4", "4.4"),
    ("32", "4"),
    ("34", "5.0"),
    ("35.1", "5.0"),
    ("35", "5.1"),
    ("36.2", "6.0"),
    ("36.3", "6.0"),
    ("36.4.0", "6.1"),
    ("36.4", "6.2"),
    ("36", "6"),
    ("38.2", "7.0"),
    ("38.4", "7.1"),
    ("38", "7"),
    ("39", "7"),
)
# Rails whose sum is what the module takes in. Of the first set that is there all count; the other rails lie behind
# these and would count twice.
_INPUTS = (
    ("VIN",),  # Thor's board: everything
    ("VDD_IN",),  # Xavier NX, Orin Nano, Orin NX
    ("POM_5V_IN",),  # Nano
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin has no single input
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),  # Thor's module without the board's monitor
)

Read = Callable[[], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jetson:
    """A Jetson as its files describe it; None is unknown.

    Attributes:
        module: "NVIDIA Jetson Orin Nano Developer Kit".
        soc: "tegra234".
        l4t: "36.4.3".
        jetpack: "6.2".
        tensorrt: Version of its library package.
        cuda: Version of CUDA.
        power_mode: Number of the nvpmodel mode.
        power_mode_name: Its name.
        clocks_locked: True if no clock may fall below its highest, as `jetson_clocks` does.
        clocks_mhz: {"cpu0": (now, lowest allowed, highest allowed), "gpu": ...}.
    """

    module: str | None
    soc: str | None
    l4t: str | None
    jetpack: str | None
    tensorrt: str | None
    cuda: str | None
    power_mode: int | None
    power_mode_name: str | None
    clocks_locked: bool | None
    clocks_mhz: dict[str, tuple[float, float, float]]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rail:
    """A power rail and how its watts are read now."""

    name: str
    watts: Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Tegrastats:
    """One line of `tegrastats`.

    Attributes:
        ram_mb: Used and total.
        gpu_percent: Load of the GPU.
        temperatures: {sensor: degrees Celsius}.
        watts: {rail: now}.
    """

    ram_mb: tuple[int, int] | None
    gpu_percent: int | None
    temperatures: dict[str, float]
    watts: dict[str, float]


def text_of(path: Path) -> str | None:
    """Content of a small file, without blanks and zero bytes at its ends; None if it cannot be read."""
    try:
        return path.read_bytes()[:1_000_000].decode("utf-8", "replace").strip(" \t\r\n\0") or None
    except OSError:
        return None


def number_of(path: Path) -> float | None:
    """The number that a small file holds; None if it holds none."""
    text = text_of(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def read_jetson(root: Path) -> Jetson | None:
    """The Jetson whose files lie under `root`; None if there is no sign of one."""
    release = text_of(root / "etc/nv_tegra_release")
    module = text_of(root / "proc/device-tree/model")
    compatible = text_of(root / "proc/device-tree/compatible") or ""
    soc = re.search(r"nvidia,(tegra\d+)", compatible)
    if release is None and soc is None and "jetson" not in (module or "").lower():
        return None
    l4t = _l4t(release)
    packages = text_of(root / "var/lib/dpkg/status") or ""
    mode = _power_mode(root)
    clocks = clocks_mhz(root)
    return Jetson(
        module=module,
        soc=soc.group(1) if soc else None,
        l4t=l4t,
        jetpack=_jetpack(packages, l4t),
        tensorrt=_package(packages, r"libnvinfer\d+"),
        cuda=_cuda(root),
        power_mode=mode,
        power_mode_name=_mode_name(root, mode),
        clocks_locked=all(low >= high for _, low, high in clocks.values()) if clocks else None,
        clocks_mhz=clocks,
    )


def _l4t(release: str | None) -> str | None:
    """The release in one word: 36.4.3 of "# R36 (release), REVISION: 4.3, ..."."""
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", release or "")
    return f"{found.group(1)}.{found.group(2).rstrip('.')}" if found else None


def _package(packages: str, name: str) -> str | None:
    """The version of a package in dpkg's status file, without what the distribution adds."""
    found = re.search(rf"^Package: {name}$(?:\n(?!Package:).*)*?\nVersion: (\S+)", packages, re.MULTILINE)
    return re.split(r"[-+]", found.group(1))[0] if found else None


def _jetpack(packages: str, l4t: str | None) -> str | None:
    stated = _package(packages, "nvidia-jetpack")
    if stated or l4t is None:
        return stated
    # "36.4" stands for 36.4.3 and not for 36.40
    return next((jetpack for start, jetpack in _JETPACKS if f"{l4t}.".startswith(f"{start}.")), None)


def _cuda(root: Path) -> str | None:
    found = re.search(
        r'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"([\d.]+)"', text_of(root / "usr/local/cuda/version.json") or ""
    )
    older = re.search(r"CUDA Version ([\d.]+)", text_of(root / "usr/local/cuda/version.txt") or "")
    return found.group(1) if found else older.group(1) if older else None


def _power_mode(root: Path) -> int | None:
    found = re.search(r"pmode:(\d+)", text_of(root / "var/lib/nvpmodel/status") or "")
    if found:
        return int(found.group(1))
    default = re.search(r"<\s*PM_CONFIG\s+DEFAULT=(\d+)\s*>", text_of(root / "etc/nvpmodel.conf") or "")
    return int(default.group(1)) if default else None


def _mode_name(root: Path, mode: int | None) -> str | None:
    text = text_of(root / "etc/nvpmodel.conf") or ""
    for number, name in re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)\s*>", text):
        if int(number) == mode:
            return str(name)
    return None


def clocks_mhz(root: Path) -> dict[str, tuple[float, float, float]]:
    """{"cpu0": (now, lowest allowed, highest allowed), ..., "gpu": ...} in MHz, as far as they can be read."""
    found: dict[str, tuple[float, float, float]] = {}
    for folder in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*"), key=_number):
        three = [number_of(folder / "cpufreq" / f"scaling_{which}_freq") for which in ("cur", "min", "max")]
        if all(value is not None for value in three):
            found[folder.name] = tuple(value / 1e3 for value in three if value is not None)  # type: ignore[assignment]
    for folder in sorted((root / "sys/class/devfreq").glob("*")):
        if re.search(r"gpu|gv11b|gp10b|ga10b|gpc", folder.name):
            three = [number_of(folder / f"{which}_freq") for which in ("cur", "min", "max")]
            if all(value is not None for value in three):
                found.setdefault("gpu", tuple(value / 1e6 for value in three if value is not None))  # type: ignore[arg-type]
    return found


def _number(path: Path) -> int:
    found = re.search(r"(\d+)$", path.name)
    return int(found.group(1)) if found else 0


def temperatures(root: Path) -> dict[str, float]:
    """{zone: degrees Celsius} of the zones that answer; also on machines that are no Jetson."""
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"), key=_number):
        name, millidegrees = text_of(zone / "type"), number_of(zone / "temp")
        if name is not None and millidegrees is not None and millidegrees / 1e3 > OFF_C:
            found[name] = millidegrees / 1e3
    return found


def slowed_now(root: Path) -> set[str]:
    """The cooling devices that are slowing something down at this moment."""
    found = set()
    for device in (root / "sys/class/thermal").glob("cooling_device*"):
        name, state = text_of(device / "type"), number_of(device / "cur_state")
        if name is not None and state is not None and state > 0 and _SLOWED.search(name):
            found.add(name)
    return found


def throttle_counts(root: Path) -> dict[str, int]:
    """Counters of slowdowns since the machine started: over-current of a Jetson, heat of an x86 core.

    Two readings that differ mean that the machine was slowed down in between.
    """
    found: dict[str, int] = {}
    for monitor in (root / "sys/class/hwmon").glob("hwmon*"):
        for counter in monitor.glob("oc[0-9]*_event_cnt"):
            _count(found, f"over-current {counter.name.partition('_')[0]}", counter)
    for core in (root / "sys/devices/system/cpu").glob("cpu[0-9]*"):
        for counter in (core / "thermal_throttle").glob("*_throttle_count"):
            _count(found, f"heat {core.name} {counter.name.partition('_')[0]}", counter)
    return found


def _count(found: dict[str, int], name: str, counter: Path) -> None:
    value = number_of(counter)
    if value is not None:
        found[name] = int(value)


def rails(root: Path) -> list[Rail]:
    """The power rails that a monitor chip measures and that say their name."""
    found: list[Rail] = []
    for monitor in sorted((root / "sys/class/hwmon").glob("hwmon*"), key=_number):
        chip = text_of(monitor / "name")
        if chip == "ina3221":
            for label in sorted(monitor.glob("in[0-9]*_label")):
                name, channel = text_of(label), label.name[2:].partition("_")[0]
                # The driver adds a sum of shunt voltages, which is no rail; NC is not connected.
                if name and name != "NC" and "sum" not in name.lower():
                    found.append(Rail(name, _volt_ampere(monitor, channel)))
        elif chip in ("ina238", "ina237", "ina228") and (monitor / "power1_input").exists():
            stated = text_of(monitor / "in1_label") or "VIN"
            found.append(Rail(stated, _scaled(monitor / "power1_input", 1e-6)))
    # Up to JetPack 4 the same chips sat under another driver.
    for label in sorted((root / "sys/bus/i2c/drivers/ina3221x").glob("*/iio:device*/rail_name_*")):
        name, channel = text_of(label), label.name.rpartition("_")[2]
        if name and name != "NC":
            found.append(Rail(name, _scaled(label.parent / f"in_power{channel}_input", 1e-3)))
    return [rail for rail in found if rail.watts() is not None]


def _volt_ampere(monitor: Path, channel: str) -> Read:
    volts, amperes = monitor / f"in{channel}_input", monitor / f"curr{channel}_input"

    def watts() -> float | None:
        millivolts, milliamperes = number_of(volts), number_of(amperes)
        return None if millivolts is None or milliamperes is None else millivolts * milliamperes * 1e-6

    return watts


def _scaled(path: Path, unit: float) -> Read:
    def watts() -> float | None:
        value = number_of(path)
        return None if value is None else value * unit

    return watts


def inputs(names: Sequence[str]) -> tuple[str, ...]:
    """Of these rails, those whose sum is all that the module takes in; none if that is not known.

    >>> inputs(["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])
    ('VDD_IN',)
    """
    return next((rails for rails in _INPUTS if set(rails) <= set(names)), ())


def total(watts: Mapping[str, float]) -> float | None:
    """Input power of the module, from its rails; None if unknown."""
    counted = inputs(tuple(watts))
    return sum(watts[name] for name in counted) if counted else None


def parse_tegrastats(line: str) -> Tegrastats:
    """One line of `tegrastats`, of any release; what it does not say is missing.

    >>> parse_tegrastats("RAM 1000/4000MB (lfb 3x4MB) GR3D_FREQ 12%@90 CPU@32C POM_5V_IN 2000/1900").watts
    {'POM_5V_IN': 2.0}
    """
    ram = re.search(r"RAM (\d+)/(\d+)MB", line)
    gpu = re.search(r"GR3D_FREQ (\d+)%", line)
    hot = {name: float(value) for name, value in re.findall(r"([A-Za-z][\w-]*)@(-?\d+(?:\.\d+)?)C\b", line)}
    power = re.findall(r"\b((?:POM|VDD|VIN|VDDQ|CPU|GPU|SOC|CV|SYS5V)\w*) (\d+)(?:mW)?/\d+(?:mW)?", line)
    return Tegrastats(
        ram_mb=(int(ram.group(1)), int(ram.group(2))) if ram else None,
        gpu_percent=int(gpu.group(1)) if gpu else None,
        temperatures={name: value for name, value in hot.items() if value > OFF_C},
        watts={name: int(value) / 1e3 for name, value in power},
    )
