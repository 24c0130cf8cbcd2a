"""What a moment of an exercise looks like to the model: windows cut anywhere in a stream, at any tempo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import DataError
from amr_edge.skeleton import Poses
from amr_edge.training.recipes.rehab8.augmentation import (
    ARMS,
    AugmentationConfig,
    Floats,
    Windows,
    bones_of,
    built,
    instants,
    size_of,
    unit,
)
from amr_edge.training.recipes.rehab8.dataset import CLASSES, NONE, Stream

ARM_GROUPS = frozenset({"arm raise", "shoulder extension", "shoulder rotation"})
DEEP_GROUPS = frozenset({"squat", "side lunge"})  # whose depth is a matter of ability
ENOUGH = 0.55  # of its stream's way from the rest pose, for a window to show the exercise
TOO_LITTLE = 0.2  # of it: a window of a standing person
CANDIDATES = 4

Numbers = NDArray[np.int64]


def filled(poses: Poses) -> Poses:
    """A path without gaps: absent joints on a straight line in time between two observed frames, or where last seen.

    Args:
        poses: (T, 15, 3), NaN where absent.

    Raises:
        DataError: If a joint is never seen.
    """
    out: Poses = np.array(poses)
    t = np.arange(len(out))
    for joint in range(out.shape[1]):
        seen = np.isfinite(out[:, joint]).all(axis=-1)
        if seen.all():
            continue
        if not seen.any():
            raise DataError(f"joint {joint} of a stream of {len(out)} frames is never seen; leave the stream out")
        for axis in range(out.shape[2]):
            out[:, joint, axis] = np.interp(t, t[seen], out[seen, joint, axis])
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """S streams, end to end, and what is known about each.

    Attributes:
        poses: (F, 15, 3) metres at a torso of `TORSO_M`, every joint present.
        progress: (F,) how far each frame is from the stream's rest pose, 1 where it turns.
        first: (S,) frame at which each begins.
        length: (S,) frames of each.
        fps: (S,) frames a second of each.
        label: (S,) class.
        exercise: (S,) as the data set counts them, 0 for synthetic ones.
        weight: (S,) how often each is drawn within its class, relative to others.
        rest: (S, 15, 3) bones at rest.
        arm: (S,) 0 left, 1 right, -1 both or none.
    """

    poses: Poses
    progress: Floats
    first: Numbers
    length: Numbers
    fps: Floats
    label: Numbers
    exercise: Numbers
    weight: NDArray[np.float64]
    rest: Floats
    arm: Numbers

    def __len__(self) -> int:
        return len(self.first)


def _at_rest(bones: Floats, episodes: Sequence[tuple[int, int]]) -> Floats:
    """(15, 3): the middle of the poses in which repetitions begin and end."""
    bounds = np.unique(np.clip(np.asarray(episodes).ravel(), 0, len(bones) - 1))
    return np.asarray(np.median(bones[bounds], axis=0), dtype=np.float32)


def _moving_arm(bones: Floats) -> int:
    """The side whose arm moves at least twice as much as the other's, or -1."""
    moved = [float(unit(bones[:, list(joints)]).std(axis=0).sum()) for joints in ARMS]
    if max(moved) < 2 * min(moved):
        return -1
    return int(np.argmax(moved))


def pool_of(streams: Sequence[Stream], weights: Mapping[str, float]) -> Pool:
    """Streams, ready to be cut.

    Args:
        streams: Of any sensor.
        weights: Sensor -> how often one of its streams is drawn, relative to those of other sensors.

    Raises:
        DataError: If there are none, or a joint of one is never seen.
    """
    if not streams:
        raise DataError("there is no stream to learn from; check --data")
    all_poses, all_progress, rests, arms = [], [], [], []
    for stream in streams:
        poses = size_of(filled(stream.poses)[None])[0]
        bones = bones_of(poses)
        rest = _at_rest(bones, stream.episodes)
        arm_joints = [joint for arm in ARMS for joint in arm]
        chosen = arm_joints if stream.group in ARM_GROUPS else [j for j in range(1, 15) if j not in arm_joints]
        off = np.sqrt(np.square(unit(bones) - unit(rest))[:, chosen].sum(axis=(1, 2)))  # (T,)
        all_progress.append(off / max(float(np.quantile(off, 0.95)), 1e-6))
        all_poses.append(poses)
        rests.append(rest)
        arms.append(_moving_arm(bones) if stream.group in ARM_GROUPS else -1)
    length = np.array([len(each) for each in all_poses], dtype=np.int64)
    return Pool(
        poses=np.concatenate(all_poses),
        progress=np.concatenate(all_progress).astype(np.float32),
        first=np.cumsum(length) - length,
        length=length,
        fps=np.array([1 / np.median(np.diff(stream.times_s)) for stream in streams], dtype=np.float32),
        label=np.array([CLASSES.index(stream.group) for stream in streams], dtype=np.int64),
        exercise=np.array([stream.exercise for stream in streams], dtype=np.int64),
        weight=np.array([weights[stream.sensor] for stream in streams], dtype=np.float64),
        rest=np.stack(rests),
        arm=np.array(arms, dtype=np.int64),
    )


