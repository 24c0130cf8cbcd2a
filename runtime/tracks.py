"""Who is who from frame to frame, where the source does not say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError, ConfigError
from amr_edge.runtime.pairing import cheapest_pairs

Places = NDArray[np.float32]  # (V, 2 or 3) one person's joints in any unit, absent joints NaN


@dataclass(frozen=True, slots=True, kw_only=True)
class TracksConfig:
    """When a person is the one that was seen before. Lengths are shares of the body's own extent.

    Attributes:
        gap_s: A person unseen for longer than this is somebody new when they come back.
        reach: How far the joints may lie from where they were expected, on average.
        reach_per_s: How much further for each second unseen.
        spread: Distance at which a joint still counts 0.6 of one that lies where it was expected; COCO's keypoint
            similarity has 0.05 for wrists to 0.2 for hips, of the square root of the body's area.
        joints: With fewer joints in common than this, the middles of the two bodies are compared instead.
    """

    gap_s: float = 0.5
    reach: float = 0.12
    reach_per_s: float = 1.5
    spread: float = 0.1
    joints: int = 3

    def __post_init__(self) -> None:
        if not (self.gap_s > 0 and self.reach > 0 and self.spread > 0 and self.reach_per_s >= 0 and self.joints >= 1):
            raise ConfigError(
                "tracks need gap_s, reach and spread above 0, reach_per_s at least 0 and joints at least 1, got "
                f"{self.gap_s}, {self.reach}, {self.spread}, {self.reach_per_s}, {self.joints}"
            )


@dataclass(slots=True)
class _Track:
    id: int
    time_s: float
    places: Places
    velocity: NDArray[np.float32]  # (C,) of the body's middle, units per second

    def expected(self, time_s: float) -> Places:
        """Where the joints are if the body has moved on as it was moving."""
        return np.asarray(self.places + self.velocity * np.float32(time_s - self.time_s), dtype=np.float32)


class Tracks:
    """Gives each person an id that stays with them; ids rise from 0 and are never used twice."""

    def __init__(self, config: TracksConfig | None = None) -> None:
        self._config = config or TracksConfig()
        self._tracks: list[_Track] = []
        self._next_id = 0

    @property
    def alive(self) -> tuple[int, ...]:
        """The ids that somebody may still come back to."""
        return tuple(track.id for track in self._tracks)

    def assign(self, time_s: float, people: NDArray[np.float32]) -> tuple[int, ...]:
        """The ids of the people seen at one instant.

        Known tracks and people within their reach are paired so that all are as alike as can be, by keypoint
        similarity and overlap; whoever is left over is new.

        Args:
            time_s: Seconds, after those of the call before.
            people: (P, V, 2 or 3) in any one unit, absent joints NaN; each shows at least one joint.

        Raises:
            ClipError: If somebody shows no joint at all.
        """
        if any(not np.isfinite(person).all(axis=-1).any() for person in people):
            raise ClipError("a person without any visible joint cannot be followed; leave them out")
        self._tracks = [track for track in self._tracks if time_s - track.time_s <= self._config.gap_s]
        ids: dict[int, int] = {}
        for which, person in cheapest_pairs(self._costs(time_s, people)):
            track = self._tracks[which]
            _move(track, time_s, people[person])
            ids[person] = track.id
        for person, places in enumerate(people):
            if person not in ids:
                self._tracks.append(_Track(self._next_id, time_s, places, np.zeros(places.shape[-1], np.float32)))
                ids[person] = self._next_id
                self._next_id += 1
        return tuple(ids[person] for person in range(len(people)))

    def _costs(self, time_s: float, people: NDArray[np.float32]) -> NDArray[np.float64]:
        """(tracks, P) how unlike each person is to where each track was expected; inf beyond reach."""
        costs = np.full((len(self._tracks), len(people)), np.inf)
        for which, track in enumerate(self._tracks):
            expected = track.expected(time_s)
            size = _extent(track.places)
            reach = self._config.reach + self._config.reach_per_s * (time_s - track.time_s)
            for person, places in enumerate(people):
                allowed = reach * max(size, _extent(places))
                if _distance(expected, places, self._config.joints).mean() <= allowed:
                    costs[which, person] = 1 - self._likeness(expected, places)
        return costs

    def _likeness(self, expected: Places, places: Places) -> float:
        """Half keypoint similarity, half overlap of the boxes: in [0, 1]."""
        size = max(_extent(expected), _extent(places))
        if size == 0:
            return 0.5
        distance = _distance(expected, places, self._config.joints) / size
        similarity = np.exp(-np.square(distance) / (2 * self._config.spread**2)).mean()
        return float(similarity + _overlap(expected, places)) / 2


def _present(places: Places) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(places).all(axis=-1), dtype=np.bool_)


def _middle(places: Places) -> NDArray[np.float32]:
    return np.asarray(places[_present(places)].mean(axis=0), dtype=np.float32)


def _extent(places: Places) -> float:
    """The longest side of the box around the visible joints: about the height of somebody upright."""
    seen = places[_present(places)]
    return float((seen.max(axis=0) - seen.min(axis=0)).max())


def _distance(expected: Places, places: Places, joints: int) -> NDArray[np.float64]:
    """Distances of the joints that both show, or one of the middles where those are too few."""
    both = _present(expected) & _present(places)
    if int(both.sum()) >= joints:
        return np.asarray(np.linalg.norm(expected[both] - places[both], axis=-1), dtype=np.float64)
    return np.array([np.linalg.norm(_middle(expected) - _middle(places))], dtype=np.float64)


def _overlap(expected: Places, places: Places) -> float:
    """Intersection over union of the boxes around the visible joints, seen from the front."""
    one, two = expected[_present(expected), :2], places[_present(places), :2]
    low, high = np.maximum(one.min(axis=0), two.min(axis=0)), np.minimum(one.max(axis=0), two.max(axis=0))
    both = float(np.prod(np.maximum(high - low, 0)))
    union = float(np.prod(np.ptp(one, axis=0)) + np.prod(np.ptp(two, axis=0))) - both
    return both / union if union > 0 else 0.0


def _move(track: _Track, time_s: float, places: Places) -> None:
    """The track goes on at `places`; joints that are hidden now are not remembered, they would lie elsewhere."""
    both = _present(track.places) & _present(places)
    if both.any() and time_s > track.time_s:
        step = (places[both] - track.places[both]).mean(axis=0) / np.float32(time_s - track.time_s)
        # Half old, half new: a detector's jitter must not throw the expectation about.
        track.velocity = np.asarray(0.5 * track.velocity + 0.5 * step, dtype=np.float32)
    track.time_s, track.places = time_s, places
