"""Northwestern-UCLA files: written here in their format, and the real ones where they are at hand."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amr_edge.data.readers import nw_ucla
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import KINECT20

STEM = "a12_s07_e03_v02"
AN_OWN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)


def skeletons(frames: int = 3) -> list[list[list[float]]]:
    """(T, 20, 3) in which every value says where it stands: joint + axis / 10 + frame * 100."""
    return [
        [[1 + joint + axis / 10 + frame * 100 for axis in range(3)] for joint in range(20)] for frame in range(frames)
    ]


def write(folder: Path, stem: str = STEM, **content: Any) -> Path:
    path = folder / f"{stem}.json"
    whole = {"file_name": stem, "skeletons": skeletons(), "label": 10, **content}
    path.write_text(json.dumps({key: value for key, value in whole.items() if value is not ...}))
    return path


def only(path: Path) -> Recording:
    (recording,) = nw_ucla.read(path)
    return recording


def test_joints_come_in_the_order_of_the_kinect(tmp_path: Path) -> None:
    recording = only(write(tmp_path))
    np.testing.assert_allclose(recording.poses[0], np.array(skeletons()), rtol=1e-6)
    for place, joint in [(0, "pelvis"), (1, "spine"), (2, "upper_spine"), (3, "head"), (7, "left_hand")]:
        assert KINECT20.joints[place] == joint
    assert KINECT20.joints[8:20:4] == ("right_shoulder", "left_hip", "right_hip")


def test_the_label_counts_and_not_the_action_id_of_the_name(tmp_path: Path) -> None:
    # a12 is the tenth class: the ids 7 and 10 were never used.
    recording = only(write(tmp_path))
    assert (recording.label, recording.subject, recording.camera) == ("carry", 7, 2)
    assert only(write(tmp_path, label=9)).label == "throw"


def test_a_clip_of_one_frame_is_a_recording(tmp_path: Path) -> None:
    recording = only(write(tmp_path, skeletons=skeletons(1)))
    assert recording.poses.shape == (1, 1, 20, 3)
    assert recording.duration_s == 0


def test_a_joint_of_zeros_is_absent_and_one_on_an_axis_is_not(tmp_path: Path) -> None:
    poses = skeletons()
    poses[1][4] = [0, 0, 0]
    poses[2][5] = [0, 0, 2.5]
    recording = only(write(tmp_path, skeletons=poses))
    assert np.argwhere(~recording.present).tolist() == [[0, 1, 4]]


@pytest.mark.parametrize("name", ["a01_s01_e00_v01.json", "a12_s10_e99_v03.json"])
def test_its_names_are_recognized(name: str) -> None:
    assert nw_ucla.recognizes(Path(name))


@pytest.mark.parametrize("name", ["a1_s1_t1_skeleton.mat", "a01_s01_e00.json", "clip.json", ""])
def test_other_names_are_not_recognized(name: str) -> None:
    assert not nw_ucla.recognizes(Path(name))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"label": 0}, "1 to 10"),
        ({"label": 11}, "1 to 10"),
        ({"label": "10"}, "1 to 10"),
        ({"label": True}, "1 to 10"),
        ({"label": 3.0}, "1 to 10"),
        ({"label": ...}, "label"),
        ({"skeletons": ...}, "skeletons"),
        ({"skeletons": []}, "shape"),
        ({"skeletons": None}, "numbers|shape"),
        ({"skeletons": "none"}, "numbers"),
        ({"skeletons": [[[1, 2, 3]] * 19]}, r"\(1, 19, 3\)"),
        ({"skeletons": [[[1, 2]] * 20]}, r"\(1, 20, 2\)"),
        ({"skeletons": [[[1, 2, 3]] * 20, [[1, 2, 3]] * 19]}, "numbers"),
        ({"skeletons": [[[1, 2, {}]] * 20]}, "numbers"),
        ({"skeletons": [[[1, 2, 10**400]] * 20]}, "numbers"),
        ({"skeletons": [[[1, 2, 1e30]] * 20]}, "damaged"),
        ({"skeletons": [[[1, 2, float("inf")]] * 20]}, "damaged"),
        ({"file_name": "a01_s01_e00_v01"}, "a01_s01_e00_v01"),
    ],
)
def test_foreign_content_is_refused_by_name_of_the_file(tmp_path: Path, content: dict[str, Any], says: str) -> None:
    path = write(tmp_path, **content)
    with pytest.raises(ReadError, match=says) as refusal:
        only(path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"a"', "[" * 100_000, "\xff\xfe", '{"label": 1'])
def test_text_that_is_no_clip_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / f"{STEM}.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ReadError):
        only(path)


@given(raw=st.binary(max_size=300))
@AN_OWN_FOLDER
def test_random_bytes_are_refused_and_nothing_else_happens(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / f"{STEM}.json"
    path.write_bytes(raw)
    with pytest.raises(ReadError):
        only(path)


@given(share=st.floats(0, 0.999))
@AN_OWN_FOLDER
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ReadError):
        only(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(poses=JSON, label=JSON)
@AN_OWN_FOLDER
def test_any_other_json_is_refused_and_nothing_else_happens(tmp_path: Path, poses: object, label: object) -> None:
    for content in ({"skeletons": poses}, {"skeletons": ..., "label": label}, {"skeletons": poses, "label": label}):
        with pytest.raises(ReadError):
            only(write(tmp_path, **content))


@pytest.fixture(scope="module")
def clips(real_data: Path) -> list[Recording]:
    paths = sorted(path for path in (real_data / "nw_ucla").rglob("*") if nw_ucla.recognizes(path))
    return [only(path) for path in paths]


@pytest.mark.data
def test_the_real_1484_clips_have_10_actions_10_people_and_3_cameras(clips: list[Recording]) -> None:
    assert len(clips) == 1484
    assert {clip.label for clip in clips} == set(nw_ucla.CLASSES or ())
    assert sorted({clip.subject or 0 for clip in clips}) == list(range(1, 11))
    cameras = Counter(clip.camera for clip in clips)
    assert (cameras[1] + cameras[2], cameras[3]) == (1020, 464)
    frames = [clip.poses.shape[1] for clip in clips]
    assert (min(frames), int(np.median(frames)), max(frames)) == (1, 31, 201)


@pytest.mark.data
def test_the_real_clips_lose_12_joints_in_two_frames(clips: list[Recording]) -> None:
    lost = {clip.source: int((~clip.present).sum()) for clip in clips if not clip.present.all()}
    assert lost == {"a04_s01_e01_v01.json": 6, "a04_s04_e02_v01.json": 6}


@pytest.mark.data
def test_the_real_clips_stand_upright_in_a_right_handed_room(clips: list[Recording]) -> None:
    agree = []
    for clip in clips:
        joint = {name: clip.poses[0, :, index] for index, name in enumerate(KINECT20.joints)}
        assert np.nanmedian(joint["head"][:, 1] - joint["pelvis"][:, 1]) > 0.1
        # In a right-handed room with y up, left x up is where the feet point.
        forward = np.cross(joint["left_hip"] - joint["right_hip"], [0, 1, 0])
        feet = joint["left_foot"] - joint["left_ankle"] + joint["right_foot"] - joint["right_ankle"]
        agree.append(bool(np.nanmedian((forward * feet).sum(axis=-1)) > 0))
    # Kinect v1 confuses front and back where a person turns away; it does so rarely.
    assert np.mean(agree) > 0.95


@pytest.mark.data
def test_the_real_labels_name_what_the_joints_do(clips: list[Recording]) -> None:
    def hips(label: str) -> list[np.ndarray]:
        return [c.poses[0, :, 0] for c in clips if c.label == label and c.poses.shape[1] > 9 and c.present.all()]

    fall = [y[:3, 1].mean() - y[-3:, 1].mean() for y in hips("sit down")]
    rise = [y[-3:, 1].mean() - y[:3, 1].mean() for y in hips("stand up")]
    assert np.mean(np.array(fall) > 0.05) > 0.9
    assert np.mean(np.array(rise) > 0.1) > 0.9
    ways = {
        label: np.median([np.ptp(y[:, [0, 2]], axis=0).sum() for y in hips(label)]) for label in nw_ucla.CLASSES or ()
    }
    assert max(ways, key=lambda label: float(ways[label])) == "walk around"


@pytest.mark.data
def test_at_the_assumed_rate_people_walk_and_do_not_run(clips: list[Recording]) -> None:
    speeds = []
    for clip in clips:
        if clip.label == "walk around" and clip.poses.shape[1] > 9:
            ground = clip.poses[0, :, 0][:, [0, 2]]  # (T, 2)
            speeds.append(np.nanmedian(np.linalg.norm(np.diff(ground, axis=0), axis=1)) * clip.fps)
    assert 0.8 < np.median(speeds) < 1.5  # metres a second; at 30 frames a second it would be 2
