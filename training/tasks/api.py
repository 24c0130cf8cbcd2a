"""`pretrain`, `train`, `finetune`, `distill` and `leave_one_out` as functions: the commands' options, a typed result.

Importing this loads no torch; calling does.
"""

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from typing import ParamSpec, TypeVar, cast

from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import require
from amr_edge.training.tasks.options import (
    EVERY_SUBJECT,
    CrossValidationOptions,
    DistillOptions,
    FinetuneOptions,
    LearningOptions,
    PretrainOptions,
    TrainOptions,
)
from amr_edge.training.tasks.results import (
    CrossValidationResult,
    DistillResult,
    FoldResult,
    PretrainResult,
    TrainResult,
)

__all__ = ["CrossValidationResult", "DistillResult", "FoldResult", "PretrainResult", "TrainResult"]
__all__ += ["distill", "finetune", "leave_one_out", "pretrain", "train"]

P = ParamSpec("P")
Result = TypeVar("Result", PretrainResult, TrainResult, DistillResult, CrossValidationResult)

_RAISES = """
    Raises:
        ConfigError: If an option, setting or split means nothing, or they contradict each other.
        MissingError: If torch or the device is not here.
        DataError: If store or checkpoint cannot be read, or is not the one that a resumed run was begun with.
        KeyboardInterrupt: After Ctrl-C, with the last finished epoch on disk.
    """


def _function(name: str, options: Callable[P, LearningOptions], result: type[Result], text: str) -> Callable[P, Result]:
    """A function with the parameters of an options class that runs the task."""

    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        given = options(*args, **kwargs)
        require("train", f"amr_edge.{name}()")
        from amr_edge.training.tasks.run_job import run_task

        _check_folds(given, name)
        _, outcome = run_task(given.fold_options() if isinstance(given, CrossValidationOptions) else given)
        assert isinstance(outcome, result)  # noqa: S101 - the options say so
        return outcome

    declared = fields(cast("type[LearningOptions]", options))
    described = "\n".join(f"        {each.name}: {each.metadata['help']}" for each in declared)
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{text}\n\n    Args:\n{described}\n{_RAISES}"
    call.__signature__ = signature(options).replace(return_annotation=result)  # type: ignore[attr-defined]
    return call


def _check_folds(options: LearningOptions, name: str) -> None:
    """Refuse folds where one run is made and the reverse: the difference would show only after hours of training."""
    from amr_edge.training.engine.run_folder import RunFolder

    folds = isinstance(options, CrossValidationOptions)
    if not folds and isinstance(options, TrainOptions) and options.split == EVERY_SUBJECT:
        raise ConfigError("split 'loso' makes one model for each subject; call leave_one_out(), or name one: 'loso:3'")
    if options.resume_path is None:
        return
    if (RunFolder(options.resume_path).config().get("split") == EVERY_SUBJECT) != folds:
        verb = options.verb if isinstance(options, CrossValidationOptions) else name
        here, there = ("one run", f"{verb}()") if folds else ("a folder of folds", "leave_one_out()")
        raise ConfigError(f"{options.resume_path} is {here}; go on with {there}")


pretrain = _function(
    "pretrain", PretrainOptions, PretrainResult, "Pre-train an encoder by masked reconstruction, without labels."
)
train = _function("train", TrainOptions, TrainResult, "Pre-train, fine-tune and evaluate in one run.")
finetune = _function(
    "finetune", FinetuneOptions, TrainResult, "Fine-tune an encoder on the actions in a store and evaluate it."
)
distill = _function(
    "distill",
    DistillOptions,
    DistillResult,
    "Train a small student on a teacher's predictions; without `data` on the recordings that the teacher learned from.",
)
leave_one_out = _function(
    "leave_one_out",
    CrossValidationOptions,
    CrossValidationResult,
    "`train` or `finetune` once for each subject, who is left out of everything: `--split loso`.",
)
