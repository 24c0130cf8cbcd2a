"""A path is read as what it is, a folder is of one format, and what cannot be read is reported or refused."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.data import readers
from amr_edge.data.convert import convert
from amr_edge.data.readers import jsonl, ntu_npz
from amr_edge.data.recording import Recording
from amr_edge.data.store import write_store
from amr_edge.errors import ConfigError, ReadError


def recording(source: str = "a", seed: int = 0, frames: int = 3) -> Recording:
    poses = np.random.default_rng(seed).normal(size=(1, frames, 25, 3)).astype(np.float32)
    return Recording(poses=poses, times_s=np.arange(frames) / 30, layout="ntu25", source=source, label="x")


def fill(root: Path, count: int = 3) -> Path:
    for number in range(count):
        folder = root / f"person_{count - number}"
        folder.mkdir(parents=True)
        jsonl.write(folder / f"{number}.jsonl", recording(seed=number))
    return root


def test_a_folder_is_searched_and_its_files_come_sorted(tmp_path: Path) -> None:
    found = readers.files(fill(tmp_path))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "person_1/2.jsonl",
        "person_2/1.jsonl",
        "person_3/0.jsonl",
    ]
    assert readers.detect(tmp_path).NAME == "jsonl"
    assert [clip.source for clip in readers.read(tmp_path)] == ["2.jsonl", "1.jsonl", "0.jsonl"]


def test_hidden_files_are_passed_over_and_others_are_listed(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / ".DS_Store").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.jsonl").write_text("")
    assert readers.find(tmp_path).others == (tmp_path / "README.md",)
    assert len(readers.files(tmp_path)) == 3


def test_mixed_formats_are_refused_and_one_can_be_chosen(tmp_path: Path) -> None:
    fill(tmp_path)
    write_store(tmp_path / "s.npz", [recording()], dataset="d", terms="t")
    with pytest.raises(ReadError, match=r"expected one format, found (3 jsonl, 1 store|1 store, 3 jsonl)"):
        readers.files(tmp_path)
    assert len(readers.files(tmp_path, "store")) == 1
    assert readers.find(tmp_path, "jsonl").others == (tmp_path / "s.npz",)


def test_a_store_and_a_prepared_npz_are_distinguished(tmp_path: Path) -> None:
    write_store(tmp_path / "s.npz", [recording("b"), recording("c", 1)], dataset="d", terms="t")
    np.savez(tmp_path / "n.npz", x_test=np.zeros((0, 300, 150), np.float32), y_test=np.zeros((0, 60)))
    assert readers.detect(tmp_path / "s.npz").NAME == "store"
    assert readers.detect(tmp_path / "n.npz").NAME == "ntu_npz"
    assert [clip.source for clip in readers.read(tmp_path / "s.npz")] == ["b", "c"]


def test_a_flipped_bit_in_the_poses_of_a_store_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s.npz", [recording(frames=50)], dataset="d", terms="t")
    whole = bytearray((tmp_path / "s.npz").read_bytes())
    at = whole.index(store._poses[20].tobytes())
    whole[at] ^= 1
    (tmp_path / "s.npz").write_bytes(whole)
    with pytest.raises(ReadError, match=r"s\.npz.*CRC"):
        list(readers.read(tmp_path / "s.npz"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda root: root / "none", "there is none"),
        (lambda root: root, "found no file of a format known here among 0"),
    ],
)
def test_nothing_to_read_is_refused(tmp_path: Path, make: object, sentence: str) -> None:
    with pytest.raises(ReadError, match=sentence):
        readers.files(make(tmp_path))  # type: ignore[operator]


def test_an_unknown_file_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ReadError, match=r"a\.txt: the file is of no format known here; say which with --format"):
        readers.files(tmp_path / "a.txt")
    with pytest.raises(ConfigError, match="no format 'c3d'"):
        readers.files(tmp_path, "c3d")


def test_a_bad_file_ends_the_reading_unless_on_bad_is_given(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "person_2" / "1.jsonl").write_text("")
    with pytest.raises(ReadError, match=r"1\.jsonl"):
        list(readers.read(tmp_path))
    bad: list[ReadError] = []
    assert [clip.source for clip in readers.read(tmp_path, on_bad=bad.append)] == ["2.jsonl", "0.jsonl"]
    assert len(bad) == 1
    assert "1.jsonl" in str(bad[0])


def linked(root: Path, real: Path) -> Path:
    root.mkdir(exist_ok=True)
    try:
        (root / "link").symlink_to(real, target_is_directory=True)
    except OSError:
        pytest.skip("symbolic links are not allowed here")
    return root


def test_linked_folders_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    real = fill(tmp_path / "real")
    root = linked(tmp_path / "set", real)
    assert [clip.source for clip in readers.read(root)] == ["2.jsonl", "1.jsonl", "0.jsonl"]
    (root / "again").symlink_to(real, target_is_directory=True)
    (real / "round").symlink_to(root, target_is_directory=True)
    (real / "up").symlink_to(tmp_path, target_is_directory=True)
    assert len(readers.files(root)) == len(readers.files(real)) == len(readers.files(tmp_path)) == 3
    assert readers.files(tmp_path)[0] == real / "person_1" / "2.jsonl"  # by its own name, not by a link's


@pytest.mark.parametrize("name", ["gone.jsonl", "gone.skeleton", "gone"])
def test_a_dangling_link_is_reported_and_the_rest_is_read(tmp_path: Path, name: str) -> None:
    root = linked(fill(tmp_path / "set"), tmp_path / "nowhere")
    (root / "link").rename(root / name)
    with pytest.raises(ReadError, match=rf"{name}: cannot be opened \(a link to .*nowhere: No such file"):
        list(readers.read(root, "jsonl"))
    bad: list[ReadError] = []
    assert len(list(readers.read(root, "jsonl", bad.append))) == 3
    assert len(bad) == 1


def test_files_and_folders_without_rights_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path / "set")
    closed = {str(root / "person_1"), str(root / "person_3" / "0.jsonl")}
    scandir, access, path_open = os.scandir, os.access, Path.open

    def allowed(path: Any) -> Any:
        if str(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return path

    monkeypatch.setattr(os, "scandir", lambda path: scandir(allowed(path)))
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in closed and access(path, mode))
    monkeypatch.setattr(Path, "open", lambda path, *rest, **more: path_open(allowed(path), *rest, **more))
    bad: list[ReadError] = []
    assert [clip.source for clip in readers.read(root, on_bad=bad.append)] == ["1.jsonl"]
    assert sorted(str(error).partition(": ")[0] for error in bad) == sorted(closed)
    assert all("cannot be opened (Permission denied)" in str(error) for error in bad)
    closed = {str(root)}
    with pytest.raises(ReadError, match="1 files or folders that cannot be opened, the first"):
        readers.find(root)


def test_a_stored_clip_that_cannot_be_used_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    write_store(path, [recording(str(seed), seed) for seed in range(4)], dataset="d", terms="t")
    with np.load(path) as arrays:
        changed = dict(arrays)
    changed["times_s"] = changed["times_s"].copy()
    changed["times_s"][4] = changed["times_s"][3]  # of the second recording
    changed["poses"] = changed["poses"].copy()
    changed["poses"][6, 0, 0] = np.inf  # of the third
    np.savez(path, **changed)
    bad: list[ReadError] = []
    assert [clip.source for clip in readers.read(path, on_bad=bad.append)] == ["0", "3"]
    assert "s.npz#1: 1: times must be finite and rise" in str(bad[0])
    assert "a joint lies at inf" in str(bad[1])


class Columns:
    """A reader of one's own: a text of x, y, z a line, one joint that is the pelvis."""

    NAME, TITLE, TERMS, CLASSES = "columns", "columns of numbers", "mine", ("still",)

    def recognizes(self, path: Path) -> bool:
        return path.suffix == ".xyz"

    def read(self, path: Path) -> Iterator[readers.Clip]:
        for number, text in enumerate(path.read_text().split("\n\n")):
            yield readers.clip_or_error(f"{path}#{number}", partial(self._clip, text, number))

    def _clip(self, text: str, number: int) -> Recording:
        values = np.array([line.split() for line in text.splitlines()], dtype=np.float32)
        poses = np.full((1, len(values), 25, values.shape[1]), np.nan, np.float32)
        poses[0, :, 0] = values
        times_s = np.arange(len(values)) / 30
        return Recording(poses=poses, times_s=times_s, layout="ntu25", label="still", source=f"#{number}")


