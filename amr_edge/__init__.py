"""amr-edge: skeleton action recognition, from unlabelled recordings to live predictions on an edge device.

`from amr_edge import load, live, read, train, ...` is what `amr-edge` does, as typed functions (docs/python-api.md).
A name is imported when it is first used: `import amr_edge` itself loads nothing, and no torch comes along before
something is trained.
"""

from importlib import import_module

__version__ = "0.1.0"

# Module -> what it offers here. Strings, as in `amr_edge.cli`: what lies above is named, not imported. The file
# __init__.pyi says the same to type checkers, and a test holds the two against each other.
_OFFERS: dict[str, tuple[str, ...]] = {
    "amr_edge.card": (
        "BudgetPoint",
        "Card",
    ),
    "amr_edge.data.convert": (
        "ConversionResult",
        "convert",
    ),
    "amr_edge.errors": (
        "AmrError",
        "CardError",
        "CheckFailedError",
        "ClipError",
        "ConfigError",
        "DataError",
        "LayoutError",
        "MissingError",
        "ReadError",
    ),
    "amr_edge.pretrained": ("bundled",),
    "amr_edge.preprocess": (
        "Clip",
        "PrepareConfig",
        "prepare",
    ),
    "amr_edge.data.readers": ("read",),
    "amr_edge.data.recording": (
        "Recording",
        "Span",
    ),
    "amr_edge.skeleton": (
        "Layout",
        "Remapped",
        "layout",
        "register_layout",
        "remap",
    ),
    "amr_edge.data.store": (
        "Store",
        "open_store",
        "write_store",
    ),
    "amr_edge.runtime.bench.api": (
        "Bench",
        "BenchRow",
        "bench",
    ),
    "amr_edge.runtime.pipeline.event_detector": ("Event",),
    "amr_edge.runtime.calibration.event_metrics": ("EventScore",),
    "amr_edge.runtime.bench.measure": ("MeasureConfig",),
    "amr_edge.runtime.calibration.api": (
        "CalibrationResult",
        "calibrate",
        "score_events",
    ),
    "amr_edge.runtime.pipeline.api_live": ("live",),
    "amr_edge.runtime.pipeline.api_model": (
        "StreamResult",
        "Model",
        "ModelStream",
        "load",
    ),
    "amr_edge.runtime.pipeline.records": (
        "PredictionRecord",
        "EventRecord",
        "ExplainRecord",
        "LiveRecord",
        "RecordingRecord",
        "StatusRecord",
        "SummaryRecord",
        "record_of",
    ),
    "amr_edge.runtime.pipeline.recognizer": ("Prediction",),
    "amr_edge.training.tasks.api": (
        "distill",
        "finetune",
        "leave_one_out",
        "pretrain",
        "train",
    ),
    "amr_edge.training.tasks.results": (
        "DistillResult",
        "CrossValidationResult",
        "TestMetrics",
        "FoldResult",
        "PretrainResult",
        "TrainResult",
    ),
    "amr_edge.export.verify.budget_curve": ("Curve",),
    "amr_edge.export.verify.evaluate": ("EvaluationResult",),
    "amr_edge.export.verify.verification_report": (
        "ExportResult",
        "VerificationReport",
    ),
    "amr_edge.export.api": (
        "BudgetCurve",
        "budget_curve",
        "evaluate",
        "export_onnx",
        "export_tensorrt",
    ),
    "amr_edge.export.export_tensorrt": ("Engine",),
}
_WHERE = {name: module for module, names in _OFFERS.items() for name in names}

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> object:
    """Import the object called `name` at its first use (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module 'amr_edge' has no attribute '{name}'")
    found: object = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found  # the next time it is simply there
    return found


def __dir__() -> list[str]:
    """Names of the public API."""
    return sorted({*globals(), *_WHERE})
