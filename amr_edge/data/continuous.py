"""Continuous recordings joined from trimmed clips, with idle time between them, and training windows cut from them.

Trimmed clips never show the idleness that a camera shows most of the time. Joined recordings have it, so that events
can be counted, a `none` class trained and a threshold calibrated. Idle frames are made from recorded ones: the last
pose of a clip is held and blends into the first pose of the next one, with the jitter of the frames there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.recording import Recording, Span
from amr_edge.data.spans import windows
from amr_edge.errors import ConfigError, DataError
from amr_edge.skeleton import Poses

TREMOR_FRAMES = 8  # at either end of a clip, from which the jitter of idle frames is taken
OVER_S = (0.4, 1.2)  # duration of the blend from one pose to the next


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinConfig:
    """Settings of joining clips.

    Attributes:
        idle_s: Shortest and longest idle time before, between and after clips, seconds.
        longest_s: A recording that is longer gets no further clip, seconds.
        reach: Largest mean joint distance between two poses that are blended, relative to the root and as a share of
            the body's extent. A larger one would look like an action (standing up, if one clip ends seated), so a new
            recording begins instead.
        choose_from: Number of clips among which the one with the nearest first pose comes next.
    """

    idle_s: tuple[float, float] = (1.0, 3.0)
    longest_s: float = 120.0
    reach: float = 0.12
    choose_from: int = 6

    def __post_init__(self) -> None:
        if not 0.1 <= self.idle_s[0] <= self.idle_s[1] < np.inf:
            raise ConfigError(f"idle_s must be a shortest and a longest time of at least 0.1 s, got {self.idle_s}")
        if not self.longest_s > 0 or not self.reach > 0 or self.choose_from < 1:
            raise ConfigError(
                "joining needs longest_s and reach above 0 and choose_from of at least 1, got "
                f"{self.longest_s}, {self.reach}, {self.choose_from}"
            )


def join(clips: Iterable[Recording], rng: np.random.Generator, config: JoinConfig | None = None) -> Iterator[Recording]:
    """Labelled clips of one person as continuous recordings, each clip once.

    Args:
        clips: Of one layout, unit, subject and person, each with a label and at least two frames.
        rng: Chooses the order and the pauses.
        config: Lengths and limits.

    Yields:
        Recordings that begin and end idle; their spans are the clips.

    Raises:
        DataError: If a clip has no label, several persons, fewer than two frames, or is of another subject.
    """
    config = config or JoinConfig()
    waiting = list(clips)
    if not waiting:
        return
    for clip in waiting:
        _check(clip, waiting[0])
    waiting = [waiting[int(i)] for i in rng.permutation(len(waiting))]
    number = 0
    while waiting:
        row = [waiting.pop(0)]
        length_s = row[0].duration_s
        while waiting and length_s < config.longest_s:
            near = _nearest(row[-1], waiting, config)
            if near is None:
                break
            row.append(waiting.pop(near))
            length_s += row[-1].duration_s + config.idle_s[1]
        number += 1
        yield _joined(row, number, rng, config)


def joined_by_subject(
    recordings: Sequence[Recording] | Iterable[Recording], rng: np.random.Generator, config: JoinConfig | None = None
) -> Iterator[Recording]:
    """`join` for every subject of a data set in turn; clips without a label are left out.

    Raises:
        DataError: If no clip has both a label and a subject, or one cannot be joined.
    """
    people: dict[int, list[Recording]] = {}
    for recording in recordings:
        if recording.label is not None and recording.subject is not None:
            people.setdefault(recording.subject, []).append(recording)
    if not people:
        raise DataError("there is no clip with a label and a subject to join; convert recordings that have both")
    for subject in sorted(people):
        yield from join(people[subject], rng, config)


def training_windows(
    read: Callable[[], Iterable[Recording]],
    rng: np.random.Generator,
    *,
    window_s: float,
    stride_s: float,
    none_class: str,
    none_share: float,
) -> Iterator[Recording]:
    """Windows of continuous recordings that clearly show one action or none, as labelled clips.

    Args:
        read: Returns the recordings; called twice, because windows are counted before they are chosen.
        rng: Chooses among the windows without action.
        window_s: Length of a window, seconds.
        stride_s: Seconds from one window to the next.
        none_class: The label of windows without action.
        none_share: Maximum share of windows without action, in [0, 1); idle time would outweigh every action.

    Raises:
        ConfigError: If the share is outside [0, 1), or window or stride are not above 0.
        DataError: If no window shows an action, or an action is itself called `none_class`.
    """
    if not 0 <= none_share < 1:
        raise ConfigError(f"none_share must lie in [0, 1), got {none_share}")
    empty: list[bool] = []
    for recording in read():
        if any(span.label == none_class for span in recording.spans):
            raise DataError(
                f"{recording.source}: a span is labelled '{none_class}', the name of the none class; "
                "choose another --none"
            )
        empty += [window.label == none_class for window in windows(recording, window_s, stride_s, none_class)]
    nothing = np.flatnonzero(empty)
    actions = len(empty) - len(nothing)
    if not actions:
        raise DataError(
            f"no window of {window_s:g} s shows a labelled action; give continuous recordings with spans, as "
            "`amr-edge data join` makes them"
        )
    most = min(len(nothing), round(none_share / (1 - none_share) * actions))
    selected = np.ones(len(empty), dtype=np.bool_)
    selected[nothing] = False
    selected[rng.choice(nothing, size=most, replace=False)] = True
    place = 0
    for recording in read():
        for window in windows(recording, window_s, stride_s, none_class):
            if selected[place]:
                yield window
            place += 1


def _check(clip: Recording, first: Recording) -> None:
    where = clip.source or "a clip"
    if clip.label is None or clip.spans:
        raise DataError(f"{where}: only clips with one label can be joined; leave recordings without one out")
    if len(clip.poses) != 1 or len(clip.times_s) < 2:
        raise DataError(
            f"{where}: only clips of one person with two frames or more can be joined, got {len(clip.poses)} persons "
            f"and {len(clip.times_s)} frames; leave the others out"
        )
    mine = (clip.layout, clip.units, clip.subject, clip.poses.shape[3])
    theirs = (first.layout, first.units, first.subject, first.poses.shape[3])
    if mine != theirs:
        raise DataError(f"{where}: expected a clip of {theirs} like {first.source}, got {mine}; join each on its own")


def _nearest(before: Recording, waiting: Sequence[Recording], config: JoinConfig) -> int | None:
    """Index of the clip that begins nearest to the end of `before`: of the first few, else of all; None if too far."""
    for count in (config.choose_from, len(waiting)):
        far = [_pose_distance(before, after) for after in waiting[:count]]
        best = int(np.argmin(far))
        if far[best] <= config.reach:
            return best
    return None


def _pose_distance(before: Recording, after: Recording) -> float:
    """Mean distance between the last pose of one clip and the first of another, as a share of the body's extent."""
    one, two = before.poses[0, -1].astype(np.float64), after.poses[0, 0].astype(np.float64)  # (V, C)
    both = np.isfinite(one).all(axis=-1) & np.isfinite(two).all(axis=-1)
    if int(both.sum()) < 3:
        return float("inf")
    root = before.skeleton.root
    center = root if both[root] else both
    one, two = (
        one - one[center].reshape(-1, one.shape[1]).mean(axis=0),
        two - two[center].reshape(-1, two.shape[1]).mean(axis=0),
    )
    extent = float(max(np.ptp(one[both], axis=0).max(), np.ptp(two[both], axis=0).max(), 1e-6))
    return float(np.linalg.norm(one[both] - two[both], axis=-1).mean() / extent)


