"""Folders of videos become a store through live's estimator; nothing is looked at twice, nobody is lost unsaid."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store
from amr_edge.errors import ConfigError
from amr_edge.runtime.record.from_videos import Clip, subjects_in
from amr_edge.runtime.sources.open_source import SourceConfig, open_source
from amr_edge.runtime.sources.recorded import SourceRun
from amr_edge.runtime.stage_timer import Stages

cv2 = pytest.importorskip("cv2", reason="videos are read by OpenCV")

People = Callable[..., Recording]
Captured = pytest.CaptureFixture[str]
WIDTH, HEIGHT, FPS = 64, 48, 20.0


@pytest.fixture
def pose(tmp_path: Path) -> Path:
    """An estimator whose every joint is where the picture is brightest, and which sees nobody in the dark."""
    brightness = helper.make_node("ReduceMean", ["picture", "channels"], ["bright"], keepdims=1)
    maps = helper.make_node("Expand", ["bright", "shape"], ["maps"])
    graph = helper.make_graph(
        [brightness, maps],
        "brightest",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 17, HEIGHT, WIDTH])],
        [
            onnx.numpy_helper.from_array(np.array([1], np.int64), "channels"),
            onnx.numpy_helper.from_array(np.array([1, 17, HEIGHT, WIDTH], np.int64), "shape"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder = tmp_path / "pose"
    folder.mkdir()
    onnx.save(model, folder / "brightest.onnx")
    described = {
        "amr_edge": "pose",
        "schema": 1,
        "name": "brightest",
        "layout": "coco17",
        "model": "brightest.onnx",
        "input": {"size": [WIDTH, HEIGHT], "order": "rgb", "channels_first": True, "divide": 255, "fit": "stretch"},
        "decode": {"as": "heatmap"},
        "joint_score": 0.5,
    }
    (folder / "brightest.json").write_text(json.dumps(described))
    return folder / "brightest.json"


def video(path: Path, *, pictures: int = 20, dark: int = 0, codec: str = "MJPG") -> Path:
    """A white dot that crosses a black picture; the last `dark` pictures are black altogether."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(pictures):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        if number < pictures - dark:
            image[16:24, 2 * number : 2 * number + 8] = 255
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    video(root / "wave" / "p1-a.avi")
    video(root / "wave" / "p2-a.avi", pictures=10, dark=5)
    video(root / "sit" / "p1-b.avi")
    return root


def answer(capsys: Captured, *arguments: object) -> tuple[int, str, str]:
    code = run(["data", "make", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_folders_become_classes_and_what_was_seen_is_counted(
    tmp_path: Path, videos: Path, pose: Path, capsys: Captured
) -> None:
    out = tmp_path / "out.npz"
    code, said, _ = answer(
        capsys, videos, out, "--pose", pose, "--subject", r"p(\d)", "--json", "--report", tmp_path / "r.csv"
    )
    assert code == 0
    store = open_store(out)
    assert store.names == ("sit/p1-b.avi", "wave/p1-a.avi", "wave/p2-a.avi")
    assert [store.classes[label] for label in store.labels] == ["sit", "wave", "wave"]
    assert (store.subjects.tolist(), store.layout, store.units) == ([1, 1, 2], "coco17", "px")
    assert store.lengths.tolist() == [20, 20, 10]
    answered = json.loads(said)
    assert [(row["file"], row["with_person"], row["share"]) for row in answered["files"]] == [
        ("sit/p1-b.avi", 20, 1.0), ("wave/p1-a.avi", 20, 1.0), ("wave/p2-a.avi", 5, 0.5),
    ]  # fmt: skip
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["label"], row["state"], row["share"]) for row in rows] == [
        ("sit/p1-b.avi", "sit", "seen", "1.0"), ("wave/p1-a.avi", "wave", "seen", "1.0"),
        ("wave/p2-a.avi", "wave", "seen", "0.5"),
    ]  # fmt: skip


def test_the_poses_are_those_that_live_sees(tmp_path: Path, videos: Path, pose: Path, capsys: Captured) -> None:
    assert answer(capsys, videos, tmp_path / "out.npz", "--pose", pose)[0] == 0
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    source = SourceConfig(pose=str(pose))
    for name, recording in zip(open_store(tmp_path / "out.npz").names, open_store(tmp_path / "out.npz"), strict=True):
        with open_source(
            str(videos / name), source, stages=stages, note=lambda _: None, skipped=lambda _: None, environ={}
        ) as takes:
            (take,) = takes
            assert isinstance(take, SourceRun)
            frames = list(take)
        np.testing.assert_array_equal(recording.times_s, [each.time_s for each in frames])
        for at, frame in enumerate(frames):
            seen = frame.poses[0] if len(frame.poses) else np.full((17, 2), np.nan)
            np.testing.assert_array_equal(recording.poses[0, at], seen)


