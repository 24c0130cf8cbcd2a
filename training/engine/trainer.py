"""The one training loop: epochs, judgement, checkpoints, resume, recovery.

Every step draws its randomness from (seed, epoch, step) alone, and everything else that training changes is in the
state on disk. A run that was interrupted at any step and resumed therefore ends with the weights of the uninterrupted
one, bit for bit on a CPU.
"""

import math
import sys
import time
from contextlib import nullcontext, suppress

import torch

from amr_edge.errors import ConfigError
from amr_edge.terminal import progress as bar
from amr_edge.training.engine.checkpointing import Checkpointer
from amr_edge.training.engine.device import compile_module
from amr_edge.training.engine.distributed import DistributedContext, world
from amr_edge.training.engine.interrupts import Action, InterruptWatch, OutOfTimeError
from amr_edge.training.engine.optimizer import learning_rate
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.engine.stage import Stage
from amr_edge.training.engine.tensorboard import open_board
from amr_edge.training.engine.train_step import advance, batches

__all__ = ["Stage", "train_loop"]

CHECK_EVERY = 50  # steps; to know sooner whether a loss is finite would make an accelerator wait at every step


class _NotFiniteError(Exception):
    """A loss or a gradient was infinite or not a number."""


def train_loop(stage: Stage, run: RunFolder, *, resume: bool = False) -> list[dict[str, float]]:
    """Train, writing weights, state and results after every epoch, and the state inside long ones.

    Args:
        stage: What to train and how.
        run: Where to write.
        resume: Go on from the run's state; a run that has finished returns at once.

    Returns:
        One row an epoch: epoch, loss, grad_norm, lr, seconds and what the judge adds. The module holds the weights of
        the last epoch, averaged if optim.ema asks for it.

    Raises:
        ConfigError: If the settings cannot be carried out here.
        CheckFailedError: If the loss stops being finite whatever the learning rate; the last good weights stay.
        DataError: If the run cannot be written to; what was written before stays.
        OutOfTimeError: If the time limit has passed; everything is on disk.
        KeyboardInterrupt: After Ctrl-C or SIGTERM; everything is on disk.
    """
    peers = world()
    with peers.together():
        _check(stage, peers)
        with InterruptWatch(stage.machine, speaks=peers.leads and not run.quiet) as watch:
            kept = Checkpointer(stage, run, peers)
            kept.resume() if resume and run.state.exists() else kept.begin()
            _epochs(stage, run, kept, peers, watch)
            return kept.rows


def _check(stage: Stage, peers: DistributedContext) -> None:
    config = stage.config
    if config.patience and stage.judge is None:
        raise ConfigError(
            f"{stage.title}: optim.patience={config.patience} needs validation subjects to judge by; name them with "
            "--validate, or leave optim.patience at 0"
        )
    smallest = len(batches(stage.clips, config.batch, stage.seed, 0)[-1])
    if smallest < peers.size:
        raise ConfigError(
            f"{stage.title}: optim.batch={config.batch} leaves batches of {smallest} clips for {peers.size} processes; "
            "start fewer processes or take larger batches"
        )


def _epochs(stage: Stage, run: RunFolder, kept: Checkpointer, peers: DistributedContext, watch: InterruptWatch) -> None:
    config, machine = stage.config, stage.machine
    ahead = range(kept.progress.epochs, 0 if kept.progress.stopped else config.epochs)
    if ahead and machine.compile:
        run.log(f"{stage.title}: {compile_module(stage.module, machine.device)}")
    started = time.perf_counter()
    shown = bar(ahead, label=stage.title) if peers.leads else nullcontext(ahead)
    devices = [machine.device] if machine.device.type == "cuda" else []
    with open_board(run, machine) as board, torch.random.fork_rng(devices=devices), shown as epochs:
        for epoch in epochs:
            row = _epoch_that_ends_well(stage, run, kept, peers, watch)
            kept.finish(row)
            watch.saved()
            board(kept.rows[-1])
            left_s = (time.perf_counter() - started) / (epoch + 1 - ahead.start) * (config.epochs - epoch - 1)
            with kept.writing():
                _tell(stage, run, kept, left_s)
            wish = Action(peers.largest(watch.wish()))
            done = kept.progress.stopped or epoch + 1 == config.epochs
            if not done or wish is Action.STOP_NOW:
                _obey(wish, stage, run, kept)
            if done:
                break
    kept.wear_average()


