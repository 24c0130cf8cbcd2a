"""Draw skeletons over the image, or on black, with the label above each person, and write them as video."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError, ReadError
from amr_edge.optional_dependencies import require
from amr_edge.runtime.frame import Frame
from amr_edge.skeleton import Layout, Poses, present_joints

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Pixels = NDArray[np.float32]  # (..., 2) x to the right, y down

BLACK_SIZE = (640, 640)  # width and height of a video without pictures
MARGIN = 0.1  # of the black picture, on each side
HOT = (255, 72, 48)  # joints and moments that drove the label
FPS, FASTEST = 30.0, 120.0  # where the source does not say, and at most
STILL_S = 10.0  # a longer pause of the source is cut to this
# Colours that stay apart for people who do not see red and green apart (Okabe and Ito), RGB.
COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178))


class Person(NamedTuple):
    """A person to draw, with a caption."""

    id: int | None
    caption: str
    weights: NDArray[np.float32] | None = None  # (V,) in [0, 1]: how much each joint drove the label, 0 where unknown
    moments: NDArray[np.float32] | None = None  # (S,) in [0, 1]: the same for stretches of the window


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """Poses and captions of one instant.

    Attributes:
        take: Which take it belongs to: another number means that everything starts anew.
        title: Of the take.
        fps: The take's frame rate, NaN where unknown.
        layout: The layout of the poses.
        frame: Poses to draw.
        people: One for each pose of the frame.
        banner: Caption of the whole scene, "" for none.
        place: Which of the cameras that look at the same time it was seen by.
        places: How many there are.
    """

    take: int
    title: str
    fps: float
    layout: Layout
    frame: Frame
    people: tuple[Person, ...]
    banner: str
    place: int = 0
    places: int = 1


class Fit:
    """Scales poses onto a black picture: seen from the front, x to the right, y up, as large as fits.

    The scale only ever shrinks, so that a video does not breathe with its people.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = np.array(size, dtype=np.float64)
        self._low = np.full(2, np.inf)
        self._high = np.full(2, -np.inf)

    def __call__(self, poses: Poses) -> Pixels:
        """(P, V, C), y up -> (P, V, 2) pixels, y down; absent joints stay NaN."""
        flat = poses[..., :2].astype(np.float64)
        seen = flat[present_joints(poses)]  # (joints, 2)
        if seen.size:
            self._low = np.minimum(self._low, seen.min(axis=0))
            self._high = np.maximum(self._high, seen.max(axis=0))
        if not np.isfinite(self._low).all():
            return np.full(flat.shape, np.nan, dtype=np.float32)
        extent = np.maximum(self._high - self._low, 1e-6)
        scale = float(((1 - 2 * MARGIN) * self._size / extent).min())
        offset = (flat - (self._low + self._high) / 2) * scale * (1, -1)
        return np.asarray(self._size / 2 + offset, dtype=np.float32)


def mirrored(image: Image, pixels: Pixels) -> tuple[Image, Pixels]:
    """Picture and joints as in a mirror; only for the eye, the model never sees this."""
    x = image.shape[1] - 1 - pixels[..., :1]
    return np.ascontiguousarray(image[:, ::-1]), np.concatenate([x, pixels[..., 1:]], axis=-1)