def _joined(row: Sequence[Recording], number: int, rng: np.random.Generator, config: JoinConfig) -> Recording:
    """One recording: idle, clip, idle, clip, ..., idle."""
    step_s = 1.0 / float(np.median([clip.fps for clip in row]))
    pieces: list[Poses] = []
    times: list[NDArray[np.float64]] = []
    spans: list[Span] = []
    now_s, here = 0.0, np.zeros(row[0].poses.shape[3], dtype=np.float32)
    before: Poses | None = None
    for clip in row:
        poses = clip.poses[0]  # (T, V, C)
        if before is not None:
            here = here + _ground_shift(before, poses + here, clip.skeleton.root)
        poses = poses + here
        for idle in (_idle(before, poses, rng, config, step_s), None):
            piece = poses if idle is None else idle
            relative = clip.times_s - clip.times_s[0] if idle is None else _steady_times(len(piece), step_s)
            pieces.append(piece)
            times.append(now_s + relative)
            if idle is None:
                spans.append(Span(now_s, float(now_s + relative[-1]), str(clip.label)))
            now_s = float(times[-1][-1]) + step_s
        before = poses
    pieces.append(_idle(before, None, rng, config, step_s))
    times.append(now_s + _steady_times(len(pieces[-1]), step_s))
    cameras = {clip.camera for clip in row}
    first = row[0]
    return Recording(
        poses=np.ascontiguousarray(np.concatenate(pieces)[None], dtype=np.float32),  # (1, T, V, C)
        times_s=np.concatenate(times),
        layout=first.layout,
        units=first.units,
        subject=first.subject,
        camera=cameras.pop() if len(cameras) == 1 else None,
        source=f"joined_s{-1 if first.subject is None else first.subject:02d}_{number:02d}",
        parts=tuple(part for part in first.parts if all(part in clip.parts for clip in row)),
        spans=tuple(spans),
    )


