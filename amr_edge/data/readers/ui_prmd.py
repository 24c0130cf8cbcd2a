"""UI-PRMD: 10 rehabilitation exercises of 10 people, done rightly and wrongly, seen by a Kinect v2.

`[Incorrect ]Segmented Movements/Kinect/Positions/mMM_sSS_eEE_positions[_inc].txt[.gz]` (movement, subject, episode)
are comma-separated rows of 22 joints x 3 without a header: the waist in centimetres before the sensor, every
other joint as an offset in the frame of the joint that it hangs from. The matching file under `Angles` holds the
joints' rotations about x, y and z in degrees. Only both together are a pose, so a recording is made from the two:

    R[j] = Rz(az) Rx(ax) Ry(ay)                  local rotation of joint j, column vectors
    P[0] = p[0],               G[0] = R[0]
    P[j] = P[i] + G[i] p[j],   G[j] = G[i] R[j]  with i the joint that j hangs from

Axes of the result: x to the subject's left when they face the sensor, y up, z towards the sensor; 30 frames a
second. Of all orders of rotation, this one agrees with the Vicon recordings of the same movements and leaves no
jumps from frame to frame; `tests/amr_edge/data/readers/test_ui_prmd.py` measures both.

The Vicon files lie beside these, are not read, and are known as companions.

Source: Vakanski, Jun, Paul and Baker, "A data set of human body movements for physical rehabilitation exercises",
Data 2018.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.readers.joints import at_rate, joints, number_rows
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import UI_PRMD22

NAME = "ui_prmd"
TITLE = "UI-PRMD"
TERMS = "public domain (ODC PDDL 1.0)"
CLASSES: tuple[str, ...] | None = (
    "deep squat",
    "hurdle step",
    "inline lunge",
    "side lunge",
    "sit to stand",
    "standing active straight leg raise",
    "standing shoulder abduction",
    "standing shoulder extension",
    "standing shoulder internal-external rotation",
    "standing shoulder scaption",
)

FPS = 30.0
_CM = 0.01
_FILE = re.compile(r"(m(\d{2})_s(\d{2})_e\d{2})_(positions|angles)(_inc)?(\.txt(?:\.gz)?)")


def _room(path: Path) -> tuple[str, str]:
    """The two folders that a file of the data set lies in: ("Kinect", "Positions")."""
    parts = path.absolute().parts
    return (parts[-3], parts[-2]) if len(parts) >= 3 else ("", "")


def recognizes(path: Path) -> bool:
    """True if this is a file of Kinect positions; its angles and the Vicon files are companions."""
    match = _FILE.fullmatch(path.name)
    return match is not None and match[4] == "positions" and _room(path) == ("Kinect", "Positions")


def companion(path: Path) -> bool:
    """True if this file belongs to the data set without being a recording of its own."""
    match = _FILE.fullmatch(path.name)
    if match is None:
        return False
    return _room(path) in (("Kinect", "Angles"), ("Vicon", "Angles"), ("Vicon", "Positions"))


def forward_kinematics(offsets: NDArray[np.float64], angles_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions of the joints, from the two files.

    Args:
        offsets: (T, 22, 3), the waist's position and the other joints' offsets in the frames they hang from.
        angles_deg: (T, 22, 3), rotations about x, y and z in degrees.

    Returns:
        (T, 22, 3) positions in the unit of the offsets, x left, y up, z towards the sensor.

    >>> offsets, angles = np.zeros((1, 22, 3)), np.zeros((1, 22, 3))
    >>> offsets[0, 1], angles[0, 0] = (1, 0, 0), (0, 0, 90)  # the spine to the side, turned upright about z
    >>> forward_kinematics(offsets, angles)[0, 1].round(6).tolist()
    [0.0, 1.0, 0.0]
    """
    angles = np.radians(angles_deg)
    cos, sin = np.cos(angles), np.sin(angles)
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(cos, -1, 0), np.moveaxis(sin, -1, 0)  # each (T, V)
    local = np.empty((*angles.shape, 3))  # (T, V, 3, 3), the product Rz Rx Ry written out
    local[..., 0, :] = np.stack([cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy], axis=-1)
    local[..., 1, :] = np.stack([sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy], axis=-1)
    local[..., 2, :] = np.stack([-cx * sy, sx, cx * cy], axis=-1)
    positions, turned = np.empty_like(offsets), np.empty_like(local)
    for joint, parent in enumerate(UI_PRMD22.parents):
        if parent < 0:
            positions[:, joint], turned[:, joint] = offsets[:, joint], local[:, joint]
        else:
            positions[:, joint] = positions[:, parent] + (turned[:, parent] @ offsets[:, joint, :, None])[..., 0]
            turned[:, joint] = turned[:, parent] @ local[:, joint]
    return positions


def _rows(path: Path) -> NDArray[np.float64]:
    """(T, 22, 3) of one file."""
    return number_rows(path, len(UI_PRMD22) * 3).reshape(-1, len(UI_PRMD22), 3)  # (T, V, 3)


def read(path: Path) -> Iterator[Recording]:
    """The one episode of a positions file and of the angles file that belongs to it.

    Yields:
        Poses (1, T, 22, 3) in layout ui_prmd22, metres; parts ("kinect", "correct" or "incorrect").

    Raises:
        ReadError: If a file is damaged, foreign or empty, or the angles are missing or of another length.
    """
    names = CLASSES or ()
    match = _FILE.fullmatch(path.name)
    if match is None or match[4] != "positions" or not 1 <= int(match[2]) <= len(names):
        raise ReadError(
            f"{path}: expected a file name mMM_sSS_eEE_positions.txt.gz with a movement from 1 to {len(names)}; "
            "give it its original name"
        )
    wrong = match[5] or ""
    twin = path.absolute().parent.parent / "Angles" / f"{match[1]}_angles{wrong}{match[6]}"
    if not twin.is_file():
        raise ReadError(f"{path}: the positions are offsets and need their angles, expected at {twin}; copy them there")
    offsets, angles = _rows(path), _rows(twin)
    if len(offsets) != len(angles):
        raise ReadError(
            f"{path}: has {len(offsets)} frames, its angles {twin} have {len(angles)}; one of them is cut off, "
            "copy both again"
        )
    values = forward_kinematics(offsets, angles) * _CM
    poses = joints(values, path, zero_is_absent=False)[None]  # (1, T, V, C)
    yield Recording(
        poses=poses,
        times_s=at_rate(poses.shape[1], FPS),
        layout=UI_PRMD22.name,
        label=names[int(match[2]) - 1],
        subject=int(match[3]),
        source=path.name,
        parts=("kinect", "incorrect" if wrong else "correct"),
    )
