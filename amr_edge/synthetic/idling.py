"""Idle movements that are no action: fidgets, arm postures, sitting."""

from collections.abc import Callable

import numpy as np

from amr_edge.synthetic.actions import sit_down
from amr_edge.synthetic.actor import ELBOW_DOWN, ELBOW_OUT, Actor, Keys, hand, script_of
from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT
from amr_edge.synthetic.motion import HANG, Script, Step, Track

IDLE = "idle"


def _look_around(a: Actor) -> Script:
    """The head turns to one side and perhaps to the other, the chest follows a little."""
    yaw = a.vary(0.3, 0.9) * (1 if a.chance(0.5) else -1)
    pitch = a.vary(-0.2, 0.35)
    head, trunk = Keys("head", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3)
    head.to(a.vary(0.3, 0.6), (pitch, yaw, 0)).hold(a.vary(0.1, 0.8))
    trunk.to(0.6, (0, 0.25 * yaw, 0)).hold(0.3)
    if a.chance(0.4):
        head.to(a.vary(0.4, 0.7), (pitch, -0.7 * yaw, 0)).hold(a.vary(0.1, 0.5))
    return script_of(head.to(0.5, None), trunk.to(0.6, None))


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
    return script_of(arm.to(a.vary(0.5, 0.9), None), head)


def _watch(a: Actor) -> Script:
    """Looks at the wrist, or at something held in one hand."""
    up = a.vary(-0.55, -0.1)
    arm = Keys("hand", a.other, a.beat, 9).to(a.vary(0.5, 0.8), hand((-0.25, up, 0.5), ELBOW_DOWN, (-0.8, 0.2, 0)))
    arm.hold(a.vary(0.4, 1.2)).to(0.6, None)
    head = Keys("head", 0, a.beat, 3).to(0.5, (a.vary(0.3, 0.5), -a.toward * 0.25, 0)).hold(0.7).to(0.5, None)
    return script_of(arm, head)


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
    return script_of(*tracks)


def _lean(a: Actor) -> Script:
    """The weight goes to one leg and comes back."""
    way = 1.0 if a.chance(0.5) else -1.0
    wide = way * a.bones.hip * a.vary(0.4, 0.8)
    pelvis, tilt, trunk = Keys("pelvis", 0, a.beat, 3), Keys("tilt", 0, a.beat, 3), Keys("trunk", 0, a.beat, 3)
    come_s, wait_s, go_s = a.vary(0.5, 0.9), a.vary(0.2, 1.5), a.vary(0.5, 0.9)
    for keys, there in ((pelvis, (wide, -0.012, 0)), (tilt, (0, 0, way * 0.07)), (trunk, (0.03, 0, -way * 0.09))):
        keys.to(come_s, there).hold(wait_s).to(go_s, None)
    return script_of(pelvis, tilt, trunk)


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
    return script_of(arm, trunk.to(0.6, None))


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
    return script_of(*(arm.to(go_s, None) for arm in arms), trunk)


def _stoop(a: Actor) -> Script:
    """Bends a little to look at the floor or to brush the trousers."""
    deep, come_s, wait_s = a.vary(0.2, 0.45), a.vary(0.4, 0.7), a.vary(0.2, 0.6)
    trunk, head = Keys("trunk", 0, a.beat, 3), Keys("head", 0, a.beat, 3)
    trunk.to(come_s, (deep, a.toward * 0.15, -a.toward * 0.1)).hold(wait_s).to(0.6, None)
    head.to(come_s, (0.45, 0, 0)).hold(wait_s).to(0.6, None)
    arm = Keys("hand", a.main, a.beat, 9).to(come_s, hand((0.05, -0.85, 0.35), HANG))
    for _ in range(a.count(0, 2)):
        arm.to(0.2, hand((0.05, -0.7, 0.4), HANG)).to(0.2, hand((0.05, -0.85, 0.35), HANG))
    return script_of(trunk, head, arm.to(0.6, None))


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


def fidget(actor: Actor, *, steps: bool) -> Script:
    """A random fidget; with `steps` also one that moves the feet."""
    return FIDGETS[actor.count(0, len(FIDGETS) - (1 if steps else 2))](actor)


def idle(actor: Actor, *, seated: bool) -> list[tuple[float, Script]]:
    """Two to four seconds of nothing in particular: stillness, fidgets, at times getting up from a seat."""
    if not seated and actor.chance(0.1):
        return [(0.0, _stand_up(actor))]
    placed, now_s = [], actor.vary(-0.3, 0.8)
    for _ in range(actor.count(0, 2)):
        script = fidget(actor, steps=not seated)
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
