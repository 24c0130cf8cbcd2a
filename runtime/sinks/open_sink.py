"""What the word after --to means: a file, a broker, a hook, a socket."""

from pathlib import Path
from urllib.parse import urlsplit

from amr_edge.errors import ConfigError
from amr_edge.runtime.sinks.async_sink import Record, Sink
from amr_edge.runtime.sinks.files import FORMS, TextFile
from amr_edge.runtime.sinks.mqtt import PORTS, Mqtt
from amr_edge.runtime.sinks.webhook import Webhook
from amr_edge.runtime.sinks.websocket import websocket

FILM = ".mp4"


def is_film(word: str) -> bool:
    """Whether a word after --to names a film, which takes scenes and not records."""
    return "://" not in word and Path(word).suffix.lower() == FILM


def open_sink(word: str) -> Sink[Record]:
    """The sink that a word after --to names.

    Args:
        word: A file that ends in .jsonl, .ndjson, .csv or .srt; mqtt://host/topic or mqtts://; http:// or https:// of a
            hook; ws://host:port/path or wss:// of a server; ws://:PORT to serve on this machine.

    Raises:
        ConfigError: If it names nothing of the kind, or a file in a folder that does not exist.
        MissingError: If its package is not installed.
    """
    try:
        parts = urlsplit(word)
        scheme, _ = parts.scheme, parts.port
    except ValueError as cause:
        raise ConfigError(f"--to: this is no address ({cause})") from cause
    if "://" in word:
        if scheme in PORTS:
            return Mqtt(word)
        if scheme in ("http", "https"):
            return Webhook(word)
        if scheme in ("ws", "wss"):
            return websocket(word)
        raise ConfigError(f"--to {scheme}://: there is no such sink; choose mqtt, mqtts, http, https, ws or wss")
    path = Path(word)
    if path.suffix.lower() not in FORMS:
        raise ConfigError(
            f"--to {word}: a file must end in {', '.join(FORMS)} or {FILM}, which says what is written; "
            "standard output always gets every record"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"--to {word}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise ConfigError(f"--to {word}: this is a folder; name a file in it")
    return TextFile(path)
