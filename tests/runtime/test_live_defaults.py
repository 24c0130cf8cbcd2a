"""`live` when little was said: it says what it does, finds what is there, and names the way out where nothing is."""

import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from amr_edge import pretrained as models
from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording, Span
from amr_edge.data.store import write_store
from amr_edge.errors import ConfigError, MissingError, ReadError
from amr_edge.runtime import live_defaults
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.runtime.inference.session import model_path
from amr_edge.runtime.sources.open_source import has_pictures

WriteModel = Callable[..., Path]
People = Callable[..., Recording]
NO_CAMERA = pytest.mark.skipif(any(Path("/dev").glob("video[0-9]*")), reason="this machine has a camera: it would run")
PEOPLE_IN_PICTURES = pytest.mark.skipif(
    find_spec("mediapipe") is None, reason="MediaPipe is not installed: no pictures"
)


@pytest.fixture
def box(tmp_path: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box that holds a tiny model under the name of the real one."""
    folder = tmp_path / "box"
    write_model(name="box/rehab8.onnx")
    monkeypatch.setattr(models, "__file__", str(folder / "__init__.py"))
    return folder


def devices(root: Path, *numbers: int, mode: int = 0o600) -> Path:
    (root / "dev").mkdir()
    for number in numbers:
        (root / "dev" / f"video{number}").touch(mode=mode)
    return root


def test_rehab8_means_the_model_of_the_box_and_a_path_of_that_name_means_the_path(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_path("rehab8") == box / "rehab8.onnx" == models.bundled()
    Path("rehab8").write_bytes(b"mine")
    assert model_path("rehab8") == Path("rehab8")
    with pytest.raises(ReadError, match="or rehab8, which comes with amr-edge"):
        model_path("nothing.onnx")


def test_a_box_without_its_file_and_a_name_that_is_in_no_box_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="choose rehab8"):
        models.bundled("rehab9")
    monkeypatch.setattr(models, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(MissingError, match="force-reinstall"):
        models.bundled()


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("walk.mp4", "a video"),
        ("0", "the number of a camera"),
        ("-", "standard input"),
        ("rtsp://door.local/1", "an address"),
        ("udp://0.0.0.0:9000", "an address"),
        ("people.jsonl", "a recording"),
        ("films", "a folder of videos"),
        ("takes", "a folder of recordings"),
        ("/dev/null", "a device"),
    ],
)
def test_a_source_in_the_place_of_the_model_gets_the_line_to_type(
    word: str,
    what: str,
    tmp_path: Path,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("films").mkdir()
    Path("films/a.mp4").touch()
    Path("takes").mkdir()
    jsonl.write(Path("takes/a.jsonl"), people(np.random.default_rng(0), seconds=0.2))
    jsonl.write(Path("people.jsonl"), people(np.random.default_rng(0), seconds=0.2))
    assert run(["live", "--", word]) == 2
    err = capfd.readouterr().err
    assert f"{word} stands in the place of the model and is {what}; type: amr-edge live --source {word} " in err


@pytest.mark.parametrize("word", ["model.onnx", "runs/train/a-1", "rehab8", "run", "model.engine", "empty"])
def test_a_model_in_its_place_is_no_source(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run/export").mkdir(parents=True)
    Path("run/film.mp4").touch()
    Path("empty").mkdir()
    live_defaults.not_a_source(word)


def test_without_a_device_no_camera_is_tried_and_the_sentence_names_three_ways_out(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(MissingError) as refusal:
        live_defaults.camera(said.append, lambda _: pytest.fail("tried"), platform="linux", root=devices(tmp_path))
    assert said == ["no source was named: looking for a camera"]
    for way in ("plug one in", "--source FILE.mp4", "amr-edge demo"):
        assert way in str(refusal.value)


@PEOPLE_IN_PICTURES
def test_the_first_camera_that_gives_a_picture_is_taken(tmp_path: Path) -> None:
    tried = []

    def trouble_of(number: int) -> str:
        tried.append(number)
        return "" if number == 2 else f"camera {number}: it gave no picture"

    # Cameras have a second device that gives no pictures; video10 comes after video2.
    root = devices(tmp_path, 10, 2, 1)
    assert live_defaults.camera(lambda _: None, trouble_of, platform="linux", root=root) == 2
    assert tried == [1, 2]
    tried.clear()
    assert live_defaults.camera(lambda _: None, trouble_of, platform="darwin", root=root) == 2
    assert tried == [0, 1, 2]


@PEOPLE_IN_PICTURES
def test_cameras_that_give_nothing_are_told_with_the_first_reason(tmp_path: Path) -> None:
    root = devices(tmp_path, 0, 1)
    with pytest.raises(MissingError, match=r"\(camera 0: broken\); or take a video"):
        live_defaults.camera(lambda _: None, lambda number: f"camera {number}: broken", platform="linux", root=root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_camera_that_may_not_be_read_gets_the_group_to_join(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="usermod -aG video"):
        live_defaults.camera(lambda _: None, lambda _: "", platform="linux", root=devices(tmp_path, 0, mode=0))


@NO_CAMERA
@pytest.mark.usefixtures("box")
def test_live_without_a_word_takes_the_box_and_looks_for_a_camera(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["live"]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("no model was named: rehab8, which comes with amr-edge")
    assert err.splitlines()[1] == "no source was named: looking for a camera"
    assert "no camera was found" in err.splitlines()[2]


def test_a_slip_in_the_model_is_told_before_a_camera_is_looked_for(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["live", "nothing.onnx"]) == 4
    assert "looking" not in capfd.readouterr().err


@pytest.mark.usefixtures("box")
def test_live_with_a_source_alone_answers_by_the_box(
    tmp_path: Path, people: People, capfd: pytest.CaptureFixture[str]
) -> None:
    jsonl.write(tmp_path / "a.jsonl", people(np.random.default_rng(0), seconds=2.0))
    assert run(["live", "--source", str(tmp_path / "a.jsonl"), "--answers"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert lines[0]["type"] == "answer"
    assert lines[-1]["model"] == "tiny"


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    "verb",
    [
        ["model", "info", "rehab8", "--json"],
        ["bench", "rehab8", "--seconds", "0", "--count", "2", "--warmup", "0", "--json"],
        ["live", "rehab8", "--source", "a.jsonl"],
    ],
)
def test_every_command_that_takes_a_model_takes_the_name(
    verb: list[str], tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl.write(Path("a.jsonl"), people(np.random.default_rng(0), seconds=2.0))
    assert run(verb) == 0
    assert "tiny" in capfd.readouterr().out


def test_calibrating_the_box_calibrates_a_copy_and_refuses_to_overwrite_one(
    box: Path, tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    still = people(np.random.default_rng(1), seconds=30.0, spans=(Span(6.0, 9.9, "wave"), Span(16.0, 19.9, "wave")))
    still.poses[:, still.times_s % 10 < 6] = still.poses[:, :1]
    write_store(Path("long.npz"), [still], dataset="mine", terms="mine")
    before = (box / "rehab8.onnx").read_bytes()
    asked = ["calibrate", "rehab8", "--data", "long.npz", "--threads", "1", "--false-alarms", "3600"]
    assert run(asked) == 0
    assert "next: amr-edge live rehab8.onnx" in capfd.readouterr().out
    assert (box / "rehab8.onnx").read_bytes() == before
    assert read_onnx(Path("rehab8.onnx")).card.calibration["data"] == "long.npz"
    assert run(asked) == 2
    assert "calibrate it: amr-edge calibrate rehab8.onnx" in capfd.readouterr().err


@PEOPLE_IN_PICTURES
def test_a_pose_model_that_is_not_here_is_fetched_once_and_one_that_cannot_be_had_gets_the_offline_way(
    tmp_path: Path,
) -> None:
    environ = {"AMR_EDGE_CACHE": str(tmp_path / "cache")}
    asked: list[str] = []
    said: list[str] = []

    def no_network(address: str, _: Path) -> None:
        asked.append(address)
        raise MissingError(f"{address}: cannot be reached")

    def no_index(_: Path) -> Path:
        raise MissingError("pip download failed")

    with pytest.raises(MissingError, match="amr-edge pose fetch full --from FILE"):
        live_defaults.pose_model(said.append, environ, download=no_network, wheel=no_index)
    assert len(asked) == 1
    assert said[0].startswith("pictures need the pose model 'full' (not fetched); it is brought once")


def test_a_source_has_pictures_if_it_is_a_camera_or_a_video_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert has_pictures("0")
    assert has_pictures(str(tmp_path / "a.mp4"))
    assert not has_pictures(str(tmp_path / "b.mp4"))
    assert not has_pictures("-")
    assert not has_pictures("udp://127.0.0.1:9000")
