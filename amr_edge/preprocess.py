"""The one preprocessing of both sides: what training learns from is what the stream feeds.

`prepare` turns a stretch of a recording into the clip a model sees: resampled by time, read in the model's
layout, centred, optionally scaled and turned, as joints, bones or steps. It is pure, and its parameters travel inside
the model's card.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError, ConfigError
from amr_edge.skeleton import Layout, Mask, Poses, layout, present_joints, remap

# Lengths of the bones of `canonical15` relative to the torso, near those of adults whom Kinect, Vicon and MediaPipe
# saw; the sensors differ in them by up to a half, which would tell a model the sensor instead of the movement.
UNIT_BONES = {
    "mid_shoulder": 1.0,
    "head": 0.4,
    "shoulder": 0.32,
    "elbow": 0.52,
    "wrist": 0.47,
    "hip": 0.2,
    "knee": 0.75,
    "ankle": 0.75,
}
TORSO_M = 0.5  # a scaled skeleton has this distance from pelvis to upper spine, so metre-sized constants still hold


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareConfig:
    """How poses become a clip.

    Attributes:
        layout: The layout the model sees.
        frames: T, frames in a clip.
        window_s: Seconds that the T frames of a live window cover, first to last frame.
        scale: "none" keeps metres; "torso" makes the median torso 0.5 long; "spread" makes the median root mean
            square distance of the joints from their middle so long, which holds for a person lying towards the
            camera, too. Pixels need one of the two.
        view: "camera" keeps the camera's view; "body" turns the window about the vertical so that the first
            person's hips and shoulders lie along x, facing +z.
        bones: "measured" keeps every bone as long as it was seen; "unit" keeps only where it points: each frame is
            built again from its middle of the hips with bones of `UNIT_BONES`, so that sensors and bodies look
            alike. Needs layout canonical15 and poses with depth.
        max_gap_s: A joint that is unseen for longer than this is absent meanwhile, not interpolated.
        stream: "joint" gives positions, "bone" each joint from its parent, "motion" the step to the next frame; see
            `streamed`.
    """

    layout: str = "ntu25"
    frames: int = 64
    window_s: float = 2.1
    scale: Literal["none", "torso", "spread"] = "none"
    view: Literal["camera", "body"] = "camera"
    bones: Literal["measured", "unit"] = "measured"
    max_gap_s: float = 0.4
    stream: Literal["joint", "bone", "motion"] = "joint"

    def __post_init__(self) -> None:
        layout(self.layout)
        if not isinstance(self.frames, int) or self.frames < 2:
            raise ConfigError(f"a clip needs a whole number of at least 2 frames, got frames={self.frames}")
        if not 0 < self.window_s < math.inf or not 0 < self.max_gap_s < math.inf:
            raise ConfigError(
                f"window_s and max_gap_s must be above 0 and finite, got {self.window_s} and {self.max_gap_s}"
            )
        if self.scale not in ("none", "torso", "spread") or self.view not in ("camera", "body"):
            raise ConfigError(
                f"scale must be none, torso or spread and view camera or body, got '{self.scale}' and '{self.view}'"
            )
        if self.bones not in ("measured", "unit"):
            raise ConfigError(f"bones must be measured or unit, got '{self.bones}'")
        if self.bones == "unit" and (self.layout != "canonical15" or self.scale != "none"):
            raise ConfigError(
                "bones=unit knows the lengths of canonical15 and scales by itself, so it needs layout=canonical15 and "
                f"scale=none, got {self.layout} and {self.scale}"
            )
        if self.stream not in ("joint", "bone", "motion"):
            raise ConfigError(f"stream must be joint, bone or motion, got '{self.stream}'")

    @property
    def fps(self) -> float:
        """The frame rate that a live window is resampled to."""
        return (self.frames - 1) / self.window_s


class Clip(NamedTuple):
    """What a model sees of one recording: values are 0 where absent, and `present` says which those are."""

    values: NDArray[np.float32]  # (M, T, V, 3)
    present: Mask  # (M, T, V)


def resample(
    poses: Poses, times_s: NDArray[np.float64], at_s: NDArray[np.float64], max_gap_s: float
) -> NDArray[np.float32]:
    """Poses at other instants, each joint interpolated linearly between the two frames that saw it.

    Args:
        poses: (M, T, V, C), absent joints NaN.
        times_s: (T,) rising seconds.
        at_s: (T',) seconds to sample at.
        max_gap_s: Two frames further apart than this are not joined.

    Returns:
        (M, T', V, C); NaN before the first frame, after the last, and inside gaps.

    >>> line = np.float32([[[[0.0]], [[np.nan]], [[2.0]]]])  # (1, 3, 1, 1): unseen in the middle
    >>> resample(line, np.array([0.0, 0.1, 0.2]), np.array([0.05, 0.3]), max_gap_s=0.5).ravel().tolist()
    [0.5, nan]
    """
    frames = len(times_s)
    if frames == 0:
        return np.full((poses.shape[0], len(at_s), *poses.shape[2:]), np.nan, dtype=np.float32)
    seen = present_joints(poses)  # (M, T, V)
    right = np.clip(np.searchsorted(times_s, at_s, side="left"), 0, frames - 1)  # first frame at or after
    left = np.where(times_s[right] == at_s, right, np.maximum(right - 1, 0))  # (T',)
    inside = (at_s >= times_s[0]) & (at_s <= times_s[-1])
    if bool(seen.all()):
        before, after = left, right  # every joint is in every frame: one pair of frames serves all
        span_s = times_s[after] - times_s[before]
        weight = np.where(span_s > 0, (at_s - times_s[before]) / np.where(span_s > 0, span_s, 1.0), 0.0)
        weight = weight.astype(np.float32)[:, None, None]  # (T', 1, 1)
        out = poses[:, before] * (1 - weight) + poses[:, after] * weight  # (M, T', V, C)
        out[:, ~(inside & (span_s <= max_gap_s))] = np.nan
        return np.asarray(out, dtype=np.float32)
    index = np.arange(frames)[None, :, None]
    last_seen = np.maximum.accumulate(np.where(seen, index, -1), axis=1)  # (M, T, V)
    next_seen = np.minimum.accumulate(np.where(seen, index, frames)[:, ::-1], axis=1)[:, ::-1]
    before, after = last_seen[:, left], next_seen[:, right]  # (M, T', V)
    both = (before >= 0) & (after < frames) & inside[None, :, None]
    before, after = np.where(both, before, 0), np.where(both, after, 0)
    span_s = times_s[after] - times_s[before]
    both &= span_s <= max_gap_s
    weight = np.where(span_s > 0, (at_s[None, :, None] - times_s[before]) / np.where(span_s > 0, span_s, 1.0), 0.0)
    weight = weight.astype(np.float32)[..., None]  # (M, T', V, 1)
    persons = np.arange(poses.shape[0])[:, None, None]
    joints = np.arange(poses.shape[2])[None, None, :]
    out = poses[persons, before, joints] * (1 - weight) + poses[persons, after, joints] * weight
    out[~both] = np.nan
    return np.asarray(out, dtype=np.float32)


def _origin(poses: Poses, pelvis: int | None) -> NDArray[np.float32]:
    """(C,): the first pelvis that the first visible person shows, else the mean of their first visible joints."""
    present = present_joints(poses)  # (M, T, V)
    for person in range(poses.shape[0]):
        if pelvis is not None and present[person, :, pelvis].any():
            first = int(present[person, :, pelvis].argmax())
            return np.asarray(poses[person, first, pelvis])
    for person in range(poses.shape[0]):
        if present[person].any():
            first = int(present[person].any(axis=-1).argmax())
            return np.asarray(poses[person, first][present[person, first]].mean(axis=0), dtype=np.float32)
    return np.zeros(poses.shape[-1], dtype=np.float32)


def _torso(poses: Poses, target: Layout) -> float:
    """Median distance from pelvis to upper spine over all persons and frames; NaN if never seen."""
    # NTU-25 has both joints, so any layout that can show them (exactly or as virtual joints) is measured alike.
    ends = remap(poses, target, layout("ntu25")).poses[..., [0, 20], :]  # (M, T, 2, C)
    length = np.linalg.norm(ends[..., 1, :] - ends[..., 0, :], axis=-1)
    length = length[np.isfinite(length)]
    return float(np.median(length)) if length.size else float("nan")


def _spread(poses: Poses) -> float:
    """Median over persons and frames of the root mean square distance of the visible joints from their middle."""
    here = present_joints(poses)[..., None]  # (M, T, V, 1)
    count = here.sum(axis=2)  # (M, T, 1)
    kept = np.where(here, poses, 0)
    middle = kept.sum(axis=2) / np.maximum(count, 1)  # (M, T, C)
    away = np.where(here, poses - middle[:, :, None], 0)
    spread = np.sqrt((away**2).sum(axis=(2, 3)) / np.maximum(count[..., 0], 1))  # (M, T)
    spread = spread[count[..., 0] > 1]
    return float(np.median(spread)) if spread.size else float("nan")


def _facing(poses: Poses, target: Layout) -> NDArray[np.float32] | None:
    """(3, 3) rotation about y that lays the first measurable person's right-to-left axis along +x; None if unseen."""
    sides = remap(poses, target, layout("ntu25")).poses  # (M, T, 25, C)
    for person in sides:
        across = np.stack([person[:, 4] - person[:, 8], person[:, 12] - person[:, 16]])  # (2, T, C)
        across = across[np.isfinite(across).all(axis=-1)]
        if not across.size:
            continue
        x, z = across[:, 0].mean(), across[:, 2].mean()
        norm = float(np.hypot(x, z))
        if norm > 1e-6:
            cos, sin = float(x) / norm, float(z) / norm
            return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=np.float32)
    return None


FLAT = (
    "a model of bone directions (bones=unit) needs poses with depth, got flat ones; "
    "use a sensor or a pose estimator that gives three coordinates"
)


def unit_lengths() -> NDArray[np.float32]:
    """(15,) how long `unit_bones` makes the bone that ends in each joint of canonical15; 0 for the root."""
    names = layout("canonical15").joints[1:]
    lengths = [UNIT_BONES[name] if name in UNIT_BONES else UNIT_BONES[name.split("_")[-1]] for name in names]
    return TORSO_M * np.array([0.0, *lengths], dtype=np.float32)


def unit_bones(poses: Poses) -> Poses:
    """Poses of which only the directions of the bones are kept.

    Args:
        poses: (..., 15, 3) in layout canonical15, absent joints NaN, any unit and place.

    Returns:
        (..., 15, 3): the middle of the hips at the origin in every frame, each other joint from the one that it hangs
        from in the direction that was seen, `UNIT_BONES` times `TORSO_M` away; NaN where either end was absent.

    Raises:
        ClipError: If the poses are flat: a direction needs its depth.

    >>> poses = np.zeros((15, 3), np.float32)
    >>> poses[1] = (0, 7, 0)  # a torso of seven metres
    >>> unit_bones(poses)[1].tolist()
    [0.0, 0.5, 0.0]
    """
    target = layout("canonical15")
    if poses.shape[-1] != 3:
        raise ClipError(FLAT)
    lengths = unit_lengths()
    out = np.full(poses.shape, np.nan, dtype=np.float32)
    for joint, parent in enumerate(target.parents):  # parents come before their children
        if parent < 0:
            out[..., joint, :] = poses[..., joint, :] - poses[..., joint, :]
            continue
        bone = poses[..., joint, :] - poses[..., parent, :]  # (..., 3)
        seen = np.linalg.norm(bone, axis=-1, keepdims=True)  # (..., 1)
        # Two joints in one place point nowhere.
        direction = np.divide(bone, seen, out=np.full_like(bone, np.nan), where=seen > 1e-6)
        out[..., joint, :] = out[..., parent, :] + lengths[joint] * direction
    return out


def streamed(poses: Poses, target: Layout, stream: Literal["joint", "bone", "motion"]) -> Poses:
    """Positions as one of the three streams whose answers are commonly fused.

    Args:
        poses: (M, T, V, C) positions, absent joints NaN.
        target: Their layout, whose parents make the bones.
        stream: "joint" leaves them; "bone" is a joint minus its parent, 0 at the root; "motion" is the next frame
            minus this one, 0 in the last frame.

    Returns:
        (M, T, V, C); NaN wherever an ingredient is absent.

    Source:
        The joint, bone and motion streams of 2s-AGCN (Shi et al., CVPR 2019) and its successors.

    >>> walk = np.float32([[[[0.0]], [[1.0]], [[3.0]]]])  # (1, 3, 1, 1)
    >>> streamed(walk, layout("ntu25"), "motion").ravel().tolist()
    [1.0, 2.0, 0.0]
    """
    if stream == "joint":
        return poses
    # A joint minus itself: 0 where it was seen and NaN where it was not.
    if stream == "bone":
        parents = [joint if parent < 0 else parent for joint, parent in enumerate(target.parents)]
        return np.asarray(poses - poses[..., parents, :], dtype=np.float32)
    following = np.concatenate([poses[:, 1:], poses[:, -1:]], axis=1)  # (M, T, V, C)
    return np.asarray(following - poses, dtype=np.float32)


def prepare(
    poses: Poses,
    times_s: NDArray[np.float64],
    source: Layout,
    config: PrepareConfig,
    span_s: tuple[float, float] | None = None,
) -> Clip:
    """The clip that a model sees of the stretch `span_s` of a recording.

    Args:
        poses: (M, T, V_source, C), absent joints NaN, y up; C is 2 or 3.
        times_s: (T,) rising seconds.
        source: The layout the poses are in.
        config: The model's parameters.
        span_s: First and last instant of the clip; None is the whole recording. Frames after the last instant
            are not looked at, so a stream, which cannot see them, gets the same clip.

    Returns:
        Values (M, frames, V, 3), 0 where absent (and 0 in z for flat poses), and presence (M, frames, V).

    Raises:
        ClipError: If the span is no stretch of time or there is no frame in it.
    """
    start_s, end_s = (
        (float(times_s[0]), float(times_s[-1])) if span_s is None and len(times_s) else (span_s or (0.0, 0.0))
    )
    if not -math.inf < start_s <= end_s < math.inf:
        raise ClipError(f"expected a span from an instant to a later one, got {start_s} s to {end_s} s")
    first = max(int(np.searchsorted(times_s, start_s - config.max_gap_s, side="left")), 0)
    last = int(np.searchsorted(times_s, end_s, side="right"))
    if last <= first:
        raise ClipError(
            f"no frame lies between {start_s:.3f} s and {end_s:.3f} s; the recording has {len(times_s)} frames"
        )
    target = layout(config.layout)
    at_s = np.linspace(start_s, end_s, config.frames) if end_s > start_s else np.full(config.frames, start_s)
    window = remap(poses[:, first:last], source, target).poses  # (M, T', V, C)
    out = resample(window, times_s[first:last], at_s, config.max_gap_s)  # (M, frames, V, C)
    pelvis = target.joints.index("pelvis") if "pelvis" in target.joints else None
    if pelvis is None:
        hips = remap(out, target, layout("ntu25")).poses[..., 0, :]  # (M, frames, C), the virtual pelvis
        origin = _origin(np.concatenate([out, hips[..., None, :]], axis=-2), out.shape[2])
    else:
        origin = _origin(out, pelvis)
    out = out - origin
    if config.bones == "unit":
        out = unit_bones(out)
    if out.shape[-1] == 2:
        out = np.concatenate([out, np.where(np.isnan(out[..., :1]), np.nan, 0).astype(np.float32)], axis=-1)
    if config.scale == "torso":
        torso = _torso(out, target)
        if torso > 1e-6:
            out = out * np.float32(TORSO_M / torso)
    if config.scale == "spread":
        spread = _spread(out)
        if spread > 1e-6:
            out = out * np.float32(TORSO_M / spread)
    if config.view == "body":
        turn = _facing(out, target)
        if turn is not None:
            out = out @ turn.T
    out = streamed(out, target, config.stream)
    present = present_joints(out)
    return Clip(np.where(present[..., None], out, 0).astype(np.float32), present)


def motion_energy(poses: Poses) -> NDArray[np.float64]:
    """Sum over frames and joints of the squared step from frame to frame: (M, T, V, C) -> (M,).

    Steps from or to an absent joint are left out.

    >>> motion_energy(np.float32([[[[0.0]], [[1.0]], [[3.0]]], [[[0.0]], [[np.nan]], [[3.0]]]])).tolist()
    [5.0, 0.0]
    """
    steps = np.diff(poses.astype(np.float64), axis=1)  # (M, T - 1, V, C)
    return np.asarray(np.nansum(steps**2, axis=(1, 2, 3)))


def prepare_scene(
    poses: Poses,
    times_s: NDArray[np.float64],
    source: Layout,
    config: PrepareConfig,
    persons: int,
    span_s: tuple[float, float] | None = None,
) -> tuple[NDArray[np.int64], Clip]:
    """`prepare` for a model of several people: those who are seen in the span, who moves most first.

    Args:
        poses: (M, T, V_source, C) of everyone, absent joints NaN.
        times_s: (T,) rising seconds.
        source: The layout the poses are in.
        config: The model's parameters.
        persons: How many people the model takes at most.
        span_s: First and last instant of the clip; None is the whole recording.

    Returns:
        Which of the M are in the clip, and the clip of them alone; none, if no person is seen in the span.
    """
    if span_s is None and len(times_s):
        span_s = (float(times_s[0]), float(times_s[-1]))
    start_s, end_s = span_s or (0.0, 0.0)
    # What `prepare` will look at and no more: a stream has not seen the frames after the span.
    first = int(np.searchsorted(times_s, start_s - config.max_gap_s))
    last = int(np.searchsorted(times_s, end_s, "right"))
    poses, times_s = poses[:, first:last], times_s[first:last]
    if len(poses) > 1:
        sampled = resample(poses, times_s, np.linspace(start_s, end_s, config.frames), config.max_gap_s)
        here = np.flatnonzero(present_joints(sampled).any(axis=(1, 2)))
        order = here[np.argsort(-motion_energy(sampled[here]), kind="stable")][:persons]
    else:
        order = np.arange(len(poses))  # no choice to make: spare the second resampling
    if len(times_s) and len(order):
        clip = prepare(poses[order], times_s, source, config, (start_s, end_s))
        if clip.present.any():
            return order, clip
    shape = (0, config.frames, len(layout(config.layout)))
    return order[:0], Clip(np.zeros((*shape, 3), dtype=np.float32), np.zeros(shape, dtype=np.bool_))
