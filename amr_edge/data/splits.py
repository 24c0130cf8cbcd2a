"""Which recordings teach and which examine: the official splits of each data set, and splits by person or chance.

Every rule is a pure function of what is known about the N recordings; `split` picks the rule by name and by the
data set that a store says it is. A recording that a rule says nothing about is on neither side.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.store import Store
from amr_edge.errors import ConfigError

Side = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Rule = Callable[[Store], tuple[Side, Side]]

# Liu et al., NTU RGB+D 120 (TPAMI 2019). The subjects up to 40 are those that NTU RGB+D (CVPR 2016) trains on,
# so one list serves both.
NTU_TRAIN_SUBJECTS = (
    1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56,
    57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103,
)  # fmt: skip

# The two sides of an official split, as the names of a recording's parts say them.
_TRAIN_PARTS = ("train",)
_TEST_PARTS = ("test", "val")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Two disjoint sides of N recordings.

    Attributes:
        name: As requested.
        train: (N,) True for the recordings to learn from.
        test: (N,) True for the recordings to be examined on.
        warnings: Sentences about what makes the examination less than it seems.
    """

    name: str
    train: Side
    test: Side
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.train.shape != self.test.shape or self.train.ndim != 1:
            raise ConfigError(f"split '{self.name}': its sides have the shapes {self.train.shape}, {self.test.shape}")
        if (self.train & self.test).any():
            raise ConfigError(
                f"split '{self.name}': {int((self.train & self.test).sum())} recordings are on both sides"
            )
        for side, what in ((self.train, "learn from"), (self.test, "be examined on")):
            if not side.any():
                raise ConfigError(f"split '{self.name}': of {len(side)} recordings it leaves none to {what}")


def by_number(numbers: Numbers, *, train: Collection[int], test: Collection[int] | None = None) -> tuple[Side, Side]:
    """Sides by subject or camera number; `test` None is every known number that is not in `train`.

    >>> [side.tolist() for side in by_number(np.array([1, 2, -1]), train=[1])]
    [[True, False, False], [False, True, False]]
    """
    teaches = np.isin(numbers, sorted(train)) & (numbers >= 0)
    examines = (numbers >= 0) & ~teaches if test is None else np.isin(numbers, sorted(test)) & ~teaches
    return teaches, examines


def by_parity(numbers: Numbers, *, odd_trains: bool) -> tuple[Side, Side]:
    """Sides by odd and even numbers; an unknown number (-1) is on neither.

    >>> [side.tolist() for side in by_parity(np.array([1, 2, -1]), odd_trains=True)]
    [[True, False, False], [False, True, False]]
    """
    known = numbers >= 0
    odd = numbers % 2 == 1
    return (known & odd, known & ~odd) if odd_trains else (known & ~odd, known & odd)


def by_parts(parts: Sequence[Collection[str]], prefix: str = "") -> tuple[Side, Side]:
    """Sides as the source itself says them: parts `<prefix>train` against `<prefix>test` or `<prefix>val`."""
    train, test = ({f"{prefix}{part}" for part in names} for names in (_TRAIN_PARTS, _TEST_PARTS))
    teaches = np.array([not train.isdisjoint(each) for each in parts], dtype=np.bool_)
    examines = np.array([not test.isdisjoint(each) for each in parts], dtype=np.bool_)
    return teaches, examines


def random_split(labels: Numbers, share: float, rng: np.random.Generator) -> tuple[Side, Side]:
    """Stratified random split: `share` of each class goes to the test set, of two clips or more at least one each."""
    examines = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        clips = np.flatnonzero(labels == label)
        count = round(share * len(clips))
        if len(clips) > 1:
            count = min(max(count, 1), len(clips) - 1)
        examines[rng.permutation(clips)[:count]] = True
    return ~examines, examines


def ntu_setups(names: Sequence[str]) -> Numbers:
    """(N,) the setup number that an NTU RGB+D name like S001C002P003R002A013 says; -1 where it says none."""
    found = (re.search(r"S(\d{3})C\d{3}P\d{3}R\d{3}A\d{3}", name) for name in names)
    return np.array([int(match[1]) if match else -1 for match in found], dtype=np.int64)


def _ntu_cameras(store: Store) -> tuple[Side, Side]:
    return by_number(store.cameras, train=(2, 3), test=(1,))


def _ntu_subjects(store: Store) -> tuple[Side, Side]:
    return by_number(store.subjects, train=NTU_TRAIN_SUBJECTS)


def _ntu_setup_parity(store: Store) -> tuple[Side, Side]:
    return by_parity(ntu_setups(store.names), odd_trains=False)


def _odd_subjects_train(store: Store) -> tuple[Side, Side]:
    return by_parity(store.subjects, odd_trains=True)


def _first_two_cameras_train(store: Store) -> tuple[Side, Side]:
    return by_number(store.cameras, train=(1, 2), test=(3,))


