"""Training jobs: options resolved to data, split, recipe and run folder, everything checked and nothing computed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar, cast

import numpy as np

from amr_edge.data.splits import available_splits, split
from amr_edge.data.store import Store, open_store
from amr_edge.errors import ConfigError, DataError
from amr_edge.skeleton import Mask
from amr_edge.training.config import Recipe, override, recipe, student
from amr_edge.training.data.batch import fit_to_data
from amr_edge.training.data.label_subsets import (
    FILE,
    Subset,
    load_subset,
    require_all_classes,
    resolve_subset,
    save_subset,
)
from amr_edge.training.engine.device import RunOptions, choose_device, choose_precision
from amr_edge.training.engine.run_folder import RunFolder, new_run, selected_checkpoint
from amr_edge.training.tasks.init_checkpoint import (
    InitCheckpoint,
    check_clips,
    check_unchanged,
    continued,
    open_origin,
    recipe_name,
    train_test_overlap,
)
from amr_edge.training.tasks.options import (
    DistillOptions,
    FinetuneOptions,
    LearningOptions,
    PretrainOptions,
    ProbeOptions,
    ResumableOptions,
    TaskOptions,
    TrainOptions,
    run_location,
)
from amr_edge.training.tasks.teacher import (
    Teacher,
    check_student,
    open_teacher,
    teacher_data,
    teacher_split,
    teacher_train_overlap,
    with_teacher_classes,
)

AnyRecipe = TypeVar("AnyRecipe")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitMasks:
    """Training, test and validation masks, with notes.

    Attributes:
        train: (N,) bool.
        test: (N,) bool.
        validation: (N,) bool, outside both; None if the last epoch counts.
        notes: Sentences for the log.
    """

    train: Mask
    test: Mask
    validation: Mask | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainJob(Generic[AnyRecipe]):
    """A run that is ready to start or to resume.

    Attributes:
        store: The recordings; those of a student have the teacher's classes.
        split: Name of the split.
        masks: Its parts.
        recipe: Settings, fitted to the data.
        run: Where weights and results go.
        machine: Device, precision and time limit.
        seed: Random seed.
        command: The command whose stages are run.
        init: The checkpoint to start from; None starts from scratch.
        subset: The labelled clips that may be used; None for all of the training part.
        resume: Go on from the run's state.
        validate: The subjects that choose the epoch.
        teacher: The teacher of a student.
        unlabelled: Whether a student ignores labels.
    """

    store: Store
    split: str
    masks: SplitMasks
    recipe: AnyRecipe
    run: RunFolder
    machine: RunOptions
    seed: int = 0
    command: str = "train"
    init: Path | None = None
    subset: Subset | None = None
    resume: bool = False
    validate: str | None = None
    teacher: Teacher | None = None
    unlabelled: bool = False

    @property
    def selected_by(self) -> str:
        """Criterion for the evaluated epoch: "last", or validation subjects; never the test part."""
        return "last" if self.validate is None else f"validation subjects {self.validate}"

    def with_recipe(self, recipe: Other) -> "TrainJob[Other]":
        """The same job with a recipe of another kind."""
        return replace(cast("TrainJob[Other]", self), recipe=recipe)

    @property
    def labelled_test(self) -> Mask:
        """(N,) bool, the clips of the test part that have a label."""
        mask: Mask = self.masks.test & (self.store.labels >= 0)
        return mask


def run_options(options: TaskOptions) -> RunOptions:
    """Device, precision and limits of a task."""
    device = choose_device(options.device)
    made = RunOptions(device=device, precision=choose_precision(options.precision, device))
    if isinstance(options, ResumableOptions):
        made = replace(made, time_limit_s=options.time_limit_s)
    if isinstance(options, LearningOptions):
        made = replace(made, accumulate=options.accumulate, compile=options.compile, tensorboard=options.tensorboard)
    return made


def open_data(options: TaskOptions, otherwise: Path | None = None) -> Store:
    """The recordings that the options name.

    Raises:
        ConfigError: If they name none.
    """
    data = options.data_path or otherwise
    if data is None:
        raise ConfigError("--data is missing; `amr-edge data convert SRC DST.npz` makes the file it wants")
    return open_store(data)


def reopen(
    options: ResumableOptions, folder: Path, store: Store | None = None
) -> tuple[RunFolder, dict[str, object], Store]:
    """A run folder to resume, its config and its recordings, if they are not open already.

    Raises:
        ConfigError: If it is a run of another command.
        DataError: If the recordings are not those that it was started with.
    """
    run = RunFolder(folder)
    config = run.config()
    if config.get("verb") != options.command:
        raise ConfigError(f"{folder} is a run of `amr-edge {config.get('verb')}`; resume it with that command")
    store = store or open_store(options.data_path or Path(str(config.get("data"))))
    if store.content_hash != config.get("data_hash"):
        raise DataError(f"{store.path} is not the data that {folder} was started with; give the same file with --data")
    return run, config, store


def _validation(store: Store, train: Mask, subjects: str) -> Mask:
    try:
        chosen = [int(number) for number in subjects.split(",")]
    except ValueError as cause:
        raise ConfigError(f"--validate expects subject numbers like 7,9, got '{subjects}'") from cause
    held_out: Mask = train & np.isin(store.subjects, chosen) & (store.labels >= 0)
    rest = train & ~np.isin(store.subjects, chosen)
    if not held_out.any() or not rest.any():
        raise ConfigError(f"--validate {subjects} must leave clips on both sides; the training part has {train.sum()}")
    return held_out


def split_masks(
    store: Store, name: str, *, seed: int, validate: str | None = None, trains_classifier: bool = False
) -> SplitMasks:
    """The sides of a split, with the subjects that choose the epoch taken out of its training part.

    Args:
        store: The recordings.
        name: The split; "all" learns from everything and tests on nothing.
        seed: Of a random split.
        validate: Subject numbers like "7,9", or None.
        trains_classifier: Labels will be learned from, so every class must be in the training part.

    Raises:
        ConfigError: If the split does not exist, validation empties a side, or a class has no training clip.
    """
    notes: tuple[str, ...] = ()
    if name == "all":
        train = np.ones(len(store), dtype=np.bool_)
        test = ~train
    else:
        chosen = split(store, name, seed=seed)
        train, test, notes = chosen.train, chosen.test, chosen.warnings
    validation = None
    if validate is not None:
        validation = _validation(store, train, validate)
        # Everybody who validates goes, labelled or not: pre-training must not see them either.
        train = train & ~np.isin(store.subjects, np.unique(store.subjects[validation]))
    if trains_classifier and (train & (store.labels >= 0)).any():
        require_all_classes(store, train, name)
    return SplitMasks(train=train, test=test, validation=validation, notes=notes)


def open_init(options: TaskOptions) -> InitCheckpoint | None:
    """The checkpoint that the options start from.

    Raises:
        ConfigError: If a transfer was requested without a checkpoint.
    """
    if not isinstance(options, FinetuneOptions | ProbeOptions):
        return None
    if options.init is None:
        if options.transfer:
            raise ConfigError("--transfer reads recordings as a checkpoint wants them; give one with --init")
        return None
    return open_origin(selected_checkpoint(run_location(options.init)))


def choose_labels(labels: str | None, store: Store, train: Mask, split: str, seed: int) -> Subset | None:
    """The labelled clips that `--labels` allows; None for all.

    Raises:
        ConfigError: If a class is left without a label.
    """
    if labels is None:
        return None
    subset = resolve_subset(labels, store, train, split, seed)
    require_all_classes(store, subset.mask(len(store)), split)
    return subset


def _fitted(options: LearningOptions, origin: InitCheckpoint | None, store: Store, train: Mask) -> Recipe:
    """The requested recipe, fitted to the data or to the checkpoint; what was set by hand stays as it was set."""
    requested = options.recipe if isinstance(options, PretrainOptions | TrainOptions) else None
    base = recipe(requested or ("amr-small" if origin is None else recipe_name(origin)))
    if origin is not None:
        base = continued(base, origin)
    made = override(base, options.overrides)
    # The window is the data's own even with a checkpoint: training stretches these clips, so live must cut the like.
    kept = {name for name in ("layout", "window_s", "scale", "view") if f"prepare.{name}" in options.overrides}
    if origin is not None:
        kept |= {"layout", "scale", "view"}
        check_unchanged(made, origin)
    fitted = fit_to_data(made.prepare, store, train)
    prepare = replace(fitted, **{name: getattr(made.prepare, name) for name in kept})
    return replace(made, prepare=prepare, persons=min(made.persons, int(store.persons.max())))


def _student_recipe(options: DistillOptions, teacher: Teacher) -> Recipe:
    made = override(student(options.student, teacher.card.prepare, teacher.card.persons), options.overrides)
    check_student(made, teacher)
    return made


def _open_teacher(options: LearningOptions, recorded: object = None) -> Teacher | None:
    """The teacher of `distill`, by default the one that a resumed run has recorded."""
    if not isinstance(options, DistillOptions):
        return None
    if options.teacher is None and recorded is None:
        raise ConfigError("TEACHER is missing; give the run folder or the checkpoint of a fine-tuned model")
    return open_teacher(selected_checkpoint(run_location(options.teacher or Path(str(recorded)))))


def create_job(
    options: LearningOptions, *, store: Store | None = None, into: RunFolder | None = None
) -> TrainJob[Recipe]:
    """A job that starts now, with its settings written to its run folder.

    Args:
        options: What was requested.
        store: The recordings, if they are open already.
        into: Where to write; None makes a new run folder.
    """
    teacher = _open_teacher(options)
    unlabelled = isinstance(options, DistillOptions) and options.unlabelled
    if store is None:
        store = open_data(options, None if teacher is None else teacher_data(teacher))
    data_hash = store.content_hash  # of the file, before a teacher renames its classes
    name = options.split
    if teacher is not None:
        store = with_teacher_classes(store, teacher, unlabelled=unlabelled)
        name = name or teacher_split(teacher, store)
    name = name or ("all" if unlabelled else available_splits(store)[0])
    validate = options.validate if isinstance(options, TrainOptions | DistillOptions) else None
    masks = split_masks(
        store, name, seed=options.seed, validate=validate, trains_classifier=isinstance(options, TrainOptions)
    )
    notes = masks.notes
    origin = open_init(options)
    if teacher is not None and isinstance(options, DistillOptions):
        made = _student_recipe(options, teacher)
        notes += teacher_train_overlap(teacher, store, masks.test)
    else:
        made = _fitted(options, origin, store, masks.train)
    if origin is not None:
        transfer = isinstance(options, FinetuneOptions) and options.transfer
        notes += check_clips(origin, made.prepare, store, transfer=transfer)
        notes += train_test_overlap(origin, store, masks.test)
    labels = options.labels if isinstance(options, TrainOptions) else None
    subset = choose_labels(labels, store, masks.train, name, options.seed)
    if masks.validation is None and made.finetune.optim.patience and not isinstance(options, PretrainOptions):
        # Refused here, because `train` would come to it only after hours of pre-training.
        raise ConfigError(
            f"finetune.optim.patience={made.finetune.optim.patience} needs validation subjects; name them with "
            "--validate, or leave it at 0"
        )
    machine = run_options(options)
    job = TrainJob(
        store=store,
        split=name,
        masks=masks,
        recipe=made,
        run=into or new_run(Path(options.project), options.command, options.name or made.name),
        machine=machine,
        seed=options.seed,
        command=options.command,
        init=None if origin is None else origin.path,
        subset=subset,
        validate=validate,
        teacher=teacher,
        unlabelled=unlabelled,
    )
    _write_settings(job, data_hash)
    log_start(job, notes)
    return job


def _write_settings(job: TrainJob[Recipe], data_hash: str) -> None:
    settings: dict[str, object] = {
        "verb": job.command,
        "data": str(job.store.path.resolve()),
        "data_hash": data_hash,
        "split": job.split,
        "seed": job.seed,
        "init": None if job.init is None else str(job.init.resolve()),
        "validate": job.validate,
        "labels": None if job.subset is None else job.subset.to_dict(),
    }
    if job.teacher is not None:
        settings["teacher"] = str(job.teacher.path.resolve())
        settings["teacher_sha256"] = job.teacher.sha256
        settings["unlabelled"] = job.unlabelled
    if job.subset is not None:
        save_subset(job.subset, job.run.folder / FILE)
    job.run.write_settings(job.recipe, settings)


def log_start(job: TrainJob[AnyRecipe], notes: tuple[str, ...]) -> None:
    """Log where a job writes, what it learns from, and notes."""
    job.run.log(f"run: {job.run.folder}")
    clips = f"{int(job.masks.train.sum())} clips to learn from, {int(job.masks.test.sum())} to test on"
    job.run.log(f"data: {job.store.path}, {clips} (split {job.split})")
    if job.subset is not None:
        job.run.log(f"labels: {job.subset.sentence()}")
    for sentence in notes:
        job.run.log(f"note: {sentence}")


def resume_job(options: LearningOptions, folder: Path, *, store: Store | None = None) -> TrainJob[Recipe]:
    """A job that goes on from where a run folder stopped.

    Args:
        options: What was requested; data, device and limits count, the rest is the run's own.
        folder: The run.
        store: Its recordings, if they are open already.
    """
    run, config, store = reopen(options, folder, store)
    made, _ = run.read_settings()
    unlabelled = config.get("unlabelled") is True
    teacher = _open_teacher(options, config.get("teacher"))
    if teacher is not None:
        if teacher.sha256 != config["teacher_sha256"]:
            raise DataError(f"{teacher.path} is not the teacher that {folder} was started with; give the same file")
        store = with_teacher_classes(store, teacher, unlabelled=unlabelled)
    name, seed = str(config["split"]), int(str(config["seed"]))
    validate = None if config["validate"] is None else str(config["validate"])
    masks = split_masks(store, name, seed=seed, validate=validate, trains_classifier=False)
    return TrainJob(
        store=store,
        split=name,
        masks=masks,
        recipe=made,
        run=run,
        machine=run_options(options),
        seed=seed,
        command=options.command,
        init=Path(str(config["init"])) if config["init"] else None,
        subset=load_subset(run.folder / FILE, store, masks.train, name) if config.get("labels") else None,
        resume=True,
        validate=validate,
        teacher=teacher,
        unlabelled=unlabelled,
    )
