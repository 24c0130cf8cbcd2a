import torch
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.motion_energy import token_energy, window_energy
from amr_edge.training.data.torch_backend import TORCH
from amr_edge.training.models.motion_energy import focal_weights


def everywhere(body: torch.Tensor) -> torch.Tensor:
    return torch.ones(body.shape[:3], dtype=torch.bool)


def test_energy_of_a_joint_that_steps_once_is_worked_by_hand() -> None:
    body = torch.zeros(1, 4, 1, 3)
    body[0, 2:, 0, 0] = 2.0  # positions 0 0 2 2: mean 1, every frame one away
    energy, seen = window_energy(body, everywhere(body), 4, TORCH)
    assert energy.tolist() == [[[1.0]]]
    assert seen.tolist() == [[[True]]]


def test_weights_are_one_everywhere_at_k_0() -> None:
    body = torch.randn(2, 24, 5, 3)
    assert torch.equal(focal_weights(body, everywhere(body), (4, 8, 12), 0.0), torch.ones(2, 24, 5))


def test_a_moving_joint_counts_more_than_a_still_one() -> None:
    body = torch.zeros(1, 24, 2, 3)
    body[0, :, 0, 1] = torch.sin(torch.arange(24) / 3)
    weight = focal_weights(body, everywhere(body), (4, 8, 12), 0.01)
    assert weight[0, :, 0].min() > 0.5
    assert weight[0, :, 1].max() < 1e-3


def test_the_weight_of_a_window_at_a_hundredth_of_the_mean_energy_is_one_half() -> None:
    # Two joints, one window: energies 2 - 0.02 and 0.02 have the mean 1; 0.01 / 0.02 -> w = 1 / 1.5.
    body = torch.zeros(1, 2, 2, 3)
    body[0, 1, 0, 0] = 2 * (1.98**0.5)
    body[0, 1, 1, 0] = 2 * (0.02**0.5)
    weight = focal_weights(body, everywhere(body), (2,), 0.01)
    torch.testing.assert_close(weight[0, 0, 1], torch.tensor(1 / 1.5), atol=1e-5, rtol=0)


@given(st.floats(-3, 3), st.floats(-5, 5), st.integers(0, 1000))
def test_weights_do_not_change_when_the_camera_turns_or_moves(angle: float, shift: float, seed: int) -> None:
    body = torch.randn(1, 24, 4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    cos, sin = torch.cos(torch.tensor(angle).double()), torch.sin(torch.tensor(angle).double())
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    turn = torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos]).reshape(3, 3)
    moved = body @ turn.T + shift
    here = everywhere(body)
    torch.testing.assert_close(
        focal_weights(moved, here, (4, 8, 12), 0.01), focal_weights(body, here, (4, 8, 12), 0.01), atol=1e-9, rtol=1e-7
    )


def test_absent_frames_do_not_count_as_movement_to_the_origin() -> None:
    body = torch.full((1, 8, 1, 3), 5.0)
    present = everywhere(body)
    present[0, 3] = False
    body[0, 3] = 0.0
    energy, _ = window_energy(body, present, 8, TORCH)
    assert energy.item() == 0.0


def test_token_energy_of_a_still_body_is_zero_and_of_a_moving_joint_is_not() -> None:
    body = torch.zeros(1, 8, 2, 3)
    body[0, 4:, 1, 0] = torch.tensor([0.0, 1.0, 0.0, 1.0])
    energy = token_energy(body, everywhere(body), 4, (4, 8), TORCH).flatten(1)
    assert energy.argmax().item() == 3  # second patch-time, second joint
    assert energy[0, 0] == 0
