"""The table of pose estimators: what `--pose` and `live(pose=...)` take, and what opens it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from amr_edge.errors import MissingError
from amr_edge.runtime import factories
from amr_edge.runtime.frame import Frame, Image
from amr_edge.skeleton import Layout

NONE = "none"  # for sources that have joints already


@runtime_checkable
class PoseEstimator(Protocol):
    """Something that finds people's joints in a picture."""

    layout: Layout  # of the joints, in this order
    units: str  # "m" or "px"
    title: str  # what it is, in a few words

    def __call__(self, picture: Image) -> Frame:
        """The people in `picture`, at its time.

        Returns:
            A frame with P people: poses (P, V, C) float32, y up, absent joints NaN; pixels (P, V, 2), y down.

        Raises:
            ClipError: If it fails on this picture, which is left out and counted.
        """
        ...

    def close(self) -> None:
        """Release the model; closing twice is allowed."""
        ...


# Form of --pose (a name, "name:" before files, or a ".suffix") -> the function that opens it, called with the whole
# word, `people=` and `environ=`. A new estimator is a file in this folder with a class that satisfies `PoseEstimator`,
# and a line here (docs/extending.md, "A pose estimator").
ESTIMATORS: dict[str, str] = {
    "lite": "amr_edge.runtime.pose.mediapipe_tasks:open_variant",
    "full": "amr_edge.runtime.pose.mediapipe_tasks:open_variant",
    "heavy": "amr_edge.runtime.pose.mediapipe_tasks:open_variant",
    ".task": "amr_edge.runtime.pose.mediapipe_tasks:open_task",
    "yolo-pose:": "amr_edge.runtime.pose.onnx_keypoints:open_shipped",
    "rtmpose:": "amr_edge.runtime.pose.onnx_keypoints:open_shipped",
    ".json": "amr_edge.runtime.pose.onnx_keypoints:open_description",
}


def open_pose(pose: str | PoseEstimator, *, people: int, environ: Mapping[str, str]) -> PoseEstimator:
    """The pose estimator of a word; an estimator is returned as it is.

    Args:
        pose: lite, full or heavy (fetched before); the path of a `.task` file; the path of a description, `.json`;
            the name of a shipped description with its model, and with a detector where people are found first:
            `yolo-pose:MODEL.onnx`, `rtmpose:MODEL.onnx+DETECTOR.onnx`; or an estimator of your own.
        people: How many people are looked for at most.
        environ: Names the cache of pose models.

    Raises:
        MissingError: If the model or a package is not here, or there is no such estimator.
        ReadError: If the model or its description is damaged or foreign.
        ConfigError: If the model, its detector and `people` contradict each other.
    """
    if not isinstance(pose, str):
        return pose
    key = factories.key_of(pose, ESTIMATORS) or ".task"
    if key == ".task" and not Path(pose).is_file():
        names = ", ".join(f"{name}MODEL.onnx" if name.endswith(":") else name for name in ESTIMATORS if name[0] != ".")
        raise MissingError(
            f"there is no pose model '{pose}'; give {names}, or the path of a .task file or of a description (.json), "
            "and type: amr-edge pose fetch full"
        )
    estimator: PoseEstimator = factories.load(ESTIMATORS[key])(pose, people=people, environ=environ)
    return estimator
