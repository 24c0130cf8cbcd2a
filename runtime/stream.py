"""What is each person doing, asked again and again while frames come in; and the same asked of a whole recording.

`Stream` is the live road: it sees one frame at a time and holds a few seconds. `recognise` is the offline road:
it has the whole recording in its hands. Both follow the same rules and give the same answers:

- An answer is due once a window has passed since the first frame, and every `stride_s` after that; it is given
  at the first frame at or after the due time, and covers the window that ends there.
- It is given for everyone (a model for one person) who has been in view for a whole window and was seen within
  the last half second, or for the scene (a model for several) as soon as anybody was seen in the window.
- Somebody unseen for longer than a window and its longest gap starts anew when they come back.
- A recording that is shorter than a window gets one answer over all of it, marked partial.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ClipError, ConfigError, LayoutError
from amr_edge.preprocess import Clip, prepare, prepare_scene
from amr_edge.recording import UNITS, Recording
from amr_edge.runtime.session import Session
from amr_edge.runtime.sighting import Sighting
from amr_edge.runtime.tracks import Tracks
from amr_edge.runtime.window import Window
from amr_edge.skeleton import Layout, Mask, Poses, common_joints, layout, present_joints

RECENT_S = 0.5  # somebody unseen for longer gets no answer
TOUCH_S = 1e-6  # 63 frames at 30 fps are 2.1 s, whatever the last bit says
BATCH = 64  # clips of one forward on the offline road
TOP = 5  # classes of an answer's JSON


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a model says about one window.

    Attributes:
        start_s: First instant that was looked at.
        time_s: Last instant that was looked at, the capture time of the frame that the answer was given at.
        person: Whose answer it is; None for the scene.
        people: Everyone in the clip, in its order.
        classes: Class names.
        probs: (K,) float32.
        partial: True if the recording was shorter than the window and was stretched to it.
    """

    start_s: float
    time_s: float
    person: int | None
    people: tuple[int, ...]
    classes: tuple[str, ...]
    probs: NDArray[np.float32]
    partial: bool = False

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[int(self.probs.argmax())]

    @property
    def prob(self) -> float:
        """Its probability."""
        return float(self.probs.max())

    def to_dict(self) -> dict[str, Any]:
        """The answer as docs/live-output.md describes it, without what only the live loop knows."""
        best = np.argsort(-self.probs, kind="stable")[:TOP]
        return {
            "start_s": round(self.start_s, 6),
            "time_s": round(self.time_s, 6),
            "person": self.person,
            "people": list(self.people),
            "label": self.label,
            "prob": round(self.prob, 6),
            "top": [[self.classes[k], round(float(self.probs[k]), 6)] for k in best],
            "partial": self.partial,
        }


def check_source(card: Card, source: Layout, units: str) -> str | None:
    """Whether a model can be fed from a source at all.

    Returns:
        What the person should know about the match, or None if there is nothing.

    Raises:
        ConfigError: If the source's units have no meaning.
        LayoutError: If the model would see fewer than half of its joints, or lengths in another unit.
    """
    if units not in UNITS:
        raise ConfigError(f"a source's units must be one of {', '.join(UNITS)}, got '{units}'")
    words = {"m": "metres", "px": "pixels"}
    if units != card.units and card.prepare.scale == "none":
        raise LayoutError(
            f"'{card.name}' was trained on {words[card.units]} and does not rescale, the source gives {words[units]}; "
            f"use a source in {words[card.units]}, or train on recordings in {words[units]}"
        )
    target = layout(card.prepare.layout)
    common = common_joints(source, target)
    absent = [joint for joint in target.joints if joint not in common]
    if 2 * len(common) < len(target):
        raise LayoutError(
            f"'{card.name}' sees the {len(target)} joints of layout '{target.name}', the source's '{source.name}' can "
            f"fill only {len(common)} of them and lacks {', '.join(absent)}; use a source with these joints, or train "
            f"on recordings of layout '{source.name}'"
        )
    notes = []
    if absent:
        notes.append(
            f"'{source.name}' has no {', '.join(absent)}; the model, trained on '{target.name}', sees them as absent"
        )
    if units != card.units:
        notes.append(f"the model was trained on {words[card.units]} and is fed {words[units]}, rescaled by the torso")
    return "; ".join(notes) + ": expect lower accuracy" if notes else None


