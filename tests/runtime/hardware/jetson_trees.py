"""File trees of the shape that Jetsons show, written by our own code.

None of them was recorded by us. Every tree is made up from what is documented: NVIDIA's Jetson Linux Developer Guides
(L4T 32.7, 35.x, 36.x, 38.x: "Platform Power and Performance", "tegrastats Utility") for rails, zones, power modes and
over-current counters, and the kernel's documentation for hwmon (ina3221, ina238), cpufreq, devfreq and thermal files.
Numbers in them are invented. What could not be established is left out of the tree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a board's files say."""

    model: str
    compatible: str
    release: str
    modes: tuple[str, ...]
    mode: int
    rails: Mapping[str, tuple[int, int]]  # name -> mV, mA
    zones: Mapping[str, int]  # name -> millidegrees
    cores: int
    gpu: str  # devfreq name
    old_driver: bool = False  # ina3221x with iio, up to JetPack 4
    vin_uw: int | None = None  # ina238 of Thor's board
    packages: Mapping[str, str] = field(default_factory=dict)
    cuda: str = ""
    counters: bool = True  # soctherm_oc, from JetPack 5


BOARDS: dict[str, Shape] = {
    "nano": Shape(
        model="NVIDIA Jetson Nano Developer Kit",
        compatible="nvidia,p3450-0000\0nvidia,jetson-nano\0nvidia,tegra210",
        release="# R32 (release), REVISION: 7.4, GCID: 1, BOARD: t210ref, EABI: aarch64, DATE: x",
        modes=("MAXN", "5W"),
        mode=0,
        rails={"POM_5V_IN": (5000, 900), "POM_5V_GPU": (5000, 100), "POM_5V_CPU": (5000, 300)},
        zones={"AO-therm": 45000, "CPU-therm": 40500, "GPU-therm": 39000, "PMIC-Die": 50000},
        cores=4,
        gpu="57000000.gpu",
        old_driver=True,
        packages={"nvidia-jetpack": "4.6.4-b39", "libnvinfer8": "8.2.1-1+cuda10.2"},
        cuda="10.2.300",
        counters=False,
    ),
    "xavier-nx": Shape(
        model="NVIDIA Jetson Xavier NX Developer Kit",
        compatible="nvidia,p3509-0000+p3668-0000\0nvidia,tegra194",
        release="# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref, EABI: aarch64, DATE: x",
        modes=("MODE_15W_2CORE", "MODE_15W_4CORE", "MODE_15W_6CORE", "MODE_10W_2CORE", "MODE_10W_4CORE"),
        mode=2,
        rails={"VDD_IN": (5000, 1200), "VDD_CPU_GPU_CV": (5000, 300), "VDD_SOC": (5000, 350)},
        zones={"CPU-therm": 41000, "GPU-therm": 40500, "AUX-therm": 40000, "PMIC-Die": 50000},
        cores=6,
        gpu="17000000.gv11b",
        packages={"libnvinfer8": "8.5.2-1+cuda11.4"},
        cuda="11.4.315",
    ),
    "orin-nano": Shape(
        model="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        compatible="nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234",
        release="# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x",
        modes=("15W", "25W", "MAXN_SUPER"),
        mode=1,
        rails={"VDD_IN": (5000, 1300), "VDD_CPU_GPU_CV": (5000, 250), "VDD_SOC": (5000, 320)},
        zones={"cpu-thermal": 48500, "gpu-thermal": 49000, "cv0-thermal": -256000, "tj-thermal": 49500},
        cores=6,
        gpu="17000000.gpu",
        packages={"nvidia-jetpack": "6.2+b77", "libnvinfer10": "10.3.0.30-1+cuda12.5"},
        cuda="12.6.11",
    ),
    "orin-nx": Shape(
        model="NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
        compatible="nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234",
        release="# R36 (release), REVISION: 3.0, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x",
        modes=("MAXN", "10W", "15W", "25W"),
        mode=3,
        rails={"VDD_IN": (19000, 400), "VDD_CPU_GPU_CV": (19000, 90), "VDD_SOC": (19000, 80)},
        zones={"cpu-thermal": 51000, "gpu-thermal": 49000, "tj-thermal": 51000},
        cores=8,
        gpu="17000000.gpu",
        cuda="12.2.140",
    ),
    "agx-orin": Shape(
        model="NVIDIA Jetson AGX Orin Developer Kit",
        compatible="nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0nvidia,tegra234",
        release="# R36 (release), REVISION: 4.0, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x",
        modes=("MAXN", "MODE_15W", "MODE_30W", "MODE_50W"),
        mode=0,
        rails={
            "VDD_GPU_SOC": (20000, 300),
            "VDD_CPU_CV": (20000, 100),
            "VIN_SYS_5V0": (5000, 800),
            "NC": (0, 0),
            "VDDQ_VDD2_1V8AO": (5000, 200),
            "sum of shunt voltages": (0, 0),
        },
        zones={"cpu-thermal": 47000, "gpu-thermal": -256000, "tj-thermal": 47500},
        cores=12,
        gpu="17000000.gpu",
        cuda="12.6.11",
    ),
    "thor": Shape(
        model="NVIDIA Jetson AGX Thor Developer Kit",
        compatible="nvidia,p3971-0080+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264",
        release="# R38 (release), REVISION: 2.2, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x",
        modes=("MAXN", "120W"),
        mode=1,
        rails={"VDD_GPU": (12000, 250), "VDD_CPU_SOC_MSS": (12000, 500), "VIN_SYS_5V0": (5000, 1200)},
        zones={"cpu-thermal": 44000, "soc012-thermal": 45000, "tj-thermal": 45500},
        cores=14,
        gpu="gpu-gpc-0",
        vin_uw=23_000_000,
        packages={"libnvinfer10": "10.13.3.9-1+cuda13.0"},
        cuda="13.0.0",
    ),
}


