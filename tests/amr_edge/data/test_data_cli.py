"""`amr-edge data` counts what is there, names what is not, and ends with the code that says which."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store


def recording(seed: int = 0, frames: int = 12, **said: Any) -> Recording:
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 0.01, (1, frames, 20, 3)).astype(np.float32)
    # Pelvis, spine, upper spine and head above each other, so that the body is of human size; arms and legs are noise.
    poses[..., :4, 1] += np.float32([1, 1.2, 1.5, 1.7])
    return Recording(poses=poses, times_s=np.arange(frames) / 30, layout="kinect20", source=f"{seed}", **said)


def fill(root: Path, count: int = 4) -> Path:
    root.mkdir()
    for number in range(count):
        said = {"label": "bow" if number % 2 else "wave", "subject": number // 2, "parts": ("right", f"p{number}")}
        jsonl.write(root / f"{number}.jsonl", recording(number, 12 + number, **said))
    return root


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run(["data", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_convert_counts_what_it_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "convert", fill(tmp_path / "in"), tmp_path / "s.npz", "--json")
    said = json.loads(out)
    assert (code, err) == (0, "")
    assert {name: said[name] for name in ("recordings", "classes", "subjects", "cameras", "frames")} == {
        "recordings": 4,
        "classes": 2,
        "subjects": 2,
        "cameras": 0,
        "frames": 12 + 13 + 14 + 15,
    }
    assert said["bytes"] == (tmp_path / "s.npz").stat().st_size
    assert said["format"] == said["dataset"] == "jsonl"
    assert said["left_out"] == said["other_files"] == []
    assert open_store(tmp_path / "s.npz").classes == ("bow", "wave")


def test_convert_ends_with_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "convert", fill(tmp_path / "in"), tmp_path / "s.npz")
    assert code == 0
    assert "4 recordings, 2 classes, 2 subjects, 54 frames at 30 fps, kinect20 in m" in out
    assert out.splitlines()[-1] == f"next: amr-edge data info {tmp_path / 's.npz'}"


def test_every_bad_file_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "in")
    (root / "1.jsonl").write_text("")
    (root / "3.jsonl").write_bytes((root / "3.jsonl").read_bytes()[:-5])
    code, out, err = answer(capsys, "convert", root, tmp_path / "s.npz")
    assert (code, out) == (4, "")
    assert "1.jsonl: expected a header and frames, found nothing" in err
    assert "3.jsonl, line 16: expected a JSON object" in err
    assert "2 of 4 files or clips cannot be read, nothing was written" in err
    assert "--skip-bad" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_skip_bad_leaves_them_out_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "in")
    (root / "1.jsonl").write_text("")
    (root / "notes.txt").write_text("hello")
    code, out, err = answer(capsys, "convert", root, tmp_path / "s.npz", "--skip-bad", "--json")
    said = json.loads(out)
    assert (code, said["recordings"], len(said["left_out"])) == (0, 3, 1)
    assert said["other_files"] == [str(root / "notes.txt")]
    assert "left out: " in err
    assert "1 of 4 files or clips were left out because they cannot be read, 3 are in the store" in err
    assert "1 other files are no recordings known here: notes.txt" in err


def test_every_clip_that_was_found_is_stored_of_another_part_or_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).normal(size=(20, 30, 150)).astype(np.float32)
    x[2:14, 3, 7] = np.inf
    np.savez(tmp_path / "n.npz", x_train=x, y_train=np.zeros(20), x_test=x[:2], y_test=np.zeros(2))
    options = ("convert", tmp_path / "n.npz", tmp_path / "s.npz")
    code, out, err = answer(capsys, *options, "--skip-bad", "--part", "train", "--json")
    done = json.loads(out)
    assert (code, done["found"], done["recordings"], done["other_parts"], len(done["left_out"])) == (0, 22, 8, 2, 12)
    assert err.count("left out: ") == 10
    assert "... and 2 more of this kind" in err
    assert "12 of 22 files or clips were left out because they cannot be read, 8 are in the store, 2 are of" in err
    code, _, err = answer(capsys, *options)
    assert code == 4
    assert "12 of 22 files or clips cannot be read, nothing was written" in err
    code, out, err = answer(capsys, "check", tmp_path / "n.npz", "--json")
    assert (json.loads(out)["recordings"], json.loads(out)["found"]["unreadable"]) == (10, 12)


def test_recordings_without_a_person_are_stored_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "in")
    header, *frames = (root / "1.jsonl").read_text().splitlines()
    absent = [json.dumps({"t": json.loads(line)["t"], "people": []}) for line in frames]
    (root / "1.jsonl").write_text("\n".join([header, *absent]) + "\n")
    code, out, err = answer(capsys, "convert", root, tmp_path / "s.npz", "--json")
    done = json.loads(out)
    assert (code, done["recordings"], done["without_persons"]) == (0, 4, 1)
    assert done["recordings_without_persons"] == ["1.jsonl"]
    assert "no person in any frame: 1.jsonl" in err


def test_when_every_file_is_bad_there_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "in", 1)
    (root / "0.jsonl").write_text("")
    code, _, err = answer(capsys, "convert", root, tmp_path / "s.npz", "--skip-bad")
    assert code == 4
    assert "0.jsonl" in err
    assert not (tmp_path / "s.npz").exists()


def test_a_part_keeps_its_recordings_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "in")
    code, out, _ = answer(capsys, "convert", root, tmp_path / "s.npz", "--part", "p1", "--json")
    assert (code, json.loads(out)["recordings"], json.loads(out)["classes"]) == (0, 1, 1)
    code, _, err = answer(capsys, "convert", root, tmp_path / "t.npz", "--part", "left")
    assert code == 2
    assert "no recording is of the part 'left'; the parts are p0, p1, p2, p3, right" in err


def test_a_store_converts_into_an_equal_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer(capsys, "convert", fill(tmp_path / "in"), tmp_path / "s.npz")
    code, _, _ = answer(capsys, "convert", tmp_path / "s.npz", tmp_path / "t.npz")
    assert code == 0
    assert open_store(tmp_path / "s.npz").content_hash == open_store(tmp_path / "t.npz").content_hash
    assert (tmp_path / "s.npz").read_bytes() == (tmp_path / "t.npz").read_bytes()


@pytest.mark.parametrize(
    ("destination", "code", "sentence"),
    [("s.txt", 2, "ends in .npz"), ("none/s.npz", 2, "make it first")],
)
def test_a_destination_that_cannot_be_is_refused_before_reading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], destination: str, code: int, sentence: str
) -> None:
    ended, _, err = answer(capsys, "convert", fill(tmp_path / "in"), tmp_path / destination)
    assert ended == code
    assert sentence in err


def test_info_says_classes_lengths_and_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer(capsys, "convert", fill(tmp_path / "in"), tmp_path / "s.npz")
    code, out, _ = answer(capsys, "info", tmp_path / "s.npz", "--json")
    said = json.loads(out)
    assert code == 0
    assert said["clips"] == {"bow": 2, "wave": 2}
    assert said["lengths"] == {"least": 12, "median": 13.5, "most": 15}
    assert said["splits"] == ["loso:0", "subjects:0,1", "random", "random:0.2"]
    assert said["parts"]["right"] == 4
    assert said["sha256"] == open_store(tmp_path / "s.npz").content_hash
    code, out, _ = answer(capsys, "info", tmp_path / "s.npz")
    assert "class  clips\nbow        2\nwave       2" in out
    assert out.splitlines()[-1] == f"next: amr-edge train --data {tmp_path / 's.npz'} --split loso:0"


def test_info_of_a_file_that_is_no_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.npz").write_text("hello")
    code, _, err = answer(capsys, "info", tmp_path / "a.npz")
    assert code == 4
    assert "a.npz: expected a whole .npz" in err


def test_check_of_sound_recordings_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "check", fill(tmp_path / "in"))
    assert "nothing looks wrong in 4 recordings of 4 files" in out
    assert code == 0


def test_check_names_what_it_found_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "in")
    jsonl.write(root / "0.jsonl", recording(0, 1))
    (root / "1.jsonl").write_text("")
    lines = (root / "2.jsonl").read_text().splitlines()
    (root / "2.jsonl").write_text("\n".join([*lines, lines[-1]]))  # a time twice
    code, out, err = answer(capsys, "check", root)
    assert code == 1
    assert "0.jsonl: it has one frame" in out
    assert "1.jsonl: expected a header and frames" in out
    assert "2.jsonl, line 16: time must rise" in out
    assert "3 findings in 3 of 4 recordings" in err
    code, out, _ = answer(capsys, "check", root, "--json")
    assert code == 1
    assert json.loads(out)["found"] == {"unreadable": 2, "one frame": 1}


def test_check_names_what_cannot_be_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "in")
    try:
        (root / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    except OSError:
        pytest.skip("symbolic links are not allowed here")
    code, out, _ = answer(capsys, "check", root, "--json")
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["kind"], finding["source"]) == (1, "unreadable", str(root / "gone.jsonl"))


def test_check_names_a_recording_that_shows_what_another_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fill(tmp_path / "in")
    (root / "5.jsonl").write_bytes((root / "2.jsonl").read_bytes())
    code, out, err = answer(capsys, "check", root)
    assert code == 1
    assert "5.jsonl: its poses equal those of 2.jsonl" in out
    assert "1 findings in 1 of 5 recordings" in err


def test_check_shows_a_person_ten_of_a_kind_and_a_machine_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(15):
        jsonl.write(tmp_path / "in" / f"{number:02d}.jsonl", recording(number, 1))
    _, out, _ = answer(capsys, "check", tmp_path / "in")
    assert out.count("it has one frame") == 10
    assert "... and 5 more of this kind (one frame" in out
    _, out, _ = answer(capsys, "check", tmp_path / "in", "--json")
    assert len(json.loads(out)["findings"]) == 15


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "options", "counts"),
    [
        ("utd_mhad", [], (861, 27, 8, 0)),
        ("nw_ucla", [], (1484, 10, 10, 3)),
        ("penn_action", [], (2326, 15, 0, 0)),
        pytest.param("ui_prmd", ["--part", "correct"], (1000, 10, 10, 0), marks=pytest.mark.slow),
        ("ntu_rgbd", ["--skip-bad"], (36, 12, 17, 3)),
    ],
)
@pytest.mark.slow
def test_the_real_data_sets_have_the_known_counts(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    folder: str,
    options: list[str],
    counts: tuple[int, int, int, int],
) -> None:
    root = os.environ.get("AMR_EDGE_DATA")
    if not root:
        pytest.skip("AMR_EDGE_DATA is not set: the real recordings are not here")
    source = Path(root) / "data" / folder
    code, out, _ = answer(capsys, "convert", source, tmp_path / "s.npz", "--json", *options)
    said = json.loads(out)
    assert code == 0
    assert tuple(said[name] for name in ("recordings", "classes", "subjects", "cameras")) == counts
