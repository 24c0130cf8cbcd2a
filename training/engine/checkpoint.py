"""Weights on disk: safetensors with the card inside, written whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from amr_edge.card import CARD_KEY, Card
from amr_edge.errors import CardError, LayoutError, ReadError
from amr_edge.training.models.backbone import Backbone
from amr_edge.training.models.build import build_encoder
from amr_edge.training.models.classifier import Classifier


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all, also if the power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        save_file({name: t.detach().contiguous().cpu() for name, t in tensors.items()}, part, metadata=metadata)
        _flush(part)
        os.replace(part, path)  # noqa: PTH105  (atomic: a reader sees the old file or the new one)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _flush(path.parent)
    except SafetensorError as cause:
        raise OSError(f"{path} could not be written ({cause})") from cause
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_tensors(path: Path, *, tensors: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; without `tensors` only its header is read.

    Raises:
        ReadError: If it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys() if tensors else ()
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except FileNotFoundError as cause:
        raise ReadError(f"{path}: there is no such checkpoint; give a run folder or a .safetensors file") from cause
    except (SafetensorError, OSError) as cause:
        raise ReadError(f"{path}: is not a readable safetensors file ({cause}); use another checkpoint") from cause


def save_weights(path: Path, module: nn.Module, card: Card) -> None:
    """Write a module's weights with its card."""
    write_tensors(path, module.state_dict(), {CARD_KEY: card.to_json()})


def load_weights(path: Path) -> tuple[dict[str, Tensor], Card]:
    """The tensors and the card of a file that `save_weights` wrote.

    Raises:
        ReadError: If it cannot be read.
        CardError: If it has no card.
    """
    tensors, metadata = read_tensors(path)
    return tensors, _card(metadata, path)


def read_card(path: Path) -> Card:
    """The card of a checkpoint, without its weights.

    Raises:
        ReadError: If it cannot be read.
        CardError: If it has no card.
    """
    return _card(read_tensors(path, tensors=False)[1], path)


def _card(metadata: Mapping[str, str], path: Path) -> Card:
    if CARD_KEY not in metadata:
        raise CardError(f"{path}: has no amr-edge card; only checkpoints that amr-edge wrote can be used")
    return Card.from_json(metadata[CARD_KEY], str(path))


def load_classifier(path: Path) -> tuple[Classifier, Card]:
    """The classifier in a checkpoint, ready to answer.

    Raises:
        CardError: If the checkpoint is a pre-trained encoder, or its weights are not those its card describes.
    """
    tensors, card = load_weights(path)
    if card.kind != "classifier":
        raise CardError(f"{path}: holds a pre-trained encoder without classes; fine-tune it first")
    model = Classifier(build_encoder(card), len(card.classes))
    _fill(model, tensors, path)
    return model.eval(), card


def load_encoder(path: Path, into: Backbone, card: Card) -> None:
    """Fill an encoder from a pre-trained or fine-tuned checkpoint of the same shape.

    Args:
        path: The checkpoint.
        into: The encoder to fill.
        card: What the new model will be, to compare with.

    Raises:
        LayoutError: If the checkpoint was trained on another skeleton.
        CardError: If its size differs.
    """
    tensors, theirs = load_weights(path)
    if theirs.prepare.layout != card.prepare.layout:
        raise LayoutError(
            f"{path}: was trained on layout '{theirs.prepare.layout}', this run uses '{card.prepare.layout}'; "
            "read the recordings in the checkpoint's layout (--transfer), or start from one of the same layout"
        )
    if theirs.encoder != card.encoder or theirs.prepare.frames != card.prepare.frames:
        raise CardError(
            f"{path}: its encoder is {theirs.encoder} on {theirs.prepare.frames} frames, this run wants "
            f"{card.encoder} on {card.prepare.frames}; use the recipe it was trained with"
        )
    own = {name.removeprefix("encoder."): t for name, t in tensors.items() if name.startswith("encoder.")}
    _fill(into, own, path)


def _fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as cause:
        raise CardError(f"{path}: its weights are not those that its card describes; the file is damaged") from cause
