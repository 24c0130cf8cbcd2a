"""Recording formats that amr-edge reads, and which of them a file or folder is.

One module of this folder reads one format and has one line in `READERS`; `reader.py` has the protocol, and
docs/extending.md shows how to write one. What all formats have in common is here: folders are searched, links are
followed, and what cannot be opened or holds no frame is reported, never passed over in silence.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from amr_edge.data.readers.joints import FARTHEST
from amr_edge.data.readers.reader import Clip, Reader, clip_or_error
from amr_edge.data.recording import Recording
from amr_edge.errors import ClipError, ConfigError, ReadError

__all__ = [
    "FORMATS", "READERS", "Clip", "Found", "Reader", "clip_or_error", "detect", "files", "find", "load_reader", "read",
    "recognize", "recordings",
]  # fmt: skip

# Name of a format -> module of this folder, imported when it is first needed. A file is of the first that knows it.
READERS: dict[str, str] = {
    "nw_ucla": "nw_ucla",
    "utd_mhad": "utd_mhad",
    "penn_action": "penn_action",
    "ui_prmd": "ui_prmd",
    "ui_prmd_vicon": "ui_prmd_vicon",
    "ntu": "ntu",
    "ntu_npz": "ntu_npz",
    "pyskl": "pyskl",
    "pku_mmd": "pku_mmd",
    "jsonl": "jsonl",
    "store": "stored",
}

FORMATS = ("auto", *READERS)


class Found(NamedTuple):
    """Recordings at a path.

    Attributes:
        reader: The one reader that reads them.
        files: Its files, sorted, with the files and folders that cannot be opened: `recordings` reports those.
        others: Files of the folder that no reader knows, sorted: notes, licences, pictures.
    """

    reader: Reader
    files: tuple[Path, ...]
    others: tuple[Path, ...]


def load_reader(name: str) -> Reader:
    """The reader of a format.

    Raises:
        ConfigError: If there is no such format.
    """
    if name not in READERS:
        raise ConfigError(f"there is no format '{name}'; the formats are {', '.join(FORMATS)}")
    return cast("Reader", import_module(f"{__name__}.{READERS[name]}"))


def recognize(path: Path) -> Reader | None:
    """The reader that knows a file, by its name and if need be its first bytes."""
    return next((reader for reader in map(load_reader, READERS) if reader.recognizes(path)), None)


def _identity(path: Path) -> tuple[int, int]:
    """Device and number of a folder: equal for two paths to one folder."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _walk(root: Path) -> Iterator[tuple[Path, bool]]:
    """Every file of a folder, and whether it can be opened; folders that cannot be opened come as such a path.

    Hidden files, which systems leave behind, are passed over. Linked folders are followed after all others, each
    folder is read once, and a link to a folder that contains `root` leads round in a circle and is not followed.
    """
    visited = {_identity(parent) for parent in root.resolve().parents}
    closed: list[Path] = []  # folders that cannot be listed
    pending = [root]
    while pending:
        for top, folders, names in os.walk(pending.pop(0), onerror=lambda error: closed.append(Path(error.filename))):
            folder = Path(top)
            identity = _identity(folder)
            if identity in visited:
                folders.clear()
                continue
            visited.add(identity)
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            pending += [folder / each for each in folders if (folder / each).is_symlink()]
            for name in names:
                if not name.startswith("."):
                    yield folder / name, _can_be_opened(folder / name)
    yield from ((path, False) for path in closed)


