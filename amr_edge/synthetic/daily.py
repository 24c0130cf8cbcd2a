"""Everyday hand movements: eating, telephoning, pointing, drawing in the air, lifting, holding.

Every function returns a random take that moves hands, head and trunk only, so it fits standing, sitting and walking.
"""

from collections.abc import Callable

import numpy as np

from amr_edge.synthetic.actions import clap, drink, wave
from amr_edge.synthetic.actor import ELBOW_DOWN, ELBOW_OUT, Actor, Vector, hand
from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT
from amr_edge.synthetic.choreography import HEAD, TRUNK, Choreography, Posture, arm, both_hands, hold_arms
from amr_edge.synthetic.motion import HANG, Script

AT_MOUTH = (0.8, -0.7, 0.0)  # where the elbow is while the hand is at the mouth


def _side(a: Actor) -> int:
    """The hand of this take: mostly the preferred one."""
    return a.main if a.chance(0.7) else a.other


def _one(side: int, value: Vector) -> Posture:
    return {("hand", side): value}


def _done(a: Actor, c: Choreography) -> Script:
    """Back to rest."""
    return c.home(a.beat * a.vary(0.4, 1.0)).script()


def eat(a: Actor) -> Script:
    """One hand goes from a plate to the mouth and back, bite after bite; the other may hold the plate."""
    side = _side(a)
    low = a.vary(-0.26, -0.14)
    plate = hand(a.at_face(a.vary(0.0, 0.06), low, a.vary(0.14, 0.24)), ELBOW_DOWN, (-0.4, 0.0, 0.2))
    mouth = hand(a.at_face(0.03, 0.05, 0.125), AT_MOUTH, (-0.7, 0.4, -0.3))
    c = Choreography().go(a.vary(0.5, 1.0) * a.beat, _one(side, plate))
    if a.chance(0.5):
        c.go(0.3, _one(1 - side, hand(a.at_face(0.03, low - 0.02, 0.18), ELBOW_DOWN, (-0.4, 0.2, 0.2))))
    nod = a.vary(0.0, 0.3)
    for _ in range(a.count(2, 6)):
        c.go(a.vary(0.4, 0.9) * a.beat, _one(side, mouth), {HEAD: (nod, 0.0, 0.0)}).wait(a.vary(0.1, 0.5))
        c.go(a.vary(0.4, 0.9) * a.beat, _one(side, plate), {HEAD: (0.5 * nod, 0.0, 0.0)}).wait(a.vary(0.1, 1.2))
    return _done(a, c)


def telephone(a: Actor) -> Script:
    """A hand at the ear for a while, the free one talks too."""
    side = _side(a)
    ear = hand(a.at_face(0.06, a.vary(0.06, 0.1), a.vary(0.0, 0.04)), (0.8, -1.0, a.vary(-0.2, 0.4)), (-0.2, 0.7, 0.0))
    tip = float(OUTWARD[side]) * a.vary(-0.25, 0.0)
    c = Choreography().go(a.vary(0.5, 1.0) * a.beat, _one(side, ear), {HEAD: (0.05, 0.0, tip)})
    for _ in range(a.count(1, 5)):
        c.wait(a.vary(0.4, 1.5))
        if a.chance(0.5):
            talk = hand((a.vary(-0.1, 0.3), a.vary(-0.6, -0.2), a.vary(0.3, 0.6)), ELBOW_DOWN)
            c.go(a.vary(0.3, 0.6) * a.beat, _one(1 - side, talk), {HEAD: (a.vary(-0.1, 0.2), a.vary(-0.4, 0.4), tip)})
    return _done(a, c)


def look_at_phone(a: Actor) -> Script:
    """One or both hands hold something small in front, the head bows over it."""
    up, front = a.vary(-0.2, -0.05), a.vary(0.12, 0.2)
    held = hand(a.at_face(0.025, up, front), ELBOW_DOWN, (-0.3, 0.5, 0.0))
    sides = (LEFT, RIGHT) if a.chance(0.5) else (_side(a),)
    c = Choreography().go(a.vary(0.5, 0.9) * a.beat, *(_one(side, held) for side in sides))
    c.go(0.2, {HEAD: (a.vary(0.25, 0.6), 0.0, 0.0), TRUNK: (a.vary(0.0, 0.12), 0.0, 0.0)})
    for _ in range(a.count(2, 10)):  # the thumb scrolls
        near = hand(a.at_face(0.025 + a.vary(-0.006, 0.006), up + a.vary(-0.01, 0.01), front), ELBOW_DOWN)
        c.go(a.vary(0.2, 0.7), _one(sides[-1], near))
    return _done(a, c)


