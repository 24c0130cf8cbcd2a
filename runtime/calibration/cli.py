"""`amr-edge calibrate`: parse, fit, write into the model, print."""

from pathlib import Path

import click
import numpy as np

from amr_edge.data.readers import FORMATS
from amr_edge.pretrained import is_bundled
from amr_edge.runtime.calibration.api import CalibrationResult, calibrate, score_events
from amr_edge.runtime.calibration.event_metrics import EventScore
from amr_edge.runtime.inference.session import model_path
from amr_edge.terminal import note, table, to_json

_HEADER = ("", "precision", "recall", "F1", "delay s", "false positives/h")


@click.command("calibrate")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Continuous recordings with spans.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="Format of the recordings.",
)
@click.option("--subjects", help="Subjects to use, as in 2,7; choose ones held out of training.")
@click.option(
    "--false-positives",
    "--false-alarms",
    "false_alarms",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="False positives allowed per idle hour.",
)
@click.option("--as-is", "--dry-run", is_flag=True, help="Only measure the events; fit and write nothing.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the model.  [default: one for each core]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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
    """Fit temperature and thresholds of MODEL (a .onnx, a run folder or rehab8), and write them into the file.

    They keep `amr-edge live` within a number of false positives per hour, and are fitted on labelled continuous
    recordings such as `amr-edge data join` makes. Of rehab8, a copy in the current folder is calibrated.
    """
    if as_is:
        score = score_events(model, data, format=format_, subjects=subjects, threads=threads)
        if as_json:
            click.echo(to_json({"model": model_path(model), "data": data, **score.to_dict()}))
        else:
            click.echo(table([_row("as it is", score)], _HEADER))
        return
    fitted = calibrate(model, data, format=format_, subjects=subjects, false_alarms=false_alarms, threads=threads)
    target = fitted.model
    if is_bundled(model_path(model)):
        note(f"{target.stem} stays as it came; its copy {target} is calibrated")
    _warn(fitted)
    if as_json:
        click.echo(to_json(fitted.to_dict()))
        return
    click.echo(table([_row("before", fitted.before), _row("calibrated", fitted.after)], _HEADER))
    each = fitted.thresholds.values()
    own = f", {min(each)} to {max(each)} by class" if each else ""
    click.echo(
        f"{target}: temperature {fitted.temperature:g} (NLL of {fitted.windows} clear windows "
        f"{fitted.nll_before:.3f} -> {fitted.nll_after:.3f}), threshold {fitted.threshold:g}{own}\n"
        f"next: amr-edge live {target} --source 0"
    )


def _row(name: str, score: EventScore) -> list[object]:
    return [
        name,
        *(float(np.round(each, 3)) for each in (score.precision, score.recall, score.f1, score.median_delay_s)),
        f"{score.alarms_per_hour:.1f} ({len(score.alarms)} in {score.idle_s / 3600:.2f} h)",
    ]


def _warn(fitted: CalibrationResult) -> None:
    """Warn of rates that the recordings are too short to show."""
    idle_h = fitted.after.idle_s / 3600
    if idle_h * fitted.requested < 1:
        # Without any alarm in so many hours, a rate below 3 / hours is believable at 95 % (the rule of three).
        note(
            f"note: {idle_h:.2f} h of idleness cannot show {fitted.requested:g} false positives an hour; even without "
            f"any, up to {3 / idle_h:.0f} an hour remain possible; calibrate on more: "
            "amr-edge data join --rounds 5 --idle 3 10"
        )
