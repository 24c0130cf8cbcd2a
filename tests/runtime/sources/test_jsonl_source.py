"""Skeletons from another program: bad lines and packets are left out, counted, told once, and end nothing."""

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ConfigError, MissingError, ReadError
from amr_edge.runtime.frame import Frame  # noqa: TC001
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.jsonl import LONGEST, QUEUED, Line, Packets, lines_of, runs_of_lines

HEADER = b'{"amr_edge": "skeleton", "schema": 1, "layout": "penn13", "units": "px"}'


def frame(t: float, joints: int = 13, numbers: int = 2) -> bytes:
    person = {"id": 3, "joints": [[1.0] * numbers] * joints}
    return json.dumps({"t": t, "people": [person]}).encode()


def gone_through(lines: list[bytes], **how: object) -> tuple[list[list[float]], dict[str, int], list[Status]]:
    """The times of each take, what was lost, what was told."""
    told: list[Status] = []
    health = Health(told.append)
    numbered = [Line(number, line) for number, line in enumerate(lines, 1)]
    takes = runs_of_lines(numbered, "wire", health=health, **how)  # type: ignore[arg-type]
    return [[frame.time_s for frame in take] for take in takes], health.losses, told


def test_bad_lines_are_left_out_and_counted_and_the_rest_goes_on() -> None:
    bad = [b"{", b"hello", b"[]", b'{"t": 1}', frame(0.15, joints=5), b"\xff\xfe", b'{"t": NaN, "people": []}']
    takes, losses, told = gone_through([HEADER, frame(0.0), frame(0.1), *bad, b"", frame(0.2)])
    assert takes == [[0.0, 0.1, 0.2]]
    assert losses == {"malformed": len(bad)}
    (status,) = told
    assert (status.state, status.time_s) == ("malformed", 0.1)
    assert "wire, line 4: expected a JSON object" in status.sentence


def test_joints_that_lose_their_third_number_midway_are_malformed() -> None:
    takes, losses, _ = gone_through([HEADER, frame(0.0), frame(0.1, numbers=3), frame(0.2)])
    assert takes == [[0.0, 0.2]]
    assert losses == {"malformed": 1}


def test_packets_that_swap_places_are_left_out_and_a_clock_that_begins_anew_begins_a_take() -> None:
    times = [5.0, 5.1, 5.05, 5.1, 5.2, 0.0, 0.1]
    takes, losses, told = gone_through([HEADER, *map(frame, times)])
    assert takes == [[5.0, 5.1, 5.2], [0.0, 0.1]]
    assert losses == {"restarted": 1, "unordered": 2}
    assert [status.state for status in told] == ["unordered", "restarted"]


def test_one_absurd_time_does_not_make_a_stream_deaf() -> None:
    takes, _, _ = gone_through([HEADER, *map(frame, [0.0, 1e9, 0.1, 0.2])])
    assert takes == [[0.0, 1e9], [0.1, 0.2]]


def test_a_header_in_the_middle_begins_a_take_and_a_repeated_one_may_mean_nothing() -> None:
    lines = [HEADER, frame(0.0), HEADER, frame(0.1), HEADER]
    assert gone_through(lines)[0] == [[0.0], [0.1], []]
    assert gone_through(lines, repeats=True)[0] == [[0.0, 0.1]]


def test_what_comes_before_the_header_is_left_out_and_a_stream_without_one_is_refused() -> None:
    takes, losses, _ = gone_through([frame(0.0), frame(0.1), HEADER, frame(0.2)])
    assert (takes, losses) == ([[0.2]], {"malformed": 2})
    with pytest.raises(ReadError, match="wire, line 1: expected a header"):
        gone_through([frame(0.0)])
    with pytest.raises(ReadError, match="got nothing"):
        gone_through([])


def test_a_stream_that_is_closed_in_the_middle_of_a_line_ends_there() -> None:
    text = b"\n".join([HEADER, frame(0.0), frame(0.1)])
    takes, losses, _ = gone_through([line.text for line in lines_of(io.BytesIO(text[:-20]))])
    assert (takes, losses) == ([[0.0]], {"malformed": 1})


def test_a_line_without_end_takes_no_more_memory_than_the_longest_one() -> None:
    monster = io.BytesIO(b"x" * (3 * LONGEST + 17) + b"\n" + frame(0.0) + b"\n")
    first, second = lines_of(monster)
    assert len(first.text) == LONGEST
    assert second == Line(2, frame(0.0) + b"\n")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([HEADER, frame(0.5), frame(2.5)])), max_size=20))
def test_whatever_comes_no_line_ends_a_stream_and_times_rise_within_a_take(noise: list[bytes]) -> None:
    takes, _, _ = gone_through([HEADER, *noise])
    for times in takes:
        assert (np.diff(times) > 0).all()


