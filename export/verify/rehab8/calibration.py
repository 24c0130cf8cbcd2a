"""Thresholds and ranges of motion that a prediction must pass, fitted on people left out.

Fitted on predictions for people whom the model has not learned from, sensor by sensor. Each sensor counts by itself: a
bound that most windows of one sensor pass and few of another is a bound on the sensor. So every range of motion is as
narrow as the sensor that sees least of it allows, and every threshold leaves each sensor its windows, with some way to
go for an untried sensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ConfigError, DataError
from amr_edge.export.verify.rehab8.evaluation import Labels, Part, Probs, as_live, decide, poses_of
from amr_edge.kinematics import RULES, SIDED, Bound, Movement, Rule, measure_movement
from amr_edge.metrics import score
from amr_edge.temperature import fit_temperature, nll

KEPT = 0.985  # share of its right windows that a threshold leaves to every sensor
CAUTION = 0.6  # a threshold is this share of the highest that would do so: another sensor is less sure
LEAST = 0.2  # no threshold is lower; of nine classes even a guess has 0.11
MOVED = 0.98  # share of a class's windows of every sensor that each number of its range of motion lets through
STEP = 5.0  # ranges are whole multiples of it, degrees
NARROW = 0.1  # the same for widths of the hips
ENOUGH = 10  # windows of a class that a sensor needs to have a say


def _required_rules() -> dict[str, Rule]:
    """The ranges of motion to begin with: those of `kinematics.RULES`, narrower where people leave room for it.

    Who lunges by the book bends the front knee by 86 degrees or more; a jerk, a step and a bow stance bend it less.
    Arms that are raised sideways or in the plane of the shoulder blades bend by 27 degrees at most and point forward
    by 56 at most; those that wave, throw, push and point do more of either.
    """
    lunge, raised = RULES["inline lunge"], RULES["arm raise"]
    return RULES | {
        "inline lunge": replace(lunge, least_peak=60),
        "arm raise": replace(
            raised, at_peak=(Bound(measure="elbow flexion", most=45), Bound(measure="arm forward", most=65))
        ),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """Predictions on windows held out of training.

    Attributes:
        part: The windows, of one sensor.
        probs: (N, K) as the model gave them, without temperature.
    """

    part: Part
    probs: Probs

    def __post_init__(self) -> None:
        if len(self.probs) != len(self.part):
            raise ConfigError(f"{self.part.name}: {len(self.part)} windows have {len(self.probs)} answers")


def calibrated(card: Card, left_out: Sequence[LeftOut], *, moved_by: Sequence[Part], data: str) -> Card:
    """A card with temperature, ranges of motion and thresholds.

    Args:
        card: Its classes; what was fitted before is forgotten.
        left_out: Exercises and nothing, one entry for each sensor and model.
        moved_by: Right executions, one part for each sensor, which ranges of motion must let through. No model predicts
            them, so they may be everybody's; synthetic people, whose range of motion is invented, should not be here.
        data: Whose answers these are, for the card.

    Returns:
        The card with `temperature`, `rules`, `thresholds` and what they gave in `calibration`.

    Raises:
        ConfigError: If the card has no `none` class.
        DataError: If there is no window of an exercise, or none of nothing.
    """
    if card.none_class is None:
        raise ConfigError(f"'{card.name}' has no `none` class, so there is nothing that a threshold could keep out")
    nothing = card.classes.index(card.none_class)
    given = [each.probs for each in left_out] or [np.zeros((0, len(card.classes)), dtype=np.float32)]
    probs = np.concatenate(given).astype(np.float64)
    labels = np.concatenate([each.part.labels for each in left_out] or [np.zeros(0, dtype=np.int64)])
    if not (labels == nothing).any() or not (labels != nothing).any():
        raise DataError(
            "calibration needs windows of exercises and windows of nothing, got "
            f"{int((labels != nothing).sum())} and {int((labels == nothing).sum())}"
        )
    temperature = fit_temperature(probs, labels)
    rules = {name: rule for name in card.classes if (rule := _range_of(name, card, moved_by)) is not None}
    fitted = replace(
        card,
        temperature=temperature,
        thresholds=(),
        threshold=LEAST,
        rules={name: rule.to_json() for name, rule in rules.items()},
    )
    live = [as_live(each.probs, each.part, fitted) for each in left_out]
    thresholds = tuple(
        0.0 if label == nothing else _threshold(label, left_out, live) for label in range(len(card.classes))
    )
    done = replace(fitted, threshold=max(thresholds), thresholds=thresholds)
    return replace(done, calibration={"data": data, **_gave(done, left_out, live, (probs, labels))})


def _range_of(name: str, card: Card, moved_by: Sequence[Part]) -> Rule | None:
    """The range of motion of a class: the usual one, as far as every sensor shows it, else a narrower one."""
    rule = _required_rules().get(name)
    if rule is None:
        return None
    label = card.classes.index(name)
    for part in moved_by:
        poses = poses_of(part.clips)[part.labels == label]
        if len(poses) >= ENOUGH:
            rule = narrowed(rule, [measure_movement(rule, pose) for pose in poses])
    return rule


def narrowed(rule: Rule, shown: Sequence[Movement]) -> Rule:
    """A rule of which each number lets `MOVED` of what was shown through.

    Args:
        rule: The strictest requirement; it is far wider than people usually move, for sensors that see less.
        shown: How far people moved, window by window; unknown ones are left out.

    >>> rule = Rule(measure="knee flexion", least_travel=35, least_peak=45)
    >>> narrow = narrowed(rule, [Movement(33.0, 90.0, ())] * 20)
    >>> narrow.least_travel, narrow.least_peak
    (30.0, 45)
    """
    travel, peak = ([getattr(each, name) for each in shown] for name in ("travel", "peak"))
    bounds = (_widened(bound, [each.at_peak[place] for each in shown]) for place, bound in enumerate(rule.at_peak))
    return replace(
        rule,
        least_travel=max(_lower(rule.least_travel, travel, STEP), STEP),
        least_peak=_lower(rule.least_peak, peak, STEP),
        at_peak=tuple(bounds),
    )


def _widened(bound: Bound, shown: Sequence[tuple[float, float]]) -> Bound:
    step = STEP if bound.measure in SIDED else NARROW
    least, most = bound.least, bound.most
    return replace(
        bound,
        least=None if least is None else _lower(least, [low for low, _ in shown], step),
        most=None if most is None else -_lower(-most, [-high for _, high in shown], step),
    )


def _lower(required: float, shown: Sequence[float], step: float) -> float:
    """The requirement, or the next lower step that `MOVED` of what was shown reaches."""
    known = _known(shown)
    reached = float(np.quantile(known, 1 - MOVED)) if len(known) else required
    return required if reached >= required else round(step * float(np.floor(reached / step)), 3)


def _known(values: Sequence[float]) -> NDArray[np.float64]:
    found = np.array(values, dtype=np.float64)
    return found[np.isfinite(found)]


def _down(value: float) -> float:
    return float(STEP * np.floor(value / STEP))


def _threshold(label: int, left_out: Sequence[LeftOut], live: Sequence[Probs]) -> float:
    """The threshold of a class."""
    reached = []
    for each, probs in zip(left_out, live, strict=True):
        right = (each.part.labels == label) & (probs.argmax(axis=1) == label)
        if right.sum() >= ENOUGH:
            reached.append(float(np.quantile(probs[right, label], 1 - KEPT)))
    return max(LEAST, round(CAUTION * min(reached, default=0.0), 2))


def _gave(
    card: Card, left_out: Sequence[LeftOut], live: Sequence[Probs], everything: tuple[NDArray[np.float64], Labels]
) -> dict[str, Any]:
    """Accuracy of the card on windows, by part."""
    probs, labels = everything
    before = {each.part.name: score(each.probs, each.part.labels).top1 for each in left_out}
    after = {
        each.part.name: float((decide(probs, card, thresholds=True) == each.part.labels).mean())
        for each, probs in zip(left_out, live, strict=True)
    }
    return {
        "windows": {each.part.name: len(each.part) for each in left_out},
        "right_before": {name: round(share, 4) for name, share in before.items()},
        "right_after": {name: round(share, 4) for name, share in after.items()},
        "nll_before": round(nll(probs, labels, 1.0), 4),
        "nll_after": round(nll(probs, labels, card.temperature), 4),
    }
