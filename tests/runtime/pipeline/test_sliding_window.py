"""A window holds what an answer can look at, no less and no more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ClipError
from amr_edge.preprocess import PrepareConfig, prepare
from amr_edge.runtime.pipeline.sliding_window import MAX_FRAMES, Window
from amr_edge.skeleton import KINECT20

CONFIG = PrepareConfig(layout="kinect20", frames=8, window_s=1.0, max_gap_s=0.25)


def pose(value: float) -> np.ndarray:
    return np.full((20, 3), value, dtype=np.float32)


def test_samples_older_than_the_window_and_its_gap_are_gone() -> None:
    window = Window(KINECT20, CONFIG)
    for step in range(13):  # every quarter of a second, all exact in binary
        window.push(step / 4, pose(step))
    assert window.times_s.tolist() == [1.75, 2.0, 2.25, 2.5, 2.75, 3.0]
    assert window.poses[:, 0, 0].tolist() == [7, 8, 9, 10, 11, 12]
    assert window.since_s == 0


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(st.floats(1e-3, 0.7), min_size=2, max_size=120),
    seed=st.integers(0, 1000),
    holes=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_the_clip_of_a_window_is_the_clip_of_the_whole_history(steps: list[float], seed: int, holes: float) -> None:
    rng = np.random.default_rng(seed)
    times_s = np.cumsum(steps)
    poses = rng.normal(size=(len(steps), 20, 3)).astype(np.float32)
    poses[rng.random(poses.shape[:2]) < holes] = np.nan
    window = Window(KINECT20, CONFIG)
    for t, one in zip(times_s, poses, strict=True):
        window.push(float(t), one)
        held = window.clip(float(t) - 1.0, float(t))
    whole = prepare(poses[None], times_s, KINECT20, CONFIG, (float(times_s[-1]) - 1.0, float(times_s[-1])))
    np.testing.assert_array_equal(held.values, whole.values)
    np.testing.assert_array_equal(held.present, whole.present)


def test_somebody_who_was_away_for_longer_than_the_window_starts_anew() -> None:
    window = Window(KINECT20, CONFIG)
    window.push(0.0, pose(0))
    window.push(1.25, pose(1))
    assert window.since_s == 0.0  # still within reach
    window.push(2.51, pose(2))
    assert window.since_s == 2.51
    assert len(window) == 1


def test_memory_is_flat_whatever_the_frame_rate() -> None:
    window = Window(KINECT20, CONFIG)
    one = pose(1)
    for step in range(3 * MAX_FRAMES):
        window.push(step / 20_000, one)
    assert len(window) <= MAX_FRAMES
    sizes = set()
    for step in range(3 * MAX_FRAMES):
        window.push(10 + step / 3_000, one)
        sizes.add(len(window._times_s))
    assert max(sizes) <= 2 * MAX_FRAMES


def test_memory_is_flat_for_ever_at_camera_speed() -> None:
    window = Window(KINECT20, CONFIG)
    one = pose(1)
    for step in range(20_000):
        window.push(step / 30, one)
    assert len(window._times_s) == 128
    assert len(window) == 38


@pytest.mark.parametrize("time_s", [1.0, 0.5, float("nan"), float("inf")])
def test_times_that_do_not_rise_are_refused(time_s: float) -> None:
    window = Window(KINECT20, CONFIG)
    window.push(1.0, pose(0))
    with pytest.raises(ClipError, match="rise"):
        window.push(time_s, pose(0))


@pytest.mark.parametrize("shape", [(19, 3), (20, 2), (1, 20, 3)])
def test_a_pose_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    window = Window(KINECT20, CONFIG)
    window.push(1.0, pose(0))
    with pytest.raises(ClipError, match="expected a pose"):
        window.push(2.0, np.zeros(shape, np.float32))
