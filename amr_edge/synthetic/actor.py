"""`Actor`, a subject in one take, and the notation of its hand movements.

Hands are given from the shoulder in arm lengths as outward, up, forward; `Actor.at_body` gives them in metres from
the upper spine instead, for hands that meet each other or the face.
"""

from dataclasses import dataclass

import numpy as np

from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT, Bones, Subject, bones
from amr_edge.synthetic.motion import HANG, Script, Track

Vector = tuple[float, ...]
ELBOW_DOWN = (0.45, -1.0, -0.25)  # elbows under hands that work in front
ELBOW_OUT = (1.0, -0.35, -0.1)
ELBOW_BACK = (0.9, -0.1, -0.8)  # hands above the head
STRAIGHT = (0.0, 0.0, 0.0)
OTHER_HAND = 0.1  # share of takes in which people act with the hand that they do not prefer


def hand(place: Vector, elbow: Vector = ELBOW_DOWN, aim: Vector = STRAIGHT) -> Vector:
    """The nine values of a "hand" key."""
    return (*place, *elbow, *aim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A subject in one take: the sides it acts with, and how fast and how large this time."""

    person: Subject
    rng: np.random.Generator
    main: int
    beat: float  # seconds that a usual second takes
    size: float

    @property
    def other(self) -> int:
        """The side that does not act."""
        return RIGHT if self.main == LEFT else LEFT

    @property
    def toward(self) -> float:
        """Sign of x, and of a turn of the body, towards the acting side."""
        return float(OUTWARD[self.main])

    @property
    def bones(self) -> Bones:
        """The subject's bone lengths."""
        return bones(self.person)

    def vary(self, low: float, high: float) -> float:
        """A uniform choice for this take."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """True in this share of takes."""
        return bool(self.rng.random() < share)

    def count(self, low: int, high: int) -> int:
        """A random integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def at_body(self, out_m: float, up_m: float, front_m: float) -> Vector:
        """A place given in metres from the upper spine, as a hand's place from its shoulder in arm lengths."""
        b = self.bones
        return ((out_m - b.shoulder) / b.arm, (up_m + b.shoulder_drop) / b.arm, front_m / b.arm)

    def at_face(self, out: float, up: float, front: float) -> Vector:
        """The same in body heights: (0, 0.1, 0.08) is the mouth."""
        h = self.person.height_m
        return self.at_body(out * h, up * h, front * h)


def act(person: Subject, rng: np.random.Generator) -> Actor:
    """The subject in a new take."""
    tempo = float(np.clip(person.tempo * rng.uniform(0.82, 1.22), 0.7, 1.4))
    size = float(np.clip(person.amplitude * rng.uniform(0.82, 1.15), 0.65, 1.3))
    left = person.left_handed != (rng.random() < OTHER_HAND)
    return Actor(person=person, rng=rng, main=LEFT if left else RIGHT, beat=1 / tempo, size=size)


class Keys:
    """Keys that are being written, one after the other, in usual seconds that the actor's beat stretches."""

    def __init__(self, part: str, side: int, beat: float, dims: int, start_s: float = 0.0) -> None:
        self.part, self.side, self.beat, self.now_s = part, side, beat, start_s
        self.rest: Vector = (0.0,) * dims if part != "swing" else (0.0, 0.0, 0.0, 1.0)
        self.times: list[float] = []
        self.values: list[Vector | None] = []
        self.to(0.0, None)

    def to(self, wait_s: float, value: Vector | None) -> "Keys":
        """Be at `value` after `wait_s` more usual seconds; None is rest."""
        self.now_s += wait_s * self.beat
        if self.times and self.now_s < self.times[-1] + 1e-3:  # no time for a movement: only the later key counts
            self.now_s = self.times.pop()
            self.values.pop()
        self.times.append(self.now_s)
        self.values.append(value)
        return self

    def hold(self, wait_s: float) -> "Keys":
        """Stay at the last value."""
        return self.to(wait_s, self.values[-1])

    def track(self) -> Track:
        """The finished script; a hand's rest keys take the value beside them, so that only the weight moves."""
        weights = np.array([[0.0 if value is None else 1.0] for value in self.values])
        values = [self.rest if value is None else value for value in self.values]
        if self.part == "hand":
            written = [value for value in self.values if value is not None]
            following = written[0] if written else (*(0.0, -1.0, 0.0), *HANG, *STRAIGHT)
            for i in range(len(values) - 1, -1, -1):  # a rest key before a movement leads to its first value
                kept = self.values[i]
                following = kept if kept is not None else following
                values[i] = following
            for i in range(1, len(values)):  # and one after it comes from its last
                if self.values[i] is None and self.values[i - 1] is not None:
                    values[i] = values[i - 1]
        return Track(self.part, self.side, np.array(self.times), np.array(values, dtype=np.float64), weights)


def script_of(*keys: Keys, act_from_s: float = 0.0, after_s: float | None = None) -> Script:
    """A script as long as its longest track; it acts until `after_s`, or to the end."""
    end_s = max(k.now_s for k in keys)
    return Script(end_s, (act_from_s, end_s if after_s is None else after_s), tuple(k.track() for k in keys))
