"""Sources that fail while they are read: the process lives, memory stays bounded, the loss is counted."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from amr_edge.card import Card
from amr_edge.cli import run
from amr_edge.errors import ClipError
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.pose.open_pose import open_pose
from amr_edge.runtime.sources import open_source as open_source_module
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.video import Camera

cv2 = pytest.importorskip("cv2", reason="video and cameras are read by OpenCV")

WriteModel = Callable[..., Path]
CardOf = Callable[..., Card]
Main = Callable[..., tuple[int, list[dict[str, Any]], str]]
WAIT_S = 60.0


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
def flat_model(write_model: WriteModel, card_of: CardOf) -> Path:
    """A classifier that can be fed from pixels: it measures in torsos."""
    prepare = PrepareConfig(layout="coco17", frames=16, window_s=1.0, max_gap_s=0.4, scale="torso")
    return write_model(card_of(units="px", prepare=prepare))


@pytest.fixture
def pose(tmp_path: Path) -> str:
    """A one-stage pose model that sees the same person in every picture."""
    joints = [value for k in range(17) for value in (20.0 + k, 10.0 + 2 * k, 0.9)]
    rows = np.array([[32, 24, 30, 40, 0.9, *joints]], np.float32)[None]
    nodes = [
        helper.make_node("ReduceMin", ["images"], ["least"], keepdims=0),
        helper.make_node("Mul", ["least", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["people"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pose",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 48, 64])],
        [helper.make_tensor_value_info("people", TensorProto.FLOAT, [1, 1, 56])],
        [numpy_helper.from_array(rows, "rows"), numpy_helper.from_array(np.float32(0), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "pose.onnx").write_bytes(model.SerializeToString())
    said = {
        "amr_edge": "pose",
        "schema": 1,
        "name": "always one",
        "layout": "coco17",
        "model": "pose.onnx",
        "input": {"size": [64, 48]},
        "decode": {"as": "direct"},
    }
    (tmp_path / "pose.json").write_text(json.dumps(said))
    return str(tmp_path / "pose.json")


def film(path: Path, pictures: int, fps: float = 20.0) -> Path:
    """Pictures that do not compress, so that a share of the file is a share of the pictures."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for _ in range(pictures):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def until(done: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


class Reader:
    """A camera being read in a thread, as `live` would; keeps nothing but counts."""

    def __init__(self, open_camera: Callable[[Health], Camera]) -> None:
        self.told: list[Status] = []
        self.camera = open_camera(Health(self.told.append))
        self.seen = 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        last_s = -1.0
        for picture in self.camera:
            assert picture.time_s > last_s
            last_s = picture.time_s
            self.seen += 1

    @property
    def states(self) -> list[str]:
        return [status.state for status in self.told]

    def close(self) -> None:
        self.camera.close()
        self.thread.join(timeout=10)


class Plug:
    """A camera at the boundary to OpenCV, whose cable can be pulled."""

    def __init__(self) -> None:
        self.plugged = threading.Event()
        self.plugged.set()
        self.opened = 0

    def connect(self) -> Any:
        self.opened += self.plugged.is_set()
        return _Capture(self, alive=self.plugged.is_set())


class _Capture:
    """What `cv2.VideoCapture` is to us; once the cable is out it never works again."""

    def __init__(self, plug: Plug, *, alive: bool) -> None:
        self._plug = plug
        self._alive = alive

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's own name
        return self._alive

    def get(self, _: int) -> float:
        return 30.0

    def grab(self) -> bool:
        time.sleep(0.005)
        self._alive = self._alive and self._plug.plugged.is_set()
        return self._alive

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self) -> None:
        self._alive = False


@pytest.mark.slow
def test_a_camera_that_is_unplugged_and_back_is_told_lost_once_and_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plug = Plug()
    monkeypatch.setattr(Camera, "_connect", lambda _: plug.connect())
    reader = Reader(lambda health: Camera(0, health=health))
    try:
        until(lambda: reader.seen > 5, "no pictures")
        for times in (1, 2):
            plug.plugged.clear()
            until(lambda: len(reader.told) == 2 * times - 1, "the loss is not told")  # noqa: B023
            time.sleep(0.7)  # several attempts to open it go by
            before = reader.seen
            plug.plugged.set()
            until(lambda: reader.seen > before + 5, "it does not come back")  # noqa: B023
        assert reader.states == ["lost", "back", "lost", "back"]
        assert "camera 0: lost at" in reader.told[0].sentence
        assert plug.opened == 3
        assert reader.thread.is_alive()
    finally:
        reader.close()


