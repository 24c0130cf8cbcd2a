"""The local web page of `live --ui`: skeletons and predictions for a few viewers; recognition never waits for them.

Privacy: what leaves is joints and labels; pictures only if requested. The page is for this machine alone; on
another address it asks for a token. A page of the internet in the same browser gets nothing: the Host and Origin of
every request must be ours, which also ends DNS rebinding.
"""

import ipaddress
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import require
from amr_edge.runtime.render.draw import BLACK_SIZE, Fit, Scene
from amr_edge.runtime.sinks.async_sink import Record
from amr_edge.runtime.sinks.outbox import Outbox
from amr_edge.terminal import to_json

VIEWERS = 16  # at once; each costs a thread
FRAMES_PER_S = 15.0  # that a page gets; more is not seen
VIDEO_PER_S = 8.0
STATUS_S = 1.0
QUIET_S = 5.0  # after so long without a message a sign of life is sent, which finds out who has gone
STUCK_S = 10.0  # a viewer that takes nothing for so long is let go
EVENTS, ANSWERS, NOTES = 200, 400, 50  # what a late viewer receives
STATIC = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def is_loopback(host: str) -> bool:
    """True if an address means this machine and no other.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageConfig:
    """Address and contents of the page.

    Attributes:
        host: The address to listen at.
        port: The port; 0 takes one that is free.
        token: What a request must show; needed on every address but loopback.
        video: Show the pictures too.
        mirror: Show everything as in a mirror.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    video: bool = False
    mirror: bool = False

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.token:
            raise ConfigError(f"--ui-host {self.host}: other machines could see this page; it needs a token")


