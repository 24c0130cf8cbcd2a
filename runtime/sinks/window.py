"""Scenes in a window on this machine's screen, and the keys that are pressed there.

The window is a process of its own: a display that hangs or aborts does not end recognition.
"""

import math
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from amr_edge.optional_dependencies import require
from amr_edge.runtime.render.draw import Image, Painter, Scene

HEAD = 8  # bytes before each picture: width and height
QUIT = "q\x1b"  # q and Esc
_NO_KEY = 255
_KEYS = 64  # that wait; without a reader the oldest are dropped


class Window:
    """Scenes on the screen, and the keys that are pressed there."""

    title = "window"

    def __init__(
        self, *, mirror: bool, note: Callable[[str], None], name: str = "amr-edge", quit_keys: str = QUIT
    ) -> None:
        """A window; it opens with the first scene.

        Args:
            mirror: Show everything as in a mirror.
            note: Called with a line when the window is gone.
            name: What stands above it.
            quit_keys: The keys that close it.

        Raises:
            MissingError: If OpenCV is not installed.
        """
        require("video", "a window (--show)")
        self._mirror = mirror
        self._note = note
        self._name = name
        self._quit_keys = quit_keys
        self._painters: dict[int, Painter] = {}  # of each camera
        self._newest: dict[int, Image] = {}  # picture of each camera
        self._process: subprocess.Popen[bytes] | None = None
        self._pressed: deque[str] = deque(maxlen=_KEYS)
        self._take = 0
        self._gone = False

    def keys(self) -> str:
        """The keys since the last call; any thread may ask."""
        pressed = ""
        while self._pressed:
            pressed += self._pressed.popleft()
        return pressed

    def open(self) -> None:
        """It opens with the first scene."""

    def send(self, item: Scene) -> None:
        """Show a scene; after the window was closed, nothing."""
        if self._gone:
            return
        import cv2

        if item.take != self._take:
            self._take = item.take
            self._newest.clear()
            for painter in self._painters.values():
                painter.begin()
        if item.place not in self._painters:
            self._painters[item.place] = Painter(cv2, mirror=self._mirror)
        painter = self._painters[item.place]
        self._newest[item.place] = painter.paint(item.frame, item.layout, item.people, item.banner)
        image = tiled(cv2, self._newest, item.places)
        process = self._process = self._process or self._started()
        if process.stdin is None:
            raise OSError("the window has no pipe")
        try:
            process.stdin.write(
                image.shape[1].to_bytes(4, "little") + image.shape[0].to_bytes(4, "little") + image.tobytes()
            )
            process.stdin.flush()
        except BrokenPipeError:
            self._gone = True
            closed = process.wait() == 0
            self._note("the window was closed" if closed else "there is no window: this OpenCV or display shows none")

    def drop(self) -> None:
        """It stays."""

    def close(self) -> None:
        """Close the window."""
        if self._process is not None and not self._gone:
            self._gone = True
            if self._process.stdin is not None:
                self._process.stdin.close()
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        code = (
            f"import sys; from {__name__} import show; "
            "sys.exit(show(sys.stdin.buffer, sys.stdout.buffer, *sys.argv[1:]))"
        )
        command = [sys.executable, "-c", code, self._name, self._quit_keys]
        # Not our group: Ctrl-C is for us, and the window closes when we have finished.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(process.stdout,), name="amr-edge keys", daemon=True).start()
        return process

    def _listen(self, pipe: IO[bytes]) -> None:
        """Take the keys out of the pipe; runs in a thread of its own until the window is gone."""
        with pipe:
            while key := pipe.read(1):
                self._pressed.append(key.decode("latin-1"))


def tiled(cv2: Any, pictures: Mapping[int, Image], places: int) -> Image:
    """The newest pictures of all cameras beside each other, in about a square; black where there is none yet.

    Args:
        cv2: OpenCV.
        pictures: Place -> (H, W, 3), of any sizes.
        places: How many cameras there are; the tiles are of one size, which no picture leaves.

    Returns:
        (rows * h, columns * w, 3), of a single camera its picture as it is.
    """
    if places <= 1:
        return next(iter(pictures.values()))
    columns = math.ceil(math.sqrt(places))
    rows = math.ceil(places / columns)
    height, width = next(iter(pictures.values())).shape[:2]
    high, wide = max(height // rows, 1), max(width // columns, 1)
    sheet = np.zeros((rows * high, columns * wide, 3), dtype=np.uint8)
    for place, picture in pictures.items():
        scale = min(high / picture.shape[0], wide / picture.shape[1])
        h, w = (max(1, min(most, round(scale * side))) for most, side in zip((high, wide), picture.shape, strict=False))
        top = place // columns * high + (high - h) // 2
        left = place % columns * wide + (wide - w) // 2
        sheet[top : top + h, left : left + w] = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    return sheet


def show(pictures: IO[bytes], keys: IO[bytes], name: str, quit_keys: str) -> int:
    """Show the pictures of a stream until it ends, or until the window or one of `quit_keys` closes it; write each key.

    Returns:
        The exit code of the process that this is: 0, or 3 where no window can be opened.
    """
    import cv2

    window: Any = cv2
    try:
        window.namedWindow(name, window.WINDOW_NORMAL | window.WINDOW_KEEPRATIO | window.WINDOW_GUI_NORMAL)
        first = True
        while len(head := pictures.read(HEAD)) == HEAD:
            width, height = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
            body = pictures.read(width * height * 3)
            if len(body) < width * height * 3:
                break
            image = np.frombuffer(body, np.uint8).reshape(height, width, 3)
            if first:
                window.resizeWindow(name, width, height)
                first = False
            window.imshow(name, window.cvtColor(image, window.COLOR_RGB2BGR))
            key = window.waitKey(1) & 0xFF
            if key != _NO_KEY:
                keys.write(bytes([key]))
                keys.flush()
            if chr(key) in quit_keys or window.getWindowProperty(name, window.WND_PROP_VISIBLE) < 1:
                break
    except cv2.error:
        return 3
    return 0


def no_display(environ: Mapping[str, str]) -> str | None:
    """Why no window can be shown here, in a few words; None if one can, as far as is known beforehand."""
    if sys.platform != "linux" or environ.get("WAYLAND_DISPLAY"):
        return None
    display = environ.get("DISPLAY", "")
    if not display:
        return "no display is set (DISPLAY)"
    host, _, number = display.rpartition(":")
    if host in ("", "unix"):
        place = f"/tmp/.X11-unix/X{number.partition('.')[0]}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            knock.settimeout(1.0)
            if knock.connect_ex(place) and knock.connect_ex("\0" + os.fspath(place)):
                return f"nothing answers at the display {display}"
    return None
