"""Distributed training: the processes of torchrun as one run.

Every process holds the whole model and computes its share of each batch; DistributedDataParallel adds up the gradients
while the backward pass goes on. It wraps the step, not the model: any step works that way, whatever methods of its
module it calls, and with two processes the sum is that of one process with two micro-batches, bit for bit.

The first process leads: it alone writes into the run's folder, logs and shows. Each of the others keeps a private copy
of that folder until it ends, so that whatever reads and writes a run works the same in all of them. A failure anywhere
ends all, with one sentence.
"""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from amr_edge.errors import AmrError, CheckFailedError, ConfigError, MissingError

Value = TypeVar("Value")
FAILED = "amr-edge/failed"  # how many processes have failed; only the first one reports why


class PeerGoneError(CheckFailedError):
    """Another process of the run has ended."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DistributedContext:
    """The processes of a run.

    Attributes:
        rank: Which one this is; 0 leads.
        size: How many there are.
        store: What they can leave notes in; None for a single process.
        scratch: Where a process that does not lead keeps its private run folders.
    """

    rank: int = 0
    size: int = 1
    store: Any = None  # a torch.distributed Store
    scratch: Path | None = None

    @property
    def is_main(self) -> bool:
        """True if this process writes and logs."""
        return self.rank == 0

    def own(self, folder: Path) -> Path:
        """Run folder of this process: the given one in the main process, else a private one."""
        if self.scratch is None or folder.is_relative_to(self.scratch):
            return folder
        return self.scratch / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12] / folder.name

    def own_copy(self, folder: Path) -> Path:
        """The same, with what the folder holds if it is a run's."""
        own = self.own(folder)
        if own != folder and not own.exists():
            if not (folder / "config.json").exists():
                return folder
            shutil.copytree(folder, own, ignore=shutil.ignore_patterns("*.part"))
        return own

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.store is not None:
            with self.peer_errors():
                dist.all_reduce(tensor)
        return tensor

    def all_reduce_max(self, number: int) -> int:
        """The largest of the processes' numbers, known to all."""
        if self.store is None:
            return number
        shared = torch.tensor(number)  # on the CPU, so that no accelerator is waited for
        with self.peer_errors():
            dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return int(shared)

    def broadcast_from_main(self, make: Callable[[], Value]) -> Value:
        """Broadcast what `make` returns in the main process; the others wait and do not call it."""
        if self.store is None:
            return make()
        shared: list[Any] = [make() if self.is_main else None]
        with self.peer_errors():
            dist.broadcast_object_list(shared, device=torch.device("cpu"))
        value: Value = shared[0]
        return value

    def wrap_step(self, module: nn.Module, step: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`step`, such that its backward pass leaves the mean of all processes' gradients in `module`.

        Every process starts with the weights of the first.
        """
        if self.store is None:
            return step
        with self.peer_errors():
            return DistributedDataParallel(_StepModule(module, step), broadcast_buffers=False)

    def no_sync(self, step: Callable[..., Tensor], *, last: bool) -> AbstractContextManager[object]:
        """Within it gradients stay with each process, unless these are the last of a step."""
        return nullcontext() if last or not isinstance(step, DistributedDataParallel) else step.no_sync()

    @contextmanager
    def peer_errors(self) -> Iterator[None]:
        """Turn the loss of another process into one error."""
        if self.store is None:
            yield
            return
        try:
            yield
        except RuntimeError as cause:
            raise PeerGoneError(
                "another process of this run ended without an error, killed or out of memory; what was saved is whole, "
                "go on with the same torchrun command and --resume RUN"
            ) from cause

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """End all processes if one fails; only the first to fail, or the main process of a common stop, reports why."""
        if self.store is None:
            yield
            return
        try:
            yield
        except KeyboardInterrupt:
            if self.is_main:
                raise
            raise SystemExit(130) from None
        except AmrError as stop:
            common = stop.exit_code == 0  # nothing went wrong: all have agreed to stop
            if self.is_main if common else self._first_to_fail():
                raise
            raise SystemExit(stop.exit_code) from None
        except Exception:
            if self._first_to_fail():
                raise
            raise SystemExit(1) from None

    def _first_to_fail(self) -> bool:
        first = bool(self.store.add(FAILED, 1) == 1)
        if first and sys.__stderr__ is not None:
            sys.stderr = sys.__stderr__
        return first


class _StepModule(nn.Module):
    """A step as a module: what DistributedDataParallel wants to see is the forward pass from clips to loss."""

    def __init__(self, module: nn.Module, step: Callable[..., Tensor]) -> None:
        super().__init__()
        self.module = module
        self.step = step

    def forward(self, *arguments: object) -> Tensor:
        return self.step(*arguments)


@cache
def world() -> DistributedContext:
    """The processes that torchrun started with this one, which joins them on the first call; or this one alone.

    Raises:
        ConfigError: If the environment requires several processes without their address.
        MissingError: If this torch was built without them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        return DistributedContext()
    if not dist.is_available():
        raise MissingError("this build of torch has no torch.distributed; start one process, without torchrun")
    from torch.distributed.rendezvous import rendezvous  # not in builds without it

    try:
        store, rank, size = next(rendezvous("env://"))
    except (ValueError, RuntimeError) as cause:
        raise ConfigError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']} asks for several processes which could not meet ({cause}); "
            "start them with: torchrun --nproc-per-node N -m amr_edge train ..."
        ) from cause
    cuda = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", store=store, rank=rank, world_size=size)
    atexit.register(dist.destroy_process_group)
    if not rank:
        return DistributedContext(size=size, store=store)
    # Only the main process prints results and notes; the first to fail gets its stderr back.
    sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (for the rest of the process)
    scratch = Path(tempfile.mkdtemp(prefix="amr-edge-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return DistributedContext(rank=rank, size=size, store=store, scratch=scratch)


def micro_batches(
    chosen: NDArray[np.int64], rank: int, size: int, accumulate: int
) -> list[tuple[int, NDArray[np.int64]]]:
    """The part of a batch that one process computes, in micro-batches.

    Args:
        chosen: The clips of the batch.
        rank: Which process.
        size: How many processes.
        accumulate: Micro-batches of each process; those that would be empty are left out.

    Returns:
        The number of each micro-batch among those of all processes, and its clips. Over all ranks every clip is there
        once, and N processes cut a batch as one process with N micro-batches does.

    >>> [(number, clips.tolist()) for number, clips in micro_batches(np.arange(5), 1, 2, 2)]
    [(2, [3]), (3, [4])]
    """
    mine = np.array_split(chosen, size)[rank]
    parts = enumerate(np.array_split(mine, accumulate), start=rank * accumulate)
    return [(number, part) for number, part in parts if len(part)]
