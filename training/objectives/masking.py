"""Token masks: subsets of the existing tokens, random, by motion, by joints and by moments.

A mask is given by the visible tokens: (B, L') token indices, as many for every body, existing tokens first. Sources:
AMR and MAE at random; MAMP (Mao et al., ICCV 2023) by motion; SkeletonMAE (Wu et al., ICMEW 2023) whole joints and
whole frames; ASMa (Anand et al., TMLR 2026) by degree and speed.
"""

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
        rank = rank + noise * _gumbel(exists, generator)
    return rank.masked_fill(~exists, -torch.inf).topk(keep, dim=1).indices


def patch_motion(patches: Tensor, exists: Tensor, joints: int) -> Tensor:
    """Distance of a joint's patch from its patch before: mean absolute difference of their numbers, as MAMP has it.

    Args:
        patches: (B, L, P), time-major.
        exists: (B, L) bool.
        joints: V.

    Returns:
        (B, L); the first moment takes the second's, and 0 stands where either patch is absent.
    """
    B, L, P = patches.shape
    path = patches.reshape(B, L // joints, joints, P)
    seen = exists.reshape(B, L // joints, joints)
    step = (path[:, 1:] - path[:, :-1]).abs().mean(dim=-1) * (seen[:, 1:] & seen[:, :-1])  # (B, T_e - 1, V)
    return torch.cat([step[:, :1], step], dim=1).reshape(B, -1) if step.shape[1] else step.new_zeros(B, L)


def keep_still(exists: Tensor, motion: Tensor, keep: int, tau: float, generator: torch.Generator) -> Tensor:
    """`keep` tokens of each body, moving ones hidden more often: MAMP's motion-aware mask.

    A token is hidden with the odds softmax(motion / (tau * largest motion)), perturbed by Gumbel noise.

    Args:
        exists: (B, L) bool.
        motion: (B, L), at least 0.
        keep: How many; 1 <= keep <= L.
        tau: Temperature; smaller hides movement more strictly.
        generator: Randomness, on the CPU.

    Returns:
        (B, keep) token indices, existing ones first.
    """
    largest = motion.amax(dim=1, keepdim=True).clamp(min=1e-12)
    odds = (motion / (largest * tau)).log_softmax(dim=1)
    score = odds + _gumbel(exists, generator)
    return score.masked_fill(~exists, torch.inf).topk(keep, dim=1, largest=False).indices


def keep_grid(exists: Tensor, joints: int, joints_kept: int, steps_kept: int, generator: torch.Generator) -> Tensor:
    """Random joints at random moments, all of those joints at all of those moments.

    All moments and some joints are tubes; some of both is SkeletonMAE's joint-level and frame-level mask.

    Args:
        exists: (B, L) bool, time-major.
        joints: V.
        joints_kept: Joints that are seen, up to V.
        steps_kept: Moments that are seen, up to L / V.
        generator: Randomness, on the CPU.

    Returns:
        (B, steps_kept * joints_kept) token indices; joints and moments of which nothing exists come last.
    """
    B, L = exists.shape
    grid = exists.reshape(B, L // joints, joints)
    chosen_joints = keep_random(grid.any(dim=1), joints_kept, generator)  # (B, joints_kept)
    chosen_steps = keep_random(grid.any(dim=2), steps_kept, generator)  # (B, steps_kept)
    return (chosen_steps[:, :, None] * joints + chosen_joints[:, None]).flatten(1)


def keep_asymmetric(
    exists: Tensor, motion: Tensor, degree: Tensor, keep: int, generator: torch.Generator, *, hide_central: bool
) -> Tensor:
    """`keep` tokens of each body by ASMa's two complementary masks, as odds of being seen.

    Args:
        exists: (B, L) bool, time-major.
        motion: (B, L), at least 0.
        degree: (V,) bones at each joint.
        keep: How many; 1 <= keep <= L.
        generator: Randomness, on the CPU.
        hide_central: True hides joints of many bones and slow moments, False joints of few and fast moments.

    Returns:
        (B, keep) token indices, existing ones first.
    """
    B, L = exists.shape
    V = len(degree)
    speed = (motion * exists).reshape(B, L // V, V).sum(dim=2)  # (B, T_e)
    speed = speed / speed.mean(dim=1, keepdim=True).clamp(min=1e-12)
    central = degree.to(motion).clamp(min=1).log()  # (V,)
    fast = speed.clamp(min=1e-3).log()  # (B, T_e)
    odds = (fast[:, :, None] - central).reshape(B, L) * (1 if hide_central else -1)
    return (odds + _gumbel(exists, generator)).masked_fill(~exists, -torch.inf).topk(keep, dim=1).indices


def _gumbel(like: Tensor, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(like.shape, generator=generator).clamp(1e-9, 1 - 1e-7).to(like.device)
    return -torch.log(-torch.log(uniform))
