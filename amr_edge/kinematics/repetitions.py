"""Repetition counting: full cycles of an angle, out and back, as values arrive or of a whole recording."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from amr_edge.errors import ClipError, ConfigError
from amr_edge.kinematics.joint_angles import SIDED, Floats, angles
from amr_edge.kinematics.range_of_motion import Rule, holds, tracks
from amr_edge.skeleton import Poses

BACK = 0.6  # of the way out that must be gone back for a full cycle
CALM_S = 0.2  # angles are medians over the last so many seconds: joints that swap for a frame are no repetition
BRIEF_S = 0.2  # a repetition takes at least this long
LONGEST_S = 30.0  # a longer cycle is a rest, not a repetition


class Cycle(NamedTuple):
    """One full repetition: out and back.

    Attributes:
        start_s: When it left its rest.
        end_s: When it was back for the most part.
        peak: The most of its signal.
        travel: From its rest to its most.
    """

    start_s: float
    end_s: float
    peak: float
    travel: float


class CycleCounter:
    """Counts full cycles of one signal, value by value; holds a fifth of a second.

    A cycle goes out by at least `travel` above the lowest value since the last one, reaches `peak`, and comes back by
    `back` of the way. Pauses at either end are part of it. A dip that does not come back so far is none, but if the
    next way out from it is long enough, counting goes on from the dip: a set may begin in another posture than
    the one they repeat from.
    """

    def __init__(self, travel: float, peak: float = -math.inf, back: float = BACK) -> None:
        if not travel > 0 or math.isnan(peak):
            raise ConfigError(f"repetitions need a travel above 0 and a peak, got {travel} and {peak}")
        self._travel, self._peak, self._back = travel, peak, back
        self._recent: deque[tuple[float, float]] = deque()
        self._low, self._low_s = math.inf, math.nan
        self._high: float | None = None  # None while at rest
        self._out_s = math.nan
        self._dip, self._dip_s = math.inf, math.nan
        self._held = -math.inf  # the furthest that it was while what must hold did

    def push(self, time_s: float, value: float, *, holds: bool = True) -> Cycle | None:
        """The cycle that is complete with this value, if one is.

        Args:
            time_s: Seconds, rising.
            value: Of the signal; NaN where it is unknown, which is passed over.
            holds: Whether what must hold at the far end holds now; a cycle counts if it did there once.
        """
        if not math.isfinite(value):
            return None
        self._recent.append((time_s, value))
        while self._recent[0][0] < time_s - CALM_S:
            self._recent.popleft()
        ordered = sorted(value for _, value in self._recent)
        middle = len(ordered) // 2
        calm = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
        if self._high is not None:
            self._held = max(self._held, calm) if holds else self._held
            return self._out(time_s, calm, self._high)
        self._held = calm if holds else -math.inf
        self._rest(time_s, calm)
        return None

    def _rest(self, time_s: float, value: float) -> None:
        # The last moment near the lowest value: a pause before the movement is not the movement.
        if value <= self._low + 0.1 * self._travel:
            self._low, self._low_s = min(self._low, value), time_s
        if value - self._low >= self._travel:
            self._go(time_s, value)

    def _go(self, time_s: float, value: float) -> None:
        self._high, self._out_s, self._dip, self._dip_s = value, time_s, value, time_s

    def _out(self, time_s: float, value: float, high: float) -> Cycle | None:
        if value > high:
            self._high, self._dip, self._dip_s = value, value, time_s
            return None
        if value < self._dip:
            self._dip, self._dip_s = value, time_s
        if high - value >= self._back * (high - self._low):
            cycle = Cycle(self._low_s, time_s, high, high - self._low)
            self._low, self._low_s, self._high = value, time_s, None
            brief = time_s - self._out_s < BRIEF_S or time_s - cycle.start_s > LONGEST_S
            held = self._held >= high - 0.15 * cycle.travel
            return cycle if held and high >= self._peak and not brief else None
        if value - self._dip >= self._travel:
            self._low, self._low_s = self._dip, self._dip_s
            self._go(time_s, value)
        return None


def repetitions(values: Floats, times_s: Floats, travel: float, peak: float = -math.inf) -> tuple[Cycle, ...]:
    """The full cycles of a signal, as `CycleCounter` counts them.

    Args:
        values: (T,) of the signal, NaN where it is unknown.
        times_s: (T,) rising seconds.
        travel: A cycle goes out by at least this.
        peak: And reaches at least this.

    Raises:
        ClipError: If there is not one time for each value.
        ConfigError: If travel or peak cannot mean anything.

    >>> import numpy as np
    >>> knee = np.array([5.0, 5, 40, 90, 110, 90, 40, 5, 5, 5, 40, 90, 110, 90, 40, 5])
    >>> len(repetitions(knee, np.arange(16) * 0.25, travel=35, peak=45))
    2
    """
    if values.shape != times_s.shape or values.ndim != 1:
        raise ClipError(f"expected one time for each value, got {values.shape} and {times_s.shape}")
    counter = CycleCounter(travel, peak)
    found = (counter.push(float(time_s), float(value)) for time_s, value in zip(times_s, values, strict=True))
    return tuple(cycle for cycle in found if cycle is not None)


class RuleCounter:
    """Counts the repetitions of what a rule is about, from whichever end a person begins.

    Sides that may move by themselves are counted by themselves; what both do at the same time counts once. Where a rule
    says that the rest may be at either end, both are counted and the one with more cycles is right.
    """

    def __init__(self, rule: Rule) -> None:
        sides = 2 if rule.sides == "either" and rule.measure in SIDED else 1
        self._up = _Merged([CycleCounter(rule.least_travel, rule.least_peak, rule.back) for _ in range(sides)])
        self._down = (
            _Merged([CycleCounter(rule.least_travel, back=rule.back) for _ in range(sides)])
            if rule.rest == "either"
            else None
        )

    def push(self, time_s: float, values: Sequence[float], hold: Sequence[bool]) -> tuple[Cycle | None, Cycle | None]:
        """The cycle from the low end and the one from the high end that are complete now, if any is.

        Args:
            time_s: Seconds, rising.
            values: Of each of the rule's `tracks`.
            hold: Whether its bounds hold there.
        """
        up = self._up.push(time_s, values, hold)
        down = None if self._down is None else self._down.push(time_s, [-value for value in values], hold)
        return up, down


class _Merged:
    """Counters of both sides; a cycle of one that lies within one of the other is the same."""

    def __init__(self, counters: list[CycleCounter]) -> None:
        self._counters = counters
        self._until_s = -math.inf

    def push(self, time_s: float, values: Sequence[float], hold: Sequence[bool]) -> Cycle | None:
        found = None
        for counter, value, held in zip(self._counters, values, hold, strict=True):
            cycle = counter.push(time_s, value, holds=held)
            # Legs in turn overlap a little, arms together for the most part.
            if cycle is not None and self._until_s - cycle.start_s < 0.3 * (cycle.end_s - cycle.start_s):
                found, self._until_s = cycle, cycle.end_s
        return found


def rule_signals(rule: Rule, measured: Mapping[str, Floats]) -> list[tuple[list[float], list[bool]]]:
    """What `RuleCounter` takes, frame by frame: the values of a rule's tracks and whether its bounds hold."""
    paths = tracks(rule, measured)
    values = np.stack([track.values for track in paths], axis=1).tolist()  # (T, tracks)
    hold = np.stack([holds(rule, track, measured) for track in paths], axis=1).tolist()
    return list(zip(values, hold, strict=True))


def count_repetitions(rule: Rule, poses: Poses, times_s: Floats) -> tuple[Cycle, ...]:
    """The repetitions in a recording of what a rule is about.

    Args:
        rule: Which measure of which sides, and how far.
        poses: (T, 15, 3) in layout canonical15, absent joints NaN.
        times_s: (T,) rising seconds.

    Raises:
        ClipError: If shapes do not fit.
    """
    if times_s.shape != poses.shape[:1]:
        raise ClipError(f"expected one time for each pose, got {times_s.shape} and {poses.shape}")
    repeats = RuleCounter(rule)
    found: tuple[list[Cycle], list[Cycle]] = [], []
    for time_s, (values, hold) in zip(times_s.tolist(), rule_signals(rule, angles(poses)), strict=True):
        for end, cycle in enumerate(repeats.push(time_s, values, hold)):
            if cycle is not None:
                found[end].append(cycle)
    up, down = found
    return tuple(up if len(up) >= len(down) else down)
