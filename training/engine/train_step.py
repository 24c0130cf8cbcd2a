"""How a batch of clips becomes a move of the weights: micro-batches, processes, randomness, clipping."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amr_edge.training.config import OptimizerConfig
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.distributed import DistributedContext, shares

# indices of the clips of a step, randomness for NumPy and torch -> loss
Step = Callable[[NDArray[np.int64], np.random.Generator, torch.Generator], Tensor]


def batches(clips: int, batch: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """All clips once, in the order of an epoch, in as many batches as are needed, of sizes that differ by one at most.

    >>> [len(chosen) for chosen in batches(7, 3, seed=0, epoch=0)]
    [3, 2, 2]
    """
    order = np.random.default_rng([seed, epoch]).permutation(clips)
    return np.array_split(order, math.ceil(clips / batch))


def advance(
    step: Step,
    module: nn.Module,
    adam: torch.optim.AdamW,
    chosen: NDArray[np.int64],
    *,
    where: tuple[int, int, int],
    rate: float,
    config: OptimizerConfig,
    machine: RunOptions,
    peers: DistributedContext,
) -> tuple[Tensor, Tensor]:
    """One step of the optimiser.

    The loss is the mean of the micro-batches' losses, weighed by their clips. A micro-batch draws its randomness from
    seed, epoch, step and its own number alone, so no step depends on how many were taken since the process began.

    Args:
        step: The loss of some clips, joined with the other processes'.
        module: What is trained.
        adam: Its optimiser.
        chosen: The clips of the batch, of all processes.
        where: Seed, epoch and step.
        rate: The learning rate.
        config: The optimiser's settings.
        machine: What it runs on.
        peers: The processes.

    Returns:
        The loss and the norm of its gradient before clipping, scalars on the device: nothing is waited for.
    """
    seed, epoch, index = where
    adam.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=machine.device)
    pieces = shares(chosen, peers.rank, peers.size, machine.accumulate)
    for number, piece in pieces:
        # One more than the step, because NumPy's [seed, epoch] is [seed, epoch, 0, 0], the order of the clips.
        rng = np.random.default_rng([seed, epoch, index + 1, number])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        torch.manual_seed(int(rng.integers(2**62)))  # dropout and drop-path draw from torch's own generator
        with peers.apart(step, last=number == pieces[-1][0]):
            with machine.autocast():
                part = step(piece, rng, generator)
            weighed = part * (len(piece) / len(chosen))
            with peers.answer():
                (weighed * peers.size).backward()  # type: ignore[no-untyped-call]  # the processes' mean is taken
        loss += weighed.detach()
    loss = peers.summed(loss)
    parameters = [p for p in module.parameters() if p.requires_grad]
    norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm or math.inf)
    for group in adam.param_groups:
        group["lr"] = rate * group["scale"]
    adam.step()
    return loss, norm
