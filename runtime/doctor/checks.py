"""Checks of this machine: interpreter, packages, engines, models, devices, memory and clock.

Each check gives one line, with a fix if something is wrong. All that it reads comes from `SystemInfo`, so that tests
can stand in for any machine.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import EXTRAS
from amr_edge.runtime.doctor.system_info import SystemInfo
from amr_edge.runtime.hardware import jetson
from amr_edge.runtime.hardware.jetson import text_of
from amr_edge.runtime.hardware.machine import memory_mb
from amr_edge.runtime.inference.tensorrt_build import BuildConfig, needed_bytes
from amr_edge.runtime.pose import download

State = Literal["ok", "warn", "bad", "absent"]
OLDEST = (3, 10)
MEDIAPIPE_TASKS = (0, 10, 30)  # the first release whose old interface is gone and whose wheels hold no model
MODEL_BYTES = 30_000_000  # of a large model of ours, for the question whether an engine could be built
MIN_VALID_TIME = 1_735_689_600  # 2025-01-01: a clock before that was never set
DRIFT_PPM = 200.0  # above that a day is wrong by 17 seconds
# Import name -> distributions of which only one may be installed: they write the same files.
ONE_OF: dict[str, tuple[str, ...]] = {
    "cv2": (
        "opencv-python",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    "onnxruntime": (
        "onnxruntime",
        "onnxruntime-gpu",
        "onnxruntime-directml",
        "onnxruntime-openvino",
        "onnxruntime-qnn",
        "ort-nightly",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line.

    Attributes:
        area: What `--need` calls it.
        name: What was looked at.
        state: "ok"; "warn" works with a flaw; "bad" does not work; "absent" is not here and was not requested.
        message: The finding.
        fix: What to do about it; empty for "ok".
    """

    area: str
    name: str
    state: State
    message: str
    fix: str = ""

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        return {name: str(value) for name, value in asdict(self).items()}


def examine(system: SystemInfo) -> Iterator[Check]:
    """Every check, in the order of the screen."""
    yield python(system)
    yield from clashes(system)
    yield from extras(system)
    yield from engines(system)
    yield bundled_model(system)
    yield openmp(system)
    yield from pose(system)
    yield camera(system)
    yield display(system)
    yield from board(system)
    yield memory(system)
    yield clock(system)


def python(system: SystemInfo) -> Check:
    """The interpreter."""
    version = ".".join(map(str, system.python))
    if system.python[:2] < OLDEST or system.bits != 64:
        return Check(
            area="python",
            name="Python",
            state="bad",
            message=f"{version}, {system.bits} bits; amr-edge needs 3.10 or newer with 64",
            fix="install Python 3.10 or newer (JetPack 6 brings 3.10) and make a new virtual environment",
        )
    return Check(area="python", name="Python", state="ok", message=f"{version}, {system.bits} bits")


def clashes(system: SystemInfo) -> Iterator[Check]:
    """Packages that write the same files."""
    for module, family in ONE_OF.items():
        both = [name for name in family if name in system.installed]
        if len(both) > 1:
            keep = "opencv-contrib-python" if module == "cv2" and "mediapipe" in system.installed else both[-1]
            yield Check(
                area=module,
                name=f"two of {module}",
                state="bad",
                message=f"{' and '.join(both)} write the same folder; whichever came last half works",
                fix=f"pip uninstall -y {' '.join(both)} && pip install {keep}",
            )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])


def _too_old(system: SystemInfo, extra: str) -> list[str]:
    """Packages of an extra that are older than required."""
    found = []
    for line in system.required:
        requirement = re.match(r"\s*([\w.-]+)(?:\[[^\]]*\])?\s*(?:\(?>=\s*([\d.]+))?", line)
        marker = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if requirement is None or requirement.group(2) is None or (marker.group(1) if marker else "") != extra:
            continue
        have = system.installed.get(requirement.group(1).lower())
        if have is not None and _version(have) < _version(requirement.group(2)):
            found.append(f"{requirement.group(1)} {have} (required: {requirement.group(2)} or newer)")
    return found


# Module -> distributions that bring it, where the names differ.
_BRINGS = {"cv2": ONE_OF["cv2"], "onnxruntime": ONE_OF["onnxruntime"], "paho": ("paho-mqtt",)}


