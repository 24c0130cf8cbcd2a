"""How weights move: AdamW groups, layer-wise learning rates, and the schedule."""

import math

import torch
from torch import nn

from amr_edge.training.config import OptimConfig
from amr_edge.training.encoder import Encoder


def _height(name: str, depth: int) -> int:
    """How far above the input a parameter is: 0 embedding and positions, 1..depth blocks, depth + 1 the rest."""
    if not name.startswith("encoder."):
        return depth + 1
    part = name.removeprefix("encoder.")
    if part.startswith("blocks."):
        return int(part.split(".")[1]) + 1
    return depth + 1 if part.startswith("norm.") else 0


def optimiser(module: nn.Module, encoder: Encoder, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over `module`; no decay on vectors, learning rates shrinking by `layer_decay` towards the input.

    Every group carries `scale`, its share of the scheduled learning rate.
    """
    depth = encoder.config.depth
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        scale = config.layer_decay ** (depth + 1 - _height(name, depth))
        groups.setdefault((scale, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "scale": scale, "weight_decay": config.weight_decay if decays else 0.0}
            for (scale, decays), parameters in groups.items()
        ],
        lr=config.lr,
        betas=config.betas,
        fused=True,
    )


def learning_rate(step: int, steps_per_epoch: int, config: OptimConfig) -> float:
    """The scheduled rate of a step: linear from 0 over the warm-up, then half a cosine down to `min_lr`.

    >>> config = OptimConfig(epochs=3, lr=1.0, min_lr=0.0, warmup=1 / 3)
    >>> [learning_rate(step, 2, config) for step in (0, 1, 2, 4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warm = round(config.warmup * config.epochs * steps_per_epoch)
    if step < warm:
        return config.lr * min(1.0, (step + 1) / warm)
    share = (step - warm) / max(config.epochs * steps_per_epoch - warm, 1)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * share))
