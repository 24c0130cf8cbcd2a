"""Northwestern-UCLA: 10 actions of 10 people seen by three Kinects v1, a JSON file for each clip and camera.

`aAA_sSS_eEE_vVV.json` (action, subject, event, view) holds `file_name`, `skeletons` (T, 20, 3) in metres, Kinect
camera space (x to the sensor's left, y up, z away from the sensor), and `label` 1..10. The action ids in the
file names leave out 7 and 10, so only `label` counts. A joint that was lost is (0, 0, 0); clips of one frame exist.

The files carry no clock. Thirty frames a second, Kinect's own rate, cannot be right: people who "walk around"
would cover 2 m with 3 steps in every second, and sit down more than twice as fast as in UTD-MHAD, whose rate is
known. Half of it makes them walk 1 m with 1.5 steps a second, so `FPS` is 15: an estimate, good for telling slow
from fast, not for measuring speed.

Source: Wang, Nie, Xia, Wu and Zhu, "Cross-view action modeling, learning and recognition", CVPR 2014; the JSON
form is the one that CTR-GCN hands on.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from amr_edge.data.readers.joints import at_rate, joints
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import KINECT20

NAME = "nw_ucla"
TITLE = "Northwestern-UCLA"
TERMS = "research use"
CLASSES: tuple[str, ...] | None = (
    "pick up with one hand",
    "pick up with two hands",
    "drop trash",
    "walk around",
    "sit down",
    "stand up",
    "donning",
    "doffing",
    "throw",
    "carry",
)

FPS = 15.0
_FILE = re.compile(r"a\d{2}_s(\d{2})_e\d{2}_v(\d{2})\.json")


def recognizes(path: Path) -> bool:
    """True if the name is that of a Northwestern-UCLA clip."""
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
    if match is None:
        raise ReadError(f"{path}: expected a file name aAA_sSS_eEE_vVV.json; give it its original name")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as cause:
        raise ReadError(f"{path}: expected JSON, got {type(cause).__name__}: {cause}; copy the file again") from cause
    if not isinstance(content, dict) or "skeletons" not in content or "label" not in content:
        raise ReadError(f"{path}: expected a JSON object with 'skeletons' and 'label'; leave the file out")
    label = content["label"]
    if isinstance(label, bool) or not isinstance(label, int) or not 1 <= label <= len(names):
        raise ReadError(f"{path}: expected a label from 1 to {len(names)}, got {label!r:.40}; the file is foreign")
    if content.get("file_name", path.stem) != path.stem:
        raise ReadError(f"{path}: the file says it is '{content['file_name']!s:.40}'; give it that name again")
    try:
        values = np.asarray(content["skeletons"], dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as cause:
        raise ReadError(
            f"{path}: expected skeletons as numbers (T, 20, 3), got something else ({cause}); copy the file again"
        ) from cause
    if values.shape[1:] != (len(KINECT20), 3):
        raise ReadError(f"{path}: expected skeletons of shape (T, 20, 3), got {values.shape}; the file is foreign")
    poses = joints(values, path, zero_is_absent=True)[None]  # (1, T, V, C)
    yield Recording(
        poses=poses,
        times_s=at_rate(poses.shape[1], FPS),
        layout=KINECT20.name,
        label=names[label - 1],
        subject=int(match[1]),
        camera=int(match[2]),
        source=path.name,
    )
