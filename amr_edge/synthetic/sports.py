"""Whole-body movements that are no exercise: walking, games, dance, picking up, falling, lying."""

from collections.abc import Callable

import numpy as np

from amr_edge.synthetic.actions import bow, jump, kick, punch, throw, walk
from amr_edge.synthetic.actor import ELBOW_DOWN, ELBOW_OUT, Actor, Keys, Vector, hand
from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT
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
    sink,
)
from amr_edge.synthetic.motion import HANG, Script, Step

ON_FEET: Posture = {("swing", LEFT): LEG_DOWN, ("swing", RIGHT): LEG_DOWN}


def _crouch(a: Actor, low_deg: float, high_deg: float) -> Vector:
    """The pelvis over knees that are bent by so much."""
    knee = float(np.deg2rad(a.vary(low_deg, high_deg)))
    down, back = sink(a.bones, knee, 0.45 * knee)
    return (0.0, -down, -back)


def _plant(side: int, out_m: float, ahead_m: float, turned: float = 0.0) -> Posture:
    """A foot put outward and forward of where it stood."""
    return {("plant", side): (float(OUTWARD[side]) * out_m, ahead_m, turned)}


def _on_floor(a: Actor, over_m: float) -> float:
    """Up of the pelvis so that it is `over_m` above the floor."""
    b = a.bones
    return over_m - (b.ankle_height + STANDING_LEG * b.leg + b.hip_drop)


# Walking


def stroll(a: Actor) -> Script:
    """Steps to any side: forward, backward, sideways, in a bow, or turning on the spot."""
    way = (0.0, 0.0, np.pi, np.pi / 2, -np.pi / 2, a.vary(-3.1, 3.1))[a.count(0, 5)]
    speed, step_s = a.vary(0.25, 0.7) * (0.7 if abs(way) > 1 else 1.4), a.vary(0.38, 0.65)
    seconds, curve_rad = a.vary(2.0, 7.0), a.vary(-1.2, 1.2)
    if a.chance(0.25):
        speed, curve_rad = 0.0, a.vary(1.0, 5.0) * (1 if a.chance(0.5) else -1)
    elif abs(way) > 0.1:
        curve_rad *= 0.3
    path, place = [(0.0, 0.0, 0.0, 0.0)], np.zeros(2)
    knots = max(2, round(seconds / 0.5))
    for i in range(1, knots + 1):
        share = i / knots
        yaw = curve_rad * share
        ramp = min(1.0, 2.5 * share, 2.5 * (1 - share) + 0.1)
        place = place + speed * ramp * seconds / knots * np.array([np.sin(yaw + way), np.cos(yaw + way)])
        path.append((share * seconds, float(place[0]), float(place[1]), yaw))
    lift = a.vary(0.05, 0.12)
    steps, at_s, side = [], 0.1, a.count(LEFT, RIGHT)
    while at_s < seconds + step_s:
        steps.append(Step(side, at_s, at_s + 0.82 * step_s, lift))
        at_s, side = at_s + step_s, 1 - side
    swing = a.vary(0.02, 0.3)
    pelvis, trunk = Keys("pelvis", 0, 1.0, 3), Keys("trunk", 0, 1.0, 3)
    arms = [Keys("hand", one, 1.0, 9) for one in (LEFT, RIGHT)]
    for step in steps:
        aside = -float(OUTWARD[step.side])
        middle = 0.5 * (step.start_s + step.end_s)
        pelvis.to(middle - pelvis.now_s, (aside * 0.025, -0.012 * a.bones.leg, 0.0))
        pelvis.to(step.end_s - pelvis.now_s, (0.0, -0.025 * a.bones.leg, 0.0))
        trunk.to(step.end_s - trunk.now_s, (0.03, -0.1 * aside, 0.0))
        for one, keys in enumerate(arms):
            ahead = aside * float(OUTWARD[one]) * swing
            keys.to(step.end_s - keys.now_s, hand((0.17, -float(np.sqrt(0.9 - ahead**2)), ahead + 0.05), HANG))
    tracks = tuple(keys.to(0.35, None).track() for keys in (pelvis, trunk, *arms))
    end_s = pelvis.now_s
    return Script(end_s, (0.0, end_s), tracks, np.array(path), tuple(steps))


def walk_off(a: Actor) -> Script:
    """Walks somewhere, and at times back."""
    return walk(a, turn_rad=a.vary(-2.6, 2.6), length_m=a.vary(1.0, 4.0), back=a.chance(0.3))


def _in_turn(a: Actor, thigh: tuple[float, float], knee: tuple[float, float], step_s: float, bounce: float) -> Script:
    """The legs come up in turn on the spot, the bent arms swing along."""
    c, side = Choreography(), a.main
    high, bent = a.vary(*thigh), a.vary(*knee)
    pump, elbow = a.vary(0.05, 0.25), a.vary(-0.55, -0.3)
    loose = a.chance(0.3)
    lean = a.vary(0.0, 0.15)
    for _ in range(a.count(6, 22)):
        up_s = step_s * a.vary(0.92, 1.08)
        standing = -float(OUTWARD[side])
        raised: Posture = {("swing", side): leg(high * a.vary(0.85, 1.1), bent * a.vary(0.9, 1.1), 0.04)}
        arms: Posture = {
            ("hand", one): hand((0.12, -0.85 if loose else elbow, (0.25 if one != side else -0.05) + pump), HANG)
            for one in (LEFT, RIGHT)
        }
        shift = standing * a.bones.hip * 0.35
        c.go(0.5 * up_s, raised, arms, {PELVIS: (shift, bounce, 0.0), TRUNK: (lean, 0.12 * standing, 0.0)})
        c.go(0.5 * up_s, {("swing", side): LEG_DOWN, PELVIS: (0.0, -0.03, 0.0)})
        side = 1 - side
    return c.home(0.5).script()


