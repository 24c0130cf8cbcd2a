"""Linear and nearest-neighbour evaluation of a frozen encoder."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.data.splits import available_splits
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, DataError
from amr_edge.metrics import Score, deduplicated, format_deduplicated, per_class_rows, report, score
from amr_edge.skeleton import Mask
from amr_edge.terminal import progress, table
from amr_edge.training.config import AugmentConfig, override
from amr_edge.training.data.batch import Batch, fit_to_data, to_batch
from amr_edge.training.data.label_subsets import FILE as LABELS
from amr_edge.training.data.label_subsets import Subset, save_subset
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.checkpoint import load_encoder, save_weights
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.predictions import FILE as ANSWERS
from amr_edge.training.engine.predictions import SavedPredictions, save_predictions
from amr_edge.training.engine.run_folder import RunFolder, environment, new_run, versions
from amr_edge.training.models.build import build_encoder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.knn import neighbors
from amr_edge.training.models.token_selection import choice_of
from amr_edge.training.report.html_report import write_page
from amr_edge.training.report.plots import draw_confusion
from amr_edge.training.tasks.init_checkpoint import InitCheckpoint, check_clips, train_test_overlap
from amr_edge.training.tasks.job import SplitMasks, choose_labels, open_data, open_init, run_options, split_masks
from amr_edge.training.tasks.options import ProbeOptions
from amr_edge.training.tasks.pretrain import describe

NEIGHBOURS = (1, 5, 20)
BATCH = 64  # clips of one forward


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig:
    """A linear classifier on frozen features, by stochastic gradient descent.

    The defaults are those of MAMP's code; `norm=none lr=0.01` are those of AMR's paper.

    Attributes:
        norm: "batch" normalises every feature over the batch, without weights of its own; "none" leaves it.
        lr: Learning rate at the start; a half-cosine takes it to 0 over all steps.
        epochs: Times that every clip is learned from.
        batch: Clips of a step.
        momentum: Of the descent.
        weight_decay: Of the linear layer.
        views: Augmented views of every clip whose features are computed once and taken in turns; 0 computes a new
            view in every epoch, as the literature does, for as many times the work; 1 takes the whole clip as it is.
        augment: How views differ.
    """

    norm: Literal["batch", "none"] = "batch"
    lr: float = 0.1
    epochs: int = 100
    batch: int = 256
    momentum: float = 0.9
    weight_decay: float = 0.0
    views: int = 10
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if self.norm not in ("batch", "none"):
            raise ConfigError(f"norm must be batch or none, got '{self.norm}'")
        if self.epochs < 1 or self.batch < 1 or self.views < 0:
            raise ConfigError(
                f"epochs and batch must be at least 1 and views at least 0, got {self.epochs}, {self.batch} and "
                f"{self.views}"
            )
        if not (0 < self.lr < math.inf and 0 <= self.momentum < 1 and 0 <= self.weight_decay < math.inf):
            raise ConfigError(
                f"lr must be above 0, momentum lie in [0, 1) and weight_decay be at least 0, got {self.lr}, "
                f"{self.momentum}, {self.weight_decay}"
            )

    def summary(self) -> str:
        """Description of the probe, in words."""
        views = {0: "a new view of every clip in every epoch", 1: "whole clips, not augmented"}.get(
            self.views, f"{self.views} views of every clip, computed once and taken in turns"
        )
        norm = "batch norm without weights, then " if self.norm == "batch" else ""
        return f"{norm}one linear layer; SGD, lr {self.lr:g} to 0, {self.epochs} epochs, batch {self.batch}; {views}"


VARIANTS: dict[str, ProbeConfig] = {"mamp": ProbeConfig(), "amr": ProbeConfig(norm="none", lr=0.01)}

Epoch = Callable[[int], NDArray[np.float32]]  # the number of an epoch -> the features (N, D) to learn from in it


class Frozen:
    """A frozen encoder that gives features.

    Args:
        model: The encoder with any head.
        card: What it is.
        share: Of a body's tokens that it looks at, those that move most.
        machine: What to compute on.
    """

    def __init__(self, model: Classifier, card: Card, share: float, machine: RunOptions) -> None:
        self.machine = machine
        self.tokens = card.tokens_at(share)
        self._model = model.to(machine.device).eval()
        self._choice = None if self.tokens == card.tokens else choice_of(card).to(machine.device)

    def features(self, batch: Batch) -> NDArray[np.float32]:
        """(N, D), the mean over the present persons and tokens of each of N clips."""
        with torch.inference_mode(), self.machine.autocast():
            kept = None
            if self._choice is not None:
                ranks = torch.arange(self.tokens, device=self.machine.device)
                kept = self._choice(batch.body, batch.present, ranks)  # (B, K)
            return np.asarray(self._model.features(batch, kept).float().cpu().numpy(), dtype=np.float32)

    def whole(self, clips: Clips) -> NDArray[np.float32]:
        """(N, D) of every clip as it is."""
        device = self.machine.device
        return np.concatenate([self.features(to_batch(clips.whole(part), device)) for part in _parts(len(clips))])

    def view(self, views: Views, rng: np.random.Generator) -> NDArray[np.float32]:
        """(N, D) of a random view of every clip."""
        return np.concatenate([self.features(views.batch(part, rng)) for part in _parts(len(views))])


def _parts(clips: int) -> list[NDArray[np.int64]]:
    return [np.arange(start, min(start + BATCH, clips)) for start in range(0, clips, BATCH)]


def features_by_epoch(frozen: Frozen, clips: Clips, views: Views, config: ProbeConfig, seed: int) -> Epoch:
    """Features of each epoch for the linear layer; cached views are computed now.

    Args:
        frozen: The encoder.
        clips: The clips to learn from, as they are.
        views: The same clips as `config.augment` changes them.
        config: How many views.
        seed: Of the views.
    """
    if config.views == 0:
        return lambda epoch: frozen.view(views, np.random.default_rng([seed, epoch]))
    if config.views == 1:
        as_they_are = frozen.whole(clips)
        return lambda _: as_they_are
    with progress(range(config.views), label="features") as numbers:
        cached = [frozen.view(views, np.random.default_rng([seed, number])) for number in numbers]
    return lambda epoch: cached[epoch % len(cached)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear:
    """A fitted probe, its normalisation folded into the layer.

    Attributes:
        weight: (K, D).
        bias: (K,).
        epoch: Whose weights these are, from 1.
        rows: One an epoch: epoch, loss, and validation_top1 where there is validation.
    """

    weight: Tensor
    bias: Tensor
    epoch: int
    rows: tuple[dict[str, float], ...]

    def probs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) from features (N, D)."""
        logits = torch.from_numpy(features) @ self.weight.T + self.bias
        return np.asarray(logits.softmax(dim=1).numpy(), dtype=np.float32)


