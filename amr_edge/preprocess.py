"""Preprocessing of skeletons for training, evaluation and live recognition.

`prepare` turns a stretch of a recording into the clip a model sees: resampled by time, read in the model's
layout, centred, optionally scaled and turned, as joints, bones or steps. It is pure, and its parameters travel inside
the model's card. What a clip is after resampling has one definition, `Normalization`, which training runs on batches in
torch; only resampling has a second form there.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.array_backend import NUMPY, Array, ArrayBackend
from amr_edge.errors import ClipError, ConfigError
from amr_edge.motion_energy import body_energy
from amr_edge.skeleton import NTU25, Layout, Mask, Poses, layout, present_joints, remap

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
RECENT_S = 0.5  # a person unseen for longer than this before the end of a window gets no prediction
TORSO_M = 0.5  # a scaled skeleton has this distance from pelvis to upper spine, so metre-sized constants still hold


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareConfig:
    """Parameters of preprocessing.

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
    """The input of a model: values, 0 where absent, and the mask of what is present."""

    values: NDArray[np.float32]  # (M, T, V, 3)
    present: Mask  # (M, T, V)


def resample(
    poses: Poses, times_s: NDArray[np.float64], at_s: NDArray[np.float64], max_gap_s: float
) -> NDArray[np.float32]:
    """Poses at other instants, each joint interpolated linearly between the two nearest frames that show it.

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


FLAT = (
    "a model of bone directions (bones=unit) needs poses with depth, got flat ones; "
    "use a sensor or a pose estimator that gives three coordinates"
)


def unit_lengths() -> NDArray[np.float32]:
    """(15,) how long `unit_bones` makes the bone that ends in each joint of canonical15; 0 for the root."""
    names = layout("canonical15").joints[1:]
    lengths = [UNIT_BONES[name] if name in UNIT_BONES else UNIT_BONES[name.split("_")[-1]] for name in names]
    return TORSO_M * np.array([0.0, *lengths], dtype=np.float32)


@lru_cache(maxsize=64)
def _ntu25_joint(target: Layout, name: str) -> tuple[int, int] | None:
    """The two joints of a layout halfway between which a joint of NTU-25 lies; the same twice if it is one of them."""
    weights = remap(np.eye(len(target), dtype=np.float32), target, NTU25).poses[NTU25.index(name)]  # (V,)
    parts = np.flatnonzero(weights > 0)
    return (int(parts[0]), int(parts[-1])) if np.isfinite(weights).all() else None


class Scenes(NamedTuple):
    """Grouping of B bodies into N scenes: a scene has one origin, one scale and one view."""

    body: Array  # (N, M) int, the body in each slot; any where there is none
    filled: Array  # (N, M) bool, whether there is one
    scene: Array  # (B,) int, the scene of each body

    def every(self, xp: ArrayBackend) -> Array:
        """(N,) the scenes by number."""
        return xp.arange(self.body.shape[0], self.body)


class Normalization:
    """Normalisation of resampled positions: origin, bones, scale, view and stream of a `PrepareConfig`.

    This is the only definition: live recognition and evaluation call it with NumPy (`prepare`), training with torch
    and many scenes at once (`amr_edge.training.data.preprocess_torch`). Origin, scale and view are measured on joints
    of NTU-25, so every layout that has or can place them is measured alike.

    Args:
        config: The model's preprocessing.
        xp: The array operations of the arrays that it will be called with.
    """

    def __init__(self, config: PrepareConfig, xp: ArrayBackend = NUMPY) -> None:
        self.config, self.layout, self._xp = config, layout(config.layout), xp

    def __call__(
        self,
        values: Array,
        present: Array,
        scenes: Scenes,
        change: Array | None = None,
        mirrored: Array | None = None,
    ) -> tuple[Array, Array]:
        """Normalised positions, and which of them are present.

        Args:
            values: (B, T, V, C) float32, C is 2 or 3, any finite number where absent.
            present: (B, T, V) bool.
            scenes: Who stands with whom.
            change: (N, 3, 3) what the normalised positions of each scene are multiplied by; None leaves them.
            mirrored: (N,) bool, scenes whose left and right joints change places; None leaves them.

        Returns:
            (B, T, V, 3), any finite number where absent, and (B, T, V).

        Raises:
            ClipError: If the poses are flat and the configuration needs the directions of bones.
        """
        config, xp, of = self.config, self._xp, scenes.scene
        values = values - self._origin(values, present, scenes)[of][:, None, None]
        if config.bones == "unit":
            values, present = self.unit(values, present)
        if values.shape[-1] == 2:
            values = xp.concat([values, values[..., :1] * 0], -1)
        size = self._size(values, present, scenes)
        matrix = change
        if config.view == "body":
            turn = self._turn(values, present, size, scenes)
            matrix = turn if matrix is None else matrix @ turn
        if size is not None and matrix is not None:
            matrix = matrix * size[:, None, None]
        elif size is not None:
            values = values * size[of][:, None, None, None]
        if matrix is not None:
            flat = values.reshape(values.shape[0], -1, 3)  # (B, T * V, 3)
            values = (flat @ matrix[of].swapaxes(1, 2)).reshape(values.shape)
        if mirrored is not None:
            mirror, swapped = xp.integers(list(self.layout.mirror), values), mirrored[of][:, None, None]
            values = xp.where(swapped[..., None], xp.take(values, mirror, 2), values)
            present = xp.where(swapped, xp.take(present, mirror, 2), present)
        return self.stream(values, present)

    def _joint(self, name: str, values: Array, present: Array) -> tuple[Array, Array] | None:
        """A joint of NTU-25: (B, T, C) and (B, T) bool; None if the layout cannot show it."""
        parts = _ntu25_joint(self.layout, name)
        if parts is None:
            return None
        a, b = parts
        if a == b:
            return values[:, :, a], present[:, :, a]
        return values[:, :, a] * 0.5 + values[:, :, b] * 0.5, present[:, :, a] & present[:, :, b]

    def _first(self, suitable: Array, scenes: Scenes) -> tuple[Array, Array]:
        """(N,) the first suitable body of each scene, or its first; and (N,) whether one is: from (B,) bool."""
        suits = suitable[scenes.body] & scenes.filled  # (N, M)
        return scenes.body[scenes.every(self._xp), self._xp.first_true(suits, 1)], suits.any(axis=1)

    def _origin(self, values: Array, present: Array, scenes: Scenes) -> Array:
        """(N, C): the first pelvis that the first visible person shows, else the mean of their first visible joints."""
        xp = self._xp
        shown = present.any(axis=2)  # (B, T)
        body, _ = self._first(shown.any(axis=1), scenes)  # (N,)
        frame = xp.first_true(shown, 1)[body]
        seen = xp.cast(present[body, frame], values)[..., None]  # (N, V, 1)
        place = (values[body, frame] * seen).sum(axis=1) / seen.sum(axis=1).clip(min=1)  # (N, C)
        pelvis = self._joint("pelvis", values, present)
        if pelvis is None:
            return place
        where, shown = pelvis
        body, found = self._first(shown.any(axis=1), scenes)
        return xp.where(found[:, None], where[body, xp.first_true(shown, 1)[body]], place)

    def _size(self, values: Array, present: Array, scenes: Scenes) -> Array | None:
        """(N,) what makes the median torso or spread of a scene `TORSO_M` long, 1 if none is seen; None leaves it."""
        xp = self._xp
        if self.config.scale == "torso":
            pelvis, chest = (self._joint(name, values, present) for name in ("pelvis", "upper_spine"))
            if pelvis is None or chest is None:
                return None
            axis = chest[0] - pelvis[0]  # (B, T, 3)
            length, seen = xp.sqrt((axis * axis).sum(axis=-1)), pelvis[1] & chest[1]  # (B, T)
        elif self.config.scale == "spread":
            shown = xp.cast(present, values)[..., None]  # (B, T, V, 1)
            count = shown.sum(axis=2)  # (B, T, 1)
            some = count.clip(min=1)
            middle = (values * shown).sum(axis=2) / some  # (B, T, 3)
            away = (values - middle[:, :, None]) * shown
            length, seen = xp.sqrt((away * away).sum(axis=(2, 3)) / some[..., 0]), count[..., 0] > 1  # (B, T)
        else:
            return None
        length = xp.where(seen, length, math.inf)[scenes.body]  # (N, M, T)
        length = xp.where(scenes.filled[..., None], length, math.inf)
        length = xp.sort(length.reshape(length.shape[0], -1), 1)  # (N, M * T), those that count first
        count = xp.isfinite(length).sum(axis=1)[:, None]  # (N, 1)
        middle = xp.concat([(count - 1).clip(min=0) // 2, (count // 2).clip(max=length.shape[1] - 1)], 1)
        median = length[scenes.every(xp)[:, None], middle].mean(axis=1)  # (N,), infinite if there is none
        usable = xp.isfinite(median) & (median > 1e-6)
        return xp.where(usable, TORSO_M / xp.where(usable, median, 1.0), 1.0)

    def _turn(self, values: Array, present: Array, size: Array | None, scenes: Scenes) -> Array:
        """(N, 3, 3) about the vertical: lays the first measurable person's right-to-left axis along +x."""
        xp = self._xp
        total, count = values[:, 0, 0] * 0, values[:, 0, 0, :1] * 0  # (B, 3), (B, 1)
        for part in ("shoulder", "hip"):
            left = self._joint(f"left_{part}", values, present)
            right = self._joint(f"right_{part}", values, present)
            if left is not None and right is not None:
                both = xp.cast(left[1] & right[1], values)[..., None]  # (B, T, 1)
                total = total + ((left[0] - right[0]) * both).sum(axis=1)
                count = count + both.sum(axis=1)
        across = total / count.clip(min=1)
        if size is not None:
            across = across * size[scenes.scene][:, None]
        norm = xp.hypot(across[:, 0], across[:, 2])  # (B,)
        body, found = self._first(norm > 1e-6, scenes)  # (N,)
        norm = xp.where(found, norm[body], 1.0)
        cos = xp.where(found, across[body, 0] / norm, 1.0)
        sin = xp.where(found, across[body, 2] / norm, 0.0)
        zero = sin * 0
        rows = [cos, zero, sin, zero, zero + 1, zero, -sin, zero, cos]
        return xp.stack(rows, 1).reshape(-1, 3, 3)

    def unit(self, values: Array, present: Array) -> tuple[Array, Array]:
        """Positions (B, T, 15, 3) and presence of `unit_bones`.

        Raises:
            ClipError: If the poses are flat: a direction needs its depth.
        """
        if values.shape[-1] != 3:
            raise ClipError(FLAT)
        xp, lengths = self._xp, unit_lengths()  # (V,)
        places, shown = [values[:, :, 0] * 0], [present[:, :, 0]]
        for joint, parent in enumerate(self.layout.parents[1:], start=1):  # parents come before their children
            bone = values[:, :, joint] - values[:, :, parent]  # (B, T, 3)
            seen = xp.sqrt((bone * bone).sum(axis=-1))[..., None]  # (B, T, 1)
            # Two joints in one place point nowhere.
            shown.append(present[:, :, joint] & shown[parent] & (seen[..., 0] > 1e-6))
            places.append(places[parent] + float(lengths[joint]) * (bone / seen.clip(min=1e-6)))
        return xp.stack(places, 2), xp.stack(shown, 2)

    def stream(self, values: Array, present: Array) -> tuple[Array, Array]:
        """Positions (B, T, V, C) and presence of `streamed`."""
        if self.config.stream == "joint":
            return values, present
        if self.config.stream == "bone":
            parents = [joint if parent < 0 else parent for joint, parent in enumerate(self.layout.parents)]
            index, take = self._xp.integers(parents, values), self._xp.take
            return values - take(values, index, 2), present & take(present, index, 2)
        following = self._xp.concat([values[:, 1:], values[:, -1:]], 1)  # (B, T, V, C)
        return following - values, present & self._xp.concat([present[:, 1:], present[:, -1:]], 1)


