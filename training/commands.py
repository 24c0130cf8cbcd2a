"""What the training commands do, from an order to a finished run."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from amr_edge.errors import ConfigError, DataError
from amr_edge.score import report
from amr_edge.skeleton import Mask
from amr_edge.splits import offers, split
from amr_edge.store import Store, open_store
from amr_edge.training.checkpoint import load_classifier
from amr_edge.training.config import Recipe, override, recipe, student
from amr_edge.training.dataset import fit_to_data
from amr_edge.training.distil import (
    Teacher,
    check_student,
    compare,
    data_of,
    distil,
    in_the_teachers_words,
    open_teacher,
    seen_by,
    split_of,
    told,
)
from amr_edge.training.evaluate import evaluate_run
from amr_edge.training.finetune import finetune
from amr_edge.training.machine import Machine, choose_device, choose_precision
from amr_edge.training.picture import draw_curves
from amr_edge.training.pretrain import pretrain
from amr_edge.training.run import Run, new_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person typed after `amr-edge pretrain`, `finetune`, `train` or `distil`."""

    verb: str
    data: Path | None
    settings: tuple[str, ...]
    seed: int
    device: str
    threads: int | None
    project: Path
    name: str | None
    resume: Path | None
    split: str | None = None
    init: Path | None = None
    validate: str | None = None
    recipe: str = ""
    teacher: Path | None = None
    student: str = ""
    unlabelled: bool = False
    precision: str = "auto"
    accumulate: int = 1
    compile: bool = False
    time_limit: float = 0.0
    tensorboard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A run that is ready to go: everything decided, everything checked."""

    store: Store
    split: str
    train: Mask
    test: Mask
    validation: Mask | None
    recipe: Recipe
    run: Run
    seed: int
    machine: Machine
    init: Path | None
    resume: bool
    teacher: Teacher | None = None
    unlabelled: bool = False


def _machine(order: Order) -> Machine:
    device = choose_device(order.device)
    return Machine(
        device=device,
        precision=choose_precision(order.precision, device),
        accumulate=order.accumulate,
        compile=order.compile,
        time_limit_s=order.time_limit,
        tensorboard=order.tensorboard,
    )


def weights_in(path: Path) -> Path:
    """The checkpoint that `path` means: itself, or the last weights of a run folder."""
    return Run(path).last if path.is_dir() else path


def _validation(store: Store, train: Mask, subjects: str | None) -> Mask | None:
    if subjects is None:
        return None
    try:
        chosen = [int(number) for number in subjects.split(",")]
    except ValueError as cause:
        raise ConfigError(f"--validate expects subject numbers like 7,9, got '{subjects}'") from cause
    held_out: Mask = train & np.isin(store.subjects, chosen)
    if not held_out.any() or held_out.sum() == train.sum():
        raise ConfigError(f"--validate {subjects} must leave clips on both sides; the training part has {train.sum()}")
    return held_out


def _teacher(order: Order) -> Teacher | None:
    """Whom a student learns from, on the data that the order names or else on the teacher's own."""
    if order.verb != "distil":
        return None
    if order.teacher is None:
        raise ConfigError("TEACHER is missing; give the run folder or the checkpoint of a fine-tuned model")
    return open_teacher(weights_in(order.teacher))


def _fresh(order: Order) -> Work:
    teacher = _teacher(order)
    data = order.data or (data_of(teacher) if teacher is not None else None)
    if data is None:
        raise ConfigError("--data is missing; `amr-edge data convert SRC DST.npz` makes the file it wants")
    store = open_store(data)
    if teacher is not None:
        store = in_the_teachers_words(store, teacher, unlabelled=order.unlabelled)
    name = order.split or (split_of(teacher, store) if teacher is not None else None)
    name = name or ("all" if order.unlabelled else offers(store)[0])
    if name == "all":
        train = np.ones(len(store), dtype=np.bool_)
        test = ~train
        warnings: tuple[str, ...] = ()
    else:
        chosen = split(store, name, seed=order.seed)
        train, test, warnings = chosen.train, chosen.test, chosen.warnings
    validation = _validation(store, train, order.validate)
    if validation is not None:
        train = train & ~validation
    if teacher is None:
        made = override(recipe(order.recipe), order.settings)
        persons = min(made.persons, int(store.persons.max()))
        made = replace(made, prepare=fit_to_data(made.prepare, store, train), persons=persons)
    else:
        made = override(student(order.student, teacher.card.prepare, teacher.card.persons), order.settings)
        check_student(made, teacher)
        warnings += seen_by(teacher, store, test)
    if order.init is not None:
        order = replace(order, init=weights_in(order.init))
    run = new_run(order.project, order.verb, order.name or made.name)
    settings = {
        "verb": order.verb,
        "data": str(data.resolve()),
        "data_hash": store.content_hash,
        "split": name,
        "seed": order.seed,
        "init": str(order.init.resolve()) if order.init else None,
        "validate": order.validate,
    }
    if teacher is not None:
        settings["teacher"] = str(teacher.path.resolve())
        settings["teacher_sha256"] = teacher.sha256
        settings["unlabelled"] = order.unlabelled
    run.write_settings(made, settings)
    run.log(f"run: {run.folder}")
    run.log(f"data: {data}, {int(train.sum())} clips to learn from, {int(test.sum())} to test on (split {name})")
    for warning in warnings:
        run.log(f"note: {warning}")
    return Work(
        store=store,
        split=name,
        train=train,
        test=test,
        validation=validation,
        recipe=made,
        run=run,
        seed=order.seed,
        machine=_machine(order),
        init=order.init,
        resume=False,
        teacher=teacher,
        unlabelled=order.unlabelled,
    )


