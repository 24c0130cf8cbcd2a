"""Runs are counted and timed as the clock says; nothing is left out, and bad evidence is called bad."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.errors import ConfigError
from amr_edge.runtime.bench.measure import ENOUGH, MeasureConfig, Timed, invalid_reasons, measure, summarize


class Clock:
    """A clock that only work and waiting move."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.waits.append(seconds)
        self.now_s += seconds


class Slow:
    """A call that takes 10 ms by the clock, and every so many calls 50 ms."""

    def __init__(self, clock: Clock, *, takes_s: float = 0.01, outlier_every: int = 0) -> None:
        self.clock = clock
        self.takes_s = takes_s
        self.outlier_every = outlier_every
        self.begun_s: list[float] = []

    def __call__(self) -> None:
        self.begun_s.append(self.clock.now_s)
        outlier = self.outlier_every and len(self.begun_s) % self.outlier_every == 0
        self.clock.now_s += 0.05 if outlier else self.takes_s


def run(*asks: Callable[[], object], clock: Clock, seed: int = 0, **config: float) -> list[Timed]:
    return measure(
        asks,
        MeasureConfig(**config),  # type: ignore[arg-type]
        now=clock,
        sleep=clock.sleep,
        rng=np.random.default_rng(seed),
    )


def test_warmup_is_by_time_and_is_not_counted() -> None:
    clock = Clock()
    slow = Slow(clock)
    (timed,) = run(slow, clock=clock, seconds=1.0, warmup_s=0.2)
    assert 20 <= timed.warmup <= 21
    assert len(slow.begun_s) == timed.warmup + len(timed.times_ms)
    assert 100 <= len(timed.times_ms) <= 101


def test_it_goes_on_until_both_the_time_and_the_count_are_reached() -> None:
    clock = Clock()
    (short,) = run(Slow(clock), clock=clock, seconds=0.01, warmup_s=0.0, count=150)
    (long,) = run(Slow(clock), clock=clock, seconds=3.0, warmup_s=0.0, count=2)
    assert len(short.times_ms) == 150
    assert 300 <= len(long.times_ms) <= 301


def test_one_outlier_in_a_hundred_moves_the_99th_percentile_and_not_the_median() -> None:
    clock = Clock()
    (plain,) = run(Slow(clock), clock=clock, seconds=0.0, warmup_s=0.0, count=1000)
    (spiky,) = run(Slow(clock, outlier_every=100), clock=clock, seconds=0.0, warmup_s=0.0, count=1000)
    before, after = summarize(plain.values()), summarize(spiky.values())
    assert before.percentiles["p50"] == pytest.approx(after.percentiles["p50"]) == pytest.approx(10)
    assert before.percentiles["p99"] == pytest.approx(10)
    assert after.percentiles["p99"] == pytest.approx(50)
    assert after.largest == pytest.approx(50)
    assert after.mean == pytest.approx(10.4)
    assert after.sd == pytest.approx(np.std([50] * 10 + [10] * 990, ddof=1))
    assert after.cv == pytest.approx(after.sd / after.mean)


def test_a_call_that_sleeps_a_known_time_is_reported_within_two_percent() -> None:
    asleep_s = 0.05
    (timed,) = measure(
        [lambda: time.sleep(asleep_s)],
        MeasureConfig(seconds=0.0, warmup_s=0.0, count=40),
        now=time.perf_counter,
        sleep=time.sleep,
        rng=np.random.default_rng(0),
    )
    found = summarize(timed.values())
    assert found.percentiles["p50"] == pytest.approx(asleep_s * 1e3, rel=0.02)
    assert found.least >= asleep_s * 1e3


def test_models_take_turns_so_that_drift_hits_all_alike() -> None:
    clock = Clock()

    class Ageing(Slow):
        def __call__(self) -> None:
            self.begun_s.append(self.clock.now_s)
            self.clock.now_s += self.takes_s * (1 + self.clock.now_s / 10)  # the machine grows warm

    first, second = Ageing(clock), Ageing(clock)
    one, two = run(first, second, clock=clock, seconds=4.0, warmup_s=0.1, turn_s=0.1)
    a, b = (summarize(timed.values()).percentiles["p50"] for timed in (one, two))
    assert summarize(one.values()).largest > 1.5 * summarize(one.values()).least
    assert a == pytest.approx(b, rel=0.05)
    assert len(one.turns) == len(two.turns) > 20


