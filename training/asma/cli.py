"""`amr-edge asma`: parse, call one function, print."""

from typing import Any

import click

from amr_edge.optional_dependencies import require
from amr_edge.training.asma.options import AsmaOptions
from amr_edge.training.click_options import build, options_of


@click.command()
@options_of(AsmaOptions)
def asma(as_json: bool, **options: Any) -> None:  # noqa: FBT001
    """Pre-train two encoders behind complementary masks, align them into a teacher, distill a light student (ASMa)."""
    require("train", "`amr-edge asma`")
    from amr_edge.training.asma.commands import run_asma

    text, result = run_asma(build(AsmaOptions, options))
    if as_json:
        from amr_edge.terminal import to_json

        click.echo(to_json(result))
    else:
        click.echo(text)
