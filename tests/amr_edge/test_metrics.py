"""Scores, worked by hand and against a slower road."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ClipError
from amr_edge.metrics import score

# Four clips of three classes: right, right, wrong (0 for 1), right.
PROBS = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]])
LABELS = np.array([0, 0, 1, 2])


def test_scores_worked_by_hand() -> None:
    found = score(PROBS, LABELS)
    assert found.top1 == 0.75
    assert found.top5 == 1  # there are only three classes
    assert found.mean_class == pytest.approx((1 + 0 + 1) / 3)
    assert found.confusion.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert found.clips == 4
    assert found.per_class().tolist() == [1, 0, 1]


def test_a_class_without_clips_has_no_accuracy_and_does_not_lower_the_mean() -> None:
    found = score(PROBS[:2], LABELS[:2])
    assert found.mean_class == 1
    assert found.per_class()[0] == 1
    assert np.isnan(found.per_class()[1:]).all()


def test_top5_leaves_out_the_sixth() -> None:
    probs = np.array([[0.3, 0.2, 0.15, 0.13, 0.12, 0.1]])
    assert score(probs, np.array([4])).top5 == 1
    assert score(probs, np.array([5])).top5 == 0


def test_of_equal_probabilities_the_first_class_is_the_answer_everywhere() -> None:
    found = score(np.full((1, 6), 1 / 6), np.array([0]))
    assert (found.top1, found.top5) == (1, 1)
    assert score(np.full((1, 6), 1 / 6), np.array([5])).top5 == 0


@given(seed=st.integers(0, 10_000), clips=st.integers(1, 40), classes=st.integers(1, 12))
@settings(deadline=None)
def test_both_roads_to_accuracy_agree(seed: int, clips: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    probs, labels = rng.dirichlet(np.ones(classes), clips), rng.integers(0, classes, clips)
    found = score(probs, labels)
    assert found.top1 == pytest.approx(np.trace(found.confusion) / clips)
    ranks = [(row > row[label]).sum() for row, label in zip(probs, labels, strict=True)]
    assert found.top5 == pytest.approx(np.mean(np.array(ranks) < 5))
    assert found.mean_class == pytest.approx(np.nanmean(found.per_class()))
    assert found.top1 <= found.top5
    np.testing.assert_array_equal(found.confusion.sum(axis=1), np.bincount(labels, minlength=classes))


@pytest.mark.parametrize(
    ("probs", "labels", "says"),
    [
        (np.zeros((0, 3)), np.zeros(0, np.int64), "N > 0"),
        (np.zeros(3), np.array([0, 1, 2]), r"\(3,\)"),
        (PROBS, LABELS[:3], r"\(3,\)"),
        (PROBS, LABELS[:, None], r"\(4, 1\)"),
        (PROBS, np.array([0, 0, 1, 3]), "3 classes"),
        (PROBS, np.array([0, 0, 1, -1]), "from -1"),
        (np.where(PROBS == 0.8, np.nan, PROBS), LABELS, "finite"),
    ],
)
def test_what_cannot_be_scored_is_refused(probs: np.ndarray, labels: np.ndarray, says: str) -> None:
    with pytest.raises(ClipError, match=says):
        score(probs, labels)
