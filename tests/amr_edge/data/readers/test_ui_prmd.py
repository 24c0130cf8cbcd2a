"""UI-PRMD files: written here in their format, and the real ones where they are at hand."""

import gzip
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from amr_edge.data.readers import ui_prmd
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import UI_PRMD22

# 0 waist-1 spine-2 chest-3 neck-4 head-5 head tip; 2-6-7-8-9 left arm; 2-10-11-12-13 right arm; the legs from 0.
PARENTS = [-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 2, 10, 11, 12, 0, 14, 15, 16, 0, 18, 19, 20]
AN_OWN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def walked(offsets: np.ndarray, angles_deg: np.ndarray, order: str = "ZXY") -> np.ndarray:
    """The second road: forward kinematics (T, 22, 3) with scipy's rotations, intrinsic in any order."""
    columns = ["XYZ".index(axis) for axis in order]
    positions = np.empty_like(offsets)
    turned: list[Rotation] = []
    for joint, parent in enumerate(PARENTS):
        local = Rotation.from_euler(order, angles_deg[:, joint][:, columns], degrees=True)
        turned.append(local if parent < 0 else turned[parent] * local)
        offset = offsets[:, joint]
        positions[:, joint] = offset if parent < 0 else positions[:, parent] + turned[parent].apply(offset)
    return positions


def text(values: np.ndarray) -> str:
    return "".join(",".join(f"{number:.6f}" for number in row) + "\n" for row in values.reshape(len(values), 66))


def write(
    root: Path, offsets: np.ndarray, angles: np.ndarray, stem: str = "m01_s02_e03", inc: str = "", end: str = ".txt.gz"
) -> Path:
    """Both files in their folders; the path of the positions."""
    for room, word, values in (("Positions", "positions", offsets), ("Angles", "angles", angles)):
        path = root / "Kinect" / room / f"{stem}_{word}{inc}{end}"
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = text(values).encode()
        path.write_bytes(gzip.compress(raw, mtime=0) if end.endswith("gz") else raw)
    return root / "Kinect" / "Positions" / f"{stem}_positions{inc}{end}"


def some(frames: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 30, (frames, 22, 3)), rng.uniform(-180, 180, (frames, 22, 3))


def only(path: Path) -> Recording:
    (recording,) = ui_prmd.read(path)
    return recording


def test_the_layout_hangs_together_as_the_data_set_says() -> None:
    assert list(UI_PRMD22.parents) == PARENTS


def test_without_rotations_a_joint_lies_at_the_sum_of_its_offsets() -> None:
    offsets = np.arange(66, dtype=np.float64).reshape(1, 22, 3)
    placed = ui_prmd.forward_kinematics(offsets, np.zeros((1, 22, 3)))[0]
    # 13, the right wrist: 0 waist, 1 spine, 2 chest, 10 collar, 11 shoulder, 12 elbow, 13 wrist.
    assert placed[13].tolist() == offsets[0, [0, 1, 2, 10, 11, 12, 13]].sum(axis=0).tolist()