def jog(a: Actor) -> Script:
    """Runs on the spot, knees low or heels high."""
    if a.chance(0.3):
        return _in_turn(a, (-0.15, 0.15), (1.3, 2.1), a.vary(0.27, 0.42), 0.03)
    return _in_turn(a, (0.3, 0.75), (0.8, 1.8), a.vary(0.27, 0.42), 0.03)


def march(a: Actor) -> Script:
    """Steps on the spot with low thighs."""
    return _in_turn(a, (0.25, 0.75), (0.5, 1.1), a.vary(0.4, 0.75), 0.0)


def hop(a: Actor) -> Script:
    """Hops on one leg or on both, as over a rope."""
    high, both = a.vary(0.05, 0.16), a.chance(0.5)
    dip, up_s = a.vary(0.04, 0.1), a.vary(0.16, 0.24)
    c, side = Choreography(), a.main
    start: Posture = {} if both else {("swing", side): leg(a.vary(-0.1, 0.5), a.vary(1.0, 1.6))}
    shift = 0.0 if both else -float(OUTWARD[side]) * a.bones.hip * 0.8
    forearms = both_hands(hand((a.vary(0.15, 0.4), a.vary(-0.6, -0.4), a.vary(0.1, 0.4)), HANG))
    c.go(0.4, start, forearms, {PELVIS: (shift, -dip, 0.0)})
    feet = (LEFT, RIGHT) if both else (1 - side,)
    for _ in range(a.count(2, 12)):
        c.go(0.1, *({("foot", one): (0.0, 0.35)} for one in feet), {PELVIS: (shift, 0.02, 0.0)})
        aloft: Posture = {("foot", one): (high / a.bones.leg, 0.6) for one in feet}
        c.go(up_s, aloft, {PELVIS: (shift, high + 0.03, 0.0)})
        c.go(up_s, *({("foot", one): (0.0, 0.2)} for one in feet), {PELVIS: (shift, 0.0, 0.0)})
        c.go(0.1, {PELVIS: (shift, -dip, 0.0)}).wait(a.vary(0.0, 0.1))
    return c.home(0.5).script()


def jumping_jack(a: Actor) -> Script:
    """Feet jump apart while the arms fly up, and together again."""
    wide, half_s = a.vary(0.15, 0.3), a.vary(0.3, 0.55)
    top, straight = a.vary(1.7, 2.9), a.vary(0.85, 0.99)
    c = Choreography().go(0.3, both_hands(hand(arm(0.25, 0.1, 0.97), (0.3, -0.5, -0.8))))
    closed = (_plant(LEFT, 0.0, 0.0), _plant(RIGHT, 0.0, 0.0))
    c.go(0.0, *closed)
    for _ in range(a.count(3, 10)):
        for apart in (True, False):
            halfway = 0.25 + 0.5 * (top - 0.25)
            end = top if apart else 0.25
            out = wide if apart else 0.0
            feet = (_plant(LEFT, 0.5 * wide, 0.0), _plant(RIGHT, 0.5 * wide, 0.0))
            aloft: Posture = {("foot", one): (0.06, 0.4) for one in (LEFT, RIGHT)}
            landed: Posture = {("foot", one): (0.0, 0.1) for one in (LEFT, RIGHT)}
            pole = (0.3, -0.5, -0.8)
            c.go(
                0.5 * half_s, *feet, aloft, both_hands(hand(arm(halfway, 0.1, straight), pole)), {PELVIS: (0, 0.05, 0)}
            )
            c.go(0.5 * half_s, _plant(LEFT, out, 0.0), _plant(RIGHT, out, 0.0), landed)
            c.go(0.0, both_hands(hand(arm(end, 0.1, straight), pole)), {PELVIS: (0.0, -0.03, 0.0)})
    return c.home(0.5).script()


# Games


def basketball_shot(a: Actor) -> Script:
    """The ball goes from the belly over the forehead up and away, with a dip of the knees before and a hop."""
    h, t = a.person.height_m, a.main
    dip, high = _crouch(a, 20, 45), a.vary(0.0, 0.22)
    c = Choreography()
    belly = both_hands(hand(a.at_body(0.05 * h, -0.15 * h, 0.16 * h), ELBOW_OUT))
    brow = both_hands(hand(a.at_face(0.04, a.vary(0.14, 0.19), 0.12), ELBOW_DOWN, (0.0, 0.6, -0.2)))
    away: Posture = {
        ("hand", t): hand((0.0, 0.95, 0.5), ELBOW_OUT, (0.0, -0.3, 0.6)),
        ("hand", 1 - t): hand((0.0, 0.72, 0.4), ELBOW_OUT),
    }
    c.go(a.vary(0.3, 0.7) * a.beat, belly, {PELVIS: dip, TRUNK: (a.vary(0.1, 0.3), 0.0, 0.0)}).wait(a.vary(0.0, 0.5))
    c.go(a.vary(0.25, 0.45) * a.beat, brow, {PELVIS: (0.0, -0.02, 0.0), TRUNK: FLAT})
    aloft: Posture = {("foot", one): (high / a.bones.leg, 0.5) for one in (LEFT, RIGHT)}
    c.go(a.vary(0.16, 0.25), away, aloft, {PELVIS: (0.0, high + 0.02, 0.03)}).wait(0.04)
    landed: Posture = {("foot", one): (0.0, 0.0) for one in (LEFT, RIGHT)}
    c.go(0.22, landed, {PELVIS: (0.0, -0.05, 0.02)}).wait(a.vary(0.0, 0.6))
    return c.home(a.vary(0.4, 0.8) * a.beat).script()


