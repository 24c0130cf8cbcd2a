"""How a small student learns what a large teacher answers, with labels or without."""

from dataclasses import asdict, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.metrics import score
from amr_edge.skeleton import Mask
from amr_edge.training.config import DistillConfig, Recipe
from amr_edge.training.data.batch import Batch
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.checkpoint import load_encoder
from amr_edge.training.engine.run_folder import versions
from amr_edge.training.engine.trainer import Stage, train_loop
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.token_selection import TokenSelector, choice_of
from amr_edge.training.models.weight_inheritance import inherit
from amr_edge.training.tasks.finetune import new_classifier, tokens_for_step
from amr_edge.training.tasks.job import TrainJob
from amr_edge.training.tasks.predict import predict, validated
from amr_edge.training.tasks.pretrain import describe, new_encoder
from amr_edge.training.tasks.teacher import Teacher


def distill_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, config: DistillConfig, label_smoothing: float = 0.0
) -> Tensor:
    """Distillation loss: distance from the teacher's predictions and from the labels, mean over clips.

    alpha T^2 KL(softmax(teacher / T) || softmax(student / T)) + (1 - alpha) cross-entropy(student, labels)

    Args:
        student: (N, K) logits.
        teacher: (N, K) logits, constants.
        labels: (N,) int64; -1 is unlabelled and has no cross-entropy.
        config: alpha and T.
        label_smoothing: Probability mass that the labels give to the other classes.

    Returns:
        The loss, a scalar. T^2 keeps the gradient's size independent of T.

    Source:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """
    T = config.temperature
    soft = functional.kl_div(
        (student.float() / T).log_softmax(dim=1),
        (teacher.float() / T).log_softmax(dim=1),
        reduction="batchmean",
        log_target=True,
    )
    loss = config.alpha * T**2 * soft
    if config.alpha < 1:
        # The mean over all N, not over the labelled: otherwise one label among many would count as much as N.
        hard = functional.cross_entropy(
            student.float(), labels, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing
        )
        loss = loss + (1 - config.alpha) * hard / len(labels)
    return loss


def _teacher_tokens(batch: Batch, choice: TokenSelector | None, budget: float) -> Tensor | None:
    """(B, L') the tokens that the teacher looks at, as it would where it is deployed, or None for all."""
    if budget >= 1 or choice is None:
        return None
    ranks = torch.arange(max(1, round(choice.tokens * budget)), device=batch.body.device)
    return cast("Tensor", choice(batch.body, batch.present, ranks))


def distill(job: TrainJob[Recipe]) -> tuple[Classifier, Card]:
    """Fit a student to its teacher's predictions on the training part of a store.

    Args:
        job: With a teacher. `init` is a pre-trained encoder of the student's shape; None starts from what fits of the
            teacher's weights.

    Returns:
        The student of the last epoch, and its card.
    """
    store, recipe, run, teacher, seed = job.store, job.recipe, job.run, job.teacher, job.seed
    validation, device = job.masks.validation, job.machine.device
    assert teacher is not None  # noqa: S101 - `create_job` opens one
    config, distilling = recipe.finetune, recipe.distill
    views = Views(store, job.masks.train, recipe.prepare, recipe.persons, config.augment, device)
    labels = np.full(len(views), -1) if job.unlabelled else views.labels
    card = replace(
        teacher.card,
        name=recipe.name,
        patch_frames=recipe.encoder.patch_frames,
        encoder=asdict(recipe.encoder),
        data=describe(store, job.split, job.masks.train),
        focal_windows=recipe.pretrain.pretext.focal_windows,
        budget_curve=(),
        metrics={},
        recipe={
            "name": f"distill {recipe.name}",
            "seed": seed,
            "epochs": config.optim.epochs,
            "alpha": distilling.alpha,
            "temperature": distilling.temperature,
            "labels": not job.unlabelled and distilling.alpha < 1,
            "teacher": teacher.card.name,
            "teacher_sha256": teacher.sha256,
        },
        versions=versions(),
    )
    encoder = new_encoder(recipe, seed)
    model = new_classifier(encoder, len(card.classes), config, seed)
    if job.init is not None:
        load_encoder(job.init, encoder, card)
    else:
        taken = inherit(model, teacher.model)
        count = sum(model.state_dict()[name].numel() for name in taken)
        everything = sum(tensor.numel() for tensor in model.state_dict().values())
        run.log(f"from the teacher: {', '.join(taken) or 'nothing'}", show=False)
        run.log(f"from the teacher: {len(taken)} tensors, {count / everything:.0%} of {everything} parameters")
    model = model.to(device)
    expert = teacher.model.to(device).eval()
    choice = choice_of(card).to(device)
    looked_at = choice_of(teacher.card).to(device) if teacher.card.has_budget else None

    def step(indices: NDArray[np.int64], rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        batch = views.batch(indices, rng)
        with torch.no_grad():
            wanted = expert.classify(batch, _teacher_tokens(batch, looked_at, distilling.teacher_budget))
        answered = model.classify(batch, tokens_for_step(batch, config, choice, rng, generator))
        truth = torch.from_numpy(labels[indices]).to(device, non_blocking=True)  # (N,)
        return distill_loss(answered, wanted, truth, distilling, config.label_smoothing)

    held_out = None
    if validation is not None:
        held_out = Clips(store, validation & (store.labels >= 0), recipe.prepare, recipe.persons)

    stage = Stage(
        title="distill",
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
    train_loop(stage, run, resume=job.resume)
    return model.eval(), card


def compare(teacher: Teacher, student: Classifier, store: Store, which: Mask, device: torch.device) -> dict[str, float]:
    """Student and teacher on the same whole clips.

    Returns:
        parameters and teacher_parameters, clips, agreement (share of equal predictions), and teacher_top1 on the clips
        that have a label, where any has.
    """
    clips = Clips(store, which, teacher.card.prepare, teacher.card.persons)
    theirs = predict(teacher.model.to(device), clips, device)  # (N, K)
    own = predict(student.to(device), clips, device)
    found: dict[str, float] = {
        "parameters": sum(p.numel() for p in student.parameters()),
        "teacher_parameters": sum(p.numel() for p in teacher.model.parameters()),
        "clips": len(clips),
        "agreement": float((own.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
    }
    known = clips.labels >= 0
    if known.any():
        found["teacher_top1"] = score(theirs[known], clips.labels[known]).top1
    return found


def comparison_line(beside: dict[str, float], on: str) -> str:
    """Format the result of `compare`."""
    small, large = beside["parameters"], beside["teacher_parameters"]
    line = (
        f"{small / 1e6:.3f} M parameters instead of {large / 1e6:.3f} M ({small / large - 1:+.1%}); "
        f"answers as its teacher in {beside['agreement']:.1%} of {beside['clips']:.0f} clips of {on}"
    )
    return f"{line}; the teacher's top-1 is {beside['teacher_top1']:.4f}" if "teacher_top1" in beside else line
