"""Body model of a synthetic person: proportions, bone lengths, and forward kinematics to the 25 joints.

The trunk and head follow joint rotations down the tree; each arm and leg is a pair of bones between a shoulder
or hip and a wrist or ankle, bent at an elbow or knee whose side is given. World axes: y up, the floor at y = 0;
a person with heading 0 faces +z and has +x at the left hand.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError
from amr_edge.skeleton import NTU25

Floats = NDArray[np.float64]

LEFT, RIGHT = 0, 1
OUTWARD = np.array([1.0, -1.0])  # x of "away from the body" for the left and the right limb


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One synthetic person: proportions, posture and manner of movement.

    Attributes:
        number: Who it is; the corpus counts from 1.
        left_handed: Acts with the left hand and foot.
        height_m: Standing height.
        legs: Leg length as a multiple of what the height suggests; `arms`, `torso`, `shoulders` and `hips` likewise.
        arms: See `legs`.
        torso: See `legs`.
        shoulders: Shoulder width, see `legs`.
        hips: Hip width, see `legs`.
        tempo: Speed of every movement, 1 is usual.
        amplitude: Size of every movement, 1 is usual.
        slouch: Forward bend of the trunk at rest, radians.
        stance: Distance between the ankles at rest, in hip widths.
        toe_out: Outward turn of each foot, radians.
        rest_out: How far the hands hang from the body, in arm lengths.
        rest_front: How far the hands hang in front, in arm lengths.
        rest_bend: How much the elbows are bent at rest, in arm lengths missing from a straight arm.
        sway: Size of the unrest when nothing happens, 1 is usual.
    """

    number: int
    left_handed: bool = False
    height_m: float = 1.72
    legs: float = 1.0
    arms: float = 1.0
    torso: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    tempo: float = 1.0
    amplitude: float = 1.0
    slouch: float = 0.06
    stance: float = 1.3
    toe_out: float = 0.15
    rest_out: float = 0.13
    rest_front: float = 0.05
    rest_bend: float = 0.03
    sway: float = 1.0

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ConfigError(f"a subject's number must be 0 or more, got {self.number}")
        if not all(np.isfinite(getattr(self, field.name)) for field in fields(self)):
            raise ConfigError(f"subject {self.number} must be described in finite numbers, got {self}")
        if not 0.8 <= self.height_m <= 2.3:
            raise ConfigError(f"height_m must lie in 0.8..2.3 metres, got {self.height_m}")
        for name in ("legs", "arms", "torso", "shoulders", "hips", "tempo", "amplitude"):
            if not 0.5 <= getattr(self, name) <= 1.6:
                raise ConfigError(f"{name} must lie in 0.5..1.6 times the usual, got {getattr(self, name)}")
        for name, low, high in (
            ("slouch", -0.2, 0.6),
            ("stance", 0.5, 3.0),
            ("toe_out", -0.3, 0.8),
            ("rest_out", 0.0, 0.5),
            ("rest_front", -0.3, 0.4),
            ("rest_bend", 0.0, 0.2),
            ("sway", 0.0, 3.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must lie in {low}..{high}, got {getattr(self, name)}")


def subject(number: int, seed: int) -> Subject:
    """The person `number` of the population `seed`; does not depend on how many others there are.

    Raises:
        ConfigError: If the number or the seed is negative.
    """
    if number < 0 or seed < 0:
        raise ConfigError(f"a subject's number and seed must be 0 or more, got {number} and {seed}")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0, number]))

    def near(center: float, spread: float) -> float:
        """A value around `centre`, never more than two spreads away."""
        return float(center + spread * np.clip(rng.standard_normal(), -2, 2))

    return Subject(
        number=number,
        left_handed=bool(rng.random() < 0.2),
        height_m=near(1.71, 0.095),
        legs=near(1.0, 0.035),
        arms=near(1.0, 0.035),
        torso=near(1.0, 0.035),
        shoulders=near(1.0, 0.07),
        hips=near(1.0, 0.07),
        tempo=near(1.0, 0.11),
        amplitude=near(0.97, 0.11),
        slouch=near(0.08, 0.06),
        stance=near(1.4, 0.3),
        toe_out=near(0.18, 0.08),
        rest_out=near(0.13, 0.035),
        rest_front=near(0.06, 0.05),
        rest_bend=near(0.04, 0.015),
        sway=near(1.0, 0.3),
    )


