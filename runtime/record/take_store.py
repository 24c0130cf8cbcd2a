"""How takes come into a store one at a time so that none is ever lost.

Each take is on disk before the next one begins: the store is written anew beside the old one and takes its place when
it is whole. Whatever happens, the file holds every take that was finished. Two programs may record into one file.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store, write_store
from amr_edge.errors import ClipError, ConfigError

DATASET = "recorded"
TERMS = "those of the person who recorded it"


class TakeStore:
    """The takes of a store, on disk; nothing is kept in memory."""

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        """Takes in a file that may or may not be there yet.

        Args:
            path: The .npz.
            labels: The classes that are recorded; those that the file has come first.

        Raises:
            ConfigError: If the name or folder is wrong, a label is empty or there twice, or the file holds a data set
                that was not recorded here.
            ReadError: If the file is no store of ours.
        """
        if path.suffix != ".npz":
            raise ConfigError(f"{path}: expected a store to write that ends in .npz; choose such a name")
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}; make it first")
        if not labels or len(set(labels)) != len(labels) or not all(labels):
            raise ConfigError(f"expected labels that differ, as in wave,sit,none, got '{','.join(labels)}'")
        self.path = path
        self._labels = tuple(labels)
        if path.exists() and open_store(path).dataset != DATASET:
            raise ConfigError(
                f"{path}: holds the data set '{open_store(path).dataset}', which was not recorded here; choose another "
                "--out, its name is kept apart from yours"
            )

    def __len__(self) -> int:
        return len(open_store(self.path)) if self.path.exists() else 0

    def check(self, layout: str, units: str) -> None:
        """Refuse poses that cannot stand beside those that are there, before anybody moves.

        Raises:
            ClipError: If the layout or unit is another.
        """
        if not self.path.exists():
            return
        store = open_store(self.path)
        if (store.layout, store.units) != (layout, units):
            raise ClipError(
                f"{self.path}: holds takes of layout '{store.layout}' in {store.units}, the source gives '{layout}' in "
                f"{units}; use the estimator that they were recorded with, or choose another --out"
            )

    def count(self, subject: int | None) -> Counter[str]:
        """Number of takes of each label of one person."""
        if not self.path.exists():
            return Counter()
        store = open_store(self.path)
        mine = store.subjects == (-1 if subject is None else subject)
        return Counter(store.classes[label] for label in store.labels[mine].tolist() if label >= 0)

    def add(self, recording: Recording) -> str:
        """Put a take at the end; it is on disk when this returns.

        Returns:
            The name it was given.

        Raises:
            ClipError: If it does not fit the others.
        """
        kept, classes = self._read()
        number = 1 + max((_number(each.source) for each in kept), default=0)
        name = f"take-{number:04d}"
        self._write([*kept, replace(recording, source=name)], classes)
        return name

    def remove(self, name: str) -> Recording:
        """Take one out again; it is returned.

        Raises:
            ConfigError: If there is none of that name.
        """
        kept, classes = self._read()
        gone = next((each for each in kept if each.source == name), None)
        if gone is None:
            raise ConfigError(f"{self.path}: there is no take '{name}' to undo; it was removed already")
        rest = [each for each in kept if each.source != name]
        if rest:
            self._write(rest, classes)
        else:
            self.path.unlink()
        return gone

    def _read(self) -> tuple[list[Recording], tuple[str, ...]]:
        """Takes in the file; read whole, because it is about to be replaced."""
        if not self.path.exists():
            return [], self._labels
        store = open_store(self.path)
        return list(store), tuple(dict.fromkeys((*store.classes, *self._labels)))

    def _write(self, recordings: Sequence[Recording], classes: tuple[str, ...]) -> None:
        write_store(self.path, recordings, dataset=DATASET, terms=TERMS, classes=classes)


def _number(name: str) -> int:
    """The number in a take's name; 0 of another name."""
    digits = name.removeprefix("take-")
    return int(digits) if digits.isdecimal() else 0
