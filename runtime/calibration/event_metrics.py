"""Event metrics: precision, recall, delay and false positives of events against labelled spans."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from amr_edge.data.recording import Span
from amr_edge.errors import ConfigError
from amr_edge.runtime.pipeline.assignment import cheapest_pairs
from amr_edge.runtime.pipeline.event_detector import Event

OVERLAP = 0.5  # intersection over union from which an event is about a span


class TrueEvent(NamedTuple):
    """One event from start to end."""

    label: str
    from_s: float  # when it was done, about
    to_s: float
    reported_s: float  # when its start was reported


def happened(events: Iterable[Event]) -> list[TrueEvent]:
    """Starts and ends of each person, put together; in the order of their starts."""
    reported: dict[int | None, float] = {}
    whole = []
    for event in events:
        if event.event == "start":
            reported[event.person] = event.end_s
        elif event.event == "end":
            whole.append(TrueEvent(event.label, *event.done_s, reported.pop(event.person)))
    return sorted(whole, key=lambda each: each.reported_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventScore:
    """Event metrics; those of several recordings add up.

    Attributes:
        actions: Labelled spans.
        events: Events that were reported.
        matched: Pairs of a span and an event of its label with enough overlap, each in one pair at most.
        alarms: The labels of the false positives: of events that touch no span at all.
        idle_s: Seconds outside every span.
        delays_s: From the onset of each matched span to the moment when its event's start was reported.
    """

    actions: int = 0
    events: int = 0
    matched: int = 0
    alarms: tuple[str, ...] = ()
    idle_s: float = 0.0
    delays_s: tuple[float, ...] = ()

    def __add__(self, other: "EventScore") -> "EventScore":
        return EventScore(
            actions=self.actions + other.actions,
            events=self.events + other.events,
            matched=self.matched + other.matched,
            alarms=self.alarms + other.alarms,
            idle_s=self.idle_s + other.idle_s,
            delays_s=self.delays_s + other.delays_s,
        )

    @property
    def precision(self) -> float:
        """Share of the events that are about a span; NaN without events."""
        return self.matched / self.events if self.events else float("nan")

    @property
    def recall(self) -> float:
        """Share of the spans that an event is about; NaN without spans."""
        return self.matched / self.actions if self.actions else float("nan")

    @property
    def f1(self) -> float:
        """Their harmonic mean; NaN without events and spans."""
        both = self.events + self.actions
        return 2 * self.matched / both if both else float("nan")

    @property
    def alarms_per_hour(self) -> float:
        """False positives for each hour of idleness; NaN without any."""
        return len(self.alarms) / self.idle_s * 3600 if self.idle_s > 0 else float("nan")

    @property
    def median_delay_s(self) -> float:
        """Median of the delays; NaN if nothing was matched."""
        return float(np.median(self.delays_s)) if self.delays_s else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "actions": self.actions,
            "events": self.events,
            "matched": self.matched,
            "precision": round(self.precision, 4),
            "recall": round(self.recall, 4),
            "f1": round(self.f1, 4),
            "median_delay_s": round(self.median_delay_s, 3),
            "false_alarms": len(self.alarms),
            "idle_hours": round(self.idle_s / 3600, 4),
            "false_alarms_per_hour": round(self.alarms_per_hour, 2),
        }


def score_events(
    reported: Sequence[TrueEvent], spans: Sequence[Span], start_s: float, end_s: float, *, overlap: float = OVERLAP
) -> EventScore:
    """Hold the events of one recording of one person against its spans.

    Args:
        reported: The events.
        spans: What was done.
        start_s: When the recording begins.
        end_s: When it ends.
        overlap: Least intersection over union in time of a pair, in (0, 1].

    Returns:
        The score. Of all pairings the one with most pairs counts, and of those the one that overlaps most.

    Raises:
        ConfigError: If the overlap is not in (0, 1].
    """
    if not 0 < overlap <= 1:
        raise ConfigError(f"overlap must lie in (0, 1], got {overlap}")
    costs = np.full((len(spans), len(reported)), np.inf)
    for i, span in enumerate(spans):
        for j, event in enumerate(reported):
            shared = _shared(span, event) if span.label == event.label else 0.0
            if shared >= overlap - 1e-9:  # half of an action is seldom 0.5 after subtractions in binary
                costs[i, j] = 1 - shared
    pairs = cheapest_pairs(costs)
    alarms = [
        event.label
        for event in reported
        if not any(min(event.to_s, span.end_s) > max(event.from_s, span.start_s) for span in spans)
    ]
    return EventScore(
        actions=len(spans),
        events=len(reported),
        matched=len(pairs),
        alarms=tuple(alarms),
        idle_s=end_s - start_s - _covered(spans, start_s, end_s),
        delays_s=tuple(reported[event].reported_s - spans[span].start_s for span, event in pairs),
    )


def _shared(span: Span, event: TrueEvent) -> float:
    """Intersection over union in time."""
    both = min(span.end_s, event.to_s) - max(span.start_s, event.from_s)
    union = max(span.end_s, event.to_s) - min(span.start_s, event.from_s)
    return max(both, 0.0) / union if union > 0 else 0.0


def _covered(spans: Sequence[Span], start_s: float, end_s: float) -> float:
    """Seconds of the recording in which something is done; spans may overlap."""
    covered, until_s = 0.0, start_s
    for span in sorted(spans):
        begins_s, ends_s = max(span.start_s, until_s), min(span.end_s, end_s)
        covered += max(ends_s - begins_s, 0.0)
        until_s = max(until_s, ends_s)
    return covered