def test_a_joints_own_rotation_moves_its_children_and_not_itself() -> None:
    offsets, angles = np.zeros((1, 22, 3)), np.zeros((1, 22, 3))
    offsets[0, 15], offsets[0, 16] = (0, -40, 0), (0, -40, 0)  # left knee below the hip, ankle below the knee
    angles[0, 15] = (90, 0, 0)  # the knee turns about x: down becomes back, y -> z
    placed = ui_prmd.forward_kinematics(offsets, angles)[0]
    np.testing.assert_allclose(placed[15], (0, -40, 0), atol=1e-9)
    np.testing.assert_allclose(placed[16], (0, -40, -40), atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_both_roads_of_forward_kinematics_agree(seed: int) -> None:
    offsets, angles = some(seed=seed)
    np.testing.assert_allclose(ui_prmd.forward_kinematics(offsets, angles), walked(offsets, angles), atol=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_no_rotation_changes_the_length_of_a_bone(seed: int) -> None:
    offsets, angles = some(frames=2, seed=seed)
    placed = ui_prmd.forward_kinematics(offsets, angles)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            bone = np.linalg.norm(placed[:, joint] - placed[:, parent], axis=-1)
            np.testing.assert_allclose(bone, np.linalg.norm(offsets[:, joint], axis=-1), rtol=1e-9)


@pytest.mark.parametrize("end", [".txt.gz", ".txt"])
def test_an_episode_is_read_in_metres_from_its_two_files(tmp_path: Path, end: str) -> None:
    offsets, angles = some()
    recording = only(write(tmp_path, offsets, angles, stem="m10_s07_e04", end=end))
    assert recording.layout == "ui_prmd22"
    np.testing.assert_allclose(recording.poses[0], walked(offsets, angles) / 100, atol=1e-5)
    assert (recording.label, recording.subject) == ("standing shoulder scaption", 7)
    assert recording.parts == ("kinect", "correct")
    np.testing.assert_allclose(recording.times_s, np.arange(5) / 30)


def test_an_incorrect_episode_reads_the_incorrect_angles(tmp_path: Path) -> None:
    right, wrong = some(seed=1), some(seed=2)
    write(tmp_path, *right)
    recording = only(write(tmp_path, *wrong, inc="_inc"))
    assert recording.parts == ("kinect", "incorrect")
    np.testing.assert_allclose(recording.poses[0], walked(*wrong) / 100, atol=1e-5)


def test_only_kinect_positions_are_recordings_and_the_rest_are_companions() -> None:
    root = Path("any where") / "Segmented Movements"
    kinect = root / "Kinect" / "Positions" / "m01_s01_e01_positions.txt.gz"
    assert ui_prmd.recognizes(kinect)
    assert not ui_prmd.companion(kinect)
    for other in (
        root / "Kinect" / "Angles" / "m01_s01_e01_angles_inc.txt.gz",
        root / "Vicon" / "Positions" / "m01_s01_e01_positions.txt.gz",
        root / "Vicon" / "Angles" / "m01_s01_e01_angles.txt",
    ):
        assert ui_prmd.companion(other)
        assert not ui_prmd.recognizes(other)
    for foreign in (root / "README.md", Path("m01_s01_e01_positions.txt.gz"), kinect.with_suffix(".bak"), Path()):
        assert not ui_prmd.recognizes(foreign)
        assert not ui_prmd.companion(foreign)


def test_positions_without_their_angles_are_refused_with_the_place_they_belong(tmp_path: Path) -> None:
    path = write(tmp_path, *some())
    angles = tmp_path / "Kinect" / "Angles" / "m01_s02_e03_angles.txt.gz"
    angles.unlink()
    with pytest.raises(ReadError) as refusal:
        only(path)
    assert str(path) in str(refusal.value)
    assert str(angles) in str(refusal.value)


@pytest.mark.parametrize("frames", [4, 6])
def test_angles_of_another_length_are_refused(tmp_path: Path, frames: int) -> None:
    path = write(tmp_path, some()[0], some(frames)[1])
    with pytest.raises(ReadError, match=f"has 5 frames.* have {frames}"):
        only(path)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "no frame|cut off"),
        (gzip.compress(b"", mtime=0), "no frame|have 0|has 0"),
        (b"1,2,3\n", "gzip"),
        (gzip.compress(b"1,2,3\n", mtime=0), "row 1 has 3"),
        (gzip.compress(b",".join([b"1"] * 66) + b"\n" + b",".join([b"1"] * 65), mtime=0), "row 2 has 65"),
        (gzip.compress(b",".join([b"x"] * 66), mtime=0), "only numbers"),
        (gzip.compress(b",".join([b"nan"] * 66), mtime=0), "finite"),
        (gzip.compress(b",".join([b"1e300"] * 66), mtime=0), "finite"),
        (gzip.compress("µ".encode(), mtime=0), "something else"),
    ],
)
@pytest.mark.parametrize("room", ["Positions", "Angles"])
def test_a_damaged_file_is_refused_by_its_name(tmp_path: Path, raw: bytes, says: str, room: str) -> None:
    path = write(tmp_path, *some(1))
    (bad,) = (tmp_path / "Kinect" / room).iterdir()
    bad.write_bytes(raw)
    with pytest.raises(ReadError, match=says) as refusal:
        only(path)
    assert str(bad) in str(refusal.value)


def test_a_movement_that_the_data_set_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="1 to 10"):
        only(write(tmp_path, *some(), stem="m11_s01_e01"))


