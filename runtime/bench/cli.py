"""`amr-edge bench`: measure models on this machine, report, compare, suggest."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from amr_edge.data import readers
from amr_edge.errors import ConfigError
from amr_edge.output_paths import check_outputs, home_folder
from amr_edge.runtime.bench import end_to_end, event_latency, report, suggest
from amr_edge.runtime.bench.api import BenchOptions, run_benchmark
from amr_edge.runtime.bench.compare import check_limits, compare_reports, parse_milliseconds, parse_percent, read_report
from amr_edge.runtime.bench.html_report import html_page
from amr_edge.runtime.bench.measure import MeasureConfig
from amr_edge.runtime.bench.models import LoadedModel, RowSpec, load_models
from amr_edge.runtime.hardware.machine import cores
from amr_edge.runtime.inference.session import AUTO, ENGINES
from amr_edge.runtime.sources.open_source import SourceConfig
from amr_edge.runtime.sources.recorded import RecordedSource
from amr_edge.runtime.stage_timer import Stages
from amr_edge.terminal import note, to_json


def _numbers(kind: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], list[Any] | None]:
    """Reads "1,2,5" for an option."""

    def read(_context: click.Context, _option: click.Parameter, text: str | None) -> list[Any] | None:
        if text is None:
            return None
        try:
            return [kind(part) for part in text.split(",")]
        except ValueError as cause:
            raise click.BadParameter(f"expected numbers with commas between them, got '{text}'") from cause

    return read


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--people", default="1", show_default=True, callback=_numbers(int), help="Persons per run: 1,2,5.")
@click.option(
    "--budget", callback=_numbers(float), help="Shares of the tokens to encode: 0.25,0.5,1.  [default: the card's]"
)
@click.option("--engine", default=AUTO, show_default=True, help=f"{AUTO}, or with commas: {', '.join(ENGINES)}.")
@click.option("--rebuild", is_flag=True, help="Build a TensorRT engine again if it does not fit.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of one inference.")
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=5.0, show_default=True, help="Minimum seconds of a row."
)
@click.option("--count", type=click.IntRange(min=2), default=100, show_default=True, help="Minimum runs of a row.")
@click.option("--warmup", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Seconds of warm-up.")
@click.option("--turn", type=click.FloatRange(min=0), default=0.2, show_default=True, help="Seconds of each turn.")
@click.option(
    "--pace",
    type=click.FloatRange(min=0, min_open=True),
    help="Start runs at this frame rate.",
)
@click.option("--throughput", is_flag=True, help="Measure throughput with one caller for each core.")
@click.option("--e2e", metavar="SOURCE", help="Time the whole pipeline of `live` on a source, stage by stage.")
@click.option("--action-latency", metavar="SOURCE", help="Delay from onset to event on recordings with labelled spans.")
@click.option(
    "--format", "format_", type=click.Choice(readers.FORMATS), default="auto", help="Format of skeleton files."
)
@click.option("--pose", "pose_", default="full", show_default=True, help="Pose model for images in --e2e.")
@click.option("--limit", type=click.FloatRange(min=0, min_open=True), help="Stop --e2e after this many seconds.")
@click.option("--data", type=click.Path(path_type=Path), help="A store to measure accuracy on.")
@click.option("--split", help="Split whose test part is scored, or all.  [default: the model's own]")
@click.option("--compare", "old", type=click.Path(path_type=Path), help="An earlier report of --out to compare with.")
@click.option("--max-regression", metavar="5%", help="Exit 1 if a row is slower than in --compare by more than this.")
@click.option("--max-p99", metavar="20ms", help="Exit 1 if the 99th percentile of a row is above this.")
@click.option("--suggest", "suggest_", is_flag=True, help="Try models, budgets and threads, and suggest the best.")
@click.option("--target-ms", type=click.FloatRange(min=0, min_open=True), help="Latency limit of --suggest (p99).")
@click.option("--out", type=click.Path(path_type=Path), help="Write the report as JSON (docs/bench.md).")
@click.option("--markdown", "markdown_", type=click.Path(path_type=Path), help="Write the report as Markdown.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the report as an HTML page with plots.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def bench(
    models: tuple[Path, ...],
    people: list[int],
    budget: list[float] | None,
    engine: str,
    rebuild: bool,  # noqa: FBT001
    threads: int,
    seconds: float,
    count: int,
    warmup: float,
    turn: float,
    pace: float | None,
    throughput: bool,  # noqa: FBT001
    e2e: str | None,
    action_latency: str | None,
    format_: str,
    pose_: str,
    limit: float | None,
    data: Path | None,
    split: str | None,
    old: Path | None,
    max_regression: str | None,
    max_p99: str | None,
    suggest_: bool,  # noqa: FBT001
    target_ms: float | None,
    out: Path | None,
    markdown_: Path | None,
    html: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Measure models on this machine: every run counts, several models take turns, VALID or INVALID with the reason.

    MODEL is an exported model.onnx or a run folder. With several models, people or budgets there is a row for each;
    they are measured interleaved, so that a machine which grows warm or busy does so for all alike.
    """
    check_outputs({"--out": out, "--markdown": markdown_, "--html": html}, [*models, data, e2e, action_latency])
    options = BenchOptions(
        models=models,
        people=tuple(people),
        budgets=tuple(budget) if budget else (None,),
        engines=tuple(engine.split(",")),
        threads=threads,
        rebuild=rebuild,
        measure=MeasureConfig(warmup_s=warmup, seconds=seconds, count=count, turn_s=turn, pace_fps=pace),
        throughput=throughput,
        data=data,
        split=split,
    )
    allowed = parse_percent(max_regression) if max_regression is not None else None
    slowest_ms = parse_milliseconds(max_p99) if max_p99 is not None else None
    _sensible(throughput=throughput, pace=pace, suggesting=suggest_, target_ms=target_ms, old=old, allowed=allowed)
    before = None if old is None else read_report(old)
    specs = options.specs()
    if suggest_:
        engines = suggest.engines_here(models[0], note) if engine == AUTO else options.engines
        specs = suggest.candidates(
            models, engines=engines, budgets=options.budgets, threads=suggest.threads_to_try(cores())
        )
    subjects = load_models(specs, np.random.default_rng(0))
    for session in {subject.session.title: subject for subject in subjects}.values():
        note(f"model: {session.session.title}")
    command = _without_home(shlex.join(["amr-edge", *sys.argv[1:]]))
    result = run_benchmark(subjects, options, command=command)
    _add_chain(result, subjects[0], e2e, action_latency, format_, pose_, limit, pace)
    if before is not None and old is not None:
        result["compared"] = compare_reports(result, before, str(old))
    if suggest_ and target_ms is not None:
        result["suggested"] = _suggested(result["rows"], specs, target_ms)
    _write(out, markdown_, html, result)
    click.echo(to_json(result) if as_json else _for_people(result, specs[0].path))
    check_limits(result, max_p99_ms=slowest_ms, max_regression=allowed)