def fit_linear(
    epochs: Epoch,
    labels: NDArray[np.int64],
    classes: int,
    config: ProbeConfig,
    *,
    seed: int,
    validation: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
) -> Linear:
    """Fit a linear classifier.

    Args:
        epochs: The features (N, D) of each epoch.
        labels: (N,) in [0, K).
        classes: K.
        config: How.
        seed: Of the weights and the order.
        validation: Features and labels that choose the epoch; None takes the last.

    Returns:
        The classifier.

    Raises:
        ConfigError: If there are too few clips to normalise over.
    """
    N = len(labels)
    if config.norm == "batch" and N < 2:
        raise ConfigError(f"norm=batch needs two clips or more to learn from, got {N}; set norm=none")
    generator = torch.Generator().manual_seed(seed)
    truth = torch.from_numpy(labels)
    width = epochs(0).shape[1]
    # No momentum: the features do not change, so all batches count alike, and a short fit is not half normalised.
    batch_norm = nn.BatchNorm1d(width, affine=False, eps=1e-6, momentum=None)
    norm = batch_norm if config.norm == "batch" else nn.Identity()
    head = nn.Linear(width, classes)
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    descent = torch.optim.SGD(
        head.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
    )
    steps = math.ceil(N / config.batch)
    rows: list[dict[str, float]] = []
    best: tuple[float, int, Tensor, Tensor] | None = None
    with progress(range(config.epochs), label="probe") as numbers:
        for epoch in numbers:
            features = torch.from_numpy(epochs(epoch))  # (N, D)
            order = torch.randperm(N, generator=generator)
            total = 0.0
            norm.train()
            for step, chosen in enumerate(order.tensor_split(steps)):
                share = (epoch * steps + step) / (config.epochs * steps)
                for group in descent.param_groups:
                    group["lr"] = config.lr * 0.5 * (1 + math.cos(math.pi * share))
                loss = functional.cross_entropy(head(norm(features[chosen])), truth[chosen])
                descent.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                descent.step()
                total += float(loss.detach()) * len(chosen)
            row = {"epoch": epoch + 1.0, "loss": total / N}
            weight, bias = _folded(norm, head)
            if validation is not None:
                fitted = Linear(weight=weight, bias=bias, epoch=epoch + 1, rows=())
                row["validation_top1"] = score(fitted.probs(validation[0]), validation[1]).top1
            reached = row.get("validation_top1", epoch + 1.0)
            if best is None or reached > best[0]:
                best = (reached, epoch + 1, weight, bias)
            rows.append(row)
    assert best is not None  # noqa: S101  (there is at least one epoch)
    return Linear(weight=best[2], bias=best[3], epoch=best[1], rows=tuple(rows))


