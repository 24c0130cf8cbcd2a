from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from amr_edge.data.store import Store
from amr_edge.preprocess import PrepareConfig
from amr_edge.skeleton import LAYOUTS, layout, remap
from amr_edge.training.report.skeleton_plots import (
    MOMENTS,
    Strip,
    as_strip,
    draw_moments,
    draw_strips,
    floor_of,
    frame_of,
    moments_of,
    seen_from_aside,
    sides,
    strips_figure,
)

NTU = LAYOUTS["ntu25"]


def standing(name: str, persons: int = 1, frames: int = 24) -> Strip:
    """People of another layout, read from a Kinect skeleton with its feet at y = 0 that lifts a hand."""
    heights = {"pelvis": 1.0, "spine": 1.2, "neck": 1.5, "head": 1.6, "upper_spine": 1.4}
    parts = {
        "shoulder": 1.4,
        "elbow": 1.15,
        "wrist": 0.95,
        "hand": 0.9,
        "hip": 1.0,
        "knee": 0.5,
        "ankle": 0.06,
        "foot": 0,
    }
    parts |= {"hand_tip": 0.85, "thumb": 0.9}
    rest = np.zeros((25, 3), dtype=np.float32)
    for index, joint in enumerate(NTU.joints):
        side, _, part = joint.partition("_")
        paired = side in ("left", "right")
        rest[index] = (0.2 * (paired and (1 if side == "left" else -1)), parts[part] if paired else heights[joint], 0.1)
    poses = np.tile(rest, (persons, frames, 1, 1))
    poses[..., NTU.index("left_hand"), 1] += np.linspace(0, 1, frames)
    poses[..., 0] += np.arange(persons)[:, None, None]
    found = remap(poses, NTU, LAYOUTS[name])
    values = np.where(found.present[..., None], found.poses, 0).astype(np.float32)
    if LAYOUTS[name].channels == 2:
        values[..., 2] = 0
    return Strip(values=values, present=found.present, layout=LAYOUTS[name], title=name)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("persons", [1, 2])
def test_every_layout_is_drawn_bone_by_bone_and_absent_joints_are_not(name: str, persons: int) -> None:
    strip = standing(name, persons)
    panel = Figure().subplots()
    points = seen_from_aside(strip.values, strip.present)
    frames = moments_of(strip.present)
    draw_moments(panel, points, strip.layout, frames, cell=2.0, trails=False)
    there = strip.present[0, 0]
    bones = sum(there[a] and there[b] for a, b in strip.layout.bones)
    drawn = sum(
        int(np.isfinite(np.asarray(line.get_ydata()).reshape(-1, 3)[:, :2]).all(axis=1).sum())
        for line in panel.lines
        if line.get_marker() == "None" and len(line.get_xdata()) % 3 == 0
    )
    dots = sum(len(line.get_xdata()) for line in panel.lines if line.get_marker() == ".")
    assert drawn == bones * MOMENTS * persons
    assert dots == there.sum() * MOMENTS * persons


def test_left_and_right_come_from_the_joints_names() -> None:
    said = dict(zip(LAYOUTS["mediapipe33"].joints, sides(LAYOUTS["mediapipe33"]), strict=True))
    assert (said["mouth_left"], said["right_wrist"], said["nose"]) == (0, 1, 2)


def test_all_moments_have_one_scale_and_lie_in_their_cells() -> None:
    strip = standing("ntu25")
    points = seen_from_aside(strip.values, strip.present)
    frames = moments_of(strip.present)
    panel = Figure().subplots()
    cell, bottom, top = frame_of(points, frames, 0.0)
    shifts = draw_moments(panel, points, strip.layout, frames, cell=cell)
    for place, (frame, shift) in enumerate(zip(frames, shifts, strict=True)):
        x = points[0, frame, :, 0] + shift
        assert place * cell <= np.nanmin(x) <= np.nanmax(x) <= (place + 1) * cell
    assert bottom <= 0 < np.nanmax(points[..., 1]) <= top


def test_the_floor_is_where_the_feet_are_mostly_and_a_jump_leaves_it() -> None:
    strip = standing("ntu25")
    strip.values[0, 10:14, :, 1] += 0.4
    points = seen_from_aside(strip.values, strip.present)
    assert floor_of(points, moments_of(strip.present), strip.layout) == pytest.approx(0.0, abs=1e-6)


def test_without_feet_there_is_no_floor() -> None:
    strip = standing("coco17")
    strip.present[..., 15:] = False  # both ankles
    points = seen_from_aside(strip.values, strip.present)
    assert np.isnan(floor_of(points, moments_of(strip.present), strip.layout))
    assert len(strips_figure([strip]).axes) == 1


def test_moments_run_from_the_first_frame_with_somebody_to_the_last() -> None:
    strip = standing("ntu25", frames=30)
    strip.present[:, :10] = False
    strip.present[:, 25:] = False
    frames = moments_of(strip.present)
    assert (len(frames), frames[0], frames[-1]) == (MOMENTS, 10, 24)


def test_flat_poses_are_seen_from_the_front_and_others_from_aside() -> None:
    flat, deep = standing("coco17"), standing("ntu25")
    np.testing.assert_array_equal(
        seen_from_aside(flat.values, flat.present)[flat.present], flat.values[flat.present][:, :2]
    )
    turned = seen_from_aside(deep.values, deep.present)
    assert not np.allclose(turned[..., 0], deep.values[..., 0])
    np.testing.assert_array_equal(turned[..., 1], deep.values[..., 1])


def test_a_joint_lost_far_away_does_not_shrink_the_body() -> None:
    strip = standing("ntu25")
    points = seen_from_aside(strip.values, strip.present)
    frames = moments_of(strip.present)
    height = np.subtract(*frame_of(points, frames, 0.0)[:0:-1])
    points[0, frames[3], 7] = (40.0, 30.0)
    cell, bottom, top = frame_of(points, frames, 0.0)
    assert top - bottom < 2.2 * height
    assert cell < 5


def test_a_clip_with_nobody_says_so(tmp_path: Path) -> None:
    strip = standing("ntu25")
    strip.present[:] = False
    draw_strips([strip], tmp_path / "s.png")
    assert (tmp_path / "s.svg").read_text(encoding="utf-8").count(">no person<") == MOMENTS


def test_no_clips_leave_no_picture_not_even_an_old_one(tmp_path: Path) -> None:
    draw_strips([standing("ntu25")], tmp_path / "s.png")
    assert {path.name for path in tmp_path.iterdir()} == {"s.png", "s.svg"}
    draw_strips([], tmp_path / "s.png")
    assert not list(tmp_path.iterdir())


def test_a_model_of_bones_or_motion_is_shown_the_joints(tiny_store: Store) -> None:
    joints = as_strip(tiny_store, 3, PrepareConfig(frames=16), 1, "x")
    bones = as_strip(tiny_store, 3, PrepareConfig(frames=16, stream="bone"), 1, "x")
    np.testing.assert_array_equal(joints.values, bones.values)
    assert joints.layout is layout("ntu25")