def _suggested(rows: Sequence[Mapping[str, Any]], specs: Sequence[RowSpec], target_ms: float) -> dict[str, Any]:
    """The best row within the latency limit, and the command that uses it."""
    row = suggest.best(rows, target_ms)
    return {
        "row": row["name"],
        "target_ms": target_ms,
        "p99_ms": row["latency_ms"]["p99"],
        "top1": suggest.known_accuracy(row),
        "live": suggest.live_command(row, specs[list(rows).index(row)].path),
    }


def _write(out: Path | None, markdown: Path | None, html: Path | None, result: dict[str, Any]) -> None:
    """Write the report in the requested formats."""
    for path, text in (
        (out, to_json(result, indent=1) + "\n"),
        (markdown, report.markdown(result)),
        (html, html_page(result)),
    ):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            note(f"written: {path}")


def _sensible(
    *,
    throughput: bool,
    pace: float | None,
    suggesting: bool,
    target_ms: float | None,
    old: Path | None,
    allowed: float | None,
) -> None:
    """Refuse options that contradict each other or do nothing alone."""
    if suggesting != (target_ms is not None):
        raise ConfigError("--suggest and --target-ms belong together: --suggest --target-ms 20")
    if suggesting and (throughput or pace is not None):
        raise ConfigError("--suggest measures back to back; leave out --throughput and --pace")
    if allowed is not None and old is None:
        raise ConfigError("--max-regression needs --compare with a report of before")


def _add_chain(
    result: dict[str, Any],
    subject: LoadedModel,
    e2e: str | None,
    action_latency: str | None,
    format_: str,
    pose_: str,
    limit: float | None,
    pace: float | None,
) -> None:
    """Run the first row's model over sources, if any are given."""
    if e2e is not None:
        reading = SourceConfig(
            format=format_, pose=pose_, people=max(1, subject.spec.people), speed=0.0 if pace is None else 1.0
        )
        result["chain"] = {
            "model": subject.name,
            **end_to_end.chain(
                subject.session,
                end_to_end.ChainConfig(source=e2e, reading=reading, limit_s=limit),
                stages=Stages(time.perf_counter, np.random.default_rng(0)),
                note=note,
                environ=os.environ,
            ),
        }
    if action_latency is not None:
        source = RecordedSource(Path(action_latency), format_, skipped=note)
        result["action_latency"] = {
            "model": subject.name,
            **event_latency.action_latency(subject.session, source, now=time.perf_counter),
        }


def _without_home(text: str) -> str:
    """Text that can be published: without the place of this person's home."""
    home = str(home_folder())
    return text.replace(home, "~") if len(home) > 1 else text


def _for_people(result: dict[str, Any], path: Path) -> str:
    parts = [report.for_people(result)]
    if "chain" in result:
        parts.append(end_to_end.for_people(result["chain"]))
    if "action_latency" in result:
        parts.append(event_latency.for_people(result["action_latency"]))
    if "suggested" in result:
        suggested = result["suggested"]
        known = "" if suggested["top1"] is None else f", top-1 {suggested['top1']:.1%}"
        parts.append(f"suggested: {suggested['row']}{known}")
        parts.append(f"next: {suggested['live']}")
    else:
        parts.append(f"next: amr-edge live {path} --source 0")
    return "\n".join(parts)
