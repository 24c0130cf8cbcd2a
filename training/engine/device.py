"""What a run computes on: nothing here changes what is learned, only how fast and for how long."""

import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from amr_edge.errors import ConfigError, MissingError
from amr_edge.training.engine.distributed import world


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Device, precision and run options of a training loop.

    Attributes:
        device: Where.
        precision: "fp32", or "bf16" for matrix products in bfloat16 with weights, norms and loss in float32.
        accumulate: Micro-batches that a step of a process is computed in, for batches that do not fit in memory.
        compile: Compile the module; pays on long runs.
        time_limit_s: Stop after the step in which this has passed, with everything on disk; 0 never stops.
        tensorboard: Write TensorBoard events beside results.csv.
        save_every_s: Save inside an epoch whenever this has passed since the last save.
        began_s: When the time limit began to run, by `time.monotonic`.
    """

    device: torch.device
    precision: Literal["fp32", "bf16"] = "fp32"
    accumulate: int = 1
    compile: bool = False
    time_limit_s: float = 0.0
    tensorboard: bool = False
    save_every_s: float = 180.0
    began_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"--precision must be auto, fp32 or bf16, got '{self.precision}'")
        if self.accumulate < 1:
            raise ConfigError(f"--accumulate must be at least 1, got {self.accumulate}")
        if self.time_limit_s < 0:
            raise ConfigError(f"--time-limit must be at least 0 seconds, got {self.time_limit_s}")
        if self.save_every_s < 0:
            raise ConfigError(f"save_every_s must be at least 0 seconds, got {self.save_every_s}")

    def autocast(self) -> AbstractContextManager[object]:
        """Matrix products in bfloat16 inside it, if requested."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is a CUDA card, else the CPU. Each process of torchrun gets a card of its own.

    Raises:
        ConfigError: If nothing is called so.
        MissingError: If there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as cause:
        raise ConfigError(f"--device expects auto, cpu or cuda, got '{name}'") from cause
    if device.type == "cuda" and not torch.cuda.is_available():
        raise MissingError("--device cuda was requested, but torch sees no CUDA device here; use --device cpu")
    if device.type != "cuda" or world().size == 1:
        return device
    if ":" in name:
        raise ConfigError(f"--device {name} is one card, and torchrun started several processes; use --device cuda")
    own, cards = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if own >= cards:
        raise ConfigError(
            f"torchrun started more processes than the {cards} CUDA cards here; use --nproc-per-node {cards}"
        )
    torch.cuda.set_device(own)
    return torch.device("cuda", own)


def compile_module(module: nn.Module, device: torch.device) -> str:
    """Compile the parts of `module` that are called again and again: its encoder and its blocks, in place.

    Returns:
        What to tell the person; if nothing can be compiled here, the module stays as it is.
    """
    try:
        torch.compile(nn.Linear(1, 1).to(device))(torch.zeros(1, 1, device=device))
    except (RuntimeError, ImportError) as cause:
        reason = str(cause).strip().splitlines()[0]
        return f"--compile found no working compiler here and was left out ({reason}); install g++ (and triton on CUDA)"
    whole = [part for child in module.children() for part in (child if isinstance(child, nn.ModuleList) else [child])]
    parts = [part for part in whole if any(True for _ in part.children())]  # a layer alone gains nothing
    for part in parts:
        part.compile()
    return f"compiling {len(parts)} parts of the model; the first steps take a minute or more"


def choose_precision(name: str, device: torch.device) -> Literal["fp32", "bf16"]:
    """The precision called `name`; "auto" is bf16 on CUDA, fp32 on a CPU.

    Raises:
        ConfigError: If nothing is called so.
    """
    if name == "auto":
        return "bf16" if device.type == "cuda" else "fp32"
    if name == "bf16":
        return "bf16"
    if name == "fp32":
        return "fp32"
    raise ConfigError(f"--precision must be auto, fp32 or bf16, got '{name}'")
