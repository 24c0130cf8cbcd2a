"""The teacher of a distillation: its checkpoint, its recordings and split, and what a student must share with it."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amr_edge.card import Card
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, DataError, LayoutError
from amr_edge.skeleton import Mask
from amr_edge.training.config import Recipe
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.tasks.init_checkpoint import clips_learned_from


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """A classifier that a student learns from.

    Attributes:
        path: Its checkpoint.
        sha256: Of that file, so that a card can say whose student it is.
        model: Ready to answer.
        card: Its card.
    """

    path: Path
    sha256: str
    model: Classifier
    card: Card


def open_teacher(path: Path) -> Teacher:
    """The teacher in a checkpoint.

    Raises:
        ReadError: If the file cannot be read.
        CardError: If it is a pre-trained encoder, which has no predictions to learn from.
    """
    model, card = load_classifier(path)
    return Teacher(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), model=model, card=card)


def teacher_data(teacher: Teacher) -> Path | None:
    """The store that the teacher's run was made from; None if its file lies in no run folder."""
    run = RunFolder(teacher.path.parent.parent)
    if not (run.folder / "config.json").exists():
        return None
    config_values = run.config()
    return Path(str(config_values["data"])) if "data" in config_values else None


def _is_its_own(teacher: Teacher, store: Store) -> bool:
    return bool(teacher.card.data.get("hash") == store.content_hash)


def teacher_split(teacher: Teacher, store: Store) -> str | None:
    """The split that the teacher learned by, if these are the recordings it learned from."""
    name = teacher.card.data.get("split")
    return str(name) if name and _is_its_own(teacher, store) else None


def teacher_train_overlap(teacher: Teacher, store: Store, test: Mask) -> tuple[str, ...]:
    """A warning if recordings to test a student on are among those that its teacher learned from."""
    card = teacher.card
    both = clips_learned_from(card, store, test)
    if not both:
        return ()
    warning = (
        f"the teacher learned from {both} of the {int(test.sum())} recordings to test on (its split is "
        f"{card.data.get('split', 'all')}, its seed {card.recipe.get('seed', 0)}), which flatters both scores"
    )
    return (warning,)


def check_student(recipe: Recipe, teacher: Teacher) -> None:
    """Refuse a student that would not see what its teacher sees.

    Raises:
        ConfigError: If settings have changed its preprocessing or persons.
    """
    if recipe.prepare != teacher.card.prepare or recipe.persons != teacher.card.persons:
        raise ConfigError(
            "a student sees what its teacher sees; leave prepare and persons alone, or train another teacher"
        )


def with_teacher_classes(store: Store, teacher: Teacher, *, unlabelled: bool) -> Store:
    """The store with its labels as indices into the teacher's classes, matched by name.

    Args:
        store: The recordings.
        teacher: Whose classes count.
        unlabelled: Labels are not learned from: an action that the teacher does not know becomes -1.

    Raises:
        LayoutError: If the recordings have another skeleton than the teacher.
        DataError: If they have other units, or are labelled with an action that the teacher does not know.
    """
    card, path = teacher.card, teacher.path
    if store.layout != card.prepare.layout:
        raise LayoutError(
            f"{store.path}: its layout is '{store.layout}', the teacher {path} sees '{card.prepare.layout}'; "
            "distill on recordings of the teacher's layout"
        )
    if store.units != card.units:
        raise DataError(
            f"{store.path}: its units are '{store.units}', the teacher {path} learned in '{card.units}'; "
            "distill on recordings in the teacher's units"
        )
    index = {name: i for i, name in enumerate(card.classes)}
    foreign = [store.classes[i] for i in np.unique(store.labels[store.labels >= 0]) if store.classes[i] not in index]
    if foreign and not unlabelled:
        raise DataError(
            f"{store.path}: has the actions {', '.join(foreign)}, which the teacher {path} does not know (it knows "
            f"{', '.join(card.classes)}); add --unlabelled to learn from its predictions alone, or fine-tune it on them"
        )
    known = np.array([*(index.get(name, -1) for name in store.classes), -1], dtype=np.int64)
    return replace(store, classes=card.classes, labels=known[store.labels])  # label -1 takes the last
