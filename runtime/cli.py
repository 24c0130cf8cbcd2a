"""`amr-edge live`, `bench`, `doctor`, `pose` and `model`: what runs on the device."""

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from amr_edge.card import Card
from amr_edge.data import readers
from amr_edge.errors import CheckFailedError, ConfigError
from amr_edge.kinematics import Rule, qualities_of, rules_of
from amr_edge.live_settings import settings_of
from amr_edge.pretrained import DEFAULT
from amr_edge.runtime import live_defaults
from amr_edge.runtime.bench.budget_search import largest_that_holds
from amr_edge.runtime.bench.cli import bench
from amr_edge.runtime.doctor.cli import doctor
from amr_edge.runtime.inference.session import AUTO, ENGINES, Session, describe, model_path, open_session
from amr_edge.runtime.pipeline.attribution import ExplainConfig, Explainer
from amr_edge.runtime.pipeline.one_euro import STRENGTHS
from amr_edge.runtime.pipeline.outputs import Outputs, OutputsConfig
from amr_edge.runtime.pipeline.pipeline import LiveConfig, LivePipeline
from amr_edge.runtime.pipeline.records import DEFAULT_SCHEMA
from amr_edge.runtime.pose.cli import pose
from amr_edge.runtime.sources.open_source import SourceConfig, has_pictures, is_live, open_source
from amr_edge.runtime.sources.protocols import STALE_S
from amr_edge.runtime.stage_timer import Stages
from amr_edge.terminal import note, table

__all__ = ["bench", "doctor", "live", "model", "pose"]

EXPLAIN_MS = 10.0  # of every frame of a live source, for --explain


