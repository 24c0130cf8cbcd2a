"""Depth camera simulation: viewpoint, joint noise and lost joints."""

from dataclasses import dataclass, fields

import numpy as np

from amr_edge.errors import ConfigError
from amr_edge.skeleton import NTU25, Poses
from amr_edge.synthetic.body import Floats, turn
from amr_edge.synthetic.motion import wander

# Hands and feet are seen worst; 1 is a joint of the trunk.
_WORSE = {"wrist": 1.3, "hand": 1.6, "tip": 2.2, "thumb": 2.2, "elbow": 1.1, "ankle": 1.3, "foot": 1.7}
BLUR = np.array([_WORSE.get(joint.split("_")[-1], 1.0) for joint in NTU25.joints])
DEPTH = np.array([1.0, 1.0, 1.8])  # depth is less certain than the image plane
LIMBS = tuple(
    tuple(
        NTU25.index(joint)
        for joint in NTU25.joints
        if joint.startswith(side) and joint.split("_")[-1] in parts
    )
    for side in ("left", "right")
    for parts in (("elbow", "wrist", "hand", "tip", "thumb"), ("knee", "ankle", "foot"))
)  # fmt: skip
_LEGS_SWAPPED = tuple(
    NTU25.mirror[joint] if name.split("_")[-1] in ("hip", "knee", "ankle", "foot") else joint
    for joint, name in enumerate(NTU25.joints)
)


def _from_root() -> tuple[int, ...]:
    """The joints but the root, each after the joint that it hangs from."""
    placed = [NTU25.root]
    for joint in placed:
        placed.extend(child for parent, child in NTU25.bones if parent == joint)
    return tuple(placed[1:])


_FROM_ROOT = _from_root()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A camera that looks at a person.

    Attributes:
        yaw_deg: A clip is seen from a direction up to this far from the front.
        pitch_deg: The camera looks up or down by up to this much.
        height_m: Lowest and highest place of the camera above the floor.
        distance_m: Nearest and farthest place of the person.
        noise_m: Standard deviation of a trunk joint's error from frame to frame, across the view.
        drift_m: The same for an error that changes over about a second.
        lost_per_s: How often a second a joint is lost, each for up to `lost_s`.
        limb_lost_per_s: How often a second a forearm or lower leg is lost as a whole.
        lost_s: Longest loss; the shortest is one frame.
        depth: Least and greatest share of the depth differences within a body that is reported.
        bone_deg: Each bone's own constant error of direction in a recording, standard deviation.
        forearm_deg: The same of a forearm, changing over about half a second; up to three times as much while the
            hand is at the head or in front of the body.
        uneven: Least and greatest multiple of all noise, drawn for each recording.
        frozen_per_s: How often a second a joint stays where it was, each for up to `lost_s`.
        held_per_s: The same of a whole body, as where the estimator repeats itself.
        swapped_per_s: How often a second the legs, or both sides, are taken for each other, for up to `swapped_s`.
        swapped_s: Longest swap.
    """

    yaw_deg: float = 60.0
    pitch_deg: float = 8.0
    height_m: tuple[float, float] = (0.8, 1.7)
    distance_m: tuple[float, float] = (2.4, 4.2)
    noise_m: float = 0.006
    drift_m: float = 0.012
    lost_per_s: float = 0.04
    limb_lost_per_s: float = 0.05
    lost_s: float = 0.5
    depth: tuple[float, float] = (1.0, 1.0)
    bone_deg: float = 0.0
    forearm_deg: float = 0.0
    uneven: tuple[float, float] = (1.0, 1.0)
    frozen_per_s: float = 0.0
    held_per_s: float = 0.0
    swapped_per_s: float = 0.0
    swapped_s: float = 0.2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = value if isinstance(value, tuple) else (value, value)
            if not 0 <= low <= high < np.inf:
                raise ConfigError(f"a sensor's {field.name} must be 0 or more and rise, got {value}")
        if self.yaw_deg > 180 or self.pitch_deg > 45:
            raise ConfigError(f"yaw_deg and pitch_deg must not exceed 180 and 45, got {self.yaw_deg}, {self.pitch_deg}")

    @staticmethod
    def perfect() -> "Sensor":
        """No noise, no loss, level with the floor: y is the height above it; 3 m away, from the front."""
        return Sensor(
            yaw_deg=0, pitch_deg=0, height_m=(0, 0), distance_m=(3, 3), noise_m=0, drift_m=0, lost_per_s=0,
            limb_lost_per_s=0,
        )  # fmt: skip

    @staticmethod
    def monocular() -> "Sensor":
        """One ordinary camera and a pose estimator that guesses the depth, from any side.

        Source:
            Sizes measured between MediaPipe and Kinect on the same videos: trunk and legs within 4 to 12 degrees,
            upper arms 12, forearms 42 to 67 with the hand at the face, depth flattened and restless.
        """
        return Sensor(
            yaw_deg=180, pitch_deg=17, noise_m=0.008, drift_m=0.018, depth=(0.5, 1.1), bone_deg=4, forearm_deg=12,
            uneven=(0.3, 1.6), frozen_per_s=0.03, held_per_s=0.05, swapped_per_s=0.03,
        )  # fmt: skip


def _lost(sensor: Sensor, frames: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """(T, V), True where a joint is lost."""
    lost = np.zeros((frames, len(NTU25)), dtype=np.bool_)
    seconds = frames / fps
    longest = max(1, round(sensor.lost_s * fps))
    for _ in range(rng.poisson(sensor.lost_per_s * seconds * len(NTU25))):
        start = rng.integers(0, frames)
        lost[start : start + rng.integers(1, longest + 1), rng.integers(0, len(NTU25))] = True
    for _ in range(rng.poisson(sensor.limb_lost_per_s * seconds * len(LIMBS))):
        start = rng.integers(0, frames)
        limb = LIMBS[rng.integers(0, len(LIMBS))]
        lost[start : start + rng.integers(1, longest + 1), limb] = True
    return lost


def _guessed(sensor: Sensor, seen: Floats, at_s: Floats, size: float, rng: np.random.Generator) -> Floats:
    """(T, V, 3) of a body in the camera's axes, its depth and its bones as an estimator would guess them."""
    root = seen[:, NTU25.root, None]
    out = root + (seen - root) * np.array([1.0, 1.0, rng.uniform(*sensor.depth)])
    if sensor.bone_deg:
        out = _turned_bones(out, np.deg2rad(sensor.bone_deg) * size * rng.standard_normal((len(NTU25), 3)))
    if sensor.forearm_deg:
        for side in ("left", "right"):
            elbow, wrist = NTU25.index(f"{side}_elbow"), NTU25.index(f"{side}_wrist")
            from_head = out[:, wrist] - out[:, NTU25.index("head")]
            near = np.exp(-((from_head**2).sum(axis=-1) / 0.09))  # at the face the hand is the harder to see
            fore = out[:, wrist] - out[:, elbow]
            hidden = (fore[:, 2] / np.linalg.norm(fore, axis=-1)) ** 2  # so it is along the line of sight
            angles = np.deg2rad(sensor.forearm_deg) * size * (1 + 2 * np.maximum(near, hidden))  # (T,)
            turned = (turn(angles[:, None] * wander(rng, at_s, 2.0, 3)) @ fore[..., None])[..., 0]  # (T, 3)
            for joint in ("wrist", "hand", "hand_tip", "thumb"):
                out[:, NTU25.index(f"{side}_{joint}")] += turned - fore
    return np.asarray(out)


