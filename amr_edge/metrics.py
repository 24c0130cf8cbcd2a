"""Classification metrics from probabilities and labels: accuracy, per class, and confusion."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError
from amr_edge.terminal import table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """Accuracy of K classes over N labelled clips.

    Attributes:
        top1: Share of clips whose most probable class is the label.
        top5: Share of clips whose label is among the five most probable (or K, if fewer).
        mean_class: Mean over classes of the share of their clips predicted correctly; those without clips left out.
        confusion: (K, K) counts, rows are labels, columns predictions.
    """

    top1: float
    top5: float
    mean_class: float
    confusion: NDArray[np.int64]

    @property
    def clips(self) -> int:
        """Number of scored clips."""
        return int(self.confusion.sum())

    def per_class(self) -> NDArray[np.float64]:
        """(K,) share of each class predicted correctly; NaN for a class without clips."""
        total = self.confusion.sum(axis=1)
        right = np.diag(self.confusion)
        return np.where(total > 0, right / np.maximum(total, 1), np.nan)


def score(probs: NDArray[np.floating], labels: NDArray[np.int64]) -> Score:
    """Score probabilities (N, K) against labels (N,).

    Raises:
        ClipError: If there is nothing to score, a probability is not finite or a label has no column.

    >>> score(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])).top1
    0.5
    """
    if probs.ndim != 2 or not len(probs) or labels.shape != probs.shape[:1]:
        raise ClipError(f"expected probabilities (N, K) for N > 0 labels, got {probs.shape} for {labels.shape}")
    if not np.isfinite(probs).all():
        raise ClipError("expected finite probabilities, got NaN or infinity; the model is damaged or did not converge")
    classes = probs.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ClipError(f"labels run from {labels.min()} to {labels.max()}, the probabilities have {classes} classes")
    answers = probs.argmax(axis=1)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (labels, answers), 1)
    best = np.argsort(-probs, axis=1, kind="stable")[:, :5]
    total = confusion.sum(axis=1)
    return Score(
        top1=float((answers == labels).mean()),
        top5=float((best == labels[:, None]).any(axis=1).mean()),
        mean_class=float((np.diag(confusion)[total > 0] / total[total > 0]).mean()),
        confusion=confusion,
    )


def deduplicated(
    probs: NDArray[np.floating], labels: NDArray[np.int64], duplicate: NDArray[np.bool_]
) -> dict[str, float | int | None]:
    """Accuracy without the test clips that duplicate training clips (data leakage).

    Args:
        probs: (N, K).
        labels: (N,).
        duplicate: (N,) True for duplicates of training recordings.

    Returns:
        Empty without duplicates; else "copies", their number, and "top1_without_copies", None if all clips are.

    >>> deduplicated(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]), np.array([True, False]))
    {'copies': 1, 'top1_without_copies': 0.0}
    """
    if not duplicate.any():
        return {}
    rest = ~duplicate
    return {
        "copies": int(duplicate.sum()),
        "top1_without_copies": score(probs[rest], labels[rest]).top1 if rest.any() else None,
    }


def format_deduplicated(figures: Mapping[str, float | int | None]) -> str:
    """The figures of `deduplicated` as one line; empty without duplicates.

    >>> format_deduplicated({"copies": 95, "top1_without_copies": 0.8266})
    'without the 95 clips that duplicate training recordings: top-1 0.8266'
    """
    if not figures:
        return ""
    top1 = figures["top1_without_copies"]
    rest = "nothing is left" if top1 is None else f"top-1 {top1:.4f}"
    return f"without the {figures['copies']} clips that duplicate training recordings: {rest}"


def per_class_rows(result: Score, classes: tuple[str, ...]) -> list[tuple[str, int, float, str]]:
    """(class, clips, share right, most frequent wrong prediction) of every class, the worst first."""
    rows = []
    for index, (name, right) in enumerate(zip(classes, result.per_class(), strict=True)):
        wrong = result.confusion[index].copy()
        clips = int(wrong.sum())
        wrong[index] = 0
        rows.append((name, clips, round(float(right), 4), classes[int(wrong.argmax())] if wrong.any() else ""))
    return sorted(rows, key=lambda row: (row[1] == 0, row[2], row[0]))


def report(result: Score, classes: tuple[str, ...], worst: int = 5) -> str:
    """The score as text: one line of figures, then the classes with the most errors."""
    rows = [row for row in per_class_rows(result, classes)[:worst] if row[2] < 1]
    line = (
        f"top-1 {result.top1:.4f}  top-5 {result.top5:.4f}  mean over classes {result.mean_class:.4f}  "
        f"({result.clips} clips, {len(classes)} classes)"
    )
    header = ("hardest classes", "clips", "right", "taken for")
    return f"{line}\n{table(rows, header)}" if rows else line
