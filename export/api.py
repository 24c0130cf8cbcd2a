"""`amr-edge export` and `evaluate` as functions: the same options, a typed result.

Importing this loads neither torch nor onnx; calling does where it must.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from amr_edge.errors import ConfigError
from amr_edge.export.export_tensorrt import Engine, TensorrtConfig
from amr_edge.export.export_tensorrt import export_tensorrt as build_engine
from amr_edge.export.options import OnnxOptions, TensorrtOptions
from amr_edge.export.verify.budget_curve import Curve, shares_of
from amr_edge.export.verify.evaluate import EXPORTED, EvaluationResult, evaluate_file
from amr_edge.export.verify.verification_report import ExportResult, VerificationReport
from amr_edge.optional_dependencies import require
from amr_edge.pretrained import bundled, resolve_model_path
from amr_edge.runtime.inference.session import AUTO
from amr_edge.runtime.inference.tensorrt_build import BuildConfig
from amr_edge.terminal import note
from amr_edge.training.tasks.results import TrainResult

__all__ = ["BudgetCurve", "Engine", "EvaluationResult", "ExportResult", "VerificationReport"]
__all__ += ["budget_curve", "evaluate", "export_onnx", "export_tensorrt"]


P = ParamSpec("P")
Options = TypeVar("Options", OnnxOptions, TensorrtOptions)
Result = TypeVar("Result", ExportResult, Engine)

_RAISES = """
    Raises:
        CheckFailedError: If the file predicts differently; it is not kept.
        ConfigError: If options contradict each other, or a bare checkpoint comes without data to verify it on.
        MissingError: If torch, onnx, TensorRT or its GPU is not here.
        ReadError: If run or store cannot be read.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCurve:
    """Accuracy against cost, and where it was put.

    Attributes:
        curve: Its points, and random tokens as the control.
        picture: Where it was drawn; None if nowhere.
        in_card: Whether it is in the card of the run, which it is if it is of the run's own data and split.
    """

    curve: Curve
    picture: Path | None
    in_card: bool

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return {**self.curve.to_dict(), "picture": self.picture, "in_card": self.in_card}


def _export_onnx(options: OnnxOptions) -> ExportResult:
    require("export", "exporting to ONNX")
    from amr_edge.export.convert.precision import file_name, limits_for
    from amr_edge.export.export_onnx import OnnxConfig, export_run

    file_name(options.precision)  # refuses an unknown precision
    source = _model(options.run)
    if source.suffix in EXPORTED:
        raise ConfigError(
            f"{source}: expected a run folder or a checkpoint, got an exported model; it runs as it is: "
            f"amr-edge live {options.run}"
        )
    limits = limits_for(options.precision, options.max_difference, options.min_agreement, options.max_loss)
    config = OnnxConfig(
        precision=options.precision,
        opset=options.opset,
        calibrate_on=options.calibrate_on,
        engine=options.engine,
        limits=limits,
        force=options.force,
    )
    return export_run(_model(options.run), config, data=_path(options.data), name=options.split, out=_path(options.out))


def _export_tensorrt(options: TensorrtOptions) -> Engine:
    config = TensorrtConfig(
        precision=options.precision,
        budget=options.budget,
        build=BuildConfig(
            max_clips=options.max_people,
            workspace_mb=options.workspace_mb,
            level=options.level,
            timing_cache=_path(options.timing_cache),
        ),
        max_difference=options.max_difference,
        min_agreement=options.min_agreement,
        by_trtexec=options.by_trtexec,
    )
    return build_engine(
        _model(options.run),
        config,
        data=_path(options.data),
        name=options.split,
        out=_path(options.out),
        rng=np.random.default_rng(0),
        progress=note,
    )


def _function(
    options: Callable[P, Options], work: Callable[[Options], Result], name: str, result: type[Result], text: str
) -> Callable[P, Result]:
    """A function with the parameters of an options class."""

    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        return work(options(*args, **kwargs))

    described = "\n".join(f"        {each.name}: {each.metadata['help']}" for each in fields(cast("Any", options)))
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{text}\n\n    Args:\n{described}\n{_RAISES}"
    call.__signature__ = signature(options).replace(return_annotation=result)  # type: ignore[attr-defined]
    return call