class Bones(NamedTuple):
    """Lengths in metres."""

    ankle_height: float
    shank: float
    thigh: float
    hip: float  # pelvis to hip joint, sideways
    hip_drop: float  # and downwards
    lower_spine: float
    upper_spine: float
    neck: float
    head: float
    shoulder: float  # upper spine to shoulder, sideways
    shoulder_drop: float  # and downwards
    upper_arm: float
    forearm: float
    hand: float
    hand_tip: float
    thumb: float
    foot: float  # ankle to toes, forwards
    foot_drop: float  # and downwards

    @property
    def leg(self) -> float:
        """Hip to ankle when straight."""
        return self.thigh + self.shank

    @property
    def arm(self) -> float:
        """Shoulder to wrist when straight."""
        return self.upper_arm + self.forearm


@lru_cache(maxsize=256)
def bones(person: Subject) -> Bones:
    """The bone lengths that follow from height and proportions."""
    h = person.height_m
    return Bones(
        ankle_height=0.046 * h,
        shank=0.241 * h * person.legs,
        thigh=0.241 * h * person.legs,
        hip=0.049 * h * person.hips,
        hip_drop=0.022 * h,
        lower_spine=0.155 * h * person.torso,
        upper_spine=0.125 * h * person.torso,
        neck=0.043 * h,
        head=0.084 * h,
        shoulder=0.102 * h * person.shoulders,
        shoulder_drop=0.024 * h,
        upper_arm=0.166 * h * person.arms,
        forearm=0.143 * h * person.arms,
        hand=0.043 * h * person.arms,
        hand_tip=0.044 * h * person.arms,
        thumb=0.034 * h * person.arms,
        foot=0.085 * h,
        foot_drop=0.034 * h,
    )


@dataclass(slots=True, kw_only=True, eq=False)
class Controls:
    """Posture of the body over T frames; two-sided arrays have the left limb first.

    Attributes:
        ground: (T, 3) x and z in metres and heading in radians of where the person stands.
        pelvis: (T, 3) metres left, up and forward of the place above `ground` at standing height.
        tilt: (T, 3) pitch (forward), yaw (to the left) and roll (to the right) of the pelvis, radians.
        trunk: (T, 3) the same for the chest against the pelvis.
        head: (T, 3) the same for the head against the chest.
        hands: (2, T, 9) wrist from shoulder in arm lengths, direction in which the elbow points, and pull on the
            hand away from the forearm's line; each as outward, up and forward of the chest.
        ankles: (2, T, 3) where the ankles are wanted, metres in the world.
        feet: (2, T, 2) heading and pitch (toes down) of the feet, radians.
        swing: (2, T, 4) of a leg that leaves its place on the floor: how much (0..1), angle forward and outward
            in radians, hip to ankle in leg lengths.
    """

    ground: Floats
    pelvis: Floats
    tilt: Floats
    trunk: Floats
    head: Floats
    hands: Floats
    ankles: Floats
    feet: Floats
    swing: Floats


def turn(angles: Floats) -> Floats:
    """(..., 3) pitch, yaw and roll in radians to (..., 3, 3) rotations: roll first, then pitch, then yaw."""
    (ca, cb, cc), (sa, sb, sc) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    out = np.empty((*angles.shape[:-1], 3, 3))
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = cb * cc + sb * sa * sc, sb * sa * cc - cb * sc, sb * ca
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = ca * sc, ca * cc, -sa
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = cb * sa * sc - sb * cc, sb * sc + cb * sa * cc, cb * ca
    return out


def _unit(vectors: Floats) -> Floats:
    """(..., 3) scaled to length 1."""
    return np.asarray(vectors / np.maximum(np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True)), 1e-9))


def _limb(start: Floats, wanted: Floats, pole: Floats, upper: float, lower: float) -> tuple[Floats, Floats]:
    """The middle and end joints (..., 3) of two bones from `start` towards `wanted`, bent to the side of `pole`."""
    line = wanted - start
    distance = np.sqrt((line * line).sum(axis=-1, keepdims=True))
    along = line / np.maximum(distance, 1e-9)
    # A fully folded or fully stretched limb would snap; people stay short of both.
    reach = np.clip(distance, 0.3 * (upper + lower), 0.999 * (upper + lower))
    side = _unit(pole - (pole * along).sum(axis=-1, keepdims=True) * along)
    cosine = (upper**2 + reach**2 - lower**2) / (2 * upper * reach)
    bend = np.sqrt(np.maximum(1 - cosine**2, 0))
    return start + upper * (cosine * along + bend * side), start + reach * along