class Listener:
    """Packets being read in a thread, as `live` would."""

    def __init__(self, query: str = "", **how: float) -> None:
        self.told: list[Status] = []
        self.health = Health(self.told.append)
        self.packets = Packets(f"udp://127.0.0.1:0{query}", health=self.health, **how)
        self.seen: list[Frame] = []
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        lines = runs_of_lines(
            self.packets, self.packets.title, health=self.health, header=self.packets.header, repeats=True
        )
        for take in lines:
            self.seen.extend(take)

    def send(self, *texts: bytes) -> None:
        for text in texts:
            self.sender.sendto(text, ("127.0.0.1", self.packets.port))

    def until(self, done: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + 20
        while not done():
            assert time.monotonic() < deadline_s, (len(self.seen), self.health.losses)
            time.sleep(0.01)

    def close(self) -> None:
        self.packets.close()
        self.sender.close()
        if self.thread.is_alive():
            self.thread.join(timeout=5)


@pytest.fixture
def listener() -> Iterator[Callable[..., Listener]]:
    opened: list[Listener] = []

    def listen(query: str = "", **how: float) -> Listener:
        opened.append(Listener(query, **how))
        return opened[-1]

    yield listen
    for each in opened:
        each.close()


def test_packets_arrive_as_sightings_and_bad_ones_are_counted(listener: Callable[..., Listener]) -> None:
    wire = listener(stale_s=30.0)
    wire.thread.start()
    wire.send(b"garbage", HEADER, frame(0.0), HEADER, b"{" * 60_000, frame(0.1), b"")
    wire.until(lambda: len(wire.seen) == 2)
    assert [frame.ids for frame in wire.seen] == [(3,), (3,)]
    assert wire.health.losses == {"malformed": 2}
    assert len(wire.told) == 1


def test_the_address_may_stand_for_the_header(listener: Callable[..., Listener]) -> None:
    wire = listener("?layout=penn13&units=px", stale_s=30.0)
    wire.thread.start()
    wire.send(frame(0.0))
    wire.until(lambda: len(wire.seen) == 1)


def test_packets_that_nobody_took_in_time_are_dropped_and_counted(listener: Callable[..., Listener]) -> None:
    wire = listener("?layout=penn13&units=px", stale_s=0.2)
    wire.send(*(frame(k / 100) for k in range(20)))
    time.sleep(0.6)  # nobody reads meanwhile
    wire.thread.start()
    time.sleep(0.2)
    wire.send(frame(9.0))
    wire.until(lambda: len(wire.seen) == 1)
    assert wire.seen[0].time_s == 9.0
    assert wire.seen[0].dropped == 20


def test_a_flood_takes_no_memory(listener: Callable[..., Listener]) -> None:
    wire = listener("?layout=penn13&units=px", stale_s=30.0)
    deadline_s = time.monotonic() + 20
    sent = 0
    while wire.packets._overrun < 50 and time.monotonic() < deadline_s:
        wire.send(frame(sent / 100))
        sent += 1
        assert len(wire.packets._queue) <= QUEUED
    assert wire.packets._overrun >= 50
    wire.thread.start()
    wire.until(lambda: len(wire.seen) >= QUEUED)
    assert sum(frame.dropped for frame in wire.seen) >= 50


def test_a_sender_that_falls_silent_is_lost_once_and_back_once(listener: Callable[..., Listener]) -> None:
    wire = listener("?layout=penn13&units=px", stale_s=30.0, silent_s=0.3)
    wire.thread.start()
    time.sleep(0.5)
    assert wire.told == []  # nobody has been there yet
    wire.send(frame(0.0))
    wire.until(lambda: len(wire.told) == 1)
    time.sleep(0.5)
    wire.send(frame(1.0))
    wire.until(lambda: len(wire.seen) == 2)
    wire.until(lambda: len(wire.told) >= 2)
    assert [status.state for status in wire.told][:2] == ["lost", "back"]


@pytest.mark.parametrize(
    "address",
    [
        "udp://127.0.0.1",
        "udp://:5005",
        "udp://127.0.0.1:70000",
        "udp://127.0.0.1:5005/path",
        "udp://127.0.0.1:5005?layout=coco18",
        "udp://127.0.0.1:5005?units=px",
        "udp://127.0.0.1:5005?layout=coco17&units=feet",
        "udp://127.0.0.1:5005?colour=red",
    ],
)
def test_an_address_that_means_nothing_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"udp://127\.0\.0\.1:5005|no skeleton layout"):
        Packets(address)


def test_a_port_that_is_taken_is_said(listener: Callable[..., Listener]) -> None:
    taken = listener().packets.port
    with pytest.raises(MissingError, match=f"{taken}: cannot listen there"):
        Packets(f"udp://127.0.0.1:{taken}")