def _folded(norm: nn.Module, head: nn.Linear) -> tuple[Tensor, Tensor]:
    """The layer that does to features what the head does to normalised ones: (K, D) and (K,)."""
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    if isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None and norm.running_var is not None:
        scale = (norm.running_var + norm.eps).rsqrt()  # (D,)
        weight = weight * scale
        bias = bias - weight @ norm.running_mean
    return weight, bias


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProbeJob:
    """A probe that everything is decided for."""

    store: Store
    split: str
    masks: SplitMasks
    subset: Subset | None
    origin: InitCheckpoint
    card: Card
    frozen: Frozen
    model: Classifier
    config: ProbeConfig
    share: float
    seed: int
    run: RunFolder
    validate: str | None

    def part(self, which: Mask) -> Clips:
        """The labelled clips of a part, as the encoder sees them."""
        return Clips(self.store, which & (self.store.labels >= 0), self.card.prepare, self.card.persons)

    @property
    def _train_mask(self) -> Mask:
        """(N,) the clips whose labels may be looked at."""
        return self.masks.train if self.subset is None else self.subset.mask(len(self.store))

    def copied(self) -> Mask:
        """(N_test,) True for the clips to be examined on that are copies of those to learn from; reads the store."""
        test = self.masks.test & (self.store.labels >= 0)
        return self.store.duplicates(test, self.masks.train)[test]

    @property
    def learned(self) -> Clips:
        """The clips to learn from, as they are."""
        return self.part(self._train_mask)

    @property
    def views(self) -> Views:
        """The clips to learn from, as they are changed."""
        labelled = self._train_mask & (self.store.labels >= 0)
        card, device = self.card, self.frozen.machine.device
        return Views(self.store, labelled, card.prepare, card.persons, self.config.augment, device)


def _check_labelled(store: Store, masks: SplitMasks, name: str) -> None:
    for mask, purpose in ((masks.train, "learn from"), (masks.test, "test on")):
        if not (mask & (store.labels >= 0)).any():
            raise DataError(
                f"{store.path}: split '{name}' has no labelled clip to {purpose}; a probe needs both, choose another "
                "split"
            )


def _probe_card(
    origin: InitCheckpoint, store: Store, masks: SplitMasks, name: str, subset: Subset | None, options: ProbeOptions
) -> Card:
    theirs = origin.card.prepare
    return replace(
        origin.card,
        name=f"probe of {origin.card.name}",
        kind="classifier",
        classes=store.classes,
        none_class=None,
        units=store.units,
        prepare=replace(theirs, window_s=fit_to_data(theirs, store, masks.train).window_s),
        persons=min(origin.card.persons, int(store.persons.max())),
        budget=options.budget,
        budget_curve=(),
        data=describe(store, name, masks.train) | ({} if subset is None else {"labels": subset.to_dict()}),
        metrics={},
        recipe={"name": f"probe {options.variant}", "seed": options.seed, "init": f"sha256:{origin.sha256}"},
        versions=versions(),
    )


