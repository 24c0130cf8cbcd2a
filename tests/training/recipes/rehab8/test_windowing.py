"""Windows and nothing: what is cut shows what its label says, and what is nothing shows no exercise."""

import numpy as np
import pytest

from amr_edge.errors import ConfigError, DataError
from amr_edge.kinematics import RULES, shows
from amr_edge.kinematics.joint_angles import standing
from amr_edge.preprocess import TORSO_M
from amr_edge.skeleton import CANONICAL15, remap
from amr_edge.synthetic import subject
from amr_edge.synthetic.exercises import EXERCISES, exercise
from amr_edge.training.recipes.rehab8 import negatives
from amr_edge.training.recipes.rehab8.augmentation import AugmentationConfig, prepare_windows
from amr_edge.training.recipes.rehab8.dataset import CLASSES, Stream
from amr_edge.training.recipes.rehab8.negatives import NegativesConfig, life_of, nothing
from amr_edge.training.recipes.rehab8.windowing import Pool, cut, drawn, filled, labels_of, pool_of

FRAMES, FPS = 64, 15.0
AS_IS = AugmentationConfig(tempo=0.0, pauses=0.0)


def made(name: str, seed: int) -> Stream:
    """A set of three repetitions by a synthetic person."""
    person = subject(1 + seed, 0)
    recording = exercise(name, person, np.random.default_rng([seed, list(EXERCISES).index(name)]), reps=3, fps=15.0)
    poses = remap(recording.poses, recording.skeleton, CANONICAL15).poses[0]
    spans = [np.searchsorted(recording.times_s, [span.start_s, span.end_s]) for span in recording.spans]
    return Stream(
        poses=poses,
        times_s=recording.times_s,
        exercise=0,
        group=name,
        subject=person.number,
        sensor="synthetic",
        correct=True,
        episodes=tuple((int(a), int(b)) for a, b in spans),
    )


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Three sets of every exercise."""
    return pool_of([made(name, seed) for name in EXERCISES for seed in range(3)], {"synthetic": 1.0})


def test_a_gap_is_bridged_by_a_straight_line_and_ends_stay_where_they_were_seen() -> None:
    poses = np.zeros((5, 15, 3), dtype=np.float32)
    poses[:, 4, 0] = [np.nan, 1, np.nan, 3, np.nan]
    poses[[0, 2, 4], 4] = np.nan
    assert filled(poses)[:, 4, 0].tolist() == [1, 1, 2, 3, 3]


def test_a_joint_that_is_never_seen_is_refused() -> None:
    poses = np.zeros((5, 15, 3), dtype=np.float32)
    poses[:, 7] = np.nan
    with pytest.raises(DataError, match="joint 7"):
        filled(poses)


def test_every_stream_in_a_pool_has_the_same_torso(pool: Pool) -> None:
    torso = np.linalg.norm(pool.poses[:, 1] - pool.poses[:, 0], axis=-1)
    for first, length in zip(pool.first, pool.length, strict=True):
        assert torso[first : first + length].mean() == pytest.approx(TORSO_M, rel=1e-4)


def test_progress_is_low_where_repetitions_begin_and_one_where_they_turn(pool: Pool) -> None:
    begins = []
    for first, length in zip(pool.first, pool.length, strict=True):
        own = pool.progress[first : first + length]
        assert np.quantile(own, 0.95) == pytest.approx(1, rel=1e-4)
        begins.append(own[0])
    assert np.median(begins) < 0.2


def test_an_empty_pool_and_a_class_that_nobody_shows_are_refused(pool: Pool) -> None:
    with pytest.raises(DataError, match="no stream"):
        pool_of([], {})
    with pytest.raises(DataError, match="'none'"):
        drawn(pool, np.array([CLASSES.index("none")]), np.random.default_rng(0))


def test_streams_of_the_class_that_is_asked_for_are_drawn(pool: Pool) -> None:
    labels = np.arange(40) % 8
    assert (pool.label[drawn(pool, labels, np.random.default_rng(0))] == labels).all()


def test_a_stream_of_no_weight_is_never_drawn() -> None:
    streams = [made("squat", 0), made("squat", 1)]
    object.__setattr__(streams[0], "sensor", "vicon")
    few = pool_of(streams, {"vicon": 0.0, "synthetic": 1.0})
    assert set(drawn(few, np.zeros(50, dtype=np.int64), np.random.default_rng(0))) == {1}


def test_a_window_cut_in_real_time_is_a_piece_of_its_stream(pool: Pool) -> None:
    windows, _ = cut(pool, np.array([0]), FRAMES, FPS, np.random.default_rng(3), AS_IS)
    own = pool.poses[: pool.length[0]]
    nearest = [np.abs(own - pose).max(axis=(1, 2)).min() for pose in windows.poses[0]]
    fastest = np.abs(np.diff(own, axis=0)).max()
    assert max(nearest) <= fastest  # halfway between two frames of the stream
    assert np.abs(np.diff(windows.poses[0], axis=0)).max() <= 1.01 * fastest


def test_windows_show_their_exercise(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    streams = np.arange(len(pool))
    windows, travel = cut(pool, streams, FRAMES, FPS, rng, AS_IS)
    names = [CLASSES[label] for label in labels_of(pool, streams, travel)]
    values, _ = prepare_windows(windows.poses)
    shown = [shows(RULES[name], clip) for name, clip in zip(names, values, strict=True) if name in RULES]
    assert np.mean(shown) > 0.8


def test_who_hardly_moves_does_nothing(pool: Pool) -> None:
    streams = np.array([0, 1])
    assert labels_of(pool, streams, np.float32([0.1, 0.9])).tolist() == [CLASSES.index("none"), pool.label[1]]


def test_an_arm_exercise_of_one_arm_names_its_side(pool: Pool) -> None:
    stream = made("shoulder extension", 0)
    alone = pool_of([stream], {"synthetic": 1.0})
    moved = [np.ptp(stream.poses[:, CANONICAL15.index(f"{side}_wrist")], axis=0).sum() for side in ("left", "right")]
    expected = -1 if max(moved) < 2 * min(moved) else int(np.argmax(moved))
    assert alone.arm[0] == expected


@pytest.mark.parametrize("kind", ["still", "gestures", "wander"])
def test_nothing_is_whole_and_keeps_its_bones(pool: Pool, kind: str) -> None:
    poses = getattr(negatives, kind)(pool, 8, FRAMES, np.random.default_rng(0))
    assert poses.shape == (8, FRAMES, 15, 3)
    assert np.isfinite(poses).all()
    for parent, joint in CANONICAL15.bones:
        lengths = np.linalg.norm(poses[:, :, joint] - poses[:, :, parent], axis=-1)
        np.testing.assert_allclose(lengths, lengths[:, :1].repeat(FRAMES, axis=1), rtol=1e-3)


def test_hardly_any_gesture_is_a_leg_exercise(pool: Pool) -> None:
    values, _ = prepare_windows(negatives.gestures(pool, 60, FRAMES, np.random.default_rng(0)))
    assert np.mean([shows(RULES["squat"], clip) or shows(RULES["leg raise"], clip) for clip in values]) < 0.05


def test_who_stands_still_shows_no_exercise(pool: Pool) -> None:
    values, _ = prepare_windows(negatives.still(pool, 40, FRAMES, np.random.default_rng(0)))
    assert not any(shows(rule, clip) for clip in values for rule in RULES.values())


def test_an_exercise_that_is_hinted_at_goes_less_far(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    hinted, _ = prepare_windows(negatives.hinted(pool, 60, FRAMES, FPS, rng, AS_IS))
    assert np.mean([shows(RULES["squat"], clip) for clip in hinted]) < 0.05


def test_life_is_cut_in_time_and_stays_inside_its_recording() -> None:
    path = np.zeros((40, 15, 3), dtype=np.float32) + standing()
    path[:, :, 2] += np.linspace(0, 3.9, 40, dtype=np.float32)[:, None]  # 0.1 m a frame
    life = life_of([(path, 15.0)])
    lived = negatives.lived(life, 5, 16, FPS, np.random.default_rng(0))
    steps = np.diff(lived[:, :, 0, 2], axis=1)
    assert (steps >= -1e-6).all()
    assert (steps < 0.25).all()


def test_nothing_is_as_much_as_asked_for_with_and_without_life(pool: Pool) -> None:
    for life in (None, life_of([(np.zeros((90, 15, 3), np.float32) + standing(), 15.0)])):
        rng = np.random.default_rng(0)
        poses = nothing(pool, life, 21, FRAMES, FPS, rng, NegativesConfig(), AugmentationConfig())
        assert poses.shape == (21, FRAMES, 15, 3)


def test_no_life_and_kinds_without_shares_are_refused() -> None:
    with pytest.raises(DataError, match="life"):
        life_of([])
    with pytest.raises(ConfigError, match="shares"):
        NegativesConfig(still=0.0, gestures=0.0, wander=0.0, hinted=0.0, life=0.0)
