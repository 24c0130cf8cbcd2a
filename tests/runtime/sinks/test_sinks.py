"""Every sink gets what was told, and a sick one costs records, never time."""

import csv
import http.server
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
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError
from amr_edge.runtime.sinks.async_sink import AsyncSink, AsyncSinkConfig, Delivery, Record, RefusedError
from amr_edge.runtime.sinks.files import Srt, TextFile
from amr_edge.runtime.sinks.mqtt import Mqtt
from amr_edge.runtime.sinks.open_sink import open_sink
from amr_edge.runtime.sinks.webhook import Webhook
from amr_edge.runtime.sinks.websocket import WebSocketClient, WebSocketServer
from amr_edge.runtime.sinks.window import no_display

WriteModel = Callable[..., Path]
People = Callable[..., Recording]
QUICK = AsyncSinkConfig(first_retry_s=0.02, longest_retry_s=0.1, close_s=3.0)


def answer(k: int) -> Record:
    told = {"schema": 1, "type": "answer", "recording": "a.jsonl", "start_s": k - 1.0, "time_s": float(k), "person": 0}
    return {**told, "label": "wave", "prob": 0.5, "top": [["wave", 0.5]], "partial": False, "latency_ms": 1.5}


def event(kind: str, person: int | None, start_s: float, end_s: float, label: str = "wave") -> Record:
    told = {"schema": 1, "type": "event", "recording": "a.jsonl", "event": kind, "person": person, "label": label}
    return {**told, "start_s": start_s, "end_s": end_s, "prob": 0.875, "latency_ms": 2.0}


def through(sink: Any, records: list[Record], config: AsyncSinkConfig = QUICK) -> Delivery:
    outlet = AsyncSink[Record](sink, config, note=lambda _: None)
    for record in records:
        outlet.put(record)
    return outlet.close()


def until(true: Callable[[], bool], limit_s: float = 20.0) -> None:
    end_s = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end_s, "it never came true"
        time.sleep(0.01)


class Stub:
    """A sink that does what the test says."""

    title = "stub"

    def __init__(self, send: Callable[[Record], None]) -> None:
        self._send = send
        self.opened = 0

    def open(self) -> None:
        self.opened += 1

    def send(self, item: Record) -> None:
        self._send(item)

    def drop(self) -> None: ...

    def close(self) -> None: ...


# The queue.


def test_what_blocks_for_ever_delays_nobody_and_is_counted() -> None:
    never = threading.Event()
    outlet = AsyncSink[Record](
        Stub(lambda _: never.wait(60) and None), AsyncSinkConfig(capacity=10, close_s=0.1), note=lambda _: None
    )
    begun_s = time.perf_counter()
    for k in range(5000):
        outlet.put(answer(k))
    assert time.perf_counter() - begun_s < 2.0
    assert outlet.report().waiting <= 11
    done = outlet.close()
    assert time.perf_counter() - begun_s < 4.0
    assert (done.sent, done.lost, done.whole) == (0, 5000, False)
    assert "5000 of 5000 records did not get there" in done.sentence()
    never.set()


def test_where_there_is_no_room_answers_are_lost_before_events() -> None:
    gate, got = threading.Event(), list[Record]()

    def send(record: Record) -> None:
        gate.wait(20)
        got.append(record)

    outlet = AsyncSink[Record](
        Stub(send), AsyncSinkConfig(capacity=4), note=lambda _: None, minor=lambda r: bool(r["type"] == "answer")
    )
    outlet.put(answer(0))
    until(lambda: outlet.report().waiting == 1)
    time.sleep(0.05)  # it is in hand now
    for record in (event("start", 0, 0, 1), answer(1), answer(2), event("end", 0, 0, 2), answer(3), answer(4)):
        outlet.put(record)
    gate.set()
    done = outlet.close()
    kinds = [record["type"] + str(record.get("time_s", "")) for record in got]
    assert kinds == ["answer0.0", "event", "event", "answer3.0", "answer4.0"]
    assert (done.sent, done.lost) == (5, 2)


def test_a_replay_waits_for_a_slow_sink_and_loses_nothing() -> None:
    got: list[Record] = []

    def send(record: Record) -> None:
        time.sleep(0.001)
        got.append(record)

    done = through(Stub(send), [answer(k) for k in range(300)], AsyncSinkConfig(capacity=5, put_timeout_s=5.0))
    assert (done.sent, done.lost, done.whole) == (300, 0, True)
    assert [record["time_s"] for record in got] == list(range(300))


