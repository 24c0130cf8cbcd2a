"""Write the curves of a run to TensorBoard."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from amr_edge.optional_dependencies import require
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.run_folder import RunFolder

Row = Mapping[str, float]


@contextmanager
def open_board(run: RunFolder, machine: RunOptions) -> Iterator[Callable[[Row], None]]:
    """Return a writer of results.csv rows as events into the run's `tensorboard` folder, if requested.

    Raises:
        MissingError: If it was requested and TensorBoard is not installed.
    """
    if not machine.tensorboard:
        yield lambda _: None
        return
    require("tensorboard", "--tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    made: Any = SummaryWriter
    writer = made(str(run.folder / "tensorboard"))

    def add(row: Row) -> None:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, int(row["epoch"]))
        writer.flush()

    try:
        yield add
    finally:
        writer.close()
