"""What a source is, the settings that it is read with, and what its factory is given."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from amr_edge.errors import ConfigError
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.pose.open_pose import PoseEstimator
from amr_edge.runtime.sources.health import Health
from amr_edge.runtime.stage_timer import Stages
from amr_edge.skeleton import Layout

STALE_S = 0.5
SILENT_S = 3.0  # a source that gives nothing for so long counts as lost

Note = Callable[[str], None]


@runtime_checkable
class SkeletonSource(Protocol):
    """Something that already has joints: a depth camera, a motion capture system, another program's estimator."""

    layout: Layout  # of the joints, in this order
    units: str  # "m" or "px"
    title: str  # what it is, in a few words without passwords

    def __iter__(self) -> Iterator[Frame]:
        """Every instant, in order; times rise."""
        ...


@runtime_checkable
class ImageSource(Protocol):
    """Something that has pictures, in which a pose estimator finds the joints: a video file or a camera."""

    fps: float  # NaN where unknown
    size: tuple[int, int]  # width, height
    live: bool  # a camera drops pictures that are not taken in time, a file drops none
    title: str  # what it is, in a few words without passwords

    def __iter__(self) -> Iterator[Image]:
        """Every picture, in order; times rise."""
        ...

    def close(self) -> None:
        """Release the device or file; closing twice is allowed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """Settings of reading a source.

    Attributes:
        format: Format of recorded skeletons; "auto" recognises it.
        pose: For pictures: what finds the joints, see `amr_edge.runtime.pose.open_pose`.
        people: For pictures: how many people are looked for.
        speed: For what is recorded: 0 as fast as it goes, 1 in real time.
        stale_s: For what is live: older pictures and packets are dropped.
    """

    format: str = "auto"
    pose: str | PoseEstimator = "full"
    people: int = 1
    speed: float = 0.0
    stale_s: float = STALE_S

    def __post_init__(self) -> None:
        if not self.stale_s > 0:
            raise ConfigError(f"what is live needs a staleness above 0 s, got {self.stale_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenContext:
    """Context that every source is opened with.

    Attributes:
        config: How it is read.
        stages: Times the capture and the pose of pictures.
        note: Called with a line about what was opened.
        skipped: Called with a sentence about each of several files that cannot be read.
        environ: Names the cache of pose models.
        health: Counts and reports what is survived.
        stack: What is entered here is released at the end of the source.
    """

    config: SourceConfig
    stages: Stages
    note: Note
    skipped: Note
    environ: Mapping[str, str]
    health: Health
    stack: ExitStack
