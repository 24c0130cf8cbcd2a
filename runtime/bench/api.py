"""Measuring models in a Python program: the rows of `amr-edge bench`, typed."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from amr_edge.data.store import Store, open_store
from amr_edge.errors import ConfigError
from amr_edge.pretrained import DEFAULT
from amr_edge.runtime.bench import report, suggest
from amr_edge.runtime.bench.accuracy import accuracy
from amr_edge.runtime.bench.compare import paired
from amr_edge.runtime.bench.energy import energy_per_inference
from amr_edge.runtime.bench.measure import MeasureConfig, Timed, measure
from amr_edge.runtime.bench.models import Spec, Subject, asking, open_one, open_subjects
from amr_edge.runtime.bench.throughput import under_load
from amr_edge.runtime.hardware.machine import context, cores, waited_s
from amr_edge.runtime.hardware.power import Watch, idle_watts, unreadable_rapl, watch
from amr_edge.runtime.inference.session import AUTO
from amr_edge.terminal import note

__all__ = ["Bench", "BenchRow", "bench", "measured"]

WAITED = 0.05  # share of the time that a run may wait for a core which others hold


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """A model, opened in one way, and what it took.

    Attributes:
        name: What it is called in the table.
        engine: What computed.
        precision: In which arithmetic.
        threads: Of one inference.
        people: Answered by one run.
        budget: Share of the tokens.
        tokens: How many those are.
        count: Runs, none of them left out.
        latency_ms: "min", "p50", "p90", "p95", "p99", "p99.9", "max", "mean", "sd", of all runs.
        valid: Whether nothing speaks against the numbers.
        reasons: What does.
        top1: Accuracy on the store that was given; None without one.
        versus_first: Times as long as the first row, with its bounds; None for the first row.
        line: The whole row of the JSON report.
    """

    name: str
    engine: str
    precision: str
    threads: int
    people: int
    budget: float
    tokens: int
    count: int
    latency_ms: Mapping[str, float]
    valid: bool
    reasons: tuple[str, ...]
    top1: float | None
    versus_first: Mapping[str, Any] | None
    line: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A report.

    Attributes:
        rows: One for each model, engine, budget and number of people, measured in turns.
        context: The machine.
        report: The whole JSON report.
    """

    rows: tuple[BenchRow, ...]
    context: Mapping[str, Any]
    report: Mapping[str, Any] = field(repr=False, compare=False)

    def to_dict(self) -> Mapping[str, Any]:
        """For machines: what `--json` prints (docs/bench.md)."""
        return self.report


def bench(
    *models: str | Path,
    people: Sequence[int] = (1,),
    budgets: Sequence[float] = (),
    engines: Sequence[str] = (AUTO,),
    threads: int = 1,
    seconds: float = 5.0,
    count: int = 100,
    warmup_s: float = 1.0,
    turn_s: float = 0.2,
    pace_fps: float | None = None,
    throughput: bool = False,
    data: str | Path | None = None,
    split: str | None = None,
) -> Bench:
    """Measure models on this machine: every run counts, several rows take turns, with the reasons against each.

    Args:
        models: Exported files, run folders or names of the box; none is the model of the box.
        people: Answered by one run; a row for each number.
        budgets: Shares of the tokens; a row for each, none is the card's own.
        engines: What computes; a row for each.
        threads: Of one inference.
        seconds: Each row is measured for so long at least.
        count: And for so many runs at least.
        warmup_s: Seconds before anything counts.
        turn_s: Seconds of one row before the next has its turn.
        pace_fps: Begin a run at each frame of such a camera; None runs back to back.
        throughput: A caller for each core instead of one run after the other.
        data: A store, for the accuracy beside the latency.
        split: Whose test part counts, or "all"; None is the model's own.

    Raises:
        ConfigError: If an option means nothing, or does not fit a file.
        MissingError: If an engine or its device is not here.
        ReadError: If a model or the store cannot be read.
        DataError: If no clip of the store has a label that a model knows.
    """
    config = MeasureConfig(warmup_s=warmup_s, seconds=seconds, count=count, turn_s=turn_s, pace_fps=pace_fps)
    if throughput and pace_fps is not None:
        raise ConfigError("throughput never waits and a pace does; choose one")
    specs = specs_of(
        [Path(model) for model in models] or [Path(DEFAULT)],
        engines=engines,
        budgets=list(budgets) or [None],
        people=people,
        threads=threads,
    )
    subjects = open_subjects(specs, np.random.default_rng(0))
    store = None if data is None else open_store(data)
    report = measured(subjects, config, throughput=throughput, store=store, split=split)
    return Bench(rows=tuple(_typed(row) for row in report["rows"]), context=report["context"], report=report)


def specs_of(
    models: Sequence[Path],
    *,
    engines: Sequence[str],
    budgets: Sequence[float | None],
    people: Sequence[int],
    threads: int,
    rebuild: bool = False,
) -> list[Spec]:
    """A row for each model, engine, budget and number of people."""
    return [
        Spec(path=path, threads=threads, people=who, budget=share, engine=name, rebuild=rebuild)
        for path in models
        for name in engines
        for share in budgets
        for who in people
    ]


