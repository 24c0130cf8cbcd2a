"""How a small student learns what a large teacher answers, with labels or without."""

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, DataError, LayoutError
from amr_edge.metrics import score
from amr_edge.skeleton import Mask
from amr_edge.training.config import DistillConfig, Recipe
from amr_edge.training.data.batch import Batch
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.checkpoint import load_classifier, load_encoder
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.run_folder import RunFolder, versions
from amr_edge.training.engine.trainer import Stage, train_loop
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.token_selection import TokenSelector, choice_of
from amr_edge.training.models.weight_inheritance import inherit
from amr_edge.training.tasks.finetune import new_classifier, tokens_for_step
from amr_edge.training.tasks.init_checkpoint import clips_learned_from
from amr_edge.training.tasks.predict import predict, validated
from amr_edge.training.tasks.pretrain import describe, new_encoder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """A classifier that a student learns from.

    Attributes:
        path: Its checkpoint.
        sha256: Of that file, so that a card can say whose student it is.
        model: Ready to answer.
        card: Its card.
    """

    path: Path
    sha256: str
    model: Classifier
    card: Card


def open_teacher(path: Path) -> Teacher:
    """The teacher in a checkpoint.

    Raises:
        ReadError: If the file cannot be read.
        CardError: If it is a pre-trained encoder, which has no answers to learn from.
    """
    model, card = load_classifier(path)
    return Teacher(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), model=model, card=card)


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


def data_of(teacher: Teacher) -> Path | None:
    """The store that the teacher's run was made from; None if its file lies in no run folder."""
    run = RunFolder(teacher.path.parent.parent)
    if not (run.folder / "config.json").exists():
        return None
    config_values = run.config()
    return Path(str(config_values["data"])) if "data" in config_values else None


def _is_its_own(teacher: Teacher, store: Store) -> bool:
    return bool(teacher.card.data.get("hash") == store.content_hash)


def split_of(teacher: Teacher, store: Store) -> str | None:
    """The split that the teacher learned by, if these are the recordings it learned from."""
    name = teacher.card.data.get("split")
    return str(name) if name and _is_its_own(teacher, store) else None


def teacher_train_overlap(teacher: Teacher, store: Store, test: Mask) -> tuple[str, ...]:
    """A warning if recordings to test a student on are among those that its teacher learned from."""
    card = teacher.card
    both = clips_learned_from(card, store, test)
    if not both:
        return ()
    warning = (
        f"the teacher learned from {both} of the {int(test.sum())} recordings to test on (its split is "
        f"{card.data.get('split', 'all')}, its seed {card.recipe.get('seed', 0)}), which flatters both scores"
    )
    return (warning,)


def check_student(recipe: Recipe, teacher: Teacher) -> None:
    """Refuse a student that would not see what its teacher sees.

    Raises:
        ConfigError: If settings have changed its preprocessing or persons.
    """
    if recipe.prepare != teacher.card.prepare or recipe.persons != teacher.card.persons:
        raise ConfigError(
            "a student sees what its teacher sees; leave prepare and persons alone, or train another teacher"
        )


def with_teacher_classes(store: Store, teacher: Teacher, *, unlabelled: bool) -> Store:
    """The store with its labels as indices into the teacher's classes, matched by name.

    Args:
        store: The recordings.
        teacher: Whose classes count.
        unlabelled: Labels are not learned from: an action that the teacher does not know becomes -1.

    Raises:
        LayoutError: If the recordings have another skeleton than the teacher.
        DataError: If they have other units, or are labelled with an action that the teacher does not know.
    """
    card, path = teacher.card, teacher.path
    if store.layout != card.prepare.layout:
        raise LayoutError(
            f"{store.path}: its layout is '{store.layout}', the teacher {path} sees '{card.prepare.layout}'; "
            "distill on recordings of the teacher's layout"
        )
    if store.units != card.units:
        raise DataError(
            f"{store.path}: its units are '{store.units}', the teacher {path} learned in '{card.units}'; "
            "distill on recordings in the teacher's units"
        )
    index = {name: i for i, name in enumerate(card.classes)}
    foreign = [store.classes[i] for i in np.unique(store.labels[store.labels >= 0]) if store.classes[i] not in index]
    if foreign and not unlabelled:
        raise DataError(
            f"{store.path}: has the actions {', '.join(foreign)}, which the teacher {path} does not know (it knows "
            f"{', '.join(card.classes)}); add --unlabelled to learn from its answers alone, or fine-tune it on them"
        )
    known = np.array([*(index.get(name, -1) for name in store.classes), -1], dtype=np.int64)
    return replace(store, classes=card.classes, labels=known[store.labels])  # label -1 takes the last


