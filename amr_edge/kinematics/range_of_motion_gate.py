"""Plausibility check of predictions: the range-of-motion rules of a card, applied to a prediction and its clip."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import AmrError, CardError
from amr_edge.kinematics.execution_quality import Quality
from amr_edge.kinematics.range_of_motion import Rule, shows
from amr_edge.skeleton import CANONICAL15, Mask, Poses, layout, remap


def rules_of(card: Card) -> dict[int, Rule]:
    """The rules that a card carries, by the number of their class.

    Raises:
        CardError: If one is broken, is of no class of the card, or the model does not answer for one person with
            joints in three dimensions.
    """
    found: dict[int, Rule] = {}
    for name, value in card.rules.items():
        if name not in card.classes or name == card.none_class:
            raise CardError(f"card '{card.name}': a rule is for '{name}', which is no action that it knows")
        try:
            found[card.classes.index(name)] = Rule.from_json(value)
        except (AmrError, TypeError) as cause:
            raise CardError(
                f"card '{card.name}': the rule for '{name}' is broken ({cause}); export it again"
            ) from cause
    if found and (card.persons > 1 or card.prepare.stream != "joint" or card.units != "m"):
        raise CardError(
            f"card '{card.name}': ranges of motion are measured on the joints of one person in metres, this model sees "
            f"{card.persons} people, the stream '{card.prepare.stream}', in '{card.units}'; leave its rules away"
        )
    return found


def qualities_of(card: Card) -> dict[str, Quality]:
    """The execution-quality models that a card carries, by class.

    Raises:
        CardError: If one is broken or of no class of the card.
    """
    found: dict[str, Quality] = {}
    for name, value in card.quality.items():
        if name not in card.rules:
            raise CardError(
                f"card '{card.name}': a quality is for '{name}', whose repetitions no rule counts; it needs both"
            )
        try:
            found[name] = Quality.from_json(value)
        except (AmrError, TypeError) as cause:
            raise CardError(f"card '{card.name}': the quality of '{name}' is broken ({cause})") from cause
    return found


class GateResult(NamedTuple):
    """A prediction after the plausibility check.

    Attributes:
        probs: (K,) float32; what a refused class had is with `none_class`, or gone if there is none.
        label: The class that won and was refused; None if it was accepted.
    """

    probs: NDArray[np.float32]
    label: str | None


class Gate:
    """Accepts a prediction only if the window shows the movement that the card's rule for its class requires."""

    def __init__(self, card: Card) -> None:
        """The gate of a model; one whose card has no rules refuses nothing.

        Raises:
            CardError: See `rules_of`.
        """
        self.rules = rules_of(card)
        self._classes = card.classes
        self._none = None if card.none_class is None else card.classes.index(card.none_class)
        self._layout = layout(card.prepare.layout)

    def __bool__(self) -> bool:
        """True if there is anything that it could refuse."""
        return bool(self.rules)

    def __call__(self, probs: NDArray[np.float32], values: NDArray[np.float32], present: Mask) -> GateResult:
        """Check one prediction against its clip.

        Args:
            probs: (K,) of the model, at its temperature.
            values: (M, T, V, 3) the clip as the model saw it; the first body counts.
            present: (M, T, V).

        Returns:
            The same probabilities if the most probable class has no rule or shows its movement. Else what it had
            goes to the card's `none_class`; without one it is gone, and the next class is checked.
        """
        refused: str | None = None
        poses: Poses | None = None
        while (rule := self.rules.get(best := int(probs.argmax()))) is not None and probs[best] > 0:
            if poses is None:
                seen = np.where(present[0][..., None], values[0], np.nan).astype(np.float32)  # (T, V, 3)
                poses = remap(seen, self._layout, CANONICAL15).poses
            if shows(rule, poses):
                break
            refused = self._classes[best] if refused is None else refused
            probs = probs.copy()
            if self._none is not None:
                probs[self._none] += probs[best]
            probs[best] = 0
        return GateResult(probs, refused)


def apply_gate(
    card: Card, probs: NDArray[np.float32], values: NDArray[np.float32], present: Mask
) -> tuple[NDArray[np.float32], Sequence[str | None]]:
    """The predictions of many clips after the plausibility check, as a stream gives them.

    Args:
        card: Of the model, with its rules.
        probs: (N, K), at the card's temperature.
        values: (N, M, T, V, 3) the clips as the model saw them.
        present: (N, M, T, V).

    Returns:
        Probabilities (N, K), and for each clip the class that was refused or None.

    Raises:
        CardError: See `rules_of`.
    """
    gate = Gate(card)
    if not gate or not len(probs):
        return probs, [None] * len(probs)
    found = [gate(*each) for each in zip(probs, values, present, strict=True)]
    return np.stack([each.probs for each in found]), [each.label for each in found]
