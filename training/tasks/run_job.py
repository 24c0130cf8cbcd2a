"""Run a training job, or one job for each subject: train, select the checkpoint, evaluate, report."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from amr_edge.card import Card
from amr_edge.data.store import Store
from amr_edge.metrics import format_deduplicated, report
from amr_edge.settings import parse_settings
from amr_edge.training.config import Recipe, recipe
from amr_edge.training.data.label_subsets import resolve_subset
from amr_edge.training.engine.checkpoint import load_classifier, save_weights
from amr_edge.training.engine.distributed import world
from amr_edge.training.engine.predictions import FILE, load_predictions
from amr_edge.training.engine.run_folder import RunFolder, new_run
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.report.html_report import write_page
from amr_edge.training.report.plots import draw_curves
from amr_edge.training.tasks.cross_validation import (
    Fold,
    Summary,
    fold_name,
    subjects_to_leave_out,
    summarize,
    write_folds,
)
from amr_edge.training.tasks.distill import compare, comparison_line, distill
from amr_edge.training.tasks.evaluate import evaluate_run
from amr_edge.training.tasks.finetune import finetune
from amr_edge.training.tasks.job import TrainJob, create_job, open_data, open_init, reopen, resume_job, split_masks
from amr_edge.training.tasks.options import EVERY_SUBJECT, FinetuneOptions, LearningOptions, TrainOptions
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

TaskOutput = tuple[str, Outcome]  # for a person, for a program


def run_task(options: LearningOptions) -> TaskOutput:
    """Resolve options to a job, or one for each subject, and run it.

    Returns:
        A summary for a person, and the same for a program.

    Raises:
        KeyboardInterrupt: After Ctrl-C, with the last finished epoch on disk and the command to resume printed.
    """
    world()  # before anything can be refused: of several processes one prints
    if options.threads:
        torch.set_num_threads(options.threads)
    folder = options.resume_path
    if isinstance(options, TrainOptions) and (
        options.split == EVERY_SUBJECT if folder is None else RunFolder(folder).config().get("split") == EVERY_SUBJECT
    ):
        return _leave_one_out(options)
    job = create_job(options) if folder is None else resume_job(options, folder)
    try:
        return run_job(job)
    except KeyboardInterrupt:
        job.run.log(job.run.go_on())
        raise


def run_job(job: TrainJob[Recipe]) -> TaskOutput:
    """Run the stages of a job's command; see `run_task`."""
    if job.command == "pretrain":
        return _pretrain_and_report(job)
    return _train_classifier(job) if job.teacher is None else _distill_and_compare(job)


def _pretrain(job: TrainJob[Recipe]) -> None:
    pretrain(job)
    draw_curves(job.run.results(), "pre-training", job.run.folder / "curves.png")


def _pretrain_and_report(job: TrainJob[Recipe]) -> TaskOutput:
    run = job.run
    _pretrain(job)
    write_page(run)
    loss = run.results()[-1]["loss"]
    text = f"pre-trained: loss {loss:.4f}, weights {run.last}\nnext: amr-edge finetune --data ... --init {run.folder}"
    return text, PretrainResult(run=run.folder, weights=run.last, loss=loss)


def select_checkpoint(run: RunFolder, selected_by: str) -> tuple[Classifier, Card, str]:
    """Write the selected weights, with their epoch in the card, to `weights/best.safetensors`.

    Those are the last epoch's, or those that validation chose. `weights/last.safetensors` stays the last epoch's.

    Args:
        run: A run that has finished.
        selected_by: "last", or what chose.

    Returns:
        The classifier, its card, and the same in words.
    """
    rows = run.results()
    epoch = len(rows)
    model, card = load_classifier(run.last if selected_by == "last" else run.best)
    words = f"the last epoch's weights ({epoch})"
    if selected_by != "last":
        epoch = 1 + max(range(len(rows)), key=lambda i: rows[i].get("validation_top1", -1.0))
        words = f"the weights of epoch {epoch} of {len(rows)}, chosen on {selected_by}"
    card = replace(card, recipe={**card.recipe, "epoch": epoch, "epoch_chosen_by": selected_by})
    save_weights(run.best, model, card)
    return model, card, words


def _evaluate(job: TrainJob[Recipe], model: Classifier, card: Card) -> tuple[str, TestMetrics | None]:
    """Score a run on its test part, write its report and keep its predictions; nothing if no test clip has a label."""
    if not job.labelled_test.any():
        return "", None
    device = job.machine.device
    result, apart = evaluate_run(job.run, model.to(device), card, job.store, job.masks.train, job.masks.test, device)
    text = "\n".join(filter(None, (report(result, card.classes), format_deduplicated(apart))))
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


def _distill_and_compare(job: TrainJob[Recipe]) -> TaskOutput:
    run, teacher = job.run, job.teacher
    assert teacher is not None  # noqa: S101 - `run_job` has looked
    distill(job)
    model, card, which = select_checkpoint(run, job.selected_by)
    text, metrics = _evaluate(job, model, card)
    lines = [text] if text else []
    comparison = compare(teacher, model, job.store, job.labelled_test if text else job.masks.train, job.machine.device)
    run.write_json("teacher.json", comparison)
    write_page(run)
    lines.append(
        comparison_line(comparison, on="the test part" if text else "what it learned from; nothing is left to test on")
    )
    run.log("\n".join(lines), show=False)
    lines += [f"{which}: {run.selected}", f"next: amr-edge export {run.folder} --onnx"]
    return "\n".join(lines), DistillResult(
        run=run.folder,
        weights=run.selected,
        recipe=asdict(job.recipe),
        examined=metrics,
        seed=job.seed,
        split=job.split,
        seconds=sum(row["seconds"] for row in run.results()),
        beside_the_teacher=comparison,
    )