def point(a: Actor) -> Script:
    """One hand shows somewhere, perhaps somewhere else too."""
    side = _side(a)
    c = Choreography()
    for _ in range(a.count(1, 3)):
        # Short of a raised straight arm: either the elbow stays soft or the arm stays below the shoulder.
        soft = a.chance(0.5)
        raised, straight = (a.vary(0.9, 1.6), a.vary(0.72, 0.88)) if soft else (a.vary(0.6, 1.15), a.vary(0.88, 0.99))
        there = hand(arm(raised, a.vary(-0.1, 1.8), straight), ELBOW_DOWN, (0.0, 0.1, 0.2))
        yaw = float(OUTWARD[side]) * a.vary(-0.3, 0.4)
        c.go(a.vary(0.3, 0.7) * a.beat, _one(side, there), {HEAD: (0.0, yaw, 0.0)}).wait(a.vary(0.1, 1.5))
    return _done(a, c)


def wave_both(a: Actor) -> Script:
    """Both hands wave above the head with soft elbows."""
    high, out = a.vary(0.45, 0.75), a.vary(0.15, 0.4)
    wide = a.vary(0.1, 0.3)
    left = both_hands(hand((out + wide, high, 0.3), ELBOW_OUT, (0.5, 0.8, 0.0)))
    right = both_hands(hand((out - 0.5 * wide, high + 0.05, 0.3), ELBOW_OUT, (-0.5, 0.8, 0.0)))
    c = Choreography().go(a.vary(0.35, 0.7) * a.beat, left)
    return _done(a, c.repeat(a, a.count(2, 7), (a.vary(0.2, 0.35), right), (a.vary(0.2, 0.35), left)))


def catch(a: Actor) -> Script:
    """Both hands go out to something that comes, and take it to the body."""
    h = a.person.height_m
    up, out = a.vary(-0.4, 0.3), a.vary(-0.35, 0.3)
    reach = {
        ("hand", side): hand((float(OUTWARD[side]) * out - 0.2, up, a.vary(0.6, 0.8)), ELBOW_OUT)
        for side in (LEFT, RIGHT)
    }
    ready = both_hands(hand(a.at_body(0.06 * h, a.vary(-0.2, -0.08) * h, 0.16 * h), ELBOW_DOWN))
    held = both_hands(hand(a.at_body(0.05 * h, a.vary(-0.2, -0.1) * h, 0.1 * h), ELBOW_OUT))
    c = Choreography().go(a.vary(0.3, 0.6) * a.beat, ready).wait(a.vary(0.1, 0.8))
    c.go(a.vary(0.18, 0.35) * a.beat, reach).go(a.vary(0.15, 0.3) * a.beat, held, {TRUNK: (0.1, 0.0, 0.0)})
    return _done(a, c.wait(a.vary(0.1, 1.0)))


def circles(a: Actor) -> Script:
    """One or both hands draw circles in the air, in front or beside the body."""
    sides = (LEFT, RIGHT) if a.chance(0.35) else (_side(a),)
    out, up, front, size = a.vary(-0.1, 0.4), a.vary(-0.25, 0.2), a.vary(0.45, 0.65), a.vary(0.12, 0.42) * a.size
    way, flat, tilted = (1 if a.chance(0.5) else -1), a.vary(0.6, 1.0), a.vary(0.0, 0.5)
    opposite = a.chance(0.5)
    turns, period_s = a.count(1, 5), a.vary(0.7, 2.2) * a.beat
    begin = a.vary(0, 6.28)

    def at(angle: float) -> Posture:
        posture: dict[tuple[str, int], Vector | None] = {}
        for side in sides:
            own = angle + (np.pi if opposite and side == RIGHT else 0.0)
            x, y = size * float(np.cos(own)), size * flat * float(np.sin(own))
            posture["hand", side] = hand((out + x, up + y, front - 0.4 * abs(x) + tilted * 0.3 * y), ELBOW_DOWN)
        return posture

    c = Choreography().go(a.vary(0.4, 0.8) * a.beat, at(begin))
    for i in range(8 * turns):
        c.go(period_s / 8, at(begin + way * (i + 1) * np.pi / 4))
    return _done(a, c)


