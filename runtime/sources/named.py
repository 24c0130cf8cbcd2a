"""What the word after --source means: recorded skeletons, JSON lines, a video or a camera."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from amr_edge.errors import MissingError
from amr_edge.runtime.latency import Stages
from amr_edge.runtime.pose import fetch
from amr_edge.runtime.pose.mediapipe_tasks import MediaPipePose
from amr_edge.runtime.sighting import PictureSource, PoseEstimator, Sighting
from amr_edge.runtime.sources.recorded import RecordedSource, Take, paced, takes_of_lines
from amr_edge.runtime.sources.video import Camera, VideoFile

VIDEOS = frozenset(
    [".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"]
)


Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """How a source is read.

    Attributes:
        format: Format of recorded skeletons; "auto" recognises it.
        pose: For pictures: the name of a fetched pose model, or the path of one.
        people: For pictures: how many people are looked for.
        speed: For what is recorded: 0 as fast as it goes, 1 in real time.
    """

    format: str = "auto"
    pose: str = "full"
    people: int = 1
    speed: float = 0.0


@contextmanager
def opened(
    source: str, config: SourceConfig, *, stages: Stages, note: Note, skipped: Note, environ: Mapping[str, str]
) -> Iterator[Iterator[Take]]:
    """The takes of a source, which is released at the end.

    Args:
        source: A recorded file or folder, "-" for JSON lines on stdin, a video file, a camera's number, its
            device, or the address of a stream.
        config: How it is read.
        stages: Times the capture and the pose of pictures.
        note: Told in a line what was opened.
        skipped: Told in a sentence about each file of a folder that cannot be read.
        environ: Where the pose models are kept stands here.

    Raises:
        ReadError: If a file cannot be read as what it is.
        MissingError: If a camera, package or pose model is not here.
    """
    path = Path(source)
    if source == "-":
        note("source: JSON lines on stdin")
        yield takes_of_lines(sys.stdin, "stdin")
    elif source.isdecimal() or "://" in source or path.is_char_device() or path.suffix.lower() in VIDEOS:
        # The model comes first: a camera that is already running would fill up meanwhile.
        with _estimator(config, environ) as estimator, _pictures(source, path) as pictures:
            note(f"source: {pictures.title}; {estimator.title}")
            # A stream's address may hold a password: its title does not.
            title = path.name if "://" not in source else pictures.title
            yield iter([_seen(pictures, title, estimator, stages, config.speed)])
    else:
        recorded = RecordedSource(path, config.format, skipped=skipped)
        note(f"source: {recorded.title}")
        yield (replace(take, sightings=paced(take, config.speed)) for take in recorded)


def _seen(source: PictureSource, title: str, estimator: PoseEstimator, stages: Stages, speed: float) -> Take:
    """The pictures of a source with the people that an estimator sees in them, as one take."""

    def sightings() -> Iterator[Sighting]:
        for picture in stages.each("capture", paced(source, 0.0 if source.live else speed)):
            with stages.timed("pose"):
                sighting = estimator(picture)
            yield sighting

    return Take(
        title=title,
        layout=estimator.layout,
        units=estimator.units,
        sightings=sightings(),
        fps=source.fps,
        size=source.size,
    )


@contextmanager
def _pictures(source: str, path: Path) -> Iterator[PictureSource]:
    pictures: PictureSource
    if path.suffix.lower() in VIDEOS and "://" not in source:
        pictures = VideoFile(path)
    else:
        pictures = Camera(int(source) if source.isdecimal() else source)
    try:
        yield pictures
    finally:
        pictures.close()


@contextmanager
def _estimator(config: SourceConfig, environ: Mapping[str, str]) -> Iterator[PoseEstimator]:
    estimator = MediaPipePose(_pose_model(config.pose, environ), people=config.people)
    try:
        yield estimator
    finally:
        estimator.close()


def _pose_model(pose: str, environ: Mapping[str, str]) -> Path:
    """The pose model that a name or path means."""
    variant = next((variant for variant in fetch.VARIANTS if variant == pose), None)
    if variant is None:
        path = Path(pose)
        if not path.is_file():
            raise MissingError(
                f"there is no pose model '{pose}'; give {', '.join(fetch.VARIANTS)} or the path of a .task file, "
                "and type: amr-edge pose fetch full"
            )
        return path
    cache = fetch.cache_folder(environ)
    fault = fetch.fault(variant, cache)
    if fault is not None:
        raise MissingError(
            f"video and cameras need the pose model '{variant}', {os.fspath(cache)} has none that can be used "
            f"({fault}); type: amr-edge pose fetch {variant}"
        )
    return fetch.model_path(variant, cache)