def _resumed(order: Order, folder: Path) -> Work:
    run = Run(folder)
    made, said = run.read_settings()
    if said.get("verb") != order.verb:
        raise ConfigError(f"{folder} is a run of `amr-edge {said.get('verb')}`; resume it with that command")
    store = open_store(order.data or Path(str(said["data"])))
    if store.content_hash != said["data_hash"]:
        raise DataError(f"{store.path} is not the data that {folder} was started with; give the same file with --data")
    unlabelled = said.get("unlabelled") is True
    teacher = None
    if order.verb == "distil":
        teacher = _teacher(replace(order, teacher=order.teacher or Path(str(said["teacher"]))))
    if teacher is not None:
        if teacher.sha256 != said["teacher_sha256"]:
            raise DataError(f"{teacher.path} is not the teacher that {folder} was started with; give the same file")
        store = in_the_teachers_words(store, teacher, unlabelled=unlabelled)
    name, seed = str(said["split"]), int(str(said["seed"]))
    everything = np.ones(len(store), dtype=np.bool_)
    chosen = None if name == "all" else split(store, name, seed=seed)
    train, test = (everything, ~everything) if chosen is None else (chosen.train, chosen.test)
    validation = _validation(store, train, None if said["validate"] is None else str(said["validate"]))
    return Work(
        store=store,
        split=name,
        train=train if validation is None else train & ~validation,
        test=test,
        validation=validation,
        recipe=made,
        run=run,
        seed=seed,
        machine=_machine(order),
        init=Path(str(said["init"])) if said["init"] else None,
        resume=True,
        teacher=teacher,
        unlabelled=unlabelled,
    )


def _pretrain(work: Work, run: Run) -> None:
    pretrain(
        work.store, work.train, work.split, work.recipe, run, seed=work.seed, machine=work.machine, resume=work.resume
    )
    draw_curves(run.results(), "pre-training", run.folder / "curves.png")


def _distil(work: Work, teacher: Teacher) -> tuple[str, dict[str, object]]:
    run = work.run
    distil(
        work.store,
        work.train,
        work.split,
        work.recipe,
        run,
        teacher=teacher,
        seed=work.seed,
        machine=work.machine,
        unlabelled=work.unlabelled,
        validation=work.validation,
        resume=work.resume,
    )
    model, card = load_classifier(run.last)
    examined = work.test & (work.store.labels >= 0)
    lines: list[str] = []
    answer: dict[str, object] = {"run": str(run.folder), "weights": str(run.last), "recipe": asdict(work.recipe)}
    if examined.any():
        result = evaluate_run(run, model.to(work.machine.device), card, work.store, work.test, work.machine.device)
        lines.append(report(result, card.classes))
        answer |= {"top1": result.top1, "top5": result.top5, "mean_class": result.mean_class, "clips": result.clips}
    beside = compare(teacher, model, work.store, examined if examined.any() else work.train, work.machine.device)
    run.write_json("teacher.json", beside)
    lines.append(
        told(beside, on="the test part" if examined.any() else "what it learned from; nothing is left to test on")
    )
    run.log("\n".join(lines), show=False)
    answer |= {"beside_the_teacher": beside, "seed": work.seed, "split": work.split}
    answer["seconds"] = sum(row["seconds"] for row in run.results())
    lines += [f"the last epoch's weights: {run.last}", f"next: amr-edge export {run.folder} --onnx"]
    return "\n".join(lines), answer


def carry_out(order: Order) -> tuple[str, dict[str, object]]:
    """Do what was ordered.

    Returns:
        What to tell a person, and the same for a machine.

    Raises:
        KeyboardInterrupt: After Ctrl-C, with the last finished epoch on disk and the way to go on said.
    """
    if order.threads:
        torch.set_num_threads(order.threads)
    work = _resumed(order, order.resume) if order.resume else _fresh(order)
    try:
        return _stages(order.verb, work)
    except KeyboardInterrupt:
        work.run.log(f"go on with: amr-edge {order.verb} --resume {work.run.folder}")
        raise


def _stages(verb: str, work: Work) -> tuple[str, dict[str, object]]:
    run, init = work.run, work.init
    if verb == "pretrain":
        _pretrain(work, run)
        loss = run.results()[-1]["loss"]
        text = (
            f"pre-trained: loss {loss:.4f}, weights {run.last}\nnext: amr-edge finetune --data ... --init {run.folder}"
        )
        return text, {"run": str(run.folder), "weights": str(run.last), "loss": loss}
    if work.teacher is not None:
        return _distil(work, work.teacher)
    if verb == "train":
        stage = run.stage("pretrain")
        _pretrain(work, stage)
        init = stage.last
    finetune(
        work.store,
        work.train,
        work.split,
        work.recipe,
        run,
        init=init,
        seed=work.seed,
        machine=work.machine,
        validation=work.validation,
        resume=work.resume,
    )
    model, card = load_classifier(run.last)
    answer: dict[str, object] = {"run": str(run.folder), "weights": str(run.last), "recipe": asdict(work.recipe)}
    next_line = f"next: amr-edge export {run.folder} --onnx"
    if not (work.test & (work.store.labels >= 0)).any():
        return f"fine-tuned on everything, nothing left to test on: weights {run.last}\n{next_line}", answer
    result = evaluate_run(run, model.to(work.machine.device), card, work.store, work.test, work.machine.device)
    run.log(report(result, card.classes), show=False)
    rows = run.results() + (run.stage("pretrain").results() if verb == "train" else [])
    seconds = sum(row["seconds"] for row in rows)
    answer |= {"top1": result.top1, "top5": result.top5, "mean_class": result.mean_class, "clips": result.clips}
    answer |= {"seed": work.seed, "split": work.split, "seconds": seconds}
    return f"{report(result, card.classes)}\nthe last epoch's weights: {run.last}\n{next_line}", answer