def test_the_report_for_people_names_who_was_lost_and_ends_with_the_next_command(
    tmp_path: Path, videos: Path, pose: Path, capsys: Captured
) -> None:
    video(videos / "sit" / "empty.avi", dark=20)
    code, said, _ = answer(capsys, videos, tmp_path / "out.npz", "--pose", pose)
    assert code == 0
    lines = said.splitlines()
    assert lines[1].split() == ["sit", "2", "1", "0", "40", "50%", "100%"]
    assert lines[2].split() == ["wave", "2", "0", "0", "30", "83%", "100%"]
    assert [line.split()[0] for line in lines[5:7]] == ["sit/empty.avi", "wave/p2-a.avi"]
    assert "no person" in lines[5]
    assert lines[-1].startswith(f"next: amr-edge finetune --data {tmp_path / 'out.npz'} --split random")
    assert "sit/empty.avi" not in open_store(tmp_path / "out.npz").names


def test_what_was_done_is_not_done_again_and_what_changed_is(
    tmp_path: Path, videos: Path, pose: Path, capsys: Captured
) -> None:
    out = tmp_path / "out.npz"

    def again() -> int:
        code, said, _ = answer(capsys, videos, out, "--pose", pose, "--json")
        assert code == 0
        return int(json.loads(said)["again"])

    assert again() == 0
    first = open_store(out).content_hash
    assert again() == 3
    assert open_store(out).content_hash == first
    video(videos / "wave" / "new.avi")
    assert again() == 3
    video(videos / "wave" / "p1-a.avi", pictures=12)
    assert again() == 3
    # The newest: one of a video that has changed since is not looked at any more.
    part = max((tmp_path / "out.made").glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)
    part.write_bytes(part.read_bytes()[:100])  # a damaged one is looked at again
    assert again() == 3
    shutil.rmtree(tmp_path / "out.made")
    assert again() == 0
    assert open_store(out).content_hash != first


def test_another_estimator_looks_anew(tmp_path: Path, videos: Path, pose: Path, capsys: Captured) -> None:
    assert answer(capsys, videos, tmp_path / "out.npz", "--pose", pose)[0] == 0
    other = pose.with_name("other.json")
    other.write_text(pose.read_text())
    _, said, _ = answer(capsys, videos, tmp_path / "out.npz", "--pose", other, "--json")
    assert json.loads(said)["again"] == 0