def draw(cv2: Any, image: Image, pixels: Pixels, layout: Layout, people: Sequence[Person], banner: str) -> None:
    """Draw skeletons, captions and the banner into `image`.

    Args:
        cv2: OpenCV.
        image: (H, W, 3), changed in place.
        pixels: (P, V, 2), absent joints NaN.
        layout: The layout of the joints.
        people: P people.
        banner: What is written at the top, "" for nothing.
    """
    thick = max(1, round(min(image.shape[:2]) / 240))
    taken: list[tuple[int, int, int, int]] = []
    _write(cv2, image, banner, (4.0 * thick, 0.0), (255, 255, 255), taken)
    for place, (joints, person) in enumerate(zip(pixels, people, strict=True)):
        color = COLOURS[(place if person.id is None else person.id) % len(COLOURS)]
        here = np.isfinite(joints).all(axis=-1)  # (V,)
        if not here.any():
            continue
        # OpenCV takes 32-bit numbers; a joint far outside the picture is outside all the same.
        points = np.clip(np.where(here[:, None], joints, 0), -10_000, 10_000).round().astype(int).tolist()
        for parent, child in layout.bones:
            if here[parent] and here[child]:
                cv2.line(image, points[parent], points[child], color, thick, cv2.LINE_AA)
        weights = np.zeros(len(here)) if person.weights is None else person.weights
        for index in np.flatnonzero(here):
            weight = float(weights[index])
            shade = tuple(round((1 - weight) * cold + weight * hot) for cold, hot in zip(color, HOT, strict=True))
            cv2.circle(image, points[index], thick + 1 + round(5 * thick * weight), shade, -1, cv2.LINE_AA)
        left, top = np.nanmin(joints[:, 0]), np.nanmin(joints[:, 1])
        _write(cv2, image, person.caption, (float(left), float(top) - 6 * thick), color, taken)
    strips = [person for person in people if person.moments is not None and len(person.moments)]
    for row, person in enumerate(reversed(strips)):
        _strip(cv2, image, person, row, thick)


def _strip(cv2: Any, image: Image, person: Person, row: int, thick: int) -> None:
    """The window of a person along the lower edge, past to present, hot where it drove the label."""
    height, width = image.shape[:2]
    high = 6 * thick
    bottom = height - 1 - row * (high + thick)
    color = COLOURS[(row if person.id is None else person.id) % len(COLOURS)]
    moments = np.empty(0) if person.moments is None else person.moments
    for place, weight in enumerate(moments.tolist()):
        left, right = (round(edge * (width - 1) / len(moments)) for edge in (place, place + 1))
        shade = tuple(round(weight * hot) for hot in HOT)
        cv2.rectangle(image, (left, bottom - high), (right, bottom), shade, -1)
    cv2.rectangle(image, (0, bottom - high), (width - 1, bottom), color, 1)


def _write(
    cv2: Any,
    image: Image,
    text: str,
    at: tuple[float, float],
    color: tuple[int, int, int],
    taken: list[tuple[int, int, int, int]],
) -> None:
    """A line of text with a dark edge, moved so that it lies inside the picture and on no other text."""
    if not text:
        return
    height, width = image.shape[:2]
    font = cv2.FONT_HERSHEY_SIMPLEX
    # Versions of OpenCV draw letters of other sizes at one scale: it is measured, not assumed.
    (wide, high), _ = cv2.getTextSize(text, font, 1.0, 1)
    size = min(max(min(height, width) / 30, 10.0) / max(high, 1), 0.95 * width / max(wide, 1))
    thick = max(1, round(min(height, width) / 400))
    (wide, high), below = cv2.getTextSize(text, font, size, thick)
    gap = 2 * thick
    x = int(np.clip(at[0], gap, max(width - wide - gap, gap)))
    low, most = high + gap, max(height - below - gap, high + gap)
    y = int(np.clip(at[1], low, most))
    step = high + below + gap
    # Upwards first, as far as there is room, then downwards.
    for place in [*range(y, low - 1, -step), *range(y + step, most + 1, step)]:
        box = (x, place - high, x + wide, place + below)
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            y = place
            break
    taken.append((x, y - high, x + wide, y + below))
    cv2.putText(image, text, (x, y), font, size, (0, 0, 0), 3 * thick, cv2.LINE_AA)
    cv2.putText(image, text, (x, y), font, size, color, thick, cv2.LINE_AA)


