"""The stages of ASMa: an encoder behind each mask, the aligned and linear-probed teacher, the student."""

import math
from dataclasses import asdict
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, DataError
from amr_edge.skeleton import Mask, layout
from amr_edge.training.asma.barlow import ThreeStreams
from amr_edge.training.asma.config import AsmaRecipe, Side, StudentConfig
from amr_edge.training.asma.views import view
from amr_edge.training.config import GraphConfig, Recipe, student
from amr_edge.training.data.batch import Batch, to_batch
from amr_edge.training.engine.checkpoint import load_weights
from amr_edge.training.engine.run_folder import RunFolder, versions
from amr_edge.training.engine.trainer import Stage, train_loop
from amr_edge.training.models.backbone import Backbone
from amr_edge.training.models.build import build_encoder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.stgcn import GraphEncoder
from amr_edge.training.models.token_selection import choice_of
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.tasks.distill import distill_loss
from amr_edge.training.tasks.finetune import NONE_NAMES, tokens_for_step
from amr_edge.training.tasks.job import TrainJob
from amr_edge.training.tasks.pretrain import describe, pretrain

AsmaJob = TrainJob[AsmaRecipe]


def card_for(kind: str, job: AsmaJob, *, encoder: dict[str, object], recipe_fields: dict[str, object]) -> Card:
    """The card of a model of this recipe.

    Args:
        kind: "encoder" or "classifier".
        job: What it learns from, and the settings.
        encoder: What builds the encoder again: see `build_encoder`.
        recipe_fields: What the card says of the recipe.
    """
    store, recipe = job.store, job.recipe
    # A graph looks at every joint in every frame.
    patch_frames = encoder.get("patch_frames", 1)
    inner = encoder.get("of")
    if isinstance(inner, dict):
        patch_frames = inner.get("patch_frames", 1)
    classes = store.classes if kind == "classifier" else ()
    return Card(
        name=recipe.name,
        kind=kind,
        prepare=recipe.prepare,
        classes=classes,
        none_class=next((name for name in classes if name.lower() in NONE_NAMES), None),
        units=store.units,
        persons=recipe.persons,
        patch_frames=int(str(patch_frames)),
        encoder=encoder,
        data=describe(store, job.split, job.masks.train),
        recipe={"name": recipe.name, **recipe_fields},
        versions=versions(),
    )


def graph_words(config: GraphConfig) -> dict[str, object]:
    """Fields of a graph encoder for a card."""
    return {"kind": "graph", **asdict(config)}