def dribble(a: Actor) -> Script:
    """A bouncing ball under one hand, knees bent, the other arm guards; at times the hands change."""
    c, side = Choreography(), a.main
    low, lean = _crouch(a, 15, 48), a.vary(0.15, 0.5)
    half_s = a.vary(0.17, 0.3)
    stagger = a.vary(0.0, 0.25)
    c.go(0.3, _plant(a.other, 0.0, stagger), {("foot", a.other): (0.05, 0.1)})
    c.go(0.3, {PELVIS: low, TRUNK: (lean, 0.0, 0.0), HEAD: (-0.3 * lean, 0.0, 0.0), ("foot", a.other): (0.0, 0.0)})
    for _ in range(a.count(4, 16)):
        if a.chance(0.12):
            side = 1 - side
        guard = hand((a.vary(0.1, 0.4), -0.5, 0.45), ELBOW_OUT)
        out = a.vary(0.1, 0.35)
        c.go(half_s, {("hand", side): hand((out, -0.55, 0.5), ELBOW_OUT), ("hand", 1 - side): guard})
        c.go(half_s, {("hand", side): hand((out, -0.85, 0.42), ELBOW_OUT), PELVIS: (a.vary(-0.05, 0.05), *low[1:])})
    return c.go(0.3, {("foot", a.other): (0.06, 0.1)}, _plant(a.other, 0.0, 0.5 * stagger)).home(0.4).script()


def racket(a: Actor) -> Script:
    """A tennis or badminton stroke: forehand, backhand or serve."""
    t, side, free, kind = a.toward, a.main, a.other, a.count(0, 2)
    c = Choreography()
    ready: Posture = {
        ("hand", side): hand((0.0, -0.4, 0.5), ELBOW_DOWN),
        ("hand", free): hand((-0.1, -0.4, 0.45), ELBOW_DOWN),
        PELVIS: _crouch(a, 10, 35),
        TRUNK: (0.2, 0.0, 0.0),
    }
    out: Vector = (0.3, -0.2, 0.45)
    c.go(a.vary(0.3, 0.7), ready).wait(a.vary(0.0, 0.8))
    for _ in range(a.count(1, 3)):
        back_s, hit_s = a.vary(0.35, 0.7) * a.beat, a.vary(0.14, 0.26)
        twist = t * a.vary(0.5, 0.9)
        if kind == 0:
            wound, hit, past = (0.55, a.vary(-0.4, 0.0), -0.4), (0.45, -0.25, 0.6), (-0.55, a.vary(0.1, 0.4), 0.4)
        elif kind == 1:
            twist = -twist
            wound, hit, past = (-0.65, a.vary(-0.5, -0.2), 0.2), (0.3, -0.25, 0.65), (0.65, a.vary(0.0, 0.4), 0.3)
        else:
            wound, hit, past = (0.25, 0.25, -0.25), (0.15, 0.95, 0.25), (-0.35, -0.5, 0.5)
            out = (0.05, 0.6, 0.45)
        c.go(back_s, {("hand", side): hand(wound, ELBOW_OUT), ("hand", free): hand(out, ELBOW_DOWN)})
        c.go(0.0, {TRUNK: (0.05, twist, 0.0), PELVIS: (t * 0.04, -0.04, -0.04)})
        c.go(hit_s, {("hand", side): hand(hit, ELBOW_OUT), TRUNK: (0.15, -0.2 * twist, 0.0)})
        c.go(hit_s * 1.3, {("hand", side): hand(past, ELBOW_OUT), ("hand", free): hand((0.1, -0.4, 0.35))})
        c.go(0.0, {TRUNK: (0.2, -0.7 * twist, 0.0), PELVIS: (-t * 0.04, -0.05, 0.06)})
        c.wait(a.vary(0.05, 0.3)).go(a.vary(0.4, 0.8), ready).wait(a.vary(0.0, 0.6))
    return c.home(0.5).script()


def swing_club(a: Actor) -> Script:
    """Both hands swing a club or a bat round the body: golf low, baseball at the chest."""
    h, t = a.person.height_m, a.toward
    golf = a.chance(0.5)
    lean, knees = (a.vary(0.3, 0.55), _crouch(a, 10, 30)) if golf else (a.vary(0.05, 0.2), _crouch(a, 10, 40))
    c = Choreography()

    def at(aside: float, up: float, front: float) -> Posture:
        """Both hands together, `aside` towards the acting side, in body heights from the upper spine."""
        return {
            ("hand", side): hand(a.at_body(way * aside * h + 0.012 * h, up * h, front * h), ELBOW_DOWN)
            for side, way in ((a.main, 1.0), (a.other, -1.0))
        }

    down = at(0.0, -0.26 if golf else -0.05, 0.2)
    up_back, up_front = at(0.11, a.vary(0.0, 0.1), 0.08), at(-0.12, a.vary(0.0, 0.12), 0.06)
    wide = a.vary(0.02, 0.15)
    c.go(0.25, {("foot", LEFT): (0.05, 0.0)}, _plant(LEFT, wide, 0.0)).go(0.2, {("foot", LEFT): (0.0, 0.0)})
    c.go(a.vary(0.3, 0.8), down, {TRUNK: (lean, 0.0, 0.0), PELVIS: knees}).wait(a.vary(0.1, 1.0))
    for _ in range(a.count(1, 3)):
        twist = t * a.vary(0.6, 1.0)
        c.go(a.vary(0.5, 1.0) * a.beat, up_back, {TRUNK: (lean, twist, 0.0), TILT: (0.0, 0.3 * twist, 0.0)})
        c.wait(a.vary(0.0, 0.3)).go(a.vary(0.15, 0.3), down, {TRUNK: (lean, 0.0, 0.0)})
        c.go(a.vary(0.15, 0.3), up_front, {TRUNK: (0.5 * lean, -twist, 0.0), TILT: (0.0, -0.4 * twist, 0.0)})
        c.wait(a.vary(0.1, 0.8)).go(a.vary(0.5, 0.9), down, {TRUNK: (lean, 0.0, 0.0), TILT: FLAT})
    return c.home(0.6).script()


