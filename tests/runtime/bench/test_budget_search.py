"""The largest budget that keeps a time is found by measuring, and what was found is said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.runtime.bench.budget_search import LADDER, BudgetSearchResult, largest_that_holds
from amr_edge.runtime.inference.session import open_session
from amr_edge.skeleton import Mask

CardOf = Callable[..., Card]


class Machine:
    """A clock, and sessions that take `ms_each` for every token, by that clock."""

    def __init__(self, card: Card, ms_each: float) -> None:
        self.card, self.ms_each, self.now_s = card, ms_each, 0.0
        self.opened: list[float] = []

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def open_at(self, share: float) -> "Sleeper":
        self.opened.append(share)
        return Sleeper(self, self.card.tokens_at(share))


class Sleeper:
    title = "sleeper"

    def __init__(self, machine: Machine, tokens: int) -> None:
        self.machine, self.card, self.tokens = machine, machine.card, tokens

    def probs(self, values: np.ndarray, present: Mask) -> np.ndarray:
        self.machine.sleep(self.machine.ms_each * self.tokens * len(values) / 1e3)
        return np.zeros((len(values), len(self.card.classes)), np.float32)


def held(machine: Machine, target_ms: float, people: int = 1) -> BudgetSearchResult:
    rng = np.random.default_rng(0)
    return largest_that_holds(machine.open_at, target_ms, people, now=machine.now, sleep=machine.sleep, rng=rng)


# The tiny card has 16 / 4 * 20 = 80 tokens: 8, 12, 20, 28, 40, 60 and 80 of them on the ladder.
@pytest.mark.parametrize(("target_ms", "share"), [(80.5, 1.0), (79.0, 0.75), (20.5, 0.25), (8.5, 0.1)])
def test_the_largest_budget_that_keeps_the_time_is_taken(card_of: CardOf, target_ms: float, share: float) -> None:
    found = held(Machine(card_of(), ms_each=1.0), target_ms)
    assert found.share == share
    assert found.holds
    assert found.session.tokens == card_of().tokens_at(share)


def test_people_count(card_of: CardOf) -> None:
    assert held(Machine(card_of(), ms_each=1.0), 40.5, people=2).share == 0.25


def test_nothing_larger_is_opened_than_the_first_that_is_too_slow(card_of: CardOf) -> None:
    machine = Machine(card_of(), ms_each=1.0)
    found = held(machine, 20.5)
    assert machine.opened == [0.1, 0.15, 0.25, 0.35]
    assert found.beyond == (0.35, pytest.approx(28))
    assert found.sentence() == (
        "target 20.5 ms: a budget of 0.25, 20 of 80 tokens, takes 20 ms for 1 person (p90); 0.35 would take 28 ms"
    )


def test_the_smallest_is_taken_and_that_is_said_where_none_keeps_the_time(card_of: CardOf) -> None:
    machine = Machine(card_of(), ms_each=1.0)
    found = held(machine, 5.0)
    assert (found.share, found.holds, machine.opened) == (0.1, False, [0.1])
    assert "no budget keeps it here; the smallest is taken" in found.sentence()
    assert "takes 8 ms" in found.sentence()


def test_the_ladder_climbs_to_all() -> None:
    assert list(LADDER) == sorted(set(LADDER))
    assert LADDER[-1] == 1


@pytest.mark.parametrize("target_ms", [0.0, -1.0, float("nan"), float("inf")])
def test_a_target_that_is_no_time_is_refused(card_of: CardOf, target_ms: float) -> None:
    with pytest.raises(ConfigError, match="above 0 ms"):
        held(Machine(card_of(), ms_each=1.0), target_ms)


def test_a_file_with_one_budget_says_so(write_model: Callable[..., Path]) -> None:
    path, machine = write_model(), Machine(Card.from_json(open_session(write_model()).card.to_json(), "card"), 1.0)
    with pytest.raises(ConfigError, match="always looks at 80 of 80 tokens; export it again"):
        largest_that_holds(
            lambda share: open_session(path, engine="onnxruntime", budget=share),
            20.0,
            1,
            now=machine.now,
            sleep=machine.sleep,
            rng=np.random.default_rng(0),
        )
