"""What each action looks like: one function per action that writes a new take of it as a script.

A take is acted with (nearly always) the hand or foot that the subject prefers, at its tempo and amplitude, and
differs from every other take in size, speed, number of repetitions, symmetry and pauses. Hands are given from the
shoulder in arm lengths as outward, up, forward; `Actor.at_body` gives them in metres from the upper spine instead,
for hands that meet each other or the face.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT, Bones, Subject, bones
from amr_edge.synthetic.motion import HANG, Script, Step, Track

Vector = tuple[float, ...]
ELBOW_DOWN = (0.45, -1.0, -0.25)  # elbows under hands that work in front
ELBOW_OUT = (1.0, -0.35, -0.1)
ELBOW_BACK = (0.9, -0.1, -0.8)  # hands above the head
STRAIGHT = (0.0, 0.0, 0.0)
GRAVITY_M_S2 = 9.81
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
        """A whole number for this take, both ends included."""
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
        """What was written; a hand's rest keys take the value beside them, so that only the weight moves."""
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


def _script(*keys: Keys, act_from_s: float = 0.0, after_s: float | None = None) -> Script:
    """A script as long as its longest track; it acts until `after_s`, or to the end."""
    end_s = max(k.now_s for k in keys)
    return Script(end_s, (act_from_s, end_s if after_s is None else after_s), tuple(k.track() for k in keys))


def wave(actor: Actor) -> Script:
    """One raised hand goes from side to side."""
    a, s = actor, actor.size
    height = a.vary(0.1, 0.75)
    out = a.vary(0.12, 0.4) - 0.15 * (height < 0.35)
    front = a.vary(0.25, 0.5) * (1.15 - 0.6 * height)
    elbow = ELBOW_DOWN if height < 0.4 else (0.9, -0.7, -0.2)
    swing = s * a.vary(0.12, 0.26)
    half_s = a.vary(0.17, 0.3)
    arm = Keys("hand", a.main, a.beat, 9).to(0.5 * a.vary(0.9, 1.3), hand((out, height, front), elbow, (0, 0.9, 0)))
    for i in range(2 * a.count(2, 4) + a.count(0, 1)):
        way = 1 if i % 2 == 0 else -1
        place = (out + way * swing * a.vary(0.8, 1.1), height - 0.08 * abs(swing), front)
        arm.to(half_s, hand(place, elbow, (way * 0.9, 0.9, 0.0)))
        if i == 2 and a.chance(0.2):
            arm.hold(a.vary(0.2, 0.4))
    arm.to(half_s, hand((out, height, front), elbow, (0, 0.7, 0))).to(0.5 * a.vary(0.9, 1.3), None)
    lean = Keys("trunk", 0, a.beat, 3).to(0.5, (0, 0, a.toward * s * a.vary(-0.02, 0.08)))
    lean.now_s = max(lean.now_s, arm.now_s - 0.5)
    return _script(arm, lean.to(0, lean.values[-1]).to(0.5, None))


def clap(actor: Actor) -> Script:
    """Both hands meet several times in front of the chest."""
    a, h = actor, actor.person.height_m
    up, front = h * a.vary(-0.14, 0.03), h * a.vary(0.17, 0.23)
    if a.chance(0.15):
        up, front = h * a.vary(0.18, 0.26), h * a.vary(0.12, 0.18)
    apart = h * a.size * a.vary(0.06, 0.15)
    half_s = a.vary(0.12, 0.22)
    claps = a.count(3, 7)
    drift = a.vary(-0.04, 0.04) * h
    share = a.vary(0.2, 0.8) if a.chance(0.4) else 0.5  # some beat one hand onto the other
    beats = [(half_s * a.vary(0.85, 1.15), half_s * a.vary(0.85, 1.15), a.vary(0.8, 1.1)) for _ in range(claps)]
    tracks = []
    for side in (LEFT, RIGHT):
        mine = 2 * apart * (share if side == a.main else 1 - share)
        level = up + 0.012 * h * (1 if side == a.main else -1)
        aim = (-0.4, 0.35, 0.5)
        out = 0.022 * h
        arm = Keys("hand", side, a.beat, 9).to(0.55, hand(a.at_body(out + mine, level, front), ELBOW_DOWN, aim))
        for i, (close_s, open_s, width) in enumerate(beats):
            moved = float(OUTWARD[side]) * drift / claps
            arm.to(close_s, hand(a.at_body(out + i * moved, level, front), ELBOW_DOWN, aim))
            wide = out + width * mine + (i + 0.5) * moved
            arm.to(open_s, hand(a.at_body(wide, level, front), ELBOW_DOWN, aim))
        tracks.append(arm.to(0.55, None))
    return _script(*tracks)


