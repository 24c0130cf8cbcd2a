"""Every recording format that amr-edge reads, and which of them a file or folder is.

A reader is a module with `NAME`, `TITLE`, `TERMS`, `CLASSES`, `recognises(path)` and `read(path)`. Its `read`
raises one sentence for a file that is no whole recording; a container of many clips names each "file#key".
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from amr_edge.data.readers import (
    jsonl,
    ntu,
    ntu_npz,
    nw_ucla,
    penn_action,
    pku_mmd,
    pyskl,
    stored,
    ui_prmd,
    ui_prmd_vicon,
    utd_mhad,
)
from amr_edge.data.recording import Recording
from amr_edge.errors import ClipError, ConfigError, ReadError


class Reader(Protocol):
    """What a reader module has to say and do."""

    @property
    def NAME(self) -> str:  # noqa: N802 - modules name their constants
        """What `--format` calls it, and the data set's name."""

    @property
    def TITLE(self) -> str:  # noqa: N802
        """What people call it."""

    @property
    def TERMS(self) -> str:  # noqa: N802
        """Under which terms the data may be used."""

    @property
    def CLASSES(self) -> tuple[str, ...] | None:  # noqa: N802
        """Class names in the order of the labels; None if the files say."""

    def recognizes(self, path: Path) -> bool:
        """Whether a file is of this format, by its name and perhaps its first bytes; never raises."""

    def read(self, path: Path) -> Iterator[Recording]:
        """The recordings of one file."""


READERS: tuple[Reader, ...] = (
    nw_ucla, utd_mhad, penn_action, ui_prmd, ui_prmd_vicon, ntu, ntu_npz, pyskl, pku_mmd, jsonl, stored,
)  # fmt: skip

# Files that belong to a data set without being recordings of their own: angles, labels, official splits.
_COMPANIONS: tuple[Callable[[Path], bool], ...] = (ui_prmd.companion, ui_prmd_vicon.companion, pku_mmd.companion)

# Formats that see the same movements as another one: where files of both lie, a folder is of the other.
_TWINS = {ui_prmd_vicon.NAME: ui_prmd.NAME}

FORMATS = ("auto", *(reader.NAME for reader in READERS))


class Found(NamedTuple):
    """What lies at a path.

    Attributes:
        reader: The one reader that reads it.
        files: Its files, sorted.
        others: Files of the folder that no reader knows, sorted: notes, licences, pictures.
    """

    reader: Reader
    files: tuple[Path, ...]
    others: tuple[Path, ...]


def _named(name: str) -> Reader:
    for reader in READERS:
        if name == reader.NAME:
            return reader
    raise ConfigError(f"there is no format '{name}'; the formats are {', '.join(FORMATS)}")


def _walk(root: Path) -> Iterator[Path]:
    """Every file of a folder, in order; hidden ones, which systems leave behind, are passed over."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Path(folder) / name for name in names if not name.startswith("."))


def find(root: str | Path, format: str = "auto") -> Found:  # noqa: A002 - the option's own word
    """What to read at `root`, a file or a folder that is searched with all its folders.

    Raises:
        ConfigError: If there is no such format.
        ReadError: If nothing is there, nothing is known, or files of several formats are mixed.
    """
    requested = None if format == "auto" else _named(format)
    root = Path(root)
    if not root.exists():
        raise ReadError(f"{root}: expected a file or folder of recordings, there is none; check the path")
    if root.is_file():
        known = requested or next((reader for reader in READERS if reader.recognizes(root)), None)
        if known is None:
            raise ReadError(
                f"{root}: the file is of no format known here; say which with --format, one of {', '.join(FORMATS[1:])}"
            )
        return Found(known, (root,), ())
    files: dict[str, list[Path]] = {}
    others: list[Path] = []
    for path in _walk(root):
        candidates = (requested,) if requested else READERS
        known = next((reader for reader in candidates if reader.recognizes(path)), None)
        if known is not None:
            files.setdefault(known.NAME, []).append(path)
        elif not any(companion(path) for companion in _COMPANIONS):
            others.append(path)
    for twin, first in _TWINS.items():
        if first in files:
            files.pop(twin, None)
    if not files:
        what = f"of format '{format}'" if requested else "of a format known here"
        raise ReadError(f"{root}: expected recordings, found no file {what} among {len(others)}; check the path")
    if len(files) > 1:
        mixed = ", ".join(f"{len(paths)} {name}" for name, paths in files.items())
        raise ReadError(f"{root}: expected one format, found {mixed}; choose one with --format or name a folder of one")
    (name, paths) = files.popitem()
    return Found(_named(name), tuple(sorted(paths)), tuple(sorted(others)))


def detect(path: Path, format: str = "auto") -> Reader:  # noqa: A002
    """The reader for a file or folder; raises what `find` raises."""
    return find(path, format).reader


def files(root: Path, format: str = "auto") -> tuple[Path, ...]:  # noqa: A002
    """The files to read at a path, sorted; raises what `find` raises."""
    return find(root, format).files


def recordings(
    reader: Reader, paths: Iterable[Path], on_bad: Callable[[ReadError], None] | None = None
) -> Iterator[Recording]:
    """The recordings of some files, each with at least one frame.

    Args:
        reader: Reads them.
        paths: The files.
        on_bad: Called for each file that cannot be read and each clip without a frame; reading goes on. None raises
            instead.

    Raises:
        ReadError: If a file is damaged, cut off, foreign or empty and `on_bad` is None.
    """

    def refuse(refusal: ReadError) -> None:
        if on_bad is None:
            raise refusal
        on_bad(refusal)

    for path in paths:
        found = reader.read(path)
        while True:
            try:
                recording = next(found)
            except StopIteration:
                break
            except ReadError as refusal:
                refuse(refusal)
                break
            except ClipError as refusal:
                refuse(ReadError(f"{path}: {refusal}"))
                break
            if len(recording.times_s):
                yield recording
            else:
                key = recording.source.partition("#")[2]
                refuse(ReadError(f"{path}{f'#{key}' if key else ''}: the clip has no frame; leave it out"))


def read(
    path: str | Path,
    format: str = "auto",  # noqa: A002
    on_bad: Callable[[ReadError], None] | None = None,
) -> Iterator[Recording]:
    """Every recording of a file or folder, in the order of the files' names.

    Args:
        path: A file, or a folder that is searched with all its folders.
        format: Name of a reader, or "auto".
        on_bad: Called for what cannot be read, and reading goes on; None raises instead.

    Raises:
        ConfigError: If there is no such format.
        ReadError: If nothing can be read there, or formats are mixed.
    """
    found = find(path, format)
    return recordings(found.reader, found.files, on_bad)
