"""Predictions of a run for its test clips, saved with the run to be compared, fused and pooled later."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.npz import load, members
from amr_edge.errors import ReadError

FILE = "predictions.npz"  # in a run's folder
OLD_FILE = "answers.npz"  # its name in runs of earlier versions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedPredictions:
    """Probabilities for the N test clips of a run.

    Attributes:
        names: What the recordings are called.
        labels: (N,) int64.
        probs: (N, K) float32.
        classes: K names.
        data_hash: Content hash of the store they lie in.
        split: Whose test part they are.
        copied: (N,) bool, True for duplicates of training recordings; None where that was not checked.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    probs: NDArray[np.float32]
    classes: tuple[str, ...]
    data_hash: str
    split: str
    copied: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.names)


def save_predictions(predictions: SavedPredictions, path: Path) -> Path:
    """Write predictions as a plain .npz, whole or not at all."""
    more: dict[str, Any] = {} if predictions.copied is None else {"copied": predictions.copied}
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(
                file,
                names=np.array(predictions.names, dtype=np.str_),
                labels=predictions.labels.astype(np.int64),
                probs=predictions.probs.astype(np.float32),
                classes=np.array(predictions.classes, dtype=np.str_),
                data_hash=np.array(predictions.data_hash, dtype=np.str_),
                split=np.array(predictions.split, dtype=np.str_),
                **more,
            )
        os.replace(part, path)  # noqa: PTH105  (atomic)
    finally:
        part.unlink(missing_ok=True)
    return path


def predictions_file(folder: Path) -> Path:
    """The predictions of a run, which runs of earlier versions store under another name."""
    old = folder / OLD_FILE
    return old if old.exists() and not (folder / FILE).exists() else folder / FILE


def load_predictions(path: Path) -> SavedPredictions:
    """The predictions in a file.

    Raises:
        ReadError: If it is no file of predictions.
    """
    if not path.exists():
        raise ReadError(f"{path}: there are no predictions; give the folder of a run that has finished and was tested")
    try:
        found = {name: load(path, member) for name, member in members(path).items()}
        predictions = SavedPredictions(
            names=tuple(str(name) for name in found["names"]),
            labels=np.asarray(found["labels"], dtype=np.int64),
            probs=np.asarray(found["probs"], dtype=np.float32),
            classes=tuple(str(name) for name in found["classes"]),
            data_hash=str(found["data_hash"]),
            split=str(found["split"]),
            copied=np.asarray(found["copied"], dtype=np.bool_) if "copied" in found else None,
        )
    except (KeyError, ValueError, TypeError) as cause:
        raise ReadError(f"{path}: are not the predictions of a run ({cause}); repeat the test with --resume") from cause
    each = [predictions.labels] if predictions.copied is None else [predictions.labels, predictions.copied]
    whole = all(part.shape == (len(predictions),) for part in each)
    if not whole or predictions.probs.shape != (len(predictions), len(predictions.classes)):
        raise ReadError(
            f"{path}: holds probabilities {predictions.probs.shape} for {len(predictions)} clips of "
            f"{len(predictions.classes)} classes; repeat the test with --resume"
        )
    return predictions
