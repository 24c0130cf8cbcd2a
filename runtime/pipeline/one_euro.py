"""Take the jitter out of joints without making them late: the One-Euro filter, for each joint of one person.

A joint that stands is smoothed much, a joint that moves fast hardly at all. Everything is in seconds and in bodies, not
in frames and pixels, so that one setting serves any camera.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError
from amr_edge.skeleton import Mask, Poses, present_joints

Strength = Literal["off", "low", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothConfig:
    """Settings of the One-Euro filter.

    Attributes:
        still_hz: Cut-off for a joint that stands; lower is smoother.
        per_speed: Hertz more for each body's extent per second of speed; higher is less late.
        speed_hz: Cut-off of the speed itself.
        gap_s: A joint unseen for longer starts afresh.
    """

    still_hz: float = 3.0
    per_speed: float = 12.0
    speed_hz: float = 1.0
    gap_s: float = 0.4

    def __post_init__(self) -> None:
        if not (self.still_hz > 0 and self.per_speed >= 0 and self.speed_hz > 0 and self.gap_s > 0):
            raise ConfigError(
                "smoothing needs still_hz, speed_hz and gap_s above 0 and per_speed of at least 0, got "
                f"{self.still_hz}, {self.speed_hz}, {self.gap_s}, {self.per_speed}"
            )


STRENGTHS: dict[str, SmoothConfig | None] = {
    "off": None,
    "low": SmoothConfig(),
    "high": SmoothConfig(still_hz=1.0, per_speed=6.0),
}


def strength(name: str) -> SmoothConfig | None:
    """The settings called `name`; None for "off".

    Raises:
        ConfigError: If there are none of that name.
    """
    if name not in STRENGTHS:
        raise ConfigError(f"smoothing is one of {', '.join(STRENGTHS)}, got '{name}'")
    return STRENGTHS[name]


class Smoother:
    """The filter of one person.

    Source:
        Casiez, Roussel, Vogel, "1 euro filter: a simple speed-based low-pass filter for noisy input in interactive
        systems", CHI 2012.
    """

    def __init__(self, config: SmoothConfig) -> None:
        self._config = config
        self._place: NDArray[np.float64] | None = None  # (V, C) smoothed, NaN where never seen
        self._speed = np.empty(0)  # (V, C) smoothed, units per second
        self._seen_s = np.empty(0)  # (V,) when each joint was last seen
        self._extent = float("nan")  # of the body, smoothed

    def __call__(self, time_s: float, pose: Poses) -> Poses:
        """The smoothed pose.

        Args:
            time_s: Seconds, after those of the call before.
            pose: (V, C) any unit, absent joints NaN.

        Returns:
            (V, C) float32; absent joints stay absent, and joints that come back after a gap are taken as they are.
        """
        now = pose.astype(np.float64)
        seen = np.asarray(np.isfinite(now).all(axis=-1), dtype=np.bool_)  # (V,)
        if self._place is None or self._place.shape != now.shape:
            self._place, self._speed = np.full_like(now, np.nan), np.zeros_like(now)
            self._seen_s = np.full(len(now), -np.inf)
        self._measure(now[seen])
        passed_s = time_s - self._seen_s  # (V,)
        known = seen & (passed_s <= self._config.gap_s) & (passed_s > 0)
        fresh = seen & ~known
        self._place[fresh], self._speed[fresh] = now[fresh], 0.0
        step_s = passed_s[known, None]
        speed = (now[known] - self._place[known]) / step_s
        self._speed[known] += _share(self._config.speed_hz, step_s) * (speed - self._speed[known])
        pace = np.linalg.norm(self._speed[known], axis=-1, keepdims=True) / self._extent
        cutoff_hz = self._config.still_hz + self._config.per_speed * pace  # (known, 1)
        self._place[known] += _share(cutoff_hz, step_s) * (now[known] - self._place[known])
        self._seen_s[seen] = time_s
        return np.where(seen[:, None], self._place, np.nan).astype(np.float32)

    def _measure(self, joints: NDArray[np.float64]) -> None:
        """Follow the body's extent slowly: a person who bends has not become small."""
        if not len(joints):
            return
        extent = max(float((joints.max(axis=0) - joints.min(axis=0)).max()), 1e-6)
        self._extent = extent if np.isnan(self._extent) else max(extent, 0.98 * self._extent)


def smoothed(poses: Poses, times_s: NDArray[np.float64], config: SmoothConfig, away_s: float) -> Poses:
    """Everybody of a recording, each smoothed from frame to frame as a stream does it.

    Args:
        poses: (M, T, V, C), absent joints NaN.
        times_s: (T,) rising seconds.
        config: How much.
        away_s: A person unseen for longer is a new one.

    Returns:
        (M, T, V, C) float32; absent joints stay absent.
    """
    out = poses.astype(np.float32, copy=True)
    seen: Mask = np.asarray(present_joints(poses).any(axis=-1))  # (M, T)
    for person in range(len(poses)):
        smoother, last_s = Smoother(config), -np.inf
        for frame in np.flatnonzero(seen[person]):
            time_s = float(times_s[frame])
            if last_s < time_s - away_s:
                smoother = Smoother(config)
            out[person, frame] = smoother(time_s, poses[person, frame])
            last_s = time_s
    return out


def _share(cutoff_hz: NDArray[np.float64] | float, step_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Step of a first-order low-pass of that cut-off towards a new value, in [0, 1]."""
    turn = 2 * np.pi * cutoff_hz * step_s
    return np.asarray(turn / (turn + 1))