def extras(system: SystemInfo) -> Iterator[Check]:
    """The packages of each extra, `pip install amr-edge[...]`."""
    for extra, modules in EXTRAS.items():
        if extra == "openvino":
            continue  # an engine, reported there
        missing = [
            module for module in modules if not any(name in system.installed for name in _BRINGS.get(module, (module,)))
        ]
        old = _too_old(system, extra)
        if missing:
            yield Check(
                area=extra,
                name=f"extra {extra}",
                state="absent",
                message=f"without {', '.join(missing)}",
                fix=f'pip install "amr-edge[{extra}]"',
            )
        elif old:
            yield Check(
                area=extra,
                name=f"extra {extra}",
                state="warn",
                message=f"too old: {', '.join(old)}",
                fix=f'pip install --upgrade "amr-edge[{extra}]"',
            )
        else:
            names = [next(n for n in _BRINGS.get(m, (m,)) if n in system.installed) for m in modules]
            versions = ", ".join(f"{name} {system.installed[name]}" for name in names)
            yield Check(area=extra, name=f"extra {extra}", state="ok", message=versions)


def engines(system: SystemInfo) -> Iterator[Check]:
    """Inference engines."""
    found = system.probe("onnxruntime") if _has(system, *ONE_OF["onnxruntime"]) else None
    if found is None or found.facts is None:
        yield Check(
            area="onnxruntime",
            name="ONNX Runtime",
            state="bad",
            message="not installed" if found is None else f"does not load: {found.trouble}",
            fix="pip install --force-reinstall onnxruntime",
        )
    else:
        providers = [name.removesuffix("ExecutionProvider") for name in found.facts["providers"]]
        version = next(system.installed[n] for n in ONE_OF["onnxruntime"] if n in system.installed)
        message = f"{version}, providers {', '.join(providers)}"
        yield Check(area="onnxruntime", name="ONNX Runtime", state="ok", message=message)
    yield _engine(system, "openvino", "OpenVINO", 'pip install "amr-edge[openvino]"')
    yield tensorrt(system)
    yield cuda(system)


def bundled_model(system: SystemInfo) -> Check:
    """The bundled model: whether it opens and predicts."""
    found = system.probe("model")
    if found.facts is None:
        return Check(
            area="model",
            name="bundled model",
            state="bad",
            message=f"does not open: {found.trouble}",
            fix="pip install --force-reinstall --no-deps amr-edge",
        )
    facts = found.facts
    message = f"{facts['name']} opens and predicts: {facts['classes']} classes, {facts['bytes'] / 1e6:.1f} MB"
    return Check(area="model", name="bundled model", state="ok", message=message)


def _has(system: SystemInfo, *names: str) -> bool:
    return any(name in system.installed for name in names)


def _engine(system: SystemInfo, package: str, name: str, way: str) -> Check:
    if not _has(system, package):
        return Check(area=package, name=name, state="absent", message="not installed", fix=way)
    found = system.probe(package)
    if found.facts is None:
        return Check(
            area=package,
            name=name,
            state="bad",
            message=f"{system.installed[package]} does not load: {found.trouble}",
            fix=f"pip install --force-reinstall {package}",
        )
    facts = ", ".join(", ".join(value) if isinstance(value, list) else str(value) for value in found.facts.values())
    return Check(area=package, name=name, state="ok", message=f"{system.installed[package]}, {facts}")


def tensorrt(system: SystemInfo) -> Check:
    """TensorRT for Python; on a Jetson it belongs to the system's Python."""
    on_jetson = jetson.read_jetson(system.root)
    way = (
        "sudo apt install python3-libnvinfer, and make the virtual environment with --system-site-packages"
        if on_jetson
        else "needs an NVIDIA GPU; pip install tensorrt-cu12 --extra-index-url https://pypi.nvidia.com"
    )
    # JetPack's package belongs to no distribution that pip knows: only asking tells.
    if not on_jetson and not any(name.startswith("tensorrt") for name in system.installed):
        return Check(area="tensorrt", name="TensorRT", state="absent", message="not installed", fix=way)
    found = system.probe("tensorrt")
    if found.facts is None:
        installed = f" (the system has {on_jetson.tensorrt})" if on_jetson and on_jetson.tensorrt else ""
        message = f"does not load in this Python{installed}: {found.trouble}"
        return Check(area="tensorrt", name="TensorRT", state="bad", message=message, fix=way)
    return Check(area="tensorrt", name="TensorRT", state="ok", message=str(found.facts["version"]))


