"""A fold's numbers: held against the published ones, and taken over by the model of everybody."""

from dataclasses import replace

import pytest

from amr_edge.card import Card
from amr_edge.errors import CheckFailedError
from amr_edge.export.verify.rehab8.cross_validation import EXPECTED, card_of_all, check_expected
from amr_edge.training.recipes.rehab8.config import rehab8
from amr_edge.training.recipes.rehab8.dataset import CLASSES
from amr_edge.training.recipes.rehab8.train import card_of


@pytest.fixture
def card() -> Card:
    """A card with exactly the published numbers."""
    metrics = {f"{part}: windows": share for part, (share, _) in EXPECTED.items()}
    return replace(card_of(rehab8(), "classifier", {"name": "fold"}, seed=0, classes=CLASSES), metrics=metrics)


def test_the_published_numbers_pass(card: Card) -> None:
    check_expected(card)


@pytest.mark.parametrize("part", list(EXPECTED))
def test_a_number_within_its_tolerance_passes_and_one_below_does_not(card: Card, part: str) -> None:
    share, tolerance = EXPECTED[part]
    name = f"{part}: windows"
    check_expected(replace(card, metrics=card.metrics | {name: share - 0.9 * tolerance}))
    with pytest.raises(CheckFailedError, match=part):
        check_expected(replace(card, metrics=card.metrics | {name: share - 1.1 * tolerance}))


def test_what_was_not_judged_is_not_checked(card: Card) -> None:
    check_expected(replace(card, metrics={}))


def test_expected_shares_leave_room_for_the_floors_of_the_issue() -> None:
    floors = (0.96, 0.92, 0.75, 0.5, 0.69)
    for (share, tolerance), floor in zip(EXPECTED.values(), floors, strict=True):
        assert floor - 1e-9 <= share - tolerance < share <= 1


def test_the_model_of_everybody_says_what_people_left_out_could_tell_and_its_own_data(card: Card) -> None:
    of_fold = replace(card, temperature=0.7, thresholds=(0.3,) * len(CLASSES), calibration={"data": "9, 10"})
    own = card_of(rehab8(), "classifier", {"name": "all"}, seed=0, classes=CLASSES)
    both = card_of_all(own, of_fold)
    assert (both.temperature, both.thresholds, both.metrics) == (0.7, of_fold.thresholds, of_fold.metrics)
    assert both.calibration == {"data": "9, 10"}
    assert both.data == {"name": "all"}
