"""The table of sources: what `--source ADDRESS` and `live(source)` take, and what opens it."""

import glob
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from amr_edge.data import readers
from amr_edge.errors import ClipError, ConfigError, MissingError, ReadError
from amr_edge.runtime import factories
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.pose.open_pose import NONE, PoseEstimator, open_pose
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.protocols import ImageSource, Note, OpenContext, SkeletonSource, SourceConfig
from amr_edge.runtime.sources.recorded import CameraGroup, SourceRun, paced
from amr_edge.runtime.sources.video import Camera
from amr_edge.runtime.stage_timer import Stages

__all__ = ["SOURCES", "VIDEOS", "Note", "SourceConfig", "SourceKind", "has_pictures", "is_live", "open_source"]

VIDEOS = frozenset(
    [".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"]
)
LISTS = frozenset([".streams", ".txt"])  # a .txt that a reader of recordings knows is a recording
FAILURES = 30  # so many pictures in a row on which the estimator fails are no accident
_GLANCE_S = 0.1


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of source.

    Attributes:
        name: For messages.
        factory: "module:function", called with the address and an `OpenContext`. It returns an `ImageSource`, a
            `SkeletonSource`, or the `SourceRun`s of something that holds several recordings.
        live: It goes on whether or not it is read.
        images: The factory returns an `ImageSource`; the pose estimator is opened first.
    """

    name: str
    factory: str
    live: bool = False
    images: bool = False


CAMERA = SourceKind("camera", "amr_edge.runtime.sources.video:open_camera", live=True, images=True)
VIDEO = SourceKind("video", "amr_edge.runtime.sources.video:open_video", images=True)
RECORDED = SourceKind("recorded", "amr_edge.runtime.sources.recorded:open_recorded")
# Form of an address (itself, "scheme://" or ".suffix") -> what opens it. Numbers, devices and other schemes are
# cameras; other files and folders are recorded skeletons. A new source is a file in this folder with a class that
# satisfies `protocols.SkeletonSource` or `ImageSource` and a function that opens it, and a line here
# (docs/extending.md, "A source").
SOURCES: dict[str, SourceKind] = {
    "-": SourceKind("stdin", "amr_edge.runtime.sources.jsonl:open_stdin"),
    "udp://": SourceKind("udp", "amr_edge.runtime.sources.jsonl:open_udp", live=True),
    **dict.fromkeys(sorted(VIDEOS), VIDEO),
}


@contextmanager
def open_source(
    source: str | SkeletonSource | ImageSource,
    config: SourceConfig,
    *,
    stages: Stages,
    note: Note,
    skipped: Note,
    environ: Mapping[str, str],
    health: Health | None = None,
) -> Iterator[Iterator[SourceRun | CameraGroup]]:
    """The recordings of a source, which is released at the end.

    Args:
        source: A recording, a video, a folder or a pattern (`clips/*.mp4`) of either, "-" for JSON lines on stdin,
            the number, device or address of a camera, `udp://HOST:PORT`, a file that lists sources line by line; or
            a source of your own, which is not closed here.
        config: How it is read.
        stages: Times the capture and the pose of pictures.
        note: Called with a line about what was opened.
        skipped: Called with a sentence about each of several files that cannot be read.
        environ: Names the cache of pose models.
        health: Counts and reports what is survived; None only reports, by `note`.

    Raises:
        ReadError: If a file cannot be read as what it is.
        MissingError: If a camera, package or pose model is not here.
        ConfigError: If the source or its settings contradict each other.
    """
    health = health or Health(lambda status: note(f"note: {status.sentence}"))
    with ExitStack() as stack:
        context = OpenContext(
            config=config, stages=stages, note=note, skipped=skipped, environ=environ, health=health, stack=stack
        )
        if not isinstance(source, str):
            yield _open_object(source, context)
            return
        entries, title = _entries(source, config.format)
        kinds = {_kind(entry) for entry in entries}
        if len(entries) == 1 and title is None:
            yield _open_address(entries[0], context)
        elif kinds == {CAMERA}:
            yield iter([_open_cameras(entries, context)])
        elif not any(kind.live for kind in kinds):
            note(f"source: {title}, {len(entries)} files")
            yield stack.enter_context(closing(_each_file(entries, context)))
        else:
            raise ConfigError(
                f"{title}: cameras go with cameras and files with files, got {', '.join(sorted(k.name for k in kinds))}"
                "; make a list of each and start amr-edge once for each"
            )


def is_live(source: str | SkeletonSource | ImageSource, format: str = "auto") -> bool:  # noqa: A002
    """True if a source delivers in real time and may drop frames; of several, if one does.

    Raises:
        ReadError: If it is a pattern that nothing fits, or a list that cannot be read.
    """
    if not isinstance(source, str):
        return bool(getattr(source, "live", False))
    return any(_kind(entry).live for entry in _entries(source, format)[0])


def has_pictures(source: str, format: str = "auto") -> bool:  # noqa: A002
    """True if a source gives pictures, in which joints must first be found; True if one of several does.

    A video that is not there gives none.

    Raises:
        ReadError: If it is a pattern that nothing fits, or a list that cannot be read.
    """
    entries = [(entry, _kind(entry)) for entry in _entries(source, format)[0]]
    return any(kind.images and (kind.live or Path(entry).is_file()) for entry, kind in entries)


def listed_files(source: str, format: str = "auto") -> list[str]:  # noqa: A002
    """The files of a pattern or a list of sources; of another source itself.

    Raises:
        ReadError: If it is a pattern that nothing fits, or a list that cannot be read.
    """
    return _entries(source, format)[0]


def _entries(source: str, format: str) -> tuple[list[str], str | None]:  # noqa: A002
    """The sources that a word stands for, and what they are together; None if it stands for itself."""
    path = Path(source)
    if source == "-" or "://" in source or source.isdecimal():
        return [source], None
    if path.is_dir():
        videos = sorted(str(each) for each in path.rglob("*") if _is_video_file(each))
        # A data set may come with its videos beside: its skeletons are what is meant.
        return (videos, f"{path}: videos") if videos and not _has_recordings(path, format) else ([source], None)
    if not path.exists() and glob.has_magic(source):
        # pathlib globs below a folder only; a pattern may begin anywhere.
        named = (Path(each) for each in glob.glob(source, recursive=True))  # noqa: PTH207
        found = sorted(str(each) for each in named if each.is_file() and not each.name.startswith("._"))
        if not found:
            raise ReadError(f"{source}: expected files of that pattern, there are none; check the path")
        return found, source
    if path.is_file() and path.suffix.lower() in LISTS and format == "auto" and not _recognized(path):
        return _read_list(path), str(path)
    return [source], None


def _is_video_file(path: Path) -> bool:
    """True for a video; `._NAME` is what macOS leaves beside NAME on foreign disks."""
    return path.suffix.lower() in VIDEOS and not path.name.startswith("._") and path.is_file()


def _read_list(path: Path) -> list[str]:
    """The sources that a file lists, one a line; # begins a remark."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin files with a byte order mark
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
    return readers.recognize(path) is not None


