import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.preprocess import Clip
from amr_edge.training.augment import augment, rotations
from amr_edge.training.config import AugmentConfig


def clip(rng: np.random.Generator) -> Clip:
    values = rng.normal(size=(3, 2, 8, 5, 3)).astype(np.float32)
    present = rng.random((3, 2, 8, 5)) < 0.8
    return Clip(np.where(present[..., None], values, 0).astype(np.float32), present)


@given(st.integers(0, 1000))
def test_turns_keep_distances_and_handedness(seed: int) -> None:
    turns = rotations(4, AugmentConfig(yaw=3.0, tilt=1.0), np.random.default_rng(seed)).astype(np.float64)
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-6)


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
