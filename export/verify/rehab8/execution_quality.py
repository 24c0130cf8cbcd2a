"""Execution quality: a logistic model of right and wrong repetitions, tested on people left out.

The incorrect recordings of UI-PRMD are the same ten people doing each exercise wrongly. A logistic regression over what
a repetition was like (`movement.rep_features`) is fitted without one person and tested on that one, for each of them
in turn. Repetitions are counted by the rule of their class, as a stream counts them, so that the hint is learned from
what it will see. It goes into the card only where it is clearly better than a guess for people who were left out; the
repetitions of one person resemble each other, so people are what the spread is taken over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import DataError
from amr_edge.kinematics import FEATURES, Quality, Rule, count_repetitions, rep_features
from amr_edge.terminal import progress, table
from amr_edge.training.recipes.rehab8.dataset import Stream

RIDGE = 10.0  # pull of the weights towards 0, in repetitions
KNOWN = 0.5  # a feature that is known for a smaller share of the repetitions is left out
CLEARLY = 0.65  # what the lower end of the interval over people must reach to be worth showing; a guess has 0.5
SIDE_Z = 1.96  # of a normal distribution: 95 % lie within
STEPS = 100

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reps:
    """R repetitions of one class.

    Attributes:
        features: (R, F) as `movement.rep_features` tells them, NaN where it could not.
        correct: (R,) bool.
        subjects: (R,) whose.
    """

    features: Floats
    correct: NDArray[np.bool_]
    subjects: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Accuracy of the hint on people left out.

    Attributes:
        reps: How many repetitions it was tested on.
        people: Of how many people.
        right: Share predicted rightly, where right and wrong executions count alike.
        low: Lower end of the 95 % interval of `right`, if repetitions were independent of each other.
        high: Its upper end.
        people_low: Lower end of the 95 % interval of the mean over people.
        worst: The share of the person for whom it was worst.
    """

    reps: int
    people: int
    right: float
    low: float
    high: float
    people_low: float
    worst: float

    @property
    def clearly(self) -> bool:
        """True if it is worth showing."""
        return self.people_low >= CLEARLY


def reps_of(streams: Iterable[Stream], rules: Mapping[str, Rule]) -> dict[str, Reps]:
    """The repetitions of each class that has a rule, counted in streams of right and wrong executions.

    Raises:
        DataError: If there is none.
    """
    found: dict[str, list[tuple[Floats, bool, int]]] = {name: [] for name in rules}
    with progress(list(streams), label="repetitions") as shown:
        for stream in shown:
            rule = rules.get(stream.group)
            if rule is None:
                continue
            for cycle in count_repetitions(rule, stream.poses, stream.times_s):
                inside = slice(*np.searchsorted(stream.times_s, [cycle.start_s, cycle.end_s + 1e-9]))
                features = rep_features(stream.poses[inside], stream.times_s[inside])
                found[stream.group].append((features, stream.correct, stream.subject))
    if not any(found.values()):
        raise DataError("there is no repetition in these streams; load both executions of UI-PRMD")
    return {
        name: Reps(
            features=np.stack([features for features, _, _ in rows]),
            correct=np.array([correct for _, correct, _ in rows]),
            subjects=np.array([subject for _, _, subject in rows], dtype=np.int64),
        )
        for name, rows in found.items()
        if rows
    }


def fitted(reps: Reps, ridge: float = RIDGE) -> Quality:
    """A logistic regression in which all right and all wrong executions weigh alike.

    Args:
        reps: Some right and some wrong ones.
        ridge: How strongly weights are held back.

    Raises:
        DataError: If all are right, or all wrong.
    """
    if reps.correct.all() or not reps.correct.any():
        raise DataError(
            f"right cannot be distinguished from wrong by {len(reps.correct)} repetitions that are all alike; give both"
        )
    known = np.isfinite(reps.features).mean(axis=0) >= KNOWN
    values = reps.features[:, known]
    mean, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    moving = scale > 1e-6  # one that never changes says nothing
    values, mean, scale = values[:, moving], mean[moving], scale[moving]
    steps = np.nan_to_num((values - mean) / scale, nan=0.0)  # (R, F')
    weights = _newton(steps, reps.correct, ridge)
    names = np.array(FEATURES)[known][moving]
    return Quality(
        features=tuple(names.tolist()),
        mean=_rounded(mean),
        scale=tuple(max(value, 1e-5) for value in _rounded(scale)),
        weights=_rounded(weights[:-1]),
        bias=_rounded(weights[-1:])[0],
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)


