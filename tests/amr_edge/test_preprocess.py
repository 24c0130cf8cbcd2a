"""The shared preprocessing: worked by hand, blind to the future, and indifferent to what must not matter."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ClipError
from amr_edge.preprocess import TORSO_M, Clip, PrepareConfig, prepare, resample
from amr_edge.skeleton import COCO17, KINECT20, NTU25, PENN13, Layout, layout, remap

FPS = 30.0
seeds = st.integers(0, 10_000)


def config(**changed: Any) -> PrepareConfig:
    return PrepareConfig(**{"frames": 16, "window_s": 1.0, **changed})


def people(
    seed: int, *, frames: int = 60, persons: int = 1, source: Layout = NTU25, lost: float = 0.0, channels: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (M, T, V, C) that wander smoothly, a share of the joints absent, and jittered times (T,)."""
    rng = np.random.default_rng(seed)
    body = rng.normal(0, 0.5, (persons, 1, len(source), channels))
    steps = rng.normal(0, 0.02, (persons, frames, len(source), channels)).cumsum(axis=1)
    poses = (body + steps + 3).astype(np.float32)
    poses[rng.random((persons, frames, len(source))) < lost] = np.nan
    times = np.arange(frames) / FPS + rng.uniform(-0.4, 0.4, frames) / FPS
    return poses, times


def same(one: Clip, other: Clip) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(one.present, other.present)
    assert one.values.tobytes() == other.values.tobytes()


# --- resampling -------------------------------------------------------------------------------------------------


def line(*values: float) -> np.ndarray:
    """(1, T, 1, 1) one coordinate of one joint."""
    return np.float32(values).reshape(1, -1, 1, 1)


def at(values: np.ndarray, times: list[float], wanted: list[float], gap: float = 10.0) -> list[float]:
    return [float(v) for v in resample(values, np.array(times), np.array(wanted), gap).ravel()]


def test_between_two_sightings_a_joint_moves_in_a_straight_line() -> None:
    assert at(line(0, 4, 8), [0, 1, 3], [0, 0.25, 1, 2, 3]) == [0, 1, 4, 6, 8]


def test_before_the_first_and_after_the_last_sighting_there_is_nothing() -> None:
    before, inside, after = at(line(1, 2), [0, 1], [-0.01, 0.5, 1.01])
    assert np.isnan([before, after]).all()
    assert inside == 1.5


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    seen = line(0, np.nan, np.nan, 3)
    assert at(seen, [0, 1, 2, 3], [1, 2], gap=3) == [1, 2]
    assert np.isnan(at(seen, [0, 1, 2, 3], [1, 2], gap=2.9)).all()
    # A pause without any frame is a gap like any other.
    assert np.isnan(at(line(0, 3), [0, 3], [1], gap=2.9)).all()


def test_a_sighting_stays_at_its_own_instant_even_amid_gaps() -> None:
    got = at(line(np.nan, 5, np.nan), [0, 1, 2], [0, 0.5, 1, 1.5, 2], gap=0.1)
    assert got[2] == 5
    assert np.isnan([got[i] for i in (0, 1, 3, 4)]).all()


def test_a_recording_without_frames_gives_only_absent_joints() -> None:
    assert np.isnan(at(line(), [], [0, 1])).all()


@given(seed=seeds, lost=st.sampled_from([0.0, 0.3, 0.9]))
@settings(deadline=None)
def test_at_the_original_instants_resampling_is_the_identity(seed: int, lost: float) -> None:
    poses, times = people(seed, persons=2, lost=lost)
    # A tiny allowance keeps even neighbours apart: what is unseen stays unseen, what is seen stays.
    np.testing.assert_array_equal(resample(poses, times, times, 1e-9), poses)


@given(seed=seeds)
@settings(deadline=None)
def test_the_short_way_for_whole_poses_and_the_long_way_agree_bit_for_bit(seed: int) -> None:
    poses, times = people(seed)
    wanted = np.random.default_rng(seed).uniform(times[0] - 0.1, times[-1] + 0.1, 40)
    short = resample(poses, times, wanted, 0.4)
    # A second person who is never there sends the same joints the long way.
    nobody = np.full_like(poses, np.nan)
    long = resample(np.concatenate([poses, nobody]), times, wanted, 0.4)
    assert long[:1].tobytes() == short.tobytes()
    assert np.isnan(long[1]).all()


@given(seed=seeds, lost=st.sampled_from([0.0, 0.3]))
@settings(deadline=None)
def test_a_resampled_joint_never_leaves_the_path_it_was_seen_on(seed: int, lost: float) -> None:
    poses, times = people(seed, lost=lost)
    got = resample(poses, times, np.linspace(times[0], times[-1], 50), 10.0)
    low, high = np.nanmin(poses, axis=1, keepdims=True), np.nanmax(poses, axis=1, keepdims=True)
    here = np.isfinite(got)
    assert ((got >= low - 1e-5) & (got <= high + 1e-5))[here].all()