def drink(actor: Actor) -> Script:
    """One hand brings a cup to the mouth, tips it with the head, and takes it away."""
    a = actor
    fetch = hand((a.vary(-0.15, 0.15), a.vary(-0.65, -0.3), a.vary(0.4, 0.7)), HANG)
    lifted = a.vary(-0.5, 0.1)
    mouth = hand(a.at_face(0.03, 0.05, 0.125), (0.8, -0.7 + 0.4 * lifted, 0.0), (-0.7, 0.6, -0.2))
    tipped = hand(a.at_face(0.035, 0.08, 0.125), (1.0, -0.3 + 0.4 * lifted, 0.1), (-0.9, 0.7, -0.5))
    back = -a.size * a.vary(0.15, 0.4)
    arm = Keys("hand", a.main, a.beat, 9)
    head = Keys("head", 0, a.beat, 3)
    if a.chance(0.6):
        arm.to(0.5, fetch).hold(a.vary(0.05, 0.25))
        head.to(0.5, (a.vary(0.1, 0.3), a.toward * 0.1, 0)).hold(0.15)
    for i in range(a.count(1, 2)):
        arm.to(a.vary(0.45, 0.75) if i == 0 else 0.3, mouth)
        head.now_s = arm.now_s - 0.25 * a.beat
        sip_s = a.vary(0.4, 0.9)
        arm.to(0.2, tipped).to(sip_s, tipped).to(0.25, mouth)
        head.to(0.0, (0.05, 0, 0)).to(0.4, (back, 0, 0)).to(sip_s, (back, 0, 0)).to(0.3, (0, 0, 0))
    arm.to(a.vary(0.15, 0.3), hand((a.vary(-0.1, 0.1), -0.35, 0.5), HANG)).to(0.5, None)
    return _script(arm, head)


def throw(actor: Actor) -> Script:
    """One arm winds up behind the shoulder and flings forward."""
    a, s, t = actor, actor.size, actor.toward
    arm, free = Keys("hand", a.main, a.beat, 9), Keys("hand", a.other, a.beat, 9)
    trunk, pelvis = Keys("trunk", 0, a.beat, 3), Keys("pelvis", 0, a.beat, 3)
    wind_s, pause_s, fling_s = a.vary(0.4, 0.65), a.vary(0.0, 0.35), a.vary(0.16, 0.25)
    twist = t * s * a.vary(0.45, 0.8)
    if a.chance(0.25):  # underhand
        wound = hand((0.15, -0.75, -0.45 * s), HANG)
        arm.to(wind_s, wound).hold(pause_s + 0.02).to(fling_s, hand((0.02, -0.75, 0.45), HANG))
        arm.to(0.8 * fling_s, hand((-0.08, a.vary(-0.1, 0.2), 0.92), HANG)).to(
            0.25, hand((-0.15, 0.3, 0.7), ELBOW_DOWN)
        )
        bend = a.vary(0.15, 0.4)
    else:
        wound = hand((0.35, a.vary(0.3, 0.55), -0.3 * s), ELBOW_OUT, (0, 0.5, -0.4))
        arm.to(0.6 * wind_s, hand((0.45, -0.25, 0.15), ELBOW_OUT)).to(0.4 * wind_s, wound).hold(pause_s + 0.02)
        arm.to(fling_s, hand((0.2, a.vary(0.6, 0.8), 0.4), ELBOW_OUT, (0, 0.6, 0.2)))
        arm.to(0.7 * fling_s, hand((0.0, 0.25, 0.9), ELBOW_OUT)).to(fling_s, hand((-0.3, -0.45, 0.6), ELBOW_DOWN))
        bend = a.vary(0.1, 0.35)
    arm.to(a.vary(0.45, 0.7), None)
    lifted = a.vary(0.2, 0.7)
    free.to(wind_s, hand((0.25, -0.75 + 0.5 * lifted, 0.3 + 0.3 * lifted), ELBOW_DOWN)).hold(pause_s + 0.02)
    free.to(2.4 * fling_s, hand((0.3, -0.75, -0.2), HANG)).to(0.6, None)
    trunk.to(wind_s, (-0.1, twist, 0)).hold(pause_s + 0.02)
    trunk.to(2.2 * fling_s, (bend, -0.7 * twist, -t * 0.05)).to(0.6, None)
    back = a.bones.leg * s * a.vary(0.05, 0.11)
    pelvis.to(wind_s, (t * 0.03, -0.02, -back)).hold(pause_s + 0.02)
    pelvis.to(2.0 * fling_s, (-t * 0.02, -0.03, back)).to(0.6, None)
    return _script(arm, free, trunk, pelvis)


