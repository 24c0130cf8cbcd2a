"""Options of the training tasks: one frozen class for each, which the command line and Python both build.

A field declares its option once: the command line takes name, default, help and choices from it
(`training.click_options`), the Python functions take their signature (`api`).
"""

# ruff: noqa: RUF009 - `option` makes a dataclass field

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from amr_edge.errors import ConfigError
from amr_edge.training.tasks.results import PretrainResult, TrainResult

RUNS = Path("runs")
EVERY_SUBJECT = "loso"  # the split's name without a subject
Location = str | Path | None


def option(default: Any, text: str, **click: object) -> Any:
    """A keyword field.

    Args:
        default: Of the option.
        text: Its help.
        click: How the command line differs: `flag`, `metavar`, `choices`, `type`, `at_least`, `path`, `argument`,
            `show_default`.
    """
    return field(default=default, metadata={"help": text, **click})


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """Options of every task.

    Attributes:
        command: The command and the function of this task.
    """

    command: ClassVar[str] = ""

    data: Location = field(
        default=None,
        kw_only=False,
        metadata={"help": "Store that `amr-edge data convert` wrote; optional with --resume.", "path": True},
    )
    settings: Mapping[str, object] | None = option(
        None,
        "Field of the recipe to set: finetune.optim.epochs=30, ...",
        flag="--set",
        metavar="FIELD=VALUE",
        multiple=True,
    )
    split: str | None = option(None, "xsub, xview, official, loso:3, random, ...; the first that fits by default.")
    seed: int = option(0, "Random seed.")
    device: str = option("auto", "auto, cpu, cuda, cuda:1, ...")
    precision: str = option("auto", "fp32, bf16, or auto: bf16 on CUDA and fp32 on a CPU.")
    threads: int | None = option(None, "CPU threads; all by default.", type=int, at_least=1)
    project: str | Path = option(RUNS, "Folder that holds all runs.", path=True)
    name: str | None = option(None, "Name of the run folder; the recipe's by default.")

    @property
    def overrides(self) -> dict[str, object]:
        """Fields of the recipe that are set, with those that have an option of their own."""
        return dict(self.settings or {})

    @property
    def data_path(self) -> Path | None:
        """`data` as a path."""
        return None if self.data is None else Path(self.data)


@dataclass(frozen=True, kw_only=True)
class ResumableOptions(TaskOptions):
    """A task that can be stopped and resumed."""

    time_limit_s: float = option(
        0.0, "Stop after this many seconds; resumable. 0 never stops.",
        flag="--time-limit", metavar="SECONDS", show_default=False,
    )  # fmt: skip
    resume: Location = option(None, "Run folder to resume.", path=True)

    @property
    def resume_path(self) -> Path | None:
        """`resume` as a path."""
        return None if self.resume is None else Path(self.resume)


@dataclass(frozen=True, kw_only=True)
class LearningOptions(ResumableOptions):
    """Options that `pretrain`, `finetune`, `train` and `distill` share."""

    accumulate: int = option(1, "Micro-batches per step, to save memory.")
    compile: bool = option(default=False, text="Compile the model; pays on long runs.")
    tensorboard: bool = option(default=False, text="Write TensorBoard events into the run folder.")


_RECIPE = "amr, mamp, skeletonmae (the papers' size), or -small; amr-small by default, with --init the checkpoint's."
_VALIDATE = "Training subjects, 7,9, that choose the best epoch; without them the last epoch counts."
_LABELS = "Use only a share of every class's labels, 0.1, or the labels listed in FILE."
_TRANSFER = "Read recordings of another layout in the checkpoint's layout."


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(LearningOptions):
    """Options of `pretrain`."""

    command: ClassVar[str] = "pretrain"

    split: str | None = option("all", "Pre-train on the training part of this split only; all takes every clip.")
    recipe: str | None = option(None, "amr, mamp, skeletonmae (the papers' size), or -small; amr-small by default.")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(LearningOptions):
    """Options of `train`; `finetune` has two more."""

    command: ClassVar[str] = "train"

    split: str | None = option(None, "xsub, xview, loso:3, random, ...; loso leaves out one subject after the other.")
    recipe: str | None = option(None, _RECIPE)
    validate: str | None = option(None, _VALIDATE, metavar="SUBJECTS")
    labels: str | None = option(None, _LABELS, metavar="SHARE|FILE")


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(TrainOptions):
    """Options of `finetune`."""

    command: ClassVar[str] = "finetune"

    init: str | Path | PretrainResult | TrainResult | None = option(
        None, "Run folder or checkpoint to start from; from scratch by default.", path=True
    )
    transfer: bool = option(default=False, text=_TRANSFER)