def _newton(steps: Floats, correct: NDArray[np.bool_], ridge: float) -> Floats:
    """(F + 1,) the weights and the bias under which the executions are most likely."""
    design = np.concatenate([steps, np.ones((len(steps), 1))], axis=1)
    each = np.where(correct, 0.5 / correct.sum(), 0.5 / (~correct).sum()) * len(correct)  # (R,), 1 on the mean
    pull = np.append(np.full(steps.shape[1], ridge), 0.0)
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        prob = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (each * (prob - correct)) + pull * weights
        curve = (design * (each * np.maximum(prob * (1 - prob), 1e-6))[:, None]).T @ design + np.diag(pull)
        step = np.linalg.solve(curve + 1e-9 * np.eye(len(curve)), slope)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(weights)


def left_out(reps: Reps) -> Trust:
    """Fit without one person, ask about that one, for each of them.

    Raises:
        DataError: If fewer than three people did the exercise both ways.
    """
    people = [
        int(subject)
        for subject in np.unique(reps.subjects)
        if len(set(reps.correct[reps.subjects == subject].tolist())) == 2
    ]
    if len(people) < 3:
        raise DataError(f"a hint is tested on people left out; expected three with both executions, got {len(people)}")
    trust_to_dict, truth, shares = [], [], []
    for subject in people:
        mine = reps.subjects == subject
        fold = fitted(Reps(features=reps.features[~mine], correct=reps.correct[~mine], subjects=reps.subjects[~mine]))
        predicted = np.array([fold.prob(features) >= 0.5 for features in reps.features[mine]])
        shares.append(_balanced(predicted, reps.correct[mine]))
        trust_to_dict.append(predicted)
        truth.append(reps.correct[mine])
    right = _balanced(np.concatenate(trust_to_dict), np.concatenate(truth))
    count = sum(map(len, trust_to_dict))
    low, high = binomial(right, count)
    spread = float(np.std(shares, ddof=1) / np.sqrt(len(shares)))
    return Trust(
        reps=count,
        people=len(people),
        right=right,
        low=low,
        high=high,
        people_low=float(np.mean(shares)) - SIDE_Z * spread,
        worst=min(shares),
    )


def _balanced(predicted: NDArray[np.bool_], correct: NDArray[np.bool_]) -> float:
    """The mean of the shares of right and of wrong executions that were recognised."""
    return float((predicted[correct].mean() + (~predicted[~correct]).mean()) / 2)


def binomial(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` independent trials.

    Source:
        Wilson, JASA 1927.

    >>> [round(end, 3) for end in binomial(0.5, 100)]
    [0.404, 0.596]
    """
    z2 = SIDE_Z**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = SIDE_Z / (1 + z2 / count) * float(np.sqrt(share * (1 - share) / count + z2 / (4 * count**2)))
    return middle - half, middle + half


def hints(everything: Mapping[str, Reps]) -> tuple[dict[str, Any], dict[str, Trust]]:
    """The card's `quality`, and how far each class can be trusted, shown or not.

    Returns:
        Class -> what `Quality.to_json` wrote, of the classes that are clearly better than a guess; class -> trust.
    """
    trust = {name: left_out(reps) for name, reps in everything.items()}
    return {name: fitted(everything[name]).to_json() for name, each in trust.items() if each.clearly}, trust


def text(trust: Mapping[str, Trust]) -> str:
    """One line for each class."""
    rows = [
        (
            name,
            each.reps,
            each.people,
            round(100 * each.right, 1),
            f"{100 * each.low:.0f}-{100 * each.high:.0f}",
            round(100 * each.people_low, 1),
            round(100 * each.worst, 1),
            "yes" if each.clearly else "no",
        )
        for name, each in trust.items()
    ]
    header = ("class", "repetitions", "people", "right %", "interval", "people, lower end", "worst person", "shown")
    return table(rows, header)


def trust_to_dict(trust: Mapping[str, Trust]) -> dict[str, dict[str, Any]]:
    """For machines."""
    return {
        name: {
            "repetitions": each.reps,
            "people": each.people,
            "right": round(each.right, 4),
            "interval": [round(each.low, 4), round(each.high, 4)],
            "people_low": round(each.people_low, 4),
            "worst_person": round(each.worst, 4),
            "shown": each.clearly,
        }
        for name, each in trust.items()
    }
