"""What `amr-edge asma` does, from an order to a finished run: two encoders, a teacher, a student, a report."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from amr_edge.data.clips import Clips
from amr_edge.data.splits import available_splits
from amr_edge.errors import ConfigError, DataError
from amr_edge.metrics import score
from amr_edge.skeleton import layout
from amr_edge.training.asma.config import SIDES, AsmaRecipe, asma_recipe, from_dict
from amr_edge.training.asma.options import AsmaOptions
from amr_edge.training.asma.stages import AsmaJob, pretrain_side, train_student, train_teacher
from amr_edge.training.config import override
from amr_edge.training.data.batch import Batch, fit_to_data, to_batch
from amr_edge.training.engine.distributed import world
from amr_edge.training.engine.interrupts import OutOfTimeError
from amr_edge.training.engine.run_folder import environment, new_run
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.stgcn import GraphEncoder
from amr_edge.training.models.stgcn import macs as graph_macs
from amr_edge.training.models.token_selection import macs
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.tasks.evaluate import evaluate_run
from amr_edge.training.tasks.job import TrainJob, log_start, open_data, reopen, run_options, split_masks
from amr_edge.training.tasks.predict import predict

TURNS = 20  # in which teacher and student are timed, one after the other
PER_TURN = 5  # predictions in a turn


def create_job(options: AsmaOptions) -> AsmaJob:
    """A job that starts now, with its settings written to its run folder."""
    store = open_data(options)
    name = options.split or available_splits(store)[0]
    masks = split_masks(store, name, seed=options.seed)
    made = override(asma_recipe(options.recipe), options.overrides)
    persons = min(made.persons, int(store.persons.max()))
    made = replace(made, prepare=fit_to_data(made.prepare, store, masks.train), persons=persons)
    if not (masks.train & (store.labels >= 0)).any():
        raise DataError(
            f"{store.path}: no recording of the training part has a label, and the teacher's linear probe needs some; "
            "`amr-edge pretrain` learns without"
        )
    machine = run_options(options)
    run = new_run(Path(options.project), "asma", options.name or made.name)
    settings = {
        "verb": "asma",
        "data": str(store.path.resolve()),
        "data_hash": store.content_hash,
        "split": name,
        "seed": options.seed,
    }
    for folder in (run, run.stage("teacher")):
        # Both hold a model that can be evaluated and exported on the same recordings.
        folder.write_json("config.json", {**settings, "asma": asdict(made)})
    run.write_json("environment.json", environment())
    job = TrainJob(
        store=store, split=name, masks=masks, recipe=made, run=run, machine=machine, seed=options.seed, command="asma"
    )
    log_start(job, masks.notes)
    return job


def resume_job(options: AsmaOptions, folder: Path) -> AsmaJob:
    """A job that goes on from where a run folder stopped."""
    run, config, store = reopen(options, folder)
    settings, name, seed = config.get("asma"), str(config.get("split")), int(str(config.get("seed", 0)))
    if not isinstance(settings, dict):
        raise ConfigError(f"{folder / 'config.json'}: has no settings of ASMa; name a run folder of `amr-edge asma`")
    return TrainJob(
        store=store,
        split=name,
        masks=split_masks(store, name, seed=seed),
        recipe=from_dict(AsmaRecipe, settings),
        run=run,
        machine=run_options(options),
        seed=seed,
        command="asma",
        resume=True,
    )


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
        Median milliseconds of a prediction of `one` and of `other`, and the median over turns of their ratio.
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


def compare(teacher: Classifier, student: Classifier, job: AsmaJob, now: Callable[[], float]) -> dict[str, float]:
    """Teacher and student on the same whole clips: size, pace, agreement and, where there are labels, top-1."""
    store, recipe, device = job.store, job.recipe, job.machine.device
    which = job.labelled_test if job.labelled_test.any() else job.masks.train
    clips = Clips(store, which, recipe.prepare, recipe.persons)
    theirs, own = predict(teacher, clips, device), predict(student, clips, device)  # (N, K)
    large, small = parameters(teacher), parameters(student)
    shape = (recipe.prepare.frames, len(layout(recipe.prepare.layout)))
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
    if job.labelled_test.any():
        found["teacher_top1"] = score(theirs, clips.labels).top1
        found["student_top1"] = score(own, clips.labels).top1
    return found


def summary_lines(found: dict[str, float]) -> str:
    """Format the result of `compare`."""
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


def run_asma(options: AsmaOptions, *, now: Callable[[], float] = time.perf_counter) -> tuple[str, dict[str, object]]:
    """Resolve options to a job and run it.

    Args:
        options: What was requested.
        now: A clock, seconds.

    Returns:
        A summary for a person, and the same for a program.

    Raises:
        KeyboardInterrupt: After Ctrl-C, with everything on disk and the command to resume printed.
        OutOfTimeError: After the time limit, likewise.
    """
    if world().size > 1:
        # The norms and the correlations are a batch's, and a batch would be split among the processes.
        raise ConfigError("`amr-edge asma` runs in one process; start it without torchrun")
    if options.threads:
        torch.set_num_threads(options.threads)
    folder = options.resume_path
    job = create_job(options) if folder is None else resume_job(options, folder)
    try:
        return run_job(job, now)
    except (KeyboardInterrupt, OutOfTimeError):
        job.run.log(f"go on with: amr-edge asma --resume {job.run.folder}")
        raise


def run_job(job: AsmaJob, now: Callable[[], float] = time.perf_counter) -> tuple[str, dict[str, object]]:
    """Run the stages: two encoders, the teacher, the student, and the comparison of the two; see `run_asma`."""
    store, masks, run = job.store, job.masks, job.run
    encoders = (run.stage(SIDES[0]), run.stage(SIDES[1]))
    for index, (side, folder) in enumerate(zip(SIDES, encoders, strict=True)):
        # Seeds far apart, so that the two encoders do not start alike and the runs of neighbouring seeds do not meet.
        pretrain_side(side, replace(job, run=folder, seed=job.seed + 1000 * index))
    teacher_run = run.stage("teacher")
    teacher, teacher_card = train_teacher(replace(job, run=teacher_run, seed=job.seed + 2), encoders)
    student, card = train_student(replace(job, seed=job.seed + 3), teacher)
    found = compare(teacher, student, job, now)
    run.write_json("teacher.json", found)  # before the evaluation, whose report shows it
    if job.labelled_test.any():
        for each, model, its_card in ((teacher_run, teacher, teacher_card), (run, student, card)):
            evaluate_run(each, model, its_card, store, masks.train, masks.test, job.machine.device)
    seconds = sum(row["seconds"] for folder in (*encoders, teacher_run, run) for row in folder.results())
    text = summary_lines(found)
    run.log(text, show=False)
    result: dict[str, object] = {
        "run": str(run.folder),
        "weights": str(run.selected),
        "teacher": str(teacher_run.selected),
        "recipe": asdict(job.recipe),
        "seed": job.seed,
        "split": job.split,
        "seconds": seconds,
        **found,
    }
    weights = f"the last epochs' weights: {run.selected}, {teacher_run.selected}"
    return f"{text}\n{weights}\nnext: amr-edge export {run.folder} --onnx", result
