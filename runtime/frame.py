"""What a source hands on: a picture with its time, and the people an estimator or a recording sees in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError
from amr_edge.skeleton import Poses


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """One frame of a video or camera.

    Attributes:
        image: (H, W, 3) uint8, RGB, as the camera saw it: never mirrored.
        time_s: When it was captured, seconds on the source's clock, rising from frame to frame.
        dropped: Frames that a live source skipped since the picture before this one.
    """

    image: NDArray[np.uint8]
    time_s: float
    dropped: int = 0

    def check(self) -> None:
        """Refuse what is no picture.

        Raises:
            ClipError: If `image` is not (H, W, 3) uint8.
        """
        image = self.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ClipError(
                f"a picture is (H, W, 3) uint8, RGB; got shape {image.shape} of {image.dtype}; convert it first"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """The P people seen at one instant.

    Attributes:
        time_s: When it was captured, seconds on the source's clock, rising.
        poses: (P, V, C) float32 in the source's layout and units, y up, absent joints NaN.
        ids: The identity of each person where the source knows it (a recording does, a detector does not).
        pixels: (P, V, 2) float32 image coordinates, y down, for drawing; None where there is no picture.
        picture: What it was seen in, if anything.
        missed: Instants that a live source skipped since the one before this.
    """

    time_s: float
    poses: Poses
    ids: tuple[int, ...] | None = None
    pixels: NDArray[np.float32] | None = None
    picture: Image | None = None
    missed: int = 0

    @property
    def dropped(self) -> int:
        """Number of images or instants skipped before this one."""
        return self.missed + (self.picture.dropped if self.picture is not None else 0)
