"""When does something happen: answers that come several times a second become events with a start and an end.

For each person, or for the scene:

```
idle ──► candidate ──► confirmed ──► (ended) idle
```

- Probabilities are smoothed exponentially in time, so single answers do not make labels flicker.
- A label that reaches its threshold is a candidate; it is confirmed, and the event starts, if it stays there for
  `confirm_s`.
- A confirmed event goes on while its probability stays above `release` times its threshold (hysteresis) and for
  `hold_s` at least. It ends when it falls below, or when the person is gone.
- Who rests between two repetitions has not ended their set: where repetitions are counted, an event outlives a pause of
  `pause_s`, unless another label is believed meanwhile.
- Where repetitions are counted, an event has those of its label: from the window that made it start until its end.
- `none_class` is what "nothing happens" is called: it never starts an event.
- A partial answer is the only one that a short recording gets: it is an event by itself if it is believed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.live_settings import EventConfig
from amr_edge.runtime.pipeline.recognizer import TOUCH_S, Prediction
from amr_edge.runtime.pipeline.records import EventRecord
from amr_edge.runtime.pipeline.repetition_counter import Rep, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An action of a person or scene.

    Attributes:
        event: "start", "update" while it goes on, "end".
        person: Who; None for the scene.
        label: What.
        start_s: When the label was first believed. The window that showed it began up to a window earlier.
        end_s: When it was last believed; for a start and an update, until now.
        prob: Smoothed probability now; for an end, the highest there was.
        lag_s: How much earlier than it was believed it was done: half a window, whose middle an answer is about.
        reps: Of an update and an end: how many full repetitions until now; None where none are counted.
        correct: Of an end: how likely the repetitions were done rightly, on the mean; None where that is not scored.
    """

    event: Literal["start", "update", "end"]
    person: int | None
    label: str
    start_s: float
    end_s: float
    prob: float
    lag_s: float = 0.0
    reps: int | None = None
    correct: float | None = None

    @property
    def done_s(self) -> tuple[float, float]:
        """From when to when it was done, about; for a start and an update, until as far as is known."""
        return self.start_s - self.lag_s, self.end_s - self.lag_s

    def to_dict(self) -> dict[str, Any]:
        """The event as docs/live-output.md describes it, without what only the live loop knows."""
        return self.to_record().content()

    def to_record(self, recording: str = "", latency_ms: float = 0.0) -> EventRecord:
        """The event as a record of `live`."""
        from_s, until_s = self.done_s
        return EventRecord(
            recording=recording,
            event=self.event,
            person=self.person,
            label=self.label,
            start_s=round(self.start_s, 6),
            end_s=round(self.end_s, 6),
            done_s=(round(from_s, 6), round(until_s, 6)),
            prob=round(self.prob, 6),
            reps=self.reps,
            hint=None if self.correct is None else {"correct": round(self.correct, 2)},
            latency_ms=latency_ms,
        )


@dataclass(slots=True)
class _State:
    """State of a person: idle with neither, else a candidate label or the label of an event that goes on."""

    probs: NDArray[np.float64]
    time_s: float
    candidate: int | None = None
    going: int | None = None
    since_s: float = 0.0
    believed_s: float = 0.0
    reported_s: float = 0.0
    best: float = 0.0
    tally: Tally = field(default_factory=Tally)  # of the event that goes on, until it was last believed
    reps: list[Rep] = field(default_factory=list)  # others of late; an event may have begun with them


