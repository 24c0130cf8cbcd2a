"""Padding, persons who are not there and repeated persons go; what is left is what was put in."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.data import readers
from amr_edge.data.readers import ntu_npz
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError


def clips_of(path: Path) -> Iterator[Recording]:
    return readers.recordings(ntu_npz, [path])


def person(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, 25, 3)).astype(np.float32)


def padded(*persons: np.ndarray, frames: int = 300) -> np.ndarray:
    row = np.zeros((frames, 2, 75), np.float32)
    for number, poses in enumerate(persons):
        row[: len(poses), number] = poses.reshape(len(poses), 75)
    return row.reshape(frames, 150)


def save(path: Path, *, compressed: bool = False, **arrays: Any) -> Path:
    (np.savez_compressed if compressed else np.savez)(path / "ntu.npz", **arrays)
    return path / "ntu.npz"


@pytest.mark.parametrize("compressed", [False, True])
def test_clips_come_without_padding_with_label_and_part(tmp_path: Path, compressed: bool) -> None:
    one, two = person(5), person(7, 1)
    path = save(
        tmp_path,
        compressed=compressed,
        x_train=np.stack([padded(one), padded(two, one)]),
        y_train=np.eye(60)[[4, 59]],
        x_test=padded(two)[None],
        y_test=np.eye(60)[[0]],
    )
    first, second, third = clips_of(path)
    assert np.array_equal(first.poses, one[None])
    assert second.poses.shape == (2, 7, 25, 3)
    assert second.present.any(axis=2)[1].tolist() == [True] * 5 + [False] * 2
    assert [clip.label for clip in (first, second, third)] == ["A005 drop", "A060 walk apart", "A001 drink water"]
    assert [clip.parts for clip in (first, second, third)] == [("train",), ("train",), ("test",)]
    assert third.source == "ntu.npz#test/0"
    assert first.fps == pytest.approx(30)


def test_a_person_who_is_repeated_as_the_second_is_one_person(tmp_path: Path) -> None:
    alone = person(4)
    path = save(tmp_path, x_train=padded(alone, alone)[None], y_train=np.eye(120)[[119]])
    assert next(clips_of(path)).poses.shape == (1, 4, 25, 3)


def test_the_joint_at_the_origin_is_there_and_an_empty_frame_inside_is_absent(tmp_path: Path) -> None:
    poses = person(4)
    poses[0, 1] = 0  # where the clip is centred
    poses[2] = 0
    clip = next(clips_of(save(tmp_path, x_train=padded(poses)[None], y_train=np.eye(60)[[0]])))
    assert clip.present.all(axis=2).tolist() == [[True, True, False, True]]


def test_a_clip_of_nothing_but_padding_has_no_frame(tmp_path: Path) -> None:
    clip = next(ntu_npz.read(save(tmp_path, x_train=np.zeros((1, 300, 150), np.float32), y_train=np.eye(60)[[0]])))
    assert isinstance(clip, Recording)
    assert clip.poses.shape == (1, 0, 25, 3)


@pytest.mark.parametrize("one_hot", [True, False])
def test_one_bad_clip_costs_no_other(tmp_path: Path, one_hot: bool) -> None:
    x = np.stack([padded(person(5, seed)) for seed in range(5)])
    x[1, 2, 3] = np.inf
    y = np.eye(60)[[0, 1, 2, 3, 4]]
    y[3] = 0
    labels = y if one_hot else np.array([0, 1, 2, 200, 4])
    bad: list[ReadError] = []
    path = save(tmp_path, x_train=x, y_train=labels, x_test=x[:1], y_test=y[:1])
    found = list(readers.recordings(ntu_npz, [path], bad.append))
    assert [clip.source for clip in found] == [f"ntu.npz#{key}" for key in ("train/0", "train/2", "train/4", "test/0")]
    assert len(bad) == 2
    assert "#train/1: a joint lies at inf" in str(bad[0])
    assert "#train/3: expected one of the 120 actions" in str(bad[1])


def test_a_damaged_split_costs_no_clip_of_the_other(tmp_path: Path) -> None:
    x = np.stack([padded(person(5, seed)) for seed in range(30)])
    path = save(tmp_path, compressed=True, x_train=x, y_train=np.zeros(30), x_test=x[:2], y_test=np.zeros(2))
    whole = bytearray(path.read_bytes())
    middle = whole.index(b"x_test") // 4
    whole[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(whole)
    bad: list[ReadError] = []
    found = list(readers.recordings(ntu_npz, [path], bad.append))
    assert [clip.parts for clip in found] == [("test",)] * 2
    assert len(bad) == 1
    assert "the 30 clips of 'x_train' are lost" in str(bad[0])


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x_train": np.zeros((1, 300, 75), np.float32), "y_train": np.eye(60)[[0]]}, r"x_train \(N, T, 150\)"),
        ({"x_train": np.zeros((2, 300, 150), np.float32), "y_train": np.eye(60)[[0]]}, "as many labels"),
        ({"x_train": np.zeros((1, 300, 150), np.int32), "y_train": np.eye(60)[[0]]}, "of floats"),
        ({"x_train": np.zeros((1, 3, 150), np.float32), "y_train": np.zeros((1, 60))}, "a row with a single 1"),
        ({"x_train": np.zeros((1, 3, 150), np.float32), "y_train": np.array([120])}, "one of the 120 actions"),
        ({"x_train": np.zeros((1, 3, 150), np.float32), "y_train": np.eye(200)[[150]]}, "one of the 120 actions"),
        ({"x_train": np.zeros((1, 3, 150), np.float32), "y_train": np.array(["a"])}, "one-hot labels"),
        ({"x_train": np.full((1, 3, 150), np.inf, np.float32), "y_train": np.eye(60)[[0]]}, "below 1e"),
        ({"z": np.zeros(3)}, "expected arrays x_train and y_train"),
        ({"x_train": np.array([{}], dtype=object), "y_train": np.eye(60)[[0]]}, "unpickling"),
    ],
)
def test_another_npz_is_refused(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ReadError, match=rf"ntu\.npz.*{sentence}"):
        list(clips_of(save(tmp_path, **arrays)))


def test_a_file_cut_off_or_damaged_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, x_train=padded(person(5))[None], y_train=np.eye(60)[[0]])
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(ReadError, match="damaged or cut off"):
        list(clips_of(path))
    damaged = bytearray(whole)
    damaged[2000] ^= 0xFF  # inside the clips: the checksum knows
    path.write_bytes(damaged)
    with pytest.raises(ReadError, match="damaged or cut off"):
        list(clips_of(path))


def test_it_is_known_by_its_arrays_and_not_by_its_ending(tmp_path: Path) -> None:
    assert ntu_npz.recognizes(save(tmp_path, x_test=np.zeros((0, 300, 150)), y_test=np.zeros((0, 60))))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    assert not ntu_npz.recognizes(tmp_path / "other.npz")
    assert not ntu_npz.recognizes(tmp_path / "broken.npz")
    assert not ntu_npz.recognizes(tmp_path / "none.npz")
    assert zipfile.is_zipfile(tmp_path / "other.npz")
