"""Health of a source: faults that are survived, counted and reported once."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["lost", "back", "malformed", "unordered", "restarted", "truncated", "failed", "unopened"]
REPORTED_EACH_TIME = frozenset(["lost", "back", "restarted", "truncated", "unopened"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Something that happened to a source and did not end it.

    Attributes:
        source: Its title.
        state: "lost" a camera or stream broke off, "back" it is there again; "malformed" a line or packet could
            not be read, "unordered" its time did not rise; "restarted" the sender's clock began anew; "truncated"
            a video ended before its end; "failed" the pose estimator failed on a picture; "unopened" one source of
            several could not be opened.
        sentence: The same for a person.
        time_s: When, on the source's clock; None where that is unknown.
    """

    source: str
    state: State
    sentence: str
    time_s: float | None = None


class Health:
    """Counts losses and reports them; any thread may count, the thread that reads the source reports."""

    def __init__(self, report: Callable[[Status], None]) -> None:
        """Health.

        Args:
            report: Called with each status. Losses and returns come each time; a malformed or unordered line and a
                picture that the estimator fails on only the first time of each source, so that a bad sender cannot
                flood anybody.
        """
        self._report = report
        self._lock = threading.Lock()  # guards the two below
        self._losses: Counter[str] = Counter()
        self._reported: set[tuple[str, str]] = set()

    @property
    def losses(self) -> dict[str, int]:
        """Counts of the states that occurred."""
        with self._lock:
            return {state: count for state, count in sorted(self._losses.items()) if state != "back"}

    def add(self, status: Status) -> None:
        """Count something, and tell of it if it is news."""
        with self._lock:
            self._losses[status.state] += 1
            key = (status.source, status.state)
            news = status.state in REPORTED_EACH_TIME or key not in self._reported
            self._reported.add(key)
        if news:
            self._report(status)