def _epoch_that_ends_well(
    stage: Stage, run: RunFolder, kept: Checkpointer, peers: DistributedContext, watch: InterruptWatch
) -> dict[str, float]:
    """An epoch, from its beginning with half the learning rate as often as its loss is not finite."""
    while True:
        with suppress(_NotFiniteError):
            return _epoch(stage, run, kept, peers, watch)
        kept.go_back()


def _epoch(
    stage: Stage, run: RunFolder, kept: Checkpointer, peers: DistributedContext, watch: InterruptWatch
) -> dict[str, float]:
    """All clips once, or what is left of them."""
    config, device, progress = stage.config, stage.machine.device, kept.progress
    epoch = progress.epochs
    todo = batches(stage.clips, config.batch, stage.seed, epoch)
    steps = len(todo)
    losses = torch.tensor(progress.loss_sum, device=device)
    norms = torch.tensor(progress.norm_sum, device=device)
    began = time.perf_counter() - progress.seconds
    cooled = 0.5**progress.halvings
    stage.module.train()
    for index in range(progress.steps, steps):
        taken = epoch * steps + index
        loss, norm = advance(
            kept.step,
            stage.module,
            kept.adam,
            todo[index],
            where=(stage.seed, epoch, index),
            rate=learning_rate(taken, steps, config) * cooled,
            config=config,
            machine=stage.machine,
            peers=peers,
        )
        losses += loss * len(todo[index])
        norms += norm
        if kept.average is not None:
            kept.average.update(taken + 1)
        wish = Action(peers.largest(watch.wish()))
        last = index + 1 == steps
        look = last or wish or (index + 1) % CHECK_EVERY == 0
        if look and not math.isfinite(float(losses + norms)):
            raise _NotFiniteError
        if wish and not last:
            progress.steps = index + 1
            progress.loss_sum, progress.norm_sum = float(losses), float(norms)
            progress.seconds = time.perf_counter() - began
            kept.save_midway()
            watch.saved()
            _obey(wish, stage, run, kept)
    return {
        "epoch": epoch + 1,
        "loss": float(losses) / stage.clips,
        "grad_norm": float(norms) / steps,
        "lr": learning_rate((epoch + 1) * steps - 1, steps, config) * cooled,
        "seconds": time.perf_counter() - began,
    }


def _obey(wish: Action, stage: Stage, run: RunFolder, kept: Checkpointer) -> None:
    """Stop, everything being saved, if that is the wish."""
    where = f"after {kept.where()}"
    if wish is Action.STOP_NOW:
        run.log(f"{stage.title}: interrupted {where}; the weights are in {run.last}")
        raise KeyboardInterrupt
    if wish is Action.STOP_IN_TIME:
        limit_s = stage.machine.time_limit_s
        sentence = f"{stage.title}: unfinished, stopped at the time limit of {limit_s:g} s {where}; {run.go_on()}"
        run.log(sentence, show=False)
        raise OutOfTimeError(sentence)


def _tell(stage: Stage, run: RunFolder, kept: Checkpointer, left_s: float) -> None:
    """One line about the last epoch, shown now and then."""
    row, progress, epochs = kept.rows[-1], kept.progress, stage.config.epochs
    line = f"{stage.title}: epoch {progress.epochs}/{epochs}  " + "  ".join(
        f"{key} {value:.4g}" for key, value in row.items() if key != "epoch"
    )
    if progress.stopped:
        line += f"  no better for {progress.stale} epochs, stopped (optim.patience)"
    else:
        line += f"  {left_s:.0f} s left"
    last = progress.stopped or progress.epochs == epochs
    tenth = progress.epochs % max(1, epochs // 10) == 0
    run.log(line, show=(tenth or last) and not sys.stderr.isatty())
