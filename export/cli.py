"""`amr-edge export` and `evaluate`: parse, call one function, print."""

from pathlib import Path

import click

from amr_edge.errors import ConfigError
from amr_edge.export import api
from amr_edge.metrics import format_deduplicated, report
from amr_edge.terminal import note, to_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--onnx", is_flag=True, help="Write RUN/export/model.onnx.")
@click.option("--trt", is_flag=True, help="Build RUN/export/model.engine with TensorRT; RUN may be a ready .onnx.")
@click.option("--trtexec", is_flag=True, help="Build it with the program trtexec instead of Python's TensorRT.")
@click.option("--fp16", is_flag=True, help="Compute the products in fp16, the rest in fp32.")
@click.option(
    "--int8", is_flag=True, help="Compute the linears in int8, ranges found at every run (--trt: calibrated)."
)
@click.option("--int8-static", is_flag=True, help="Compute the linears in int8, ranges calibrated on training clips.")
@click.option("--calibrate-on", default=128, show_default=True, help="Training clips for --int8-static.")
@click.option("--force", is_flag=True, help="Keep model.onnx even if the proof fails.")
@click.option("--engine", default="onnxruntime", show_default=True, help="Runs model.onnx for the proof.")
@click.option("--budget", type=float, help="Share of the tokens that the engine looks at.  [default: the card's]")
@click.option("--max-people", default=8, show_default=True, help="Clips that the engine takes at once.")
@click.option("--workspace", default=256, show_default=True, help="Scratch memory for TensorRT, MB.")
@click.option("--opt-level", default=3, show_default=True, help="How long TensorRT searches, 0 to 5.")
@click.option("--timing-cache", type=click.Path(path_type=Path), help="Keep kernel timings here between builds.")
@click.option("--data", type=click.Path(path_type=Path), help="Prove on this store; the run's own by default.")
@click.option("--split", help="Prove on the test part of this split; the run's own by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Write here instead.")
@click.option("--opset", default=20, show_default=True, help="ONNX operator set.")
@click.option(
    "--max-difference", type=float, show_default="1e-4, more below fp32", help="Largest difference of a probability."
)
@click.option("--min-agreement", type=float, show_default="1, less below fp32", help="Smallest share of equal answers.")
@click.option("--max-loss", type=float, show_default="0, 0.005 below fp32", help="Largest loss of accuracy.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
def export(
    run: Path,
    onnx: bool,  # noqa: FBT001
    trt: bool,  # noqa: FBT001
    trtexec: bool,  # noqa: FBT001
    fp16: bool,  # noqa: FBT001
    int8: bool,  # noqa: FBT001
    int8_static: bool,  # noqa: FBT001
    calibrate_on: int,
    force: bool,  # noqa: FBT001
    engine: str,
    budget: float | None,
    max_people: int,
    workspace: int,
    opt_level: int,
    timing_cache: Path | None,
    data: Path | None,
    split: str | None,
    out: Path | None,
    opset: int,
    max_difference: float | None,
    min_agreement: float | None,
    max_loss: float | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Write RUN (a run folder or checkpoint) for deployment and prove it on real clips.

    The file is kept only if it answers as the trained model does; otherwise the exit code is 1.
    """
    if onnx == trt:
        raise ConfigError("say what to export to: --onnx or --trt, one of them")
    if fp16 + int8 + int8_static > 1:
        raise ConfigError("--fp16, --int8 and --int8-static exclude each other; export once for each")
    # TensorRT knows ranges that were calibrated only.
    static = int8_static or (int8 and trt)
    precision = "fp16" if fp16 else "int8-static" if static else "int8" if int8 else "fp32"
    if trt:
        built = api.export_tensorrt(
            run,
            data=data,
            split=split,
            out=out,
            precision=precision,
            budget=budget,
            max_people=max_people,
            workspace_mb=workspace,
            level=opt_level,
            timing_cache=timing_cache,
            max_difference=max_difference,
            min_agreement=min_agreement,
            by_trtexec=trtexec,
        )
        if as_json:
            click.echo(to_json({"path": built.path, **built.to_dict()}))
            return
        click.echo(f"{built.text()}\nnext: amr-edge live {built.path} --source 0")
        return
    if budget is not None:
        raise ConfigError("--budget goes with --trt; model.onnx takes its budget when it is opened")
    exported = api.export_onnx(
        run,
        data=data,
        split=split,
        out=out,
        opset=opset,
        max_difference=max_difference,
        min_agreement=min_agreement,
        max_loss=max_loss,
        precision=precision,
        calibrate_on=calibrate_on,
        engine=engine,
        force=force,
    )
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