def test_a_replay_waits_only_once_for_a_sink_that_is_stuck() -> None:
    never = threading.Event()
    begun_s = time.perf_counter()
    config = AsyncSinkConfig(capacity=5, put_timeout_s=0.3, close_s=0.1)
    done = through(Stub(lambda _: never.wait(60) and None), [answer(k) for k in range(500)], config)
    assert done.lost == 500
    assert 0.3 < time.perf_counter() - begun_s < 3.0
    never.set()


def test_failures_are_retried_in_order_and_told_once() -> None:
    got, notes, failing = list[float](), list[str](), [3]

    def send(record: Record) -> None:
        if failing[0]:
            failing[0] -= 1
            raise ConnectionError("nobody there")
        got.append(record["time_s"])

    stub = Stub(send)
    outlet = AsyncSink[Record](stub, QUICK, note=notes.append)
    for k in range(5):
        outlet.put(answer(k))
    until(lambda: len(got) == 5)
    done = outlet.close()
    assert got == [0, 1, 2, 3, 4]
    assert (done.failures, done.fault, done.lost, stub.opened) == (3, "nobody there", 0, 4)
    assert notes == [
        "stub: nobody there; recognition goes on, it is tried again",
        "stub: takes records again, 0 were lost",
    ]


def test_a_record_that_is_refused_is_lost_and_the_next_goes_on() -> None:
    got: list[float] = []

    def send(record: Record) -> None:
        if record["time_s"] == 1:
            raise RefusedError("it answered 400")
        got.append(record["time_s"])

    done = through(Stub(send), [answer(k) for k in range(3)])
    assert got == [0, 2]
    assert (done.sent, done.lost, done.fault) == (2, 1, "it answered 400")


def test_a_vital_sink_that_fails_ends_the_run() -> None:
    def send(_: Record) -> None:
        raise BrokenPipeError

    outlet = AsyncSink[Record](Stub(send), AsyncSinkConfig(required=True), note=lambda _: None)
    outlet.put(answer(0))
    until(lambda: outlet.report().lost == 1)
    with pytest.raises(BrokenPipeError):
        outlet.put(answer(1))
    with pytest.raises(BrokenPipeError):
        outlet.close()


# Files.


def test_json_lines_are_the_records(tmp_path: Path) -> None:
    records = [answer(1), event("end", 0, 1, 2, 'say "hé"')]
    assert through(open_sink(str(tmp_path / "out.jsonl")), records).whole
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.splitlines()] == records


def test_csv_has_a_row_for_each_answer_and_event(tmp_path: Path) -> None:
    counted = {**event("end", 0, 1, 9, "squat"), "reps": 3}
    summary = {"schema": 1, "type": "summary", "frames": 3}
    records = [answer(1), event("start", None, 1, 2, 'a, "b"'), counted, summary]
    through(open_sink(str(tmp_path / "out.csv")), records)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["type"] for row in rows] == ["answer", "event", "event"]
    assert [row["reps"] for row in rows] == ["", "", "3"]
    assert (rows[0]["person"], rows[0]["time_s"], rows[0]["event"]) == ("0", "1.0", "")
    assert (rows[1]["person"], rows[1]["label"], rows[1]["end_s"]) == ("", 'a, "b"', "2")


def test_subtitles_are_sorted_by_start_however_events_end(tmp_path: Path) -> None:
    records = [
        event("start", 0, 1.0, 1.0, "walk"),
        event("start", 1, 2.0, 2.0),
        event("end", 1, 2.0, 3.5),
        event("end", 0, 1.0, 3661.0415, "walk"),
        event("start", 1, 3662.0, 3662.0, "sit\n\ndown"),
        event("end", 1, 3662.0, 3662.0, "sit\n\ndown"),
    ]
    through(open_sink(str(tmp_path / "out.srt")), records)
    assert (tmp_path / "out.srt").read_text() == (
        "1\n00:00:01,000 --> 01:01:01,042\nperson 0: walk (88%)\n\n"
        "2\n00:00:02,000 --> 00:00:03,500\nperson 1: wave (88%)\n\n"
        "3\n01:01:02,000 --> 01:01:02,001\nperson 1: sit down (88%)\n\n"
    )