def test_a_reader_of_ones_own_reads_a_file_or_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.xyz").write_text("0 1 2\n0 1 2\n\n5\n\n0 1 3")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    bad: list[ReadError] = []
    assert len(list(readers.read(tmp_path / "in", on_bad=bad.append, reader=Columns()))) == 2
    assert "a.xyz#1: #1: expected poses" in str(bad[0])
    done = convert(tmp_path / "in" / "a.xyz", tmp_path / "s.npz", reader=Columns(), skip_bad=True)
    assert (done.dataset, done.facts.terms, done.facts.recordings, done.found) == ("columns", "mine", 2, 3)
    with pytest.raises(ReadError, match="expected recordings, found no file of a format known here"):
        readers.find(tmp_path / "in")


def test_of_a_container_only_the_clip_without_a_frame_is_left_out(tmp_path: Path) -> None:
    clips = np.zeros((3, 300, 150), np.float32)
    clips[0, :4], clips[2, :6] = 1, 2
    np.savez(tmp_path / "n.npz", x_train=clips, y_train=np.eye(60)[[0, 1, 2]])
    bad: list[ReadError] = []
    found = list(readers.recordings(ntu_npz, [tmp_path / "n.npz"], bad.append))
    assert [clip.source for clip in found] == ["n.npz#train/0", "n.npz#train/2"]
    assert [str(refusal).split(": ")[1] for refusal in bad] == ["the clip has no frame; leave it out"]
    assert "n.npz#train/1" in str(bad[0])


