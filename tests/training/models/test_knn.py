import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ConfigError
from amr_edge.training.models.knn import neighbors

KNOWN = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [-1.0, 0.0]])
LABELS = np.array([0, 0, 1, 1, 2])


def test_the_nearest_by_angle_answers_whatever_its_length() -> None:
    asked = np.array([[100.0, 1.0], [0.001, 0.01], [-3.0, 0.1]])
    assert neighbors(KNOWN, LABELS, asked, k=1, classes=3).argmax(axis=1).tolist() == [0, 1, 2]


def test_three_neighbors_vote_two_to_one() -> None:
    votes = neighbors(KNOWN, LABELS, np.array([[1.0, 0.3]]), k=3, classes=3)[0]
    assert votes.argmax() == 0
    assert votes == pytest.approx([2 / 3, 1 / 3, 0], abs=0.05)


def test_a_tie_goes_to_the_more_similar_and_never_beats_a_vote() -> None:
    assert neighbors(KNOWN[[0, 2]], LABELS[[0, 2]], np.array([[1.0, 0.9]]), k=2, classes=3)[0].argmax() == 0
    # One very similar neighbour against two that point away: two votes are more than one.
    known, labels = np.array([[1.0, 0.0], [-1.0, 0.1], [-1.0, -0.1]]), np.array([0, 1, 1])
    assert neighbors(known, labels, np.array([[1.0, 0.0]]), k=3, classes=2)[0].argmax() == 1


def test_more_neighbors_than_clips_are_all_clips() -> None:
    few = neighbors(KNOWN, LABELS, KNOWN, k=5, classes=3)
    assert np.array_equal(few, neighbors(KNOWN, LABELS, KNOWN, k=20, classes=3))


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**31))
def test_votes_sum_to_one_and_equal_a_loop_over_clips(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    known, asked, labels = rng.normal(size=(9, 4)), rng.normal(size=(5, 4)), rng.integers(0, 3, 9)
    votes = neighbors(known, labels, asked, k, classes=3)
    assert np.allclose(votes.sum(axis=1), 1, atol=1e-6)
    for row, query in zip(votes, asked, strict=True):
        cosine = known @ query / np.linalg.norm(known, axis=1) / np.linalg.norm(query)
        count = np.bincount(labels[np.argsort(-cosine)[:k]], minlength=3)
        assert count[row.argmax()] == count.max()


def test_no_neighbor_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        neighbors(KNOWN, LABELS, KNOWN, k=0, classes=3)