def test_broken_videos_are_named_and_only_left_out_if_asked(
    tmp_path: Path, videos: Path, pose: Path, capsys: Captured
) -> None:
    (videos / "wave" / "text.mp4").write_text("no video")
    long = video(videos / "sit" / "cut.avi", pictures=60)
    long.write_bytes(long.read_bytes()[: long.stat().st_size // 3])
    out = tmp_path / "out.npz"
    code, said, err = answer(capsys, videos, out, "--pose", pose, "--report", tmp_path / "r.csv")
    assert (code, said, out.exists()) == (4, "", False)
    assert "text.mp4: expected a video" in err
    assert "cut.avi" in err
    assert "2 of 5 files or their clips cannot be read, nothing was written" in err
    with (tmp_path / "r.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["unreadable", "seen", "seen", "seen", "unreadable"]
    code, said, err = answer(capsys, videos, out, "--pose", pose, "--skip-bad", "--json")
    assert code == 0
    assert json.loads(said)["again"] == 3  # what was good is kept from the run that failed
    assert len(json.loads(said)["left_out"]) == 2
    assert len(open_store(out)) == 3


def run_until(done: int, root: Path, out: Path, pose: Path) -> subprocess.Popen[bytes]:
    """`data make` in a process of its own that has finished at least that many files."""
    command = [sys.executable, "-m", "amr_edge", "data", "make", str(root), str(out), "--pose", str(pose)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    ends_s = time.monotonic() + 60
    while len(list(out.with_suffix(".made").glob("*.json"))) < done and time.monotonic() < ends_s:
        time.sleep(0.002)
    return process


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path, pose: Path, capsys: Captured) -> None:
    root = tmp_path / "videos"
    for number in range(8):
        video(root / "wave" / f"{number:02d}.avi", pictures=24)
    process = run_until(2, root, tmp_path / "out.npz", pose)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(list((tmp_path / "out.made").glob("*.json")))
    assert done >= 2
    code, said, _ = answer(capsys, root, tmp_path / "out.npz", "--pose", pose, "--json")
    assert code == 0
    assert json.loads(said)["again"] == done
    assert len(open_store(tmp_path / "out.npz")) == 8


def test_an_interrupted_run_says_how_far_it_came(tmp_path: Path, pose: Path) -> None:
    root = tmp_path / "videos"
    for number in range(12):
        video(root / "wave" / f"{number:02d}.avi", pictures=24)
    process = run_until(1, root, tmp_path / "out.npz", pose)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"of 12 files are done and kept; the same command goes on" in err
    assert not (tmp_path / "out.npz").exists()


def test_recorded_skeletons_in_folders_are_taken_as_well(tmp_path: Path, people: People, capsys: Captured) -> None:
    root = tmp_path / "in"
    for number, label in enumerate(("wave", "sit")):
        (root / label).mkdir(parents=True)
        made = people(np.random.default_rng(number), persons=2, label="something else", subject=7)
        jsonl.write(root / label / "a.jsonl", made)
    code, _, err = answer(capsys, root, tmp_path / "most.npz")
    assert (code, err) == (0, "")
    most = open_store(tmp_path / "most.npz")
    assert (most.classes, most.subjects.tolist(), most.persons.tolist()) == (("sit", "wave"), [7, 7], [1, 1])
    assert answer(capsys, root, tmp_path / "all.npz", "--who", "all", "--subject", "wave|sit")[0] == 0
    everybody = open_store(tmp_path / "all.npz")
    assert (everybody.persons.tolist(), everybody.subjects.tolist()) == ([2, 2], [0, 1])
    np.testing.assert_array_equal(everybody[1].poses, next(jsonl.read(root / "wave" / "a.jsonl")).poses)


def test_a_pattern_gives_numbers_and_words_in_the_order_of_the_alphabet() -> None:
    clips = [Clip(Path(), name, "x") for name in ("x/S001P012.avi", "x/S001P003.avi", "x/other.avi")]
    assert subjects_in(clips, r"P(\d+)") == {"x/S001P012.avi": 12, "x/S001P003.avi": 3}
    assert subjects_in(clips, None) == {}
    for wrong in ("(", "nobody"):
        with pytest.raises(ConfigError, match="--subject"):
            subjects_in(clips, wrong)


@pytest.mark.parametrize(
    ("build", "sentence", "expected"),
    [
        (lambda root: None, "expected a folder with a folder for each action", 4),
        (lambda root: root.mkdir(), "found none among 0 files", 4),
        (lambda root: video(root / "bare.avi"), "lie in no folder, such as bare.avi", 4),
        (lambda root: video(root / "wave" / "dark.avi", dark=20), "no person was seen in any of 1 files", 4),
    ],
)
def test_what_makes_no_data_set_is_refused(
    build: Callable[[Path], Any], sentence: str, expected: int, tmp_path: Path, pose: Path, capsys: Captured
) -> None:
    build(tmp_path / "in")
    code, said, err = answer(capsys, tmp_path / "in", tmp_path / "out.npz", "--pose", pose)
    assert (code, said) == (expected, "")
    assert sentence in err
    assert not (tmp_path / "out.npz").exists()


def test_videos_and_skeletons_in_one_folder_are_refused(
    tmp_path: Path, videos: Path, people: People, capsys: Captured
) -> None:
    jsonl.write(videos / "wave" / "a.jsonl", people(np.random.default_rng(0)))
    code, _, err = answer(capsys, videos, tmp_path / "out.npz")
    assert code == 4
    assert "holds 3 videos and 1 recorded skeletons; name a folder of one kind" in err


def test_a_missing_pose_model_ends_with_code_3_before_anything_is_called_bad(
    tmp_path: Path, videos: Path, capsys: Captured
) -> None:
    code, _, err = answer(capsys, videos, tmp_path / "out.npz", "--pose", "nowhere.task")
    assert code == 3
    assert "there is no pose model 'nowhere.task'" in err


@pytest.mark.data
def test_real_videos_through_mediapipe_keep_their_people(tmp_path: Path, capsys: Captured) -> None:
    if "AMR_EDGE_DATA" not in os.environ:
        pytest.skip("AMR_EDGE_DATA is not set: no clips here")
    pytest.importorskip("mediapipe", reason="this is about MediaPipe")
    from amr_edge.runtime.pose.download import fetch

    data = Path(os.environ["AMR_EDGE_DATA"])
    lite = fetch("lite", cache=tmp_path / "cache", source=data / "models" / "blazepose")
    (tmp_path / "in" / "drink").mkdir(parents=True)
    (tmp_path / "in" / "drink" / "S001P001.avi").symlink_to(data / "videos" / "ntu_S001C001P001R001A001_rgb.avi")
    out = tmp_path / "out.npz"
    code, said, _ = answer(capsys, tmp_path / "in", out, "--pose", lite, "--subject", r"P(\d+)", "--json")
    assert code == 0
    (row,) = json.loads(said)["files"]
    assert (row["state"], row["frames"]) == ("seen", 103)
    assert row["share"] > 0.95
    assert (open_store(out).layout, open_store(out).subjects.tolist()) == ("mediapipe33", [1])
