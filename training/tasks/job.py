"""From what a person typed to work that is ready to go: everything decided, everything checked, nothing computed."""

from dataclasses import dataclass, replace
from pathlib import Path

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
from amr_edge.training.tasks.distill import (
    Teacher,
    check_student,
    data_of,
    open_teacher,
    split_of,
    teacher_train_overlap,
    with_teacher_classes,
)
from amr_edge.training.tasks.init_checkpoint import (
    InitCheckpoint,
    check_clips,
    check_unchanged,
    continued,
    open_origin,
    recipe_name,
    train_test_overlap,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Options of `amr-edge pretrain`, `finetune`, `train`, `distill` and `probe`."""

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
    labels: str | None = None
    transfer: bool = False
    recipe: str | None = None
    teacher: Path | None = None
    student: str = ""
    unlabelled: bool = False
    precision: str = "auto"
    accumulate: int = 1
    compile: bool = False
    time_limit: float = 0.0
    tensorboard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitMasks:
    """Training, test and validation masks, with notes.

    Attributes:
        train: (N,) bool.
        test: (N,) bool.
        validation: (N,) bool, outside both; None if the last epoch counts.
        notes: Sentences.
    """

    train: Mask
    test: Mask
    validation: Mask | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """A run that is ready to go.

    Attributes:
        store: The recordings.
        split: What its sides are called.
        sides: Them.
        subset: The labels that may be looked at; None for all of the training part.
        recipe: Settings, fitted to the data.
        run: Where it writes.
        seed: Of all randomness.
        machine: What it computes on.
        init: The checkpoint it starts from.
        resume: Go on from the run's state.
        validate: The subjects that choose the epoch.
        teacher: Whom a student learns from.
        unlabelled: A student that does not look at labels.
    """

    store: Store
    split: str
    sides: SplitMasks
    subset: Subset | None
    recipe: Recipe
    run: RunFolder
    seed: int
    machine: RunOptions
    init: Path | None
    resume: bool
    validate: str | None = None
    teacher: Teacher | None = None
    unlabelled: bool = False

    @property
    def chosen_by(self) -> str:
        """Criterion for the reported epoch: never the test part."""
        return "last" if self.validate is None else f"validation subjects {self.validate}"


def machine_of(order: Order) -> RunOptions:
    """Device and precision of the job."""
    device = choose_device(order.device)
    return RunOptions(
        device=device,
        precision=choose_precision(order.precision, device),
        accumulate=order.accumulate,
        compile=order.compile,
        time_limit_s=order.time_limit,
        tensorboard=order.tensorboard,
    )


def store_of(order: Order, otherwise: Path | None = None) -> Store:
    """The recordings that the order names."""
    data = order.data or otherwise
    if data is None:
        raise ConfigError("--data is missing; `amr-edge data convert SRC DST.npz` makes the file it wants")
    return open_store(data)


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


def sides_of(store: Store, name: str, *, seed: int, validate: str | None, trains_classifier: bool) -> SplitMasks:
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


def _teacher(order: Order) -> Teacher | None:
    """Whom a student learns from, on the data that the order names or else on the teacher's own."""
    if order.verb != "distill":
        return None
    if order.teacher is None:
        raise ConfigError("TEACHER is missing; give the run folder or the checkpoint of a fine-tuned model")
    return open_teacher(selected_checkpoint(order.teacher))


def _fitted(order: Order, origin: InitCheckpoint | None, store: Store, train: Mask) -> Recipe:
    """The requested recipe, fitted to the data or to the checkpoint; what was set by hand stays as it was set."""
    base = recipe(order.recipe or ("amr-small" if origin is None else recipe_name(origin)))
    if origin is not None:
        base = continued(base, origin)
    made = override(base, order.settings)
    by_hand = {setting.partition("=")[0] for setting in order.settings}
    # The window is the data's own even with a checkpoint: training stretches these clips, so live must cut the like.
    kept = {name for name in ("layout", "window_s", "scale", "view") if f"prepare.{name}" in by_hand}
    if origin is not None:
        kept |= {"layout", "scale", "view"}
        check_unchanged(made, origin)
    fitted = fit_to_data(made.prepare, store, train)
    prepare = replace(fitted, **{name: getattr(made.prepare, name) for name in kept})
    return replace(made, prepare=prepare, persons=min(made.persons, int(store.persons.max())))


def origin_of(order: Order) -> InitCheckpoint | None:
    """The checkpoint that the order starts from.

    Raises:
        ConfigError: If a transfer was requested without a checkpoint.
    """
    if order.init is None:
        if order.transfer:
            raise ConfigError("--transfer reads recordings as a checkpoint wants them; give one with --init")
        return None
    return open_origin(selected_checkpoint(order.init))


def fresh(order: Order, *, store: Store | None = None, into: RunFolder | None = None) -> Work:
    """Work that starts now.

    Args:
        order: What was typed.
        store: The recordings, if they are open already.
        into: Where to write; None makes a new run folder.
    """
    teacher = _teacher(order)
    if store is None:
        store = store_of(order, None if teacher is None else data_of(teacher))
    data_hash = store.content_hash  # of the file, whatever words a teacher has for it
    if teacher is not None:
        store = with_teacher_classes(store, teacher, unlabelled=order.unlabelled)
    name = order.split or (split_of(teacher, store) if teacher is not None else None)
    name = name or ("all" if order.unlabelled else available_splits(store)[0])
    trains_classifier = order.verb in ("train", "finetune")
    sides = sides_of(store, name, seed=order.seed, validate=order.validate, trains_classifier=trains_classifier)
    notes = sides.notes
    origin = origin_of(order)
    if teacher is None:
        made = _fitted(order, origin, store, sides.train)
        if origin is not None:
            notes += check_clips(origin, made.prepare, store, transfer=order.transfer) + train_test_overlap(
                origin, store, sides.test
            )
    else:
        made = override(student(order.student, teacher.card.prepare, teacher.card.persons), order.settings)
        check_student(made, teacher)
        notes += teacher_train_overlap(teacher, store, sides.test)
    subset = None
    if order.labels is not None:
        subset = resolve_subset(order.labels, store, sides.train, name, order.seed)
        require_all_classes(store, subset.mask(len(store)), name)
    if sides.validation is None and made.finetune.optim.patience and order.verb != "pretrain":
        # Refused here, because `train` would come to it only after hours of pre-training.
        raise ConfigError(
            f"finetune.optim.patience={made.finetune.optim.patience} needs validation subjects to judge by; name them "
            "with --validate, or leave it at 0"
        )
    machine = machine_of(order)
    run = into or new_run(order.project, order.verb, order.name or made.name)
    settings: dict[str, object] = {
        "verb": order.verb,
        "data": str(store.path.resolve()),
        "data_hash": data_hash,
        "split": name,
        "seed": order.seed,
        "init": None if origin is None else str(origin.path.resolve()),
        "validate": order.validate,
        "labels": None if subset is None else subset.to_dict(),
    }
    if teacher is not None:
        settings["teacher"] = str(teacher.path.resolve())
        settings["teacher_sha256"] = teacher.sha256
        settings["unlabelled"] = order.unlabelled
    if subset is not None:
        save_subset(subset, run.folder / FILE)
    run.write_settings(made, settings)
    run.log(f"run: {run.folder}")
    clips = f"{int(sides.train.sum())} clips to learn from, {int(sides.test.sum())} to test on (split {name})"
    run.log(f"data: {store.path}, {clips}")
    if subset is not None:
        run.log(f"labels: {subset.sentence()}")
    for sentence in notes:
        run.log(f"note: {sentence}")
    return Work(
        store=store,
        split=name,
        sides=sides,
        subset=subset,
        recipe=made,
        run=run,
        seed=order.seed,
        machine=machine,
        init=None if origin is None else origin.path,
        resume=False,
        validate=order.validate,
        teacher=teacher,
        unlabelled=order.unlabelled,
    )


def resumed(order: Order, folder: Path, *, store: Store | None = None) -> Work:
    """Work that goes on from where a run folder stopped.

    Args:
        order: What was typed.
        folder: The run.
        store: Its recordings, if they are open already.
    """
    run = RunFolder(folder)
    made, config_values = run.read_settings()
    if config_values.get("verb") != order.verb:
        raise ConfigError(f"{folder} is a run of `amr-edge {config_values.get('verb')}`; resume it with that command")
    if store is None:
        store = open_store(order.data or Path(str(config_values["data"])))
    if store.content_hash != config_values["data_hash"]:
        raise DataError(f"{store.path} is not the data that {folder} was started with; give the same file with --data")
    unlabelled = config_values.get("unlabelled") is True
    teacher = None
    if order.verb == "distill":
        teacher = _teacher(replace(order, teacher=order.teacher or Path(str(config_values["teacher"]))))
    if teacher is not None:
        if teacher.sha256 != config_values["teacher_sha256"]:
            raise DataError(f"{teacher.path} is not the teacher that {folder} was started with; give the same file")
        store = with_teacher_classes(store, teacher, unlabelled=unlabelled)
    name, seed = str(config_values["split"]), int(str(config_values["seed"]))
    validate = None if config_values["validate"] is None else str(config_values["validate"])
    sides = sides_of(store, name, seed=seed, validate=validate, trains_classifier=False)
    return Work(
        store=store,
        split=name,
        sides=sides,
        subset=load_subset(run.folder / FILE, store, sides.train, name) if config_values.get("labels") else None,
        recipe=made,
        run=run,
        seed=seed,
        machine=machine_of(order),
        init=Path(str(config_values["init"])) if config_values["init"] else None,
        resume=True,
        validate=validate,
        teacher=teacher,
        unlabelled=unlabelled,
    )
