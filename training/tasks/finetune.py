"""Teach an encoder the actions: a light head, all weights trained, on all tokens or on random budgets of them."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.errors import DataError, ReadError
from amr_edge.training.config import FinetuneConfig, Recipe
from amr_edge.training.data.batch import Batch
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.checkpoint import load_encoder
from amr_edge.training.engine.run_folder import versions
from amr_edge.training.engine.trainer import Stage, train_loop
from amr_edge.training.models.backbone import Backbone
from amr_edge.training.models.build import build_encoder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.patchify import token_present
from amr_edge.training.models.token_selection import TokenSelector, choice_of
from amr_edge.training.objectives.masking import keep_random, keep_ranked
from amr_edge.training.tasks.job import TrainJob
from amr_edge.training.tasks.predict import validated
from amr_edge.training.tasks.pretrain import describe

NONE_NAMES = ("idle", "none", "nothing", "background")


def tokens_for_step(
    batch: Batch, config: FinetuneConfig, choice: TokenSelector, rng: np.random.Generator, generator: torch.Generator
) -> Tensor | None:
    """The tokens that a training step looks at: all, or a random budget of random or moving ones.

    Returns:
        (B, L') token indices, or None for all.
    """
    if config.budget[0] >= 1 or rng.random() < config.full_share:
        return None
    exists = token_present(batch.present, choice.patch_frames)  # (B, L)
    keep = max(1, round(exists.shape[1] * rng.uniform(*config.budget)))
    if rng.random() >= config.ranked_share:
        return keep_random(exists, keep, generator)
    # Plain energies, perturbed so that every step sees another set. With the order of a deployed model, which has the
    # best of each joint and moment first, the same encoder learned worse (docs/token-budget.md).
    return keep_ranked(exists, choice.energy(batch.body, batch.present).float(), keep, generator)


def new_backbone(card: Card, seed: int) -> Backbone:
    """The backbone that a card describes, with fresh weights; the same seed gives the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_encoder(card)


def new_classifier(encoder: Backbone, classes: int, config: FinetuneConfig, seed: int) -> Classifier:
    """An encoder with a head that knows nothing yet; its layers drop out as the settings say."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 2)
        model = Classifier(encoder, classes, dropout=config.dropout)
    encoder.set_drop_path(config.drop_path)
    return model


def _named(init: Path | None) -> str:
    """Hash of the initial checkpoint; a path would reveal something about this machine."""
    if init is None:
        return "scratch"
    if not init.is_file():
        raise ReadError(f"{init}: there is no such checkpoint; give a run folder or a .safetensors file")
    return "sha256:" + hashlib.sha256(init.read_bytes()).hexdigest()


def finetune(job: TrainJob[Recipe]) -> tuple[Classifier, Card]:
    """Fit a classifier on the labelled clips of the training part of a store.

    Returns:
        The classifier of the last epoch, and its card.

    Raises:
        DataError: If no clip of the part has a label.
    """
    store, recipe, train, subset, seed = job.store, job.recipe, job.masks.train, job.subset, job.seed
    validation, device = job.masks.validation, job.machine.device
    config = recipe.finetune
    if subset is not None:
        train = train & subset.mask(len(store))
    labelled = np.asarray(store.labels) >= 0
    if not (train & labelled).any():
        raise DataError(
            "no recording of the training part has a label; fine-tuning needs labels, pre-training does not"
        )
    views = Views(store, train & labelled, recipe.prepare, recipe.persons, config.augment, device)
    card = Card(
        name=recipe.name,
        kind="classifier",
        prepare=recipe.prepare,
        classes=store.classes,
        none_class=next((name for name in store.classes if name.lower() in NONE_NAMES), None),
        units=store.units,
        persons=recipe.persons,
        patch_frames=recipe.encoder.patch_frames,
        encoder=recipe.described_backbone,
        focal_windows=recipe.pretrain.pretext.focal_windows,
        data=describe(store, job.split, train) | ({} if subset is None else {"labels": subset.to_dict()}),
        recipe={"name": recipe.name, "seed": seed, "epochs": config.optim.epochs, "init": _named(job.init)},
        versions=versions(),
    )
    encoder = new_backbone(card, seed)
    if job.init is not None:
        load_encoder(job.init, encoder, card)
    if isinstance(encoder, DualEncoder):
        encoder.unfreeze()
    model = new_classifier(encoder, len(store.classes), config, seed).to(device)
    choice = choice_of(card).to(device)

    def step(indices: NDArray[np.int64], rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        batch = views.batch(indices, rng)
        labels = torch.from_numpy(views.labels[indices]).to(device, non_blocking=True)  # (N,)
        logits = model.classify(batch, tokens_for_step(batch, config, choice, rng, generator))
        return functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)

    held_out = Clips(store, validation & labelled, recipe.prepare, recipe.persons) if validation is not None else None

    stage = Stage(
        title="fine-tune",
        module=model,
        encoder=encoder,
        step=step,
        saved=model,
        card=card,
        clips=len(views),
        config=config.optim,
        seed=seed,
        machine=job.machine,
        judge=None if held_out is None else partial(validated, model, held_out, device),
    )
    train_loop(stage, job.run, resume=job.resume)
    return model.eval(), card
