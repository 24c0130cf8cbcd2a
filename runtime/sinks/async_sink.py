"""How do records leave without ever delaying recognition: one thread and one bounded queue for each sink."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from amr_edge.errors import ConfigError

Record = dict[str, Any]  # one line of docs/live-output.md
Item = TypeVar("Item")
Taken = TypeVar("Taken", contravariant=True)


class RefusedError(Exception):
    """This one item is not wanted by the other side, however often it is sent; the next may be."""


class Sink(Protocol[Taken]):
    """Something that takes items. Its methods run in a thread of its own and may take as long as they like.

    They raise OSError when the other side is not there or does not take it; it is tried again later.
    """

    title: str  # what it is, in a few words without passwords

    def open(self) -> None:
        """Connect, or open the file; called again after every failure."""
        ...

    def send(self, item: Taken) -> None:
        """Hand one item over, for good when it returns.

        Raises:
            RefusedError: If this item will never be taken.
        """
        ...

    def drop(self) -> None:
        """Let go of a connection or file that failed; `open` comes again. What is not open is allowed."""
        ...

    def close(self) -> None:
        """Everything has been sent: finish. What is not open is allowed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncSinkConfig:
    """Queue size and retry settings of an asynchronous sink.

    Attributes:
        capacity: Items that wait at most; beyond, the least important oldest one is lost.
        put_timeout_s: How long `put` waits for room before something is lost: 0 for what is live, more for a
            replay, which nothing hurries. A sink that let that pass is not waited for again until it takes something.
        first_retry_s: Before the first retry; each further wait is twice as long.
        longest_retry_s: Between two retries.
        give_up_s: One item is tried for so long.
        close_s: How long `close` waits for what is still in the queue.
        required: A failure is not retried: it ends the run, as a closed standard output does.
    """

    capacity: int = 1000
    put_timeout_s: float = 0.0
    first_retry_s: float = 0.2
    longest_retry_s: float = 10.0
    give_up_s: float = 60.0
    close_s: float = 5.0
    required: bool = False

    def __post_init__(self) -> None:
        times_s = (self.put_timeout_s, self.first_retry_s, self.longest_retry_s, self.give_up_s, self.close_s)
        if self.capacity < 1 or not all(time_s >= 0 for time_s in times_s):
            raise ConfigError(
                f"an outlet needs room for at least 1 item and times of at least 0 s, got {self.capacity}, {times_s}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Delivery counts of one sink.

    Attributes:
        to: The sink's title.
        sent: Items that were handed over.
        lost: Items that were not and never will be.
        waiting: Items in the queue or in hand.
        failures: How often it was tried in vain.
        fault: Why it failed last; "" if it never did.
        down: True while it fails.
        whole: True if nothing is missing on the other side.
    """

    to: str
    sent: int
    lost: int
    waiting: int
    failures: int
    fault: str
    down: bool
    whole: bool

    def sentence(self) -> str:
        """Description of the losses."""
        lost = f"{self.lost} of {self.lost + self.sent} records did not get there" if self.lost else "it is not whole"
        return f"{self.to}: {lost}" + (f" ({self.fault})" if self.fault else "")

    def to_dict(self) -> Record:
        """As docs/live-output.md describes it."""
        return {
            "to": self.to,
            "sent": self.sent,
            "lost": self.lost,
            "waiting": self.waiting,
            "failures": self.failures,
            "fault": self.fault,
        }


class AsyncSink(Generic[Item]):
    """A sink with its thread and its queue; `put` costs microseconds whatever the sink does."""

    def __init__(
        self,
        sink: Sink[Item],
        config: AsyncSinkConfig,
        *,
        note: Callable[[str], None],
        minor: Callable[[Item], bool] = lambda _: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.

        Args:
            sink: What takes the items.
            config: How patient it is.
            note: Called with a line when the sink fails and when it is back.
            minor: Whether an item is lost before others when there is no room.
            now: Seconds on a clock that never goes back.
        """
        self._sink = sink
        self._config = config
        self._note = note
        self._minor = minor
        self._now = now
        self._queue: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._in_hand = False
        self._timed_out = False
        self._down = False
        self._sent = self._lost = self._failures = 0
        self._fault = ""
        self._failure: OSError | None = None
        self._unfinished = False
        self._wait_s, self._close_s = config.put_timeout_s, config.close_s
        self._thread = threading.Thread(target=self._work, name=f"sink {sink.title}", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Queue an item.

        Raises:
            OSError: If the sink is required and has failed.
        """
        with self._changed:
            self._check_failure()
            if len(self._queue) >= self._config.capacity and self._wait_s > 0 and not self._timed_out:
                limit_s = self._wait_s
                self._timed_out = not self._changed.wait_for(self._has_room, None if math.isinf(limit_s) else limit_s)
                self._check_failure()
            if len(self._queue) >= self._config.capacity:
                self._drop_oldest()
            self._queue.append(item)
            self._changed.notify_all()

    def hurry(self, limit_s: float) -> None:
        """From now on `put` waits for nothing, and `close` no longer than this."""
        self._wait_s, self._close_s = 0.0, min(self._close_s, limit_s)

    def close(self) -> Delivery:
        """Let the sink finish what waits, for so long and no longer, and say what became of everything.

        Raises:
            OSError: If the sink is required and has failed.
        """
        limit_s = self._close_s
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(None if math.isinf(limit_s) else limit_s)
        with self._changed:
            if self._thread.is_alive():
                # A sink that still blocks keeps its current record; the thread ends with the process.
                self._lost += len(self._queue) + self._in_hand
                self._queue.clear()
                self._in_hand = False
                self._fault = self._fault or f"took nothing for the last {limit_s:g} s"
            self._check_failure()
        return self.report()

    def report(self) -> Delivery:
        """Delivery counts until now."""
        with self._changed:
            return Delivery(
                to=self._sink.title,
                sent=self._sent,
                lost=self._lost,
                waiting=len(self._queue) + self._in_hand,
                failures=self._failures,
                fault=self._fault,
                down=self._down,
                whole=not self._lost and not self._unfinished,
            )

    def _has_room(self) -> bool:
        return len(self._queue) < self._config.capacity or self._failure is not None

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _drop_oldest(self) -> None:
        """Make room: the oldest of the minor items goes, else the oldest of all."""
        place = next((place for place, item in enumerate(self._queue) if self._minor(item)), 0)
        del self._queue[place]
        self._lost += 1

    def _work(self) -> None:
        """The thread: open at once, then hand over one item after the other."""
        wait_s = self._config.first_retry_s
        opened = self._attempt(self._sink.open)
        while (item := self._next()) is not None:
            begun_s = self._now()
            while not (opened := opened or self._attempt(self._sink.open)) or not self._attempt(self._hand_over, item):
                opened = False
                with suppress(OSError):  # it has failed already, and that was reported
                    self._sink.drop()
                if self._failure is not None:
                    return
                if self._closing.is_set() or self._now() - begun_s >= self._config.give_up_s:
                    self._done(sent=False)
                    break
                self._closing.wait(wait_s)
                wait_s = min(2 * wait_s, self._config.longest_retry_s)
            else:
                wait_s = self._config.first_retry_s
        self._unfinished = not self._attempt(self._sink.close)

    def _next(self) -> Item | None:
        """The oldest item, when there is one; None when there never will be another."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing.is_set())
            if not self._queue:
                return None
            self._in_hand = True
            item = self._queue.popleft()
            self._changed.notify_all()
            return item

    def _hand_over(self, item: Item) -> None:
        try:
            self._sink.send(item)
        except RefusedError as why:
            self._record_fault(str(why))
            self._done(sent=False)
        else:
            self._done(sent=True)

    def _attempt(self, step: Callable[..., None], *arguments: Item) -> bool:
        """True if a step of the sink worked."""
        try:
            step(*arguments)
        except OSError as cause:
            if self._config.required:
                with self._changed:
                    self._failure = cause
                    self._lost += len(self._queue) + self._in_hand
                    self._queue.clear()
                    self._in_hand = False
                    self._changed.notify_all()
                return False
            self._record_fault(_reason(cause))
            with self._changed:
                was_down, self._down = self._down, True
            if not was_down and not self._closing.is_set():
                self._note(f"{self._sink.title}: {_reason(cause)}; recognition goes on, it is tried again")
            return False
        return True

    def _record_fault(self, fault: str) -> None:
        with self._changed:
            self._failures += 1
            self._fault = fault

    def _done(self, *, sent: bool) -> None:
        with self._changed:
            if not self._in_hand:
                return  # closed meanwhile, which counted it as lost
            self._in_hand = False
            self._timed_out = False
            self._sent += sent
            self._lost += not sent
            back, self._down = sent and self._down, self._down and not sent
            lost = self._lost
        if back:
            self._note(f"{self._sink.title}: takes records again, {lost} were lost")


def _reason(cause: OSError) -> str:
    """Why something failed, in a few words."""
    return str(cause.strerror or cause).strip() or type(cause).__name__