# --- preparing --------------------------------------------------------------------------------------------------


def test_a_clip_worked_by_hand() -> None:
    # A pelvis that moves along x at 1 m/s and a head 0.6 m above it, at 10 frames a second, sampled at 5.
    poses = np.full((1, 11, 25, 3), np.nan, np.float32)
    poses[0, :, 0, :] = np.stack([np.arange(11) / 10 + 2, np.full(11, 1.0), np.full(11, 3.0)], axis=-1)
    poses[0, :, 3, :] = poses[0, :, 0, :] + np.float32([0, 0.6, 0])
    clip = prepare(poses, np.arange(11) / 10, NTU25, config(frames=6))
    assert clip.values.shape == (1, 6, 25, 3)
    np.testing.assert_allclose(clip.values[0, :, 0], [[t / 5, 0, 0] for t in range(6)], atol=1e-6)
    np.testing.assert_allclose(clip.values[0, :, 3], [[t / 5, 0.6, 0] for t in range(6)], atol=1e-6)
    assert clip.present[0, :, [0, 3]].all()
    assert clip.present.sum() == 12
    assert clip.values[~clip.present].any() == np.False_


@given(seed=seeds, lost=st.sampled_from([0.0, 0.3]), scale=st.sampled_from(["none", "torso", "spread"]))
@settings(deadline=None)
def test_frames_after_the_span_change_nothing(seed: int, lost: float, scale: str) -> None:
    poses, times = people(seed, persons=2, lost=lost)
    span = (float(times[10]), float(times[40]) + 0.001)
    seen = int(np.searchsorted(times, span[1], side="right"))
    settled = config(scale=scale)
    same(prepare(poses, times, NTU25, settled, span), prepare(poses[:, :seen], times[:seen], NTU25, settled, span))


@given(
    seed=seeds,
    lost=st.sampled_from([0.0, 0.3, 0.7]),
    persons=st.integers(1, 2),
    start=st.floats(0.5, 1.0),
    source=st.sampled_from(["ntu25", "coco17", "mediapipe33"]),
    view=st.sampled_from(["camera", "body"]),
)
@settings(deadline=None)
def test_a_buffer_that_keeps_max_gap_before_the_span_gives_the_same_bits_as_the_whole_recording(
    seed: int, lost: float, persons: int, start: float, source: str, view: str
) -> None:
    poses, times = people(seed, persons=persons, lost=lost, source=layout(source))
    settled = config(view=view, scale="torso")
    span = (start, start + 1.0)
    kept = (times >= span[0] - settled.max_gap_s) & (times <= span[1])
    whole = prepare(poses, times, layout(source), settled, span)
    buffered = prepare(poses[:, kept], times[kept], layout(source), settled, span)
    same(whole, buffered)


@given(seed=seeds, source=st.sampled_from(["ntu25", "kinect20", "coco17", "penn13", "h36m17"]))
@settings(deadline=None)
def test_where_people_stand_does_not_matter(seed: int, source: str) -> None:
    poses, times = people(seed, persons=2, lost=0.1, source=layout(source))
    here = prepare(poses, times, layout(source), config())
    there = prepare(poses + np.float32([1, -2, 0.5]), times, layout(source), config())
    np.testing.assert_array_equal(here.present, there.present)
    np.testing.assert_allclose(here.values, there.values, atol=5e-5)


@given(seed=seeds)
@settings(deadline=None)
def test_when_it_happened_does_not_matter(seed: int) -> None:
    poses, times = people(seed, lost=0.1)
    # A power of two shifts the times without rounding what lies between them much.
    now, later = prepare(poses, times, NTU25, config()), prepare(poses, times + 64.0, NTU25, config())
    np.testing.assert_allclose(now.values, later.values, atol=1e-4)


@given(seed=seeds, factor=st.floats(0.01, 500), scale=st.sampled_from(["torso", "spread"]))
@settings(deadline=None)
def test_scaled_clips_do_not_show_the_size(seed: int, factor: float, scale: str) -> None:
    poses, times = people(seed, persons=2, lost=0.1)
    settled = config(scale=scale)
    one = prepare(poses, times, NTU25, settled)
    other = prepare(poses * np.float32(factor), times, NTU25, settled)
    np.testing.assert_array_equal(one.present, other.present)
    np.testing.assert_allclose(one.values, other.values, atol=1e-3, rtol=1e-3)


