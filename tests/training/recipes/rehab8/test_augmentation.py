"""Changes: each does what it says, nothing more, and nothing at all where it is switched off."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ConfigError
from amr_edge.kinematics.joint_angles import standing
from amr_edge.preprocess import PrepareConfig, prepare
from amr_edge.skeleton import CANONICAL15
from amr_edge.training.recipes.rehab8.augmentation import (
    ARMS,
    AugmentationConfig,
    Windows,
    arm_poses,
    arms_of,
    between,
    bones_of,
    built,
    changed_bodies,
    changed_views,
    instants,
    jittered,
    mirrored,
    misseen,
    prepare_windows,
    rotations,
    torso_frames,
    unit,
    viewed,
    with_amplitude,
    with_arms,
    with_drop_outs,
    with_stance,
)

N, T = 3, 64
OFF = AugmentationConfig(**{each.name: 0.0 for each in fields(AugmentationConfig)})
AT_S = np.linspace(0, (T - 1) / 15, T)  # the very instants that a window is sampled at
CONFIG = PrepareConfig(layout="canonical15", frames=T, window_s=4.2, view="body", bones="unit")


def people(seed: int = 0) -> np.ndarray:
    """(N, T, 15, 3): somebody who stands and whose joints wander by centimetres."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.004, (N, T, 15, 3)), axis=1)
    return (standing() + walk).astype(np.float32)


def lengths(poses: np.ndarray) -> np.ndarray:
    return np.linalg.norm(bones_of(poses), axis=-1)


def windows(poses: np.ndarray) -> Windows:
    yes = np.ones(N, dtype=np.bool_)
    progress = np.broadcast_to(np.linspace(0, 1, T, dtype=np.float32), (N, T))
    return Windows(poses, progress, bones_of(poses[:, 0]), yes, yes, np.full(N, -1))


def test_poses_built_from_their_bones_are_the_poses_at_the_origin() -> None:
    poses = people()
    np.testing.assert_allclose(built(bones_of(poses)), poses - poses[:, :, :1], atol=1e-6)


def test_a_quarter_turn_about_the_vertical_takes_left_to_back() -> None:
    turn = rotations(np.array([0, np.pi / 2, 0], dtype=np.float32))
    np.testing.assert_allclose(turn @ [1, 0, 0], [0, 0, -1], atol=1e-6)


@given(st.lists(st.floats(-4, 4, width=32), min_size=3, max_size=3))
def test_a_rotation_keeps_lengths_and_handedness(vector: list[float]) -> None:
    turn = rotations(np.array(vector, dtype=np.float32)).astype(np.float64)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-5)


def test_all_switched_off_changes_nothing() -> None:
    poses = people()
    rng = np.random.default_rng(0)
    same = changed_views(changed_bodies(windows(poses), rng, OFF), rng, OFF)
    np.testing.assert_allclose(same, poses - poses[:, :, :1], atol=2e-6)


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_changes_of_bodies_keep_every_bone_as_long_as_it_was(seed: int) -> None:
    poses = people(1)
    changed = changed_bodies(windows(poses), np.random.default_rng(seed), AugmentationConfig())
    np.testing.assert_allclose(lengths(changed), lengths(poses), atol=1e-5)


def test_half_the_amplitude_of_a_right_angle_is_half_a_right_angle() -> None:
    bones = np.zeros((1, 1, 15, 3), dtype=np.float32)
    rest = np.zeros((1, 15, 3), dtype=np.float32)
    bones[0, 0, 1], rest[0, 1] = (0, 0, 2), (0, 2, 0)
    half = with_amplitude(bones, rest, np.float32([0.5]))
    np.testing.assert_allclose(half[0, 0, 1], 2 * np.array([0, np.sqrt(0.5), np.sqrt(0.5)]), rtol=1e-6)


def test_a_tempo_of_nothing_else_is_real_time() -> None:
    at_s = instants(np.random.default_rng(0), 2, T, 15.0, OFF)
    np.testing.assert_allclose(at_s, np.tile(np.arange(T) / 15, (2, 1)), atol=1e-5)


def test_time_never_goes_back_and_pauses_make_it_slower() -> None:
    paused = AugmentationConfig(tempo=0.0, pauses=1.0)
    at_s = instants(np.random.default_rng(0), 200, T, 15.0, paused)
    assert (np.diff(at_s, axis=1) >= 0).all()
    assert at_s[:, -1].mean() < 0.9 * (T - 1) / 15


def test_mirrored_twice_is_as_before_and_the_left_wrist_becomes_the_right_one() -> None:
    poses = people()
    which = np.array([True, False, True])
    once = mirrored(poses, which)
    left, right = CANONICAL15.index("left_wrist"), CANONICAL15.index("right_wrist")
    np.testing.assert_array_equal(once[0, :, left] * [-1, 1, 1], poses[0, :, right])
    np.testing.assert_array_equal(once[1], poses[1])
    np.testing.assert_array_equal(mirrored(once, which), poses)


def test_arms_put_where_they_were_are_where_they_were() -> None:
    bones = bones_of(people())
    frames = torso_frames(bones, upright=np.zeros(N, dtype=np.bool_))
    again = with_arms(bones, arms_of(bones, frames), np.ones((N, 2), dtype=np.bool_), frames)
    np.testing.assert_allclose(again, bones, atol=1e-5)


