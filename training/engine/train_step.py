"""One training step: micro-batches, processes, randomness, gradient clipping, optimiser."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.distributed import DistributedContext, micro_batches

# indices of the clips of a step, randomness for NumPy and torch -> loss
Step = Callable[[NDArray[np.int64], np.random.Generator, torch.Generator], Tensor]


def batches(clips: int, batch: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """All clips once, in the order of an epoch, in as many batches as are needed, of sizes that differ by one at most.

    >>> [len(chosen) for chosen in batches(7, 3, seed=0, epoch=0)]
    [3, 2, 2]
    """
    order = np.random.default_rng([seed, epoch]).permutation(clips)
    return np.array_split(order, math.ceil(clips / batch))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """One step of the optimiser on a batch.

    The loss is the mean of the micro-batches' losses, weighed by their clips. A micro-batch draws its randomness from
    seed, epoch, step and its own number alone, so no step depends on how many were taken since the process began.

    Attributes:
        loss: The loss of some clips, wrapped by `DistributedContext.wrap_step`.
        module: What is trained.
        optimizer: Its optimiser.
        clip_norm: Largest norm of the gradient; 0 does not clip.
        options: Device, precision and number of micro-batches.
        distributed: The processes.
    """

    loss: Callable[..., Tensor]
    module: nn.Module
    optimizer: torch.optim.AdamW
    clip_norm: float
    options: RunOptions
    distributed: DistributedContext

    def __call__(self, clips: NDArray[np.int64], *, position: tuple[int, int, int], lr: float) -> tuple[Tensor, Tensor]:
        """Update the weights once.

        Args:
            clips: The clips of the batch, of all processes.
            position: Seed, epoch and step.
            lr: The learning rate.

        Returns:
            The loss and the norm of its gradient before clipping, scalars on the device: nothing is waited for.
        """
        seed, epoch, index = position
        distributed, options = self.distributed, self.options
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=options.device)
        parts = micro_batches(clips, distributed.rank, distributed.size, options.accumulate)
        for number, part in parts:
            # One more than the step, because NumPy's [seed, epoch] is [seed, epoch, 0, 0], the order of the clips.
            rng = np.random.default_rng([seed, epoch, index + 1, number])
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            torch.manual_seed(int(rng.integers(2**62)))  # dropout and drop-path draw from torch's own generator
            with distributed.no_sync(self.loss, last=number == parts[-1][0]):
                with options.autocast():
                    loss = self.loss(part, rng, generator)
                weighed = loss * (len(part) / len(clips))
                with distributed.peer_errors():
                    (weighed * distributed.size).backward()  # type: ignore[no-untyped-call]  # gradients are averaged
            total += weighed.detach()
        total = distributed.all_reduce_sum(total)
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        norm = nn.utils.clip_grad_norm_(parameters, self.clip_norm or math.inf)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        self.optimizer.step()
        return total, norm
