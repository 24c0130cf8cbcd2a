"""Reader of amr-edge stores, so that converted recordings can be checked, split and replayed."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from amr_edge.data.npz import members, verify
from amr_edge.data.readers.reader import Clip, clip_or_error
from amr_edge.data.store import is_store, open_store

NAME = "store"
TITLE = "amr-edge store"
TERMS = "as the store says"
CLASSES: tuple[str, ...] | None = None


def recognizes(path: Path) -> bool:
    """True if it is a store."""
    return path.suffix == ".npz" and is_store(path)


def read(path: Path) -> Iterator[Clip]:
    """Every recording of a store, whose poses are held against their checksum first.

    Raises:
        ReadError: If the store is damaged, cut off or contradicts itself.
    """
    store = open_store(path, check_times=False)  # a recording checks its own
    verify(path, members(path)["poses"])
    for number, name in enumerate(store.names):
        yield clip_or_error(f"{path}#{name}", partial(store.__getitem__, number))
