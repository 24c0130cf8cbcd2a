"""The pairing is the cheapest there is, which two other roads agree on."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from amr_edge.runtime.pipeline.assignment import cheapest_pairs

costs = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.floats(0, 100))


@settings(deadline=None)
@given(costs)
def test_no_other_pairing_costs_less(cost: np.ndarray) -> None:
    pairs = cheapest_pairs(cost)
    rows, columns = cost.shape
    assert len(pairs) == min(rows, columns)
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    wide = cost if rows <= columns else cost.T
    least = min(sum(wide[r, c] for r, c in enumerate(order)) for order in permutations(range(wide.shape[1]), len(wide)))
    assert sum(cost[r, c] for r, c in pairs) == pytest.approx(least, abs=1e-6)


@settings(deadline=None)
@given(costs, st.integers(0, 2**32 - 1))
def test_with_forbidden_pairs_the_most_and_then_the_cheapest_are_taken(cost: np.ndarray, seed: int) -> None:
    cost = np.where(np.random.default_rng(seed).random(cost.shape) < 0.4, np.inf, cost)
    pairs = cheapest_pairs(cost)
    assert all(np.isfinite(cost[r, c]) for r, c in pairs)
    wide = cost if len(cost) <= cost.shape[1] else cost.T
    best = (0, 0.0)
    for order in permutations(range(wide.shape[1]), len(wide)):
        taken = [wide[r, c] for r, c in enumerate(order) if np.isfinite(wide[r, c])]
        best = min(best, (-len(taken), sum(taken)))
    assert len(pairs) == -best[0]
    assert sum(cost[r, c] for r, c in pairs) == pytest.approx(best[1], abs=1e-6)


@pytest.mark.parametrize("size", [20, 60])
def test_large_pairings_agree_with_scipy(size: int) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed: nothing to compare with")
    cost = np.random.default_rng(size).random((size, size + 7))
    row, column = optimize.linear_sum_assignment(cost)
    ours = sum(cost[r, c] for r, c in cheapest_pairs(cost))
    assert ours == pytest.approx(cost[row, column].sum(), abs=1e-9)


def test_nobody_and_nobody_who_may_be_paired_give_no_pairs() -> None:
    assert cheapest_pairs(np.empty((0, 3))) == []
    assert cheapest_pairs(np.full((2, 2), np.inf)) == []
