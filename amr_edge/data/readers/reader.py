"""The `Reader` protocol, and how a reader of many clips reports one bad clip without losing the others."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from amr_edge.data.recording import Recording
from amr_edge.errors import ClipError, ReadError

__all__ = ["Clip", "Reader", "clip_or_error"]

# What a reader yields for each clip: its recording, or why there is none.
Clip = Recording | ReadError


class Reader(Protocol):
    """A recording format; a module of `amr_edge.data.readers` or any object with these members.

    Two more members are optional: `companion(path) -> bool`, True for files that belong to the data set without being
    recordings (labels, official splits), and `SAME_MOVEMENTS_AS`, the name of another format: where a folder holds
    both, it is read as the other.
    """

    @property
    def NAME(self) -> str:  # noqa: N802 - modules name their constants
        """Value of `--format`, and name of the data set."""

    @property
    def TITLE(self) -> str:  # noqa: N802
        """Name of the format in messages."""

    @property
    def TERMS(self) -> str:  # noqa: N802
        """Terms of use of the data; stored with it and with every model trained on it."""

    @property
    def CLASSES(self) -> tuple[str, ...] | None:  # noqa: N802
        """Class names in the order of the labels; None takes the labels that occur, sorted."""

    def recognizes(self, path: Path) -> bool:
        """True if a file is of this format, by its name and if need be its first bytes; never raises."""

    def read(self, path: Path) -> Iterator[Clip]:
        """The clips of one file.

        A file that is no whole recording raises `ReadError`, which ends this file. In a file of many clips each clip
        that cannot be used is yielded as a `ReadError`, and the next clip follows. `clip_or_error` does that.
        """


def clip_or_error(where: str, make: Callable[[], Recording]) -> Clip:
    """The recording that `make` returns, or the error that it raises, so that a reader can go on.

    Args:
        where: File and clip ("clips.pkl#wave_01"), for an error that does not contain them.
        make: Builds one recording.
    """
    try:
        return make()
    except ReadError as error:
        return error
    except ClipError as error:
        return ReadError(f"{where}: {error}")
