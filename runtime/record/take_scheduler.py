"""When does a take begin and end, and of which action: a state machine driven by the source's clock and by keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from amr_edge.errors import ConfigError

State = Literal["waiting", "countdown", "recording", "done"]
Cue = Literal["", "countdown", "begin", "end", "drop", "undo", "quit"]

QUIT = frozenset(["q", "\x1b", "\x04"])  # q, Esc, Ctrl-D
HELP = "space start/stop, 1-9 action, n next, b back, x drop, u undo the last, q finish"
HELP_TIMED = "space pause, n next, b back, x drop, u undo the last, q finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSchedulerConfig:
    """Labels, takes and timing of a recording session.

    Attributes:
        labels: The actions, in the order in which they are recorded.
        takes: Of each.
        seconds: How long a take lasts at most.
        countdown_s: How long before it begins it is announced.
        timed: Start one take after the other automatically; else a key starts each.
    """

    labels: tuple[str, ...]
    takes: int = 10
    seconds: float = 3.0
    countdown_s: float = 3.0
    timed: bool = True

    def __post_init__(self) -> None:
        if not self.labels or self.takes < 1:
            raise ConfigError(f"expected labels and at least one take of each, got {self.labels} and {self.takes}")
        if not (0 < self.seconds < float("inf") and 0 <= self.countdown_s < float("inf")):
            raise ConfigError(
                f"a take lasts more than 0 s and is announced at least 0 s before, got {self.seconds} and "
                f"{self.countdown_s}"
            )


class TakeScheduler:
    """Says what to do at each instant. Times are the source's own, so a replay is scheduled as a camera is.

    Attributes:
        state: What is going on.
        label: The action that is on or comes next.
        paused: Timed prompts wait for a key.
    """

    def __init__(self, config: TakeSchedulerConfig, counts: Mapping[str, int]) -> None:
        """Before the first take.

        Args:
            config: What is to be recorded.
            counts: How many takes of each label there are already.
        """
        self._config = config
        self._counts = {label: counts.get(label, 0) for label in config.labels}
        self._until_s = 0.0
        self._begun_s = 0.0
        self.state: State = "waiting"
        self.paused = False
        self.label = next(iter(self._missing()), config.labels[0])
        if config.timed and not self._missing():
            self.state = "done"

    @property
    def count(self) -> int:
        """Takes of the label so far."""
        return self._counts[self.label]

    @property
    def total(self) -> int:
        """Takes that are still missing, of all labels."""
        return sum(max(self._config.takes - count, 0) for count in self._counts.values())

    def step(self, time_s: float) -> Cue:
        """Action at this instant: "countdown" announces a take, "begin" begins it with this instant, "end" has
        ended it before this instant; after "end" `mark_saved` is to be called if it is saved.
        """  # noqa: D205
        if self.state == "waiting" and self._config.timed and not self.paused:
            self._announce(time_s)
            return "countdown"
        if self.state == "countdown" and time_s >= self._until_s:
            self.state, self._begun_s = "recording", time_s
            self._until_s = time_s + self._config.seconds
            return "begin"
        if self.state == "recording" and time_s >= self._until_s - 1e-6:
            self.state = "waiting"
            return "end"
        return ""

    def press(self, key: str, time_s: float) -> Cue:
        """Action of a key; "drop" throws the running take away, the rest is as in `step`."""
        if key in QUIT:
            self.state = "done"
            return "quit"
        if key == "u":
            return "undo"
        if key == " ":
            return self._space(time_s)
        if key == "x" and self.state in ("countdown", "recording"):
            self.state = "waiting"
            return "drop"
        if self.state == "recording":
            return ""
        labels = self._config.labels
        if key in ("n", "b"):
            self._choose(labels[(labels.index(self.label) + (1 if key == "n" else -1)) % len(labels)])
        elif len(key) == 1 and key in "123456789" and int(key) <= len(labels):
            self._choose(labels[int(key) - 1])
            if not self._config.timed:
                self._announce(time_s)
                return "countdown"
        return ""

    def cut(self, time_s: float) -> Cue:
        """The source broke off after this instant, as a recording does at its end: a take that is on ends with it.

        "end" if at least half of it was recorded, "drop" if less, "" if none was on.
        """
        if self.state != "recording":
            return ""
        self.state = "waiting"
        return "end" if time_s - self._begun_s >= self._config.seconds / 2 - 1e-6 else "drop"

    def restart(self) -> None:
        """The source's clock begins anew: what was announced is announced again."""
        if self.state == "countdown":
            self.state = "waiting"

    def mark_saved(self) -> None:
        """The take is good and on disk."""
        self._counts[self.label] += 1
        if self._config.timed and self._counts[self.label] >= self._config.takes:
            missing = self._missing()
            if missing:
                self.label = missing[0]
            else:
                self.state = "done"

    def mark_undone(self, label: str) -> None:
        """A take of that label is gone again; it is what comes next."""
        self._counts[label] = max(self._counts[label] - 1, 0)
        self._choose(label)

    def left_s(self, time_s: float) -> float:
        """Seconds until the take begins, or ends; 0 while nothing is on."""
        return max(self._until_s - time_s, 0.0) if self.state in ("countdown", "recording") else 0.0

    def sentence(self) -> str:
        """Current or next take and its label."""
        return f"{self.label}: {self.count + 1} of {max(self._config.takes, self.count + 1)}"

    def _missing(self) -> Sequence[str]:
        return [label for label in self._config.labels if self._counts[label] < self._config.takes]

    def _announce(self, time_s: float) -> None:
        self.state, self._until_s = "countdown", time_s + self._config.countdown_s

    def _choose(self, label: str) -> None:
        self.label = label
        if self.state == "countdown":  # it is announced anew, under its own name
            self.state = "waiting"

    def _space(self, time_s: float) -> Cue:
        if self._config.timed:
            was, self.state = self.state, "waiting"
            self.paused = not self.paused
            return "drop" if was == "recording" else ""
        if self.state == "waiting":
            self._announce(time_s)
            return "countdown"
        was, self.state = self.state, "waiting"
        return "end" if was == "recording" else "drop"