def _teacher_tokens(batch: Batch, choice: TokenSelector | None, budget: float) -> Tensor | None:
    """(B, L') the tokens that the teacher looks at, as it would where it is deployed, or None for all."""
    if budget >= 1 or choice is None:
        return None
    ranks = torch.arange(max(1, round(choice.tokens * budget)), device=batch.body.device)
    return cast("Tensor", choice(batch.body, batch.present, ranks))


def distill(
    store: Store,
    train: Mask,
    name: str,
    recipe: Recipe,
    run: RunFolder,
    *,
    teacher: Teacher,
    seed: int,
    machine: RunOptions,
    unlabelled: bool = False,
    init: Path | None = None,
    validation: Mask | None = None,
    resume: bool = False,
) -> tuple[Classifier, Card]:
    """Fit a student to its teacher's answers on the training part of a store.

    Args:
        store: The recordings, labelled in the teacher's words.
        train: (N,) bool, the part to learn from.
        name: Of the split, for the card.
        recipe: The student's settings.
        run: Where weights and results go.
        teacher: Whom to learn from.
        seed: Of all randomness.
        machine: What to compute on.
        unlabelled: Do not look at labels.
        init: A pre-trained encoder of the student's shape; None starts from what fits of the teacher's weights.
        validation: (N,) bool, labelled clips outside `train` that choose the `best` weights; None takes the last.
        resume: Go on from the run's state.

    Returns:
        The student of the last epoch, and its card.
    """
    config, distilling = recipe.finetune, recipe.distill
    views = Views(store, train, recipe.prepare, recipe.persons, config.augment, machine.device)
    labels = np.full(len(views), -1) if unlabelled else views.labels
    card = replace(
        teacher.card,
        name=recipe.name,
        patch_frames=recipe.encoder.patch_frames,
        encoder=asdict(recipe.encoder),
        data=describe(store, name, train),
        focal_windows=recipe.pretrain.pretext.focal_windows,
        budget_curve=(),
        metrics={},
        recipe={
            "name": f"distill {recipe.name}",
            "seed": seed,
            "epochs": config.optim.epochs,
            "alpha": distilling.alpha,
            "temperature": distilling.temperature,
            "labels": not unlabelled and distilling.alpha < 1,
            "teacher": teacher.card.name,
            "teacher_sha256": teacher.sha256,
        },
        versions=versions(),
    )
    encoder = new_encoder(recipe, seed)
    model = new_classifier(encoder, len(card.classes), config, seed)
    if init is not None:
        load_encoder(init, encoder, card)
    else:
        taken = inherit(model, teacher.model)
        count = sum(model.state_dict()[name].numel() for name in taken)
        everything = sum(tensor.numel() for tensor in model.state_dict().values())
        run.log(f"from the teacher: {', '.join(taken) or 'nothing'}", show=False)
        run.log(f"from the teacher: {len(taken)} tensors, {count / everything:.0%} of {everything} parameters")
    model = model.to(machine.device)
    expert = teacher.model.to(machine.device).eval()
    choice = choice_of(card).to(machine.device)
    looked_at = choice_of(teacher.card).to(machine.device) if teacher.card.has_budget else None

    def step(indices: NDArray[np.int64], rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        batch = views.batch(indices, rng)
        with torch.no_grad():
            wanted = expert.classify(batch, _teacher_tokens(batch, looked_at, distilling.teacher_budget))
        answered = model.classify(batch, tokens_for_step(batch, config, choice, rng, generator))
        truth = torch.from_numpy(labels[indices]).to(machine.device, non_blocking=True)  # (N,)
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
        machine=machine,
        judge=None if held_out is None else partial(validated, model, held_out, machine.device),
    )
    train_loop(stage, run, resume=resume)
    return model.eval(), card


def compare(teacher: Teacher, student: Classifier, store: Store, which: Mask, device: torch.device) -> dict[str, float]:
    """Student and teacher on the same whole clips.

    Returns:
        parameters and teacher_parameters, clips, agreement (share of equal answers), and teacher_top1 on the clips
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
