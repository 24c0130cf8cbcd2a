"""Where does all that a run tells and shows go: standard output, sinks, films, a window and the page, as one."""

import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amr_edge.card import Card
from amr_edge.errors import CheckFailedError, ConfigError
from amr_edge.runtime.pipeline.records import DEFAULT_SCHEMA, LiveRecord
from amr_edge.runtime.render.draw import Scene
from amr_edge.runtime.sinks.async_sink import AsyncSink, AsyncSinkConfig, Delivery, Record, Sink
from amr_edge.runtime.sinks.files import StandardOutput
from amr_edge.runtime.sinks.open_sink import is_video, open_sink
from amr_edge.runtime.sinks.video import VideoSink
from amr_edge.runtime.sinks.websocket import WebSocketServer
from amr_edge.runtime.sinks.window import Window, no_display
from amr_edge.runtime.ui.page import Page, PageConfig, is_loopback

PICTURES = 16  # scenes that wait for a film: with pictures of 1080p these are 100 MB
SHOWN = 2  # scenes that wait for a window; older ones are dropped
PATIENCE_S = 5.0  # how long a replay waits for a sink that takes nothing
DRAWING_S = 60.0  # and for a film, which takes its time
HURRY_S = 2.0  # how long what was interrupted waits for its sinks


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputsConfig:
    """Destinations of records and scenes.

    Attributes:
        to: Words after --to and --save, see `sinks.named`.
        predictions: Emit every prediction of the model.
        events: Emit starts, updates and ends.
        schema: Of the lines on standard output and in the sinks, 1 or 2.
        replay: Nothing hurries the source, so a slow output is waited for; else it loses what it cannot take.
        mirror: Films, window and page show everything as in a mirror.
        window: Show a window.
        port: Serve a page at this port; 0 takes a free one, None serves none.
        host: The address that the page listens at.
        video: The page shows the pictures.
    """

    to: tuple[str, ...] = ()
    predictions: bool = True
    events: bool = True
    schema: int = DEFAULT_SCHEMA
    replay: bool = False
    mirror: bool = False
    window: bool = False
    port: int | None = None
    host: str = "127.0.0.1"
    video: bool = False

    def __post_init__(self) -> None:
        files = [os.path.abspath(word) for word in self.to if "://" not in word]  # noqa: PTH100  (need not exist)
        twice = sorted({file for file in files if files.count(file) > 1})
        if twice:
            raise ConfigError(f"{twice[0]}: two outputs would write this file; give them different names")
        if self.port is None and (self.video or self.host != "127.0.0.1"):
            raise ConfigError("--show-video and --ui-host are about the page; add --ui")


class _Shown:
    """A view whose scenes go through an outlet."""

    def __init__(self, outlet: AsyncSink[Scene]) -> None:
        self.outlet = outlet

    def show(self, scene: Scene) -> None:
        self.outlet.put(scene)