def test_with_scale_torso_the_median_torso_has_the_agreed_length() -> None:
    poses, times = people(3, persons=2)
    clip = prepare(poses * 40, times, NTU25, config(scale="torso"))
    torso = np.linalg.norm(clip.values[..., 20, :] - clip.values[..., 0, :], axis=-1)
    assert np.median(torso) == pytest.approx(TORSO_M, rel=1e-5)


def test_with_scale_spread_the_median_spread_has_the_agreed_length_even_of_a_body_without_a_torso() -> None:
    poses, times = people(3, persons=2)
    poses[:, :, [0, 1, 20]] = np.nan
    values, present = prepare(poses * 40, times, NTU25, config(scale="spread"))
    seen = [[values[m, t, present[m, t]] for t in range(16)] for m in range(2)]
    away = [np.sqrt(((joints - joints.mean(axis=0)) ** 2).sum(axis=-1).mean()) for body in seen for joints in body]
    assert np.median(away) == pytest.approx(TORSO_M, rel=1e-5)


def test_somebody_who_lies_with_the_feet_to_the_camera_is_not_blown_up_by_spread() -> None:
    poses, times = people(5, source=PENN13, channels=2)
    poses[:, :, [7, 8]] = poses[:, :, [1, 2]] + 0.01  # hips behind shoulders: next to no torso in the picture
    torso = np.abs(prepare(poses * 200, times, PENN13, config(scale="torso", layout="penn13")).values).max()
    spread = np.abs(prepare(poses * 200, times, PENN13, config(scale="spread", layout="penn13")).values).max()
    assert spread < 3 < torso


def test_without_scale_metres_stay_metres() -> None:
    poses, times = people(3)
    clip = prepare(poses, times, NTU25, config(frames=2))
    bone = np.linalg.norm(poses[0, 0, 3] - poses[0, 0, 2])
    assert np.linalg.norm(clip.values[0, 0, 3] - clip.values[0, 0, 2]) == pytest.approx(bone, rel=1e-5)


