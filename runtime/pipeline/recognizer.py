"""Recognition of each person while frames come in, and of a whole recording at once.

`Recognizer` is the live road: it sees one frame at a time and holds a few seconds. `recognise` is the offline road:
it has the whole recording in its hands. Both follow the same rules and give the same predictions:

- A prediction is due once a window has passed since the first frame, and every `stride_s` after that; it is given
  at the first frame at or after the due time, and covers the window that ends there.
- It is given for everyone (a model for one person) who has been in view for a whole window and was seen within
  the last half second, or for the scene (a model for several) as soon as anybody was seen in the window.
- A person unseen for longer than a window and its longest gap starts anew when they come back.
- Joints are smoothed, if requested, person by person before the window; a person who starts anew is
  smoothed anew.
- Probabilities are those of the card's temperature. If the card has rules, a prediction whose window does not show the
  range of motion of its class is rejected (`amr_edge.kinematics.Gate`), and repetitions are counted
  (`repetition_counter`).
- A recording that is shorter than a window gets one prediction over all of it, marked partial.
- If early predictions are requested, a person (or the scene) that has been in view for a share of a window is answered
  for as well, on the same beat. What came before they were seen is absent; such a prediction is marked early.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.recording import UNITS, Recording
from amr_edge.errors import ClipError, ConfigError, LayoutError
from amr_edge.kinematics import Gate, GateResult
from amr_edge.live_settings import TrackerConfig
from amr_edge.preprocess import RECENT_S, Clip, prepare, prepare_scene
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.inference.session import Session
from amr_edge.runtime.pipeline.one_euro import SmoothConfig, Smoother, smoothed
from amr_edge.runtime.pipeline.records import PredictionRecord
from amr_edge.runtime.pipeline.repetition_counter import Counting, Rep, RepetitionCounter, counting_of
from amr_edge.runtime.pipeline.sliding_window import Window
from amr_edge.runtime.pipeline.tracker import Tracker
from amr_edge.skeleton import Layout, Mask, Poses, common_joints, layout, present_joints
from amr_edge.temperature import apply_temperature

TOUCH_S = 1e-6  # 63 frames at 30 fps are 2.1 s, whatever the last bit says
BATCH = 64  # clips of one forward on the offline road
TOP = 5  # classes of a prediction's JSON
PACE_S = 2.0  # a frame rate is measured over at least so long
PACE_FRAMES = 64  # and over at most so many frames


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """Prediction for one window.

    Attributes:
        start_s: First instant that was looked at.
        time_s: Last instant that was looked at, the capture time of the frame that the prediction was given at.
        person: Whose prediction it is; None for the scene.
        people: Everyone in the clip, in its order.
        classes: Class names.
        probs: (K,) float32.
        partial: True if the recording was shorter than the window and was stretched to it.
        early: True if the person (or scene) had been in view for only a part of the window.
        gated: The class that won and was rejected, because the window does not show its range of motion.
        reps: Repetitions that were complete since the prediction before, of whatever the card's rules count.
    """

    start_s: float
    time_s: float
    person: int | None
    people: tuple[int, ...]
    classes: tuple[str, ...]
    probs: NDArray[np.float32]
    partial: bool = False
    early: bool = False
    gated: str | None = None
    reps: tuple[Rep, ...] = ()

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[int(self.probs.argmax())]

    @property
    def prob(self) -> float:
        """Its probability."""
        return float(self.probs.max())

    def to_dict(self) -> dict[str, Any]:
        """The prediction as docs/live-output.md describes it, without what only the live loop knows."""
        return self.to_record().content()

    def to_record(self, recording: str = "", latency_ms: float = 0.0) -> PredictionRecord:
        """The prediction as a record of `live`."""
        best = np.argsort(-self.probs, kind="stable")[:TOP]
        return PredictionRecord(
            recording=recording,
            start_s=round(self.start_s, 6),
            time_s=round(self.time_s, 6),
            person=self.person,
            people=tuple(self.people),
            label=self.label,
            prob=round(self.prob, 6),
            top=tuple((self.classes[k], round(float(self.probs[k]), 6)) for k in best),
            partial=self.partial,
            early=self.early,
            gated=self.gated,
            latency_ms=latency_ms,
        )


def slow_source(fps: float, card: Card) -> str | None:
    """Note on a source with far fewer frames per second than in training."""
    if math.isnan(fps) or fps >= card.prepare.fps / 2:
        return None
    if 1 / fps > card.prepare.max_gap_s:
        return (
            f"the source gives {fps:.3g} frames a second; the model joins none that are more than "
            f"{card.prepare.max_gap_s:g} s apart, so it sees next to nothing"
        )
    return (
        f"the source gives {fps:.3g} frames a second, the model sees {card.prepare.fps:.3g}, interpolated between "
        "them; expect lower accuracy for fast actions"
    )


def check_source(card: Card, source: Layout, units: str) -> str | None:
    """True if a model can be fed from a source at all.

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
        fed = f"the model was trained on {words[card.units]} and is fed {words[units]}"
        notes.append(f"{fed}, rescaled by the {card.prepare.scale}")
    return "; ".join(notes) + ": expect lower accuracy" if notes else None


