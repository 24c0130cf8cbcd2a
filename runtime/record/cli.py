"""`amr-edge data record` and `data make`: a data set of one's own actions."""

import csv
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click
import numpy as np

from amr_edge.data import readers
from amr_edge.data.cli import store_facts, store_sentence
from amr_edge.data.splits import available_splits
from amr_edge.data.store import open_store
from amr_edge.errors import AmrError, ConfigError, ReadError
from amr_edge.runtime.record.from_videos import COLUMNS, Clip, MakeConfig, Maker, Outcome, clips_in, subjects_in
from amr_edge.runtime.record.keyboard import Keys, terminal_keys
from amr_edge.runtime.record.preview import TerminalPreview
from amr_edge.runtime.record.recorder import Recorder
from amr_edge.runtime.record.take_scheduler import HELP, HELP_TIMED, TakeScheduler, TakeSchedulerConfig
from amr_edge.runtime.record.take_store import TakeStore
from amr_edge.runtime.record.visibility import WHO, Who
from amr_edge.runtime.render.draw import Scene
from amr_edge.runtime.sinks.async_sink import AsyncSink, AsyncSinkConfig
from amr_edge.runtime.sinks.window import Window, no_display
from amr_edge.runtime.sources.open_source import SourceConfig, open_source
from amr_edge.runtime.stage_timer import Stages
from amr_edge.terminal import note, progress, table, to_json

LOST = 0.8  # a recording with a person in a smaller share of its frames is named
_SHOWN = 10  # of them

_path = click.Path(path_type=Path)
_pose = click.option(
    "--pose",
    "pose_",
    default="full",
    show_default=True,
    help="Pose estimator of videos and cameras; use the same in `live`.",
)


