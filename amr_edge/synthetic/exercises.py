"""What a set of each physiotherapy exercise looks like, done as people do it: any depth, tempo, arms and pauses."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from amr_edge.errors import ConfigError
from amr_edge.recording import Recording, Span
from amr_edge.synthetic.actor import Actor, Vector, hand
from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT, Subject, joints
from amr_edge.synthetic.choreography import (
    FLAT,
    HEAD,
    PELVIS,
    TILT,
    TRUNK,
    Choreography,
    Posture,
    arm,
    both_hands,
    hold_arms,
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
ARM_RAISE_DEG = (80.0, 175.0)
EXTENSION_DEG = (25.0, 60.0)
ROTATION_IN_DEG, ROTATION_OUT_DEG = (20.0, 70.0), (20.0, 65.0)

REPS = (3, 8)
LONGEST_SET_S = 600.0


class Exercised(NamedTuple):
    """One set, ready to be played."""

    script: Script
    spans: tuple[tuple[float, float], ...]  # seconds of each repetition
    person: Subject  # who does it, standing as the exercise wants
    variant: str


class _Pace:
    """How long the parts of a repetition take in one set, and how much they differ between repetitions."""

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
    wanted, straight = _radians(a, ARM_RAISE_DEG), a.vary(0.95, 0.995)
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
        c.sweep(pace.move(0.85 * moved), lambda share, at=at: at(1 - share))
        c.mark(start_s)
        c.wait(pace.rest())
        if how == "alternating":
            side = LEFT + RIGHT - side
    return Exercised(_end(a, c), tuple(c.spans), person, f"{name}, {how}")


EXERCISES: dict[str, Callable[[Actor, int], Exercised]] = {
    "squat": squat,
    "arm raise": arm_raise,
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
