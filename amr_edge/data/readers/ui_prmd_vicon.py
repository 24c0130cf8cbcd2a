"""UI-PRMD as its motion capture saw it: the same movements as `ui_prmd`, from markers on the skin.

`[Incorrect ]Segmented Movements/Vicon/Positions/mMM_sSS_eEE_positions[_inc].txt[.gz]` (movement, subject, episode)
are comma-separated rows of 39 markers x 3 without a header: absolute millimetres, x forward, y to the subject's
left, z up, 100 frames a second. The order of the markers is that of the Plug-in Gait marker set; nothing in the
files says so, their geometry does.

Joints are not markers:

- head: the middle of the four head markers, or of one diagonal of them where the other is broken;
- shoulder, elbow, knee, ankle: the one marker there (acromion, lateral epicondyles, lateral malleolus);
- wrist: the middle of its two markers;
- hip: from the pelvis, o the middle between the front spines and w their distance: o, 0.36 w to the side,
  0.19 w back, 0.30 w down.

A marker that was lost is written as (0, 0, 0). What becomes of it:

- lost for at most 0.25 s between two observed frames: a straight line in time;
- a front spine of the pelvis, lost for longer: placed by the other three pelvis markers, where it lay among them
  in the frames that show all four; if it is never seen, 240 mm from the other front spine, along the line of the
  two back spines;
- one of the two markers of a wrist, lost for longer: the wrist is the other one;
- anything else: the joint is absent (NaN). Markers of which no joint is made are not looked at.

`rebuilt` says of a file which markers were lost, and what became of them.

The Angles files beside these are not needed, and are known as companions, as are the Kinect's files.

Source: Vakanski, Jun, Paul and Baker, "A data set of human body movements for physical rehabilitation exercises",
Data 2018. Hip centres: Bell, Pedersen and Brand, "A comparison of the accuracy of several hip center location
prediction methods", Journal of Biomechanics 1990.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.readers import ui_prmd
from amr_edge.data.readers.joints import at_rate, joints, number_rows
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import CANONICAL15

NAME = "ui_prmd_vicon"
TITLE = "UI-PRMD, Vicon"
TERMS = ui_prmd.TERMS
CLASSES: tuple[str, ...] | None = ui_prmd.CLASSES
SAME_MOVEMENTS_AS = ui_prmd.NAME  # a folder of both is read as Kinect recordings

FPS = 100.0
SHORT_S = 0.25  # a marker that is lost for longer has moved in ways that no straight line tells
ASIS_MM = 240.0  # between the front spines of a pelvis of which one was never seen; eight of the ten have 240 to 285
_M = 0.001

MARKERS = (
    "LFHD", "RFHD", "LBHD", "RBHD", "C7", "T10", "CLAV", "STRN", "RBAK",
    "LSHO", "LUPA", "LELB", "LFRM", "LWRA", "LWRB", "LFIN",
    "RSHO", "RUPA", "RELB", "RFRM", "RWRA", "RWRB", "RFIN",
    "LASI", "RASI", "LPSI", "RPSI",
    "LTHI", "LKNE", "LTIB", "LANK", "LHEE", "LTOE",
    "RTHI", "RKNE", "RTIB", "RANK", "RHEE", "RTOE",
)  # fmt: skip
_USED = (
    "LFHD", "RFHD", "LBHD", "RBHD", "LSHO", "LELB", "LWRA", "LWRB", "RSHO", "RELB", "RWRA", "RWRB",
    "LASI", "RASI", "LPSI", "RPSI", "LKNE", "LANK", "RKNE", "RANK",
)  # fmt: skip

_FILE = re.compile(r"m(\d{2})_s(\d{2})_e\d{2}_positions(_inc)?\.txt(?:\.gz)?")
_KINECT = re.compile(r"m\d{2}_s\d{2}_e\d{2}_(positions|angles)(?:_inc)?\.txt(?:\.gz)?")

Points = NDArray[np.float64]  # (T, 3) millimetres, NaN where lost


class Lost(NamedTuple):
    """A marker that a joint is made of and that was lost.

    Attributes:
        marker: Its name in the Plug-in Gait set.
        frames: In how many frames.
        remedy: What became of them: "interpolated", "rebuilt" (some may be interpolated), or "absent".
    """

    marker: str
    frames: int
    remedy: str


def _room(path: Path) -> tuple[str, ...]:
    """The two folders that a file of the data set lies in: ("Vicon", "Positions")."""
    return path.absolute().parts[-3:-1]


def recognizes(path: Path) -> bool:
    """True if this is a file of Vicon positions."""
    return _FILE.fullmatch(path.name) is not None and _room(path) == ("Vicon", "Positions")


def companion(path: Path) -> bool:
    """True if this file belongs to the data set without being a recording of this reader."""
    match = _KINECT.fullmatch(path.name)
    if match is None:
        return False
    return _room(path) == ("Vicon", "Angles") or _room(path) in (("Kinect", "Positions"), ("Kinect", "Angles"))


def _markers(path: Path) -> dict[str, Points]:
    """Positions of every marker of a file: (T, 3) millimetres in the axes of the file, NaN where it was lost."""
    points = number_rows(path, len(MARKERS) * 3).reshape(-1, len(MARKERS), 3)  # (T, 39, 3)
    if not len(points):
        raise ReadError(f"{path}: expected rows of {len(MARKERS) * 3} numbers, found no frame; leave the file out")
    points[(points == 0).all(axis=-1)] = np.nan
    return {marker: points[:, index] for index, marker in enumerate(MARKERS)}


def _seen(points: Points) -> NDArray[np.bool_]:
    """(T,) True where a marker was seen."""
    return np.asarray(np.isfinite(points).all(axis=-1), dtype=np.bool_)


def bridged(points: Points, short_s: float = SHORT_S) -> Points:
    """A straight line through every gap between two observed frames that lie at most `short_s` and a frame apart.

    >>> bridged(np.array([[0.0] * 3, [np.nan] * 3, [2.0] * 3, [np.nan] * 3]))[:, 0].tolist()
    [0.0, 1.0, 2.0, nan]
    """
    seen = np.flatnonzero(_seen(points))
    if len(seen) < 2:
        return points
    out: Points = points.copy()
    lost = np.setdiff1d(np.arange(seen[0], seen[-1]), seen)
    after = np.searchsorted(seen, lost)
    gap = seen[after] - seen[after - 1] - 1  # frames lost in a row, for each frame lost
    lost = lost[gap <= short_s * FPS]
    for axis in range(3):
        out[lost, axis] = np.interp(lost, seen, points[seen, axis])
    return out


def _unit(vector: Points) -> Points:
    """(T, 3) of length 1; NaN where there is no direction."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector / np.where(length > 0, length, np.nan))


