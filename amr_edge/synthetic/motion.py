"""Keyframe animation: scripts of keys along time, played over a body that sways.

A `Script` is one movement: tracks of keys for the parts of the body it uses, and steps where it walks. Parts
that no script uses keep swaying. The same scripts make a trimmed clip and a long recording.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from amr_edge.synthetic.body import LEFT, OUTWARD, RIGHT, Controls, Floats, Subject, bones

HANG = (0.4, 0.0, -1.0)  # elbows of hanging arms point back and a little out


class Track(NamedTuple):
    """Keys of one part of the body over a script's own seconds; before the first and after the last key it holds."""

    # "pelvis", "tilt", "trunk" and "head" are added to the sway, "hand" and "swing" take its place, "foot" lifts,
    # "plant" puts a foot metres left and forward of where it stood and turns it, radians
    part: str
    side: int  # LEFT or RIGHT; 0 for a part that has none
    times_s: Floats  # (K,)
    values: Floats  # (K, D)
    weights: Floats  # (K, 1) how much a "hand" follows the track instead of hanging


class Step(NamedTuple):
    """One foot leaves the floor and comes down where the ground path will be."""

    side: int
    start_s: float
    end_s: float
    lift_m: float


class Script(NamedTuple):
    """One movement, in its own seconds from 0.

    Attributes:
        duration_s: From rest to rest.
        act_s: First and last instant at which the movement can be seen.
        tracks: What moves.
        path: (K, 4) seconds, metres left and forward of the place it starts at, turn in radians; or empty.
        steps: The steps that follow the path, in time order.
    """

    duration_s: float
    act_s: tuple[float, float]
    tracks: tuple[Track, ...]
    path: Floats = np.zeros((0, 4))
    steps: tuple[Step, ...] = ()


def curve(times_s: Floats, values: Floats, at_s: Floats) -> Floats:
    """Smooth values between keys that never overshoot a key (monotone cubic, Fritsch and Carlson 1980).

    Args:
        times_s: (K,) rising.
        values: (K, D).
        at_s: (T,).

    Returns:
        (T, D); held before the first key and after the last.
    """
    if len(times_s) == 1:
        return np.repeat(values, len(at_s), axis=0)
    step = np.diff(times_s)[:, None]  # (K - 1, 1)
    slope = np.diff(values, axis=0) / step
    tangent = np.zeros_like(values)  # flat at the ends and at every extreme
    same = slope[1:] * slope[:-1] > 0
    total = np.where(same, slope[1:] + slope[:-1], 1.0)
    tangent[1:-1] = np.where(same, 2 * slope[1:] * slope[:-1] / total, 0.0)
    at_s = np.clip(at_s, times_s[0], times_s[-1])
    k = np.clip(np.searchsorted(times_s, at_s, side="right") - 1, 0, len(times_s) - 2)
    width = step[k]
    u = (at_s[:, None] - times_s[k, None]) / width  # (T, 1)
    v = 1 - u
    return np.asarray(
        v * v * ((1 + 2 * u) * values[k] + u * width * tangent[k])
        + u * u * ((1 + 2 * v) * values[k + 1] - v * width * tangent[k + 1])
    )


def wander(rng: np.random.Generator, at_s: Floats, rate_hz: float, dims: int) -> Floats:
    """(T, dims) smooth random values of about unit size that change at `rate_hz`."""
    place = (at_s - at_s[0]) * rate_hz + rng.random()
    knots = rng.standard_normal((int(place[-1]) + 2, dims))
    k = place.astype(np.int64)
    u = (place - k)[:, None]
    u = u * u * (3 - 2 * u)
    return np.asarray(knots[k] * (1 - u) + knots[k + 1] * u)


def _ground(scripts: Sequence[tuple[float, Script]], start: Floats) -> tuple[Floats, Floats]:
    """The path of the whole recording: key times (K,) and x, z, heading (K, 3)."""
    times, values = [-1e6], [start]
    for begin_s, script in scripts:
        if not len(script.path):
            continue
        x, z, yaw = values[-1]
        left, ahead = script.path[:, 1], script.path[:, 2]
        world = np.stack(
            [x + left * np.cos(yaw) + ahead * np.sin(yaw), z - left * np.sin(yaw) + ahead * np.cos(yaw)], axis=-1
        )  # (K, 2)
        times.extend(begin_s + script.path[:, 0])
        values.extend(np.concatenate([world, yaw + script.path[:, 3:]], axis=1))
    return np.array(times), np.array(values)


