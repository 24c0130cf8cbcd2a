"""What must hold between a model, its card and the clips it is given, whichever engine computes."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import CardError, ClipError, ConfigError
from amr_edge.runtime.inference.onnx_metadata import OnnxFile, Tensor
from amr_edge.skeleton import Mask, layout

RANKS = "ranks"  # the graph's input for the budget; files without it look at a fixed number of tokens


class Session(Protocol):
    """A model that is ready to answer."""

    @property
    def card(self) -> Card:
        """The contract that the model file carries."""
        ...

    @property
    def title(self) -> str:
        """Model and engine, in a line."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens of each body that it looks at, those that move most; all of them are `card.tokens`."""
        ...

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        """Class probabilities of N clips.

        Args:
            values: (N, M, T, V, 3) float32 from `preprocess.prepare`, 0 where absent.
            present: (N, M, T, V) bool.

        Returns:
            (N, K) float32, rows that sum to 1.

        Raises:
            ClipError: If the arrays are not what the card asks for.
        """
        ...


def describe(card: Card, name: str) -> str:
    """A model in one line for the person."""
    who = "each person" if card.persons == 1 else f"a scene of up to {card.persons} people"
    return (
        f"{name}: '{card.name}', {len(card.classes)} classes for {who}, {card.prepare.layout}, "
        f"window {card.prepare.window_s:g} s as {card.prepare.frames} frames, a prediction every {card.stride_s:g} s"
    )


def titled(card: Card, file: Path, tokens: int, engine: str) -> str:
    """A session's title: the model, the tokens it looks at and what computes it."""
    looked_at = "" if tokens == card.tokens else f", {tokens} of {card.tokens} tokens"
    return f"{describe(card, file.name)}{looked_at}, on {engine}"


def tokens_for(card: Card, budget: float | None, file: Path, *, free: bool) -> int:
    """Number of tokens of each body that a file encodes on a budget.

    Args:
        card: Its card.
        budget: Share of the tokens; None takes what the card says.
        file: Where it lies, for the sentence.
        free: Whether the graph takes the budget as an input.

    Raises:
        ConfigError: If the budget cannot mean anything, or the file has another one built in.
    """
    requested = card.tokens_at(card.budget if budget is None else budget)
    if free:
        return requested
    has = card.fixed_tokens or card.tokens
    if budget is not None and requested != has:
        raise ConfigError(
            f"{file}: a budget of {budget:g} was requested, this file always looks at {has} of {card.tokens} tokens; "
            "export it again for a budget that is chosen when it is opened: amr-edge export RUN --onnx"
        )
    return has


def check_clips(values: NDArray[np.float32], present: Mask, card: Card) -> None:
    """Refuse clips that the card does not ask for.

    Raises:
        ClipError: With the shape and type that were expected and those that came.
    """
    frames, joints = card.prepare.frames, len(layout(card.prepare.layout))
    if values.dtype != np.float32 or values.ndim != 5 or values.shape[1] < 1 or values.shape[2:] != (frames, joints, 3):
        raise ClipError(
            f"'{card.name}' expects clips (N, M, {frames}, {joints}, 3) float32, got {values.shape} {values.dtype}"
        )
    if present.dtype != np.bool_ or present.shape != values.shape[:-1]:
        raise ClipError(
            f"'{card.name}' expects presence {values.shape[:-1]} bool for these clips, got "
            f"{present.shape} {present.dtype}"
        )


def check_probs(out: NDArray[np.float32], clips: int, card: Card, file: Path) -> NDArray[np.float32]:
    """An engine's answer, refused if it is not one.

    Raises:
        CardError: If it is not `clips` rows of K finite numbers.
    """
    finite = bool(np.isfinite(out).all())
    if out.shape != (clips, len(card.classes)) or not finite:
        raise CardError(
            f"{file}: expected {len(card.classes)} finite probabilities for each of {clips} clips, got "
            f"{out.shape}{'' if finite else ' with NaN or infinity'}; export the model again"
        )
    return out


def check_contract(model: OnnxFile) -> None:
    """Refuse a graph whose inputs and outputs are not the ones that its card promises.

    Raises:
        CardError: With what was promised and what the graph has.
    """
    card, file = model.card, model.path
    if card.kind != "classifier":
        raise CardError(
            f"{file}: '{card.name}' is a pre-trained encoder and has no classes to answer with; "
            "type: amr-edge finetune, then export that run"
        )
    frames, joints, classes = card.prepare.frames, len(layout(card.prepare.layout)), len(card.classes)
    # A letter is a free axis.
    inputs = [
        Tensor(name="clip", kind="float32", shape=("N", "M", frames, joints, 3)),
        Tensor(name="present", kind="bool", shape=("N", "M", frames, joints)),
    ]
    if takes_budget(model):
        inputs.append(Tensor(name=RANKS, kind="int64", shape=("K",)))
    _check("input", model.inputs, inputs, file)
    outputs = [tensor for tensor in model.outputs if tensor.name != "logits"]
    _check("output", outputs, [Tensor(name="probs", kind="float32", shape=("N", classes))], file)


def takes_budget(model: OnnxFile) -> bool:
    """True if the graph takes the budget as an input."""
    return any(tensor.name == RANKS for tensor in model.inputs)


def _check(role: str, found: Sequence[Tensor], wanted: Sequence[Tensor], file: Path) -> None:
    """Compare the graph's tensors with the wanted ones."""
    names = {tensor.name: tensor for tensor in found}
    if {tensor.name for tensor in wanted} != set(names):
        raise CardError(
            f"{file}: expected the {role}s {', '.join(tensor.name for tensor in wanted)}, the model has "
            f"{', '.join(names) or 'none'}; it was not exported by this amr-edge, type: amr-edge export RUN --onnx"
        )
    for want in wanted:
        have = names[want.name]
        # A named axis of the graph is free: it contradicts no number, but a number contradicts a free axis.
        fits = len(have.shape) == len(want.shape) and all(
            isinstance(axis, str) or axis == requested for axis, requested in zip(have.shape, want.shape, strict=True)
        )
        if have.kind != want.kind or not fits:
            raise CardError(
                f"{file}: by its card the {role} '{want.name}' is {_describe_tensor(want)} with "
                f"{' and '.join(_free(want))} free, the model has {_describe_tensor(have)}; "
                "card and model contradict each other, export the model again"
            )


def _describe_tensor(tensor: Tensor) -> str:
    return f"{tensor.kind} ({', '.join(str(axis) or '?' for axis in tensor.shape)})"


def _free(tensor: Tensor) -> list[str]:
    return [axis for axis in tensor.shape if isinstance(axis, str)]


def first_sentence(cause: Exception) -> str:
    """An engine's reason without its codes, the places in its sources and line breaks."""
    if isinstance(cause, UnicodeDecodeError):
        return "a name in it is no text"
    text = " ".join(re.sub(r"Exception from \S+:\s", "", str(cause)).split())
    return text.rpartition(" : ")[2][:200].rstrip(" .")