class Painter:
    """Draws scenes as pictures of one size: that of the first."""

    def __init__(self, cv2: Any, *, mirror: bool = False) -> None:
        """A painter.

        Args:
            cv2: OpenCV.
            mirror: Show everything as in a mirror.
        """
        self._cv2 = cv2
        self._mirror = mirror
        self._fit = Fit(BLACK_SIZE)
        self._size: tuple[int, int] | None = None

    def begin(self) -> None:
        """A take begins: its people have nothing to do with those before."""
        self._fit = Fit(self._size or BLACK_SIZE)

    def size(self, frame: Frame) -> tuple[int, int]:
        """Width and height of every picture; decided by the first frame, even because codecs want that."""
        if self._size is None:
            if frame.picture is None:
                self._size = BLACK_SIZE
            else:
                height, width = frame.picture.image.shape[:2]
                self._size = (width - width % 2, height - height % 2)
            self.begin()
        return self._size

    def paint(self, frame: Frame, layout: Layout, people: Sequence[Person], banner: str) -> Image:
        """The picture (H, W, 3) RGB."""
        width, height = self.size(frame)
        if frame.picture is not None and frame.pixels is not None:
            seen = frame.picture.image
            # Takes of several sizes are all scaled to the first.
            scale = np.array([width / seen.shape[1], height / seen.shape[0]], dtype=np.float32)
            image: Image = self._cv2.resize(seen, (width, height)) if (scale != 1).any() else seen.copy()
            pixels = np.asarray(frame.pixels * scale, dtype=np.float32)
        else:
            image, pixels = np.zeros((height, width, 3), dtype=np.uint8), self._fit(frame.poses)
        if self._mirror:
            image, pixels = mirrored(image, pixels)
        draw(self._cv2, image, pixels, layout, people, banner)
        return image


class VideoWriter:
    """An MP4 of what was seen, at a constant frame rate and in the source's own time."""

    def __init__(self, path: Path, *, mirror: bool = False) -> None:
        """A video; the file appears with the first frame.

        Args:
            path: Where to write; it must end in .mp4.
            mirror: Show everything as in a mirror.

        Raises:
            ConfigError: If the name does not end in .mp4, or its folder does not exist.
            MissingError: If OpenCV is not installed.
        """
        if path.suffix.lower() != ".mp4":
            raise ConfigError(f"{path}: a video is written as MP4; give it a name that ends in .mp4")
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: the folder {path.parent} does not exist; make it first")
        require("video", "writing a video (--save)")
        import cv2

        self._cv2: Any = cv2
        self._path = path
        self._painter = Painter(cv2, mirror=mirror)
        self._writer: Any = None
        self._fps = FPS
        self._first_s = self._last_s = math.nan
        self._take_frames = 0  # of the take that is on
        self.frames = 0

    def begin(self, fps: float) -> None:
        """A take begins: its times have nothing to do with those before.

        Args:
            fps: The source's frame rate, NaN where unknown. The first take decides for the video.
        """
        if self._writer is None:
            self._fps = min(fps, FASTEST) if fps > 0 else FPS
        self._painter.begin()
        self._first_s = self._last_s = math.nan
        self._take_frames = 0

    def show(self, frame: Frame, layout: Layout, people: Sequence[Person], banner: str) -> None:
        """Add what is seen at one instant, as often as its time asks for.

        Raises:
            ReadError: If the file cannot be written.
        """
        if math.isnan(self._first_s):
            self._first_s = self._last_s = frame.time_s
        pause_s = frame.time_s - self._last_s
        self._first_s += max(pause_s - STILL_S, 0.0)
        self._last_s = frame.time_s
        # Half a frame of tolerance: times that are off by a hair must not double and drop frames in turn.
        due = math.floor((frame.time_s - self._first_s) * self._fps + 0.5) + 1 - self._take_frames
        if due <= 0:
            return
        if self._writer is None:
            self._open(self._painter.size(frame))
        image = self._painter.paint(frame, layout, people, banner)
        image = np.asarray(self._cv2.cvtColor(image, self._cv2.COLOR_RGB2BGR), dtype=np.uint8)
        for _ in range(due):
            self._writer.write(image)
        self._take_frames += due
        self.frames += due

    def _open(self, size: tuple[int, int]) -> None:
        codec = self._cv2.VideoWriter_fourcc(*"mp4v")
        writer = self._cv2.VideoWriter(str(self._path), codec, self._fps, size)
        if not writer.isOpened():
            raise ReadError(f"{self._path}: OpenCV cannot write an MP4 there; check the rights and the free space")
        self._writer = writer

    def close(self) -> None:
        """Finish the file, so that it can be played; closing twice is allowed.

        Raises:
            ReadError: If it cannot be played: OpenCV says nothing when the disk is full.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        capture = self._cv2.VideoCapture(str(self._path))
        there = int(capture.get(self._cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if there < self.frames:
            raise ReadError(
                f"{self._path}: {self.frames} frames were written, {there} can be read; check the free space"
            )

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
