"""`amr-edge demo`: the bundled model in seconds, or a model trained from scratch in three minutes."""

import time
from pathlib import Path

import click

from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import require
from amr_edge.terminal import note, to_json


@click.command()
@click.option("--train", is_flag=True, help="Train a model from scratch and run it; needs the `export` extra.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("amr-edge-demo"), show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Random seed of the people and the training.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; all by default.")
@click.option("--ui", type=click.IntRange(0, 65535), is_flag=False, flag_value=8765, help="Watch it here live.  [8765]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def demo(train: bool, out: Path, seed: int, threads: int | None, ui: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Run rehab8, the bundled model, on a synthetic person who exercises, and write a page that plays it back.

    It needs no data, no camera and no account. With --train, people are animated, a model is pre-trained, fine-tuned,
    exported and verified on them, and runs on a new person: three minutes. Every step is the same code that runs on
    your recordings.
    """
    if train and ui is not None:
        raise ConfigError("--ui shows the bundled model and --train trains another; give one of them")
    if train:
        _from_nothing(out, seed, threads, as_json=as_json)
        return
    from amr_edge.runtime.demo.cli import run_bundled_demo

    shown = run_bundled_demo(out, seed=seed, threads=threads, port=ui, progress=note, sleep=time.sleep)
    click.echo(to_json(shown.to_dict()) if as_json else shown.text())


def _from_nothing(out: Path, seed: int, threads: int | None, *, as_json: bool) -> None:
    """The whole line, on synthetic people."""
    require("export", "`amr-edge demo --train`")
    from amr_edge.export.demo.train_demo import run_train_demo

    result = run_train_demo(out, seed=seed, threads=threads, progress=note)
    click.echo(to_json(result.to_dict()) if as_json else result.text())