def _has_recordings(folder: Path, format: str) -> bool:  # noqa: A002
    try:
        readers.find(folder, format)
    except ReadError as refusal:
        return "expected one format" in str(refusal)
    return True


def _kind(address: str) -> SourceKind:
    key = factories.key_of(address, SOURCES)
    if key is not None:
        return SOURCES[key]
    # A device that is not plugged in is a missing camera, not a missing recording.
    device = Path(address).is_char_device() or address.startswith("/dev/")
    return CAMERA if address.isdecimal() or "://" in address or device else RECORDED


def _open_address(address: str, context: OpenContext) -> Iterator[SourceRun]:
    """The recordings of one address, which is opened now and released with the stack."""
    kind = _kind(address)
    factory = factories.load(kind.factory)
    if not kind.images:
        opened: SkeletonSource | Iterable[SourceRun] = factory(address, context)
        return _run_of(opened, context) if isinstance(opened, SkeletonSource) else iter(opened)
    # The model comes first: a camera that is already running would fill up meanwhile.
    estimator = _estimator(context)
    pictures: ImageSource = context.stack.enter_context(closing(factory(address, context)))
    # A stream's address may hold a password: its title does not.
    title = pictures.title if "://" in address else Path(address).name
    return _run_with_poses(pictures, title, estimator, context)


def _open_object(source: SkeletonSource | ImageSource, context: OpenContext) -> Iterator[SourceRun]:
    """The recording of a source that a program has opened, and closes."""
    if isinstance(source, ImageSource):
        return _run_with_poses(source, source.title, _estimator(context), context)
    if isinstance(source, SkeletonSource):
        return _run_of(source, context)
    raise ConfigError(
        f"expected an address or an object with the attributes of SkeletonSource or ImageSource as source, got "
        f"{type(source).__name__}; docs/extending.md has an example of each"
    )