def test_each_recording_has_its_own_subtitles(tmp_path: Path) -> None:
    end = {"schema": 1, "type": "recording", "recording": "a.jsonl"}
    events = [event("start", 0, 1, 1), event("end", 0, 1, 2)]
    through(open_sink(str(tmp_path / "out.srt")), [*events, end, *events, end, {"schema": 1, "type": "summary"}])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-2.srt", "out.srt"]
    assert (tmp_path / "out.srt").read_text() == (tmp_path / "out-2.srt").read_text()


def test_subtitles_that_wait_are_bounded() -> None:
    srt = Srt()
    srt.add(event("start", 0, 0.0, 0.0))
    text = "".join(srt.add(event("end", 1, k, k + 0.5)) for k in range(5000))
    assert text.count("-->") >= 4000


def test_a_full_disk_is_told_counted_and_survived(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here: no full disk to write to")
    (tmp_path / "out.jsonl").symlink_to("/dev/full")
    notes: list[str] = []
    outlet = AsyncSink[Record](TextFile(tmp_path / "out.jsonl"), QUICK, note=notes.append)
    for k in range(10):
        outlet.put(answer(k))
    until(lambda: bool(notes))
    done = outlet.close()
    assert (done.sent, done.lost) == (0, 10)
    assert "No space left" in done.fault
    assert "No space left" in notes[0]


def test_a_disk_that_fills_up_keeps_whole_records_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    # A limit on the size of files is the full disk that a test can make and take back.
    code = """
import json, resource, signal, sys, time
from pathlib import Path
from amr_edge.runtime.sinks.files import TextFile
from amr_edge.runtime.sinks.async_sink import AsyncSink, AsyncSinkConfig
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
path, notes = Path(sys.argv[1]), []
outlet = AsyncSink(TextFile(path), AsyncSinkConfig(first_retry_s=0.02, longest_retry_s=0.1), note=notes.append)
for k in range(40):
    outlet.put({"type": "answer", "k": k, "text": "x" * 60})
while not notes or not path.read_text().endswith("}\\n"):
    time.sleep(0.01)
assert len(path.read_text()) <= 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
done = outlet.close()
assert [json.loads(line)["k"] for line in path.read_text().splitlines()] == list(range(40))
assert (done.sent, done.lost) == (40, 0) and done.failures, done
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out.jsonl")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# Over the net, with the real other side.


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A real mosquitto."""

    def __init__(self, port: int, folder: Path) -> None:
        self.binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if self.binary is None:
            pytest.skip("mosquitto is not installed (apt-get install mosquitto): nothing is published to a broker")
        self.port = port
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([str(self.binary), "-c", str(self._config)], stderr=subprocess.DEVNULL)
        until(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def broker(port: int, tmp_path: Path) -> Iterator[Broker]:
    pytest.importorskip("paho", reason="paho-mqtt is not installed: nothing is published to a broker")
    real = Broker(port, tmp_path)
    yield real
    real.kill()


def subscribed(port: int, topic: str, got: list[Record]) -> Any:
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client, ready = Client(CallbackAPIVersion.VERSION2), threading.Event()
    client.on_message = lambda _c, _d, message: got.append(json.loads(message.payload))
    client.on_subscribe = lambda *_: ready.set()
    client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(10)
    return client


@pytest.mark.slow
def test_a_broker_gets_every_record_also_after_it_was_killed_and_restarted(broker: Broker) -> None:
    broker.start()
    before: list[Record] = []
    listener = subscribed(broker.port, "home/actions", before)
    notes: list[str] = []
    outlet = AsyncSink[Record](Mqtt(f"mqtt://127.0.0.1:{broker.port}/home/actions"), QUICK, note=notes.append)
    for k in range(20):
        outlet.put(answer(k))
    until(lambda: len(before) == 20)
    listener.loop_stop()
    broker.kill()
    begun_s = time.perf_counter()
    for k in range(20, 40):
        outlet.put(answer(k))
    assert time.perf_counter() - begun_s < 0.5
    until(lambda: bool(notes))
    assert "recognition goes on" in notes[0]
    broker.start()
    after: list[Record] = []
    listener = subscribed(broker.port, "home/actions", after)
    for k in range(40, 60):
        outlet.put(answer(k))
    until(lambda: 59.0 in [record["time_s"] for record in after])
    done = outlet.close()
    listener.loop_stop()
    assert [record["time_s"] for record in before] == list(range(20))
    assert (done.sent, done.lost, done.down) == (60, 0, False)
    assert done.failures
    assert "takes records again" in notes[1]


def test_a_broker_that_is_never_there_costs_its_records(port: int) -> None:
    pytest.importorskip("paho", reason="paho-mqtt is not installed: nothing is published to a broker")
    done = through(Mqtt(f"mqtt://user:secret@127.0.0.1:{port}/a"), [answer(0), answer(1)])
    assert (done.sent, done.lost) == (0, 2)
    assert "refused" in done.fault
    assert "secret" not in done.sentence()


class Hook(http.server.BaseHTTPRequestHandler):
    """A web address that answers what it is told to."""

    answers: list[int]
    got: list[tuple[Record, str | None]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.answers.pop(0) if self.answers else 200
        if code < 300:
            self.got.append((json.loads(body), self.headers["Authorization"]))
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002


@pytest.fixture
def hook() -> Iterator[tuple[type[Hook], int]]:
    handler = type("Handler", (Hook,), {"answers": [], "got": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield handler, server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_hook_that_stumbles_is_tried_again_and_one_that_refuses_is_not(hook: tuple[type[Hook], int]) -> None:
    handler, at = hook
    handler.answers[:] = [503, 429, 200, 400, 302, 200]
    address = f"http://me:p%40ss@127.0.0.1:{at}/secret-path"
    sink = Webhook(address)
    outlet = AsyncSink[Record](sink, QUICK, note=lambda _: None)
    for k in range(3):
        outlet.put(answer(k))
    until(lambda: len(handler.got) == 1 and outlet.report().waiting == 0)
    done = outlet.close()
    assert [record["time_s"] for record, _ in handler.got] == [0]
    assert handler.got[0][1] == "Basic bWU6cEBzcw=="
    assert (done.sent, done.lost, done.failures) == (1, 2, 4)
    assert "secret" not in done.to
    assert "p@ss" not in done.sentence()


def test_a_listener_on_this_machine_gets_the_records_and_a_foreign_page_none() -> None:
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    from websockets.exceptions import InvalidStatus

    server = WebSocketServer(0)
    outlet = AsyncSink[Record](server, QUICK, note=lambda _: None)
    address = f"ws://127.0.0.1:{server.port}"
    with pytest.raises(InvalidStatus, match="403"), client.connect(address, origin="https://evil.example"):
        pytest.fail("it was let in")
    with client.connect(address, origin="http://localhost:3000") as listener:
        time.sleep(0.2)
        for k in range(5):
            outlet.put(answer(k))
        assert [json.loads(listener.recv(timeout=5))["time_s"] for _ in range(5)] == list(range(5))
    assert outlet.close().sent == 5
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="this port cannot be listened at"):
            WebSocketServer(taken.getsockname()[1])


@pytest.mark.slow
def test_a_listener_who_is_asleep_holds_up_nothing_not_even_the_end() -> None:
    pytest.importorskip("websockets", reason="websockets is not installed")
    code = """
import socket, sys, time
from amr_edge.runtime.sinks.async_sink import AsyncSink, AsyncSinkConfig
from amr_edge.runtime.sinks.websocket import WebSocketServer
server = WebSocketServer(0)
outlet = AsyncSink(server, AsyncSinkConfig(close_s=1.0), note=print)
sleeper = socket.create_connection(("127.0.0.1", server.port))
head = "GET / HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
head += "Sec-WebSocket-Version: 13\\r\\n"
sleeper.sendall((head + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n").encode())
sleeper.recv(16)
time.sleep(0.2)
for k in range(3000):
    outlet.put({"type": "answer", "text": f"{k}" * 3000})
    time.sleep(0.0005)
while outlet.report().waiting:
    time.sleep(0.01)
assert server.lost > 0
outlet.close()
"""
    begun_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun_s < 40


def test_a_server_elsewhere_gets_the_records_again_after_it_was_away() -> None:
    serving = pytest.importorskip("websockets.sync.server", reason="websockets is not installed")
    got: list[float] = []
    held, attended = ExitStack(), list[Any]()

    def attend(connection: Any) -> None:
        attended.append(connection)
        got.extend(json.loads(message)["time_s"] for message in connection)

    def serve(at: int) -> Any:
        server = held.enter_context(serving.serve(attend, "127.0.0.1", at))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    server = serve(0)
    at = server.socket.getsockname()[1]
    outlet = AsyncSink[Record](WebSocketClient(f"ws://127.0.0.1:{at}/in"), QUICK, note=lambda _: None)
    outlet.put(answer(0))
    until(lambda: got == [0])
    server.shutdown()
    attended[0].close()  # before websockets 17 a server leaves those who are connected alone
    outlet.put(answer(1))
    until(lambda: outlet.report().down)
    server = serve(at)
    outlet.put(answer(2))
    until(lambda: 2 in got)
    assert outlet.close().failures
    held.close()
    assert got == [0, 1, 2]


# The words after --to.


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("out.txt", "must end in"),
        ("nowhere/out.csv", "does not exist"),
        ("ftp://host/x", "no such sink"),
        ("mqtt://host", "with a topic"),
        ("mqtt://host/a/#", "with a topic"),
        ("http:///path", "needs a host"),
        ("ws://", "ws://:PORT"),
        ("mqtt://host:port/a", "no address"),
    ],
)
def test_words_that_name_no_sink_are_refused(word: str, sentence: str, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=sentence):
        open_sink(word)


# The whole command.


@pytest.fixture
def recorded(tmp_path: Path, people: People) -> Path:
    path = tmp_path / "two.jsonl"
    jsonl.write(path, people(np.random.default_rng(0), persons=2, seconds=3.0))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "amr_edge", "live", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_WAIT_POLICY": "PASSIVE"}


def test_live_writes_the_same_records_to_every_file(write_model: WriteModel, recorded: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out.jsonl", tmp_path / "out.csv"
    done = subprocess.run(
        command(write_model(), "-s", recorded, "--to", out, "--to", table, "--explain", 2),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert out.read_text() == done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(line["type"] in ("answer", "event") for line in lines)
    assert [sink["to"] for sink in lines[-1]["sinks"]] == [str(out), str(table)]
    explained = [line for line in lines if line["type"] == "explain"]
    assert explained
    assert len(explained[0]["joints"]) == 20
    assert len(explained[0]["moments"]) == 8


def test_live_goes_on_and_says_so_when_a_sink_is_dead(write_model: WriteModel, recorded: Path, port: int) -> None:
    done = subprocess.run(
        command(write_model(), "-s", recorded, "--speed", 4, "--to", f"http://127.0.0.1:{port}/hook"),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert lines[-1]["answers"] == 18
    assert lines[-1]["sinks"][0]["sent"] == 0
    assert "recognition goes on" in done.stderr
    assert "records did not get there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.slow
def test_being_stopped_finishes_every_event_and_file(
    write_model: WriteModel, card_of: Callable[..., Card], recorded: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    out, told = tmp_path / "out.jsonl", tmp_path / "stdout"
    with told.open("wb") as stdout:
        process = subprocess.Popen(
            command(write_model(card_of(threshold=0.0, none_class=None)), "-s", recorded, "--speed", 1, "--to", out),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
    until(lambda: '"event": "start"' in told.read_text(), 60)
    process.send_signal(sign)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert out.read_text() == told.read_text()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    kinds = [line["event"] for line in lines if line["type"] == "event"]
    assert kinds.count("start") == kinds.count("end")
    summary = lines[-1]
    assert summary["ended"] == "interrupted"
    assert summary["seconds"] >= 1
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_pipe_that_nobody_reads_holds_up_neither_the_run_nor_its_end(
    write_model: WriteModel, recorded: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    process = subprocess.Popen(
        command(write_model(), "-s", recorded, "--to", tmp_path / "pipe.jsonl"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert json.loads(out.splitlines()[-1])["answers"] == 18
    assert "took nothing for the last 5 s" in err


def test_a_machine_without_a_display_is_told_once_and_goes_on(write_model: WriteModel, recorded: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: no window")
    env = {name: value for name, value in environment().items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        command(write_model(), "-s", recorded, "--show"),
        capture_output=True,
        text=True,
        env={**env, "DISPLAY": ":987"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nothing answers at the display :987; going on without a window") == 1
    assert no_display({}) == ("no display is set (DISPLAY)" if sys.platform == "linux" else None)


def test_a_film_on_a_full_disk_is_told_of_and_recognition_goes_on(
    write_model: WriteModel, recorded: Path, tmp_path: Path
) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: no films")
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not here to limit the size of files with")
    live = command(write_model(), "-s", recorded, "--to", tmp_path / "film.mp4")
    done = subprocess.run(
        [bash, "-c", 'ulimit -f 16; exec "$@"', "bash", *live],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["answers"] == 18
    assert "film.mp4: it is not whole" in done.stderr
    assert "check the free space" in done.stderr
    assert "Traceback" not in done.stderr
