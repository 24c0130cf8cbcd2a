"""What the training commands do, from an order to a finished run."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from amr_edge.card import Card
from amr_edge.data.store import Store, open_store
from amr_edge.errors import ConfigError, DataError
from amr_edge.metrics import copies_in_words, report
from amr_edge.training.config import recipe
from amr_edge.training.data.label_subsets import resolve_subset
from amr_edge.training.engine.checkpoint import load_classifier, save_weights
from amr_edge.training.engine.distributed import world
from amr_edge.training.engine.predictions import FILE, load_predictions
from amr_edge.training.engine.run_folder import RunFolder, new_run
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.report.html_report import write_page
from amr_edge.training.report.plots import draw_curves
from amr_edge.training.tasks.cross_validation import (
    EVERY_SUBJECT,
    Fold,
    Summary,
    fold_name,
    subjects_to_leave_out,
    summarize,
    write_folds,
)
from amr_edge.training.tasks.distill import Teacher, compare, comparison_line, distill
from amr_edge.training.tasks.evaluate import evaluate_run
from amr_edge.training.tasks.finetune import finetune
from amr_edge.training.tasks.job import Order, Work, fresh, origin_of, resumed, sides_of, store_of
from amr_edge.training.tasks.pretrain import pretrain
from amr_edge.training.tasks.results import (
    CrossValidationResult,
    DistillResult,
    FoldResult,
    Outcome,
    PretrainResult,
    TestMetrics,
    TrainResult,
)

__all__ = ["Order", "run_job", "work_off"]

TaskOutput = tuple[str, Outcome]  # for a person, for a program


def run_job(order: Order) -> tuple[str, dict[str, object]]:
    """Do what was ordered: what to tell a person, and the same for a machine; see `work_off`."""
    text, outcome = work_off(order)
    return text, outcome.to_dict()


def work_off(order: Order) -> TaskOutput:
    """Do what was ordered.

    Returns:
        What to tell a person, and the same for a program.

    Raises:
        KeyboardInterrupt: After Ctrl-C, with the last finished epoch on disk and the command to resume printed.
    """
    world()  # before anything can be refused: of several processes one speaks
    if order.threads:
        torch.set_num_threads(order.threads)
    if order.resume is None and order.split == EVERY_SUBJECT and order.verb in ("train", "finetune"):
        return _leave_one_out(order, None)
    if order.resume is not None:
        _, config_values = RunFolder(order.resume).read_settings()
        if config_values.get("split") == EVERY_SUBJECT:
            return _leave_one_out(order, order.resume)
    work = resumed(order, order.resume) if order.resume else fresh(order)
    try:
        return _stages(order.verb, work)
    except KeyboardInterrupt:
        work.run.log(work.run.go_on())
        raise


def _pretrain(work: Work, run: RunFolder) -> None:
    pretrain(
        work.store,
        work.sides.train,
        work.split,
        work.recipe,
        run,
        seed=work.seed,
        machine=work.machine,
        resume=work.resume,
    )
    draw_curves(run.results(), "pre-training", run.folder / "curves.png")


def select_checkpoint(run: RunFolder, chosen_by: str) -> tuple[Classifier, Card, str]:
    """Write the selected weights, with their epoch in the card, to `weights/best.safetensors`.

    Those are the last epoch's, or those that validation chose. `weights/last.safetensors` stays the last epoch's.

    Args:
        run: A run that has finished.
        chosen_by: "last", or what chose.

    Returns:
        The classifier, its card, and the same in words.
    """
    rows = run.results()
    epoch = len(rows)
    model, card = load_classifier(run.last if chosen_by == "last" else run.best)
    words = f"the last epoch's weights ({epoch})"
    if chosen_by != "last":
        epoch = 1 + max(range(len(rows)), key=lambda i: rows[i].get("validation_top1", -1.0))
        words = f"the weights of epoch {epoch} of {len(rows)}, chosen on {chosen_by}"
    card = replace(card, recipe={**card.recipe, "epoch": epoch, "epoch_chosen_by": chosen_by})
    save_weights(run.best, model, card)
    return model, card, words


def _examine(work: Work, model: Classifier, card: Card) -> tuple[str, TestMetrics | None]:
    """Score a run on its test part, write its report and keep its answers; nothing if no test clip has a label."""
    run, store = work.run, work.store
    examined = work.sides.test & (store.labels >= 0)
    if not examined.any():
        return "", None
    sides, device = work.sides, work.machine.device
    result, apart = evaluate_run(run, model.to(device), card, store, sides.train, sides.test, device)
    text = "\n".join(filter(None, (report(result, card.classes), copies_in_words(apart))))
    return text, TestMetrics(
        top1=result.top1,
        top5=result.top5,
        mean_class=result.mean_class,
        clips=result.clips,
        epoch=card.recipe["epoch"],
        epoch_chosen_by=card.recipe["epoch_chosen_by"],
        copies=int(apart.get("copies") or 0),
        top1_without_copies=apart.get("top1_without_copies"),
    )


def _distill(work: Work, teacher: Teacher) -> TaskOutput:
    run, sides = work.run, work.sides
    distill(
        work.store,
        sides.train,
        work.split,
        work.recipe,
        run,
        teacher=teacher,
        seed=work.seed,
        machine=work.machine,
        unlabelled=work.unlabelled,
        validation=sides.validation,
        resume=work.resume,
    )
    model, card, which = select_checkpoint(run, work.chosen_by)
    text, scored = _examine(work, model, card)
    lines = [text] if text else []
    examined = sides.test & (work.store.labels >= 0)
    beside = compare(teacher, model, work.store, examined if text else sides.train, work.machine.device)
    run.write_json("teacher.json", beside)
    write_page(run)
    lines.append(
        comparison_line(beside, on="the test part" if text else "what it learned from; nothing is left to test on")
    )
    run.log("\n".join(lines), show=False)
    lines += [f"{which}: {run.selected}", f"next: amr-edge export {run.folder} --onnx"]
    return "\n".join(lines), DistillResult(
        run=run.folder,
        weights=run.selected,
        recipe=asdict(work.recipe),
        examined=scored,
        seed=work.seed,
        split=work.split,
        seconds=sum(row["seconds"] for row in run.results()),
        beside_the_teacher=beside,
    )


def _stages(verb: str, work: Work) -> TaskOutput:
    run, init = work.run, work.init
    if verb == "pretrain":
        _pretrain(work, run)
        write_page(run)
        loss = run.results()[-1]["loss"]
        text = (
            f"pre-trained: loss {loss:.4f}, weights {run.last}\nnext: amr-edge finetune --data ... --init {run.folder}"
        )
        return text, PretrainResult(run=run.folder, weights=run.last, loss=loss)
    if work.teacher is not None:
        return _distill(work, work.teacher)
    if verb == "train":
        stage = run.stage("pretrain")
        _pretrain(work, stage)
        init = stage.last
    finetune(
        work.store,
        work.sides.train,
        work.split,
        work.recipe,
        run,
        init=init,
        seed=work.seed,
        machine=work.machine,
        subset=work.subset,
        validation=work.sides.validation,
        resume=work.resume,
    )
    model, card, which = select_checkpoint(run, work.chosen_by)
    text, scored = _examine(work, model, card)
    if text:
        run.log(f"{text}\n{which}", show=False)
    else:
        text = "fine-tuned on everything, nothing left to test on"
    rows = run.results() + (run.stage("pretrain").results() if verb == "train" else [])
    if work.subset is not None:
        text = f"{text}\nlabels: {work.subset.sentence()}"
    return f"{text}\n{which}: {run.selected}\nnext: amr-edge export {run.folder} --onnx", TrainResult(
        run=run.folder,
        weights=run.selected,
        recipe=asdict(work.recipe),
        examined=scored,
        seed=work.seed,
        split=work.split,
        seconds=sum(row["seconds"] for row in rows),
        labels=None if work.subset is None else work.subset.to_dict(),
    )


def _leave_one_out(order: Order, folder: Path | None) -> TaskOutput:
    """One run for each subject, who is left out of everything that it learns from; each is a run of its own."""
    order, store, parent = _folds_begun(order) if folder is None else _folds_resumed(order, folder)
    subjects = subjects_to_leave_out(store)
    folds: list[Fold] = []
    for subject in subjects:
        run = parent.stage(f"folds/s{subject:02d}")
        if not (run.folder / FILE).exists():
            parent.log(f"fold {len(folds) + 1} of {len(subjects)}: subject {subject} is left out")
            begun = (run.folder / "config.json").exists()
            try:
                if begun:
                    work = resumed(order, run.folder, store=store)
                else:
                    work = fresh(replace(order, split=fold_name(subject)), store=store, into=run)
                _stages(order.verb, work)
            except KeyboardInterrupt:
                parent.log(f"go on with: amr-edge {order.verb} --resume {parent.folder}")
                raise
        score = json.loads((run.folder / "score.json").read_text(encoding="utf-8"))
        folds.append(
            Fold(
                subject=subject,
                run=run.folder,
                answers=load_predictions(run.folder / FILE),
                epoch=int(score["epoch"]),
                chosen_by=str(score["epoch_chosen_by"]),
                seconds=sum(
                    row["seconds"] for stage in (run, RunFolder(run.folder / "pretrain")) for row in stage.results()
                ),
            )
        )
    summary = summarize(folds)
    write_folds(parent, summary)
    write_page(parent)
    parent.log(summary.text(), show=False)
    next_line = f"next: amr-edge {order.verb} --data {store.path} --split all"
    comparison_line = f"{summary.text()}\neach fold is a run in {parent.folder / 'folds'}\n{next_line}"
    return comparison_line, _each_left_out(summary, parent, order.seed)


def _each_left_out(summary: Summary, parent: RunFolder, seed: int) -> CrossValidationResult:
    mean, deviation = summary.top1
    pooled, own = summary.pooled, [fold.score for fold in summary.folds]
    return CrossValidationResult(
        run=parent.folder,
        folds=tuple(
            FoldResult(
                subject=fold.subject,
                clips=len(fold.answers),
                top1=each.top1,
                mean_class=each.mean_class,
                epoch=fold.epoch,
                epoch_chosen_by=fold.chosen_by,
                run=fold.run,
            )
            for fold, each in zip(summary.folds, own, strict=True)
        ),
        mean=mean,
        std=deviation,
        pooled={"top1": pooled.top1, "top5": pooled.top5, "mean_class": pooled.mean_class},
        clips=pooled.clips,
        seed=seed,
        seconds=sum(fold.seconds for fold in summary.folds),
    )


def _folds_begun(order: Order) -> tuple[Order, Store, RunFolder]:
    """Open the data and make the folder that the folds lie in."""
    store = store_of(order)
    # Every refusal comes before the first hour of computing.
    for subject in subjects_to_leave_out(store):
        name = fold_name(subject)
        sides = sides_of(store, name, seed=order.seed, validate=order.validate, trains_classifier=True)
        if order.labels is not None:
            resolve_subset(order.labels, store, sides.train, name, order.seed)
    origin = origin_of(order)
    name = order.recipe or "amr-small"
    made = recipe(name)
    parent = new_run(order.project, order.verb, order.name or f"{name}-loso")
    parent.write_settings(
        made,
        {
            "verb": order.verb,
            "data": str(store.path.resolve()),
            "data_hash": store.content_hash,
            "split": EVERY_SUBJECT,
            "seed": order.seed,
            "init": None if origin is None else str(origin.path.resolve()),
            "validate": order.validate,
            "requested_labels": order.labels,
            "transfer": order.transfer,
            "requested_recipe": order.recipe,
            "settings": list(order.settings),
        },
    )
    parent.log(f"run: {parent.folder}")
    return order, store, parent


def _folds_resumed(order: Order, folder: Path) -> tuple[Order, Store, RunFolder]:
    """The order that the folder was begun with, on the machine of this one."""
    parent = RunFolder(folder)
    _, config_values = parent.read_settings()
    if config_values.get("verb") != order.verb:
        raise ConfigError(f"{folder} is a run of `amr-edge {config_values.get('verb')}`; resume it with that command")
    store = open_store(order.data or Path(str(config_values["data"])))
    if store.content_hash != config_values["data_hash"]:
        raise DataError(f"{store.path} is not the data that {folder} was started with; give the same file with --data")

    def text(name: str) -> str | None:
        return None if config_values[name] is None else str(config_values[name])

    init, settings = text("init"), config_values["settings"]
    begun = replace(
        order,
        resume=None,
        data=store.path,
        split=EVERY_SUBJECT,
        seed=int(str(config_values["seed"])),
        init=None if init is None else Path(init),
        validate=text("validate"),
        labels=text("requested_labels"),
        transfer=config_values["transfer"] is True,
        recipe=text("requested_recipe"),
        settings=tuple(map(str, settings)) if isinstance(settings, list) else (),
    )
    return begun, store, parent