@pytest.mark.slow
def test_attempts_to_reconnect_come_at_longer_and_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    plug = Plug()
    attempts_s: list[float] = []

    def connect(_: Camera) -> Any:
        attempts_s.append(time.monotonic())
        return plug.connect()

    monkeypatch.setattr(Camera, "_connect", connect)
    reader = Reader(lambda health: Camera(0, health=health))
    try:
        until(lambda: reader.seen > 0, "no pictures")
        plug.plugged.clear()
        until(lambda: len(attempts_s) >= 5, "it is not tried again")
    finally:
        reader.close()
    pauses_s = np.diff(attempts_s[1:5])
    # Twice as long each time: 0.4, 0.8, 1.6 s, and never less than that.
    assert (pauses_s >= [0.39, 0.79, 1.59]).all()


def system_python() -> str:
    """A Python that knows GStreamer's RTSP server, or a skip that says how to get one."""
    for candidate in ("/usr/bin/python3", shutil.which("python3")):
        probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
        if candidate and Path(candidate).is_file():
            done = subprocess.run([candidate, "-c", probe], capture_output=True, check=False)
            if done.returncode == 0:
                return candidate
    pytest.skip(
        "no RTSP server here: apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base "
        "gstreamer1.0-plugins-good"
    )


@pytest.fixture
def rtsp() -> Iterator[Callable[[], Any]]:
    """rtsp() starts a real RTSP server, always on the same port; .address is where."""
    python = system_python()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        script = Path(__file__).with_name("rtsp_server.py")
        server = subprocess.Popen([python, str(script), str(port)], stdout=subprocess.PIPE, text=True)
        started.append(server)
        assert server.stdout is not None
        assert server.stdout.readline().split() == ["ready", str(port)]
        server.address = f"rtsp://127.0.0.1:{port}/door"  # type: ignore[attr-defined]
        return server

    yield start
    for server in started:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


@pytest.mark.slow
def test_an_rtsp_server_that_is_killed_and_started_again_is_found_again(rtsp: Callable[[], Any]) -> None:
    server = rtsp()
    reader = Reader(lambda health: Camera(server.address, patience_s=WAIT_S, silent_s=2.0, health=health))
    try:
        assert reader.camera.size == (160, 120)
        until(lambda: reader.seen > 10, "no pictures")
        server.kill()
        server.wait()
        until(lambda: bool(reader.told), "the loss is not told")
        assert reader.states == ["lost"]
        before = reader.seen
        rtsp()
        until(lambda: reader.seen > before + 10, "it does not come back")
        assert reader.states == ["lost", "back"]
        assert reader.thread.is_alive()
    finally:
        reader.close()


def test_a_video_that_is_cut_short_is_recognized_up_to_there_counted_and_told(
    main: Main, flat_model: Path, pose: str, tmp_path: Path
) -> None:
    clip = film(tmp_path / "cut.avi", 80)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    code, lines, err = main("live", flat_model, "-s", clip, "--pose", pose)
    assert code == 0, err
    summary = lines[-1]
    assert 25 <= summary["frames"] <= 45
    assert summary["answers"] >= 1
    assert summary["losses"] == {"truncated": 1}
    (status,) = [line for line in lines if line["type"] == "status"]
    assert (status["source"], status["state"]) == ("cut.avi", "truncated")
    assert "the file states 80 pictures" in err


