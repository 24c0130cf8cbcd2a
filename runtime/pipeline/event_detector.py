"""When does something happen: predictions that come several times a second become events with a start and an end.

For each person, or for the scene:

```
idle ──► candidate ──► confirmed ──► (ended) idle
```

- Probabilities are smoothed exponentially in time, so single predictions do not make labels flicker.
- A label that reaches its threshold is a candidate; it is confirmed, and the event starts, if it stays there for
  `confirm_s`.
- A confirmed event goes on while its probability stays above `release` times its threshold (hysteresis) and for
  `hold_s` at least. It ends when it falls below, or when the person is gone.
- Who rests between two repetitions has not ended their set: where repetitions are counted, an event outlives a pause of
  `pause_s`, unless another label is believed meanwhile.
- Where repetitions are counted, an event has those of its label: from the window that made it start until its end.
- `none_class` is what "nothing happens" is called: it never starts an event.
- A partial prediction is the only one that a short recording gets: it is an event by itself if it is believed.
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
from amr_edge.runtime.pipeline.repetition_counter import Rep, RepetitionTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An action of a person or scene.

    Attributes:
        event: "start", "update" while it goes on, "end".
        person: Who; None for the scene.
        label: What.
        start_s: When the label was first above its threshold. The window that showed it began up to a window earlier.
        end_s: When it was last above its threshold; for a start and an update, until now.
        prob: Smoothed probability now; for an end, the highest there was.
        lag_s: How much earlier it was done: half a window, because a prediction is about the middle of its window.
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
    active: int | None = None
    since_s: float = 0.0
    above_s: float = 0.0
    reported_s: float = 0.0
    best: float = 0.0
    repetitions: RepetitionTotals = field(
        default_factory=RepetitionTotals
    )  # of the event that goes on, until it was last above its threshold
    reps: list[Rep] = field(default_factory=list)  # others of late; an event may have begun with them


class EventDetector:
    """Predictions in, events out; pure of clocks."""

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
        if state is None or state.active not in self._counted or state.active != int(state.probs.argmax()):
            return None
        return state.repetitions.reps

    def push(self, time_s: float, predictions: Iterable[Prediction]) -> list[Event]:
        """Take what was predicted at `time_s`, which may be nothing.

        Args:
            time_s: The capture time of the frame, rising.
            predictions: The stream's predictions at that frame.

        Returns:
            What started, went on or ended.
        """
        events = []
        for prediction in predictions:
            events += self._partial(prediction) if prediction.partial else self._full_window(prediction)
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

    def _above_threshold(self, probs: NDArray[np.float64]) -> int | None:
        """The class that the threshold lets through, if it means that something happens."""
        best = int(probs.argmax())
        return best if probs[best] >= self._thresholds[best] and best != self._none else None

    def _partial(self, prediction: Prediction) -> list[Event]:
        label = self._above_threshold(prediction.probs.astype(np.float64))
        if label is None:
            return []
        start = Event(
            event="start",
            person=prediction.person,
            label=self._classes[label],
            start_s=prediction.start_s,
            end_s=prediction.time_s,
            prob=prediction.prob,
        )
        repetitions = RepetitionTotals()
        for rep in prediction.reps:
            if rep.label == label:
                repetitions.add(rep)
        return [start, self._with_reps(replace(start, event="end"), label, repetitions)]

    def _with_reps(self, event: Event, label: int, repetitions: RepetitionTotals) -> Event:
        """An update or an end with its repetitions."""
        if label not in self._counted:
            return event
        return replace(event, reps=repetitions.reps, correct=repetitions.correct if event.event == "end" else None)

    def _count(self, state: _State, since_s: float) -> None:
        """Count into the active event what ended while it was above its threshold; drop what ended before `since_s`."""
        kept = []
        for rep in state.reps:
            if rep.label == state.active and rep.cycle.end_s <= state.above_s + TOUCH_S:
                state.repetitions.add(rep)
            elif rep.cycle.end_s >= since_s:
                kept.append(rep)
        state.reps = kept

    def _full_window(self, prediction: Prediction) -> list[Event]:
        state = self._smooth(prediction)
        state.reps += prediction.reps
        events = []
        if state.active is not None:
            prob = float(state.probs[state.active])
            if prob >= self._config.release * self._thresholds[state.active]:
                state.above_s, state.best = state.time_s, max(state.best, prob)
                self._count(state, state.time_s - self._window_s)
            elif self._has_ended(state):
                events += self._end(prediction.person, state)
        if state.active is not None:
            if state.above_s == state.time_s and state.time_s - state.reported_s >= self._config.update_s:
                update = self._event("update", prediction.person, state, state.active)
                events.append(self._with_reps(update, state.active, state.repetitions))
            return events
        label = self._above_threshold(state.probs)
        if label != state.candidate:
            state.candidate, state.since_s = label, state.time_s
        # An event has what the window showed that first brought it above its threshold.
        since_s = (state.time_s if label is None else state.since_s) - self._window_s
        self._count(state, since_s)
        # Strides of 0.1 s do not add up to 0.3 s in binary.
        if label is not None and state.time_s - state.since_s >= self._config.confirm_s - TOUCH_S:
            state.active, state.candidate = label, None
            state.above_s, state.best, state.repetitions = state.time_s, float(state.probs[label]), RepetitionTotals()
            self._count(state, since_s)
            events.append(self._event("start", prediction.person, state, label))
        return events

    def _has_ended(self, state: _State) -> bool:
        """True if an event that is not above its threshold now has ended."""
        if state.time_s - state.since_s < self._config.hold_s:
            return False
        rested_s = self._config.pause_s if state.active in self._counted else 0.0
        return state.time_s - state.above_s > rested_s or self._above_threshold(state.probs) is not None

    def _smooth(self, prediction: Prediction) -> _State:
        probs = prediction.probs.astype(np.float64)
        state = self._states.get(prediction.person)
        if state is None:
            state = self._states[prediction.person] = _State(probs=probs, time_s=prediction.time_s)
            return state
        passed_s = prediction.time_s - state.time_s
        keep = float(np.exp(-passed_s / self._config.smooth_s)) if self._config.smooth_s > 0 else 0.0
        state.probs, state.time_s = keep * state.probs + (1 - keep) * probs, prediction.time_s
        return state

    def _event(self, kind: Literal["start", "update"], person: int | None, state: _State, label: int) -> Event:
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
        label, state.active, state.candidate = state.active, None, None
        if label is None:
            return []
        end = Event(
            event="end",
            person=person,
            label=self._classes[label],
            start_s=state.since_s,
            end_s=state.above_s,
            prob=state.best,
            lag_s=self._lag_s,
        )
        return [self._with_reps(end, label, state.repetitions)]
