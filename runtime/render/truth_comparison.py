"""Ground truth against predicted events: which labelled spans of a recording got an event of their label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amr_edge.data.recording import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthComparison:
    """Events against the truth.

    Attributes:
        rows: For each action and each further event: start_s, end_s, truth, answer, delay_s and reps (None where there
            is none). Of an action that is detected in pieces, the first row has the repetitions of all.
        recognised: Actions with an event of their label while they were in view.
        actions: Labelled spans.
        repeats: Further events of an action's label while it was in view: one action detected in pieces.
        false_events: Events that match no action.
        median_delay_s: From the start of an action to the start of its event; NaN if none was recognised.
    """

    rows: tuple[dict[str, Any], ...]
    recognized: int
    actions: int
    repeats: int
    false_events: int
    median_delay_s: float

    def rows_as_text(self) -> list[tuple[str, str, str, str]]:
        """The rows for a table."""
        return [
            (
                f"{row['start_s']:5.1f} s",
                row["truth"] or "(nothing)",
                row["answer"] or "(missed)",
                "" if row["delay_s"] is None else f"{row['delay_s']:.1f} s",
            )
            for row in self.rows
        ]


def events_of(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The finished events among the records of a live run, in order of their start."""
    return sorted((r for r in records if r["type"] == "event" and r["event"] == "end"), key=lambda r: r["start_s"])


def match(records: Sequence[Mapping[str, Any]], spans: Sequence[Span], window_s: float) -> TruthComparison:
    """Give every action the first event of its label that starts while a window can still see it.

    Args:
        records: The output of the live run.
        spans: What was really done.
        window_s: Length of the model's window: an event may start so long after the action.

    Returns:
        The comparison.
    """
    free = events_of(records)
    repeats: list[Mapping[str, Any]] = []
    rows: list[dict[str, Any]] = []
    delays = []
    for span in spans:
        same = [e for e in free if e["label"] == span.label and span.start_s <= e["start_s"] <= span.end_s + window_s]
        if same:
            delays.append(float(same[0]["start_s"]) - span.start_s)
            repeats += same[1:]
            free = [e for e in free if e not in same]
        rows.append(
            {
                "start_s": span.start_s,
                "end_s": span.end_s,
                "truth": span.label,
                "answer": span.label if same else None,
                "delay_s": delays[-1] if same else None,
                "reps": _reps(same),
            }
        )
    rows += [_row(e, truth=None, answer=e["label"], reps=_reps([e])) for e in free]
    rows += [_row(e, truth=e["label"], answer=f"{e['label']} again", reps=None) for e in repeats]
    return TruthComparison(
        rows=tuple(sorted(rows, key=lambda row: float(row["start_s"]))),
        recognized=len(delays),
        actions=len(spans),
        repeats=len(repeats),
        false_events=len(free),
        median_delay_s=float(np.median(delays)) if delays else float("nan"),
    )


def _row(event: Mapping[str, Any], *, truth: str | None, answer: str, reps: int | None) -> dict[str, Any]:
    """An event that is not the first of an action."""
    return {
        "start_s": event["start_s"],
        "end_s": event["end_s"],
        "truth": truth,
        "answer": answer,
        "delay_s": None,
        "reps": reps,
    }


def _reps(events: Sequence[Mapping[str, Any]]) -> int | None:
    """The repetitions that events counted, together; None where none was counted."""
    counted = [int(event["reps"]) for event in events if event.get("reps") is not None]
    return sum(counted) if counted else None
