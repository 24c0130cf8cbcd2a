"""`amr-edge pretrain`, `finetune`, `train`, `distill`, `probe` and `fuse`: parse, call one function, print."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from amr_edge.optional_dependencies import require
from amr_edge.training.tasks.api import distill_settings


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all commands have."""
    options = [
        click.option("--data", type=click.Path(path_type=Path), help="What `amr-edge data convert` wrote."),
        click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="finetune.optim.epochs=30, ..."),
        click.option("--seed", default=0, show_default=True, help="Of all randomness."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..."),
        click.option("--precision", default="auto", show_default=True, help="bf16 (auto on CUDA) or fp32 (on a CPU)."),
        click.option("--accumulate", default=1, show_default=True, help="Micro-batches to a step, to save memory."),
        click.option("--compile", is_flag=True, help="Compile the model; pays on long runs."),
        click.option("--time-limit", default=0.0, metavar="SECONDS", help="Stop, ready to go on, after this."),
        click.option("--tensorboard", is_flag=True, help="Write TensorBoard events into the run."),
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads; all by default."),
        click.option("--project", type=click.Path(path_type=Path), default=Path("runs"), show_default=True),
        click.option("--name", help="Of the run's folder; the recipe's name by default."),
        click.option("--resume", type=click.Path(path_type=Path), help="A run folder to go on with."),
        click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


_recipe = click.option(
    "--recipe", help="amr, mamp, skeletonmae (the papers' size), or -small.  [default: --init's own, or amr-small]"
)
_split = click.option("--split", help="xsub, xview, official, loso:3, random, ...; the first that fits by default.")
_folds = click.option("--split", help="xsub, xview, loso:3, random, ...; loso leaves out one subject after the other.")
_labels = click.option(
    "--labels", metavar="SHARE|FILE", help="Learn from 0.1 of every class's labels, or those in FILE."
)
_transfer = click.option("--transfer", is_flag=True, help="Read recordings of another layout in the checkpoint's.")
_validate = click.option("--validate", metavar="SUBJECTS", help="Training subjects that choose the best epoch: 7,9.")


@click.command()
@_shared
@_recipe
@click.option("--split", default="all", show_default=True, help="Learn from its training part only; all takes all.")
def pretrain(**options: Any) -> None:
    """Pre-train an encoder by adaptive masked reconstruction; labels are not looked at."""
    _run("pretrain", options)


@click.command()
@_shared
@_recipe
@_folds
@_validate
@_labels
@click.option("--init", type=click.Path(path_type=Path), help="A run or checkpoint to start from; none is scratch.")
@_transfer
def finetune(**options: Any) -> None:
    """Teach an encoder the actions in DATA and evaluate it.

    With --init the encoder and the way it sees clips are the checkpoint's.
    """
    _run("finetune", options)


@click.command()
@_shared
@_recipe
@_folds
@_validate
@_labels
def train(**options: Any) -> None:
    """Pre-train, fine-tune and evaluate in one run."""
    _run("train", options)


@click.command()
@click.argument("teacher", type=click.Path(path_type=Path), required=False)
@click.option(
    "--student", default="small", show_default=True, type=click.Choice(["small", "tiny"]), help="0.55 M or 0.2 M."
)
@click.option("--unlabelled", is_flag=True, help="Do not look at labels: learn from the teacher's answers alone.")
@click.option("--alpha", type=float, help="Share of the teacher in the loss, 0.7; the rest is the labels'.")
@click.option("--temperature", type=float, help="Softens the teacher's answers, 4.")
@_shared
@_split
@_validate
def distill(**options: Any) -> None:
    """Teach a small student what TEACHER (a run folder or checkpoint) answers, and evaluate it beside the teacher.

    Without --data it learns from what the teacher learned from.
    """
    alpha, temperature = options.pop("alpha"), options.pop("temperature")
    distill_options = distill_settings(alpha, temperature, unlabelled=options["unlabelled"])
    options["settings"] += tuple(f"{name}={value}" for name, value in distill_options.items())
    _run("distill", options)


@click.command()
@click.argument("init", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="What `amr-edge data convert` wrote.")
@_split
@_validate
@_labels
@_transfer
@click.option("--knn", is_flag=True, help="Ask the 1, 5 and 20 nearest clips instead of training a linear layer.")
@click.option("--budget", default=1.0, show_default=True, help="Share of a body's tokens that the encoder looks at.")
@click.option("--variant", default="mamp", show_default=True, help="mamp (batch norm, lr 0.1) or amr (none, lr 0.01).")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="views=0 (new ones every epoch), lr=0.3")
@click.option("--seed", default=0, show_default=True, help="Of all randomness.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--precision", default="auto", show_default=True, help="bf16 (auto on CUDA) or fp32 (on a CPU).")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; all by default.")
@click.option("--project", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--name", help="Of the run's folder; the checkpoint's name by default.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
def probe(knn: bool, budget: float, variant: str, as_json: bool, **options: Any) -> None:  # noqa: FBT001
    """Evaluate the frozen encoder in INIT (a run folder or checkpoint): a linear layer on it, or nearest neighbours."""
    require("train", "`amr-edge probe`")
    from amr_edge.training.tasks.job import Order
    from amr_edge.training.tasks.linear_probe import carry_out_probe

    order = Order(verb="probe", resume=None, **options)
    _tell(*carry_out_probe(order, variant=variant, share=budget, knn=knn), as_json=as_json)


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--weights", metavar="W,W,...", help="How much each run counts; all alike by default.")
@click.option("--project", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--name", default="fused", show_default=True, help="Of the folder that the report goes to.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
def fuse(runs: tuple[Path, ...], weights: str | None, project: Path, name: str, as_json: bool) -> None:  # noqa: FBT001
    """Average what RUNS answered on the same test clips: the joint, bone and motion streams, several seeds, ..."""
    require("train", "`amr-edge fuse`")
    from amr_edge.training.tasks.ensemble import fuse_runs, keep_fusion

    fused = fuse_runs(runs, weights)
    folder = keep_fusion(fused, project, name)
    best = runs[max(range(len(runs)), key=lambda i: fused.each[i].top1)]
    text = f"{fused.text()}\nreport: {folder}\nnext: amr-edge export {best} --onnx"
    _tell(text, {"run": str(folder), **fused.to_dict()}, as_json=as_json)


def _run(verb: str, options: dict[str, Any]) -> None:
    require("train", f"`amr-edge {verb}`")
    from amr_edge.training.tasks.run_job import Order, run_job

    as_json = options.pop("as_json")
    _tell(*run_job(Order(verb=verb, **options)), as_json=as_json)


def _tell(text: str, answer: dict[str, object], *, as_json: bool) -> None:
    """The answer, for a machine or for a person."""
    if as_json:
        from amr_edge.terminal import to_json

        click.echo(to_json(answer))
    else:
        click.echo(text)
