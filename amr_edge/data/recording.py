"""`Recording`: poses of persons over time, with label, subject, camera and labelled spans."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError
from amr_edge.skeleton import Layout, Mask, Poses, layout, present_joints

UNITS = ("m", "px")


class Span(NamedTuple):
    """A stretch of a continuous recording with one label; seconds on the recording's clock."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """Poses of M persons over T frames, with the time of every frame.

    Attributes:
        poses: (M, T, V, C) float32; an absent joint, or a person who is not there, is NaN. The y axis points
            up and the axes are right-handed; metres for `units` "m" (C = 3), image pixels for "px" (C = 2).
        times_s: (T,) float64 seconds, strictly rising.
        layout: Name of a layout in `amr_edge.skeleton`.
        units: "m" or "px".
        label: Name of the one action in it, if it is a trimmed clip with a known action.
        subject: Who was recorded, as the data set counts them; None if unknown.
        camera: Which camera, as the data set counts them; None if unknown.
        source: Where it came from: a file name, with "#key" for a part of a file.
        parts: Names of the official parts that the source itself says it belongs to ("train", "xsub_val").
        spans: Labelled stretches of a continuous recording.

    Raises:
        ClipError: If shapes, times or units contradict each other.
    """

    poses: Poses
    times_s: NDArray[np.float64]
    layout: str
    units: str = "m"
    label: str | None = None
    subject: int | None = None
    camera: int | None = None
    source: str = ""
    parts: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        where = self.source or "recording"
        joints = len(layout(self.layout))
        if self.poses.ndim != 4 or self.poses.shape[2] != joints or self.poses.shape[3] not in (2, 3):
            raise ClipError(
                f"{where}: expected poses (M, T, {joints}, 2 or 3) for layout '{self.layout}', got {self.poses.shape}"
            )
        if self.poses.dtype != np.float32 or self.times_s.dtype != np.float64:
            raise ClipError(
                f"{where}: expected float32 poses and float64 times, got {self.poses.dtype} and {self.times_s.dtype}"
            )
        if self.times_s.shape != (self.poses.shape[1],):
            raise ClipError(
                f"{where}: expected one time for each of {self.poses.shape[1]} frames, got {self.times_s.shape}"
            )
        if not np.isfinite(self.times_s).all() or (np.diff(self.times_s) <= 0).any():
            raise ClipError(f"{where}: times must be finite and rise from frame to frame")
        if self.units not in UNITS:
            raise ClipError(f"{where}: units must be one of {', '.join(UNITS)}, got '{self.units}'")

    @property
    def skeleton(self) -> Layout:
        """The layout itself."""
        return layout(self.layout)

    @property
    def present(self) -> Mask:
        """(M, T, V), True where a joint was seen."""
        return present_joints(self.poses)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last; 0 for one frame."""
        return float(self.times_s[-1] - self.times_s[0]) if len(self.times_s) else 0.0

    @property
    def fps(self) -> float:
        """Median frame rate; NaN with fewer than two frames."""
        return float(1.0 / np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else float("nan")
