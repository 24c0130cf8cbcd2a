"""A model is timed on clips of its own shape, on bodies that move."""

from collections.abc import Callable

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.runtime.bench.synthetic_inputs import moving_clips


@pytest.mark.parametrize(("persons", "people", "shape"), [(1, 5, (5, 1)), (2, 1, (1, 1)), (2, 5, (1, 2))])
def test_clips_have_the_models_shape_and_move(
    card_of: Callable[..., Card], persons: int, people: int, shape: tuple[int, int]
) -> None:
    values, present = moving_clips(card_of(persons=persons), people, np.random.default_rng(0))
    assert values.shape == (*shape, 16, 20, 3)
    assert values.dtype == np.float32
    assert present.all()
    assert (np.abs(np.diff(values[0, 0], axis=0)).sum(axis=(1, 2)) > 0).all()
