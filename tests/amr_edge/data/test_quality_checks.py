"""A sound body raises nothing, and each fault that is put in is found and named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amr_edge.data.quality_checks import KINDS, Duplicates, findings, forward_share, torso_m
from amr_edge.data.recording import Recording
from amr_edge.skeleton import COCO17, KINECT20, NTU25, Layout

FRAMES = 20

# A person who faces the viewer: their left is at +x, their feet and nose point to +z.
PLACES = {
    "pelvis": (0, 1.0, 0), "spine": (0, 1.2, 0), "upper_spine": (0, 1.5, 0), "neck": (0, 1.55, 0), "head": (0, 1.7, 0),
    "nose": (0, 1.7, 0.1), "eye": (0.03, 1.73, 0.08), "ear": (0.08, 1.7, 0), "shoulder": (0.2, 1.45, 0),
    "elbow": (0.25, 1.2, 0), "wrist": (0.27, 1.0, 0.05), "hand": (0.27, 0.9, 0.07), "hand_tip": (0.27, 0.85, 0.08),
    "thumb": (0.24, 0.9, 0.1), "hip": (0.1, 0.95, 0), "knee": (0.12, 0.5, 0.02), "ankle": (0.12, 0.1, 0),
    "foot": (0.13, 0.03, 0.15),
}  # fmt: skip


def body(skeleton: Layout) -> np.ndarray:
    """(V, 3) of somebody who stands."""
    places = []
    for joint in skeleton.joints:
        side, _, part = joint.partition("_")
        x, y, z = PLACES[part if side in ("left", "right") else joint]
        places.append((-x if side == "right" else x, y, z))
    return np.array(places)


def moving(skeleton: Layout = NTU25, frames: int = FRAMES) -> np.ndarray:
    """(1, T, V, 3), every joint in motion of its own."""
    sway = np.random.default_rng(0).normal(0, 0.01, (frames, len(skeleton), 3))
    return (body(skeleton) + sway)[None].astype(np.float32)


def kinds(poses: np.ndarray, layout: Layout = NTU25, times_s: np.ndarray | None = None, units: str = "m") -> list[str]:
    times_s = np.arange(poses.shape[1]) / 30 if times_s is None else times_s
    recording = Recording(poses=poses, times_s=times_s, layout=layout.name, units=units, source="a.txt")
    found = list(findings(recording))
    assert all(finding.sentence.startswith("a.txt: ") for finding in found)
    assert all(finding.kind in KINDS for finding in found)
    return [finding.kind for finding in found]


@pytest.mark.parametrize("layout", [NTU25, KINECT20, COCO17])
def test_a_sound_body_raises_nothing(layout: Layout) -> None:
    assert kinds(moving(layout), layout) == []


@pytest.mark.parametrize("layout", [NTU25, KINECT20, COCO17])
def test_a_mirrored_axis_and_swapped_names_are_found_and_a_turned_body_is_not(layout: Layout) -> None:
    poses = moving(layout)
    assert kinds(poses * np.float32([-1, 1, 1]), layout) == ["mirrored"]
    assert kinds(poses[:, :, list(layout.mirror)], layout) == ["mirrored"]
    assert kinds(poses * np.float32([-1, 1, -1]), layout) == []  # turned about the vertical
    assert kinds(poses[..., [1, 0, 2]] * np.float32([1, -1, 1]), layout) == []  # lying on the side


def test_the_torso_of_the_drawn_body_is_half_a_metre() -> None:
    assert torso_m(body(NTU25)[None, None].astype(np.float32), NTU25) == pytest.approx(0.5)
    assert np.isnan(torso_m(np.full((1, 1, 25, 3), np.nan, np.float32), NTU25))


def test_who_shows_neither_feet_nor_nose_cannot_be_judged() -> None:
    poses = moving()
    poses[..., [15, 19], :] = np.nan
    assert forward_share(poses, NTU25)[1] == 0


def _lose_hands(poses: np.ndarray) -> None:
    poses[:, :, 4:12] = np.nan


def _lose_a_number(poses: np.ndarray) -> None:
    poses[0, 3, 4, 1] = np.nan


def _stand_at_the_origin(poses: np.ndarray) -> None:
    poses[0, 4] = 0


def _go_away(poses: np.ndarray) -> None:
    poses[:, 3:18] = np.nan


def _lose_everything(poses: np.ndarray) -> None:
    poses[:] = np.nan


def _freeze_a_hand(poses: np.ndarray) -> None:
    poses[0, :, 7] = poses[0, 0, 7]


def _use_centimetres(poses: np.ndarray) -> None:
    poses *= 100


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (_lose_hands, ["absent"]),
        (_lose_a_number, ["half absent"]),
        (_stand_at_the_origin, ["zero"]),
        (_go_away, ["gap"]),
        (_lose_everything, ["empty"]),
        (_freeze_a_hand, ["frozen"]),
        (_use_centimetres, ["scale"]),
    ],
)
def test_a_fault_is_found(fault: Callable[[np.ndarray], None], expected: list[str]) -> None:
    poses = moving()
    fault(poses)
    assert kinds(poses) == expected


def test_one_frame_a_jump_in_time_and_pixels(tmp_path: Path) -> None:
    assert kinds(moving(frames=1)) == ["one frame"]
    late = np.arange(FRAMES) / 30
    late[10:] += 2
    assert kinds(moving(), times_s=late) == ["time"]
    assert kinds(moving() * 500, units="px") == []
    assert kinds(np.zeros((0, 3, 25, 3), np.float32)) == ["empty"]


def test_a_body_that_never_moves_at_all_is_not_a_frozen_joint() -> None:
    still = np.repeat(moving()[:, :1], FRAMES, axis=1)
    assert kinds(still) == []


def test_equal_poses_are_duplicates_whatever_the_label_and_empty_recordings_are_not() -> None:
    duplicates = Duplicates()
    poses = np.random.default_rng(0).normal(size=(1, 12, 25, 3)).astype(np.float32)
    one = Recording(poses=poses, times_s=np.arange(12) / 30, layout="ntu25")
    assert list(duplicates.check(one)) == []
    (again,) = duplicates.check(replace(one, label="wave"))
    assert again.kind == "copy"
    assert list(duplicates.check(replace(one, poses=poses[:, ::-1].copy()))) == []
    empty = replace(one, poses=np.full_like(poses, np.nan))
    assert [*duplicates.check(empty), *duplicates.check(empty)] == []
