"""Where does the time go between a frame and its answer: stages, timed by a given clock, in flat memory."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError
from amr_edge.terminal import table

Item = TypeVar("Item")
PERCENTILES = (50, 90, 99)
KEEP = 100_000  # numbers of one record; percentiles of more than that are those of a fair sample


class Record:
    """Numbers of which the percentiles are wanted, however many there will be.

    All of the first `keep` are held. Every later one takes the place of a random earlier one with the probability
    that leaves a uniform sample of everything seen (reservoir sampling). Count, mean, spread and extremes are
    those of all numbers.
    """

    def __init__(self, rng: np.random.Generator, keep: int = KEEP) -> None:
        if keep < 1:
            raise ConfigError(f"a record needs to keep at least 1 number, got {keep}")
        self._rng = rng
        self._keep = keep
        self._kept = array("d")
        self._mean = self._squares = 0.0
        self.count = 0
        self.largest = float("-inf")

    def add(self, value: float) -> None:
        """Take one more number."""
        self.count += 1
        self.largest = max(self.largest, value)
        # Welford's update: a sum of squares would lose the spread of a long run to rounding.
        step = value - self._mean
        self._mean += step / self.count
        self._squares += step * (value - self._mean)
        if len(self._kept) < self._keep:
            self._kept.append(value)
            return
        place = int(self._rng.integers(self.count))
        if place < self._keep:
            self._kept[place] = value

    @property
    def kept(self) -> NDArray[np.float64]:
        """The numbers held, in no promised order."""
        return np.array(self._kept, dtype=np.float64)

    @property
    def mean(self) -> float:
        """NaN without numbers."""
        return self._mean if self.count else float("nan")

    @property
    def sd(self) -> float:
        """Standard deviation (of a sample); NaN with fewer than two numbers."""
        return float(np.sqrt(self._squares / (self.count - 1))) if self.count > 1 else float("nan")

    def percentiles(self, shares: Sequence[float] = PERCENTILES) -> dict[str, float]:
        """{"p50": ...}: linear between neighbours; NaN without numbers."""
        values = np.percentile(self.kept, shares) if self.count else np.full(len(shares), np.nan)
        return {f"p{share:g}": float(value) for share, value in zip(shares, values, strict=True)}


class Stages:
    """Named stages of the work on a frame, in milliseconds."""

    def __init__(self, now: Callable[[], float], rng: np.random.Generator) -> None:
        """Stages.

        Args:
            now: Seconds on a clock that never goes back, such as `time.perf_counter`.
            rng: Chooses what is kept of very long runs.
        """
        self._now = now
        self._rng = rng
        self._records: dict[str, Record] = {}
        self._begun_s = now()

    def begin(self) -> None:
        """A frame is in hand: its total time runs from here."""
        self._begun_s = self._now()

    def since_begin_ms(self) -> float:
        """Time since the current frame arrived."""
        return (self._now() - self._begun_s) * 1e3

    def add(self, stage: str, ms: float) -> None:
        """A stage took so long."""
        if stage not in self._records:
            self._records[stage] = Record(self._rng)
        self._records[stage].add(ms)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time what happens inside; work that fails is not counted."""
        start_s = self._now()
        yield
        self.add(stage, (self._now() - start_s) * 1e3)

    def each(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items, timing how long each of them took to come."""
        start_s = self._now()
        for item in items:
            self.begin()
            self.add(stage, (self._begun_s - start_s) * 1e3)
            yield item
            start_s = self._now()

    @property
    def records(self) -> dict[str, Record]:
        """{stage: its milliseconds}, in the order in which stages came up."""
        return dict(self._records)

    def report(self) -> dict[str, dict[str, float]]:
        """{stage: {"count", "p50", "p90", "p99", "max"}} in milliseconds, in the order in which stages came up."""
        return {
            stage: {"count": record.count, **_rounded(record.percentiles()), "max": round(record.largest, 3)}
            for stage, record in self._records.items()
        }

    def table(self) -> str:
        """The report for the person."""
        header = ["stage", "count", *(f"p{share} ms" for share in PERCENTILES), "max ms"]
        return table([[stage, *numbers.values()] for stage, numbers in self.report().items()], header)


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in numbers.items()}