@click.command()
@click.argument("model", required=False)
@click.option(
    "-s",
    "--source",
    help="Skeletons or videos (file, folder, pattern), - for JSON lines on stdin, a camera's number or address, "
    "udp://HOST:PORT, or a list of them (.streams).  [default: the first camera that is found]",
)
@click.option("--format", "format_", type=click.Choice(readers.FORMATS), default="auto", show_default=True)
@click.option(
    "--pose",
    "pose_",
    help="lite, full, heavy, a .task, rtmpose:MODEL.onnx+DETECTOR.onnx, yolo-pose:MODEL.onnx, a .json (docs/pose.md), "
    "or none.  [default: full, fetched once]",
)
@click.option("--people", type=click.IntRange(min=1), default=1, show_default=True, help="To look for in pictures.")
@click.option(
    "--to",
    multiple=True,
    help="Also tell it to: FILE.jsonl, .csv, .srt, .mp4, mqtt://HOST/TOPIC, http(s)://HOOK, ws://HOST/PATH, ws://:PORT.",
)
@click.option("--save", type=click.Path(path_type=Path), help="Write an MP4 with skeletons and labels.")
@click.option("--show", is_flag=True, help="Show a window.")
@click.option("--ui", type=click.IntRange(0, 65535), is_flag=False, flag_value=8765, help="Serve a page here.  [8765]")
@click.option(
    "--ui-host", default="127.0.0.1", show_default=True, help="Where the page listens; with a token if not here."
)
@click.option("--show-video", is_flag=True, help="The page shows the pictures too, not only joints.")
@click.option("--mirror-view", is_flag=True, help="Show everything as in a mirror; the model never sees that.")
@click.option(
    "--explain",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=4,
    help="Say which joints and moments drove one answer in N.  [4]",
)
@click.option("--speed", type=click.FloatRange(min=0), default=0.0, show_default=True, help="1: real time, 0: all out.")
@click.option("--limit", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds of the source.")
@click.option(
    "--stale",
    type=click.FloatRange(min=0, min_open=True),
    default=STALE_S,
    show_default=True,
    help="Seconds after which what a live source gave is dropped.",
)
@click.option(
    "--early",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Answer already on this share of a window, marked early.",
)
@click.option(
    "--smooth",
    type=click.Choice(list(STRENGTHS)),
    default="off",
    show_default=True,
    help="Smooth joints before the model sees them; they get calmer and a little late.",
)
@click.option("--quality", is_flag=True, help="Ends of events hint at how likely the repetitions were right.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change event detection or tracking for this run: events.confirm_s=1, tracker.return_s=5 (docs/decisions.md).",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the model.  [default: one for each core]")
@click.option("--engine", type=click.Choice([AUTO, *ENGINES]), default=AUTO, show_default=True, help="Runs the model.")
@click.option("--rebuild", is_flag=True, help="Build a TensorRT engine that does not fit this machine again.")
@click.option(
    "--budget", type=click.FloatRange(0, 1, min_open=True), help="Share of the tokens.  [default: the card's]"
)
@click.option("--target-ms", type=click.FloatRange(min=0, min_open=True), help="The largest budget that keeps it.")
@click.option("--all", "emit", flag_value="all", default=True, help="Emit predictions and events.  [default]")
@click.option("--predictions", "--answers", "emit", flag_value="predictions", help="Emit predictions only.")
@click.option("--events", "emit", flag_value="events", help="Emit events only.")
@click.option(
    "--schema",
    type=click.Choice(["1", "2"]),
    default=str(DEFAULT_SCHEMA),
    show_default=True,
    help="Schema of the JSON lines (docs/live-output.md).",
)
def live(
    model: str | None,
    source: str | None,
    format_: str,
    pose_: str | None,
    people: int,
    to: tuple[str, ...],
    save: Path | None,
    show: bool,  # noqa: FBT001
    ui: int | None,
    ui_host: str,
    show_video: bool,  # noqa: FBT001
    mirror_view: bool,  # noqa: FBT001
    explain: int | None,
    speed: float,
    limit: float | None,
    stale: float,
    early: float | None,
    smooth: str,
    quality: bool,  # noqa: FBT001
    settings: tuple[str, ...],
    threads: int | None,
    engine: str,
    rebuild: bool,  # noqa: FBT001
    budget: float | None,
    target_ms: float | None,
    emit: str,
    schema: str,
) -> None:
    """Recognise actions: recorded skeletons, video or camera in, JSON lines out.

    MODEL is an exported model.onnx or a run folder; without one it is rehab8, which comes with amr-edge. Answers and
    events go to stdout, one JSON object a line (docs/live-output.md); everything for people goes to stderr.
    """
    if model is None:
        note(f"no model was named: {DEFAULT}, which comes with amr-edge; what it knows: amr-edge model info {DEFAULT}")
    else:
        live_defaults.not_a_source(model)
    if budget is not None and target_ms is not None:
        raise ConfigError("--budget says what to look at and --target-ms finds it out; give one of them")
    if save is not None and save.suffix.lower() != ".mp4":
        raise ConfigError(f"--save {save}: a film is written as MP4; give it a name that ends in .mp4")
    file = model_path(model or DEFAULT)  # a wrong name is refused before anything else starts
    if source is None:
        source = str(live_defaults.camera(note, live_defaults.camera_error, platform=sys.platform))
        note(f"taking camera {source}; Ctrl-C ends it, --ui shows it in a browser")
    outputs_config = OutputsConfig(
        to=(*to, *([] if save is None else [str(save)])),
        predictions=emit != "events",
        events=emit != "predictions",
        schema=int(schema),
        replay=not is_live(source, format_) and not speed,
        mirror=mirror_view,
        window=show,
        port=ui,
        host=ui_host,
        video=show_video,
    )
    session = _opened(file, engine, threads, budget, target_ms, people, rebuild=rebuild)
    note(f"model: {session.title}")
    live_settings = settings_of(session.card, settings)
    if pose_ is None and has_pictures(source, format_):
        live_defaults.pose_model(note, os.environ)
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    explainer = None
    if explain is not None:
        allowance_ms = None if outputs_config.replay else EXPLAIN_MS
        explainer = Explainer(session, ExplainConfig(every=explain, allowance_ms=allowance_ms), time.perf_counter)
    token = secrets.token_urlsafe(16)
    outputs = Outputs(outputs_config, session.card, session.title, note=note, token=token, environ=os.environ)
    run = LivePipeline(
        session,
        config=LiveConfig(limit_s=limit, early=early, smooth=smooth, quality=quality, settings=live_settings),
        stages=stages,
        emit=outputs.emit,
        note=outputs.note,
        views=outputs.views,
        explainer=explainer,
        deliveries=outputs.deliveries,
    )
    outputs.status = lambda: run.summary(ended="").line
    reading = SourceConfig(format=format_, pose=pose_ or live_defaults.POSE, people=people, speed=speed, stale_s=stale)
    whole = False
    try:
        with (
            _terminable(),
            open_source(
                source,
                reading,
                stages=stages,
                note=outputs.note,
                skipped=run.skip,
                environ=os.environ,
                health=run.health,
            ) as takes,
        ):
            run.run(takes)
        run.close_with("limit" if run.limit_reached else "end")
        whole = True
    except KeyboardInterrupt:
        outputs.hurry()
        run.close_with("interrupted")
        raise
    finally:
        try:
            outputs.close()
        except (CheckFailedError, BrokenPipeError) as cause:
            if whole:
                raise
            # The error that ended the run is printed last; this came with it.
            note(str(cause))


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, which services are stopped with, finishes everything as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _opened(
    model: Path,
    engine: str,
    threads: int | None,
    budget: float | None,
    target_ms: float | None,
    people: int,
    *,
    rebuild: bool,
) -> Session:
    """The model on its budget: the requested one, or the largest that keeps a time here."""
    if target_ms is None:
        return open_session(model, engine=engine, threads=threads, budget=budget, rebuild=rebuild)
    held = largest_that_holds(
        lambda share: open_session(model, engine=engine, threads=threads, budget=share, rebuild=rebuild),
        target_ms,
        people,
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
