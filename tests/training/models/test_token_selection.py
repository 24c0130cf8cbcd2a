"""Tokens are chosen by motion, spread over joints and moments, without ties; their cost is the one worked by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ConfigError
from amr_edge.motion_energy import token_energy
from amr_edge.training.config import EncoderConfig
from amr_edge.training.data.torch_backend import TORCH
from amr_edge.training.models.token_selection import TokenSelector, macs


def bodies(seed: int, *, B: int = 3, T: int = 16, V: int = 5, holes: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints that wander up to metres from the origin, some of them unseen in some frames."""
    rng = np.random.default_rng(seed)
    path = rng.normal(size=(B, 1, V, 3)) + rng.normal(0, 0.05, (B, T, V, 3)).cumsum(axis=1)
    present = rng.random((B, T, V)) >= holes
    return torch.from_numpy((path * present[..., None]).astype(np.float32)), torch.from_numpy(present)


def choice(T: int = 16, V: int = 5, windows: tuple[int, ...] = (4, 8, 16), patch: int = 4) -> TokenSelector:
    return TokenSelector(frames=T, joints=V, patch_frames=patch, windows=windows)


@pytest.mark.parametrize(("T", "patch", "windows"), [(16, 4, (4, 8, 16)), (120, 8, (4, 8, 12)), (60, 4, (6, 10))])
def test_the_energies_are_those_of_the_focal_loss(T: int, patch: int, windows: tuple[int, ...]) -> None:
    body, present = bodies(1, T=T)
    ours = choice(T, 5, windows, patch).energy(body, present)
    wanted = token_energy(body.double(), present, patch, windows, TORCH).flatten(1)
    torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-15)


def test_what_moves_most_comes_first_and_what_is_absent_last() -> None:
    body = torch.zeros(1, 8, 3, 3)
    body[0, 4:, 1, 0] = torch.tensor([0.0, 1.0, 0.0, 1.0])  # joint 1 moves far in the second moment
    body[0, :4, 2, 0] = torch.tensor([0.0, 0.1, 0.0, 0.1])  # joint 2 a little in the first
    present = torch.ones(1, 8, 3, dtype=torch.bool)
    present[0, 0, 0] = False  # joint 0 is unseen in a frame of the first
    kept = choice(8, 3, (4,))(body, present, torch.arange(6))
    # Tokens are moment * 3 + joint; 1, 3 and 5 are still: 3 is the best of joint 0, 1 and 5 go by their place.
    assert kept.tolist() == [[4, 2, 3, 1, 5, 0]]


def test_the_best_of_each_joint_and_moment_counts_sixteen_times() -> None:
    # 10 joints, 4 moments. Joint j moves by (10 - j) / 10 in the first moment and by a little less in each later one:
    # energies 1, 0.81, 0.64, 0.49, 0.36, 0.25, 0.16, 0.09, 0.04, 0.01 of the first moment's largest.
    swing = torch.tensor([0.0, 1.0, 0.0, 1.0]).repeat(4) * torch.tensor([1.0, 0.99, 0.98, 0.97]).repeat_interleave(4)
    body = torch.zeros(1, 16, 10, 3)
    body[0, :, :, 0] = swing[:, None] * torch.arange(10, 0, -1.0) * 0.1
    kept = choice(16, 10, (4,))(body, torch.ones(1, 16, 10, dtype=torch.bool), torch.arange(16))[0].tolist()
    # The best of the four moments (joint 0), then of joints 1 to 7 down to 16 * 0.09 = 1.44 ...
    assert kept[:11] == [0, 10, 20, 30, 1, 2, 3, 4, 5, 6, 7]
    # ... joint 1 later (0.81 * 0.98 and less), the best of joint 8 (16 * 0.04), joint 2 later (0.64 * 0.98).
    assert kept[11:] == [11, 21, 31, 8, 12]


@given(seed=st.integers(0, 2**16), keep=st.integers(1, 20), holes=st.sampled_from([0.0, 0.05, 0.4, 1.0]))
@settings(deadline=None, max_examples=60)
def test_a_choice_has_no_doubles_and_takes_absent_tokens_only_when_no_others_are_left(
    seed: int, keep: int, holes: float
) -> None:
    body, present = bodies(seed, holes=holes)
    chooser = choice()
    kept = chooser(body, present, torch.arange(keep))
    exists = chooser.keys(body, present) > 0
    for row, here in zip(kept.tolist(), exists, strict=True):
        assert len(set(row)) == keep
        assert int(here[row].sum()) == min(keep, int(here.sum()))


def test_all_tokens_are_chosen_once_on_a_full_budget() -> None:
    kept = choice()(*bodies(2), torch.arange(20))
    assert (kept.sort(dim=1).values == torch.arange(20)).all()


def test_tokens_that_move_alike_are_told_apart_by_their_place() -> None:
    body, present = bodies(3, B=1, holes=0)
    body[..., 3, :] = body[..., 1, :] + 0.5  # joint 3 moves exactly as joint 1 does
    body[..., 4, :] = 0.25  # joint 4 is still
    body = (body * 1024).round() / 1024
    keys = choice().keys(body, present)
    assert len(keys.unique()) == 20
    order = keys.argsort(dim=1, descending=True)[0].tolist()
    # 9, 14 and 19 are still; 4 too, but it is the best of its joint. They are last, by place.
    assert order[-4:] == [4, 9, 14, 19]
    energy = choice().energy(body, present)[0]
    torch.testing.assert_close(energy[1::5], energy[3::5])


@given(factors=st.lists(st.sampled_from([0.0, 0.25, 1.0, 4.0]), min_size=5, max_size=5), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_no_two_tokens_share_a_place_however_alike_they_move(factors: list[float], seed: int) -> None:
    body, present = bodies(seed, B=1, holes=0)
    body = body[..., :1, :] * torch.tensor(factors)[:, None]  # all joints move as one, scaled
    keys = choice().keys(body, present)
    assert len(keys.unique()) == 20


@pytest.mark.parametrize("wrong", [{"windows": ()}, {"windows": (5,)}, {"patch": 3}, {"T": 4000, "V": 40}])
def test_windows_that_do_not_divide_a_clip_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="divide"):
        choice(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tokens", "millions"),
    [(750, 7023), (375, 2935), (250, 1829), (188, 1328), (150, 1036), (125, 850), (100, 670), (75, 495), (50, 325)],
)
def test_the_cost_at_the_papers_size_is_the_one_worked_by_hand(tokens: int, millions: int) -> None:
    assert round(macs(EncoderConfig(), tokens) / 1e6) == millions


def test_the_small_students_cost_is_the_one_worked_by_hand() -> None:
    student = EncoderConfig(width=128, depth=4, heads=4, mlp_ratio=2, patch_frames=8)
    assert round(macs(student, 375) / 1e5) == 3406