def kick(actor: Actor) -> Script:
    """One leg swings forward off the floor while the other one stands."""
    a, s, t = actor, actor.size, actor.toward
    leg, pelvis, trunk = Keys("swing", a.main, a.beat, 4), Keys("pelvis", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3)
    arms = [Keys("hand", side, a.beat, 9) for side in (LEFT, RIGHT)]
    out = a.vary(0.0, 0.15)
    shift = -t * a.bones.hip * 0.75
    for i in range(a.count(1, 2)):
        high, back_s, kick_s, hold_s = s * a.vary(0.75, 1.4), a.vary(0.3, 0.45), a.vary(0.22, 0.34), a.vary(0.0, 0.2)
        drawn = a.vary(0.2, 0.5)
        chamber = a.chance(0.35)  # knee first, as in martial arts
        leg.to(0.15 if i == 0 else 0.0, (0.0, 0, 0.04, 0.995))
        if chamber:
            leg.to(back_s, (1.0, 0.9 * high, out, 0.6))
        else:
            leg.to(back_s, (1.0, -drawn, out, 0.85))
        leg.to(kick_s, (1.0, high, out, 0.985)).hold(hold_s + 0.02)
        leg.to(0.35, (1.0, 0.1, 0.05, 0.93)).to(0.2, (0.0, 0.0, 0.04, 0.995))
        pelvis.to(0.15, (shift, -0.01, 0)).to(back_s, (shift, -0.03, 0.0)).to(kick_s, (shift, -0.02, 0.04))
        pelvis.hold(hold_s + 0.37).to(0.2, (0.6 * shift, -0.01, 0))
        trunk.to(0.15 + back_s, (0.12, 0, 0)).to(kick_s, (-0.1 - 0.15 * high, t * 0.2, t * 0.08))
        trunk.hold(hold_s + 0.02).to(0.55, (0.0, 0, 0))
        for side, keys in enumerate(arms):
            ahead = (0.35 if side == a.other else -0.25) * s
            keys.to(0.15 + back_s, hand((0.35, -0.75, -ahead), HANG)).to(kick_s, hand((0.5, -0.65, ahead), HANG))
            keys.hold(hold_s + 0.02).to(0.55, hand((0.3, -0.85, 0.0), HANG))
    for keys in (leg, pelvis, trunk, *arms):
        keys.to(0.35, None)
    return _script(leg, pelvis, trunk, *arms)


def jump(actor: Actor) -> Script:
    """Both feet leave the floor together."""
    a, s, b = actor, actor.size, actor.bones
    pelvis, trunk = Keys("pelvis", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3)
    feet = [Keys("foot", side, 1.0, 2) for side in (LEFT, RIGHT)]
    arms = [Keys("hand", side, a.beat, 9) for side in (LEFT, RIGHT)]
    style = a.count(0, 2)  # arms stay, swing forward, or fly up
    jumps = a.count(1, 3)
    for i in range(jumps):
        high = float(np.clip(s * a.vary(0.15, 0.36) * (0.75 if jumps > 2 else 1.0), 0.14, 0.42))
        deep = b.leg * s * a.vary(0.14, 0.28) * (0.7 if i else 1.0)
        flight_s = 2 * float(np.sqrt(2 * high / GRAVITY_M_S2)) / a.beat  # falling keeps its own time
        down_s = a.vary(0.32, 0.5) if i == 0 else 0.16
        up_s = 2.2 * deep / float(np.sqrt(2 * GRAVITY_M_S2 * high)) / a.beat
        rise = 0.05
        pelvis.to(down_s, (0, -deep, -0.25 * deep)).to(0.7 * up_s, (0, -0.4 * deep, 0)).to(0.3 * up_s, (0, rise, 0))
        off_s = pelvis.now_s
        for before, share in pairwise((0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)):
            pelvis.to(flight_s * (share - before), (0, rise + high * 4 * share * (1 - share), 0))
        for keys in feet:
            keys.to(off_s - 0.45 * up_s * a.beat - keys.now_s, None).to(off_s - keys.now_s, (0, 0.6))
            for share in (0.15, 0.3, 0.5, 0.7, 0.85):
                keys.to(off_s + share * flight_s * a.beat - keys.now_s, (high * 4 * share * (1 - share) / b.leg, 0.7))
            keys.to(off_s + flight_s * a.beat - keys.now_s, (0, 0.5)).to(0.08, None)
        land = deep * a.vary(0.5, 0.9)
        pelvis.to(0.16, (0, -land, -0.25 * land))
        trunk.to(down_s, (s * a.vary(0.2, 0.45), 0, 0)).to(up_s, (0.0, 0, 0)).to(flight_s, (0.05, 0, 0))
        trunk.to(0.16, (s * 0.25, 0, 0))
        for keys in arms:
            low = hand((0.25, -0.85, -0.3), HANG)
            if style == 0:
                keys.to(down_s, hand((0.3, -0.85, 0.1), HANG)).hold(up_s + flight_s).to(
                    0.16, hand((0.35, -0.75, 0.2), HANG)
                )
            else:
                top = (
                    hand((0.25, 0.75, 0.4), ELBOW_BACK)
                    if style == 2 and flight_s > 0.42
                    else hand((0.15, -0.2, 0.75), ELBOW_DOWN)
                )
                gathered = hand((0.3, -0.75, 0.35), HANG)
                if i == 0:
                    keys.to(0.7 * down_s, low).to(0.3 * down_s + 0.6 * up_s, gathered)
                else:
                    keys.to(down_s + 0.6 * up_s, gathered)
                keys.to(0.4 * up_s + 0.5 * flight_s, top).to(0.5 * flight_s, hand((0.3, -0.1, 0.65), ELBOW_DOWN))
                keys.to(0.16, hand((0.3, -0.4, 0.5), ELBOW_DOWN))
    for keys in (pelvis, trunk, *arms):
        keys.to(0.4, None)
    return _script(pelvis, trunk, *feet, *arms)


