"""How weights move: AdamW groups, layer-wise learning rates, the schedule, and the average of weights over time."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from amr_edge.training.config import OptimizerConfig
from amr_edge.training.models.backbone import Backbone


def _layer_index(name: str, depth: int) -> int:
    """Depth of a parameter above the input: 0 embedding and positions, 1..depth blocks, depth + 1 the rest."""
    if not name.startswith("encoder."):
        return depth + 1
    part = name.removeprefix("encoder.")
    if part.startswith("blocks."):
        return int(part.split(".")[1]) + 1
    return depth + 1 if part.startswith("norm.") else 0


def build_optimizer(module: nn.Module, encoder: Backbone, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over `module`; no decay on vectors, learning rates shrinking by `layer_decay` towards the input.

    Every group carries `scale`, its share of the scheduled learning rate.
    """
    depth = encoder.config.depth
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        scale = config.layer_decay ** (depth + 1 - _layer_index(name, depth))
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


def learning_rate(step: int, steps_per_epoch: int, config: OptimizerConfig) -> float:
    """The scheduled rate of a step: linear from 0 over the warm-up, then half a cosine down to `min_lr`.

    >>> config = OptimizerConfig(epochs=3, lr=1.0, min_lr=0.0, warmup=1 / 3)
    >>> [learning_rate(step, 2, config) for step in (0, 1, 2, 4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warm = round(config.warmup * config.epochs * steps_per_epoch)
    if step < warm:
        return config.lr * min(1.0, (step + 1) / warm)
    share = (step - warm) / max(config.epochs * steps_per_epoch - warm, 1)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * share))


class EmaWeights:
    """The exponential moving average of a module's weights, which is evaluated and saved in their place.

    After step t the average moves by 1 - min(decay, (1 + t) / (10 + t)) towards the weights, so that it forgets the
    start of a short run too.

    Args:
        module: Whose weights to average; numbers that are not floating (counters) are not.
        decay: In (0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        saved_names = module.state_dict(keep_vars=True).keys()
        named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self._weights = {name: t.detach() for name, t in named.items() if name in saved_names and t.is_floating_point()}
        self._decay = decay
        self.tensors = {name: tensor.clone() for name, tensor in self._weights.items()}

    def update(self, step: int) -> None:
        """Take in the weights that step number `step`, counted from 1, has left."""
        blend = get_ema_multi_avg_fn(min(self._decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        blend(tuple(self.tensors.values()), tuple(self._weights.values()), step)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to an average that was saved.

        Raises:
            KeyError: If it is not of this module.
        """
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    def swap(self) -> None:
        """Exchange the average and the module's weights."""
        for name, tensor in self.tensors.items():
            weight = self._weights[name]
            current = weight.clone()
            weight.copy_(tensor)
            tensor.copy_(current)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Context manager: the module has the averaged weights inside it."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
