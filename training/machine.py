"""What a run computes on: nothing here changes what is learned, only how fast and for how long."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from amr_edge.errors import ConfigError, MissingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and how a training loop computes.

    Attributes:
        device: Where.
        precision: "fp32", or "bf16" for matrix products in bfloat16 with weights, norms, attention scores and loss in
            float32.
        accumulate: Micro-batches that a step is computed in, for batches that do not fit in memory.
        compile: Compile the module; pays on long runs.
        time_limit_s: Stop after the epoch in which this passed, with everything on disk; 0 never stops.
        tensorboard: Write TensorBoard events beside results.csv.
    """

    device: torch.device
    precision: Literal["fp32", "bf16"] = "fp32"
    accumulate: int = 1
    compile: bool = False
    time_limit_s: float = 0.0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"--precision must be auto, fp32 or bf16, got '{self.precision}'")
        if self.accumulate < 1:
            raise ConfigError(f"--accumulate must be at least 1, got {self.accumulate}")
        if self.time_limit_s < 0:
            raise ConfigError(f"--time-limit must be at least 0 seconds, got {self.time_limit_s}")

    def autocast(self) -> AbstractContextManager[object]:
        """Matrix products in bfloat16 inside it, if that was asked for."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first CUDA card, else the CPU.

    Raises:
        ConfigError: If nothing is called so.
        MissingError: If there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as cause:
        raise ConfigError(f"--device expects auto, cpu or cuda, got '{name}'") from cause
    if device.type == "cuda" and not torch.cuda.is_available():
        raise MissingError("--device cuda was asked for, but torch sees no CUDA device here; use --device cpu")
    return device


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