def squat(actor: Actor) -> Script:
    """The body sinks over bent knees and comes up again."""
    a, b = actor, actor.bones
    pelvis, trunk, head = Keys("pelvis", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3), Keys("head", 0, a.beat, 3)
    arms = [Keys("hand", side, a.beat, 9) for side in (LEFT, RIGHT)]
    style = a.count(0, 2)
    up, ahead = a.vary(-0.2, 0.05), a.vary(0.75, 0.95)
    reps = a.count(1, 2)
    for i in range(reps):
        deep = b.leg * float(np.clip(a.size * a.vary(0.35, 0.6), 0.3, 0.62))
        down_s, low_s, up_s = a.vary(0.55, 0.9), a.vary(0.05, 0.4), a.vary(0.5, 0.8)
        lean = a.vary(0.3, 0.6)
        between = a.vary(0.05, 0.25)
        for keys, low in (
            (pelvis, (0.0, -deep, -0.3 * deep)),
            (trunk, (lean, 0.0, 0.0)),
            (head, (-0.5 * lean, 0.0, 0.0)),
        ):
            keys.to(down_s, low).hold(low_s).to(up_s, (0.0, 0.0, 0.0)).hold(between)
        for side, keys in enumerate(arms):
            if style == 0:
                place = hand((-0.05, up + 0.45 * lean, ahead), ELBOW_DOWN)
            elif style == 1:
                place = hand(a.at_face(0.02, -0.08, 0.16), ELBOW_DOWN, (-0.5, 0.3, 0.2))
            else:
                place = hand((0.2, -0.75, 0.35 + 0.1 * (side == a.main)), HANG)
            keys.to(down_s, place).hold(low_s)
            keys.to(up_s, place if style == 1 and i < reps - 1 else None).to(between, keys.values[-1])
    return _script(pelvis, trunk, head, *arms)


def sit_down(actor: Actor, *, rise: bool = False) -> Script:
    """The body goes back and down onto a seat; with `rise` it also stands up, after the action is over."""
    a, b = actor, actor.bones
    deep, back = b.thigh * a.vary(0.85, 1.0), b.thigh * a.vary(0.75, 0.9)
    lean, down_s = a.size * a.vary(0.45, 0.75), a.vary(0.9, 1.4)
    upright = a.vary(-0.12, 0.15)
    pelvis, trunk, head = Keys("pelvis", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3), Keys("head", 0, a.beat, 3)
    tilt = Keys("tilt", 0, a.beat, 3)
    seat = (0.0, -deep, -back)
    pelvis.to(0.5 * down_s, (0, -0.45 * deep, -0.55 * back)).to(0.5 * down_s, seat)
    trunk.to(0.55 * down_s, (lean, 0, 0)).to(0.45 * down_s, (0.4 * lean, 0, 0)).to(0.35, (upright, 0, 0))
    head.to(0.4 * down_s, (a.vary(0.0, 0.3), a.toward * a.vary(-0.5, 0.5), 0)).to(0.6 * down_s, (0, 0, 0))
    tilt.to(down_s + 0.2, (-0.12, 0, 0))
    style = a.count(0, 2)
    knees = hand(a.at_body(0.09 * a.person.height_m, -0.21 * a.person.height_m, 0.17 * a.person.height_m), ELBOW_OUT)
    arms = [Keys("hand", side, a.beat, 9) for side in (LEFT, RIGHT)]
    for keys in arms:
        if style == 0:  # reach for the seat
            keys.to(0.6 * down_s, hand((0.25, -0.8, -0.15), HANG)).to(0.4 * down_s, hand((0.25, -0.75, 0.05), HANG))
            keys.to(0.5, knees)
        elif style == 1:  # hands forward for balance
            keys.to(0.5 * down_s, hand((0.05, -0.45, 0.65), ELBOW_DOWN)).to(0.5 * down_s + 0.3, knees)
        else:
            keys.to(0.3 * down_s, hand((0.2, -0.85, 0.25), HANG)).to(0.7 * down_s, knees)
    all_keys = [pelvis, trunk, head, tilt, *arms]
    end_s = max(keys.now_s for keys in all_keys)
    for keys in all_keys:
        keys.to((end_s - keys.now_s) / a.beat, keys.values[-1])
    if rise:
        stay_s, up_s = a.vary(0.6, 2.5), a.vary(0.9, 1.3)
        pelvis.hold(stay_s + 0.3 * up_s).to(0.3 * up_s, (0, -0.6 * deep, -0.5 * back)).to(0.4 * up_s, None)
        trunk.hold(stay_s).to(0.4 * up_s, (lean, 0, 0)).to(0.6 * up_s, None)
        head.hold(stay_s).to(0.4 * up_s, (-0.4 * lean, 0, 0)).to(0.6 * up_s, None)
        tilt.hold(stay_s).to(0.4 * up_s, None)
        for keys in arms:
            keys.hold(stay_s + 0.3 * up_s).to(0.7 * up_s, None)
    script = _script(*all_keys, after_s=end_s)
    return script if rise else script._replace(duration_s=float("inf"))  # stays seated


