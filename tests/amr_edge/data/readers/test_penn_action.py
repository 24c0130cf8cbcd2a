"""Penn Action files: written here in their format, and the real ones where they are at hand."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from amr_edge.data.readers import penn_action
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import PENN13

AN_OWN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
T = 4


def content(**changed: Any) -> dict[str, Any]:
    """What a file holds: joint v of frame t at (10 v + t, 20 v + t) in an image 360 high and 480 wide."""
    time, joint = np.meshgrid(np.arange(T), np.arange(13), indexing="ij")
    whole: dict[str, Any] = {
        "x": (10 * joint + time).astype(np.uint16),
        "y": (20 * joint + time).astype(np.uint16),
        "visibility": np.ones((T, 13), np.uint8),
        "action": "squat",
        "pose": "front",
        "train": np.int32([[1]]),
        "bbox": np.zeros((T, 4)),
        "dimensions": np.uint16([[360, 480, T]]),
        "nframes": np.uint8([[T]]),
        **changed,
    }
    return {key: value for key, value in whole.items() if value is not ...}


def write(folder: Path, **changed: Any) -> Path:
    savemat(folder / "0042.mat", content(**changed))
    return folder / "0042.mat"


def only(path: Path) -> Recording:
    (recording,) = penn_action.read(path)
    return recording


def test_y_points_up_from_the_lower_edge_of_the_image(tmp_path: Path) -> None:
    recording = only(write(tmp_path))
    assert (recording.layout, recording.units) == ("penn13", "px")
    assert recording.poses.shape == (1, T, 13, 2)
    for joint in range(13):
        for frame in range(T):
            assert recording.poses[0, frame, joint].tolist() == [10 * joint + frame, 360 - (20 * joint + frame)]


def test_unsigned_pixels_below_the_image_do_not_wrap_around(tmp_path: Path) -> None:
    low = np.full((T, 13), 400, np.uint16)  # an annotator may mark a foot below an image 360 high
    assert (only(write(tmp_path, y=low)).poses[..., 1] == -40).all()


def test_an_invisible_joint_is_absent(tmp_path: Path) -> None:
    seen = np.ones((T, 13), np.uint8)
    seen[2, 6] = 0
    recording = only(write(tmp_path, visibility=seen))
    assert np.argwhere(~recording.present).tolist() == [[0, 2, 6]]
    assert np.isnan(recording.poses[0, 2, 6]).all()


def test_a_visible_joint_in_the_corner_is_present(tmp_path: Path) -> None:
    recording = only(write(tmp_path, y=np.full((T, 13), 360.0)))
    assert recording.poses[0, 0, 0].tolist() == [0, 0]
    assert recording.present.all()


@pytest.mark.parametrize(("mark", "part"), [(1, "train"), (-1, "test")])
def test_the_file_says_which_official_part_it_belongs_to(tmp_path: Path, mark: int, part: str) -> None:
    assert only(write(tmp_path, train=np.int32([[mark]]))).parts == (part,)


def test_a_field_wrapped_in_arrays_of_one_is_unwrapped(tmp_path: Path) -> None:
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = "bowl"
    assert only(write(tmp_path, action=cell)).label == "bowl"


def test_the_length_is_that_of_x_and_not_what_the_file_counts(tmp_path: Path) -> None:
    # nframes is stored in eight bits by some files, so it cannot hold a long clip.
    assert only(write(tmp_path, nframes=np.uint8([[255]]))).poses.shape[1] == T


@pytest.mark.parametrize("name", ["0001.mat", "2326.mat"])
def test_its_names_are_recognized(name: str) -> None:
    assert penn_action.recognizes(Path(name))


@pytest.mark.parametrize("name", ["a1_s1_t1_skeleton.mat", "1.mat", "0001.json", "00001.mat", "x0001.mat", ""])
def test_other_names_are_not_recognized(name: str) -> None:
    assert not penn_action.recognizes(Path(name))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"x": ...}, "variable x"),
        ({"action": ..., "train": ...}, "action, train"),
        ({"x": np.zeros((T, 12))}, r"\(4, 12\)"),
        ({"y": np.zeros((T + 1, 13))}, r"\(5, 13\)"),
        ({"visibility": np.ones((T, 1))}, r"\(4, 1\)"),
        ({"x": np.zeros((0, 13)), "y": np.zeros((0, 13)), "visibility": np.ones((0, 13))}, "no frame"),
        ({"x": "left"}, "numbers"),
        ({"x": np.full((T, 13), np.inf)}, "damaged"),
        ({"action": "juggle"}, "juggle"),
        ({"action": 3}, "15 actions"),
        ({"action": np.array(["squat", "squats"])}, "2 lines"),
        ({"train": 0}, "train"),
        ({"train": [1, -1]}, "train"),
        ({"train": "yes"}, "train"),
        ({"dimensions": 360}, "dimensions"),
        ({"dimensions": [0, 480, 4]}, "dimensions"),
        ({"dimensions": [np.nan, 480, 4]}, "dimensions"),
    ],
)
def test_foreign_content_is_refused_by_name_of_the_file(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    path = write(tmp_path, **changed)
    with pytest.raises(ReadError, match=says) as refusal:
        only(path)
    assert str(path) in str(refusal.value)


@given(raw=st.binary(max_size=400))
@AN_OWN_FOLDER
def test_random_bytes_are_refused_and_nothing_else_happens(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "0042.mat"
    path.write_bytes(raw)
    with pytest.raises(ReadError):
        only(path)


@given(share=st.floats(0, 0.99), compressed=st.booleans())
@AN_OWN_FOLDER
def test_a_truncated_file_is_read_only_if_what_we_need_is_whole(tmp_path: Path, share: float, compressed: bool) -> None:
    path = tmp_path / "0042.mat"
    savemat(path, content(), do_compression=compressed)
    expected = only(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    try:
        recording = only(path)
    except ReadError:
        return
    np.testing.assert_array_equal(recording.poses, expected.poses)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
@AN_OWN_FOLDER
def test_a_damaged_byte_is_refused_or_read_but_never_crashes(tmp_path: Path, at: int, byte: int) -> None:
    path = write(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] = byte
    path.write_bytes(raw)
    try:
        assert only(path).poses.shape[2:] == (13, 2)
    except ReadError as refusal:
        assert str(path) in str(refusal)  # noqa: PT017


@pytest.fixture(scope="module")
def clips(real_data: Path) -> list[Recording]:
    paths = sorted(path for path in (real_data / "penn_action").rglob("*") if penn_action.recognizes(path))
    return [only(path) for path in paths]


@pytest.mark.data
def test_the_real_2326_clips_have_15_actions_and_the_official_parts(clips: list[Recording]) -> None:
    assert len(clips) == 2326
    assert {clip.label for clip in clips} == set(penn_action.CLASSES or ())
    assert Counter(clip.parts for clip in clips) == {("train",): 1258, ("test",): 1068}
    frames = [clip.poses.shape[1] for clip in clips]
    assert (min(frames), max(frames)) == (18, 663)


@pytest.mark.data
def test_the_real_clips_show_three_quarters_of_their_joints(clips: list[Recording]) -> None:
    assert np.mean([clip.present.mean() for clip in clips]) == pytest.approx(0.777, abs=0.0005)


@pytest.mark.data
def test_in_the_real_clips_of_upright_actions_heads_are_above_feet(clips: list[Recording]) -> None:
    upright = {"golf_swing", "jump_rope", "tennis_serve", "strum_guitar", "baseball_pitch"}
    above = []
    for clip in clips:
        if clip.label in upright:
            y = clip.poses[0, :, :, 1]  # (T, V)
            head, ankle = y[:, PENN13.index("head")], y[:, PENN13.index("left_ankle")]
            above += (head - ankle)[np.isfinite(head) & np.isfinite(ankle)].tolist()
    assert len(above) > 10_000
    assert np.mean(np.array(above) > 0) > 0.99