def test_one_damaged_video_of_a_folder_does_not_stop_the_others(
    main: Main, flat_model: Path, pose: str, tmp_path: Path
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    film(folder / "a.avi", 30)
    (folder / "b.mp4").write_bytes(b"no video at all")
    film(folder / "c.avi", 30)
    code, lines, err = main("live", flat_model, "-s", folder, "--pose", pose)
    assert code == 0, err
    assert [line["recording"] for line in lines if line["type"] == "recording"] == ["a.avi", "c.avi"]
    assert (lines[-1]["frames"], lines[-1]["skipped"]) == (60, 1)
    assert "b.mp4" in err


class Tenth:
    """A real estimator that fails on every tenth picture, or on all."""

    def __init__(self, inner: Any, every: int) -> None:
        self._inner, self._every, self._count = inner, every, 0
        self.layout, self.units, self.title = inner.layout, inner.units, inner.title

    def __call__(self, picture: Image) -> Frame:
        self._count += 1
        if self._count % self._every == 0:
            raise ClipError("the estimator failed on a picture")
        return self._inner(picture)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize(("every", "code", "frames", "failed"), [(10, 0, 54, 6), (1, 4, None, None)])
def test_an_estimator_that_fails_now_and_then_is_survived_and_one_that_always_fails_is_not(
    main: Main,
    flat_model: Path,
    pose: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    every: int,
    code: int,
    frames: int | None,
    failed: int | None,
) -> None:
    monkeypatch.setattr(open_source_module, "open_pose", lambda *args, **how: Tenth(open_pose(*args, **how), every))
    clip = film(tmp_path / "clip.avi", 60)
    got, lines, err = main("live", flat_model, "-s", clip, "--pose", pose)
    assert got == code, err
    assert len([line for line in lines if line["type"] == "status"]) == 1
    assert "such pictures are left out and counted" in err
    if code == 0:
        assert (lines[-1]["frames"], lines[-1]["losses"]) == (frames, {"failed": failed})
        assert lines[-1]["answers"] >= 1


def skeleton_lines(frames: int, fps: float = 30.0) -> Iterator[str]:
    yield '{"amr_edge": "skeleton", "schema": 1, "layout": "kinect20"}\n'
    joints = [[[round(0.1 * k + 0.01 * (at % 7), 3), round(0.05 * k, 3), 2.0] for k in range(20)] for at in range(7)]
    people = [json.dumps([{"id": 0, "joints": row}]) for row in joints]
    for at in range(frames):
        yield f'{{"t": {at / fps:.6f}, "people": {people[at % 7]}}}\n'


def test_standard_input_that_is_closed_midway_ends_with_what_was_whole(
    main: Main, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join([*skeleton_lines(45), *skeleton_lines(0), "no JSON\n"]).encode()[:-3]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code, lines, err = main("live", write_model(), "-s", "-")
    assert code == 0, err
    assert (lines[-1]["frames"], lines[-1]["losses"]) == (45, {"malformed": 1})
    assert lines[-1]["answers"] == 2  # due after 1 s and 1.25 s of 1.47


def test_times_that_go_back_and_lines_that_are_no_json_end_nothing(
    main: Main, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *frames = skeleton_lines(90)
    frames[40:40] = [frames[30], "}{\n", frames[39]]  # the one is 0.3 s too late, the other comes twice
    restarted = [*frames, *frames[:45]]  # the sender begins anew at 0 s
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("".join([header, *restarted]).encode())))
    code, lines, err = main("live", write_model(), "-s", "-")
    assert code == 0, err
    assert lines[-1]["losses"] == {"malformed": 2, "restarted": 1, "unordered": 4}  # both times
    assert [line["recording"] for line in lines if line["type"] == "recording"] == ["stdin", "stdin#2"]
    assert [line["state"] for line in lines if line["type"] == "status"] == ["unordered", "malformed", "restarted"]
    assert lines[-1]["frames"] == 90 + 42


def test_packets_of_another_estimator_are_answered_and_bad_ones_counted(main: Main, write_model: WriteModel) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ended = threading.Event()

    def send() -> None:
        header, *frames = (line.encode() for line in skeleton_lines(4000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            for at, frame in enumerate(frames):
                if ended.wait(0.005):
                    return
                for text in (header, b"noise", frame) if at % 30 == 0 else (frame,):
                    wire.sendto(text, ("127.0.0.1", port))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        # A loaded machine may let packets wait.
        source = f"udp://127.0.0.1:{port}"
        code, lines, err = main("live", write_model(), "-s", source, "--limit", "2", "--stale", "30")
    finally:
        ended.set()
        sender.join()
    assert code == 0, err
    assert lines[-1]["ended"] == "limit"
    assert lines[-1]["answers"] >= 4
    assert lines[-1]["losses"]["malformed"] >= 1
    assert f"source: JSON packets on {source}, waiting for a header" in err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
@pytest.mark.parametrize("minutes", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_a_stream_of_skeletons_replayed_as_fast_as_it_goes_takes_no_more_memory_at_its_end(
    write_model: WriteModel, replayed: Callable[..., Any], minutes: int
) -> None:
    if minutes == 30 and "AMR_EDGE_LONG" not in os.environ:
        pytest.skip("the thirty minutes are gone through where AMR_EDGE_LONG is set")
    frames = 1800 * minutes
    summary, resident = replayed(write_model(), skeleton_lines(frames), frames // 6)
    assert (summary["frames"], summary["dropped"]) == (frames, 0)
    assert summary["answers"] == 4 * 60 * minutes - 4  # the first after a window of a second; the end is not reached
    # The first sixth is for growing up: libraries, buffers, the records of the stages.
    assert resident[-1] <= 1.05 * resident[0], resident


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_sigterm_ends_as_cleanly_as_ctrl_c_with_the_film_finished(write_model: WriteModel, tmp_path: Path) -> None:
    shown = tmp_path / "film.mp4"
    process = subprocess.Popen(
        [sys.executable, "-m", "amr_edge", "live", str(write_model()), "-s", "-", "--save", str(shown)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.writelines(skeleton_lines(60))
    process.stdin.flush()
    first = process.stdout.readline()  # and stdin stays open
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    assert json.loads(first)["type"] == "answer"
    assert json.loads(out.splitlines()[-1])["type"] == "summary"
    assert "Traceback" not in err
    capture = cv2.VideoCapture(str(shown))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) >= 20
    capture.release()
