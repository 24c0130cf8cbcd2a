"""Where the movement is: motion energy per joint and window, and the focal weights made of it.

Source: AMR (Sun et al., CVPR 2026), the focused reconstruction loss.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

EPSILON_M2 = 1e-8  # energies are squared metres; jitter of a millimetre is about 1e-6


def window_energy(body: Tensor, present: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Mean squared distance of a joint from its mean over windows of `frames` frames.

    Args:
        body: (B, T, V, C), metres.
        present: (B, T, V) bool; absent frames do not count.
        frames: Window length; divides T.

    Returns:
        Energy (B, T / frames, V) in squared metres, 0 where a joint is absent from the whole window, and a bool
        of the same shape that says where it is not.
    """
    B, T, V, C = body.shape
    path = body.reshape(B, T // frames, frames, V, C)
    seen = present.reshape(B, T // frames, frames, V, 1).to(body.dtype)
    count = seen.sum(dim=2).clamp(min=1)  # (B, T / frames, V, 1)
    mean = (path * seen).sum(dim=2) / count  # (B, T / frames, V, C)
    spread = (path - mean.unsqueeze(2)).square() * seen  # (B, T / frames, frames, V, C)
    energy = spread.sum(dim=(2, 4)) / count.squeeze(-1)
    return energy, seen.sum(dim=2).squeeze(-1) > 0


def focal_weights(
    body: Tensor,
    present: Tensor,
    windows: Sequence[int],
    k: float,
    fusion: Literal["weights", "energies"] = "weights",
) -> Tensor:
    """How much every joint counts in every frame: near 1 where it moves, near 0 where it is still.

    w = 1 / (1 + k * mean energy of the clip / (energy + epsilon)), meaned over the window lengths; or the same of the
    energies that were meaned over the window lengths first.

    Args:
        body: (B, T, V, C), metres.
        present: (B, T, V) bool.
        windows: Window lengths in frames; each divides T.
        k: 0 gives 1 everywhere.
        fusion: What is meaned over the window lengths.

    Returns:
        (B, T, V) in (0, 1].
    """
    if k == 0:
        return torch.ones_like(body[..., 0])
    total = torch.zeros_like(body[..., 0])  # (B, T, V)
    if fusion == "energies":
        mean = body.new_zeros(len(body))
        for frames in windows:
            energy, seen = window_energy(body, present, frames)
            mean = mean + energy.sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)  # (B,)
            total = total + energy.repeat_interleave(frames, dim=1)
        return 1 / (1 + k * mean[:, None, None] / (total + EPSILON_M2 * len(windows)))
    for frames in windows:
        energy, seen = window_energy(body, present, frames)
        mean = energy.sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)  # (B,)
        weight = 1 / (1 + k * mean[:, None, None] / (energy + EPSILON_M2))  # (B, T / frames, V)
        total = total + weight.repeat_interleave(frames, dim=1)
    return total / len(windows)


def token_energy(body: Tensor, present: Tensor, patch_frames: int, windows: Sequence[int]) -> Tensor:
    """Multi-scale motion energy of every token: (B, T, V, C) -> (B, L), squared metres, for ranking them."""
    B, T, V, _ = body.shape
    total = torch.zeros_like(body[..., 0])  # (B, T, V)
    for frames in windows:
        energy, _ = window_energy(body, present, frames)
        total = total + energy.repeat_interleave(frames, dim=1) / len(windows)
    # (B, L): the mean over a token's own frames
    return total.reshape(B, T // patch_frames, patch_frames, V).mean(dim=2).reshape(B, T // patch_frames * V)