@click.command()
@click.option("--labels", required=True, help="The actions, with commas: wave,sit,none.")
@click.option("-s", "--source", default="0", show_default=True, help="A camera, or any source of `live`.")
@click.option(
    "--out", type=_path, default=Path("mine.npz"), show_default=True, help="The store; takes are added to it."
)
@click.option(
    "--takes", "count", type=click.IntRange(min=1), default=10, show_default=True, help="Takes of each action."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="Seconds of each take.",
)
@click.option(
    "--countdown",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    help="Seconds of countdown before each take.",
)
@click.option("--subject", type=click.IntRange(min=0), help="Number of the person who is recorded.")
@click.option(
    "--timed/--keys", "timed", default=None, help="Start takes one after the other, or each with a key.  [keys if any]"
)
@click.option("--format", "format_", type=click.Choice(readers.FORMATS), default="auto", show_default=True)
@_pose
@click.option("--people", type=click.IntRange(min=1), default=1, show_default=True, help="Maximum people per picture.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Replay speed of recordings; 1: real time, 0: unthrottled.",
)
@click.option("--show", is_flag=True, help="Show a window.")
@click.option("--mirror-view", is_flag=True, help="Mirror the window; recordings are never mirrored.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def record(
    labels: str,
    source: str,
    out: Path,
    count: int,
    seconds: float,
    countdown: float,
    subject: int | None,
    timed: bool | None,  # noqa: FBT001
    format_: str,
    pose_: str,
    people: int,
    speed: float,
    show: bool,  # noqa: FBT001
    mirror_view: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Record takes of your own actions, from a camera or any source.

    Every take is on disk when it has ended. The same command adds what is missing to an existing file.
    """
    names = tuple(label.strip() for label in labels.split(","))
    takes = TakeStore(out, names)
    reading = SourceConfig(format=format_, pose=pose_, people=people, speed=speed)
    with ExitStack() as stack:
        typed = stack.enter_context(terminal_keys(stdin_taken=source == "-"))
        window = _window(stack, mirror=mirror_view) if show else None
        keys = [*([] if typed is None else [typed]), *([] if window is None else [window[1]])]
        if timed is False and not keys:
            raise ConfigError("--keys needs a terminal or a window (--show) for them, there is none; use --timed")
        by_time = timed if timed is not None else not keys
        config = TakeSchedulerConfig(labels=names, takes=count, seconds=seconds, countdown_s=countdown, timed=by_time)
        scheduler = TakeScheduler(config, takes.count(subject))
        if scheduler.state != "done":
            if keys:
                note(HELP_TIMED if by_time else HELP)
            _record(
                scheduler, takes, subject, source, reading, keys, None if window is None else window[0], as_json=as_json
            )
        else:
            note(f"{out}: every action has its {count} takes; ask for more with --takes, or for another --subject")
            _report(takes, None, as_json=as_json)


def _record(
    scheduler: TakeScheduler,
    takes: TakeStore,
    subject: int | None,
    source: str,
    reading: SourceConfig,
    keys: Sequence[Keys],
    show: Callable[[Scene], None] | None,
    *,
    as_json: bool,
) -> None:
    """Record from the source, and say what came of it however it ended."""
    preview = TerminalPreview(sys.stderr)
    recorder = Recorder(
        scheduler,
        takes,
        subject=subject,
        keys=keys,
        preview=preview,
        show=show,
    )
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    try:
        with open_source(
            source, reading, stages=stages, note=preview.note, skipped=preview.note, environ=os.environ
        ) as runs:
            recorder.run(runs)
    except (KeyboardInterrupt, AmrError):
        if recorder.saved:
            note(f"{takes.path}: {len(recorder.saved)} takes of this run are kept; the same command adds the rest")
        raise
    _report(takes, recorder, as_json=as_json)
    if scheduler.total and scheduler.state != "done":
        note(f"the source has ended and {scheduler.total} takes are missing; the same command adds them")


def _window(stack: ExitStack, *, mirror: bool) -> tuple[Callable[[Scene], None], Keys] | None:
    """Window for scenes, and its keys; None, with a note, where there is no display."""
    why = no_display(os.environ)
    if why is not None:
        note(f"no window: {why}")
        return None
    window = Window(mirror=mirror, note=note, name="amr-edge data record", quit_keys="")
    outlet = AsyncSink[Scene](window, AsyncSinkConfig(capacity=2), note=note)
    stack.callback(outlet.close)
    return outlet.put, window.keys


def _report(takes: TakeStore, recorder: Recorder | None, *, as_json: bool) -> None:
    """Report of the recorded takes and of the file.

    Raises:
        ReadError: If there is no take at all.
    """
    kept = [] if recorder is None else recorder.saved
    refused, undone = (0, 0) if recorder is None else (recorder.refused, recorder.undone)
    if not takes.path.exists():
        raise ReadError(
            f"{takes.path}: no take was recorded ({refused} refused); a source must last for the countdown and a take, "
            "shorten --countdown and --seconds or look at what the camera sees with --show"
        )
    store = open_store(takes.path)
    counts = np.bincount(store.labels[store.labels >= 0], minlength=len(store.classes)).tolist()
    if as_json:
        result = {"recorded": [each.to_dict() for each in kept], "refused": refused, "undone": undone}
        clips = dict(zip(store.classes, counts, strict=True))
        click.echo(to_json({"store": takes.path, **result, "clips": clips, **store_facts(store)}))
        return
    click.echo(f"{takes.path}: {len(kept)} takes added, {refused} not kept, {undone} undone")
    click.echo(f"{takes.path}: {store_sentence(store_facts(store))}")
    click.echo(", ".join(f"{name} {number}" for name, number in zip(store.classes, counts, strict=True)))
    click.echo(f"next: amr-edge finetune --data {takes.path} --split random --init RUN --transfer")


@click.command()
@click.argument("videos", type=_path)
@click.argument("destination", type=_path)
@_pose
@click.option("--people", type=click.IntRange(min=1), default=1, show_default=True, help="Maximum people per picture.")
@click.option(
    "--who", type=click.Choice(WHO), default="most", show_default=True, help="Keep the person who moves most, or all."
)
@click.option(
    "--subject", "pattern", help="Subject number in each file's name, as a regular expression such as 'P(\\d+)'."
)
@click.option("--format", "format_", type=click.Choice(readers.FORMATS), default="auto", show_default=True)
@click.option("--report", type=_path, help="Write the outcome of every file as CSV.")
@click.option("--skip-bad", is_flag=True, help="Leave out files that cannot be read; each is reported.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def make(
    videos: Path,
    destination: Path,
    pose_: str,
    people: int,
    who: Who,
    pattern: str | None,
    format_: str,
    report: Path | None,
    skip_bad: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Turn the folder VIDEOS, with a folder for each action, into the store DESTINATION (.npz).

    Recorded skeletons in such folders are taken as well. What has been looked at once is not looked at again.
    """
    if destination.suffix != ".npz":
        raise ConfigError(f"{destination}: expected a store to write that ends in .npz; choose such a name")
    for path in (destination, report):
        if path is not None and not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}; make it first")
    clips = clips_in(videos, format_)
    subjects = subjects_in(clips.files, pattern)
    config = MakeConfig(source=SourceConfig(format=format_, pose=pose_, people=people), who=who)
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    maker = Maker(clips, config, destination, stages=stages, environ=os.environ)
    try:
        with progress(maker.look(), label=f"looking at {len(clips.files)} files", length=maker.steps()) as steps:
            for _ in steps:
                pass
    except KeyboardInterrupt:
        note(f"{len(maker.outcomes)} of {len(clips.files)} files are done and kept; the same command goes on")
        raise
    if report is not None:
        _table_of(report, maker.outcomes)
    bad = [outcome for outcome in maker.outcomes if outcome.fault]
    if bad and not (skip_bad and len(bad) < len(clips.files)):
        for outcome in bad:
            note(outcome.fault)
    if bad and not skip_bad:
        raise ReadError(
            f"{videos}: {len(bad)} of {len(clips.files)} files or their clips cannot be read, nothing was written; "
            "repair them, or leave them out with --skip-bad"
        )
    store = maker.write(subjects)
    lost = _lost(maker.outcomes)
    if as_json:
        result = {"store": destination, "subject_numbers": _names(subjects, clips.files, pattern), **store_facts(store)}
        rows = [row for outcome in maker.outcomes for row in outcome.rows()]
        counts = {
            "again": sum(outcome.again for outcome in maker.outcomes),
            "without_persons": [row["file"] for row in rows if row["state"] == "no person"],
            "left_out": [outcome.fault for outcome in bad],
            "other_files": clips.others,
        }
        click.echo(to_json({**result, **counts, "files": rows}))
    else:
        click.echo(_by_label(maker.outcomes))
        if lost:
            click.echo("\n" + table(lost[:_SHOWN], ["people lost in", "frames", "with a person", "of joints"]))
            if len(lost) > _SHOWN:
                click.echo(f"... and {len(lost) - _SHOWN} more; --report FILE.csv or --json lists all")
        click.echo(f"\n{destination}: {store_sentence(store_facts(store))}")
        click.echo(
            f"next: amr-edge finetune --data {destination} --split {available_splits(store)[0]} --init RUN --transfer"
        )
    for outcome in bad:
        note(f"left out: {outcome.fault}")
    again = sum(outcome.again for outcome in maker.outcomes)
    if again:
        note(f"{again} of {len(clips.files)} files were looked at before, {maker.folder} keeps what they gave")
    if clips.others:
        names = ", ".join(path.name for path in clips.others[:3]) + (", ..." if len(clips.others) > 3 else "")
        note(f"{len(clips.others)} other files were passed over: {names}")


