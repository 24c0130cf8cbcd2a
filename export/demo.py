"""`amr-edge demo`: the whole line in three minutes, on synthetic people; no data, no camera, no account."""

from pathlib import Path

import click

from amr_edge.extras import require
from amr_edge.terminal import note, to_json


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("amr-edge-demo"), show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the people and of the training.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; all by default.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
def demo(out: Path, seed: int, threads: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Train, export, prove and run a model on synthetic people, and write a report to look at.

    Every step is the same code that runs on your recordings; the people are animated by amr-edge itself.
    """
    require("export", "`amr-edge demo`")
    from amr_edge.export.walk import walk

    result = walk(out, seed=seed, threads=threads, say=note)
    if as_json:
        click.echo(to_json(result.to_dict()))
        return
    click.echo(result.text())
