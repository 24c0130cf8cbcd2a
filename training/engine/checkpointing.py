"""Save and restore training state; go back after an interruption or a non-finite loss."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from amr_edge.errors import CheckFailedError, DataError
from amr_edge.training.engine.checkpoint import save_weights
from amr_edge.training.engine.distributed import DistributedContext
from amr_edge.training.engine.optimizer import EmaWeights, build_optimizer
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.engine.stage import Stage
from amr_edge.training.engine.train_state import Progress, load_state, read_progress, save_state

MAX_LR_HALVINGS = 3  # of the learning rate, before a run whose loss is not finite is given up


class Checkpointer:
    """Everything that training changes, and its checkpoints in the run's folder.

    Attributes:
        optimizer: The optimiser.
        ema: The moving average of the weights, if optim.ema asks for it.
        progress: How far the run has come.
        rows: Of results.csv.
    """

    def __init__(self, stage: Stage, run: RunFolder, distributed: DistributedContext) -> None:
        self._stage, self._run, self._distributed = stage, run, distributed
        self.step = distributed.wrap_step(stage.module, stage.step)
        self.optimizer = build_optimizer(stage.module, stage.encoder, stage.config)
        self.ema = EmaWeights(stage.module, stage.config.ema) if stage.config.ema else None
        self.progress = Progress(micro_batches=distributed.size * stage.machine.accumulate)
        self.rows: list[dict[str, float]] = []

    def position(self) -> str:
        """Progress of the run, in words."""
        steps = f" and {self.progress.steps} steps" if self.progress.steps else ""
        return f"epoch {self.progress.epochs} of {self._stage.config.epochs}{steps}"

    def save_initial(self) -> None:
        """Write the first checkpoint, which an interrupted first epoch goes back to."""
        with self.writing():
            save_weights(self._run.last, self._stage.saved, self._stage.card)
            self._save()

    def resume(self) -> None:
        """Go back to what was saved last, inside an epoch or at the end of one."""
        title, run, micro_batches = self._stage.title, self._run, self.progress.micro_batches
        path = run.state
        if run.midway.exists():
            finished, between = read_progress(run.state), read_progress(run.midway)
            if (finished.epochs, finished.halvings) == (between.epochs, between.halvings):
                path = run.midway
        self.progress = load_state(path, self._stage.module, self.optimizer, self.ema)
        self.rows = run.results()[: self.progress.epochs]
        run.log(f"{title}: resumed after {self.position()}")
        if micro_batches != self.progress.micro_batches:
            run.log(
                f"{title}: batches were cut into {self.progress.micro_batches} parts before and are into "
                f"{micro_batches} now (processes times --accumulate), so randomness goes on differently"
            )
            self.progress.micro_batches = micro_batches

    def restart_epoch(self) -> None:
        """Return to the end of the last epoch, with half the learning rate from there.

        Never to a save inside an epoch: when those are made depends on the clock.

        Raises:
            CheckFailedError: If that has been done often enough.
        """
        title, halvings, epoch = self._stage.title, self.progress.halvings + 1, self.progress.epochs
        if halvings > MAX_LR_HALVINGS:
            raise CheckFailedError(
                f"{title}: the loss or its gradient was not finite in epoch {epoch + 1}, also with the learning rate "
                f"halved {MAX_LR_HALVINGS} times; the weights of epoch {epoch} are kept, start again with a lower "
                "optim.lr or with optim.clip_norm=1"
            )
        self.progress = load_state(self._run.state, self._stage.module, self.optimizer, self.ema)
        self.progress.halvings = halvings
        with self.writing():
            self._save()
            self._run.log(
                f"{title}: the loss or its gradient was not finite in epoch {epoch + 1}; back to the end of epoch "
                f"{epoch} with the learning rate times {0.5**halvings:g}"
            )

    def finish_epoch(self, row: dict[str, float]) -> None:
        """Evaluate an epoch and write its checkpoint, results and state."""
        stage, run, progress = self._stage, self._run, self.progress
        with self.ema.applied() if self.ema is not None else nullcontext():
            score, more = row["loss"], dict[str, float]()
            if stage.judge is not None:
                score, more = self._distributed.broadcast_from_main(stage.judge)
            self.rows.append({**row, **more})
            better = progress.best is None or score < progress.best
            with self.writing():
                save_weights(run.last, stage.saved, stage.card)
                if better and stage.judge is not None:
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
            best=score if better else progress.best,
            stale=stale,
            stopped=0 < stage.config.patience <= stale,
        )
        with self.writing():
            self._save()

    def save_mid_epoch(self) -> None:
        """Save the state inside an epoch, next to the state at the end of the last one."""
        with self.writing():
            save_state(self._run.midway, self._stage.module, self.optimizer, self.ema, self.progress)

    def swap_in_ema(self) -> None:
        """Leave the module with the averaged weights, as saved."""
        if self.ema is not None:
            self.ema.swap()

    def _save(self) -> None:
        save_state(self._run.state, self._stage.module, self.optimizer, self.ema, self.progress)
        self._run.midway.unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn a failed write into an error that states what is saved and how to resume."""
        try:
            yield
        except OSError as cause:
            raise DataError(
                f"{self._run.folder} could not be written to ({cause.strerror or cause}); what was saved before is "
                f"whole: free some space or give back the rights, then {self._run.go_on()}"
            ) from cause
