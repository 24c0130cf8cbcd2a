"""The one training loop: epochs, validation, checkpoints, resume, recovery.

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
from amr_edge.training.engine.interrupts import Action, InterruptHandler, OutOfTimeError
from amr_edge.training.engine.optimizer import learning_rate
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.engine.stage import Stage
from amr_edge.training.engine.tensorboard import open_board
from amr_edge.training.engine.train_step import TrainStep, batches

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
        One row an epoch: epoch, loss, grad_norm, lr, seconds and what validation adds. The module holds the weights of
        the last epoch, averaged if optim.ema asks for it.

    Raises:
        ConfigError: If the settings cannot be carried out here.
        CheckFailedError: If the loss stops being finite whatever the learning rate; the last good weights stay.
        DataError: If the run cannot be written to; what was written before stays.
        OutOfTimeError: If the time limit has passed; everything is on disk.
        KeyboardInterrupt: After Ctrl-C or SIGTERM; everything is on disk.
    """
    distributed = world()
    with distributed.fail_together():
        _check(stage, distributed)
        with InterruptHandler(stage.machine, verbose=distributed.is_main and not run.quiet) as interrupts:
            checkpointer = Checkpointer(stage, run, distributed)
            checkpointer.resume() if resume and run.state.exists() else checkpointer.save_initial()
            _epochs(stage, run, checkpointer, distributed, interrupts)
            return checkpointer.rows


def _check(stage: Stage, distributed: DistributedContext) -> None:
    config = stage.config
    if config.patience and stage.judge is None:
        raise ConfigError(
            f"{stage.title}: optim.patience={config.patience} needs validation subjects; name them with "
            "--validate, or leave optim.patience at 0"
        )
    smallest = len(batches(stage.clips, config.batch, stage.seed, 0)[-1])
    if smallest < distributed.size:
        raise ConfigError(
            f"{stage.title}: optim.batch={config.batch} leaves batches of {smallest} clips for {distributed.size} "
            "processes; start fewer processes or take larger batches"
        )


def _epochs(
    stage: Stage,
    run: RunFolder,
    checkpointer: Checkpointer,
    distributed: DistributedContext,
    interrupts: InterruptHandler,
) -> None:
    config, machine = stage.config, stage.machine
    remaining = range(checkpointer.progress.epochs, 0 if checkpointer.progress.stopped else config.epochs)
    if remaining and machine.compile:
        run.log(f"{stage.title}: {compile_module(stage.module, machine.device)}")
    started = time.perf_counter()
    progress_bar = bar(remaining, label=stage.title) if distributed.is_main else nullcontext(remaining)
    devices = [machine.device] if machine.device.type == "cuda" else []
    with open_board(run, machine) as board, torch.random.fork_rng(devices=devices), progress_bar as epochs:
        for epoch in epochs:
            row = _epoch_with_retry(stage, run, checkpointer, distributed, interrupts)
            checkpointer.finish_epoch(row)
            interrupts.mark_saved()
            board(checkpointer.rows[-1])
            left_s = (time.perf_counter() - started) / (epoch + 1 - remaining.start) * (config.epochs - epoch - 1)
            with checkpointer.writing():
                _log_epoch(stage, run, checkpointer, left_s)
            action = Action(distributed.all_reduce_max(interrupts.next_action()))
            done = checkpointer.progress.stopped or epoch + 1 == config.epochs
            if not done or action is Action.STOP_NOW:
                _handle_action(action, stage, run, checkpointer)
            if done:
                break
    checkpointer.swap_in_ema()


def _epoch_with_retry(
    stage: Stage,
    run: RunFolder,
    checkpointer: Checkpointer,
    distributed: DistributedContext,
    interrupts: InterruptHandler,
) -> dict[str, float]:
    """An epoch, from its beginning with half the learning rate as often as its loss is not finite."""
    while True:
        with suppress(_NotFiniteError):
            return _epoch(stage, run, checkpointer, distributed, interrupts)
        checkpointer.restart_epoch()


def _epoch(
    stage: Stage,
    run: RunFolder,
    checkpointer: Checkpointer,
    distributed: DistributedContext,
    interrupts: InterruptHandler,
) -> dict[str, float]:
    """All clips once, or what is left of them."""
    config, device, progress = stage.config, stage.machine.device, checkpointer.progress
    epoch = progress.epochs
    epoch_batches = batches(stage.clips, config.batch, stage.seed, epoch)
    steps = len(epoch_batches)
    losses = torch.tensor(progress.loss_sum, device=device)
    norms = torch.tensor(progress.norm_sum, device=device)
    began = time.perf_counter() - progress.seconds
    lr_scale = 0.5**progress.halvings
    train_step = TrainStep(
        loss=checkpointer.step,
        module=stage.module,
        optimizer=checkpointer.optimizer,
        clip_norm=config.clip_norm,
        options=stage.machine,
        distributed=distributed,
    )
    stage.module.train()
    for index in range(progress.steps, steps):
        global_step = epoch * steps + index
        loss, norm = train_step(
            epoch_batches[index],
            position=(stage.seed, epoch, index),
            lr=learning_rate(global_step, steps, config) * lr_scale,
        )
        losses += loss * len(epoch_batches[index])
        norms += norm
        if checkpointer.ema is not None:
            checkpointer.ema.update(global_step + 1)
        action = Action(distributed.all_reduce_max(interrupts.next_action()))
        last = index + 1 == steps
        check = last or action or (index + 1) % CHECK_EVERY == 0
        if check and not math.isfinite(float(losses + norms)):
            raise _NotFiniteError
        if action and not last:
            progress.steps = index + 1
            progress.loss_sum, progress.norm_sum = float(losses), float(norms)
            progress.seconds = time.perf_counter() - began
            checkpointer.save_mid_epoch()
            interrupts.mark_saved()
            _handle_action(action, stage, run, checkpointer)
    return {
        "epoch": epoch + 1,
        "loss": float(losses) / stage.clips,
        "grad_norm": float(norms) / steps,
        "lr": learning_rate((epoch + 1) * steps - 1, steps, config) * lr_scale,
        "seconds": time.perf_counter() - began,
    }


def _handle_action(action: Action, stage: Stage, run: RunFolder, checkpointer: Checkpointer) -> None:
    """Stop, everything being saved, if that is the action."""
    where = f"after {checkpointer.position()}"
    if action is Action.STOP_NOW:
        run.log(f"{stage.title}: interrupted {where}; the weights are in {run.last}")
        raise KeyboardInterrupt
    if action is Action.STOP_AT_TIME_LIMIT:
        limit_s = stage.machine.time_limit_s
        sentence = f"{stage.title}: unfinished, stopped at the time limit of {limit_s:g} s {where}; {run.go_on()}"
        run.log(sentence, show=False)
        raise OutOfTimeError(sentence)


def _log_epoch(stage: Stage, run: RunFolder, checkpointer: Checkpointer, left_s: float) -> None:
    """Log a line about the last epoch; about every tenth is also shown."""
    row, progress, epochs = checkpointer.rows[-1], checkpointer.progress, stage.config.epochs
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