def about_y(poses: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return (poses @ turn.T).astype(np.float32)


@given(seed=seeds, yaw=st.floats(-np.pi, np.pi))
@settings(deadline=None)
def test_with_view_body_the_camera_may_stand_anywhere_around(seed: int, yaw: float) -> None:
    poses, times = people(seed, persons=2, lost=0.1)
    for joint, x in ((4, 0.3), (8, -0.3), (12, 0.2), (16, -0.2)):  # shoulders and hips, left at +x
        poses[:, :, joint, 0] += np.float32(3 * x)
    settled = config(view="body")
    front, round_ = prepare(poses, times, NTU25, settled), prepare(about_y(poses, yaw), times, NTU25, settled)
    np.testing.assert_array_equal(front.present, round_.present)
    np.testing.assert_allclose(front.values, round_.values, atol=2e-3)


def test_with_view_body_the_person_looks_along_plus_z_with_the_left_side_at_plus_x() -> None:
    poses = np.full((1, 3, 25, 3), np.nan, np.float32)
    # Before a Kinect: left at -x, looking at the sensor along -z, toes before the ankle.
    for joint, place in {0: (0, 1, 3), 4: (-0.2, 1.5, 3), 8: (0.2, 1.5, 3), 12: (-0.1, 1, 3), 16: (0.1, 1, 3)}.items():
        poses[0, :, joint] = place
    poses[0, :, 14], poses[0, :, 15] = (-0.1, 0.1, 3), (-0.1, 0, 2.8)
    clip = prepare(poses, np.arange(3) / 10, NTU25, config(view="body"))
    assert clip.values[0, 0, 4, 0] > 0 > clip.values[0, 0, 8, 0]
    assert clip.values[0, 0, 15, 2] > clip.values[0, 0, 14, 2]
    np.testing.assert_allclose(clip.values[0, 0, 4], [0.2, 0.5, 0], atol=1e-6)


def test_view_camera_leaves_the_camera_where_it_was() -> None:
    poses, times = people(5)
    turned = prepare(about_y(poses, 1.0), times, NTU25, config())
    np.testing.assert_allclose(turned.values, about_y(prepare(poses, times, NTU25, config()).values, 1.0), atol=1e-5)


@given(seed=seeds, lost=st.sampled_from([0.1, 0.5]), view=st.sampled_from(["camera", "body"]))
@settings(deadline=None)
def test_what_is_absent_is_zero_and_everything_is_finite(seed: int, lost: float, view: str) -> None:
    poses, times = people(seed, persons=2, lost=lost)
    poses[:, :, 7] = np.nan  # a hand that is never seen
    clip = prepare(poses, times, NTU25, config(view=view, scale="torso"))
    assert not clip.present[:, :, 7].any()
    assert (clip.values[~clip.present] == 0).all()
    assert np.isfinite(clip.values).all()
    assert clip.values.dtype == np.float32


def test_a_person_who_enters_late_is_absent_before_and_stands_relative_to_the_first() -> None:
    poses, times = people(2, persons=2, frames=61)
    poses[1, :30] = np.nan
    times = np.arange(61) / FPS
    clip = prepare(poses, times, NTU25, config(frames=61))
    assert not clip.present[1, :30].any()
    assert clip.present[1, 30:].all()
    assert clip.present[0].all()
    np.testing.assert_allclose(clip.values[1, 40, 5], poses[1, 40, 5] - poses[0, 0, 0], atol=1e-5)


def test_when_the_first_person_is_never_there_the_second_is_the_origin() -> None:
    poses, times = people(2, persons=2)
    poses[0] = np.nan
    clip = prepare(poses, times, NTU25, config())
    assert not clip.present[0].any()
    np.testing.assert_allclose(clip.values[1, 0, 0], 0, atol=1e-6)


def test_without_a_pelvis_the_joints_that_are_seen_are_centerd() -> None:
    poses = np.full((1, 3, 17, 3), np.nan, np.float32)
    poses[0, :, 5], poses[0, :, 6] = (1, 4, 2), (3, 4, 2)  # two shoulders and no hips
    clip = prepare(poses, np.arange(3) / 10, COCO17, config(layout="coco17"))
    np.testing.assert_allclose(clip.values[0, 0, [5, 6]], [[-1, 0, 0], [1, 0, 0]], atol=1e-6)


def test_a_layout_without_a_pelvis_is_centerd_between_the_hips() -> None:
    poses, times = people(1, source=COCO17)
    clip = prepare(poses, times, COCO17, config(layout="coco17"))
    np.testing.assert_allclose(clip.values[0, 0, [11, 12]].mean(axis=0), 0, atol=1e-5)


def test_flat_poses_lie_in_the_plane_z_zero_and_pixels_are_scaled_to_the_torso() -> None:
    poses, times = people(4, source=PENN13, channels=2)
    clip = prepare(poses * 200, times, PENN13, config(scale="torso"))
    assert clip.values.shape == (1, 16, 25, 3)
    assert (clip.values[..., 2] == 0).all()
    torso = np.linalg.norm(clip.values[..., 20, :] - clip.values[..., 0, :], axis=-1)
    assert np.median(torso) == pytest.approx(TORSO_M, rel=1e-5)
    assert clip.present[..., [0, 4, 20]].all()
    assert not clip.present[..., 21].any()  # hand tips, which Penn Action has not


def test_the_clip_is_in_the_layout_of_the_model() -> None:
    poses, times = people(6, source=KINECT20)
    clip = prepare(poses, times, KINECT20, config(frames=2))
    expected = remap(poses, KINECT20, NTU25).poses[0, 0] - poses[0, 0, 0]
    np.testing.assert_allclose(clip.values[0, 0][clip.present[0, 0]], expected[clip.present[0, 0]], atol=1e-6)
    assert clip.present[0, 0].tolist() == np.isfinite(expected).all(axis=-1).tolist()


def test_one_frame_is_a_clip_of_a_person_who_stands_still() -> None:
    poses, _ = people(7, frames=1)
    clip = prepare(poses, np.array([5.0]), NTU25, config())
    assert clip.present.all()
    np.testing.assert_array_equal(clip.values, np.repeat(clip.values[:, :1], 16, axis=1))


def test_a_span_without_a_frame_is_refused() -> None:
    poses, times = people(0)
    for span in ((50.0, 51.0), (-9.0, -8.0)):
        with pytest.raises(ClipError, match="60 frames"):
            prepare(poses, times, NTU25, config(), span)
    with pytest.raises(ClipError, match="0 frames"):
        prepare(poses[:, :0], times[:0], NTU25, config())


def test_a_span_in_which_the_last_sighting_is_too_old_is_all_absent() -> None:
    poses, _ = people(0, frames=10)
    clip = prepare(poses, np.arange(10) / 100, NTU25, config(), (0.2, 1.2))
    assert not clip.present.any()
    assert not clip.values.any()


@pytest.mark.parametrize("span", [(1.0, 0.5), (float("nan"), 1.0), (0.0, float("nan")), (0.0, float("inf"))])
def test_a_span_that_is_no_stretch_of_time_is_refused(span: tuple[float, float]) -> None:
    poses, times = people(0)
    with pytest.raises(ClipError, match="span"):
        prepare(poses, times, NTU25, config(), span)


def test_preparing_does_not_touch_what_it_was_given() -> None:
    poses, times = people(8, lost=0.2)
    kept = poses.copy(), times.copy()
    prepare(poses, times, NTU25, config(view="body", scale="torso"))
    np.testing.assert_array_equal(poses, kept[0])
    np.testing.assert_array_equal(times, kept[1])
