"""UI-PRMD's Vicon files: markers written here in their format, and the real ones where they are at hand."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amr_edge.data import readers
from amr_edge.data.readers import ui_prmd, ui_prmd_vicon
from amr_edge.data.readers.ui_prmd_vicon import MARKERS, Lost
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import CANONICAL15, layout, remap

AN_OWN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)

# A person who stands with the arms held ahead: (x forward, y left, z up) in millimetres, the left side and the middle.
LEFT = {
    "LFHD": (80, 70, 1700), "LBHD": (-80, 70, 1700), "LSHO": (0, 180, 1400), "LUPA": (50, 190, 1300),
    "LELB": (0, 200, 1150), "LFRM": (100, 200, 1150), "LWRA": (250, 170, 1150), "LWRB": (250, 230, 1150),
    "LFIN": (350, 200, 1150), "LASI": (100, 125, 1000), "LPSI": (-100, 50, 1000), "LTHI": (0, 160, 700),
    "LKNE": (0, 150, 500), "LTIB": (0, 150, 300), "LANK": (-30, 140, 80), "LHEE": (-80, 120, 30),
    "LTOE": (140, 120, 30),
}  # fmt: skip
MIDDLE = {
    "C7": (-60, 0, 1450), "T10": (-90, 0, 1200), "CLAV": (80, 0, 1400), "STRN": (100, 0, 1250), "RBAK": (-80, -90, 1300)
}  # fmt: skip
MIRROR = {f"R{name[1:]}": (x, -y, z) for name, (x, y, z) in LEFT.items()}
STANDING = np.array([{**LEFT, **MIRROR, **MIDDLE}[name] for name in MARKERS], dtype=np.float64)  # (39, 3)


def person(frames: int = 6) -> np.ndarray:
    """(T, 39, 3) of somebody who stands and drifts forward by 10 mm a frame."""
    drift = np.arange(frames)[:, None] * np.array([10.0, 0.0, 0.0])
    return STANDING + drift[:, None]


def at(marker: str) -> int:
    return MARKERS.index(marker)


def write(root: Path, markers: np.ndarray, stem: str = "m01_s02_e03", inc: str = "", end: str = ".txt.gz") -> Path:
    path = root / "Segmented Movements" / "Vicon" / "Positions" / f"{stem}_positions{inc}{end}"
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = "".join(",".join(f"{number:.6g}" for number in row) + "\n" for row in markers.reshape(len(markers), -1))
    path.write_bytes(gzip.compress(raw.encode(), mtime=0) if end.endswith("gz") else raw.encode())
    return path


def only(path: Path) -> Recording:
    (recording,) = ui_prmd_vicon.read(path)
    return recording


def joint(recording: Recording, name: str) -> np.ndarray:
    """(T, 3) metres."""
    return recording.poses[0, :, CANONICAL15.index(name)]


@pytest.mark.parametrize("end", [".txt.gz", ".txt"])
def test_every_joint_lies_where_its_markers_say_in_metres_left_up_forward(tmp_path: Path, end: str) -> None:
    recording = only(write(tmp_path, person(1), stem="m10_s07_e02", end=end))
    assert recording.layout == "canonical15"
    # The pelvis is 250 mm wide and level: 0.36 of it to the side, 0.19 back from the front spines, 0.30 down.
    expected = {
        "mid_hip": (0, 0.925, 0.0525), "mid_shoulder": (0, 1.4, 0), "head": (0, 1.7, 0),
        "left_shoulder": (0.18, 1.4, 0), "left_elbow": (0.2, 1.15, 0), "left_wrist": (0.2, 1.15, 0.25),
        "right_shoulder": (-0.18, 1.4, 0), "right_elbow": (-0.2, 1.15, 0), "right_wrist": (-0.2, 1.15, 0.25),
        "left_hip": (0.09, 0.925, 0.0525), "left_knee": (0.15, 0.5, 0), "left_ankle": (0.14, 0.08, -0.03),
        "right_hip": (-0.09, 0.925, 0.0525), "right_knee": (-0.15, 0.5, 0), "right_ankle": (-0.14, 0.08, -0.03),
    }  # fmt: skip
    for name, place in expected.items():
        np.testing.assert_allclose(joint(recording, name)[0], place, atol=1e-6, err_msg=name)
    assert (recording.label, recording.subject) == ("standing shoulder scaption", 7)
    assert recording.parts == ("vicon", "correct")


def test_a_hundred_frames_are_a_second_and_an_incorrect_file_says_so(tmp_path: Path) -> None:
    recording = only(write(tmp_path, person(4), inc="_inc"))
    np.testing.assert_allclose(recording.times_s, [0, 0.01, 0.02, 0.03])
    assert recording.parts == ("vicon", "incorrect")


@given(turn=st.floats(-3, 3), lean=st.floats(-1, 1))
@AN_OWN_FOLDER
def test_the_hips_turn_with_the_pelvis(tmp_path: Path, turn: float, lean: float) -> None:
    yaw = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    pitch = np.array([[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]])
    turned = (yaw @ pitch @ person(1)[..., None])[..., 0]
    still, moved = only(write(tmp_path, person(1))), only(write(tmp_path, turned))
    here = (yaw @ pitch)[[1, 2, 0]][:, [1, 2, 0]]
    np.testing.assert_allclose(moved.poses, still.poses @ here.T.astype(np.float32), atol=1e-4)


def test_a_short_gap_of_a_marker_is_a_straight_line(tmp_path: Path) -> None:
    markers = person(30)
    expected = only(write(tmp_path, markers)).poses
    markers[3:28, at("LKNE")] = 0  # 25 frames are the quarter of a second
    path = write(tmp_path, markers)
    np.testing.assert_allclose(only(path).poses, expected, atol=1e-5)
    assert ui_prmd_vicon.rebuilt(path) == (Lost("LKNE", 25, "interpolated"),)


def test_a_long_gap_of_a_lone_marker_and_gaps_at_the_ends_are_absent(tmp_path: Path) -> None:
    markers = person(40)
    markers[3:29, at("LKNE")] = 0
    markers[:2, at("RANK")] = markers[-1, at("RELB")] = 0
    path = write(tmp_path, markers)
    recording = only(path)
    assert np.flatnonzero(np.isnan(joint(recording, "left_knee")[:, 0])).tolist() == list(range(3, 29))
    assert np.flatnonzero(np.isnan(joint(recording, "right_ankle")[:, 0])).tolist() == [0, 1]
    assert np.flatnonzero(np.isnan(joint(recording, "right_elbow")[:, 0])).tolist() == [39]
    absent = (Lost("RELB", 1, "absent"), Lost("LKNE", 26, "absent"), Lost("RANK", 2, "absent"))
    assert ui_prmd_vicon.rebuilt(path) == absent


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_front_spine_that_is_never_seen_lies_240_mm_from_the_other_along_the_back_spines(
    tmp_path: Path, side: str
) -> None:
    markers = person()
    markers[:, at(f"{side}ASI")] = 0
    path = write(tmp_path, markers)
    # The true pelvis is 250 mm wide: with 240 the hips are 0.36 * 240 either side of a middle 5 mm off.
    sign = 1 if side == "L" else -1
    recording = only(path)
    np.testing.assert_allclose(joint(recording, "left_hip")[:, 0], 0.0864 - sign * 0.005, atol=1e-6)
    np.testing.assert_allclose(joint(recording, "right_hip")[:, 0], -0.0864 - sign * 0.005, atol=1e-6)
    assert ui_prmd_vicon.rebuilt(path) == (Lost(f"{side}ASI", 6, "rebuilt"),)


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_front_spine_that_was_seen_once_is_put_back_exactly_while_the_pelvis_turns(tmp_path: Path, side: str) -> None:
    turns = np.linspace(0, 1, 50)
    yaw = np.array([[[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]] for a in turns])  # (T, 3, 3)
    markers = (yaw[:, None] @ person(50)[..., None])[..., 0]
    expected = only(write(tmp_path, markers)).poses
    markers[5:, at(f"{side}ASI")] = 0
    np.testing.assert_allclose(only(write(tmp_path, markers)).poses, expected, atol=1e-5)


def test_both_front_spines_lost_or_a_back_spine_lost_for_long_leave_no_hips(tmp_path: Path) -> None:
    for lost in (("LASI", "RASI"), ("LPSI",)):
        markers = person()
        markers[:, [at(marker) for marker in lost]] = 0
        recording = only(write(tmp_path, markers))
        for name in ("mid_hip", "left_hip", "right_hip"):
            assert np.isnan(joint(recording, name)).all()
        assert np.isfinite(joint(recording, "left_knee")).all()


def test_the_wrist_is_the_other_marker_where_one_is_lost_and_absent_where_both_are(tmp_path: Path) -> None:
    markers = person()
    markers[:, at("LWRB")] = 0
    markers[:, [at("RWRA"), at("RWRB")]] = 0
    path = write(tmp_path, markers)
    recording = only(path)
    np.testing.assert_allclose(joint(recording, "left_wrist")[0], (0.17, 1.15, 0.25), atol=1e-6)
    assert np.isnan(joint(recording, "right_wrist")).all()
    assert {lost.marker: lost.remedy for lost in ui_prmd_vicon.rebuilt(path)} == {
        "LWRB": "rebuilt", "RWRA": "absent", "RWRB": "absent"
    }  # fmt: skip


@pytest.mark.parametrize("marker", ["LFHD", "RFHD", "LBHD", "RBHD"])
def test_the_head_stays_in_the_middle_without_one_of_its_markers(tmp_path: Path, marker: str) -> None:
    markers = person()
    expected = joint(only(write(tmp_path, markers)), "head")
    markers[:, at(marker)] = 0
    np.testing.assert_allclose(joint(only(write(tmp_path, markers)), "head"), expected, atol=1e-6)


@pytest.mark.parametrize("marker", ["STRN", "CLAV", "LTOE", "RTHI", "C7"])
def test_a_marker_that_no_joint_is_made_of_may_be_lost(tmp_path: Path, marker: str) -> None:
    markers = person()
    expected = only(write(tmp_path, markers)).poses
    markers[:, at(marker)] = 0
    path = write(tmp_path, markers)
    np.testing.assert_array_equal(only(path).poses, expected)
    assert ui_prmd_vicon.rebuilt(path) == ()


@given(lost=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 38)), max_size=60))
@AN_OWN_FOLDER
def test_no_lost_marker_ever_leaves_a_joint_at_the_origin(tmp_path: Path, lost: list[tuple[int, int]]) -> None:
    markers = person(40)
    for frame, marker in lost:
        markers[frame, marker] = 0
    recording = only(write(tmp_path, markers))
    # What is given lies within a hand of where it is; nothing is drawn towards zero.
    true = only(write(tmp_path, person(40), stem="m02_s01_e01")).poses
    off = np.linalg.norm(recording.poses - true, axis=-1)
    assert np.nanmax(off) < 0.05


def test_a_folder_of_both_sensors_is_the_kinects_and_the_vicon_files_can_be_asked_for(tmp_path: Path) -> None:
    vicon = write(tmp_path, person())
    assert readers.detect(tmp_path).NAME == "ui_prmd_vicon"
    assert readers.detect(vicon).NAME == "ui_prmd_vicon"
    room = vicon.parents[2] / "Kinect" / "Positions"
    room.mkdir(parents=True)
    kinect = room / vicon.name
    kinect.write_bytes(b"")
    found = readers.find(tmp_path)
    assert (found.reader.NAME, found.files, found.others) == ("ui_prmd", (kinect,), ())
    found = readers.find(tmp_path, "ui_prmd_vicon")
    assert (found.reader.NAME, found.files, found.others) == ("ui_prmd_vicon", (vicon,), ())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "no frame"),
        (gzip.compress(b"", mtime=0), "no frame"),
        (b"1,2,3\n", "gzip"),
        (gzip.compress(b"1,2,3\n", mtime=0), "row 1 has 3"),
        (gzip.compress(b",".join([b"1"] * 66), mtime=0), "117 numbers.*has 66"),
        (gzip.compress(b",".join([b"1"] * 117) + b"\n" + b",".join([b"1"] * 116), mtime=0), "row 2 has 116"),
        (gzip.compress(b",".join([b"x"] * 117), mtime=0), "only numbers"),
        (gzip.compress(b",".join([b"inf"] * 117), mtime=0), "finite"),
        (gzip.compress(b",".join([b"1e300"] * 117), mtime=0), "finite"),
        (gzip.compress("µ".encode(), mtime=0), "something else"),
    ],
)
def test_a_damaged_file_is_refused_by_its_name(tmp_path: Path, raw: bytes, says: str) -> None:
    path = write(tmp_path, person(1))
    path.write_bytes(raw)
    with pytest.raises(ReadError, match=says) as refusal:
        only(path)
    assert str(path) in str(refusal.value)


def test_a_movement_that_the_data_set_has_not_and_another_name_are_refused(tmp_path: Path) -> None:
    for stem in ("m11_s01_e01", "m00_s01_e01", "x"):
        with pytest.raises(ReadError, match="1 to 10"):
            only(write(tmp_path, person(1), stem=stem))


@given(raw=st.binary(max_size=300), zipped=st.booleans())
@AN_OWN_FOLDER
def test_random_bytes_are_refused_and_nothing_else_happens(tmp_path: Path, raw: bytes, zipped: bool) -> None:
    path = write(tmp_path, person(1))
    path.write_bytes(gzip.compress(raw, mtime=0) if zipped else raw)
    with pytest.raises(ReadError):
        only(path)


# --- the real recordings ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vicon(real_data: Path) -> tuple[Path, ...]:
    return readers.find(real_data / "ui_prmd", "ui_prmd_vicon").files


def bend_deg(recording: Recording, side: str) -> np.ndarray:
    """(T,) how far a knee is bent, by the angle between thigh and shank."""
    poses = remap(recording.poses[0], recording.skeleton, layout("canonical15")).poses
    hip, knee, ankle = (poses[:, CANONICAL15.index(f"{side}_{part}")] for part in ("hip", "knee", "ankle"))
    thigh, shank = knee - hip, ankle - knee
    cos = (thigh * shank).sum(axis=-1) / np.linalg.norm(thigh, axis=-1) / np.linalg.norm(shank, axis=-1)
    return np.degrees(np.arccos(np.clip(cos, -1, 1)))


@pytest.mark.data
def test_the_real_198_files_are_read_and_only_two_of_them_miss_a_joint(vicon: tuple[Path, ...]) -> None:
    found = list(readers.recordings(ui_prmd_vicon, vicon))
    assert len(found) == 198
    missing = {each.source[:11]: int((~each.present).any(axis=-1).sum()) for each in found if not each.present.all()}
    assert missing == {"m03_s02_e01": 4, "m10_s03_e01": 10}
    for each in found:
        place = dict(zip(CANONICAL15.joints, np.nanmedian(each.poses[0], axis=0), strict=True))
        assert place["head"][1] > place["mid_hip"][1] > place["left_ankle"][1]
        assert np.nanmax(np.linalg.norm(np.diff(each.poses[0], axis=0), axis=-1)) < 0.05  # 5 m/s, no jumps


@pytest.mark.data
def test_what_was_rebuilt_in_the_real_files_is_reported(vicon: tuple[Path, ...]) -> None:
    damaged = {path.name[:11]: ui_prmd_vicon.rebuilt(path) for path in vicon if path.name[:7] in ("m08_s10", "m10_s05")}
    assert damaged == {
        "m08_s10_e01": (Lost("LASI", 152, "rebuilt"),),
        "m08_s10_e02": (Lost("LASI", 185, "rebuilt"),),
        "m10_s05_e01": (Lost("LWRB", 318, "rebuilt"), Lost("RASI", 2, "rebuilt")),
        "m10_s05_e02": (Lost("LWRB", 127, "rebuilt"),),
    }


@pytest.mark.data
def test_real_squats_bend_the_knees_as_far_as_the_kinect_saw_and_both_alike(vicon: tuple[Path, ...]) -> None:
    peaks: dict[str, list[float]] = {"vicon": [], "kinect": []}
    for path in (path for path in vicon if path.name.startswith("m01")):
        twin = path.parents[2] / "Kinect" / "Positions" / path.name
        for sensor, (recording,) in (("vicon", ui_prmd_vicon.read(path)), ("kinect", ui_prmd.read(twin))):
            left, right = bend_deg(recording, "left"), bend_deg(recording, "right")
            assert np.corrcoef(left, right)[0, 1] > 0.9
            peaks[sensor].append(float((left + right).max() / 2))
    assert len(peaks["vicon"]) == 20
    assert np.median(peaks["vicon"]) == pytest.approx(122, abs=6)
    assert np.median(peaks["kinect"]) == pytest.approx(125, abs=6)


@pytest.mark.data
def test_the_leg_that_steps_and_the_arm_that_rises_are_the_same_in_both_sensors(vicon: tuple[Path, ...]) -> None:
    def busier(recording: Recording, part: str) -> str:
        poses = remap(recording.poses[0], recording.skeleton, layout("canonical15")).poses
        spread = {
            side: np.nanmax(np.ptp(poses[:, CANONICAL15.index(f"{side}_{part}")], axis=0)) for side in ("left", "right")
        }
        return max(spread, key=lambda side: spread[side])

    for movement, part in (("m02", "knee"), ("m07", "wrist"), ("m10", "wrist")):
        for path in [path for path in vicon if path.name.startswith(movement) and "_e01" in path.name][::3]:
            (seen,), (twin,) = (
                ui_prmd_vicon.read(path), ui_prmd.read(path.parents[2] / "Kinect" / "Positions" / path.name)
            )  # fmt: skip
            assert busier(seen, part) == busier(twin, part), path.name
