"""A temperature and thresholds that keep false positives within a requested rate.

Fitted on labelled continuous recordings of people whom the training has not seen. The temperature is the one under
which the probabilities of clear windows are most likely. The thresholds are found by letting the decisions of `live`
run over the recordings.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.recording import Recording, Span
from amr_edge.data.spans import window_label
from amr_edge.errors import CheckFailedError, ConfigError, DataError
from amr_edge.live_settings import EventConfig
from amr_edge.runtime.calibration.event_metrics import EventScore, happened, score_events
from amr_edge.runtime.inference.onnx_metadata import read_onnx, with_card
from amr_edge.runtime.inference.session import Session
from amr_edge.runtime.pipeline.event_detector import Event, EventDetector
from amr_edge.runtime.pipeline.one_euro import SmoothConfig
from amr_edge.runtime.pipeline.recognizer import Prediction, recognize
from amr_edge.skeleton import Mask
from amr_edge.temperature import apply_temperature, fit_temperature, nll

Floats = NDArray[np.float64]

GRID = tuple(round(0.2 + 0.02 * step, 2) for step in range(40))  # thresholds that are tried: 0.2 to 0.98
ENOUGH = 5  # false positives that the request allows in the recordings; fewer do not suffice for single classes
WORTH = 0.01  # what F1 must gain before every class gets a threshold of its own


@dataclass(frozen=True, slots=True)
class PredictedRecording:
    """A recording and what a model answered, before temperature and decisions.

    Attributes:
        spans: What was done in it.
        start_s: When it begins.
        end_s: When it ends.
        predictions: The model's.
    """

    spans: tuple[Span, ...]
    start_s: float
    end_s: float
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Fitted thresholds, and their metrics on the recordings of the fit.

    Attributes:
        temperature: For the card.
        threshold: For the card; the one for all classes.
        thresholds: For the card; empty if one for all classes does as well.
        nll: Mean negative log likelihood of clear windows before and after the temperature.
        windows: How many windows were clear.
        before: The events with the card as it was.
        after: The events with what was fitted.
        requested: False positives per hour of idleness that were requested.
    """

    temperature: float
    threshold: float
    thresholds: tuple[float, ...]
    nll: tuple[float, float]
    windows: int
    before: EventScore
    after: EventScore
    requested: float

    def card(self, card: Card, data: str) -> Card:
        """The card with everything that was fitted, and where it comes from."""
        # Without any event there is no precision, and no JSON for what is not a number.
        known = {name: value for name, value in self.after.to_dict().items() if np.isfinite(value)}
        return replace(
            card,
            temperature=self.temperature,
            threshold=self.threshold,
            thresholds=self.thresholds,
            calibration={"data": data, "false_positives_requested": self.requested, **known},
        )


class _Uncalibrated:
    """A session whose card does not know of any calibration yet."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self.card = replace(inner.card, temperature=1.0, thresholds=())
        self.title = inner.title
        self.tokens = inner.tokens

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        """The model's own."""
        return self._inner.probs(values, present)


def answered(
    recordings: Iterable[Recording], session: Session, *, smooth: SmoothConfig | None = None
) -> Iterator[PredictedRecording]:
    """Ask a model about continuous recordings of one person each.

    Raises:
        DataError: If a recording shows several persons, whose spans could be anybody's.
        LayoutError: If the model cannot be fed from such a recording.
    """
    raw = _Uncalibrated(session)
    for recording in recordings:
        if len(recording.poses) != 1:
            raise DataError(
                f"{recording.source}: expected continuous recordings of one person, got {len(recording.poses)}, and "
                "spans do not say whose they are; leave it out"
            )
        if len(recording.times_s):
            start_s, end_s = float(recording.times_s[0]), float(recording.times_s[-1])
            yield PredictedRecording(recording.spans, start_s, end_s, tuple(recognize(recording, raw, smooth=smooth)))


def score_predictions(
    everything: Iterable[PredictedRecording], card: Card, config: EventConfig | None = None
) -> EventScore:
    """The score of the events that `live` would tell under a card's temperature and thresholds."""
    total = EventScore()
    for each in everything:
        decider, events = EventDetector(card, config), list[Event]()
        for time_s, predictions in groupby(each.predictions, lambda prediction: prediction.time_s):
            events += decider.push(time_s, [_tempered(prediction, card.temperature) for prediction in predictions])
        events += decider.push(each.end_s, [])
        total += score_events(happened([*events, *decider.flush()]), each.spans, each.start_s, each.end_s)
    return total


def _tempered(prediction: Prediction, temperature: float) -> Prediction:
    if temperature == 1.0:
        return prediction
    return replace(prediction, probs=apply_temperature(prediction.probs[None], temperature)[0])


