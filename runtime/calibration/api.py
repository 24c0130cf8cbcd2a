"""Calibrating a model file, from the recordings to the card in it: what `amr-edge calibrate` does."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amr_edge.data.readers import find, recordings
from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError, DataError
from amr_edge.pretrained import bundled, is_bundled
from amr_edge.runtime.calibration.event_metrics import EventScore
from amr_edge.runtime.calibration.thresholds import GRID, PredictedRecording, answered, keep, score_predictions
from amr_edge.runtime.calibration.thresholds import calibrate as fit
from amr_edge.runtime.inference.session import Session, model_path, open_session
from amr_edge.terminal import progress

__all__ = ["CalibrationResult", "EventScore", "calibrate", "score_events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationResult:
    """A model file that was calibrated, and what came of it on the recordings that it was fitted on.

    Attributes:
        model: The file; of a model of the box, a copy of it in the working folder.
        data: The recordings.
        requested: False positives per hour of idleness that were requested.
        temperature: What logits are divided by.
        threshold: Probability from which a label is accepted.
        thresholds: Class -> its own, where the recordings can tell; empty is `threshold` for all.
        nll_before: Mean negative log likelihood of clear windows without the temperature.
        nll_after: The same with it.
        windows: How many windows were clear.
        before: The events with the card as it was.
        after: The events with what was fitted.
    """

    model: Path
    data: Path
    requested: float
    temperature: float
    threshold: float
    thresholds: Mapping[str, float]
    nll_before: float
    nll_after: float
    windows: int
    before: EventScore
    after: EventScore

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return {
            "model": self.model,
            "data": self.data,
            "requested": self.requested,
            "temperature": self.temperature,
            "threshold": self.threshold,
            "thresholds": dict(self.thresholds),
            "nll_before": self.nll_before,
            "nll_after": self.nll_after,
            "windows": self.windows,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


def calibrate(
    model: str | Path | None,
    data: str | Path,
    *,
    format: str = "auto",  # noqa: A002 - the option's own word
    subjects: str | None = None,
    false_alarms: float = 2.0,
    threads: int | None = None,
) -> CalibrationResult:
    """Fit temperature and thresholds for a number of false positives per hour, and write them into the file.

    Args:
        model: An .onnx, a run folder that was exported, or the name of a model of the box, of which a copy in the
            working folder is calibrated; None is that of the box.
        data: Labelled continuous recordings of one person each.
        format: Of the recordings.
        subjects: Only these people, "2,7": people whom the training has not seen; None takes all.
        false_alarms: Most events in an hour of idleness that touch no action.
        threads: Threads of the model; None lets it take one for each core.

    Raises:
        ConfigError: If an option means nothing, the file is no .onnx, or a copy of the box is here already.
        DataError: If nothing is labelled, there is no idle time, no label is a class of the model, or a subject is not
            there.
        CheckFailedError: If no threshold keeps the request; the file stays as it was.
    """
    path, data = _onnx(model), Path(data)
    target = Path(path.name) if is_bundled(path) else path
    if target.exists() and not target.samefile(path):
        raise ConfigError(f"{target} is here already, a copy of the box; calibrate it: amr-edge calibrate {target}")
    session = open_session(path, threads=threads)
    card = session.card
    everything = _answered(session, data, format, subjects)
    with progress(range(len(GRID)), label="thresholds", length=len(GRID)) as bar:
        left = iter(bar)

        def tick() -> None:
            next(left, None)

        found = fit(everything, card, false_alarms, tick=tick)
    if target != path:
        shutil.copyfile(path, target)
    keep(target, found.card(card, data.name if subjects is None else f"{data.name} subjects {subjects}"))
    return CalibrationResult(
        model=target,
        data=data,
        requested=false_alarms,
        temperature=found.temperature,
        threshold=found.threshold,
        thresholds=dict(zip(card.classes, found.thresholds, strict=False)),
        nll_before=round(found.nll[0], 4),
        nll_after=round(found.nll[1], 4),
        windows=found.windows,
        before=found.before,
        after=found.after,
    )


def score_events(
    model: str | Path | None,
    data: str | Path,
    *,
    format: str = "auto",  # noqa: A002
    subjects: str | None = None,
    threads: int | None = None,
) -> EventScore:
    """Event metrics of a model without fitting: `amr-edge calibrate --as-is`.

    Args:
        model: As in `calibrate`.
        data: As in `calibrate`.
        format: As in `calibrate`.
        subjects: As in `calibrate`.
        threads: As in `calibrate`.

    Raises:
        ConfigError: If an option means nothing, or the file is no .onnx.
        DataError: If a recording cannot be used, or a subject is not there.
    """
    session = open_session(_onnx(model), threads=threads)
    return score_predictions(_answered(session, Path(data), format, subjects), session.card)


def _onnx(model: str | Path | None) -> Path:
    path = bundled() if model is None else model_path(model)
    if path.suffix != ".onnx":
        raise ConfigError(f"{path}: calibration is written into an .onnx file; calibrate it, then build engines of it")
    return path


def _answered(session: Session, data: Path, format_: str, subjects: str | None) -> list[PredictedRecording]:
    chosen = _chosen(data, format_, subjects)
    with progress(chosen, label="answering", length=len(chosen)) as each:
        return list(answered(each, session))


def _chosen(data: Path, format_: str, subjects: str | None) -> list[Recording]:
    """The recordings of the requested subjects."""
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
