"""`amr-edge pretrain`, `train`, `finetune` and `distill` as functions: the same options, a typed result.

Importing this loads no torch; calling does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import require
from amr_edge.training.tasks.results import (
    CrossValidationResult,
    DistillResult,
    FoldResult,
    PretrainResult,
    TrainResult,
)

if TYPE_CHECKING:
    from amr_edge.training.tasks.results import Outcome

__all__ = ["CrossValidationResult", "DistillResult", "FoldResult", "PretrainResult", "TrainResult"]
__all__ += ["distill", "finetune", "leave_one_out", "pretrain", "train"]

RUNS = Path("runs")
Settings = Mapping[str, object]


def pretrain(
    data: str | Path | None = None,
    *,
    recipe: str | None = None,
    split: str = "all",
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    accumulate: int = 1,
    compile: bool = False,  # noqa: A002 - the option's own word
    time_limit_s: float = 0.0,
    threads: int | None = None,
    tensorboard: bool = False,
    project: str | Path = RUNS,
    name: str | None = None,
    resume: str | Path | None = None,
) -> PretrainResult:
    """Pre-train an encoder by masked reconstruction; labels are not looked at.

    Args:
        data: A store that `convert` wrote; may be left away with `resume`.
        recipe: "amr", "mamp", "skeletonmae" (the papers' size), or with "-small"; None is "amr-small".
        split: Learn from its training part only; "all" takes all.
        settings: Fields of the recipe that are set otherwise: {"pretrain.optim.epochs": 30}.
        seed: Of all randomness.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        precision: "auto", "bf16" or "fp32".
        accumulate: Micro-batches to a step, to save memory.
        compile: Compile the model.
        time_limit_s: Stop, ready to go on, after so many seconds; 0 never does.
        threads: CPU threads; None is torch's choice.
        tensorboard: Write TensorBoard events into the run.
        project: The folder that holds all runs.
        name: Of the run's folder; None is the recipe's.
        resume: A run folder to go on with.

    Raises:
        ConfigError: If an option, setting or split means nothing.
        MissingError: If torch or the device is not here.
        DataError: If the store cannot be read, or is not the one that a resumed run was begun with.
        KeyboardInterrupt: After Ctrl-C, with the last finished epoch on disk.
    """
    done = _done(
        "pretrain",
        data=data,
        recipe=recipe,
        split=split,
        settings=settings,
        seed=seed,
        device=device,
        precision=precision,
        accumulate=accumulate,
        compile=compile,
        time_limit=time_limit_s,
        threads=threads,
        tensorboard=tensorboard,
        project=project,
        name=name,
        resume=resume,
    )
    assert isinstance(done, PretrainResult)  # noqa: S101 - the verb says so
    return done


def train(
    data: str | Path | None = None,
    *,
    recipe: str | None = None,
    split: str | None = None,
    validate: str | None = None,
    labels: str | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    accumulate: int = 1,
    compile: bool = False,  # noqa: A002
    time_limit_s: float = 0.0,
    threads: int | None = None,
    tensorboard: bool = False,
    project: str | Path = RUNS,
    name: str | None = None,
    resume: str | Path | None = None,
) -> TrainResult:
    """Pre-train, fine-tune and evaluate in one run.

    Args:
        data: A store that `convert` wrote; may be left away with `resume`.
        recipe: "amr", "mamp", "skeletonmae" (the papers' size), or with "-small"; None is "amr-small".
        split: "xsub", "xview", "official", "loso:3", "random", ...; None is the first that the data offers.
        validate: Training subjects that choose the epoch: "7,9"; None takes the last epoch.
        labels: Learn from a share of every class's labels, "0.1", or from those in a file.
        settings: Fields of the recipe that are set otherwise: {"finetune.optim.epochs": 30}.
        seed: Of all randomness.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        precision: "auto", "bf16" or "fp32".
        accumulate: Micro-batches to a step, to save memory.
        compile: Compile the model.
        time_limit_s: Stop, ready to go on, after so many seconds; 0 never does.
        threads: CPU threads; None is torch's choice.
        tensorboard: Write TensorBoard events into the run.
        project: The folder that holds all runs.
        name: Of the run's folder; None is the recipe's.
        resume: A run folder to go on with.

    Raises:
        ConfigError: If an option, setting or split means nothing; "loso" for every subject is `leave_one_out`.
        MissingError: If torch or the device is not here.
        DataError: If the store cannot be read, or is not the one that a resumed run was begun with.
        KeyboardInterrupt: After Ctrl-C, with the last finished epoch on disk.
    """
    return _one(
        _done(
            "train",
            data=data,
            recipe=recipe,
            split=_single(split),
            validate=validate,
            labels=labels,
            settings=settings,
            seed=seed,
            device=device,
            precision=precision,
            accumulate=accumulate,
            compile=compile,
            time_limit=time_limit_s,
            threads=threads,
            tensorboard=tensorboard,
            project=project,
            name=name,
            resume=resume,
        )
    )


def finetune(
    data: str | Path | None = None,
    *,
    init: str | Path | PretrainResult | None = None,
    recipe: str | None = None,
    split: str | None = None,
    validate: str | None = None,
    labels: str | None = None,
    transfer: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    accumulate: int = 1,
    compile: bool = False,  # noqa: A002
    time_limit_s: float = 0.0,
    threads: int | None = None,
    tensorboard: bool = False,
    project: str | Path = RUNS,
    name: str | None = None,
    resume: str | Path | None = None,
) -> TrainResult:
    """Teach an encoder the actions in a store and evaluate it; the options of `train`, and two of its own.

    Args:
        data: A store that `convert` wrote; may be left away with `resume`.
        init: What `pretrain` gave, a run folder or a checkpoint; None starts from scratch.
        recipe: As in `train`; None is that of `init`, or "amr-small".
        split: As in `train`.
        validate: As in `train`.
        labels: As in `train`.
        transfer: Read recordings of another layout in the checkpoint's.
        settings: As in `train`.
        seed: As in `train`.
        device: As in `train`.
        precision: As in `train`.
        accumulate: As in `train`.
        compile: As in `train`.
        time_limit_s: As in `train`.
        threads: As in `train`.
        tensorboard: As in `train`.
        project: As in `train`.
        name: As in `train`.
        resume: As in `train`.

    Raises:
        ConfigError: If an option, setting or split means nothing; "loso" for every subject is `leave_one_out`.
        MissingError: If torch or the device is not here.
        DataError: If store or checkpoint cannot be read, or contradict each other.
        KeyboardInterrupt: After Ctrl-C, with the last finished epoch on disk.
    """
    return _one(
        _done(
            "finetune",
            data=data,
            init=init.run if isinstance(init, PretrainResult) else init,
            recipe=recipe,
            split=_single(split),
            validate=validate,
            labels=labels,
            transfer=transfer,
            settings=settings,
            seed=seed,
            device=device,
            precision=precision,
            accumulate=accumulate,
            compile=compile,
            time_limit=time_limit_s,
            threads=threads,
            tensorboard=tensorboard,
            project=project,
            name=name,
            resume=resume,
        )
    )


def distill(
    teacher: str | Path | TrainResult | None = None,
    data: str | Path | None = None,
    *,
    student: Literal["small", "tiny"] = "small",
    unlabelled: bool = False,
    alpha: float | None = None,
    temperature: float | None = None,
    split: str | None = None,
    validate: str | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    accumulate: int = 1,
    compile: bool = False,  # noqa: A002
    time_limit_s: float = 0.0,
    threads: int | None = None,
    tensorboard: bool = False,
    project: str | Path = RUNS,
    name: str | None = None,
    resume: str | Path | None = None,
) -> DistillResult:
    """Teach a small student what a teacher answers, and evaluate it beside the teacher.

    Args:
        teacher: What `train` or `finetune` gave, a run folder or a checkpoint; may be left away with `resume`.
        data: A store; None takes what the teacher learned from.
        student: "small" has 0.55 M parameters, "tiny" 0.2 M.
        unlabelled: Do not look at labels: learn from the teacher's answers alone.
        alpha: Share of the teacher in the loss, in [0, 1]; None is the recipe's.
        temperature: Softens the teacher's answers; None is the recipe's.
        split: As in `train`; None is the teacher's.
        validate: As in `train`.
        settings: As in `train`.
        seed: As in `train`.
        device: As in `train`.
        precision: As in `train`.
        accumulate: As in `train`.
        compile: As in `train`.
        time_limit_s: As in `train`.
        threads: As in `train`.
        tensorboard: As in `train`.
        project: As in `train`.
        name: As in `train`.
        resume: As in `train`.

    Raises:
        ConfigError: If an option, setting or split means nothing, or they contradict each other.
        MissingError: If torch or the device is not here.
        DataError: If store or teacher cannot be read, or contradict each other.
        KeyboardInterrupt: After Ctrl-C, with the last finished epoch on disk.
    """
    done = _done(
        "distill",
        teacher=teacher.run if isinstance(teacher, TrainResult) else teacher,
        data=data,
        student=student,
        unlabelled=unlabelled,
        split=split,
        validate=validate,
        settings={**distill_settings(alpha, temperature, unlabelled=unlabelled), **(settings or {})},
        seed=seed,
        device=device,
        precision=precision,
        accumulate=accumulate,
        compile=compile,
        time_limit=time_limit_s,
        threads=threads,
        tensorboard=tensorboard,
        project=project,
        name=name,
        resume=resume,
    )
    assert isinstance(done, DistillResult)  # noqa: S101 - the verb says so
    return done


def leave_one_out(
    data: str | Path | None = None,
    *,
    verb: Literal["train", "finetune"] = "train",
    init: str | Path | PretrainResult | None = None,
    recipe: str | None = None,
    validate: str | None = None,
    labels: str | None = None,
    transfer: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    accumulate: int = 1,
    compile: bool = False,  # noqa: A002
    time_limit_s: float = 0.0,
    threads: int | None = None,
    tensorboard: bool = False,
    project: str | Path = RUNS,
    name: str | None = None,
    resume: str | Path | None = None,
) -> CrossValidationResult:
    """`train` or `finetune` once for each subject, who is left out of everything: `--split loso`.

    Args:
        data: A store with labelled recordings of two known subjects or more; may be left away with `resume`.
        verb: Whether each fold pre-trains as well ("train") or only learns actions ("finetune").
        init: For "finetune": what it starts from; None starts from scratch.
        recipe: As in `train`.
        validate: As in `train`.
        labels: As in `train`.
        transfer: As in `finetune`.
        settings: As in `train`.
        seed: As in `train`.
        device: As in `train`.
        precision: As in `train`.
        accumulate: As in `train`.
        compile: As in `train`.
        time_limit_s: As in `train`.
        threads: As in `train`.
        tensorboard: As in `train`.
        project: As in `train`.
        name: As in `train`.
        resume: A folder of folds to go on with.

    Raises:
        ConfigError: If an option means nothing, there are too few subjects, or "train" is to start from somewhere.
        MissingError: If torch or the device is not here.
        DataError: If store or checkpoint cannot be read, or contradict each other.
        KeyboardInterrupt: After Ctrl-C, with every finished epoch on disk.
    """
    if verb == "train" and (init is not None or transfer):
        raise ConfigError("train pre-trains its own encoder; leave init and transfer away, or choose verb='finetune'")
    done = _done(
        verb,
        folds=True,
        data=data,
        init=init.run if isinstance(init, PretrainResult) else init,
        recipe=recipe,
        split=None if resume is not None else "loso",
        validate=validate,
        labels=labels,
        transfer=transfer,
        settings=settings,
        seed=seed,
        device=device,
        precision=precision,
        accumulate=accumulate,
        compile=compile,
        time_limit=time_limit_s,
        threads=threads,
        tensorboard=tensorboard,
        project=project,
        name=name,
        resume=resume,
    )
    assert isinstance(done, CrossValidationResult)  # noqa: S101 - the split says so, or the folder that is gone on with
    return done


def distill_settings(alpha: float | None, temperature: float | None, *, unlabelled: bool) -> dict[str, object]:
    """The settings of a recipe that `--alpha`, `--temperature` and `--unlabelled` mean.

    Raises:
        ConfigError: If labels are to be weighed that are not looked at.
    """
    if unlabelled:
        if alpha not in (None, 1.0):
            raise ConfigError(f"--unlabelled has no labels to weigh, so --alpha must be 1, got {alpha}")
        alpha = 1.0
    given = {"distill.alpha": alpha, "distill.temperature": temperature}
    return {name: value for name, value in given.items() if value is not None}


def _single(split: str | None) -> str | None:
    if split == "loso":
        raise ConfigError("split 'loso' makes one model for each subject; call leave_one_out(), or name one: 'loso:3'")
    return split


def _one(done: "Outcome") -> TrainResult:
    assert isinstance(done, TrainResult)  # noqa: S101 - the verb and the split say so
    return done


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _done(
    verb: str, *, settings: Settings | None, project: str | Path, folds: bool = False, **options: Any
) -> "Outcome":
    """Order it and do it; what Python calls `settings` is a command's --set FIELD=VALUE."""
    require("train", f"amr_edge.{verb}()")
    from amr_edge.training.engine.run_folder import RunFolder
    from amr_edge.training.tasks.run_job import Order, work_off

    for name in ("data", "resume", "init", "teacher"):
        if name in options:
            options[name] = _path(options[name])
    resume = options["resume"]
    if resume is not None and (RunFolder(resume).config().get("split") == "loso") != folds:
        # Refused here, because the difference would show only after hours of training.
        here, there = ("one run", f"{verb}()") if folds else ("a folder of folds", "leave_one_out()")
        raise ConfigError(f"{resume} is {here}; go on with {there}")
    as_text = tuple(f"{name}={_word(value)}" for name, value in (settings or {}).items())
    _, outcome = work_off(Order(verb=verb, settings=as_text, project=Path(project), **options))
    return outcome


def _word(value: object) -> str:
    """A value as --set takes it: (1, 2) as 1,2."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