# Unit vector out of the body at the left and the right side, (2, 3).
_SIDES = OUTWARD[:, None] * np.array([1.0, 0.0, 0.0])


def _legs(b: Bones, held: Controls, heading: Floats, rot_pelvis: Floats) -> tuple[Floats, dict[str, Floats]]:
    """The pelvis (T, 3) and the joints of both legs, (2, T, 3) each.

    Args:
        b: The bones.
        held: Posture over T frames.
        heading: (T, 3, 3) rotation of the place where the person stands.
        rot_pelvis: (T, 3, 3) rotation of the pelvis.
    """
    # Feet first: where they stand decides how high the pelvis can be.
    weight, forward, outward, reach = np.moveaxis(held.swing, -1, 0)  # each (2, T)
    frames = len(held.ground)
    foot_turn = np.zeros((2, frames, 3))
    foot_turn[..., 0] = held.feet[..., 1] - weight * 0.75 * forward
    foot_turn[..., 1] = held.feet[..., 0]
    toes = turn(foot_turn) @ np.array([0.0, -b.foot_drop, b.foot])  # (2, T, 3) ankle to toes
    sole = np.maximum(b.ankle_height, b.ankle_height - b.foot_drop - toes[..., 1])  # (2, T) lowest ankle
    planted = held.ankles.copy()
    planted[..., 1] = np.maximum(planted[..., 1] + b.ankle_height, sole)

    pelvis = (heading @ held.pelvis[..., None])[..., 0]  # (T, 3)
    pelvis[:, [0, 2]] += held.ground[:, :2]
    pelvis[:, 1] += b.ankle_height + 0.996 * b.leg + b.hip_drop
    to_hip = _SIDES * b.hip - np.array([0.0, b.hip_drop, 0.0])
    to_hip = (rot_pelvis @ to_hip[:, None, :, None])[..., 0]  # (2, T, 3)
    hip = pelvis + to_hip
    flat = ((hip - planted)[..., [0, 2]] ** 2).sum(axis=-1)  # (2, T)
    top = planted[..., 1] + np.sqrt(np.maximum((0.9985 * b.leg) ** 2 - flat, (0.3 * b.leg) ** 2))
    pelvis[:, 1] -= (np.maximum(hip[..., 1] - top, 0) * (1 - weight)).max(axis=0)
    hip = pelvis + to_hip

    leg = np.stack([OUTWARD[:, None] * np.sin(outward), -np.cos(forward) * np.cos(outward), np.sin(forward)], axis=-1)
    free = hip + b.leg * reach[..., None] * (heading @ leg[..., None])[..., 0]  # (2, T, 3)
    ankle = planted + weight[..., None] * (free - planted)
    ankle[..., 1] = np.maximum(ankle[..., 1], sole)
    ahead = np.zeros((2, frames, 3))  # where the knees point: over the toes, and up with a raised leg
    ahead[..., 0], ahead[..., 2] = np.sin(held.feet[..., 0]), np.cos(held.feet[..., 0])
    ahead *= np.cos(weight * forward)[..., None]
    ahead[..., 1] = np.sin(weight * forward)
    knee, ankle = _limb(hip, ankle, ahead, b.thigh, b.shank)
    return pelvis, {"hip": hip, "knee": knee, "ankle": ankle, "foot": ankle + toes}


