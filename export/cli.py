"""`amr-edge export` and `evaluate`: parse, call one function, print."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from amr_edge.click_options import parameter
from amr_edge.errors import ConfigError
from amr_edge.export import api
from amr_edge.export.options import OnnxOptions, TensorrtOptions
from amr_edge.metrics import format_deduplicated, report
from amr_edge.output_paths import check_outputs
from amr_edge.terminal import note, to_json


def _export_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of both formats, each declared in `options.py`; precision is chosen by flags."""
    declared = {each.name: each for kind in (TensorrtOptions, OnnxOptions) for each in fields(kind)}
    for name in reversed([name for name in declared if name not in ("run", "precision")]):
        function = parameter(declared[name])(function)
    return function


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--onnx", is_flag=True, help="Write RUN/export/model.onnx.")
@click.option("--trt", is_flag=True, help="Build RUN/export/model.engine with TensorRT; RUN may be an .onnx file.")
@click.option("--fp16", is_flag=True, help="Compute matrix products in fp16, the rest in fp32.")
@click.option("--int8", is_flag=True, help="Compute linears in int8, ranges found at every run (--trt: calibrated).")
@click.option("--int8-static", is_flag=True, help="Compute linears in int8, ranges calibrated on training clips.")
@_export_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def export(run: Path, as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Write RUN (a run folder or checkpoint) for deployment and verify it on real clips.

    The file is kept only if it predicts what the trained model does; otherwise the exit code is 1.
    """
    onnx, trt = (bool(values.pop(name)) for name in ("onnx", "trt"))
    if onnx == trt:
        raise ConfigError("give what to export to: --onnx or --trt, one of them")
    fp16, int8, int8_static = (bool(values.pop(name)) for name in ("fp16", "int8", "int8_static"))
    if fp16 + int8 + int8_static > 1:
        raise ConfigError("--fp16, --int8 and --int8-static exclude each other; export once for each")
    # TensorRT takes calibrated ranges only.
    static = int8_static or (int8 and trt)
    precision = "fp16" if fp16 else "int8-static" if static else "int8" if int8 else "fp32"
    if onnx and values["budget"] is not None:
        raise ConfigError("--budget goes with --trt; model.onnx takes its budget when it is opened")
    check_outputs({"--out": values["out"]}, [run / "weights" if run.is_dir() else run, values["data"]])
    kind = TensorrtOptions if trt else OnnxOptions
    options = {each.name: values[each.name] for each in fields(kind) if each.name in values}
    if trt:
        built = api.export_tensorrt(run, precision=precision, **options)
        if as_json:
            click.echo(to_json({"path": built.path, **built.to_dict()}))
            return
        click.echo(f"{built.text()}\nnext: amr-edge live {built.path} --source 0")
        return
    exported = api.export_onnx(run, precision=precision, **options)
    if as_json:
        click.echo(to_json({"path": exported.path, **exported.to_dict()}))
        return
    click.echo(exported.text())
    if exported.failures:
        note(f"kept all the same: {'; '.join(exported.failures)}")
    verdict = "not proven" if exported.failures else "proven"
    click.echo(f"{verdict}: {exported.path}\nnext: amr-edge live {exported.path} --source 0")


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="The store; a run's own by default.")
@click.option("--split", help="Its test part is scored; a run's own by default, all scores everything.")
@click.option("--budgets", help="Accuracy against cost on shares of the tokens: 1,0.5,0.25,0.15,0.1.")
@click.option("--engine", help="Runs an exported file, as in `amr-edge live`.  [default: auto]")
@click.option("--out", type=click.Path(path_type=Path), help="The curve's picture.  [default: RUN/budget_curve.png]")
@click.option(
    "--dry-run", is_flag=True, help="With --budgets: leave the run's card as it is, draw no picture unless --out."
)
@click.option("--json", "as_json", is_flag=True, help="The score as JSON on stdout.")
def evaluate(
    model: Path,
    data: Path | None,
    split: str | None,
    budgets: str | None,
    engine: str | None,
    out: Path | None,
    dry_run: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Score MODEL (a run folder, a checkpoint, an exported .onnx or rehab8) on recordings with labels.

    With --budgets the same clips are answered on every budget, and on as many random tokens as the control; the curve
    of a run folder on its own data goes into its card.
    """
    if budgets is not None:
        measured = api.budget_curve(model, budgets, data=data, split=split, engine=engine, picture=out, dry_run=dry_run)
        click.echo(to_json(measured.to_dict()) if as_json else _curve_text(model, measured, dry_run=dry_run))
        return
    if out is not None:
        raise ConfigError("--out is the picture of the curve; give --budgets with it")
    result = api.evaluate(model, data=data, split=split, engine=engine)
    if as_json:
        click.echo(to_json(result.to_dict()))
    else:
        lines = (f"{model} on {result.store} (split {result.split})", report(result.score, result.classes))
        click.echo("\n".join(filter(None, (*lines, format_deduplicated(result.apart)))))


def _curve_text(model: Path, measured: api.BudgetCurve, *, dry_run: bool) -> str:
    """The curve as a table, what was written, and the next command."""
    curve = measured.curve
    lines = [f"{model} on {curve.store} (split {curve.split}, {curve.clips} clips)", curve.text()]
    if measured.picture is not None:
        lines.append(f"picture: {measured.picture}")
    if measured.in_card:
        lines.append(f"written: the curve is in the run's card, {model}/weights, and goes into its next export")
    elif dry_run:
        lines.append("dry run: the card was not changed")
    elif model.is_dir():
        lines.append("the curve is not in the run's card, because it is not of the run's own data and split")
    exported = model.suffix == ".onnx" or not model.exists()  # what does not exist by this name is a bundled model
    share = f"{curve.points[-1].share:g}"
    lines.append(
        f"next: amr-edge live {model} --source 0 --budget {share}"
        if exported
        else f"next: amr-edge export {model} --onnx"
    )
    return "\n".join(lines)
