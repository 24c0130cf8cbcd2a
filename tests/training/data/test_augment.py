import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.training.config import AugmentConfig
from amr_edge.training.data.augment import draw, seeds_of, turns


@given(st.integers(0, 1000))
def test_turns_keep_distances_and_handedness(seed: int) -> None:
    config = AugmentConfig(yaw=3.0, tilt=1.0)
    made = draw(seeds_of(seed, np.arange(4)), config, joints=5).change.astype(np.float64)
    np.testing.assert_allclose(made @ made.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(made), 1, atol=1e-6)


def test_a_quarter_turn_about_y_takes_z_to_x() -> None:
    still, quarter = np.zeros(1), np.full(1, np.pi / 2)
    np.testing.assert_allclose(turns(still, quarter, still)[0] @ [0, 0, 1], [1, 0, 0], atol=1e-6)


def test_turns_and_sizes_fill_what_is_allowed_and_no_more() -> None:
    seeds = seeds_of(0, np.arange(2000))
    tilted = draw(seeds, AugmentConfig(yaw=0.4, tilt=0), joints=5).change
    yaw = np.arctan2(tilted[:, 0, 2], tilted[:, 0, 0])
    assert -0.4 <= yaw.min() < -0.39
    assert 0.39 < yaw.max() <= 0.4
    sized = draw(seeds, AugmentConfig(yaw=0, tilt=0, scale=0.2), joints=5).change[:, 0, 0]
    assert 0.8 <= sized.min() < 0.81
    assert 1.19 < sized.max() <= 1.2


def test_joints_are_dropped_in_the_asked_share_of_clips_and_up_to_a_third_of_them() -> None:
    kept = draw(seeds_of(0, np.arange(4000)), AugmentConfig(drop_joints=0.5), joints=50).kept
    lost = 1 - kept.mean(axis=1)  # (N,)
    assert abs(lost.mean() - 0.5 / 6) < 0.01
    assert abs((lost > 0).mean() - 0.5) < 0.06
    assert draw(seeds_of(0, np.arange(99)), AugmentConfig(), joints=50).kept.all()


def test_half_the_clips_are_seen_in_a_mirror_and_no_other_number_changes() -> None:
    seeds = seeds_of(0, np.arange(2000))
    plain = draw(seeds, AugmentConfig(yaw=1.0, drop_joints=0.5), joints=5)
    half = draw(seeds, AugmentConfig(yaw=1.0, drop_joints=0.5, mirror=0.5), joints=5)
    assert not plain.mirrored.any()
    assert abs(half.mirrored.mean() - 0.5) < 0.03
    assert (half.kept == plain.kept).all()
    flipped = half.change @ np.diag(np.float32([-1, 1, 1]))
    np.testing.assert_array_equal(np.where(half.mirrored[:, None, None], flipped, half.change), plain.change)