def create_probe(options: ProbeOptions) -> ProbeJob:
    """Resolve the options of a probe and write them to its run folder.

    Raises:
        ConfigError: If a setting cannot mean anything.
        DataError: If no clip to learn from or to test on has a label.
    """
    if options.variant not in VARIANTS:
        raise ConfigError(f"--variant must be {' or '.join(VARIANTS)}, got '{options.variant}'")
    config = override(VARIANTS[options.variant], options.overrides)
    if not 0 < options.budget <= 1:
        raise ConfigError(f"--budget is the share of the tokens to look at, in (0, 1], got {options.budget:g}")
    origin = open_init(options)
    if origin is None:
        raise ConfigError("INIT is missing; give a run folder or a checkpoint of `amr-edge pretrain`")
    store = open_data(options)
    name = options.split or available_splits(store)[0]
    masks = split_masks(store, name, seed=options.seed, validate=options.validate, trains_classifier=True)
    _check_labelled(store, masks, name)
    notes = masks.notes + check_clips(origin, origin.card.prepare, store, transfer=options.transfer)
    notes += train_test_overlap(origin, store, masks.test)
    if origin.card.kind == "classifier":
        notes += (f"{origin.path} was fine-tuned with labels: this is not an evaluation of pre-training alone",)
    subset = choose_labels(options.labels, store, masks.train, name, options.seed)
    card = _probe_card(origin, store, masks, name, subset, options)
    encoder = build_encoder(origin.card)
    load_encoder(origin.path, encoder, origin.card)
    model = Classifier(encoder, len(store.classes))
    probe = ProbeJob(
        store=store,
        split=name,
        masks=masks,
        subset=subset,
        origin=origin,
        card=card,
        frozen=Frozen(model, card, options.budget, run_options(options)),
        model=model,
        config=config,
        share=options.budget,
        seed=options.seed,
        run=new_run(Path(options.project), "probe", options.name or origin.card.name),
        validate=options.validate,
    )
    _write_settings(probe, options)
    for sentence in notes:
        probe.run.log(f"note: {sentence}")
    return probe


def _write_settings(probe: ProbeJob, options: ProbeOptions) -> None:
    run, store, subset = probe.run, probe.store, probe.subset
    config_values = {
        "verb": "probe",
        "method": "knn" if options.knn else "linear",
        "data": str(store.path.resolve()),
        "data_hash": store.content_hash,
        "split": probe.split,
        "seed": options.seed,
        "init": str(probe.origin.path.resolve()),
        "validate": options.validate,
        "labels": None if subset is None else subset.to_dict(),
        "budget": options.budget,
        "variant": options.variant,
        "probe": asdict(probe.config),
    }
    run.write_json("config.json", config_values)
    run.write_json("environment.json", environment())
    if subset is not None:
        save_subset(subset, run.folder / LABELS)
        run.log(f"labels: {subset.sentence()}")


def _config_fields(probe: ProbeJob) -> dict[str, object]:
    """Fields of every report of a probe."""
    config_values: dict[str, object] = {
        "run": str(probe.run.folder),
        "encoder": str(probe.origin.path),
        "split": probe.split,
        "seed": probe.seed,
        "budget": probe.share,
        "tokens": probe.frozen.tokens,
    }
    return config_values if probe.subset is None else {**config_values, "labels": probe.subset.to_dict()}


def _keep(probe: ProbeJob, result: Score, test: Clips, probs: NDArray[np.float32], copied: Mask) -> None:
    """Write per_class.csv, confusion_matrix.png, predictions.npz and report.html."""
    run, card = probe.run, probe.card
    run.write_table("per_class.csv", ("class", "clips", "right", "taken_for"), per_class_rows(result, card.classes))
    title = f"probe of {probe.origin.card.name}, {probe.split}: top-1 {result.top1:.3f}"
    draw_confusion(result.confusion, card.classes, title, run.folder / "confusion_matrix.png")
    answers = SavedPredictions(
        names=tuple(test.names),
        labels=test.labels,
        probs=probs,
        classes=card.classes,
        data_hash=probe.store.content_hash,
        split=probe.split,
        copied=copied,
    )
    save_predictions(answers, run.folder / ANSWERS)
    write_page(run)


def _head_line(probe: ProbeJob, learned: Clips, test: Clips) -> str:
    tokens = f"{probe.frozen.tokens} of {probe.card.tokens} tokens of a body"
    return f"frozen encoder {probe.origin.path}, {tokens}; {len(learned)} clips to learn from, {len(test)} to test on"


