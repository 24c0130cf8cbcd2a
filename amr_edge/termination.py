"""Signals that end a command as Ctrl-C does: files are finished, the summary is written, a run can be resumed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
