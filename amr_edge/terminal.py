"""The terminal: tables and JSON on stdout, progress and notes on stderr, the signals that end a command."""

import json
import math
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

Item = TypeVar("Item")


def note(text: str) -> None:
    """Print one line on stderr; stdout is for results."""
    click.echo(text, err=True)


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Rows under a header, columns aligned: text to the left, numbers to the right.

    >>> print(table([["wave", 3]], ["class", "clips"]))
    class  clips
    wave       3
    """
    numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
    cells = [list(header), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, widths, numeric, strict=True)
        )
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays, paths and NaN as JSON values."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Standard JSON: NaN and infinity become null, arrays lists, paths strings."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


@contextmanager
def progress(items: Iterable[Item], *, label: str, length: int | None = None) -> Iterator[Iterable[Item]]:
    """Iterate with a bar and an ETA on stderr; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield items
        return
    with click.progressbar(items, label=label, length=length, file=sys.stderr, show_eta=True, show_pos=True) as bar:
        yield bar


def stop_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM and SIGHUP, where the platform has them and they are not ignored, as `nohup` has SIGHUP ignored."""
    known = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    return tuple(number for number in known if number is not None and signal.getsignal(number) != signal.SIG_IGN)


@contextmanager
def terminable() -> Iterator[None]:
    """Raise KeyboardInterrupt inside it for each of `stop_signals`; Python takes signals in the main thread only."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
