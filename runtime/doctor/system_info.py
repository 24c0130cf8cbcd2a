"""System information for the checks: packages, files of the kernel, environment, clock.

Packages are tried in an interpreter of their own: one that crashes on import must not end the caller.
"""

import ctypes
import ctypes.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

# Programs that try a package in its own interpreter; each prints one JSON object.
PROBES: dict[str, str] = {
    "onnxruntime": "import onnxruntime as o; print(json.dumps({'providers': o.get_available_providers()}))",
    "cv2": (
        "import cv2; b = cv2.getBuildInformation(); "
        "print(json.dumps({'version': cv2.__version__, 'gstreamer': 'GStreamer:                   YES' in b, "
        "'window': not ('GUI:                           NONE' in b)}))"
    ),
    "mediapipe": (
        "import mediapipe as m; from mediapipe.tasks.python import vision; vision.PoseLandmarker; "
        "print(json.dumps({'version': m.__version__}))"
    ),
    "model": (
        "import numpy as np; from amr_edge.pretrained import DEFAULT, bundled; "
        "from amr_edge.runtime.inference.session import open_session; "
        "s = open_session(DEFAULT, threads=1); p = s.card.prepare; "
        "from amr_edge.skeleton import layout; t, v = p.frames, len(layout(p.layout)); "
        "s.probs(np.zeros((1, 1, t, v, 3), np.float32), np.ones((1, 1, t, v), bool)); "
        "print(json.dumps({'name': s.card.name, 'classes': len(s.card.classes), 'bytes': bundled().stat().st_size}))"
    ),
    "openvino": "import openvino as o; print(json.dumps({'devices': list(o.Core().available_devices)}))",
    "tensorrt": "import tensorrt as t; t.Builder; print(json.dumps({'version': t.__version__}))",
    "torch": "import torch as t; print(json.dumps({'version': t.__version__, 'cuda': t.cuda.is_available()}))",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """Result of trying a package in its own interpreter: facts, or why it does not load."""

    facts: Mapping[str, Any] | None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemInfo:
    """What the checks read.

    Attributes:
        root: Where `/proc`, `/sys`, `/etc` and `/dev` are.
        environ: The environment variables.
        installed: {distribution: version} of this Python; names in lower case.
        required: Requirements of amr-edge with their extras, as its metadata lists them.
        probe: Tries a package of `PROBES`.
        platform: As `sys.platform`.
        python: Version of this Python.
        bits: 32 or 64.
        wall_s: Seconds since 1970.
        kernel_clock: (synchronised, parts per million that it is corrected by), None where the kernel does not say.
        grab: Takes one picture from a camera and throws it away; a sentence if that fails. None does not try.
    """

    root: Path
    environ: Mapping[str, str]
    installed: Mapping[str, str]
    required: Sequence[str]
    probe: Callable[[str], ProbeResult]
    platform: str
    python: tuple[int, int, int]
    bits: int
    wall_s: float
    kernel_clock: tuple[bool, float] | None
    grab: Callable[[], str] | None = None


def read_system_info(*, grab: Callable[[], str] | None = None) -> SystemInfo:
    """Read the information of this machine."""
    found = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions() if dist.metadata["Name"]}
    ours = next((dist.requires or [] for dist in metadata.distributions(name="amr-edge")), [])
    return SystemInfo(
        root=Path("/"),
        environ=os.environ,
        installed=found,
        required=ours,
        probe=probe,
        platform=sys.platform,
        python=(sys.version_info[0], sys.version_info[1], sys.version_info[2]),
        bits=64 if sys.maxsize > 2**32 else 32,
        wall_s=time.time(),
        kernel_clock=kernel_clock(),
        grab=grab,
    )


def probe(package: str) -> ProbeResult:
    """Import a package in an interpreter of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import json; {PROBES[package]}"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        return ProbeResult(facts=None, trouble=f"its import did not end ({type(cause).__name__})")
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            facts: dict[str, Any] = json.loads(line)
            return ProbeResult(facts=facts)
    error_lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode < 0:
        return ProbeResult(facts=None, trouble=f"its import crashed (signal {-done.returncode})")
    return ProbeResult(
        facts=None, trouble=error_lines[-1].strip()[:200] if error_lines else f"its import ended with {done.returncode}"
    )


class _Timex(ctypes.Structure):
    """The kernel's clock discipline, as adjtimex(2) of Linux fills it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),  # more than any version of the structure needs
    )


def kernel_clock() -> tuple[bool, float] | None:
    """True if Linux holds its clock to a time server, and by how many parts per million it corrects it."""
    name = ctypes.util.find_library("c") if sys.platform == "linux" else None
    if name is None:
        return None
    library = ctypes.CDLL(name)
    timex = _Timex()
    if not hasattr(library, "adjtimex") or library.adjtimex(ctypes.byref(timex)) < 0:
        return None
    unsynchronised = 0x0040
    return not timex.status & unsynchronised, timex.freq / 65536