def bow(actor: Actor) -> Script:
    """The trunk bends forward at the hips and comes up again."""
    a, b = actor, actor.bones
    trunk, tilt, head = Keys("trunk", 0, a.beat, 3), Keys("tilt", 0, a.beat, 3), Keys("head", 0, a.beat, 3)
    pelvis = Keys("pelvis", 0, a.beat, 3)
    arms = [Keys("hand", side, a.beat, 9) for side in (LEFT, RIGHT)]
    style = a.count(0, 2)
    for _ in range(a.count(1, 2)):
        deep = float(np.clip(a.size * a.vary(0.6, 1.25), 0.55, 1.45))
        down_s, low_s, up_s = a.vary(0.5, 0.85), a.vary(0.05, 0.6), a.vary(0.5, 0.9)
        share = a.vary(0.35, 0.55)
        low = ((1 - share) * deep, 0.0, 0.0)
        back = (0.0, -0.01, -0.14 * deep * b.leg)
        nod = (a.vary(-0.1, 0.35), 0.0, 0.0)
        for keys, there in ((trunk, low), (tilt, (share * deep, 0.0, 0.0)), (pelvis, back), (head, nod)):
            keys.to(down_s, there).hold(low_s).to(up_s, (0.0, 0.0, 0.0))
        for side, keys in enumerate(arms):
            if style == 0:  # hands slide along the thighs
                place = hand((0.08, -0.9, 0.12 + 0.25 * deep), HANG)
            elif style == 1:  # arms hang
                place = hand((0.12, -float(np.cos(0.75 * deep)), float(np.sin(0.75 * deep))), HANG)
            else:  # one hand on the belly
                on = hand(a.at_face(0.0, -0.17, 0.1), ELBOW_OUT, (-0.6, 0, 0))
                place = on if side == a.main else hand((0.15, -0.9, -0.2), HANG)
            keys.to(down_s, place).hold(low_s).to(up_s, None)
    return _script(trunk, tilt, head, pelvis, *arms)


def punch(actor: Actor) -> Script:
    """A fist shoots forward from a guard and comes back."""
    a, s, t = actor, actor.size, actor.toward
    guard_up = a.vary(-0.25, 0.2)
    guarded = a.chance(0.75)
    arms = [Keys("hand", side, a.beat, 9) for side in (LEFT, RIGHT)]
    trunk, pelvis = Keys("trunk", 0, a.beat, 3), Keys("pelvis", 0, a.beat, 3)
    guard = hand((-0.05, guard_up, 0.42), ELBOW_DOWN, (-0.2, 0.3, 0))
    low = hand((0.08, -0.45, 0.25), HANG)
    crouch = -a.bones.leg * a.vary(0.0, 0.06)
    for side, keys in enumerate(arms):
        keys.to(0.4, guard if guarded or side == a.main else low)
    trunk.to(0.4, (0.1, 0.25 * t, 0))
    pelvis.to(0.4, (0, crouch, 0))
    both = a.chance(0.35)
    for i in range(a.count(1, 4)):
        side = a.other if both and i % 2 else a.main
        way = 1.0 if side == a.main else -1.0
        out_s, back_s, rest_s = a.vary(0.13, 0.22), a.vary(0.18, 0.3), a.vary(0.0, 0.35)
        target = hand((a.vary(-0.3, -0.05), a.vary(-0.1, 0.25), 0.96), ELBOW_OUT)
        for arm_side, keys in enumerate(arms):
            home = keys.values[-1]
            keys.to(out_s, target if arm_side == side else home).to(0.04, keys.values[-1]).to(back_s, home).hold(rest_s)
        trunk.to(out_s + 0.02, (0.15, -0.45 * s * t * way, 0)).to(back_s + 0.02, (0.1, 0.2 * t, 0)).hold(rest_s)
        pelvis.to(out_s + 0.02, (0, crouch, 0.05 * s)).to(back_s + 0.02, (0, crouch, 0)).hold(rest_s)
    for keys in (*arms, trunk, pelvis):
        keys.to(0.45, None)
    return _script(*arms, trunk, pelvis)


def walk(actor: Actor, *, turn_rad: float = 0.0, length_m: float | None = None, back: bool = False) -> Script:
    """Step after step the body goes somewhere; with `back` it faces the old way again after the action is over."""
    a, b, s = actor, actor.bones, actor.size
    step_s = a.beat * a.vary(0.48, 0.6)
    stride = b.leg * s * a.vary(0.55, 0.78)
    steps = a.count(5, 7) if length_m is None else max(2, round(length_m / stride))
    length = steps * stride
    turning = 0.0 if abs(turn_rad) < 0.1 else 2 * step_s * max(1.0, abs(turn_rad) / 1.6)
    curved = a.vary(-0.15, 0.15)
    go_s = turning + (steps + 0.5) * step_s
    path = [(0.0, 0.0, 0.0, 0.0)]
    if turning:
        path.append((turning, 0.0, 0.0, turn_rad))
    for share, when in ((0.06, 0.12), (0.5, 0.5), (0.94, 0.88), (1.0, 1.0)):
        yaw = turn_rad + curved * share
        mean = turn_rad + 0.5 * curved * share
        gone = length * share
        at_s = turning + when * (go_s - turning)
        path.append((at_s, gone * float(np.sin(mean)), gone * float(np.cos(mean)), yaw))
    end_s = go_s + (2 * step_s * max(1.0, abs(turn_rad) / 1.6) if back else 0.0)
    if back:
        path.append((end_s, *path[-1][1:3], 0.0))
    placed, when_s, side = [], 0.3 * step_s, a.main if a.chance(0.5) else a.other
    lift = a.vary(0.08, 0.13)
    while when_s + 0.8 * step_s < end_s + 1.9 * step_s:
        walking = turning <= when_s <= go_s
        placed.append(Step(side, when_s, when_s + step_s * (0.84 if walking else 0.7), lift if walking else 0.6 * lift))
        side, when_s = 1 - side, when_s + step_s
    swing = s * a.vary(0.12, 0.38)
    tracks = []
    for part, at, dims in (("hand", LEFT, 9), ("hand", RIGHT, 9), ("trunk", 0, 3), ("tilt", 0, 3), ("pelvis", 0, 3)):
        keys = Keys(part, at, 1.0, dims)
        bent = a.vary(0.0, 0.12)
        for step in placed:
            full = 1.0 if turning <= step.start_s <= go_s - 0.3 * step_s else 0.35
            way = full * float(OUTWARD[step.side])  # +1: the left leg goes forward
            if part == "hand":
                ahead = -way * float(OUTWARD[at]) * swing
                up = -float(np.sqrt(0.94**2 - ahead**2)) + 0.25 * max(ahead, 0) + bent
                value: Vector = hand((0.17, up, ahead + 0.03 + bent), HANG)
                keys.to(step.end_s - keys.now_s, value)
            elif part == "trunk":
                keys.to(step.end_s - keys.now_s, (0.04, 0.16 * way * s, 0))
            elif part == "tilt":
                keys.to(step.end_s - keys.now_s, (0.0, -0.1 * way * s, 0))
            else:
                middle = 0.5 * (step.start_s + step.end_s)
                keys.to(middle - keys.now_s, (-way * 0.022, -0.012 * b.leg, 0))
                keys.to(step.end_s - keys.now_s, (0, -0.03 * b.leg * full, 0))
        tracks.append(keys.to(0.35, None))
    script = _script(*tracks, after_s=max(go_s, 0.6))
    return Script(script.duration_s, script.act_s, script.tracks, np.array(path), tuple(placed))


