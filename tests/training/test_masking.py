import torch
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.training.masking import keep_random, keep_ranked


@given(st.integers(1, 40), st.integers(0, 10_000), st.booleans(), st.data())
def test_kept_tokens_are_distinct_and_existing_ones_come_first(
    tokens: int, seed: int, ranked: bool, data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(seed)
    exists = torch.rand(3, tokens, generator=generator) < 0.6
    keep = data.draw(st.integers(1, tokens))
    if ranked:
        kept = keep_ranked(exists, torch.rand(3, tokens, generator=generator), keep, generator)
    else:
        kept = keep_random(exists, keep, generator)
    assert kept.shape == (3, keep)
    for row, there in zip(kept, exists, strict=True):
        assert len(set(row.tolist())) == keep
        assert there[row].sum() == min(keep, int(there.sum()))


def test_without_noise_the_most_moving_tokens_are_kept() -> None:
    energy = torch.tensor([[0.1, 5.0, 0.0, 2.0, 9.0]])
    exists = torch.tensor([[True, True, True, True, False]])
    kept = keep_ranked(exists, energy, 2, torch.Generator(), noise=0.0)
    assert sorted(kept[0].tolist()) == [1, 3]


def test_every_token_is_kept_equally_often_by_chance(generator: torch.Generator) -> None:
    exists = torch.ones(4000, 10, dtype=torch.bool)
    share = torch.bincount(keep_random(exists, 3, generator).flatten(), minlength=10) / 4000
    assert (share - 0.3).abs().max() < 0.03


def test_moving_tokens_are_kept_more_often_but_still_ones_sometimes(generator: torch.Generator) -> None:
    exists = torch.ones(4000, 10, dtype=torch.bool)
    energy = torch.full((4000, 10), 0.01)
    energy[:, 0] = 1.0
    share = torch.bincount(keep_ranked(exists, energy, 3, generator).flatten(), minlength=10) / 4000
    assert share[0] > 0.9
    assert share[1:].min() > 0.1