class Page:
    """The page and its server; `show` and `emit` return at once."""

    def __init__(
        self,
        card: Card,
        config: PageConfig | None = None,
        *,
        title: str,
        status: Callable[[], Record] = dict,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve.

        Args:
            card: Of the model.
            config: Where, and what; None serves skeletons at a free port of this machine.
            title: What the model is, in a line.
            status: The state of the run, queried once a second in the thread that calls `show`.
            now: Seconds on a clock that never goes back.

        Raises:
            ConfigError: If the address cannot be listened at.
            MissingError: If pictures are to be shown and OpenCV is not installed.
        """
        config = config or PageConfig()
        if config.video:
            require("video", "showing the video (--show-video)")
        self._config = config
        self._status = status
        self._now = now
        self._lock = threading.Lock()
        self._viewers: set[Outbox] = set()
        self._fits: dict[int, Fit] = {}  # of each camera
        self._take = 0
        self._reported_s = float("-inf")
        self._framed_s: dict[int, float] = {}  # when a frame of each camera was sent
        self._over = False
        self._shown: dict[int, Any] = {}  # the newest picture of each camera
        self._pictures = threading.Condition()
        self._hello: Record = {
            "kind": "hello",
            "model": title,
            "classes": list(card.classes),
            "none": card.none_class,
            "threshold": card.threshold,
            "window_s": card.prepare.window_s,
            "video": config.video,
            "mirror": config.mirror,
        }
        self._now_on: dict[int, Record] = {}  # what each camera is
        self._events: deque[str] = deque(maxlen=EVENTS)
        self._answers: deque[str] = deque(maxlen=ANSWERS)
        self._notes: deque[str] = deque(maxlen=NOTES)
        host = config.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = type("_Server", (_Server,), {"address_family": family})
        try:
            self._server: _Server = server((host, config.port), _Handler)
        except (OSError, OverflowError) as cause:
            why = getattr(cause, "strerror", None) or cause
            raise ConfigError(
                f"--ui {host}:{config.port}: cannot be listened at ({why}); choose another port"
            ) from cause
        self._server.page = self
        self.port = int(self._server.server_address[1])
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/" + (f"?token={config.token}" if config.token else "")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="page", daemon=True)
        self._thread.start()

    def show(self, scene: Scene) -> None:
        """One frame for the viewers; without a viewer, no work."""
        if scene.take != self._take:
            self._take = scene.take
            with self._lock:
                self._answers.clear()
                self._now_on.clear()
            self._fits.clear()
            self._framed_s.clear()
        if scene.place not in self._fits:
            self._fits[scene.place] = Fit(BLACK_SIZE)
            picture = scene.frame.picture if scene.frame.pixels is not None else None
            size = BLACK_SIZE if picture is None else (picture.image.shape[1], picture.image.shape[0])
            message: Record = {
                "kind": "take",
                "take": scene.take,
                "place": scene.place,
                "places": scene.places,
                "title": scene.title,
                "size": list(size),
                "bones": [list(bone) for bone in scene.layout.bones],
                "joints": list(scene.layout.joints),
            }
            with self._lock:
                self._now_on[scene.place] = message
            self._send(message)
        now_s = self._now()
        if not self._viewers:
            return
        if now_s - self._reported_s >= STATUS_S:
            self._reported_s = now_s
            self._send({"kind": "status", **self._status()})
        if now_s - self._framed_s.get(scene.place, float("-inf")) < 1 / FRAMES_PER_S:
            return
        self._framed_s[scene.place] = now_s
        self._send(self._frame(scene), frame_of=scene.place)
        if self._config.video and scene.frame.picture is not None:
            with self._pictures:
                self._shown[scene.place] = scene.frame.picture.image
                self._pictures.notify_all()

    def emit(self, record: Record) -> None:
        """A record of the run; the page shows answers and events."""
        kept = {"answer": self._answers, "event": self._events}.get(record["type"])
        if kept is None:
            return
        message = to_json({**record, "kind": record["type"]})
        with self._lock:
            kept.append(message)
            for viewer in self._viewers:
                viewer.put(message)

    def note(self, text: str) -> None:
        """A line for the person."""
        message = to_json({"kind": "note", "text": text})
        with self._lock:
            self._notes.append(message)
            for viewer in self._viewers:
                viewer.put(message)

    def close(self) -> None:
        """Tell everyone that it is over, and stop."""
        self._send({"kind": "status", **self._status()})
        self._send({"kind": "over"})
        with self._lock:
            self._over = True
            for viewer in self._viewers:
                viewer.finish()
        with self._pictures:
            self._pictures.notify_all()
        limit_s = time.monotonic() + 1.0
        while self._viewers and time.monotonic() < limit_s:
            time.sleep(0.01)
        self._server.shutdown()
        self._server.server_close()

    def _frame(self, scene: Scene) -> Record:
        frame = scene.frame
        fit = self._fits[scene.place]
        pixels = frame.pixels if frame.pixels is not None else fit(frame.poses)  # (P, V, 2)
        people = []
        for joints, person in zip(pixels, scene.people, strict=True):
            here = np.isfinite(joints).all(axis=-1).tolist()  # (V,)
            points = np.nan_to_num(joints, nan=0.0, posinf=0.0, neginf=0.0).round(1).tolist()
            people.append(
                {
                    "id": person.id,
                    "text": person.caption,
                    "at": [point if seen else None for point, seen in zip(points, here, strict=True)],
                    "weights": None if person.weights is None else person.weights.round(3).tolist(),
                    "moments": None if person.moments is None else person.moments.round(3).tolist(),
                }
            )
        time_s = round(frame.time_s, 3)
        return {"kind": "frame", "place": scene.place, "time_s": time_s, "people": people, "banner": scene.banner}

    def _send(self, message: Record, *, frame_of: int | None = None) -> None:
        text = to_json(message)
        with self._lock:
            for viewer in self._viewers:
                viewer.put(text, frame_of=frame_of)

    # What the server's threads ask for.

    def admits(self, host: str | None, origin: str | None, token: str) -> bool:
        """True if a request may be answered: it is meant for us, comes from no other page, and shows the token."""
        if self._config.token is not None and not compare_digest(token.encode(), self._config.token.encode()):
            return False
        if host is None:
            return False
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        # Without a token only the names of loopback are ours; with one, a foreign name could not know it, but a name
        # of another page is still refused.
        ours = (
            is_loopback(name)
            if self._config.token is None
            else name in (self._config.host, socket.gethostname()) or _is_address(name)
        )
        return ours and port == self.port and origin in (None, f"http://{host}")

    def enter(self) -> Outbox | None:
        """A new viewer with what they need to know; None if there are too many, or it is over."""
        viewer = Outbox()
        with self._lock:
            if len(self._viewers) >= VIEWERS or self._over:
                return None
            viewer.put(to_json(self._hello))
            for message in self._now_on.values():
                viewer.put(to_json(message))
            for text in (*tuple(self._notes)[-10:], *tuple(self._answers)[-120:], *tuple(self._events)[-100:]):
                viewer.put(text)
            self._viewers.add(viewer)
        self._reported_s = float("-inf")
        return viewer

    def leave(self, viewer: Outbox) -> None:
        """A viewer has gone."""
        with self._lock:
            self._viewers.discard(viewer)

    def pictures(self) -> bool:
        """True if pictures are shown at all."""
        return self._config.video

    def picture(self, place: int, before: Any) -> Any:
        """A camera's newest picture (H, W, 3) RGB that is not `before`; None if none comes in time or it is over."""
        with self._pictures:
            self._pictures.wait_for(lambda: self._over or self._shown.get(place) is not before, QUIET_S)
            newest = self._shown.get(place)
            return None if self._over or newest is before else newest


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16
    page: Page

    def handle_error(self, *_: Any) -> None:
        """Browsers leave in the middle of things: that is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "amr-edge"
    sys_version = ""
    timeout = STUCK_S

    def do_GET(self) -> None:
        """Answer one request."""
        page = self.server.page
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        token = query.get("token", [""])[0]
        if not page.admits(self.headers.get("Host"), self.headers.get("Origin"), token):
            self._refuse(403, "this page is for the address that amr-edge printed, with its token")
        elif parts.path in STATIC:
            name, kind = STATIC[parts.path]
            body = (files("amr_edge.runtime.ui") / name).read_bytes()
            if name.endswith(".html") and token:
                # The token consists of letters that need no quoting; it was compared with ours.
                body = body.replace(b'page.js"', b'page.js?token=%s"' % token.encode())
                body = body.replace(b'page.css"', b'page.css?token=%s"' % token.encode())
            self._head(200, f"{kind}; charset=utf-8", len(body))
            self.wfile.write(body)
        elif parts.path == "/stream":
            self._stream(page)
        elif parts.path == "/video" and page.pictures():
            place = query.get("place", ["0"])[0]
            if place.isascii() and place.isdigit() and len(place) < 4:
                self._film(page, int(place))
            else:
                self._refuse(404, "there is no such camera")
        else:
            self._refuse(404, "there is nothing here")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests are not logged."""

    def _head(self, code: int, kind: str, length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _refuse(self, code: int, sentence: str) -> None:
        body = (sentence + "\n").encode()
        self._head(code, "text/plain; charset=utf-8", len(body))
        self.wfile.write(body)

    def _stream(self, page: Page) -> None:
        """Messages as server-sent events, until the viewer or the run has gone."""
        viewer = page.enter()
        if viewer is None:
            self._refuse(503, "too many pages are open; close one")
            return
        try:
            self._head(200, "text/event-stream; charset=utf-8")
            over = False
            while not over:
                messages, over = viewer.take(QUIET_S)
                self.wfile.write("".join(f"data: {message}\n\n" for message in messages).encode() or b": here\n\n")
        except OSError:
            return  # the browser has gone, or takes nothing any more
        finally:
            page.leave(viewer)

    def _film(self, page: Page, place: int) -> None:
        """Pictures of a camera as one JPEG after the other."""
        import cv2

        image = None
        try:
            self._head(200, "multipart/x-mixed-replace; boundary=picture")
            while (image := page.picture(place, image)) is not None:
                good, jpeg = cv2.imencode(
                    ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 70]
                )
                if good:
                    head = b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    self.wfile.write(head + jpeg.tobytes() + b"\r\n")
                time.sleep(1 / VIDEO_PER_S)
        except OSError:
            return  # the browser has gone
