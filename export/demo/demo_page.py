"""A replayed recording beside its truth, drawn as a picture, and as a page that also shows how the model came to be."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from amr_edge.data.recording import Recording, Span
from amr_edge.runtime.render.html_playback import ASIDE, Words, write_playback
from amr_edge.runtime.render.truth_comparison import TruthComparison, events_of, match
from amr_edge.training.engine.run_folder import RunFolder

__all__ = ["TruthComparison", "draw_timeline", "events_of", "match", "write_page"]

INK, TRUTH, RIGHT, WRONG, PAPER = "#1f3a5f", "#9db4d0", "#2e8b57", "#d1495b", "#fbfaf7"


def draw_timeline(
    recording: Recording, records: Sequence[Mapping[str, Any]], comparison: TruthComparison, path: Path
) -> None:
    """The person at the middle of every action, and truth and predictions along the time axis, as a PNG."""
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
    wrong = {(row["start_s"], row["answer"]) for row in comparison.rows if row["truth"] is None}
    answered = [Span(e["start_s"], e["end_s"], e["label"]) for e in events]
    for row, (bars, name) in enumerate([(answered, "answered"), (list(spans), "done")]):
        for start_s, end_s, label in bars:
            color = TRUTH if name == "done" else WRONG if (start_s, label) in wrong else RIGHT
            panel.barh(row, max(end_s - start_s, 0.3), left=start_s, height=0.62, color=color)
            panel.text((start_s + end_s) / 2, row, label.replace("_", "\n"), ha="center", va="center", fontsize=7)
    panel.set_yticks([0, 1], ["answered", "done"])
    panel.set_xlim(0, recording.duration_s)
    panel.set_xlabel("seconds")
    panel.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(
        f"A synthetic person held out of training: {comparison.recognized} of {comparison.actions} actions recognised, "
        f"{comparison.false_events} false events",
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
    comparison: TruthComparison,
    result: Mapping[str, object],
    latency_ms: Mapping[str, Mapping[str, float]],
    run: RunFolder,
) -> None:
    """One HTML file that replays the recording with its predictions and shows how the model came to be."""
    words = Words(
        title="amr-edge demo",
        intro="All people on this page are synthetic: animated by amr-edge, not recorded. The code that trained, "
        "exported and replayed is the code that runs on your recordings.",
        figures=(
            (
                f"{comparison.recognized} of {comparison.actions}",
                "actions recognised, of a person the model had never seen",
            ),
            (f"{comparison.false_events}", "false events in the same recording"),
            (f"{comparison.median_delay_s:.1f} s", "median delay from the start of an action to its event"),
            (f"{float(str(result['top1_held_out_people'])):.3f}", "accuracy on windows of ten held-out people"),
            (f"{float(str(result['seconds'])):.0f} s", "for everything, from scratch to this page"),
        ),
        scene="A new person, as the model saw them",
        after=_making(result, run),
        next=(
            "amr-edge live MODEL --source 0",
            "amr-edge data convert YOUR_RECORDINGS mine.npz",
            "amr-edge train --data mine.npz",
        ),
    )
    write_playback(path, recording, records, comparison, latency_ms, words)


def _making(result: Mapping[str, object], run: RunFolder) -> str:
    """Verification and training curves of the model, as HTML."""
    export = result["export"]
    proof = export if isinstance(export, dict) else {}
    pictures = (
        (run.folder / "pretrain" / "curves.png", "Pre-training curves"),
        (run.folder / "curves.png", "Fine-tuning curves"),
        (run.folder / "confusion_matrix.png", "Confusion matrix of held-out people"),
    )
    shown = "\n".join(f'<img src="{_picture(file)}" alt="{escape(what)}">' for file, what in pictures)
    return f"""
<h2>The exported file is the trained model</h2>
<p>ONNX against PyTorch on {proof["clips"]} windows of held-out people: top-1 agreement
<b>{proof["agreement"]:.1%}</b>, largest difference of a probability <b>{proof["max_difference"]:.1e}</b>,
{proof["size_bytes"] / 1e6:.1f} MB. A file that differs by more than the limit is not kept.</p>

<h2>Training curves</h2>
<p class="quiet">Pre-training sees a tenth of the tokens and predicts the movement of all joints, no labels involved;
fine-tuning sees 10 to 25 % of them.</p>
{shown}
"""
