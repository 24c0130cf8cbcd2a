"""Recorded skeletons as if they were happening now: files and folders of any format.

A source is a sequence of takes. Within a take time goes on; between two takes everything starts anew.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from amr_edge.data import readers
from amr_edge.data.recording import Recording, Span
from amr_edge.errors import ConfigError, ReadError
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.sources.protocols import OpenContext
from amr_edge.skeleton import Layout


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceRun:
    """Frames without a cut: a recording, a video, or what a camera sees until it is switched off.

    Attributes:
        title: What it is, in a line for the person.
        layout: The layout of its poses.
        units: "m" or "px".
        frames: In the order of time; it can be gone through once.
        label: The action that it is known to show, if one.
        spans: Labelled stretches, if it is known to show several.
        fps: Frames per second; NaN where unknown.
        size: Width and height of its pictures; None without pictures.
    """

    title: str
    layout: Layout
    units: str
    frames: Iterable[Frame]
    label: str | None = None
    spans: tuple[Span, ...] = ()
    fps: float = math.nan
    size: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Frame]:
        """Every instant, in order."""
        return iter(self.frames)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraGroup:
    """Takes that go on at the same time: several cameras.

    Attributes:
        takes: Each with its own layout, clock and people; their own `frames` are not to be iterated.
        frames: (place in `takes`, frame), in the order of arrival.
    """

    takes: tuple[SourceRun, ...]
    frames: Iterable[tuple[int, Frame]]


class RecordedSource:
    """A file or folder of recordings, one take each."""

    def __init__(self, path: Path, format: str = "auto", *, skipped: Callable[[str], None]) -> None:  # noqa: A002
        """A source.

        Args:
            path: A file in any format that `amr_edge.data.readers` reads, or a folder of such files.
            format: The format, or "auto" to recognise it.
            skipped: Called with a sentence about each file and clip that cannot be read, where others can.

        Raises:
            ConfigError: If there is no such format.
            ReadError: If there is no such file or folder, or nothing in it that could be read.
        """
        self._found = readers.find(path, format)
        self._path = path
        self._skipped = skipped
        count = len(self._found.files)
        self.title = f"{path}: {self._found.reader.TITLE}, {count} file{'s' if count > 1 else ''}"

    def __iter__(self) -> Iterator[SourceRun]:
        """Every recording, one file in memory at a time.

        A file of a folder, or a clip of a file of many, that cannot be read is reported and left out.

        Raises:
            ReadError: If nothing at all could be read, with the first reason.
        """
        first: ReadError | None = None
        unreported: list[ReadError] = []  # of a single file, until one of its clips could be read
        read_any = False
        alone = not self._path.is_dir()

        def refuse(refusal: ReadError) -> None:
            nonlocal first
            first = first or refusal
            if alone and not read_any:
                unreported.append(refusal)
            else:
                self._skipped(str(refusal))

        for recording in readers.recordings(self._found.reader, self._found.files, refuse):
            read_any = True
            while unreported:
                self._skipped(str(unreported.pop(0)))
            yield source_run(recording)
        if not read_any:
            raise first or ReadError(f"{self._path}: there is no recording in it")


def open_recorded(path: str, context: OpenContext) -> Iterator[SourceRun]:
    """The recordings of a file or folder, at the speed that is set."""
    recorded = RecordedSource(Path(path), context.config.format, skipped=context.skipped)
    context.note(f"source: {recorded.title}")
    return (replace(run, frames=paced(run, context.config.speed)) for run in recorded)


def source_run(recording: Recording) -> SourceRun:
    """A recording as a take; a person's id is their place in the recording."""
    return SourceRun(
        title=recording.source or "recording",
        layout=recording.skeleton,
        units=recording.units,
        frames=_frames(recording),
        label=recording.label,
        spans=recording.spans,
        fps=recording.fps,
    )


def _frames(recording: Recording) -> Iterator[Frame]:
    """Frame by frame, those of whom at least one joint is seen."""
    here = np.asarray(recording.present.any(axis=-1))  # (M, T)
    for frame, time_s in enumerate(recording.times_s):
        people = np.flatnonzero(here[:, frame])
        yield Frame(time_s=float(time_s), poses=recording.poses[people, frame], ids=tuple(people.tolist()))


class _HasTime(Protocol):
    @property
    def time_s(self) -> float: ...


Timed = TypeVar("Timed", bound=_HasTime)


def paced(
    items: Iterable[Timed],
    speed: float,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Timed]:
    """Frames or pictures at the pace at which they were recorded.

    Args:
        items: With rising times.
        speed: 1 is real time, 2 twice as fast; 0 does not wait at all.
        now: Seconds on a clock that never goes back.
        sleep: Waits for so many seconds.

    Raises:
        ConfigError: If the speed is negative or not finite.
    """
    if not 0 <= speed < math.inf:
        raise ConfigError(f"the speed must be 0 (do not wait) or above, got {speed}")
    return iter(items) if speed == 0 else _wait_for_each(items, speed, now, sleep)


def _wait_for_each(
    items: Iterable[Timed], speed: float, now: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[Timed]:
    begun_s = first_s = math.nan
    for item in items:
        if math.isnan(begun_s):
            begun_s, first_s = now(), item.time_s
        early_s = begun_s + (item.time_s - first_s) / speed - now()
        if early_s > 0:
            sleep(early_s)
        yield item
