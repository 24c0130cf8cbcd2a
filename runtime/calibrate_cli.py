"""`amr-edge calibrate`: parse, fit, write into the model, print."""

import shutil
from pathlib import Path

import click
import numpy as np

from amr_edge.errors import ConfigError, DataError
from amr_edge.models import in_box
from amr_edge.readers import FORMATS, find, recordings
from amr_edge.recording import Recording
from amr_edge.runtime.calibrate import GRID, Calibration, answered, calibrate, judged, keep, summary
from amr_edge.runtime.event_score import EventScore
from amr_edge.runtime.session import model_path, open_session
from amr_edge.terminal import note, progress, table, to_json

_HEADER = ("", "precision", "recall", "F1", "delay s", "false alarms/h")


@click.command("calibrate")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Continuous recordings with spans.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option("--subjects", help="Only these people, as in 2,7: people whom the training has not seen.")
@click.option(
    "--false-alarms",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Most in an hour in which nothing happens.",
)
@click.option("--as-is", is_flag=True, help="Fit nothing, only measure the events.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the model.  [default: one for each core]")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
def command(
    model: Path,
    data: Path,
    format_: str,
    subjects: str | None,
    false_alarms: float,
    as_is: bool,  # noqa: FBT001
    threads: int | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Fit how sure MODEL (a .onnx, a run folder or rehab8) must be, and write it into the file.

    A temperature and thresholds with which `amr-edge live` keeps within so many false alarms, found on labelled
    continuous recordings such as `amr-edge data join` makes. Of rehab8 a copy in this folder is calibrated.
    """
    path = model_path(model)
    target = Path(path.name) if in_box(path) else path
    if target.exists() and not target.samefile(path) and not as_is:
        raise ConfigError(f"{target} is here already, a copy of the box; calibrate it: amr-edge calibrate {target}")
    if path.suffix != ".onnx":
        raise ConfigError(f"{path}: calibration is written into an .onnx file; calibrate it, then build engines of it")
    session = open_session(path, threads=threads)
    card = session.card
    chosen = _chosen(data, format_, subjects)
    with progress(chosen, label="answering", length=len(chosen)) as each:
        everything = list(answered(each, session))
    if as_is:
        score = judged(everything, card)
        if as_json:
            click.echo(to_json({"model": path, "data": data, **score.to_dict()}))
        else:
            click.echo(table([_row("as it is", score)], _HEADER))
        return
    with progress(range(len(GRID)), label="thresholds", length=len(GRID)) as bar:
        left = iter(bar)

        def tick() -> None:
            next(left, None)

        fitted = calibrate(everything, card, false_alarms, tick=tick)
    who = data.name if subjects is None else f"{data.name} subjects {subjects}"
    if target != path:
        shutil.copyfile(path, target)
        note(f"{path.stem} stays as it came; its copy {target} is calibrated")
    keep(target, fitted.card(card, who))
    _warn(fitted)
    if as_json:
        click.echo(to_json({"model": target, "data": data, "asked": false_alarms, **summary(fitted, card)}))
        return
    click.echo(table([_row("before", fitted.before), _row("calibrated", fitted.after)], _HEADER))
    own = f", {min(fitted.thresholds)} to {max(fitted.thresholds)} by class" if fitted.thresholds else ""
    click.echo(
        f"{target}: temperature {fitted.temperature:g} (NLL of {fitted.windows} clear windows {fitted.nll[0]:.3f} -> "
        f"{fitted.nll[1]:.3f}), threshold {fitted.threshold:g}{own}\n"
        f"next: amr-edge live {target} --source 0"
    )


def _chosen(data: Path, format_: str, subjects: str | None) -> list[Recording]:
    """The recordings of the people who were asked for."""
    found = find(data, format_)
    everyone = list(recordings(found.reader, found.files))
    if subjects is None:
        return everyone
    try:
        people = {int(number) for number in subjects.split(",")}
    except ValueError as cause:
        raise ConfigError(f"--subjects expects subject numbers like 2,7, got '{subjects}'") from cause
    known = {recording.subject for recording in everyone}
    if people - known:
        here = ", ".join(str(number) for number in sorted(number for number in known if number is not None))
        raise DataError(f"{data} has no subject {min(people - known)}; its subjects are {here or 'not known'}")
    return [recording for recording in everyone if recording.subject in people]


def _row(name: str, score: EventScore) -> list[object]:
    return [
        name,
        *(float(np.round(each, 3)) for each in (score.precision, score.recall, score.f1, score.median_delay_s)),
        f"{score.alarms_per_hour:.1f} ({len(score.alarms)} in {score.idle_s / 3600:.2f} h)",
    ]


def _warn(fitted: Calibration) -> None:
    """What the recordings are too short to tell."""
    idle_h = fitted.after.idle_s / 3600
    if idle_h * fitted.asked < 1:
        # Without any alarm in so many hours, a rate below 3 / hours is believable at 95 % (the rule of three).
        note(
            f"note: {idle_h:.2f} h of idleness cannot show {fitted.asked:g} false alarms an hour; even without any, up "
            f"to {3 / idle_h:.0f} an hour remain possible; calibrate on more: amr-edge data join --rounds 5 --idle 3 10"
        )
