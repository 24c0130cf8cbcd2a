"""Who is who from frame to frame, where the source does not say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError, ConfigError

Places = NDArray[np.float32]  # (V, 2 or 3) one person's joints in any unit, absent joints NaN


@dataclass(frozen=True, slots=True, kw_only=True)
class TracksConfig:
    """When a person is the one that was seen before. Lengths are shares of the body's own extent.

    Attributes:
        gap_s: A person unseen for longer than this is somebody new when they come back.
        reach: How far the joints may lie from where they were expected, on average.
        reach_per_s: How much further for each second unseen.
        joints: With fewer joints in common than this, the middles of the two bodies are compared instead.
    """

    gap_s: float = 0.5
    reach: float = 0.35
    reach_per_s: float = 1.0
    joints: int = 3

    def __post_init__(self) -> None:
        if not self.gap_s > 0 or not self.reach > 0 or not self.reach_per_s >= 0 or self.joints < 1:
            raise ConfigError(
                "tracks need gap_s and reach above 0, reach_per_s at least 0 and joints at least 1, got "
                f"{self.gap_s}, {self.reach}, {self.reach_per_s}, {self.joints}"
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

        The nearest pair of a known track and a person is joined first, then the next nearest, as long as they
        lie within reach; whoever is left over is new.

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
        taken: set[int] = set()
        for _, which, person in sorted(self._pairs(time_s, people)):
            if person not in ids and which not in taken:
                track = self._tracks[which]
                _move(track, time_s, people[person])
                ids[person] = track.id
                taken.add(which)
        for person, places in enumerate(people):
            if person not in ids:
                self._tracks.append(_Track(self._next_id, time_s, places, np.zeros(places.shape[-1], np.float32)))
                ids[person] = self._next_id
                self._next_id += 1
        return tuple(ids[person] for person in range(len(people)))

    def _pairs(self, time_s: float, people: NDArray[np.float32]) -> list[tuple[float, int, int]]:
        """(distance as a share of the reach, track, person) of all pairs within reach."""
        pairs = []
        for which, track in enumerate(self._tracks):
            expected = track.expected(time_s)
            size = _extent(track.places)
            reach = self._config.reach + self._config.reach_per_s * (time_s - track.time_s)
            for person, places in enumerate(people):
                allowed = reach * max(size, _extent(places))
                distance = _distance(expected, places, self._config.joints)
                if distance <= allowed:
                    pairs.append((distance / allowed if allowed > 0 else 0.0, which, person))
        return pairs


def _present(places: Places) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(places).all(axis=-1), dtype=np.bool_)


def _middle(places: Places) -> NDArray[np.float32]:
    return np.asarray(places[_present(places)].mean(axis=0), dtype=np.float32)


def _extent(places: Places) -> float:
    """The longest side of the box around the visible joints: about the height of somebody upright."""
    seen = places[_present(places)]
    return float((seen.max(axis=0) - seen.min(axis=0)).max())


def _distance(expected: Places, places: Places, joints: int) -> float:
    """Mean distance of the joints that both show, or of the middles where those are too few."""
    both = _present(expected) & _present(places)
    if int(both.sum()) >= joints:
        return float(np.linalg.norm(expected[both] - places[both], axis=-1).mean())
    return float(np.linalg.norm(_middle(expected) - _middle(places)))


def _move(track: _Track, time_s: float, places: Places) -> None:
    """The track goes on at `places`; joints that are hidden now are not remembered, they would lie elsewhere."""
    both = _present(track.places) & _present(places)
    if both.any() and time_s > track.time_s:
        step = (places[both] - track.places[both]).mean(axis=0) / np.float32(time_s - track.time_s)
        # Half old, half new: a detector's jitter must not throw the expectation about.
        track.velocity = np.asarray(0.5 * track.velocity + 0.5 * step, dtype=np.float32)
    track.time_s, track.places = time_s, places
