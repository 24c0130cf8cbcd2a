"""Parity of the deployed file with the trained model, on real clips, never on random numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.clips import Clips
from amr_edge.metrics import score
from amr_edge.preprocess import Clip
from amr_edge.terminal import progress

Predictor = Callable[[Clip], NDArray[np.float32]]  # a stack of clips -> probabilities (N, K)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Parity limits between a deployed file and the trained model.

    The defaults are for an export without loss of precision.
    """

    probability: float = 1e-4  # largest absolute difference of a probability
    agreement: float = 1.0  # smallest share of clips with the same most probable class
    accuracy: float = 0.0  # largest loss of accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """A deployed file against the trained model, on the same clips.

    Attributes:
        clips: How many were compared.
        labelled: How many of them have a label and count for the accuracies.
        max_difference: Largest absolute difference of a probability.
        mean_difference: Mean absolute difference.
        agreement: Share of clips with the same most probable class.
        accuracy_trained: Top-1 of the trained model; NaN without labels.
        accuracy_deployed: Top-1 of the deployed file; NaN without labels.
        disagreeing: Names of the clips that are predicted differently, at most 20.
        limits: What was allowed.
    """

    clips: int
    labelled: int
    max_difference: float
    mean_difference: float
    agreement: float
    accuracy_trained: float
    accuracy_deployed: float
    disagreeing: tuple[str, ...]
    limits: Limits

    @property
    def failures(self) -> list[str]:
        """Exceeded limits, in words; empty if there is none."""
        found = []
        # `not <=` so that NaN, which a broken file answers, fails too.
        if not self.max_difference <= self.limits.probability:
            found.append(
                f"a probability differs by {self.max_difference:.3g}, allowed is {self.limits.probability:.3g}"
            )
        if not self.agreement >= self.limits.agreement:
            found.append(f"top-1 agrees on {self.agreement:.2%} of the clips, required is {self.limits.agreement:.2%}")
        if self.labelled and not self.accuracy_trained - self.accuracy_deployed <= self.limits.accuracy:
            found.append(f"accuracy falls from {self.accuracy_trained:.4f} to {self.accuracy_deployed:.4f}")
        return found


def compare(trained: Predictor, deployed: Predictor, clips: Clips, limits: Limits, batch: int = 32) -> Parity:
    """Put every clip to both and compare.

    Args:
        trained: The model as it was trained.
        deployed: The file as it will run.
        clips: Real clips, whole.
        limits: What is allowed.
        batch: Clips at a time; the last, smaller batch checks that the batch size is free.

    Returns:
        The comparison; read `failures`.
    """
    first, second = [], []
    with progress(range(0, len(clips), batch), label="proving") as starts:
        for start in starts:
            part = clips.whole(np.arange(start, min(start + batch, len(clips))))
            first.append(trained(part))
            second.append(deployed(part))
    ours, theirs = np.concatenate(first), np.concatenate(second)  # (N, K)
    difference = np.abs(ours - theirs)
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    labelled = clips.labels >= 0
    known = bool(labelled.any())
    return Parity(
        clips=len(clips),
        labelled=int(labelled.sum()),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        agreement=float(same.mean()),
        accuracy_trained=score(ours[labelled], clips.labels[labelled]).top1 if known else float("nan"),
        accuracy_deployed=score(theirs[labelled], clips.labels[labelled]).top1 if known else float("nan"),
        disagreeing=tuple(name for name, equal in zip(clips.names, same, strict=True) if not equal)[:20],
        limits=limits,
    )