def _steady_times(count: int, step_s: float) -> NDArray[np.float64]:
    """(count,) 0, one step, two steps, ..."""
    return np.arange(count, dtype=np.float64) * step_s


def _ground_shift(before: Poses, after: Poses, root: int) -> NDArray[np.float32]:
    """(C,) horizontal shift that makes a clip begin where the previous one ended."""
    step = before[-1, root] - after[0, root]
    step[1] = 0.0  # the floor stays where it is
    return np.asarray(np.nan_to_num(step), dtype=np.float32)


def _idle(
    before: Poses | None, after: Poses | None, rng: np.random.Generator, config: JoinConfig, step_s: float
) -> Poses:
    """(T, V, C) idle frames from the end of one clip to the beginning of another; one of them may be missing."""
    count = max(2, round(float(rng.uniform(*config.idle_s)) / step_s))
    if before is None or after is None:
        if after is not None:
            return _hold_pose(after[::-1], count)[::-1]
        assert before is not None  # noqa: S101 - one of the two is there
        return _hold_pose(before, count)
    over = min(count, max(2, round(float(rng.uniform(*OVER_S)) / step_s)))
    begins = int(rng.integers(0, count - over + 1))
    way = np.clip((np.arange(count) + 1 - begins) / (over + 1), 0, 1)
    share = (way**2 * (3 - 2 * way)).astype(np.float32)[:, None, None]  # slow, fast, slow; (count, 1, 1)
    # A joint that one of the clips does not show is absent as long as that clip has a part in the pose.
    from_there, to_here = _hold_pose(before, count), _hold_pose(after[::-1], count)[::-1]
    mixed = (1 - share) * from_there + share * to_here
    return np.where(share <= 0, from_there, np.where(share >= 1, to_here, mixed))


def _hold_pose(clip: Poses, count: int) -> Poses:
    """(count, V, C) the last pose of a clip with the jitter of its last frames played back and forth."""
    last = clip[-TREMOR_FRAMES:].astype(np.float64)  # (k, V, C)
    axis = np.arange(len(last)) - (len(last) - 1.0)
    middle = axis - axis.mean()
    slope = (middle[:, None, None] * last).sum(axis=0) / max(float((middle**2).sum()), 1e-12)
    line = last.mean(axis=0) + middle[:, None, None] * slope
    jitter = last - line if len(last) > 2 else np.zeros_like(last)
    # A joint that was not seen in every one of these frames is held as it is seen last, without jitter.
    unsure = np.asarray(~np.isfinite(last).all(axis=(0, 2)))  # (V,)
    jitter[:, unsure] = 0.0
    held = np.where(unsure[:, None], last[-1], line[-1])
    back_and_forth = np.concatenate([np.arange(len(last) - 2, -1, -1), np.arange(1, len(last))])
    played = jitter[np.resize(back_and_forth, count)]  # (count, V, C)
    return np.asarray(held + played, dtype=np.float32)
