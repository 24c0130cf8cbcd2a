"""Kinect's bodies become at most two people at their true times, and a file that is not whole is refused."""

import os
from pathlib import Path

import numpy as np
import pytest

from amr_edge.data.readers import ntu
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError

Sightings = dict[int, dict[int, np.ndarray]]  # body id -> frame -> (25, 3)


def person(seed: int, still: bool = False, wide: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pose = rng.uniform(-0.2, 0.2, (25, 3)) + np.array([0.1, 0, 3])
    pose[:, 0 if wide else 1] += np.linspace(-0.9, 0.9, 25)
    return pose if still else pose + rng.normal(0, 0.2, 3)


def text(sightings: Sightings, frames: int, newline: str = "\n") -> str:
    lines = [str(frames)]
    for frame in range(frames):
        here = {body: seen[frame] for body, seen in sightings.items() if frame in seen}
        lines.append(str(len(here)))
        for body, pose in here.items():
            lines += [f"{body} 0 1 1 1 1 0 -0.08 -0.47 2", "25"]
            lines += [" ".join([*map(repr, map(float, joint)), "1 2 nan 4 0 0 0 0 2"]) for joint in pose]
    return newline.join(lines) + newline


def read(path: Path, sightings: Sightings, frames: int, name: str = "S001C002P003R002A013.skeleton") -> Recording:
    (path / name).write_text(text(sightings, frames))
    return next(ntu.read(path / name))


def test_the_joints_and_the_words_of_the_name_come_back(tmp_path: Path) -> None:
    poses = {frame: person(frame) for frame in range(5)}
    found = read(tmp_path, {72057594037932185: poses}, 5)
    assert np.array_equal(found.poses[0], np.stack(list(poses.values())).astype(np.float32))
    assert found.times_s == pytest.approx(np.arange(5) / 30)
    assert (found.label, found.subject, found.camera) == ("A013 tear up paper", 3, 2)
    assert (found.layout, found.units, found.source) == ("ntu25", "m", "S001C002P003R002A013.skeleton")


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.skeleton").write_bytes(text({1: {0: person(0), 1: person(1)}}, 2).encode())
    (tmp_path / "b.skeleton").write_bytes(text({1: {0: person(0), 1: person(1)}}, 2, "\r\n").encode())
    one, two = (next(ntu.read(tmp_path / name)) for name in ("a.skeleton", "b.skeleton"))
    assert one.poses.tobytes() == two.poses.tobytes()
    assert one.label is one.subject is None


def test_a_gap_stays_a_gap_at_its_true_time(tmp_path: Path) -> None:
    found = read(tmp_path, {1: {frame: person(frame) for frame in (2, 3, 6)}}, 9)
    assert found.times_s == pytest.approx(np.array([2, 3, 4, 5, 6]) / 30)
    assert found.present.any(axis=2).tolist() == [[True, True, False, False, True]]


def test_a_joint_at_zero_or_without_a_number_is_absent(tmp_path: Path) -> None:
    pose = person(0)
    pose[7], pose[9] = 0, [np.nan, 1, 1]
    found = read(tmp_path, {1: {0: pose}}, 1)
    assert np.flatnonzero(~found.present[0, 0]).tolist() == [7, 9]


def test_the_body_that_moves_most_is_person_zero(tmp_path: Path) -> None:
    still = {frame: person(1, still=True) for frame in range(15)}
    moving = {frame: person(frame) for frame in range(15)}
    found = read(tmp_path, {1: still, 2: moving}, 15)
    assert found.poses.shape == (2, 15, 25, 3)
    assert np.array_equal(found.poses[0, 3], moving[3].astype(np.float32))
    assert np.array_equal(found.poses[1, 3], still[3].astype(np.float32))


def test_a_body_of_eleven_frames_beside_another_is_noise_and_one_of_twelve_is_a_person(tmp_path: Path) -> None:
    long = {frame: person(frame) for frame in range(20)}
    for frames, persons in ((11, 1), (12, 2)):
        found = read(tmp_path, {1: long, 2: {frame: person(frame + 50) for frame in range(frames)}}, 20)
        assert found.poses.shape[0] == persons


def test_a_short_body_alone_is_kept_and_of_short_bodies_the_longest(tmp_path: Path) -> None:
    assert read(tmp_path, {1: {0: person(0)}}, 1).poses.shape == (1, 1, 25, 3)
    found = read(tmp_path, {1: {0: person(0)}, 2: {1: person(1), 2: person(2)}}, 3)
    assert found.times_s == pytest.approx([1 / 30, 2 / 30])


def test_furniture_goes_unless_it_is_all_there_is(tmp_path: Path) -> None:
    table = {frame: person(frame, wide=True) for frame in range(20)}
    someone = {frame: person(frame + 30, still=True) for frame in range(20)}
    found = read(tmp_path, {1: table, 2: someone}, 20)
    assert found.poses.shape[0] == 1
    assert np.array_equal(found.poses[0, 0], someone[0].astype(np.float32))
    assert read(tmp_path, {1: table}, 20).poses.shape[0] == 1


def test_a_body_is_furniture_from_70_of_100_wide_frames_on(tmp_path: Path) -> None:
    someone = {frame: person(frame) for frame in range(100)}
    for wide, persons in ((69, 2), (70, 1)):
        mixed = {frame: person(frame + 200, wide=frame < wide) for frame in range(100)}
        assert read(tmp_path, {1: someone, 2: mixed}, 100).poses.shape[0] == persons


def test_a_body_that_kinect_numbers_anew_continues_the_person(tmp_path: Path) -> None:
    first = {frame: person(frame) for frame in range(15)}
    later = {frame: person(frame) for frame in range(18, 40)}
    found = read(tmp_path, {1: first, 2: later}, 40)
    assert found.poses.shape[:2] == (1, 40)
    assert found.present.all(axis=2)[0].tolist() == [True] * 15 + [False] * 3 + [True] * 22


def test_a_third_body_at_the_same_time_finds_no_seat(tmp_path: Path) -> None:
    bodies = {number: {frame: person(100 * number + frame) for frame in range(15)} for number in range(3)}
    assert read(tmp_path, bodies, 15).poses.shape[0] == 2


@pytest.mark.parametrize("frames", [0, 3])
def test_a_file_without_a_body_is_refused(tmp_path: Path, frames: int) -> None:
    with pytest.raises(ReadError, match=r"A013\.skeleton: the file holds no body at all"):
        read(tmp_path, {}, frames)


def test_a_file_cut_off_after_any_word_is_refused(tmp_path: Path) -> None:
    whole = text({1: {0: person(0), 1: person(1)}}, 2)
    words = whole.split()
    path = tmp_path / "cut.skeleton"
    for count in range(0, len(words) - 1, 7):
        path.write_text(" ".join(words[:count]))
        with pytest.raises(ReadError, match=r"cut\.skeleton"):
            next(ntu.read(path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "cut off where the number of frames should stand"),
        (b"hello world", "expected the number of frames from 0"),
        (b"-1", "expected the number of frames from 0"),
        (b"1 1 5 0 0 0 0 0 0 0 0 0 20", "expected the number of joints in frame 1 from 25 to 25, got '20'"),
        (b"1 1 x", "expected the id of a body"),
        (b"\xff\xfe1\x00", "expected the text"),
        (b"0 0", "1 words follow the last of 0 frames"),
        (text({1: {0: person(0)}}, 1).replace("25\n", "25\nx", 1).encode(), "a coordinate is no number"),
        (text({1: {0: person(0) * 1e9}}, 1).encode(), "below 1e"),
    ],
)
def test_what_is_no_skeleton_text_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "odd.skeleton").write_bytes(content)
    with pytest.raises(ReadError, match=rf"odd\.skeleton.*{sentence}"):
        next(ntu.read(tmp_path / "odd.skeleton"))