def _train_classifier(job: TrainJob[Recipe]) -> TaskOutput:
    run, seconds = job.run, 0.0
    if job.command == "train":
        stage = run.stage("pretrain")
        _pretrain(replace(job, run=stage))
        job = replace(job, init=stage.selected)
        seconds = sum(row["seconds"] for row in stage.results())
    finetune(job)
    model, card, which = select_checkpoint(run, job.selected_by)
    text, metrics = _evaluate(job, model, card)
    if text:
        run.log(f"{text}\n{which}", show=False)
    else:
        text = "fine-tuned on everything, nothing left to test on"
    if job.subset is not None:
        text = f"{text}\nlabels: {job.subset.sentence()}"
    return f"{text}\n{which}: {run.selected}\nnext: amr-edge export {run.folder} --onnx", TrainResult(
        run=run.folder,
        weights=run.selected,
        recipe=asdict(job.recipe),
        examined=metrics,
        seed=job.seed,
        split=job.split,
        seconds=seconds + sum(row["seconds"] for row in run.results()),
        labels=None if job.subset is None else job.subset.to_dict(),
    )


def _leave_one_out(options: TrainOptions) -> TaskOutput:
    """One run for each subject, who is left out of everything that it learns from; each is a run of its own."""
    if options.resume_path is None:
        store, parent = _start_folds(options)
    else:
        options, store, parent = _resume_folds(options, options.resume_path)
    subjects = subjects_to_leave_out(store)
    folds: list[Fold] = []
    for subject in subjects:
        run = parent.stage(f"folds/s{subject:02d}")
        if not (run.folder / FILE).exists():
            parent.log(f"fold {len(folds) + 1} of {len(subjects)}: subject {subject} is left out")
            try:
                if (run.folder / "config.json").exists():
                    job = resume_job(options, run.folder, store=store)
                else:
                    job = create_job(replace(options, split=fold_name(subject)), store=store, into=run)
                run_job(job)
            except KeyboardInterrupt:
                parent.log(f"go on with: amr-edge {options.command} --resume {parent.folder}")
                raise
        folds.append(_finished_fold(subject, run))
    summary = summarize(folds)
    write_folds(parent, summary)
    write_page(parent)
    parent.log(summary.text(), show=False)
    next_line = f"next: amr-edge {options.command} --data {store.path} --split all"
    text = f"{summary.text()}\neach fold is a run in {parent.folder / 'folds'}\n{next_line}"
    return text, _cross_validation_result(summary, parent, options.seed)


def _finished_fold(subject: int, run: RunFolder) -> Fold:
    score = json.loads((run.folder / "score.json").read_text(encoding="utf-8"))
    stages = (run, RunFolder(run.folder / "pretrain"))
    return Fold(
        subject=subject,
        run=run.folder,
        answers=load_predictions(run.folder / FILE),
        epoch=int(score["epoch"]),
        selected_by=str(score["epoch_chosen_by"]),
        seconds=sum(row["seconds"] for stage in stages for row in stage.results()),
    )


def _cross_validation_result(summary: Summary, parent: RunFolder, seed: int) -> CrossValidationResult:
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
                epoch_chosen_by=fold.selected_by,
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


def _start_folds(options: TrainOptions) -> tuple[Store, RunFolder]:
    """Open the data and make the folder that the folds lie in."""
    store = open_data(options)
    # Every refusal comes before the first hour of computing.
    for subject in subjects_to_leave_out(store):
        name = fold_name(subject)
        masks = split_masks(store, name, seed=options.seed, validate=options.validate, trains_classifier=True)
        if options.labels is not None:
            resolve_subset(options.labels, store, masks.train, name, options.seed)
    origin = open_init(options)
    name = options.recipe or "amr-small"
    made = recipe(name)
    parent = new_run(Path(options.project), options.command, options.name or f"{name}-loso")
    parent.write_settings(
        made,
        {
            "verb": options.command,
            "data": str(store.path.resolve()),
            "data_hash": store.content_hash,
            "split": EVERY_SUBJECT,
            "seed": options.seed,
            "init": None if origin is None else str(origin.path.resolve()),
            "validate": options.validate,
            "requested_labels": options.labels,
            "transfer": isinstance(options, FinetuneOptions) and options.transfer,
            "requested_recipe": options.recipe,
            "settings": options.overrides,
        },
    )
    parent.log(f"run: {parent.folder}")
    return store, parent


def _resume_folds(options: TrainOptions, folder: Path) -> tuple[TrainOptions, Store, RunFolder]:
    """The options that the folder was started with, on the device of these."""
    parent, config, store = reopen(options, folder)

    def text(name: str) -> str | None:
        return None if config[name] is None else str(config[name])

    settings, init = config["settings"], text("init")
    if isinstance(settings, list):  # written by earlier versions: FIELD=VALUE
        settings = parse_settings([str(each) for each in settings])
    started = replace(
        options,
        resume=None,
        data=store.path,
        split=EVERY_SUBJECT,
        seed=int(str(config["seed"])),
        validate=text("validate"),
        labels=text("requested_labels"),
        recipe=text("requested_recipe"),
        settings=settings if isinstance(settings, dict) else {},
    )
    if isinstance(started, FinetuneOptions):
        started = replace(started, init=None if init is None else Path(init), transfer=config["transfer"] is True)
    return started, store, parent
