"""Playback of a recording with true and predicted events, as one self-contained HTML file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from amr_edge.data.recording import Recording
from amr_edge.runtime.render.truth_comparison import TruthComparison, events_of
from amr_edge.terminal import to_json

FPS = 15.0  # of the figure on the page
# Seen from 35 degrees to the side, where a bow or a squat shows as well as a wave.
ASIDE = np.array([[np.cos(0.6), 0, np.sin(0.6)], [0, 1, 0], [-np.sin(0.6), 0, np.cos(0.6)]], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Texts around the figure.

    Attributes:
        title: Of the page.
        intro: Below the title.
        figures: (number, what it is) in boxes.
        scene: Heading of the figure.
        after: HTML between the tables and `next`, for additional content.
        next: Commands to type, one a line.
    """

    title: str
    intro: str
    figures: Sequence[tuple[str, str]]
    scene: str
    after: str = ""
    next: Sequence[str] = ()


def write_playback(
    path: Path,
    recording: Recording,
    records: Sequence[Mapping[str, Any]],
    comparison: TruthComparison,
    latency_ms: Mapping[str, Mapping[str, float]],
    words: Words,
) -> None:
    """Write the page.

    Args:
        path: The HTML file.
        recording: Of one person; its spans are what was done.
        records: The output of the live run.
        comparison: The comparison of the two.
        latency_ms: What each stage took, as `Stages.report` says it.
        words: What stands around.
    """
    step = max(1, round(recording.fps / FPS))
    poses = (recording.poses[0, ::step] @ ASIDE)[..., :2]  # (T', V, 2)
    middle = np.nanmedian(poses, axis=(0, 1))
    frames = np.round((poses - middle) * 1000)
    counted = [r for r in records if r["type"] == "event" and r.get("reps") is not None]
    replay = {
        "fps": recording.fps / step,
        "bones": recording.skeleton.bones,
        "frames": frames.reshape(len(frames), -1),  # (T', V * 2), millimetres; null where absent
        "spans": [{"start_s": s.start_s, "end_s": s.end_s, "label": s.label} for s in recording.spans],
        "events": [{k: e[k] for k in ("start_s", "end_s", "label", "prob")} for e in events_of(records)],
        "reps": [{"time_s": r["end_s"], "start_s": r["start_s"], "reps": r["reps"]} for r in counted],
        "answers": [{k: r[k] for k in ("time_s", "label", "prob")} for r in records if r["type"] == "answer"],
        "rows": comparison.rows,
        "latency": latency_ms,
    }
    page = Template(files("amr_edge.runtime.render").joinpath("playback.html").read_text(encoding="utf-8"))
    path.write_text(
        page.substitute(
            title=escape(words.title),
            intro=escape(words.intro),
            figures="\n".join(
                f"  <div><b>{escape(number)}</b><span>{escape(what)}</span></div>" for number, what in words.figures
            ),
            scene=escape(words.scene),
            after=words.after,
            next="<br>\n".join(f"<code>{escape(line)}</code>" for line in words.next),
            # A script element ends at the first "</", whatever the quotes say.
            replay=json.dumps(json.loads(to_json(replay)), separators=(",", ":")).replace("</", "<\\/"),
        ),
        encoding="utf-8",
    )
