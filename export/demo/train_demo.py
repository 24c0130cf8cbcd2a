"""The training demo: synthetic people, training, export, verification, replay, report."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.data.spans import windows
from amr_edge.data.splits import split
from amr_edge.data.store import open_store, write_store
from amr_edge.export.demo.demo_page import TruthComparison, draw_timeline, match, write_page
from amr_edge.export.export_onnx import export_run
from amr_edge.export.verify.verification_report import ExportResult
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pipeline.pipeline import LiveConfig, LivePipeline
from amr_edge.runtime.sources.recorded import source_run
from amr_edge.runtime.stage_timer import Stages
from amr_edge.synthetic import CLASSES, DATASET, IDLE, TERMS, continuous, corpus, subject
from amr_edge.terminal import table, to_json
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.tasks.options import TrainOptions
from amr_edge.training.tasks.run_job import run_task

WINDOW_S = 2.0
PEOPLE = 20
HELD_OUT = 4  # an even number: people whom the training never sees
SETTINGS = {
    "pretrain.optim.epochs": 5,
    "finetune.optim.epochs": 20,
    "finetune.optim.batch": 16,
    "finetune.budget": (0.1, 0.25),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainDemoResult:
    """Result of the training demo."""

    folder: Path
    top1: float
    exported: ExportResult
    comparison: TruthComparison
    seconds: float
    model: Path
    recording: Path

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return {
            "folder": self.folder,
            "data": "synthetic",
            "top1_held_out_people": self.top1,
            "export": self.exported.to_dict(),
            "events": self.comparison.rows,
            "recognised": self.comparison.recognized,
            "actions": self.comparison.actions,
            "repeats": self.comparison.repeats,
            "false_events": self.comparison.false_events,
            "median_delay_s": self.comparison.median_delay_s,
            "seconds": self.seconds,
            "report": self.folder / "report.html",
            "picture": self.folder / "demo.png",
        }

    def text(self) -> str:
        """For the person."""
        comparison = self.comparison
        header = ("time", "what the person did", "what was answered", "after")
        lines = (
            table(comparison.rows_as_text(), header),
            "",
            (
                f"recognised {comparison.recognized} of {comparison.actions} actions of a person held out of training, "
                f"{comparison.false_events} false events, median delay {comparison.median_delay_s:.1f} s"
            ),
            (
                f"accuracy on windows of held-out people {self.top1:.3f} (synthetic), "
                f"ONNX proven on {self.exported.parity.clips} clips, {self.seconds:.0f} s in all"
            ),
            f"look at {self.folder / 'report.html'} and {self.folder / 'demo.png'}",
            f"next: amr-edge live {self.model} --source {self.recording}",
            f"  or: amr-edge live {self.model} --source 0      (your camera; needs the `pose` extra)",
            "  or: amr-edge data convert YOUR_RECORDINGS mine.npz && amr-edge train --data mine.npz",
        )
        return "\n".join(lines)


def _people(seed: int) -> Iterator[Recording]:
    """Labelled windows of a continuous recording and two trimmed takes of everything, by everybody."""
    for number in range(1, PEOPLE + 1):
        rng = np.random.default_rng([seed, 2, number])
        long = continuous(subject(number, seed), rng, seconds=60.0 if number % 2 else 30.0)
        shown = list(windows(long, WINDOW_S, 0.75 if number % 2 else 1.0, IDLE))
        idle = [window for window in shown if window.label == IDLE]
        yield from (window for window in shown if window.label != IDLE)
        yield from idle[::2]  # most of anybody's time is idle; that many would outweigh every action
    for take in corpus(subjects=PEOPLE, takes=2, seed=seed):
        if int(take.subject or 0) % 2 or take.source.endswith("k01"):  # one take of the others is enough to test on
            yield take


def _train(folder: Path, data: Path, seed: int, threads: int | None) -> tuple[RunFolder, dict[str, object]]:
    options = TrainOptions(
        data=data,
        recipe="amr-small",
        settings=SETTINGS,
        seed=seed,
        device="cpu",
        threads=threads,
        project=folder / "runs",
        name="demo",
        split="xsub",
    )
    answer = run_task(options)[1].to_dict()
    return RunFolder(Path(str(answer["run"]))), answer


def run_train_demo(folder: Path, *, seed: int, threads: int | None, progress: Callable[[str], None]) -> TrainDemoResult:
    """Make people, train on half of them, export, prove, replay a stranger, and report.

    Args:
        folder: Where everything goes.
        seed: Of the people and of the training.
        threads: CPU threads; None leaves torch's choice.
        progress: Takes each line of progress.

    Returns:
        What was measured.
    """
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "synthetic.npz"
    progress(f"1/5 animating {PEOPLE} synthetic people who do {len(CLASSES) - 1} actions and idle")
    write_store(data, _people(seed), dataset=DATASET, terms=TERMS, classes=CLASSES)
    store = open_store(data)
    chosen = split(store, "xsub")
    progress(f"2/5 training on {int(chosen.train.sum())} windows of half of them: pre-training, then fine-tuning")
    run, answer = _train(folder, data, seed, threads)
    progress("3/5 exporting to ONNX and proving it on the other half")
    exported = export_run(run.folder)
    progress("4/5 replaying a recording of a new person as a live stream")
    long = continuous(subject(HELD_OUT, seed), np.random.default_rng([seed, 3]), seconds=90.0)
    recording = folder / "new_person.jsonl"
    jsonl.write(recording, long)
    session = open_session(exported.path, threads=threads)
    records: list[dict[str, object]] = []
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    live = LivePipeline(
        session,
        config=LiveConfig(),
        stages=stages,
        emit=lambda record: records.append(record.line),
        note=lambda _: None,
    )
    live.run([source_run(long)])
    (folder / "events.jsonl").write_text("".join(to_json(r) + "\n" for r in records), encoding="utf-8")
    progress("5/5 drawing")
    comparison = match(records, long.spans, session.card.prepare.window_s)
    draw_timeline(long, records, comparison, folder / "demo.png")
    result = TrainDemoResult(
        folder=folder,
        top1=float(str(answer["top1"])),
        exported=exported,
        comparison=comparison,
        seconds=time.perf_counter() - began,
        model=exported.path,
        recording=recording,
    )
    write_page(folder / "report.html", long, records, comparison, result.to_dict(), stages.report(), run)
    return result
