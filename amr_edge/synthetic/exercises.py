"""Sets of physiotherapy exercises with random depth, tempo, arm posture and pauses."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from amr_edge.data.recording import Recording, Span
from amr_edge.errors import ConfigError
from amr_edge.synthetic.actor import ELBOW_OUT, Actor, Vector, hand
from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT, Subject, joints
from amr_edge.synthetic.choreography import (
    FLAT,
    HEAD,
    LEG_DOWN,
    PELVIS,
    STANDING_LEG,
    TILT,
    TRUNK,
    Choreography,
    Posture,
    arm,
    both_hands,
    hold_arms,
    leg,
    on_support,
    sink,
)
from amr_edge.synthetic.motion import HANG, Script, play
from amr_edge.synthetic.sensor import Sensor, see

SQUAT_KNEE_DEG = (50.0, 128.0)  # bend of the knees at the bottom, from a shallow to a deep squat
SEAT_THIGH_DEG = (68.0, 100.0)  # of a thigh on a seat against the vertical, from a high stool to a low sofa
HURDLE_HIP_DEG = (55.0, 105.0)
LUNGE_KNEE_DEG = (60.0, 108.0)  # of the knee in front
SIDE_LUNGE_KNEE_DEG = (50.0, 115.0)
LEG_RAISE_DEG = {"forward": (28.0, 85.0), "sideways": (20.0, 50.0), "backward": (15.0, 35.0)}
ARM_RAISE_DEG = (86.0, 175.0)
EXTENSION_DEG = (25.0, 60.0)
ROTATION_IN_DEG, ROTATION_OUT_DEG = (20.0, 70.0), (20.0, 65.0)
ROTATION_LOW_DEG, ROTATION_HIGH_DEG = (-70.0, 5.0), (45.0, 85.0)  # of the forearm above level, the arm held out

REPS = (3, 8)


class Exercised(NamedTuple):
    """One set, ready to be played."""

    script: Script
    spans: tuple[tuple[float, float], ...]  # seconds of each repetition
    person: Subject  # who does it, standing as the exercise wants
    variant: str


class _Pace:
    """Durations of the parts of a repetition in one set, and their variation between repetitions."""

    def __init__(self, a: Actor) -> None:
        self.actor = a
        self.slow = float(np.exp(a.vary(np.log(0.62), np.log(1.75)))) / a.person.tempo
        self.uneven = a.vary(0.02, 0.15)
        self.hold_s = a.vary(0.0, 0.2) if a.chance(0.6) else a.vary(0.2, 2.0)
        self.rest_s = a.vary(0.0, 0.25) if a.chance(0.5) else a.vary(0.25, 2.5)

    def _near(self, seconds: float) -> float:
        return seconds * self.actor.vary(1 - self.uneven, 1 + self.uneven)

    def move(self, usual_s: float) -> float:
        """Seconds that a movement takes which usually takes `usual_s`."""
        return self._near(usual_s * self.slow)

    def hold(self) -> float:
        """Seconds at the far end of a repetition."""
        return self._near(self.hold_s)

    def rest(self) -> float:
        """Seconds between repetitions; now and then the breath runs out."""
        return self._near(self.rest_s) + (self.actor.vary(0.8, 3.0) if self.actor.chance(0.06) else 0.0)


def _radians(a: Actor, low_high_deg: tuple[float, float]) -> float:
    """A uniform choice in degrees, as radians."""
    return float(np.deg2rad(a.vary(*low_high_deg)))


def _again(a: Actor, value: float, low_high_deg: tuple[float, float]) -> float:
    """The same angle in another repetition: a little different, still in the range."""
    low, high = np.deg2rad(low_high_deg)
    return float(np.clip(value * a.vary(0.92, 1.06), low, high))


def _lean(lean_rad: float, share: float) -> Posture:
    """A forward lean of the trunk, `share` of it in the hips; the face stays to the front."""
    return {
        TILT: (share * lean_rad, 0.0, 0.0),
        TRUNK: ((1 - share) * lean_rad, 0.0, 0.0),
        HEAD: (-0.5 * lean_rad, 0.0, 0.0),
    }


def _begin(a: Actor, arms: Posture) -> Choreography:
    """Standing a moment; the arms are ready from the start or get ready."""
    c = Choreography()
    if a.chance(0.5):
        return c.go(0.0, arms).wait(a.vary(0.3, 2.0))
    return c.wait(a.vary(0.2, 1.0)).go(a.vary(0.5, 1.2), arms).wait(a.vary(0.1, 1.0))


def _end(a: Actor, c: Choreography) -> Script:
    """Hands down, standing a moment."""
    return c.wait(a.vary(0.1, 1.0)).go(a.vary(0.5, 1.0), both_hands(None)).wait(a.vary(0.2, 1.5)).script()


def squat(a: Actor, reps: int) -> Exercised:
    """Down over both knees and up again, shallow to deep."""
    person = replace(a.person, stance=a.vary(0.9, 3.0), toe_out=a.vary(0.0, 0.6))
    b, pace = a.bones, _Pace(a)
    wanted, shin_share = _radians(a, SQUAT_KNEE_DEG), a.vary(0.26, 0.4)
    aside = (person.stance - 1) * b.hip
    style = ("sides", "forward", "rising", "crossed", "clasped", "hips", "head", "overhead", "shoulders")[a.count(0, 8)]
    still = hold_arms(a, "sides" if style == "rising" else style)
    reach = hold_arms(a, "forward")
    balance = a.vary(0.75, 1.3)
    hip_share = a.vary(0.35, 0.65)
    shift = a.vary(-0.15, 0.15) * b.hip
    c = _begin(a, still)
    for _ in range(reps):
        knee = _again(a, wanted, SQUAT_KNEE_DEG)
        down, back = sink(b, knee, min(shin_share * knee, 0.7), aside)
        lean = float(np.arcsin(np.clip(2.3 * back / b.leg * 0.85 * balance, 0.0, 0.8)))
        start_s = c.now_s
        low: dict[tuple[str, int], Vector | None] = {PELVIS: (shift, -down, -back), **_lean(lean, hip_share)}
        if style == "rising":
            low |= reach
        elif style == "sides" and a.chance(0.7):
            low |= both_hands(hand((0.2, -0.85, 0.3 + 0.3 * lean), HANG))
        c.go(pace.move(1.15 * (knee / 1.6) ** 0.5), low).wait(pace.hold())
        up: dict[tuple[str, int], Vector | None] = {PELVIS: FLAT, TILT: FLAT, TRUNK: FLAT, HEAD: FLAT}
        c.go(pace.move(1.0 * (knee / 1.6) ** 0.5), up, still if style in ("rising", "sides") else {})
        c.mark(start_s)
        c.wait(pace.rest())
    return Exercised(_end(a, c), tuple(c.spans), person, f"squat, arms {style}")


def arm_raise(a: Actor, reps: int) -> Exercised:
    """Long arms go up to the side, aslant or to the front, one or both, and come down."""
    person, pace = a.person, _Pace(a)
    plane = {"abduction": a.vary(-0.15, 0.25), "scaption": a.vary(0.35, 0.9), "flexion": a.vary(1.2, 1.6)}
    name = ("abduction", "scaption", "flexion")[a.count(0, 2)]
    wanted, straight = _radians(a, ARM_RAISE_DEG), a.vary(0.965, 0.995)
    low = a.vary(0.1, 0.35)
    how = "both" if a.chance(0.55) else "alternating" if a.chance(0.3) else "one"
    uneven = a.vary(0.9, 1.0)
    lean_away = a.vary(0.0, 0.12) if how != "both" else 0.0
    side = a.main
    pole = (0.3, -0.5, -0.8)
    free = hold_arms(a, "hips") if how == "one" and a.chance(0.25) else {}
    c = _begin(a, free)
    for _ in range(reps):
        top = _again(a, wanted, ARM_RAISE_DEG)
        sides = (LEFT, RIGHT) if how == "both" else (side,)

        def at(share: float, sides: tuple[int, ...] = sides, top: float = top) -> Posture:
            posture: dict[tuple[str, int], Vector | None] = {}
            for one in sides:
                raised = (low + share * (top - low)) * (uneven if one != a.main and how == "both" else 1.0)
                # Past the shoulder the hands come together over the head rather than cross behind it.
                inward = 0.25 * max(0.0, raised - 2.4) if name == "flexion" else 0.0
                posture["hand", one] = hand(arm(raised, plane[name] - inward, straight), pole)
            away = -float(OUTWARD[sides[0]]) * lean_away * share
            posture[TRUNK] = (-0.05 * share, 0.0, -away)
            return posture

        start_s = c.now_s
        moved = float(top**0.5)
        c.sweep(pace.move(0.85 * moved), at).wait(pace.hold())
        c.sweep(pace.move(0.85 * moved), at, start=1.0, end=0.0)
        c.mark(start_s)
        c.wait(pace.rest())
        if how == "alternating":
            side = LEFT + RIGHT - side
    return Exercised(_end(a, c), tuple(c.spans), person, f"{name}, {how}")


def sit_to_stand(a: Actor, reps: int) -> Exercised:
    """From a chair to standing and back, or from standing to the chair and up."""
    person = replace(a.person, stance=a.vary(1.0, 2.4), toe_out=a.vary(0.0, 0.4))
    b, pace = a.bones, _Pace(a)
    thigh, shin = _radians(a, SEAT_THIGH_DEG), a.vary(-0.05, 0.35)
    down, back = sink(b, thigh + shin, shin, (person.stance - 1) * b.hip)
    lean, upright = a.vary(0.4, 0.85), a.vary(-0.12, 0.15)
    style = ("sides", "crossed", "knees", "forward", "clasped")[a.count(0, 4)]
    h = a.person.height_m
    knees = both_hands(hand(a.at_body(0.09 * h, -0.21 * h, 0.17 * h), ELBOW_OUT))
    arms = knees if style == "knees" else hold_arms(a, style)
    standing_arms = both_hands(None) if style in ("knees", "sides") else arms
    seat: Posture = {PELVIS: (0.0, -down, -back), TILT: (-0.1, 0.0, 0.0), TRUNK: (upright, 0.0, 0.0), HEAD: FLAT}
    nose_over_toes: Posture = {PELVIS: (0.0, -0.8 * down, -0.85 * back), **_lean(lean, 0.6)}
    halfway: Posture = {PELVIS: (0.0, -0.42 * down, -0.42 * back), **_lean(0.7 * lean, 0.6)}
    standing: Posture = {PELVIS: FLAT, TILT: FLAT, TRUNK: FLAT, HEAD: FLAT}

    def rise() -> None:
        c.go(pace.move(0.5), nose_over_toes).go(pace.move(0.35), halfway).go(pace.move(0.55), standing, standing_arms)

    def sit() -> None:
        c.go(pace.move(0.6), halfway).go(pace.move(0.4), nose_over_toes)
        c.go(pace.move(0.35), seat, arms)

    seated_first = a.chance(0.6)
    c = Choreography().go(0.0, seat, arms).wait(a.vary(0.3, 2.0)) if seated_first else _begin(a, standing_arms)
    for _ in range(reps):
        start_s = c.now_s
        if seated_first:
            rise()
            c.wait(pace.hold())
            sit()
        else:
            sit()
            c.wait(pace.hold())
            rise()
        c.mark(start_s)
        c.wait(pace.rest())
    if not seated_first:
        return Exercised(_end(a, c), tuple(c.spans), person, f"sit to stand, arms {style}")
    if a.chance(0.3):  # gets up when it is over, which is half a repetition and not counted
        c.wait(a.vary(0.3, 1.0))
        rise()
    return Exercised(c.wait(a.vary(0.2, 1.5)).script(), tuple(c.spans), person, f"sit to stand, arms {style}")


def hurdle_step(a: Actor, reps: int) -> Exercised:
    """One thigh comes up, the foot goes over something, touches down in front and comes back the same way."""
    person = replace(a.person, stance=a.vary(0.7, 1.6))
    b, pace = a.bones, _Pace(a)
    wanted, bent = _radians(a, HURDLE_HIP_DEG), a.vary(1.3, 1.95)
    style = ("sides", "hips", "shoulders", "wide", "crossed", "clasped", "overhead", "forward")[a.count(0, 7)]
    alternating = a.chance(0.4)
    ahead, touches = a.vary(0.4, 0.75), a.chance(0.8)
    out, lean = a.vary(0.0, 0.12), a.vary(-0.05, 0.15)
    stand_bent = a.vary(0.0, 0.02) * b.leg
    side = a.main
    c = _begin(a, hold_arms(a, style))
    for _ in range(reps):
        start_s = c.now_s
        hip = _again(a, wanted, HURDLE_HIP_DEG)
        swing, standing = ("swing", side), -float(OUTWARD[side])
        shift = standing * b.hip * a.vary(0.7, 1.0)
        over: Posture = {
            swing: leg(hip, bent, out),
            PELVIS: (shift, -0.005, 0.0),
            TILT: (-0.08, 0.0, standing * 0.06),
            TRUNK: (lean, 0.0, -standing * 0.05),
        }
        # The heel goes down an arm's breadth in front; the standing knee gives a little.
        down = sink(b, 2.2 * float(np.arcsin(np.clip(0.35 * ahead, 0, 0.4))), 0.2)[0] * (0.35 if touches else 0.1)
        across: Posture = {
            swing: leg(0.75 * hip, 0.75 * bent * a.vary(0.4, 0.8), out),
            PELVIS: (shift, -0.01 - 0.3 * down, 0.02),
        }
        far: Posture = {
            swing: leg(ahead if touches else ahead + 0.15, a.vary(0.05, 0.3), out),
            PELVIS: (0.8 * shift, -down - stand_bent, 0.04),
            TRUNK: (lean + 0.05, 0.0, 0.0),
        }
        home: Posture = {swing: LEG_DOWN, PELVIS: FLAT, TILT: FLAT, TRUNK: FLAT}
        unloaded: Posture = {swing: (0.0, 0.0, 0.0, STANDING_LEG), PELVIS: (0.7 * shift, 0.0, 0.0)}
        c.go(pace.move(0.2), unloaded).go(pace.move(0.65), over).go(pace.move(0.3), across)
        c.go(pace.move(0.45), far).wait(pace.hold())
        c.go(pace.move(0.45), across).go(pace.move(0.3), over).go(pace.move(0.65), home)
        c.mark(start_s)
        c.wait(pace.rest())
        if alternating:
            side = LEFT + RIGHT - side
    return Exercised(_end(a, c), tuple(c.spans), person, f"hurdle step, arms {style}")


class _LungeShape(NamedTuple):
    """Positions of feet and hips at the bottom of a lunge, metres."""

    length: float  # ankle to ankle
    hips_back: float  # of the hips behind the ankle in front
    down: float


def _lunge_shape(a: Actor, knee_rad: float, back_knee_rad: float) -> _LungeShape:
    """The step that lets both knees bend as wanted while the back one stays off the floor."""
    half = 0.5 * a.bones.leg
    heel_up = 0.6 * a.bones.foot
    # A thigh below level needs the shin to come forward, or the back knee would go into the floor.
    shin = max(0.08, knee_rad - 1.5)
    down, hips_back = sink(a.bones, knee_rad, shin)
    high = STANDING_LEG * a.bones.leg - down - heel_up
    chord = 2 * half * float(np.cos(0.5 * back_knee_rad))
    behind = float(np.sqrt(max(chord**2 - high**2, (0.35 * half) ** 2)))
    return _LungeShape(hips_back + behind, hips_back, down)


class _Lunge(NamedTuple):
    """Parameters that all repetitions of one set of lunges share."""

    actor: Actor
    pace: _Pace
    knee_rad: float  # bend of the knee in front
    shape: _LungeShape
    inward: float  # metres from each foot's usual place to the line in the middle
    heel: tuple[float, float]  # of the foot behind
    lean: float
    arms: Posture

    def foot(self, side: int, ahead: float) -> Posture:
        """A foot planted `ahead` metres in front of the start."""
        return {("plant", side): (-float(OUTWARD[side]) * self.inward, ahead, 0.0)}

    def sink(self, knee_rad: float) -> tuple[float, float]:
        """Metres by which the pelvis goes down, and stays behind the ankle in front."""
        return sink(self.actor.bones, knee_rad, max(0.08, knee_rad - 1.5))


def inline_lunge(a: Actor, reps: int) -> Exercised:
    """One foot far in front of the other, both knees bend, the trunk stays upright.

    From a split stance, stepping forward or backward into it, or walking.
    """
    way = ("split", "split", "forward", "forward", "reverse", "walking")[a.count(0, 5)]
    person = replace(a.person, stance=a.vary(0.8, 1.5), toe_out=a.vary(-0.05, 0.15))
    pace = _Pace(a)
    wanted, back_knee = _radians(a, LUNGE_KNEE_DEG), a.vary(1.15, 1.85)
    style = ("sides", "hips", "hips", "crossed", "clasped", "shoulders", "overhead", "forward", "head")[a.count(0, 8)]
    inline = a.vary(0.3, 1.0)  # share of the stance's width that is left between the feet
    lean = a.vary(-0.03, 0.3)
    alternating = way == "walking" or (a.chance(0.4) and way != "split")
    shape = _lunge_shape(a, wanted, back_knee)
    inward = (1 - inline) * a.bones.hip * person.stance
    heel = (0.0, a.vary(0.6, 0.9))
    lunge = _Lunge(a, pace, wanted, shape, inward, heel, lean, hold_arms(a, style))
    if way == "split":
        c = _split_lunges(lunge, reps)
        script = c.wait(a.vary(0.5, 1.5)).script()
    else:
        c = _stepping_lunges(lunge, way, reps, alternating=alternating)
        script = _end(a, c)
    return Exercised(script, tuple(c.spans), person, f"lunge {way}, arms {style}")


def _split_lunges(lunge: _Lunge, reps: int) -> Choreography:
    """Both feet stay where they are, one far in front of the other."""
    a, pace, side = lunge.actor, lunge.pace, lunge.actor.main
    middle = 0.5 * lunge.shape.length
    c = Choreography()
    c.go(
        0.0, lunge.arms, lunge.foot(side, middle), lunge.foot(1 - side, -middle), {("foot", 1 - side): (0.0, 0.3)}
    )  # fmt: skip
    c.wait(a.vary(0.5, 2.0))
    for _ in range(reps):
        start_s = c.now_s
        down, hips_back = lunge.sink(_again(a, lunge.knee_rad, LUNGE_KNEE_DEG))
        low: Posture = {
            PELVIS: (0.0, -down, middle - hips_back), ("foot", 1 - side): lunge.heel, **_lean(lunge.lean, 0.5)
        }  # fmt: skip
        up: Posture = {PELVIS: FLAT, ("foot", 1 - side): (0.0, 0.3), TILT: FLAT, TRUNK: FLAT, HEAD: FLAT}
        c.go(pace.move(1.0), low).wait(pace.hold()).go(pace.move(0.95), up)
        c.mark(start_s)
        c.wait(pace.rest())
    return c


def _stepping_lunges(lunge: _Lunge, way: str, reps: int, *, alternating: bool) -> Choreography:
    """A step into each lunge, "forward" or "reverse" and back again, or "walking" on."""
    a, pace, side = lunge.actor, lunge.pace, lunge.actor.main
    foot, length = lunge.foot, lunge.shape.length
    c = _begin(a, lunge.arms)
    c.go(0.0, foot(LEFT, 0.0), foot(RIGHT, 0.0))
    place = 0.0  # where the feet stood before the last step, walking
    lifted = a.vary(0.09, 0.2)
    upright: Posture = {TILT: FLAT, TRUNK: FLAT, HEAD: FLAT}
    for i in range(reps):
        start_s = c.now_s
        down, hips_back = lunge.sink(lunge.knee_rad if way == "walking" else _again(a, lunge.knee_rad, LUNGE_KNEE_DEG))
        mover = side if way != "reverse" else 1 - side
        ahead = place + length if way != "reverse" else -length
        hips = ahead - hips_back if way != "reverse" else -hips_back
        aside = -float(OUTWARD[mover]) * 0.5 * a.bones.hip
        begun = place if way != "walking" or i == 0 else place - length
        midway: Posture = {
            **foot(mover, 0.5 * (begun + ahead)),
            ("foot", mover): (lifted, 0.1),
            PELVIS: (aside, -0.02 - 0.1 * down, place + 0.25 * (hips - place)),
        }
        landed: Posture = {
            **foot(mover, ahead),
            ("foot", mover): FLAT[:2] if way != "reverse" else (0.0, 0.5),
            PELVIS: (0.0, -0.4 * down, place + 0.7 * (hips - place)),
            **_lean(lunge.lean, 0.5),
        }
        rear = 1 - side
        low = {PELVIS: (0.0, -down, hips), ("foot", rear): lunge.heel}
        if way != "reverse" and i and way == "walking":
            c.go(0.0, {("foot", rear): FLAT[:2]})
        c.go(pace.move(0.38), midway).go(pace.move(0.32), landed).go(pace.move(0.5), low).wait(pace.hold())
        if way == "walking":
            place = ahead
            c.go(pace.move(0.45), {PELVIS: (0.0, -0.6 * down, ahead - 0.8 * hips_back)}, upright)
            c.mark(start_s)
            if i == reps - 1 or a.chance(0.4):  # the feet meet before the next step
                gather: Posture = {**foot(rear, ahead - 0.4 * length), ("foot", rear): (0.6 * lifted, 0.2)}
                c.go(pace.move(0.3), gather, {PELVIS: (0.0, -0.02, ahead - 0.1)})
                c.go(pace.move(0.3), foot(rear, ahead), {("foot", rear): FLAT[:2], PELVIS: (0.0, 0.0, ahead)})
                c.wait(pace.rest())
        else:
            pushed = {PELVIS: (0.0, -0.45 * down, 0.55 * hips), ("foot", rear): (0.0, 0.25)}
            midway = {**midway, PELVIS: (aside, -0.02 - 0.1 * down, 0.2 * hips)}
            home = {**foot(mover, 0.0), ("foot", mover): FLAT[:2], ("foot", rear): FLAT[:2], PELVIS: FLAT}
            c.go(pace.move(0.4), pushed).go(pace.move(0.3), midway, upright).go(pace.move(0.35), home)
            c.mark(start_s)
            c.wait(pace.rest())
        if alternating:
            side = 1 - side
    return c


def side_lunge(a: Actor, reps: int) -> Exercised:
    """The weight goes over one bent knee while the other leg stays long, out to the side."""
    person = replace(a.person, stance=a.vary(1.0, 1.6), toe_out=a.vary(0.0, 0.4))
    b, pace = a.bones, _Pace(a)
    wanted, shin_share = _radians(a, SIDE_LUNGE_KNEE_DEG), a.vary(0.25, 0.38)
    style = ("rising", "clasped", "clasped", "hips", "sides", "forward", "crossed", "wide")[a.count(0, 7)]
    stepping, alternating = a.chance(0.5), a.chance(0.5)
    down, back = sink(b, wanted, min(shin_share * wanted, 0.65))
    high = STANDING_LEG * b.leg - down
    over = a.vary(-0.1, 0.5) * b.hip  # the hip is a little inside of the foot
    stretched = float(np.sqrt(max((0.998 * b.leg) ** 2 - high**2 - back**2, (0.3 * b.leg) ** 2)))
    apart = stretched + 2 * b.hip + over  # ankle to ankle
    each = 0.5 * apart - b.hip * person.stance  # that a foot goes out from where it stands
    balance, side = a.vary(0.75, 1.35), a.main
    still = hold_arms(a, "sides" if style == "rising" else style)
    reach = hold_arms(a, "clasped" if a.chance(0.5) else "forward") if style == "rising" else {}
    upright: Posture = {TILT: FLAT, TRUNK: FLAT, HEAD: FLAT}

    def foot(one: int, out: float) -> Posture:
        return {("plant", one): (float(OUTWARD[one]) * out, 0.0, 0.0)}

    if stepping:
        c = _begin(a, still)
        c.go(0.0, foot(LEFT, 0.0), foot(RIGHT, 0.0))
    else:
        c = Choreography().go(0.0, still, foot(LEFT, each), foot(RIGHT, each)).wait(a.vary(0.5, 2.0))
    lifted = a.vary(0.05, 0.14)
    for _ in range(reps):
        start_s = c.now_s
        toward = float(OUTWARD[side])
        share = a.vary(0.9, 1.0)
        out = (0.5 * apart if not stepping else apart - b.hip * person.stance) - b.hip - over
        lean = float(np.arcsin(np.clip(2.0 * back / b.leg * balance, 0.0, 0.85)))
        low: Posture = {
            PELVIS: (toward * out, -down * share, -back * share),
            **_lean(lean * share, 0.55),
            TRUNK: (0.45 * lean * share, 0.0, a.vary(-0.12, 0.12)),
            **reach,
        }
        back_up = still if reach else {}
        if stepping:
            leaving = {**foot(side, each), ("foot", side): (lifted, 0.0), PELVIS: (toward * 0.15 * out, -0.02, 0.0)}
            landed = {**foot(side, 2 * each), ("foot", side): FLAT[:2]}
            landing = {**landed, PELVIS: (toward * 0.6 * out, -0.35 * down, -0.4 * back)}
            c.go(pace.move(0.4), leaving).go(pace.move(0.3), landing)
            c.go(pace.move(0.5), low).wait(pace.hold())
            c.go(pace.move(0.45), {PELVIS: (toward * 0.5 * out, -0.4 * down, -0.4 * back)})
            c.go(pace.move(0.3), leaving, upright)
            c.go(pace.move(0.35), foot(side, 0.0), {("foot", side): FLAT[:2], PELVIS: FLAT}, back_up)
        else:
            c.go(pace.move(1.1), low).wait(pace.hold())
            c.go(pace.move(1.0), {PELVIS: FLAT}, upright, back_up)
        c.mark(start_s)
        c.wait(pace.rest())
        if alternating:
            side = 1 - side
    variant = f"side lunge {'stepping' if stepping else 'wide stance'}, arms {style}"
    return Exercised(_end(a, c), tuple(c.spans), person, variant)


def leg_raise(a: Actor, reps: int) -> Exercised:
    """Standing on one leg, the other one goes up long: forward, or sideways or backward."""
    person = replace(a.person, stance=a.vary(0.7, 1.5))
    b, pace = a.bones, _Pace(a)
    way = ("forward", "forward", "forward", "sideways", "backward")[a.count(0, 4)]
    wanted, bent = _radians(a, LEG_RAISE_DEG[way]), a.vary(0.03, 0.3)
    style = ("sides", "hips", "support", "support", "wide", "crossed", "forward", "shoulders")[a.count(0, 7)]
    alternating = a.chance(0.35)
    side = a.main
    counter = a.vary(0.1, 0.35)
    c = _begin(a, on_support(a, 1 - side) if style == "support" else hold_arms(a, style))
    alternating = alternating and style != "support"
    for _ in range(reps):
        start_s = c.now_s
        high = _again(a, wanted, LEG_RAISE_DEG[way])
        swing, standing = ("swing", side), -float(OUTWARD[side])
        shift = standing * b.hip * a.vary(0.7, 1.0)

        def at(share: float, high: float = high, swing: tuple[str, int] = swing, shift: float = shift) -> Posture:
            angle = share * high
            forward = angle if way == "forward" else -angle if way == "backward" else 0.0
            lean = -counter * forward if way == "forward" else -1.1 * counter * forward
            tip = np.sign(shift) * counter * angle if way == "sideways" else 0.0
            return {
                swing: leg(forward, bent * (0.5 + 0.5 * share), angle if way == "sideways" else 0.03),
                PELVIS: (shift, -0.008, 0.0),
                TILT: (0.4 * lean, 0.0, 0.5 * tip),
                TRUNK: (0.6 * lean, 0.0, 0.5 * tip),
            }

        home: Posture = {swing: LEG_DOWN, PELVIS: FLAT, TILT: FLAT, TRUNK: FLAT}
        lifting: Posture = {swing: (0.0, 0.0, 0.03, STANDING_LEG), PELVIS: (0.8 * shift, 0.0, 0.0)}
        c.go(pace.move(0.25), lifting).sweep(pace.move(1.1 * high**0.5), at, 4).wait(pace.hold())
        c.sweep(pace.move(1.0 * high**0.5), at, 4, start=1.0, end=0.05).go(pace.move(0.2), home)
        c.mark(start_s)
        c.wait(pace.rest())
        if alternating:
            side = 1 - side
    return Exercised(_end(a, c), tuple(c.spans), person, f"leg raise {way}, arms {style}")


def shoulder_extension(a: Actor, reps: int) -> Exercised:
    """A long arm goes from the hip, or from in front of it, backward and returns."""
    pace = _Pace(a)
    wanted, straight, from_front = _radians(a, EXTENSION_DEG), a.vary(0.95, 0.995), a.vary(-0.05, 0.5)
    how = "both" if a.chance(0.4) else "one"
    lean, out = a.vary(0.0, 0.12), a.vary(0.05, 0.3)
    free = hold_arms(a, "hips") if how == "one" and a.chance(0.25) else {}
    c = _begin(a, free)
    for _ in range(reps):
        far = _again(a, wanted, EXTENSION_DEG)

        def at(share: float, far: float = far) -> Posture:
            angle = from_front - share * (from_front + far)
            up, ahead = -float(np.cos(angle)), float(np.sin(angle))
            far_out = straight * (1.0 + 0.1 * max(-ahead, 0.0))  # the shoulder goes back with the arm
            place = hand((out, far_out * up * float(np.cos(out)), far_out * ahead), (0.5, 0.1, -1.0))
            posture: dict[tuple[str, int], Vector | None] = {TRUNK: (lean * share, 0.0, 0.0)}
            for side in (LEFT, RIGHT) if how == "both" else (a.main,):
                posture["hand", side] = place
            return posture

        start_s = c.now_s
        c.sweep(pace.move(1.0), at, 4).wait(pace.hold())
        c.sweep(pace.move(0.95), at, 4, start=1.0, end=0.0)
        c.mark(start_s)
        c.wait(pace.rest())
    return Exercised(_end(a, c), tuple(c.spans), a.person, f"shoulder extension, {how}")


def shoulder_rotation(a: Actor, reps: int) -> Exercised:
    """The elbow stays where it is, bent, and the forearm swings: in and out at the side, or up and down held out."""
    pace, b = _Pace(a), a.bones
    held_out = a.chance(0.5)
    inward, outward = _radians(a, ROTATION_IN_DEG), _radians(a, ROTATION_OUT_DEG)
    if held_out:
        inward, outward = -_radians(a, ROTATION_LOW_DEG), _radians(a, ROTATION_HIGH_DEG)
    away, rise = a.vary(0.0, 0.12), a.vary(-0.2, 0.25)  # elbow from the body, forearm above level
    level, plane, bent = a.vary(-0.1, 0.1), a.vary(-0.1, 0.4), a.vary(1.0, 1.6)
    how = "both" if a.chance(0.35) else "one"
    upper, fore = b.upper_arm / b.arm, b.forearm / b.arm
    free = hold_arms(a, "hips") if how == "one" and a.chance(0.25) else {}

    def at(angle: float) -> Posture:
        if held_out:
            out = fore * float(np.sin(bent))
            place = (
                upper * float(np.cos(plane)) + fore * float(np.cos(bent)),
                level + out * float(np.sin(angle)),
                upper * float(np.sin(plane)) + out * float(np.cos(angle)),
            )
            value = hand(place, (1.0, 0.0, 0.2))
        else:
            place = (
                away + fore * float(np.cos(rise) * np.sin(angle)),
                -0.98 * upper + fore * float(np.sin(rise)),
                fore * float(np.cos(rise) * np.cos(angle)) - 0.03,
            )
            value = hand(place, (0.15, -1.0, -0.05))
        return {("hand", side): value for side in ((LEFT, RIGHT) if how == "both" else (a.main,))}

    c = _begin(a, {**free, **at(-inward)})
    for _ in range(reps):
        start_s = c.now_s
        far, near = outward * a.vary(0.9, 1.05), inward * a.vary(0.9, 1.05)
        c.sweep(pace.move(0.95), at, 4, start=-inward, end=far).wait(pace.hold())
        c.sweep(pace.move(0.95), at, 4, start=far, end=-near)
        c.mark(start_s)
        c.wait(pace.rest())
        inward = near
    where = "held out" if held_out else "at the side"
    return Exercised(_end(a, c), tuple(c.spans), a.person, f"shoulder rotation {where}, {how}")


def squat_or_chair(a: Actor, reps: int) -> Exercised:
    """A squat in two thirds of the sets, a chair in the others."""
    return sit_to_stand(a, reps) if a.chance(0.35) else squat(a, reps)


EXERCISES: dict[str, Callable[[Actor, int], Exercised]] = {
    "squat": squat_or_chair,
    "hurdle step": hurdle_step,
    "inline lunge": inline_lunge,
    "side lunge": side_lunge,
    "leg raise": leg_raise,
    "arm raise": arm_raise,
    "shoulder extension": shoulder_extension,
    "shoulder rotation": shoulder_rotation,
}


def exercise(
    name: str,
    person: Subject,
    rng: np.random.Generator,
    *,
    reps: int | None = None,
    sensor: Sensor | None = None,
    fps: float = 30.0,
) -> Recording:
    """One set of an exercise: standing, the repetitions with pauses, standing.

    Args:
        name: One of `EXERCISES`.
        person: Who does it; height, proportions and tempo are theirs, everything else is drawn.
        rng: Draws variant, depth, tempo, pauses and camera.
        reps: Repetitions; None draws 3 to 8.
        sensor: The camera; None gives the joints as they are: heading for +z, the floor at y = 0, nothing lost.
        fps: Frames per second.

    Returns:
        A recording (1, T, 25, 3) in layout ntu25, metres, with one span named `name` for each repetition. The
        source names the variant behind "#".

    Raises:
        ConfigError: If there is no such exercise, or repetitions or frame rate mean nothing.
    """
    if name not in EXERCISES:
        raise ConfigError(f"there is no synthetic exercise '{name}'; the exercises are {', '.join(EXERCISES)}")
    if reps is not None and not 1 <= reps <= 200:
        raise ConfigError(f"reps must lie in 1..200, got {reps}")
    if not 1 <= fps <= 1000:
        raise ConfigError(f"fps must lie in 1..1000, got {fps}")
    left = person.left_handed != bool(rng.random() < 0.3)
    a = Actor(person=person, rng=rng, main=LEFT if left else RIGHT, beat=1.0, size=1.0)
    made = EXERCISES[name](a, a.count(*REPS) if reps is None else reps)
    times_s = np.arange(max(2, round(made.script.duration_s * fps)), dtype=np.float64) / fps
    held = play(made.person, [(0.0, made.script)], times_s, rng)
    world = joints(made.person, held)[None]  # (1, T, 25, 3)
    return Recording(
        poses=world.astype(np.float32) if sensor is None else see(sensor, world, times_s, fps, rng),
        times_s=times_s,
        layout="ntu25",
        subject=person.number,
        source=f"synthetic/{name.replace(' ', '_')}_s{person.number:02d}#{made.variant}",
        spans=tuple(Span(start_s, end_s, name) for start_s, end_s in made.spans),
    )
