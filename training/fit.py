"""The one training loop: epochs, judgement, checkpoints, resume, recovery.

Every step draws its randomness from (seed, epoch, step) alone, and everything else that training changes is in the
state on disk. A run that was interrupted at any step and resumed therefore ends with the weights of the uninterrupted
one, bit for bit on a CPU.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace

import torch
from torch import nn

from amr_edge.card import Card
from amr_edge.errors import CheckFailedError, ConfigError, DataError
from amr_edge.terminal import progress as bar
from amr_edge.training.advance import Step, advance, batches
from amr_edge.training.board import open_board
from amr_edge.training.checkpoint import save_weights
from amr_edge.training.config import OptimConfig
from amr_edge.training.encoder import Encoder
from amr_edge.training.machine import Machine, compile_module
from amr_edge.training.optimise import Average, learning_rate, optimiser
from amr_edge.training.parallel import World, world
from amr_edge.training.run import Run
from amr_edge.training.state import Progress, load_state, read_progress, save_state
from amr_edge.training.watch import OutOfTimeError, Watch, Wish

CHECK_EVERY = 50  # steps; to know sooner whether a loss is finite would make an accelerator wait at every step
HALVINGS = 3  # of the learning rate, before a run whose loss is not finite is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One fitting of a module.

    Attributes:
        title: What the person reads: "pre-train".
        module: What is trained.
        encoder: The encoder inside it, for layer-wise learning rates.
        step: The loss of a step, a mean over its clips.
        saved: What the checkpoint holds: the module itself or its encoder.
        card: The card that is written with the weights.
        clips: How many clips there are.
        config: The optimiser.
        seed: Of all randomness.
        machine: What it runs on.
        judge: After an epoch, a number that is better when lower and what to write beside the loss; None judges
            by the loss. With an average of weights (optim.ema) the module holds the average while it is judged.
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


class _NotFiniteError(Exception):
    """A loss or a gradient was infinite or not a number."""


def fit(stage: Stage, run: Run, *, resume: bool = False) -> list[dict[str, float]]:
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
        with Watch(stage.machine, speaks=peers.leads and not run.quiet) as watch:
            return _Fitting(stage, run, peers, watch).carry_out(resume=resume)


def _check(stage: Stage, peers: World) -> None:
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


class _Fitting:
    """All that changes while a stage is fitted."""

    def __init__(self, stage: Stage, run: Run, peers: World, watch: Watch) -> None:
        self.stage, self.run, self.peers, self.watch = stage, run, peers, watch
        peers.same_start(stage.module)
        self.adam = optimiser(stage.module, stage.encoder, stage.config)
        self.average = Average(stage.module, stage.config.ema) if stage.config.ema else None
        self.progress = Progress(pieces=peers.size * stage.machine.accumulate)
        self.rows: list[dict[str, float]] = []

    def carry_out(self, *, resume: bool) -> list[dict[str, float]]:
        stage, run, config = self.stage, self.run, self.stage.config
        if resume and run.state.exists():
            self._resume()
        else:
            with self._writing():
                save_weights(run.last, stage.saved, stage.card)
                self._save()
        ahead = range(self.progress.epochs, 0 if self.progress.stopped else config.epochs)
        if ahead and stage.machine.compile:
            run.log(f"{stage.title}: {compile_module(stage.module, stage.machine.device)}")
        started = time.perf_counter()
        shown = bar(ahead, label=stage.title) if self.peers.leads else nullcontext(ahead)
        devices = [stage.machine.device] if stage.machine.device.type == "cuda" else []
        with open_board(run, stage.machine) as board, torch.random.fork_rng(devices=devices), shown as epochs:
            for epoch in epochs:
                row = self._epoch_that_ends_well(epoch)
                self._finish(row)
                board(row)
                left_s = (time.perf_counter() - started) / (epoch + 1 - ahead.start) * (config.epochs - epoch - 1)
                with self._writing():
                    self._tell(row, left_s)
                wish = Wish(self.peers.largest(self.watch.wish()))
                done = self.progress.stopped or epoch + 1 == config.epochs
                if not done or wish is Wish.STOP_NOW:
                    self._obey(wish)
                if done:
                    break
        if self.average is not None:
            self.average.swap()
        return self.rows

    def _resume(self) -> None:
        stage, run = self.stage, self.run
        path = run.state
        if run.midway.exists():
            at, between = read_progress(run.state), read_progress(run.midway)
            if (at.epochs, at.halvings) == (between.epochs, between.halvings):
                path = run.midway
        pieces = self.progress.pieces
        self.progress = load_state(path, stage.module, self.adam, self.average)
        self.rows = run.results()[: self.progress.epochs]
        where = f"epoch {self.progress.epochs}" + (f" and {self.progress.steps} steps" if self.progress.steps else "")
        run.log(f"{stage.title}: resumed after {where} of {stage.config.epochs}")
        if pieces != self.progress.pieces:
            run.log(
                f"{stage.title}: batches were cut into {self.progress.pieces} parts before and are into {pieces} now "
                "(processes times --accumulate), so randomness goes on differently"
            )
            self.progress.pieces = pieces

    def _epoch_that_ends_well(self, epoch: int) -> dict[str, float]:
        """An epoch, from its beginning with half the learning rate as often as its loss is not finite."""
        while True:
            with suppress(_NotFiniteError):
                return self._epoch(epoch)
            self._go_back(epoch)

    def _go_back(self, epoch: int) -> None:
        stage, run = self.stage, self.run
        halvings = self.progress.halvings + 1
        if halvings > HALVINGS:
            raise CheckFailedError(
                f"{stage.title}: the loss or its gradient was not finite in epoch {epoch + 1}, also with the learning "
                f"rate halved {HALVINGS} times; the weights of epoch {epoch} are kept, start again with a lower "
                "optim.lr or with optim.clip_norm=1"
            )
        # Always to the end of an epoch, never to a save inside one: when those are made depends on the clock.
        self.progress = load_state(run.state, stage.module, self.adam, self.average)
        self.progress.halvings = halvings
        with self._writing():
            self._save()
        run.log(
            f"{stage.title}: the loss or its gradient was not finite in epoch {epoch + 1}; back to the end of epoch "
            f"{epoch} with the learning rate times {0.5**halvings:g}"
        )

    def _epoch(self, epoch: int) -> dict[str, float]:
        """All clips once, or what is left of them."""
        stage, progress, config = self.stage, self.progress, self.stage.config
        todo = batches(stage.clips, config.batch, stage.seed, epoch)
        steps = len(todo)
        device = stage.machine.device
        losses = torch.tensor(progress.loss_sum, device=device)
        norms = torch.tensor(progress.norm_sum, device=device)
        began = time.perf_counter() - progress.seconds
        cooled = 0.5**progress.halvings
        stage.module.train()
        for index in range(progress.steps, steps):
            taken = epoch * steps + index
            loss, norm = advance(
                stage.step,
                stage.module,
                self.adam,
                todo[index],
                where=(stage.seed, epoch, index),
                rate=learning_rate(taken, steps, config) * cooled,
                config=config,
                machine=stage.machine,
                peers=self.peers,
            )
            losses += loss * len(todo[index])
            norms += norm
            if self.average is not None:
                self.average.update(taken + 1)
            wish = self.peers.largest(self.watch.wish())
            last = index + 1 == steps
            look = last or wish or (index + 1) % CHECK_EVERY == 0
            if look and not math.isfinite(float(losses + norms)):
                raise _NotFiniteError
            if wish and not last:
                progress.steps = index + 1
                progress.loss_sum, progress.norm_sum = float(losses), float(norms)
                progress.seconds = time.perf_counter() - began
                with self._writing():
                    self._save(midway=True)
                self._obey(Wish(wish))
        return {
            "epoch": epoch + 1,
            "loss": float(losses) / stage.clips,
            "grad_norm": float(norms) / steps,
            "lr": learning_rate((epoch + 1) * steps - 1, steps, config) * cooled,
            "seconds": time.perf_counter() - began,
        }

    def _finish(self, row: dict[str, float]) -> None:
        """Judge, keep and write what an epoch has come to."""
        stage, run, progress = self.stage, self.run, self.progress
        with self.average.worn() if self.average is not None else nullcontext():
            judged, more = self.peers.from_the_first(stage.judge) if stage.judge is not None else (row["loss"], {})
            row |= more
            self.rows.append(row)
            better = progress.best is None or judged < progress.best
            with self._writing():
                save_weights(run.last, stage.saved, stage.card)
                if better:
                    save_weights(run.best, stage.saved, stage.card)
                run.write_results(self.rows)
        stale = 0 if better else progress.stale + 1
        self.progress = replace(
            progress,
            epochs=progress.epochs + 1,
            steps=0,
            loss_sum=0.0,
            norm_sum=0.0,
            seconds=0.0,
            best=judged if better else progress.best,
            stale=stale,
            stopped=0 < stage.config.patience <= stale,
        )
        with self._writing():
            self._save()

    def _save(self, *, midway: bool = False) -> None:
        run = self.run
        path = run.midway if midway else run.state
        save_state(path, self.stage.module, self.adam, self.average, self.progress)
        if not midway:
            run.midway.unlink(missing_ok=True)
        self.watch.saved()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            raise DataError(
                f"{self.run.folder} could not be written to ({cause.strerror or cause}); what was saved before is "
                f"whole: free some space or give back the rights, then {self.run.go_on()}"
            ) from cause

    def _obey(self, wish: Wish) -> None:
        """Stop, everything being saved, if that is the wish."""
        title, progress, epochs = self.stage.title, self.progress, self.stage.config.epochs
        where = f"after epoch {progress.epochs} of {epochs}" + (f" and {progress.steps} steps" * bool(progress.steps))
        if wish is Wish.STOP_NOW:
            self.run.log(f"{title}: interrupted {where}; the weights are in {self.run.last}")
            raise KeyboardInterrupt
        if wish is Wish.STOP_IN_TIME:
            limit_s = self.stage.machine.time_limit_s
            sentence = f"{title}: unfinished, stopped at the time limit of {limit_s:g} s {where}; {self.run.go_on()}"
            self.run.log(sentence, show=False)
            raise OutOfTimeError(sentence)

    def _tell(self, row: dict[str, float], left_s: float) -> None:
        title, epochs, epoch = self.stage.title, self.stage.config.epochs, int(row["epoch"])
        line = f"{title}: epoch {epoch}/{epochs}  " + "  ".join(
            f"{key} {value:.4g}" for key, value in row.items() if key != "epoch"
        )
        if self.progress.stopped:
            line += f"  no better for {self.progress.stale} epochs, stopped (optim.patience)"
        else:
            line += f"  {left_s:.0f} s left"
        tenth = epoch % max(1, epochs // 10) == 0 or epoch == epochs or self.progress.stopped
        self.run.log(line, show=tenth and not sys.stderr.isatty())
