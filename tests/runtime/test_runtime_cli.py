"""`live` and `model`: JSON on stdout, words on stderr, an exit code that says which."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.card import BudgetPoint, Card
from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording, Span
from amr_edge.live_settings import EventConfig
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pipeline.pipeline import LiveConfig, LivePipeline
from amr_edge.runtime.pipeline.recognizer import recognize
from amr_edge.runtime.pipeline.records import LiveRecord, record_of
from amr_edge.runtime.sources.recorded import SourceRun
from amr_edge.runtime.stage_timer import Stages
from amr_edge.skeleton import KINECT20

WriteModel = Callable[..., Path]
CardOf = Callable[..., Card]
People = Callable[..., Recording]
Main = Callable[..., tuple[int, list[dict[str, Any]], str]]

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "cv2", "mediapipe", "scipy", "matplotlib", "safetensors"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
from amr_edge.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def main(capfd: pytest.CaptureFixture[str]) -> Main:
    """main("live", ...) -> exit code, the JSON lines on stdout, stderr."""

    def call(*arguments: object) -> tuple[int, list[dict[str, Any]], str]:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return call


@pytest.fixture
def recorded(tmp_path: Path, people: People) -> Path:
    """Three seconds of two people, labelled."""
    path = tmp_path / "two.jsonl"
    jsonl.write(path, people(np.random.default_rng(0), persons=2, seconds=3.0, holes=0.1, label="wave"))
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_WAIT_POLICY": "PASSIVE"}


def test_live_tells_the_answers_of_the_offline_road(main: Main, write_model: WriteModel, recorded: Path) -> None:
    model = write_model()
    code, lines, err = main("live", model, "--source", recorded)
    (recording,) = jsonl.read(recorded)
    wanted = recognize(recording, open_session(model))
    answers = [line for line in lines if line["type"] == "answer"]
    assert code == 0
    assert [(a["time_s"], a["person"], a["label"]) for a in answers] == [
        (round(w.time_s, 6), w.person, w.label) for w in wanted
    ]
    assert all(abs(a["prob"] - w.prob) < 1e-4 for a, w in zip(answers, wanted, strict=True))
    assert all(line["schema"] == 1 for line in lines)
    assert "two.jsonl" in err
    assert "p99 ms" in err


def test_the_last_line_is_the_summary(main: Main, write_model: WriteModel, recorded: Path) -> None:
    _, lines, err = main("live", write_model(), "-s", recorded)
    summary = lines[-1]
    assert [line["type"] for line in lines].count("summary") == 1
    assert summary["type"] == "summary"
    assert (summary["frames"], summary["answers"], summary["recordings"], summary["ended"]) == (91, 18, 1, "end")
    assert summary["seconds"] == pytest.approx(3.0)
    assert set(summary["latency_ms"]) == {"capture", "prepare", "infer", "total"}
    assert "91 frames, 0 dropped" in err


def test_a_recording_is_named_beside_its_truth(main: Main, write_model: WriteModel, recorded: Path) -> None:
    _, lines, err = main("live", write_model(), "-s", recorded)
    (said,) = [line for line in lines if line["type"] == "recording"]
    answers = [line for line in lines if line["type"] == "answer"]
    means = {name: np.mean([dict(a["top"])[name] for a in answers]) for name in ("none", "wave", "sit")}
    best = max(means, key=lambda name: means[name])
    assert (said["label"], said["truth"], said["right"]) == (best, "wave", best == "wave")
    assert said["prob"] == pytest.approx(means[best], abs=1e-4)
    assert "truth: wave" in err
    assert lines[-1]["labelled"] == 1


def test_spans_of_a_recording_have_their_own_mean(
    main: Main, write_model: WriteModel, tmp_path: Path, people: People
) -> None:
    spans = (Span(0.0, 1.0, "wave"), Span(1.0, 3.0, "sit"), Span(7.0, 8.0, "sit"))
    jsonl.write(tmp_path / "a.jsonl", people(np.random.default_rng(0), seconds=3.0, spans=spans))
    _, lines, _ = main("live", write_model(), "-s", tmp_path / "a.jsonl")
    (said,) = [line["spans"] for line in lines if line["type"] == "recording"]
    assert [span["truth"] for span in said] == ["wave", "sit", "sit"]
    assert said[0]["label"] in ("none", "wave", "sit")
    assert said[2]["label"] is None


@pytest.mark.parametrize(
    ("flag", "told"), [("--answers", {"answer"}), ("--predictions", {"answer"}), ("--events", {"event"})]
)
def test_what_is_told_can_be_chosen(
    main: Main, write_model: WriteModel, card_of: CardOf, recorded: Path, flag: str, told: set[str]
) -> None:
    model = write_model(card_of(threshold=0.0, none_class=None))
    everything = {line["type"] for line in main("live", model, "-s", recorded, "--all")[1]}
    assert everything == {"answer", "event", "recording", "summary"}
    assert {line["type"] for line in main("live", model, "-s", recorded, flag)[1]} == told | {"recording", "summary"}


def test_schema_2_of_the_lines_and_of_a_sink_differs_in_names_alone(
    main: Main, write_model: WriteModel, recorded: Path, tmp_path: Path
) -> None:
    def timeless(lines: list[dict[str, Any]]) -> list[LiveRecord]:
        return [record_of({**line, "latency_ms": {} if line["type"] == "summary" else 0.0}) for line in lines]

    _, first, _ = main("live", write_model(), "-s", recorded)
    out = (tmp_path / "out.jsonl", tmp_path / "out.csv")
    _, second, _ = main("live", write_model(), "-s", recorded, "--schema=2", *(f"--to={path}" for path in out))
    assert {line["schema"] for line in first} == {1}
    assert {line["schema"] for line in second} == {2}
    assert {line["type"] for line in second} >= {"prediction", "recording", "summary"}
    assert second[-1]["predictions"] == first[-1]["answers"] == 18
    assert timeless(first)[:-1] == timeless(second)[:-1]
    assert [json.loads(line) for line in out[0].read_text().splitlines()][:-1] == second[:-1]
    assert sum(row.startswith("prediction,") for row in out[1].read_text().splitlines()) == 18


def test_events_start_and_end(main: Main, write_model: WriteModel, card_of: CardOf, recorded: Path) -> None:
    _, lines, _ = main("live", write_model(card_of(threshold=0.0, none_class=None)), "-s", recorded, "--events")
    for person in (0, 1):
        events = [line for line in lines if line["type"] == "event" and line["person"] == person]
        assert events[0]["event"] == "start"
        assert events[-1]["event"] == "end"
        assert events[-1]["end_s"] == 3.0
        assert events[0]["latency_ms"] >= 0


def test_each_recording_of_a_folder_starts_anew(
    main: Main, write_model: WriteModel, tmp_path: Path, people: People
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for k in range(3):
        jsonl.write(folder / f"{k}.jsonl", people(np.random.default_rng(k), seconds=0.5))
    (folder / "3.jsonl").write_text("")
    code, lines, err = main("live", write_model(), "-s", folder)
    assert code == 0
    assert [line["partial"] for line in lines if line["type"] == "answer"] == [True] * 3
    assert [line["recording"] for line in lines if line["type"] == "recording"] == ["0.jsonl", "1.jsonl", "2.jsonl"]
    assert lines[-1]["skipped"] == 1
    assert "3.jsonl" in err


def test_a_limit_stops_by_the_sources_time(main: Main, write_model: WriteModel, recorded: Path) -> None:
    _, lines, _ = main("live", write_model(), "-s", recorded, "--limit", 1.5)
    assert lines[-1]["ended"] == "limit"
    assert lines[-1]["frames"] == 46


def test_a_scene_model_answers_for_the_scene(
    main: Main, write_model: WriteModel, card_of: CardOf, recorded: Path
) -> None:
    _, lines, _ = main("live", write_model(card_of(persons=2)), "-s", recorded)
    answers = [line for line in lines if line["type"] == "answer"]
    assert len(answers) == 9
    assert all(answer["person"] is None and sorted(answer["people"]) == [0, 1] for answer in answers)


def test_nobody_in_view_is_said(write_model: WriteModel) -> None:
    told: list[dict[str, Any]] = []
    notes: list[str] = []
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    session = open_session(write_model())
    live = LivePipeline(
        session, config=LiveConfig(), stages=stages, emit=lambda record: told.append(record.line), note=notes.append
    )
    empty = [Frame(time_s=k / 30, poses=np.zeros((0, 20, 3), np.float32)) for k in range(90)]
    live.run([SourceRun(title="empty room", layout=KINECT20, units="m", frames=empty)])
    live.close_with("end")
    assert [record["type"] for record in told] == ["recording", "summary"]
    assert told[-1]["frames_with_people"] == 0
    assert any("no person was seen in 90 frames" in line for line in notes)


def test_a_source_without_frames_is_said(write_model: WriteModel) -> None:
    told: list[dict[str, Any]] = []
    notes: list[str] = []
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    live = LivePipeline(
        open_session(write_model()),
        config=LiveConfig(),
        stages=stages,
        emit=lambda record: told.append(record.line),
        note=notes.append,
    )
    live.run([SourceRun(title="nothing", layout=KINECT20, units="m", frames=[])])
    live.close_with("end")
    assert any("held no frame" in line for line in notes)
    assert told[-1]["seconds"] == 0


def test_a_slow_source_is_told_what_that_costs(
    main: Main, write_model: WriteModel, tmp_path: Path, people: People
) -> None:
    for fps, sentence in ((30.0, None), (6.0, "expect lower accuracy"), (2.0, "sees next to nothing")):
        jsonl.write(tmp_path / "slow.jsonl", people(np.random.default_rng(0), fps=fps))
        _, _, err = main("live", write_model(), "-s", tmp_path / "slow.jsonl")
        assert ("note:" in err) == (sentence is not None)
        assert (sentence or "") in err


def test_a_recording_that_the_model_cannot_be_fed_is_named(
    main: Main, write_model: WriteModel, tmp_path: Path, people: People
) -> None:
    jsonl.write(tmp_path / "flat.jsonl", people(np.random.default_rng(0), layout_name="coco17"))
    code, lines, err = main("live", write_model(), "-s", tmp_path / "flat.jsonl")
    assert (code, lines) == (4, [])
    assert "flat.jsonl: 'tiny' was trained on metres" in err


def lines_with_times(*times_s: float) -> str:
    joints = [[0.0, 1.0, 2.0]] * 20
    header = '{"amr_edge": "skeleton", "schema": 1, "layout": "kinect20"}'
    people = [{"id": 0, "joints": joints}]
    return "\n".join([header, *(json.dumps({"t": t, "people": people}) for t in times_s)])


def piped(text: str, *arguments: object, code: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", code] if code else ["-m", "amr_edge"]), *map(str, arguments)]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, env=environment(), timeout=120, check=False
    )


def test_settings_of_a_run_change_its_events_and_unknown_ones_are_refused(
    main: Main, write_model: WriteModel, recorded: Path
) -> None:
    model = write_model()
    _, lines, _ = main("live", model, "-s", recorded, "--events")
    assert [line["event"] for line in lines if line["type"] == "event"]
    code, lines, _ = main("live", model, "-s", recorded, "--events", "--set", "events.confirm_s=1000")
    assert (code, [line for line in lines if line["type"] == "event"]) == (0, [])
    code, lines, err = main("live", model, "-s", recorded, "--set", "events.confirms=1")
    assert (code, lines) == (2, [])
    assert "did you mean 'confirm_s'" in err


def test_the_cards_settings_count_where_the_run_gives_none(
    main: Main, write_model: WriteModel, card_of: CardOf, recorded: Path
) -> None:
    def starts(*arguments: str) -> list[dict[str, Any]]:
        _, lines, _ = main("live", model, "-s", recorded, "--events", *arguments)
        return [line for line in lines if line["type"] == "event" and line["event"] == "start"]

    model = write_model(card_of())
    usual = [line["start_s"] for line in starts()]
    assert usual
    model = write_model(card_of(events=EventConfig(confirm_s=1000)))
    assert not starts()
    assert [line["start_s"] for line in starts("--set", "events.confirm_s=0.25")] == usual


def test_lines_on_stdin_are_answered(write_model: WriteModel) -> None:
    done = piped(lines_with_times(*(k / 30 for k in range(46))), "live", write_model(), "-s", "-")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["time_s"] for line in lines if line["type"] == "answer"] == [1.0, 1.266667, 1.5]


def test_times_that_do_not_rise_are_left_out_counted_and_told_in_a_sentence(write_model: WriteModel) -> None:
    done = piped(lines_with_times(0.0, 0.1, 0.1), "live", write_model(), "-s", "-")
    assert done.returncode == 0, done.stderr
    assert "stdin, line 4: time must rise, got 0.1 s after 0.1 s" in done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["frames"], summary["losses"]) == (2, {"unordered": 1})


def test_live_on_recorded_skeletons_needs_only_numpy_and_the_engine(write_model: WriteModel, recorded: Path) -> None:
    done = piped("", "live", write_model(), "-s", recorded, code=BLOCKED)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["answers"] == 18


def test_importing_the_commands_opens_no_engine() -> None:
    heavy = ("onnxruntime", "cv2", "scipy", "mediapipe", "torch", "onnx")
    code = f"import sys, amr_edge.runtime.cli; print([name for name in {heavy} if name in sys.modules])"
    assert piped("", code=code).stdout.strip() == "[]"


def test_a_reader_that_goes_away_ends_it_quietly(write_model: WriteModel, recorded: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "amr_edge", "live", str(write_model()), "-s", str(recorded), "--speed", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in err
    assert "Exception" not in err


def test_interrupting_finishes_film_and_summary(write_model: WriteModel, recorded: Path, tmp_path: Path) -> None:
    cv2: Any = pytest.importorskip("cv2", reason="OpenCV is not installed: no films")
    film = tmp_path / "film.mp4"
    live = [sys.executable, "-m", "amr_edge", "live", str(write_model()), "-s", str(recorded)]
    process = subprocess.Popen(
        [*live, "--speed", "1", "--save", str(film)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(first)["type"] == "answer"
    summary = json.loads(out.splitlines()[-1])
    assert (summary["type"], summary["ended"]) == ("summary", "interrupted")
    assert "Traceback" not in err
    capture = cv2.VideoCapture(str(film))
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    assert 25 <= frames < 91


def test_a_film_is_saved(main: Main, write_model: WriteModel, recorded: Path, tmp_path: Path) -> None:
    cv2: Any = pytest.importorskip("cv2", reason="OpenCV is not installed: no films")
    code, _, err = main("live", write_model(), "-s", recorded, "--save", tmp_path / "film.mp4", "--mirror-view")
    assert code == 0
    assert "film.mp4: 91 frames" in err
    capture = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 91
    capture.release()


def test_a_video_without_a_pose_model_gets_the_line_to_type(
    main: Main, write_model: WriteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMR_EDGE_CACHE", str(tmp_path / "empty"))
    (tmp_path / "a.mp4").write_bytes(b"")
    code, lines, err = main("live", write_model(), "-s", tmp_path / "a.mp4", "--pose", "lite")
    assert (code, lines) == (3, [])
    assert "amr-edge pose fetch lite" in err
    code, _, err = main("live", write_model(), "-s", "0", "--pose", tmp_path / "nothing.task")
    assert code == 3
    assert "amr-edge pose fetch" in err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["live", "nothing.onnx", "-s", "x"], 4, "no such model file"),
        (["live", "MODEL", "-s", "nothing.jsonl"], 4, "there is none"),
        (["live", "RECORDED"], 2, "amr-edge live --source"),
        (["live", "MODEL", "-s", "RECORDED", "--save", "film.gif"], 2, "MP4"),
        (["live", "MODEL", "-s", "RECORDED", "--limit", "0"], 2, "--limit"),
        (["live", "MODEL", "-s", "RECORDED", "--format", "ntu"], 4, "two.jsonl"),
        (["model", "info", "RECORDED"], 4, "expected an ONNX model"),
    ],
)
def test_what_cannot_be_is_refused_with_its_exit_code(
    main: Main, write_model: WriteModel, recorded: Path, arguments: list[str], code: int, sentence: str
) -> None:
    places = {"MODEL": str(write_model()), "RECORDED": str(recorded)}
    got, lines, err = main(*(places.get(argument, argument) for argument in arguments))
    assert (got, lines) == (code, [])
    assert sentence in err
    assert "bug of ours" not in err


def test_model_info_is_the_card(
    main: Main, write_model: WriteModel, card_of: CardOf, capfd: pytest.CaptureFixture[str]
) -> None:
    _, (told,), _ = main("model", "info", write_model(), "--json")
    assert told == json.loads(card_of().to_json())
    assert run(["model", "info", str(write_model())]) == 0
    out = capfd.readouterr().out
    assert "none, wave, sit" in out
    assert "prepare.window_s" in out


def test_model_info_prints_the_curve(
    write_model: WriteModel, card_of: CardOf, capfd: pytest.CaptureFixture[str]
) -> None:
    curve = (
        BudgetPoint(share=1.0, tokens=80, top1=0.931, macs=534_800_000),
        BudgetPoint(share=0.25, tokens=20, top1=0.926, macs=104_200_000),
    )
    assert run(["model", "info", str(write_model(card_of(budget_curve=curve)))]) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert ["0.25", "20", "104.2", "92.6"] in lines


def test_live_asks_for_a_budget_of_a_file_that_has_none_in_vain(
    main: Main, write_model: WriteModel, recorded: Path
) -> None:
    model = write_model()
    assert main("live", model, "-s", recorded, "--budget", 1)[0] == 0
    for asked in (["--budget", "0.25"], ["--target-ms", "1000"]):
        code, lines, err = main("live", model, "-s", recorded, *asked)
        assert (code, lines) == (2, [])
        assert "always looks at 80 of 80 tokens; export it again" in err
    assert "give one of them" in main("live", model, "-s", recorded, "--budget", 1, "--target-ms", 9)[2]


@pytest.mark.slow
def test_live_finds_the_budget_that_keeps_a_time(main: Main, write_model: WriteModel, recorded: Path) -> None:
    model = with_ranks(write_model())
    code, lines, err = main("live", model, "-s", recorded, "--target-ms", 5000, "--threads", 1)
    assert (code, lines[-1]["type"]) == (0, "summary")
    assert re.search(r"target 5000 ms: a budget of 1, 80 of 80 tokens, takes [\d.]+ ms for 1 person \(p90\)\n", err)
    _, _, err = main("live", model, "-s", recorded, "--target-ms", 1e-6, "--threads", 1)
    assert "no budget keeps it here; the smallest is taken: a budget of 0.1, 8 of 80 tokens" in err
    assert ", 8 of 80 tokens" in main("live", model, "-s", recorded, "--budget", 0.1)[2]


def with_ranks(path: Path) -> Path:
    """The model with the input for the budget, which adds nothing to its answers."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("ranks", TensorProto.INT64, ["K"]))
    model.graph.initializer.append(helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]))
    softmax = model.graph.node.pop()
    model.graph.node.extend(
        [
            helper.make_node("Size", ["ranks"], ["of_ranks"]),
            helper.make_node("Cast", ["of_ranks"], ["tokens"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["tokens", "nothing"], ["no_tokens"]),
            helper.make_node("Add", [softmax.input[0], "no_tokens"], ["same"]),
            helper.make_node("Softmax", ["same"], ["probs"], axis=1),
        ]
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def data() -> Path:
    """The folder of real recordings."""
    root = os.environ.get("AMR_EDGE_DATA")
    if root is None:
        pytest.skip("AMR_EDGE_DATA is not set: no real recordings here")
    return Path(root)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["data/utd_mhad/Skeleton/a1_s1_t1_skeleton.mat", "data/ntu_rgbd/S017C003P020R002A058.skeleton", "data/ntu_rgbd"],
)
def test_real_recordings_are_answered_as_offline(main: Main, write_model: WriteModel, data: Path, name: str) -> None:
    from amr_edge.data import readers

    if not (data / name).exists():
        pytest.skip(f"{name} is not under AMR_EDGE_DATA")
    model = write_model()
    code, lines, _ = main("live", model, "-s", data / name)
    session = open_session(model)
    recordings = readers.read(data / name, "auto", on_bad=lambda _: None)
    wanted = [(r.source, answer) for r in recordings for answer in recognize(r, session)]
    answers = [line for line in lines if line["type"] == "answer"]
    assert code == 0
    assert answers
    assert [(a["recording"], a["time_s"], a["person"]) for a in answers] == [
        (source, round(w.time_s, 6), w.person) for source, w in wanted
    ]
    assert max(abs(a["prob"] - w.prob) for a, (_, w) in zip(answers, wanted, strict=True)) < 1e-5


@pytest.mark.data
@pytest.mark.slow
def test_a_real_video_is_answered(
    main: Main, write_model: WriteModel, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed: no poses from video")
    video, models = data / "videos/ntu_S001C001P001R001A001_rgb.avi", data / "models/blazepose"
    if not video.is_file() or not models.is_dir():
        pytest.skip("the video or the pose model is not under AMR_EDGE_DATA")
    monkeypatch.setenv("AMR_EDGE_CACHE", str(tmp_path / "cache"))
    assert run(["pose", "fetch", "lite", "--from", str(models)]) == 0
    film = tmp_path / "film.mp4"
    code, lines, err = main("live", write_model(), "-s", video, "--pose", "lite", "--save", film, "--limit", 2)
    assert code == 0, err
    assert lines[-1]["ended"] == "limit"
    assert {"capture", "pose", "prepare", "infer", "total"} == set(lines[-1]["latency_ms"])
    assert {line["person"] for line in lines if line["type"] == "answer"} == {0}
    assert film.stat().st_size > 10_000