def draw_in_air(a: Actor) -> Script:
    """One hand draws a figure of straight strokes: a cross, a triangle, a zigzag, a letter."""
    side = _side(a)
    out, up, front = a.vary(-0.1, 0.3), a.vary(-0.2, 0.15), a.vary(0.5, 0.7)
    wide, high = a.size * a.vary(0.15, 0.4), a.size * a.vary(0.12, 0.4)
    figures: tuple[tuple[tuple[float, float], ...], ...] = (
        ((-1, 1), (1, -1), (1, 1), (-1, -1)),
        ((0, 1), (1, -1), (-1, -1), (0, 1)),
        ((-1, 1), (1, 1), (-1, -1), (1, -1)),
        ((-1, -1), (-1, 1), (1, -1), (1, 1)),
        ((-1, 0), (-0.3, -1), (1, 1)),
    )
    corners: list[tuple[float, float]] = list(figures[a.count(0, len(figures) - 1)])
    if a.chance(0.3):
        corners = [(a.vary(-1, 1), a.vary(-1, 1)) for _ in range(a.count(3, 7))]
    stroke_s = a.vary(0.25, 0.7) * a.beat
    c = Choreography()
    for i in range(a.count(1, 2) * len(corners)):
        x, y = corners[i % len(corners)]
        there = hand((out + wide * x, up + high * y, front - 0.2 * abs(x) * wide), ELBOW_DOWN, (0.0, 0.1, 0.3))
        c.go(a.vary(0.4, 0.7) if i == 0 else stroke_s * a.vary(0.8, 1.2), _one(side, there))
        c.wait(a.vary(0.0, 0.15))
    return _done(a, c)


def swipe(a: Actor) -> Script:
    """One hand is drawn through the air once, to any side, and again."""
    side = _side(a)
    direction = a.vary(0, 6.28)
    x, y = float(np.cos(direction)), float(np.sin(direction))
    out, up, front, far = a.vary(0.0, 0.3), a.vary(-0.25, 0.15), a.vary(0.5, 0.7), a.vary(0.3, 0.5) * a.size
    start = hand((out - far * x, up - 0.7 * far * y, front - 0.1), ELBOW_DOWN)
    stop = hand((out + far * x, up + 0.7 * far * y, front - 0.1), ELBOW_DOWN)
    c = Choreography().go(a.vary(0.35, 0.7) * a.beat, _one(side, start))
    for _ in range(a.count(1, 4)):
        c.wait(a.vary(0.0, 0.3)).go(a.vary(0.2, 0.5) * a.beat, _one(side, stop))
        c.go(a.vary(0.3, 0.6) * a.beat, _one(side, start))
    return _done(a, c)


def knock(a: Actor) -> Script:
    """A fist knocks at a door, or a finger taps a screen."""
    side, up = _side(a), a.vary(-0.15, 0.25)
    near, at = hand((0.0, up, 0.5), ELBOW_DOWN), hand((0.0, up + a.vary(-0.05, 0.05), 0.62), ELBOW_DOWN)
    c = Choreography().go(a.vary(0.4, 0.7) * a.beat, _one(side, near))
    return _done(a, c.repeat(a, a.count(2, 7), (a.vary(0.1, 0.2), _one(side, at)), (0.13, _one(side, near))))


