"""What `amr-edge asma` does, from an order to a finished run: two encoders, a teacher, a student, a report."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from amr_edge.data.clips import Clips
from amr_edge.data.splits import available_splits, split
from amr_edge.data.store import Store, open_store
from amr_edge.errors import ConfigError, DataError
from amr_edge.metrics import score
from amr_edge.skeleton import Mask, layout
from amr_edge.training.asma.config import SIDES, AsmaRecipe, asma_recipe, from_dict
from amr_edge.training.asma.stages import learn_from, pretrain_side, teach
from amr_edge.training.config import override
from amr_edge.training.data.batch import Batch, fit_to_data, to_batch
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.distributed import world
from amr_edge.training.engine.interrupts import OutOfTimeError
from amr_edge.training.engine.run_folder import RunFolder, environment, new_run
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.stgcn import GraphEncoder
from amr_edge.training.models.stgcn import macs as graph_macs
from amr_edge.training.models.token_selection import macs
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.tasks.evaluate import evaluate_run
from amr_edge.training.tasks.predict import predict

TURNS = 20  # in which teacher and student are timed, one after the other
PER_TURN = 5  # answers in a turn


@dataclass(frozen=True, slots=True, kw_only=True)
class AsmaOrder:
    """Options of `amr-edge asma`."""

    data: Path | None
    split: str | None
    recipe: str
    settings: tuple[str, ...]
    seed: int
    machine: RunOptions
    threads: int | None
    project: Path
    name: str | None
    resume: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A run that is ready to go."""

    store: Store
    split: str
    train: Mask
    test: Mask
    recipe: AsmaRecipe
    run: RunFolder
    seed: int
    resume: bool


def _sides(store: Store, name: str, seed: int) -> tuple[Mask, Mask, tuple[str, ...]]:
    if name == "all":
        everything = np.ones(len(store), dtype=np.bool_)
        return everything, ~everything, ()
    chosen = split(store, name, seed=seed)
    return chosen.train, chosen.test, chosen.warnings


def _fresh(order: AsmaOrder) -> _Work:
    if order.data is None:
        raise ConfigError("--data is missing; `amr-edge data convert SRC DST.npz` makes the file it wants")
    store = open_store(order.data)
    name = order.split or available_splits(store)[0]
    train, test, warnings = _sides(store, name, order.seed)
    made = override(asma_recipe(order.recipe), order.settings)
    persons = min(made.persons, int(store.persons.max()))
    made = replace(made, prepare=fit_to_data(made.prepare, store, train), persons=persons)
    if not (train & (np.asarray(store.labels) >= 0)).any():
        raise DataError(
            f"{store.path}: no recording of the training part has a label, and the teacher's linear probe needs some; "
            "`amr-edge pretrain` learns without"
        )
    run = new_run(order.project, "asma", order.name or made.name)
    settings = {
        "verb": "asma",
        "data": str(order.data.resolve()),
        "data_hash": store.content_hash,
        "split": name,
        "seed": order.seed,
    }
    for folder in (run, run.stage("teacher")):
        # Both hold a model that can be evaluated and exported on the same recordings.
        folder.write_json("config.json", {**settings, "asma": asdict(made)})
    run.write_json("environment.json", environment())
    run.log(f"run: {run.folder}")
    run.log(f"data: {order.data}, {int(train.sum())} clips to learn from, {int(test.sum())} to test on (split {name})")
    for warning in warnings:
        run.log(f"note: {warning}")
    return _Work(
        store=store, split=name, train=train, test=test, recipe=made, run=run, seed=order.seed, resume=False
    )  # fmt: skip


