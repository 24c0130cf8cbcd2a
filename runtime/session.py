"""What does a model file answer to a batch of clips: open it, check its contract, run it on ONNX Runtime."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import CARD_KEY, Card
from amr_edge.errors import CardError, ClipError, ConfigError, ReadError
from amr_edge.skeleton import Mask, layout

QUIET = 4  # ONNX Runtime's severity "fatal": what goes wrong is said by us, in a sentence
CLIP_AXES, PRESENT_AXES = ("N", "M", "T", "V", "3"), ("N", "M", "T", "V")
RANKS = "ranks"  # the graph's input for the budget; files without it look at a fixed number of tokens


class Session(Protocol):
    """A model that is ready to answer."""

    @property
    def card(self) -> Card:
        """The contract that the model file carries."""
        ...

    @property
    def title(self) -> str:
        """What it is, in a line for the person."""
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


def model_path(path: str | Path) -> Path:
    """The model file that `path` means: the file itself, or the exported model of a run folder.

    Raises:
        ReadError: If there is no such file; a run folder without an exported model gets the line to type.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.is_file():
            raise ReadError(f"{path}: there is no such model file; name an exported model.onnx or a run folder")
        return path
    model = path / "export" / "model.onnx"
    if not model.is_file():
        raise ReadError(f"{path}: the run has no export/model.onnx yet; type: amr-edge export {path} --onnx")
    return model


