"""`amr-edge export` and `evaluate` as functions: the same options, a typed result.

Importing this loads neither torch nor onnx; calling does where it must.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amr_edge.errors import ConfigError
from amr_edge.export.export_tensorrt import Engine
from amr_edge.export.export_tensorrt import export_tensorrt as build_engine
from amr_edge.export.verify.budget_curve import Curve, shares_of
from amr_edge.export.verify.evaluate import EXPORTED, EvaluationResult, evaluate_file
from amr_edge.export.verify.verification_report import PROVEN_ON, ExportResult, VerificationReport
from amr_edge.optional_dependencies import require
from amr_edge.pretrained import bundled, resolve_model_path
from amr_edge.runtime.inference.session import AUTO
from amr_edge.runtime.inference.tensorrt_build import BuildConfig
from amr_edge.terminal import note
from amr_edge.training.tasks.results import TrainResult

__all__ = ["BudgetCurve", "Engine", "EvaluationResult", "ExportResult", "VerificationReport"]
__all__ += ["budget_curve", "evaluate", "export_onnx", "export_tensorrt"]


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


def export_onnx(
    run: str | Path | TrainResult,
    *,
    precision: str = "fp32",
    data: str | Path | None = None,
    split: str | None = None,
    out: str | Path | None = None,
    calibrate_on: int = 128,
    opset: int = 20,
    engine: str = PROVEN_ON,
    max_difference: float | None = None,
    min_agreement: float | None = None,
    max_loss: float | None = None,
    force: bool = False,
) -> ExportResult:
    """Write a run as ONNX and prove on real clips that nothing was lost; the file is kept only if that is so.

    Args:
        run: What `train`, `finetune` or `distill` gave, a run folder, or a classifier checkpoint.
        precision: "fp32", "fp16", "int8" or "int8-static" (ranges calibrated on training clips).
        data: Prove on this store; None takes the run's own.
        split: Prove on the test part of this split; None takes the run's own.
        out: Write here; None is RUN/export/model.onnx, with the precision in its name below fp32.
        calibrate_on: Training clips for "int8-static".
        opset: ONNX operator set.
        engine: Runs the file for the proof.
        max_difference: Largest difference of a probability; None goes by the precision.
        min_agreement: Smallest share of equal answers; None goes by the precision.
        max_loss: Largest loss of accuracy; None goes by the precision.
        force: Keep the file whatever the proof says; what went past its limit is in `failures`.

    Raises:
        CheckFailedError: If the file answers differently; no model file is left.
        ConfigError: If there is no such precision, or a bare checkpoint comes without data to prove it on.
        MissingError: If torch or onnx is not here.
        ReadError: If run or store cannot be read.
    """
    require("export", "exporting to ONNX")
    from amr_edge.export.convert.precision import file_name, limits_for
    from amr_edge.export.export_onnx import export_run

    file_name(precision)  # refuses what is no precision
    source = _model(run)
    if source.suffix in EXPORTED:
        raise ConfigError(
            f"{source}: expected a run folder or a checkpoint, got an exported model; it runs as it is: "
            f"amr-edge live {run}"
        )
    return export_run(
        source,
        data=_path(data),
        name=split,
        out=_path(out),
        opset=opset,
        limits=limits_for(precision, max_difference, min_agreement, max_loss),
        precision=precision,
        sample=calibrate_on,
        engine=engine,
        force=force,
    )


def export_tensorrt(
    run: str | Path | TrainResult,
    *,
    precision: str = "fp32",
    data: str | Path | None = None,
    split: str | None = None,
    out: str | Path | None = None,
    budget: float | None = None,
    max_people: int = 8,
    workspace_mb: int = 256,
    level: int = 3,
    timing_cache: str | Path | None = None,
    max_difference: float | None = None,
    min_agreement: float | None = None,
    by_trtexec: bool = False,
) -> Engine:
    """Build a TensorRT engine for this machine and prove it: `amr-edge export RUN --trt`.

    Args:
        run: As in `export_onnx`; or a ready .onnx or the name of a bundled model, for which no torch is needed.
        precision: "fp32", "fp16" or "int8-static"; a ready file has its own.
        data: As in `export_onnx`.
        split: As in `export_onnx`.
        out: The engine; None is RUN/export/model.engine, or beside a ready file; of a bundled model, the
            working directory.
        budget: Share of the tokens, a constant of the engine, in (0, 1]; None takes the card's.
        max_people: Clips that the engine takes at once.
        workspace_mb: Scratch memory.
        level: How long TensorRT searches, 0 to 5.
        timing_cache: Kernel timings are kept here between builds.
        max_difference: As in `export_onnx`.
        min_agreement: As in `export_onnx`.
        by_trtexec: Build with the program trtexec.

    Raises:
        ConfigError: If source and options contradict each other.
        CheckFailedError: If the ready file or the engine answers differently, or nothing is built.
        MissingError: If TensorRT, its GPU or memory is not here; the ready file stays.
    """
    return build_engine(
        _model(run),
        data=_path(data),
        name=split,
        out=_path(out),
        precision=precision,
        budget=budget,
        config=BuildConfig(
            max_clips=max_people, workspace_mb=workspace_mb, level=level, timing_cache=_path(timing_cache)
        ),
        max_difference=max_difference,
        min_agreement=min_agreement,
        by_trtexec=by_trtexec,
        rng=np.random.default_rng(0),
        progress=note,
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
