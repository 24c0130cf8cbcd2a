"""Train and test splits: the official ones of each data set, by subject, and random.

Every rule is a pure function of the metadata of N recordings; `split` chooses the rule by name and by the store's
data set. A recording that a rule does not cover is in neither set.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.store import Store
from amr_edge.errors import ConfigError

SplitMask = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Rule = Callable[[Store], tuple[SplitMask, SplitMask]]

# Liu et al., NTU RGB+D 120 (TPAMI 2019). The subjects up to 40 are those that NTU RGB+D (CVPR 2016) trains on,
# so one list serves both.
NTU_TRAIN_SUBJECTS = (
    1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56,
    57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103,
)  # fmt: skip

# Names of the parts that make up an official split.
_TRAIN_PARTS = ("train",)
_TEST_PARTS = ("test", "val")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Disjoint train and test masks over N recordings.

    Attributes:
        name: As requested.
        train: (N,) True for the training set.
        test: (N,) True for the test set.
        warnings: Reasons to trust a score on this split less, one sentence each.
    """

    name: str
    train: SplitMask
    test: SplitMask
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.train.shape != self.test.shape or self.train.ndim != 1:
            raise ConfigError(f"split '{self.name}': its masks have the shapes {self.train.shape}, {self.test.shape}")
        if (self.train & self.test).any():
            raise ConfigError(f"split '{self.name}': {int((self.train & self.test).sum())} recordings are in both sets")
        for mask, what in ((self.train, "training"), (self.test, "test")):
            if not mask.any():
                raise ConfigError(f"split '{self.name}': of {len(mask)} recordings none is in the {what} set")


def split_by_number(
    numbers: Numbers, *, train: Collection[int], test: Collection[int] | None = None
) -> tuple[SplitMask, SplitMask]:
    """Masks by subject or camera number; `test` None is every known number that is not in `train`.

    >>> [side.tolist() for side in split_by_number(np.array([1, 2, -1]), train=[1])]
    [[True, False, False], [False, True, False]]
    """
    is_train = np.isin(numbers, sorted(train)) & (numbers >= 0)
    is_test = (numbers >= 0) & ~is_train if test is None else np.isin(numbers, sorted(test)) & ~is_train
    return is_train, is_test


def split_by_parity(numbers: Numbers, *, odd_trains: bool) -> tuple[SplitMask, SplitMask]:
    """Masks by odd and even numbers; an unknown number (-1) is in neither.

    >>> [side.tolist() for side in split_by_parity(np.array([1, 2, -1]), odd_trains=True)]
    [[True, False, False], [False, True, False]]
    """
    known = numbers >= 0
    odd = numbers % 2 == 1
    return (known & odd, known & ~odd) if odd_trains else (known & ~odd, known & odd)


def split_by_parts(parts: Sequence[Collection[str]], prefix: str = "") -> tuple[SplitMask, SplitMask]:
    """Masks stated by the data set itself: parts `<prefix>train` against `<prefix>test` or `<prefix>val`."""
    train, test = ({f"{prefix}{part}" for part in names} for names in (_TRAIN_PARTS, _TEST_PARTS))
    is_train = np.array([not train.isdisjoint(each) for each in parts], dtype=np.bool_)
    is_test = np.array([not test.isdisjoint(each) for each in parts], dtype=np.bool_)
    return is_train, is_test


def random_split(labels: Numbers, share: float, rng: np.random.Generator) -> tuple[SplitMask, SplitMask]:
    """Stratified random split: `share` of each class goes to the test set, of two clips or more at least one each."""
    is_test = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        clips = np.flatnonzero(labels == label)
        count = round(share * len(clips))
        if len(clips) > 1:
            count = min(max(count, 1), len(clips) - 1)
        is_test[rng.permutation(clips)[:count]] = True
    return ~is_test, is_test


def ntu_setups(names: Sequence[str]) -> Numbers:
    """(N,) setup number in an NTU RGB+D name like S001C002P003R002A013; -1 where there is none."""
    found = (re.search(r"S(\d{3})C\d{3}P\d{3}R\d{3}A\d{3}", name) for name in names)
    return np.array([int(match[1]) if match else -1 for match in found], dtype=np.int64)


def _ntu_cameras(store: Store) -> tuple[SplitMask, SplitMask]:
    return split_by_number(store.cameras, train=(2, 3), test=(1,))


def _ntu_subjects(store: Store) -> tuple[SplitMask, SplitMask]:
    return split_by_number(store.subjects, train=NTU_TRAIN_SUBJECTS)


def _ntu_setup_parity(store: Store) -> tuple[SplitMask, SplitMask]:
    return split_by_parity(ntu_setups(store.names), odd_trains=False)


def _odd_subjects_train(store: Store) -> tuple[SplitMask, SplitMask]:
    return split_by_parity(store.subjects, odd_trains=True)


