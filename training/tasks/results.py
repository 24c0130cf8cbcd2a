"""Results of the training commands: one frozen class for each, with the fields of `--json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainResult:
    """An encoder that was pre-trained.

    Attributes:
        run: The run folder.
        weights: The last epoch's.
        loss: Of the last epoch.
    """

    run: Path
    weights: Path
    loss: float

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return {"run": str(self.run), "weights": str(self.weights), "loss": self.loss}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMetrics:
    """Metrics of the selected weights on the test part.

    Attributes:
        top1: Share of clips whose most probable class is the label.
        top5: Share of clips whose label is among the five most probable.
        mean_class: Mean over classes of the share predicted rightly.
        clips: Labelled clips of the test part.
        epoch: Whose weights answered, from 1.
        epoch_chosen_by: "last", or what chose it.
        copies: Of the clips: copies, number for number, of recordings that were learned from.
        top1_without_copies: Share of the others; None where there are no copies, or no others.
    """

    top1: float
    top5: float
    mean_class: float
    clips: int
    epoch: int
    epoch_chosen_by: str
    copies: int = 0
    top1_without_copies: float | None = None

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return {
            "top1": self.top1,
            "top5": self.top5,
            "mean_class": self.mean_class,
            "clips": self.clips,
            "epoch": self.epoch,
            "epoch_chosen_by": self.epoch_chosen_by,
            **({"copies": self.copies, "top1_without_copies": self.top1_without_copies} if self.copies else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A classifier that was trained.

    Attributes:
        run: The run folder.
        weights: The selected checkpoint: the last epoch's weights, or those that validation chose.
        recipe: The resolved settings, as config.json has them.
        examined: Its score on the test part; None if nothing is left to test on.
        seed: Of all randomness.
        split: What it learned from and was tested on.
        seconds: Of all epochs.
        labels: Which labels it was allowed to see; None for all.
    """

    run: Path
    weights: Path
    recipe: Mapping[str, Any]
    examined: TestMetrics | None
    seed: int
    split: str
    seconds: float
    labels: Mapping[str, object] | None = None

    @property
    def top1(self) -> float:
        """Share of the test clips that is predicted rightly; NaN if nothing is left to test on."""
        return float("nan") if self.examined is None else self.examined.top1

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return {
            "run": str(self.run),
            "weights": str(self.weights),
            "recipe": self.recipe,
            **({} if self.examined is None else self.examined.to_dict()),
            "seed": self.seed,
            "split": self.split,
            "seconds": self.seconds,
            **({} if self.labels is None else {"labels": self.labels}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillResult(TrainResult):
    """A distilled student.

    Attributes:
        beside_the_teacher: "parameters", "teacher_parameters", "clips", "agreement", and "teacher_top1" where the
            clips have labels.
    """

    beside_the_teacher: Mapping[str, float]

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        # Not super(): a class with slots is made anew, and the name that super() looks up is the old one's.
        return {**TrainResult.to_dict(self), "beside_the_teacher": self.beside_the_teacher}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    """One subject who was left out of everything that a model learned from.

    Attributes:
        subject: Who.
        clips: Of that subject.
        top1: Share of them that is predicted rightly.
        mean_class: Mean over classes of the same.
        epoch: Whose weights answered, from 1.
        epoch_chosen_by: "last", or what chose it.
        run: The fold's own run folder.
    """

    subject: int
    clips: int
    top1: float
    mean_class: float
    epoch: int
    epoch_chosen_by: str
    run: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidationResult:
    """One model for each subject, tested on that subject alone.

    Attributes:
        run: The folder of all folds.
        folds: Each of them.
        mean: Of their top-1.
        std: Standard deviation of their top-1 (of a sample).
        pooled: "top1", "top5" and "mean_class" of all predictions as one.
        clips: All that were answered.
        seed: Of all randomness.
        seconds: Of all epochs of all folds.
    """

    run: Path
    folds: tuple[FoldResult, ...]
    mean: float
    std: float
    pooled: Mapping[str, float]
    clips: int
    seed: int
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return {
            "run": str(self.run),
            "seed": self.seed,
            "split": "loso",
            "mean": self.mean,
            "std": self.std,
            "pooled": self.pooled,
            "clips": self.clips,
            "folds": [asdict(fold) for fold in self.folds],
            "seconds": self.seconds,
        }


Outcome = PretrainResult | TrainResult | CrossValidationResult
