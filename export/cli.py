"""`amr-edge export` and `evaluate`: parse, call one function, print."""

from pathlib import Path

import click
import numpy as np

from amr_edge.errors import ConfigError
from amr_edge.extras import require
from amr_edge.terminal import note, to_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--onnx", is_flag=True, help="Write RUN/export/model.onnx.")
@click.option("--trt", is_flag=True, help="Build RUN/export/model.engine with TensorRT; RUN may be a ready .onnx.")
@click.option("--trtexec", is_flag=True, help="Build it with the program trtexec instead of Python's TensorRT.")
@click.option("--fp16", is_flag=True, help="Compute the products in fp16, the rest in fp32 (with --trt).")
@click.option("--int8", is_flag=True, help="Compute the linears in int8 (with --trt).")
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
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
def export(
    run: Path,
    onnx: bool,  # noqa: FBT001
    trt: bool,  # noqa: FBT001
    trtexec: bool,  # noqa: FBT001
    fp16: bool,  # noqa: FBT001
    int8: bool,  # noqa: FBT001
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
    as_json: bool,  # noqa: FBT001
) -> None:
    """Write RUN (a run folder or checkpoint) for deployment and prove it on real clips.

    The file is kept only if it answers as the trained model does; otherwise the exit code is 1.
    """
    if onnx == trt:
        raise ConfigError("say what to export to: --onnx or --trt, one of them")
    if fp16 and int8:
        raise ConfigError("--fp16 and --int8 exclude each other")
    precision = "fp16" if fp16 else "int8-static" if int8 else "fp32"
    if trt:
        from amr_edge.export.to_tensorrt import export_tensorrt
        from amr_edge.runtime.engines.tensorrt_build import BuildConfig

        engine = export_tensorrt(
            run,
            data=data,
            name=split,
            out=out,
            precision=precision,
            budget=budget,
            config=BuildConfig(
                max_clips=max_people, workspace_mb=workspace, level=opt_level, timing_cache=timing_cache
            ),
            max_difference=max_difference,
            min_agreement=min_agreement,
            by_trtexec=trtexec,
            rng=np.random.default_rng(0),
            tell=note,
        )
        if as_json:
            click.echo(to_json({"path": engine.path, **engine.to_dict()}))
            return
        click.echo(f"{engine.text()}\nnext: amr-edge live {engine.path} --source 0")
        return
    if precision != "fp32" or budget is not None:
        raise ConfigError("--fp16, --int8 and --budget go with --trt; model.onnx takes its budget when it is opened")
    require("export", "`amr-edge export`")
    from amr_edge.export.parity import Limits
    from amr_edge.export.prove import export_run

    usual = Limits()
    limits = Limits(
        probability=usual.probability if max_difference is None else max_difference,
        agreement=usual.agreement if min_agreement is None else min_agreement,
    )
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
