"""Signals and time limits that make a training loop save or stop."""

import signal
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from types import FrameType, TracebackType

from amr_edge.errors import AmrError
from amr_edge.terminal import note, stop_signals
from amr_edge.training.engine.device import RunOptions


class OutOfTimeError(AmrError):
    """The time limit has passed; everything is on disk and nothing went wrong."""

    exit_code = 0


class Action(IntEnum):
    """Action of the loop after a step; of several processes the largest counts."""

    CONTINUE = 0
    SAVE = 1
    STOP_AT_TIME_LIMIT = 2
    STOP_NOW = 3


class InterruptHandler:
    """Ctrl-C, SIGTERM, SIGHUP, the time limit and the time since the last save.

    While it is entered, the first of these signals lets the loop finish its step and save; the second interrupts at
    once. Outside the main thread, where Python takes no signals, only the clock counts.
    """

    def __init__(self, options: RunOptions, *, verbose: bool = True, now: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._verbose = verbose
        self._now = now
        self._last_saved_s = now()
        self._requested = False
        self._previous_handlers: dict[int, object] = {}

    def __enter__(self) -> "InterruptHandler":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *stop_signals()):
                self._previous_handlers[number] = signal.signal(number, self._handle_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
        if self._verbose and number == signal.SIGINT:
            note("stopping after this step, with everything saved; Ctrl-C again stops at once")

    def next_action(self) -> Action:
        """The pending action."""
        if self._requested:
            return Action.STOP_NOW
        now, options = self._now(), self._options
        if options.time_limit_s and now - options.began_s >= options.time_limit_s:
            return Action.STOP_AT_TIME_LIMIT
        return Action.SAVE if now - self._last_saved_s >= options.save_every_s else Action.CONTINUE

    def mark_saved(self) -> None:
        """Restart the time since the last save."""
        self._last_saved_s = self._now()