def raise_arms(actor: Actor) -> Script:
    """Both arms go up and come down."""
    a, s = actor, actor.size
    front = a.chance(0.5)
    spread, ahead = a.vary(0.0, 0.5) + max(0.0, 0.5 * (1 - s)), a.vary(0.05, 0.25)
    top = (0.97 * float(np.sin(spread)), 0.97 * float(np.cos(spread)) - 0.1 * ahead, ahead)
    delay = a.vary(0.0, 0.15)
    up_s, hold_s, down_s = a.vary(0.45, 0.8), a.vary(0.1, 0.9), a.vary(0.45, 0.8)
    reps = a.count(1, 2) if hold_s < 0.5 else 1
    uneven = a.vary(0.88, 1.0)
    tracks = []
    for side in (LEFT, RIGHT):
        arm = Keys("hand", side, a.beat, 9, start_s=delay if side == a.other else 0.0)
        level = top[1] * (uneven if side == a.other else 1.0)
        via = hand((0.1, -0.1, 1.05), ELBOW_DOWN) if front else hand((0.95, -0.1, 0.15), HANG)
        for i in range(reps):
            arm.to(0.5 * up_s, via).to(0.5 * up_s, hand((top[0], level, top[2]), ELBOW_BACK)).hold(hold_s)
            arm.to(0.5 * down_s, via)
            if i < reps - 1:
                arm.to(0.4 * down_s, hand((0.25, -0.8, 0.2), HANG))
        tracks.append(arm.to(0.55 * down_s, None))
    back = Keys("trunk", 0, a.beat, 3).to(up_s, (-0.06 * s, 0, 0)).hold(hold_s).to(down_s, None)
    return _script(*tracks, back)


IDLE = "idle"
SCRIPTS: dict[str, Callable[[Actor], Script]] = {
    "wave": wave,
    "clap": clap,
    "drink": drink,
    "throw": throw,
    "kick": kick,
    "jump": jump,
    "squat": squat,
    "sit_down": sit_down,
    "bow": bow,
    "punch": punch,
    "walk": walk,
    "raise_arms": raise_arms,
}


def _look_around(a: Actor) -> Script:
    """The head turns to one side and perhaps to the other, the chest follows a little."""
    yaw = a.vary(0.3, 0.9) * (1 if a.chance(0.5) else -1)
    pitch = a.vary(-0.2, 0.35)
    head, trunk = Keys("head", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3)
    head.to(a.vary(0.3, 0.6), (pitch, yaw, 0)).hold(a.vary(0.1, 0.8))
    trunk.to(0.6, (0, 0.25 * yaw, 0)).hold(0.3)
    if a.chance(0.4):
        head.to(a.vary(0.4, 0.7), (pitch, -0.7 * yaw, 0)).hold(a.vary(0.1, 0.5))
    return _script(head.to(0.5, None), trunk.to(0.6, None))