class EventDetector:
    """Answers in, events out; pure of clocks."""

    def __init__(self, card: Card, config: EventConfig | None = None) -> None:
        self._config = config or card.events
        self._classes = card.classes
        self._none = card.classes.index(card.none_class) if card.none_class is not None else None
        self._thresholds = [card.threshold_of(label) for label in range(len(card.classes))]
        self._window_s = card.prepare.window_s
        self._lag_s = self._window_s / 2
        self._counted = frozenset(card.classes.index(name) for name in card.rules if name in card.classes)
        self._gone_s = max(self._config.gone_s, 2.5 * card.stride_s)
        self._states: dict[int | None, _State] = {}

    def now(self, person: int | None) -> tuple[str, float] | None:
        """The label of a person by the smoothed probabilities, confirmed or not; None before the first prediction."""
        state = self._states.get(person)
        if state is None:
            return None
        best = int(state.probs.argmax())
        return self._classes[best], float(state.probs[best])

    def reps(self, person: int | None) -> int | None:
        """Repetitions of the label that `now` gives; None if that is no event that goes on, or is not counted."""
        state = self._states.get(person)
        if state is None or state.going not in self._counted or state.going != int(state.probs.argmax()):
            return None
        return state.tally.reps

    def push(self, time_s: float, answers: Iterable[Prediction]) -> list[Event]:
        """Take what was answered at `time_s`, which may be nothing.

        Args:
            time_s: The capture time of the frame, rising.
            answers: The stream's answers at that frame.

        Returns:
            What started, went on or ended.
        """
        events = []
        for answer in answers:
            events += self._partial(answer) if answer.partial else self._take(answer)
        for person, state in list(self._states.items()):
            if time_s - state.time_s > self._gone_s:
                events += self._end(person, state)
                del self._states[person]
        return events

    def flush(self) -> list[Event]:
        """The source has ended: so has everything that was going on."""
        events = [event for person, state in self._states.items() for event in self._end(person, state)]
        self._states.clear()
        return events

    def _believed(self, probs: NDArray[np.float64]) -> int | None:
        """The class that the threshold lets through, if it means that something happens."""
        best = int(probs.argmax())
        return best if probs[best] >= self._thresholds[best] and best != self._none else None

    def _partial(self, answer: Prediction) -> list[Event]:
        label = self._believed(answer.probs.astype(np.float64))
        if label is None:
            return []
        start = Event(
            event="start",
            person=answer.person,
            label=self._classes[label],
            start_s=answer.start_s,
            end_s=answer.time_s,
            prob=answer.prob,
        )
        tally = Tally()
        for rep in answer.reps:
            if rep.label == label:
                tally.add(rep)
        return [start, self._with_reps(replace(start, event="end"), label, tally)]

    def _with_reps(self, event: Event, label: int, tally: Tally) -> Event:
        """An update or an end with its repetitions."""
        if label not in self._counted:
            return event
        return replace(event, reps=tally.reps, correct=tally.correct if event.event == "end" else None)

    def _count(self, state: _State, since_s: float) -> None:
        """Give the event that goes on what it had until it was last believed; forget what was before `since_s`."""
        kept = []
        for rep in state.reps:
            if rep.label == state.going and rep.cycle.end_s <= state.believed_s + TOUCH_S:
                state.tally.add(rep)
            elif rep.cycle.end_s >= since_s:
                kept.append(rep)
        state.reps = kept

    def _take(self, answer: Prediction) -> list[Event]:
        state = self._smooth(answer)
        state.reps += answer.reps
        events = []
        if state.going is not None:
            prob = float(state.probs[state.going])
            if prob >= self._config.release * self._thresholds[state.going]:
                state.believed_s, state.best = state.time_s, max(state.best, prob)
                self._count(state, state.time_s - self._window_s)
            elif self._over(state):
                events += self._end(answer.person, state)
        if state.going is not None:
            if state.believed_s == state.time_s and state.time_s - state.reported_s >= self._config.update_s:
                update = self._tell("update", answer.person, state, state.going)
                events.append(self._with_reps(update, state.going, state.tally))
            return events
        label = self._believed(state.probs)
        if label != state.candidate:
            state.candidate, state.since_s = label, state.time_s
        # An event has what the window showed that first made it believed.
        since_s = (state.time_s if label is None else state.since_s) - self._window_s
        self._count(state, since_s)
        # Strides of 0.1 s do not add up to 0.3 s in binary.
        if label is not None and state.time_s - state.since_s >= self._config.confirm_s - TOUCH_S:
            state.going, state.candidate = label, None
            state.believed_s, state.best, state.tally = state.time_s, float(state.probs[label]), Tally()
            self._count(state, since_s)
            events.append(self._tell("start", answer.person, state, label))
        return events

    def _over(self, state: _State) -> bool:
        """True if an event that is not believed now has ended."""
        if state.time_s - state.since_s < self._config.hold_s:
            return False
        rested_s = self._config.pause_s if state.going in self._counted else 0.0
        return state.time_s - state.believed_s > rested_s or self._believed(state.probs) is not None

    def _smooth(self, answer: Prediction) -> _State:
        probs = answer.probs.astype(np.float64)
        state = self._states.get(answer.person)
        if state is None:
            state = self._states[answer.person] = _State(probs=probs, time_s=answer.time_s)
            return state
        passed_s = answer.time_s - state.time_s
        keep = float(np.exp(-passed_s / self._config.smooth_s)) if self._config.smooth_s > 0 else 0.0
        state.probs, state.time_s = keep * state.probs + (1 - keep) * probs, answer.time_s
        return state

    def _tell(self, kind: Literal["start", "update"], person: int | None, state: _State, label: int) -> Event:
        state.reported_s = state.time_s
        return Event(
            event=kind,
            person=person,
            label=self._classes[label],
            start_s=state.since_s,
            end_s=state.time_s,
            prob=float(state.probs[label]),
            lag_s=self._lag_s,
        )

    def _end(self, person: int | None, state: _State) -> list[Event]:
        """End what goes on; a candidate vanishes without a word."""
        label, state.going, state.candidate = state.going, None, None
        if label is None:
            return []
        end = Event(
            event="end",
            person=person,
            label=self._classes[label],
            start_s=state.since_s,
            end_s=state.believed_s,
            prob=state.best,
            lag_s=self._lag_s,
        )
        return [self._with_reps(end, label, state.tally)]