def open_session(path: str | Path, *, threads: int | None = None, budget: float | None = None) -> Session:
    """Open a model for the CPU.

    Args:
        path: A model.onnx with a card, or a run folder that has one exported.
        threads: Threads inside one inference; None lets ONNX Runtime take one for each core.
        budget: Share of each body's tokens to look at, in (0, 1]; None takes what the card says.

    Raises:
        ConfigError: If `threads` is not at least 1, or the budget is none that the file can be opened with.
        ReadError: If there is no such file, or it is no ONNX model that can be run here.
        CardError: If it carries no card, or its inputs and outputs contradict the card.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be at least 1, got {threads}")
    file = model_path(path)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    # A spinning pool takes the cores that pose estimation needs between two answers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        engine = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except _refusals() as cause:
        raise ReadError(
            f"{file}: expected an ONNX model, ONNX Runtime {onnxruntime.__version__} cannot open it "
            f"({_first_sentence(cause)}); export or copy it again"
        ) from cause
    text = engine.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise CardError(
            f"{file}: the ONNX model carries no card (metadata '{CARD_KEY}'), so its layout, window and classes are "
            "unknown; export it with: amr-edge export RUN --onnx"
        )
    card = Card.from_json(text, str(file))
    _check_contract(engine, card, file)
    free = any(tensor.name == RANKS for tensor in engine.get_inputs())
    tokens = tokens_for(card, budget, file, free=free)
    return _OnnxSession(
        card=card,
        title=describe(card, file.name) + ("" if tokens == card.tokens else f", {tokens} of {card.tokens} tokens"),
        tokens=tokens,
        engine=engine,
        file=file,
        ranks=np.arange(tokens, dtype=np.int64) if free else None,
    )


def tokens_for(card: Card, budget: float | None, file: Path, *, free: bool) -> int:
    """How many tokens of each body a file looks at on a budget.

    Args:
        card: Its card.
        budget: Share of the tokens; None takes what the card says.
        file: Where it lies, for the sentence.
        free: Whether the graph takes the budget as an input.

    Raises:
        ConfigError: If the budget cannot mean anything, or the file has another one built in.
    """
    asked = card.tokens_at(card.budget if budget is None else budget)
    if free:
        return asked
    has = card.fixed_tokens or card.tokens
    if budget is not None and asked != has:
        raise ConfigError(
            f"{file}: a budget of {budget:g} was asked for, this file always looks at {has} of {card.tokens} tokens; "
            "export it again for a budget that is chosen when it is opened: amr-edge export RUN --onnx"
        )
    return has


def describe(card: Card, name: str) -> str:
    """A model in one line for the person."""
    who = "each person" if card.persons == 1 else f"a scene of up to {card.persons} people"
    return (
        f"{name}: '{card.name}', {len(card.classes)} classes for {who}, {card.prepare.layout}, "
        f"window {card.prepare.window_s:g} s as {card.prepare.frames} frames, an answer every {card.stride_s:g} s"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnnxSession:
    """ONNX Runtime behind the `Session` protocol."""

    card: Card
    title: str
    tokens: int
    engine: Any
    file: Path
    ranks: NDArray[np.int64] | None  # which ranks by motion energy to look at, where the graph asks for them

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        """See `Session.probs`."""
        check_clips(values, present, self.card)
        classes = len(self.card.classes)
        if not len(values):
            return np.zeros((0, classes), dtype=np.float32)
        feed = {"clip": values, "present": present}
        if self.ranks is not None:
            feed[RANKS] = self.ranks
        try:
            (out,) = self.engine.run(["probs"], feed)
        except _refusals() as cause:
            raise ClipError(
                f"{self.file}: the model cannot run clips {values.shape} ({_first_sentence(cause)}); export it again"
            ) from cause
        out = np.asarray(out, dtype=np.float32)
        if out.shape != (len(values), classes) or not np.isfinite(out).all():
            raise CardError(
                f"{self.file}: expected {classes} finite probabilities for each of {len(values)} clips, got "
                f"{out.shape}{'' if np.isfinite(out).all() else ' with NaN or infinity'}; export the model again"
            )
        return out


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


def _check_contract(engine: Any, card: Card, file: Path) -> None:
    """Refuse a graph whose inputs and outputs are not the ones that its card promises."""
    if card.kind != "classifier":
        raise CardError(
            f"{file}: '{card.name}' is a pre-trained encoder and has no classes to answer with; "
            "type: amr-edge finetune, then export that run"
        )
    frames, joints, classes = card.prepare.frames, len(layout(card.prepare.layout)), len(card.classes)
    inputs: dict[str, tuple[str, tuple[int | None, ...], tuple[str, ...]]] = {
        "clip": ("tensor(float)", (None, None, frames, joints, 3), CLIP_AXES),
        "present": ("tensor(bool)", (None, None, frames, joints), PRESENT_AXES),
    }
    if any(tensor.name == RANKS for tensor in engine.get_inputs()):
        inputs[RANKS] = ("tensor(int64)", (None,), ("K",))
    _check_tensors(
        "input",
        engine.get_inputs(),
        inputs,
        file,
        exactly=True,
    )
    _check_tensors(
        "output", engine.get_outputs(), {"probs": ("tensor(float)", (None, classes), ("N", "K"))}, file, exactly=False
    )


def _check_tensors(
    role: str,
    found: list[Any],
    wanted: dict[str, tuple[str, tuple[int | None, ...], tuple[str, ...]]],
    file: Path,
    *,
    exactly: bool,
) -> None:
    """Compare the graph's tensors with name -> (type, shape with None for a free axis, axis names)."""
    names = {tensor.name: tensor for tensor in found}
    if set(wanted) - set(names) or (exactly and set(names) - set(wanted)):
        raise CardError(
            f"{file}: expected the {role}s {', '.join(wanted)}, the model has {', '.join(names) or 'none'}; "
            "it was not exported by this amr-edge, type: amr-edge export RUN --onnx"
        )
    for name, (kind, shape, axes) in wanted.items():
        tensor = names[name]
        # A symbolic axis arrives as a string or None: it contradicts nothing.
        fits = len(tensor.shape) == len(shape) and all(
            (want is None and not isinstance(have, int))
            or (want is not None and (have == want or not isinstance(have, int)))
            for have, want in zip(tensor.shape, shape, strict=True)
        )
        if tensor.type != kind or not fits:
            asked = ", ".join(axis if want is None else str(want) for want, axis in zip(shape, axes, strict=True))
            raise CardError(
                f"{file}: by its card the {role} '{name}' is {kind} ({asked}) with N and M free, the model has "
                f"{tensor.type} ({', '.join(str(axis) for axis in tensor.shape)}); card and model contradict each "
                "other, export the model again"
            )


def _refusals() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its exceptions have no class of their own in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


def _first_sentence(cause: Exception) -> str:
    """The engine's reason without its codes and line breaks."""
    text = " ".join(str(cause).split())
    return text.rpartition(" : ")[2][:200].rstrip(" .")
