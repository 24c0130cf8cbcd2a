"""How often was something done: full cycles of an angle, out and back, counted as they come or all at once."""

import math
from collections import deque
from typing import NamedTuple

from amr_edge.errors import ClipError, ConfigError
from amr_edge.movement.angles import Floats, angles
from amr_edge.movement.rules import Rule, signal
from amr_edge.skeleton import Poses

BACK = 0.6  # of the way out that must be gone back for a full cycle
CALM_S = 0.2  # angles are medians over the last so many seconds: joints that swap for a frame are no repetition
BRIEF_S = 0.2  # nobody goes out and back in less
LONGEST_S = 30.0  # somebody who sat for longer did not repeat anything


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


class Counter:
    """Counts full cycles of one signal, value by value; holds a fifth of a second.

    A cycle goes out by at least `travel` above the lowest value since the last one, reaches `peak`, and comes back by
    `BACK` of the way. Pauses at either end are part of it. A dip that does not come back so far is none, but if the
    next way out from it is long enough, counting goes on from the dip: somebody may begin in another posture than
    the one they repeat from.
    """

    def __init__(self, travel: float, peak: float = -math.inf) -> None:
        if not travel > 0 or math.isnan(peak):
            raise ConfigError(f"repetitions need a travel above 0 and a peak, got {travel} and {peak}")
        self._travel, self._peak = travel, peak
        self._recent: deque[tuple[float, float]] = deque()
        self._low, self._low_s = math.inf, math.nan
        self._high: float | None = None  # None while at rest
        self._out_s = math.nan
        self._dip, self._dip_s = math.inf, math.nan

    def push(self, time_s: float, value: float) -> Cycle | None:
        """The cycle that is complete with this value, if one is.

        Args:
            time_s: Seconds, rising.
            value: Of the signal; NaN where it could not be told, which is passed over.
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
            return self._out(time_s, calm, self._high)
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
        if high - value >= BACK * (high - self._low):
            cycle = Cycle(self._low_s, time_s, high, high - self._low)
            self._low, self._low_s, self._high = value, time_s, None
            brief = time_s - self._out_s < BRIEF_S or time_s - cycle.start_s > LONGEST_S
            return None if brief or high < self._peak else cycle
        if value - self._dip >= self._travel:
            self._low, self._low_s = self._dip, self._dip_s
            self._go(time_s, value)
        return None


def repetitions(values: Floats, times_s: Floats, travel: float, peak: float = -math.inf) -> tuple[Cycle, ...]:
    """The full cycles of a signal, as `Counter` counts them.

    Args:
        values: (T,) of the signal, NaN where it could not be told.
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
    counter = Counter(travel, peak)
    found = (counter.push(float(time_s), float(value)) for time_s, value in zip(times_s, values, strict=True))
    return tuple(cycle for cycle in found if cycle is not None)


class Repeats:
    """Counts the repetitions of what a rule is about, from whichever end somebody begins.

    Where a rule says that the rest may be at either end, both are counted and the one with more cycles is right.
    """

    def __init__(self, rule: Rule) -> None:
        self._up = Counter(rule.least_travel, rule.least_peak)
        self._down = Counter(rule.least_travel) if rule.rest == "either" else None

    def push(self, time_s: float, value: float) -> tuple[Cycle | None, Cycle | None]:
        """The cycle from the low end and the one from the high end that are complete with this value, if any is."""
        up = self._up.push(time_s, value)
        down = None if self._down is None else self._down.push(time_s, -value)
        return up, down


def counted(rule: Rule, poses: Poses, times_s: Floats) -> tuple[Cycle, ...]:
    """The repetitions in a recording of what a rule is about.

    Args:
        rule: Which measure of which sides, and how far.
        poses: (T, 15, 3) in layout canonical15, absent joints NaN.
        times_s: (T,) rising seconds.

    Raises:
        ClipError: If shapes do not fit.
    """
    values = signal(rule, angles(poses))
    up = repetitions(values, times_s, rule.least_travel, rule.least_peak)
    down = repetitions(-values, times_s, rule.least_travel) if rule.rest == "either" else ()
    return up if len(up) >= len(down) else down