def cuda(system: SystemInfo) -> Check:
    """CUDA and the driver of a GPU."""
    on_jetson = jetson.read_jetson(system.root)
    driver = text_of(system.root / "proc/driver/nvidia/version") or ""
    kernel = re.search(r"Kernel Module(?: for \w+)?\s+([\d.]+)", driver)
    version = on_jetson.cuda if on_jetson else None
    if kernel is None and not (system.root / "dev/nvidiactl").exists() and on_jetson is None:
        return Check(
            area="cuda", name="CUDA", state="absent", message="no NVIDIA driver; nothing here needs one on the CPU"
        )
    message = ", ".join(
        part for part in (f"driver {kernel.group(1)}" if kernel else "", f"CUDA {version}" if version else "") if part
    )
    if on_jetson and version is None:
        return Check(
            area="cuda",
            name="CUDA",
            state="bad",
            message="a Jetson without CUDA in /usr/local/cuda",
            fix="sudo apt install nvidia-jetpack",
        )
    return Check(area="cuda", name="CUDA", state="ok", message=message or "device files are here")


def openmp(system: SystemInfo) -> Check:
    """True if idle threads spin and starve the others."""
    message = system.environ.get("OMP_WAIT_POLICY", "")
    threads = system.environ.get("OMP_NUM_THREADS")
    beside = f", OMP_NUM_THREADS={threads}" if threads else ""
    if message.upper() == "ACTIVE":
        return Check(
            area="openmp",
            name="OpenMP",
            state="warn",
            message=f"OMP_WAIT_POLICY=ACTIVE: idle threads hold the cores that pose estimation needs{beside}",
            fix="unset OMP_WAIT_POLICY (the command amr-edge sets PASSIVE by itself)",
        )
    if message.upper() == "PASSIVE":
        return Check(area="openmp", name="OpenMP", state="ok", message=f"idle threads sleep (PASSIVE){beside}")
    return Check(
        area="openmp",
        name="OpenMP",
        state="warn",
        message=f"OMP_WAIT_POLICY is not set{beside}",
        fix="export OMP_WAIT_POLICY=PASSIVE before Python starts",
    )


def pose(system: SystemInfo) -> Iterator[Check]:
    """MediaPipe's interface and its pose models."""
    version = system.installed.get("mediapipe")
    if version is None:
        yield Check(
            area="pose",
            name="MediaPipe",
            state="absent",
            message="not installed: recorded skeletons work, pictures do not",
            fix='pip install "amr-edge[pose]"',
        )
        return
    if _version(version) < MEDIAPIPE_TASKS:
        yield Check(
            area="pose",
            name="MediaPipe",
            state="bad",
            message=f"{version} is older than the Tasks interface that amr-edge uses (0.10.30)",
            fix='pip install --upgrade "amr-edge[pose]"',
        )
        return
    found = system.probe("mediapipe")
    if found.facts is None:
        yield Check(
            area="pose",
            name="MediaPipe",
            state="bad",
            message=f"{version} does not load: {found.trouble}",
            fix="sudo apt install libgl1 libglib2.0-0 libegl1 libgles2 (Debian, Ubuntu)",
        )
    else:
        yield Check(area="pose", name="MediaPipe", state="ok", message=f"{version}, Tasks interface")
    cache = download.cache_folder(system.environ)
    ready = [name for name in download.VARIANTS if download.fault(name, cache) is None]
    broken = [
        f"{name}: {fault}"
        for name in download.VARIANTS
        for fault in [download.fault(name, cache)]
        if fault not in (None, "not fetched")
    ]
    if ready and not broken:
        yield Check(area="pose", name="pose model", state="ok", message=f"{', '.join(ready)} in the cache")
    else:
        yield Check(
            area="pose",
            name="pose model",
            state="warn" if ready else "bad",
            message="; ".join(broken) or "none fetched yet",
            fix="amr-edge pose fetch full" + (" --force" if broken else ""),
        )