class Outputs:
    """All outputs of a run. `emit` and the views return at once, whatever becomes of the other side."""

    def __init__(
        self,
        config: OutputsConfig,
        card: Card,
        title: str,
        *,
        note: Callable[[str], None],
        token: str,
        environ: Mapping[str, str],
    ) -> None:
        """Open everything.

        Args:
            config: Where to.
            card: Of the model.
            title: What the model is, in a line.
            note: Takes each line for the person.
            token: What the page asks for on another address than loopback.
            environ: Says whether there is a display.

        Raises:
            ConfigError: If an output cannot mean anything, or its port cannot be listened at.
            MissingError: If the package of an output is not installed.
        """
        self._config = config
        self._person = note
        self._page: Page | None = None
        self.status: Callable[[], Record] = dict  # of the run, for the page
        # All words are read before the first output begins: what is refused leaves nothing behind.
        films = [VideoSink(Path(word), mirror=config.mirror) for word in config.to if is_video(word)]
        sinks = [open_sink(word) for word in config.to if not is_video(word)]
        window = self._window(environ) if config.window else None
        if config.port is not None:
            loopback = is_loopback(config.host)
            self._page = Page(
                card,
                PageConfig(
                    host=config.host,
                    port=config.port,
                    token=None if loopback else token,
                    video=config.video,
                    mirror=config.mirror,
                ),
                title=title,
                status=lambda: self.status(),
            )
            note(f"page: {self._page.url}" + ("" if loopback else " (anyone with this address can watch)"))
        for sink in sinks:
            if isinstance(sink, WebSocketServer):
                note(f"serving {sink.title}")
        stdout = StandardOutput(partial(os.write, _stdout()))
        self._stdout: AsyncSink[Record] = AsyncSink(
            stdout,
            AsyncSinkConfig(required=True, put_timeout_s=math.inf if config.replay else 0.0, close_s=math.inf),
            note=self.note,
            minor=_is_minor,
        )
        self._sinks = start_sinks(sinks, replay=config.replay, note=self.note)
        drawing = AsyncSinkConfig(
            capacity=PICTURES, put_timeout_s=DRAWING_S if config.replay else 0.0, close_s=DRAWING_S, give_up_s=0.0
        )
        self._films = [(film, AsyncSink[Scene](film, drawing, note=self.note)) for film in films]
        self._shown = (
            None if window is None else AsyncSink[Scene](window, AsyncSinkConfig(capacity=SHOWN), note=self.note)
        )

    @property
    def views(self) -> list[Any]:
        """Whatever shows scenes."""
        outlets = [outlet for _, outlet in self._films] + ([] if self._shown is None else [self._shown])
        return [*(_Shown(outlet) for outlet in outlets), *([] if self._page is None else [self._page])]

    def emit(self, record: LiveRecord) -> None:
        """Send a record everywhere.

        Raises:
            OSError: If standard output takes no more.
        """
        if self._page is not None:
            self._page.emit(record.line)
        if (record.type == "prediction" and not self._config.predictions) or (
            record.type == "event" and not self._config.events
        ):
            return
        line = record.to_dict(self._config.schema)
        for sink in self._sinks:
            sink.put(line)
        self._stdout.put(line)

    def note(self, text: str) -> None:
        """A line for the person, here and on the page."""
        self._person(text)
        if self._page is not None and "\n" not in text:  # it has a table of its own
            self._page.note(text)

    def deliveries(self) -> list[Record]:
        """Delivery counts of every sink until now."""
        return [outlet.report().to_dict() for outlet in self._sinks]

    def hurry(self) -> None:
        """The run was interrupted: nothing is waited for much longer."""
        for outlet in (self._stdout, *self._sinks):
            outlet.hurry(HURRY_S)

    def close(self) -> None:
        """Let every output finish, and say what became of it.

        Raises:
            CheckFailedError: If something did not get where it should.
            OSError: If standard output takes no more.
        """
        done = [outlet.close() for outlet in self._sinks]
        for film, outlet in self._films:
            delivery = outlet.close()
            done.append(delivery)
            for title, frames in film.written:
                self.note(f"{title}: {frames} frames" if frames else f"{title}: not written, there was no frame")
        if self._shown is not None:
            self._shown.close()
        if self._page is not None:
            self._page.close()
        stdout = self._stdout.close()
        for delivery in done:
            if delivery.failures and delivery.whole:
                self.note(f"{delivery.to}: {delivery.sent} records, after {delivery.failures} failures")
        check_delivered([*done, stdout])

    def _window(self, environ: Mapping[str, str]) -> Window | None:
        why = no_display(environ)
        if why is not None:
            self._person(f"--show: {why}; going on without a window, --ui shows the same in a browser")
            return None
        return Window(mirror=self._config.mirror, note=self.note)


def start_sinks(sinks: Iterable[Sink[Record]], *, replay: bool, note: Callable[[str], None]) -> list[AsyncSink[Record]]:
    """Each sink with its thread and queue; a replay waits for a full one, and predictions are lost before events."""
    config = AsyncSinkConfig(put_timeout_s=PATIENCE_S if replay else 0.0)
    return [AsyncSink(sink, config, note=note, minor=_is_minor) for sink in sinks]


def check_delivered(deliveries: Iterable[Delivery]) -> None:
    """Report what is missing on the other side of a sink.

    Raises:
        CheckFailedError: If anything is.
    """
    missing = [delivery.sentence() for delivery in deliveries if not delivery.whole]
    if missing:
        raise CheckFailedError("; ".join(missing))


def _is_minor(record: Record) -> bool:
    """Events outlive predictions where there is no room for all."""
    return record["type"] in ("answer", "prediction")


def _stdout() -> int:
    """The file that standard output is; what was printed before comes first."""
    sys.stdout.flush()
    return sys.stdout.fileno()