def curl(a: Actor) -> Script:
    """The upper arms stay down and the forearms come up, as with weights."""
    b = a.bones
    upper, fore = b.upper_arm / b.arm, b.forearm / b.arm
    top, low, out = a.vary(1.8, 2.5), a.vary(0.15, 0.6), a.vary(0.0, 0.12)
    how = a.count(0, 2)  # both, in turn, one

    def at(bent: float) -> Vector:
        place = (out, -0.98 * upper - fore * float(np.cos(bent)), 0.04 + fore * float(np.sin(bent)))
        return hand(place, (0.2, -0.8, -0.7))

    c, side = Choreography().wait(0.4), a.main
    up_s, down_s, hold_s = a.vary(0.5, 1.3), a.vary(0.5, 1.4), a.vary(0.0, 0.4)
    for _ in range(a.count(2, 6)):
        for one in (LEFT, RIGHT) if how == 0 else (side,):
            c.go(0.0 if one == RIGHT and how == 0 else 0.15, _one(one, at(low)))
        middle, high = at(0.5 * (low + top)), at(top)
        sides = (LEFT, RIGHT) if how == 0 else (side,)
        c.go(0.5 * up_s * a.beat, *(_one(one, middle) for one in sides))
        c.go(0.5 * up_s * a.beat, *(_one(one, high) for one in sides)).wait(hold_s)
        c.go(0.5 * down_s * a.beat, *(_one(one, middle) for one in sides))
        c.go(0.5 * down_s * a.beat, *(_one(one, at(low)) for one in sides))
        side = 1 - side if how == 1 else side
    return _done(a, c)


def groom(a: Actor) -> Script:
    """Teeth, hair, beard, glasses: a hand works at the head in small strokes."""
    side = _side(a)
    places = (
        ((0.02, 0.045, 0.125), 0.012, (0.1, 0.16)),  # teeth
        ((0.055, 0.15, 0.02), 0.05, (0.35, 0.7)),  # hair
        ((0.04, 0.05, 0.09), 0.02, (0.2, 0.4)),  # cheek
        ((0.02, 0.1, 0.11), 0.01, (0.2, 0.5)),  # glasses
    )
    (out, up, front), stroke, (quick_s, slow_s) = places[a.count(0, len(places) - 1)]
    there = _one(side, hand(a.at_face(out, up, front), AT_MOUTH, (-0.7, 0.4, -0.3)))
    away = _one(side, hand(a.at_face(out + stroke, up - 0.4 * stroke, front - stroke), AT_MOUTH, (-0.7, 0.4, -0.3)))
    c = Choreography().go(a.vary(0.5, 0.9) * a.beat, there, {HEAD: (a.vary(0.0, 0.2), a.vary(-0.2, 0.2), 0.0)})
    pace_s = a.vary(quick_s, slow_s)
    return _done(a, c.repeat(a, a.count(3, 14), (pace_s, away), (pace_s, there)))


def work_in_front(a: Actor) -> Script:
    """Both hands are busy in front of the body: typing, chopping, stirring, washing up, playing an instrument."""
    up, front, wide = a.vary(-0.55, -0.2), a.vary(0.35, 0.62), a.vary(-0.35, 0.0)
    reach = (a.vary(0.0, 0.12), a.vary(0.0, 0.16), a.vary(0.0, 0.1))
    pace_s, together = a.vary(0.15, 0.7), a.chance(0.4)
    c = Choreography().go(a.vary(0.4, 0.8), both_hands(hand((wide, up, front), ELBOW_DOWN)))
    c.go(0.2, {HEAD: (a.vary(0.1, 0.5), 0.0, 0.0), TRUNK: (a.vary(0.0, 0.25), 0.0, 0.0)})
    for _ in range(a.count(6, 24)):
        drawn = [a.vary(-1, 1) for _ in range(3)]
        for side in (LEFT, RIGHT):
            if not together and a.chance(0.4):
                continue
            x, y, z = (size * (own if together else a.vary(-1, 1)) for size, own in zip(reach, drawn, strict=True))
            x *= float(OUTWARD[side])
            c.go(0.0, _one(side, hand((wide + x, up + y, front + z), ELBOW_DOWN, (-0.2, 0.0, 0.2))))
        c.wait(pace_s * a.vary(0.7, 1.4) * a.beat)
    return _done(a, c)


