"""Which tokens the encoder sees: random and motion-ranked subsets of the tokens that exist."""

import torch
from torch import Tensor


def keep_random(exists: Tensor, keep: int, generator: torch.Generator) -> Tensor:
    """`keep` random tokens of each body, existing ones first.

    Args:
        exists: (B, L) bool.
        keep: How many; 1 <= keep <= L.
        generator: Randomness, on the CPU.

    Returns:
        (B, keep) token indices. Where a body has fewer existing tokens the rest are absent ones, which
        `exists.gather(1, kept)` tells.
    """
    noise = torch.rand(exists.shape, generator=generator).to(exists.device)
    return noise.masked_fill(~exists, -1.0).topk(keep, dim=1).indices


def keep_ranked(exists: Tensor, energy: Tensor, keep: int, generator: torch.Generator, noise: float = 1.0) -> Tensor:
    """`keep` tokens of each body by motion energy, perturbed so that every step sees another set.

    Args:
        exists: (B, L) bool.
        energy: (B, L) motion energies.
        keep: How many; 1 <= keep <= L.
        generator: Randomness, on the CPU.
        noise: Scale of the Gumbel noise on the log energies; 0 ranks exactly.

    Returns:
        (B, keep) token indices, existing ones first.
    """
    rank = energy.clamp(min=1e-12).log()
    if noise:
        uniform = torch.rand(exists.shape, generator=generator).clamp(1e-9, 1 - 1e-7).to(energy.device)
        rank = rank - noise * torch.log(-torch.log(uniform))
    return rank.masked_fill(~exists, -torch.inf).topk(keep, dim=1).indices
