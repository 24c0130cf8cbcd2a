"""The state that a run resumes from: weights, optimizer, random generators, progress."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from amr_edge.errors import ReadError
from amr_edge.training.engine.checkpoint import read_tensors, write_tensors
from amr_edge.training.engine.optimizer import EmaWeights


@dataclass(slots=True, kw_only=True)
class Progress:
    """Progress of a run.

    Attributes:
        epochs: Finished.
        steps: Taken of the next epoch.
        best: The best validation score so far; lower is better.
        stale: Epochs since then.
        halvings: How often the learning rate was halved because the loss was not finite.
        stopped: Whether it ended early, for want of progress.
        loss_sum: Of the steps taken of the next epoch, weighed by clips.
        norm_sum: Of their gradients' norms.
        seconds: That they took.
        micro_batches: Micro-batches of a batch, over all processes.
    """

    epochs: int = 0
    steps: int = 0
    best: float | None = None
    stale: int = 0
    halvings: int = 0
    stopped: bool = False
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    seconds: float = 0.0
    micro_batches: int = 1


def _dump_progress(progress: Progress) -> str:
    fields = asdict(progress)
    fields["pieces"] = fields.pop("micro_batches")  # its name in the files of every version
    return json.dumps(fields)


def _parse_progress(text: str) -> Progress:
    fields = json.loads(text)
    return Progress(micro_batches=fields.pop("pieces", 1), **fields)


def save_state(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, average: EmaWeights | None, progress: Progress
) -> None:
    """Write all that a run needs to go on: weights, their average, the optimiser's moments and where it was."""
    tensors = {f"module/{name}": t for name, t in module.state_dict().items()}
    if average is not None:
        tensors |= {f"average/{name}": t for name, t in average.tensors.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": t for name, t in moments.items() if isinstance(t, Tensor)}
    write_tensors(path, tensors, {"progress": _dump_progress(progress)})


def load_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, average: EmaWeights | None) -> Progress:
    """Put a module, its average and its optimiser back to where `save_state` left them, and return the progress.

    Raises:
        ReadError: If the file is not a state of this run.
    """
    tensors, metadata = read_tensors(path)
    try:
        progress = _parse_progress(metadata["progress"])
        module.load_state_dict(_part(tensors, "module/"))
        if average is not None:
            average.load(_part(tensors, "average/"))
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _part(tensors, "optimiser/").items():
            index, _, name = key.partition("/")
            state.setdefault(int(index), {})[name] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as cause:
        raise ReadError(
            f"{path}: is not the state of this run; resume with the settings it was started with"
        ) from cause
    return progress


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def read_progress(path: Path) -> Progress:
    """Progress of the run that `save_state` wrote.

    Raises:
        ReadError: If the file is not a state.
    """
    try:
        return _parse_progress(read_tensors(path)[1]["progress"])
    except (KeyError, ValueError, TypeError, AttributeError) as cause:
        raise ReadError(f"{path}: is not the state of a run; delete it to go on from the last epoch") from cause