def wipe(a: Actor) -> Script:
    """One hand wipes a table, a window or a board in rounds or strokes, the elbow never long."""
    side = _side(a)
    up, front = a.vary(-0.5, 0.3), a.vary(0.45, 0.62)
    out, wide, high = a.vary(-0.1, 0.3), a.vary(0.1, 0.3), a.vary(0.02, 0.25)
    c = Choreography().go(0.5, _one(side, hand((out, up, front), ELBOW_DOWN)), {TRUNK: (a.vary(0.0, 0.3), 0.0, 0.0)})
    step_s, start = a.vary(0.12, 0.3) * a.beat, a.vary(0, 6.28)
    for i in range(a.count(8, 28)):
        angle = start + i * 1.25
        x, y = wide * float(np.cos(angle)), high * float(np.sin(angle))
        c.go(step_s, _one(side, hand((out + x, up + y, front - 0.3 * abs(x)), ELBOW_DOWN)))
    return _done(a, c)


def shelf(a: Actor) -> Script:
    """Something is put up or taken down: the hands go to a shelf before the body with soft elbows, and back to it."""
    h = a.person.height_m
    sides = (LEFT, RIGHT) if a.chance(0.4) else (_side(a),)
    chest = hand(a.at_body(0.06 * h, a.vary(-0.22, -0.1) * h, a.vary(0.13, 0.18) * h), ELBOW_DOWN)
    up = a.vary(-0.2, 0.6)
    c = Choreography().go(a.vary(0.4, 0.8) * a.beat, *(_one(side, chest) for side in sides))
    for _ in range(a.count(1, 3)):
        there = hand((a.vary(-0.15, 0.15), up * a.vary(0.8, 1.1), a.vary(0.5, 0.62)), ELBOW_DOWN)
        c.go(a.vary(0.5, 1.0) * a.beat, *(_one(side, there) for side in sides), {HEAD: (-0.25 * up, 0.0, 0.0)})
        c.wait(a.vary(0.2, 0.8)).go(a.vary(0.5, 0.9) * a.beat, *(_one(side, chest) for side in sides))
        c.wait(a.vary(0.0, 0.6))
    return _done(a, c)


def push_and_pull(a: Actor) -> Script:
    """Both hands push something away from the chest or draw it in: a door, a rope, a rowing machine."""
    h = a.person.height_m
    up, in_turn = a.vary(-0.4, 0.05), a.chance(0.3)
    near = hand(a.at_body(0.1 * h, (up * 0.3 - 0.06) * h, 0.09 * h), ELBOW_OUT if a.chance(0.5) else (0.5, -0.5, -1.0))
    far = hand((a.vary(-0.2, 0.05), up, a.vary(0.75, 0.95)), ELBOW_DOWN)
    c = Choreography().go(a.vary(0.4, 0.8) * a.beat, both_hands(near))
    out_s, back_s, lean = a.vary(0.3, 0.9), a.vary(0.3, 0.9), a.vary(0.0, 0.25)
    for i in range(a.count(1, 6)):
        sides = (i % 2,) if in_turn else (LEFT, RIGHT)
        c.go(out_s * a.beat, *(_one(side, far) for side in sides), {TRUNK: (lean, 0.0, 0.0)}).wait(a.vary(0.0, 0.4))
        c.go(back_s * a.beat, *(_one(side, near) for side in sides), {TRUNK: (0.0, 0.0, 0.0)})
    return _done(a, c)