def _table_of(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the outcome of every file as CSV, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("x", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(row for outcome in outcomes for row in outcome.rows())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _by_label(outcomes: Sequence[Outcome]) -> str:
    """A row for each action."""
    rows = []
    for label in sorted({outcome.clip.label or "" for outcome in outcomes}):
        mine = [outcome for outcome in outcomes if (outcome.clip.label or "") == label]
        seen = [each for outcome in mine for each in outcome.seen.values()]
        frames, there = sum(each.frames for each in seen), sum(each.with_person for each in seen)
        joints = sum(each.joints * each.with_person for each in seen if each.with_person)
        rows.append(
            [
                label or "as the files say",
                len(mine),
                sum(outcome.state == "no person" for outcome in mine),
                sum(bool(outcome.fault) for outcome in mine),
                frames,
                f"{there / frames:.0%}" if frames else "",
                f"{joints / there:.0%}" if there else "",
            ]
        )
    return table(rows, ["action", "files", "no person", "unreadable", "frames", "with a person", "of joints"])


def _lost(outcomes: Sequence[Outcome]) -> list[list[object]]:
    """Recordings that show a person in too few frames, the worst first."""
    rows = [(seen.share, name, seen) for outcome in outcomes for name, seen in outcome.seen.items()]
    return [
        [name, seen.frames, f"{share:.0%}", f"{seen.joints:.0%}" if seen.with_person else "no person"]
        for share, name, seen in sorted(rows, key=lambda row: row[:2])
        if share < LOST
    ]


def _names(subjects: Mapping[str, int], clips: Sequence[Clip], pattern: str | None) -> dict[str, int]:
    """Part of the file names that each subject's number stands for."""
    if pattern is None:
        return {}
    found = ((re.search(pattern, clip.name), subjects.get(clip.name)) for clip in clips)
    return {
        (fit[1] if fit.re.groups else fit[0]): number for fit, number in found if fit is not None and number is not None
    }
