"""What an engine that runs the graph itself answers: one call between the checks of what goes in and what comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ClipError
from amr_edge.runtime.inference.io_contract import RANKS, check_clips, check_probs, first_sentence
from amr_edge.skeleton import Mask

Feed = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSession:
    """An engine behind the `Session` protocol.

    Attributes:
        card: See `Session`.
        title: See `Session`.
        tokens: See `Session`.
        engine: Its name.
        providers: Through what it computes, where it says so.
        file: The model, for sentences.
        free: Whether the graph asks which ranks by motion energy to look at.
        infer: Runs the graph: inputs by name -> probs, in memory of their own.
        refusals: What it raises when it cannot.
    """

    card: Card
    title: str
    tokens: int
    engine: str
    providers: tuple[str, ...] = ()
    file: Path
    free: bool
    infer: Callable[[Feed], NDArray[np.float32]]
    refusals: tuple[type[Exception], ...]

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        """See `Session.probs`."""
        check_clips(values, present, self.card)
        if not len(values):
            return np.zeros((0, len(self.card.classes)), dtype=np.float32)
        feed: Feed = {"clip": values, "present": present}
        if self.free:
            feed[RANKS] = np.arange(self.tokens, dtype=np.int64)
        try:
            out = self.infer(feed)
        except self.refusals as cause:
            raise ClipError(
                f"{self.file}: the model cannot run clips {values.shape} ({first_sentence(cause)}); export it again"
            ) from cause
        return check_probs(out, len(values), self.card, self.file)