def _write(path: Path, text: str | int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")


def plant(root: Path, board: Shape, *, locked: bool = False, slowed: int = 0) -> Path:
    """Write a board's files under `root`."""
    _write(root / "proc/device-tree/model", f"{board.model}\0")
    _write(root / "proc/device-tree/compatible", f"{board.compatible}\0")
    _write(root / "proc/cpuinfo", "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nFeatures\t: fp asimd")
    _write(
        root / "proc/meminfo",
        "MemTotal: 7802384 kB\nMemAvailable: 3500000 kB\nSwapTotal: 3901184 kB\nSwapFree: 1000 kB",
    )
    _write(root / "etc/nv_tegra_release", board.release)
    modes = "\n".join(
        f"< POWER_MODEL ID={k} NAME={name} >\nCPU_ONLINE CORE_0 1\n" for k, name in enumerate(board.modes)
    )
    _write(root / "etc/nvpmodel.conf", f"{modes}\n< PM_CONFIG DEFAULT=0 >")
    _write(root / "var/lib/nvpmodel/status", f"pmode:{board.mode:04d}")
    stanzas = "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\n"
        for name, version in {"libc6": "2.35-0ubuntu3", **board.packages, "zlib1g": "1:1.2"}.items()
    )
    _write(root / "var/lib/dpkg/status", stanzas)
    if board.cuda:
        _write(
            root / "usr/local/cuda/version.json", f'{{"cuda" : {{"name" : "CUDA SDK", "version" : "{board.cuda}"}}}}'
        )
    for core in range(board.cores):
        for which, khz in (("cur", 1510400), ("min", 1510400 if locked else 115200), ("max", 1510400)):
            _write(root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_{which}_freq", khz)
        _write(root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor", "schedutil")
    for which, hz in (("cur", 624750000), ("min", 1020000000 if locked else 306000000), ("max", 1020000000)):
        _write(root / f"sys/class/devfreq/{board.gpu}/{which}_freq", hz)
    for k, (zone, value) in enumerate(board.zones.items()):
        _write(root / f"sys/class/thermal/thermal_zone{k}/type", zone)
        _write(root / f"sys/class/thermal/thermal_zone{k}/temp", value)
    for k, (device, state) in enumerate({"pwm-fan": 3, "cpu-throttle-alert": slowed, "cpufreq-cpu0": 2}.items()):
        _write(root / f"sys/class/thermal/cooling_device{k}/type", device)
        _write(root / f"sys/class/thermal/cooling_device{k}/cur_state", state)
    monitor = root / "sys/class/hwmon/hwmon1"
    if not board.old_driver:
        _write(monitor / "name", "ina3221")
    for k, (rail, (millivolts, milliamperes)) in enumerate(board.rails.items(), 0 if board.old_driver else 1):
        if board.old_driver:
            chip = root / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
            _write(chip / f"rail_name_{k}", rail)
            _write(chip / f"in_power{k}_input", millivolts * milliamperes // 1000)
        else:
            _write(monitor / f"in{k}_label", rail)
            _write(monitor / f"in{k}_input", millivolts)
            _write(monitor / f"curr{k}_input", milliamperes)
    if board.vin_uw is not None:
        _write(root / "sys/class/hwmon/hwmon2/name", "ina238")
        _write(root / "sys/class/hwmon/hwmon2/power1_input", board.vin_uw)
    if board.counters:
        _write(root / "sys/class/hwmon/hwmon3/name", "soctherm_oc")
        for k in (1, 2, 3):
            _write(root / f"sys/class/hwmon/hwmon3/oc{k}_event_cnt", 0)
    return root
