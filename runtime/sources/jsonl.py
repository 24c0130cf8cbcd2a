"""Skeletons that another program sends while they are seen: JSON lines on standard input, JSON packets over UDP.

Both carry what `amr_edge.data.readers.jsonl` defines: a header, then one line or packet an instant. A sender lives in
the real world, so what cannot be read, or whose time does not rise, is left out, counted and reported once; it ends
nothing.
"""

import itertools
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from amr_edge.data.readers import jsonl
from amr_edge.data.recording import UNITS
from amr_edge.errors import AmrError, ConfigError, MissingError, ReadError
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.sources.health import Health, State, Status
from amr_edge.runtime.sources.protocols import SILENT_S, STALE_S, OpenContext
from amr_edge.runtime.sources.recorded import SourceRun
from amr_edge.skeleton import layout

LONGEST = 4 << 20  # bytes of a line; a hundred people of 33 joints take a twentieth
QUEUED = 256  # packets that wait at most
RESTART_S = 1.0  # a clock that goes back by more began anew; by less, two packets swapped places
_GLANCE_S = 0.1  # how often a waiting reader wakes, to notice silence and Ctrl-C
_ADDRESS_FIELDS = frozenset(["layout", "units"])  # in an address


class Line(NamedTuple):
    """A line or packet, where it stands among the others, and how many before it were dropped."""

    number: int
    text: bytes
    missed: int = 0


def lines_of(stream: BinaryIO) -> Iterator[Line]:
    """The lines of a stream, each as soon as it is whole; of one that is longer than `LONGEST` only the beginning."""
    number = 0
    while line := stream.readline(LONGEST):
        number += 1
        yield Line(number, line)
        while len(line) == LONGEST and not line.endswith(b"\n"):  # the rest of a monster is thrown away
            line = stream.readline(LONGEST)


def runs_of_lines(
    lines: Iterable[str | Line],
    where: str,
    *,
    health: Health | None = None,
    header: jsonl.Header | None = None,
    repeats: bool = False,
) -> Iterator[SourceRun]:
    """Takes out of JSON lines as `amr_edge.data.readers.jsonl` defines them, each frame as soon as its line is there.

    A header begins a take, also in the middle: several files may be sent one after the other. So does a clock that
    goes back by more than a second: the sender began anew.

    Args:
        lines: The lines.
        where: What they are, for the sentence when one is wrong.
        health: Counts what cannot be used and is left out; None refuses it.
        header: What a header line would say, if there may be none.
        repeats: Whether the same header may come again and again and mean nothing new.

    Raises:
        ReadError: If there is no header at all; without `health`, also if a line is not what it should be.
    """
    return _Lines(lines, where, health, header, repeats=repeats).takes()