def bowl(a: Actor) -> Script:
    """A long arm swings back and forward low, with a slide of the other foot, as in bowling."""
    side, other = a.main, a.other
    c = Choreography()
    ahead = a.vary(0.25, 0.45)
    c.go(a.vary(0.4, 0.8), {("hand", side): hand((-0.1, -0.35, 0.45)), ("hand", other): hand((-0.2, -0.35, 0.45))})
    c.go(0.35 * a.beat, {("hand", side): hand((0.05, -0.75, 0.6), HANG)}, {TRUNK: (0.25, 0.0, 0.0)})
    back = hand((0.1, -0.75, -0.55), HANG)
    c.go(0.4 * a.beat, {("hand", side): back, ("hand", other): hand((0.5, -0.5, 0.2))}, _plant(other, 0.0, 0.5 * ahead))
    c.go(0.0, {("foot", other): (0.05, 0.0), PELVIS: (0.0, -0.05, 0.15 * ahead), TRUNK: (0.5, 0.0, 0.0)})
    low = _crouch(a, 20, 42)
    c.go(0.25 * a.beat, {("hand", side): hand((0.0, -0.8, 0.45), HANG)}, _plant(other, 0.0, ahead))
    c.go(0.0, {("foot", other): (0.0, 0.0), PELVIS: (0.0, low[1], 0.55 * ahead), ("foot", side): (0.0, 0.4)})
    c.go(0.25 * a.beat, {("hand", side): hand((-0.2, 0.2, 0.75))}).wait(a.vary(0.2, 0.9))
    c.go(0.5, {PELVIS: (0.0, -0.04, 0.5 * ahead), TRUNK: FLAT, ("foot", side): (0.0, 0.2)})
    c.go(0.3, {("foot", other): (0.06, 0.0)}, _plant(other, 0.0, 0.5 * ahead))
    return c.home(0.35).script()


def ride(a: Actor) -> Script:
    """Stands sideways on a board, knees soft, arms out for balance; a push with one leg now and then."""
    c = Choreography()
    wide, knees = a.vary(0.05, 0.2), _crouch(a, 15, 50)
    lean = a.vary(0.1, 0.45)
    look = float(OUTWARD[a.count(LEFT, RIGHT)]) * a.vary(0.5, 1.1)
    c.go(0.3, {("foot", LEFT): (0.05, 0.0)}, _plant(LEFT, wide, 0.0)).go(0.15, {("foot", LEFT): (0.0, 0.0)})
    c.go(0.3, {("foot", RIGHT): (0.05, 0.0)}, _plant(RIGHT, wide, 0.0)).go(0.15, {("foot", RIGHT): (0.0, 0.0)})
    for _ in range(a.count(3, 9)):
        deeper = a.vary(0.5, 1.0)
        arms: Posture = {
            ("hand", side): hand((a.vary(0.3, 0.7), a.vary(-0.65, 0.05), a.vary(-0.2, 0.4)), HANG)
            for side in (LEFT, RIGHT)
        }
        c.go(a.vary(0.4, 1.3) * a.beat, arms, {HEAD: (0.0, look, 0.0)})
        c.go(0.0, {PELVIS: (a.vary(-0.08, 0.08), deeper * knees[1], deeper * knees[2])})
        c.go(0.0, {TRUNK: (lean, 0.4 * look, a.vary(-0.15, 0.15))})
        if a.chance(0.25):
            pushing = ("swing", a.main)
            shift = -a.toward * (a.bones.hip + 0.5 * wide)
            c.go(0.25, {PELVIS: (shift, 0.8 * knees[1], knees[2]), pushing: leg(0.2, 0.9)})
            c.go(0.25, {pushing: leg(-0.25, 0.2)}).go(0.3, {pushing: leg(0.1, 0.9)}).go(0.3, {pushing: LEG_DOWN})
    for side in (LEFT, RIGHT):
        c.go(0.25, {("foot", side): (0.05, 0.0), PELVIS: (0.0, -0.03, 0.0)}, _plant(side, 0.5 * wide, 0.0))
        c.go(0.2, {("foot", side): (0.0, 0.0)}, _plant(side, 0.0, 0.0))
    return c.home(0.5).script()


