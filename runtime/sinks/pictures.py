"""Scenes as pictures: into an MP4, and into a window on this machine's screen."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from amr_edge.errors import ReadError
from amr_edge.extras import require
from amr_edge.runtime.draw import Film, Painter, Scene

TITLE = "amr-edge"
HEAD = 8  # bytes before each picture: width and height


class FilmSink:
    """Scenes into a film; the drawing and encoding happen here, beside recognition."""

    def __init__(self, path: Path, *, mirror: bool) -> None:
        """A sink; see `Film` for what is refused."""
        self.title = str(path)
        self.film = Film(path, mirror=mirror)
        self._take = 0

    def open(self) -> None:
        """The file appears with the first frame."""

    def send(self, item: Scene) -> None:
        """Draw and encode a scene."""
        if item.take != self._take:
            self._take = item.take
            self.film.begin(item.fps)
        try:
            self.film.show(item.sighting, item.layout, item.people, item.banner)
        except ReadError as cause:
            raise OSError(str(cause)) from cause

    def drop(self) -> None:
        """A film cannot be taken up again: it goes on as it is."""

    def close(self) -> None:
        """Finish the film."""
        try:
            self.film.close()
        except ReadError as cause:
            raise OSError(str(cause)) from cause


class Window:
    """Scenes on the screen, shown by a process of its own: a display that hangs or aborts takes nobody with it."""

    title = "window"

    def __init__(self, *, mirror: bool, note: Callable[[str], None]) -> None:
        """A window; it opens with the first scene.

        Args:
            mirror: Show everything as in a mirror.
            note: Told in a line when the window is gone.

        Raises:
            MissingError: If OpenCV is not installed.
        """
        require("video", "a window (--show)")
        self._painter: Painter | None = None
        self._mirror = mirror
        self._note = note
        self._process: subprocess.Popen[bytes] | None = None
        self._gone = False
        self._take = 0

    def open(self) -> None:
        """It opens with the first scene."""

    def send(self, item: Scene) -> None:
        """Show a scene; after the window was closed, nothing."""
        if self._gone:
            return
        if self._painter is None:
            import cv2

            self._painter = Painter(cv2, mirror=self._mirror)
        if item.take != self._take:
            self._take = item.take
            self._painter.begin()
        image = self._painter.paint(item.sighting, item.layout, item.people, item.banner)
        if self._process is None:
            command = [
                sys.executable,
                "-c",
                f"from {__name__} import show; import sys; sys.exit(show(sys.stdin.buffer))",
            ]
            # Not our group: Ctrl-C is for us, and the window closes when we have finished.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
            )
        pipe = self._process.stdin
        if pipe is None:
            raise OSError("the window has no pipe")
        try:
            pipe.write(image.shape[1].to_bytes(4, "little") + image.shape[0].to_bytes(4, "little") + image.tobytes())
            pipe.flush()
        except BrokenPipeError:
            self._gone = True
            closed = self._process.wait() == 0
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


def show(stream: IO[bytes], title: str = TITLE) -> int:
    """Show the pictures of a stream until it ends, or until the window is closed or q or Esc is pressed.

    Returns:
        The exit code of the process that this is: 0, or 3 where no window can be opened.
    """
    import cv2
    import numpy as np

    window: Any = cv2
    try:
        window.namedWindow(title, window.WINDOW_NORMAL | window.WINDOW_KEEPRATIO | window.WINDOW_GUI_NORMAL)
        first = True
        while len(head := stream.read(HEAD)) == HEAD:
            width, height = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
            body = stream.read(width * height * 3)
            if len(body) < width * height * 3:
                break
            image = np.frombuffer(body, np.uint8).reshape(height, width, 3)
            if first:
                window.resizeWindow(title, width, height)
                first = False
            window.imshow(title, window.cvtColor(image, window.COLOR_RGB2BGR))
            key = window.waitKey(1) & 0xFF
            if key in (ord("q"), 27) or window.getWindowProperty(title, window.WND_PROP_VISIBLE) < 1:
                break
    except cv2.error:
        return 3
    return 0


def no_display(environ: Mapping[str, str]) -> str | None:
    """Why no window can be shown here, in a few words; None if one can, as far as can be told beforehand."""
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