def greet(a: Actor) -> Script:
    """A hug, a handshake, a high five or a salute."""
    kind, side = a.count(0, 3), a.main
    c = Choreography()
    if kind == 0:
        wide = both_hands(hand((a.vary(0.3, 0.6), a.vary(-0.3, 0.0), a.vary(0.5, 0.7)), ELBOW_OUT))
        round_ = hand((-0.35, a.vary(-0.1, 0.05), 0.6), (1.0, 0.1, 0.2), (-0.8, 0.0, -0.3))
        c.go(a.vary(0.4, 0.8) * a.beat, wide).go(
            a.vary(0.3, 0.6) * a.beat, both_hands(round_), {TRUNK: (0.2, 0.0, 0.05)}
        )
        c.wait(a.vary(0.4, 2.5)).go(0.3, wide)
    elif kind == 1:
        low = a.vary(-0.5, -0.3)
        out = hand((-0.1, low, 0.65), (0.3, -1.0, -0.4))
        c.go(a.vary(0.4, 0.7) * a.beat, _one(side, out))
        down = hand((-0.1, low - 0.08, 0.65), (0.3, -1.0, -0.4))
        c.repeat(a, a.count(1, 4), (0.18, _one(side, down)), (0.18, _one(side, out)))
    elif kind == 2:
        c.go(a.vary(0.25, 0.5) * a.beat, _one(side, hand((0.2, 0.35, 0.35), ELBOW_OUT, (0.0, 0.8, 0.0))))
        c.go(a.vary(0.12, 0.25) * a.beat, _one(side, hand((0.1, 0.42, 0.58), ELBOW_DOWN, (0.0, 0.6, 0.3))))
    else:
        c.go(a.vary(0.3, 0.6) * a.beat, _one(side, hand(a.at_face(0.06, 0.13, 0.09), ELBOW_OUT, (-0.7, 0.3, 0.0))))
        c.wait(a.vary(0.3, 1.5))
    return _done(a, c)


def hold(a: Actor) -> Script:
    """Arms crossed, on the hips, clasped, at the head or at the shoulders, for a while."""
    style = ("crossed", "hips", "clasped", "head", "shoulders")[a.count(0, 4)]
    c = Choreography().go(a.vary(0.5, 1.0) * a.beat, hold_arms(a, style)).wait(a.vary(1.0, 6.0))
    return _done(a, c)


def cheer(a: Actor) -> Script:
    """Fists pump beside the head with bent elbows."""
    sides = (LEFT, RIGHT) if a.chance(0.6) else (_side(a),)
    low = hand((0.25, a.vary(0.0, 0.2), 0.3), (0.6, -1.0, 0.0), (0.0, 0.6, 0.0))
    high = hand((0.25, a.vary(0.4, 0.65), 0.25), ELBOW_OUT, (0.0, 0.6, 0.0))
    c = Choreography().go(a.vary(0.3, 0.6) * a.beat, *(_one(side, low) for side in sides))
    for _ in range(a.count(1, 7)):
        c.go(a.vary(0.15, 0.35) * a.beat, *(_one(side, high) for side in sides))
        c.go(a.vary(0.15, 0.35) * a.beat, *(_one(side, low) for side in sides))
    return _done(a, c)


def stretch_arm(a: Actor) -> Script:
    """One arm is drawn across the chest or down behind the head by the other hand, and held."""
    side = a.count(LEFT, RIGHT)
    c = Choreography()
    if a.chance(0.5):
        across = hand((-0.8, a.vary(-0.15, 0.05), 0.42), ELBOW_OUT)
        hook = hand((-0.35, a.vary(-0.1, 0.05), 0.45), ELBOW_DOWN, (-0.3, 0.7, 0.0))
        c.go(a.vary(0.5, 1.0), _one(side, across)).go(0.4, _one(1 - side, hook))
    else:
        behind = hand(a.at_face(0.03, 0.02, -0.06), (0.4, 1.0, 0.0), (0.0, -0.5, 0.0))
        pull = hand(a.at_face(-0.03, 0.16, -0.02), (1.0, 0.5, 0.0))
        via = hand((0.3, 0.5, 0.2), ELBOW_OUT)
        c.go(a.vary(0.4, 0.8), _one(side, via)).go(0.5, _one(side, behind)).go(0.6, _one(1 - side, pull))
        return c.wait(a.vary(1.0, 5.0)).go(0.5, _one(side, via)).home(0.7).script()
    return _done(a, c.wait(a.vary(1.0, 5.0)))


def swim(a: Actor) -> Script:
    """The arms wheel in turn with bent elbows, as in swimming or climbing."""
    forward = 1 if a.chance(0.7) else -1
    up, size, front = a.vary(-0.2, 0.1), a.vary(0.25, 0.5), a.vary(0.35, 0.5)
    step_s = a.vary(0.12, 0.3) * a.beat
    lean = a.vary(0.0, 0.5)
    c = Choreography().wait(0.5)
    for i in range(a.count(10, 30)):
        for side in (LEFT, RIGHT):
            angle = forward * i * 0.9 + np.pi * side
            place = (0.2, up + size * float(np.sin(angle)), front + 0.8 * size * float(np.cos(angle)))
            c.go(0.0, _one(side, hand(place, ELBOW_OUT)))
        c.go(0.0, {TRUNK: (lean, 0.15 * float(np.sin(forward * i * 0.9)), 0.0)}).wait(step_s)
    return _done(a, c)