def _can_be_opened(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return not stat.S_ISREG(status.st_mode) or os.access(path, os.R_OK)


def _open_error(path: Path, error: OSError) -> ReadError:
    """The one sentence about what cannot be opened."""
    reason = error.strerror or str(error)
    if path.is_symlink() and not os.path.exists(path):  # noqa: PTH110 - Path.exists raises on a folder without rights
        reason = f"a link to {path.readlink()}: {reason}"
    return ReadError(f"{path}: cannot be opened ({reason}); correct its path or rights, or leave it out")


def _companion(reader: Reader, path: Path) -> bool:
    """True if a file belongs to a data set without being a recording: angles, labels, official splits."""
    known: Callable[[Path], bool] | None = getattr(reader, "companion", None)
    return known is not None and known(path)


def find(
    root: str | Path,
    format: str = "auto",  # noqa: A002 - the option's own word
    reader: Reader | None = None,
) -> Found:
    """Find the recordings at `root`, a file or a folder that is searched with all its folders.

    Args:
        root: The file or folder.
        format: Name of a reader, or "auto".
        reader: A reader of your own, in place of `format`.

    Raises:
        ConfigError: If there is no such format.
        ReadError: If nothing is there, nothing is known, or files of several formats are mixed.
    """
    requested = reader or (None if format == "auto" else load_reader(format))
    root = Path(root)
    try:
        is_file, is_folder = root.is_file(), root.is_dir()
    except OSError as error:
        raise _open_error(root, error) from error
    if is_file:
        known = requested or recognize(root)
        if known is None:
            raise ReadError(
                f"{root}: the file is of no format known here; say which with --format, one of {', '.join(FORMATS[1:])}"
            )
        return Found(known, (root,), ())
    if not is_folder:
        raise ReadError(f"{root}: expected a file or folder of recordings, there is none; check the path")
    candidates = (requested,) if requested else tuple(map(load_reader, READERS))
    readers = {each.NAME: each for each in candidates}
    found: dict[str, list[Path]] = {}
    others: list[Path] = []
    unopenable: list[Path] = []
    for path, opens in _walk(root):
        is_regular = opens and path.is_file()  # a pipe would wait for its writer
        known = next((each for each in candidates if is_regular and each.recognizes(path)), None)
        if known is not None:
            found.setdefault(known.NAME, []).append(path)
        elif not any(_companion(each, path) for each in candidates):
            (others if opens else unopenable).append(path)
    for name, each in readers.items():
        if getattr(each, "SAME_MOVEMENTS_AS", None) in found:
            found.pop(name, None)
    if not found:
        what = f"of format '{requested.NAME}'" if requested else "of a format known here"
        closed = ""
        if unopenable:
            closed = f", and {len(unopenable)} files or folders that cannot be opened, the first {unopenable[0]}"
        raise ReadError(
            f"{root}: expected recordings, found no file {what} among {len(others)}{closed}; check the path"
        )
    if len(found) > 1:
        mixed = ", ".join(f"{len(paths)} {name}" for name, paths in found.items())
        raise ReadError(f"{root}: expected one format, found {mixed}; choose one with --format or name a folder of one")
    (name, paths) = found.popitem()
    return Found(readers[name], tuple(sorted(paths + unopenable)), tuple(sorted(others)))


def detect(path: Path, format: str = "auto") -> Reader:  # noqa: A002
    """The reader for a file or folder; raises what `find` raises."""
    return find(path, format).reader


def files(root: Path, format: str = "auto") -> tuple[Path, ...]:  # noqa: A002
    """The files to read at a path, sorted; raises what `find` raises."""
    return find(root, format).files


def _clips(reader: Reader, path: Path) -> Iterator[Clip]:
    """The clips of a file; an error of the whole file is the last of them."""
    try:
        with os.scandir(path) if path.is_dir() else path.open("rb"):
            pass
        yield from reader.read(path)
    except ReadError as error:
        yield error
    except ClipError as error:
        yield ReadError(f"{path}: {error}")
    except OSError as error:
        yield _open_error(path, error)


def _usable(clip: Clip, path: Path) -> Clip:
    """The clip, or why nothing can be learned from it, alike for all formats."""
    if isinstance(clip, ReadError):
        return clip
    key = clip.source.partition("#")[2]
    where = f"{path}#{key}" if key else f"{path}"
    if not len(clip.times_s):
        return ReadError(f"{where}: the clip has no frame; leave it out")
    farthest = float(np.nanmax(np.abs(clip.poses), initial=0.0))
    if farthest > FARTHEST:
        return ReadError(f"{where}: a joint lies at {farthest:.3g}, expected coordinates below {FARTHEST:.0g}")
    return clip


def recordings(
    reader: Reader, paths: Iterable[Path], on_bad: Callable[[ReadError], None] | None = None
) -> Iterator[Recording]:
    """The recordings of some files, each with at least one frame.

    Args:
        reader: Reads them.
        paths: The files.
        on_bad: Called once for each file that cannot be opened or read and each clip that cannot be used; all other
            clips follow. None raises instead.

    Raises:
        ReadError: If a file or clip is damaged, cut off, foreign or empty and `on_bad` is None.
    """
    for path in paths:
        for clip in _clips(reader, path):
            checked = _usable(clip, path)
            if isinstance(checked, Recording):
                yield checked
            elif on_bad is None:
                raise checked
            else:
                on_bad(checked)


def read(
    path: str | Path,
    format: str = "auto",  # noqa: A002
    on_bad: Callable[[ReadError], None] | None = None,
    *,
    reader: Reader | None = None,
) -> Iterator[Recording]:
    """Every recording of a file or folder, in the order of the files' names.

    Args:
        path: A file, or a folder that is searched with all its folders.
        format: Name of a reader, or "auto".
        on_bad: Called once for each file or clip that cannot be read, and reading goes on; None raises instead.
        reader: A reader of your own, in place of `format`.

    Raises:
        ConfigError: If there is no such format.
        ReadError: If nothing can be read there, or formats are mixed.
    """
    found = find(path, format, reader)
    return recordings(found.reader, found.files, on_bad)