def drawn(pool: Pool, labels: Numbers, rng: np.random.Generator) -> Numbers:
    """A stream of each requested class, by the streams' weights: (N,) labels -> (N,) streams."""
    out = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        chosen = np.flatnonzero((pool.label == label) & (pool.weight > 0))
        if not len(chosen):
            raise DataError(f"no stream shows '{CLASSES[label]}'; check --data")
        odds = pool.weight[chosen]
        wanted = labels == label
        out[wanted] = rng.choice(chosen, size=int(wanted.sum()), p=odds / odds.sum())
    return out


def places(pool: Pool, streams: Numbers, at_s: Floats) -> tuple[Numbers, Numbers, Floats]:
    """Frames around the instants of windows: (N,) streams and (N, T) seconds -> two (N, T) rows of the pool, a share.

    A stream that ends goes on backwards: an exercise that is done comes back the same way.
    """
    last = (pool.length[streams] - 1)[:, None]  # (N, 1)
    at = np.mod(at_s * pool.fps[streams][:, None], 2 * last)
    at = np.where(at > last, 2 * last - at, at)
    left = np.minimum(at.astype(np.int64), last - 1)
    first = pool.first[streams][:, None]
    return first + left, first + left + 1, np.asarray(at - left, dtype=np.float32)


def cut(
    pool: Pool, streams: Numbers, frames: int, fps: float, rng: np.random.Generator, config: AugmentationConfig
) -> tuple[Windows, Floats]:
    """A window of each stream, if there is one where the exercise is to be seen.

    Args:
        pool: The streams.
        streams: (N,) which.
        frames: T of a window.
        fps: Its frame rate.
        rng: Randomness.
        config: How tempo and pauses may change.

    Returns:
        The windows, and (N,) how much of its stream's way each goes.
    """
    N = len(streams)
    at_s = instants(rng, N, frames, fps, config)  # (N, T)
    starts = rng.random((CANDIDATES, N)) * (pool.length[streams] / pool.fps[streams])
    travel = np.empty((CANDIDATES, N))
    for k in range(CANDIDATES):
        before, after, _ = places(pool, streams, at_s + np.float32(starts[k])[:, None])
        seen = pool.progress[before]
        travel[k] = seen.max(axis=1) - seen.min(axis=1)
    chosen = np.where((travel >= ENOUGH).any(axis=0), (travel >= ENOUGH).argmax(axis=0), travel.argmax(axis=0))
    rows = np.arange(N)
    before, after, share = places(pool, streams, at_s + np.float32(starts[chosen, rows])[:, None])
    poses = pool.poses[before] * (1 - share)[..., None, None] + pool.poses[after] * share[..., None, None]
    names = np.array(CLASSES)[pool.label[streams]]
    windows = Windows(
        poses=poses,
        progress=pool.progress[before] * (1 - share) + pool.progress[after] * share,
        rest=pool.rest[streams],
        legs=~np.isin(names, sorted(ARM_GROUPS)),
        deep=np.isin(names, sorted(DEEP_GROUPS)),
        arm=pool.arm[streams],
    )
    return windows, np.float32(travel[chosen, rows])


def labels_of(pool: Pool, streams: Numbers, travel: Floats) -> Numbers:
    """(N,) what a window shows: the exercise, or none where the person hardly moves."""
    return np.where(travel < TOO_LITTLE, CLASSES.index(NONE), pool.label[streams])


def standing(pool: Pool, streams: Numbers) -> Poses:
    """(N, 15, 3): the rest poses of streams."""
    return built(pool.rest[streams])
