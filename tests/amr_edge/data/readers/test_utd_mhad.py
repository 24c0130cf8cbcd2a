"""UTD-MHAD files: written here in their format, and the real ones where they are at hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from amr_edge.data.readers import utd_mhad
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import KINECT20

# As the text file beside the data set lists them.
LISTED = ["head", "shoulder_center", "spine", "hip_center"]
LISTED += [f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist", "hand")]
LISTED += [f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "foot")]
OURS = {"shoulder_center": "upper_spine", "hip_center": "pelvis"}
AN_OWN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def numbered(frames: int = 3) -> np.ndarray:
    """(20, 3, T) in which every value says where it stands: joint + axis / 10 + frame * 100."""
    joint, axis, frame = np.meshgrid(np.arange(20), np.arange(3), np.arange(frames), indexing="ij")
    return 1 + joint + axis / 10 + frame * 100.0


def write(folder: Path, d_skel: object, name: str = "a3_s5_t2_skeleton.mat") -> Path:
    savemat(folder / name, {"d_skel": d_skel})
    return folder / name


def only(path: Path) -> Recording:
    (recording,) = utd_mhad.read(path)
    return recording


def test_every_joint_of_the_file_comes_back_under_its_own_name(tmp_path: Path) -> None:
    recording = only(write(tmp_path, numbered()))
    assert recording.layout == "kinect20"
    assert recording.poses.shape == (1, 3, 20, 3)
    for place, listed in enumerate(LISTED):
        joint = KINECT20.index(OURS.get(listed, listed))
        expected = [[1 + place + axis / 10 + frame * 100 for axis in range(3)] for frame in range(3)]
        np.testing.assert_allclose(recording.poses[0, :, joint], expected, rtol=1e-6)


def test_action_and_subject_come_from_the_name_and_time_runs_at_30_frames_a_second(tmp_path: Path) -> None:
    recording = only(write(tmp_path, numbered(4), "a27_s8_t4_skeleton.mat"))
    assert (recording.label, recording.subject, recording.camera) == ("squat", 8, None)
    assert recording.source == "a27_s8_t4_skeleton.mat"
    np.testing.assert_allclose(recording.times_s, [0, 1 / 30, 2 / 30, 3 / 30])


def test_a_clip_of_one_frame_is_read_though_matlab_drops_its_last_axis(tmp_path: Path) -> None:
    flat, full = only(write(tmp_path, numbered(1)[..., 0])), only(write(tmp_path, numbered(1)))
    assert flat.poses.shape == (1, 1, 20, 3)
    np.testing.assert_array_equal(flat.poses, full.poses)


def test_a_joint_of_zeros_is_absent(tmp_path: Path) -> None:
    lost = numbered()
    lost[6, :, 1] = 0  # left wrist
    recording = only(write(tmp_path, lost))
    wrist = KINECT20.index("left_wrist")
    assert recording.present[0, :, wrist].tolist() == [True, False, True]
    assert np.isnan(recording.poses[0, 1, wrist]).all()
    assert recording.present.sum() == 3 * 20 - 1


@pytest.mark.parametrize("name", ["a1_s1_t1_skeleton.mat", "a27_s8_t4_skeleton.mat"])
def test_its_names_are_recognized(name: str) -> None:
    assert utd_mhad.recognizes(Path("anywhere") / name)


@pytest.mark.parametrize(
    "name", ["a1_s1_t1_depth.mat", "0001.mat", "a01_s01_e00_v01.json", "a1_s1_t1_skeleton.mat.bak", "skeleton.mat", ""]
)
def test_other_names_are_not_recognized(name: str) -> None:
    assert not utd_mhad.recognizes(Path(name))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"other": numbered()}, "d_skel"),
        ({"d_skel": numbered()[:19]}, r"\(19, 3, 3\)"),
        ({"d_skel": numbered().transpose(2, 0, 1)}, r"\(3, 20, 3\)"),
        ({"d_skel": numbered(0)}, "no frame|shape"),
        ({"d_skel": "twenty joints"}, "numbers"),
        ({"d_skel": numbered() * 1j}, "real numbers"),
        ({"d_skel": numbered() * 1e9}, "damaged"),
        ({"d_skel": np.full((20, 3, 2), np.inf)}, "damaged"),
    ],
)
def test_foreign_content_is_refused_by_name_of_the_file(tmp_path: Path, content: dict[str, object], says: str) -> None:
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    savemat(path, content)
    with pytest.raises(ReadError, match=says) as refusal:
        only(path)
    assert str(path) in str(refusal.value)


def test_an_action_that_the_data_set_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="1 to 27"):
        only(write(tmp_path, numbered(), "a28_s1_t1_skeleton.mat"))


def test_a_file_that_is_not_there_is_an_error_of_the_path_not_of_the_content(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        only(tmp_path / "a1_s1_t1_skeleton.mat")


@given(raw=st.binary(max_size=400))
@AN_OWN_FOLDER
def test_random_bytes_are_refused_and_nothing_else_happens(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    path.write_bytes(raw)
    with pytest.raises(ReadError):
        only(path)


@given(share=st.floats(0, 0.99), compressed=st.booleans())
@AN_OWN_FOLDER
def test_a_truncated_file_is_refused(tmp_path: Path, share: float, compressed: bool) -> None:
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    savemat(path, {"d_skel": numbered(5)}, do_compression=compressed)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ReadError):
        only(path)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
@AN_OWN_FOLDER
def test_a_damaged_byte_is_refused_or_read_but_never_crashes(tmp_path: Path, at: int, byte: int) -> None:
    path = write(tmp_path, numbered(5))
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] = byte
    path.write_bytes(raw)
    try:
        assert only(path).poses.shape[2:] == (20, 3)
    except ReadError as refusal:
        assert str(path) in str(refusal)  # noqa: PT017


@pytest.fixture(scope="module")
def clips(real_data: Path) -> list[Recording]:
    paths = sorted(path for path in (real_data / "utd_mhad").rglob("*") if utd_mhad.recognizes(path))
    return [only(path) for path in paths]


@pytest.mark.data
def test_the_real_861_clips_have_27_actions_of_8_people(clips: list[Recording]) -> None:
    assert len(clips) == 861
    assert {clip.label for clip in clips} == set(utd_mhad.CLASSES or ())
    assert sorted({clip.subject or 0 for clip in clips}) == list(range(1, 9))
    assert sum((clip.subject or 0) % 2 for clip in clips) == 431  # the usual protocol's training half
    frames = [clip.poses.shape[1] for clip in clips]
    assert (min(frames), int(np.median(frames)), max(frames)) == (41, 67, 125)
    assert all(clip.present.all() for clip in clips)


@pytest.mark.data
def test_the_real_clips_stand_upright_in_a_right_handed_room(clips: list[Recording]) -> None:
    agree = 0
    for clip in clips:
        joint = {name: clip.poses[0, :, index] for index, name in enumerate(KINECT20.joints)}
        assert np.median(joint["head"][:, 1] - joint["pelvis"][:, 1]) > 0.4
        # In a right-handed room with y up, left x up is where the feet point.
        forward = np.cross(joint["left_hip"] - joint["right_hip"], [0, 1, 0])
        feet = joint["left_foot"] - joint["left_ankle"] + joint["right_foot"] - joint["right_ankle"]
        agree += bool(np.median((forward * feet).sum(axis=-1)) > 0)
    assert agree / len(clips) > 0.99


@pytest.mark.data
def test_the_real_labels_name_what_the_joints_do(clips: list[Recording]) -> None:
    def travel(label: str, joint: str) -> float:
        index = KINECT20.index(joint)
        return float(np.mean([np.ptp(c.poses[0, :, index], axis=0).sum() for c in clips if c.label == label]))

    def rise(label: str) -> list[float]:
        hips = [c.poses[0, :, KINECT20.index("pelvis"), 1] for c in clips if c.label == label]
        return [float(y[-5:].mean() - y[:5].mean()) for y in hips]

    for right_handed in ("swipe left", "swipe right", "wave", "draw x", "knock"):
        assert travel(right_handed, "right_wrist") > 3 * travel(right_handed, "left_wrist")
    assert travel("clap", "left_wrist") > 0.5 * travel("clap", "right_wrist")
    assert min(rise("sit to stand")) > 0.1
    assert max(rise("stand to sit")) < -0.1
