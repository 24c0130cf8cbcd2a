"""Unlabelled daily life and sport without any exercise: negatives for the none class."""

from collections.abc import Sequence

import numpy as np

from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError
from amr_edge.synthetic.actor import Actor
from amr_edge.synthetic.body import LEFT, RIGHT, Subject, joints
from amr_edge.synthetic.choreography import PELVIS, TILT, TRUNK, Choreography
from amr_edge.synthetic.daily import HANDS
from amr_edge.synthetic.idling import fidget, habit, seat
from amr_edge.synthetic.motion import Script, play
from amr_edge.synthetic.sensor import Sensor, see
from amr_edge.synthetic.sports import BODIES, rest_on_floor

DOINGS: tuple[str, ...] = (*HANDS, *BODIES)
SEATED_SHARE, FLOOR_SHARE = 0.16, 0.05  # of the recordings


def _actor(person: Subject, rng: np.random.Generator) -> Actor:
    """The person in a new take, with more of a spread than the corpus has: life is slower, faster, smaller, larger."""
    left = person.left_handed != bool(rng.random() < 0.3)
    beat = float(np.exp(rng.uniform(np.log(0.7), np.log(1.7)))) / person.tempo
    size = float(np.clip(person.amplitude * rng.uniform(0.7, 1.3), 0.6, 1.35))
    return Actor(person=person, rng=rng, main=LEFT if left else RIGHT, beat=beat, size=size)


def _sway(a: Actor, seconds: float) -> Script:
    """The weight wanders from leg to leg for so long; over it the hands do something."""
    c = Choreography()
    while c.now_s < seconds:
        way = a.vary(-1.0, 1.0) * a.bones.hip * 0.7
        c.go(
            a.vary(0.6, 1.6), {PELVIS: (way, -0.012, a.vary(-0.02, 0.03)), TILT: (0.0, a.vary(-0.15, 0.15), 0.5 * way)}
        )
        c.go(0.0, {TRUNK: (a.vary(-0.03, 0.12), a.vary(-0.2, 0.2), -way)}).wait(a.vary(0.0, 1.5))
    return c.home(0.8).script()


def _plan(
    person: Subject, rng: np.random.Generator, seconds: float, doing: Sequence[str]
) -> list[tuple[float, Script]]:
    """Scripts with their beginnings, one after the other, hands over feet at times."""
    scripts: list[tuple[float, Script]] = []
    hands = [name for name in doing if name in HANDS]
    bodies = [name for name in doing if name in BODIES]
    first = _actor(person, rng)
    posture = rng.random() if hands else 1.0
    standing = posture > SEATED_SHARE + FLOOR_SHARE
    if posture < FLOOR_SHARE:
        down = rest_on_floor(first)
        scripts.append((0.0, Choreography().go(0.0, down).wait(seconds + 1.0).script()))
    elif not standing:
        scripts.append((-1.0, seat(first)._replace(duration_s=float("inf"))))
    if first.chance(0.2):
        scripts.append((-1.0, habit(first)))
    now_s = first.vary(0.0, 1.5)
    while now_s < seconds:
        a = _actor(person, rng)
        drawn = rng.random()
        if drawn < 0.22:  # nothing in particular
            script = fidget(a, steps=standing)
        elif bodies and standing and (drawn < 0.58 or not hands):
            script = BODIES[bodies[int(rng.integers(0, len(bodies)))]](a)
        elif hands:
            script = HANDS[hands[int(rng.integers(0, len(hands)))]](a)
            if standing and a.chance(0.45):
                walks = a.chance(0.45)
                under = BODIES["stroll" if a.chance(0.6) else "walk"](a) if walks else _sway(a, script.duration_s)
                scripts.append((now_s, under))
                later_s = a.vary(0.0, 0.5)
                scripts.append((now_s + later_s, script))
                now_s += max(under.duration_s, later_s + script.duration_s) + a.vary(0.0, 1.0)
                continue
        else:
            now_s += a.vary(0.3, 2.0)
            continue
        scripts.append((now_s, script))
        now_s += script.duration_s + (a.vary(0.0, 0.5) if a.chance(0.7) else a.vary(0.5, 4.0))
    return scripts


def life(
    person: Subject,
    rng: np.random.Generator,
    seconds: float = 60.0,
    *,
    doing: Sequence[str] | None = None,
    sensor: Sensor | None = None,
    fps: float = 30.0,
) -> Recording:
    """A recording of one person in daily life, who does none of the exercises.

    Args:
        person: Who it is.
        rng: Draws what is done, how, and the camera.
        seconds: How long the recording is.
        doing: What may be done, from `DOINGS`; None is all of it. Fidgets are always there.
        sensor: The camera; None gives the joints as they are, the floor at y = 0, nothing lost.
        fps: Frames per second.

    Returns:
        A recording (1, T, 25, 3) in layout ntu25, metres, without label or spans. Most stand, some sit on a chair
        or stay on the floor throughout; no one sits down or gets up from a chair, because that is an exercise.

    Raises:
        ConfigError: If an activity is unknown, or seconds or frame rate are invalid.
    """
    unknown = [name for name in doing or () if name not in DOINGS]
    if unknown:
        raise ConfigError(f"synthetic life does not know '{unknown[0]}'; it knows {', '.join(DOINGS)}")
    if not 0 < seconds <= 7200 or not 1 <= fps <= 1000:
        raise ConfigError(f"seconds must lie in 0..7200 and fps in 1..1000, got {seconds} and {fps}")
    scripts = _plan(person, rng, seconds, DOINGS if doing is None else doing)
    times_s = np.arange(max(2, round(seconds * fps)), dtype=np.float64) / fps
    world = joints(person, play(person, scripts, times_s, rng))[None]  # (1, T, 25, 3)
    return Recording(
        poses=world.astype(np.float32) if sensor is None else see(sensor, world, times_s, fps, rng),
        times_s=times_s,
        layout="ntu25",
        subject=person.number,
        source=f"synthetic/life_s{person.number:02d}",
    )
