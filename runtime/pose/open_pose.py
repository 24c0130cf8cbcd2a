"""What the word after --pose means: a model of MediaPipe's, an ONNX model with its description, or none."""

import os
from collections.abc import Mapping
from pathlib import Path

from amr_edge.errors import MissingError
from amr_edge.runtime.frame import PoseEstimator
from amr_edge.runtime.pose import download, model_spec
from amr_edge.runtime.pose.mediapipe_tasks import MediaPipePose
from amr_edge.runtime.pose.onnx_keypoints import OnnxPose

NONE = "none"  # for sources that have joints already


def open_pose(pose: str, *, people: int, environ: Mapping[str, str]) -> PoseEstimator:
    """Open a pose estimator.

    Args:
        pose: lite, full or heavy (fetched before); the path of a `.task` file; the path of a description, `.json`;
            or the name of a shipped description with its model, and with a detector where people are found first:
            `yolo-pose:MODEL.onnx`, `rtmpose:MODEL.onnx+DETECTOR.onnx`.
        people: How many people are looked for at most.
        environ: Where the pose models are kept stands here.

    Raises:
        MissingError: If the model or a package is not here.
        ReadError: If the model or its description is damaged or foreign.
        ConfigError: If the word means nothing.
    """
    name, colon, files = pose.partition(":")
    if colon and name in model_spec.SHIPPED:
        stated = model_spec.parse(model_spec.shipped(name), f"the description '{name}'", Path())
        model, _, detector = files.partition("+")
        return OnnxPose(
            model_spec.with_models(stated, Path(model), Path(detector) if detector else None), people=people
        )
    if pose.lower().endswith(".json"):
        return OnnxPose(model_spec.read(Path(pose)), people=people)
    return MediaPipePose(_task(pose, environ), people=people)


def _task(pose: str, environ: Mapping[str, str]) -> Path:
    """The MediaPipe model that a name or path means."""
    variant = next((variant for variant in download.VARIANTS if variant == pose), None)
    if variant is None:
        path = Path(pose)
        if not path.is_file():
            shipped = ", ".join(f"{name}:MODEL.onnx" for name in model_spec.SHIPPED)
            raise MissingError(
                f"there is no pose model '{pose}'; give {', '.join(download.VARIANTS)}, {shipped}, or the path of a "
                ".task file or of a description (.json), and type: amr-edge pose fetch full"
            )
        return path
    cache = download.cache_folder(environ)
    fault = download.fault(variant, cache)
    if fault is not None:
        raise MissingError(
            f"video and cameras need the pose model '{variant}', {os.fspath(cache)} has none that can be used "
            f"({fault}); type: amr-edge pose fetch {variant}"
        )
    return download.model_path(variant, cache)
