"""The demo of the bundled model: a synthetic person exercises, and `live` recognises."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.runtime.inference.session import Session
from amr_edge.runtime.pipeline.pipeline import LiveConfig, LivePipeline, View
from amr_edge.runtime.pipeline.records import LiveRecord
from amr_edge.runtime.render.html_playback import Words, write_playback
from amr_edge.runtime.render.truth_comparison import TruthComparison, match
from amr_edge.runtime.sources.recorded import SourceRun, paced, source_run
from amr_edge.runtime.stage_timer import Stages
from amr_edge.synthetic import Sensor, subject
from amr_edge.synthetic.workout import Workout, workout
from amr_edge.terminal import table, to_json

PERSON = 4

Say = Callable[[str], None]
Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DemoResult:
    """Result of the demo.

    Attributes:
        model: Name of the model.
        tokens: Tokens of a body that it looked at.
        done: What the person did.
        comparison: Its events against the true actions.
        answers: How many predictions the model gave.
        latency_ms: What each stage took.
        seconds: The whole, from making the person to the written page.
        report, recording, events: What was written.
    """

    model: str
    tokens: int
    done: Workout
    comparison: TruthComparison
    answers: int
    latency_ms: Mapping[str, Mapping[str, float]]
    seconds: float
    report: Path
    recording: Path
    events: Path

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        sets = zip(self.done.recording.spans, self.done.reps, self.done.variants, strict=True)
        return {
            "data": "synthetic",
            "model": self.model,
            "tokens": self.tokens,
            "source_s": self.done.recording.duration_s,
            "sets": [
                {"label": s.label, "start_s": s.start_s, "end_s": s.end_s, "reps": reps, "variant": variant}
                for s, reps, variant in sets
            ],
            "events": self.comparison.rows,
            "recognised": self.comparison.recognized,
            "actions": self.comparison.actions,
            "repeats": self.comparison.repeats,
            "false_events": self.comparison.false_events,
            "median_delay_s": self.comparison.median_delay_s,
            "answers": self.answers,
            "latency_ms": self.latency_ms,
            "seconds": self.seconds,
            "report": self.report,
            "recording": self.recording,
        }

    def text(self) -> str:
        """For the person."""
        reps = dict(zip(((s.start_s, s.label) for s in self.done.recording.spans), self.done.reps, strict=True))
        rows = [
            (
                f"{row['start_s']:5.1f} s",
                _times(row["truth"] or "(nothing)", reps.get((row["start_s"], row["truth"]))),
                _times(row["answer"] or "(missed)", row["reps"]),
                "" if row["delay_s"] is None else f"{row['delay_s']:.1f} s",
            )
            for row in self.comparison.rows
        ]
        spent = self.latency_ms.get("total", {})
        cost = f", {spent['p50']:.1f} ms a prediction (p50), {spent['p99']:.1f} ms (p99)" if spent else ""
        return "\n".join(
            (
                table(rows, ("time", "ground truth", "predicted", "after")),
                "",
                (
                    f"{self.model} detected {self.comparison.recognized} of {self.comparison.actions} sets, "
                    f"{self.comparison.false_events} false events in {self.done.recording.duration_s:.0f} s; "
                    f"{self.answers} predictions{cost}"
                ),
                "a synthetic person says that the line works, and nothing about you: docs/rehab8.md says what is known",
                f"look at {self.report} (open it in a browser); {self.seconds:.1f} s for everything",
                "next: amr-edge live                      (your camera; needs the `pose` extra)",
                f"  or: amr-edge live --source {self.recording}",
                "  or: amr-edge demo --train              (make a model of your own; needs the `export` extra)",
            )
        )


def _times(what: str, count: int | None) -> str:
    return what if not count else f"{what} × {count}"


def run_demo(
    folder: Path,
    session: Session,
    *,
    seed: int,
    progress: Say,
    speed: float = 0.0,
    views: tuple[View, ...] = (),
    on_record: Callable[[Record], None] | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> DemoResult:
    """Animate a person, run the model as on a camera, and write recording, events and page.

    Args:
        folder: Where everything goes.
        session: The model.
        seed: Of the person and of what they do.
        progress: Takes each line of progress.
        speed: 0 replays as fast as it goes, 1 in real time.
        views: Show it while it goes on.
        on_record: Takes every record as it comes, too.
        now: Seconds on a clock that never goes back.
    """
    begun_s = now()
    folder.mkdir(parents=True, exist_ok=True)
    done = workout(subject(PERSON, seed), np.random.default_rng([seed, 7]), sensor=Sensor(yaw_deg=20))
    recording, path = done.recording, folder / "person.jsonl"
    jsonl.write(path, recording)
    progress(f"a synthetic person exercises for {recording.duration_s:.0f} s, {session.card.name} recognises")
    records: list[Record] = []

    def emit(emitted: LiveRecord) -> None:
        record = emitted.line
        records.append(record)
        if on_record is not None:
            on_record(record)
        if record["type"] == "event" and record["event"] != "update":
            progress(in_words(record))

    stages = Stages(now, np.random.default_rng(0))
    live = LivePipeline(session, config=LiveConfig(), stages=stages, emit=emit, note=lambda _: None, views=views)
    live.run([_at_pace(recording, speed)])
    live.close_with("end")
    events = folder / "events.jsonl"
    events.write_text("".join(to_json(record) + "\n" for record in records), encoding="utf-8")
    comparison = match(records, recording.spans, session.card.prepare.window_s)
    shown = DemoResult(
        model=session.card.name,
        tokens=session.tokens,
        done=done,
        comparison=comparison,
        answers=live.totals.predictions,
        latency_ms=stages.report(),
        seconds=now() - begun_s,
        report=folder / "demo.html",
        recording=path,
        events=events,
    )
    write_playback(shown.report, recording, records, comparison, shown.latency_ms, _words(shown))
    return shown


def _at_pace(recording: Recording, speed: float) -> SourceRun:
    take = source_run(recording)
    return SourceRun(
        title=take.title,
        layout=take.layout,
        units=take.units,
        frames=paced(take, speed),
        spans=take.spans,
        fps=take.fps,
    )


def in_words(record: Mapping[str, Any]) -> str:
    """An event as a line for the person.

    >>> in_words({"event": "start", "label": "squat", "start_s": 7.25, "end_s": 7.5, "prob": 0.91})
    '    7.5 s  squat begins (0.91)'
    >>> in_words({"event": "end", "label": "squat", "start_s": 7.25, "end_s": 20.0, "prob": 0.97, "reps": 5})
    '   20.0 s  squat ends, 5 repetitions'
    """
    when = f"{record['end_s']:7.1f} s  {record['label']}"
    if record["event"] == "start":
        return f"{when} begins ({record['prob']:.2f})"
    reps = record.get("reps")
    return f"{when} ends" + ("" if reps is None else f", {reps} repetition{'' if reps == 1 else 's'}")


def _words(shown: DemoResult) -> Words:
    """Texts around the figure on the page."""
    comparison, spent = shown.comparison, shown.latency_ms.get("total", {})
    figures = [
        (f"{comparison.recognized} of {comparison.actions}", "sets of exercises detected"),
        (f"{comparison.false_events}", "false events in the same recording"),
    ]
    if comparison.recognized:
        figures.append((f"{comparison.median_delay_s:.1f} s", "from the start of a set until its event, median"))
    if spent:
        figures.append((f"{spent['p50']:.1f} ms", "from a frame to its prediction on this machine, median"))
    return Words(
        title="amr-edge demo",
        intro="The person on this page is synthetic: animated by amr-edge, not recorded. It shows that the line "
        f"from joints to events works here; what {shown.model} knows of real people stands in its card: amr-edge model "
        "info rehab8.",
        figures=figures,
        scene="Ground truth and predicted events",
        next=("amr-edge live", f"amr-edge live --source {shown.recording} --ui", "amr-edge demo --train"),
    )
