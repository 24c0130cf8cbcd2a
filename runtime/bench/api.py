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
from amr_edge.runtime.bench.models import LoadedModel, RowSpec, inference_call, load_models, load_session
from amr_edge.runtime.bench.throughput import measure_throughput
from amr_edge.runtime.hardware.machine import context, cores, waited_s
from amr_edge.runtime.hardware.power import Trace, idle_watts, unreadable_rapl, watch
from amr_edge.runtime.inference.session import AUTO
from amr_edge.terminal import note

__all__ = ["Bench", "BenchOptions", "BenchRow", "bench", "run_benchmark"]

MAX_WAITED = 0.05  # share of the time that a run may wait for a core which others hold


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What is measured and how, for `amr-edge bench` and for Python.

    Attributes:
        models: Exported files, run folders or names of bundled models.
        people: Persons per run; a row for each number.
        budgets: Shares of the tokens; a row for each, None is the card's own.
        engines: Inference engines; a row for each.
        threads: Threads of one inference.
        rebuild: Build a TensorRT engine that does not fit this machine again.
        measure: Warm-up, duration, turns and pace.
        throughput: One caller for each core instead of one run after the other.
        data: A store for the accuracy; None measures latency alone.
        split: Split whose test part is scored, or "all"; None is the model's own.
    """

    models: tuple[Path, ...] = (Path(DEFAULT),)
    people: tuple[int, ...] = (1,)
    budgets: tuple[float | None, ...] = (None,)
    engines: tuple[str, ...] = (AUTO,)
    threads: int = 1
    rebuild: bool = False
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    throughput: bool = False
    data: Path | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if self.throughput and self.measure.pace_fps is not None:
            raise ConfigError("throughput never waits and a pace does; choose one")

    @property
    def mode(self) -> str:
        """How runs follow each other: "throughput", "paced" or "back to back"."""
        return "throughput" if self.throughput else "paced" if self.measure.pace_fps is not None else "back to back"

    def specs(self) -> list[RowSpec]:
        """A row for each model, engine, budget and number of people."""
        return [
            RowSpec(path=path, threads=self.threads, people=people, budget=budget, engine=engine, rebuild=self.rebuild)
            for path in self.models
            for engine in self.engines
            for budget in self.budgets
            for people in self.people
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """Measured latency of a model on one engine, budget and number of people.

    Attributes:
        name: Its name in the table.
        engine: Inference engine.
        precision: Arithmetic.
        threads: Threads of one inference.
        people: Persons per run.
        budget: Share of the tokens.
        tokens: Number of tokens.
        count: Runs, none of them left out.
        latency_ms: "min", "p50", "p90", "p95", "p99", "p99.9", "max", "mean", "sd", of all runs.
        valid: True if the numbers may be published.
        reasons: Why not, if they may not.
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
        rows: One for each model, engine, budget and number of people, measured interleaved.
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
    measure: MeasureConfig | None = None,
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
        measure: Seconds, runs, warm-up, turns and pace of each row; None takes the defaults.
        throughput: A caller for each core instead of one run after the other.
        data: A store, for the accuracy beside the latency.
        split: Whose test part counts, or "all"; None is the model's own.

    Raises:
        ConfigError: If an option means nothing, or does not fit a file.
        MissingError: If an engine or its device is not here.
        ReadError: If a model or the store cannot be read.
        DataError: If no clip of the store has a label that a model knows.
    """
    options = BenchOptions(
        models=tuple(Path(model) for model in models) or (Path(DEFAULT),),
        people=tuple(people),
        budgets=tuple(budgets) or (None,),
        engines=tuple(engines),
        threads=threads,
        measure=measure or MeasureConfig(),
        throughput=throughput,
        data=None if data is None else Path(data),
        split=split,
    )
    report = run_benchmark(load_models(options.specs(), np.random.default_rng(0)), options)
    return Bench(rows=tuple(_typed(row) for row in report["rows"]), context=report["context"], report=report)


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


def run_benchmark(
    subjects: Sequence[LoadedModel], options: BenchOptions, *, command: str = "", root: Path = Path("/")
) -> dict[str, Any]:
    """Time the models with the power and temperature meters running, and build the report (docs/bench.md).

    Args:
        subjects: The opened models, one a row.
        options: How they are measured.
        command: The command line, for the report.
        root: Root of the file tree in which the machine's meters are read.
    """
    store = None if options.data is None else open_store(options.data)
    machine = context(root=root)
    meters = watch(root)
    if unreadable_rapl(root):
        note("power: this machine counts energy but only root may read it; run as root for watts and joules")
    idle = idle_watts(meters, now=time.perf_counter, sleep=time.sleep, seconds=1.0)
    waited_before_s, begun_s = waited_s(), time.perf_counter()
    with meters.running(time.perf_counter):
        timed, rates = _time_under_load(subjects, options) if options.throughput else _time_in_turns(subjects, options)
    passed_s, waited_after_s = time.perf_counter() - begun_s, waited_s()
    evidence = [f"throttled: {', '.join(sorted(meters.trace.slowed))}"] if meters.trace.slowed else []
    if waited_before_s is not None and waited_after_s is not None and not options.throughput:
        share = (waited_after_s - waited_before_s) / passed_s
        machine["waited"] = round(share, 4)
        if share > MAX_WAITED:
            evidence.append(
                f"disturbed: it waited {share:.0%} of the time for a core that others held "
                f"({MAX_WAITED:.0%} is allowed)"
            )
    conditions = _Conditions(
        options=options, evidence=tuple(evidence), trace=meters.trace, idle_watts=idle, store=store
    )
    rows = [
        _row(subject, runs, timed[0] if place else None, rate, conditions)
        for place, (subject, runs, rate) in enumerate(zip(subjects, timed, rates, strict=True))
    ]
    machine["hottest_c"] = meters.trace.temperatures
    result = report.report(rows, context=machine, config=options.measure, command=command, time_s=time.time())
    if meters.meters:
        trace = meters.trace
        result["power_trace"] = {"times_s": trace.times_s, "watts": trace.watts, "meters": list(meters.meters)}
    return result


def _time_under_load(subjects: Sequence[LoadedModel], options: BenchOptions) -> tuple[list[Timed], list[float | None]]:
    """Every run of each model with a caller for each core, and runs per second of the whole machine."""
    timed, rates = [], []
    for subject in subjects:
        # An engine may refuse two callers at once: each has a session of its own.
        more = range(cores() // subject.spec.threads - 1)
        callers = [subject.session, *(load_session(subject.spec) for _ in more)]
        runs, rate = measure_throughput(
            [inference_call(session, *subject.clips) for session in callers],
            seconds=options.measure.seconds,
            warmup_s=options.measure.warmup_s,
            now=time.perf_counter,
        )
        timed.append(runs)
        rates.append(rate)
    return timed, list(rates)


def _time_in_turns(subjects: Sequence[LoadedModel], options: BenchOptions) -> tuple[list[Timed], list[float | None]]:
    """Every run of each model, measured interleaved; no rate but that of the runs themselves."""
    with _progress_bar(f"measuring {len(subjects)} row{'s' if len(subjects) > 1 else ''}") as on_progress:
        timed = measure(
            [subject.ask for subject in subjects],
            options.measure,
            now=time.perf_counter,
            sleep=time.sleep,
            rng=np.random.default_rng(0),
            on_progress=on_progress,
        )
    return timed, [None] * len(subjects)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Conditions:
    """What all rows of a report share.

    Attributes:
        options: How they were measured.
        evidence: Reasons from outside the runs that make them INVALID.
        trace: Samples of the meters.
        idle_watts: Power before the measurement; None without a meter.
        store: Labelled recordings for the accuracy; None without any.
    """

    options: BenchOptions
    evidence: tuple[str, ...]
    trace: Trace
    idle_watts: float | None
    store: Store | None


def _row(
    subject: LoadedModel, runs: Timed, first: Timed | None, rate: float | None, conditions: _Conditions
) -> dict[str, Any]:
    """One row of the report; `first` are the runs of the first row, None for that row itself."""
    options, session, store = conditions.options, subject.session, conditions.store
    ratio = None if first is None or options.throughput else paired(runs.turns_ms(), first.turns_ms())
    if store is not None:
        note(f"accuracy of {subject.name}")
    return {
        **report.row(
            subject.to_dict(),
            runs,
            mode=options.mode,
            pace_fps=options.measure.pace_fps,
            people=len(subject.clips[0]),
            evidence=conditions.evidence,
            runs_per_s=rate if rate is not None else options.measure.pace_fps,
        ),
        "versus_first": None if ratio is None else {**ratio.to_dict(), "words": ratio.words()},
        "power": energy_per_inference(conditions.trace, runs, conditions.idle_watts),
        "accuracy": None if store is None else accuracy(session, store, options.split),
        "requested_engine": subject.spec.engine,
        "requested_budget": subject.spec.budget,
        # What a card states was not measured in an engine's own, coarser arithmetic.
        "stated_top1": None
        if subject.spec.engine.endswith("bf16")
        else suggest.stated_accuracy(session.card, session.tokens),
    }


@contextmanager
def _progress_bar(label: str) -> Iterator[Callable[[float], None]]:
    """A progress bar for a share in [0, 1]; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=1000, label=label, file=sys.stderr, show_eta=True) as bar:
        yield lambda share: bar.update(max(0, math.floor(1000 * share) - bar.pos))