class Stream:
    """Sightings in, answers out; pure of clocks, all times are the sightings' own."""

    def __init__(self, session: Session, source: Layout, units: str) -> None:
        """A stream of one source.

        Args:
            session: The model.
            source: The layout of the sightings.
            units: Their units, "m" or "px".

        Raises:
            LayoutError: If the model cannot be fed from such a source (see `check_source`).
        """
        self.note = check_source(session.card, source, units)
        self._session = session
        self._card = session.card
        self._source = source
        self._windows: dict[int, Window] = {}
        self._tracks = Tracks()
        self._ids: tuple[int | None, ...] = ()
        self._channels: int | None = None
        self._start_s = self._now_s = float("nan")
        self._ticks = 0  # due times that have passed
        self._answered = False

    @property
    def ids(self) -> tuple[int | None, ...]:
        """Who the people of the newest sighting are; None for somebody of whom no joint was seen."""
        return self._ids

    @property
    def in_view(self) -> int:
        """How many people are being followed."""
        return len(self._windows)

    def push(self, sighting: Sighting) -> list[Answer]:
        """Take the next sighting and give the answers that are due.

        Raises:
            ClipError: If its time does not rise, or its poses or ids do not fit together.
        """
        time_s = sighting.time_s
        self._check(sighting)
        if np.isnan(self._start_s):
            self._start_s = time_s
        self._now_s = time_s
        self._ids = self._identify(sighting)
        for person, pose in zip(self._ids, sighting.poses, strict=True):
            if person is None:
                continue
            if person not in self._windows:
                self._windows[person] = Window(self._source, self._card.prepare)
            self._windows[person].push(time_s, pose)
        for person in [person for person, window in self._windows.items() if window.outlived(time_s)]:
            del self._windows[person]
        passed = int((time_s + TOUCH_S - self._start_s - self._card.prepare.window_s) // self._card.stride_s) + 1
        if passed <= self._ticks:
            return []
        self._ticks = passed
        return self._answer(time_s - self._card.prepare.window_s, time_s, partial=False)

    def flush(self) -> list[Answer]:
        """The source has ended: the answer over all of it, if it was too short for any other."""
        if np.isnan(self._start_s) or self._now_s - self._start_s >= self._card.prepare.window_s - TOUCH_S:
            return []
        return self._answer(self._start_s, self._now_s, partial=True)

    def _check(self, sighting: Sighting) -> None:
        if not np.isfinite(sighting.time_s) or sighting.time_s <= self._now_s:
            raise ClipError(
                f"the source's times must be finite and rise, got {sighting.time_s} s after {self._now_s} s; "
                "sort the frames by time and drop doubles"
            )
        shape, joints = sighting.poses.shape, len(self._source)
        known = (2, 3) if self._channels is None else (self._channels,)
        if len(shape) != 3 or shape[1] != joints or (shape[0] and shape[2] not in known):
            raise ClipError(
                f"expected poses (P, {joints}, {' or '.join(map(str, known))}) of layout '{self._source.name}' at "
                f"{sighting.time_s} s, got {shape}"
            )
        if shape[0]:
            self._channels = shape[2]
        if sighting.ids is not None and len(set(sighting.ids)) != shape[0]:
            raise ClipError(f"expected {shape[0]} different ids at {sighting.time_s} s, got {sighting.ids}")

    def _identify(self, sighting: Sighting) -> tuple[int | None, ...]:
        """The id of each person, None for whoever shows no joint."""
        seen = _visible(sighting.poses)  # (P,)
        if sighting.ids is not None:
            return tuple(person if here else None for person, here in zip(sighting.ids, seen, strict=True))
        # World coordinates of an estimator may have their origin in every body's own hips: only the picture
        # tells such people apart.
        places = sighting.poses if sighting.pixels is None else sighting.pixels
        seen &= _visible(places)
        ids = iter(self._tracks.assign(sighting.time_s, places[seen]))
        return tuple(next(ids) if here else None for here in seen)

    def _answer(self, start_s: float, end_s: float, *, partial: bool) -> list[Answer]:
        """One forward for everyone who is due."""
        if self._card.persons > 1:
            times_s, poses, ids = self._stacked()
            scene = scene_clip(poses, times_s, ids, self._source, self._card, (start_s, end_s))
            return [] if scene is None else _ask(self._session, [scene], [(start_s, end_s)], partial=partial)
        asked = []
        for person in sorted(self._windows):
            window = self._windows[person]
            full = end_s - window.since_s >= self._card.prepare.window_s - TOUCH_S
            recent = window.last_s >= end_s - min(RECENT_S, self._card.prepare.window_s)
            if partial or (full and recent):
                asked.append(((person,), window.clip(start_s, end_s)))
        return _ask(self._session, asked, [(start_s, end_s)] * len(asked), partial=partial)

    def _stacked(self) -> tuple[NDArray[np.float64], Poses, tuple[int, ...]]:
        """Everyone's samples on one time axis: times (T,), poses (M, T, V, C), ids (M,)."""
        ids = tuple(sorted(self._windows))
        if not ids:
            return np.empty(0), np.empty((0, 0, len(self._source), self._channels or 3), dtype=np.float32), ids
        times_s = np.unique(np.concatenate([self._windows[person].times_s for person in ids]))
        shape = (len(ids), len(times_s), len(self._source), self._channels or 3)
        poses = np.full(shape, np.nan, dtype=np.float32)  # (M, T, V, C)
        for row, person in enumerate(ids):
            window = self._windows[person]
            poses[row, np.searchsorted(times_s, window.times_s)] = window.poses
        return times_s, poses, ids


def scene_clip(
    poses: Poses,
    times_s: NDArray[np.float64],
    ids: Sequence[int],
    source: Layout,
    card: Card,
    span_s: tuple[float, float],
) -> tuple[tuple[int, ...], Clip] | None:
    """The clip of a model for several people: those who move most, most energetic first.

    Args:
        poses: (M, T, V, C) of everyone, absent joints NaN.
        times_s: (T,) rising seconds.
        ids: (M,) who they are.
        source: The layout the poses are in.
        card: The model's card.
        span_s: First and last instant of the clip.

    Returns:
        Who is in it, and the clip (M, T, V, 3) of up to `card.persons` people: an absent body is nothing to a
        model, and costs nothing if it is left out. None if nobody is seen in the span.
    """
    order, clip = prepare_scene(poses, times_s, source, card.prepare, card.persons, span_s)
    return (tuple(ids[person] for person in order), clip) if len(order) else None


def _visible(poses: Poses) -> Mask:
    """True for a body that shows at least one joint: (..., V, C) -> (...)."""
    return np.asarray(present_joints(poses).any(axis=-1), dtype=np.bool_)


def recognise(recording: Recording, session: Session) -> list[Answer]:
    """All answers over a recording that is there as a whole.

    Args:
        recording: Any recording whose layout and units the model can be fed from.
        session: The model.

    Returns:
        In the order of time, then of persons; a person's id is their place in the recording.

    Raises:
        LayoutError: If the model cannot be fed from such a recording (see `check_source`).
    """
    card, source = session.card, recording.skeleton
    check_source(card, source, recording.units)
    times_s = recording.times_s
    if not len(times_s):
        return []
    window_s = card.prepare.window_s
    partial = recording.duration_s < window_s - TOUCH_S
    if partial:
        spans = [(float(times_s[0]), float(times_s[-1]))]
    else:
        due_s = np.arange(times_s[0] + window_s, times_s[-1] + 2 * TOUCH_S, card.stride_s)
        frames = np.unique(np.searchsorted(times_s, due_s - TOUCH_S))
        spans = [(float(t) - window_s, float(t)) for t in times_s[frames[frames < len(times_s)]]]
    seen = _visible(recording.poses)  # (M, T)
    asked: list[tuple[tuple[int, ...], Clip]] = []
    asked_s: list[tuple[float, float]] = []
    for span_s in spans:
        if card.persons > 1:
            people = range(len(recording.poses))
            scene = scene_clip(recording.poses, times_s, people, source, card, span_s)
            found = [] if scene is None else [scene]
        else:
            found = [
                ((person,), prepare(recording.poses[[person]], times_s, source, card.prepare, span_s))
                for person in range(len(recording.poses))
                if (seen[person].any() if partial else _in_view(times_s[seen[person]], span_s[1], card))
            ]
        asked += found
        asked_s += [span_s] * len(found)
    return [
        answer
        for first in range(0, len(asked), BATCH)
        for answer in _ask(session, asked[first : first + BATCH], asked_s[first : first + BATCH], partial=partial)
    ]


def _in_view(seen_s: NDArray[np.float64], at_s: float, card: Card) -> bool:
    """Whether somebody seen at the instants `seen_s` has been in view for a whole window at `at_s`."""
    seen_s = seen_s[seen_s <= at_s]
    window_s = card.prepare.window_s
    if not len(seen_s) or seen_s[-1] < at_s - min(RECENT_S, window_s):
        return False
    returns = np.flatnonzero(seen_s[:-1] < seen_s[1:] - window_s - card.prepare.max_gap_s)
    since_s = seen_s[returns[-1] + 1] if len(returns) else seen_s[0]
    return bool(at_s - since_s >= window_s - TOUCH_S)


def _ask(
    session: Session,
    asked: Sequence[tuple[tuple[int, ...], Clip]],
    spans: Iterable[tuple[float, float]],
    *,
    partial: bool,
) -> list[Answer]:
    """One forward over (who, clip) of each answer."""
    if not asked:
        return []
    bodies = max(len(clip.values) for _, clip in asked)
    values = np.stack([_with_bodies(clip.values, bodies) for _, clip in asked])  # (N, M, T, V, 3)
    present = np.stack([_with_bodies(clip.present, bodies) for _, clip in asked])  # (N, M, T, V)
    return [
        Answer(
            start_s=start_s,
            time_s=end_s,
            person=people[0] if session.card.persons == 1 else None,
            people=people,
            classes=session.card.classes,
            probs=probs,
            partial=partial,
        )
        for (people, _), (start_s, end_s), probs in zip(asked, spans, session.probs(values, present), strict=True)
    ]


def _with_bodies(array: NDArray[Any], bodies: int) -> NDArray[Any]:
    """(M, ...) with absent bodies added up to `bodies`: clips of one forward are of one shape."""
    return np.pad(array, [(0, bodies - len(array)), *[(0, 0)] * (array.ndim - 1)])
