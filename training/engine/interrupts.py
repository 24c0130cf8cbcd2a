"""Signals and time limits that make a training loop save or stop."""

import signal
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from types import FrameType, TracebackType

from amr_edge.errors import AmrError
from amr_edge.terminal import note
from amr_edge.training.engine.device import RunOptions


class OutOfTimeError(AmrError):
    """The time limit has passed; everything is on disk and nothing went wrong."""

    exit_code = 0


class Action(IntEnum):
    """Action of the loop after a step; of several processes the largest counts."""

    NOTHING = 0
    SAVE = 1
    STOP_IN_TIME = 2
    STOP_NOW = 3


class InterruptWatch:
    """Ctrl-C, SIGTERM, the time limit and the time since the last save.

    While it is entered, the first Ctrl-C or SIGTERM asks the loop to finish its step and save; the second interrupts at
    once. Outside the main thread, where Python takes no signals, only the clock counts.
    """

    def __init__(self, machine: RunOptions, *, speaks: bool = True, now: Callable[[], float] = time.monotonic) -> None:
        self._machine = machine
        self._speaks = speaks
        self._now = now
        self._saved_s = now()
        self._requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "InterruptWatch":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
        if self._speaks and number == signal.SIGINT:
            note("stopping after this step, with everything saved; Ctrl-C again stops at once")

    def wish(self) -> Action:
        """The pending action."""
        if self._requested:
            return Action.STOP_NOW
        now, machine = self._now(), self._machine
        if machine.time_limit_s and now - machine.began_s >= machine.time_limit_s:
            return Action.STOP_IN_TIME
        return Action.SAVE if now - self._saved_s >= machine.save_every_s else Action.NOTHING

    def saved(self) -> None:
        """Everything has just been saved."""
        self._saved_s = self._now()
