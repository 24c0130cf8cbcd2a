"""Converting from Python: what the command writes and prints, typed."""

import json
from pathlib import Path

import numpy as np
import pytest

from amr_edge import ConfigError, ReadError, convert, open_store, read
from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.terminal import to_json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings and a note."""
    made = tmp_path / "recorded"
    made.mkdir()
    for name in ("a", "b"):
        poses = np.random.default_rng(0).normal(size=(1, 5, 20, 3)).astype(np.float32)
        recording = Recording(poses=poses, times_s=np.arange(5) / 30, layout="kinect20", label="wave", source=name)
        jsonl.write(made / f"{name}.jsonl", recording)
    (made / "notes.md").write_text("who they are\n")
    return made


def test_convert_gives_what_the_command_prints(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = convert(folder, str(tmp_path / "ours.npz"))
    assert run(["data", "convert", str(folder), str(tmp_path / "theirs.npz"), "--json"]) == 0
    printed, typed = json.loads(capsys.readouterr().out), json.loads(to_json(done.to_dict()))
    assert {**printed, "store": ""} == {**typed, "store": ""}
    assert (done.facts.recordings, done.facts.classes, done.facts.frames) == (2, 1, 10)
    assert done.other_files == (folder / "notes.md",)
    assert open_store(str(done.store)).content_hash == open_store(tmp_path / "theirs.npz").content_hash
    assert [recording.label for recording in read(str(folder))] == ["wave", "wave"]


def test_what_cannot_be_read_is_reported_and_refused_or_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "c.jsonl").write_text((folder / "a.jsonl").read_text()[:-40])
    errors: list[ReadError] = []
    with pytest.raises(ReadError, match="1 of 3 files or clips cannot be read, nothing was written") as refused:
        convert(folder, tmp_path / "x.npz", on_bad=errors.append)
    assert "c.jsonl" in str(errors[0])
    assert refused.value.__cause__ is errors[0]
    assert not (tmp_path / "x.npz").exists()
    done = convert(folder, tmp_path / "x.npz", skip_bad=True)
    assert done.left_out == (str(errors[0]),)
    assert done.facts.recordings == 2


def test_a_destination_or_part_that_means_nothing_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.npz"):
        convert(folder, tmp_path / "x.zip")
    with pytest.raises(ConfigError, match="there is no folder"):
        convert(folder, tmp_path / "nowhere" / "x.npz")
    with pytest.raises(ConfigError, match="the parts are none"):
        convert(folder, tmp_path / "x.npz", part="train")
