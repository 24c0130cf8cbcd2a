"""Ensemble of several runs: the weighted mean of their stored probabilities on the same clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amr_edge.errors import ConfigError, DataError
from amr_edge.metrics import Score, deduplicated, format_deduplicated, report, score
from amr_edge.terminal import table
from amr_edge.training.engine.predictions import (
    FILE,
    SavedPredictions,
    load_predictions,
    predictions_file,
    save_predictions,
)
from amr_edge.training.engine.run_folder import new_run
from amr_edge.training.report.html_report import write_page


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fused:
    """Runs, what each predictions, and what they answer together.

    Attributes:
        runs: Their folders.
        weights: Of each, summing to 1.
        each: The score of each.
        together: The score of the fusion.
        answers: The fusion's probabilities.
        apart: What is left of the fusion's score without copies of training recordings; see `deduplicated`.
    """

    runs: tuple[Path, ...]
    weights: tuple[float, ...]
    each: tuple[Score, ...]
    together: Score
    answers: SavedPredictions
    apart: Mapping[str, float | int | None]

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return {
            "top1": self.together.top1,
            "top5": self.together.top5,
            "mean_class": self.together.mean_class,
            "clips": self.together.clips,
            **self.apart,
            "split": self.answers.split,
            "runs": [
                {"run": run, "weight": weight, "top1": own.top1}
                for run, weight, own in zip(self.runs, self.weights, self.each, strict=True)
            ],
        }

    def text(self) -> str:
        """For a person."""
        rows = [
            (str(run), f"{weight:.3f}", f"{own.top1:.4f}")
            for run, weight, own in zip(self.runs, self.weights, self.each, strict=True)
        ]
        listed = table([*rows, ("together", "1.000", f"{self.together.top1:.4f}")], ("run", "weight", "top-1"))
        parts = (listed, report(self.together, self.answers.classes), format_deduplicated(self.apart))
        return "\n".join(filter(None, parts))


def in_order(answers: SavedPredictions, wanted: SavedPredictions, where: str) -> SavedPredictions:
    """SavedPredictions brought into the order of clips and classes of `wanted`.

    Args:
        answers: To be reordered.
        wanted: Whose order counts.
        where: Their run, for the sentence when they cannot be.

    Raises:
        DataError: If they are on other clips or of other classes.
    """
    way_out = "fuse runs that were tested on the same data and split"
    if set(answers.classes) != set(wanted.classes):
        other = sorted(set(answers.classes) ^ set(wanted.classes))
        raise DataError(f"{where}: its classes are not those of the first run, '{other[0]}' is in one only; {way_out}")
    if answers.data_hash != wanted.data_hash:
        raise DataError(f"{where}: was tested on other recordings than the first run; {way_out}")
    rows = sorted(range(len(answers)), key=lambda i: answers.names[i])
    wanted_rows = sorted(range(len(wanted)), key=lambda i: wanted.names[i])
    if [answers.names[i] for i in rows] != [wanted.names[i] for i in wanted_rows]:
        other = sorted(set(answers.names) ^ set(wanted.names)) or ["a clip of that name"]
        raise DataError(
            f"{where}: was tested on {len(answers)} clips (split {answers.split}), the first run on {len(wanted)} "
            f"(split {wanted.split}), '{other[0]}' is in one only; {way_out}"
        )
    place = np.empty(len(rows), dtype=np.int64)
    place[wanted_rows] = rows  # sorting is stable, so that clips of one name keep their order
    columns = [answers.classes.index(name) for name in wanted.classes]
    number = np.array([wanted.classes.index(name) for name in answers.classes], dtype=np.int64)
    moved = replace(
        answers,
        names=wanted.names,
        labels=number[answers.labels][place],
        probs=answers.probs[place][:, columns],
        classes=wanted.classes,
        copied=None if answers.copied is None else answers.copied[place],
    )
    if (moved.labels != wanted.labels).any():
        raise DataError(f"{where}: its clips are labelled otherwise than those of the first run; {way_out}")
    return moved


def weights_of(text: str | None, runs: int) -> tuple[float, ...]:
    """One weight for each of `runs`, summing to 1; equal ones for None.

    Raises:
        ConfigError: If there are not so many numbers, or they cannot weigh.

    >>> weights_of("3,1", 2)
    (0.75, 0.25)
    """
    if text is None:
        return (1 / runs,) * runs
    try:
        given = [float(part) for part in text.split(",")]
    except ValueError as cause:
        raise ConfigError(f"--weights expects numbers with commas between them like 2,2,1, got '{text}'") from cause
    if len(given) != runs or not np.isfinite(given).all() or min(given) < 0 or sum(given) <= 0:
        raise ConfigError(f"--weights expects {runs} numbers of at least 0, one for each run, got '{text}'")
    return tuple(weight / sum(given) for weight in given)


def fuse_runs(folders: Sequence[Path], weights: str | None) -> Fused:
    """Fuse the stored predictions of runs.

    Args:
        folders: Runs that were tested on the same clips.
        weights: "2,2,1"; None weighs all alike.

    Raises:
        ConfigError: If there are fewer than two runs, or the weights do not fit them.
        ReadError: If a run has no answers.
        DataError: If they were tested on different clips.
    """
    if len(folders) < 2:
        raise ConfigError("a fusion needs two runs or more; give their folders one after the other")
    shares = weights_of(weights, len(folders))
    first = load_predictions(predictions_file(folders[0]))
    parts = [
        first,
        *(in_order(load_predictions(predictions_file(folder)), first, str(folder)) for folder in folders[1:]),
    ]
    together = np.sum([share * part.probs for share, part in zip(shares, parts, strict=True)], axis=0)
    # What any of them learned from is known to the fusion.
    looked = [part.copied for part in parts if part.copied is not None]
    copied = np.any(looked, axis=0) if looked else None
    answers = replace(first, probs=together.astype(np.float32), copied=copied)
    return Fused(
        runs=tuple(folders),
        weights=shares,
        each=tuple(score(part.probs, part.labels) for part in parts),
        together=score(answers.probs, answers.labels),
        answers=answers,
        apart={} if copied is None else deduplicated(answers.probs, answers.labels, copied),
    )


def keep_fusion(fused: Fused, project: Path, name: str) -> Path:
    """Write a fusion's report and predictions into a new folder `project/fuse/name-N`, which can be fused again."""
    run = new_run(project, "fuse", name)
    run.write_json("score.json", {**fused.to_dict(), "epoch_chosen_by": "each run's own rule"})
    save_predictions(fused.answers, run.folder / FILE)
    write_page(run)
    run.log(fused.text(), show=False)
    return run.folder
