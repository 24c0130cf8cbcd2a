"""Latency of calls: warmed up, measured long enough and interleaved, with every run counted.

Pure of engines and of the machine: what is timed is a call, the clock and the waiting are arguments. A measurement
is made of turns. In a turn one subject works for `turn_s`; a round gives every subject one turn, in an order drawn
anew for each round, so that a machine which grows warm or busy does so for all alike.
"""

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError

SHARES = (50.0, 90.0, 95.0, 99.0, 99.9)
ENOUGH = 100  # runs below which there is no 99th percentile
BLOCKS = 10  # consecutive parts of a run whose medians are compared
STEADY = 0.10  # the medians of the parts may differ by so much of the whole's
LATE = 0.01  # share of paced runs that may begin after their time


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureConfig:
    """Settings of a measurement.

    Attributes:
        warmup_s: Every subject runs for so long before anything counts.
        seconds: Every subject is measured for so long at least.
        count: Every subject is measured so often at least.
        turn_s: A subject works for so long before the next one has its turn.
        pace_fps: Begin a run at each frame of such a camera and wait in between; None runs back to back.
    """

    warmup_s: float = 1.0
    seconds: float = 5.0
    count: int = ENOUGH
    turn_s: float = 0.2
    pace_fps: float | None = None

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ConfigError(f"a bench needs count >= 2, got {self.count}")
        if not all(0 <= value < math.inf for value in (self.warmup_s, self.seconds, self.turn_s)):
            raise ConfigError(
                f"a bench needs finite times of at least 0 s, got {self.warmup_s}, {self.seconds} and {self.turn_s}"
            )
        if self.pace_fps is not None and not 0 < self.pace_fps < math.inf:
            raise ConfigError(f"a bench needs a pace above 0 frames a second, got {self.pace_fps}")


@dataclass(frozen=True, slots=True)
class Turn:
    """Time of a model's turn, and the range of its runs: [first, last)."""

    begun_s: float
    ended_s: float
    first: int
    last: int


@dataclass(slots=True)
class Timed:
    """Every run of one subject, in the order in which they were made.

    Attributes:
        times_ms: What each counted run took.
        turns: Its turns, one of each round.
        warmup: Runs before anything counted.
        settling: Runs at the beginning of turns that found the other subject's data in the caches; not counted.
        late: Paced runs that could not begin at their time because the one before still ran.
    """

    times_ms: "array[float]" = field(default_factory=lambda: array("d"))
    turns: list[Turn] = field(default_factory=list)
    warmup: int = 0
    settling: int = 0
    late: int = 0

    def values(self) -> NDArray[np.float64]:
        """(count,) milliseconds."""
        return np.array(self.times_ms, dtype=np.float64)

    def blocks_ms(self) -> list[float]:
        """Medians of up to `BLOCKS` consecutive parts of equal length."""
        parts = np.array_split(self.values(), min(BLOCKS, len(self.times_ms)))
        return [float(np.median(part)) for part in parts]

    def turns_ms(self) -> NDArray[np.float64]:
        """(rounds,) medians of the turns; NaN for a turn without a counted run."""
        values = self.values()
        return np.array(
            [np.median(values[t.first : t.last]) if t.last > t.first else np.nan for t in self.turns], dtype=np.float64
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Numbers of one run after another, in milliseconds. Nothing was left out of them.

    Attributes:
        count: Runs.
        least: The fastest.
        mean: Mean.
        percentiles: {"p50", "p90", "p95", "p99", "p99.9"}: the median, and above it the next slower run that there
            was, never a mean of a fast and a slow one. NaN where there are too few runs to speak of such a share
            (fewer than one run beyond it).
        largest: The slowest.
        sd: Standard deviation, of a sample.
    """

    count: int
    least: float
    mean: float
    percentiles: dict[str, float]
    largest: float
    sd: float

    @property
    def cv(self) -> float:
        """Coefficient of variation: standard deviation over mean."""
        return self.sd / self.mean if self.mean > 0 else math.nan

    def milliseconds(self) -> dict[str, float]:
        """All numbers by name, from the fastest run to the slowest."""
        return {"min": self.least, "mean": self.mean, **self.percentiles, "max": self.largest, "sd": self.sd}

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a percentile without enough runs becomes null there."""
        return {name: round(value, 5) for name, value in self.milliseconds().items()}


def summarize(values_ms: NDArray[np.float64]) -> Summary:
    """The numbers of (count,) milliseconds.

    Raises:
        ConfigError: If there is none.

    >>> summarize(np.array([1.0, 2.0, 3.0])).percentiles["p50"]
    2.0
    """
    if not len(values_ms):
        raise ConfigError("there is nothing to summarise: no run was measured; measure for longer")
    found = [float(np.median(values_ms)), *np.percentile(values_ms, SHARES[1:], method="higher").tolist()]
    known = [len(values_ms) * (1 - share / 100) >= 1 - 1e-9 or share <= 50 for share in SHARES]
    return Summary(
        count=len(values_ms),
        least=float(values_ms.min()),
        mean=float(values_ms.mean()),
        percentiles={
            f"p{share:g}": float(value) if enough else math.nan
            for share, value, enough in zip(SHARES, found, known, strict=True)
        },
        largest=float(values_ms.max()),
        sd=float(values_ms.std(ddof=1)) if len(values_ms) > 1 else math.nan,
    )


def measure(
    asks: Sequence[Callable[[], object]],
    config: MeasureConfig,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], None],
    rng: np.random.Generator,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[Timed]:
    """Time calls, in turns.

    Args:
        asks: What is timed, one call a run.
        config: How long, how often, at what pace.
        now: Seconds on a fine clock that never goes back, such as `time.perf_counter`.
        sleep: Waits for so many seconds.
        rng: Draws the order of each round.
        on_progress: Called after every turn with the share that is done.

    Returns:
        The runs of each subject.
    """
    if not asks:
        raise ConfigError("there is nothing to measure; name a model")
    done = [Timed() for _ in asks]
    for ask, timed in zip(asks, done, strict=True):
        begun_s = now()
        while now() - begun_s < config.warmup_s or timed.warmup < 2:
            ask()
            timed.warmup += 1
    spent_s = [0.0] * len(asks)

    def enough(which: int) -> bool:
        return spent_s[which] >= config.seconds and len(done[which].times_ms) >= config.count

    while not all(enough(which) for which in range(len(asks))):
        for which in rng.permutation(len(asks)).tolist():
            turn = _paced if config.pace_fps is not None else _back_to_back
            alone = len(asks) == 1
            begun_s = now()
            turn(asks[which], done[which], config, now, sleep, settle=not alone, spent_s=spent_s[which])
            spent_s[which] += now() - begun_s
        shares = [
            min(spent / config.seconds if config.seconds else 1.0, len(timed.times_ms) / config.count)
            for spent, timed in zip(spent_s, done, strict=True)
        ]
        on_progress(min(1.0, min(shares)))
    return done


