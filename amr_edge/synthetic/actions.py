"""The actions of the synthetic corpus: one function per action that returns a random take of it as a script.

A take uses (nearly always) the preferred hand or foot of the subject, at its tempo and amplitude, and differs from
every other take in size, speed, number of repetitions, symmetry and pauses.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from amr_edge.synthetic.actor import (
    ELBOW_BACK,
    ELBOW_DOWN,
    ELBOW_OUT,
    Actor,
    Keys,
    Vector,
    hand,
    script_of,
)
from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT
from amr_edge.synthetic.motion import HANG, Script, Step

GRAVITY_M_S2 = 9.81


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
    return script_of(arm, lean.to(0, lean.values[-1]).to(0.5, None))


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
    return script_of(*tracks)


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
    return script_of(arm, head)


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
    return script_of(arm, free, trunk, pelvis)


def kick(actor: Actor) -> Script:
    """One leg swings forward off the floor while the other one stands."""
    a, s, t = actor, actor.size, actor.toward
    leg, pelvis, trunk = Keys("swing", a.main, a.beat, 4), Keys("pelvis", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3)
    arms = [Keys("hand", side, a.beat, 9) for side in (LEFT, RIGHT)]
    out = a.vary(0.0, 0.15)
    shift = -t * a.bones.hip * 0.75
    for i in range(a.count(1, 2)):
        high, back_s, kick_s, hold_s = (
            min(1.4, s * a.vary(0.75, 1.35)),
            a.vary(0.3, 0.45),
            a.vary(0.26, 0.38),
            a.vary(0.0, 0.2),
        )
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
    return script_of(leg, pelvis, trunk, *arms)


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
    return script_of(pelvis, trunk, *feet, *arms)


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
    return script_of(pelvis, trunk, head, *arms)


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
    script = script_of(*all_keys, after_s=end_s)
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
    return script_of(trunk, tilt, head, pelvis, *arms)


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
    return script_of(*arms, trunk, pelvis)


def walk(actor: Actor, *, turn_rad: float = 0.0, length_m: float | None = None, back: bool = False) -> Script:
    """Step after step the body goes somewhere; with `back` it faces the old way again after the action is over."""
    a, b, s = actor, actor.bones, actor.size
    step_s = max(0.42, a.beat * a.vary(0.48, 0.6))
    stride = b.leg * float(np.clip(s * a.vary(0.5, 0.7), 0.38, 0.66))
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
    script = script_of(*tracks, after_s=max(go_s, 0.6))
    return Script(script.duration_s, script.act_s, script.tracks, np.array(path), tuple(placed))


def raise_arms(actor: Actor) -> Script:
    """Both arms go up and come down."""
    a, s = actor, actor.size
    front = a.chance(0.5)
    spread, ahead = a.vary(0.0, 0.5) + max(0.0, 0.5 * (1 - s)), a.vary(0.05, 0.25)
    delay = a.vary(0.0, 0.15)
    up_s, hold_s, down_s = a.vary(0.45, 0.8), a.vary(0.1, 0.9), a.vary(0.45, 0.8)
    reps = a.count(1, 2) if hold_s < 0.5 else 1
    uneven = a.vary(0.0, 0.3)
    tracks = []
    for side in (LEFT, RIGHT):
        arm = Keys("hand", side, a.beat, 9, start_s=delay if side == a.other else 0.0)
        aslant = spread + (uneven if side == a.other else 0.0)
        # Farther than an arm is long, because the shoulder rises with the hand.
        top = hand((1.06 * float(np.sin(aslant)), 1.16 * float(np.cos(aslant)), ahead), ELBOW_BACK)
        via = hand((0.1, -0.1, 1.12), ELBOW_DOWN) if front else hand((0.95, -0.1, 0.15), HANG)
        for i in range(reps):
            arm.to(0.5 * up_s, via).to(0.5 * up_s, top).hold(hold_s)
            arm.to(0.5 * down_s, via)
            if i < reps - 1:
                arm.to(0.4 * down_s, hand((0.25, -0.8, 0.2), HANG))
        tracks.append(arm.to(0.55 * down_s, None))
    back = Keys("trunk", 0, a.beat, 3).to(up_s, (-0.06 * s, 0, 0)).hold(hold_s).to(down_s, None)
    return script_of(*tracks, back)


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
