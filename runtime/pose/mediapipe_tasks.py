"""Where people's joints are in a picture, according to MediaPipe's pose landmarker.

World landmarks are what the poses are made of: metres, the origin between this person's hips, whatever the camera.
So a pose does not contain *where* in the room a person stands, and two people lie on top of each other: a client that
follows people from picture to picture must go by `Frame.pixels`.

MediaPipe finds one person well. `people` above one works, costs time and loses the smoothing over time that it
does for a single person.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError, ConfigError, MissingError, ReadError
from amr_edge.optional_dependencies import require
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.pose import download, task_bundle
from amr_edge.skeleton import MEDIAPIPE33, Layout

# What the C++ side writes while all is well: log lines below the level of an error.
_CHATTER = re.compile(r"^(?:[WI]\d{4} |INFO: |WARNING: )")


class MediaPipePose:
    """A pose estimator: MediaPipe Tasks in VIDEO mode, on the CPU.

    Attributes:
        layout: `mediapipe33`.
        units: "m".
        title: What it is, in a line.
    """

    layout: Layout = MEDIAPIPE33
    units: str = "m"

    def __init__(
        self,
        model: Path,
        *,
        people: int = 1,
        detection: float = 0.5,
        tracking: float = 0.5,
        visibility: float = 0.5,
    ) -> None:
        """Open a pose model.

        Args:
            model: A `.task` bundle; `amr-edge pose fetch` brings one.
            people: How many people are looked for at most.
            detection: Score in [0, 1] from which a person counts as found, and as still there.
            tracking: Score in [0, 1] below which a person is searched for again in the whole picture.
            visibility: Probability in [0, 1] from which a joint counts as seen. Below it the joint is hidden or
                outside the picture and MediaPipe guesses; we call it absent. 0 keeps the guesses.

        Raises:
            MissingError: If MediaPipe, a system library of its, or the file is not here.
            ReadError: If the file is no pose model.
            ConfigError: If a number lies outside its range.
        """
        if people < 1:
            raise ConfigError(f"the number of people to look for must be at least 1, got {people}")
        for name, score in (("detection", detection), ("tracking", tracking), ("visibility", visibility)):
            if not 0 <= score <= 1:
                raise ConfigError(f"the {name} score must lie in [0, 1], got {score}")
        require("pose", "finding people in pictures")
        if not model.is_file():
            raise MissingError(f"{model}: there is no such pose model; type: amr-edge pose fetch full")
        self._people = people
        self._visibility = visibility
        self._last_ms = -1
        self._found = False
        self._landmarker: Any = None
        self.title = f"MediaPipe pose ({model.stem}), up to {people} {'person' if people == 1 else 'people'}"
        with without_chatter():
            try:
                import mediapipe as mp
                from mediapipe.tasks.python import BaseOptions, vision
            except (ImportError, OSError) as cause:
                raise MissingError(
                    f"MediaPipe is installed but does not load ({cause}); on Debian or Ubuntu type: "
                    "apt-get install libgl1 libglib2.0-0 libegl1 libgles2"
                ) from cause
            self._image, self._rgb = mp.Image, mp.ImageFormat.SRGB
            task_bundle.check(model)
            options = vision.PoseLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(model)),
                running_mode=vision.RunningMode.VIDEO,
                num_poses=people,
                min_pose_detection_confidence=detection,
                min_pose_presence_confidence=detection,
                min_tracking_confidence=tracking,
            )
            try:
                self._landmarker = vision.PoseLandmarker.create_from_options(options)
            except OSError as cause:
                raise MissingError(
                    f"{model}: MediaPipe cannot start ({_line(cause)}); on Debian or Ubuntu type: "
                    "apt-get install libgl1 libglib2.0-0 libegl1 libgles2"
                ) from cause
            except (RuntimeError, ValueError) as cause:
                raise ReadError(
                    f"{model}: MediaPipe refuses this pose model ({_line(cause)}); "
                    "type: amr-edge pose fetch full --force"
                ) from cause

    def __call__(self, picture: Image) -> Frame:
        """The people in a picture.

        Args:
            picture: Pictures are expected in the order of time; one whose time does not rise is treated as one
                millisecond later than the picture before.

        Returns:
            A frame with P people, P up to `people`: poses (P, 33, 3) in metres from the middle of that person's
            hips, x to the right of the picture, y up, z towards the camera; pixels (P, 33, 2); ids None. A joint
            that is not seen is NaN in both.

        Raises:
            ClipError: If the picture is no (H, W, 3) uint8 array, its time is not finite, MediaPipe fails on it, or
                we are closed.
        """
        if self._landmarker is None:
            raise ClipError("the pose estimator is closed; open another one")
        image = picture.image
        picture.check()
        if not np.isfinite(picture.time_s):
            raise ClipError(f"a picture's time must be finite, got {picture.time_s}; give it the time of its capture")
        self._last_ms = max(self._last_ms + 1, round(picture.time_s * 1000))
        frame = self._image(image_format=self._rgb, data=np.ascontiguousarray(image))
        try:
            if self._found:
                seen = self._landmarker.detect_for_video(frame, self._last_ms)
            else:  # the landmark model has its say when it first runs
                with without_chatter():
                    seen = self._landmarker.detect_for_video(frame, self._last_ms)
                self._found = bool(seen.pose_landmarks)
        except (RuntimeError, ValueError) as cause:
            raise ClipError(
                f"MediaPipe failed on the picture at {picture.time_s:.3f} s ({_line(cause)}); try another --pose model"
            ) from cause
        height, width = image.shape[:2]
        poses, pixels = self._read(seen, width=width, height=height)
        return Frame(time_s=picture.time_s, poses=poses, pixels=pixels, picture=picture)

    def _read(self, seen: Any, *, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """MediaPipe's answer as poses (P, V, C) and pixels (P, V, 2), absent joints NaN."""
        V = len(self.layout)
        poses = np.array(
            # The world has y down and z away from the camera; half a turn about x makes it y up, right-handed.
            [[(joint.x, -joint.y, -joint.z) for joint in person] for person in seen.pose_world_landmarks],
            dtype=np.float32,
        ).reshape(-1, V, 3)  # (P, V, C), also for P = 0
        pixels = np.array(
            [[(joint.x * width, joint.y * height) for joint in person] for person in seen.pose_landmarks],
            dtype=np.float32,
        ).reshape(-1, V, 2)  # (P, V, 2)
        sure = np.array(
            [[joint.visibility or 0.0 for joint in person] for person in seen.pose_landmarks], dtype=np.float32
        ).reshape(-1, V)  # (P, V)
        here = sure >= self._visibility  # (P, V)
        poses[~here], pixels[~here] = np.nan, np.nan
        anyone = here.any(axis=1)  # (P,)
        return poses[anyone], pixels[anyone]

    def close(self) -> None:
        """Release the model; closing twice is allowed."""
        if self._landmarker is not None:
            landmarker, self._landmarker = self._landmarker, None
            with without_chatter():
                landmarker.close()

    def __enter__(self) -> "MediaPipePose":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_variant(variant: download.Variant, *, people: int, environ: Mapping[str, str]) -> MediaPipePose:
    """The estimator with a model of the cache.

    Raises:
        MissingError: If the model has not been fetched, or has changed since.
    """
    cache = download.cache_folder(environ)
    fault = download.fault(variant, cache)
    if fault is not None:
        raise MissingError(
            f"video and cameras need the pose model '{variant}', {cache} has none that can be used ({fault}); "
            f"type: amr-edge pose fetch {variant}"
        )
    return MediaPipePose(download.model_path(variant, cache), people=people)


def open_task(path: str, *, people: int, environ: Mapping[str, str]) -> MediaPipePose:  # noqa: ARG001 - of every factory
    """The estimator with a `.task` file."""
    return MediaPipePose(Path(path), people=people)


def _line(cause: BaseException) -> str:
    """The first line of a message."""
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


@contextmanager
def without_chatter() -> Iterator[None]:
    """Keep MediaPipe's information and warnings off stderr; anything else that is written there comes out after.

    The C++ side writes to file descriptor 2 and has no switch for it.
    """
    sys.stderr.flush()
    try:
        real = os.dup(2)
    except OSError:  # a process without stderr has nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            held.seek(0)
            for line in held.read().decode("utf-8", "replace").splitlines(keepends=True):
                if not _CHATTER.match(line):
                    os.write(real, line.encode())
            os.close(real)
