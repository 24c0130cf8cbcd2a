"""Augmentations of exercises: other arms, stances, tempos, depths, cameras and sensors.

UI-PRMD gives its exercises away by what does not belong to them: raised arms in all leg exercises, the stance, the
angle to the sensor, the tempo. A model of it alone recognises those and fails on another camera. What stands here
changes them, each change a pure function of windows, each switched off by a zero in `AugmentationConfig`.

All poses are (N, T, 15, 3) in layout canonical15, metres, x to the person's left, y up, z forward. Bones are the same
shape: each joint minus the one that it hangs from, 0 at the root.

Source: the sizes are what Kinect v2, Vicon and MediaPipe differ by on the same movements; docs/rehab8.md.
"""

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError
from amr_edge.preprocess import TORSO_M, Clip, Normalization, PrepareConfig, Scenes
from amr_edge.skeleton import CANONICAL15, Poses, present_joints

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

_PARENTS = tuple(max(parent, 0) for parent in CANONICAL15.parents)
_MIRROR = CANONICAL15.mirror
SIDES = ("left", "right")
ARMS = tuple(tuple(CANONICAL15.index(f"{side}_{part}") for part in ("elbow", "wrist")) for side in SIDES)
LEGS = tuple(tuple(CANONICAL15.index(f"{side}_{part}") for part in ("knee", "ankle")) for side in SIDES)
UPPER = tuple(
    j for j, joint in enumerate(CANONICAL15.joints) if j and joint.split("_")[-1] not in ("hip", "knee", "ankle")
)
_SHOULDERS = tuple(CANONICAL15.index(f"{side}_shoulder") for side in SIDES)
_HIPS = tuple(CANONICAL15.index(f"{side}_hip") for side in SIDES)
_TORSO = CANONICAL15.index("mid_shoulder")
_UP = np.array([0, 1, 0], dtype=np.float32)
_NORMALIZE = Normalization(PrepareConfig(layout="canonical15", bones="unit", view="body"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationConfig:
    """Strength of each augmentation; 0 switches it off.

    Attributes:
        mirror: Share of the windows that are mirrored.
        yaw_deg: Largest turn of the body before the camera.
        pitch_deg: Largest tilt of the camera up or down.
        roll_deg: Largest tilt of the camera to the side.
        facing_deg: Largest error of the turn to face forward.
        jitter_deg: Largest size of the constant turn of each bone.
        stance_deg: Largest turn of a whole leg outwards or inwards.
        arms: Share of the windows of leg exercises whose arms do something else.
        bilateral: Share of the windows of one-armed exercises that are done with both.
        amplitude: Largest share by which squats and side lunges are less deep.
        amplitude_others: The same of other exercises.
        tempo: Largest change of tempo, as a factor's logarithm: 0.53 is x 0.59 to x 1.7.
        pauses: Share of the windows in which time stands still for a while.
        squash: Largest share of the depth that the sensor does not see.
        drift_m: Largest standard deviation of slow errors in depth; across it is a third.
        noise_m: Largest standard deviation of white noise.
        frozen: Share of the joints that stand still for a while.
        dropped: Share of the windows in which up to four joints are absent for a while.
        forearm: Share of the windows of leg exercises whose forearms wander by `forearm_deg`.
        forearm_deg: Standard deviation of that.
    """

    mirror: float = 0.5
    yaw_deg: float = 70.0
    pitch_deg: float = 17.0
    roll_deg: float = 7.0
    facing_deg: float = 14.0
    jitter_deg: float = 14.0
    stance_deg: float = 12.0
    arms: float = 0.85
    bilateral: float = 0.25
    amplitude: float = 0.55
    amplitude_others: float = 0.2
    tempo: float = 0.6
    pauses: float = 0.6
    squash: float = 0.5
    drift_m: float = 0.06
    noise_m: float = 0.015
    frozen: float = 0.012
    dropped: float = 0.2
    forearm: float = 0.3
    forearm_deg: float = 50.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            most = math.inf if each.name.endswith(("_deg", "_m")) or each.name == "tempo" else 1.0
            if not 0 <= value <= most or math.isnan(value):
                raise ConfigError(f"change.{each.name} must lie in [0, {most:g}], got {value}")


class Windows(NamedTuple):
    """N windows of exercises, and what is known about them.

    Attributes:
        poses: (N, T, 15, 3), every joint present.
        progress: (N, T) how far each frame is from the rest pose: 0 at rest, about 1 at the turning point.
        rest: (N, 15, 3) the bones at rest.
        legs: (N,) True where the arms do not belong to the exercise.
        deep: (N,) True where less deep is the same exercise.
        arm: (N,) 0 or 1 for the left or right arm that does it alone, -1 for none or both.
    """

    poses: Poses
    progress: Floats
    rest: Floats
    legs: Flags
    deep: Flags
    arm: NDArray[np.int64]


def _outward(side: int) -> Floats:
    """(3,) what a direction along (left, up, forward) is multiplied with to point outwards of a side, and back."""
    return np.array([-1 if side else 1, 1, 1], dtype=np.float32)


def bones_of(poses: Poses) -> Floats:
    """Each joint minus the one that it hangs from: (..., 15, 3) -> (..., 15, 3)."""
    return np.asarray(poses - poses[..., _PARENTS, :], dtype=np.float32)


def built(bones: Floats) -> Poses:
    """Poses with the root at the origin from their bones: (..., 15, 3) -> (..., 15, 3)."""
    poses = np.empty_like(bones)
    for joint, parent in enumerate(CANONICAL15.parents):  # parents come before their children
        poses[..., joint, :] = bones[..., joint, :] + (poses[..., parent, :] if parent >= 0 else 0)
    return poses


def unit(vectors: Floats) -> Floats:
    """Vectors of length one; a zero stays zero."""
    length = np.sqrt(np.einsum("...c,...c->...", vectors, vectors))[..., None]
    return np.asarray(vectors / np.maximum(length, 1e-9), dtype=np.float32)


def slow(rng: np.random.Generator, shape: tuple[int, ...], frames: int, knots: int) -> Floats:
    """Smooth random curves: (N, frames, ...) with standard deviation near 1, from N(0, 1) at `knots` instants.

    Args:
        rng: Randomness.
        shape: (N, ...) of the result without its frames.
        frames: T.
        knots: Instants between which a curve goes as half a cosine; at least 2.
    """
    at = np.linspace(0, knots - 1, frames)
    left = np.minimum(at.astype(np.int64), knots - 2)
    share = 0.5 - 0.5 * np.cos(np.pi * (at - left))
    weight = np.zeros((frames, knots), dtype=np.float32)
    weight[np.arange(frames), left] = 1 - share
    weight[np.arange(frames), left + 1] = share
    values = rng.standard_normal((shape[0], knots, int(np.prod(shape[1:]))), dtype=np.float32)
    return np.asarray((weight @ values).reshape(shape[0], frames, *shape[1:]), dtype=np.float32)


def rotations(vectors: Floats) -> Floats:
    """Rotation matrices of rotation vectors in radians, (..., 3) -> (..., 3, 3), by Rodrigues' formula."""
    angle = np.sqrt(np.einsum("...c,...c->...", vectors, vectors))
    x, y, z = np.moveaxis(vectors / np.maximum(angle, 1e-9)[..., None], -1, 0)
    s, c = np.sin(angle), np.cos(angle)
    d = 1 - c
    rows = [
        c + d * x * x, d * x * y - s * z, d * x * z + s * y,
        d * x * y + s * z, c + d * y * y, d * y * z - s * x,
        d * x * z - s * y, d * y * z + s * x, c + d * z * z,
    ]  # fmt: skip
    return np.asarray(np.stack(rows, axis=-1).reshape(*angle.shape, 3, 3), dtype=np.float32)


def instants(rng: np.random.Generator, count: int, frames: int, fps: float, config: AugmentationConfig) -> Floats:
    """Instants of the frames of windows in a stream: (count, frames) seconds from its start, never falling.

    Another tempo throughout, a little faster here and slower there, and in some windows time stands still for a while.
    """
    speed = np.exp(rng.uniform(-config.tempo * 1.33, config.tempo * 0.88, (count, 1)))
    wobble = 0.25 * slow(rng, (count,), frames, 6) if config.tempo else np.zeros((count, frames))
    speed = speed * np.clip(1 + wobble, 0.4, 1.6)
    where = np.arange(frames)
    for _ in range(2):
        length = rng.integers(4, frames // 2, (count, 1))
        start = rng.integers(0, frames, (count, 1))
        stands = (where >= start) & (where < start + length) & (rng.random((count, 1)) < config.pauses / 2)
        speed = np.where(stands, 0.03, speed)
    return np.asarray((np.cumsum(speed, axis=1) - speed[:, :1]) / fps, dtype=np.float32)


def with_amplitude(bones: Floats, rest: Floats, share: Floats) -> Floats:
    """Movements that go `share` of the way from the rest pose: bones (N, T, 15, 3), rest (N, 15, 3), share (N,)."""
    length = np.sqrt(np.einsum("...c,...c->...", bones, bones))[..., None]
    still = unit(rest)[:, None]
    way = still + share[:, None, None, None] * (unit(bones) - still)
    return np.asarray(unit(way) * length, dtype=np.float32)


def torso_frames(bones: Floats, *, upright: Flags) -> Floats:
    """(N, T, 3, 3) columns: the torso's left, up and forward; `upright` (N,) takes the vertical for up."""
    up = unit(bones[..., _TORSO, :])
    up = np.where(upright[:, None, None], _UP, up)
    across = bones[..., _SHOULDERS[0], :] - bones[..., _SHOULDERS[1], :]
    across = across + bones[..., _HIPS[0], :] - bones[..., _HIPS[1], :]
    left = unit(across - np.einsum("...c,...c->...", across, up)[..., None] * up)
    return np.stack([left, up, np.cross(left, up)], axis=-1)


def arm_poses(rng: np.random.Generator, shape: tuple[int, ...], *, still: Flags | None = None) -> Floats:
    """Ways to hold an arm: (*shape, 2, 3) directions of upper arm and forearm along (outward, up, forward).

    Half of them hang, most others stay below the shoulder, the elbow is straight or bent towards the front.

    Args:
        rng: Randomness.
        shape: How many.
        still: Of that shape: True only hangs, its elbow bent or not.
    """
    kind = rng.random(shape)
    if still is not None:
        kind = np.where(still, kind * 0.45, kind)
    raised = np.select(
        [kind < 0.45, kind < 0.85],
        [rng.uniform(2, 28, shape), rng.uniform(20, 100, shape)],
        rng.uniform(90, 172, shape),
    )
    forward = np.radians(rng.uniform(-25, 115, shape))
    raised = np.radians(raised)
    upper = np.stack([np.sin(raised) * np.cos(forward), -np.cos(raised), np.sin(raised) * np.sin(forward)], axis=-1)
    bent = np.radians(np.where(rng.random(shape) < 0.5, rng.uniform(2, 30, shape), rng.uniform(30, 145, shape)))
    towards = np.stack([rng.uniform(-1, 0.3, shape), rng.uniform(-0.4, 1, shape), rng.uniform(0.2, 1, shape)], axis=-1)
    across = unit(np.float32(towards - np.einsum("...c,...c->...", towards, upper)[..., None] * upper))
    fore = np.cos(bent)[..., None] * upper + np.sin(bent)[..., None] * across
    return np.stack([upper, fore], axis=-2).astype(np.float32)


def between(keys: Floats, at: Floats) -> Floats:
    """Directions on the way from key to key: keys (N, K, ..., 3) and places (N, T) in [0, K - 1] -> (N, T, ..., 3)."""
    left = np.clip(at.astype(np.int64), 0, keys.shape[1] - 2)  # (N, T)
    share = np.clip(at - left, 0, 1)
    share = share * share * (3 - 2 * share)  # starts and ends at rest
    share = share.reshape(*share.shape, *[1] * (keys.ndim - 2)).astype(np.float32)
    rows = np.arange(len(keys))[:, None]
    return unit(keys[rows, left] * (1 - share) + keys[rows, left + 1] * share)


def walk(rng: np.random.Generator, count: int, frames: int, keys: int) -> Floats:
    """(count, frames) places that go from 0 to at most keys - 1, waiting here and there."""
    moves = rng.uniform(0.3, 1.0, (count, keys - 1)) * (frames / (keys - 1)) * rng.uniform(0.4, 1.3, (count, 1))
    waits = rng.uniform(0.0, 0.6, (count, keys - 1)) * (frames / (keys - 1))
    ends = np.cumsum(moves + waits, axis=1)  # (count, keys - 1)
    t = np.arange(frames)[None, :, None]
    gone = np.clip((t - (ends - moves)[:, None]) / np.maximum(moves[:, None], 1), 0, 1)  # (count, frames, keys - 1)
    return np.asarray(gone.sum(axis=2), dtype=np.float32)


def arm_movements(rng: np.random.Generator, progress: Floats) -> Floats:
    """Arm movements during a leg exercise: (N, T) progress -> (N, T, 2, 2, 3) directions along (outward, up, front).

    They are held still, go along with the exercise, or go their own ways; both alike or each for itself.
    """
    N, T = progress.shape
    keys = arm_poses(rng, (N, 5, 2))  # (N, K, sides, 2, 3)
    alike = rng.random(N) < 0.65
    keys[alike, :, 1] = keys[alike, :, 0]
    kind = rng.random((N, 1))
    at = np.where(kind < 0.4, 0.0, np.where(kind < 0.7, np.clip(progress, 0, 1), walk(rng, N, T, 5)))
    near = 0.06 * slow(rng, (N, 2, 2, 3), T, 6)
    return unit(between(keys, at.astype(np.float32)) + near)


def with_arms(bones: Floats, directions: Floats, which: Flags, frames: Floats) -> Floats:
    """Arms that point elsewhere.

    Args:
        bones: (N, T, 15, 3).
        directions: (N, T, 2, 2, 3) of left and right upper arm and forearm along (outward, up, forward).
        which: (N, 2) the sides that are replaced.
        frames: (N, T, 3, 3) of the torso.
    """
    out: Floats = np.array(bones)
    for side, joints in enumerate(ARMS):
        chosen = which[:, side]
        if not chosen.any():
            continue
        own = directions[chosen, :, side] * _outward(side)  # (n, T, 2, 3)
        turned = np.einsum("ntij,ntsj->ntsi", frames[chosen], own)
        for part, joint in enumerate(joints):
            length = np.sqrt(np.einsum("...c,...c->...", bones[chosen, :, joint], bones[chosen, :, joint]))
            out[chosen, :, joint] = turned[:, :, part] * length[..., None]
    return out


def arms_of(bones: Floats, frames: Floats) -> Floats:
    """Directions of the arms: the `directions` that `with_arms` takes, (N, T, 2, 2, 3)."""
    sides = []
    for side, joints in enumerate(ARMS):
        own = np.einsum("ntij,ntsi->ntsj", frames, unit(bones[:, :, list(joints)]))
        sides.append(own * _outward(side))
    return np.stack(sides, axis=2)


def jittered(bones: Floats, rng: np.random.Generator, largest_deg: float) -> Floats:
    """Each bone turned by a small angle of its own, the same throughout a window; the size is drawn per window."""
    N, _, V, _ = bones.shape
    size = np.radians(rng.uniform(0.3, 1.0, (N, 1, 1)) * largest_deg) / math.sqrt(3)
    turn = rotations(np.float32(size * rng.standard_normal((N, V, 3))))
    return np.asarray(np.einsum("nvij,ntvj->ntvi", turn, bones), dtype=np.float32)


def with_stance(bones: Floats, rng: np.random.Generator, largest_deg: float) -> Floats:
    """Whole legs turned outwards or inwards about the forward axis, the same throughout a window."""
    out: Floats = np.array(bones)
    for joints in LEGS:
        angle = np.radians(rng.uniform(-largest_deg, largest_deg, len(bones)))
        about_z = rotations(np.float32(np.stack([0 * angle, 0 * angle, angle], axis=-1)))
        for joint in joints:
            out[:, :, joint] = np.einsum("nij,ntj->nti", about_z, bones[:, :, joint])
    return out


def with_wandering_forearms(bones: Floats, rng: np.random.Generator, which: Flags, size_deg: float) -> Floats:
    """Forearms that slowly err about the elbow by about `size_deg`, where `which` (N,)."""
    out: Floats = np.array(bones)
    T, count = bones.shape[1], int(which.sum())
    for _, wrist in ARMS:
        turn = rotations(np.radians(size_deg) / math.sqrt(3) * slow(rng, (count, 3), T, 7))
        out[which, :, wrist] = np.einsum("ntij,ntj->nti", turn, bones[which, :, wrist])
    return out


def mirrored(poses: Poses, which: Flags) -> Poses:
    """Left and right exchanged where `which` (N,)."""
    out: Poses = np.array(poses)
    out[which] = poses[which][:, :, _MIRROR] * _outward(1)
    return out


def viewed(poses: Poses, yaw: Floats, pitch: Floats, roll: Floats) -> Poses:
    """Poses turned about the vertical, then tilted about the level and the viewing axis; (N,) radians each."""
    zero = np.zeros_like(yaw)
    turn = (
        rotations(np.stack([zero, zero, roll], axis=-1))
        @ rotations(np.stack([pitch, zero, zero], axis=-1))
        @ rotations(np.stack([zero, yaw, zero], axis=-1))
    )  # (N, 3, 3)
    return np.asarray(np.einsum("nij,ntvj->ntvi", turn, poses), dtype=np.float32)


def misseen(poses: Poses, rng: np.random.Generator, config: AugmentationConfig) -> Poses:
    """As a sensor sees them: depth pressed together, slow errors above all in depth, noise, joints that freeze."""
    N, T, V, _ = poses.shape
    pressed = 1 + rng.uniform(-config.squash, 0.2 * config.squash, (N, 1, 1))
    out: Poses = np.array(poses)
    out[..., 2] *= pressed.astype(np.float32)
    size = (rng.uniform(0, config.drift_m, (N, 1, 1, 1)) * [1 / 3, 1 / 3, 1]).astype(np.float32)
    if config.drift_m:
        out += size * slow(rng, (N, V, 3), T, 7)
    if config.noise_m:
        level = rng.uniform(0, config.noise_m, (N, 1, 1, 1)).astype(np.float32)
        out += level * rng.standard_normal(out.shape, dtype=np.float32)
    frozen = np.argwhere(rng.random((N, V)) < config.frozen)
    for (n, v), start, length in zip(
        frozen, rng.integers(0, T, len(frozen)), rng.integers(8, T, len(frozen)), strict=True
    ):
        root = out[n, :, 0]
        out[n, start : start + length, v] = out[n, start, v] - root[start] + root[start : start + length]
    return out


def with_drop_outs(poses: Poses, rng: np.random.Generator, share: float, shortest: int) -> Poses:
    """Up to four joints, never hips or shoulders, absent (NaN) for `shortest` frames or more in a share of windows."""
    N, T, V, _ = poses.shape
    out: Poses = np.array(poses)
    able = [joint for joint in range(V) if joint not in (0, _TORSO, *_SHOULDERS, *_HIPS)]
    for n in np.flatnonzero(rng.random(N) < share):
        chosen = rng.choice(able, size=int(rng.integers(1, 5)), replace=False)
        start = 0 if rng.random() < 0.5 else int(rng.integers(0, T - shortest))
        length = T if start == 0 else int(rng.integers(shortest, T))
        out[n, start : start + length, chosen] = np.nan
    return out


def changed_bodies(windows: Windows, rng: np.random.Generator, config: AugmentationConfig) -> Poses:
    """Other people doing the same in other ways: what changes before a sensor looks; (N, T, 15, 3)."""
    N = len(windows.poses)
    bones = bones_of(windows.poses)
    most = np.where(windows.deep, config.amplitude, config.amplitude_others)
    bones = with_amplitude(bones, windows.rest, np.float32(1 - most * rng.random(N)))
    frames = torso_frames(bones, upright=rng.random(N) < 0.5)
    swapped = windows.legs & (rng.random(N) < config.arms)
    which = np.repeat(swapped[:, None], 2, axis=1)  # (N, 2)
    directions = arm_movements(rng, windows.progress)
    both = (windows.arm >= 0) & (rng.random(N) < config.bilateral)
    # The arm that rests in a one-armed exercise may rest anywhere.
    rests = (windows.arm >= 0) & ~both & (rng.random(N) < config.arms / 2)
    own = arms_of(bones, torso_frames(bones, upright=np.zeros(N, dtype=np.bool_)))
    for side in range(2):
        copies = both & (windows.arm == 1 - side)
        directions[copies, :, side] = own[copies, :, 1 - side]
        other = rests & (windows.arm == 1 - side)
        held = arm_poses(rng, (int(other.sum()),), still=np.ones(int(other.sum()), dtype=np.bool_))
        directions[other, :, side] = held[:, None]
        which[:, side] |= copies | other
    exact = ~swapped
    if exact.any():
        frames[exact] = torso_frames(bones[exact], upright=np.zeros(int(exact.sum()), dtype=np.bool_))
    bones = with_arms(bones, directions, which, frames)
    wanders = rng.random(N) < config.forearm * np.where(windows.legs, 1.0, 0.25)
    bones = with_wandering_forearms(bones, rng, wanders, config.forearm_deg)
    return built(bones)


def changed_views(poses: Poses, rng: np.random.Generator, config: AugmentationConfig, *, shortest: int = 8) -> Poses:
    """Other builds before another sensor: changes for every person and action; (N, T, 15, 3), NaN where absent.

    Args:
        poses: (N, T, 15, 3), every joint present.
        rng: Randomness.
        config: How much may change.
        shortest: Frames that a joint is absent for at least.
    """
    N = len(poses)
    bones = jittered(bones_of(poses), rng, config.jitter_deg)
    out = built(with_stance(bones, rng, config.stance_deg))
    out = mirrored(out, rng.random(N) < config.mirror)
    turns = [np.radians(rng.uniform(-each, each, N)) for each in (config.yaw_deg, config.pitch_deg, config.roll_deg)]
    out = viewed(out, *(np.float32(turn) for turn in turns))
    out = misseen(out, rng, config)
    return with_drop_outs(out, rng, config.dropped, shortest)


def prepare_windows(poses: Poses, facing_error: Floats | None = None) -> Clip:
    """`amr_edge.preprocess.prepare` with bones="unit" and view="body" for N windows that have its frames already.

    Args:
        poses: (N, T, 15, 3), NaN where absent, for longer than `max_gap_s`.
        facing_error: (N,) radians by which the turn to face forward errs; None errs nowhere.

    Returns:
        Values (N, T, 15, 3), 0 where absent, and presence (N, T, 15).
    """
    present = present_joints(poses)
    alone = np.arange(len(poses))
    scenes = Scenes(alone[:, None], np.ones((len(poses), 1), dtype=np.bool_), alone)
    zero = np.zeros(len(poses), dtype=np.float32)
    change = None if facing_error is None else rotations(np.stack([zero, facing_error, zero], axis=-1))
    values, present = _NORMALIZE(np.where(present[..., None], poses, np.float32(0)), present, scenes, change)
    return Clip(np.where(present[..., None], values, np.float32(0)), present)


def size_of(poses: Poses) -> Poses:
    """Poses of any unit and size scaled to a mean torso of `TORSO_M`; (N, T, 15, 3)."""
    torso = np.linalg.norm(poses[:, :, _TORSO] - poses[:, :, 0], axis=-1).mean(axis=1)
    return np.asarray(poses * (TORSO_M / np.maximum(torso, 1e-6))[:, None, None, None], dtype=np.float32)
