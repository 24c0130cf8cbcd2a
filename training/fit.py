"""The one training loop: epochs, steps, schedule, checkpoints, resume.

Every epoch draws its randomness from (seed, epoch) alone, so a run that is interrupted and resumed from its last
finished epoch sees what the uninterrupted run would have seen.
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amr_edge.card import Card
from amr_edge.errors import CheckFailedError
from amr_edge.terminal import progress
from amr_edge.training.checkpoint import load_state, save_state, save_weights
from amr_edge.training.config import OptimConfig
from amr_edge.training.encoder import Encoder
from amr_edge.training.machine import Machine
from amr_edge.training.optimise import learning_rate, optimiser
from amr_edge.training.run import Run

# indices of the clips of a step, randomness for NumPy and torch -> loss
Step = Callable[[NDArray[np.int64], np.random.Generator, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One fitting of a module.

    Attributes:
        title: What the person reads: "pre-train".
        module: What is trained.
        encoder: The encoder inside it, for layer-wise learning rates.
        step: The loss of a step.
        saved: What the checkpoint holds: the module itself or its encoder.
        card: The card that is written with the weights.
        clips: How many clips there are.
        config: The optimiser.
        seed: Of all randomness.
        machine: What it runs on.
        judge: After an epoch, a number that is better when lower and what to write beside the loss; None judges
            by the loss.
    """

    title: str
    module: nn.Module
    encoder: Encoder
    step: Step
    saved: nn.Module
    card: Card
    clips: int
    config: OptimConfig
    seed: int
    machine: Machine
    judge: Callable[[], tuple[float, dict[str, float]]] | None = None


def fit(stage: Stage, run: Run, *, resume: bool = False) -> list[dict[str, float]]:
    """Train, writing weights, state and results after every epoch.

    Args:
        stage: What to train and how.
        run: Where to write.
        resume: Go on from the run's state; a run that has finished returns at once.

    Returns:
        One row an epoch: epoch, loss, lr, seconds and what the judge adds.

    Raises:
        CheckFailedError: If the loss stops being finite; the last good weights stay.
        KeyboardInterrupt: After Ctrl-C; the last finished epoch is on disk.
    """
    config = stage.config
    steps = math.ceil(stage.clips / config.batch)
    adam = optimiser(stage.module, stage.encoder, config)
    rows: list[dict[str, float]] = []
    best = math.inf
    if resume and run.state.exists():
        saved = load_state(run.state, stage.module, adam)
        rows = run.results()[: saved["epochs"]]
        best = saved["best"] if saved["best"] is not None else math.inf
        run.log(f"{stage.title}: resumed after epoch {saved['epochs']} of {config.epochs}")
    else:
        save_weights(run.last, stage.saved, stage.card)
        save_state(run.state, stage.module, adam, {"epochs": 0, "best": None})
    started = time.perf_counter()
    first = len(rows)
    try:
        with progress(range(first, config.epochs), label=stage.title) as epochs:
            for epoch in epochs:
                row = _epoch(stage, adam, epoch, steps)
                judged = row["loss"]
                if stage.judge is not None:
                    judged, more = stage.judge()
                    row |= more
                rows.append(row)
                save_weights(run.last, stage.saved, stage.card)
                if judged < best:
                    best = judged
                    save_weights(run.best, stage.saved, stage.card)
                run.write_results(rows)
                save_state(run.state, stage.module, adam, {"epochs": epoch + 1, "best": best})
                left_s = (time.perf_counter() - started) / (epoch + 1 - first) * (config.epochs - epoch - 1)
                line = f"{stage.title}: epoch {epoch + 1}/{config.epochs}  " + "  ".join(
                    f"{key} {value:.4g}" for key, value in row.items() if key != "epoch"
                )
                tenth = (epoch + 1) % max(1, config.epochs // 10) == 0 or epoch + 1 == config.epochs
                run.log(f"{line}  {left_s:.0f} s left", show=tenth and not sys.stderr.isatty())
    except KeyboardInterrupt:
        run.log(f"{stage.title}: interrupted after epoch {len(rows)} of {config.epochs}; the weights are in {run.last}")
        raise
    return rows


def _epoch(stage: Stage, adam: torch.optim.AdamW, epoch: int, steps: int) -> dict[str, float]:
    """All clips once, in an order and with randomness that depend on (seed, epoch) alone."""
    config = stage.config
    rng = np.random.default_rng([stage.seed, epoch])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    order = rng.permutation(stage.clips)
    began = time.perf_counter()
    stage.module.train()
    device = stage.machine.device
    total = torch.zeros((), device=device)
    rate = 0.0
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(rng.integers(2**62)))  # dropout and drop-path draw from torch's own generator
        for index, chosen in enumerate(np.array_split(order, steps)):
            rate = learning_rate(epoch * steps + index, steps, config)
            for group in adam.param_groups:
                group["lr"] = rate * group["scale"]
            with stage.machine.autocast():
                loss = stage.step(chosen, rng, generator)
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if config.clip_norm:
                nn.utils.clip_grad_norm_(stage.module.parameters(), config.clip_norm)
            adam.step()
            total += loss.detach() * len(chosen)
    mean = float(total) / stage.clips
    if not math.isfinite(mean):
        raise CheckFailedError(
            f"{stage.title}: the loss was {mean} in epoch {epoch + 1}; the weights of epoch {epoch} are kept; "
            "lower the learning rate or set optim.clip_norm=1"
        )
    return {"epoch": epoch + 1, "loss": mean, "lr": rate, "seconds": time.perf_counter() - began}