@given(raw=st.binary(max_size=300), zipped=st.booleans())
@AN_OWN_FOLDER
def test_random_bytes_are_refused_and_nothing_else_happens(tmp_path: Path, raw: bytes, zipped: bool) -> None:
    path = write(tmp_path, *some(1))
    path.write_bytes(gzip.compress(raw, mtime=0) if zipped else raw)
    with pytest.raises(ReadError):
        only(path)


@given(share=st.floats(0, 0.999), room=st.sampled_from(["Positions", "Angles"]))
@AN_OWN_FOLDER
def test_a_truncated_file_is_refused(tmp_path: Path, share: float, room: str) -> None:
    path = write(tmp_path, *some(3))
    (cut,) = (tmp_path / "Kinect" / room).iterdir()
    whole = cut.read_bytes()
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ReadError):
        only(path)


@given(at=st.integers(0, 100_000), byte=st.integers(0, 255))
@AN_OWN_FOLDER
def test_a_damaged_byte_is_refused_or_read_but_never_crashes(tmp_path: Path, at: int, byte: int) -> None:
    path = write(tmp_path, *some(2))
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] = byte
    path.write_bytes(raw)
    try:
        assert only(path).poses.shape == (1, 2, 22, 3)
    except ReadError as refusal:
        assert str(path) in str(refusal)  # noqa: PT017


# --- the real recordings ---------------------------------------------------------------------------------------


def parse(path: Path, points: int) -> np.ndarray:
    """(T, points, 3) of a real file, parsed apart from the reader."""
    rows = gzip.decompress(path.read_bytes()).decode().split()
    return np.array([row.split(",") for row in rows], dtype=np.float64).reshape(len(rows), points, 3)


@pytest.fixture(scope="module")
def positions(real_data: Path) -> list[Path]:
    return sorted(path for path in (real_data / "ui_prmd").rglob("*.gz") if ui_prmd.recognizes(path))


@pytest.mark.data
def test_the_real_2000_episodes_are_half_correct_and_every_other_file_is_a_companion(
    positions: list[Path], real_data: Path
) -> None:
    assert Counter("_inc" in path.name for path in positions) == {False: 1000, True: 1000}
    others = set((real_data / "ui_prmd").rglob("*.gz")) - set(positions)
    assert len(others) == 2000 + 198
    assert all(ui_prmd.companion(path) for path in others)


@pytest.mark.data
def test_the_real_first_frames_stand_upright_on_the_floor(positions: list[Path]) -> None:
    chosen = [path for path in positions if path.name.startswith("m01") and "_inc" not in path.name][::3]
    first = np.median([only(path).poses[0, 0, :, 1] for path in chosen], axis=0)  # (V,) heights in metres
    heights = {"head_base": 1.45, "neck": 1.40, "left_shoulder": 1.36, "left_hip": 0.87, "left_knee": 0.51}
    for joint, height in heights.items():
        assert first[UI_PRMD22.index(joint)] == pytest.approx(height, abs=0.04)
    assert first[UI_PRMD22.index("left_ankle")] == pytest.approx(0.12, abs=0.03)


@pytest.mark.data
def test_the_real_episodes_face_the_sensor_in_a_right_handed_room(positions: list[Path]) -> None:
    for path in positions[::40]:
        joint = dict(zip(UI_PRMD22.joints, np.moveaxis(only(path).poses[0], 1, 0), strict=True))
        forward = np.cross(joint["left_hip"] - joint["right_hip"], [0, 1, 0])
        feet = joint["left_foot"] - joint["left_ankle"] + joint["right_foot"] - joint["right_ankle"]
        assert np.median((forward * feet).sum(axis=-1)) > 0
        assert np.median(forward[:, 2]) > 0  # towards the sensor


@pytest.mark.data
def test_in_the_real_deep_squats_the_hips_go_down_and_in_abduction_an_arm_goes_up(positions: list[Path]) -> None:
    for path in positions[::25]:
        recording = only(path)
        joint = dict(zip(UI_PRMD22.joints, np.moveaxis(recording.poses[0], 1, 0), strict=True))
        if recording.label == "deep squat" and "correct" in recording.parts:
            assert np.ptp(joint["pelvis"][:, 1]) > 0.15
        if recording.label == "standing shoulder abduction":
            assert max(np.ptp(joint[f"{side}_wrist"][:, 1]) for side in ("left", "right")) > 0.5