def box(a: Actor) -> Script:
    """Fights a shadow: a staggered stance, guard, jabs, hooks, slips."""
    c, t = Choreography(), a.toward
    ahead = a.vary(0.12, 0.25)
    knees = _crouch(a, 10, 35)
    guard = both_hands(hand((-0.05, a.vary(-0.1, 0.15), 0.42), ELBOW_DOWN, (-0.2, 0.4, 0.0)))
    c.go(0.25, {("foot", a.other): (0.05, 0.0)}, _plant(a.other, 0.03, ahead)).go(0.15, {("foot", a.other): (0.0, 0.0)})
    c.go(0.3, guard, {PELVIS: knees, TRUNK: (0.12, 0.3 * t, 0.0)})
    for _ in range(a.count(4, 16)):
        side = a.other if a.chance(0.6) else a.main
        way = 1.0 if side == a.main else -1.0
        kind = a.count(0, 3)
        bob = (a.vary(-0.06, 0.06), knees[1] * a.vary(0.6, 1.4), knees[2] + a.vary(-0.05, 0.05))
        if kind < 2:
            hit, turned = hand((-0.25, a.vary(-0.05, 0.25), 0.95), ELBOW_OUT), -0.4 * way
        elif kind == 2:
            hit, turned = hand((-0.2, a.vary(0.0, 0.2), 0.6), (1.0, 0.0, 0.0)), -0.5 * way
        else:
            hit, turned = hand((-0.2, a.vary(0.0, 0.3), 0.45), (0.3, -1.0, 0.0)), -0.3 * way
        if a.chance(0.2):  # a slip of the head instead
            c.go(a.vary(0.2, 0.35), {TRUNK: (0.25, 0.2 * t, a.vary(-0.35, 0.35)), PELVIS: bob})
        else:
            c.go(a.vary(0.12, 0.22), {("hand", side): hit, TRUNK: (0.15, turned * t + 0.2 * t, 0.0), PELVIS: bob})
        c.go(a.vary(0.16, 0.3), guard, {TRUNK: (0.12, 0.3 * t, 0.0)}).wait(a.vary(0.0, 0.5))
    return c.go(0.25, {("foot", a.other): (0.05, 0.0)}, _plant(a.other, 0.0, 0.4 * ahead)).home(0.4).script()


# Slow and musical


def tai_chi(a: Actor) -> Script:
    """Slow rounds of soft arms while the weight goes from the back leg to the front one and back."""
    c = Choreography()
    ahead, out = a.vary(0.25, 0.5), a.vary(0.0, 0.1)
    pace_s = a.vary(1.0, 2.6)
    front = a.main
    shallow = _crouch(a, 18, 42)
    step: Posture = {("foot", front): (0.06, -0.1), PELVIS: (-a.toward * a.bones.hip * 0.7, -0.03, 0.0)}
    c.go(0.7 * pace_s, step, _plant(front, out, 0.6 * ahead))
    c.go(0.5 * pace_s, {("foot", front): (0.0, 0.0), PELVIS: (0.0, -0.05, 0.3 * ahead)}, _plant(front, out, ahead))
    for i in range(a.count(3, 8)):
        forward = i % 2 == 0
        hips = (a.vary(-0.03, 0.03), shallow[1], (0.7 if forward else 0.25) * ahead)
        arms: Posture = {
            ("hand", side): hand(
                (a.vary(-0.2, 0.4), a.vary(-0.55, 0.12), a.vary(0.35, 0.7)), ELBOW_OUT, (0.0, 0.5, 0.0)
            )
            for side in (LEFT, RIGHT)
        }
        c.go(pace_s * a.vary(0.8, 1.2), arms, {PELVIS: hips, TRUNK: (0.02, a.vary(-0.4, 0.4), 0.0)})
    c.go(
        0.5 * pace_s, {("foot", front): (0.05, 0.0), PELVIS: (0.0, -0.04, 0.1 * ahead)}, _plant(front, out, 0.4 * ahead)
    )
    return c.home(0.6 * pace_s).script()


def dance(a: Actor) -> Script:
    """Sways and steps from side to side to a beat; the arms do as they like."""
    c = Choreography()
    beat_s, wide = a.vary(0.38, 0.8), a.vary(0.03, 0.12)
    stepping, spread, roll = a.vary(0.0, 0.28), a.vary(0.1, 0.5), a.vary(0.03, 0.2)
    dip = a.vary(0.0, 0.06)
    up, front = a.vary(-0.6, 0.1), a.vary(0.2, 0.5)
    still = a.chance(0.25)
    c.go(0.0, _plant(LEFT, 0.0, 0.0), _plant(RIGHT, 0.0, 0.0)).wait(0.3)
    for i in range(a.count(6, 20) if stepping < 0.05 else a.count(2, 7)):
        side = i % 2
        way = float(OUTWARD[side])
        mid: Posture = {("foot", side): (0.05 if stepping > 0.05 else 0.0, 0.1), PELVIS: (0.0, -0.01 - dip, 0.0)}
        c.go(0.5 * beat_s, mid, _plant(side, 0.5 * stepping, 0.0))
        end: Posture = {
            ("foot", side): (0.0, 0.0),
            PELVIS: (way * (wide + 0.5 * stepping), -0.02, 0.0),
            TRUNK: (0.03, a.vary(-0.2, 0.2), -way * roll),
            TILT: (0.0, 0.0, way * 0.5 * roll),
        }
        arms: Posture = {
            ("hand", one): hand((a.vary(0.0, spread), up + a.vary(-0.2, 0.2), front + a.vary(-0.15, 0.15)), ELBOW_DOWN)
            for one in (LEFT, RIGHT)
        }
        c.go(0.5 * beat_s, end, {} if still else arms, _plant(side, stepping, 0.0))
        if stepping > 0.05:  # the other foot follows
            c.go(0.5 * beat_s, {("foot", 1 - side): (0.05, 0.1)}, _plant(1 - side, -0.5 * stepping, 0.0))
            c.go(0.5 * beat_s, {("foot", 1 - side): (0.0, 0.0)}, _plant(1 - side, -stepping, 0.0))
            back = (_plant(side, 0.0, 0.0), _plant(1 - side, 0.0, 0.0))
            c.go(0.9 * beat_s, *back, {PELVIS: FLAT, ("foot", side): (0.02, 0.1)}).go(0.0, {("foot", side): (0.0, 0.0)})
    return c.home(0.5).script()


