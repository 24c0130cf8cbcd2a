"""The table of sinks: what `--to ADDRESS` and `live(to=[...])` take, and what opens it."""

from pathlib import Path
from urllib.parse import urlsplit

from amr_edge.errors import ConfigError
from amr_edge.runtime import factories
from amr_edge.runtime.sinks.async_sink import Record, Sink

# Form of an address ("scheme://" or ".suffix") -> the function that makes a sink of the address. A new sink is a file
# in this folder with a class that satisfies `async_sink.Sink`, and a line here (docs/extending.md, "A sink").
SINKS: dict[str, str] = {
    ".jsonl": "amr_edge.runtime.sinks.files:open_file",
    ".ndjson": "amr_edge.runtime.sinks.files:open_file",
    ".csv": "amr_edge.runtime.sinks.files:open_file",
    ".srt": "amr_edge.runtime.sinks.files:open_file",
    "mqtt://": "amr_edge.runtime.sinks.mqtt:Mqtt",
    "mqtts://": "amr_edge.runtime.sinks.mqtt:Mqtt",
    "http://": "amr_edge.runtime.sinks.webhook:Webhook",
    "https://": "amr_edge.runtime.sinks.webhook:Webhook",
    "ws://": "amr_edge.runtime.sinks.websocket:open_websocket",
    "wss://": "amr_edge.runtime.sinks.websocket:open_websocket",
}
VIDEO_SUFFIX = ".mp4"  # takes scenes and not records, see `sinks.video`


def is_video(address: str) -> bool:
    """True if an address names a video file, which takes scenes and not records."""
    return "://" not in address and Path(address).suffix.lower() == VIDEO_SUFFIX


def open_sink(sink: str | Sink[Record]) -> Sink[Record]:
    """The sink of an address; a sink is returned as it is.

    Args:
        sink: A file that ends in .jsonl, .ndjson, .csv or .srt; mqtt://host/topic or mqtts://; http:// or https:// of a
            hook; ws://host:port/path or wss:// of a server; ws://:PORT to serve on this machine; or a sink of your own.

    Raises:
        ConfigError: If the address names no sink, or a file in a folder that does not exist.
        MissingError: If its package is not installed.
    """
    if not isinstance(sink, str):
        return sink
    try:
        _ = urlsplit(sink).port
    except ValueError as cause:
        raise ConfigError(f"--to: this is no address ({cause})") from cause
    key = factories.key_of(sink, SINKS)
    if key is not None:
        opened: Sink[Record] = factories.load(SINKS[key])(sink)
        return opened
    scheme, separator, _rest = sink.partition("://")
    if separator:
        schemes = ", ".join(key.removesuffix("://") for key in SINKS if key.endswith("://"))
        raise ConfigError(f"--to {scheme}://: there is no such sink; choose one of {schemes}")
    suffixes = ", ".join(key for key in SINKS if key.startswith("."))
    raise ConfigError(
        f"--to {sink}: a file must end in {suffixes} or {VIDEO_SUFFIX}, which decides what is written; "
        "standard output always gets every record"
    )
