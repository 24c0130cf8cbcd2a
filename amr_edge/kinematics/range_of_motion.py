"""Ranges of motion that a person must show for a prediction to be plausible."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError
from amr_edge.kinematics.joint_angles import MEASURES, WHOLE, Floats, angles, median_of_three
from amr_edge.skeleton import Mask, Poses

Sides = Literal["both", "either", "one"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A further condition at the far end of a movement.

    Attributes:
        measure: One of `MEASURES`.
        side: For one of `SIDED`: of the side that moves ("same") or of the other one. Where both sides move, both
            must keep the bound.
        least: At least this, degrees or widths of the hips; None for any.
        most: At most this; None for any.
    """

    measure: str
    side: Literal["same", "other"] = "same"
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        _check_measure(self.measure)
        if self.side not in ("same", "other"):
            raise ConfigError(f"a bound is of the side 'same' or 'other', got '{self.side}'")
        ends = [end for end in (self.least, self.most) if end is not None]
        if not ends or not all(is_number(end) for end in ends) or ends != sorted(ends):
            raise ConfigError(
                f"a bound on {self.measure} needs finite numbers, the least not above the most, got "
                f"{self.least!r} and {self.most!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The range of motion that a person must show for a class to be plausible.

    Attributes:
        measure: What moves, one of `MEASURES`.
        sides: For one of `SIDED`: "both" together (the lesser counts), "either" (each by itself), or "one" and
            not the other (their difference counts).
        least_travel: From least to most, at least this, degrees (or widths of the hips); above 0.
        least_peak: The most must be at least this.
        at_peak: What else must hold at the far end.
        back: Share of the way out that must be gone back for a full repetition, in (0, 1).
        rest: Repetitions go out from the "low" end and back to it, or from "either" end, wherever a person begins.
    """

    measure: str
    sides: Sides = "both"
    least_travel: float
    least_peak: float
    back: float = 0.6
    rest: Literal["low", "either"] = "low"
    at_peak: tuple[Bound, ...] = ()

    def __post_init__(self) -> None:
        _check_measure(self.measure)
        if self.sides not in ("both", "either", "one"):
            raise ConfigError(f"a rule is for the sides 'both', 'either' or 'one', got '{self.sides}'")
        if self.measure in WHOLE and self.sides != "both":
            raise ConfigError(f"{self.measure} has no sides, leave them away; got '{self.sides}'")
        if not is_number(self.least_travel) or not is_number(self.least_peak) or self.least_travel <= 0:
            raise ConfigError(
                f"a rule needs least_travel above 0 and a finite least_peak, got {self.least_travel!r} and "
                f"{self.least_peak!r}"
            )
        if not _between_0_and_1(self.back):
            raise ConfigError(f"the way back must be a share between 0 and 1, got {self.back!r}")
        if self.rest not in ("low", "either"):
            raise ConfigError(f"repetitions go out from the end 'low' or 'either', got '{self.rest}'")
        if not isinstance(self.at_peak, tuple) or not all(isinstance(bound, Bound) for bound in self.at_peak):
            raise ConfigError(f"at_peak must be bounds, got {self.at_peak!r}")

    def to_json(self) -> dict[str, Any]:
        """As a card carries it."""
        return {**asdict(self), "at_peak": [asdict(bound) for bound in self.at_peak]}

    @staticmethod
    def from_json(value: Any) -> "Rule":
        """The rule that `to_json` wrote.

        Raises:
            ConfigError: If it is none.
        """
        table = _fields_of(Rule, value)
        bounds = table.get("at_peak", [])
        if not isinstance(bounds, list):
            raise ConfigError(f"at_peak must be a list, got {bounds!r}")
        return Rule(**{**table, "at_peak": tuple(Bound(**_fields_of(Bound, bound)) for bound in bounds)})


def _check_measure(name: str) -> None:
    if name not in MEASURES:
        raise ConfigError(f"there is no measure '{name}'; the measures are {', '.join(MEASURES)}")


def is_number(value: object) -> bool:
    """True if a value of a card is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _between_0_and_1(value: object) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _fields_of(kind: type, value: Any) -> dict[str, Any]:
    """The table of a dataclass, refused if it has other fields or lacks one."""
    names = {field.name for field in fields(kind)}
    needed = {"measure"} | ({"least_travel", "least_peak"} if kind is Rule else set())
    if not isinstance(value, dict) or not needed <= set(value) <= names:
        raise ConfigError(
            f"a {kind.__name__.lower()} needs {', '.join(sorted(needed))} of {sorted(names)}, got {value!r}"
        )
    return value


# Wide enough for a sensor that sees less than the one that they were found on; docs/movement.md has the figures.
RULES: dict[str, Rule] = {
    "squat": Rule(measure="knee flexion", sides="both", least_travel=35, least_peak=45),
    "hurdle step": Rule(
        measure="thigh elevation",
        sides="either",
        least_travel=35,
        least_peak=45,
        back=0.85,  # the foot is put down beyond the hurdle with the thigh half way up, and comes back over it
        at_peak=(
            Bound(measure="knee flexion", least=40),
            Bound(measure="knee flexion", side="other", most=45),
        ),
    ),
    "inline lunge": Rule(
        measure="knee flexion",
        sides="either",
        least_travel=30,
        least_peak=50,
        # Not the depth of the stance: who stands split in line often has the hips turned.
        at_peak=(Bound(measure="feet apart", least=2.0),),
    ),
    "side lunge": Rule(
        measure="knee flexion",
        sides="one",
        least_travel=25,
        least_peak=30,
        at_peak=(Bound(measure="stance width", least=2.0),),
    ),
    "leg raise": Rule(
        measure="thigh elevation",
        sides="either",
        least_travel=18,
        least_peak=22,  # who walks lifts a thigh by 20
        at_peak=(
            Bound(measure="knee flexion", most=75),
            Bound(measure="knee flexion", side="other", most=45),
        ),
    ),
    "arm raise": Rule(
        measure="arm elevation",
        sides="either",
        least_travel=50,
        least_peak=70,
        at_peak=(Bound(measure="elbow flexion", most=60),),
    ),
    "shoulder extension": Rule(
        measure="arm backward",
        sides="either",
        least_travel=22,
        least_peak=20,
        at_peak=(Bound(measure="elbow flexion", most=70),),
    ),
    "shoulder rotation": Rule(
        measure="forearm rotation",
        sides="either",
        least_travel=40,
        least_peak=10,
        rest="either",
        at_peak=(Bound(measure="elbow flexion", least=45, most=140),),
    ),
}


class Track(NamedTuple):
    """The measure that a rule follows over time: one side's measure, or one made of both.

    Attributes:
        values: (T,), NaN where it is unknown.
        sides: (T, 2) of the bounds' sides: which side is the "same" and which the "other"; None where both count.
    """

    values: Floats
    sides: NDArray[np.int64] | None


def tracks(rule: Rule, measured: Mapping[str, Floats]) -> tuple[Track, ...]:
    """The tracks of a rule: each side by itself where either will do, else one track.

    >>> from dataclasses import replace
    >>> knees = {"knee flexion": np.array([[10.0, 90.0]])}
    >>> [[float(track.values[0]) for track in tracks(replace(RULES["squat"], sides=sides), knees)]
    ...  for sides in ("both", "either", "one")]
    [[10.0], [10.0, 90.0], [80.0]]
    """
    values = measured[rule.measure]
    if rule.measure in WHOLE:
        return (Track(values, None),)
    left, right = values[:, 0], values[:, 1]
    if rule.sides == "both":
        return (Track(np.minimum(left, right), None),)
    if rule.sides == "either":
        order = np.array([[0, 1], [1, 0]])
        return tuple(Track(values[:, side], np.tile(order[side], (len(values), 1))) for side in (0, 1))
    leads = (right > left).astype(np.int64)
    return (Track(np.abs(left - right), np.stack([leads, 1 - leads], axis=1)),)


def _bounded(bound: Bound, track: Track, measured: Mapping[str, Floats]) -> Floats:
    """(T, 1) or (T, 2): what a bound is about, of each side that counts."""
    values = measured[bound.measure]
    if bound.measure in WHOLE:
        return values[:, None]
    if track.sides is None:
        return values
    side = track.sides[:, 0 if bound.side == "same" else 1]
    return np.take_along_axis(values, side[:, None], axis=1)


def _breaks(bound: Bound, least: Floats, most: Floats) -> Mask:
    """Mask of values outside `least` to `most`; NaN counts as inside."""
    low = least < bound.least if bound.least is not None else np.zeros(least.shape, dtype=np.bool_)
    high = most > bound.most if bound.most is not None else np.zeros(most.shape, dtype=np.bool_)
    return np.asarray(low | high, dtype=np.bool_)


def holds(rule: Rule, track: Track, measured: Mapping[str, Floats]) -> Mask:
    """(T,) True in frames in which no bound of a rule is known to be broken."""
    out = np.ones(len(track.values), dtype=np.bool_)
    for bound in rule.at_peak:
        values = _bounded(bound, track, measured)
        out &= ~_breaks(bound, values, values).any(axis=1)
    return out


class Movement(NamedTuple):
    """Travel and peak of a movement by the measure of a rule.

    Attributes:
        travel: From least to most; NaN if it is never known.
        peak: The most.
        at_peak: For each bound of the rule its least and its most value at the far end (they differ where both sides
            count); NaN where it is unknown.
    """

    travel: float
    peak: float
    at_peak: tuple[tuple[float, float], ...]


def measure_movement(rule: Rule, poses: Poses) -> Movement:
    """Travel and peak of the movement in a window, by a rule's measure.

    Args:
        rule: Which measure of which sides.
        poses: (T, 15, 3) in layout canonical15, absent joints NaN; about 15 frames a second.

    Returns:
        Travel and peak, each frame replaced by the median of itself and its neighbours; where either side will do, of
        the side that travels more.

    Raises:
        ClipError: If the poses have another shape.
    """
    measured = angles(poses)
    found = [_moved(rule, track, measured) for track in tracks(rule, measured)]
    return max(found, key=lambda each: -1.0 if math.isnan(each.travel) else each.travel)


def _moved(rule: Rule, track: Track, measured: Mapping[str, Floats]) -> Movement:
    followed = median_of_three(track.values)
    if not np.isfinite(followed).any():
        return Movement(np.nan, np.nan, tuple((np.nan, np.nan) for _ in rule.at_peak))
    peak = float(np.nanmax(followed))
    travel = peak - float(np.nanmin(followed))
    far = followed >= peak - 0.15 * travel  # (T,), more than one frame: joints jitter
    ends = []
    for bound in rule.at_peak:
        values = _bounded(bound, track, measured)[far]  # (T', 1 or 2)
        middles = [_median(values[:, side]) for side in range(values.shape[1])]
        ends.append((min(middles), max(middles)))
    return Movement(travel, peak, tuple(ends))


def _median(values: Floats) -> float:
    """The median of what is known; NaN if nothing could."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")


def shows(rule: Rule, poses: Poses) -> bool:
    """True if a window shows the movement that a rule asks for.

    Args:
        rule: What must be seen.
        poses: (T, 15, 3) in layout canonical15, absent joints NaN; about 15 frames a second.

    Returns:
        True if travel and peak are reached and no bound is known to be broken. A movement that is unknown
        because joints are absent is not shown; a bound that is unknown is not broken.

    Raises:
        ClipError: If the poses have another shape.

    >>> from amr_edge.kinematics.joint_angles import standing
    >>> shows(RULES["squat"], np.stack([standing()] * 5))
    False
    """
    found = measure_movement(rule, poses)
    if not (found.travel >= rule.least_travel and found.peak >= rule.least_peak):
        return False
    return not any(
        bool(_breaks(bound, np.float64(least), np.float64(most)))
        for bound, (least, most) in zip(rule.at_peak, found.at_peak, strict=True)
    )