def _feet(
    person: Subject, scripts: Sequence[tuple[float, Script]], at_s: Floats, times_s: Floats, ground: Floats
) -> tuple[Floats, Floats]:
    """Ankle positions (2, T, 3), and heading and pitch of the feet (2, T, 2); planted but for steps."""
    b = bones(person)
    ankles, feet = np.zeros((2, len(at_s), 3)), np.zeros((2, len(at_s), 2))
    for side in (LEFT, RIGHT):
        steps = [
            Step(side, begin_s + step.start_s, begin_s + step.end_s, step.lift_m)
            for begin_s, script in scripts
            for step in script.steps
            if step.side == side
        ]
        # A foot comes down where the body will be in the middle of the time it stands there.
        ends = [step.end_s for step in steps]
        leaves = [*(step.start_s for step in steps[1:]), 1e6][: len(steps)]
        middle = np.array([-1e6, *(end + 0.5 * min(leave - end, 1.0) for end, leave in zip(ends, leaves, strict=True))])
        stood = curve(times_s, ground, middle)  # (steps + 1, 3)
        width = OUTWARD[side] * b.hip * person.stance
        place = np.stack(
            [stood[:, 0] + width * np.cos(stood[:, 2]), stood[:, 1] - width * np.sin(stood[:, 2]), stood[:, 2]], axis=-1
        )  # (steps + 1, 3) x, z, heading
        k = np.searchsorted(np.array([step.start_s for step in steps]), at_s, side="right")  # steps begun
        if steps:
            start = np.array([step.start_s for step in steps])
            length = np.array(ends) - start
            height = np.array([step.lift_m for step in steps])
            roll = 0.55 * np.clip(height / 0.12, 0, 1)  # how far the heel leaves the floor before the foot does
            current, coming = np.maximum(k - 1, 0), np.minimum(k, len(steps) - 1)
            u = np.where(k > 0, np.clip((at_s - start[current]) / length[current], 0, 1), 1.0)
            to_go = np.where(k < len(steps), start[coming] - at_s, 1.0)
            rising = roll[coming] * np.clip(1 - to_go / 0.16, 0, 1) ** 2 * (u >= 1)
            swinging = roll[current] * ((1 - u) ** 2 - 2.5 * u**3 * (1 - u)) * (k > 0)  # toes up before they land
            ease = (u * u * (3 - 2 * u))[:, None]
            now = np.where((k > 0)[:, None], place[current] * (1 - ease) + place[k] * ease, place[k])
            ankles[side, :, 1] = height[current] * np.sin(np.pi * u) ** 2 * (1.35 - 0.7 * u) * (k > 0)
            feet[side, :, 1] = rising + swinging
        else:
            now = place[k]
        ankles[side, :, 0], ankles[side, :, 2] = now[:, 0], now[:, 1]
        feet[side, :, 0] = now[:, 2] + OUTWARD[side] * person.toe_out
    return ankles, feet


def play(
    person: Subject,
    scripts: Sequence[tuple[float, Script]],
    at_s: Floats,
    rng: np.random.Generator,
    start: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Controls:
    """Posture of the body at the instants `at_s`.

    Args:
        person: Who moves.
        scripts: (second at which it begins, script) in time order; where two move a hand, the later one has it.
        at_s: (T,) rising seconds.
        rng: For the sway.
        start: x, z in metres and heading in radians before the first script.

    Returns:
        The controls of T frames.
    """
    b, sway = bones(person), person.sway
    frames = len(at_s)
    times_s, ground = _ground(scripts, np.array(start))
    ankles, feet = _feet(person, scripts, at_s, times_s, ground)
    slow, quick = wander(rng, at_s, 0.45, 12) * sway, wander(rng, at_s, 1.3, 15) * sway
    shift = slow[:, 0] * 0.014  # weight from one leg to the other
    held = Controls(
        ground=curve(times_s, ground, at_s),
        pelvis=np.stack([shift, -np.abs(shift) * 0.25, 0.008 * slow[:, 1] + 0.002 * quick[:, 0]], axis=-1),
        tilt=np.stack([0.012 * slow[:, 2], 0.02 * slow[:, 3], -1.2 * shift], axis=-1),
        trunk=np.stack(
            [
                person.slouch + 0.015 * slow[:, 4] + 0.006 * np.sin(1.7 * at_s),  # breathing
                0.03 * slow[:, 5],
                1.6 * shift + 0.006 * quick[:, 1],
            ],
            axis=-1,
        ),
        head=np.stack([-0.7 * person.slouch + 0.05 * slow[:, 6], 0.12 * slow[:, 7], 0.03 * quick[:, 2]], axis=-1),
        hands=np.zeros((2, frames, 9)),
        ankles=ankles,
        feet=feet,
        swing=np.tile([0.0, 0.0, 0.0, 1.0], (2, frames, 1)),
    )
    rest = np.array([person.rest_out, 0.0, person.rest_front])
    rest[1] = -np.sqrt((1 - person.rest_bend) ** 2 - (rest**2).sum())
    hanging = np.array([*rest, *HANG, 0.0, 0.0, 0.0])  # a hand that does nothing
    held.hands[:] = hanging
    for begin_s, script in scripts:
        now = slice(*np.searchsorted(at_s, [begin_s, begin_s + script.duration_s]))
        own_s = at_s[now] - begin_s
        if not len(own_s):
            continue
        for track in script.tracks:
            value = curve(track.times_s, track.values, own_s)
            if track.part == "hand":
                hand = held.hands[track.side, now]
                hand += curve(track.times_s, track.weights, own_s) * (value - hand)
            elif track.part == "swing":
                held.swing[track.side, now] = value
            elif track.part == "foot":
                held.ankles[track.side, now, 1] += value[:, 0] * b.leg
                held.feet[track.side, now, 1] += value[:, 1]
            elif track.part == "plant":
                yaw = held.ground[now, 2]
                held.ankles[track.side, now, 0] += value[:, 0] * np.cos(yaw) + value[:, 1] * np.sin(yaw)
                held.ankles[track.side, now, 2] += value[:, 1] * np.cos(yaw) - value[:, 0] * np.sin(yaw)
                held.feet[track.side, now, 0] += value[:, 2]
            else:
                getattr(held, track.part)[now] += value
    held.hands[..., :3] += 0.012 * quick[:, 3:9].reshape(frames, 2, 3).transpose(1, 0, 2)  # (2, T, 3)
    held.hands[..., :3] += 0.012 * slow[:, 6:12].reshape(frames, 2, 3).transpose(1, 0, 2)  # (2, T, 3)
    held.hands[..., 6:9] += 0.1 * quick[:, 9:15].reshape(frames, 2, 3).transpose(1, 0, 2)  # (2, T, 3)
    return held
