"""Penn Action: 2326 clips of 15 sports and exercises, joints marked by hand in the image, a MATLAB file for each.

`NNNN.mat` holds `x`, `y` and `visibility` (T, 13), `action`, `train` (1 or -1) and `dimensions` (height, width, T).
Coordinates are image pixels with y down, stored as floats or as unsigned bytes or words; here y points up, from
the image's lower edge. A joint whose visibility is 0 was guessed by the annotator and is absent here. Left and right
are those of the person.

The clips come as numbered images of web videos and nothing says how many a second; `FPS` assumes the usual 30.

Source: Zhang, Zhu and Derpanis, "From actemes to action", ICCV 2013.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from amr_edge.data.readers.joints import at_rate, joints
from amr_edge.data.readers.matlab import Variable, as_numbers, load_variables
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import PENN13

NAME = "penn_action"
TITLE = "Penn Action"
TERMS = "research use"
CLASSES: tuple[str, ...] | None = (
    "baseball_pitch",
    "baseball_swing",
    "bench_press",
    "bowl",
    "clean_and_jerk",
    "golf_swing",
    "jump_rope",
    "jumping_jacks",
    "pullup",
    "pushup",
    "situp",
    "squat",
    "strum_guitar",
    "tennis_forehand",
    "tennis_serve",
)

FPS = 30.0
_FILE = re.compile(r"\d{4}\.mat")
_PARTS = {1: ("train",), -1: ("test",)}


def recognizes(path: Path) -> bool:
    """True if the name is that of a Penn Action annotation."""
    return _FILE.fullmatch(path.name) is not None


def _only(value: Variable) -> float | str | None:
    """Unwrap a value from cells or arrays of one element; None if there is more or less than one."""
    while isinstance(value, list):
        if len(value) != 1:
            return None
        value = value[0]
    if isinstance(value, str):
        return value
    return float(value.flat[0]) if value.size == 1 else None


def read(path: Path) -> Iterator[Recording]:
    """The one clip of a file.

    Yields:
        Poses (1, T, 13, 2) in layout penn13, pixels.

    Raises:
        ReadError: If the file is damaged, foreign or empty.
    """
    names = CLASSES or ()
    found = load_variables(
        path, ["x", "y", "visibility", "action", "train", "dimensions"], what="Penn Action annotation"
    )
    x, y, seen, size = (as_numbers(found[name], path, name) for name in ("x", "y", "visibility", "dimensions"))
    if x.ndim != 2 or x.shape[1] != len(PENN13) or y.shape != x.shape or seen.shape != x.shape:
        raise ReadError(
            f"{path}: expected x, y and visibility of one shape (T, 13), got {x.shape}, {y.shape} and {seen.shape}; "
            "the file is foreign"
        )
    if size.size < 2 or not 0 < size.flat[0] < 1e5:
        raise ReadError(
            f"{path}: expected dimensions (height, width, frames), got {size.tolist()}; the file is foreign"
        )
    action, train = _only(found["action"]), _only(found["train"])
    if not isinstance(action, str) or action not in names:
        raise ReadError(f"{path}: expected one of {TITLE}'s 15 actions, got {action!r:.60}; the file is foreign")
    part = next((parts for mark, parts in _PARTS.items() if train == mark), None)
    if part is None:
        raise ReadError(f"{path}: expected 1 (train) or -1 (test) in 'train', got {train!r:.60}; the file is foreign")
    values = np.stack([x, size.flat[0] - y], axis=-1)  # (T, V, 2), y up
    values[seen == 0] = np.nan
    poses = joints(values, path, zero_is_absent=False)[None]  # (1, T, V, 2)
    yield Recording(
        poses=poses,
        times_s=at_rate(poses.shape[1], FPS),
        layout=PENN13.name,
        units="px",
        label=action,
        source=path.name,
        parts=part,
    )