def _filled(poses: Poses) -> tuple[Poses, Mask]:
    """Poses with zeros for what is absent, and what is present."""
    present = present_joints(poses)
    return np.where(present[..., None], poses, np.float32(0)), present


def unit_bones(poses: Poses) -> Poses:
    """Poses with bones of standard length, in their measured directions.

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
    values, present = _filled(poses.reshape(1, -1, *poses.shape[-2:]))  # (1, T, 15, C)
    values, present = Normalization(PrepareConfig(layout="canonical15", bones="unit")).unit(values, present)
    return np.asarray(np.where(present[..., None], values, np.float32(np.nan)).reshape(poses.shape))


def streamed(poses: Poses, target: Layout, stream: Literal["joint", "bone", "motion"]) -> Poses:
    """Positions as one of the three streams whose predictions are commonly fused.

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
    values, present = Normalization(PrepareConfig(layout=target.name, stream=stream)).stream(*_filled(poses))
    return np.asarray(np.where(present[..., None], values, np.float32(np.nan)))


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
    if not len(out):
        return Clip(np.zeros((*out.shape[:3], 3), dtype=np.float32), np.zeros(out.shape[:3], dtype=np.bool_))
    everyone = np.arange(len(out))
    together = Scenes(everyone[None], np.ones((1, len(out)), dtype=np.bool_), np.zeros_like(everyone))
    values, present = Normalization(config)(*_filled(out), together)
    return Clip(np.where(present[..., None], values, np.float32(0)), present)


def motion_energy(poses: Poses) -> NDArray[np.float64]:
    """Sum over frames and joints of the squared step from frame to frame: (M, T, V, C) -> (M,).

    Steps from or to an absent joint are left out.

    >>> motion_energy(np.float32([[[[0.0]], [[1.0]], [[3.0]]], [[[0.0]], [[np.nan]], [[3.0]]]])).tolist()
    [5.0, 0.0]
    """
    return np.asarray(body_energy(*_filled(poses), NUMPY))


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
