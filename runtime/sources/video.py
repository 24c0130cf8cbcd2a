"""The pictures of a video file or a camera, each with the time it was taken.

A file gives every picture it has, as fast as it is read. A camera is read in a thread of its own, which
keeps only the newest picture: a slow reader misses pictures, learns how many, and never falls behind. A camera that
breaks off is opened again, for as long as it takes, with longer and longer pauses.
"""

import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError, MissingError, ReadError
from amr_edge.optional_dependencies import require
from amr_edge.runtime.frame import Image
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.protocols import SILENT_S, STALE_S, OpenContext

_TRUNCATED = 0.95  # a file that gives less than this share of the pictures and of the time it states is cut short
_LONGEST_S = 1e7  # 115 days; a timestamp beyond it, or below zero, is damage
_PAUSES_S = (0.2, 5.0)  # between attempts to open a camera that broke off: at first, doubling, at most
_GLANCE_S = 0.1  # how often a waiting reader wakes, to notice silence
_JOIN_S = 2.0


def _opencv() -> Any:
    """OpenCV with its diagnostics off: errors are reported once, as our own sentence.

    Setting OPENCV_LOG_LEVEL or OPENCV_FFMPEG_LOGLEVEL brings the diagnostics back.
    """
    require("video", "reading video and cameras")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when FFmpeg is first used
    try:
        import cv2
    except (ImportError, OSError) as cause:
        raise MissingError(
            f"OpenCV is installed but does not load ({cause}); on Debian or Ubuntu type: apt-get install libgl1 "
            'libglib2.0-0, or use the build without windows: pip install "amr-edge[video]"'
        ) from cause
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def _frame_rate(cv2: Any, capture: Any) -> float:
    """Pictures per second as the source states them; NaN where it states none or nonsense."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0 < fps <= 1000 else math.nan


def rising(stated_s: float, *, last_s: float, fps: float) -> float:
    """Time of a picture, later than the one before it.

    Args:
        stated_s: What the file says; some say 0 for the last pictures, some nothing, damaged ones anything.
        last_s: The time of the picture before, -inf for the first.
        fps: Pictures per second, NaN where unknown.

    Returns:
        What the file says if that is later, else one frame later (0 for the first picture); NaN where there is no
        telling.

    >>> rising(0.0, last_s=3.5, fps=2.0)
    4.0
    """
    if 0 <= stated_s <= _LONGEST_S and stated_s > last_s:
        return stated_s
    return 0.0 if last_s == -math.inf else last_s + 1 / fps


class VideoFile:
    """A video file as pictures; it can be gone through again.

    Attributes:
        fps: Pictures per second as the file states them, NaN where it does not.
        size: Width and height, as the pictures are handed out (a phone's upright video is upright).
        live: False: every picture is handed out.
        title: What it is, in a line.
        length: Pictures, as the file states them; None where it does not.
    """

    live: bool = False

    def __init__(self, path: Path) -> None:
        """Open a video file and look at its first picture.

        Raises:
            ReadError: If there is no such file, or no picture in it.
            MissingError: If OpenCV is not installed.
        """
        if path.is_dir() or not path.exists():
            what = "a folder" if path.is_dir() else "nothing of that name"
            raise ReadError(f"{path}: expected a video file, there is {what}; check the path")
        self._cv2 = cv2 = _opencv()
        self._path = path
        self._closed = False
        self._captures: list[Any] = []  # what `close` has to release
        capture = self._open()
        try:
            self.fps = _frame_rate(cv2, capture)
            count = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            image = self._next(capture)
        finally:
            capture.release()
        # Streams that were recorded without an end state a negative or an enormous count.
        self.length: int | None = int(count) if 0 < count < 1e9 else None
        if image is None:
            raise ReadError(f"{path}: this video holds no picture that can be decoded; play it, or record it again")
        self.size = (int(image.shape[1]), int(image.shape[0]))
        self.title = path.name

    def __iter__(self) -> Iterator[Image]:
        """Every picture, in order, from the first.

        The time of a picture is what the file says; where that does not rise, the time before plus one frame.

        Raises:
            ReadError: If the file ends well before the end it states, if it states neither times nor a rate, or
                after `close`.
        """
        if self._closed:
            raise ReadError(f"{self._path}: the video has been closed; open it again")
        capture = self._open()
        self._captures.append(capture)
        last_s, count = -math.inf, 0
        while not self._closed and (image := self._next(capture)) is not None:
            stated_s = float(capture.get(self._cv2.CAP_PROP_POS_MSEC)) / 1000
            last_s = rising(stated_s, last_s=last_s, fps=self.fps)
            if math.isnan(last_s):
                raise ReadError(
                    f"{self._path}: this video states neither the time of picture {count + 1} nor a frame rate; "
                    "write it anew, for example: ffmpeg -i IN -r 30 OUT.mp4"
                )
            count += 1
            yield Image(image=image, time_s=last_s)
        if not self._closed:
            self._check_whole(last_s, count)
            capture.release()
            self._captures.remove(capture)

    def _check_whole(self, last_s: float, count: int) -> None:
        """Refuse a file that ended before its end, once what it had has been handed out."""
        if self.length is None or math.isnan(self.fps):
            return
        # Some containers only estimate the number of pictures, so the duration must fall short as well.
        lasted_s = last_s + 1 / self.fps
        if count < _TRUNCATED * self.length and lasted_s < _TRUNCATED * self.length / self.fps:
            raise ReadError(
                f"{self._path}: the file states {self.length} pictures, {count} could be read, up to {last_s:.1f} s; "
                "it is cut short or damaged, copy or record it again"
            )

    def _open(self) -> Any:
        """An OpenCV capture that stands before the first picture."""
        capture = self._cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            size = self._path.stat().st_size
            raise ReadError(
                f"{self._path}: expected a video that OpenCV can open, got a file of {size:,} bytes that "
                f"{'is empty' if size == 0 else 'is none, is cut short or has a codec that this build lacks'}; "
                "play it, or write it anew, for example: ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
        return capture

    def _next(self, capture: Any) -> NDArray[np.uint8] | None:
        """The next picture, (H, W, 3), RGB; None at the end."""
        try:
            good, image = capture.read()
        except self._cv2.error as cause:
            raise ReadError(f"{self._path}: OpenCV cannot decode this video ({str(cause).strip()})") from cause
        return self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB) if good else None

    def close(self) -> None:
        """Release the file; closing twice is allowed."""
        self._closed = True
        for capture in self._captures:
            capture.release()
        self._captures.clear()

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Camera:
    """A camera, the newest picture at any time: pictures not taken in time are dropped and counted.

    Attributes:
        fps: Pictures per second as the camera states them, NaN where it does not.
        size: Width and height.
        live: True: pictures are dropped.
        title: What it is, in a line; a stream's password is left out.
        dropped: Pictures that were read and not taken, so far.
        news: Notified of each new picture.
    """

    live: bool = True

    def __init__(
        self,
        device: int | str,
        *,
        patience_s: float = 10.0,
        stale_s: float = STALE_S,
        silent_s: float = SILENT_S,
        give_up_s: float | None = None,
        health: Health | None = None,
        news: threading.Condition | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a camera and start reading it.

        Args:
            device: Its number (0 is the first), its device path (`/dev/video0`), or the address of a stream
                (`rtsp://...`, `http://...`).
            patience_s: How long to wait for the first picture.
            stale_s: A picture older than this is not handed out any more, a newer one is waited for.
            silent_s: A camera that gives no picture for so long counts as lost, as one that breaks off does. It is
                opened again, first after 0.2 s, then after twice as long each time, up to 5 s.
            give_up_s: A camera lost for so long is given up; None never gives up.
            health: Counts and reports losses and returns, in the thread that reads pictures.
            news: Notified of each new picture; cameras that are waited for together share one.
            clock: Seconds that rise; a picture's time is when it was read, counted from the opening.

        Raises:
            MissingError: If there is no such camera, it gives no picture, or OpenCV is not installed.
            ConfigError: If a duration is not positive, or the number is negative.
        """
        limits = [patience_s, stale_s, silent_s, *([] if give_up_s is None else [give_up_s])]
        if not all(limit_s > 0 for limit_s in limits):
            raise ConfigError(f"a camera's patience, staleness and silence must be more than 0 s, got {limits}")
        if isinstance(device, int) and device < 0:
            raise ConfigError(f"cameras are numbered from 0, got {device}")
        self._cv2 = _opencv()
        self._device = device
        self._name = f"camera {device}" if isinstance(device, int) else _without_password(device)
        self._patience_s, self._stale_s = patience_s, stale_s
        self._silent_s, self._give_up_s = silent_s, give_up_s
        self._health = health
        self._clock = clock
        self.news = news if news is not None else threading.Condition()  # guards the five below
        self._newest: tuple[NDArray[np.uint8], float] | None = None
        self._read = 0  # pictures so far
        self._read_s = 0.0  # when the newest came
        self._breaks = 0  # how often it broke off
        self._handed: int | None = None  # what `_read` was when a picture was last handed out
        self._reported_breaks = 0
        self._lost = False  # has been reported
        self.dropped = 0
        self._closed = threading.Event()
        self._begun_s = clock()
        capture = self._connect()
        if not capture.isOpened():
            raise MissingError(self._absent())
        self.fps = _frame_rate(self._cv2, capture)
        self._thread = threading.Thread(target=self._work, args=(capture,), name=f"amr-edge {self._name}", daemon=True)
        self._thread.start()
        try:
            image = self._first()
        except BaseException:
            self.close()
            raise
        self.size = (int(image.shape[1]), int(image.shape[0]))
        self.title = self._name

    def __iter__(self) -> Iterator[Image]:
        """The newest picture, whenever one is read, until `close`.

        Raises:
            MissingError: If the camera has been lost for `give_up_s`, or after `close`.
        """
        if self.closed:
            raise MissingError(f"{self._name}: the camera has been closed; open it again")
        while not self.closed:
            picture = self.poll()
            if picture is not None:
                yield picture
                continue
            with self.news:
                self.news.wait_for(self.stirs, timeout=_GLANCE_S)

    @property
    def closed(self) -> bool:
        """True if `close` has been called."""
        return self._closed.is_set()

    def stirs(self) -> bool:
        """True if `poll` would return something; call it while `news` is held."""
        return self._newest is not None or self._breaks > self._reported_breaks or self.closed

    def poll(self) -> Image | None:
        """The newest picture, taken out of the slot; None if there is no fresh one. Losses are reported from here.

        Raises:
            MissingError: If the camera has been lost for `give_up_s`.
        """
        with self.news:
            newest, read, breaks, read_s = self._newest, self._read, self._breaks, self._read_s
            self._newest = None
        now_s = self._clock() - self._begun_s
        silent_s = now_s - read_s
        broke = breaks > self._reported_breaks
        if (broke or silent_s > self._silent_s) and not self._lost:
            why = "the connection broke off" if broke else f"no picture for {self._silent_s:g} s"
            self._report("lost", f"{self._name}: lost at {read_s:.1f} s ({why}); trying again until it is back", read_s)
        self._lost = self._lost or broke or silent_s > self._silent_s
        self._reported_breaks = breaks
        if newest is None:
            if self._give_up_s is not None and silent_s > self._give_up_s:
                raise MissingError(
                    f"{self._name}: opened, but no picture has come for {self._give_up_s:g} s; check the cable or the "
                    "network, close other programs that use it, then start again"
                )
            return None
        image, time_s = newest
        if self._lost:
            self._lost = False
            self._report("back", f"{self._name}: back at {time_s:.1f} s", time_s)
        if now_s - time_s > self._stale_s:
            return None
        # Before the first picture there was no reader, so nothing was missed.
        missed = 0 if self._handed is None else read - self._handed - 1
        self._handed = read
        self.dropped += missed
        return Image(image=image, time_s=time_s, dropped=missed)

    def _report(self, state: Literal["lost", "back"], sentence: str, time_s: float) -> None:
        if self._health is not None:
            self._health.add(Status(source=self._name, state=state, sentence=sentence, time_s=time_s))

    def _first(self) -> NDArray[np.uint8]:
        """The first picture, left in the slot."""
        with self.news:
            self.news.wait_for(lambda: self._newest is not None, timeout=self._patience_s)
            if self._newest is None:
                raise MissingError(
                    f"{self._name}: opened, but no picture has come for {self._patience_s:g} s; check the cable or the "
                    "network, close other programs that use it, then start again"
                )
            return self._newest[0]

    def _work(self, capture: Any) -> None:
        """Read pictures until `close`; runs in the camera's own thread, which alone touches `capture`."""
        last_s = -math.inf
        pause_s, longest_s = _PAUSES_S
        opened_s = self._clock()
        whole = True  # has given a picture since it was opened
        try:
            while not self.closed:
                image, read_s = self._grab(capture)
                if image is None:
                    capture.release()
                    if whole and self._clock() - opened_s > longest_s:
                        pause_s = _PAUSES_S[0]  # a connection that held for long is worth another quick try
                    with self.news:
                        self._breaks += whole
                        self.news.notify_all()
                    whole = False
                    if self._closed.wait(pause_s):
                        return
                    pause_s = min(2 * pause_s, longest_s)
                    capture, opened_s = self._connect(), self._clock()
                    continue
                whole = True
                last_s = read_s if read_s > last_s else last_s + 1e-6  # a coarse clock may stand still
                with self.news:
                    self._newest, self._read_s = (image, last_s), last_s
                    self._read += 1
                    self.news.notify_all()
        finally:
            capture.release()

    def _grab(self, capture: Any) -> tuple[NDArray[np.uint8] | None, float]:
        """The camera's next picture, (H, W, 3) RGB, and when it came; None where it gives none."""
        try:
            good = capture.grab()
            read_s = self._clock() - self._begun_s  # before decoding, which takes its time
            good, image = capture.retrieve() if good else (False, None)
        except self._cv2.error:
            good, image, read_s = False, None, math.nan  # as good as no picture: it is opened again
        return (self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB) if good else None), read_s

    def _connect(self) -> Any:
        """An OpenCV capture of the device, open or not."""
        cv2 = self._cv2
        if isinstance(self._device, str) and "://" in self._device:
            backends = cv2.videoio_registry.getStreamBackends()
            if cv2.CAP_FFMPEG in backends:
                patience_ms, silent_ms = (max(1, round(s * 1000)) for s in (self._patience_s, self._silent_s))
                limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, patience_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, silent_ms]
                return cv2.VideoCapture(self._device, cv2.CAP_FFMPEG, limits)
        return cv2.VideoCapture(self._device)

    def _absent(self) -> str:
        """Why there is no camera, and what to try."""
        if isinstance(self._device, str) and "://" in self._device:
            return f"{self._name}: this stream cannot be opened; check the address, the password and the network"
        found = sorted(path.name for path in Path("/dev").glob("video*")) if sys.platform.startswith("linux") else []
        here = f"cameras here are {', '.join(found)}" if found else "this machine shows no camera"
        hint = {
            "linux": f"{here} under /dev; plug one in, close other programs that use it, add yourself to the group "
            "video, in a container pass --device /dev/video0",
            "darwin": "plug one in and allow the terminal to use it in System Settings, Privacy, Camera",
            "win32": "plug one in, close other programs that use it and allow desktop apps to use the camera",
        }.get(sys.platform, "plug one in and close other programs that use it")
        return f"{self._name}: cannot be opened; {hint}, or give a video file or a recording as --source"

    def close(self) -> None:
        """Release the camera; closing twice is allowed."""
        self._closed.set()
        with self.news:
            self.news.notify_all()
        if self._thread is not threading.current_thread():
            # A driver may sit in a read; the thread is a daemon and releases the device when that returns.
            self._thread.join(timeout=_JOIN_S)

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_video(path: str, context: OpenContext) -> VideoFile:  # noqa: ARG001 - of every factory
    """The source of a video file."""
    return VideoFile(Path(path))


def open_camera(device: str, context: OpenContext) -> Camera:
    """The source of a camera's number, device path or address."""
    return Camera(int(device) if device.isdecimal() else device, stale_s=context.config.stale_s, health=context.health)


def _without_password(address: str) -> str:
    """An address without the name and password in it.

    >>> _without_password("rtsp://me:secret@door.local/1")
    'rtsp://door.local/1'
    """
    return re.sub(r"(?<=://)[^/]*@", "", address)
