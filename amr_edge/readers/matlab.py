"""The arrays of a MATLAB file, or the sentence that says why there are none."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ReadError
from amr_edge.extras import require


def load_variables(path: Path, names: Sequence[str], *, what: str) -> dict[str, NDArray[np.generic]]:
    """Load some variables of a MATLAB file (versions 4 to 7).

    Args:
        path: The file.
        names: Variables that it must have.
        what: What the file claims to be, for the sentences: "UTD-MHAD skeleton".

    Returns:
        The variables by name.

    Raises:
        MissingError: If scipy is not installed.
        ReadError: If the file is damaged, no MATLAB file, or lacks a variable.
    """
    require("mat", f"reading {what} files")
    from scipy.io import loadmat

    try:
        content = loadmat(str(path), appendmat=False, variable_names=list(names))
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise  # the path is wrong, not what lies there
    except Exception as cause:
        # scipy's parser meets damaged bytes with whatever its next step happens to raise.
        raise ReadError(
            f"{path}: expected a {what} (MATLAB file up to version 7), which cannot be parsed "
            f"({type(cause).__name__}: {cause}); the file is damaged or foreign, copy it again"
        ) from cause
    absent = [name for name in names if name not in content]
    if absent:
        raise ReadError(f"{path}: expected a {what}, the file has no variable {', '.join(absent)}; leave the file out")
    return {name: np.asarray(content[name]) for name in names}


def as_numbers(value: NDArray[np.generic], path: Path, name: str) -> NDArray[np.float64]:
    """A variable as float64, which also frees unsigned pixels from wrapping around in a subtraction.

    Raises:
        ReadError: If it holds no real numbers.
    """
    if value.dtype.kind not in "buif":
        raise ReadError(
            f"{path}: expected numbers in variable '{name}', got {value.dtype}; the file is damaged or foreign"
        )
    return value.astype(np.float64)
