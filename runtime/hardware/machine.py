"""On what was it measured: machine, clocks, memory, versions and revision, so that numbers can be read later."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from amr_edge import __version__
from amr_edge.runtime.hardware import jetson
from amr_edge.runtime.hardware.jetson import text_of

PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "mediapipe")
SETTINGS = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "CUDA_VISIBLE_DEVICES")


def machine(threads: int | None) -> dict[str, Any]:
    """Description of the machine, in one line each."""
    return {
        "platform": platform.platform(),
        "cpu": cpu(Path("/")),
        "cores": cores(),
        "threads": threads,
        "python": ".".join(map(str, sys.version_info[:3])),
        "onnxruntime": versions().get("onnxruntime", versions().get("onnxruntime-gpu", "unknown")),
    }


def context(*, root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Everything about the machine that moves a latency; nothing that tells whose it is.

    Args:
        root: Where `/proc`, `/sys` and `/etc` are looked for.
        environ: The environment; this process's if None.
    """
    environ = os.environ if environ is None else environ
    board = jetson.read_jetson(root)
    return {
        "platform": platform.platform(),
        "cpu": cpu(root),
        "cores": cores(),
        "virtual": virtual(root),
        "governor": governor(root),
        "clocks_mhz": jetson.clocks_mhz(root),
        "memory_mb": memory_mb(root),
        "load": _load(root),
        "scheduling": scheduling(root),
        "temperatures_c": jetson.temperatures(root),
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": versions(),
        "revision": revision(Path(__file__).resolve().parents[2]),
        "environment": {name: environ[name] for name in SETTINGS if name in environ},
        "jetson": None if board is None else board.to_dict(),
        "nvidia": nvidia(),
    }


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu(root: Path) -> str:
    """The processor's name: x86 says "model name", many boards only "Model" or "Hardware"."""
    fields = dict(_pairs(root / "proc/cpuinfo"))
    for key in ("model name", "Model", "Hardware"):
        if fields.get(key):
            return fields[key]
    return platform.processor() or platform.machine()


def virtual(root: Path) -> bool | None:
    """True inside a virtual machine, whose neighbours are invisible; None where that is unknown."""
    flags = dict(_pairs(root / "proc/cpuinfo")).get("flags")
    return None if flags is None else "hypervisor" in flags.split()


def governor(root: Path) -> str | None:
    """The governor of the cores' clocks: "performance", "schedutil", ...; None where it is unknown."""
    folder = root / "sys/devices/system/cpu"
    found = {text_of(path) for path in folder.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {None}
    return ", ".join(sorted(name for name in found if name)) or None


def memory_mb(root: Path) -> dict[str, int]:
    """{"total", "available", "swap"} as far as they are known."""
    fields = dict(_pairs(root / "proc/meminfo"))
    names = {"total": "MemTotal", "available": "MemAvailable", "swap": "SwapTotal", "swap_free": "SwapFree"}
    found = {name: re.match(r"(\d+) kB", fields.get(key, "")) for name, key in names.items()}
    return {name: int(value.group(1)) // 1024 for name, value in found.items() if value}


def _pairs(path: Path) -> list[tuple[str, str]]:
    lines = (text_of(path) or "").splitlines()
    return [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]


def scheduling(root: Path = Path("/")) -> str:
    """Scheduling policy of this process: "other, nice 0" is everybody's."""
    names = {getattr(os, f"SCHED_{name}", None): name.lower() for name in ("OTHER", "FIFO", "RR", "BATCH", "IDLE")}
    policy = names.get(os.sched_getscheduler(0), "unknown") if hasattr(os, "sched_getscheduler") else "unknown"
    nice = f", nice {os.getpriority(os.PRIO_PROCESS, 0)}" if hasattr(os, "getpriority") else ""
    # Where sessions are groups (autogroup), niceness counts within the session only and the group's decides.
    group = re.search(r"nice (-?\d+)", text_of(root / "proc/self/autogroup") or "")
    return policy + nice + (f", group nice {group.group(1)}" if group and int(group.group(1)) else "")


def _load(root: Path) -> float | None:
    fields = (text_of(root / "proc/loadavg") or "").split()
    try:
        return float(fields[0]) if fields else None
    except ValueError:
        return None


def versions() -> dict[str, str]:
    """Versions of what has a part in an answer, as installed."""
    installed = {name: found for name in PACKAGES for found in metadata.distributions(name=name)}
    return {"amr-edge": __version__, **{name: found.version for name, found in installed.items()}}


def revision(folder: Path) -> str | None:
    """The git revision of our own checkout, "+changed" if files differ from it; None when installed otherwise."""
    if not (folder / ".git").exists() or not (folder / "pyproject.toml").is_file():
        return None
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changed" if changed else commit


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def nvidia() -> list[dict[str, Any]]:
    """NVIDIA cards as their driver describes them, through nvidia-ml-py if it is installed."""
    from amr_edge.runtime.hardware import nvml

    return nvml.cards()


def waited_s(root: Path = Path("/")) -> float | None:
    """Seconds for which this thread was ready to run and had to wait for a core; None where that is not counted."""
    fields = (text_of(root / "proc/thread-self/schedstat") or "").split()
    return int(fields[1]) * 1e-9 if len(fields) == 3 and fields[1].isdecimal() else None
