"""Options of exporting: one frozen class for ONNX and one for TensorRT, for the command line and Python."""

# ruff: noqa: RUF009 - `option` makes a dataclass field

from dataclasses import dataclass, field
from pathlib import Path

from amr_edge.export.verify.verification_report import PROVEN_ON
from amr_edge.training.tasks.options import Location, option
from amr_edge.training.tasks.results import TrainResult

PRECISION = "fp32, fp16, int8 (ranges found at every run) or int8-static (ranges calibrated on training clips)."


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """Export to ONNX; the file is kept only if it predicts what the trained model does."""

    run: str | Path | TrainResult = field(
        kw_only=False,
        metadata={"help": "A result of `train`, `finetune` or `distill`, a run folder, or a classifier checkpoint."},
    )
    precision: str = option("fp32", PRECISION)
    data: Location = option(None, "Verify on this store; the run's own by default.", path=True)
    split: str | None = option(None, "Verify on the test part of this split; the run's own by default.")
    out: Location = option(None, "File to write; RUN/export/model.onnx by default.", path=True)
    calibrate_on: int = option(128, "Training clips that int8-static is calibrated on.")
    opset: int = option(20, "ONNX operator set.")
    engine: str = option(PROVEN_ON, "Engine that runs the file for the verification.")
    max_difference: float | None = option(
        None, "Largest difference of a probability.", type=float, show_default="1e-4, more below fp32"
    )
    min_agreement: float | None = option(
        None, "Smallest share of equal predictions.", type=float, show_default="1, less below fp32"
    )
    max_loss: float | None = option(None, "Largest loss of accuracy.", type=float, show_default="0, 0.005 below fp32")
    force: bool = option(default=False, text="Keep the file even if the verification fails.")


@dataclass(frozen=True, kw_only=True)
class TensorrtOptions:
    """Build a TensorRT engine for this machine and verify it."""

    run: str | Path | TrainResult = field(
        kw_only=False,
        metadata={"help": "As for ONNX; or an .onnx file with a fixed number of tokens, for which no torch is needed."},
    )
    precision: str = option("fp32", "fp32, fp16 or int8-static; an .onnx file has its own.")
    data: Location = option(None, "Verify on this store; the run's own by default.", path=True)
    split: str | None = option(None, "Verify on the test part of this split; the run's own by default.")
    out: Location = option(None, "Engine to write; RUN/export/model.engine by default.", path=True)
    budget: float | None = option(
        None, "Share of the tokens, a constant of the engine.", type=float, show_default="the card's"
    )
    max_people: int = option(8, "Clips that the engine takes at once.")
    workspace_mb: int = option(256, "Workspace of the TensorRT builder, MB.", flag="--workspace")
    level: int = option(3, "Optimisation level of the TensorRT builder, 0 to 5.", flag="--opt-level")
    timing_cache: Location = option(None, "Keep kernel timings in this file between builds.", path=True)
    max_difference: float | None = option(None, "Largest difference of a probability.", type=float)
    min_agreement: float | None = option(None, "Smallest share of equal predictions.", type=float)
    by_trtexec: bool = option(
        default=False, text="Build with the program trtexec instead of Python's TensorRT.", flag="--trtexec"
    )