class _Lines:
    """State of the line reader."""

    def __init__(
        self,
        lines: Iterable[str | Line],
        where: str,
        health: Health | None,
        header: jsonl.Header | None,
        *,
        repeats: bool,
    ) -> None:
        numbered = (Line(n, line.encode()) if isinstance(line, str) else line for n, line in enumerate(lines, 1))
        self._lines = (line for line in numbered if line.text.strip())
        self._where = where
        self._health = health
        self._header = header
        self._repeats = repeats
        self._first: Frame | None = None  # of the take that has just begun
        self._last_s = float("-inf")
        self._channels: int | None = None
        self._missed = 0
        self._more = False  # whether another take follows the one that ended

    def takes(self) -> Iterator[SourceRun]:
        header = self._header if self._header is not None else self._next_header()
        for count in itertools.count(1):
            self._last_s, self._channels, self._more = float("-inf"), None, False
            frames = self._frames(header)
            yield SourceRun(
                title=self._where if count == 1 else f"{self._where}#{count}",
                layout=header.layout,
                units=header.units,
                frames=frames,
                label=header.label,
                spans=header.spans,
                fps=float("nan") if header.fps is None else header.fps,
            )
            for _ in frames:  # unread frames stand before the next take
                pass
            if not self._more:
                return
            header = self._header or header

    def _next_header(self) -> jsonl.Header:
        """Read on to the first header."""
        first: ReadError | None = None
        for line in self._lines:
            try:
                return jsonl.parse_header(line.text, self._place(line))
            except ReadError as refusal:  # noqa: PERF203 - each line may be bad
                first = first or refusal
                self._refuse("malformed", refusal)
        raise first or ReadError(
            f"{self._where}: expected a header and frames as JSON lines, got nothing; docs/formats.md has both"
        )

    def _frames(self, header: jsonl.Header) -> Iterator[Frame]:
        if self._first is not None:
            begun, self._first = self._first, None
            self._last_s = begun.time_s
            yield begun
        for line in self._lines:
            self._missed += line.missed
            where = self._place(line)
            try:
                # A frame has no such key; the header's own parser says what is wrong with a line that has it.
                if b'"amr_edge"' in line.text:
                    found = jsonl.parse_header(line.text, where)
                    if self._repeats and found == header:
                        continue
                    self._header, self._more = found, True
                    return
                frame = self._frame(line, header, where)
            except ReadError as refusal:
                self._refuse("malformed", refusal)
                continue
            if frame.time_s <= self._last_s and self._health is not None:
                back_s = self._last_s - frame.time_s
                message = f"{where}: time must rise, got {frame.time_s:g} s after {self._last_s:g} s"
                if back_s <= RESTART_S:
                    self._add("unordered", f"{message}; such lines are left out and counted")
                    continue
                self._add("restarted", f"{message}; the sender began anew, and so does recognition", self._last_s)
                self._first, self._more = frame, True
                return
            self._last_s = frame.time_s
            yield frame

    def _frame(self, line: Line, header: jsonl.Header, where: str) -> Frame:
        frame = jsonl.parse_frame(line.text, header, where)
        if frame.seen:
            channels = frame.poses.shape[2]
            if self._health is not None and self._channels not in (None, channels):
                raise ReadError(f"{where}: joints had {self._channels} numbers before and have {channels} now")
            self._channels = channels
        seen = slice(None) if frame.seen else slice(0)
        missed, self._missed = self._missed, 0
        return Frame(time_s=frame.time_s, poses=frame.poses[seen], ids=frame.ids[seen], missed=missed)

    def _place(self, line: Line) -> str:
        return f"{self._where}, line {line.number}"

    def _refuse(self, state: State, refusal: ReadError) -> None:
        if self._health is None:
            raise refusal
        self._add(state, f"{refusal}; such lines are left out and counted", self._last_s)

    def _add(self, state: State, sentence: str, time_s: float = float("-inf")) -> None:
        if self._health is not None:
            at_s = None if time_s == float("-inf") else time_s
            self._health.add(Status(source=self._where, state=state, sentence=sentence, time_s=at_s))