def _arms(b: Bones, held: Controls, chest: Floats, rot_chest: Floats) -> dict[str, Floats]:
    """The joints of both arms, (2, T, 3) each, from the upper spine `chest` (T, 3) and its rotation (T, 3, 3)."""
    # A hand on its way past the shoulder goes round it in front, or the arm would whirl.
    near = ((held.hands[..., :3] ** 2).sum(axis=-1, keepdims=True) / 0.09) ** 2
    passing = held.hands[..., :3] + np.exp(-near) * np.array([0.2, -0.05, 0.3])
    wrist_x, wrist_y, wrist_z = np.moveaxis(passing * b.arm, -1, 0)  # (2, T)
    out = OUTWARD[:, None]
    wanted = np.stack([out * (b.shoulder + wrist_x), wrist_y - b.shoulder_drop, wrist_z], axis=-1)  # in the chest
    # The collar bone lifts the shoulder of a raised arm and pulls it along when the hand reaches forward.
    lift = 0.4 * np.clip(wrist_y / b.arm + 0.1, 0, 1) * out
    pull = -0.25 * np.clip(wrist_z / b.arm - 0.3, -0.5, 1) * out
    collar = turn(np.stack([np.zeros_like(lift), pull, lift], axis=-1))  # (2, T, 3, 3)
    to_shoulder = (_SIDES * b.shoulder - np.array([0.0, b.shoulder_drop, 0.0]))[:, None, :, None]
    shoulder = chest + (rot_chest @ (collar @ to_shoulder))[..., 0]  # (2, T, 3)
    wanted = chest + (rot_chest @ wanted[..., None])[..., 0]
    mirrored = np.stack([OUTWARD, np.ones(2), np.ones(2)], axis=-1)[:, None]  # (2, 1, 3)
    pole = (rot_chest @ (held.hands[..., 3:6] * mirrored)[..., None])[..., 0]
    aim = (rot_chest @ (held.hands[..., 6:9] * mirrored)[..., None])[..., 0]
    # An elbow that should point along the arm has no side to go to; then it goes down and out.
    pole, reaching = _unit(pole), _unit(wanted - shoulder)
    aside = (rot_chest @ (np.array([0.6, -0.8, 0.0]) * mirrored[:, 0])[:, None, :, None])[..., 0]  # (2, T, 3)
    pole += (pole * reaching).sum(axis=-1, keepdims=True) ** 4 * aside
    elbow, wrist = _limb(shoulder, wanted, pole, b.upper_arm, b.forearm)
    point = _unit(_unit(wrist - elbow) + aim)
    hand = wrist + b.hand * point
    # Thumbs point forward on a hanging arm and up on one that is held out.
    grip = (rot_chest @ (np.array([-0.4, 0.7, 0.8]) * mirrored[:, 0])[:, None, :, None])[..., 0]  # (2, T, 3)
    grip = _unit(grip - (grip * point).sum(axis=-1, keepdims=True) * point)
    tip, thumb = hand + b.hand_tip * point, hand + b.thumb * (0.55 * point + 0.835 * grip)
    return {
        "shoulder": shoulder, "elbow": elbow, "wrist": wrist, "hand": hand, "hand_tip": tip, "thumb": thumb,
    }  # fmt: skip


def joints(person: Subject, held: Controls) -> Floats:
    """Joint positions from a posture, by forward kinematics.

    Args:
        person: Subject with the bone lengths.
        held: Posture over T frames.

    Returns:
        (T, 25, 3) metres in the world, joints in the order of layout 'ntu25'. Bone lengths are kept exactly; a
        pelvis that is too high for the planted feet is lowered, feet are kept above the floor.
    """
    b = bones(person)
    heading = turn(held.ground[:, 2, None] * np.array([0.0, 1.0, 0.0]))  # (T, 3, 3)
    rot_pelvis = heading @ turn(held.tilt)
    bend = turn(0.5 * held.trunk)
    rot_spine = rot_pelvis @ bend
    rot_chest = rot_spine @ bend
    nod = turn(0.5 * held.head)
    rot_neck = rot_chest @ nod
    rot_head = rot_neck @ nod

    pelvis, legs = _legs(b, held, heading, rot_pelvis)
    spine = pelvis + rot_spine @ np.array([0.0, b.lower_spine, 0.0])
    chest = spine + rot_chest @ np.array([0.0, b.upper_spine, 0.0])
    neck = chest + rot_neck @ np.array([0.0, b.neck, 0.0])
    head = neck + rot_head @ np.array([0.0, 0.97 * b.head, 0.24 * b.head])

    placed = {"pelvis": pelvis, "spine": spine, "upper_spine": chest, "neck": neck, "head": head}
    for part, both in {**legs, **_arms(b, held, chest, rot_chest)}.items():
        placed[f"left_{part}"], placed[f"right_{part}"] = both[LEFT], both[RIGHT]
    return np.stack([placed[joint] for joint in NTU25.joints], axis=1)  # (T, 25, 3)
