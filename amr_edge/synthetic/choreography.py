"""Whole-body movements as a sequence of postures, limbs given by their joint angles."""

from collections.abc import Callable, Mapping

import numpy as np

from amr_edge.synthetic.actor import ELBOW_DOWN, STRAIGHT, Actor, Keys, Vector, hand
from amr_edge.synthetic.body import LEFT, RIGHT, Bones
from amr_edge.synthetic.motion import HANG, Script

Part = tuple[str, int]  # a part of the body and its side, as in `motion.Track`
Posture = Mapping[Part, Vector | None]  # None is rest

PELVIS: Part = ("pelvis", 0)
TILT: Part = ("tilt", 0)
TRUNK: Part = ("trunk", 0)
HEAD: Part = ("head", 0)
DIMS = {"pelvis": 3, "tilt": 3, "trunk": 3, "head": 3, "hand": 9, "foot": 2, "plant": 3, "swing": 4}
STANDING_LEG = 0.996  # hip to ankle of a standing leg, in leg lengths
FLAT: Vector = (0.0, 0.0, 0.0)


class Choreography:
    """Postures in time order; a part that a posture does not name stays as it was."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.spans: list[tuple[float, float]] = []
        self._keys: dict[Part, Keys] = {}

    def go(self, wait_s: float, *postures: Posture) -> "Choreography":
        """Reach the postures `wait_s` seconds from now; with 0 at the very start, begin in them."""
        before_s, self.now_s = self.now_s, self.now_s + wait_s
        for posture in postures:
            for part, value in posture.items():
                if part not in self._keys:
                    self._keys[part] = Keys(part[0], part[1], 1.0, DIMS[part[0]])
                keys = self._keys[part]
                if before_s > keys.now_s:
                    keys.hold(before_s - keys.now_s)
                keys.to(self.now_s - keys.now_s, value)
        return self

    def wait(self, wait_s: float) -> "Choreography":
        """Stay."""
        self.now_s += wait_s
        return self

    def sweep(
        self, wait_s: float, at: Callable[[float], Posture], keys: int = 6, *, start: float = 0.0, end: float = 1.0
    ) -> "Choreography":
        """Pass through `at(start)..at(end)` with a soft start and end, for movements on an arc."""
        for share in np.arange(1, keys + 1) / keys:
            eased = float(share * share * (3 - 2 * share))
            self.go(wait_s / keys, at(start + eased * (end - start)))
        return self

    def repeat(self, a: Actor, times: int, *beats: tuple[float, Posture]) -> "Choreography":
        """The same postures again and again, each (usual seconds, posture), never quite as regularly as a machine."""
        for _ in range(times):
            for beat_s, posture in beats:
                self.go(beat_s * a.beat * a.vary(0.87, 1.15), posture)
        return self

    def home(self, wait_s: float) -> "Choreography":
        """Everything that moved goes back to rest."""
        return self.go(wait_s, dict.fromkeys(self._keys))

    def mark(self, start_s: float) -> None:
        """Mark the time from `start_s` until now as one repetition."""
        self.spans.append((start_s, self.now_s))

    def script(self) -> Script:
        """The movement as a script."""
        tracks = []
        for keys in self._keys.values():
            if self.now_s > keys.now_s:
                keys.hold(self.now_s - keys.now_s)
            tracks.append(keys.track())
        return Script(self.now_s, (0.0, self.now_s), tuple(tracks))


def leg(hip_rad: float, knee_rad: float, out_rad: float = 0.0) -> Vector:
    """A free leg ("swing") by how far hip (forward) and knee are bent and how far it is spread."""
    return (1.0, hip_rad - 0.5 * knee_rad, out_rad, float(np.cos(0.5 * knee_rad)))


LEG_DOWN: Vector = (0.0, 0.0, 0.0, STANDING_LEG)


def sink(bones: Bones, knee_rad: float, shin_rad: float, aside_m: float = 0.0) -> tuple[float, float]:
    """Distance down and back that a hip moves over a planted foot when the knee bends.

    Args:
        bones: Of the person.
        knee_rad: Wanted bend of the knee.
        shin_rad: How far the shin leans forward.
        aside_m: How far to the side of the foot the hip is.

    Returns:
        Metres down and metres behind the ankle.

    >>> from amr_edge.synthetic.body import bones, Subject
    >>> b = bones(Subject(number=1))
    >>> down, back = sink(b, np.pi / 2, 0.0)  # a level thigh on an upright shin
    >>> round(down / b.leg, 3), round(back / b.leg, 3)
    (0.496, 0.5)
    """
    half = 0.5 * bones.leg
    thigh = knee_rad - shin_rad
    high, back = half * (np.cos(thigh) + np.cos(shin_rad)), half * (np.sin(thigh) - np.sin(shin_rad))
    chord = 2 * half * np.cos(0.5 * knee_rad)
    flat = np.sqrt(max(1 - (aside_m / chord) ** 2, 0.05))  # a leg that is spread has less of itself to the front
    return float(STANDING_LEG * bones.leg - high * flat), float(back * flat)


def arm(raised_rad: float, plane_rad: float, straight: float = 0.98) -> Vector:
    """The place of a hand on a long arm.

    Args:
        raised_rad: 0 hangs, pi / 2 is level with the shoulder, pi points up.
        plane_rad: 0 is to the side, pi / 2 to the front, -pi / 2 to the back.
        straight: Shoulder to wrist in arm lengths.

    Returns:
        Outward, up and forward of the shoulder at rest, in arm lengths. A raised or reaching hand takes the
        shoulder along, so it lies a little farther away.
    """
    out = np.sin(raised_rad) * np.cos(plane_rad)
    ahead = np.sin(raised_rad) * np.sin(plane_rad)
    up = -np.cos(raised_rad)
    far = straight * (1 + 0.13 * max(up, 0.0) + 0.05 * max(ahead, 0.0))
    return (float(far * out), float(far * up), float(far * ahead))


def both_hands(value: Vector | None) -> Posture:
    """Both hands held alike."""
    return {("hand", LEFT): value, ("hand", RIGHT): value}


def hold_arms(a: Actor, style: str) -> Posture:
    """Both arms held in one way ("sides", "forward", "hips", ...), a little different in every take."""
    h = a.person.height_m
    if style == "sides":
        return both_hands(None)
    if style == "forward":
        spread, up = a.vary(1.35, 1.65), a.vary(1.2, 1.65)
        return both_hands(hand(arm(up, spread, a.vary(0.9, 0.99)), ELBOW_DOWN))
    if style == "overhead":
        return both_hands(hand(arm(a.vary(2.4, 3.0), a.vary(0.0, 0.8), a.vary(0.9, 0.99)), (0.9, -0.1, 0.3)))
    if style == "wide":
        return both_hands(hand(arm(a.vary(1.1, 1.6), a.vary(-0.1, 0.3), a.vary(0.93, 0.99)), HANG))
    if style == "crossed":
        up = a.vary(-0.09, -0.02)
        upper = hand(a.at_body(-0.07 * h, up * h, 0.1 * h), (0.8, -1.0, 0.35), (-0.4, 0.3, -0.3))
        under = hand(a.at_body(-0.06 * h, (up - 0.03) * h, 0.085 * h), (0.8, -1.0, 0.3), (-0.4, 0.3, -0.3))
        return {("hand", a.main): upper, ("hand", a.other): under}
    if style == "clasped":
        return both_hands(hand(a.at_face(0.013, a.vary(-0.14, 0.0), a.vary(0.11, 0.2)), ELBOW_DOWN, (-0.4, 0.3, 0.3)))
    if style == "hips":
        return both_hands(hand(a.at_body(0.105 * h, -0.26 * h, 0.01 * h), (1.0, 0.0, -0.5), (-0.6, -0.4, 0.6)))
    if style == "head":
        behind = a.vary(-0.03, 0.03)
        return both_hands(hand(a.at_face(0.045, a.vary(0.12, 0.18), behind), (1.0, 0.1, 0.2), (-0.8, 0.3, -0.2)))
    out = a.vary(0.1, 0.19)  # hands at the shoulders, as under a bar or with weights
    return both_hands(hand(a.at_face(out, a.vary(-0.02, 0.06), a.vary(0.0, 0.07)), ELBOW_DOWN, STRAIGHT))


def on_support(a: Actor, side: int) -> Posture:
    """One hand on the back of a chair, a table or a wall, beside or in front of the body."""
    ahead = a.vary(0.0, 0.6)
    return {("hand", side): hand((a.vary(0.2, 0.45), a.vary(-0.65, -0.25), ahead), (0.6, -0.6, -0.6), STRAIGHT)}
