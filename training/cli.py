"""`amr-edge pretrain`, `finetune`, `train`, `distill`, `probe` and `fuse`: parse, call one function, print."""

from pathlib import Path
from typing import Any

import click

from amr_edge.optional_dependencies import require
from amr_edge.training.click_options import build, options_of
from amr_edge.training.tasks.options import (
    RUNS,
    DistillOptions,
    FinetuneOptions,
    LearningOptions,
    PretrainOptions,
    ProbeOptions,
    TrainOptions,
)


@click.command()
@options_of(PretrainOptions)
def pretrain(**options: Any) -> None:
    """Pre-train an encoder by adaptive masked reconstruction; labels are not used."""
    _run(PretrainOptions, options)


@click.command()
@options_of(FinetuneOptions)
def finetune(**options: Any) -> None:
    """Fine-tune an encoder on the actions in DATA and evaluate it.

    With --init the encoder and its preprocessing are the checkpoint's.
    """
    _run(FinetuneOptions, options)


@click.command()
@options_of(TrainOptions)
def train(**options: Any) -> None:
    """Pre-train, fine-tune and evaluate in one run."""
    _run(TrainOptions, options)


@click.command()
@options_of(DistillOptions)
def distill(**options: Any) -> None:
    """Train a small student on the predictions of TEACHER (a run folder or checkpoint), and compare the two.

    Without --data it learns from the recordings that the teacher learned from.
    """
    _run(DistillOptions, options)


@click.command()
@options_of(ProbeOptions)
def probe(as_json: bool, **options: Any) -> None:  # noqa: FBT001
    """Evaluate the frozen encoder in INIT (a run folder or checkpoint): a linear layer on it, or nearest neighbours."""
    require("train", "`amr-edge probe`")
    from amr_edge.training.tasks.linear_probe import run_probe

    _print(*run_probe(build(ProbeOptions, options)), as_json=as_json)


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--weights", metavar="W,W,...", help="Weight of each run; equal by default.")
@click.option("--project", type=click.Path(path_type=Path), default=RUNS, show_default=True)
@click.option("--name", default="fused", show_default=True, help="Name of the folder that the report goes to.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
def fuse(runs: tuple[Path, ...], weights: str | None, project: Path, name: str, as_json: bool) -> None:  # noqa: FBT001
    """Average the predictions of RUNS on the same test clips: the joint, bone and motion streams, several seeds, ..."""
    require("train", "`amr-edge fuse`")
    from amr_edge.training.tasks.ensemble import fuse_runs, keep_fusion

    fused = fuse_runs(runs, weights)
    folder = keep_fusion(fused, project, name)
    best = runs[max(range(len(runs)), key=lambda i: fused.each[i].top1)]
    text = f"{fused.text()}\nreport: {folder}\nnext: amr-edge export {best} --onnx"
    _print(text, {"run": str(folder), **fused.to_dict()}, as_json=as_json)


def _run(kind: type[LearningOptions], options: dict[str, Any]) -> None:
    require("train", f"`amr-edge {kind.command}`")
    from amr_edge.training.tasks.run_job import run_task

    as_json = options.pop("as_json")
    text, outcome = run_task(build(kind, options))
    _print(text, outcome.to_dict(), as_json=as_json)


def _print(text: str, result: dict[str, object], *, as_json: bool) -> None:
    """The result as JSON or as text."""
    if as_json:
        from amr_edge.terminal import to_json

        click.echo(to_json(result))
    else:
        click.echo(text)