def camera(system: SystemInfo) -> Check:
    """Devices that give pictures, and the right to read them."""
    devices = sorted((system.root / "dev").glob("video[0-9]*"), key=lambda p: int(re.sub(r"\D", "", p.name) or 0))
    if system.platform != "linux":
        message = "cannot be listed on this system without switching it on"
        return Check(area="camera", name="camera", state="ok", message=message)
    if not devices:
        return Check(
            area="camera",
            name="camera",
            state="absent",
            message="no /dev/video*",
            fix="plug one in; in a container add --device /dev/video0; a stream or a file needs none",
        )
    closed = [device.name for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if len(closed) == len(devices):
        return Check(
            area="camera",
            name="camera",
            state="bad",
            message=f"no right to read {', '.join(closed)}",
            fix="sudo usermod -aG video $USER, then log in again",
        )
    trouble = system.grab() if system.grab else ""
    names = ", ".join(device.name for device in devices)
    if trouble:
        return Check(area="camera", name="camera", state="bad", message=f"{names}: {trouble}", fix="close what uses it")
    tried = ", a picture came" if system.grab else ", not switched on (--need camera tries it)"
    return Check(area="camera", name="camera", state="ok", message=f"{names}{tried}")


def display(system: SystemInfo) -> Check:
    """True if a window could be shown."""
    if system.platform != "linux" or system.environ.get("DISPLAY") or system.environ.get("WAYLAND_DISPLAY"):
        return Check(area="display", name="display", state="ok", message="there is one")
    return Check(
        area="display",
        name="display",
        state="absent",
        message="none: films and JSON work, windows do not",
        fix="log in at the desktop, or ssh -X; `amr-edge live --save film.mp4` needs none",
    )


def board(system: SystemInfo) -> Iterator[Check]:
    """A Jetson's software, power mode, clocks and temperature."""
    found = jetson.read_jetson(system.root)
    if found is None:
        yield Check(area="jetson", name="Jetson", state="absent", message="this machine is none")
        return
    software = ", ".join(
        part
        for part in (
            found.module or "module unknown",
            f"L4T {found.l4t}" if found.l4t else "L4T unknown",
            f"JetPack {found.jetpack}" if found.jetpack else "JetPack unknown",
        )
    )
    known = found.l4t is not None and found.module is not None
    yield Check(
        area="jetson",
        name="Jetson",
        state="ok" if known else "warn",
        message=software,
        fix="" if known else "in a container mount /etc/nv_tegra_release and /proc/device-tree",
    )
    mode = found.power_mode_name or (f"mode {found.power_mode}" if found.power_mode is not None else "unknown")
    locked = {True: "clocks locked", False: "clocks free", None: "clocks unknown"}[found.clocks_locked]
    fast = found.power_mode_name is not None and "MAXN" in found.power_mode_name and found.clocks_locked
    yield Check(
        area="jetson",
        name="power mode",
        state="ok" if fast else "warn",
        message=f"{mode}, {locked}",
        fix="" if fast else "for the highest speed: sudo nvpmodel -m N (see nvpmodel -p --verbose); sudo jetson_clocks",
    )
    slowed, hot = jetson.slowed_now(system.root), jetson.temperatures(system.root)
    hottest = max(hot.items(), key=lambda pair: pair[1], default=None)
    heat = "no sensor answers" if hottest is None else f"hottest {hottest[0]} {hottest[1]:.0f} °C"
    yield Check(
        area="jetson",
        name="heat",
        state="bad" if slowed else "ok",
        message=f"slowed down by {', '.join(sorted(slowed))}; {heat}" if slowed else f"not slowed down, {heat}",
        fix="cool it: fan to full (sudo jetson_clocks --fan), free the air, or a lower power mode" if slowed else "",
    )


def memory(system: SystemInfo) -> Check:
    """True if an engine could be built."""
    found = memory_mb(system.root)
    if "available" not in found:
        return Check(
            area="memory",
            name="memory",
            state="warn",
            message="the system does not report free memory",
            fix="free -h",
        )
    free = found["available"] + found.get("swap_free", 0)
    needed = needed_bytes(MODEL_BYTES, BuildConfig().workspace_mb) // 2**20
    swap = found.get("swap_free", 0)
    message = f"{found['available']:,} MB free, {swap:,} MB swap; a TensorRT build takes about {needed:,}"
    if free < needed:
        return Check(
            area="memory",
            name="memory",
            state="warn",
            message=message,
            fix="close the desktop (sudo systemctl isolate multi-user.target) or add swap (docs/jetson.md)",
        )
    return Check(area="memory", name="memory", state="ok", message=message)


def clock(system: SystemInfo) -> Check:
    """Whether the clock is set and held by a time server."""
    way = "sudo timedatectl set-ntp true; a Jetson without a clock battery starts in the past until it is online"
    if system.wall_s < MIN_VALID_TIME:
        return Check(
            area="clock",
            name="clock",
            state="bad",
            message=f"it shows {time.strftime('%Y-%m-%d', time.gmtime(system.wall_s))}: it was never set",
            fix=way,
        )
    if system.kernel_clock is None:
        return Check(area="clock", name="clock", state="ok", message="set; the system does not report its drift")
    held, ppm = system.kernel_clock
    if abs(ppm) > DRIFT_PPM:
        message = f"drifts by {ppm:+.0f} parts per million ({abs(ppm) * 0.0864:.0f} s a day), corrected"
        return Check(area="clock", name="clock", state="warn", message=message, fix="compare with: chronyc tracking")
    if not held:
        return Check(
            area="clock",
            name="clock",
            state="warn",
            message=f"set, but no time server holds it (drift {ppm:+.1f} parts per million)",
            fix=way,
        )
    return Check(area="clock", name="clock", state="ok", message=f"held by a time server, {ppm:+.1f} parts per million")


ALIASES = {"trt": "tensorrt", "ort": "onnxruntime", "mediapipe": "pose", "opencv": "video", "time": "clock"}
AREAS = (
    "python",
    *(extra for extra in EXTRAS if extra != "openvino"),
    "onnxruntime",
    "model",
    "openvino",
    "tensorrt",
    "cuda",
    "openmp",
    "camera",
    "display",
    "jetson",
    "memory",
    "clock",
)


def needed(text: str) -> tuple[str, ...]:
    """The areas that `--need pose,trt` names.

    Raises:
        ConfigError: If one is unknown.
    """
    names = tuple(ALIASES.get(word, word) for word in (part.strip().lower() for part in text.split(",")) if word)
    unknown = [name for name in names if name not in AREAS]
    if unknown:
        raise ConfigError(f"--need knows {', '.join(AREAS)}, got {', '.join(unknown)}")
    return names


def missing(checks: Iterable[Check], areas: Sequence[str]) -> list[Check]:
    """Required areas that do not work."""
    return [check for check in checks if check.area in areas and check.state in ("bad", "absent")]


def without_names(value: Any, names: Mapping[str, str]) -> Any:
    """The same with every name replaced, in all texts and keys.

    Args:
        value: JSON.
        names: {what must not appear: what stands there instead}, the longest first.
    """
    if isinstance(value, dict):
        return {without_names(key, names): without_names(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_names(item, names) for item in value]
    if not isinstance(value, str):
        return value
    for name, instead in names.items():
        value = instead.join(re.split(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", value))
    return value


def private_names(environ: Mapping[str, str], home: Path, host: str) -> dict[str, str]:
    """Names that identify the user or the machine, and their replacements in a report.

    >>> private_names({"USER": "ada"}, Path("/home/ada"), "engine")
    {'/home/ada': '~', 'engine': '<host>', 'ada': '<user>'}
    """
    found = {str(home): "~"} if len(home.parts) > 1 else {}
    found[host] = "<host>"
    for key in ("USER", "LOGNAME", "USERNAME", "SUDO_USER"):
        found.setdefault(environ.get(key, ""), "<user>")
    found.setdefault(home.name, "<user>")
    # `root` and `localhost` identify no person and occur in many sentences.
    kept = {name: instead for name, instead in found.items() if name and name not in ("root", "localhost", "/")}
    return dict(sorted(kept.items(), key=lambda pair: -len(pair[0])))
