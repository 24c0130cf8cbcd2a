"""Joint coordinates of a recording from the numbers in a file: absent joints are NaN, absurd values are refused."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ReadError
from amr_edge.skeleton import Mask, Poses

# No body is seen from a kilometre away and no image is a million pixels wide; damaged bytes reach further.
FARTHEST = 1e6


def joints(values: NDArray[np.float64], where: Path, *, zero_is_absent: bool) -> Poses:
    """The joints of a file as a recording holds them.

    Args:
        values: (..., V, C) as the file has them.
        where: The file, for the sentence when it is damaged.
        zero_is_absent: Whether the sensor writes a joint that it lost as zeros.

    Returns:
        (..., V, C) float32; every channel of an absent joint is NaN.

    Raises:
        ReadError: If there is no frame, or a coordinate is infinite or beyond `FARTHEST`.

    >>> joints(np.array([[0.0, 0.0], [1.0, np.nan], [3.0, 0.0]]), Path("a"), zero_is_absent=True).tolist()
    [[nan, nan], [nan, nan], [3.0, 0.0]]
    """
    if not values.size:
        raise ReadError(f"{where}: expected poses over time, found no frame (shape {values.shape}); leave the file out")
    absent: Mask = np.asarray(np.isnan(values).any(axis=-1))  # (..., V)
    if zero_is_absent:
        absent |= (values == 0).all(axis=-1)
    farthest = float(np.abs(np.where(absent[..., None], 0, values)).max())
    if farthest > FARTHEST:
        raise ReadError(
            f"{where}: a joint lies at {farthest:.3g}, expected coordinates below {FARTHEST:.0g}; "
            "the file is damaged, copy it again"
        )
    return np.where(absent[..., None], np.nan, values).astype(np.float32)


def number_rows(path: Path, width: int) -> NDArray[np.float64]:
    """A text file of comma-separated numbers without a header, in gzip if its name ends in .gz.

    Args:
        path: The file.
        width: How many numbers stand in every row.

    Returns:
        (rows, width); blank lines are left out, and there may be no row at all.

    Raises:
        ReadError: If the file is damaged, a row is longer or shorter, or a number is absurd.
    """
    packed = path.suffix == ".gz"
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if packed else raw).decode("ascii")
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as cause:
        raise ReadError(
            f"{path}: expected comma-separated rows{' in gzip' if packed else ''}, "
            f"got something else ({cause}); the file is damaged or cut off, copy it again"
        ) from cause
    cells = [line.split(",") for line in text.splitlines() if line.strip()]
    for number, row in enumerate(cells, start=1):
        if len(row) != width:
            raise ReadError(
                f"{path}: expected {width} numbers in every row, row {number} has {len(row)}; "
                "the file is damaged or foreign"
            )
    try:
        values = np.array([[float(cell) for cell in row] for row in cells]).reshape(len(cells), width)
    except ValueError as cause:
        raise ReadError(f"{path}: expected only numbers ({cause}); the file is damaged or foreign") from cause
    if not (np.abs(values) < FARTHEST).all():
        raise ReadError(f"{path}: expected finite numbers below {FARTHEST:.0g}; the file is damaged, copy it again")
    return values


def at_rate(frames: int, fps: float) -> NDArray[np.float64]:
    """(T,) seconds of frames that follow each other at a steady rate, the first at 0."""
    return np.arange(frames, dtype=np.float64) / fps
