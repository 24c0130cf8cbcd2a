"""A PYSKL pickle gives its clips and runs nothing; whatever else a pickle can be is refused."""

import contextlib
import os
import pickle  # noqa: TID251 - what is read here must be written here
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.data import readers
from amr_edge.data.readers import pyskl
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError


def clips_of(path: Path) -> Iterator[Recording]:
    return readers.recordings(pyskl, [path])


def keypoint(persons: int = 1, frames: int = 4, joints: int = 25, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(1, 3, (persons, frames, joints, channels)).astype(np.float16)


def clip(name: str = "S001C002P003R002A013", label: int = 12, **said: Any) -> dict[str, Any]:
    return {"frame_dir": name, "label": label, "total_frames": 4, "keypoint": keypoint(), **said}


def flat(**said: Any) -> dict[str, Any]:
    return clip(
        name="video_7", label=3, keypoint=keypoint(1, 2, 17, 2), img_shape=(100, 200), original_shape=(100, 200), **said
    )


def save(path: Path, content: object, protocol: int = 4) -> Path:
    (path / "data.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    return path / "data.pkl"


@pytest.mark.parametrize("protocol", range(6))
def test_clips_come_back_whatever_the_protocol(tmp_path: Path, protocol: int) -> None:
    content = {
        "split": {"xsub_train": ["S001C002P003R002A013"], "xview_val": ["S001C002P003R002A013"]},
        "annotations": [clip(), clip("b", 7)],
    }
    one, two = clips_of(save(tmp_path, content, protocol))
    assert np.array_equal(one.poses, keypoint().astype(np.float32))
    assert (one.label, one.subject, one.camera) == ("A013 tear up paper", 3, 2)
    assert one.parts == ("xsub_train", "xview_val")
    assert (one.layout, one.units, one.source) == ("ntu25", "m", "data.pkl#S001C002P003R002A013")
    assert (two.label, two.subject, two.parts) == ("class 007", None, ())


def test_numpy_scalars_and_a_plain_list_are_read_too(tmp_path: Path) -> None:
    found = next(clips_of(save(tmp_path, [clip("b", np.int64(5))])))
    assert found.label == "class 005"


def test_an_array_in_fortran_order_keeps_its_numbers(tmp_path: Path) -> None:
    found = next(clips_of(save(tmp_path, [clip(keypoint=np.asfortranarray(keypoint(2)))])))
    assert np.array_equal(found.poses, keypoint(2).astype(np.float32))


def test_a_label_that_contradicts_the_ntu_name_is_its_number(tmp_path: Path) -> None:
    assert next(clips_of(save(tmp_path, [clip(label=3)]))).label == "class 003"


def test_pixels_point_up_and_a_joint_of_score_zero_is_absent(tmp_path: Path) -> None:
    score = np.ones((1, 2, 17), np.float16)
    score[0, 1, 5] = 0
    found = next(clips_of(save(tmp_path, [flat(keypoint_score=score)])))
    assert (found.layout, found.units) == ("coco17", "px")
    assert np.argwhere(~found.present).tolist() == [[0, 1, 5]]
    expected = keypoint(1, 2, 17, 2).astype(np.float32)
    assert np.array_equal(found.poses[0, 0, :, 0], expected[0, 0, :, 0])
    assert found.poses[0, 0, :, 1] == pytest.approx(100 - expected[0, 0, :, 1])


def test_a_person_of_zeros_is_not_there_and_a_clip_without_frames_is_refused(tmp_path: Path) -> None:
    two = keypoint(2)
    two[1] = 0
    path = save(tmp_path, [clip(keypoint=two), clip("b", keypoint=keypoint(1, 0)), clip(keypoint=keypoint(0, 10**9))])
    bad: list[ReadError] = []
    (found,) = readers.recordings(pyskl, [path], bad.append)
    assert found.poses.shape == (1, 4, 25, 3)
    assert len(bad) == 2
    assert "data.pkl#b: the clip has no frame" in str(bad[0])


def test_one_bad_clip_costs_no_other(tmp_path: Path) -> None:
    far = keypoint()
    far[0, 3, 4, 0] = np.inf
    annotations = [clip(f"c{number}") for number in range(6)]
    annotations[1]["keypoint"] = far
    annotations[3] = 5  # type: ignore[call-overload]
    annotations[4]["label"] = "x"
    bad: list[ReadError] = []
    found = list(readers.recordings(pyskl, [save(tmp_path, annotations)], bad.append))
    assert [clip.source for clip in found] == ["data.pkl#c0", "data.pkl#c2", "data.pkl#c5"]
    assert len(bad) == 3
    for words, error in zip(("#c1: a joint lies at inf", "annotation 3 is no clip", "#c4"), bad, strict=True):
        assert words in str(error)


class _Shell:
    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.made),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_something_is_refused_before_it_runs(tmp_path: Path, protocol: int) -> None:
    made = tmp_path / "made"
    path = save(tmp_path, {"annotations": [clip(keypoint=_Shell(made))]}, protocol)
    with pytest.raises(ReadError, match=r"data\.pkl.*asks for (posix|nt|os)\.mkdir"):
        list(clips_of(path))
    assert not made.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(V1+1\ntR.",
        b"cnumpy\nload\n(Vx\ntR.",
        b"cnumpy.core.multiarray\nfrombuffer\n.",
        b"cnumpy\ndtype\n(VO\ntR.",
        b"cnumpy\nndarray.tofile\n.",
    ],
)
def test_names_beyond_plain_arrays_are_refused(tmp_path: Path, program: bytes) -> None:
    (tmp_path / "data.pkl").write_bytes(program)
    with pytest.raises(ReadError, match="cannot be read safely"):
        list(clips_of(tmp_path / "data.pkl"))


