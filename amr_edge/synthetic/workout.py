"""Synthetic workouts: sets of exercises in one recording with idle time and everyday actions between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amr_edge.data.recording import Recording, Span
from amr_edge.errors import ConfigError
from amr_edge.synthetic.actions import SCRIPTS
from amr_edge.synthetic.actor import act
from amr_edge.synthetic.body import Subject, joints
from amr_edge.synthetic.exercises import EXERCISES, Exercised, arm_raise, squat
from amr_edge.synthetic.idling import fidget
from amr_edge.synthetic.motion import Script, play
from amr_edge.synthetic.sensor import Sensor, see

SETS = (("squat", 5), ("arm raise", 5))
BETWEEN = ("drink", "clap")  # everyday actions that are no exercise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workout:
    """A person who exercises.

    Attributes:
        recording: (1, T, 25, 3) in layout ntu25, metres; a span for each set.
        reps: Repetitions of each set, in the order of the spans.
        variants: What each set was in words: "squat, arms forward".
    """

    recording: Recording
    reps: tuple[int, ...]
    variants: tuple[str, ...]


def workout(
    person: Subject,
    rng: np.random.Generator,
    *,
    sets: Sequence[tuple[str, int]] = SETS,
    between: Sequence[str] = BETWEEN,
    idle_s: tuple[float, float] = (3.0, 6.0),
    sensor: Sensor | None = None,
    fps: float = 30.0,
) -> Workout:
    """Sets of exercises with idleness and everyday actions before, between and after them.

    Args:
        person: Who exercises.
        rng: Draws variants, depth, tempo, pauses, fidgets and the camera.
        sets: (exercise, repetitions), in this order.
        between: Everyday actions, one after each set, in turn.
        idle_s: Shortest and longest stretch of idleness.
        sensor: The camera; None gives the joints as they are.
        fps: Frames per second.

    Raises:
        ConfigError: If an exercise or action is not known, or numbers mean nothing.
    """
    _check(sets, between, idle_s, fps)
    standing: Subject | None = None  # as the first set wants: the feet stay where they are
    scripts: list[tuple[float, Script]] = []
    spans: list[Span] = []
    variants: list[str] = []
    now_s = _idle(person, rng, idle_s, 0.0, scripts)
    for place, (name, reps) in enumerate(sets):
        made = _made(name, standing or person, rng, reps)
        standing = standing or made.person
        scripts.append((now_s, made.script))
        # From the first repetition to the last: getting ready is no exercise.
        spans.append(Span(now_s + made.spans[0][0], now_s + made.spans[-1][1], name))
        variants.append(made.variant)
        now_s = _idle(person, rng, idle_s, now_s + made.script.duration_s, scripts)
        if between:
            script = SCRIPTS[between[place % len(between)]](act(person, rng))
            scripts.append((now_s, script))
            now_s = _idle(person, rng, idle_s, now_s + script.duration_s, scripts)
    body = standing or person
    times_s = np.arange(max(2, round(now_s * fps)), dtype=np.float64) / fps
    world = joints(body, play(body, scripts, times_s, rng))[None]  # (1, T, 25, 3)
    recording = Recording(
        poses=world.astype(np.float32) if sensor is None else see(sensor, world, times_s, fps, rng),
        times_s=times_s,
        layout="ntu25",
        subject=person.number,
        source=f"synthetic/workout_s{person.number:02d}",
        spans=tuple(spans),
    )
    return Workout(recording=recording, reps=tuple(reps for _, reps in sets), variants=tuple(variants))


def _check(sets: Sequence[tuple[str, int]], between: Sequence[str], idle_s: tuple[float, float], fps: float) -> None:
    unknown = [name for name, _ in sets if name not in EXERCISES] + [name for name in between if name not in SCRIPTS]
    if unknown:
        raise ConfigError(
            f"there is no synthetic exercise or action '{unknown[0]}'; the exercises are {', '.join(EXERCISES)}, the "
            f"actions {', '.join(SCRIPTS)}"
        )
    if not sets or not all(1 <= reps <= 200 for _, reps in sets):
        raise ConfigError(f"a workout needs sets of 1 to 200 repetitions, got {list(sets)}")
    if not 0 < idle_s[0] <= idle_s[1] < 600 or not 1 <= fps <= 1000:
        raise ConfigError(f"idle_s must rise from above 0 to below 600 and fps lie in 1..1000, got {idle_s}, {fps}")


def _made(name: str, person: Subject, rng: np.random.Generator, reps: int) -> Exercised:
    """A set; on the floor, not on a chair that would have to come from somewhere."""
    standing = {"squat": squat, "arm raise": arm_raise}
    return standing.get(name, EXERCISES[name])(act(person, rng), reps)


def _idle(
    person: Subject,
    rng: np.random.Generator,
    idle_s: tuple[float, float],
    now_s: float,
    scripts: list[tuple[float, Script]],
) -> float:
    """Add a stretch of standing about, with a fidget if there is time for one; return the time at its end."""
    over_s = now_s + float(rng.uniform(*idle_s))
    script = fidget(act(person, rng), steps=False)
    if now_s + 0.3 + script.duration_s < over_s:
        scripts.append((now_s + 0.3, script))
    return over_s