def _first_two_cameras_train(store: Store) -> tuple[SplitMask, SplitMask]:
    return split_by_number(store.cameras, train=(1, 2), test=(3,))


# Data set -> official splits computed from subjects, cameras and names. Splits stated as parts of the recordings are
# found in the store.
_NTU: dict[str, Rule] = {"xsub": _ntu_subjects, "xview": _ntu_cameras, "xset": _ntu_setup_parity}
_OFFICIAL: dict[str, dict[str, Rule]] = {
    "ntu": _NTU,
    "pyskl": _NTU,
    "nw_ucla": {"xview": _first_two_cameras_train},
    "utd_mhad": {"xsub": _odd_subjects_train},
    "synthetic": {"xsub": _odd_subjects_train},
}


def _stated_splits(store: Store) -> dict[str, str]:
    """Split name -> prefix of the parts that state it: "train" is "official", "xsub_train" is "xsub"."""
    parts = {part for each in set(store.parts) for part in each}
    found: dict[str, str] = {}
    for part in sorted(parts):
        prefix = part.removesuffix("train")
        if part.endswith("train") and parts & {f"{prefix}{side}" for side in _TEST_PARTS}:
            found[prefix.rstrip("_-") or "official"] = prefix
    return found


def available_splits(store: Store) -> tuple[str, ...]:
    """Names that `split` accepts for this store, official splits first.

    Returns:
        Names such as "xsub", then "loso:<subject>" and "subjects:<a,b>" where subjects are known, then "random".
    """
    names = list(_stated_splits(store))
    for name, rule in _OFFICIAL.get(store.dataset, {}).items():
        train, test = rule(store)
        if name not in names and train.any() and test.any():
            names.append(name)
    people = np.unique(store.subjects[store.subjects >= 0])
    if len(people) > 1:
        names += [f"loso:{people[0]}", f"subjects:{people[0]},{people[-1]}"]
    return (*names, "random", "random:0.2")


def _warnings(store: Store, train: SplitMask, test: SplitMask, *, mixes_subjects: bool) -> tuple[str, ...]:
    """Reasons to trust a score on this split less: missing classes, recordings left out, leakage."""
    warnings = []
    labels = np.setdiff1d(store.labels[test], store.labels[train])
    untrained = [store.classes[label] for label in labels if label >= 0]
    if untrained:
        warnings.append(f"the test set has recordings of {', '.join(untrained)}, the training set has none")
    left_out = int((~train & ~test).sum())
    if left_out:
        warnings.append(f"{left_out} of {len(store)} recordings are in neither set")
    duplicated = np.flatnonzero(store.duplicates(test, train))
    if len(duplicated):
        warnings.append(
            f"{len(duplicated)} of the {int(test.sum())} test recordings are duplicates of training recordings "
            f"({store.names[duplicated[0]]} is the first): this leakage makes the score too high"
        )
    both = np.intersect1d(store.subjects[train], store.subjects[test])
    if mixes_subjects and (both >= 0).any():
        warnings.append("the same people are in both sets: expect a lower score on new people")
    return tuple(warnings)


def _requested_subjects(store: Store, wanted: str, name: str) -> list[int]:
    """The subject numbers after the colon, each of them in the store."""
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
            states it), "loso:3" or "subjects:2,7" (those subjects are the test set), "random" or "random:0.2"
            (a fifth of every class is the test).
        seed: For "random".

    Raises:
        ConfigError: If the data set available_splits no such split, or one of the sets is empty.

    Source:
        NTU RGB+D and NTU RGB+D 120 (subjects; cameras 2 and 3 train; even setups train), Northwestern-UCLA
        (cameras 1 and 2 train), UTD-MHAD (odd subjects train); others as their files state.
    """
    kind, _, rest = name.partition(":")
    stated = _stated_splits(store)
    official = _OFFICIAL.get(store.dataset, {})
    if name in stated:
        train, test = split_by_parts(store.parts, stated[name])
    elif name in official:
        train, test = official[name](store)
    elif name == "loso":
        raise ConfigError(
            f"split '{name}' is one fold for each subject, which `train` and `finetune` run; "
            "name the subject to test on, as in loso:3"
        )
    elif kind == "subjects" or (kind == "loso" and "," not in rest):
        people = _requested_subjects(store, rest, name)
        test, train = split_by_number(store.subjects, train=people)
    elif kind == "random":
        try:
            share = float(rest or 0.2)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise ConfigError(f"split '{name}': expected the share of the test set in (0, 1), as in random:0.2")
        train, test = random_split(store.labels, share, np.random.default_rng(seed))
    else:
        raise ConfigError(
            f"{store.path}: there is no split '{name}' of '{store.dataset}'; "
            f"choose one of {', '.join(available_splits(store))}"
        )
    return Split(
        name=name,
        train=train,
        test=test,
        warnings=_warnings(store, train, test, mixes_subjects=kind == "random"),
    )
