"""How a depth camera would have seen the joints: from where, with how much noise, and which of them it lost."""

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


def see(sensor: Sensor, joints: Floats, at_s: Floats, fps: float, rng: np.random.Generator) -> Poses:
    """What the sensor reports of one scene.

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
    for person in range(persons):
        noise = np.zeros((frames, len(NTU25), 3))
        if sensor.noise_m:
            noise += sensor.noise_m * rng.standard_normal(noise.shape)
        if sensor.drift_m:
            drift = wander(rng, at_s, 1.2, len(NTU25) * 3)
            noise += sensor.drift_m * drift.reshape(noise.shape)  # (T, V, 3)
        out[person] = seen[person] + noise * BLUR[:, None] * DEPTH
        out[person][_lost(sensor, frames, fps, rng)] = np.nan
    return out