def _touch(a: Actor) -> Script:
    """One hand goes to the head, the chin, the belly, the other arm or the hip, stays and comes down."""
    side = a.main if a.chance(0.65) else a.other
    place = a.count(0, 4)
    if place == 0:  # scratches the head
        there = hand(a.at_face(0.06, 0.15, 0.05), ELBOW_OUT, (-0.7, 0.6, 0.0))
    elif place == 1:  # chin or nose
        there = hand(a.at_face(0.02, 0.045, 0.12), ELBOW_DOWN, (-0.3, 0.6, -0.2))
    elif place == 2:
        there = hand(a.at_face(-0.01, -0.17, 0.1), ELBOW_OUT, (-0.6, 0.0, 0.0))
    elif place == 3:  # the other shoulder
        there = hand(a.at_face(-0.04, -0.04, 0.1), ELBOW_DOWN, (-0.7, 0.3, -0.3))
    else:
        there = hand(a.at_face(0.11, -0.27, 0.0), (1.0, 0.0, -0.6), (-0.6, -0.4, 0.6))
    rub = a.vary(0.0, 0.05)
    near = (there[0] + rub, there[1] + rub, *there[2:])
    arm = Keys("hand", side, a.beat, 9).to(a.vary(0.5, 0.9), there)
    for _ in range(a.count(1, 4)):
        arm.to(a.vary(0.1, 0.2), near).to(a.vary(0.1, 0.2), there)
    nod = a.vary(0.0, 0.25) if place < 2 else 0.0
    head = Keys("head", 0, a.beat, 3).to(0.7, (nod, 0, 0)).to(0.6, None)
    return _script(arm.to(a.vary(0.5, 0.9), None), head)


def _watch(a: Actor) -> Script:
    """Looks at the wrist, or at something held in one hand."""
    up = a.vary(-0.55, -0.1)
    arm = Keys("hand", a.other, a.beat, 9).to(a.vary(0.5, 0.8), hand((-0.25, up, 0.5), ELBOW_DOWN, (-0.8, 0.2, 0)))
    arm.hold(a.vary(0.4, 1.2)).to(0.6, None)
    head = Keys("head", 0, a.beat, 3).to(0.5, (a.vary(0.3, 0.5), -a.toward * 0.25, 0)).hold(0.7).to(0.5, None)
    return _script(arm, head)


def _together(a: Actor) -> Script:
    """Both hands come together in front, or both rest on the hips."""
    h = a.person.height_m
    tracks = []
    on_hips, up, wait_s = a.chance(0.4), a.vary(-0.24, -0.12), a.vary(0.4, 1.5)
    come_s, go_s = a.vary(0.5, 0.9), a.vary(0.5, 0.9)
    for side in (LEFT, RIGHT):
        level = up + 0.015 * (side == a.main)
        there = hand(a.at_body(0.03 * h, level * h, 0.15 * h), ELBOW_DOWN, (-0.6, -0.2, 0.2))
        if on_hips:
            there = hand(a.at_body(0.11 * h, -0.27 * h, 0.0), (1.0, 0.0, -0.6), (-0.6, -0.4, 0.6))
        tracks.append(Keys("hand", side, a.beat, 9).to(come_s, there).hold(wait_s).to(go_s, None))
    return _script(*tracks)


def _lean(a: Actor) -> Script:
    """The weight goes to one leg and comes back."""
    way = 1.0 if a.chance(0.5) else -1.0
    wide = way * a.bones.hip * a.vary(0.4, 0.8)
    pelvis, tilt, trunk = Keys("pelvis", 0, a.beat, 3), Keys("tilt", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3)
    come_s, wait_s, go_s = a.vary(0.5, 0.9), a.vary(0.2, 1.5), a.vary(0.5, 0.9)
    for keys, there in ((pelvis, (wide, -0.012, 0)), (tilt, (0, 0, way * 0.07)), (trunk, (0.03, 0, -way * 0.09))):
        keys.to(come_s, there).hold(wait_s).to(go_s, None)
    return _script(pelvis, tilt, trunk)


def _shuffle(a: Actor) -> Script:
    """Two steps on the spot, and perhaps a turn of a few degrees."""
    yaw = a.vary(-0.5, 0.5)
    step_s = a.beat * a.vary(0.45, 0.6)
    steps = (Step(a.main, 0.1, 0.1 + 0.8 * step_s, 0.06), Step(a.other, 0.1 + step_s, 0.1 + 1.8 * step_s, 0.06))
    move = (a.vary(-0.1, 0.1), a.vary(-0.1, 0.1))
    end_s = 0.2 + 2 * step_s
    pelvis = Keys("pelvis", 0, 1.0, 3)
    for step in steps:
        middle = 0.5 * (step.start_s + step.end_s)
        pelvis.to(middle - pelvis.now_s, (-float(OUTWARD[step.side]) * 0.02, -0.01, 0))
    pelvis.to(end_s + 0.2 - pelvis.now_s, None)
    path = np.array([(0.0, 0.0, 0.0, 0.0), (end_s, *move, yaw)])
    return Script(pelvis.now_s, (0.0, pelvis.now_s), (pelvis.track(),), path, steps)


def _reach(a: Actor) -> Script:
    """One hand reaches for something in front, or points somewhere, and comes back."""
    side = a.main if a.chance(0.7) else a.other
    there = hand((a.vary(-0.2, 0.5), a.vary(-0.35, 0.25), a.vary(0.6, 0.85)), ELBOW_DOWN)
    arm = Keys("hand", side, a.beat, 9).to(a.vary(0.45, 0.8), there).hold(a.vary(0.1, 0.9)).to(a.vary(0.5, 0.8), None)
    trunk = Keys("trunk", 0, a.beat, 3).to(0.5, (a.vary(0.0, 0.2), -float(OUTWARD[side]) * 0.15, 0)).hold(0.3)
    return _script(arm, trunk.to(0.6, None))