def _estimator(context: OpenContext) -> PoseEstimator:
    config = context.config
    if config.pose == NONE:
        raise ConfigError(
            "pictures have no joints of their own and --pose none finds none; choose an estimator, or give a source "
            "of skeletons"
        )
    if not isinstance(config.pose, str):
        return config.pose
    estimator = open_pose(config.pose, people=config.people, environ=context.environ)
    return context.stack.enter_context(closing(estimator))


def _each_file(entries: Sequence[str], context: OpenContext) -> Generator[SourceRun, None, None]:
    """The recordings of several files, each opened when its turn comes.

    Raises:
        ReadError: If none of them can be read, with the first reason.
    """
    first: ReadError | None = None
    read_any = False
    for entry in entries:
        with ExitStack() as stack:
            try:
                for run in _open_address(entry, replace(context, note=lambda _: None, stack=stack)):
                    read_any = True
                    yield run
            except ReadError as refusal:
                first = first or refusal
                context.skipped(str(refusal))
    if not read_any and first is not None:
        raise first


def _open_cameras(entries: Sequence[str], context: OpenContext) -> CameraGroup:
    """Several cameras at the same time, each with an estimator of its own, which follows its people."""
    if not isinstance(context.config.pose, str):
        raise ConfigError("several cameras need an estimator each, got one that is open already; give its name as pose")
    news = threading.Condition()
    cameras: list[Camera] = []
    first: MissingError | None = None
    for entry in entries:
        device = int(entry) if entry.isdecimal() else entry
        try:
            camera = Camera(device, stale_s=context.config.stale_s, health=context.health, news=news)
        except MissingError as refusal:
            first = first or refusal
            context.health.add(Status(source=entry.rpartition("@")[2], state="unopened", sentence=str(refusal)))
        else:
            cameras.append(context.stack.enter_context(camera))
    if not cameras:
        raise first or ConfigError("a list of cameras needs at least one")
    estimators = [_FaultTolerantEstimator(_estimator(context), camera.title, context) for camera in cameras]
    context.note(f"source: {', '.join(camera.title for camera in cameras)}; {estimators[0].inner.title}")
    pairs = zip(cameras, estimators, strict=True)
    runs = tuple(_run(camera, camera.title, estimator.inner, frames=()) for camera, estimator in pairs)

    def frames() -> Iterator[tuple[int, Frame]]:
        for place, picture in context.stages.each("capture", _as_they_come(cameras, news)):
            frame = estimators[place](picture)
            if frame is not None:
                yield place, frame

    return CameraGroup(takes=runs, frames=frames())


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


class _FaultTolerantEstimator:
    """An estimator whose failures on single pictures are counted, reported and survived."""

    def __init__(self, inner: PoseEstimator, title: str, context: OpenContext) -> None:
        self.inner = inner
        self._title = title
        self._stages = context.stages
        self._health = context.health
        self._in_a_row = 0

    def __call__(self, picture: Image) -> Frame | None:
        """The people in a picture; None if the estimator fails on it.

        Raises:
            ClipError: If it has failed on so many pictures in a row that it is no accident.
        """
        try:
            with self._stages.timed("pose"):
                frame = self.inner(picture)
        except ClipError as failure:
            self._in_a_row += 1
            if self._in_a_row >= FAILURES:
                raise
            sentence = f"{self._title}: {failure}; such pictures are left out and counted"
            self._health.add(Status(source=self._title, state="failed", sentence=sentence, time_s=picture.time_s))
            return None
        self._in_a_row = 0
        return frame


def _run_of(source: SkeletonSource, context: OpenContext) -> Iterator[SourceRun]:
    """A source of skeletons as one recording."""
    context.note(f"source: {source.title}")
    speed = 0.0 if is_live(source) else context.config.speed
    return iter([SourceRun(title=source.title, layout=source.layout, units=source.units, frames=paced(source, speed))])


def _run_with_poses(
    source: ImageSource, title: str, estimator: PoseEstimator, context: OpenContext
) -> Iterator[SourceRun]:
    """The pictures of a source with the people that an estimator finds in them, as one recording."""
    context.note(f"source: {source.title}; {estimator.title}")
    find = _FaultTolerantEstimator(estimator, title, context)
    speed = 0.0 if source.live else context.config.speed

    def frames() -> Iterator[Frame]:
        for picture in context.stages.each("capture", paced(_to_the_end(source, title, context.health), speed)):
            frame = find(picture)
            if frame is not None:
                yield frame

    return iter([_run(source, title, estimator, frames())])


def _run(source: ImageSource, title: str, estimator: PoseEstimator, frames: Iterable[Frame]) -> SourceRun:
    return SourceRun(
        title=title, layout=estimator.layout, units=estimator.units, frames=frames, fps=source.fps, size=source.size
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
