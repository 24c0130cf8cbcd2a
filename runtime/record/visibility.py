"""Persons visible in a run of frames: one recording of them, and the share of joints that was seen."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from amr_edge.data.recording import Recording
from amr_edge.errors import ClipError
from amr_edge.live_settings import TrackerConfig
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.pipeline.tracker import Tracker
from amr_edge.skeleton import Layout, Poses, present_joints

Who = Literal["most", "all"]
WHO: tuple[Who, ...] = ("most", "all")
GAP_S = 3.0  # in a clip of one action a returning person is the one who left; `live` decides sooner
SELDOM = 0.5  # a joint that is seen in a smaller share of a person's frames is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """Visibility of people in a recording.

    Attributes:
        frames: Instants.
        with_person: Instants in which a recorded person shows a joint.
        joints: Mean share of their joints seen, over those instants; NaN without any.
        people: Everybody who was followed, kept or not.
        kept: Those in the recording.
        seconds: From the first instant to the last.
        seldom: Joints that the person who moves most shows in fewer than half of their instants.
    """

    frames: int
    with_person: int
    joints: float
    people: int
    kept: int
    seconds: float
    seldom: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Of the instants, those with a person; 0 of none."""
        return self.with_person / self.frames if self.frames else 0.0

    def sentence(self) -> str:
        """The same for a person to read."""
        if not self.with_person:
            return f"{self.frames} frames, no person seen"
        sentence = (
            f"{self.frames} frames in {self.seconds:.1f} s, {self.share:.0%} with a person, {self.joints:.0%} of joints"
        )
        few = f"{', '.join(self.seldom[:4])}{', ...' if len(self.seldom) > 4 else ''}"
        return f"{sentence}; seldom seen: {few}" if self.seldom else sentence


class RecordingBuilder:
    """Collects frames, tracks the people in them, and gives one recording.

    Where there never are two people at one instant, there is one person.
    """

    def __init__(self, layout: Layout, units: str) -> None:
        """Nothing yet.

        Args:
            layout: Of the poses.
            units: "m" or "px".
        """
        self._layout = layout
        self._units = units
        self._tracks = Tracker(TrackerConfig(gap_s=GAP_S))
        self._times_s: list[float] = []
        self._people: dict[int, list[tuple[int, Poses]]] = {}  # id -> (instant, (V, C))

    def __len__(self) -> int:
        return len(self._times_s)

    def add(self, frame: Frame) -> None:
        """Take the next instant in.

        Raises:
            ClipError: If its time does not rise.
        """
        if self._times_s and frame.time_s <= self._times_s[-1]:
            raise ClipError(
                f"times must rise, got {frame.time_s} s after {self._times_s[-1]} s; check the clock of the source"
            )
        at = len(self._times_s)
        self._times_s.append(frame.time_s)
        seen = np.asarray(present_joints(frame.poses).any(axis=-1))  # (P,)
        if frame.ids is None:
            # An estimator's world may begin in every body's own hips: only the picture tells people apart.
            places = frame.poses if frame.pixels is None else frame.pixels
            seen &= present_joints(places).any(axis=-1)
            ids = self._tracks.assign(frame.time_s, places[seen])
        else:
            ids = tuple(number for number, here in zip(frame.ids, seen, strict=True) if here)
        for number, pose in zip(ids, frame.poses[seen], strict=True):
            if number is None:  # found twice, or unconfirmed
                continue
            self._people.setdefault(number, []).append((at, pose))

    def finish(self, *, who: Who, label: str | None, subject: int | None, source: str) -> tuple[Recording, Visibility]:
        """The recording, its clock beginning at 0, and how much of the people in it was seen.

        Args:
            who: "most" keeps the person who moves most, "all" everybody, most movement first.
            label: The action.
            subject: Who it is, as a number.
            source: What the recording is called.

        Raises:
            ClipError: If there was no instant at all.
        """
        if not self._times_s:
            raise ClipError(f"{source}: expected at least one frame, there is none; check the source")
        T, V = len(self._times_s), len(self._layout)
        C = next((rows[0][1].shape[1] for rows in self._people.values()), self._layout.channels)
        people = list(self._people.values())
        instants = [at for rows in people for at, _ in rows]
        if len(set(instants)) == len(instants) and people:
            people = [[row for rows in people for row in rows]]
        everybody = np.full((len(people), T, V, C), np.nan, dtype=np.float32)  # (people, T, V, C)
        for row, rows in enumerate(people):
            for at, pose in rows:
                everybody[row, at] = pose
        order = np.argsort([-movement(poses) for poses in everybody], kind="stable")
        kept = everybody[order[:1] if who == "most" else order]
        if not len(kept):  # a recording has a person, seen or not
            kept = np.full((1, T, V, C), np.nan, dtype=np.float32)
        times_s = np.array(self._times_s, dtype=np.float64)
        recording = Recording(
            poses=kept,
            times_s=times_s - times_s[0],
            layout=self._layout.name,
            units=self._units,
            label=label,
            subject=subject,
            source=source,
        )
        return recording, visibility_of(recording, people=len(everybody))


def movement(poses: Poses) -> float:
    """Total movement of a person: (T, V, C) -> what a joint covers on average, in the poses' units.

    The middle of the joints' steps is taken at every instant, so that one joint that jumps does not count as movement.

    >>> still, moving = np.zeros((3, 2, 3), np.float32), np.float32([[[0, 0, 0]], [[1, 0, 0]], [[3, 0, 0]]])
    >>> movement(still), movement(moving)
    (0.0, 3.0)
    """
    steps = np.linalg.norm(np.diff(poses.astype(np.float64), axis=0), axis=-1)  # (T - 1, V)
    known = np.isfinite(steps).any(axis=1)
    return float(np.nanmedian(steps[known], axis=1).sum()) if known.any() else 0.0


def visibility_of(recording: Recording, *, people: int | None = None) -> Visibility:
    """Visibility of the people in a recording; `people` is how many there were before some were left out."""
    here = recording.present  # (M, T, V)
    bodies = np.asarray(here.any(axis=-1))  # (M, T)
    joints = float(here[bodies].mean()) if bodies.any() else float("nan")
    seldom: tuple[str, ...] = ()
    if bodies[:1].any():
        shares = here[0][bodies[0]].mean(axis=0)  # (V,)
        seldom = tuple(recording.skeleton.joints[int(place)] for place in np.flatnonzero(shares < SELDOM))
    kept = int(bodies.any(axis=1).sum())
    return Visibility(
        frames=len(recording.times_s),
        with_person=int(bodies.any(axis=0).sum()),
        joints=joints,
        people=kept if people is None else people,
        kept=kept,
        seconds=recording.duration_s,
        seldom=seldom,
    )


def visibility_facts(seen: Visibility) -> dict[str, Any]:
    """The numbers for a machine."""
    return {
        "frames": seen.frames,
        "with_person": seen.with_person,
        "share": round(seen.share, 4),
        "joints": round(seen.joints, 4),
        "people": seen.people,
        "kept": seen.kept,
        "seconds": round(seen.seconds, 3),
        "seldom": list(seen.seldom),
    }
