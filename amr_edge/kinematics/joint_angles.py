"""Joint angles and distances of the body, frame by frame.

Poses are those of layout canonical15, and only the directions of their bones count, so a sensor in metres and the clip
of a model with bones of unit length give the same numbers. Angles are degrees, 0 for a person who stands upright with
the arms at the sides. "Forward" is where hips and shoulders face in that very frame, along the ground; "down" is the
room's.
"""

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError
from amr_edge.preprocess import TORSO_M, UNIT_BONES, unit_bones
from amr_edge.skeleton import CANONICAL15, Poses

Floats = NDArray[np.float64]

# Of a left and a right side, (T, 2) in this order.
SIDED: dict[str, str] = {
    "knee flexion": "between thigh and shank; 0 is straight",
    "hip flexion": "between trunk and thigh; 0 is a straight line",
    "thigh elevation": "of the thigh from straight down, to any side",
    "thigh forward": "of the thigh out of the plane of the body, negative behind it",
    "thigh sideways": "of the thigh away from the middle, negative across it",
    "arm elevation": "of the upper arm from straight down, to any side",
    "arm forward": "of the upper arm out of the plane of the body, negative behind it",
    "arm backward": "the same, positive behind it: what a shoulder extends by",
    "arm sideways": "of the upper arm away from the middle, negative across it",
    "elbow flexion": "between upper arm and forearm; 0 is straight",
    "forearm rotation": "of the forearm about the upper arm from straight ahead, positive outward or upward",
}
# Of the whole body, (T,).
WHOLE: dict[str, str] = {
    "trunk lean": "of the trunk from straight up, to any side",
    "trunk sideways": "of the trunk out of the middle, to either side",
    "stance width": "between the ankles from side to side, in widths of the hips",
    "feet apart": "between the ankles along the ground, in any direction, in widths of the hips",
    "knees width": "between the knees from side to side, in widths of the hips",
    "stance depth": "between the ankles from front to back, in widths of the hips",
}
MEASURES = (*SIDED, *WHOLE)

BENT_DEG = 20.0  # a forearm that is bent by less shows no rotation about the upper arm
_HIPS = 2 * UNIT_BONES["hip"] * TORSO_M
_UP = np.array([0.0, 1.0, 0.0])


