"""Leave-one-subject-out cross-validation: one fold for each subject, results pooled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amr_edge.data.store import Store
from amr_edge.errors import ConfigError
from amr_edge.metrics import Score, per_class_rows, report, score
from amr_edge.terminal import table
from amr_edge.training.engine.predictions import FILE, SavedPredictions, save_predictions
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.report.plots import draw_confusion
from amr_edge.training.tasks.options import EVERY_SUBJECT


def fold_name(subject: int) -> str:
    """The split that leaves `subject` out."""
    return f"{EVERY_SUBJECT}:{subject}"


def subjects_to_leave_out(store: Store) -> tuple[int, ...]:
    """The subjects that have a labelled recording, in rising order.

    Raises:
        ConfigError: If there are fewer than two.
    """
    known = store.subjects[(store.subjects >= 0) & (store.labels >= 0)]
    subjects = tuple(int(number) for number in np.unique(known))
    if len(subjects) < 2:
        raise ConfigError(
            f"--split loso needs labelled recordings of two known subjects or more, {store.path} has {len(subjects)}; "
            "choose another split, random for example"
        )
    return subjects


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """One subject left out.

    Attributes:
        subject: Who.
        run: The fold's own run.
        answers: To that subject's clips.
        epoch: Whose weights answered.
        selected_by: What chose that epoch.
        seconds: Of training.
    """

    subject: int
    run: Path
    answers: SavedPredictions
    epoch: int
    selected_by: str
    seconds: float

    @property
    def score(self) -> Score:
        """Metrics of the predictions."""
        return score(self.answers.probs, self.answers.labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Summary:
    """All folds.

    Attributes:
        folds: Them.
        pooled: The score of all their predictions as one.
        answers: All their predictions as one.
    """

    folds: tuple[Fold, ...]
    pooled: Score
    answers: SavedPredictions

    @property
    def top1(self) -> tuple[float, float]:
        """Mean over the folds, and the standard deviation (of a sample: n - 1)."""
        each = [fold.score.top1 for fold in self.folds]
        return float(np.mean(each)), float(np.std(each, ddof=1))

    def rows(self) -> list[tuple[int, int, float, float, int]]:
        """(subject, clips, top-1, mean over classes, epoch) of each fold."""
        return [
            (fold.subject, len(fold.answers), round(own.top1, 4), round(own.mean_class, 4), fold.epoch)
            for fold, own in ((fold, fold.score) for fold in self.folds)
        ]

    def text(self) -> str:
        """For a person."""
        mean, deviation = self.top1
        chosen = sorted({fold.selected_by for fold in self.folds})
        which = "the last of every fold" if chosen == ["last"] else f"chosen on {', '.join(chosen)}"
        return (
            f"{table(self.rows(), ('subject left out', 'clips', 'top-1', 'mean over classes', 'epoch'))}\n"
            f"top-1 over {len(self.folds)} folds: mean {mean:.4f}, standard deviation {deviation:.4f}\n"
            f"epoch: {which}\n"
            f"pooled: {report(self.pooled, self.answers.classes)}"
        )

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        mean, deviation = self.top1
        return {
            "mean": mean,
            "std": deviation,
            "pooled": {"top1": self.pooled.top1, "top5": self.pooled.top5, "mean_class": self.pooled.mean_class},
            "clips": self.pooled.clips,
            "folds": [
                {
                    "subject": fold.subject,
                    "clips": len(fold.answers),
                    "top1": own.top1,
                    "mean_class": own.mean_class,
                    "epoch": fold.epoch,
                    "epoch_chosen_by": fold.selected_by,
                    "run": fold.run,
                }
                for fold, own in ((fold, fold.score) for fold in self.folds)
            ],
            "seconds": sum(fold.seconds for fold in self.folds),
        }


def summarize(folds: Sequence[Fold]) -> Summary:
    """The folds, and their predictions pooled."""
    first = folds[0].answers
    answers = SavedPredictions(
        names=tuple(name for fold in folds for name in fold.answers.names),
        labels=np.concatenate([fold.answers.labels for fold in folds]),
        probs=np.concatenate([fold.answers.probs for fold in folds]),
        classes=first.classes,
        data_hash=first.data_hash,
        split=EVERY_SUBJECT,
    )
    return Summary(folds=tuple(folds), pooled=score(answers.probs, answers.labels), answers=answers)


def write_folds(run: RunFolder, summary: Summary) -> None:
    """Write score.json, folds.csv, per_class.csv, predictions.npz and the pooled confusion_matrix.png into the run."""
    classes = summary.answers.classes
    run.write_json("score.json", summary.to_dict())
    run.write_table("folds.csv", ("subject", "clips", "top1", "mean_class", "epoch"), summary.rows())
    run.write_table("per_class.csv", ("class", "clips", "right", "taken_for"), per_class_rows(summary.pooled, classes))
    save_predictions(summary.answers, run.folder / FILE)
    title = f"{len(summary.folds)} people, each unseen: top-1 {summary.pooled.top1:.3f}"
    draw_confusion(summary.pooled.confusion, classes, title, run.folder / "confusion_matrix.png")
