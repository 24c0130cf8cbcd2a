"""What each of the streams sees of a clip: another view of it, some joints gone, some moments gone."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amr_edge.preprocess import Clip
from amr_edge.skeleton import Layout, Mask
from amr_edge.training.asma.config import HideConfig, Side, ViewConfig
from amr_edge.training.models.skeleton_graph import degrees


def _turn(axis: int, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) turns about one axis."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    found = np.zeros((len(angle), 3, 3))
    found[:, axis, axis] = 1
    found[:, one, one] = found[:, other, other] = np.cos(angle)
    found[:, other, one], found[:, one, other] = np.sin(angle), -np.sin(angle)
    return found


def reflected(frames: int, pad: int, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, T) frames of clips that are reflected by `pad` at both ends and cut again from `starts`.

    >>> reflected(4, 2, np.array([0, 2, 4])).tolist()
    [[2, 1, 0, 1], [0, 1, 2, 3], [2, 3, 2, 1]]
    """
    at = np.abs(starts[:, None] - pad + np.arange(frames))
    return np.asarray(np.where(at >= frames, 2 * (frames - 1) - at, at), dtype=np.int64)


def view(clips: Clip, config: ViewConfig, layout: Layout, rng: np.random.Generator) -> Clip:
    """Another view of the same actions: cut in time, sheared, turned, left for right.

    Args:
        clips: Values (N, M, T, V, 3) and presence (N, M, T, V).
        config: How much may change.
        layout: Whose left and right.
        rng: Randomness; all persons and frames of a clip change alike.

    Returns:
        The same shapes; absent joints stay 0.

    Source:
        PSTL's augmentations.
    """
    values, present = clips
    N, _, T, _, _ = values.shape
    pad = min(int(T * config.pad), T - 1)
    if pad:
        at = reflected(T, pad, rng.integers(0, 2 * pad + 1, N))  # (N, T)
        values = np.take_along_axis(values, at[:, None, :, None, None], axis=2)
        present = np.take_along_axis(present, at[:, None, :, None], axis=2)
    shear = np.eye(3) + rng.uniform(-config.shear, config.shear, (N, 3, 3)) * (1 - np.eye(3))
    about = rng.integers(0, 3, N)
    turned = shear
    for axis in range(3):
        most = np.where(about == axis, config.turn, config.tilt)
        turned = turned @ _turn(axis, rng.uniform(0, 1, N) * most * rng.choice([-1, 1], N))
    flipped: Mask = np.asarray(rng.random(N) < config.flip)
    if flipped.any():
        mirror = np.asarray(layout.mirror)
        # A mirror image about x, with every joint called by its partner's name.
        away = values[flipped][:, :, :, mirror] * np.array([-1, 1, 1], dtype=np.float32)
        there = present[flipped][:, :, :, mirror]
        values, present = values.copy(), present.copy()
        values[flipped], present[flipped] = away, there
    values = np.einsum("nmtvc,ndc->nmtvd", values, turned.astype(np.float32))
    return Clip(np.where(present[..., None], values, 0).astype(np.float32), present)


def copies(layout: Layout, side: Side) -> NDArray[np.int64]:
    """(V,) how often each joint lies in the urn that hidden joints are drawn from.

    As often as it has bones on the central side, which is PSTL's; on the leaf side inversely so, as whole numbers.
    """
    bones = degrees(layout)
    return bones if side == "central_slow" else np.lcm.reduce(bones) // bones


def left_joints(layout: Layout, side: Side, config: HideConfig, rng: np.random.Generator) -> NDArray[np.int64]:
    """(V',) the joints that are left when K_j draws without replacement have hidden theirs; rising.

    Args:
        layout: Whose joints; one draw serves a whole batch.
        side: Which mask.
        config: K_j.
        rng: Randomness.

    Source:
        PSTL's central spatial masking.
    """
    urn = np.repeat(np.arange(len(layout)), copies(layout, side))
    hidden = rng.choice(urn, config.drawn_joints(len(layout)), replace=False)
    return np.setdiff1d(np.arange(len(layout)), hidden)


def frame_motion(body: Tensor, present: Tensor) -> Tensor:
    """Mean squared step of the joints from the frame before: (B, T, V, C) -> (B, T); -1 where there is no person.

    The first frame moves as the second; a frame without any joint that the one before shows too does not move.
    """
    both = (present[:, 1:] & present[:, :-1]).to(body.dtype)  # (B, T - 1, V)
    step = (body[:, 1:] - body[:, :-1]).square().sum(dim=3) * both
    moved = step.sum(dim=2) / both.sum(dim=2).clamp(min=1)  # (B, T - 1)
    moved = torch.cat([moved[:, :1], moved], dim=1)
    return torch.where(present.any(dim=2), moved, -1.0)


def left_frames(
    body: Tensor, present: Tensor, side: Side, config: HideConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Bodies without their slowest (or fastest) K_f frames and without K_f more at the same places of all.

    Args:
        body: (B, T, V, C), 0 where absent.
        present: (B, T, V) bool.
        side: "central_slow" hides the slowest, "leaf_fast" the fastest; frames without anybody go first.
        config: K_f.
        rng: Randomness.

    Returns:
        (B, T - 2 K_f, V, C) and (B, T - 2 K_f, V), in the order of time.

    Source:
        PSTL's motion-attention temporal masking; which end of the motions is hidden is ASMa's.
    """
    T = body.shape[1]
    count = config.hidden_frames(T)
    moved = frame_motion(body, present)
    # What is hidden first has the lowest rank: the slowest, or the fastest; absent frames before either.
    rank = moved if side == "central_slow" else torch.where(moved < 0, -torch.inf, -moved)
    kept = rank.topk(T - count, dim=1).indices.sort(dim=1).values  # (B, T - K_f)
    places = np.sort(rng.choice(T - count, T - 2 * count, replace=False))
    kept = kept.index_select(1, torch.from_numpy(places).to(kept.device))  # (B, T - 2 K_f)
    here = kept[:, :, None].expand(-1, -1, present.shape[2])
    return body.gather(1, here[..., None].expand(-1, -1, -1, body.shape[3])), present.gather(1, here)