def standing() -> Poses:
    """(15, 3) metres: a person who stands upright with the arms at the sides, facing +z; all angles are 0.

    >>> {name: float(np.abs(angle).max()) for name, angle in angles(standing()[None]).items() if name not in WHOLE}
    ... # doctest: +ELLIPSIS
    {'knee flexion': 0.0, 'hip flexion': 0.0, ...}
    """
    side = [(0.16, 1.4), (0.16, 1.14), (0.16, 0.905)], [(0.1, 0.9), (0.1, 0.525), (0.1, 0.15)]
    arm, leg = ([(x, y, 0.0) for x, y in limb] for limb in side)
    across = np.array([-1.0, 1.0, 1.0])
    middle = [(0.0, 0.9, 0.0), (0.0, 1.4, 0.0), (0.0, 1.6, 0.0)]
    return np.array([*middle, *arm, *(across * arm), *leg, *(across * leg)], dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    """(..., 3) of length 1; NaN where there is no direction."""
    length = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return np.asarray(vectors / np.where(length > 1e-9, length, np.nan))


def _dot(one: Floats, two: Floats) -> Floats:
    """(..., 3) and (..., 3) -> (...)."""
    return np.asarray((one * two).sum(axis=-1))


def _cross(one: Floats, two: Floats) -> Floats:
    """(..., 3) x (..., 3); several times as fast as NumPy's on a few frames."""
    return np.asarray(one[..., [1, 2, 0]] * two[..., [2, 0, 1]] - one[..., [2, 0, 1]] * two[..., [1, 2, 0]])


def _between(one: Floats, two: Floats) -> Floats:
    """Degrees between directions (..., 3), 0 to 180."""
    return np.asarray(np.degrees(np.arccos(np.clip(_dot(one, two), -1, 1))))


def _out_of_plane(share: Floats) -> Floats:
    """Degrees of a direction out of a plane, by its share along the plane's normal."""
    return np.asarray(np.degrees(np.arcsin(np.clip(share, -1, 1))))


def angles(poses: Poses) -> dict[str, Floats]:
    """All measures of `MEASURES`, frame by frame.

    Args:
        poses: (T, 15, 3) in layout canonical15, y up, absent joints NaN, any unit.

    Returns:
        By name: (T, 2) degrees of the left and of the right side for those of `SIDED`, (T,) for those of `WHOLE`;
        NaN where a joint is missing that is needed.

    Raises:
        ClipError: If the poses have another shape.

    >>> pose = standing()
    >>> pose[CANONICAL15.index("left_ankle")] = pose[CANONICAL15.index("left_knee")] + np.float32([0, 0, -0.4])
    >>> angles(pose[None])["knee flexion"].round(3).tolist()  # the left heel is at the height of the knee
    [[90.0, 0.0]]
    """
    if poses.ndim != 3 or poses.shape[1:] != (len(CANONICAL15), 3):
        raise ClipError(f"expected poses (T, {len(CANONICAL15)}, 3) of layout canonical15, got {poses.shape}")
    body = unit_bones(np.asarray(poses, dtype=np.float32)).astype(np.float64)
    at = dict(zip(CANONICAL15.joints, np.moveaxis(body, 1, 0), strict=True))  # each (T, 3)

    def both(part: str) -> Floats:
        return np.stack([at[f"left_{part}"], at[f"right_{part}"]], axis=1)  # (T, 2, 3)

    across = at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"]
    left = _unit(across * (1 - _UP))  # (T, 3), along the ground
    forward = (left[:, [2, 1, 0]] * [-1.0, 0.0, 1.0])[:, None]  # (T, 1, 3), left x up
    outward = np.stack([left, -left], axis=1)  # (T, 2, 3)
    thigh, shank = _unit(both("knee") - both("hip")), _unit(both("ankle") - both("knee"))  # (T, 2, 3)
    upper, fore = _unit(both("elbow") - both("shoulder")), _unit(both("wrist") - both("elbow"))
    trunk = _unit(at["mid_shoulder"] - at["mid_hip"])  # (T, 3)
    feet, knees = at["left_ankle"] - at["right_ankle"], at["left_knee"] - at["right_knee"]
    elbow = _between(upper, fore)
    ahead = _out_of_plane(_dot(upper, forward))
    # Forearm and "straight ahead", both as seen along the upper arm.
    swung = fore - _dot(fore, upper)[..., None] * upper
    zero = forward - _dot(forward, upper)[..., None] * upper
    turned = np.degrees(np.arctan2(_dot(_cross(zero, swung), upper), _dot(zero, swung)))
    turned = turned * np.array([-1.0, 1.0])  # a left arm turns outward against the direction of a right one
    return {
        "knee flexion": _between(thigh, shank),
        "hip flexion": _between(thigh, -trunk[:, None]),
        "thigh elevation": _between(thigh, -_UP),
        "thigh forward": _out_of_plane(_dot(thigh, forward)),
        "thigh sideways": _out_of_plane(_dot(thigh, outward)),
        "arm elevation": _between(upper, -_UP),
        "arm forward": ahead,
        "arm backward": -ahead,
        "arm sideways": _out_of_plane(_dot(upper, outward)),
        "elbow flexion": elbow,
        "forearm rotation": np.where(elbow >= BENT_DEG, turned, np.nan),
        "trunk lean": _between(trunk, _UP),
        "trunk sideways": np.abs(_out_of_plane(_dot(trunk, left))),
        "stance width": np.abs(_dot(feet, left)) / _HIPS,
        "feet apart": np.hypot(feet[:, 0], feet[:, 2]) / _HIPS,
        "knees width": np.abs(_dot(knees, left)) / _HIPS,
        "stance depth": np.abs(_dot(feet, forward[:, 0])) / _HIPS,
    }


def median_of_three(values: Floats) -> Floats:
    """(T,) the median of each value and its two neighbours: a single wild frame is no movement."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    three = np.sort(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)  # (3, T), NaN last
    count = np.isfinite(three).sum(axis=0)
    return np.asarray(np.where(count == 3, three[1], np.where(count == 2, (three[0] + three[1]) / 2, three[0])))