def _back_to_back(
    ask: Callable[[], object],
    timed: Timed,
    config: MeasureConfig,
    now: Callable[[], float],
    sleep: Callable[[float], None],  # noqa: ARG001
    *,
    settle: bool,
    spent_s: float,
) -> None:
    """One turn without a pause; a subject that is alone stops as soon as it has enough."""
    if settle:
        ask()
        timed.settling += 1
    begun_s, first = now(), len(timed.times_ms)
    while True:
        before_s = now()
        ask()
        after_s = now()
        timed.times_ms.append((after_s - before_s) * 1e3)
        passed_s = after_s - begun_s
        sated = not settle and spent_s + passed_s >= config.seconds and len(timed.times_ms) >= config.count
        if passed_s >= config.turn_s or sated:
            break
    timed.turns.append(Turn(begun_s, now(), first, len(timed.times_ms)))


def _paced(
    ask: Callable[[], object],
    timed: Timed,
    config: MeasureConfig,
    now: Callable[[], float],
    sleep: Callable[[float], None],
    *,
    settle: bool,
    spent_s: float,  # noqa: ARG001
) -> None:
    """One turn at a camera's pace; the wait after the last run belongs to the turn."""
    fps = config.pace_fps or 1.0
    period_s = 1 / fps
    runs = max(1, round(config.turn_s * fps))
    if settle:
        ask()
        timed.settling += 1
    begun_s, first = now(), len(timed.times_ms)
    due_s = begun_s
    for _ in range(runs):
        wait_s = due_s - now()
        if wait_s > 0:
            sleep(wait_s)
        elif wait_s < -0.1 * period_s:
            timed.late += 1
            due_s = now()  # a camera would have dropped these frames: start again from here
        before_s = now()
        ask()
        timed.times_ms.append((now() - before_s) * 1e3)
        due_s += period_s
    if due_s > now():
        sleep(due_s - now())
    timed.turns.append(Turn(begun_s, now(), first, len(timed.times_ms)))


def invalid_reasons(timed: Timed) -> list[str]:
    """Why the numbers of a run should not be published, in the run's own evidence; empty if they may be."""
    count, found = len(timed.times_ms), []
    if count < ENOUGH:
        found.append(f"too few runs: {count}, a 99th percentile needs {ENOUGH}")
    blocks = timed.blocks_ms()
    middle = float(np.median(timed.values())) if count else math.nan
    spread = (max(blocks) - min(blocks)) / middle if count and middle > 0 else 0.0
    if len(blocks) > 1 and spread > STEADY:
        found.append(
            f"unstable: the medians of its {len(blocks)} parts run from {min(blocks):.4g} to {max(blocks):.4g} ms "
            f"({spread:.0%} of the whole's, {STEADY:.0%} is allowed)"
        )
    if count and timed.late > LATE * count:
        found.append(f"late: {timed.late} of {count} paced runs could not begin at their time")
    return found
