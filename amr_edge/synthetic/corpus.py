"""The synthetic corpus: trimmed clips by subject and take, and continuous recordings with spans."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from amr_edge.data.recording import Recording, Span
from amr_edge.errors import ConfigError
from amr_edge.synthetic.actions import SCRIPTS, sit_down, walk
from amr_edge.synthetic.actor import act
from amr_edge.synthetic.body import Floats, Subject, joints, subject
from amr_edge.synthetic.idling import IDLE, SEATED, fidget, habit, idle, seat
from amr_edge.synthetic.motion import Script, play
from amr_edge.synthetic.sensor import Sensor, see

DATASET = "synthetic"
TERMS = "synthetic people made by amr-edge itself; no person was recorded, no terms apply"
ACTIONS: tuple[str, ...] = tuple(SCRIPTS)
CLASSES: tuple[str, ...] = (*ACTIONS, IDLE)
SENSOR = Sensor()

LONGEST_S = 4.0


def _times(seconds: float, fps: float) -> Floats:
    """(T,) the instants of frames over `seconds`, from 0."""
    return np.arange(max(2, round(seconds * fps)), dtype=np.float64) / fps


def _check(actions: Sequence[str], known: Sequence[str], fps: float) -> None:
    """Refuse unknown actions and invalid frame rates."""
    unknown = [action for action in actions if action not in known]
    if unknown:
        raise ConfigError(f"there is no synthetic action '{unknown[0]}'; the actions are {', '.join(known)}")
    if not 1 <= fps <= 1000:
        raise ConfigError(f"fps must lie in 1..1000, got {fps}")


def clip(
    action: str, person: Subject, rng: np.random.Generator, *, fps: float = 30.0, sensor: Sensor = SENSOR
) -> Recording:
    """One take of one action by one person, seen from a new place.

    Args:
        action: One of `CLASSES`.
        person: Who acts.
        rng: Makes this take different from the others.
        fps: Frames per second.
        sensor: The camera.

    Returns:
        A recording (1, T, 25, 3) of 1.5 to 4 s, labelled with the action.

    Raises:
        ConfigError: If there is no such action, or the frame rate means nothing.
    """
    _check([action], CLASSES, fps)
    actor = act(person, rng)
    # Clips are cut by hand: some begin before the action does, some a moment too late.
    lead_s, tail_s = actor.vary(-0.12, 0.6), actor.vary(-0.12, 0.6)
    start = (actor.vary(-0.3, 0.3), actor.vary(-0.3, 0.3), 0.0)
    seated = action in SEATED and actor.chance(0.15)
    scripts: list[tuple[float, Script]] = [(-1.0, seat(actor))] if seated else []
    if actor.chance(0.35):
        scripts.append((-1.0, habit(actor)))
    if action == IDLE:
        scripts += idle(actor, seated=seated)
        seconds = actor.vary(1.6, LONGEST_S)
    else:
        turned = action == "walk" and actor.chance(0.25)
        script = walk(actor, turn_rad=actor.vary(-1.8, 1.8)) if turned else SCRIPTS[action](actor)
        if action == "walk":
            # People are filmed from the side and from behind when they walk, and often in the middle of it.
            yaw = actor.vary(-2.0, 2.0)
            middle = 0.5 * float(script.path[-1, 2])
            start = (start[0] - middle * float(np.sin(yaw)), start[1] - middle * float(np.cos(yaw)), yaw)
            lead_s = actor.vary(-0.1, 0.3) if turned else actor.vary(-0.9, 0.3)
        scripts.append((lead_s, script))
        seconds = lead_s + script.act_s[1] + tail_s
    seconds = float(np.clip(seconds, 1.5, LONGEST_S))
    times_s = _times(seconds, fps)
    held = play(person, scripts, times_s, rng, start)
    poses = see(sensor, joints(person, held)[None], times_s, fps, rng)
    return Recording(
        poses=poses,
        times_s=times_s,
        layout="ntu25",
        label=action,
        subject=person.number,
        source=f"{DATASET}/{action}_s{person.number:02d}",
    )


def corpus(
    *, subjects: int = 20, takes: int = 4, seed: int = 0, fps: float = 30.0, sensor: Sensor = SENSOR
) -> Iterator[Recording]:
    """All actions and idle, by all subjects, several takes each.

    A clip depends on its action, subject, take and the seed, not on how many others are made.

    Args:
        subjects: How many people; they are numbered from 1.
        takes: Takes of each action by each of them.
        seed: Another seed is another population.
        fps: Frames per second.
        sensor: The camera.

    Yields:
        `subjects` x 13 x `takes` clips, subject by subject.

    Raises:
        ConfigError: If there is no person or no take.
    """
    if subjects < 1 or takes < 1 or seed < 0:
        raise ConfigError(f"expected subjects, takes >= 1 and seed >= 0, got {subjects}, {takes} and {seed}")
    for number in range(1, subjects + 1):
        person = subject(number, seed)
        for kind, action in enumerate(CLASSES):
            for take in range(1, takes + 1):
                rng = np.random.default_rng(np.random.SeedSequence([seed, 1, number, kind, take]))
                made = clip(action, person, rng, fps=fps, sensor=sensor)
                yield replace(made, source=f"{made.source}_k{take:02d}")


def _plan(
    person: Subject,
    rng: np.random.Generator,
    actions: Sequence[str] | None,
    seconds: float | None,
    idle_s: tuple[float, float],
    chosen: Sequence[str],
) -> tuple[list[tuple[float, Script]], tuple[Span, ...], float]:
    """Scripts with their beginnings, spans of the actions, and seconds in all; chance draws from `chosen`."""
    if not 0 <= idle_s[0] <= idle_s[1] < np.inf:
        raise ConfigError(f"idle_s must be a shortest and a longest time, got {idle_s}")
    if actions is None and seconds is None:
        seconds = 60.0
    if seconds is not None and not 0 < seconds <= 7200:
        raise ConfigError(f"seconds must lie in 0..7200, got {seconds}")
    scripts: list[tuple[float, Script]] = []
    spans: list[Span] = []
    queue = list(actions or ())
    now_s, away = 0.0, np.zeros(2)  # x and z to which walking has led
    while True:
        rested_s = now_s + rng.uniform(*idle_s)
        while rng.random() < 0.6:
            script = fidget(act(person, rng), steps=False)
            if now_s + 0.2 + script.duration_s > rested_s:
                break
            scripts.append((now_s + 0.2, script))
            now_s += 0.2 + script.duration_s
        now_s = rested_s
        if actions is not None and not queue:
            break
        action = queue.pop(0) if actions is not None else chosen[int(rng.integers(0, len(chosen)))]
        actor = act(person, rng)
        if action == "walk":
            far = float(np.hypot(*away))
            home = float(np.arctan2(*-away)) + actor.vary(-0.3, 0.3)
            way = home if far > 0.5 else actor.vary(-2.2, 2.2)
            script = walk(actor, turn_rad=way, length_m=max(far, 1.4) + actor.vary(0.0, 0.5), back=True)
            away = away + script.path[-1, 1:3]
        elif action == "sit_down":
            script = sit_down(actor, rise=True)
        else:
            script = SCRIPTS[action](actor)
        if seconds is not None and now_s + script.duration_s > seconds:
            break
        scripts.append((now_s, script))
        spans.append(Span(now_s + script.act_s[0], now_s + script.act_s[1], action))
        now_s += script.duration_s
    return scripts, tuple(spans), now_s if seconds is None else seconds


def continuous(
    person: Subject,
    rng: np.random.Generator,
    *,
    actions: Sequence[str] | None = None,
    seconds: float | None = None,
    idle_s: tuple[float, float] = (1.5, 5.0),
    fps: float = 30.0,
    sensor: Sensor = SENSOR,
) -> Recording:
    """One person in one long recording: actions in a row, idle between them.

    Args:
        person: Who acts.
        rng: Chooses the order, the pauses and every take.
        actions: What is done, in this order; None chooses at random until `seconds` are full.
        seconds: How long the recording is; None is as long as `actions` take, or 60 s. An action that would not
            be over in time is not begun.
        idle_s: Shortest and longest time of idleness before, between and after actions.
        fps: Frames per second.
        sensor: The camera.

    Returns:
        A recording (1, T, 25, 3) whose spans are the actions. Who sat down gets up again and who walked turns
        back; that lies outside the spans.

    Raises:
        ConfigError: If an action is not known, or times mean nothing.
    """
    _check(list(actions or ()), ACTIONS, fps)
    scripts, spans, length_s = _plan(person, rng, actions, seconds, idle_s, ACTIONS)
    times_s = _times(length_s, fps)
    held = play(person, scripts, times_s, rng)
    poses = see(sensor, joints(person, held)[None], times_s, fps, rng)
    return Recording(
        poses=poses,
        times_s=times_s,
        layout="ntu25",
        subject=person.number,
        source=f"{DATASET}/continuous_s{person.number:02d}",
        spans=spans,
    )


class Scene(NamedTuple):
    """Several persons in one recording, with the actions of each."""

    recording: Recording  # (M, T, 25, 3); its own spans are empty, because a span does not say whose it is
    spans: tuple[tuple[Span, ...], ...]  # M, the actions of each person


def crowd(
    people: Sequence[Subject],
    rng: np.random.Generator,
    *,
    seconds: float = 60.0,
    idle_s: tuple[float, float] = (1.5, 5.0),
    apart_m: float = 1.3,
    fps: float = 30.0,
    sensor: Sensor = SENSOR,
) -> Scene:
    """Several people side by side, each doing things of its own; they stay in place, so they cannot collide.

    Args:
        people: Who is there, from the left of the camera's picture to its right.
        rng: Chooses what each of them does.
        seconds: How long the recording is.
        idle_s: As in `continuous`.
        apart_m: Distance between neighbours.
        fps: Frames per second.
        sensor: The camera.

    Returns:
        The recording and the spans of each person.

    Raises:
        ConfigError: If there is no person, or times or distances are invalid.
    """
    if not people or not 0 < apart_m < 10:
        raise ConfigError(f"a crowd needs people and apart_m in 0..10, got {len(people)} and {apart_m}")
    _check([], ACTIONS, fps)
    standing = tuple(action for action in ACTIONS if action != "walk")
    times_s, bodies, spans = _times(seconds, fps), [], []
    for i, person in enumerate(people):
        scripts, own, _ = _plan(person, rng, None, seconds, idle_s, standing)
        place = (apart_m * (i - 0.5 * (len(people) - 1)), float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.4, 0.4)))
        bodies.append(joints(person, play(person, scripts, times_s, rng, place)))
        spans.append(own)
    poses = see(sensor, np.stack(bodies), times_s, fps, rng)  # (M, T, 25, 3)
    numbers = "_".join(f"s{person.number:02d}" for person in people)
    recording = Recording(poses=poses, times_s=times_s, layout="ntu25", source=f"{DATASET}/crowd_{numbers}")
    return Scene(recording, tuple(spans))
