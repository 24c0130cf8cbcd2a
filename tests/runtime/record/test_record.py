"""Takes begin and end as scheduled, are checked, and none is lost."""

import ctypes
import ctypes.util
import io
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store, write_store
from amr_edge.errors import ClipError, ConfigError
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.record.preview import SIZE, TerminalPreview, figure
from amr_edge.runtime.record.recorder import PATIENCE
from amr_edge.runtime.record.take_scheduler import TakeScheduler, TakeSchedulerConfig
from amr_edge.runtime.record.take_store import TakeStore
from amr_edge.runtime.record.visibility import RecordingBuilder, movement
from amr_edge.runtime.render.draw import Fit
from amr_edge.runtime.sources.recorded import source_run
from amr_edge.skeleton import KINECT20, layout

People = Callable[..., Recording]
Captured = pytest.CaptureFixture[str]


def gathered(recording: Recording, **asked: Any) -> tuple[Recording, Any]:
    builder = RecordingBuilder(recording.skeleton, recording.units)
    for frame in source_run(recording):
        builder.add(frame)
    return builder.finish(**{"who": "most", "label": "wave", "subject": None, "source": "here", **asked})


def session(path: Path, people: People, *, seconds: float = 30.0, gone: tuple[float, float] = (0, 0)) -> Path:
    """A recording at 20 frames a second of one person, out of sight from `gone[0]` to `gone[1]`."""
    made = people(np.random.default_rng(3), seconds=seconds, fps=20.0)
    away = (made.times_s >= gone[0]) & (made.times_s < gone[1])
    made.poses[:, away] = np.nan
    jsonl.write(path, made)
    return path


