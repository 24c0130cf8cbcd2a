"""Records into standard output and files: JSON lines, CSV, SRT subtitles."""

import csv
import io
import os
import stat
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Protocol

from amr_edge.errors import ConfigError
from amr_edge.runtime.sinks.async_sink import Record
from amr_edge.terminal import to_json

# Of the CSV, whatever the kind of record; a record leaves a column empty that it has nothing for.
COLUMNS = (
    "type",
    "event",
    "recording",
    "person",
    "label",
    "prob",
    "start_s",
    "end_s",
    "time_s",
    "partial",
    "latency_ms",
    "reps",
)
ROWS = frozenset(["answer", "prediction", "event"])  # what has a row of the CSV
MOST_CUES = 1000  # subtitles that wait for one that began before them and goes on


class StandardOutput:
    """One JSON object a line on standard output."""

    title = "standard output"

    def __init__(self, write: Callable[[memoryview], int]) -> None:
        """A sink.

        Args:
            write: Writes bytes and returns how many it took. Not a buffered stream: a thread that blocks in one
                would hold its lock against the end of the process.
        """
        self._write = write

    def open(self) -> None:
        """Nothing to do: it is there."""

    def send(self, item: Record) -> None:
        """Write a line, however many pieces that takes."""
        line = memoryview((to_json(item) + "\n").encode())
        while line:
            line = line[self._write(line) :]

    def drop(self) -> None:
        """Nothing to let go of."""

    def close(self) -> None:
        """It stays open: it is not ours."""


class TextFormat(Protocol):
    """A text format of records."""

    def begin(self) -> str:
        """Header of a new file."""
        ...

    def add(self, record: Record) -> str:
        """Text of a record, "" for none."""
        ...

    def end(self) -> str:
        """Footer of a finished file."""
        ...


class JsonLines:
    """Every record, one JSON object a line, as on standard output."""

    def begin(self) -> str:
        """Nothing."""
        return ""

    def add(self, record: Record) -> str:
        """A line."""
        return to_json(record) + "\n"

    def end(self) -> str:
        """Nothing."""
        return ""


class Csv:
    """Answers and events as a table, by RFC 4180."""

    def begin(self) -> str:
        """The header."""
        return _csv_line(COLUMNS)

    def add(self, record: Record) -> str:
        """A row for an answer or event."""
        if record["type"] not in ROWS:
            return ""
        return _csv_line(["" if record.get(name) is None else record[name] for name in COLUMNS])

    def end(self) -> str:
        """Nothing."""
        return ""


class Srt:
    """Every event as a subtitle, shown while it went on.

    Subtitles are sorted by their start; an event is known when it has ended, so one that ended early waits for those
    that began before it. Times are the source's: those of the video, for a video.
    """

    def __init__(self) -> None:
        self._number = 0
        self._open_events: dict[object, float] = {}  # person -> start of their event that goes on
        self._waiting: list[tuple[float, float, str]] = []

    def begin(self) -> str:
        """Nothing."""
        return ""

    def add(self, record: Record) -> str:
        """The subtitles that nothing can come before any more."""
        if record["type"] != "event":
            return ""
        if record["event"] == "end":
            self._open_events.pop(record["person"], None)
            heappush(self._waiting, (record["start_s"], record["end_s"], _caption(record)))
        else:
            self._open_events[record["person"]] = record["start_s"]
        first_s = min(self._open_events.values(), default=float("inf"))
        ready = []
        while self._waiting and (self._waiting[0][0] <= first_s or len(self._waiting) > MOST_CUES):
            ready.append(heappop(self._waiting))
        return self._cues(ready)

    def end(self) -> str:
        """The rest."""
        rest, self._waiting = self._waiting, []
        return self._cues(rest)

    def _cues(self, cues: list[tuple[float, float, str]]) -> str:
        text = ""
        for start_s, end_s, caption in sorted(cues):
            self._number += 1
            text += (
                f"{self._number}\n{_timestamp(start_s)} --> {_timestamp(max(end_s, start_s + 0.001))}\n{caption}\n\n"
            )
        return text