def _resumed(order: AsmaOrder, folder: Path) -> _Work:
    run = RunFolder(folder)
    config_values = run.config()
    settings, name, seed = (
        config_values.get("asma"),
        str(config_values.get("split")),
        int(str(config_values.get("seed", 0))),
    )
    if config_values.get("verb") != "asma" or not isinstance(settings, dict):
        raise ConfigError(f"{folder} is a run of `amr-edge {config_values.get('verb')}`; resume it with that command")
    store = open_store(order.data or Path(str(config_values.get("data"))))
    if store.content_hash != config_values.get("data_hash"):
        raise DataError(f"{store.path} is not the data that {folder} was started with; give the same file with --data")
    train, test, _ = _sides(store, name, seed)
    return _Work(
        store=store, split=name, train=train, test=test, recipe=from_dict(AsmaRecipe, settings), run=run,
        seed=seed, resume=True,
    )  # fmt: skip


def parameters(model: Classifier) -> int:
    """Number of parameters of a model, frozen ones included."""
    return sum(p.numel() for p in model.parameters())


def cost(encoder: nn.Module, frames: int, joints: int) -> int:
    """Multiply-accumulates of an encoder for one body of which everything is there.

    Args:
        encoder: A transformer, a graph encoder or a pair.
        frames: T.
        joints: V.
    """
    if isinstance(encoder, DualEncoder):
        width = encoder.config.width // 2
        first = encoder.first
        places = first.tokens if isinstance(first, Encoder) else -(-frames // 4) * joints
        between = 4 * width * width * places + 2 * places * places * width  # of one attention; there are two
        return sum(cost(one, frames, joints) for one in (first, encoder.second)) + 2 * between
    if isinstance(encoder, GraphEncoder):
        return graph_macs(encoder.config, frames, joints)
    if isinstance(encoder, Encoder):
        return macs(encoder.config, encoder.tokens)
    raise TypeError(f"no encoder: {type(encoder).__name__}")


def pace(
    one: Classifier,
    other: Classifier,
    batch: Batch,
    now: Callable[[], float],
    *,
    turns: int = TURNS,
    per_turn: int = PER_TURN,
) -> tuple[float, float, float]:
    """Time two models on the same clip in turns, so that whatever slows the machine slows both.

    Args:
        one: A model.
        other: Another.
        batch: What they answer.
        now: A clock, seconds.
        turns: Of each, after one that does not count.
        per_turn: Answers in a turn.

    Returns:
        Median milliseconds of an answer of `one` and of `other`, and the median over turns of their ratio.
    """
    took: list[list[float]] = [[], []]
    with torch.inference_mode():
        for turn in range(turns + 1):
            for index, model in enumerate((one.eval(), other.eval())):
                began = now()
                for _ in range(per_turn):
                    model.classify(batch).sum().item()  # the sum has to come back from a device that runs ahead
                each_ms = 1e3 * (now() - began) / per_turn
                if turn:
                    took[index].append(each_ms)
    first, second = np.array(took[0]), np.array(took[1])
    return float(np.median(first)), float(np.median(second)), float(np.median(first / second))


def set_side_by_side(
    teacher: Classifier, student: Classifier, work: _Work, device: torch.device, now: Callable[[], float]
) -> dict[str, float]:
    """Teacher and student on the same whole clips: size, pace, agreement and, where there are labels, top-1."""
    known = np.asarray(work.store.labels) >= 0
    which = work.test & known if (work.test & known).any() else work.train
    clips = Clips(work.store, which, work.recipe.prepare, work.recipe.persons)
    theirs, own = predict(teacher, clips, device), predict(student, clips, device)  # (N, K)
    large, small = parameters(teacher), parameters(student)
    shape = (work.recipe.prepare.frames, len(layout(work.recipe.prepare.layout)))
    teacher_macs, student_macs = (cost(model.encoder, *shape) for model in (teacher, student))
    teacher_ms, student_ms, times_faster = pace(teacher, student, to_batch(clips.whole(np.array([0])), device), now)
    found = {
        "teacher_parameters": large,
        "parameters": small,
        "fewer_percent": 100 * (1 - small / large),
        "teacher_macs": teacher_macs,
        "student_macs": student_macs,
        "teacher_ms": teacher_ms,
        "student_ms": student_ms,
        "times_faster": times_faster,
        "clips": len(clips),
        "agreement": float((own.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
    }
    if (work.test & known).any():
        found["teacher_top1"] = score(theirs, clips.labels).top1
        found["student_top1"] = score(own, clips.labels).top1
    return found


def summary_lines(found: dict[str, float]) -> str:
    """Format the result of `set_side_by_side`."""
    small, large = found["parameters"], found["teacher_parameters"]
    line = (
        f"student: {small / 1e6:.3f} M parameters instead of {large / 1e6:.3f} M (−{found['fewer_percent']:.1f} %), "
        f"{found['teacher_macs'] / found['student_macs']:.1f} times fewer multiply-accumulates, "
        f"{found['times_faster']:.1f} times faster ({found['student_ms']:.2f} ms instead of {found['teacher_ms']:.2f} "
        f"ms a clip, PyTorch, in turns)\nit answers as its teacher in {found['agreement']:.1%} of "
        f"{found['clips']:.0f} clips"
    )
    if "teacher_top1" in found:
        line += f"; top-1 {found['student_top1']:.4f}, the teacher's {found['teacher_top1']:.4f}"
    return line


def carry_out(order: AsmaOrder, *, now: Callable[[], float] = time.perf_counter) -> tuple[str, dict[str, object]]:
    """Do what was ordered.

    Args:
        order: What was typed.
        now: A clock, seconds.

    Returns:
        What to tell a person, and the same for a machine.

    Raises:
        KeyboardInterrupt: After Ctrl-C, with everything on disk and the command to resume printed.
        OutOfTimeError: After the time limit, likewise.
    """
    if world().size > 1:
        # The norms and the correlations are a batch's, and a batch would be split among the processes.
        raise ConfigError("`amr-edge asma` runs in one process; start it without torchrun")
    if order.threads:
        torch.set_num_threads(order.threads)
    work = _resumed(order, order.resume) if order.resume else _fresh(order)
    try:
        return _stages(work, order.machine, now)
    except (KeyboardInterrupt, OutOfTimeError):
        work.run.log(f"go on with: amr-edge asma --resume {work.run.folder}")
        raise


def _stages(work: _Work, machine: RunOptions, now: Callable[[], float]) -> tuple[str, dict[str, object]]:
    store, train, name, recipe, run = work.store, work.train, work.split, work.recipe, work.run
    encoders = (run.stage(SIDES[0]), run.stage(SIDES[1]))
    for index, (side, folder) in enumerate(zip(SIDES, encoders, strict=True)):
        # Seeds far apart, so that the two encoders do not start alike and the runs of neighbouring seeds do not meet.
        pretrain_side(
            side, store, train, name, recipe, folder,
            seed=work.seed + 1000 * index, machine=machine, resume=work.resume,
        )  # fmt: skip
    schooling = run.stage("teacher")
    teacher, teacher_card = teach(
        store, train, name, recipe, schooling,
        encoders=encoders, seed=work.seed + 2, machine=machine, resume=work.resume,
    )  # fmt: skip
    student, card = learn_from(
        teacher, store, train, name, recipe, run, seed=work.seed + 3, machine=machine, resume=work.resume
    )
    found = set_side_by_side(teacher, student, work, machine.device, now)
    run.write_json("teacher.json", found)  # before the evaluation, whose report shows it
    if (work.test & (np.asarray(store.labels) >= 0)).any():
        evaluate_run(schooling, teacher, teacher_card, store, train, work.test, machine.device)
        evaluate_run(run, student, card, store, train, work.test, machine.device)
    seconds = sum(row["seconds"] for folder in (*encoders, schooling, run) for row in folder.results())
    text = summary_lines(found)
    run.log(text, show=False)
    answer: dict[str, object] = {
        "run": str(run.folder),
        "weights": str(run.last),
        "teacher": str(schooling.last),
        "recipe": asdict(recipe),
        "seed": work.seed,
        "split": name,
        "seconds": seconds,
        **found,
    }
    return (
        f"{text}\nthe last epochs' weights: {run.last}, {schooling.last}\nnext: amr-edge export {run.folder} --onnx",
        answer,
    )
