"""Focal weights of the reconstruction loss, derived from the motion energy per joint and window.

Source: AMR (Sun et al., CVPR 2026), the focused reconstruction loss.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from amr_edge.motion_energy import window_energy
from amr_edge.training.data.torch_backend import TORCH

EPSILON_M2 = 1e-8  # energies are squared metres; jitter of a millimetre is about 1e-6


def focal_weights(
    body: Tensor,
    present: Tensor,
    windows: Sequence[int],
    k: float,
    fusion: Literal["weights", "energies"] = "weights",
) -> Tensor:
    """Focal weight of every joint in every frame: near 1 where it moves, near 0 where it is still.

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
            energy, seen = window_energy(body, present, frames, TORCH)
            mean = mean + energy.sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)  # (B,)
            total = total + energy.repeat_interleave(frames, dim=1)
        return 1 / (1 + k * mean[:, None, None] / (total + EPSILON_M2 * len(windows)))
    for frames in windows:
        energy, seen = window_energy(body, present, frames, TORCH)
        mean = energy.sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)  # (B,)
        weight = 1 / (1 + k * mean[:, None, None] / (energy + EPSILON_M2))  # (B, T / frames, V)
        total = total + weight.repeat_interleave(frames, dim=1)
    return total / len(windows)
