"""Models, streams and live sources in a Python program give what the commands give, typed."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge import (
    Card,
    ClipError,
    ConfigError,
    EventRecord,
    LayoutError,
    MissingError,
    PredictionRecord,
    PrepareConfig,
    ReadError,
    Recording,
    RecordingRecord,
    SummaryRecord,
    live,
    load,
    record_of,
)
from amr_edge import pretrained as models
from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.kinematics import RULES
from amr_edge.runtime.pipeline.records import KINDS, LiveRecord
from amr_edge.synthetic import exercise, subject

WriteModel = Callable[..., Path]
People = Callable[..., Recording]


def waving(people: People, seconds: float = 6.0) -> Recording:
    return people(np.random.default_rng(0), seconds=seconds, source="somebody")


@pytest.fixture
def eager(card_of: Callable[..., Card]) -> Card:
    """A card that believes anything, so that there are events."""
    return card_of(threshold=0.2, none_class=None)


def test_a_model_says_what_it_is(write_model: WriteModel) -> None:
    model = load(write_model(), engine="onnxruntime", threads=1)
    assert model.classes == model.card.classes == ("none", "wave", "sit")
    assert model.budget == 1
    assert "tiny" in model.title


def test_without_a_name_the_model_of_the_box_is_loaded(
    monkeypatch: pytest.MonkeyPatch, write_model: WriteModel, tmp_path: Path
) -> None:
    path = write_model(name="box/rehab8.onnx")
    monkeypatch.setattr(models, "__file__", str(path.parent / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    assert load().card == load("rehab8").card == load(path).card
    (tmp_path / "rehab8").mkdir()  # a folder of that name is somebody's run, and is not meant by saying nothing
    assert load().card.name == "tiny"
    path.unlink()
    with pytest.raises(MissingError, match="model that comes with amr-edge"):
        load()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"budget": 0.0}, ConfigError, "share of the tokens"),
        ({"engine": "abacus"}, ConfigError, "no engine 'abacus'"),
        ({"threads": 0}, ConfigError, "at least 1"),
    ],
)
def test_what_means_nothing_is_refused(
    write_model: WriteModel, options: dict[str, float], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        load(write_model(), **options)  # type: ignore[arg-type]


def test_poses_are_answered_as_the_recording_that_they_are(write_model: WriteModel, people: People) -> None:
    model, recording = load(write_model(), threads=1), waving(people)
    whole = model.predict(recording)
    assert len(whole) == 21  # a window of 1 s, then every 0.25 s until 6 s
    for poses in (recording.poses, recording.poses[0], recording.poses.tolist()):
        again = model.predict(poses, recording.times_s, "kinect20")
        assert [answer.to_dict() for answer in again] == [answer.to_dict() for answer in whole]
    assert whole[0].probs.sum() == pytest.approx(1)


def test_poses_without_times_or_of_another_skeleton_are_refused(write_model: WriteModel, people: People) -> None:
    model, recording = load(write_model(), threads=1), waving(people, 2.0)
    with pytest.raises(ConfigError, match="need the time of each frame"):
        model.predict(recording.poses)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="times and a layout of its own"):
        model.predict(recording, recording.times_s, "kinect20")  # type: ignore[call-overload]
    with pytest.raises(ClipError, match="for layout 'ntu25'"):
        model.predict(recording.poses, recording.times_s, "ntu25")
    with pytest.raises(LayoutError, match="no skeleton layout 'kinect21'"):
        model.predict(recording.poses, recording.times_s, "kinect21")
    with pytest.raises(ClipError, match="array of numbers"):
        model.predict([[[0.0]], [[0.0], [1.0]]], recording.times_s, "kinect20")
    with pytest.raises(ClipError, match="in seconds"):
        model.predict(recording.poses, ["now", "then"], "kinect20")
    with pytest.raises(ClipError, match="one time for each"):
        model.predict(recording.poses, recording.times_s[:-1], "kinect20")


def pushed(model: object, recording: Recording) -> list[LiveRecord | dict[str, object]]:
    stream = model.stream(recording.layout)  # type: ignore[attr-defined]
    frames = [
        stream.push(time_s, recording.poses[:, t], tuple(range(len(recording.poses))))
        for t, time_s in enumerate(recording.times_s)
    ]
    said = []
    for frame in [*frames, stream.close()]:
        said += [answer.to_dict() for answer in frame.predictions] + [event.to_dict() for event in frame.events]
    return said


@settings(max_examples=5)
@given(seed=st.integers(0, 2**31), holes=st.sampled_from([0.0, 0.2]), persons=st.integers(1, 2))
def test_a_stream_a_live_run_and_the_command_say_the_same(
    seed: int, holes: float, persons: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Function-scoped fixtures would be shared by all examples.
    from importlib import util

    here = Path(__file__).parents[1] / "conftest.py"
    spec = util.spec_from_file_location("runtime_conftest", here)
    assert spec is not None
    assert spec.loader is not None
    made = util.module_from_spec(spec)
    spec.loader.exec_module(made)
    folder = tmp_path_factory.mktemp("said")
    card = made._card(threshold=0.2, none_class=None)
    graph = made._graph(card)
    entry = graph.metadata_props.add()
    entry.key, entry.value = made.CARD_KEY, card.to_json()
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    model = load(folder / "model.onnx", engine="onnxruntime", threads=1)
    recording = made._people(np.random.default_rng(seed), persons=persons, seconds=4.0, holes=holes)
    records = list(live(recording, model))
    said = [record for record in records if isinstance(record, PredictionRecord | EventRecord)]
    streamed = pushed(model, recording)
    assert [{name: record.line[name] for name in each} for record, each in zip(said, streamed, strict=True)] == streamed
    answers = [record for record in records if isinstance(record, PredictionRecord)]
    offline = model.predict(recording)
    assert [(a.time_s, a.person, a.label) for a in answers] == [
        (round(a.time_s, 6), a.person, a.label) for a in offline
    ]
    assert [a.prob for a in answers] == pytest.approx([a.prob for a in offline], abs=2e-6)


def test_live_gives_the_lines_that_the_command_writes(
    write_model: WriteModel, eager: Card, people: People, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = write_model(eager)
    jsonl.write(tmp_path / "walk.jsonl", waving(people))
    assert run(["live", str(model), "--source", str(tmp_path / "walk.jsonl"), "--threads=1"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    records = list(live(tmp_path / "walk.jsonl", model, threads=1))

    def timeless(line: object) -> object:
        """Without what the clock says."""
        return {k: v for k, v in dict(line).items() if k != "latency_ms"}  # type: ignore[call-overload]

    assert [timeless(record.line) for record in records] == [timeless(line) for line in lines]
    assert {type(record) for record in records} == {PredictionRecord, EventRecord, RecordingRecord, SummaryRecord}
    assert [record_of(line).type for line in lines] == [record.type for record in records]
    assert isinstance(records[-1], SummaryRecord)
    assert records[-1].predictions == sum(isinstance(record, PredictionRecord) for record in records)
    (recording,) = [record for record in records if isinstance(record, RecordingRecord)]
    assert recording.predictions == records[-1].predictions


def test_every_field_of_a_line_is_a_field_of_its_record(write_model: WriteModel, eager: Card, people: People) -> None:
    told = list(live([waving(people, 3.0), waving(people, 3.0)], write_model(eager), explain=1, threads=1))
    for record in told:
        written = record.to_dict(2)
        assert not {*written} - {"schema"} - set(type(record).__slots__), record
        for name in type(record).__slots__:
            if name in written:
                value, line = getattr(record, name), written[name]
                assert value == (tuple(map(tuple_of, line)) if isinstance(line, list) else line), name
    assert {record.type for record in told} == {*KINDS} - {"status"}
    assert told[-1].type == "summary"
    assert told[-1].recordings == 2


def tuple_of(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"type": "weather"}, "got type 'weather'"),
        ({}, "got type None"),
        ({"type": "event", "label": "wave"}, "expected recording, event, person"),
    ],
)
def test_what_is_no_line_of_live_is_refused(line: dict[str, object], words: str) -> None:
    with pytest.raises(ReadError, match=words):
        record_of(line)


def test_a_field_of_a_later_version_is_in_the_line(write_model: WriteModel, people: People) -> None:
    first = next(iter(live(waving(people), write_model(), threads=1)))
    assert record_of({**first.line, "mood": "good"}).line["mood"] == "good"


def test_options_are_refused_before_anything_is_opened(write_model: WriteModel, people: People) -> None:
    model = load(write_model(), threads=1)
    with pytest.raises(ConfigError, match="chosen when a model is loaded"):
        live(waving(people), model, budget=0.5)
    with pytest.raises(ConfigError, match="limit"):
        live(waving(people), model, limit_s=0)
    with pytest.raises(ConfigError, match="smoothing"):
        live(waving(people), model, smooth="much")
    with pytest.raises(ReadError, match="no such model file"):
        live(waving(people), "nowhere.onnx")


def test_what_goes_wrong_at_the_source_is_raised_where_the_records_are_gone_through(
    write_model: WriteModel, people: People
) -> None:
    with pytest.raises(ReadError, match="there is none"):
        list(live("nowhere", write_model(), threads=1))
    flat = people(np.random.default_rng(0), layout_name="coco17")
    with pytest.raises(LayoutError, match="trained on metres"):
        list(live(flat, write_model(), threads=1))


def test_whoever_leaves_the_loop_leaves_no_thread_behind(write_model: WriteModel, people: People) -> None:
    def followers() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "amr-edge live"]

    told = []

    def forever() -> object:
        while True:
            told.append(1)
            yield waving(people)

    records = live(forever(), write_model(), threads=1)  # type: ignore[arg-type]
    next(records)
    assert len(followers()) == 1
    records.close()
    assert followers() == []
    assert len(told) < 100
    assert list(records) == []


def test_a_program_that_ends_inside_the_loop_ends_cleanly(
    write_model: WriteModel, people: People, tmp_path: Path
) -> None:
    jsonl.write(tmp_path / "walk.jsonl", waving(people, 60.0))
    code = "import sys, amr_edge; records = amr_edge.live(sys.argv[1], sys.argv[2]); next(records); next(records)"
    command = [sys.executable, "-c", code, str(tmp_path / "walk.jsonl"), str(write_model())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_limit_ends_a_run_and_says_so(write_model: WriteModel, people: People) -> None:
    last = list(live(waving(people), write_model(), limit_s=2.0, threads=1))[-1]
    assert isinstance(last, SummaryRecord)
    assert (last.ended, last.frames) == ("limit", 61)


def test_notes_go_to_whom_they_are_given(write_model: WriteModel, people: People) -> None:
    notes: list[str] = []
    list(live(waving(people), write_model(), note=notes.append, threads=1))
    assert any("181 frames" in note for note in notes)


def test_a_stream_refuses_time_that_stands_still_and_other_skeletons(write_model: WriteModel, people: People) -> None:
    stream = load(write_model(), threads=1).stream()
    pose = waving(people).poses[0, 0]
    assert stream.push(0.0, pose).predictions == ()
    with pytest.raises(ClipError):
        stream.push(0.0, pose)
    with pytest.raises(ClipError):
        stream.push(1.0, pose[:-1])
    with pytest.raises(LayoutError, match="trained on metres"):
        load(write_model(), threads=1).stream("coco17", units="px")
    assert stream.note is None


def test_what_is_shorter_than_a_window_is_answered_at_the_end(write_model: WriteModel, people: People) -> None:
    model, recording = load(write_model(), threads=1), waving(people, 0.5)
    stream = model.stream()
    assert not any(stream.push(t, recording.poses[0, k]).predictions for k, t in enumerate(recording.times_s))
    closed = stream.close()
    (answer,) = closed.predictions
    assert closed.answers is closed.predictions
    assert answer.partial
    (offline,) = model.predict(recording)
    assert answer.probs == pytest.approx(offline.probs, abs=1e-5)


def test_repetitions_and_gates_of_a_card_with_rules_reach_records_and_streams(
    write_model: WriteModel, card_of: Callable[..., Card]
) -> None:
    sees = PrepareConfig(layout="canonical15", frames=64, window_s=4.2, view="body", scale="none", bones="unit")
    squats = exercise("squat", subject(1, 0), np.random.default_rng(0), reps=3)
    plain = card_of(classes=("a", "b"), none_class=None, prepare=sees, threshold=0.3)
    answers = load(write_model(plain), threads=1).predict(squats)
    # An untrained model says one thing all the time; that thing is called squat, as a trained one would call it.
    said = int(np.bincount([int(answer.probs.argmax()) for answer in answers]).argmax())
    names = ("squat", "nothing") if said == 0 else ("nothing", "squat")
    ruled = replace(plain, classes=names, none_class="nothing", rules={"squat": asdict(RULES["squat"])})
    model = load(write_model(ruled, name="ruled.onnx"), threads=1)
    records = list(live(squats, model))
    ends = [record for record in records if isinstance(record, EventRecord) and record.event == "end"]
    assert 1 <= sum(record.reps or 0 for record in ends) <= 3
    gates = [record.gated for record in records if isinstance(record, PredictionRecord)]
    assert set(gates) == {None, "squat"}  # he stands before and after
    streamed = [each for each in pushed(model, squats) if isinstance(each, dict)]
    assert [each["reps"] for each in streamed if each.get("event") == "end"] == [record.reps for record in ends]
    assert [answer.gated for answer in model.predict(squats)] == gates
    with pytest.raises(ConfigError, match="carries none"):
        live(squats, model, quality=True).send(None)
    with pytest.raises(ConfigError, match="carries none"):
        model.stream("ntu25", quality=True)


def test_the_example_follows_a_recording_to_its_end(
    write_model: WriteModel, eager: Card, people: People, tmp_path: Path
) -> None:
    jsonl.write(tmp_path / "walk.jsonl", waving(people))
    example = Path(__file__).resolve().parents[3] / "examples" / "follow.py"
    command = [sys.executable, str(example), str(tmp_path / "walk.jsonl"), str(write_model(eager))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *events, last = done.stdout.splitlines()
    starts = [line for line in events if line.endswith(" ...")]
    assert last == f"{len(starts)} events in 6.0 s"
    assert len(events) == 2 * len(starts) > 0
    assert "181 frames" in done.stderr
