"""The instant demo: real streaming of a synthetic workout, told in the terminal, compared with what was done, drawn.

The model here is written by hand: it calls a window a squat if the ankles come near the hips and an arm raise if an
elbow comes up to the shoulders. What the model of the box answers is tested where the model is (test_box.py).
"""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from amr_edge import pretrained as models
from amr_edge.card import CARD_KEY, Card
from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Span
from amr_edge.errors import ConfigError
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.demo.demo import DemoResult, run_demo
from amr_edge.runtime.inference.session import Session, open_session
from amr_edge.runtime.render.html_playback import Words, write_playback
from amr_edge.runtime.render.truth_comparison import match
from amr_edge.runtime.ui.page import Page
from amr_edge.skeleton import CANONICAL15
from amr_edge.synthetic import subject
from amr_edge.synthetic.workout import workout

CLASSES = ("squat", "arm raise", "none")
Browser = Any  # of conftest.py: a headless Chromium


def watcher() -> onnx.ModelProto:
    """Knees and elbows as a classifier of bone directions."""
    index = CANONICAL15.index
    constants = {
        "y_axis": np.array(1, np.int64),
        "ankles": np.array([index("left_ankle"), index("right_ankle")], np.int64),
        "elbows": np.array([index("left_elbow"), index("right_elbow")], np.int64),
        "neck": np.array([index("mid_shoulder")], np.int64),
        "axes": np.array([1, 2], np.int64),
        "joint": np.array([3], np.int64),
        "far": np.array(-9.0, np.float32),
        "gain": np.array([[60.0]], np.float32),
        "bias": np.array([[60 * 0.62, 60 * 0.03, 0.0]], np.float32),
        "nothing": np.array([[0.0]], np.float32),
    }
    # (N, M, T, V) heights, absent joints far below everything
    nodes = [
        helper.make_node("Gather", ["clip", "y_axis"], ["height"], axis=4),
        helper.make_node("Where", ["present", "height", "far"], ["seen"]),
        helper.make_node("Gather", ["seen", "ankles"], ["feet"], axis=3),
        helper.make_node("ReduceMean", ["feet", "joint"], ["foot"], keepdims=0),
        helper.make_node("ReduceMax", ["foot", "axes"], ["highest_foot"], keepdims=0),
        helper.make_node("Gather", ["seen", "elbows"], ["arms"], axis=3),
        helper.make_node("ReduceMax", ["arms", "joint"], ["arm"], keepdims=0),
        helper.make_node("Gather", ["height", "neck"], ["necks"], axis=3),
        helper.make_node("ReduceMax", ["necks", "joint"], ["shoulder"], keepdims=0),
        helper.make_node("Sub", ["arm", "shoulder"], ["raised"]),
        helper.make_node("ReduceMax", ["raised", "axes"], ["highest_arm"], keepdims=0),
        helper.make_node("Unsqueeze", ["highest_foot", "last"], ["a"]),
        helper.make_node("Unsqueeze", ["highest_arm", "last"], ["b"]),
        helper.make_node("Mul", ["a", "nothing"], ["c"]),
        helper.make_node("Concat", ["a", "b", "c"], ["scores"], axis=1),
        helper.make_node("Mul", ["scores", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probs"], axis=1),
    ]
    constants["last"] = np.array([1], np.int64)
    graph = helper.make_graph(
        nodes,
        "watcher",
        [
            helper.make_tensor_value_info("clip", TensorProto.FLOAT, ["N", "M", 64, 15, 3]),
            helper.make_tensor_value_info("present", TensorProto.BOOL, ["N", "M", 64, 15]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["N", 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A box that holds the hand-written model under the name of the real one."""
    folder = tmp_path_factory.mktemp("box")
    prepare = PrepareConfig(layout="canonical15", frames=64, window_s=4.2, view="body", bones="unit")
    card = Card(name="watcher", kind="classifier", classes=CLASSES, none_class="none", prepare=prepare)
    model = watcher()
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, card.to_json()
    onnx.checker.check_model(model)
    (folder / "rehab8.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.fixture(scope="module")
def session(box: Path) -> Session:
    return open_session(box / "rehab8.onnx", engine="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def performed(session: Session, tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoResult, list[str]]:
    said: list[str] = []
    return run_demo(tmp_path_factory.mktemp("demo"), session, seed=0, progress=said.append), said


def test_both_sets_are_told_and_each_is_said_as_it_begins_and_ends(performed: tuple[DemoResult, list[str]]) -> None:
    shown, said = performed
    assert (shown.comparison.recognized, shown.comparison.actions) == (2, 2)
    begun = [line.split()[2:4] for line in said if "begins" in line]
    assert ["squat", "begins"] in begun
    assert any("squat ends" in line for line in said)
    assert any("arm raise begins" in line for line in said)
    squat, raised = shown.done.recording.spans
    assert next(row["truth"] for row in shown.comparison.rows if row["truth"] is not None) == "squat"
    assert squat.end_s < raised.start_s


def test_what_is_written_is_what_was_told(performed: tuple[DemoResult, list[str]], session: Session) -> None:
    shown, _ = performed
    records = [json.loads(line) for line in shown.events.read_text(encoding="utf-8").splitlines()]
    assert records[-1]["type"] == "summary"
    assert records[-1]["answers"] == shown.answers > 100
    again = match(records, shown.done.recording.spans, session.card.prepare.window_s)
    assert again.rows == shown.comparison.rows
    (kept,) = jsonl.read(shown.recording)
    np.testing.assert_allclose(kept.poses, shown.done.recording.poses, atol=1e-4, equal_nan=True)


def test_the_same_seed_shows_the_same_and_another_shows_another(session: Session, tmp_path: Path) -> None:
    one, again, other = (
        run_demo(tmp_path / str(place), session, seed=seed, progress=lambda _: None)
        for place, seed in enumerate((1, 1, 2))
    )
    assert one.comparison == again.comparison
    np.testing.assert_array_equal(one.done.recording.poses, again.done.recording.poses)
    assert one.done.recording.duration_s != other.done.recording.duration_s


def test_whoever_looks_at_the_page_sees_joints_and_events_as_they_come(session: Session, tmp_path: Path) -> None:
    page = Page(session.card, title=session.title)
    viewer = page.enter()
    assert viewer is not None
    run_demo(tmp_path, session, seed=0, progress=lambda _: None, views=(page,), on_record=page.emit)
    messages = [json.loads(message) for message in viewer.take(5.0)[0]]
    page.close()
    assert {"frame", "event"} <= {message["kind"] for message in messages}


class Parsed(HTMLParser):
    """Tags that are left open, and addresses that a page asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.script = ""
        self._kind: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.asked += [value for name in ("src", "href") if (value := found.get(name)) is not None]
        self._kind = found.get("type") if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._kind = None

    def handle_data(self, data: str) -> None:
        if self._kind == "application/json":
            self.script += data


def test_the_page_is_one_file_that_asks_for_nothing(performed: tuple[DemoResult, list[str]]) -> None:
    shown, _ = performed
    text = shown.report.read_text(encoding="utf-8")
    page = Parsed(text)
    assert page.asked == []
    assert "http" not in text.split("<script")[0]
    assert "$" not in text.split("<script")[0]
    assert shown.report.stat().st_size < 3_000_000
    replay = json.loads(page.script)
    assert len(replay["frames"]) == pytest.approx(shown.done.recording.duration_s * replay["fps"], abs=2)
    assert [span["label"] for span in replay["spans"]] == ["squat", "arm raise"]


def test_the_page_survives_names_that_are_html(session: Session, tmp_path: Path) -> None:
    nasty = "</script><img src=x onerror=alert(1)>"
    made = workout(subject(1, 0), np.random.default_rng(0), sets=(("squat", 1),), between=())
    records = [{"type": "event", "event": "end", "label": nasty, "start_s": 1.0, "end_s": 2.0, "prob": 1.0}]
    told = match(records, made.recording.spans, 4.2)
    words = Words(title=nasty, intro=nasty, figures=((nasty, nasty),), scene=nasty, next=(nasty,))
    write_playback(tmp_path / "a.html", made.recording, records, told, {}, words)
    page = Parsed((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert page.asked == []
    assert json.loads(page.script)["events"][0]["label"] == nasty


def test_repetitions_of_a_set_that_is_told_in_pieces_are_added() -> None:
    def event(start_s: float, **more: Any) -> dict[str, Any]:
        return {"type": "event", "event": "end", "label": "squat", "start_s": start_s, "end_s": start_s + 1, **more}

    span = Span(0.0, 20.0, "squat")
    pieces = match([event(3.0, reps=2), event(9.0, reps=3), event(40.0, reps=1)], [span], 4.0)
    assert [(row["answer"], row["reps"]) for row in pieces.rows] == [("squat", 5), ("squat again", None), ("squat", 1)]
    assert match([event(3.0)], [span], 4.0).rows[0]["reps"] is None


TIMES = st.lists(st.floats(0, 100), min_size=2, max_size=20, unique=True).map(sorted)


@given(
    cuts=TIMES, names=st.lists(st.sampled_from("ab"), min_size=10, max_size=10), starts=TIMES, window_s=st.floats(0, 9)
)
def test_every_event_is_the_first_of_an_action_a_further_one_or_false(
    cuts: list[float], names: list[str], starts: list[float], window_s: float
) -> None:
    spans = [Span(*pair, name) for *pair, name in zip(cuts[::2], cuts[1::2], names, strict=False)]
    events = [
        {"type": "event", "event": "end", "label": names[place % 10], "start_s": start_s, "end_s": start_s, "prob": 1.0}
        for place, start_s in enumerate(starts)
    ]
    told = match(events, spans, window_s)
    assert told.recognized + told.repeats + told.false_events == len(events)
    assert (len(told.rows), told.actions) == (len(spans) + told.repeats + told.false_events, len(spans))
    assert [row["start_s"] for row in told.rows] == sorted(row["start_s"] for row in told.rows)


def test_the_command_tells_a_table_with_latency_and_the_next_command(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "__file__", str(box / "__init__.py"))
    out = tmp_path / "shown"
    assert run(["demo", "--out", str(out), "--threads", "1"]) == 0
    told, said = capfd.readouterr()
    assert "watcher detected 2 of 2 sets" in told
    assert "ms a prediction (p50)" in told
    assert "next: amr-edge live" in told
    assert "squat begins" in said
    assert run(["demo", "--out", str(out), "--threads", "1", "--json"]) == 0
    as_json = json.loads(capfd.readouterr().out)
    assert (as_json["recognised"], as_json["actions"], as_json["data"]) == (2, 2, "synthetic")
    assert [(each["label"], each["reps"]) for each in as_json["sets"]] == [("squat", 5), ("arm raise", 5)]
    assert as_json["seconds"] < 60


def test_live_on_the_written_recording_tells_the_same_events(
    box: Path,
    performed: tuple[DemoResult, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shown, _ = performed
    monkeypatch.setattr(models, "__file__", str(box / "__init__.py"))
    assert run(["live", "--source", str(shown.recording), "--events", "--engine", "onnxruntime"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    stored = [json.loads(line) for line in shown.events.read_text(encoding="utf-8").splitlines()]

    def starts(records: list[dict[str, Any]]) -> list[tuple[str, float]]:
        return [(r["label"], r["start_s"]) for r in records if r["type"] == "event" and r["event"] == "start"]

    assert [label for label, _ in starts(lines)] == [label for label, _ in starts(stored)]
    np.testing.assert_allclose([s for _, s in starts(lines)], [s for _, s in starts(stored)], atol=1e-3)


def test_the_page_of_the_training_and_the_live_page_are_not_asked_for_together(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(["demo", "--train", "--ui"]) == 2
    assert "give one of them" in capfd.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        {"sets": (("press", 3),)},
        {"sets": ()},
        {"sets": (("squat", 0),)},
        {"between": ("fly",)},
        {"idle_s": (2.0, 1.0)},
        {"fps": 0.0},
    ],
)
def test_a_workout_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        workout(subject(1, 0), np.random.default_rng(0), **wrong)


def test_a_workout_has_its_sets_in_order_with_the_knees_bent_in_the_squats_alone() -> None:
    made = workout(subject(2, 3), np.random.default_rng(3), sets=(("arm raise", 2), ("squat", 3)))
    recording = made.recording
    assert [span.label for span in recording.spans] == ["arm raise", "squat"]
    assert made.reps == (2, 3)
    hip, knee, ankle = (recording.skeleton.index(f"left_{joint}") for joint in ("hip", "knee", "ankle"))
    thigh = recording.poses[0, :, knee] - recording.poses[0, :, hip]  # (T, 3)
    shank = recording.poses[0, :, ankle] - recording.poses[0, :, knee]
    cosine = (thigh * shank).sum(axis=-1) / np.linalg.norm(thigh, axis=-1) / np.linalg.norm(shank, axis=-1)
    bend_deg = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))

    def most_in(span: Span) -> float:
        inside = (recording.times_s >= span.start_s) & (recording.times_s <= span.end_s)
        return float(bend_deg[inside].max())

    raised, squatted = recording.spans
    assert most_in(squatted) > 45
    assert most_in(raised) < 30
    floor = recording.poses[0, :, ankle, 1]
    assert np.ptp(floor[recording.times_s < raised.end_s]) < 0.05


BARE = """
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        heavy = ("torch", "onnx", "onnxscript", "safetensors", "cv2", "mediapipe", "scipy", "matplotlib")
        if name.partition(".")[0] in heavy:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Only())
from amr_edge import pretrained as models
models.__file__ = sys.argv[1]
from amr_edge.cli import run
sys.exit(run(["demo", "--out", sys.argv[2], "--threads", "1"]))
"""


def test_the_demo_needs_nothing_but_the_core(box: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BARE, str(box / "__init__.py"), str(tmp_path / "bare")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bare" / "demo.html").is_file()


@pytest.mark.parametrize("width", [1000, 390])
def test_the_page_opens_at_an_instant_that_its_address_names(
    performed: tuple[DemoResult, list[str]], width: int, browser: Browser
) -> None:
    shown, _ = performed
    at_s = shown.done.recording.spans[0].start_s + 6
    browser.open(f"{shown.report.as_uri()}?t={at_s:.1f}", width)
    browser.wait_for(f"document.getElementById('clock').textContent.startsWith('{at_s:.1f} / ')")
    assert browser.value("document.querySelectorAll('#rows tr').length") == len(shown.comparison.rows) + 1
    assert browser.value("document.querySelectorAll('#latency tr').length") > 1
    assert browser.value("document.getElementById('play').textContent") == "Play"
    assert browser.value("document.documentElement.scrollWidth") <= width, "it must not scroll sideways"
    assert not browser.errors


def test_the_page_starts_to_play_by_itself_and_stops_when_told(
    performed: tuple[DemoResult, list[str]], browser: Browser
) -> None:
    # A browser may stamp the first frame with an instant long before the script of the page began.
    browser.before(
        "const real = requestAnimationFrame; window.drawn = 0;"
        "window.requestAnimationFrame = draw => real(at => { draw(drawn++ ? at : at - 5000); });"
    )
    browser.open(performed[0].report.as_uri(), 1000)
    clock = "parseFloat(document.getElementById('clock').textContent)"
    browser.wait_for(f"drawn > 1 && {clock} > 0.2")
    browser.value("document.getElementById('play').click()")
    clicked = browser.value("drawn")
    browser.wait_for(f"drawn > {clicked + 1}")
    stopped = browser.value(clock)
    browser.wait_for(f"drawn > {clicked + 12}")
    assert browser.value(clock) == stopped > 0
    assert not browser.errors