def _frame(across: Points, ahead: Points) -> NDArray[np.float64]:
    """(T, 3, 3) axes in rows: `across`, what of `ahead` is upright on it, and their cross product; all of length 1."""
    first = _unit(across)
    second = _unit(ahead - (ahead * first).sum(axis=-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=1)  # (T, 3, 3)


def front_spine(lost: Points, other: Points, left_back: Points, right_back: Points, side: float) -> Points:
    """A front spine of the pelvis, completed from the other three markers.

    Args:
        lost: (T, 3) the marker to complete.
        other: (T, 3) the front spine of the other side.
        left_back: (T, 3) the back spine of the left side.
        right_back: (T, 3) the back spine of the right side.
        side: 1 if it is the left one that is completed, -1 if the right.

    Returns:
        (T, 3); where it was seen, as it was seen; NaN where one of the other three is lost as well.
    """
    axes = _frame(left_back - right_back, other - (left_back + right_back) / 2)
    among = (axes @ (lost - other)[..., None])[..., 0]  # (T, 3), where it lies among the others
    known = _seen(among)
    place = np.median(among[known], axis=0) if known.any() else np.array([side * ASIS_MM, 0.0, 0.0])
    return np.where(_seen(lost)[:, None], lost, other + place @ axes)


def _either(one: Points, two: Points) -> Points:
    """The middle of two places, or the one that is known."""
    middle = (one + two) / 2
    return np.where(_seen(middle)[:, None], middle, np.where(_seen(one)[:, None], one, two))


def _hips(left: Points, right: Points, back: Points) -> tuple[Points, Points]:
    """Centres of the hip joints from the front spines and the middle of the back spines."""
    width = np.linalg.norm(left - right, axis=-1)  # (T,)
    # One width for the episode: it is a bone, and what it seems to change by is skin.
    mm = float(np.median(width[np.isfinite(width)])) if np.isfinite(width).any() else np.nan
    middle = (left + right) / 2
    axes = _frame(left - right, back - middle)  # left, back, and left x back, which is up
    inward = middle + 0.19 * mm * axes[:, 1] - 0.30 * mm * axes[:, 2]
    return inward + 0.36 * mm * axes[:, 0], inward - 0.36 * mm * axes[:, 0]


def _joints(markers: dict[str, Points]) -> dict[str, Points]:
    """The joints that markers show, by name: (T, 3) millimetres in the axes of the file."""
    m = {name: bridged(markers[name]) for name in _USED}
    left = front_spine(m["LASI"], m["RASI"], m["LPSI"], m["RPSI"], 1.0)
    right = front_spine(m["RASI"], m["LASI"], m["LPSI"], m["RPSI"], -1.0)
    found = {"head": _either((m["LFHD"] + m["RBHD"]) / 2, (m["RFHD"] + m["LBHD"]) / 2)}
    found["left_hip"], found["right_hip"] = _hips(left, right, (m["LPSI"] + m["RPSI"]) / 2)
    for side, letter in (("left", "L"), ("right", "R")):
        found[f"{side}_wrist"] = _either(m[f"{letter}WRA"], m[f"{letter}WRB"])
        for joint, marker in (("shoulder", "SHO"), ("elbow", "ELB"), ("knee", "KNE"), ("ankle", "ANK")):
            found[f"{side}_{joint}"] = m[letter + marker]
    for joint in ("hip", "shoulder"):
        found[f"mid_{joint}"] = (found[f"left_{joint}"] + found[f"right_{joint}"]) / 2
    return found


_PART = {
    "SHO": "shoulder", "ELB": "elbow", "WRA": "wrist", "WRB": "wrist", "ASI": "hip", "PSI": "hip", "KNE": "knee",
    "ANK": "ankle",
}  # fmt: skip


def _made_of(marker: str) -> str:
    """The joint that a marker helps to place."""
    if marker.endswith("HD"):
        return "head"
    return f"{'left' if marker.startswith('L') else 'right'}_{_PART[marker[1:]]}"


def rebuilt(path: Path) -> tuple[Lost, ...]:
    """The lost markers of a file that joints need, and how they were restored.

    Raises:
        ReadError: If the file is damaged or foreign.
    """
    markers = _markers(path)
    found = _joints(markers)
    losses = []
    for marker in _USED:
        lost = ~_seen(markers[marker])
        if not lost.any():
            continue
        if not _seen(found[_made_of(marker)])[lost].all():
            remedy = "absent"
        else:
            remedy = "interpolated" if _seen(bridged(markers[marker])).all() else "rebuilt"
        losses.append(Lost(marker, int(lost.sum()), remedy))
    return tuple(losses)


def read(path: Path) -> Iterator[Recording]:
    """The one episode of a positions file.

    Yields:
        Poses (1, T, 15, 3) in layout canonical15, metres, x to the subject's left, y up, z forward; parts ("vicon",
        "correct" or "incorrect").

    Raises:
        ReadError: If the file is damaged, foreign or empty.
    """
    names = CLASSES or ()
    match = _FILE.fullmatch(path.name)
    if match is None or not 1 <= int(match[1]) <= len(names):
        raise ReadError(
            f"{path}: expected a file name mMM_sSS_eEE_positions.txt.gz with a movement from 1 to {len(names)}; "
            "give it its original name"
        )
    found = _joints(_markers(path))
    values = np.stack([found[joint] for joint in CANONICAL15.joints], axis=1)  # (T, 15, 3), forward, left, up
    poses = joints(values[..., [1, 2, 0]] * _M, path, zero_is_absent=False)[None]  # (1, T, V, C)
    yield Recording(
        poses=poses,
        times_s=at_rate(poses.shape[1], FPS),
        layout=CANONICAL15.name,
        label=names[int(match[1]) - 1],
        subject=int(match[2]),
        source=path.name,
        parts=("vicon", "incorrect" if match[3] else "correct"),
    )