class Packets:
    """JSON packets from an external estimator over UDP; packets not taken in time are dropped and counted.

    Attributes:
        title: What it is, in a line.
        header: What its address says in the place of a header packet, None if it says nothing.
    """

    def __init__(
        self,
        address: str,
        *,
        stale_s: float = STALE_S,
        silent_s: float = SILENT_S,
        health: Health | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen.

        Args:
            address: `udp://HOST:PORT`, where HOST is an address of this machine; `?layout=coco17&units=px` says
                what a header packet would.
            stale_s: A packet that has waited for longer is dropped.
            silent_s: A sender that sends nothing for so long counts as lost.
            health: Counts and tells losses and returns.
            clock: Seconds that rise.

        Raises:
            ConfigError: If the address means nothing.
            MissingError: If the port cannot be bound.
        """
        if not (stale_s > 0 and silent_s > 0):
            raise ConfigError(f"staleness and silence must be more than 0 s, got {stale_s} and {silent_s}")
        host, port, self.header = _parsed(address)
        self._stale_s, self._silent_s = stale_s, silent_s
        self._health = health
        self._clock = clock
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError as cause:
            self._socket.close()
            raise MissingError(
                f"{address}: cannot listen there ({cause.strerror or cause}); choose an address of this machine and "
                "a free port, such as udp://127.0.0.1:5005"
            ) from cause
        self._socket.settimeout(_GLANCE_S)
        self.port = int(self._socket.getsockname()[1])
        self.title = f"udp://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._news = threading.Condition()  # guards the three below
        self._queue: deque[tuple[int, bytes, float]] = deque()
        self._overrun = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"amr-edge {self.title}", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Line]:
        """Every packet that is not stale, in the order of arrival, until `close`."""
        last_s, lost, heard = self._clock(), False, False
        missed = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._queue or self._closed, timeout=_GLANCE_S)
                if self._closed:
                    return
                missed, self._overrun = missed + self._overrun, 0
                packet = self._queue.popleft() if self._queue else None
            now_s = self._clock()
            if packet is None:
                # Before the first packet there is no sender to lose.
                if heard and not lost and now_s - last_s > self._silent_s:
                    lost = True
                    self._report("lost", f"{self.title}: lost (no packet for {self._silent_s:g} s); still listening")
                continue
            number, text, last_s = packet
            if lost:
                lost = False
                self._report("back", f"{self.title}: back")
            heard = True
            if now_s - last_s > self._stale_s:
                missed += 1
                continue
            yield Line(number, text, missed)
            missed = 0

    def _report(self, state: State, sentence: str) -> None:
        if self._health is not None:
            self._health.add(Status(source=self.title, state=state, sentence=sentence))

    def _work(self) -> None:
        """Take packets off the network, so that the newest are never lost in its buffer."""
        number = 0
        while not self._closed:
            try:
                text = self._socket.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                continue  # closed, or a report that an answer, which we never send, was refused
            number += 1
            with self._news:
                if len(self._queue) == QUEUED:
                    self._queue.popleft()
                    self._overrun += 1
                self._queue.append((number, text, self._clock()))
                self._news.notify_all()

    def close(self) -> None:
        """Stop listening; closing twice is allowed."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)
        self._socket.close()

    def __enter__(self) -> "Packets":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_stdin(_: str, context: OpenContext) -> Iterator[SourceRun]:
    """The recordings in the JSON lines on standard input."""
    context.note("source: JSON lines on stdin")
    return runs_of_lines(lines_of(sys.stdin.buffer), "stdin", health=context.health)


def open_udp(address: str, context: OpenContext) -> Iterator[SourceRun]:
    """The recordings in the JSON packets that come to an address."""
    packets = context.stack.enter_context(Packets(address, stale_s=context.config.stale_s, health=context.health))
    waits = "" if packets.header is not None else ", waiting for a header"
    context.note(f"source: JSON packets on {packets.title}{waits}")
    return runs_of_lines(packets, packets.title, health=context.health, header=packets.header, repeats=True)


def _parsed(address: str) -> tuple[str, int, jsonl.Header | None]:
    """Host, port and header of an address."""
    way_out = "write it as udp://127.0.0.1:5005 or udp://127.0.0.1:5005?layout=coco17&units=px"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as cause:
        raise ConfigError(f"{address}: this is no address ({cause}); {way_out}") from cause
    message = dict(parse_qsl(parts.query))
    if (
        parts.scheme != "udp"
        or not host
        or port is None
        or parts.path not in ("", "/")
        or message.keys() - _ADDRESS_FIELDS
    ):
        raise ConfigError(f"{address}: expected a host, a port and perhaps layout and units; {way_out}")
    if not message:
        return host, port, None
    units = message.get("units", "m")
    if "layout" not in message or units not in UNITS:
        raise ConfigError(f"{address}: expected a layout and units of {' or '.join(UNITS)}; {way_out}")
    try:
        return host, port, jsonl.Header(layout=layout(message["layout"]), units=units)
    except AmrError as cause:
        raise ConfigError(f"{address}: {cause}") from cause
