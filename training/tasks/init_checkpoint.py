"""What a run takes from the checkpoint it starts from: the encoder, and how poses become the clips that it knows.

The recordings may have another layout: they are then read in the checkpoint's, joint by joint by name, and what they
lack is absent. That must not happen by accident, so it has to be requested.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amr_edge.card import Card
from amr_edge.data.splits import split
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, LayoutError
from amr_edge.preprocess import PrepareConfig
from amr_edge.skeleton import Mask, common_joints, layout
from amr_edge.training.config import RECIPES, EncoderConfig, GraphConfig, Recipe
from amr_edge.training.engine.checkpoint import load_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class InitCheckpoint:
    """A checkpoint to start from.

    Attributes:
        path: The file.
        sha256: Of it, so that a card can name it without a path.
        card: Its card.
    """

    path: Path
    sha256: str
    card: Card


def open_origin(path: Path) -> InitCheckpoint:
    """The checkpoint at `path`.

    Raises:
        ReadError: If it cannot be read.
        CardError: If it has no card, or says too little of its encoder.
    """
    _, card = load_weights(path)
    return InitCheckpoint(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), card=card)


def recipe_name(origin: InitCheckpoint) -> str:
    """The recipe that the checkpoint was trained with, where it is one of ours, else one of its kind of backbone."""
    name = str(origin.card.recipe.get("name", ""))
    if name in RECIPES:
        return name
    return "amr-small" if origin.card.has_budget else "stgcn-small"


def continued(base: Recipe, origin: InitCheckpoint) -> Recipe:
    """The recipe with the checkpoint's encoder and clips; its other settings stay.

    Only where its masks and windows no longer divide the clips they are replaced by the nearest that do: they rank
    tokens, and nothing is pre-trained here. A graph or an aligned pair has no tokens, and so no random budgets.
    """
    card = origin.card
    kind = card.encoder.get("kind")
    if kind is not None:
        fields = {name: value for name, value in card.encoder.items() if name != "kind"}
        return replace(
            base,
            prepare=card.prepare,
            persons=card.persons,
            backbone=kind,
            graph=GraphConfig(**fields) if kind == "graph" else base.graph,
            backbone_fields={} if kind == "graph" else fields,
            finetune=replace(base.finetune, budget=(1.0, 1.0)),
        )
    encoder = EncoderConfig(**card.encoder)
    steps = card.prepare.frames // encoder.patch_frames
    pretext = base.pretrain.pretext
    allowed = [n for n in range(1, steps + 1) if steps % n == 0]
    windows = card.focal_windows or pretext.focal_windows
    if any(card.prepare.frames % window for window in windows):
        windows = card.energy_windows
    if pretext.enlarge * pretext.downsample not in allowed:
        nearest = min(allowed, key=lambda n: abs(n - pretext.enlarge))
        pretext = replace(pretext, enlarge=nearest, downsample=1)
    return replace(
        base,
        prepare=card.prepare,
        encoder=encoder,
        pretrain=replace(base.pretrain, pretext=replace(pretext, focal_windows=windows)),
    )


def check_unchanged(made: Recipe, origin: InitCheckpoint) -> None:
    """Refuse settings that the checkpoint's weights do not fit.

    Raises:
        ConfigError: Naming the setting.
    """
    card = origin.card
    kind = card.encoder.get("kind")
    kept: dict[str, tuple[object, object]] = {"backbone": (made.backbone, kind or "transformer")}
    if kind is None or kind == "graph":
        group, config = ("encoder", made.encoder) if kind is None else ("graph", made.graph)
        fields = {name: value for name, value in card.encoder.items() if name != "kind"}
        kept |= {f"{group}.{name}": (getattr(config, name), value) for name, value in fields.items()}
    kept["prepare.frames"] = (made.prepare.frames, card.prepare.frames)
    kept["prepare.layout"] = (made.prepare.layout, card.prepare.layout)
    for name, (requested, its) in kept.items():
        if requested != its:
            raise ConfigError(
                f"--set {name}={requested} contradicts --init {origin.path}, whose {name} is {its}; leave the setting "
                "out, or start from scratch without --init"
            )


def check_clips(origin: InitCheckpoint, prepare: PrepareConfig, store: Store, *, transfer: bool) -> tuple[str, ...]:
    """True if the checkpoint can see these recordings, and what a person should know if it can.

    Args:
        origin: The checkpoint.
        prepare: The run's preprocessing.
        store: The recordings.
        transfer: Whether another layout was allowed.

    Returns:
        Notes.

    Raises:
        LayoutError: If the layouts differ and that was not requested, or if they have too little in common.
        ConfigError: If the units differ and nothing rescales them.
    """
    source, target = layout(store.layout), layout(origin.card.prepare.layout)
    where = f"--init {origin.path}"
    notes = []
    if source is not target:
        common = common_joints(source, target)
        absent = [joint for joint in target.joints if joint not in common]
        message = (
            f"{where}: was trained on layout '{target.name}', {store.path} has '{source.name}', which can fill "
            f"{len(common)} of its {len(target)} joints"
        )
        # The half is what `live` asks for: a model that its own source could not feed is of no use.
        if 2 * len(common) < len(target):
            raise LayoutError(f"{message}, fewer than half; start from a checkpoint of layout '{source.name}'")
        if not transfer:
            raise LayoutError(
                f"{message}; add --transfer to read the recordings in the checkpoint's layout, or start from a "
                f"checkpoint of layout '{source.name}'"
            )
        lacks = f", and lack {', '.join(absent)}, which the model sees as absent" if absent else ""
        notes.append(f"transfer: the recordings are read from '{source.name}' in '{target.name}'{lacks}")
    if store.units != origin.card.units:
        if prepare.scale == "none":
            raise ConfigError(
                f"{where}: was trained in '{origin.card.units}' and does not rescale, {store.path} is in "
                f"'{store.units}'; start from a checkpoint with prepare.scale=spread or torso, or convert recordings "
                f"in '{origin.card.units}'"
            )
        notes.append(f"the checkpoint was trained in '{origin.card.units}', the recordings are in '{store.units}'")
    return tuple(notes)


def clips_learned_from(card: Card, store: Store, test: Mask) -> int:
    """Number of test clips that a model was trained on; 0 if it was trained on other recordings."""
    if card.data.get("hash") != store.content_hash:
        return 0
    name, seed = str(card.data.get("split", "all")), int(card.recipe.get("seed", 0))
    learned = np.ones(len(store), dtype=np.bool_) if name == "all" else split(store, name, seed=seed).train
    return int((learned & test).sum())


def train_test_overlap(origin: InitCheckpoint, store: Store, test: Mask) -> tuple[str, ...]:
    """A note if clips to test on are among those that the checkpoint was trained on."""
    card = origin.card
    both = clips_learned_from(card, store, test)
    if not both:
        return ()
    name = card.data.get("split", "all")
    how = "without their labels" if card.kind == "encoder" else "with their labels"
    sentence = (
        f"the checkpoint has seen {both} of the {int(test.sum())} clips to test on, {how} (its split is {name}), "
        "which flatters the score"
    )
    return (sentence,)