FORMATS: dict[str, Callable[[], TextFormat]] = {".jsonl": JsonLines, ".ndjson": JsonLines, ".csv": Csv, ".srt": Srt}
_FILE_PER_RECORDING = frozenset([".srt"])  # every recording has its own clock, and so its own file


def open_file(address: str) -> "TextFile":
    """The sink that writes a file.

    Raises:
        ConfigError: If its folder does not exist, or it is a folder itself.
    """
    path = Path(address)
    if not path.parent.is_dir():
        raise ConfigError(f"--to {address}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise ConfigError(f"--to {address}: this is a folder; name a file in it")
    return TextFile(path)


class TextFile:
    """A file that is written record by record and holds only whole ones, whatever happens to the disk."""

    def __init__(self, path: Path) -> None:
        """A sink.

        Args:
            path: Its suffix, a key of `FORMATS`, says what is written. A file that is there is replaced.
        """
        self.title = str(path)
        self._first = self._path = path
        self._format = FORMATS[path.suffix.lower()]()
        self._file: io.FileIO | None = None
        self._started = False
        self._written = 0  # bytes that are whole records
        self._pending = b""  # what the record in hand, or a beginning or end, adds and is not written yet
        self._current: Record | None = None
        self._recordings = 1
        self._recording_ended = False  # the recording that this file is about

    def open(self) -> None:
        """Open the file: anew the first time, then where the last whole record ends."""
        flags = os.O_WRONLY | os.O_CREAT | (0 if self._started else os.O_TRUNC)
        self._file = io.FileIO(os.open(self._path, flags, 0o644), "w")
        if not self._started:
            self._started, self._written, self._pending = True, 0, self._format.begin().encode()
        elif _regular(self._file):
            self._file.truncate(self._written)
            self._file.seek(self._written)
        self._write()

    def send(self, item: Record) -> None:
        """Append what a record adds."""
        if item is not self._current:  # else it is tried again, and its form has taken it already
            if self._recording_ended and self._path.suffix.lower() in _FILE_PER_RECORDING and "recording" in item:
                self._next_file()
            self._recording_ended = item["type"] == "recording"
            header = self._format.begin() if not self._written else ""
            self._pending = (header + self._format.add(item)).encode()
            self._current = item
        self._write()

    def drop(self) -> None:
        """Let go of a file that cannot be written."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                if _regular(file):
                    file.truncate(self._written)  # half a record is none
            finally:
                file.close()

    def close(self) -> None:
        """End the file."""
        if self._file is None:
            return
        self._pending += self._format.end().encode()
        try:
            self._write()
        finally:
            self.drop()

    def _next_file(self) -> None:
        """Every further recording has a file of its own: out.srt, out-2.srt, ..."""
        self._pending += self._format.end().encode()
        self._write()
        self.drop()
        self._recordings += 1
        self._path = self._first.with_stem(f"{self._first.stem}-{self._recordings}")
        self._format, self._started, self._recording_ended = FORMATS[self._path.suffix.lower()](), False, False
        self.open()

    def _write(self) -> None:
        """Write what is owed; half of it is never left behind."""
        file = self._file
        if file is None:
            raise OSError(f"{self._path} is not open")
        rest = memoryview(self._pending)
        while rest:
            rest = rest[file.write(rest) or 0 :]
        self._written += len(self._pending)
        self._pending = b""


def _csv_line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _caption(record: Record) -> str:
    """Text of a subtitle; no line of it is empty, which would end it."""
    who = "" if record["person"] is None else f"person {record['person']}: "
    reps = f", {record['reps']}×" if "reps" in record else ""
    return " ".join(f"{who}{record['label']} ({record['prob']:.0%}{reps})".split())


def _timestamp(time_s: float) -> str:
    """Seconds as SRT writes them: 00:01:02,345."""
    ms = max(round(time_s * 1000), 0)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"


def _regular(file: io.FileIO) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
