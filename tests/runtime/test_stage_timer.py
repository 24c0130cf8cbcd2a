"""Stage times are those of the given clock, and long runs fit into flat memory."""

import numpy as np
import pytest

from amr_edge.errors import ConfigError
from amr_edge.runtime.stage_timer import Record, Stages


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def pass_ms(self, ms: float) -> None:
        self.now_s += ms / 1e3


def test_percentiles_of_a_hundred_numbers_worked_by_hand() -> None:
    record = Record(np.random.default_rng(0))
    for value in range(101):
        record.add(float(value))
    assert record.percentiles((50, 90, 95, 99)) == {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
    assert (record.count, record.largest, record.mean) == (101, 100, 50)
    assert record.sd == pytest.approx(np.std(np.arange(101), ddof=1))


def test_an_empty_record_has_no_percentiles() -> None:
    record = Record(np.random.default_rng(0))
    assert np.isnan(record.percentiles((50,))["p50"])
    assert np.isnan(record.mean)
    assert np.isnan(record.sd)


def test_a_full_record_is_a_fair_sample_of_everything() -> None:
    record = Record(np.random.default_rng(1), keep=2000)
    for value in range(40_000):
        record.add(float(value))
    assert len(record.kept) == 2000
    assert record.count == 40_000
    assert record.percentiles((50,))["p50"] == pytest.approx(20_000, abs=1500)
    assert record.percentiles((90,))["p90"] == pytest.approx(36_000, abs=1000)
    assert record.mean == pytest.approx(19_999.5)
    assert record.largest == 39_999


def test_the_spread_of_large_close_numbers_survives_rounding() -> None:
    record = Record(np.random.default_rng(1))
    for value in (1e9, 1e9 + 1, 1e9 + 2):
        record.add(value)
    assert record.sd == pytest.approx(1.0)


def test_stages_are_timed_by_the_clock() -> None:
    clock = Clock()
    stages = Stages(clock, np.random.default_rng(0))

    def source() -> object:
        for ms in (5, 7):
            clock.pass_ms(ms)
            yield ms

    for _ in stages.each("capture", source()):  # type: ignore[var-annotated]
        with stages.timed("pose"):
            clock.pass_ms(20)
        clock.pass_ms(3)
        stages.add("total", stages.since_begin_ms())
    report = stages.report()
    assert list(report) == ["capture", "pose", "total"]
    assert report["capture"] == {"count": 2, "p50": 6.0, "p90": 6.8, "p99": 6.98, "max": 7.0}
    assert report["pose"]["p50"] == 20.0
    assert report["total"]["p50"] == 23.0
    assert stages.table().splitlines()[0].split()[:4] == ["stage", "count", "p50", "ms"]


def test_work_that_fails_is_not_counted() -> None:
    stages = Stages(Clock(), np.random.default_rng(0))
    with pytest.raises(ZeroDivisionError), stages.timed("pose"):
        _ = 1 / 0
    assert stages.report() == {}


def test_a_record_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Record(np.random.default_rng(0), keep=0)
