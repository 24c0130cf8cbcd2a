"""`amr-edge export` and `evaluate`: parse, call one function, print."""

from pathlib import Path

import click

from amr_edge.errors import ConfigError
from amr_edge.extras import require
from amr_edge.terminal import to_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--onnx", is_flag=True, help="Write RUN/export/model.onnx.")
@click.option("--data", type=click.Path(path_type=Path), help="Prove on this store; the run's own by default.")
@click.option("--split", help="Prove on the test part of this split; the run's own by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Write here instead.")
@click.option("--opset", default=20, show_default=True, help="ONNX operator set.")
@click.option("--max-difference", default=1e-4, show_default=True, help="Largest difference of a probability.")
@click.option("--min-agreement", default=1.0, show_default=True, help="Smallest share of equal answers.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
def export(
    run: Path,
    onnx: bool,  # noqa: FBT001
    data: Path | None,
    split: str | None,
    out: Path | None,
    opset: int,
    max_difference: float,
    min_agreement: float,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Write RUN (a run folder or checkpoint) for deployment and prove it on real clips.

    The file is kept only if it answers as the trained model does; otherwise the exit code is 1.
    """
    if not onnx:
        raise ConfigError("say what to export to: --onnx")
    require("export", "`amr-edge export`")
    from amr_edge.export.parity import Limits
    from amr_edge.export.prove import export_run

    limits = Limits(probability=max_difference, agreement=min_agreement)
    exported = export_run(run, data=data, name=split, out=out, opset=opset, limits=limits)
    if as_json:
        click.echo(to_json({"path": exported.path, **exported.to_dict()}))
        return
    click.echo(exported.text())
    click.echo(f"proven: {exported.path}\nnext: amr-edge live {exported.path} --source 0")


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="The store; a run's own by default.")
@click.option("--split", help="Its test part is scored; a run's own by default, all scores everything.")
@click.option("--json", "as_json", is_flag=True, help="The score as JSON on stdout.")
def evaluate(model: Path, data: Path | None, split: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Score MODEL (a run folder, a checkpoint or an exported .onnx) on recordings with labels."""
    from amr_edge.export.evaluate import evaluate_file
    from amr_edge.score import report

    if model.suffix != ".onnx":
        require("train", "evaluating a checkpoint")
    judged = evaluate_file(model, data, split)
    if as_json:
        click.echo(to_json(judged.to_dict()))
    else:
        click.echo(f"{model} on {judged.store} (split {judged.split})\n{report(judged.score, judged.classes)}")
