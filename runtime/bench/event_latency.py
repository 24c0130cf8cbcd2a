"""Event latency: from the onset of an action to its confirmed event, on labelled recordings.

Recordings whose labelled spans say when actions begin go through the very same stream and decisions as `live`. The
delay of an action is the capture time of the frame at which its event started, minus the beginning of its span, plus
what that frame cost to compute. Most of it is not computing: a prediction looks back over a window, and an event must
be confirmed. The parts are reported separately.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from amr_edge.data.recording import Span
from amr_edge.errors import DataError
from amr_edge.runtime.inference.session import Session
from amr_edge.runtime.pipeline.event_detector import Event, EventDetector
from amr_edge.runtime.pipeline.recognizer import Recognizer
from amr_edge.runtime.sources.recorded import SourceRun
from amr_edge.terminal import table


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An event that started: when, what, and what the frame cost.

    Attributes:
        time_s: Capture time of the frame at which it was reported.
        label: What.
        cost_ms: From the frame in hand to the event emitted.
    """

    time_s: float
    label: str
    cost_ms: float


def confirmed(session: Session, take: SourceRun, now: Callable[[], float]) -> tuple[list[Confirmed], float]:
    """The events that start in a take, and how many seconds it lasts."""
    stream, decider = Recognizer(session, take.layout, take.units), EventDetector(session.card)
    found: list[Confirmed] = []
    first_s = last_s = float("nan")

    def keep(events: Iterable[Event], begun_s: float) -> None:
        cost_ms = (now() - begun_s) * 1e3
        found.extend(Confirmed(last_s, event.label, cost_ms) for event in events if event.event == "start")

    for frame in take:
        begun_s = now()
        last_s = frame.time_s
        first_s = last_s if first_s != first_s else first_s
        keep(decider.push(last_s, stream.push(frame)), begun_s)
    begun_s = now()
    if last_s == last_s:
        keep(decider.push(last_s, stream.flush()), begun_s)
    return found, 0.0 if last_s != last_s else last_s - first_s


def matched(spans: Iterable[Span], events: Iterable[Confirmed], grace_s: float) -> tuple[dict[Span, Confirmed], int]:
    """Match events and actions.

    Args:
        spans: The actions.
        events: In the order of time.
        grace_s: An event that starts so long after its action ended still tells of it: the window looks back.

    Returns:
        The first event of the right label for each action that has one, and how many events match no action.
    """
    found: dict[Span, Confirmed] = {}
    false = 0
    for event in sorted(events, key=lambda event: event.time_s):
        fits = [s for s in spans if s.label == event.label and s.start_s <= event.time_s <= s.end_s + grace_s]
        fresh = [span for span in fits if span not in found]
        if fresh:
            # An action that goes on is meant before one that is over.
            found[max(fresh, key=lambda span: span.start_s)] = event
        elif not fits:
            false += 1
    return found, false


def action_latency(session: Session, takes: Iterable[SourceRun], *, now: Callable[[], float]) -> dict[str, Any]:
    """Delays of the actions of labelled recordings, those that were missed and those that were invented.

    Args:
        session: The model.
        takes: Continuous recordings with spans; a take without any is left out and counted.
        now: Seconds on a fine clock.

    Raises:
        DataError: If no take has a span of a class that the model knows.
    """
    card = session.card
    delays_s: list[float] = []
    costs_ms: list[float] = []
    by_class: dict[str, list[float]] = {}
    actions: dict[str, int] = {}
    false, watched_s, without, recordings = 0, 0.0, 0, 0
    for take in takes:
        spans = [span for span in take.spans if span.label in card.classes and span.label != card.none_class]
        if not spans:
            without += 1
            continue
        recordings += 1
        events, seconds = confirmed(session, take, now)
        pairs, invented = matched(spans, events, card.prepare.window_s)
        false += invented
        watched_s += seconds
        for span in spans:
            actions[span.label] = actions.get(span.label, 0) + 1
        for span, event in pairs.items():
            delay_s = event.time_s - span.start_s + event.cost_ms / 1e3
            delays_s.append(delay_s)
            costs_ms.append(event.cost_ms)
            by_class.setdefault(span.label, []).append(delay_s)
    if not actions:
        raise DataError(
            f"none of the recordings has a labelled stretch of a class that '{card.name}' knows "
            f"({', '.join(card.classes)}); action latency needs continuous recordings with spans (docs/formats.md)"
        )
    return {
        "recordings": recordings,
        "recordings_without_spans": without,
        "hours": watched_s / 3600,
        "actions": sum(actions.values()),
        "detected": len(delays_s),
        "missed": sum(actions.values()) - len(delays_s),
        "false_per_hour": false / (watched_s / 3600) if watched_s else float("nan"),
        "false": false,
        "delay_s": _shares(delays_s),
        "compute_ms": _shares(costs_ms),
        "window_s": card.prepare.window_s,
        "stride_s": card.stride_s,
        "per_class": {
            label: {"actions": actions[label], **_shares(by_class.get(label, []))} for label in sorted(actions)
        },
    }


def _shares(values: list[float]) -> dict[str, Any]:
    if not values:
        return {"count": 0}
    p50, p90, p99 = np.percentile(values, (50, 90, 99))
    return {
        "count": len(values),
        "min": round(min(values), 5),
        "p50": round(float(p50), 5),
        "p90": round(float(p90), 5),
        "p99": round(float(p99), 5) if len(values) >= 100 else None,
        "max": round(max(values), 5),
        "mean": round(float(np.mean(values)), 5),
    }


def for_people(result: Mapping[str, Any]) -> str:
    """The delays as a table."""
    rows = [
        [label, numbers["actions"], numbers["count"], *(_cell(numbers.get(name)) for name in ("p50", "p90", "max"))]
        for label, numbers in [
            *result["per_class"].items(),
            ("all", {"actions": result["actions"], **result["delay_s"]}),
        ]
    ]
    lines = [table(rows, ["action", "shown", "detected", "p50 s", "p90 s", "max s"])]
    compute = result["compute_ms"].get("p50")
    lines.append(
        f"{result['detected']} of {result['actions']} actions detected, {result['false']} false events "
        f"({result['false_per_hour']:.1f} an hour) in {result['recordings']} recordings; of the delay, computing is "
        f"{'-' if compute is None else f'{compute:.2f} ms'} (p50), the window {result['window_s']:g} s, a prediction "
        f"comes every {result['stride_s']:g} s"
    )
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
