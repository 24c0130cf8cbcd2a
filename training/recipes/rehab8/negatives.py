"""Negatives of the `none` class: rest, frozen poses, gestures, wandering from pose to pose, everyday life.

A model without such windows calls every gesture an arm raise. They are made of the same streams, sensors and people
as the exercises: what came from elsewhere would teach the sensor instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from amr_edge.errors import ConfigError, DataError
from amr_edge.skeleton import Poses
from amr_edge.training.recipes.rehab8.augmentation import (
    UPPER,
    AugmentationConfig,
    Floats,
    arm_movements,
    arm_poses,
    between,
    bones_of,
    built,
    rotations,
    size_of,
    slow,
    torso_frames,
    unit,
    walk,
    with_amplitude,
    with_arms,
)
from amr_edge.training.recipes.rehab8.windowing import Numbers, Pool, cut, filled


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativesConfig:
    """Relative frequency of each kind of negative.

    Attributes:
        still: Standing still with a little sway, or a pose of any exercise held.
        gestures: Arms that do something over a body that does nothing.
        wander: A slow way through poses of several exercises.
        hinted: An exercise of which hardly a third is done, about its rest pose or any other on its way.
        life: Synthetic people who live.
    """

    still: float = 0.1
    gestures: float = 0.5
    wander: float = 0.06
    hinted: float = 0.14
    life: float = 0.2

    def __post_init__(self) -> None:
        shares = [getattr(self, each.name) for each in fields(self)]
        if min(shares) < 0 or sum(shares) <= 0:
            raise ConfigError(f"the kinds of nothing need shares of at least 0 that are not all 0, got {shares}")


class Life(NamedTuple):
    """Recordings of people who do no exercise, end to end.

    Attributes:
        poses: (F, 15, 3) at a torso of `TORSO_M`, every joint present.
        fps: (R,) frames a second of each.
        first: (R,) frame at which each begins.
        length: (R,) frames of each.
    """

    poses: Poses
    fps: Floats
    first: Numbers
    length: Numbers


def life_of(recordings: Sequence[tuple[Poses, float]]) -> Life:
    """Recordings (T, 15, 3) with their frame rates, ready to be cut.

    Raises:
        DataError: If there are none.
    """
    if not recordings:
        raise DataError("there is no recording of life; ask for some seconds of it")
    length = np.array([len(poses) for poses, _ in recordings], dtype=np.int64)
    return Life(
        poses=np.concatenate([size_of(filled(poses)[None])[0] for poses, _ in recordings]),
        fps=np.array([fps for _, fps in recordings], dtype=np.float32),
        first=np.cumsum(length) - length,
        length=length,
    )


def still(pool: Pool, count: int, frames: int, rng: np.random.Generator) -> Poses:
    """(count, frames, 15, 3): a pose held, mostly one of rest, with a little sway."""
    at_rest = rng.random(count) < 0.7
    any_frame = rng.integers(0, len(pool.poses), count)
    stream = rng.integers(0, len(pool), count)
    pose = np.where(at_rest[:, None, None], built(pool.rest[stream]), pool.poses[any_frame])
    bones = bones_of(pose)[:, None]  # (count, 1, 15, 3)
    sway = rng.uniform(0, 0.06, (count, 1, 1, 1)) * slow(rng, (count, 15, 3), frames, 5)
    length = np.linalg.norm(bones, axis=-1, keepdims=True)
    return built(np.asarray(unit(np.float32(unit(bones) + sway)) * length, dtype=np.float32))


def gestures(pool: Pool, count: int, frames: int, rng: np.random.Generator) -> Poses:
    """(count, frames, 15, 3): one arm or both go from place to place, above a body that hardly moves.

    A straight arm is not raised to the side, nor taken back: that is what the exercises are.
    """
    body = still(pool, count, frames, rng)
    bones = bones_of(body)
    keys = arm_poses(rng, (count, 5, 2))  # (count, K, sides, 2, 3)
    upper, fore = keys[..., 0, :], keys[..., 1, :]
    outward, ahead = upper[..., 0], upper[..., 2]
    straight = np.einsum("...c,...c->...", upper, fore) > np.cos(np.radians(55))
    like_exercise = straight & (((upper[..., 1] > -0.5) & (outward > 0.55 * np.abs(ahead))) | (ahead < -0.25))
    bent = unit(
        np.asarray(np.array([-0.4, 0.3, 0.9]) - 0.5 * upper, dtype=np.float32)
    )  # the forearm comes to the front instead
    keys[..., 1, :] = np.where(like_exercise[..., None], bent, fore)
    alike = rng.random(count) < 0.4
    keys[alike, :, 1] = keys[alike, :, 0]
    # The other arm hangs or rests: its first pose, all the time.
    one = ~alike & (rng.random(count) < 0.6)
    idle = rng.integers(0, 2, count)
    for side in range(2):
        rests = one & (idle == side)
        held = arm_poses(rng, (int(rests.sum()),), still=np.ones(int(rests.sum()), dtype=np.bool_))
        keys[rests, :, side] = held[:, None]
    # Some go back and forth between two places: waving, knocking, stirring.
    back = rng.random(count) < 0.5
    keys[back, 2], keys[back, 3], keys[back, 4] = keys[back, 0], keys[back, 1], keys[back, 0]
    starts_down = rng.random(count) < 0.5
    keys[starts_down, 0] = arm_poses(rng, (count, 2), still=np.ones((count, 2), dtype=np.bool_))[starts_down]
    at = walk(rng, count, frames, 5) * rng.uniform(0.3, 1.0, (count, 1)).astype(np.float32)  # once, or many times
    directions = between(keys, at)
    kind = rng.random(count)
    drawing, swinging = kind < 0.35, kind > 0.85
    directions[drawing] = _drawn(keys[drawing, 0], frames, rng)
    directions[swinging] = _swung(int(swinging.sum()), frames, rng)
    directions = unit(directions + 0.08 * slow(rng, (count, 2, 2, 3), frames, 9))
    which = np.ones((count, 2), dtype=np.bool_)
    upright = np.zeros(count, dtype=np.bool_)
    bones = with_arms(bones, directions, which, torso_frames(bones, upright=upright))
    return built(_with_busy_trunks(bones, rng))


def _drawn(rest: Floats, frames: int, rng: np.random.Generator) -> Floats:
    """(N, T, 2, 2, 3): a hand goes up in front, draws, swipes or waves there, and comes down; rest (N, 2, 2, 3)."""
    N = len(rest)
    raised, forward = np.radians(rng.uniform(45, 125, N)), np.radians(rng.uniform(15, 115, N))
    upper = np.stack([np.sin(raised) * np.cos(forward), -np.cos(raised), np.sin(raised) * np.sin(forward)], axis=-1)
    bent = np.radians(rng.uniform(5, 110, N))[:, None]
    towards = np.stack([rng.uniform(-0.6, 0.2, N), rng.uniform(-0.2, 1, N), rng.uniform(0.3, 1, N)], axis=-1)
    fore = np.cos(bent) * upper + np.sin(bent) * unit(np.float32(towards))
    there = np.stack([upper, fore], axis=1).astype(np.float32)[:, None]  # (N, 1, 2, 3)
    size = rng.uniform(0.1, 0.55, (N, 1, 1, 1)) * np.array([[0.7], [1.0]])
    strokes = np.float32(size) * slow(rng, (N, 2, 3), frames, int(rng.integers(5, 14)))
    t = np.arange(frames)
    begins, ends = rng.uniform(-15, 25, (N, 1)), rng.uniform(35, 85, (N, 1))
    takes = rng.uniform(5, 16, (N, 1))
    up = np.clip((t - begins) / takes, 0, 1) * np.clip((ends - t) / takes, 0, 1)
    eased = (up * up * (3 - 2 * up)).astype(np.float32)[..., None, None]  # (N, T, 1, 1)
    out = np.repeat(rest[:, None], frames, axis=1)  # (N, T, 2, 2, 3)
    side = rng.integers(0, 2, N)
    both = rng.random(N) < 0.15
    for which in range(2):
        moves = both | (side == which)
        out[moves, :, which] = (out[:, :, which] * (1 - eased) + (there + strokes) * eased)[moves]
    return unit(out)


def _swung(count: int, frames: int, rng: np.random.Generator) -> Floats:
    """(count, T, 2, 2, 3): arms that swing to and fro as in walking, one after the other or together."""
    t = np.arange(frames)[None, :, None]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1)) + np.array([0, np.pi]) * (rng.random((count, 1, 1)) < 0.85)
    turns = rng.uniform(1.0, 7.0, (count, 1, 1)) * 2 * np.pi / frames
    size, middle = np.radians(rng.uniform(8, 45, (count, 1, 1))), np.radians(rng.uniform(-5, 25, (count, 1, 1)))
    ahead = middle + size * np.sin(phase + turns * t)  # (count, T, 2)
    apart = np.radians(rng.uniform(0, 18, (count, 1, 1))) + 0 * ahead
    bent = np.radians(rng.uniform(3, 95, (count, 1, 1))) * (0.8 + 0.2 * np.sin(phase + turns * t))
    parts = [
        np.stack([np.sin(apart), -np.cos(angle), np.sin(angle)], axis=-1) for angle in (ahead, ahead + bent)
    ]  # each (count, T, 2, 3)
    return unit(np.float32(np.stack(parts, axis=-2)))


def _with_busy_trunks(bones: Floats, rng: np.random.Generator) -> Floats:
    """Everything above the hips turns and leans a little along with the arms."""
    count, frames = bones.shape[:2]
    size = np.radians(rng.choice([0.0, 6.0, 14.0], (count, 1, 1)))
    turn = rotations(np.float32(size * slow(rng, (count, 3), frames, 5)))
    out: Floats = np.array(bones)
    out[:, :, UPPER] = np.einsum("ntij,ntvj->ntvi", turn, bones[:, :, UPPER])
    return out


def wander(pool: Pool, count: int, frames: int, rng: np.random.Generator) -> Poses:
    """(count, frames, 15, 3): from a pose of one exercise to poses of others, never forth and back within one."""
    keys = 4
    turned = np.flatnonzero(pool.progress > 0.35)
    owner = np.repeat(np.arange(len(pool)), pool.length)
    rows = rng.choice(turned, size=(count, keys))  # (count, K)
    for _ in range(4):  # neighbours of one class are drawn again; what is left after four times is rare
        label = pool.label[owner[rows]]
        same = np.zeros((count, keys), dtype=np.bool_)
        same[:, 1:] = label[:, 1:] == label[:, :-1]
        same[:, 2:] |= label[:, 2:] == label[:, :-2]
        rows = np.where(same, rng.choice(turned, size=(count, keys)), rows)
    bones = bones_of(pool.poses[rows])  # (count, K, 15, 3)
    at = walk(rng, count, frames, keys)
    length = np.linalg.norm(bones[:, :1], axis=-1, keepdims=True)
    return built(np.asarray(between(unit(bones), at) * length, dtype=np.float32))


def hinted(
    pool: Pool, count: int, frames: int, fps: float, rng: np.random.Generator, config: AugmentationConfig
) -> Poses:
    """(count, frames, 15, 3): exercises of which little is done, about the rest pose or a pose on the way.

    Who stands in a lunge and moves the arms does no lunges.
    """
    windows, _ = cut(pool, rng.integers(0, len(pool), count), frames, fps, rng, config)
    bones = bones_of(windows.poses)
    held = rng.random(count) < 0.65
    middle = np.where(held[:, None, None], bones[np.arange(count), rng.integers(0, frames, count)], windows.rest)
    share = np.float32(rng.uniform(0.02, np.where(held, 0.3, 0.15)))
    bones = with_amplitude(bones, middle, share)
    busy = windows.legs & (rng.random(count) < 0.7)
    which = np.repeat(busy[:, None], 2, axis=1)
    upright = rng.random(count) < 0.5
    arms = arm_movements(rng, windows.progress)
    return built(with_arms(bones, arms, which, torso_frames(bones, upright=upright)))


def lived(life: Life, count: int, frames: int, fps: float, rng: np.random.Generator) -> Poses:
    """(count, frames, 15, 3): windows of life at tempos around their own."""
    chosen = rng.choice(len(life.length), size=count, p=life.length / life.length.sum())
    tempo = np.exp(rng.uniform(-0.4, 0.4, (count, 1)))
    steps = np.arange(frames) / fps * tempo * life.fps[chosen][:, None]  # (count, T) frames from the start
    last = (life.length[chosen] - 1)[:, None]
    at = np.clip(rng.random((count, 1)) * np.maximum(last - steps[:, -1:], 0) + steps, 0, last)
    left = np.minimum(at.astype(np.int64), last - 1)
    share = np.float32(at - left)[..., None, None]
    rows = life.first[chosen][:, None] + left
    return np.asarray(life.poses[rows] * (1 - share) + life.poses[rows + 1] * share, dtype=np.float32)


def nothing(
    pool: Pool,
    life: Life | None,
    count: int,
    frames: int,
    fps: float,
    rng: np.random.Generator,
    config: NegativesConfig,
    change: AugmentationConfig,
) -> Poses:
    """(count, frames, 15, 3): windows that show no exercise, of every kind.

    Args:
        pool: Streams of exercises, whose people and sensors are borrowed.
        life: Recordings of life; None leaves that kind out.
        count: How many windows.
        frames: T of a window.
        fps: Its frame rate.
        rng: Randomness.
        config: How often each kind is drawn.
        change: How tempo may change.
    """
    odds = np.array(
        [config.still, config.gestures, config.wander, config.hinted, config.life if life is not None else 0.0]
    )
    each = rng.multinomial(count, odds / odds.sum())
    parts = [
        still(pool, int(each[0]), frames, rng),
        gestures(pool, int(each[1]), frames, rng),
        wander(pool, int(each[2]), frames, rng),
        hinted(pool, int(each[3]), frames, fps, rng, change),
    ]
    if life is not None:
        parts.append(lived(life, int(each[4]), frames, fps, rng))
    return np.concatenate(parts)
