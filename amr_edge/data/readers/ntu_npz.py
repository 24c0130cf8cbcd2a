"""NTU RGB+D as CTR-GCN, MAMP and their kin prepare it: one .npz with all clips of a split, padded to 300 frames.

`x_train`, `x_test` (N, 300, 150) hold two persons of 25 joints x 3, metres, moved so that the spine's middle of
the first person's first frame is the origin; `y_train`, `y_test` (N, K) are one-hot. What is zero over a whole
person and frame is padding or a person who is not there; a single joint at zero is at the origin. NTU RGB+D 120
repeats a person who is alone as the second one, which is dropped here. Files are read clip by clip, unpacked or
compressed, and nothing is unpickled. Gaps were closed when the files were made: times are frames at 30 a second.

Source: the data preparation of CTR-GCN (Chen et al., ICCV 2021).
"""

import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.npz import Array, Member, load, members, rows, verify
from amr_edge.data.readers import ntu
from amr_edge.data.readers.joints import at_rate, joints
from amr_edge.data.readers.reader import Clip, clip_or_error
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import NTU25

NAME = "ntu_npz"
TITLE = "NTU RGB+D, prepared .npz"
TERMS = ntu.TERMS
CLASSES: tuple[str, ...] | None = ntu.CLASSES

PARTS = ("train", "test")
_PERSONS = 2
_WIDTH = _PERSONS * len(NTU25) * 3


def recognizes(path: Path) -> bool:
    """True if an .npz has clips and labels under NTU's names."""
    if path.suffix != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError):
        return False
    return any({f"x_{part}.npy", f"y_{part}.npy"} <= names for part in PARTS)


def _labels(path: Path, member: Member, values: Array) -> NDArray[np.int64]:
    """(N,) class numbers from 0, from one-hot rows or from the numbers themselves; -1 where there is no such class."""
    if member.dtype.kind not in "buif" or len(member.shape) not in (1, 2):
        raise ReadError(
            f"{path}: expected one-hot labels (N, K) in '{member.name}', got {member.shape} of {member.dtype}; "
            "the file is foreign"
        )
    if values.ndim == 2:
        hot = values == 1
        certain = (hot | (values == 0)).all(axis=1) & (hot.sum(axis=1) == 1)
        numbers = hot.argmax(axis=1)
    else:
        with np.errstate(invalid="ignore"):  # damaged bytes can be NaN
            numbers = values.astype(np.int64)
        certain = numbers == values
    return np.where(certain & (numbers >= 0) & (numbers < len(CLASSES or ())), numbers, -1).astype(np.int64)


def _clip(row: Array, where: Path) -> NDArray[np.float32]:
    """(M, T, V, C) of one padded row, without padding and without persons who are not there."""
    frames = np.flatnonzero((row != 0).any(axis=1))
    last = int(frames[-1]) + 1 if len(frames) else 0
    values = row[:last].reshape(last, _PERSONS, len(NTU25), 3)  # (T, M, V, C)
    with np.errstate(invalid="ignore"):  # damaged numbers can be signalling NaN
        values = values.transpose(1, 0, 2, 3).astype(np.float64)  # (M, T, V, C)
    values[(values == 0).all(axis=(2, 3))] = np.nan
    if np.array_equal(values[0], values[1], equal_nan=True):
        values = values[:1]
    here = ~np.isnan(values).all(axis=(1, 2, 3))
    here[0] |= not here.any()
    return joints(values[here], where, zero_is_absent=False) if last else np.empty((1, 0, len(NTU25), 3), np.float32)


def _recording(row: Array, label: int, path: Path, part: str, number: int) -> Recording:
    """One padded row and its class as a recording."""
    classes = CLASSES or ()
    where = f"{path}#{part}/{number}"
    if label < 0:
        raise ReadError(
            f"{where}: expected one of the {len(classes)} actions of NTU RGB+D in 'y_{part}', as a number from 0 or "
            "as a row with a single 1; the label is damaged or foreign"
        )
    poses = _clip(row, Path(where))
    return Recording(
        poses=poses,
        times_s=at_rate(poses.shape[1], ntu.FPS),
        layout=NTU25.name,
        label=classes[label],
        source=f"{path.name}#{part}/{number}",
        parts=(part,),
    )


def _part(path: Path, part: str, x: Member, y: Member) -> Iterator[Clip]:
    """The clips of one split."""
    if len(x.shape) != 3 or x.shape[2] != _WIDTH or x.dtype.kind != "f" or y.shape[:1] != x.shape[:1]:
        raise ReadError(
            f"{path}: expected x_{part} (N, T, {_WIDTH}) of floats and as many labels, got {x.shape} of {x.dtype} "
            f"and labels {y.shape}; the file is foreign"
        )
    labels = _labels(path, y, load(path, y))
    try:
        verify(path, x)  # beforehand: damaged bytes can look like poses
    except ReadError as error:
        raise ReadError(f"{error}; the {x.shape[0]} clips of '{x.name}' are lost") from error
    for number, (row, label) in enumerate(zip(rows(path, x), labels.tolist(), strict=True)):
        yield clip_or_error(f"{path}#{part}/{number}", partial(_recording, row, label, path, part, number))


def read(path: Path) -> Iterator[Clip]:
    """Every clip of a file; one that is nothing but padding comes with no frame.

    Yields:
        Poses (M, T, 25, 3) in layout ntu25, M 1 or 2; parts ("train",) or ("test",). An error for each clip that is
        damaged, and one for a whole split whose checksum is wrong.

    Raises:
        ReadError: If the file is no .npz of clips and labels.
    """
    found = members(path)
    parts = [part for part in PARTS if f"x_{part}" in found and f"y_{part}" in found]
    if not parts:
        raise ReadError(f"{path}: expected arrays x_train and y_train or x_test and y_test, got {', '.join(found)}")
    for part in parts:
        try:
            yield from _part(path, part, found[f"x_{part}"], found[f"y_{part}"])
        except ReadError as error:  # noqa: PERF203 - a damaged split must not cost the other one
            yield error