def pretrain_side(side: Side, job: AsmaJob) -> None:
    """Pre-train the encoder of one mask; its weights are the run's last.

    Args:
        side: "central_slow" hides joints of many bones and slow moments, "leaf_fast" those of few and fast ones.
        job: With the run folder and the seed of this side; the two sides should have different ones.

    Raises:
        ConfigError: If a step would hold a single clip, which has nothing to be compared with.
    """
    recipe, machine = job.recipe, job.machine
    if recipe.backbone == "tokens":
        pretrain(job.with_recipe(recipe.reconstruction(side)))
        return
    clips = Clips(job.store, job.masks.train, recipe.prepare, recipe.persons)
    config = recipe.pretrain
    if len(clips) // math.ceil(len(clips) / config.batch) < 2:
        raise ConfigError(
            f"a step must hold at least 2 clips to compare, pretrain.batch={config.batch} leaves a single one of the "
            f"{len(clips)}; set pretrain.batch={config.batch + 1} or more"
        )
    skeleton = layout(recipe.prepare.layout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        encoder = GraphEncoder(recipe.graph, skeleton)
        module = ThreeStreams(encoder, skeleton, side, recipe.hide, recipe.barlow).to(machine.device)

    def step(indices: NDArray[np.int64], rng: np.random.Generator, _: torch.Generator) -> Tensor:
        whole = clips.whole(indices)
        streams = [to_batch(view(whole, recipe.views, skeleton, rng), machine.device) for _ in range(3)]
        loss: Tensor = module(cast("tuple[Batch, Batch, Batch]", tuple(streams)), rng)
        return loss

    stage = Stage(
        title=f"pre-train {side}",
        module=module,
        encoder=encoder,
        step=step,
        saved=nn.ModuleDict({"encoder": encoder}),  # the projector has done its work, and is the larger part by far
        card=card_for(
            "encoder", job,
            encoder=graph_words(recipe.graph), recipe_fields={"seed": job.seed, "epochs": config.epochs, "mask": side},
        ),
        clips=len(clips),
        config=config,
        seed=job.seed,
        machine=machine,
    )  # fmt: skip
    train_loop(stage, job.run, resume=job.resume)


def pre_trained(run: RunFolder) -> Backbone:
    """The encoder that `pretrain_side` left in a run."""
    tensors, card = load_weights(run.last)
    encoder = build_encoder(card)
    encoder.load_state_dict(
        {name.removeprefix("encoder."): t for name, t in tensors.items() if name.startswith("encoder.")}
    )
    return encoder


def _labelled(store: Store, train: Mask) -> Mask:
    labelled: Mask = train & (np.asarray(store.labels) >= 0)
    if not labelled.any():
        raise DataError(
            "no recording of the training part has a label; the linear probe needs labels, "
            "convert recordings that have some or stop after `amr-edge pretrain`"
        )
    return labelled


def train_teacher(job: AsmaJob, encoders: tuple[RunFolder, RunFolder]) -> tuple[Classifier, Card]:
    """Align two frozen encoders and probe the pair with one linear layer.

    Args:
        job: With the teacher's run folder and seed.
        encoders: The runs of the two sides.

    Returns:
        The teacher of the last epoch, and its card.

    Raises:
        DataError: If no clip of the part has a label.
    """
    store, recipe, machine = job.store, job.recipe, job.machine
    config = recipe.teacher
    clips = Clips(store, _labelled(store, job.masks.train), recipe.prepare, recipe.persons)
    skeleton = layout(recipe.prepare.layout)
    inner = graph_words(recipe.graph) if recipe.backbone == "graph" else asdict(recipe.encoder)
    card = card_for(
        "classifier", job,
        encoder={"kind": "aligned", "heads": config.heads, "of": inner},
        recipe_fields={
            "seed": job.seed, "epochs": config.optim.epochs, "protocol": "linear probe of two aligned encoders",
        },
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        pair = DualEncoder(pre_trained(encoders[0]), pre_trained(encoders[1]), heads=config.heads)
        model = Classifier(pair, len(store.classes), dropout=config.dropout).to(machine.device)

    def step(indices: NDArray[np.int64], rng: np.random.Generator, _: torch.Generator) -> Tensor:
        batch = to_batch(view(clips.whole(indices), config.views, skeleton, rng), machine.device)
        labels = torch.from_numpy(clips.labels[indices]).to(machine.device, non_blocking=True)  # (N,)
        return functional.cross_entropy(model.classify(batch), labels)

    stage = Stage(
        title="teacher",
        module=model,
        encoder=model.encoder,
        step=step,
        saved=model,
        card=card,
        clips=len(clips),
        config=config.optim,
        seed=job.seed,
        machine=machine,
    )
    train_loop(stage, job.run, resume=job.resume)
    return model.eval(), card


def new_student(recipe: AsmaRecipe, classes: int, seed: int) -> tuple[Classifier, dict[str, object], Recipe | None]:
    """A fresh student, what its card says of its encoder, and, of a transformer, the recipe of its token budgets."""
    config: StudentConfig = recipe.student
    skeleton = layout(recipe.prepare.layout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if config.kind == "graph":
            words, tokens = graph_words(config.graph), None
            encoder: Backbone = GraphEncoder(config.graph, skeleton)
        else:
            tokens = student(config.kind, recipe.prepare, recipe.persons)
            words = asdict(tokens.encoder)
            encoder = Encoder(tokens.encoder, frames=recipe.prepare.frames, joints=len(skeleton))
        return Classifier(encoder, classes, dropout=config.dropout), words, tokens


def train_student(job: AsmaJob, teacher: Classifier) -> tuple[Classifier, Card]:
    """Distil a teacher into a student on the training part of a store; unlabelled clips teach by its predictions alone.

    Returns:
        The student of the last epoch, and its card.
    """
    store, recipe, machine = job.store, job.recipe, job.machine
    config = recipe.student
    clips = Clips(store, job.masks.train, recipe.prepare, recipe.persons)
    skeleton = layout(recipe.prepare.layout)
    model, words, tokens = new_student(recipe, len(store.classes), job.seed)
    model = model.to(machine.device)
    expert = teacher.to(machine.device).eval()
    card = card_for(
        "classifier", job,
        encoder=words,
        recipe_fields={
            "seed": job.seed, "epochs": config.optim.epochs, "student": config.kind,
            "alpha": recipe.distill.alpha, "temperature": recipe.distill.temperature,
        },
    )  # fmt: skip
    choice = None if tokens is None else choice_of(card).to(machine.device)

    def step(indices: NDArray[np.int64], rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        batch = to_batch(view(clips.whole(indices), config.views, skeleton, rng), machine.device)
        with torch.no_grad():
            wanted = expert.classify(batch)
        kept = None
        if tokens is not None and choice is not None:
            kept = tokens_for_step(batch, tokens.finetune, choice, rng, generator)
        truth = torch.from_numpy(clips.labels[indices]).to(machine.device, non_blocking=True)  # (N,)
        return distill_loss(model.classify(batch, kept), wanted, truth, recipe.distill)

    stage = Stage(
        title="student",
        module=model,
        encoder=model.encoder,
        step=step,
        saved=model,
        card=card,
        clips=len(clips),
        config=config.optim,
        seed=job.seed,
        machine=machine,
    )
    train_loop(stage, job.run, resume=job.resume)
    return model.eval(), card
