"""Features of one repetition, and the probability that it was executed correctly."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from amr_edge.errors import ClipError, ConfigError
from amr_edge.kinematics.joint_angles import Floats, angles, median_of_three
from amr_edge.kinematics.range_of_motion import is_number
from amr_edge.skeleton import Poses

_SIDED_FEATURES = (
    "knee flexion", "hip flexion", "thigh forward", "thigh sideways", "arm elevation", "arm forward", "elbow flexion",
    "forearm rotation",
)  # fmt: skip
_WHOLE_FEATURES = ("trunk lean", "trunk sideways", "stance width", "knees width", "stance depth")
FEATURES: tuple[str, ...] = (
    *(f"{name} {kind}" for name in _SIDED_FEATURES for kind in ("peak", "travel", "unevenness")),
    *(f"{name} {kind}" for name in _WHOLE_FEATURES for kind in ("peak", "travel")),
    "duration s",
    "jerkiness",
)


def rep_features(poses: Poses, times_s: Floats) -> Floats:
    """Features of one repetition, the same for its mirror image.

    Args:
        poses: (T, 15, 3) of the repetition in layout canonical15, absent joints NaN.
        times_s: (T,) rising seconds.

    Returns:
        (F,) in the order of `FEATURES`: of sided measures the greater peak and travel of the two sides and by how much
        the sides' travels differ; of the others peak and travel; the duration; and how much longer the way of the
        knees, thighs, arms and elbows was than out and back. NaN where unknown.

    Raises:
        ClipError: If shapes do not fit or there is no frame.

    >>> from amr_edge.kinematics.joint_angles import standing
    >>> dict(zip(FEATURES, rep_features(np.stack([standing()] * 3), np.arange(3.0))))["duration s"].item()
    2.0
    """
    if times_s.shape != poses.shape[:1] or not len(times_s):
        raise ClipError(f"expected one time for each of at least one pose, got {times_s.shape} and {poses.shape}")
    measured = angles(poses)
    found: list[float] = []
    way = reach = 0.0
    for name in _SIDED_FEATURES:
        sides = [median_of_three(measured[name][:, side]) for side in (0, 1)]
        peaks, travels = zip(*(_range(side) for side in sides), strict=True)
        found += [_greater(*peaks), _greater(*travels), abs(travels[0] - travels[1])]
        if name != "forearm rotation":
            way += sum(float(np.nansum(np.abs(np.diff(side)))) for side in sides)
            reach += float(np.nansum(travels))
    for name in _WHOLE_FEATURES:
        found += _range(median_of_three(measured[name]))
    found += [float(times_s[-1] - times_s[0]), way / (2 * reach) if reach > 0 else float("nan")]
    return np.array(found)


def _range(values: Floats) -> tuple[float, float]:
    """(peak, travel) of what is known; NaN if nothing could."""
    values = values[np.isfinite(values)]
    return (float(values.max()), float(np.ptp(values))) if len(values) else (math.nan, math.nan)


def _greater(one: float, other: float) -> float:
    return float(np.fmax(one, other))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Logistic model of the probability that a repetition of a class was executed correctly.

    Attributes:
        features: Names of `FEATURES` that it looks at.
        mean: Of each feature where it was fitted.
        scale: Spread of each feature there, above 0.
        weights: Of each feature in units of its spread; positive speaks for a right execution.
        bias: Log odds of a repetition with average features.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def __post_init__(self) -> None:
        unknown = [name for name in self.features if name not in FEATURES]
        if unknown or not self.features:
            raise ConfigError(
                f"a quality needs features of kinematics.FEATURES, got {', '.join(map(str, unknown)) or 'none'}"
            )
        rows = (self.mean, self.scale, self.weights)
        numbers = [*self.mean, *self.scale, *self.weights, self.bias]
        if any(len(row) != len(self.features) for row in rows) or not all(map(is_number, numbers)):
            raise ConfigError(
                f"a quality needs finite mean, scale and weights for each of {len(self.features)} features"
            )
        if min(self.scale) <= 0:
            raise ConfigError(f"scales of features must be above 0, got {self.scale}")

    def prob(self, found: Floats) -> float:
        """Probability of a correct execution from `rep_features`; unknown features count as average.

        >>> bent = Quality(features=("trunk lean peak",), mean=(20.0,), scale=(10.0,), weights=(-1.0,), bias=0.0)
        >>> found = np.full(len(FEATURES), np.nan)
        >>> bent.prob(found)
        0.5
        """
        values = np.array([found[FEATURES.index(name)] for name in self.features])
        steps = np.nan_to_num((values - self.mean) / self.scale, nan=0.0)
        odds = float(np.clip(steps @ np.array(self.weights) + self.bias, -50, 50))
        return 1 / (1 + math.exp(-odds))

    def to_json(self) -> dict[str, Any]:
        """As a card carries it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @staticmethod
    def from_json(value: Any) -> "Quality":
        """Read what `to_json` wrote.

        Raises:
            ConfigError: If it is none.
        """
        names = {field.name for field in fields(Quality)}
        rows = names - {"bias"}
        if not isinstance(value, dict) or set(value) != names or not all(isinstance(value[row], list) for row in rows):
            raise ConfigError(f"a quality needs {', '.join(sorted(names))}, got {value!r}")
        table: dict[str, Any] = {**value, **{row: tuple(value[row]) for row in rows}}
        return Quality(**table)