def _turned_bones(poses: Floats, angles: Floats) -> Floats:
    """(T, V, 3) with every bone turned by the angles (V, 3) of its far joint; lengths stay."""
    turns = turn(angles)  # (V, 3, 3)
    out = poses.copy()
    for joint in _FROM_ROOT:
        parent = NTU25.parents[joint]
        out[:, joint] = out[:, parent] + (poses[:, joint] - poses[:, parent]) @ turns[joint].T
    return np.asarray(out)


def _stretches(per_s: float, longest_s: float, frames: int, fps: float, rng: np.random.Generator) -> list[slice]:
    """Stretches of frames that begin at random, `per_s` of them in a second."""
    if per_s == 0 or frames < 2:
        return []
    longest = max(1, round(longest_s * fps))
    starts = rng.integers(1, frames, rng.poisson(per_s * frames / fps))
    return [slice(int(start), int(start + rng.integers(1, longest + 1))) for start in starts]


def _confused(sensor: Sensor, poses: Poses, fps: float, rng: np.random.Generator) -> None:
    """Freeze joints and bodies and swap sides of (T, V, 3), in place."""
    frames = len(poses)
    for stretch in _stretches(sensor.swapped_per_s, sensor.swapped_s, frames, fps, rng):
        swap = NTU25.mirror if rng.random() < 0.3 else _LEGS_SWAPPED
        poses[stretch] = poses[stretch][:, swap]
    for stretch in _stretches(sensor.frozen_per_s * len(NTU25), sensor.lost_s, frames, fps, rng):
        joint = int(rng.integers(0, len(NTU25)))
        poses[stretch, joint] = poses[stretch.start - 1, joint]
    for stretch in _stretches(sensor.held_per_s, 0.5 * sensor.lost_s, frames, fps, rng):
        poses[stretch] = poses[stretch.start - 1]


def see(sensor: Sensor, joints: Floats, at_s: Floats, fps: float, rng: np.random.Generator) -> Poses:
    """The sensor's view of one scene.

    Args:
        sensor: The camera.
        joints: (M, T, 25, 3) metres in the world, people near the origin.
        at_s: (T,) seconds.
        fps: Frames per second.
        rng: For the place of the camera, the noise and the losses.

    Returns:
        (M, T, 25, 3) float32 metres from the camera: y up, z away from it; lost joints NaN.
    """
    yaw = np.pi + np.deg2rad(rng.uniform(-sensor.yaw_deg, sensor.yaw_deg))
    pitch = np.deg2rad(rng.uniform(-sensor.pitch_deg, sensor.pitch_deg))
    place = np.array([0.0, -rng.uniform(*sensor.height_m), rng.uniform(*sensor.distance_m)])
    seen = joints @ turn(np.array([0.0, yaw, 0.0])).T + place
    seen = seen @ turn(np.array([pitch, 0.0, 0.0])).T
    persons, frames = seen.shape[:2]
    out = np.empty(seen.shape, dtype=np.float32)
    guesses = sensor.depth != (1.0, 1.0) or sensor.bone_deg > 0 or sensor.forearm_deg > 0
    for person in range(persons):
        # Random numbers for an estimator are drawn only where one is requested: other recordings stay as they were.
        size = float(rng.uniform(*sensor.uneven)) if sensor.uneven != (1.0, 1.0) else 1.0
        if guesses:
            seen[person] = _guessed(sensor, seen[person], at_s, size, rng)
        noise = np.zeros((frames, len(NTU25), 3))
        if sensor.noise_m:
            noise += sensor.noise_m * rng.standard_normal(noise.shape)
        if sensor.drift_m:
            drift = wander(rng, at_s, 1.2, len(NTU25) * 3)
            noise += sensor.drift_m * drift.reshape(noise.shape)  # (T, V, 3)
        out[person] = seen[person] + noise * BLUR[:, None] * DEPTH * size
        _confused(sensor, out[person], fps, rng)
        out[person][_lost(sensor, frames, fps, rng)] = np.nan
    return out
