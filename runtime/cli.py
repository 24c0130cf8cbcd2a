"""`amr-edge live`, `bench`, `doctor`, `pose` and `model`: what runs on the device."""

import os
import secrets
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from amr_edge.card import Card
from amr_edge.click_options import options_of
from amr_edge.errors import CheckFailedError
from amr_edge.kinematics import Rule, qualities_of, rules_of
from amr_edge.output_paths import check_outputs
from amr_edge.pretrained import DEFAULT
from amr_edge.runtime import live_defaults
from amr_edge.runtime.bench.budget_search import largest_that_holds
from amr_edge.runtime.bench.cli import bench
from amr_edge.runtime.doctor.cli import doctor
from amr_edge.runtime.inference.session import Session, describe, model_path, open_session
from amr_edge.runtime.pipeline.live_command_options import LiveCommandOptions
from amr_edge.runtime.pipeline.outputs import Outputs
from amr_edge.runtime.pipeline.pipeline import LivePipeline
from amr_edge.runtime.pose.cli import pose
from amr_edge.runtime.sources.open_source import SourceConfig, has_pictures, is_live, listed_files, open_source
from amr_edge.runtime.stage_timer import Stages
from amr_edge.terminal import note, table

__all__ = ["bench", "doctor", "live", "model", "pose"]

EXPLAIN_MS = 10.0  # of every frame of a live source, for --explain


@click.command()
@click.argument("model", required=False)
@options_of(LiveCommandOptions)
@click.option("--all", "emit", flag_value="all", default=True, help="Emit predictions and events.  [default]")
@click.option("--predictions", "--answers", "emit", flag_value="predictions", help="Emit predictions only.")
@click.option("--events", "emit", flag_value="events", help="Emit events only.")
def live(**values: Any) -> None:
    """Recognise actions: recorded skeletons, video or camera in, JSON lines out.

    MODEL is an exported model.onnx or a run folder; without one it is rehab8, which comes with amr-edge. Predictions
    and events go to stdout, one JSON object a line (docs/live-output.md); everything for people goes to stderr.
    """
    _run_live(LiveCommandOptions(**values))


def _run_live(options: LiveCommandOptions) -> None:
    if options.model is None:
        note(f"no model was named: {DEFAULT}, which comes with amr-edge; what it knows: amr-edge model info {DEFAULT}")
    else:
        live_defaults.not_a_source(str(options.model))
    file = model_path(str(options.model or DEFAULT))  # a wrong name is refused before anything else starts
    source = options.source
    if source is None:
        source = str(live_defaults.camera(note, live_defaults.camera_error, platform=sys.platform))
        note(f"taking camera {source}; Ctrl-C ends it, --ui shows it in a browser")
    assert isinstance(source, str)  # noqa: S101 - of the command line
    written = {f"--to ({number})": address for number, address in enumerate(options.to, 1) if isinstance(address, str)}
    check_outputs({**written, "--save": options.save}, [source, file, *listed_files(source, options.format)])
    outputs_config = options.outputs_config(live=is_live(source, options.format))
    session = _open_session(file, options)
    note(f"model: {session.title}")
    config = options.live_config(session.card)
    if options.pose is None and has_pictures(source, options.format):
        live_defaults.pose_model(note, os.environ)
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    explainer = options.explainer(session, allowance_ms=None if outputs_config.replay else EXPLAIN_MS)
    token = secrets.token_urlsafe(16)
    outputs = Outputs(outputs_config, session.card, session.title, note=note, token=token, environ=os.environ)
    pipeline = LivePipeline(
        session,
        config=config,
        stages=stages,
        emit=outputs.emit,
        note=outputs.note,
        views=outputs.views,
        explainer=explainer,
        deliveries=outputs.deliveries,
    )
    outputs.status = lambda: pipeline.summary(ended="").line
    _run_to_end(pipeline, outputs, source, options.source_config, stages)


def _run_to_end(pipeline: LivePipeline, outputs: Outputs, source: str, config: SourceConfig, stages: Stages) -> None:
    """Run until the source ends or the run is interrupted, and close all outputs."""
    whole = False
    try:
        with (
            open_source(
                source,
                config,
                stages=stages,
                note=outputs.note,
                skipped=pipeline.skip,
                environ=os.environ,
                health=pipeline.health,
            ) as recordings,
        ):
            pipeline.run(recordings)
        pipeline.close_with("limit" if pipeline.limit_reached else "end")
        whole = True
    except KeyboardInterrupt:
        outputs.hurry()
        pipeline.close_with("interrupted")
        raise
    finally:
        try:
            outputs.close()
        except (CheckFailedError, BrokenPipeError) as cause:
            if whole:
                raise
            # The error that ended the run is printed last; this came with it.
            note(str(cause))


def _open_session(file: Path, options: LiveCommandOptions) -> Session:
    """The model on the requested budget, or on the largest that keeps the target latency here."""

    def at(budget: float | None) -> Session:
        return open_session(
            file, engine=options.engine, threads=options.threads, budget=budget, rebuild=options.rebuild
        )

    if options.target_ms is None:
        return at(options.budget)
    held = largest_that_holds(
        at,
        options.target_ms,
        options.people,
        now=time.perf_counter,
        sleep=time.sleep,
        rng=np.random.default_rng(0),
    )
    note(held.sentence())
    return held.session


@click.group()
def model() -> None:
    """Show the card of a model file."""


@model.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def info(path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show what a model saw, what it answers and how it must be fed."""
    card = open_session(path, threads=1).card
    file = model_path(path)
    if as_json:
        click.echo(card.to_json())
        return
    note(f"model: {describe(card, file.name)}")
    click.echo(table(_rows(card, file), ["", "value"]))
    if card.budget_curve:
        rows = [(f"{p.share:g}", p.tokens, round(p.macs / 1e6, 1), round(100 * p.top1, 2)) for p in card.budget_curve]
        click.echo(table(rows, ["budget", "tokens", "M MACs a person", "top-1 %"]))
    click.echo(f"next: amr-edge live {path} --source 0")


def _rows(card: Card, file: Path) -> list[list[str]]:
    """Every field of the card that says something, one a row."""
    values: dict[str, Any] = {**asdict(card), "budget_curve": (), "bytes": f"{file.stat().st_size:,}"}
    values["rules"] = {card.classes[label]: _in_words(rule) for label, rule in rules_of(card).items()}
    values["quality"] = {
        label: f"right or wrong from {len(quality.features)} measures of each repetition"
        for label, quality in qualities_of(card).items()
    }
    rows = []
    for name, value in values.items():
        inner = value if isinstance(value, dict) else {"": value}
        for key, item in inner.items():
            text = ", ".join(map(str, item)) if isinstance(item, tuple | list) else str(item)
            if text not in ("", "None"):
                rows.append([f"{name}.{key}" if key else name, text])
    return rows


def _in_words(rule: Rule) -> str:
    """A range of motion for the person.

    >>> _in_words(Rule(measure="knee flexion", least_travel=35, least_peak=45))
    'knee flexion (both sides) goes over 35 and reaches 45'
    """
    parts = [f"{rule.measure} ({rule.sides} side{'s' if rule.sides == 'both' else ''}) goes over {rule.least_travel:g}"]
    parts[0] += f" and reaches {rule.least_peak:g}"
    for bound in rule.at_peak:
        ends = [(bound.least, "at least"), (bound.most, "at most")]
        limits = " and ".join(f"{words} {end:g}" for end, words in ends if end is not None)
        parts.append(f"{bound.measure} ({bound.side} side) {limits}")
    return "; ".join(parts)