export_onnx = _function(
    OnnxOptions,
    _export_onnx,
    "export_onnx",
    ExportResult,
    "Write a run as ONNX and verify it on real clips; the file is kept only if it predicts what the run does.",
)
export_tensorrt = _function(
    TensorrtOptions,
    _export_tensorrt,
    "export_tensorrt",
    Engine,
    "Build a TensorRT engine for this machine and verify it: `amr-edge export RUN --trt`.",
)


def evaluate(
    model: str | Path | TrainResult | None = None,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    engine: str | None = None,
) -> EvaluationResult:
    """Score a model on recordings with labels.

    Args:
        model: What `train` gave, a run folder, a checkpoint, an exported file, or the name of a model of the box; None
            is that of the box.
        data: The store; None takes the run's own.
        split: Its test part is scored, "all" scores everything; None takes the run's own.
        engine: Runs an exported file; None takes what fits and is installed.

    Raises:
        ConfigError: If an engine is named for what torch answers, or data or split are not known.
        MissingError: If torch is needed and not here.
        DataError: If no recording of the part has a label that the model knows.
    """
    path = _model_path(model, engine)
    if path.suffix not in EXPORTED:
        require("train", "evaluating a checkpoint")
    return evaluate_file(path, _path(data), split, engine=AUTO if engine is None else engine)


def budget_curve(
    model: str | Path | TrainResult,
    budgets: str | Sequence[float] = (1.0, 0.5, 0.25, 0.15, 0.1),
    *,
    data: str | Path | None = None,
    split: str | None = None,
    engine: str | None = None,
    picture: str | Path | None = None,
    dry_run: bool = False,
) -> BudgetCurve:
    """Accuracy on every token budget, beside as many random tokens: `amr-edge evaluate --budgets`.

    The curve of a run on its own data goes into its card, and with the next export into the model file.

    Args:
        model: What `train` gave, a run folder, a checkpoint, or an exported .onnx.
        budgets: Shares of the tokens, in (0, 1]; also as "1,0.5,0.25".
        data: As in `evaluate`.
        split: As in `evaluate`.
        engine: As in `evaluate`.
        picture: Draw it here, as PNG; None draws a run's into its folder.
        dry_run: Measure only: leave the run's card as it is and draw no picture that `picture` does not name.

    Raises:
        ConfigError: If a budget means nothing or the file has its own built in, or data or split are not known.
        MissingError: If torch or matplotlib is not here.
        DataError: If no recording of the part has a label that the model knows.
    """
    require("train", "a curve over budgets")
    from amr_edge.export.verify.budget_curve_plot import draw_curve, keep_curve, measure_curve
    from amr_edge.training.engine.run_folder import RunFolder

    path = _model_path(model, engine)
    shares = shares_of(budgets if isinstance(budgets, str) else ",".join(map(str, budgets)))
    curve = measure_curve(
        path, _path(data), split, shares, np.random.default_rng(0), engine=AUTO if engine is None else engine
    )
    drawn = _path(picture) or (path / "budget_curve.png" if path.is_dir() and not dry_run else None)
    if drawn is not None:
        draw_curve(curve, f"{path.name} on {curve.store.name} ({curve.split})", drawn)
    in_card = path.is_dir() and data is None and split is None and not dry_run
    if in_card:
        keep_curve(RunFolder(path), curve)
    return BudgetCurve(curve=curve, picture=drawn, in_card=in_card)


def _model_path(model: str | Path | TrainResult | None, engine: str | None) -> Path:
    """The file or folder to score."""
    path = bundled() if model is None else _model(model)
    if engine is not None and (path.is_dir() or path.suffix == ".safetensors"):
        raise ConfigError(
            f"--engine runs exported files, {path} is answered by torch; name its export/model.onnx or leave it away"
        )
    return path


def _model(model: str | Path | TrainResult) -> Path:
    """The run folder or file, of a bundled model by its name."""
    return model.run if isinstance(model, TrainResult) else resolve_model_path(model)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
