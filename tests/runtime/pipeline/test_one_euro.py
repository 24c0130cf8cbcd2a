"""Jitter shrinks, movement is not late, and neither depends on units or on the camera's rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ConfigError
from amr_edge.runtime.pipeline.one_euro import STRENGTHS, SmoothConfig, Smoother, strength

BODY = np.float32([[0, 1.7], [0, 1.4], [-0.2, 1.4], [0.2, 1.4], [0, 0.9], [-0.1, 0.0], [0.1, 0.0]])  # (V, 2) metres


def run(poses: np.ndarray, fps: float, name: str = "low") -> np.ndarray:
    config = strength(name)
    assert config is not None
    smoother = Smoother(config)
    return np.stack([smoother(frame / fps, pose) for frame, pose in enumerate(poses)])


def standing(frames: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.01, (frames, *BODY.shape))
    return (BODY + noise).astype(np.float32)


def waving(fps: float, seconds: float = 2.0) -> np.ndarray:
    """The right shoulder's joint swings by 0.3 m, twice a second."""
    times_s = np.arange(int(fps * seconds)) / fps
    poses = np.repeat(BODY[None], len(times_s), axis=0)
    poses[:, 3, 1] += 0.3 * np.sin(2 * np.pi * 2 * times_s)
    return np.asarray(poses, dtype=np.float32)


def test_the_first_step_is_worked_by_hand() -> None:
    smoother = Smoother(SmoothConfig(still_hz=1.0, per_speed=0.0, speed_hz=1.0))
    smoother(0.0, np.float32([[0.0], [1.0]]))
    # A cut-off of 1 Hz over 0.1 s goes 0.2 pi / (0.2 pi + 1) = 0.3859 of the way.
    out = smoother(0.1, np.float32([[1.0], [1.0]]))
    np.testing.assert_allclose(out, [[0.3859], [1.0]], atol=1e-4)


@pytest.mark.parametrize(("name", "left"), [("low", 0.75), ("high", 0.5)])
def test_the_jitter_of_a_still_body_shrinks(name: str, left: float) -> None:
    noisy = standing(300)
    assert run(noisy, 30.0, name)[50:].std(axis=0).mean() < left * noisy[50:].std(axis=0).mean()


@pytest.mark.parametrize("fps", [12.0, 30.0, 60.0])
def test_a_fast_hand_is_less_than_a_twentieth_of_a_second_late(fps: float) -> None:
    poses = waving(fps)
    smooth = run(poses, fps)
    fine = np.linspace(0.5, 1.5, 2001)
    times_s = np.arange(len(poses)) / fps
    path = np.interp(fine, times_s, smooth[:, 3, 1])
    lags_s = np.linspace(0, 0.15, 76)
    error = [np.square(path - 1.4 - 0.3 * np.sin(2 * np.pi * 2 * (fine - lag))).mean() for lag in lags_s]
    assert lags_s[int(np.argmin(error))] < 0.05


@settings(deadline=None)
@given(st.sampled_from([0.01, 1.0, 300.0]), st.integers(0, 50))
def test_units_do_not_matter(unit: float, seed: int) -> None:
    poses = standing(20, seed)
    np.testing.assert_allclose(
        run(poses * np.float32(unit), 30.0), run(poses, 30.0) * unit, rtol=1e-3, atol=1e-4 * unit
    )


def test_an_absent_joint_stays_absent_and_starts_afresh_after_a_gap() -> None:
    poses = standing(40)
    poses[10:30, 2] = np.nan  # two thirds of a second
    smooth = run(poses, 30.0)
    assert np.isnan(smooth[10:30, 2]).all()
    assert np.array_equal(smooth[30, 2], poses[30, 2])
    assert np.isfinite(smooth[:, [0, 1, 3, 4, 5, 6]]).all()


def test_nobody_at_all_is_smoothed_to_nobody() -> None:
    empty = np.full((3, 7, 2), np.nan, dtype=np.float32)
    assert np.isnan(run(empty, 30.0)).all()


def test_a_smoothed_path_stays_between_what_was_seen() -> None:
    poses = standing(200)
    smooth = run(poses, 30.0, "high")
    assert (smooth <= poses.max(axis=0) + 1e-6).all()
    assert (smooth >= poses.min(axis=0) - 1e-6).all()


def test_off_is_no_filter_and_an_unknown_strength_is_refused() -> None:
    assert strength("off") is None
    with pytest.raises(ConfigError, match=", ".join(STRENGTHS)):
        strength("medium")
    with pytest.raises(ConfigError, match="still_hz"):
        SmoothConfig(still_hz=0)
