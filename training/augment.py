"""What may change in a clip without changing what is done in it: view, size, noise, missing joints."""

import numpy as np
from numpy.typing import NDArray

from amr_edge.preprocess import Clip
from amr_edge.training.config import AugmentConfig


def rotations(count: int, config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    """(count, 3, 3): turns of up to `yaw` about y and `tilt` about x and z, R = Rz Ry Rx."""
    about_x, about_z = rng.uniform(-config.tilt, config.tilt, (2, count))
    about_y = rng.uniform(-config.yaw, config.yaw, count)
    zero, one = np.zeros(count), np.ones(count)
    cx, sx, cy, sy, cz, sz = (f(a) for a in (about_x, about_y, about_z) for f in (np.cos, np.sin))
    rx = np.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], axis=-1).reshape(count, 3, 3)
    ry = np.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], axis=-1).reshape(count, 3, 3)
    rz = np.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], axis=-1).reshape(count, 3, 3)
    return np.asarray(rz @ ry @ rx, dtype=np.float32)


def augment(clips: Clip, config: AugmentConfig, rng: np.random.Generator) -> Clip:
    """Another view of the same actions.

    Args:
        clips: Values (N, M, T, V, 3) and presence (N, M, T, V).
        config: How much may change.
        rng: Randomness; one turn, size and set of missing joints for all persons and frames of a clip.

    Returns:
        The same shapes; absent joints stay 0.
    """
    values, present = clips
    N, _, _, V, _ = values.shape
    values = np.einsum("nmtvc,ndc->nmtvd", values, rotations(N, config, rng))
    if config.scale:
        values = values * rng.uniform(1 - config.scale, 1 + config.scale, (N, 1, 1, 1, 1)).astype(np.float32)
    if config.noise_m:
        values = values + rng.normal(0, config.noise_m, values.shape).astype(np.float32)
    if config.drop_joints:
        share = np.where(rng.random(N) < config.drop_joints, rng.uniform(0, 1 / 3, N), 0.0)  # (N,)
        present = present & (rng.random((N, V)) >= share[:, None])[:, None, None, :]
    return Clip(np.where(present[..., None], values, 0).astype(np.float32), present)