def test_an_array_whose_bytes_are_not_its_shape_is_refused(tmp_path: Path) -> None:
    whole = pickle.dumps([clip(keypoint=np.arange(6, dtype=np.float64))], protocol=2)
    broken = whole.replace(b"K\x06\x85", b"K\x60\x85")  # (6,) becomes (96,)
    assert broken != whole
    (tmp_path / "data.pkl").write_bytes(broken)
    with pytest.raises(ReadError, match=r"shape \(96,\) with 48 bytes"):
        list(clips_of(tmp_path / "data.pkl"))


def test_damage_anywhere_is_refused_or_gives_recordings(tmp_path: Path) -> None:
    whole = save(tmp_path, {"split": {"train": ["b"]}, "annotations": [clip("b"), flat()]}).read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 800):
        damaged = bytearray(whole)
        damaged[position] = int(rng.integers(0, 256))
        (tmp_path / "data.pkl").write_bytes(damaged)
        # Anything but our own refusal fails the test.
        with contextlib.suppress(ReadError):
            list(clips_of(tmp_path / "data.pkl"))
    for length in range(0, len(whole), 97):
        (tmp_path / "data.pkl").write_bytes(whole[:length])
        with pytest.raises(ReadError, match=r"data\.pkl"):
            list(clips_of(tmp_path / "data.pkl"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (5, "expected a dict with 'annotations'"),
        ({"annotations": []}, "no clip at all"),
        ({"annotations": [5]}, "annotation 0 is no clip"),
        ({"annotations": [{"frame_dir": "a"}]}, "#a: the clip has no 'keypoint'"),
        ({"annotations": [clip(keypoint=[1, 2])]}, "as an array of 4 dimensions, got list"),
        ({"annotations": [clip(keypoint=keypoint(1, 2, 18, 2))]}, r"got \(1, 2, 18, 2\)"),
        ({"annotations": [clip(label="x")]}, "expected a class number"),  # type: ignore[arg-type]
        ({"annotations": [clip(label=-1)]}, "expected a class number"),
        ({"annotations": [clip(keypoint=keypoint(1, 2, 17, 2))]}, "expected 'img_shape'"),
        ({"annotations": [flat(keypoint_score=np.ones((1, 3, 17)))]}, r"scores have the shape \(1, 3, 17\)"),
        ({"annotations": [clip(keypoint=np.full((1, 2, 25, 3), np.inf))]}, "below 1e"),
        ({"annotations": [clip()], "split": [1]}, "expected 'split'"),
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: object, sentence: str) -> None:
    with pytest.raises(ReadError, match=rf"data\.pkl.*{sentence}"):
        list(clips_of(save(tmp_path, content)))


def test_it_is_known_by_its_words(tmp_path: Path) -> None:
    assert pyskl.recognizes(save(tmp_path, {"annotations": []}))
    assert not pyskl.recognizes(save(tmp_path, {"weights": 3}))
    assert not pyskl.recognizes(tmp_path / "none.pkl")
