import torch
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.training.objectives.masking import (
    keep_asymmetric,
    keep_grid,
    keep_random,
    keep_ranked,
    keep_still,
    patch_motion,
)


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


def test_motion_of_a_patch_is_its_mean_distance_from_the_patch_before() -> None:
    # Two joints, three moments, patches of two numbers: joint 0 steps by 1 and then by 3, joint 1 is away in between.
    patches = torch.tensor([[[0.0, 0.0], [5.0, 5.0], [1.0, 1.0], [0.0, 0.0], [4.0, 4.0], [5.0, 5.0]]])
    exists = torch.tensor([[True, True, True, False, True, True]])
    assert patch_motion(patches, exists, joints=2).tolist() == [[1.0, 0.0, 1.0, 0.0, 3.0, 0.0]]


def test_a_clip_of_one_moment_has_no_motion() -> None:
    assert patch_motion(torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool), joints=5).tolist() == [[0.0] * 5] * 2


def test_a_motion_aware_mask_hides_what_moves_the_more_the_smaller_tau_is(generator: torch.Generator) -> None:
    exists = torch.ones(4000, 10, dtype=torch.bool)
    motion = torch.linspace(0, 1, 10).expand(4000, -1)
    shares = []
    for tau in (0.1, 0.8, 1e6):
        kept = keep_still(exists, motion, 3, tau, generator)
        shares.append((torch.bincount(kept.flatten(), minlength=10) / 4000)[-1].item())
    assert shares[0] < shares[1] < shares[2]
    assert abs(shares[2] - 0.3) < 0.03


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000), st.data())
def test_a_grid_shows_some_joints_at_some_moments_and_no_other(
    joints: int, steps: int, seed: int, data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(seed)
    exists = torch.rand(3, steps * joints, generator=generator) < 0.8
    some_joints, some_steps = data.draw(st.integers(1, joints)), data.draw(st.integers(1, steps))
    for row in keep_grid(exists, joints, some_joints, some_steps, generator).tolist():
        assert len(set(row)) == some_joints * some_steps
        assert len({token % joints for token in row}) == some_joints
        assert len({token // joints for token in row}) == some_steps


def test_asmas_masks_complement_each_other(generator: torch.Generator) -> None:
    # Joint 0 has four bones, the others one; the second of two moments is fast.
    exists = torch.ones(4000, 10, dtype=torch.bool)
    motion = torch.tensor([0.1] * 5 + [1.0] * 5).expand(4000, -1)
    degree = torch.tensor([4, 1, 1, 1, 1])
    shares = [
        torch.bincount(
            keep_asymmetric(exists, motion, degree, 4, generator, hide_central=central).flatten(), minlength=10
        )
        / 4000
        for central in (True, False)
    ]
    assert shares[0][5:].sum() > 2.5 > 1.5 > shares[1][5:].sum()
    assert shares[0][5] < shares[0][6:].min()
    assert shares[1][0] > shares[1][1:].max()
