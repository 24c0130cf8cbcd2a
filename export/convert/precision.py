"""Precisions below fp32: their parity limits, and the conversion of a graph."""

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from numpy.typing import NDArray

from amr_edge.card import PRECISIONS, Card
from amr_edge.data.clips import Clips
from amr_edge.errors import ConfigError
from amr_edge.export.convert.fp16 import to_fp16
from amr_edge.export.convert.int8 import Feed, quantize_dynamic, quantize_static, ranges
from amr_edge.export.verify.parity import Limits
from amr_edge.export.verify.verification_data import VerificationData
from amr_edge.runtime.inference.io_contract import RANKS
from amr_edge.terminal import progress

SAMPLE = 128  # training clips that int8 ranges are calibrated on
# How far a file may be from the trained model. Nothing may be lost in fp32; below it half a point of accuracy.
LIMITS = {
    "fp32": Limits(),
    "fp16": Limits(probability=0.02, agreement=0.99, accuracy=0.005),
    "int8": Limits(probability=0.2, agreement=0.97, accuracy=0.005),
    "int8-static": Limits(probability=0.2, agreement=0.97, accuracy=0.005),
}


def file_name(precision: str) -> str:
    """The name of a run's exported model: model.onnx, model.fp16.onnx.

    Raises:
        ConfigError: If there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"there is no precision '{precision}'; choose one of {', '.join(PRECISIONS)}")
    return "model.onnx" if precision == "fp32" else f"model.{precision}.onnx"


def limits_for(
    precision: str, max_difference: float | None, min_agreement: float | None, max_loss: float | None
) -> Limits:
    """Parity limits of a file: by its precision, or as given."""
    usual = LIMITS[precision]
    return Limits(
        probability=usual.probability if max_difference is None else max_difference,
        agreement=usual.agreement if min_agreement is None else min_agreement,
        accuracy=usual.accuracy if max_loss is None else max_loss,
    )


def lowered(model: onnx.ModelProto, precision: str, feeds: Callable[[], Iterable[Feed]]) -> onnx.ModelProto:
    """A fp32 graph in another precision.

    Args:
        model: What `write_onnx` makes.
        precision: One of `card.PRECISIONS`.
        feeds: Gives the clips that int8-static is calibrated on; called for nothing else.

    Raises:
        CheckFailedError: If the graph does not fit into the precision.
    """
    if precision == "fp16":
        return to_fp16(model)
    if precision == "int8":
        return quantize_dynamic(model)
    if precision == "int8-static":
        return quantize_static(model, ranges(model, feeds()))
    return model


def stratified(labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most `count` indices, spread over the classes as evenly as they allow; clips without a label are one class.

    >>> labels = np.array([0, 0, 0, 0, 1, 2])
    >>> sorted(labels[stratified(labels, 4, np.random.default_rng(0))].tolist())
    [0, 0, 1, 2]
    """
    order = rng.permutation(len(labels))
    turn = np.zeros(len(labels), dtype=np.int64)  # how many of its class come before a clip
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    return order[np.argsort(turn[order], kind="stable")][:count]


def calibration(
    part: VerificationData, card: Card, inputs: Iterable[str], *, count: int, rng: np.random.Generator
) -> Callable[[], Iterable[Feed]]:
    """Clips to calibrate on: a stratified sample of those that the model learned from, never of those that judge it.

    Args:
        part: The recordings of the run.
        card: How clips are prepared.
        inputs: The graph's inputs; it looks at all tokens where it asks how many.
        count: At most so many clips.
        rng: Chooses them.

    Raises:
        ConfigError: If `count` is below 1.
    """
    if count < 1:
        raise ConfigError(f"a calibration needs at least 1 clip, --calibrate-on is {count}")
    names = set(inputs)

    def feeds() -> Iterable[Feed]:
        train_clips = np.flatnonzero(part.train)
        chosen = train_clips[stratified(np.asarray(part.store.labels, dtype=np.int64)[train_clips], count, rng)]
        which = np.zeros(len(part.store), dtype=np.bool_)
        which[chosen] = True
        clips = Clips(part.store, which, card.prepare, card.persons)
        ranks: Feed = {RANKS: np.arange(card.tokens, dtype=np.int64)} if RANKS in names else {}
        with progress(range(len(clips)), label="calibrating", length=len(clips)) as indices:
            for index in indices:
                clip = clips.whole(np.array([index]))
                yield {"clip": clip.values, "present": clip.present, **ranks}

    return feeds