def test_the_order_of_the_turns_changes_from_round_to_round() -> None:
    clock = Clock()
    one, two = run(Slow(clock), Slow(clock), clock=clock, seconds=3.0, warmup_s=0.0, turn_s=0.1)
    firsts = {a.begun_s < b.begun_s for a, b in zip(one.turns, two.turns, strict=True)}
    assert firsts == {True, False}


def test_a_turn_begins_with_a_run_that_does_not_count_only_if_another_model_was_there() -> None:
    clock = Clock()
    (alone,) = run(Slow(clock), clock=clock, seconds=1.0, warmup_s=0.0)
    together = run(Slow(clock), Slow(clock), clock=clock, seconds=1.0, warmup_s=0.0)
    assert alone.settling == 0
    assert all(timed.settling == len(timed.turns) for timed in together)


def test_a_paced_run_begins_at_the_frames_of_a_camera_and_waits_in_between() -> None:
    clock = Clock()
    slow = Slow(clock, takes_s=0.004)
    (timed,) = run(slow, clock=clock, seconds=2.0, warmup_s=0.0, count=2, pace_fps=30.0, turn_s=10.0)
    begun_s = np.array(slow.begun_s[timed.warmup :])
    assert np.diff(begun_s) == pytest.approx(1 / 30)
    assert timed.late == 0
    assert summarize(timed.values()).percentiles["p50"] == pytest.approx(4)
    assert sum(clock.waits) == pytest.approx(len(begun_s) * (1 / 30 - 0.004))


def test_a_model_that_is_slower_than_its_pace_is_late_and_invalid() -> None:
    clock = Clock()
    (timed,) = run(Slow(clock, takes_s=0.05), clock=clock, seconds=6.0, warmup_s=0.0, pace_fps=30.0, turn_s=1.0)
    assert timed.late > 0.9 * len(timed.times_ms)
    assert any("late" in reason for reason in invalid_reasons(timed))


def filled(values_ms: list[float]) -> Timed:
    timed = Timed()
    timed.times_ms.extend(values_ms)
    return timed


def test_a_steady_run_of_enough_is_valid() -> None:
    rng = np.random.default_rng(0)
    assert invalid_reasons(filled((10 + rng.normal(0, 0.3, ENOUGH)).tolist())) == []


def test_too_few_runs_are_invalid() -> None:
    (reason,) = invalid_reasons(filled([10.0] * (ENOUGH - 1)))
    assert "too few runs: 99" in reason


def test_a_run_that_slows_down_by_a_fifth_is_unstable() -> None:
    (reason,) = invalid_reasons(filled(np.linspace(10, 12, 500).tolist()))
    assert reason.startswith("unstable")
    assert invalid_reasons(filled(np.linspace(10, 10.5, 500).tolist())) == []


@pytest.mark.parametrize(("count", "known"), [(50, "p95"), (100, "p99"), (999, "p99"), (1000, "p99.9")])
def test_a_percentile_without_a_run_beyond_it_is_not_told(count: int, known: str) -> None:
    shares = summarize(np.arange(1.0, count + 1)).percentiles
    names = list(shares)
    told = [name for name in names if not math.isnan(shares[name])]
    assert told == names[: names.index(known) + 1]


def test_percentiles_of_101_numbers_worked_by_hand() -> None:
    found = summarize(np.arange(101.0))
    assert [found.percentiles[name] for name in ("p50", "p90", "p95", "p99")] == [50, 90, 95, 99]
    assert (found.least, found.largest, found.mean, found.count) == (0, 100, 50, 101)


@given(st.lists(st.floats(0.001, 1e4), min_size=2, max_size=300))
def test_the_numbers_of_any_run_are_ordered(values_ms: list[float]) -> None:
    found = summarize(np.array(values_ms))
    shares = [value for value in found.percentiles.values() if not math.isnan(value)]
    ordered = [found.least, *shares, found.largest]
    assert ordered == sorted(ordered)
    assert found.least <= found.mean * (1 + 1e-9)


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": -1.0}, {"warmup_s": float("inf")}, {"count": 1}, {"turn_s": float("nan")}, {"pace_fps": 0.0}],
)
def test_a_bench_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="a bench needs"):
        MeasureConfig(**wrong)  # type: ignore[arg-type]


def test_nothing_to_measure_is_refused() -> None:
    clock = Clock()
    with pytest.raises(ConfigError, match="nothing to measure"):
        run(clock=clock)
    with pytest.raises(ConfigError, match="nothing to summarise"):
        summarize(np.array([]))