def test_every_reader_keeps_the_protocol_and_names_differ() -> None:
    assert ("auto", *readers.READERS) == readers.FORMATS
    for name in readers.READERS:
        reader = readers.load_reader(name)
        assert name == reader.NAME
        assert reader.TITLE
        assert reader.TERMS
        assert reader.CLASSES is None or len(set(reader.CLASSES)) == len(reader.CLASSES)
        assert reader.recognizes(Path("nowhere/at all")) is False


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"{}", b"PK\x03\x04", b"\x80\x04.", b"1 2 3\n"])
def test_no_reader_breaks_over_what_a_file_holds(tmp_path: Path, content: bytes) -> None:
    names = [
        "a01_s01_e01_v01.json", "a1_s1_t1_skeleton.mat", "0001.mat", "S001C001P001R001A001.skeleton", "a.npz", "a.pkl",
        "0002-M.txt", "a.jsonl", "m01_s01_e01_positions.txt.gz",
    ]  # fmt: skip
    room = tmp_path / "Kinect" / "Positions"
    room.mkdir(parents=True)
    for name in names:
        (room / name).write_bytes(content)
        for reader in map(readers.load_reader, readers.READERS):
            if reader.recognizes(room / name):
                with pytest.raises(ReadError, match=name.split(".")[0]):
                    list(readers.recordings(reader, [room / name]))


def test_importing_the_readers_loads_no_parser_and_no_framework() -> None:
    code = (
        "import sys, amr_edge.data.readers; "
        "print([m for m in ('scipy', 'torch', 'cv2', 'onnxruntime', 'amr_edge.data.readers.ntu') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_in_a_folder_is_no_recording_and_is_not_waited_for(tmp_path: Path) -> None:
    fill(tmp_path)
    os.mkfifo(tmp_path / "pipe.jsonl")
    found = readers.find(tmp_path)
    assert (len(found.files), found.others) == (3, (tmp_path / "pipe.jsonl",))