# Data set -> the splits that follow from subjects, cameras and names. Those that a source states itself, as the
# parts of its recordings, are found in the store.
_NTU: dict[str, Rule] = {"xsub": _ntu_subjects, "xview": _ntu_cameras, "xset": _ntu_setup_parity}
_OFFICIAL: dict[str, dict[str, Rule]] = {
    "ntu": _NTU,
    "pyskl": _NTU,
    "nw_ucla": {"xview": _first_two_cameras_train},
    "utd_mhad": {"xsub": _odd_subjects_train},
    "synthetic": {"xsub": _odd_subjects_train},
}


def _stated(store: Store) -> dict[str, str]:
    """Split name -> prefix of the parts that state it: "train" is "official", "xsub_train" is "xsub"."""
    parts = {part for each in set(store.parts) for part in each}
    found: dict[str, str] = {}
    for part in sorted(parts):
        prefix = part.removesuffix("train")
        if part.endswith("train") and parts & {f"{prefix}{side}" for side in _TEST_PARTS}:
            found[prefix.rstrip("_-") or "official"] = prefix
    return found


def offers(store: Store) -> tuple[str, ...]:
    """What `split` can do with this store, as words to type: the official splits with two sides first.

    Returns:
        Names such as "xsub", then "loso:<subject>" and "subjects:<a,b>" where subjects are known, then "random".
    """
    names = list(_stated(store))
    for name, rule in _OFFICIAL.get(store.dataset, {}).items():
        train, test = rule(store)
        if name not in names and train.any() and test.any():
            names.append(name)
    people = np.unique(store.subjects[store.subjects >= 0])
    if len(people) > 1:
        names += [f"loso:{people[0]}", f"subjects:{people[0]},{people[-1]}"]
    return (*names, "random", "random:0.2")


def _warnings(store: Store, train: Side, test: Side, *, mixes_people: bool) -> tuple[str, ...]:
    """What a person should know before believing a score on this split."""
    warnings = []
    labels = np.setdiff1d(store.labels[test], store.labels[train])
    untaught = [store.classes[label] for label in labels if label >= 0]
    if untaught:
        warnings.append(f"no recording teaches {', '.join(untaught)}, yet the test asks for it")
    left_out = int((~train & ~test).sum())
    if left_out:
        warnings.append(f"{left_out} of {len(store)} recordings are on neither side")
    copied = np.flatnonzero(store.copies(test, train))
    if len(copied):
        warnings.append(
            f"{len(copied)} of the {int(test.sum())} recordings of the test are copies of training recordings, number "
            f"for number ({store.names[copied[0]]} is the first): a score on them is a score of memory"
        )
    both = np.intersect1d(store.subjects[train], store.subjects[test])
    if mixes_people and (both >= 0).any():
        warnings.append("the same people are on both sides: expect less on people the model has never seen")
    return tuple(warnings)


def _people(store: Store, wanted: str, name: str) -> list[int]:
    """The subject numbers behind the colon, each of them in the store."""
    try:
        people = [int(number) for number in wanted.split(",")]
    except ValueError as cause:
        raise ConfigError(f"split '{name}': expected subject numbers after the colon, as in subjects:2,7") from cause
    known = np.unique(store.subjects[store.subjects >= 0]).tolist()
    unknown = [number for number in people if number not in known]
    if unknown:
        here = ", ".join(map(str, known)) or "not known"
        raise ConfigError(f"split '{name}': {store.path} has no subject {unknown[0]}; its subjects are {here}")
    return people


def split(store: Store, name: str, *, seed: int = 0) -> Split:
    """The split called `name` of a store.

    Args:
        store: Its data set's name, subjects, cameras, names and parts decide.
        name: An official split of the data set ("xsub", "xview", "xset", "official", "xsub" of a source that
            states it), "loso:3" or "subjects:2,7" (those people are the test), "random" or "random:0.2"
            (a fifth of every class is the test).
        seed: For "random".

    Raises:
        ConfigError: If the data set offers no such split, or it leaves one side empty.

    Source:
        NTU RGB+D and NTU RGB+D 120 (subjects; cameras 2 and 3 train; even setups train), Northwestern-UCLA
        (cameras 1 and 2 train), UTD-MHAD (odd subjects train); others as their files state.
    """
    kind, _, rest = name.partition(":")
    stated = _stated(store)
    official = _OFFICIAL.get(store.dataset, {})
    if name in stated:
        train, test = by_parts(store.parts, stated[name])
    elif name in official:
        train, test = official[name](store)
    elif name == "loso":
        raise ConfigError(
            f"split '{name}' is one fold for each subject, which `train` and `finetune` run; name who is left out, as "
            "in loso:3"
        )
    elif kind == "subjects" or (kind == "loso" and "," not in rest):
        people = _people(store, rest, name)
        test, train = by_number(store.subjects, train=people)
    elif kind == "random":
        try:
            share = float(rest or 0.2)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise ConfigError(f"split '{name}': expected the share of the test in (0, 1), as in random:0.2")
        train, test = random_split(store.labels, share, np.random.default_rng(seed))
    else:
        raise ConfigError(
            f"{store.path}: there is no split '{name}' of '{store.dataset}'; it offers {', '.join(offers(store))}"
        )
    return Split(
        name=name,
        train=train,
        test=test,
        warnings=_warnings(store, train, test, mixes_people=kind == "random"),
    )
