"""Forwards are counted and timed as the clock says, on clips of the model's own shape."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.runtime.bench import BenchConfig, bench, machine, moving_clips
from amr_edge.runtime.session import open_session
from amr_edge.skeleton import Mask

CardOf = Callable[..., Card]


class Slow:
    """A model that takes 10 ms, every hundredth time 50 ms, by a clock of its own."""

    title = "slow"

    def __init__(self, card: Card) -> None:
        self.card = card
        self.now_s = 0.0
        self.calls = 0

    def now(self) -> float:
        return self.now_s

    def probs(self, values: np.ndarray, present: Mask) -> np.ndarray:
        self.calls += 1
        self.now_s += 0.05 if self.calls % 100 == 0 else 0.01
        return np.zeros((len(values), len(self.card.classes)), np.float32)


def test_warmup_is_by_time_and_is_not_counted(card_of: CardOf) -> None:
    slow = Slow(card_of())
    result = bench(slow, BenchConfig(seconds=1.0, warmup_s=0.2), now=slow.now, rng=np.random.default_rng(0))
    assert 20 <= result.warmup <= 21
    assert slow.calls == result.warmup + result.count
    assert 95 <= result.count <= 101


def test_the_tail_is_kept(card_of: CardOf) -> None:
    slow = Slow(card_of())
    config = BenchConfig(seconds=0.0, warmup_s=0.0, count=1000)
    result = bench(slow, config, now=slow.now, rng=np.random.default_rng(0))
    assert result.count == 1000
    assert result.percentiles["p50"] == pytest.approx(10)
    assert result.largest == pytest.approx(50)
    assert result.mean == pytest.approx(10.4)
    assert result.sd == pytest.approx(np.std([50] * 10 + [10] * 990, ddof=1))


def test_a_slow_model_is_still_measured_often_enough(card_of: CardOf) -> None:
    slow = Slow(card_of())
    result = bench(slow, BenchConfig(seconds=0.01, warmup_s=0.0), now=slow.now, rng=np.random.default_rng(0))
    assert result.count == 30


def test_a_real_model_is_measured(write_model: Callable[..., Path]) -> None:
    import time

    session = open_session(write_model(), threads=1)
    config = BenchConfig(people=3, seconds=0.05, warmup_s=0.01)
    result = bench(session, config, now=time.perf_counter, rng=np.random.default_rng(0))
    told = json.loads(json.dumps(result.to_dict()))
    assert told["shape"] == [3, 1, 16, 20, 3]
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"] <= told["latency_ms"]["max"]


@pytest.mark.parametrize(("persons", "people", "shape"), [(1, 5, (5, 1)), (2, 1, (1, 1)), (2, 5, (1, 2))])
def test_clips_have_the_models_shape_and_move(
    card_of: CardOf, persons: int, people: int, shape: tuple[int, int]
) -> None:
    values, present = moving_clips(card_of(persons=persons), people, np.random.default_rng(0))
    assert values.shape == (*shape, 16, 20, 3)
    assert values.dtype == np.float32
    assert present.all()
    assert (np.abs(np.diff(values[0, 0], axis=0)).sum(axis=(1, 2)) > 0).all()


def test_the_machine_is_said() -> None:
    said = machine(1)
    assert set(said) == {"platform", "cpu", "cores", "threads", "python", "onnxruntime"}
    assert all(said.values())


@pytest.mark.parametrize("wrong", [{"people": 0}, {"seconds": -1.0}, {"warmup_s": float("inf")}, {"count": 1}])
def test_a_bench_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="a bench needs"):
        BenchConfig(**wrong)  # type: ignore[arg-type]
