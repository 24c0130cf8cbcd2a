import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.preprocess import Clip
from amr_edge.training.augment import augment, draw, seeds_of, turns
from amr_edge.training.config import AugmentConfig


def clip(rng: np.random.Generator) -> Clip:
    values = rng.normal(size=(3, 2, 8, 5, 3)).astype(np.float32)
    present = rng.random((3, 2, 8, 5)) < 0.8
    return Clip(np.where(present[..., None], values, 0).astype(np.float32), present)


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


@given(st.integers(0, 1000))
def test_absent_joints_stay_absent_and_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = clip(rng)
    config = AugmentConfig(yaw=1.0, tilt=0.5, scale=0.2, noise_m=0.05, drop_joints=0.5)
    after = augment(before, config, rng)
    assert not (after.present & ~before.present).any()
    assert (after.values[~after.present] == 0).all()


def test_without_any_change_allowed_nothing_changes() -> None:
    before = clip(np.random.default_rng(0))
    after = augment(before, AugmentConfig(yaw=0, tilt=0), np.random.default_rng(1))
    np.testing.assert_allclose(after.values, before.values, atol=1e-6)
    assert (after.present == before.present).all()


def test_both_persons_of_a_clip_turn_together() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=(2, 1, 8, 5, 3)), 2, axis=1).astype(np.float32)
    after = augment(Clip(values, np.ones((2, 2, 8, 5), dtype=bool)), AugmentConfig(yaw=2.0), rng)
    np.testing.assert_array_equal(after.values[:, 0], after.values[:, 1])
    assert not np.allclose(after.values, values)