def bend_aside(a: Actor) -> Script:
    """The trunk bends to the sides, an arm curved over the head or hands on the hips; or it turns or circles."""
    c = Choreography().go(a.vary(0.5, 0.9), hold_arms(a, ("hips", "crossed", "clasped", "sides")[a.count(0, 3)]))
    kind, deep, pace_s = a.count(0, 2), a.vary(0.25, 0.6), a.vary(0.6, 1.6)
    over = hand(a.at_face(-0.02, 0.25, 0.03), (1.0, 0.3, 0.0), (-0.8, 0.2, 0.0))
    with_arm = kind == 0 and a.chance(0.5)
    for i in range(a.count(2, 7)):
        side = i % 2
        way = float(OUTWARD[side])
        if kind == 0:
            reach: Posture = {("hand", 1 - side): over} if with_arm else {}
            c.go(pace_s, {TRUNK: (0.0, 0.0, -way * deep), TILT: (0.0, 0.0, -0.2 * way * deep)}, reach)
            c.wait(a.vary(0.0, 2.0)).go(0.8 * pace_s, {TRUNK: FLAT, TILT: FLAT}, dict.fromkeys(reach))
        elif kind == 1:
            c.go(pace_s, {TRUNK: (0.0, way * 1.4 * deep, 0.0), HEAD: (0.0, way * 0.4, 0.0)}).wait(a.vary(0.0, 0.6))
        else:  # the hips go round
            for angle in np.arange(8) * np.pi / 4:
                x, z = float(np.cos(angle)), float(np.sin(angle))
                c.go(pace_s / 5, {PELVIS: (0.08 * x, -0.02, 0.07 * z), TRUNK: (-0.25 * z, 0.0, 0.2 * x)})
    return c.home(0.8).script()


def heels_up(a: Actor) -> Script:
    """Rises on the toes and comes down."""
    c = Choreography()
    up_s, pitch = a.vary(0.4, 1.0), a.vary(0.4, 0.8)
    for _ in range(a.count(2, 8)):
        lifted = a.bones.foot * float(np.sin(pitch)) * 0.8
        c.go(up_s, {("foot", LEFT): (0.0, pitch), ("foot", RIGHT): (0.0, pitch), PELVIS: (0.0, lifted, 0.02)})
        c.wait(a.vary(0.0, 0.8)).go(up_s, {("foot", LEFT): (0.0, 0.0), ("foot", RIGHT): (0.0, 0.0), PELVIS: FLAT})
        c.wait(a.vary(0.0, 0.4))
    return c.home(0.3).script()


def stretch_leg(a: Actor) -> Script:
    """Holds one foot behind the body, or bows over one heel, for a while."""
    c, side = Choreography(), a.count(LEFT, RIGHT)
    standing = -float(OUTWARD[side])
    if a.chance(0.5):
        held = hand((0.02, -0.72, -0.25), (0.6, 0.0, -1.0))
        c.go(0.3, {PELVIS: (standing * a.bones.hip * 0.8, 0.0, 0.0), ("swing", side): (0.0, 0.0, 0.03, STANDING_LEG)})
        c.go(a.vary(0.6, 1.0), {("swing", side): leg(-0.1, a.vary(1.7, 2.1)), ("hand", side): held})
        c.go(0.3, {("hand", 1 - side): hand((0.4, -0.4, 0.3), ELBOW_OUT)})
    else:
        ahead = a.vary(0.15, 0.35)
        c.go(0.3, {("foot", side): (0.05, -0.3), PELVIS: (standing * 0.05, -0.02, 0.0)}, _plant(side, 0.0, 0.5 * ahead))
        c.go(0.3, {("foot", side): (0.0, -0.4), PELVIS: (standing * 0.05, -0.06, -0.05)}, _plant(side, 0.0, ahead))
        c.go(a.vary(0.6, 1.2), {TILT: (0.5, 0.0, 0.0), TRUNK: (a.vary(0.2, 0.5), 0.0, 0.0)})
        c.go(0.0, both_hands(hand((0.0, -0.75, 0.5), HANG)))
    return c.wait(a.vary(1.0, 5.0)).home(0.9).script()


def sweep_floor(a: Actor) -> Script:
    """A broom, a rake or a vacuum cleaner goes to and fro before the bent trunk."""
    c, t = Choreography(), a.toward
    lean, half_s = a.vary(0.15, 0.5), a.vary(0.35, 0.9)
    ahead = a.vary(0.05, 0.3)
    c.go(0.3, {("foot", a.other): (0.05, 0.0)}, _plant(a.other, 0.0, ahead)).go(0.15, {("foot", a.other): (0.0, 0.0)})
    for i in range(a.count(4, 14)):
        out = 1.0 if i % 2 == 0 else 0.0
        arms: Posture = {
            ("hand", a.main): hand((-0.05, -0.6 + 0.1 * out, 0.3 + 0.35 * out), ELBOW_OUT),
            ("hand", a.other): hand((-0.1, -0.3 + 0.05 * out, 0.25 + 0.35 * out), ELBOW_OUT),
        }
        c.go(half_s * a.vary(0.8, 1.2) * a.beat, arms, {HEAD: (0.2, 0.0, 0.0)})
        c.go(0.0, {TRUNK: (lean + 0.12 * out, -t * 0.25 * out, 0.0), PELVIS: (0.0, -0.03, 0.3 * ahead + 0.06 * out)})
    return c.go(0.3, {("foot", a.other): (0.05, 0.0)}, _plant(a.other, 0.0, 0.4 * ahead)).home(0.5).script()


