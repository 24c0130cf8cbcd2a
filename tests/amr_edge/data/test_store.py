"""What goes into a store comes out bit for bit, and a store that is not whole is refused with a sentence."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amr_edge.data.recording import Recording, Span
from amr_edge.data.store import is_store, open_store, write_store
from amr_edge.errors import ClipError, ReadError
from amr_edge.skeleton import LAYOUTS


def recording(persons: int = 1, frames: int = 3, seed: int = 0, **said: Any) -> Recording:
    poses = np.random.default_rng(seed).normal(size=(persons, frames, 20, 3)).astype(np.float32)
    return Recording(poses=poses, times_s=np.arange(frames) / 30.0, layout="kinect20", **said)


def same(a: Recording, b: Recording) -> bool:
    said = ("layout", "units", "label", "subject", "camera", "source", "parts", "spans")
    return (
        a.poses.shape == b.poses.shape
        and a.poses.tobytes() == b.poses.tobytes()
        and a.times_s.tobytes() == b.times_s.tobytes()
        and all(getattr(a, name) == getattr(b, name) for name in said)
    )


@st.composite
def recordings(draw: st.DrawFn) -> list[Recording]:
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    channels = draw(st.sampled_from([2, 3]))
    units = draw(st.sampled_from(["m", "px"]))
    joints = len(LAYOUTS[layout])
    number = st.one_of(st.none(), st.integers(0, 2**40))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        persons, frames = draw(st.integers(0, 3)), draw(st.integers(0, 5))
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        poses = rng.normal(size=(persons, frames, joints, channels)).astype(np.float32)
        poses[rng.random(poses.shape[:3]) < 0.3] = np.nan  # joints
        poses[rng.random(poses.shape[:2]) < 0.3] = np.nan  # persons
        poses[rng.random(poses.shape) < 0.02] = draw(st.sampled_from([-0.0, np.inf, 1e-45]))
        found.append(
            Recording(
                poses=poses,
                times_s=np.cumsum(rng.random(frames) + 1e-3) + draw(st.floats(-1e6, 1e6)),
                layout=layout,
                units=units,
                label=draw(st.one_of(st.none(), st.text(max_size=4))),
                subject=draw(number),
                camera=draw(number),
                source=draw(st.text(max_size=8)),
                parts=tuple(draw(st.lists(st.text(max_size=4), max_size=2))),
                spans=tuple(
                    Span(*each)
                    for each in draw(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9), st.text()), max_size=2))
                ),
            )
        )
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clips=recordings(), in_memory=st.booleans())
def test_any_recordings_come_back_bit_for_bit(tmp_path: Path, clips: list[Recording], in_memory: bool) -> None:
    written = write_store(tmp_path / "s.npz", clips, dataset="d", terms="t")
    store = open_store(tmp_path / "s.npz", in_memory=in_memory)
    assert len(store) == len(clips)
    assert all(same(a, b) for a, b in zip(store, clips, strict=True))
    assert store.content_hash == written.content_hash


def test_copies_are_found_by_what_they_show_and_by_nothing_else(tmp_path: Path) -> None:
    one, other = recording(seed=1, source="one", label="sit"), recording(seed=2, source="other", label="sit")
    nearly = replace(one, poses=one.poses.copy(), source="nearly")
    nearly.poses[0, 1, 4, 2] = np.nextafter(nearly.poses[0, 1, 4, 2], np.float32(9))  # begins and ends like `one`
    lost = replace(one, poses=one.poses.copy(), source="lost")
    lost.poses[0, 1] = np.nan  # there for a frame less
    empty = replace(one, poses=np.full_like(one.poses, np.nan), source="empty")
    again = replace(one, source="again", label="wave", camera=3, subject=9)
    clips = [one, other, nearly, lost, empty, replace(empty, source="empty else"), again, replace(lost, source="x")]
    store = write_store(tmp_path / "s.npz", clips, dataset="d", terms="t")
    everything = np.ones(len(store), dtype=np.bool_)
    found = store.duplicates(everything, everything)
    assert [store.names[i] for i in np.flatnonzero(found)] == ["one", "lost", "again", "x"]
    first = np.arange(len(store)) < 4
    assert [store.names[i] for i in np.flatnonzero(store.duplicates(~first, first))] == ["again", "x"]
    assert not store.duplicates(first, first).any()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clips=recordings(), twice=st.integers(0, 3))
def test_a_recording_that_is_stored_twice_is_a_copy_if_it_shows_anybody(
    tmp_path: Path, clips: list[Recording], twice: int
) -> None:
    again = clips[twice % len(clips)]
    store = write_store(tmp_path / "s.npz", [*clips, replace(again, source="again")], dataset="d", terms="t")
    last = np.arange(len(store)) == len(clips)
    shows = bool((~np.isnan(again.poses).all(axis=(2, 3))).any())
    assert store.duplicates(last, ~last)[-1] == shows


def test_only_frames_in_which_a_person_is_there_take_room(tmp_path: Path) -> None:
    pair = recording(persons=2, frames=4)
    pair.poses[1, 1:] = np.nan
    pair.poses[0, 2, 5] = np.nan  # a lost joint is no lost person
    write_store(tmp_path / "s.npz", [pair, recording(frames=2)], dataset="d", terms="t")
    with np.load(tmp_path / "s.npz", allow_pickle=False) as plain:
        assert plain["poses"].shape == (4 + 1 + 2, 20, 3)
        assert plain["offsets"].tolist() == [0, 5, 7]
        assert plain["present"].tolist() == [True] * 4 + [True, False, False, False] + [True] * 2
        assert json.loads(plain["header"].tobytes())["layout"] == "kinect20"


def test_the_poses_are_mapped_not_read_and_in_memory_they_are_equal(tmp_path: Path) -> None:
    clips = [recording(seed=i, frames=9) for i in range(3)]
    mapped = write_store(tmp_path / "s.npz", clips, dataset="d", terms="t")
    loaded = open_store(tmp_path / "s.npz", in_memory=True)
    assert isinstance(mapped._poses, np.memmap)
    assert not isinstance(loaded._poses, np.memmap)
    assert mapped._poses.tobytes() == loaded._poses.tobytes()


def test_a_compressed_copy_of_a_store_is_read_all_the_same(tmp_path: Path) -> None:
    clips = [recording(seed=i) for i in range(2)]
    store = write_store(tmp_path / "s.npz", clips, dataset="d", terms="t")
    with np.load(tmp_path / "s.npz") as plain:
        np.savez_compressed(tmp_path / "small.npz", **plain)
    assert open_store(tmp_path / "small.npz").content_hash == store.content_hash


def test_what_is_known_of_the_recordings_is_there_without_reading_poses(tmp_path: Path) -> None:
    clips = [
        recording(frames=3, label="wave", subject=4, camera=1, source="a.txt", parts=("train",)),
        recording(persons=2, frames=1, seed=1),
        recording(frames=4, label="bow", source="b.txt#2", parts=("train", "x")),
    ]
    store = write_store(tmp_path / "s.npz", clips, dataset="d", terms="ask first")
    assert (store.dataset, store.terms, store.layout, store.units) == ("d", "ask first", "kinect20", "m")
    assert store.classes == ("bow", "wave")
    assert store.labels.tolist() == [1, -1, 0]
    assert store.subjects.tolist() == [4, -1, -1]
    assert store.cameras.tolist() == [1, -1, -1]
    assert store.lengths.tolist() == [3, 1, 4]
    assert store.persons.tolist() == [1, 2, 1]
    assert store.names == ("a.txt", "", "b.txt#2")
    assert store.parts == (("train",), (), ("train", "x"))
    assert store.fps == pytest.approx(30)
    assert store[-1].source == "b.txt#2"
    with pytest.raises(IndexError, match="3 recordings"):
        store[3]


def test_classes_keep_the_order_that_is_given(tmp_path: Path) -> None:
    store = write_store(
        tmp_path / "s.npz", [recording(label="bow")], dataset="d", terms="t", classes=["wave", "bow", "sit"]
    )
    assert store.classes == ("wave", "bow", "sit")
    assert store.labels.tolist() == [1]
    used = write_store(
        tmp_path / "s.npz",
        [recording(label="sit"), recording(label="bow")],
        dataset="d",
        terms="t",
        classes=["wave", "sit", "bow"],
        keep_unused=False,
    )
    assert used.classes == ("sit", "bow")
    assert used.labels.tolist() == [0, 1]


def test_equal_recordings_give_equal_files_and_hashes_and_one_changed_number_another(tmp_path: Path) -> None:
    first = write_store(tmp_path / "a.npz", [recording()], dataset="d", terms="t")
    second = write_store(tmp_path / "b.npz", [recording()], dataset="d", terms="t")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    changed = recording()
    changed.poses[0, 0, 0, 0] += np.float32(1e-6)
    third = write_store(tmp_path / "c.npz", [changed], dataset="d", terms="t")
    assert first.content_hash == second.content_hash != third.content_hash
    assert len(first.content_hash) == 64


@pytest.mark.parametrize(
    ("clips", "sentence"),
    [
        ([], "no recording to store"),
        ([recording(source="a"), recording(source="b", units="px")], "a has .*'m'.*b has .*'px'"),
        ([recording(label="jump", source="a")], "a: the label 'jump' is not one of the classes"),
        ([recording(subject=-1, source="a")], "a: expected a subject number"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(
    tmp_path: Path, clips: list[Recording], sentence: str
) -> None:
    with pytest.raises(ClipError, match=sentence):
        write_store(tmp_path / "s.npz", clips, dataset="d", terms="t", classes=["sit"])
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_breaks_halfway_leaves_the_older_store_untouched(tmp_path: Path) -> None:
    write_store(tmp_path / "s.npz", [recording()], dataset="d", terms="t")
    before = (tmp_path / "s.npz").read_bytes()

    def breaking() -> Iterator[Recording]:
        yield recording(seed=1)
        raise ReadError("b.txt: cut off")

    with pytest.raises(ReadError, match="cut off"):
        write_store(tmp_path / "s.npz", breaking(), dataset="d", terms="t")
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]
    assert (tmp_path / "s.npz").read_bytes() == before


def test_a_store_can_be_rewritten_from_itself(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s.npz", [recording(seed=i) for i in range(3)], dataset="d", terms="t")
    hash_before = store.content_hash
    again = write_store(tmp_path / "s.npz", store, dataset="d", terms="t")
    assert again.content_hash == hash_before


def test_a_store_cut_off_anywhere_is_refused_with_its_name(tmp_path: Path) -> None:
    write_store(tmp_path / "s.npz", [recording(frames=6)], dataset="d", terms="t")
    whole = (tmp_path / "s.npz").read_bytes()
    for length in [0, 1, 30, 100, len(whole) // 2, len(whole) - 300, len(whole) - 1]:
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(ReadError, match=r"cut\.npz"):
            open_store(tmp_path / "cut.npz")


def test_damage_in_any_byte_is_refused_or_harms_only_the_mapped_poses(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s.npz", [recording(label="a"), recording(seed=1)], dataset="d", terms="t")
    whole = bytearray((tmp_path / "s.npz").read_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        (tmp_path / "bad.npz").write_bytes(damaged)
        try:
            found = open_store(tmp_path / "bad.npz", in_memory=True)
        except ReadError:
            continue
        # A byte that no reader looks at: a zip field that repeats another.
        assert found.content_hash == store.content_hash


def _rewritten(path: Path, to: Path, **changes: Any) -> Path:
    with np.load(path) as plain:
        arrays = {**plain, **{name: np.asarray(array) for name, array in changes.items()}}
    np.savez(to, **arrays)
    return to


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": np.int64([5, 0])}, "label is 5"),
        ({"labels": np.int64([-2, 0])}, "below -1"),
        ({"labels": np.int64([0])}, "'labels' has the shape"),
        ({"labels": np.float64([0, 0])}, "labels is missing or of another type"),
        ({"lengths": np.int64([2, 3])}, "times for 5 frames"),
        ({"lengths": np.int64([-3, 9])}, "negative"),
        ({"offsets": np.int64([0, 4, 6])}, "do not agree"),
        ({"offsets": np.int64([0, 7, 6])}, "do not rise"),
        ({"times_s": np.float64([0, 1, 1, 0, 1, 2])}, "times of a recording do not rise"),
        ({"times_s": np.float64([0, 1, np.nan, 0, 1, 2])}, "times of a recording do not rise"),
        ({"present": np.zeros(6, np.bool_)}, "do not agree"),
        ({"persons": np.int64([2, 1])}, "person-frames"),
        ({"part_sets": np.int64([0, 3])}, "set of parts"),
        ({"poses": np.zeros((6, 19, 3), np.float32)}, "layout 'kinect20'"),
        ({"poses": np.zeros((5, 20, 3), np.float32)}, "for 6 rows"),
        ({"poses": np.zeros((6, 20, 3), np.float64)}, "poses is missing or of another type"),
        ({"header": np.frombuffer(b'{"amr_edge": "store", "schema": 9}', np.uint8)}, "schema 9"),
        ({"header": np.frombuffer(b'{"amr_edge": "store", "schema": 1}', np.uint8)}, "header cannot be used"),
        ({"header": np.frombuffer(b'{"amr_edge": "store", "sche', np.uint8)}, "header is damaged"),
        ({"header": np.frombuffer(b"{}", np.uint8)}, "another .npz"),
    ],
)
def test_a_store_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    write_store(tmp_path / "s.npz", [recording(label="a"), recording(label="a", seed=1)], dataset="d", terms="t")
    path = _rewritten(tmp_path / "s.npz", tmp_path / "odd.npz", **changes)
    with pytest.raises(ReadError, match=rf"odd\.npz.*{sentence}"):
        open_store(path)


def test_a_foreign_npz_an_array_of_objects_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "foreign.npz", x=np.zeros(3))
    with pytest.raises(ReadError, match=r"foreign\.npz: expected an amr-edge store"):
        open_store(tmp_path / "foreign.npz")
    np.savez(tmp_path / "objects.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ReadError, match=r"objects\.npz.*unpickling"):
        open_store(tmp_path / "objects.npz")
    with pytest.raises(ReadError, match=r"none\.npz: expected a file, there is none"):
        open_store(tmp_path / "none.npz")
    assert not is_store(tmp_path / "foreign.npz")
    assert not is_store(tmp_path / "none.npz")


def test_a_header_that_promises_a_terabyte_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive, archive.open("poses.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 20, 3)})
    with pytest.raises(ReadError, match=r"huge\.npz.*promises"):
        open_store(tmp_path / "huge.npz")
