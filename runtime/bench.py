"""How long does a model take on this machine: warmed up, measured until it is enough, with its tail."""

import math
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.preprocess import prepare
from amr_edge.runtime.latency import Record
from amr_edge.runtime.session import Session
from amr_edge.skeleton import Mask, layout

SHARES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """What is measured.

    Attributes:
        people: People who get their answer from one forward; for a model of scenes, who stand in the one scene.
        seconds: Measure for so long at least.
        warmup_s: Run for so long before that, uncounted.
        count: Measure so many forwards at least.
    """

    people: int = 1
    seconds: float = 2.0
    warmup_s: float = 0.5
    count: int = 30

    def __post_init__(self) -> None:
        if self.people < 1 or self.count < 2:
            raise ConfigError(f"a bench needs people >= 1 and count >= 2, got {self.people} and {self.count}")
        if not 0 <= self.seconds < math.inf or not 0 <= self.warmup_s < math.inf:
            raise ConfigError(f"a bench needs finite times of at least 0 s, got {self.seconds} and {self.warmup_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What was measured, in milliseconds for one forward.

    Attributes:
        shape: (N, M, T, V, 3) of the clips.
        count: Forwards measured.
        warmup: Forwards before that.
        percentiles: "p50", "p90", "p95", "p99".
        mean: Mean.
        sd: Standard deviation.
        largest: The slowest one; nothing is clipped.
    """

    shape: tuple[int, ...]
    count: int
    warmup: int
    percentiles: dict[str, float]
    mean: float
    sd: float
    largest: float

    def milliseconds(self) -> dict[str, float]:
        """All numbers by name."""
        return {**self.percentiles, "mean": self.mean, "sd": self.sd, "max": self.largest}

    def to_dict(self) -> dict[str, Any]:
        """The numbers for JSON."""
        return {
            "shape": list(self.shape),
            "count": self.count,
            "warmup": self.warmup,
            "latency_ms": {name: round(value, 4) for name, value in self.milliseconds().items()},
        }


def moving_clips(card: Card, people: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Mask]:
    """Clips of bodies that sway for a window, made by the same `prepare` as real ones.

    Returns:
        Values (N, M, T, V, 3) and presence (N, M, T, V): N people of M = 1, or one scene of M people, as many as
        the model takes.
    """
    config, skeleton = card.prepare, layout(card.prepare.layout)
    times_s = np.arange(0, config.window_s + 1 / 30, 1 / 30)
    rest = rng.normal(scale=0.3, size=(people, 1, len(skeleton), skeleton.channels))
    phase = rng.uniform(0, 2 * np.pi, size=rest.shape)
    poses = rest + 0.2 * np.sin(2 * np.pi * times_s[None, :, None, None] + phase)  # (M, T, V, C)
    span_s = (0.0, config.window_s)
    bodies = [prepare(body[None].astype(np.float32), times_s, skeleton, config, span_s) for body in poses]
    values = np.stack([body.values for body in bodies])  # (people, 1, T, V, 3)
    present = np.stack([body.present for body in bodies])  # (people, 1, T, V)
    if card.persons == 1:
        return values, present
    # (people, 1, T, V, 3) -> (1, M, T, V, 3): those who stand in the one scene
    return values[None, : card.persons, 0], present[None, : card.persons, 0]


def bench(session: Session, config: BenchConfig, *, now: Callable[[], float], rng: np.random.Generator) -> Bench:
    """Time forwards back to back.

    Args:
        session: The model.
        config: How many and how long.
        now: Seconds on a fine clock that never goes back, such as `time.perf_counter`.
        rng: Makes the clips.
    """
    values, present = moving_clips(session.card, config.people, rng)
    warmup, begun_s = 0, now()
    while now() - begun_s < config.warmup_s or warmup < 2:
        session.probs(values, present)
        warmup += 1
    record, begun_s = Record(rng), now()
    while now() - begun_s < config.seconds or record.count < config.count:
        before_s = now()
        session.probs(values, present)
        record.add((now() - before_s) * 1e3)
    return Bench(
        shape=values.shape,
        count=record.count,
        warmup=warmup,
        percentiles=record.percentiles(SHARES),
        mean=record.mean,
        sd=record.sd,
        largest=record.largest,
    )


def machine(threads: int | None) -> dict[str, Any]:
    """What the numbers were measured on."""
    import onnxruntime

    return {
        "platform": platform.platform(),
        "cpu": _cpu(Path("/proc/cpuinfo")),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads,
        "python": ".".join(map(str, sys.version_info[:3])),
        "onnxruntime": str(onnxruntime.__version__),
    }


def _cpu(cpuinfo: Path) -> str:
    """The processor's name: x86 says "model name", many boards only "Model" or "Hardware"."""
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    for key in ("model name", "Model", "Hardware"):
        if said.get(key):
            return said[key]
    return platform.processor() or platform.machine()
