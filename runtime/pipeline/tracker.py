"""Who is who from frame to frame, where the source does not say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError
from amr_edge.live_settings import TrackerConfig
from amr_edge.runtime.pipeline.assignment import cheapest_pairs

Floats = NDArray[np.float64]

MOST_MISSING = 16  # people out of view who are remembered, the latest; a detector that sees ghosts must not fill memory
PACE_S = 0.5  # over which a person's pace is measured
WAITED = 0.5  # what it costs to be taken up again after the longest gap, where being unlike altogether costs 1
COVERED = 0.15  # share of the smaller of two boxes that lies in the other, from which they are at one place


class _Bodies(NamedTuple):
    """P bodies and what is compared of them, measured once for all pairs."""

    places: NDArray[np.float32]  # (P, V, C), absent joints NaN
    present: NDArray[np.bool_]  # (P, V)
    middle: NDArray[np.float32]  # (P, C)
    low: NDArray[np.float32]  # (P, C) of the box around the visible joints
    high: NDArray[np.float32]  # (P, C)
    extent: NDArray[np.float32]  # (P,) the longest side of the box: about the height of a standing person

    def only(self, which: Sequence[int]) -> "_Bodies":
        """Some of them."""
        rows = np.asarray(which, dtype=np.intp)
        return _Bodies(
            self.places[rows],
            self.present[rows],
            self.middle[rows],
            self.low[rows],
            self.high[rows],
            self.extent[rows],
        )

    def moved(self, by: NDArray[np.float32]) -> "_Bodies":
        """The same elsewhere, `by` (P, C)."""
        places = self.places + by[:, None]  # (P, V, C)
        return self._replace(places=places, middle=self.middle + by, low=self.low + by, high=self.high + by)


@dataclass(slots=True)
class _Track:
    """A track; `id` is None until it is confirmed."""

    id: int | None
    since_s: float
    time_s: float
    body: _Bodies  # one, as last seen
    velocity: NDArray[np.float32]  # (C,) now, units per second
    pace: NDArray[np.float32]  # (C,) over the last half second
    size: float  # extent over the last half second


class Tracker:
    """Gives each person an id that stays with them; ids rise from 0 and are never used twice."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self._config = config or TrackerConfig()
        self._known: list[_Track] = []  # people with an id, in view or missing
        self._trials: list[_Track] = []
        self._next_id = 0

    @property
    def alive(self) -> tuple[int, ...]:
        """The ids that may still be re-linked."""
        return tuple(track.id for track in self._known if track.id is not None)

    def assign(self, time_s: float, people: NDArray[np.float32]) -> tuple[int | None, ...]:
        """The ids of the people seen at one instant.

        Those who were seen lately and people within their reach are paired so that all are as alike as can be, by
        keypoint similarity and overlap. Of those left over, one that overlaps another is the same body found
        twice; one about as large as a person out of view, and where they left or were heading, is them;
        one that appears where a known person is missing is on trial for a while, because a detector that loses two
        people who meet finds one between them; all others are new.

        Args:
            time_s: Seconds, after those of the call before.
            people: (P, V, 2 or 3) in any one unit, absent joints NaN; each shows at least one joint.

        Returns:
            An id for each; None for a body that was found twice or is on trial.

        Raises:
            ClipError: If a person has no visible joint.
        """
        config, bodies = self._config, _measured(people)
        if not bodies.present.any(axis=1).all():
            raise ClipError("a person without any visible joint cannot be followed; leave them out")
        self._known = [track for track in self._known if time_s - track.time_s <= config.return_s]
        self._trials = [track for track in self._trials if time_s - track.time_s <= config.gap_s]
        ids: list[int | None] = [None] * len(people)
        # By content, not by a detector's order: who shows more joints first, then who is further left, then any joint.
        joints = people.reshape(len(people), people.shape[1] * people.shape[2]).T
        left = np.lexsort((*joints, *bodies.middle.T[::-1], -bodies.present.sum(axis=1))).tolist()

        lately = [track for track in self._known if time_s - track.time_s <= config.gap_s]
        # First those near their predicted place. Else one of two who stand together, misplaced for an instant,
        # would be given the other's id, because both are matched then.
        for reach_per_s in (0.0, config.reach_per_s):
            waiting = [track for track in lately if track.time_s < time_s]
            costs = _unlike(waiting, bodies.only(left), time_s, replace(config, reach_per_s=reach_per_s))
            for track, person in self._pairs(waiting, left, costs):
                self._go_on(track, time_s, bodies.only([person]))
                ids[person] = track.id
            if not left:
                break
        if left:
            self._leave_out_doubles(bodies, left)
            away = [track for track in self._known if time_s - track.time_s > config.gap_s]
            for track, person in self._pairs(away, left, _unlikely(away, bodies.only(left), time_s, config)):
                self._go_on(track, time_s, bodies.only([person]))
                ids[person] = track.id
            missing = [track for track in lately if track.time_s < time_s]
            done = self._followed_trials(time_s, bodies, left)
            # A missing person may have been misplaced for an instant, and be found where they are.
            bodies_done = bodies.only(list(done))
            for track, person in self._pairs(missing, list(done), _unlikely(missing, bodies_done, time_s, config)):
                self._trials.remove(done.pop(person))
                self._go_on(track, time_s, bodies.only([person]))
                ids[person] = track.id
            for person, track in done.items():
                self._known.append(track)
                ids[person] = self._number(track)
            new = {}
            for person in left:
                body = bodies.only([person])
                still = np.zeros(people.shape[-1], dtype=np.float32)
                track = _Track(None, time_s, time_s, body, still, still, float(body.extent[0]))
                if any(_covered(body, other.body) >= COVERED for other in missing):
                    self._trials.append(track)
                else:
                    new[person] = track
                    self._known.append(track)
            # Numbers follow the detector's order; the list does not, because its order decides between equal costs.
            for person in sorted(new):
                ids[person] = self._number(new[person])
        self._trials = [track for track in self._trials if track.id is None][-MOST_MISSING:]
        gone = sorted((track for track in self._known if track.time_s < time_s), key=lambda track: track.time_s)
        if len(gone) > MOST_MISSING:
            forgotten = {track.id for track in gone[:-MOST_MISSING]}
            self._known = [track for track in self._known if track.id not in forgotten]
        return tuple(ids)

    def _pairs(self, tracks: Sequence[_Track], left: list[int], costs: Floats) -> list[tuple[_Track, int]]:
        """Match tracks and bodies; the matched are no longer left over."""
        found = [(tracks[row], left[column]) for row, column in cheapest_pairs(costs)]
        for _, person in found:
            left.remove(person)
        return found

    def _followed_trials(self, time_s: float, bodies: _Bodies, left: list[int]) -> dict[int, _Track]:
        """Go on with those on trial, and return whose trial is over: person -> track."""
        done = {}
        costs = _unlike(self._trials, bodies.only(left), time_s, self._config)
        for track, person in self._pairs(self._trials, left, costs):
            self._go_on(track, time_s, bodies.only([person]))
            if time_s - track.since_s >= self._config.trial_s - 1e-6:
                done[person] = track
        return done

    def _leave_out_doubles(self, bodies: _Bodies, left: list[int]) -> None:
        """Of those left over, drop one that overlaps a matched person or another that is left."""
        kept = [person for person in range(len(bodies.places)) if person not in left]
        for person in tuple(left):
            apart, _ = _apart(bodies.only(kept), bodies.only([person]), self._config)  # (kept, 1)
            size = np.maximum(bodies.extent[kept], bodies.extent[person])  # (kept,)
            if (apart[:, 0] < self._config.double * size).any():
                left.remove(person)
            else:
                kept.append(person)

    def _number(self, track: _Track) -> int:
        """Confirm a track: the next id."""
        track.id = self._next_id
        self._next_id += 1
        return track.id

    def _go_on(self, track: _Track, time_s: float, body: _Bodies) -> None:
        """The track goes on at `body`; joints that are hidden now are not remembered, they would lie elsewhere."""
        passed_s = time_s - track.time_s
        if passed_s > 0:
            step = _shift(track.body, body, self._config.joints)[0, 0] / passed_s
            # Half old, half new: a detector's jitter must not throw the expectation about.
            track.velocity = np.asarray(0.5 * track.velocity + 0.5 * step, dtype=np.float32)
            share = max(-math.expm1(-passed_s / PACE_S), passed_s / (time_s - track.since_s))
            track.pace = np.asarray(track.pace + share * (step - track.pace), dtype=np.float32)
            track.size += share * (float(body.extent[0]) - track.size)
        track.time_s, track.body = time_s, body