# Down to the floor


def pick_up(a: Actor) -> Script:
    """Bends down with a round back and nearly straight legs, takes something and comes up; may hold it."""
    deep = a.vary(1.1, 1.7)
    knees = _crouch(a, 8, 45)
    sides = (LEFT, RIGHT) if a.chance(0.5) else (a.main,)
    turned = a.vary(-0.4, 0.4)
    share = a.vary(0.45, 0.65)
    low: Posture = {
        PELVIS: (0.0, knees[1], knees[2] - 0.14),
        TILT: (share * deep, 0.0, 0.0),
        TRUNK: ((1 - share) * deep, turned, 0.0),
        HEAD: (-0.2, 0.0, 0.0),
    }
    reach = hand((0.05, -float(np.cos(0.7 * deep)), float(np.sin(0.7 * deep))), HANG)
    c = Choreography().go(a.vary(0.5, 1.1) * a.beat, low, {("hand", side): reach for side in sides})
    for _ in range(a.count(0, 3)):
        near = hand((0.05 + a.vary(-0.1, 0.1), -0.75, 0.6 + a.vary(-0.1, 0.1)), HANG)
        c.go(a.vary(0.2, 0.5), {("hand", side): near for side in sides})
    c.wait(a.vary(0.0, 0.5))
    h = a.person.height_m
    carried = hand(a.at_body(0.07 * h, a.vary(-0.25, -0.12) * h, 0.15 * h), ELBOW_DOWN)
    up: Posture = {PELVIS: FLAT, TILT: FLAT, TRUNK: FLAT, HEAD: FLAT}
    if a.chance(0.5):
        c.go(a.vary(0.5, 1.0) * a.beat, up, {("hand", side): carried for side in sides}).wait(a.vary(0.3, 2.5))
    return c.home(a.vary(0.5, 1.0) * a.beat).script()


def tie_shoe(a: Actor) -> Script:
    """Bends over one foot that stands a little ahead, or kneels on the other knee, and works at the shoe."""
    c, side = Choreography(), a.count(LEFT, RIGHT)
    ahead, way = a.vary(0.1, 0.3), float(OUTWARD[side])
    down: Posture = {PELVIS: (way * 0.03, _crouch(a, 25, 55)[1], -0.06), TILT: (0.8, 0.0, 0.0), TRUNK: (0.7, 0.0, 0.0)}
    reach = 0.0
    c.go(0.3, {("foot", side): (0.06, 0.0)}, _plant(side, 0.0, 0.6 * ahead))
    c.go(0.2, {("foot", side): (0.0, 0.0)}, _plant(side, 0.0, ahead))
    if a.chance(0.35):  # kneels: stays there, so it is no lunge
        half = 0.5 * a.bones.leg
        ahead = half
        c.go(0.4, {("foot", side): (0.05, 0.0), PELVIS: (0.0, -0.08, 0.1)}, _plant(side, 0.0, ahead))
        down = {
            PELVIS: (0.0, _on_floor(a, half + 0.08), 0.05),
            TILT: (0.3, 0.0, 0.0),
            TRUNK: (0.8, 0.0, 0.0),
            ("swing", 1 - side): leg(0.0, 1.55),
            ("foot", side): (0.0, 0.0),
            ("foot", 1 - side): (0.0, 0.4),
        }
        reach = 0.12
    c.go(a.vary(0.8, 1.4) * a.beat, down, {HEAD: (0.2, 0.0, 0.0)})
    for _ in range(a.count(5, 16)):
        work: Posture = {
            ("hand", one): hand(
                (-0.1 + a.vary(-0.1, 0.1), -0.5 - reach + a.vary(-0.1, 0.1), 0.75 + a.vary(-0.08, 0.08))
            )
            for one in (LEFT, RIGHT)
        }
        c.go(a.vary(0.2, 0.45), work)
    c.go(0.8, {PELVIS: (0.0, -0.06, 0.0), TILT: FLAT, TRUNK: FLAT, ("swing", 1 - side): LEG_DOWN}, both_hands(None))
    return c.go(0.3, {("foot", side): (0.06, 0.0)}, _plant(side, 0.0, 0.4 * ahead)).home(0.35).script()


def lying(a: Actor, side: str) -> Posture:
    """A body on the floor: on its "back", its "front" or a "side" (the left one)."""
    if side == "back":
        legs: Posture = {("swing", one): leg(1.5 + a.vary(0.0, 0.05), a.vary(0.05, 0.5), 0.08) for one in (LEFT, RIGHT)}
        arms: Posture = {
            ("hand", one): hand((a.vary(0.15, 0.6), a.vary(-0.8, -0.4), a.vary(-0.05, 0.2)), ELBOW_OUT)
            for one in (LEFT, RIGHT)
        }
        return {PELVIS: (0.0, _on_floor(a, 0.1), -0.25 * a.bones.leg), TILT: (-1.5, 0.0, 0.0), **legs, **arms}
    if side == "front":
        legs = {("swing", one): leg(-1.5, a.vary(0.0, 0.1), 0.08) for one in (LEFT, RIGHT)}
        arms = {
            ("hand", one): hand((a.vary(0.1, 0.5), a.vary(0.0, 0.6), a.vary(-0.1, 0.05)), ELBOW_OUT)
            for one in (LEFT, RIGHT)
        }
        return {PELVIS: (0.0, _on_floor(a, 0.17), 0.25 * a.bones.leg), TILT: (1.45, 0.0, 0.0), **legs, **arms}
    bent = a.vary(0.2, 1.0)
    legs = {
        ("swing", LEFT): (1.0, 0.3 * bent, -1.45, float(np.cos(0.5 * bent))),
        ("swing", RIGHT): (1.0, 0.3 * bent, 1.45, float(np.cos(0.5 * bent))),
    }
    arms = both_hands(hand((0.0, a.vary(-0.4, 0.2), a.vary(0.4, 0.7)), ELBOW_DOWN))
    return {PELVIS: (0.2, _on_floor(a, 0.2), 0.0), TILT: (0.0, 0.0, -1.45), **legs, **arms}


