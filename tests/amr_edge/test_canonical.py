"""Bone directions on fixed lengths: what sensors and bodies differ in is gone, what is done stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.errors import ClipError, ConfigError
from amr_edge.preprocess import TORSO_M, UNIT_BONES, PrepareConfig, prepare, unit_bones
from amr_edge.skeleton import CANONICAL15, KINECT20, MEDIAPIPE33, NTU25, PENN13, UI_PRMD22, common_joints, remap

CONFIG = PrepareConfig(layout="canonical15", frames=64, window_s=4.2, view="body", bones="unit")
TIMES_S = np.arange(140) / 30.0
seeds = st.integers(0, 10_000)


def body(seed: int, frames: int = 140) -> np.ndarray:
    """(1, T, 15, 3) somebody who moves smoothly, metres."""
    rng = np.random.default_rng(seed)
    places = rng.normal(0, 0.4, (1, 1, 15, 3)) + rng.normal(0, 0.02, (1, frames, 15, 3)).cumsum(axis=1)
    return places.astype(np.float32)


def test_fifteen_frames_a_second() -> None:
    assert CONFIG.fps == pytest.approx(15.0)


@pytest.mark.parametrize("sensor", [NTU25, KINECT20, UI_PRMD22, MEDIAPIPE33])
def test_every_sensor_with_depth_gives_all_fifteen(sensor: object) -> None:
    assert common_joints(sensor, CANONICAL15) == CANONICAL15.joints  # type: ignore[arg-type]


def test_the_middles_are_those_of_left_and_right_even_where_a_sensor_has_its_own() -> None:
    poses = np.zeros((25, 3), np.float32)
    poses[NTU25.index("pelvis")] = (0, 9, 0)
    poses[NTU25.index("left_hip")], poses[NTU25.index("right_hip")] = (1, 0, 0), (-1, 2, 0)
    assert remap(poses, NTU25, CANONICAL15).poses[0].tolist() == [0, 1, 0]


@given(seeds)
def test_every_bone_has_its_length(seed: int) -> None:
    out = unit_bones(body(seed))
    for joint, parent in enumerate(CANONICAL15.parents[1:], start=1):
        name = CANONICAL15.joints[joint]
        length = UNIT_BONES.get(name) or UNIT_BONES[name.split("_")[-1]]
        measured = np.linalg.norm(out[..., joint, :] - out[..., parent, :], axis=-1)
        np.testing.assert_allclose(measured, length * TORSO_M, atol=1e-5)


@given(seeds, st.floats(0.3, 3.0))
def test_size_and_place_of_the_body_do_not_matter(seed: int, size: float) -> None:
    poses = body(seed)
    moved = (poses * np.float32(size) + np.float32([3, 1, -2])).astype(np.float32)
    np.testing.assert_allclose(unit_bones(moved), unit_bones(poses), atol=1e-3)


@given(seeds, st.floats(-3.1, 3.1))
def test_the_side_that_somebody_is_seen_from_does_not_matter(seed: int, angle: float) -> None:
    poses = body(seed)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]], np.float32)
    one = prepare(poses, TIMES_S, CANONICAL15, CONFIG, (0.0, 4.2))
    other = prepare(poses @ turn.T, TIMES_S, CANONICAL15, CONFIG, (0.0, 4.2))
    np.testing.assert_allclose(other.values, one.values, atol=2e-3)


def test_an_absent_joint_takes_along_what_hangs_from_it_and_nothing_else() -> None:
    poses = body(1)
    poses[:, :, CANONICAL15.index("left_elbow")] = np.nan
    clip = prepare(poses, TIMES_S, CANONICAL15, CONFIG, (0.0, 4.2))
    gone = {name for name, seen in zip(CANONICAL15.joints, clip.present.any(axis=(0, 1)), strict=True) if not seen}
    assert gone == {"left_elbow", "left_wrist"}
    assert not clip.values[..., CANONICAL15.index("left_wrist"), :].any()


def test_two_joints_in_one_place_point_nowhere() -> None:
    poses = body(2, 1)
    poses[..., CANONICAL15.index("right_ankle"), :] = poses[..., CANONICAL15.index("right_knee"), :]
    assert np.isnan(unit_bones(poses)[..., CANONICAL15.index("right_ankle"), :]).all()


def test_flat_poses_are_refused() -> None:
    flat = np.zeros((1, 140, 13, 2), np.float32)
    with pytest.raises(ClipError, match="with depth"):
        prepare(flat, TIMES_S, PENN13, CONFIG, (0.0, 4.2))


@pytest.mark.parametrize("wrong", [{"layout": "ntu25"}, {"scale": "torso"}, {"bones": "longer"}])
def test_lengths_that_it_does_not_know_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        PrepareConfig(**{"layout": "canonical15", "bones": "unit", **wrong})  # type: ignore[arg-type]


def test_the_card_carries_it() -> None:
    card = Card(name="x", kind="classifier", classes=("a", "b"), prepare=CONFIG, rules={"a": {"peak_deg": 30}})
    assert Card.from_json(card.to_json(), "here") == card
