"""Pre-train an encoder on recordings without looking at a label."""

from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amr_edge.card import Card
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError
from amr_edge.skeleton import Mask, layout
from amr_edge.training.config import Recipe
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.run_folder import versions
from amr_edge.training.engine.trainer import Stage, train_loop
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.objectives.masked_reconstruction import MaskedReconstruction
from amr_edge.training.tasks.job import TrainJob


def new_encoder(recipe: Recipe, seed: int) -> Encoder:
    """A fresh transformer for the recipe's clips; the same seed gives the same weights.

    Raises:
        ConfigError: If the recipe has another backbone, which masked reconstruction cannot train.
    """
    if recipe.backbone != "transformer":
        raise ConfigError(
            f"'{recipe.name}' has a backbone of the kind '{recipe.backbone}', and masked reconstruction pre-trains "
            f"transformers; train it with: amr-edge finetune --recipe {recipe.name}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(recipe.encoder, frames=recipe.prepare.frames, joints=len(layout(recipe.prepare.layout)))


def new_pretext(encoder: Encoder, recipe: Recipe, seed: int) -> MaskedReconstruction:
    """The recipe's pretext task around an encoder; the same seed gives its decoder the same weights."""
    skeleton = layout(recipe.prepare.layout)
    degrees = [sum(joint in bone for bone in skeleton.bones) for joint in range(len(skeleton))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        return MaskedReconstruction(encoder, recipe.pretrain.pretext, degrees)


def describe(store: Store, split: str, train: Mask) -> dict[str, object]:
    """Description of the training data for a card."""
    return {
        "name": store.dataset,
        "terms": store.terms,
        "split": split,
        "train_clips": int(train.sum()),
        "hash": store.content_hash,
    }


def pretrain(job: TrainJob[Recipe]) -> Encoder:
    """Fit the recipe's pretext task on the training part of a store.

    Returns:
        The encoder of the last epoch.
    """
    store, recipe, seed, device = job.store, job.recipe, job.seed, job.machine.device
    views = Views(store, job.masks.train, recipe.prepare, recipe.persons, recipe.pretrain.augment, device)
    encoder = new_encoder(recipe, seed)
    module = new_pretext(encoder, recipe, seed).to(device)
    card = Card(
        name=recipe.name,
        kind="encoder",
        prepare=recipe.prepare,
        units=store.units,
        persons=recipe.persons,
        patch_frames=recipe.encoder.patch_frames,
        encoder=asdict(recipe.encoder),
        data=describe(store, job.split, job.masks.train),
        recipe={"name": recipe.name, "seed": seed, "epochs": recipe.pretrain.optim.epochs},
        versions=versions(),
    )

    def step(indices: NDArray[np.int64], rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        batch = views.batch(indices, rng)
        loss: Tensor = module(batch.body, batch.present, generator).loss
        return loss

    stage = Stage(
        title="pre-train",
        module=module,
        encoder=encoder,
        step=step,
        saved=module,
        card=card,
        clips=len(views),
        config=recipe.pretrain.optim,
        seed=seed,
        machine=job.machine,
    )
    train_loop(stage, job.run, resume=job.resume)
    return encoder