def test_arms_put_outwards_point_away_from_the_body_on_both_sides() -> None:
    bones = bones_of(people())
    out = np.zeros((N, T, 2, 2, 3), dtype=np.float32)
    out[..., 0] = 1
    frames = torso_frames(bones, upright=np.ones(N, dtype=np.bool_))
    put = with_arms(bones, out, np.ones((N, 2), dtype=np.bool_), frames)
    (left, _), (right, _) = ARMS
    assert (unit(put[:, :, left])[..., 0] > 0.95).all()
    assert (unit(put[:, :, right])[..., 0] < -0.95).all()


def test_arms_that_rest_hang() -> None:
    held = arm_poses(np.random.default_rng(0), (500,), still=np.ones(500, dtype=np.bool_))
    assert (held[:, 0, 1] < 0).all()
    np.testing.assert_allclose(np.linalg.norm(held, axis=-1), 1, atol=1e-5)


def test_the_way_from_key_to_key_meets_the_keys() -> None:
    keys = np.eye(3, dtype=np.float32)[None, :, None]  # (1, K, 1, 3)
    met = between(keys, np.array([[0.0, 1.0, 2.0]], dtype=np.float32))
    np.testing.assert_allclose(met[0, :, 0], np.eye(3), atol=1e-6)


def test_jitter_is_constant_in_a_window_and_as_large_as_asked() -> None:
    still = np.repeat(people()[:, :1], T, axis=1)
    bones = bones_of(np.tile(still, (100, 1, 1, 1)))
    turned = jittered(bones, np.random.default_rng(0), 14.0)
    np.testing.assert_allclose(turned, np.repeat(turned[:, :1], T, axis=1), atol=1e-6)
    cos = np.einsum("nvc,nvc->nv", unit(turned[:, 0]), unit(bones[:, 0]))[:, 1:]
    angle = np.degrees(np.arccos(np.clip(cos, -1, 1)))
    assert 4 < angle.mean() < 12
    assert np.quantile(angle, 0.99) < 35


def test_a_stance_changes_legs_alone() -> None:
    bones = bones_of(people())
    stood = with_stance(bones, np.random.default_rng(0), 12.0)
    moved = np.abs(stood - bones).max(axis=(0, 1, 3)) > 1e-6
    assert {name for name, m in zip(CANONICAL15.joints, moved, strict=True) if m} == {
        "left_knee", "left_ankle", "right_knee", "right_ankle",
    }  # fmt: skip


def test_a_view_turns_the_whole_body() -> None:
    poses = people()
    zero = np.zeros(N, dtype=np.float32)
    seen = viewed(poses, np.full(N, np.pi, dtype=np.float32), zero, zero)
    np.testing.assert_allclose(seen, poses * [-1, 1, -1], atol=1e-5)


def test_a_sensor_errs_most_in_depth() -> None:
    poses = np.tile(people(), (50, 1, 1, 1))
    config = AugmentationConfig(squash=0.0, frozen=0.0, noise_m=0.0)
    off = misseen(poses, np.random.default_rng(0), config) - poses
    across, depth = off[..., :2].std(), off[..., 2].std()
    assert depth == pytest.approx(3 * across, rel=0.1)
    assert 0.015 < depth < 0.06


def test_drop_outs_leave_hips_and_shoulders_and_last_long_enough() -> None:
    poses = with_drop_outs(np.tile(people(), (30, 1, 1, 1)), np.random.default_rng(0), 1.0, 9)
    absent = np.isnan(poses).any(axis=-1)  # (N, T, V)
    for joint in ("mid_hip", "mid_shoulder", "left_shoulder", "right_hip"):
        assert not absent[:, :, CANONICAL15.index(joint)].any()
    assert absent.any(axis=(1, 2)).all()
    ends = absent[:, -1]  # what is cut off by the window's end may be shorter
    assert absent.sum(axis=1)[absent.any(axis=1) & ~ends].min() >= 9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_the_batched_road_equals_prepare(seed: int) -> None:
    rng = np.random.default_rng(seed)
    poses = changed_views(people(seed % 97), rng, AugmentationConfig(dropped=1.0))
    values, present = prepare_windows(poses)
    for n in range(N):
        clip = prepare(poses[n][None], AT_S, CANONICAL15, CONFIG)
        np.testing.assert_array_equal(present[n], clip.present[0])
        np.testing.assert_allclose(values[n], clip.values[0], atol=2e-6)


def test_a_facing_error_turns_the_windows_by_so_much_about_the_vertical() -> None:
    poses, errors = people(), np.linspace(-0.3, 0.3, N).astype(np.float32)
    straight, turned = prepare_windows(poses).values, prepare_windows(poses, errors).values
    cos, sin = np.cos(errors)[:, None, None], np.sin(errors)[:, None, None]
    np.testing.assert_allclose(turned[..., 0], cos * straight[..., 0] + sin * straight[..., 2], atol=2e-6)
    np.testing.assert_allclose(turned[..., 1], straight[..., 1], atol=2e-6)
    np.testing.assert_allclose(turned[..., 2], cos * straight[..., 2] - sin * straight[..., 0], atol=2e-6)


def test_a_body_without_hips_and_shoulders_is_not_turned() -> None:
    poses = people()
    poses[0, :, [CANONICAL15.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "shoulder")]] = (
        np.nan
    )
    clip = prepare(poses[0][None], AT_S, CANONICAL15, CONFIG)
    np.testing.assert_allclose(prepare_windows(poses).values[0], clip.values[0], atol=2e-6)


@pytest.mark.parametrize(("field", "value"), [("mirror", 1.5), ("arms", -0.1), ("noise_m", float("nan"))])
def test_a_config_refuses_what_cannot_be(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        AugmentationConfig(**{field: value})
