"""Records over WebSocket: to a server elsewhere, or to clients that connect to this machine."""

import re
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import require
from amr_edge.runtime.sinks.async_sink import Record
from amr_edge.runtime.sinks.outbox import Outbox
from amr_edge.terminal import to_json

if TYPE_CHECKING:
    from websockets.sync.server import Server

ANSWER_S = 5.0
REST_S = 1.0  # that listeners have to take what waits for them at the end
LOOPBACK = "127.0.0.1"
# A page of the internet may not listen to this machine; one that this machine serves, and no page at all, may.
ORIGINS = (None, re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"))


class WebSocketClient:
    """Sends every record as one text message to a server."""

    def __init__(self, address: str) -> None:
        """A sink.

        Args:
            address: ws://host:port/path or wss://.

        Raises:
            MissingError: If websockets is not installed.
        """
        require("sinks", "sending over WebSocket (--to ws://)")
        parts = urlsplit(address)
        self.title = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._address = address
        self._connection: Any = None
        self._held = ExitStack()

    def open(self) -> None:
        """Connect."""
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        try:
            self._connection = self._held.enter_context(connect(self._address, open_timeout=ANSWER_S, close_timeout=1))
        except WebSocketException as cause:
            raise ConnectionError(f"it is no WebSocket that takes us ({cause})") from cause

    def send(self, item: Record) -> None:
        """Send a record."""
        from websockets.exceptions import WebSocketException

        if self._connection is None:
            raise ConnectionError("it is not connected")
        try:
            self._connection.send(to_json(item))
        except WebSocketException as cause:
            raise ConnectionError(f"the server has gone ({cause})") from cause

    def drop(self) -> None:
        """Disconnect."""
        self._connection = None
        self._held.close()

    def close(self) -> None:
        """Disconnect."""
        self.drop()


class WebSocketServer:
    """Sends every record to everyone on this machine who is connected just then."""

    def __init__(self, port: int) -> None:
        """A sink.

        Args:
            port: On the loopback address; 0 takes one that is free.

        Raises:
            ConfigError: If the port cannot be listened at.
            MissingError: If websockets is not installed.
        """
        require("sinks", "serving WebSocket (--to ws://:PORT)")
        from websockets.sync.server import serve

        self._held = ExitStack()  # closing it shuts the server down
        self._listeners: dict[Outbox, socket.socket] = {}
        self._lock = threading.Lock()
        self._lost = 0
        try:
            self._server: Server = self._held.enter_context(serve(self._attend, LOOPBACK, port, origins=ORIGINS))
        except (OSError, OverflowError) as cause:
            raise ConfigError(f"ws://:{port}: this port cannot be listened at ({cause}); choose another") from cause
        self.port = int(self._server.socket.getsockname()[1])
        self.title = f"ws://{LOOPBACK}:{self.port}"
        # Threads of listeners inherit that they do not hold up the end of the process.
        self._thread = threading.Thread(target=self._server.serve_forever, name=self.title, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Records that slow listeners did not get."""
        with self._lock:
            return self._lost + sum(listener.dropped for listener in self._listeners)

    def open(self) -> None:
        """It listens since it was made."""

    def send(self, item: Record) -> None:
        """Queue a record for everyone."""
        text = to_json(item)
        with self._lock:
            for listener in self._listeners:
                listener.put(text)

    def drop(self) -> None:
        """It goes on listening."""

    def close(self) -> None:
        """Tell everyone the rest and stop listening."""
        with self._lock:
            for listener in self._listeners:
                listener.finish()
        limit_s = time.monotonic() + REST_S
        while self._listeners and time.monotonic() < limit_s:
            time.sleep(0.01)
        # A goodbye would wait behind a record that an unresponsive client does not take, for ever since websockets 17.
        with self._lock:
            for line in self._listeners.values():
                with suppress(OSError):  # they have gone by themselves
                    line.shutdown(socket.SHUT_RDWR)
        self._held.close()
        self._thread.join(ANSWER_S)

    def _attend(self, connection: Any) -> None:
        """Serve one listener, in their own thread."""
        from websockets.exceptions import ConnectionClosed

        listener, over = Outbox(), False
        with self._lock:
            self._listeners[listener] = connection.socket
        try:
            while not over:
                texts, over = listener.take()
                for text in texts:
                    connection.send(text)
        except ConnectionClosed:
            return  # a client that leaves needs no report
        finally:
            with self._lock:
                self._lost += listener.dropped
                del self._listeners[listener]


def open_websocket(address: str) -> "WebSocketClient | WebSocketServer":
    """Sink of a ws:// address: ws://:8765 serves, ws://host:8765/path sends there.

    Raises:
        ConfigError: If it means neither.
        MissingError: If websockets is not installed.
    """
    parts = urlsplit(address)
    if parts.hostname:
        return WebSocketClient(address)
    if parts.scheme != "ws" or parts.port is None:
        raise ConfigError(f"{address}: give ws://:PORT to serve on this machine, or ws://host:port/path to send there")
    return WebSocketServer(parts.port)