def _typed(row: Mapping[str, Any]) -> BenchRow:
    return BenchRow(
        name=row["name"],
        engine=row["engine"],
        precision=row["precision"],
        threads=row["threads"],
        people=row["people"],
        budget=row["budget"],
        tokens=row["tokens"],
        count=row["count"],
        latency_ms=row["latency_ms"],
        valid=row["valid"],
        reasons=tuple(row["reasons"]),
        top1=None if row["accuracy"] is None else row["accuracy"]["top1"],
        versus_first=row["versus_first"],
        line=row,
    )


def measured(
    subjects: Sequence[Subject],
    config: MeasureConfig,
    *,
    throughput: bool,
    store: Store | None,
    split: str | None,
    command: str = "",
    root: Path = Path("/"),
) -> dict[str, Any]:
    """Time the subjects with the meters of the machine under `root` running, and make the report (docs/bench.md).

    Args:
        subjects: What is timed.
        config: How.
        throughput: A caller for each core instead of one after the other.
        store: Labelled recordings, for the accuracy beside the latency.
        split: Whose test part counts, or "all"; None is the model's own.
        command: What was typed, for the report.
        root: Where the machine's meters are read.
    """
    found = context(root=root)
    eyes = watch(root)
    if unreadable_rapl(root):
        note("power: this machine counts energy but only root may read it; run as root for watts and joules")
    idle = idle_watts(eyes, now=time.perf_counter, sleep=time.sleep, seconds=1.0)
    rates: list[float | None] = [None] * len(subjects)
    waited_before_s, begun_s = waited_s(), time.perf_counter()
    with eyes.running(time.perf_counter):
        if throughput:
            timed = []
            for place, subject in enumerate(subjects):
                # An engine may refuse two callers at once: each has a session of its own.
                more = range(cores() // subject.spec.threads - 1)
                callers = [subject.session, *(open_one(subject.spec) for _ in more)]
                runs, rates[place] = under_load(
                    [asking(session, *subject.clips) for session in callers],
                    seconds=config.seconds,
                    warmup_s=config.warmup_s,
                    now=time.perf_counter,
                )
                timed.append(runs)
        else:
            with _telling(f"measuring {len(subjects)} row{'s' if len(subjects) > 1 else ''}") as tell:
                timed = measure(
                    [subject.ask for subject in subjects],
                    config,
                    now=time.perf_counter,
                    sleep=time.sleep,
                    rng=np.random.default_rng(0),
                    tell=tell,
                )
    passed_s, waited_after_s = time.perf_counter() - begun_s, waited_s()
    evidence = [f"throttled: {', '.join(sorted(eyes.trace.slowed))}"] if eyes.trace.slowed else []
    if waited_before_s is not None and waited_after_s is not None and not throughput:
        share = (waited_after_s - waited_before_s) / passed_s
        found["waited"] = round(share, 4)
        if share > WAITED:
            evidence.append(
                f"disturbed: it waited {share:.0%} of the time for a core that others held ({WAITED:.0%} is allowed)"
            )
    mode = "throughput" if throughput else "paced" if config.pace_fps is not None else "back to back"
    rows = [
        _row(subject, runs, timed[0], place, mode, config, evidence, rates[place], eyes, idle, store, split)
        for place, (subject, runs) in enumerate(zip(subjects, timed, strict=True))
    ]
    found["hottest_c"] = eyes.trace.temperatures
    made = report.report(rows, context=found, config=config, command=command, time_s=time.time())
    if eyes.meters:
        made["power_trace"] = {"times_s": eyes.trace.times_s, "watts": eyes.trace.watts, "meters": list(eyes.meters)}
    return made


def _row(
    subject: Subject,
    runs: Timed,
    first: Timed,
    place: int,
    mode: str,
    config: MeasureConfig,
    evidence: list[str],
    rate: float | None,
    eyes: Watch,
    idle: float | None,
    store: Store | None,
    split: str | None,
) -> dict[str, Any]:
    card = subject.session.card
    ratio = paired(runs.turns_ms(), first.turns_ms()) if place and mode != "throughput" else None
    if store is not None:
        note(f"accuracy of {subject.name}")
    return {
        **report.row(
            subject.to_dict(),
            runs,
            mode=mode,
            config=config,
            answers_per_run=len(subject.clips[0]),
            evidence=evidence,
            per_second=rate if rate is not None else config.pace_fps,
            power=energy_per_inference(eyes.trace, runs, idle),
            accuracy=None if store is None else accuracy(subject.session, store, split),
            versus_first=None if ratio is None else {**ratio.to_dict(), "words": ratio.words()},
        ),
        "requested_engine": subject.spec.engine,
        "requested_budget": subject.spec.budget,
        # What a card states was not measured in an engine's own, coarser arithmetic.
        "stated_top1": None
        if subject.spec.engine.endswith("bf16")
        else suggest.stated_accuracy(card, subject.session.tokens),
    }


@contextmanager
def _telling(label: str) -> Iterator[Callable[[float], None]]:
    """A progress bar for a share in [0, 1]; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=1000, label=label, file=sys.stderr, show_eta=True) as bar:
        yield lambda share: bar.update(max(0, math.floor(1000 * share) - bar.pos))