def _stretch(a: Actor) -> Script:
    """Both hands go behind the head, the chest opens."""
    out, wait_s, go_s = a.vary(0.03, 0.07), a.vary(0.3, 1.0), a.vary(0.55, 0.8)
    come_s = a.vary(0.6, 0.9)
    there = hand(a.at_face(out, 0.13, -0.02), (1.0, 0.2, 0.1), (-0.8, 0.3, -0.3))
    via = hand(a.at_face(0.13, 0.06, 0.14), ELBOW_OUT)
    arms = [
        Keys("hand", side, a.beat, 9).to(0.7 * come_s, via).to(0.4 * come_s, there).hold(wait_s).to(0.3, via)
        for side in (LEFT, RIGHT)
    ]
    trunk = Keys("trunk", 0, a.beat, 3).to(come_s, (-0.12, 0, a.vary(-0.15, 0.15))).hold(wait_s).to(go_s, None)
    return _script(*(arm.to(go_s, None) for arm in arms), trunk)


def _stoop(a: Actor) -> Script:
    """Bends a little to look at the floor or to brush the trousers."""
    deep, come_s, wait_s = a.vary(0.2, 0.45), a.vary(0.4, 0.7), a.vary(0.2, 0.6)
    trunk, head = Keys("trunk", 0, a.beat, 3), Keys("head", 0, a.beat, 3)
    trunk.to(come_s, (deep, a.toward * 0.15, -a.toward * 0.1)).hold(wait_s).to(0.6, None)
    head.to(come_s, (0.45, 0, 0)).hold(wait_s).to(0.6, None)
    arm = Keys("hand", a.main, a.beat, 9).to(come_s, hand((0.05, -0.85, 0.35), HANG))
    for _ in range(a.count(0, 2)):
        arm.to(0.2, hand((0.05, -0.7, 0.4), HANG)).to(0.2, hand((0.05, -0.85, 0.35), HANG))
    return _script(trunk, head, arm.to(0.6, None))


def _stand_up(a: Actor) -> Script:
    """Gets up from a seat; only for the start of a clip, where the person already sits."""
    script = sit_down(a, rise=True)
    seated_s = script.act_s[1] + 0.2
    tracks = tuple(track._replace(times_s=track.times_s - seated_s) for track in script.tracks)
    return Script(script.duration_s - seated_s, (0.0, script.duration_s - seated_s), tracks)


FIDGETS: tuple[Callable[[Actor], Script], ...] = (
    _look_around,
    _touch,
    _watch,
    _together,
    _lean,
    _reach,
    _stretch,
    _stoop,
    _shuffle,
)


def fidget(actor: Actor, *, seated: bool = False) -> Script:
    """One small thing that people do when they do nothing; without steps if they sit."""
    return FIDGETS[actor.count(0, len(FIDGETS) - (2 if seated else 1))](actor)


def idle(actor: Actor, *, seated: bool) -> list[tuple[float, Script]]:
    """Two to four seconds of nothing in particular: stillness, fidgets, at times getting up from a seat."""
    if not seated and actor.chance(0.1):
        return [(0.0, _stand_up(actor))]
    placed, now_s = [], actor.vary(-0.3, 0.8)
    for _ in range(actor.count(0, 2)):
        script = fidget(actor, seated=seated)
        placed.append((now_s, script))
        now_s += script.duration_s + actor.vary(0.0, 0.6)
    return placed


SEATED = frozenset({"wave", "clap", "drink", "raise_arms", IDLE})  # what people also do on a chair


def seat(actor: Actor) -> Script:
    """Sits from before the recording begins until after it ends."""
    script = sit_down(actor)
    ends = (
        track._replace(times_s=track.times_s[-1:], values=track.values[-1:], weights=track.weights[-1:])
        for track in script.tracks
    )
    return script._replace(tracks=tuple(ends))


def habit(actor: Actor) -> Script:
    """Holds one arm, or both, in a way of its own: on the hip, before the belly, behind the back, round a phone."""
    a = actor
    h = a.person.height_m
    places = (
        hand(a.at_body(0.11 * h, -0.27 * h, 0.0), (1.0, 0.0, -0.6), (-0.6, -0.4, 0.6)),
        hand(a.at_face(0.0, a.vary(-0.2, -0.14), 0.1), ELBOW_OUT, (-0.7, 0.0, 0.0)),
        hand(a.at_body(0.03 * h, -0.24 * h, -0.1 * h), (1.0, 0.0, -0.6), (-0.6, -0.3, 0.0)),
        hand((-0.1, a.vary(-0.55, -0.3), a.vary(0.3, 0.45)), HANG, (-0.2, 0.6, 0.2)),
        hand((0.1, -0.83, 0.12), (0.8, 0.0, -0.8), (-0.2, -0.6, 0.2)),  # in a pocket
    )
    which = a.count(0, len(places) - 1)
    there = places[which]
    # The acting hand would come from the hip or from behind the back through the body.
    sides = (LEFT, RIGHT) if which not in (0, 2) and a.chance(0.4) else (a.other,)
    one = np.ones((1, 1))
    tracks = tuple(Track("hand", side, np.zeros(1), np.array([there]), one) for side in sides)
    return Script(float("inf"), (0.0, 0.0), tracks)