def test_there_are_120_actions_with_distinct_names() -> None:
    assert ntu.CLASSES is not None
    assert len(ntu.CLASSES) == len(set(ntu.CLASSES)) == 120
    assert [ntu.CLASSES[n - 1] for n in (1, 43, 60, 61, 120)] == [
        "A001 drink water",
        "A043 fall",
        "A060 walk apart",
        "A061 put on headphone",
        "A120 rock-paper-scissors",
    ]


@pytest.mark.data
def test_of_38_real_files_two_hold_no_body_and_pairs_are_two_people() -> None:
    root = os.environ.get("AMR_EDGE_DATA")
    if not root:
        pytest.skip("AMR_EDGE_DATA is not set: the real recordings are not here")
    empty, persons = [], {}
    for path in sorted((Path(root) / "data" / "ntu_rgbd").glob("*.skeleton")):
        try:
            found = next(ntu.read(path))
        except ReadError:
            empty.append(path.stem)
            continue
        persons[path.stem] = found.poses.shape[0]
        # People face the Kinect within some 2 to 5 metres, and y points up.
        pelvis, head = found.poses[0, :, 0], found.poses[0, :, 3]
        assert 1 < np.nanmedian(pelvis[:, 2]) < 6
        assert np.nanmedian(head[:, 1] - pelvis[:, 1]) > 0.2
    assert empty == ["S006C002P023R001A023", "S008C003P007R001A023"]
    assert len(persons) == 36
    assert {name[-4:] for name, count in persons.items() if count == 2} >= {"A050", "A055", "A058"}