def _measured(places: NDArray[np.float32]) -> _Bodies:
    """(P, V, C) and what is compared of them."""
    present = np.asarray(np.isfinite(places).all(axis=-1), dtype=np.bool_)  # (P, V)
    here = present[..., None]  # (P, V, 1)
    low = np.where(here, places, np.inf).min(axis=1)  # (P, C)
    high = np.where(here, places, -np.inf).max(axis=1)  # (P, C)
    middle = np.where(here, places, 0).sum(axis=1) / np.maximum(here.sum(axis=1), 1)  # (P, C)
    extent = (high - low).max(axis=1)  # (P,)
    return _Bodies(places, present, *(part.astype(np.float32) for part in (middle, low, high, extent)))


def _together(tracks: Sequence[_Track]) -> _Bodies:
    """The bodies of at least one track."""
    return _Bodies(*(np.concatenate(parts) for parts in zip(*(track.body for track in tracks), strict=True)))


def _apart(some: _Bodies, others: _Bodies, config: TrackerConfig) -> tuple[Floats, Floats]:
    """Distance of the joints of every pair.

    Returns:
        (R, P) the middle one of the distances of the joints that both show, so that a leg that is taken for another's
        does not count, and (R, P) their keypoint similarity, in [0, 1]. Where too few are in common, both are of the
        middles of the bodies.
    """
    both = some.present[:, None] & others.present[None]  # (R, P, V)
    away = some.places[:, None].astype(np.float64) - others.places[None]  # (R, P, V, C)
    distance = np.where(both, np.sqrt(np.square(away).sum(axis=-1)), np.inf)  # (R, P, V)
    count = both.sum(axis=-1)  # (R, P)
    few = count < config.joints
    if few.any():
        middles = np.linalg.norm(some.middle[:, None] - others.middle[None], axis=-1)  # (R, P)
        distance[few] = np.inf
        distance[few, 0] = middles[few]
        count = np.where(few, 1, count)
    typical = np.take_along_axis(np.sort(distance, axis=-1), (count[..., None] - 1) // 2, axis=-1)[..., 0]
    size = np.maximum(some.extent[:, None], others.extent[None]).astype(np.float64)  # (R, P)
    share = distance / np.maximum(size, 1e-12)[..., None]  # (R, P, V)
    similarity = np.exp(-np.square(share) / (2 * config.spread**2)).sum(axis=-1) / count
    return typical, np.where(size > 0, similarity, 0.5)


def _shift(some: _Bodies, others: _Bodies, joints: int) -> Floats:
    """(R, P, C) by how much others are displaced: the middle one of their joints' displacements."""
    both = some.present[:, None] & others.present[None]  # (R, P, V)
    away = others.places[None].astype(np.float64) - some.places[:, None]  # (R, P, V, C)
    count = both.sum(axis=-1)  # (R, P)
    rows = np.sort(np.where(both[..., None], away, np.inf), axis=2)  # (R, P, V, C)
    at = (np.maximum(count, 1) - 1)[..., None, None] // 2  # (R, P, 1, 1)
    typical = np.take_along_axis(rows, np.broadcast_to(at, (*count.shape, 1, rows.shape[-1])), axis=2)[:, :, 0]
    middles = others.middle[None].astype(np.float64) - some.middle[:, None]  # (R, P, C)
    return np.where((count < joints)[..., None], middles, typical)


def _unlike(tracks: Sequence[_Track], people: _Bodies, time_s: float, config: TrackerConfig) -> Floats:
    """(tracks, P) how unlike each person is to where each was expected; inf beyond reach."""
    if not tracks or not len(people.places):
        return np.full((len(tracks), len(people.places)), np.inf)
    passed_s = np.array([time_s - track.time_s for track in tracks])  # (R,)
    velocity = np.stack([track.velocity for track in tracks])  # (R, C)
    expected = _together(tracks).moved((velocity * passed_s[:, None]).astype(np.float32))
    typical, similarity = _apart(expected, people, config)
    size = np.maximum(expected.extent[:, None], people.extent[None])  # (R, P)
    reach = config.reach + config.reach_per_s * passed_s  # (R,)
    likeness = np.where(size > 0, (similarity + _overlap(expected, people)) / 2, 0.5)
    # A person who occludes one heading there is not to be taken for them.
    waited = WAITED * passed_s[:, None] / config.gap_s
    return np.where(typical <= reach[:, None] * size, 1 - likeness + waited, np.inf)


def _unlikely(tracks: Sequence[_Track], people: _Bodies, time_s: float, config: TrackerConfig) -> Floats:
    """(tracks, P) the cost of each person as the return of one out of view; inf if they cannot be."""
    if not tracks or not len(people.places):
        return np.full((len(tracks), len(people.places)), np.inf)
    shift = _shift(_together(tracks), people, config.joints)  # (R, P, C)
    way = np.stack([track.pace * (time_s - track.time_s) for track in tracks]).astype(np.float64)  # (R, C)
    # They may have stopped anywhere on their way, or turned back: to the nearest point of it.
    along = (shift * way[:, None]).sum(axis=-1) / np.maximum(np.square(way).sum(axis=-1), 1e-12)[:, None]  # (R, P)
    beside = np.linalg.norm(shift - np.clip(along, 0, 1)[..., None] * way[:, None], axis=-1)  # (R, P)
    size = np.maximum([track.size for track in tracks], 1e-12)[:, None]  # (R, 1)
    extent = np.maximum(people.extent, 1e-12)[None]  # (1, P)
    grown = np.abs(np.log(size / extent)) / math.log(config.return_size)  # (R, P)
    far = beside / np.maximum(size, extent)  # (R, P)
    return np.where((far <= config.return_reach) & (grown <= 1), far + grown, np.inf)


def _overlap(some: _Bodies, others: _Bodies) -> Floats:
    """(R, P) intersection over union of the boxes around the visible joints, seen from the front."""
    both = _common(some, others)
    areas = [np.prod((each.high - each.low)[:, :2].astype(np.float64), axis=-1) for each in (some, others)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.asarray(np.where(union > 0, both / np.where(union > 0, union, 1), 0.0))


def _covered(body: _Bodies, other: _Bodies) -> float:
    """Share of the smaller of two boxes that lies in the other."""
    smaller = min(float(np.prod((each.high - each.low)[0, :2])) for each in (body, other))
    return float(_common(body, other)[0, 0]) / smaller if smaller > 0 else 0.0


def _common(some: _Bodies, others: _Bodies) -> Floats:
    """(R, P) area that two boxes share, seen from the front."""
    low = np.maximum(some.low[:, None, :2], others.low[None, :, :2])
    high = np.minimum(some.high[:, None, :2], others.high[None, :, :2])
    return np.asarray(np.prod(np.maximum(high - low, 0).astype(np.float64), axis=-1))
