"""Streams: put together rightly, kept, and refused when the files are others."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from amr_edge.data.store import open_store
from amr_edge.errors import DataError, ReadError
from amr_edge.training.recipes.rehab8.dataset import (
    CHECKSUMS,
    CLASSES,
    GROUPS,
    check,
    checksum,
    files_of,
    load,
    of_recording,
    of_subjects,
    opened,
    save,
    to_recording,
)

ROWS = 66


def write(root: Path, name: str, frames: int, *, wrong: bool = False, height: float = 0.0) -> None:
    """Positions and angles of one episode: every offset 0 but the waist's height, which counts the frames."""
    where = root / ("Incorrect Segmented Movements" if wrong else "Segmented Movements") / "Kinect"
    tail = "_inc.txt" if wrong else ".txt"
    positions = np.zeros((frames, ROWS))
    positions[:, 1] = height + np.arange(frames)
    for kind, values in (("positions", positions), ("angles", np.zeros((frames, ROWS)))):
        folder = where / kind.capitalize()
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join(",".join(f"{value:g}" for value in row) for row in values)
        (folder / f"{name}_{kind}{tail}").write_text(text, encoding="ascii")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two episodes of a squat, one wrong one, and one of a scaption by somebody else."""
    write(tmp_path, "m01_s03_e01", 4)
    write(tmp_path, "m01_s03_e02", 5, height=4)
    write(tmp_path, "m01_s03_e01", 3, wrong=True)
    write(tmp_path, "m10_s04_e01", 6)
    return tmp_path


def test_episodes_follow_each_other_in_one_stream(root: Path) -> None:
    wrong, right, other = load(root, vicon=False)
    assert [stream.name for stream in (wrong, right, other)] == [
        "kinect m01 s03 incorrect",
        "kinect m01 s03",
        "kinect m10 s04",
    ]
    assert right.episodes == ((0, 4), (4, 9))
    # Centimetres became metres, and the second episode goes on where the first ended.
    assert right.poses[:, 0, 1].tolist() == pytest.approx([0.01 * frame for frame in range(9)], abs=1e-6)
    assert right.times_s.tolist() == pytest.approx([frame / 30 for frame in range(9)])
    assert (right.group, right.correct, right.subject) == ("squat", True, 3)
    assert not wrong.correct
    assert other.group == "arm raise"


def test_every_exercise_belongs_to_a_class_and_no_class_but_none_is_empty() -> None:
    assert sorted(GROUPS) == list(range(1, 11))
    assert set(GROUPS.values()) == set(CLASSES) - {"none"}


def test_a_stream_comes_back_from_a_store_as_it_was(root: Path, tmp_path: Path) -> None:
    streams = load(root, vicon=False)
    store = save(streams, tmp_path / "kept.npz")
    for was, comes in zip(streams, opened(open_store(store.path)), strict=True):
        np.testing.assert_array_equal(comes.poses, was.poses)
        assert (comes.name, comes.group, comes.exercise) == (was.name, was.group, was.exercise)
        assert comes.episodes == was.episodes


def test_a_recording_of_something_else_is_no_stream(root: Path) -> None:
    recording = to_recording(load(root, vicon=False)[0])
    object.__setattr__(recording, "parts", ("train",))
    with pytest.raises(DataError, match="no stream of UI-PRMD"):
        of_recording(recording)


def test_people_are_chosen_by_number(root: Path) -> None:
    streams = load(root, vicon=False)
    assert {stream.subject for stream in of_subjects(streams, [4])} == {4}
    assert of_subjects(streams, []) == ()


def test_packed_and_unpacked_files_have_the_same_checksum(root: Path) -> None:
    before = checksum(files_of(root, "kinect"))
    for path in list(root.rglob("*.txt")):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    assert checksum(files_of(root, "kinect")) == before


def test_one_other_digit_is_another_checksum(root: Path) -> None:
    before = checksum(files_of(root, "kinect"))
    path = next(iter(root.rglob("m10*_positions.txt")))
    path.write_text(path.read_text().replace("5", "6"))
    assert checksum(files_of(root, "kinect")) != before


def test_other_data_is_refused_with_the_way_out(root: Path) -> None:
    with pytest.raises(DataError, match="--any-data"):
        check(root, vicon=False)


def test_a_folder_without_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="Segmented Movements"):
        load(tmp_path, vicon=False)


def test_a_damaged_gzip_file_is_refused_by_its_name(root: Path) -> None:
    path = next(iter(root.rglob("m10*_positions.txt")))
    path.with_name(path.name + ".gz").write_bytes(b"no gzip")
    path.unlink()
    with pytest.raises(ReadError, match="m10_s04_e01"):
        checksum(files_of(root, "kinect"))


@pytest.mark.data
def test_the_data_set_is_the_one_that_the_numbers_are_from() -> None:
    if "AMR_EDGE_DATA" not in os.environ:
        pytest.skip("AMR_EDGE_DATA names no folder with data/ui_prmd, whose checksums this test compares")
    found = check(Path(os.environ["AMR_EDGE_DATA"]) / "data" / "ui_prmd", vicon=True)
    assert found == dict(CHECKSUMS)


def test_the_last_frame_of_vicon_is_not_after_its_last_marker() -> None:
    from amr_edge.training.recipes.rehab8.dataset import _joined

    moving = np.repeat(np.arange(10, dtype=np.float32)[:, None, None], 15, axis=1).repeat(3, axis=2)
    poses, times_s, episodes = _joined([(moving, 100.0)])  # 0.09 s
    assert times_s.tolist() == pytest.approx([0, 1 / 30, 2 / 30])
    np.testing.assert_allclose(poses[:, 0, 0], [0, 10 / 3, 20 / 3], rtol=1e-5)
    assert episodes == ((0, 3),)