def local_steps_deg(angles_deg: np.ndarray, order: str) -> np.ndarray:
    """Angles (T - 1, V) between the local rotations of neighbouring frames."""
    columns = ["XYZ".index(axis) for axis in order]
    turned = Rotation.from_euler(order, angles_deg.reshape(-1, 3)[:, columns], degrees=True).as_matrix()
    turned = turned.reshape(*angles_deg.shape, 3)  # (T, V, 3, 3)
    trace = np.einsum("tvij,tvij->tv", turned[1:], turned[:-1])
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


@pytest.mark.data
def test_the_chosen_order_of_rotation_leaves_fewer_jumps_from_frame_to_frame_than_any_other(
    positions: list[Path],
) -> None:
    # Kinect's own jumps (a lost limb) are in every order; gimbal jumps are only in the wrong ones.
    chosen = [path for path in positions if "_e02_" in path.name and path.name < "m07" and "_inc" not in path.name][::3]
    angles = [parse(path.parent.parent / "Angles" / path.name.replace("positions", "angles"), 22) for path in chosen]
    limbs = [0, 1, 2, 7, 8, 11, 12, 14, 15, 18, 19]
    steps = {
        order: np.concatenate([local_steps_deg(one[:, limbs], order).ravel() for one in angles])
        for order in ("".join(axes) for axes in permutations("XYZ"))
    }
    large = {order: float(np.quantile(step, 0.99)) for order, step in steps.items()}
    jumps = {order: float((step > 45).mean()) for order, step in steps.items()}
    assert all(value > 1.4 * large["ZXY"] for order, value in large.items() if order != "ZXY"), large
    assert all(value > 2 * jumps["ZXY"] for order, value in jumps.items() if order != "ZXY"), jumps


KINECT_LIMBS = [7, 8, 9, 11, 12, 13, 15, 16, 19, 20]  # shoulder, elbow, wrist L and R; knee, ankle L and R
VICON_LIMBS = [[9], [11], [13, 14], [16], [18], [20, 21], [28], [30], [34], [36]]


def fit_mm(moving: np.ndarray, still: np.ndarray) -> float:
    """Root mean square distance (mm) after the best one rotation, scale and shift of points (P, 3)."""
    a, b = moving - moving.mean(axis=0), still - still.mean(axis=0)
    u, s, vt = np.linalg.svd(a.T @ b)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * sign).sum() / (a**2).sum()
    return float(np.sqrt((((scale * a @ (u * sign) @ vt) - b) ** 2).sum(axis=1).mean()))


@pytest.mark.data
def test_the_chosen_order_of_rotation_fits_the_vicon_twins_better_than_any_other(positions: list[Path]) -> None:
    residual: dict[str, list[float]] = {"".join(order): [] for order in permutations("XYZ")}
    ours = []
    for path in positions:
        twin_path = path.parents[2] / "Vicon" / "Positions" / path.name
        if "_e01_" not in path.name or path.name > "m07" or not twin_path.is_file():
            continue  # from m07 on only an arm moves, which tells the orders little apart
        markers = parse(twin_path, 39)
        offsets = parse(path, 22)
        if abs(len(markers) / len(offsets) * 30 / 100 - 1) > 0.1:
            continue  # the two were not cut alike
        markers[(markers == 0).all(axis=-1)] = np.nan  # a marker that was lost
        twin = np.stack([np.mean(markers[:, several], axis=1) for several in VICON_LIMBS], axis=1)  # (T', 10, 3)
        angles = parse(path.parent.parent / "Angles" / path.name.replace("positions", "angles"), 22)
        at = np.linspace(0, len(twin) - 1, len(offsets)).round().astype(int)
        still = twin[at].reshape(-1, 3)
        seen = np.isfinite(still).all(axis=-1)
        for order in residual:
            moving = walked(offsets, angles, order)[:, KINECT_LIMBS].reshape(-1, 3)
            residual[order].append(fit_mm(moving[seen], still[seen]))
        moving = only(path).poses[0][:, KINECT_LIMBS].reshape(-1, 3).astype(np.float64)
        ours.append(fit_mm(moving[seen], still[seen]))
    means = {order: float(np.mean(values)) for order, values in residual.items()}
    assert len(ours) > 30
    assert np.mean(ours) == pytest.approx(means["ZXY"], rel=1e-4)
    assert means["ZXY"] < 100  # millimetres, of which the sensors' different joint centres are most
    assert all(mean > 2 * means["ZXY"] for order, mean in means.items() if order != "ZXY"), means