def roam(a: Actor) -> Script:
    """The hands wander anywhere within reach, slowly or quickly, one or both, alike or each on its own."""
    how = a.count(0, 3)  # one, both mirrored, both free, in turn
    pace_s = float(np.exp(a.vary(np.log(0.25), np.log(2.2))))
    wide, low, high = a.vary(0.3, 0.9), a.vary(-0.9, -0.4), a.vary(-0.1, 0.65)
    side = _side(a)
    c = Choreography().wait(min(pace_s, 0.8))
    for i in range(a.count(3, 4 + round(6 / max(pace_s, 0.5)))):
        if how == 3:
            side = i % 2
        for one in (LEFT, RIGHT) if how in (1, 2) else (side,):
            if how == 1 and one == RIGHT:
                continue
            place = np.array([a.vary(-0.4, wide), a.vary(low, high), a.vary(0.0, 0.75)])
            place[2] = max(place[2], 0.25 + 0.5 * max(-place[0], 0.0))  # not through the body
            # Above the shoulder the elbow stays bent: a long arm up there would be a raise.
            longest = 0.8 if place[1] > -0.25 else 0.97
            place *= min(1.0, longest / float(np.linalg.norm(place)))
            aim = (a.vary(-0.5, 0.5), a.vary(-0.5, 0.5), a.vary(-0.3, 0.5))
            there = hand(
                (float(place[0]), float(place[1]), float(place[2])), ELBOW_DOWN if a.chance(0.6) else ELBOW_OUT, aim
            )
            c.go(0.0, both_hands(there) if how == 1 else _one(one, there))
        look = {HEAD: (a.vary(-0.1, 0.25), a.vary(-0.4, 0.4), 0.0), TRUNK: (a.vary(0.0, 0.1), a.vary(-0.2, 0.2), 0.0)}
        c.go(0.0, look).wait(pace_s * a.vary(0.6, 1.5) * a.beat)
        if a.chance(0.3):
            c.go(0.0, both_hands(None) if how in (1, 2) else {("hand", side): None}).wait(pace_s * a.beat)
    return _done(a, c)


def swing_arms(a: Actor) -> Script:
    """Loose arms swing low, to and fro or across the body, as when waiting or warming up."""
    across, far = a.chance(0.5), a.vary(0.15, 0.5)
    half_s = a.vary(0.3, 0.8) * a.beat
    c = Choreography().wait(half_s)
    for i in range(a.count(3, 12)):
        way = 1.0 if i % 2 else -1.0
        for side in (LEFT, RIGHT):
            mine = way * (float(OUTWARD[side]) if not across else 1.0)
            place = (
                (0.15 - 0.25 * mine * far, -0.85, 0.3 + 0.3 * far) if across else (0.15, -0.9, 0.05 + 0.7 * far * mine)
            )
            c.go(0.0, _one(side, hand(place, HANG)))
        c.go(0.0, {TRUNK: (0.0, 0.35 * way * far, 0.0)}).wait(half_s)
    return _done(a, c)


HANDS: dict[str, Callable[[Actor], Script]] = {
    "eat": eat,
    "drink": drink,
    "telephone": telephone,
    "look at phone": look_at_phone,
    "point": point,
    "wave": wave,
    "wave both hands": wave_both,
    "clap": clap,
    "catch": catch,
    "circles": circles,
    "draw in the air": draw_in_air,
    "swipe": swipe,
    "knock": knock,
    "arm curl": curl,
    "groom": groom,
    "work in front": work_in_front,
    "wipe": wipe,
    "shelf": shelf,
    "push and pull": push_and_pull,
    "greet": greet,
    "hold arms": hold,
    "cheer": cheer,
    "stretch an arm": stretch_arm,
    "swim": swim,
    "roam": roam,
    "swing arms": swing_arms,
}
