"""Repetitions of one person, counted by the rules of a model's card as frames come.

What is counted depends on the frames alone and not on when anybody asks, so a stream and a whole recording count the
same.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.kinematics import (
    Cycle,
    Quality,
    Rule,
    RuleCounter,
    angles,
    qualities_of,
    rep_features,
    rule_signals,
    rules_of,
)
from amr_edge.kinematics.repetitions import LONGEST_S
from amr_edge.skeleton import CANONICAL15, Layout, Poses, remap

TOGETHER = 256  # frames that wait for a query; then they are counted anyway, so memory is flat
KEPT = 256  # repetitions that wait for a prediction to go with


class Rep(NamedTuple):
    """One completed repetition.

    Attributes:
        label: The number of the class that it is a repetition of, if that is what they do.
        end: From which end of the movement it went out: 0 the low, 1 the high; see `amr_edge.kinematics.RuleCounter`.
        cycle: When, and how far.
        correct: How likely it was done rightly; None if that was not requested or is unknown.
    """

    label: int
    end: int
    cycle: Cycle
    correct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """Counting rules for all persons.

    Attributes:
        rules: Of the classes that have one, by their number.
        qualities: Of those whose repetitions are scored.
        outlive_s: A person unseen for longer starts anew.
    """

    rules: Mapping[int, Rule]
    qualities: Mapping[int, Quality]
    outlive_s: float

    def __bool__(self) -> bool:
        """True if there is anything to count."""
        return bool(self.rules)


def counting_of(card: Card, *, quality: bool = False) -> Counting:
    """Counting rules of a card.

    Args:
        card: Of the model.
        quality: Judge each repetition as well.

    Raises:
        CardError: If its rules or qualities are broken.
        ConfigError: If repetitions shall be scored and the card has no model for it.
    """
    qualities = qualities_of(card) if quality else {}
    if quality and not qualities:
        raise ConfigError(
            f"hints at right execution were requested (--quality), '{card.name}' carries none; leave the option out"
        )
    return Counting(
        rules=rules_of(card),
        qualities={card.classes.index(name): judge for name, judge in qualities.items()},
        outlive_s=card.prepare.window_s + card.prepare.max_gap_s,
    )


@dataclass(slots=True)
class RepetitionCounter:
    """One person's repetitions of everything that is counted.

    Attributes:
        counting: What that is.
        source: The layout that the person is seen in.
    """

    counting: Counting
    source: Layout
    _counters: dict[int, RuleCounter] = field(default_factory=dict)
    _waiting: list[tuple[float, Poses]] = field(default_factory=list)
    _done: deque[Rep] = field(default_factory=lambda: deque(maxlen=KEPT))
    _past: deque[tuple[float, Poses]] = field(default_factory=deque)  # as canonical15, for judging a repetition
    _last_s: float = -np.inf

    def push(self, time_s: float, pose: Poses) -> None:
        """Take the next pose (V, C) of the person, who is seen in it; one who was away for long starts anew."""
        if time_s - self._last_s > self.counting.outlive_s:
            self._counters = {label: RuleCounter(rule) for label, rule in self.counting.rules.items()}
            self._waiting.clear()
            self._done.clear()
            self._past.clear()
        self._last_s = time_s
        if pose.shape[-1] == 3:  # a flat pose has no joint angles
            self._waiting.append((time_s, pose))
        if len(self._waiting) >= TOGETHER:
            self._count()

    def take(self) -> tuple[Rep, ...]:
        """The repetitions that were complete since they were last taken."""
        self._count()
        done = tuple(self._done)
        self._done.clear()
        return done

    def _count(self) -> None:
        """Count what waits."""
        if not self._waiting:
            return
        times_s = [time_s for time_s, _ in self._waiting]
        seen = np.stack([pose for _, pose in self._waiting])  # (T, V, C)
        self._waiting.clear()
        poses = remap(seen, self.source, CANONICAL15).poses  # (T, 15, 3)
        measured = angles(poses)
        paths = {label: rule_signals(rule, measured) for label, rule in self.counting.rules.items()}
        for frame, time_s in enumerate(times_s):
            if self.counting.qualities:
                self._past.append((time_s, poses[frame]))
                while self._past[0][0] < time_s - LONGEST_S:
                    self._past.popleft()
            for label, path in paths.items():
                for end, cycle in enumerate(self._counters[label].push(time_s, *path[frame])):
                    if cycle is not None:
                        self._done.append(Rep(label, end, cycle, self._is_correct(label, cycle)))

    def _is_correct(self, label: int, cycle: Cycle) -> float | None:
        judge = self.counting.qualities.get(label)
        if judge is None:
            return None
        within = [(time_s, pose) for time_s, pose in self._past if cycle.start_s <= time_s <= cycle.end_s]
        times_s = np.array([time_s for time_s, _ in within])
        return judge.prob(rep_features(np.stack([pose for _, pose in within]), times_s))


@dataclass(slots=True)
class RepetitionTotals:
    """The repetitions of one event, in flat memory.

    Those from the low end of the movement and those from the high end are counted apart; the end with more is right.
    """

    _counts: list[int] = field(default_factory=lambda: [0, 0])
    _is_correct: list[int] = field(default_factory=lambda: [0, 0])
    _correct: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def add(self, rep: Rep) -> None:
        """Count one."""
        self._counts[rep.end] += 1
        if rep.correct is not None:
            self._is_correct[rep.end] += 1
            self._correct[rep.end] += rep.correct

    @property
    def reps(self) -> int:
        """Number of repetitions."""
        return max(self._counts)

    @property
    def correct(self) -> float | None:
        """Mean probability that they were right; None if that was not requested or there is none."""
        end = self._counts.index(self.reps)
        return self._correct[end] / self._is_correct[end] if self._is_correct[end] else None