@dataclass(frozen=True, kw_only=True)
class CrossValidationOptions(FinetuneOptions):
    """Options of `leave_one_out`.

    Raises:
        ConfigError: If "train" is to start from a checkpoint, or another split is given.
    """

    split: str | None = option(EVERY_SUBJECT, "loso: one fold for each subject.")
    verb: Literal["train", "finetune"] = option("train", "Whether each fold pre-trains as well, or only fine-tunes.")

    def __post_init__(self) -> None:
        if self.verb == "train" and (self.init is not None or self.transfer):
            raise ConfigError(
                "train pre-trains its own encoder; leave init and transfer away, or choose verb='finetune'"
            )
        if self.split != EVERY_SUBJECT:
            raise ConfigError(f"leave_one_out() has the split 'loso', got '{self.split}'; call {self.verb}() for one")

    def fold_options(self) -> TrainOptions:
        """The options of the command that does the same."""
        kind = TrainOptions if self.verb == "train" else FinetuneOptions
        return kind(**{each.name: getattr(self, each.name) for each in fields(kind)})


@dataclass(frozen=True, kw_only=True)
class _TeacherOptions:
    """The positional option of `distill`."""

    teacher: str | Path | TrainResult | None = field(
        default=None,
        kw_only=False,
        metadata={"help": "Run folder or checkpoint of a fine-tuned model.", "path": True, "argument": True},
    )


@dataclass(frozen=True, kw_only=True)
class DistillOptions(LearningOptions, _TeacherOptions):
    """Options of `distill`.

    Raises:
        ConfigError: If labels are to be weighed that are not looked at.
    """

    command: ClassVar[str] = "distill"

    student: Literal["small", "tiny"] = option(
        "small", "Size of the student: 0.55 M or 0.2 M parameters.", choices=("small", "tiny")
    )
    unlabelled: bool = option(default=False, text="Ignore labels: learn from the teacher's predictions alone.")
    alpha: float | None = option(
        None, "Weight of the teacher in the loss, 0.7 by default; the labels have the rest.", type=float
    )
    temperature: float | None = option(
        None, "Softmax temperature of the teacher's predictions, 4 by default.", type=float
    )
    validate: str | None = option(None, _VALIDATE, metavar="SUBJECTS")

    def __post_init__(self) -> None:
        if self.unlabelled and self.alpha not in (None, 1.0):
            raise ConfigError(f"--unlabelled has no labels to weigh, so --alpha must be 1, got {self.alpha}")

    @property
    def overrides(self) -> dict[str, object]:
        """Fields of the recipe that are set, with those that have an option of their own."""
        alpha = 1.0 if self.unlabelled else self.alpha
        given = {"distill.alpha": alpha, "distill.temperature": self.temperature}
        return {**{name: value for name, value in given.items() if value is not None}, **(self.settings or {})}


@dataclass(frozen=True, kw_only=True)
class _InitOptions:
    """The positional option of `probe`."""

    init: str | Path | PretrainResult | TrainResult | None = field(
        default=None,
        kw_only=False,
        metadata={"help": "Run folder or checkpoint.", "path": True, "argument": True, "required": True},
    )


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(TaskOptions, _InitOptions):
    """Options of `probe`; `settings` are fields of `ProbeConfig`."""

    command: ClassVar[str] = "probe"

    settings: Mapping[str, object] | None = option(
        None,
        "Field of the probe to set: views=0 (new ones every epoch), lr=0.3.",
        flag="--set",
        metavar="FIELD=VALUE",
        multiple=True,
    )
    name: str | None = option(None, "Name of the run folder; the checkpoint's by default.")
    validate: str | None = option(None, _VALIDATE, metavar="SUBJECTS")
    labels: str | None = option(None, _LABELS, metavar="SHARE|FILE")
    transfer: bool = option(default=False, text=_TRANSFER)
    knn: bool = option(default=False, text="Use the 1, 5 and 20 nearest clips instead of training a linear layer.")
    budget: float = option(1.0, "Share of a body's tokens that the encoder sees.")
    variant: str = option("mamp", "mamp (batch norm, lr 0.1) or amr (none, lr 0.01).")


def run_location(place: str | Path | PretrainResult | TrainResult) -> Path:
    """The run folder of a result; a path as it is."""
    return place.run if isinstance(place, PretrainResult | TrainResult) else Path(place)
