"""`amr-edge asma`: parse, call one function, print."""

from pathlib import Path

import click

from amr_edge.optional_dependencies import require


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="What `amr-edge data convert` wrote.")
@click.option("--split", help="xsub, xview, official, loso:3, random, ...; the first that fits by default.")
@click.option(
    "--recipe", default="asma-small", show_default=True, help="asma (the paper's line of ST-GCN) or asma-small."
)
@click.option(
    "--backbone", type=click.Choice(["graph", "tokens"]), help="Two ST-GCNs (the default), or two AMR encoders."
)
@click.option(
    "--student", type=click.Choice(["graph", "small", "tiny"]), help="A narrow ST-GCN (the default) or a transformer."
)
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="pretrain.epochs=30, hide.frames=0.3, ..."
)
@click.option("--seed", default=0, show_default=True, help="Of all randomness.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--precision", default="auto", show_default=True, help="bf16 (auto on CUDA) or fp32 (on a CPU).")
@click.option("--time-limit", default=0.0, metavar="SECONDS", help="Stop, ready to go on, after this.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; all by default.")
@click.option("--project", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--name", help="Of the run's folder; the recipe's name by default.")
@click.option("--resume", type=click.Path(path_type=Path), help="A run folder to go on with.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
def asma(
    data: Path | None,
    split: str | None,
    recipe: str,
    backbone: str | None,
    student: str | None,
    settings: tuple[str, ...],
    seed: int,
    device: str,
    precision: str,
    time_limit: float,
    threads: int | None,
    project: Path,
    name: str | None,
    resume: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Pre-train two encoders behind complementary masks, align them into a teacher, distill a light student (ASMa)."""
    require("train", "`amr-edge asma`")
    from amr_edge.training.asma.commands import AsmaOrder, carry_out
    from amr_edge.training.engine.device import RunOptions, choose_device, choose_precision

    chosen = choose_device(device)
    stated = [("backbone", backbone), ("student.kind", student)]
    order = AsmaOrder(
        data=data,
        split=split,
        recipe=recipe,
        settings=(*(f"{field}={value}" for field, value in stated if value is not None), *settings),
        seed=seed,
        machine=RunOptions(device=chosen, precision=choose_precision(precision, chosen), time_limit_s=time_limit),
        threads=threads,
        project=project,
        name=name,
        resume=resume,
    )
    text, answer = carry_out(order)
    if as_json:
        from amr_edge.terminal import to_json

        click.echo(to_json(answer))
    else:
        click.echo(text)