def fall(a: Actor) -> Script:
    """Loses the footing, goes down, lies; may get up over a crouch."""
    side = ("back", "front", "side")[a.count(0, 2)]
    c = Choreography().go(0.01, ON_FEET)
    flail: Posture = {
        ("hand", one): hand((a.vary(0.2, 0.7), a.vary(-0.4, 0.3), a.vary(0.1, 0.6)), ELBOW_OUT) for one in (LEFT, RIGHT)
    }
    pitch = {"back": -0.35, "front": 0.5, "side": 0.1}[side]
    b = a.bones
    early: Posture = {
        PELVIS: (0.0, -0.12 * b.leg, 0.12 * b.leg * float(np.sign(pitch))),
        TILT: (pitch, 0.0, -0.3 if side == "side" else 0.0),
        TRUNK: (0.2, 0.0, 0.0),
    }
    c.go(a.vary(0.25, 0.6), early, flail)
    c.go(a.vary(0.35, 0.8), lying(a, side), {TRUNK: (a.vary(0.0, 0.2), 0.0, 0.0)}).wait(a.vary(0.8, 6.0))
    if a.chance(0.5):
        _get_up(a, c)
    return c.home(0.8).script()


def _get_up(a: Actor, c: Choreography) -> None:
    """From the floor over sitting and a crouch with the hands down."""
    sat: Posture = {
        PELVIS: (0.0, _on_floor(a, 0.13), -0.3 * a.bones.leg),
        TILT: (-0.15, 0.0, 0.0),
        TRUNK: (0.3, 0.0, 0.0),
        ("swing", LEFT): leg(1.7, a.vary(0.6, 1.4), 0.15),
        ("swing", RIGHT): leg(1.7, a.vary(0.6, 1.4), 0.15),
        **both_hands(hand((0.35, -0.75, -0.3), HANG)),
    }
    crouched: Posture = {
        PELVIS: (0.0, -0.55 * a.bones.leg, -0.15 * a.bones.leg),
        TILT: (0.6, 0.0, 0.0),
        TRUNK: (0.6, 0.0, 0.0),
        **ON_FEET,
        **both_hands(hand((0.1, -0.7, 0.6), HANG)),
    }
    c.go(a.vary(0.7, 1.5), sat).wait(a.vary(0.1, 1.0)).go(a.vary(0.7, 1.4), crouched)


def rest_on_floor(a: Actor) -> Posture:
    """A way to be on the floor for long: cross-legged, long legs, kneeling, lying."""
    way = a.count(0, 5)
    b = a.bones
    if way > 2:
        return lying(a, ("back", "front", "side")[way - 3])
    if way == 0:
        legs: Posture = {("swing", side): leg(1.75, 2.1, 0.5) for side in (LEFT, RIGHT)}
        return {PELVIS: (0.0, _on_floor(a, 0.12), -0.1), TRUNK: (a.vary(0.1, 0.4), 0.0, 0.0), **legs}
    if way == 1:
        bent = a.vary(0.1, 1.4)
        legs = {("swing", side): leg(1.52 + 0.5 * bent, bent, 0.15) for side in (LEFT, RIGHT)}
        behind = both_hands(hand((0.3, -0.8, -0.35), HANG)) if a.chance(0.5) else both_hands(hand((0.0, -0.6, 0.5)))
        return {PELVIS: (0.0, _on_floor(a, 0.13), -0.2), TRUNK: (a.vary(-0.2, 0.3), 0.0, 0.0), **legs, **behind}
    upright = a.chance(0.5)
    bent = 1.55 if upright else 2.5
    legs = {("swing", side): leg(0.0 if upright else 1.15, bent, 0.08) for side in (LEFT, RIGHT)}
    over = 0.5 * b.leg + 0.06 if upright else 0.5 * b.leg * float(np.cos(1.15)) + 0.06
    toes: Posture = {("foot", side): (0.0, 1.0) for side in (LEFT, RIGHT)}
    return {PELVIS: (0.0, _on_floor(a, over), 0.0), TRUNK: (a.vary(0.0, 0.2), 0.0, 0.0), **legs, **toes}


BODIES: dict[str, Callable[[Actor], Script]] = {
    "walk": walk_off,
    "stroll": stroll,
    "jog on the spot": jog,
    "march on the spot": march,
    "hop": hop,
    "jump": jump,
    "jumping jack": jumping_jack,
    "kick": kick,
    "punch": punch,
    "box": box,
    "throw": throw,
    "shoot a ball": basketball_shot,
    "dribble": dribble,
    "racket": racket,
    "swing a club": swing_club,
    "bowl": bowl,
    "ride a board": ride,
    "tai chi": tai_chi,
    "dance": dance,
    "bend aside": bend_aside,
    "rise on toes": heels_up,
    "stretch a leg": stretch_leg,
    "sweep the floor": sweep_floor,
    "bow": bow,
    "pick up": pick_up,
    "tie a shoe": tie_shoe,
    "fall": fall,
}
