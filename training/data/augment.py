"""What may change in a clip without changing what is done in it: view, size, sides, noise, missing joints."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amr_edge.skeleton import Mask
from amr_edge.training.config import AugmentConfig

Seeds = NDArray[np.uint64]

# SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): its step, and the multipliers and shifts of its finaliser.
_STEP = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


class Draw(NamedTuple):
    """Random parameters of N clips: the same for all persons and frames of one."""

    length: NDArray[np.float64]  # (N,) in [0, 1), from the shortest cut to the whole
    start: NDArray[np.float64]  # (N,) in [0, 1), from the earliest cut to the latest
    change: NDArray[np.float32]  # (N, 3, 3) a turn times a size, of what is seen or of its mirror image
    kept: Mask  # (N, V) joints that stay
    mirrored: Mask  # (N,) whose left and right change places
    seeds: Seeds  # (N,) of the noise


def _mixed(numbers: Seeds) -> Seeds:
    for shift, factor in _MIX:
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers


def seeds_of(key: int, clips: NDArray[np.int64]) -> Seeds:
    """(N,) a seed for each clip that depends on the key and the clip's number alone."""
    both = np.full(len(clips), key, dtype=np.uint64) + _mixed(clips.astype(np.uint64) * np.uint64(_STEP))
    return _mixed(both)


def uniform(seeds: Seeds, count: int) -> NDArray[np.float64]:
    """(N, count) numbers in [0, 1), those of a clip by its seed alone."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_STEP)
    return np.asarray((_mixed(seeds[:, None] + steps) >> np.uint64(11)) * 2.0**-53)


def draw(seeds: Seeds, config: AugmentConfig, joints: int) -> Draw:
    """Draw the augmentation of each clip from its seed alone.

    Args:
        seeds: (N,), of `seeds_of`.
        config: How much may change.
        joints: V.
    """
    numbers = uniform(seeds, 9 + joints)  # (N, 9 + V)
    length, start, *angles, size, happens, share = numbers[:, :8].T
    about_x, about_y, about_z = (2 * angle - 1 for angle in angles)
    change = turns(about_x * config.tilt, about_y * config.yaw, about_z * config.tilt)
    change = change * (1 + config.scale * (2 * size - 1))[:, None, None]
    lost = np.where(happens < config.drop_joints, share / 3, 0.0)  # (N,)
    mirrored = numbers[:, -1] < config.mirror
    change[mirrored, :, 0] *= -1  # x is flipped before the turn
    return Draw(length, start, change.astype(np.float32), numbers[:, 8:-1] >= lost[:, None], mirrored, seeds)


def turns(
    about_x: NDArray[np.float64], about_y: NDArray[np.float64], about_z: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(N, 3, 3) rotations R = Rz Ry Rx by N angles about each axis, radians."""
    count = len(about_x)
    zero, one = np.zeros(count), np.ones(count)
    cx, sx, cy, sy, cz, sz = (f(a) for a in (about_x, about_y, about_z) for f in (np.cos, np.sin))
    rx = np.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], axis=-1).reshape(count, 3, 3)
    ry = np.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], axis=-1).reshape(count, 3, 3)
    rz = np.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], axis=-1).reshape(count, 3, 3)
    return np.asarray(rz @ ry @ rx, dtype=np.float32)


def noise(seeds: Tensor, shape: tuple[int, ...]) -> Tensor:
    """White noise that depends on the seeds alone, made where they lie.

    Args:
        seeds: (B,) int64.
        shape: Of the noise of one body.

    Returns:
        (B, *shape) float32, mean 0 and variance 1.
    """
    count = int(np.prod(shape))
    steps = torch.arange(1, count + 1, device=seeds.device) * _signed(_STEP)
    numbers = seeds[:, None] + steps  # (B, count), as unsigned numbers modulo 2^64
    for shift, factor in _MIX:
        # The shift of a signed number drags its sign along.
        moved = (numbers >> shift) & ((1 << (64 - shift)) - 1)
        numbers = (numbers ^ moved) * _signed(factor)
    radius = (((numbers >> 40) & 0xFFFFFF) + 1) * 2.0**-24  # (0, 1]
    angle = (numbers & 0xFFFFFF) * (2 * np.pi * 2.0**-24)
    return ((-2 * radius.log()).sqrt() * angle.cos()).reshape(-1, *shape)  # Box and Muller


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