class Recognizer:
    """Frames in, predictions out; no clock is read, all times are those of the frames."""

    def __init__(
        self,
        session: Session,
        source: Layout,
        units: str,
        *,
        early: float | None = None,
        smooth: SmoothConfig | None = None,
        quality: bool = False,
        tracker: TrackerConfig | None = None,
    ) -> None:
        """A stream of one source.

        Args:
            session: The model.
            source: The layout of the frames.
            units: Their units, "m" or "px".
            early: Share of a window, in (0, 1), from which early predictions are given; None gives none.
            smooth: How much joints are smoothed; None leaves them as they are seen.
            quality: Score how likely each repetition was done rightly.
            tracker: Tracking where the source has no ids; None takes the card's.

        Raises:
            CardError: If the card's rules are broken.
            ConfigError: If the share lies outside (0, 1), or the card cannot judge repetitions.
            LayoutError: If the model cannot be fed from such a source (see `check_source`).
        """
        self._gate, self._counting = Gate(session.card), counting_of(session.card, quality=quality)
        self._first_s, self._least_s = _first_due(session.card, early)
        self.note = check_source(session.card, source, units)
        self._session = session
        self._card = session.card
        self._source = source
        self._smooth = smooth
        self._windows: dict[int, Window] = {}
        self._smoothers: dict[int, Smoother] = {}
        self._moving: dict[int, RepetitionCounter] = {}
        self._tracks = Tracker(tracker or session.card.tracker)
        self._ids: tuple[int | None, ...] = ()
        self._channels: int | None = None
        self._start_s = self._now_s = float("nan")
        self._ticks = 0  # due times that have passed
        self._pace: deque[float] = deque(maxlen=PACE_FRAMES)

    @property
    def ids(self) -> tuple[int | None, ...]:
        """Ids of the people of the newest frame; None for a person without a visible joint."""
        return self._ids

    @property
    def slow(self) -> str | None:
        """A note if frames come far slower than the model was trained to see, by their own times."""
        if len(self._pace) < 3 or self._pace[-1] - self._pace[0] < PACE_S:
            return None
        # The median: a camera that was lost for a minute is not slow.
        return slow_source(1 / float(np.median(np.diff(self._pace))), self._card)

    @property
    def in_view(self) -> int:
        """Number of tracked people."""
        return len(self._windows)

    def push(self, frame: Frame) -> list[Prediction]:
        """Take the next frame and give the predictions that are due.

        Raises:
            ClipError: If its time does not rise, or its poses or ids do not fit together.
        """
        time_s = frame.time_s
        self._check(frame)
        if np.isnan(self._start_s):
            self._start_s = time_s
        self._now_s = time_s
        self._pace.append(time_s)
        self._ids = self._identify(frame)
        for person, pose in zip(self._ids, frame.poses, strict=True):
            if person is None:
                continue
            if person not in self._windows:
                self._windows[person] = Window(self._source, self._card.prepare)
            smooth = self._smoothed(person, time_s, pose)
            self._windows[person].push(time_s, smooth)
            if self._counting:
                self._moving.setdefault(person, RepetitionCounter(self._counting, self._source)).push(time_s, smooth)
        for person in [person for person, window in self._windows.items() if window.outlived(time_s)]:
            del self._windows[person]
            self._smoothers.pop(person, None)
            self._moving.pop(person, None)
        passed = int((time_s + TOUCH_S - self._start_s - self._first_s) // self._card.stride_s) + 1
        if passed <= self._ticks:
            return []
        self._ticks = passed
        return self._predict_window(time_s - self._card.prepare.window_s, time_s, partial=False)

    def flush(self) -> list[Prediction]:
        """The source has ended: the prediction over all of it, if it was too short for any other."""
        if np.isnan(self._start_s) or self._now_s - self._start_s >= self._card.prepare.window_s - TOUCH_S:
            return []
        return self._predict_window(self._start_s, self._now_s, partial=True)

    def _smoothed(self, person: int, time_s: float, pose: Poses) -> Poses:
        """The pose as the window gets it."""
        if self._smooth is None:
            return pose
        if self._windows[person].outlived(time_s):  # no window yet, or a person who starts anew
            self._smoothers[person] = Smoother(self._smooth)
        return self._smoothers[person](time_s, pose)

    def _check(self, frame: Frame) -> None:
        if not np.isfinite(frame.time_s) or frame.time_s <= self._now_s:
            raise ClipError(
                f"the source's times must be finite and rise, got {frame.time_s} s after {self._now_s} s; "
                "sort the frames by time and drop doubles"
            )
        shape, joints = frame.poses.shape, len(self._source)
        known = (2, 3) if self._channels is None else (self._channels,)
        if len(shape) != 3 or shape[1] != joints or (shape[0] and shape[2] not in known):
            raise ClipError(
                f"expected poses (P, {joints}, {' or '.join(map(str, known))}) of layout '{self._source.name}' at "
                f"{frame.time_s} s, got {shape}"
            )
        if shape[0]:
            self._channels = shape[2]
        if frame.ids is not None and len(set(frame.ids)) != shape[0]:
            raise ClipError(f"expected {shape[0]} different ids at {frame.time_s} s, got {frame.ids}")

    def _identify(self, frame: Frame) -> tuple[int | None, ...]:
        """The id of each person, None for a person without a visible joint."""
        seen = _visible(frame.poses)  # (P,)
        if frame.ids is not None:
            return tuple(person if here else None for person, here in zip(frame.ids, seen, strict=True))
        # World coordinates of an estimator may have their origin in every body's own hips: only the picture
        # tells such people apart.
        places = frame.poses if frame.pixels is None else frame.pixels
        seen &= _visible(places)
        ids = iter(self._tracks.assign(frame.time_s, places[seen]))
        return tuple(next(ids) if here else None for here in seen)

    def _predict_window(self, start_s: float, end_s: float, *, partial: bool) -> list[Prediction]:
        """One forward for everyone who is due."""
        queries: list[_Query] = []
        if self._card.persons > 1:
            times_s, poses, ids = self._stacked()
            scene = scene_clip(poses, times_s, ids, self._source, self._card, (start_s, end_s))
            if scene is not None:
                since_s = max(start_s, self._start_s)
                queries.append(_Query(*scene, since_s, end_s, partial, early=_touches(start_s, since_s)))
            return _predict(self._session, queries, self._gate)
        for person in sorted(self._windows):
            window = self._windows[person]
            recent = window.last_s >= end_s - min(RECENT_S, self._card.prepare.window_s)
            if partial or (recent and end_s - window.since_s >= self._least_s - TOUCH_S):
                since_s = start_s if partial else max(start_s, window.since_s)
                clip = window.clip(start_s, end_s)
                reps = self._moving[person].take() if self._counting else ()
                queries.append(_Query((person,), clip, since_s, end_s, partial, _touches(start_s, since_s), reps))
        return _predict(self._session, queries, self._gate)

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
        model, and costs nothing if it is left out. None if no person is seen in the span.
    """
    order, clip = prepare_scene(poses, times_s, source, card.prepare, card.persons, span_s)
    return (tuple(ids[person] for person in order), clip) if len(order) else None


def _visible(poses: Poses) -> Mask:
    """True for a body that shows at least one joint: (..., V, C) -> (...)."""
    return np.asarray(present_joints(poses).any(axis=-1), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Query:
    """A clip for the model, who is in it and what it is of."""

    people: tuple[int, ...]
    clip: Clip
    start_s: float
    end_s: float
    partial: bool
    early: bool
    reps: tuple[Rep, ...] = ()


def _touches(start_s: float, since_s: float) -> bool:
    """True if a person who came into view at `since_s` missed a part of a window that begins at `start_s`."""
    return since_s > start_s + TOUCH_S


def _first_due(card: Card, early: float | None) -> tuple[float, float]:
    """After how many seconds the first prediction is due, and how long a person must have been in view for one.

    Early predictions are due on the same beat as the others, so asking for them moves no other prediction.
    """
    window_s = card.prepare.window_s
    if early is None:
        return window_s, window_s
    if not 0 < early < 1:
        raise ConfigError(f"early predictions need a share of the window between 0 and 1, got {early}")
    beats = math.floor((window_s * (1 - early) + TOUCH_S) / card.stride_s)
    return window_s - beats * card.stride_s, window_s * early


def recognize(
    recording: Recording,
    session: Session,
    *,
    early: float | None = None,
    smooth: SmoothConfig | None = None,
    quality: bool = False,
) -> list[Prediction]:
    """All predictions over a recording that is there as a whole.

    Args:
        recording: Any recording whose layout and units the model can be fed from.
        session: The model.
        early: Share of a window, in (0, 1), from which early predictions are given; None gives none.
        smooth: How much joints are smoothed; None leaves them as they are seen.
        quality: Judge how likely each repetition was done rightly.

    Returns:
        In the order of time, then of persons; a person's id is their place in the recording.

    Raises:
        CardError: If the card's rules are broken.
        ConfigError: If the share lies outside (0, 1), or the card cannot judge repetitions.
        LayoutError: If the model cannot be fed from such a recording (see `check_source`).
    """
    gate, counting = Gate(session.card), counting_of(session.card, quality=quality)
    card, source = session.card, recording.skeleton
    first_s, least_s = _first_due(card, early)
    check_source(card, source, recording.units)
    times_s = recording.times_s
    if not len(times_s):
        return []
    window_s = card.prepare.window_s
    if smooth is not None:
        poses = smoothed(recording.poses, times_s, smooth, window_s + card.prepare.max_gap_s)
        recording = replace(recording, poses=poses)
    begun_s = float(times_s[0])
    due_s = np.arange(begun_s + first_s, times_s[-1] + 2 * TOUCH_S, card.stride_s)
    frames = np.unique(np.searchsorted(times_s, due_s - TOUCH_S))
    spans = [(float(t) - window_s, float(t), False) for t in times_s[frames[frames < len(times_s)]]]
    if recording.duration_s < window_s - TOUCH_S:
        spans.append((begun_s, float(times_s[-1]), True))
    seen = _visible(recording.poses)  # (M, T)
    reps_until = [_reps_until(recording, person, seen[person], counting) for person in range(len(recording.poses))]
    queries: list[_Query] = []
    for start_s, end_s, partial in spans:
        if card.persons > 1:
            people = range(len(recording.poses))
            scene = scene_clip(recording.poses, times_s, people, source, card, (start_s, end_s))
            if scene is not None:
                since_s = max(start_s, begun_s)
                queries.append(_Query(*scene, since_s, end_s, partial, early=_touches(start_s, since_s)))
            continue
        for person in range(len(recording.poses)):
            since_s = start_s
            if partial:
                if not seen[person].any():
                    continue
            else:
                came_s = _in_view_since(times_s[seen[person]], end_s, card)
                if came_s is None or end_s - came_s < least_s - TOUCH_S:
                    continue
                since_s = max(start_s, came_s)
            clip = prepare(recording.poses[[person]], times_s, source, card.prepare, (start_s, end_s))
            reps = reps_until[person](end_s)
            queries.append(_Query((person,), clip, since_s, end_s, partial, _touches(start_s, since_s), reps))
    batches = (queries[first : first + BATCH] for first in range(0, len(queries), BATCH))
    return [prediction for batch in batches for prediction in _predict(session, batch, gate)]


def _reps_until(
    recording: Recording, person: int, seen: Mask, counting: Counting
) -> Callable[[float], tuple[Rep, ...]]:
    """Gives the repetitions of a person until an instant, without those that it has given; instants must rise."""
    moving = RepetitionCounter(counting, recording.skeleton)
    frames = deque(np.flatnonzero(seen).tolist() if counting else [])

    def until(end_s: float) -> tuple[Rep, ...]:
        while frames and recording.times_s[frames[0]] <= end_s:
            frame = frames.popleft()
            moving.push(float(recording.times_s[frame]), recording.poses[person, frame])
        return moving.take()

    return until


def _in_view_since(seen_s: NDArray[np.float64], at_s: float, card: Card) -> float | None:
    """Since when a person seen at the instants `seen_s` has been in view at `at_s`; None if they are not."""
    seen_s = seen_s[seen_s <= at_s]
    window_s = card.prepare.window_s
    if not len(seen_s) or seen_s[-1] < at_s - min(RECENT_S, window_s):
        return None
    returns = np.flatnonzero(seen_s[:-1] < seen_s[1:] - window_s - card.prepare.max_gap_s)
    return float(seen_s[returns[-1] + 1] if len(returns) else seen_s[0])


def _predict(session: Session, queries: Sequence[_Query], gate: Gate) -> list[Prediction]:
    """One forward over all clips."""
    if not queries:
        return []
    bodies = max(len(each.clip.values) for each in queries)
    values = np.stack([_with_bodies(each.clip.values, bodies) for each in queries])  # (N, M, T, V, 3)
    present = np.stack([_with_bodies(each.clip.present, bodies) for each in queries])  # (N, M, T, V)
    probs = apply_temperature(session.probs(values, present), session.card.temperature)
    checked = (
        [gate(*each) for each in zip(probs, values, present, strict=True)]
        if gate
        else [GateResult(p, None) for p in probs]
    )
    return [
        Prediction(
            start_s=each.start_s,
            time_s=each.end_s,
            person=each.people[0] if session.card.persons == 1 else None,
            people=each.people,
            classes=session.card.classes,
            probs=verdict.probs,
            partial=each.partial,
            early=each.early,
            gated=verdict.label,
            reps=each.reps,
        )
        for each, verdict in zip(queries, checked, strict=True)
    ]


def _with_bodies(array: NDArray[Any], bodies: int) -> NDArray[Any]:
    """(M, ...) with absent bodies added up to `bodies`: clips of one forward are of one shape."""
    return np.pad(array, [(0, bodies - len(array)), *[(0, 0)] * (array.ndim - 1)])
