"""UTD-MHAD: 27 actions of 8 people before one Kinect v1, a MATLAB file for each clip.

`aA_sS_tT_skeleton.mat` (action, subject, trial) holds `d_skel` (20, 3, T): metres in Kinect camera space, x to
the sensor's left, y up, z away from the sensor, about 30 frames a second. Its joints are those of Kinect v1 in
another order, from head to feet.

Source: Chen, Jafari and Kehtarnavaz, "UTD-MHAD", ICIP 2015, and the joint order that lies beside the files.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from amr_edge.data.readers.joints import at_rate, joints
from amr_edge.data.readers.matlab import as_numbers, load_variables
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import KINECT20

NAME = "utd_mhad"
TITLE = "UTD-MHAD"
TERMS = "research use, cite the paper; no licence text found"
CLASSES: tuple[str, ...] | None = (
    "swipe left",
    "swipe right",
    "wave",
    "clap",
    "throw",
    "arm cross",
    "basketball shoot",
    "draw x",
    "draw circle clockwise",
    "draw circle counter-clockwise",
    "draw triangle",
    "bowling",
    "boxing",
    "baseball swing",
    "tennis swing",
    "arm curl",
    "tennis serve",
    "push",
    "knock",
    "catch",
    "pick up and throw",
    "jog",
    "walk",
    "sit to stand",
    "stand to sit",
    "forward lunge",
    "squat",
)

FPS = 30.0
# Kinect v1 starts at the pelvis; the files start at the head and go on alike from the left shoulder.
FILE_ORDER = ("head", "upper_spine", "spine", "pelvis", *KINECT20.joints[4:])
_TO_KINECT20 = [FILE_ORDER.index(joint) for joint in KINECT20.joints]
_FILE = re.compile(r"a(\d{1,2})_s(\d{1,2})_t(\d{1,2})_skeleton\.mat")


def recognizes(path: Path) -> bool:
    """True if the name is that of a UTD-MHAD skeleton."""
    return _FILE.fullmatch(path.name) is not None


def read(path: Path) -> Iterator[Recording]:
    """The one clip of a file.

    Yields:
        Poses (1, T, 20, 3) in layout kinect20.

    Raises:
        ReadError: If the file is damaged, foreign or empty.
    """
    names = CLASSES or ()
    match = _FILE.fullmatch(path.name)
    action, subject = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= action <= len(names):
        raise ReadError(
            f"{path}: expected a file name aA_sS_tT_skeleton.mat with an action from 1 to {len(names)}; "
            "give it its original name"
        )
    variables = load_variables(path, ["d_skel"], what="UTD-MHAD skeleton")
    found = as_numbers(variables["d_skel"], path, "d_skel")
    if found.ndim == 2:
        found = found[..., None]  # (20, 3, 1): MATLAB drops a last axis of one, so this is a clip of one frame
    if found.ndim != 3 or found.shape[:2] != (len(FILE_ORDER), 3):
        raise ReadError(f"{path}: expected d_skel of shape (20, 3, T), got {found.shape}; the file is foreign")
    values = found.transpose(2, 0, 1)[:, _TO_KINECT20]  # (T, V, C)
    poses = joints(values, path, zero_is_absent=True)[None]  # (1, T, V, C)
    yield Recording(
        poses=np.ascontiguousarray(poses),
        times_s=at_rate(poses.shape[1], FPS),
        layout=KINECT20.name,
        label=names[action - 1],
        subject=subject,
        source=path.name,
    )