def calibrate(
    everything: Sequence[PredictedRecording],
    card: Card,
    false_alarms: float,
    *,
    config: EventConfig | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Calibration:
    """Fit a temperature and thresholds.

    Of the thresholds that keep the false positives within the request, as every higher one does, the one with the best
    F1 is taken, and of equal ones the lowest. Every class gets its own if the recordings are long enough to tell
    (`ENOUGH`) and that gains F1: beginning with what is best without the request, the class that alarms most, at its
    threshold or any higher one, is raised until the request is kept.

    Args:
        everything: What the model answered, of people whom the training has not seen.
        card: The model's.
        false_alarms: Most events in an hour of idleness that touch no action.
        config: How patient decisions are.
        tick: Called after each run over the recordings.

    Raises:
        ConfigError: If the request is negative.
        DataError: If nothing is labelled, there is no idle time, or no label is a class of the model.
        CheckFailedError: If no threshold keeps the request.
    """
    if not false_alarms >= 0:
        raise ConfigError(f"false positives an hour must be at least 0, got {false_alarms}")
    probs, labels = _clear_windows(everything, card)
    temperature = fit_temperature(probs, labels)
    before = score_predictions(everything, card, config)
    if not before.actions or before.idle_s <= 0:
        raise DataError(
            "calibration needs recordings with labelled actions and idleness between them; make some with: "
            "amr-edge data join STORE OUT.npz"
        )
    # Tempered once, not for every threshold.
    warm = [
        replace(each, predictions=tuple(_tempered(a, temperature) for a in each.predictions)) for each in everything
    ]

    def run(thresholds: Sequence[float] | float) -> EventScore:
        chosen = (
            replace(card, temperature=1.0, threshold=float(thresholds), thresholds=())
            if isinstance(thresholds, float)
            else replace(card, temperature=1.0, thresholds=tuple(thresholds))
        )
        tick()
        return score_predictions(warm, chosen, config)

    scores = {threshold: run(threshold) for threshold in GRID}
    allowed = []
    for threshold in reversed(GRID):
        if scores[threshold].alarms_per_hour > false_alarms:
            break
        allowed.append(threshold)
    if not allowed:
        least = scores[GRID[-1]]
        raise CheckFailedError(
            f"even a threshold of {GRID[-1]} gives {least.alarms_per_hour:.1f} false positives an hour of idleness, "
            f"{false_alarms:g} were requested; train a none class (amr-edge data windows), or request more"
        )
    threshold = max(allowed, key=lambda each: (scores[each].f1, -each))
    enough = false_alarms * before.idle_s / 3600 >= ENOUGH
    own = _own_thresholds(card, scores, false_alarms, run) if enough else None
    thresholds: tuple[float, ...] = ()
    after = scores[threshold]
    if own is not None and own[1].f1 >= after.f1 + WORTH:
        thresholds, after = own
    return Calibration(
        temperature=temperature,
        threshold=threshold,
        thresholds=thresholds,
        nll=(nll(probs, labels, 1.0), nll(probs, labels, temperature)),
        windows=len(labels),
        before=before,
        after=after,
        requested=false_alarms,
    )


def _own_thresholds(
    card: Card,
    scores: dict[float, EventScore],
    false_alarms: float,
    run: Callable[[Sequence[float] | float], EventScore],
) -> tuple[tuple[float, ...], EventScore] | None:
    """A threshold for each class that keeps the request, and the score; None if there is none."""
    hours = scores[GRID[0]].idle_s / 3600
    counts = {threshold: Counter(score.alarms) for threshold, score in scores.items()}
    most: dict[str, list[int]] = {}  # alarms of a class from each threshold of the grid upwards
    for name in card.classes:
        falling = np.maximum.accumulate([counts[threshold][name] for threshold in reversed(GRID)])[::-1]
        most[name] = [int(count) for count in falling]
    first = GRID.index(max(GRID, key=lambda each: (scores[each].f1, -each)))
    places = dict.fromkeys(card.classes, first)
    while sum(most[name][place] for name, place in places.items()) > false_alarms * hours:
        lower = [name for name, place in places.items() if place < len(GRID) - 1 and most[name][place]]
        if not lower:
            return None
        places[max(lower, key=lambda name: most[name][places[name]])] += 1
    thresholds = tuple(GRID[places[name]] for name in card.classes)
    score = run(thresholds)
    return (thresholds, score) if score.alarms_per_hour <= false_alarms else None


def _clear_windows(everything: Iterable[PredictedRecording], card: Card) -> tuple[Floats, NDArray[np.int64]]:
    """Probabilities (N, K) and labels (N,) of the predictions whose window clearly shows a class or nothing."""
    number = {name: label for label, name in enumerate(card.classes)}
    nothing = card.none_class or ""
    probs, labels = [], []
    for each in everything:
        for prediction in each.predictions:
            if prediction.partial or prediction.early:
                continue
            label = window_label(each.spans, prediction.start_s, prediction.time_s, nothing)
            if label is not None and label in number:
                probs.append(prediction.probs)
                labels.append(number[label])
    if not labels:
        raise DataError(
            f"no window of the recordings clearly shows one of the model's classes ({', '.join(card.classes)}); "
            "calibrate on labelled continuous recordings of these actions"
        )
    return np.asarray(probs, dtype=np.float64), np.asarray(labels, dtype=np.int64)


def keep(path: Path, card: Card) -> None:
    """Write a card into an ONNX file, whole or not at all; the file stays sealed.

    Raises:
        ReadError: If the file is not what it should be.
        OSError: If it cannot be written; the old one is still there then.
    """
    content = with_card(read_onnx(path).content, card)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(path.stat().st_mode)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def summary(calibration: Calibration, card: Card) -> dict[str, Any]:
    """For machines."""
    return {
        "temperature": calibration.temperature,
        "threshold": calibration.threshold,
        "thresholds": dict(zip(card.classes, calibration.thresholds, strict=False)),
        "nll_before": round(calibration.nll[0], 4),
        "nll_after": round(calibration.nll[1], 4),
        "windows": calibration.windows,
        "before": calibration.before.to_dict(),
        "after": calibration.after.to_dict(),
    }