def answer(capsys: Captured, *arguments: object) -> tuple[int, str, str]:
    code = run(["data", "record", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


# When a take begins and ends.


def directed(config: TakeSchedulerConfig, times_s: list[float], keys: dict[float, str]) -> list[tuple[float, str]]:
    """(when, cue) of every cue; a finished take is kept."""
    scheduler, cues = TakeScheduler(config, {}), []
    for time_s in times_s:
        for cue in [scheduler.press(key, time_s) for key in keys.get(time_s, "")] + [scheduler.step(time_s)]:
            if cue:
                cues.append((time_s, cue))
            if cue == "end":
                scheduler.mark_saved()
    return cues


def test_prompts_follow_each_other_by_the_clock_of_the_source() -> None:
    config = TakeSchedulerConfig(labels=("wave", "sit"), takes=1, seconds=2, countdown_s=1)
    said = directed(config, [0.0, 0.5, 1.0, 2.0, 3.0, 3.5, 4.5, 6.5, 7.0], {})
    assert said == [
        (0.0, "countdown"), (1.0, "begin"), (3.0, "end"), (3.5, "countdown"), (4.5, "begin"), (6.5, "end"),
    ]  # fmt: skip


def test_without_prompts_nothing_happens_until_a_key_and_a_key_ends_a_take() -> None:
    config = TakeSchedulerConfig(labels=("wave", "sit"), takes=2, seconds=2, countdown_s=1, timed=False)
    keys = {1.0: " ", 2.5: " ", 3.0: "2", 9.0: "q"}
    said = directed(config, [0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 9.0], keys)
    assert said == [
        (1.0, "countdown"), (2.0, "begin"), (2.5, "end"), (3.0, "countdown"), (4.0, "begin"), (6.0, "end"),
        (9.0, "quit"),
    ]  # fmt: skip


def test_a_digit_chooses_the_action_and_n_and_b_go_round() -> None:
    scheduler = TakeScheduler(TakeSchedulerConfig(labels=("wave", "sit", "none"), timed=False), {})
    assert scheduler.press("3", 0.0) == "countdown"
    assert scheduler.label == "none"
    scheduler.press("n", 0.1)
    assert (scheduler.label, scheduler.state) == ("wave", "waiting")
    scheduler.press("b", 0.2)
    assert scheduler.label == "none"
    assert scheduler.press("9", 0.3) == ""


def test_space_pauses_prompts_and_throws_away_what_was_on() -> None:
    scheduler = TakeScheduler(TakeSchedulerConfig(labels=("wave",), countdown_s=0, seconds=2), {})
    scheduler.step(0.0)
    assert scheduler.step(0.0) == "begin"
    assert scheduler.press(" ", 1.0) == "drop"
    assert [scheduler.step(1.0 + t) for t in range(5)] == [""] * 5
    scheduler.press(" ", 6.0)
    assert scheduler.step(6.0) == "countdown"


def test_a_source_that_breaks_off_ends_a_take_that_is_half_there_and_drops_a_shorter_one() -> None:
    for last_s, cue in ((0.9, "drop"), (1.0, "end")):
        scheduler = TakeScheduler(TakeSchedulerConfig(labels=("wave",), countdown_s=0, seconds=2), {})
        scheduler.step(0.0)
        scheduler.step(0.0)
        assert scheduler.cut(last_s) == cue
        assert scheduler.cut(last_s) == ""


def test_takes_that_are_there_are_not_asked_for_again() -> None:
    config = TakeSchedulerConfig(labels=("wave", "sit"), takes=2)
    scheduler = TakeScheduler(config, {"wave": 2, "sit": 1})
    assert (scheduler.label, scheduler.total, scheduler.sentence()) == ("sit", 1, "sit: 2 of 2")
    assert TakeScheduler(config, {"wave": 2, "sit": 3}).state == "done"


@pytest.mark.parametrize("wrong", [{"takes": 0}, {"seconds": 0.0}, {"countdown_s": -1.0}, {"labels": ()}])
def test_a_session_of_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"expected labels|a take lasts"):
        TakeSchedulerConfig(**{"labels": ("wave",), **wrong})


@given(st.lists(st.tuples(st.floats(0.01, 2.0), st.sampled_from(["", " ", "1", "n", "x", "u"])), max_size=60))
def test_whatever_is_pressed_a_begin_is_followed_by_one_end_or_drop(presses: list[tuple[float, str]]) -> None:
    scheduler = TakeScheduler(
        TakeSchedulerConfig(labels=("wave", "sit"), takes=3, seconds=1, countdown_s=0.5, timed=False), {}
    )
    time_s, on = 0.0, False
    for step_s, key in presses:
        time_s += step_s
        for cue in ([scheduler.press(key, time_s)] if key else []) + [scheduler.step(time_s)]:
            if cue == "begin":
                assert not on
                on = True
            elif cue == "end":
                assert on
                on = False
                scheduler.mark_saved()
            elif cue == "drop":
                on = False
        assert on == (scheduler.state == "recording")


# Who was seen.


def test_a_recording_that_goes_in_comes_out(people: People) -> None:
    made = people(np.random.default_rng(0), persons=1, holes=0.2)
    out, seen = gathered(made)
    np.testing.assert_array_equal(out.poses, made.poses)
    np.testing.assert_array_equal(out.times_s, made.times_s - made.times_s[0])
    assert (out.label, out.layout, out.units, seen.people, seen.share) == ("wave", "kinect20", "m", 1, 1.0)
    assert seen.joints == pytest.approx(out.present.mean())


def test_the_person_who_moves_most_is_kept_and_everybody_if_asked(people: People) -> None:
    made = people(np.random.default_rng(0), persons=3)
    made.poses[0] = made.poses[0, :1]  # stands still
    made.poses[2] = made.poses[2, :1] + 3 * (made.poses[2] - made.poses[2, :1])
    most, _ = gathered(made)
    np.testing.assert_array_equal(most.poses, made.poses[2:])
    everybody, seen = gathered(made, who="all")
    np.testing.assert_array_equal(everybody.poses, made.poses[[2, 1, 0]])
    assert (seen.people, seen.kept) == (3, 3)


def test_one_joint_that_jumps_is_no_movement() -> None:
    poses = np.zeros((5, 20, 3), np.float32)
    poses[::2, 7] = 9.0
    assert movement(poses) == 0.0


def test_a_person_who_was_out_of_sight_is_the_same_person_where_there_is_one(people: People) -> None:
    made = people(np.random.default_rng(0), seconds=12.0)
    made.poses[:, 100:250] = np.nan  # five seconds
    builder = RecordingBuilder(made.skeleton, "m")
    for frame in source_run(made):
        builder.add(Frame(time_s=frame.time_s, poses=frame.poses))  # without ids
    out, seen = builder.finish(who="most", label=None, subject=None, source="x")
    np.testing.assert_array_equal(out.poses, made.poses)
    assert (seen.people, seen.with_person) == (1, 361 - 150)


def test_seldom_seen_joints_are_named(people: People) -> None:
    made = people(np.random.default_rng(0))
    made.poses[:, :60, KINECT20.index("left_foot")] = np.nan
    _, seen = gathered(made)
    assert seen.seldom == ("left_foot",)
    assert seen.sentence().endswith("seldom seen: left_foot")


def test_times_that_go_back_are_refused(people: People) -> None:
    builder = RecordingBuilder(KINECT20, "m")
    nobody = np.empty((0, 20, 3), np.float32)
    builder.add(Frame(time_s=1.0, poses=nobody))
    with pytest.raises(ClipError, match=r"times must rise, got 1\.0 s after 1\.0 s"):
        builder.add(Frame(time_s=1.0, poses=nobody))


# Where they are kept.


def test_takes_get_numbers_and_the_last_can_be_taken_back(tmp_path: Path, people: People) -> None:
    takes = TakeStore(tmp_path / "mine.npz", ("wave", "sit"))
    made = people(np.random.default_rng(0), label="sit", subject=4)
    assert [takes.add(made) for _ in range(3)] == ["take-0001", "take-0002", "take-0003"]
    store = open_store(takes.path)
    assert (store.classes, store.labels.tolist(), store.subjects.tolist()) == (("wave", "sit"), [1, 1, 1], [4, 4, 4])
    np.testing.assert_array_equal(store[2].poses, made.poses)
    assert (takes.count(4), takes.count(None)) == ({"sit": 3}, {})
    takes.remove("take-0002")
    assert open_store(takes.path).names == ("take-0001", "take-0003")
    assert takes.add(made) == "take-0004"
    with pytest.raises(ConfigError, match="there is no take 'take-0002'"):
        takes.remove("take-0002")
    for name in ("take-0001", "take-0003", "take-0004"):
        takes.remove(name)
    assert not takes.path.exists()


def test_two_programs_that_record_into_one_file_keep_all_takes(tmp_path: Path, people: People) -> None:
    made = people(np.random.default_rng(0), label="wave")
    one, other = (TakeStore(tmp_path / "mine.npz", ("wave",)) for _ in range(2))
    one.add(made)
    other.add(made)
    one.add(made)
    assert open_store(one.path).names == ("take-0001", "take-0002", "take-0003")


def test_a_new_label_joins_the_old_ones_behind_them(tmp_path: Path, people: People) -> None:
    TakeStore(tmp_path / "m.npz", ("wave",)).add(people(np.random.default_rng(0), label="wave"))
    TakeStore(tmp_path / "m.npz", ("sit", "wave")).add(people(np.random.default_rng(0), label="sit"))
    store = open_store(tmp_path / "m.npz")
    assert (store.classes, store.labels.tolist()) == (("wave", "sit"), [0, 1])


def test_other_peoples_data_and_other_joints_are_not_mixed_in(tmp_path: Path, people: People) -> None:
    made = people(np.random.default_rng(0), label="wave")
    write_store(tmp_path / "utd.npz", [made], dataset="utd_mhad", terms="theirs")
    with pytest.raises(ConfigError, match="holds the data set 'utd_mhad', which was not recorded here"):
        TakeStore(tmp_path / "utd.npz", ("wave",))
    takes = TakeStore(tmp_path / "mine.npz", ("wave",))
    takes.check("mediapipe33", "m")
    takes.add(made)
    with pytest.raises(ClipError, match="layout 'kinect20' in m, the source gives 'mediapipe33' in m"):
        takes.check("mediapipe33", "m")


# The command.


def test_prompts_record_what_the_source_shows_and_a_second_run_adds_nothing(
    tmp_path: Path, people: People, capsys: Captured
) -> None:
    source, out = session(tmp_path / "s.jsonl", people), tmp_path / "mine.npz"
    asked = ("--labels", "wave,sit", "--source", source, "--out", out, "--takes", 2, "--seconds", 2, "--countdown", 1)
    code, said, err = answer(capsys, *asked, "--timed", "--json")
    assert code == 0
    answered = json.loads(said)
    assert [(take["label"], take["frames"], take["share"]) for take in answered["recorded"]] == [
        ("wave", 40, 1.0), ("wave", 40, 1.0), ("sit", 40, 1.0), ("sit", 40, 1.0),
    ]  # fmt: skip
    assert answered["clips"] == {"wave": 2, "sit": 2}
    assert "wave: 2 of 2, in 1 s" in err
    store, whole = open_store(out), next(jsonl.read(source))
    # Announced at 0 s, on from 1 s to 3 s, announced again with the next frame, at 3.05 s: on from 4.05 s.
    np.testing.assert_array_equal(store[0].poses, whole.poses[:, 20:60])
    np.testing.assert_array_equal(store[1].poses, whole.poses[:, 81:121])
    before = out.read_bytes()
    code, said, err = answer(capsys, *asked)
    assert (code, out.read_bytes()) == (0, before)
    assert "every action has its 2 takes" in err
    assert said.splitlines()[-1].startswith("next: amr-edge finetune")


def test_another_person_is_asked_for_their_own_takes(tmp_path: Path, people: People, capsys: Captured) -> None:
    source, out = session(tmp_path / "s.jsonl", people), tmp_path / "mine.npz"
    for subject in (1, 2):
        code, _, _ = answer(
            capsys, "--labels", "wave", "-s", source, "--out", out, "--takes", 1, "--timed", "--subject", subject
        )
        assert code == 0
    assert open_store(out).subjects.tolist() == [1, 2]


def test_a_take_that_shows_nobody_is_asked_for_again(tmp_path: Path, people: People, capsys: Captured) -> None:
    source = session(tmp_path / "s.jsonl", people, gone=(0.0, 2.5))
    code, out, err = answer(
        capsys, "--labels", "wave", "-s", source, "--out", tmp_path / "m.npz", "--takes", 1, "--timed",
        "--countdown", 0, "--seconds", 2, "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["refused"] == 1
    assert "wave: not kept (40 frames, no person seen)" in err
    assert err.count("wave: 1 of 1\n") == 2


def test_take_after_take_of_nobody_ends_with_code_4(tmp_path: Path, people: People, capsys: Captured) -> None:
    source = session(tmp_path / "s.jsonl", people, gone=(0.0, 99.0))
    code, out, err = answer(
        capsys,
        "--labels",
        "wave",
        "-s",
        source,
        "--out",
        tmp_path / "m.npz",
        "--timed",
        "--countdown",
        0,
        "--seconds",
        1,
    )
    assert (code, out) == (4, "")
    assert f"{PATIENCE} takes in a row show a person in fewer than half" in err
    assert not (tmp_path / "m.npz").exists()


def test_a_source_that_ends_early_keeps_what_there_is_and_says_what_is_missing(
    tmp_path: Path, people: People, capsys: Captured
) -> None:
    source = session(tmp_path / "s.jsonl", people, seconds=6.4)
    code, out, err = answer(
        capsys, "--labels", "wave", "-s", source, "--out", tmp_path / "m.npz", "--timed", "--countdown", 1, "--takes", 5
    )
    assert code == 0
    assert "m.npz: 1 takes added, 1 not kept" in out  # of the second 1.35 s are there
    assert "4 takes are missing" in err


def test_a_source_too_short_for_a_take_ends_with_code_4(tmp_path: Path, people: People, capsys: Captured) -> None:
    source = session(tmp_path / "s.jsonl", people, seconds=1.0)
    code, _, err = answer(capsys, "--labels", "wave", "-s", source, "--out", tmp_path / "m.npz", "--timed")
    assert code == 4
    assert "no take was recorded (0 refused)" in err


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("--labels", "wave,wave"), "expected labels that differ"),
        (("--labels", "wave,"), "expected labels that differ"),
        (("--labels", "wave", "--out", "mine.zip"), "ends in .npz"),
        (("--labels", "wave", "--out", "nowhere/mine.npz"), "there is no folder nowhere"),
        (("--labels", "wave", "--keys"), "--keys needs a terminal or a window"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    wrong: tuple[str, ...], sentence: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, _, err = answer(capsys, *wrong, "--source", "none.jsonl")
    assert code == 2
    assert sentence in err
    assert not list(tmp_path.iterdir())


def feed(process: subprocess.Popen[bytes], made: Recording, frames: slice) -> None:
    assert process.stdin is not None
    ids = tuple(range(made.poses.shape[0]))
    for at, time_s in list(enumerate(made.times_s.tolist()))[frames]:
        process.stdin.write((jsonl.frame_line(time_s, ids, made.poses[:, at]) + "\n").encode())
    process.stdin.flush()


def test_a_kill_loses_the_running_take_and_no_other(tmp_path: Path, people: People) -> None:
    made, out = people(np.random.default_rng(1), seconds=12.0, fps=20.0), tmp_path / "mine.npz"
    command = [
        sys.executable, "-m", "amr_edge", "data", "record", "--labels", "wave", "--source", "-", "--out", str(out),
        "--timed", "--countdown", "1", "--seconds", "2",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write((jsonl.header_line(made) + "\n").encode())
    feed(process, made, slice(0, 170))  # two takes are over at 3 s and 6.05 s, the third is on since 7.1 s
    said = b""
    while said.count(b"wave: go") < 3:
        line = process.stderr.readline()
        assert line, said.decode()
        said += line
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdin.close()
    process.stderr.close()
    assert open_store(out).names == ("take-0001", "take-0002")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]


def typed(arguments: list[str], keys: dict[str, str], *, seconds: float = 20.0) -> tuple[int, str]:
    """Run the command at a terminal of its own, and press keys when something is said there."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "amr_edge", "data", "record", *arguments])
    said, ends_s, waiting = "", time.monotonic() + seconds, dict(keys)
    while time.monotonic() < ends_s:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other side has gone
                break
            if not piece:
                break
            said += piece.decode("utf-8", "replace")
        for words in [words for words in waiting if words in said]:
            os.write(terminal, waiting.pop(words).encode())
    else:
        os.kill(child, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def test_keys_of_a_terminal_begin_end_undo_and_finish(tmp_path: Path, people: People) -> None:
    source, out = session(tmp_path / "s.jsonl", people), tmp_path / "mine.npz"
    keys = {
        "wave: 1 of 10  ready": "2",  # sit, at once
        "kept as take-0001": " ",  # another sit
        "kept as take-0002": "u",
        "take-0002 (sit) is gone": "1",
        "wave: 1 of 10 kept": "q",
    }
    code, said = typed(
        ["--labels", "wave,sit", "--source", str(source), "--out", str(out), "--speed", "4", "--countdown", "0.2",
         "--seconds", "1"],
        keys,
    )  # fmt: skip
    assert code == 0, said
    store = open_store(out)
    assert [store.classes[label] for label in store.labels] == ["sit", "wave"]
    assert "RECORDING" in said
    assert "person seen 100%" in said
    assert any("\u2800" < letter <= "\u28ff" for letter in said)  # a figure was drawn
    assert "\a" in said
    assert "space start/stop" in said


def test_ctrl_c_at_a_terminal_ends_with_130_and_keeps_the_takes(tmp_path: Path, people: People) -> None:
    source, out = session(tmp_path / "s.jsonl", people), tmp_path / "mine.npz"
    code, said = typed(
        ["--labels", "wave", "--source", str(source), "--out", str(out), "--speed", "4", "--countdown", "0.2",
         "--seconds", "1", "--timed"],
        {"kept as take-0002": "\x03"},
    )  # fmt: skip
    assert code == 130, said
    assert "takes of this run are kept" in said
    assert len(open_store(out)) >= 2


class Keyboard:
    """Keys pressed on an X display, as if by hand."""

    def __init__(self, display: str) -> None:
        self._x, self._test = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        self._x.XOpenDisplay.restype = ctypes.c_void_p
        self._x.XKeysymToKeycode.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
        self._x.XFlush.argtypes = [ctypes.c_void_p]
        self._x.XWarpPointer.argtypes = [ctypes.c_void_p, *[ctypes.c_ulong] * 2, *[ctypes.c_int] * 6]
        self._x.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
        self._x.XDefaultRootWindow.restype = ctypes.c_ulong
        self._test.XTestFakeKeyEvent.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_ulong]
        self._display = self._x.XOpenDisplay(display.encode())
        assert self._display

    def press(self, key: str) -> None:
        # Without a window manager the window under the pointer has the keys.
        self._x.XWarpPointer(self._display, 0, self._x.XDefaultRootWindow(self._display), 0, 0, 0, 0, 200, 200)
        code = self._x.XKeysymToKeycode(self._display, ord(key))
        for down in (1, 0):
            self._test.XTestFakeKeyEvent(self._display, code, down, 0)
        self._x.XFlush(self._display)


def test_keys_of_the_window_begin_takes_and_finish(tmp_path: Path, people: People) -> None:
    pytest.importorskip("cv2", reason="a window is OpenCV's")
    if shutil.which("Xvfb") is None or ctypes.util.find_library("Xtst") is None:
        pytest.skip("Xvfb and libxtst6 are not installed: no display to press keys on")
    reads, writes = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writes), "-preview", "0", "800x800x24"], pass_fds=[writes], stderr=subprocess.DEVNULL
    )
    os.close(writes)
    with os.fdopen(reads) as pipe:
        display = f":{pipe.readline().strip()}"
    source, out = session(tmp_path / "s.jsonl", people, seconds=120.0), tmp_path / "mine.npz"
    command = [
        sys.executable, "-m", "amr_edge", "data", "record", "--labels", "wave,sit", "--source", str(source), "--out",
        str(out), "--keys", "--show", "--speed", "4", "--countdown", "0.2", "--seconds", "1",
    ]  # fmt: skip
    with (tmp_path / "said").open("w") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, "DISPLAY": display}
        )
    try:
        keyboard, ends_s, key = Keyboard(display), time.monotonic() + 40, "2"
        while process.poll() is None and time.monotonic() < ends_s:
            said = (tmp_path / "said").read_text()
            if "there is no window" in said:
                pytest.skip("this OpenCV shows no windows")
            keyboard.press("q" if "kept as take-0001" in said else key)
            time.sleep(0.3)
        assert process.wait(10) == 0, said
    finally:
        process.kill()
        process.wait()
        server.kill()
        server.wait()
    store = open_store(out)
    assert {store.classes[label] for label in store.labels} == {"sit"}


# What is shown.


def test_a_figure_is_where_the_body_is() -> None:
    poses = np.full((1, len(KINECT20), 3), np.nan, np.float32)
    for joint, place in (("pelvis", (0, 0, 0)), ("spine", (0, 1, 0)), ("upper_spine", (0, 2, 0))):
        poses[0, KINECT20.index(joint)] = place
    lines = figure(poses, KINECT20, Fit((SIZE[0] * 2, SIZE[1] * 4)))
    assert len(lines) == SIZE[1]
    assert {len(line) for line in lines} == {SIZE[0]}
    inked = {(row, column) for row, line in enumerate(lines) for column, dot in enumerate(line) if dot != "\u2800"}
    assert {column for _, column in inked} == {15}  # the middle
    assert {row for row, _ in inked} == set(range(1, 13))


def test_a_screen_that_is_no_terminal_gets_notes_only() -> None:
    out = io.StringIO()
    preview = TerminalPreview(out, now=lambda: 0.0)
    preview.show(Frame(time_s=0.0, poses=np.zeros((1, 20, 3), np.float32)), layout("kinect20"), "line")
    preview.note("wave: go", ring=True)
    assert out.getvalue() == "wave: go\n"


def test_a_screen_draws_ten_times_a_second_at_most_and_over_itself() -> None:
    class Terminal(io.StringIO):
        encoding = "ascii"

        def isatty(self) -> bool:
            return True

    out, clock = Terminal(), [0.0]
    preview = TerminalPreview(out, now=lambda: clock[0])
    nobody = Frame(time_s=0.0, poses=np.empty((0, 20, 3), np.float32))
    for clock[0], line in ((0.0, "a"), (0.05, "b"), (0.2, "c")):
        preview.show(nobody, KINECT20, line)
    assert out.getvalue() == "a\n\x1b[1F\x1b[Jc\n"