def linear_probe(probe: ProbeJob) -> tuple[str, dict[str, object]]:
    """Linear evaluation: fit, score, and keep a classifier that can be exported.

    Returns:
        What to tell a person, and the same for a machine.
    """
    run, config = probe.run, probe.config
    learned, test = probe.learned, probe.part(probe.masks.test)
    validation = None
    if probe.masks.validation is not None:
        held_out = probe.part(probe.masks.validation)
        validation = (probe.frozen.whole(held_out), held_out.labels)
    by_epoch = features_by_epoch(probe.frozen, learned, probe.views, config, probe.seed)
    fitted = fit_linear(
        by_epoch, learned.labels, len(probe.card.classes), config, seed=probe.seed, validation=validation
    )
    probs = fitted.probs(probe.frozen.whole(test))
    result = score(probs, test.labels)
    chosen_by = "last" if probe.validate is None else f"validation subjects {probe.validate}"
    copied = probe.copied()
    apart = deduplicated(probs, test.labels, copied)
    metrics = {"top1": result.top1, "top5": result.top5, "mean_class": result.mean_class}
    chosen = {"epoch": fitted.epoch, "epoch_chosen_by": chosen_by}
    probe.model.head.load_state_dict({"weight": fitted.weight, "bias": fitted.bias})
    card = replace(probe.card, metrics=metrics, recipe={**probe.card.recipe, **chosen})
    save_weights(run.best, probe.model, card)
    run.write_results(fitted.rows)
    answer = {
        **_config_fields(probe),
        "method": "linear",
        **metrics,
        "clips": result.clips,
        **apart,
        **chosen,
        "probe": asdict(config),
    }
    run.write_json("score.json", answer)
    _keep(probe, result, test, probs, copied)
    which = "the last epoch's" if probe.validate is None else f"epoch {fitted.epoch}'s, chosen on {chosen_by},"
    summary = (_head_line(probe, learned, test), f"linear: {config.summary()}", report(result, card.classes))
    text = "\n".join(filter(None, (*summary, format_deduplicated(apart), f"{which} weights: {run.best}")))
    run.log(text, show=False)
    return (
        f"{text}\nnext: amr-edge finetune --data {probe.store.path} --split {probe.split} --init {probe.origin.path}",
        {
            **answer,
            "weights": str(run.best),
        },
    )


def neighbor_probe(probe: ProbeJob) -> tuple[str, dict[str, object]]:
    """Cosine nearest neighbours on whole clips, for 1, 5 and 20 of them; nothing is trained, no epoch is chosen.

    Returns:
        What to tell a person, and the same for a machine.
    """
    learned, test = probe.learned, probe.part(probe.masks.test)
    known, queries = probe.frozen.whole(learned), probe.frozen.whole(test)
    votes = {k: neighbors(known, learned.labels, queries, k, len(probe.card.classes)) for k in NEIGHBOURS}
    results = {k: score(probs, test.labels) for k, probs in votes.items()}
    copied = probe.copied()
    apart = deduplicated(votes[NEIGHBOURS[0]], test.labels, copied)
    rows = [(k, round(result.top1, 4), round(result.mean_class, 4)) for k, result in results.items()]
    answer: dict[str, object] = {
        **_config_fields(probe),
        "method": "knn",
        "clips": len(test),
        **apart,
        "epoch": None,
        "epoch_chosen_by": "nothing is trained",
        "knn": {str(k): {"top1": each.top1, "mean_class": each.mean_class} for k, each in results.items()},
    }
    probe.run.write_json("score.json", answer)
    _keep(probe, results[NEIGHBOURS[0]], test, votes[NEIGHBOURS[0]], copied)
    summary = (_head_line(probe, learned, test), table(rows, ("neighbours", "top-1", "mean over classes")))
    text = "\n".join(filter(None, (*summary, format_deduplicated(apart))))
    probe.run.log(text, show=False)
    next_line = f"next: amr-edge probe {probe.origin.path} --data {probe.store.path} --split {probe.split}"
    return f"{text}\n{next_line}", answer


def run_probe(options: ProbeOptions) -> tuple[str, dict[str, object]]:
    """Probe: a summary for a person, and the same for a program."""
    if options.threads:
        torch.set_num_threads(options.threads)
    probe = create_probe(options)
    return neighbor_probe(probe) if options.knn else linear_probe(probe)
