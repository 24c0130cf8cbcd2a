"""A replayed recording beside its truth: which actions were recognised, drawn as a picture and as a page."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from amr_edge.recording import Recording, Span
from amr_edge.terminal import to_json
from amr_edge.training.run import Run

PAGE_FPS = 15.0
# Seen from 35 degrees to the side, where a bow or a punch shows as well as a wave.
ASIDE = np.array([[np.cos(0.6), 0, np.sin(0.6)], [0, 1, 0], [-np.sin(0.6), 0, np.cos(0.6)]], dtype=np.float32)
INK, TRUTH, RIGHT, WRONG, PAPER = "#1f3a5f", "#9db4d0", "#2e8b57", "#d1495b", "#fbfaf7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Events against the truth.

    Attributes:
        rows: For each action and each false event: start_s, truth, answer, delay_s (None where there is none).
        recognised: Actions with an event of their label while they were in view.
        actions: Labelled spans.
        repeats: Further events of an action's label while it was in view: one action told in pieces.
        false_events: Events that match no action.
        median_delay_s: From the start of an action to the start of its event; NaN if none was recognised.
    """

    rows: tuple[dict[str, Any], ...]
    recognised: int
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


def match(records: Sequence[Mapping[str, Any]], spans: Sequence[Span], window_s: float) -> Told:
    """Give every action the first event of its label that starts while a window can still see it.

    Args:
        records: What the live run told.
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
        hit = same[0] if same else None
        if hit is not None:
            delays.append(float(hit["start_s"]) - span.start_s)
            repeats += same[1:]
            free = [e for e in free if e not in same]
        rows.append(
            {
                "start_s": span.start_s,
                "end_s": span.end_s,
                "truth": span.label,
                "answer": None if hit is None else hit["label"],
                "delay_s": None if hit is None else delays[-1],
            }
        )
    rows += [
        {"start_s": e["start_s"], "end_s": e["end_s"], "truth": None, "answer": e["label"], "delay_s": None}
        for e in free
    ]
    rows += [
        {
            "start_s": e["start_s"],
            "end_s": e["end_s"],
            "truth": e["label"],
            "answer": f"{e['label']} again",
            "delay_s": None,
        }
        for e in repeats
    ]
    return Told(
        rows=tuple(sorted(rows, key=lambda row: float(row["start_s"]))),
        recognised=len(delays),
        actions=len(spans),
        repeats=len(repeats),
        false_events=len(free),
        median_delay_s=float(np.median(delays)) if delays else float("nan"),
    )


def draw_story(recording: Recording, records: Sequence[Mapping[str, Any]], told: Told, path: Path) -> None:
    """The person at the middle of every action, and truth and answers along the time axis, as a PNG."""
    spans, events = recording.spans, events_of(records)
    figure = Figure(figsize=(15, 4.4), layout="constrained", facecolor=PAPER)
    halves: Any = figure.subfigures(2, 1, height_ratios=[1.25, 1])
    top, bottom = halves
    for panel, span in zip(np.atleast_1d(top.subplots(1, max(len(spans), 1))), spans, strict=False):
        frame = int(np.searchsorted(recording.times_s, (span.start_s + span.end_s) / 2))
        pose = recording.poses[0, min(frame, len(recording.times_s) - 1)] @ ASIDE  # (V, C)
        for parent, child in recording.skeleton.bones:
            panel.plot(pose[[parent, child], 0], pose[[parent, child], 1], color=INK, lw=2.2, solid_capstyle="round")
        left, right = np.nanmin(pose[:, 0]), np.nanmax(pose[:, 0])
        low = np.nanmin(pose[:, 1])
        panel.set(
            xlim=((left + right) / 2 - 0.6, (left + right) / 2 + 0.6), ylim=(low - 0.05, low + 2.3), aspect="equal"
        )
        panel.axis("off")
        panel.set_title(span.label.replace("_", " "), fontsize=9, color=INK)
    panel = bottom.subplots()
    wrong = {(row["start_s"], row["answer"]) for row in told.rows if row["truth"] is None}
    answered = [Span(e["start_s"], e["end_s"], e["label"]) for e in events]
    for row, (bars, name) in enumerate([(answered, "answered"), (list(spans), "done")]):
        for start_s, end_s, label in bars:
            colour = TRUTH if name == "done" else WRONG if (start_s, label) in wrong else RIGHT
            panel.barh(row, max(end_s - start_s, 0.3), left=start_s, height=0.62, color=colour)
            panel.text((start_s + end_s) / 2, row, label.replace("_", "\n"), ha="center", va="center", fontsize=7)
    panel.set_yticks([0, 1], ["answered", "done"])
    panel.set_xlim(0, recording.duration_s)
    panel.set_xlabel("seconds")
    panel.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(
        f"A synthetic person the model had never seen: {told.recognised} of {told.actions} actions recognised, "
        f"{told.false_events} false events",
        fontsize=12,
        color=INK,
    )
    figure.savefig(path, dpi=110, facecolor=PAPER)


def _picture(path: Path) -> str:
    """A PNG as a data address, so that the page is one file."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode() if path.exists() else ""


def write_page(
    path: Path,
    recording: Recording,
    records: Sequence[Mapping[str, Any]],
    told: Told,
    result: Mapping[str, object],
    latency_ms: Mapping[str, Mapping[str, float]],
    run: Run,
) -> None:
    """One HTML file that replays the recording with its answers and shows how the model came to be."""
    step = max(1, round(recording.fps / PAGE_FPS))
    poses = (recording.poses[0, ::step] @ ASIDE)[..., :2]  # (T', V, 2)
    middle = np.nanmedian(poses, axis=(0, 1))
    frames = np.round((poses - middle) * 1000)
    replay = {
        "fps": recording.fps / step,
        "bones": recording.skeleton.bones,
        "frames": frames.reshape(len(frames), -1),  # (T', V * 2), millimetres; null where absent
        "spans": [{"start_s": s.start_s, "end_s": s.end_s, "label": s.label} for s in recording.spans],
        "events": [{k: e[k] for k in ("start_s", "end_s", "label", "prob")} for e in events_of(records)],
        "answers": [{k: r[k] for k in ("time_s", "label", "prob")} for r in records if r["type"] == "answer"],
        "rows": told.rows,
        "latency": latency_ms,
    }
    page = Template(files("amr_edge.export").joinpath("page.html").read_text(encoding="utf-8"))
    export = result["export"]
    proof = export if isinstance(export, dict) else {}
    path.write_text(
        page.substitute(
            replay=json.dumps(json.loads(to_json(replay)), separators=(",", ":")).replace("</", "<\\/"),
            recognised=told.recognised,
            actions=told.actions,
            false_events=told.false_events,
            delay=f"{told.median_delay_s:.1f}",
            top1=f"{float(str(result['top1_held_out_people'])):.3f}",
            seconds=f"{float(str(result['seconds'])):.0f}",
            clips=proof["clips"],
            difference=f"{proof['max_difference']:.1e}",
            agreement=f"{proof['agreement']:.1%}",
            size=f"{proof['size_bytes'] / 1e6:.1f}",
            pretraining=_picture(run.folder / "pretrain" / "curves.png"),
            finetuning=_picture(run.folder / "curves.png"),
            confusion=_picture(run.folder / "confusion_matrix.png"),
        ),
        encoding="utf-8",
    )
