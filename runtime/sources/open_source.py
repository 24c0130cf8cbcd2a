"""What the word after --source means: skeletons, JSON lines, packets, videos, cameras, or many of them."""

import glob
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from amr_edge.data import readers
from amr_edge.errors import ClipError, ConfigError, MissingError, ReadError
from amr_edge.runtime.frame import Frame, Image, ImageSource
from amr_edge.runtime.pose.open_pose import NONE, PoseEstimator, open_pose
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.jsonl import Packets, lines_of, takes_of_lines
from amr_edge.runtime.sources.recorded import CameraGroup, RecordedSource, SourceRun, paced
from amr_edge.runtime.sources.video import STALE_S, Camera, VideoFile
from amr_edge.runtime.stage_timer import Stages

VIDEOS = frozenset(
    [".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"]
)
LISTS = frozenset([".streams", ".txt"])  # a .txt that a reader of recordings knows is a recording
FAILURES = 30  # so many pictures in a row on which the estimator fails are no accident
_GLANCE_S = 0.1

Note = Callable[[str], None]
Kind = Literal["stdin", "udp", "camera", "video", "recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """How a source is read.

    Attributes:
        format: Format of recorded skeletons; "auto" recognises it.
        pose: For pictures: what finds the joints, see `amr_edge.runtime.pose.open_pose`.
        people: For pictures: how many people are looked for.
        speed: For what is recorded: 0 as fast as it goes, 1 in real time.
        stale_s: For what is live: older pictures and packets are dropped.
    """

    format: str = "auto"
    pose: str = "full"
    people: int = 1
    speed: float = 0.0
    stale_s: float = STALE_S

    def __post_init__(self) -> None:
        if not self.stale_s > 0:
            raise ConfigError(f"what is live needs a staleness above 0 s, got {self.stale_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """What every source is opened with."""

    config: SourceConfig
    stages: Stages
    note: Note
    skipped: Note
    environ: Mapping[str, str]
    health: Health


@contextmanager
def open_source(
    source: str,
    config: SourceConfig,
    *,
    stages: Stages,
    note: Note,
    skipped: Note,
    environ: Mapping[str, str],
    health: Health | None = None,
) -> Iterator[Iterator[SourceRun | CameraGroup]]:
    """The takes of a source, which is released at the end.

    Args:
        source: A recording, a video, a folder or a pattern (`clips/*.mp4`) of either, "-" for JSON lines on stdin,
            the number, device or address of a camera, `udp://HOST:PORT`, or a file that lists sources line by line.
        config: How it is read.
        stages: Times the capture and the pose of pictures.
        note: Called with a line about what was opened.
        skipped: Called with a sentence about each of several files that cannot be read.
        environ: Where the pose models are kept stands here.
        health: Counts and tells what is survived; None only tells, by `note`.

    Raises:
        ReadError: If a file cannot be read as what it is.
        MissingError: If a camera, package or pose model is not here.
        ConfigError: If the source or the way to read it means nothing.
    """
    health = health or Health(lambda status: note(f"note: {status.sentence}"))
    way = _Way(config=config, stages=stages, note=note, skipped=skipped, environ=environ, health=health)
    entries, title = _entries(source, config.format)
    kinds = {_kind(entry) for entry in entries}
    takes: Iterator[SourceRun | CameraGroup]
    with ExitStack() as stack:
        if len(entries) == 1 and title is None:
            takes = _one(entries[0], kinds.pop(), way, stack)
        elif kinds == {"camera"}:
            takes = iter([_together(entries, way, stack)])
        elif kinds <= {"video", "recorded"}:
            note(f"source: {title}, {len(entries)} files")
            one_by_one = stack.enter_context(closing(_one_by_one(entries, way)))
            takes = iter(one_by_one)
        else:
            raise ConfigError(
                f"{title}: cameras go with cameras and files with files, got {', '.join(sorted(kinds))}; make a list "
                "of each and start amr-edge once for each"
            )
        yield takes


def is_live(source: str, format: str = "auto") -> bool:  # noqa: A002
    """Whether a source goes on whether or not anybody keeps up with it; True if one of several does.

    Raises:
        ReadError: If it is a pattern that nothing fits, or a list that cannot be read.
    """
    return any(_kind(entry) in ("camera", "udp") for entry in _entries(source, format)[0])


def has_pictures(source: str, format: str = "auto") -> bool:  # noqa: A002
    """Whether a source gives pictures, in which joints must first be found; True if one of several does.

    A video that is not there gives none.

    Raises:
        ReadError: If it is a pattern that nothing fits, or a list that cannot be read.
    """
    entries = [(entry, _kind(entry)) for entry in _entries(source, format)[0]]
    return any(kind == "camera" or (kind == "video" and Path(entry).is_file()) for entry, kind in entries)


def _entries(source: str, format: str) -> tuple[list[str], str | None]:  # noqa: A002
    """The sources that a word stands for, and what they are together; None if it stands for itself."""
    path = Path(source)
    if source == "-" or "://" in source or source.isdecimal():
        return [source], None
    if path.is_dir():
        videos = sorted(str(each) for each in path.rglob("*") if each.suffix.lower() in VIDEOS and each.is_file())
        # A data set may come with its videos beside: its skeletons are what is meant.
        return (videos, f"{path}: videos") if videos and not _has_recordings(path, format) else ([source], None)
    if not path.exists() and glob.has_magic(source):
        # pathlib globs below a folder only; a pattern may begin anywhere.
        found = sorted(each for each in glob.glob(source, recursive=True) if Path(each).is_file())  # noqa: PTH207
        if not found:
            raise ReadError(f"{source}: expected files of that pattern, there are none; check the path")
        return found, source
    if path.is_file() and path.suffix.lower() in LISTS and format == "auto" and not _recognized(path):
        return _listed(path), str(path)
    return [source], None


def _listed(path: Path) -> list[str]:
    """The sources that a file lists, one a line; # begins a remark."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise ReadError(f"{path}: expected a list of sources, one a line ({cause}); check the file") from cause
    entries = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not entries:
        raise ReadError(f"{path}: expected a list of sources, one a line, found none; write one")
    # A path in a list is meant as seen from the list.
    return [
        entry if "://" in entry or entry.isdecimal() or Path(entry).is_absolute() else str(path.parent / entry)
        for entry in entries
    ]


def _recognized(path: Path) -> bool:
    return any(reader.recognizes(path) for reader in readers.READERS)


def _has_recordings(folder: Path, format: str) -> bool:  # noqa: A002
    try:
        readers.find(folder, format)
    except ReadError as refusal:
        return "expected one format" in str(refusal)
    return True


def _kind(source: str) -> Kind:
    path = Path(source)
    if source == "-":
        return "stdin"
    if source.startswith("udp://"):
        return "udp"
    if source.isdecimal() or "://" in source or path.is_char_device():
        return "camera"
    return "video" if path.suffix.lower() in VIDEOS else "recorded"


def _one(source: str, kind: Kind, way: _Way, stack: ExitStack) -> Iterator[SourceRun]:
    """The takes of one source that is opened now and released with the stack."""
    config = way.config
    if kind == "stdin":
        way.note("source: JSON lines on stdin")
        return takes_of_lines(lines_of(sys.stdin.buffer), "stdin", health=way.health)
    if kind == "udp":
        packets = stack.enter_context(Packets(source, stale_s=config.stale_s, health=way.health))
        waits = "" if packets.header is not None else ", waiting for a header"
        way.note(f"source: JSON packets on {packets.title}{waits}")
        return takes_of_lines(packets, packets.title, health=way.health, header=packets.header, repeats=True)
    if kind == "recorded":
        recorded = RecordedSource(Path(source), config.format, skipped=way.skipped)
        way.note(f"source: {recorded.title}")
        return (replace(take, frames=paced(take, config.speed)) for take in recorded)
    # The model comes first: a camera that is already running would fill up meanwhile.
    estimator = _estimator(way, stack)
    pictures: ImageSource
    if kind == "video":
        pictures = stack.enter_context(VideoFile(Path(source)))
    else:
        pictures = stack.enter_context(
            Camera(_device(source), stale_s=config.stale_s, health=way.health),
        )
    way.note(f"source: {pictures.title}; {estimator.title}")
    # A stream's address may hold a password: its title does not.
    title = pictures.title if "://" in source else Path(source).name
    return iter([_seen(pictures, title, estimator, way)])


def _device(source: str) -> int | str:
    return int(source) if source.isdecimal() else source


def _estimator(way: _Way, stack: ExitStack) -> PoseEstimator:
    config = way.config
    if config.pose == NONE:
        raise ConfigError(
            "pictures have no joints of their own and --pose none finds none; choose an estimator, or give a source "
            "of skeletons"
        )
    return stack.enter_context(closing(open_pose(config.pose, people=config.people, environ=way.environ)))


def _one_by_one(entries: Sequence[str], way: _Way) -> Generator[SourceRun, None, None]:
    """The takes of several files, each opened when its turn comes.

    Raises:
        ReadError: If none of them can be read, with the first reason.
    """
    first: ReadError | None = None
    read_any = False
    for entry in entries:
        with ExitStack() as stack:
            try:
                takes = _one(entry, _kind(entry), replace(way, note=lambda _: None), stack)
                for take in takes:
                    read_any = True
                    yield take
            except ReadError as refusal:
                first = first or refusal
                way.skipped(str(refusal))
    if not read_any and first is not None:
        raise first


def _together(entries: Sequence[str], way: _Way, stack: ExitStack) -> CameraGroup:
    """Several cameras at the same time, each with an estimator of its own, which follows its people."""
    news = threading.Condition()
    cameras: list[Camera] = []
    first: MissingError | None = None
    for entry in entries:
        try:
            camera = Camera(_device(entry), stale_s=way.config.stale_s, health=way.health, news=news)
        except MissingError as refusal:  # noqa: PERF203 - each camera may be missing
            first = first or refusal
            way.health.add(Status(source=entry.rpartition("@")[2], state="unopened", sentence=str(refusal)))
        else:
            cameras.append(stack.enter_context(camera))
    if not cameras:
        raise first or ConfigError("a list of cameras needs at least one")
    estimators = [_estimator(way, stack) for _ in cameras]
    way.note(f"source: {', '.join(camera.title for camera in cameras)}; {estimators[0].title}")
    takes = tuple(
        SourceRun(
            title=camera.title,
            layout=estimator.layout,
            units=estimator.units,
            frames=(),
            fps=camera.fps,
            size=camera.size,
        )
        for camera, estimator in zip(cameras, estimators, strict=True)
    )
    looks = [_Looks(estimator, camera.title, way) for camera, estimator in zip(cameras, estimators, strict=True)]

    def frames() -> Iterator[tuple[int, Frame]]:
        for place, picture in way.stages.each("capture", _as_they_come(cameras, news)):
            frame = looks[place](picture)
            if frame is not None:
                yield place, frame

    return CameraGroup(takes=takes, frames=frames())


def _as_they_come(cameras: Sequence[Camera], news: threading.Condition) -> Iterator[tuple[int, Image]]:
    """(which camera, its newest picture) in turn, so that none of them starves."""
    while not all(camera.closed for camera in cameras):
        idle = True
        for place, camera in enumerate(cameras):
            picture = camera.poll()
            if picture is not None:
                idle = False
                yield place, picture
        if idle:
            with news:
                news.wait_for(lambda: any(camera.stirs() for camera in cameras), timeout=_GLANCE_S)


class _Looks:
    """An estimator whose failures on single pictures are counted, reported and survived."""

    def __init__(self, estimator: PoseEstimator, title: str, way: _Way) -> None:
        self._estimator = estimator
        self._title = title
        self._stages = way.stages
        self._health = way.health
        self._in_a_row = 0

    def __call__(self, picture: Image) -> Frame | None:
        """Who is in a picture; None if the estimator fails on it.

        Raises:
            ClipError: If it has failed on so many pictures in a row that it is no accident.
        """
        try:
            with self._stages.timed("pose"):
                frame = self._estimator(picture)
        except ClipError as failure:
            self._in_a_row += 1
            if self._in_a_row >= FAILURES:
                raise
            self._health.add(
                Status(
                    source=self._title,
                    state="failed",
                    sentence=f"{self._title}: {failure}; such pictures are left out and counted",
                    time_s=picture.time_s,
                )
            )
            return None
        self._in_a_row = 0
        return frame


def _seen(source: ImageSource, title: str, estimator: PoseEstimator, way: _Way) -> SourceRun:
    """The pictures of a source with the people that an estimator sees in them, as one take."""
    look = _Looks(estimator, title, way)
    speed = 0.0 if source.live else way.config.speed

    def frames() -> Iterator[Frame]:
        for picture in way.stages.each("capture", paced(_to_the_end(source, title, way.health), speed)):
            frame = look(picture)
            if frame is not None:
                yield frame

    return SourceRun(
        title=title,
        layout=estimator.layout,
        units=estimator.units,
        frames=frames(),
        fps=source.fps,
        size=source.size,
    )


def _to_the_end(source: Iterable[Image], title: str, health: Health) -> Iterator[Image]:
    """The pictures of a source; one that ends before its end ends all the same, counted and reported."""
    last_s: float | None = None
    try:
        for picture in source:
            last_s = picture.time_s
            yield picture
    except ReadError as refusal:
        if last_s is None:
            raise
        sentence = f"{refusal}; what it holds was recognised"
        health.add(Status(source=title, state="truncated", sentence=sentence, time_s=last_s))
