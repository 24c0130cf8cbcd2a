"""Skeleton layouts: joint names, parents and mirror pairs, and remapping of poses from one layout to another.

A joint name means the same place on the body in every layout, so two layouts share a joint exactly when they
share its name. Where a layout's own documentation uses another word, the comment beside it says so. A joint
that a target has and a source has not is *virtual* if `VIRTUAL` says how to place it between joints that the
source does have, and *absent* (NaN) otherwise: nothing is extrapolated, nothing is invented.

Sources of the joint orders: Kinect SDK 1 and 2 (`ntu25`, `kinect20`), COCO keypoints, the OpenPose output
format (`openpose18`, `body25`), MediaPipe's `PoseLandmark` enum (`mediapipe33`), Human3.6M (`h36m17`), the
Penn Action and UI-PRMD documentation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import LayoutError

Poses = NDArray[np.float32]  # (..., V, C), absent joints are NaN
Mask = NDArray[np.bool_]


_MAX_JOINTS = 1024
_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Layout:
    """A skeleton: V named joints in an order, and the joint that each hangs from.

    Attributes:
        name: Short name of letters, digits, `_`, `-` and `.`: what recordings, stores and cards call it.
        title: The sensor or data set.
        joints: (V,) distinct names in the order of the poses.
        parents: (V,) index of the joint that each hangs from; -1 for the one root.
        channels: Coordinates that its sensor usually gives: 3, or 2 for pixels.
        mirror_pairs: Left and right joints by name; empty pairs those whose names differ in `left` and `right`.
        standard_names: (joint, name of the same place in the built-in layouts), where the two differ.

    Raises:
        LayoutError: If names, parents or pairs contradict each other.
    """

    name: str
    title: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    channels: int = 3
    mirror_pairs: tuple[tuple[str, str], ...] = ()
    standard_names: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise LayoutError(f"layout '{self.name}': {problem}")

    def _problem(self) -> str:
        """Contradictions; empty if there is none."""
        V = len(self.joints)
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", self.name):
            return "its name needs letters, digits, '_', '-' and '.' only"
        if not 0 < V <= _MAX_JOINTS or len(set(self.joints)) != V or not all(self.joints):
            return f"expected 1 to {_MAX_JOINTS} joints with distinct names, got {V} joints"
        if len(self.parents) != V or not all(-1 <= parent < V for parent in self.parents):
            return f"needs one parent for each of its {V} joints, each in -1 to {V - 1}, got {self.parents}"
        if self.parents.count(-1) != 1:
            return f"exactly one joint must have the parent -1, got {self.parents.count(-1)}"
        reached, grown = {self.parents.index(-1)}, True
        while grown:
            more = {joint for joint, parent in enumerate(self.parents) if parent in reached} - reached
            reached, grown = reached | more, bool(more)
        if len(reached) < V:
            return f"'{self.joints[min(set(range(V)) - reached)]}' hangs in a circle"
        if self.channels not in (2, 3):
            return f"channels must be 2 or 3, got {self.channels}"
        paired = [joint for pair in self.mirror_pairs for joint in pair]
        unknown = {*paired, *(joint for joint, _ in self.standard_names)} - set(self.joints)
        if unknown:
            return f"mirror_pairs and standard_names must name its joints, got {', '.join(sorted(unknown))}"
        if len(set(paired)) != len(paired) or len(set(self.matched_names)) != V:
            return "each joint needs at most one mirror partner and a standard name of its own"
        alone = [joint for joint, partner in zip(self.joints, self.mirror, strict=True) if partner < 0]
        return f"no mirror partner for {', '.join(alone)}; give mirror_pairs" if alone else ""

    @staticmethod
    def from_tree(
        name: str,
        title: str,
        tree: Sequence[tuple[str, str | None]],
        channels: int = 3,
        *,
        mirror_pairs: Sequence[tuple[str, str]] = (),
        standard_names: Mapping[str, str] | None = None,
    ) -> "Layout":
        """A layout from (joint, the joint it hangs from or None for the root), in the order of the poses.

        >>> arm = Layout.from_tree("arm", "one arm", [("elbow", "shoulder"), ("shoulder", None), ("wrist", "elbow")])
        >>> arm.parents
        (1, -1, 0)
        """
        joints = tuple(joint for joint, _ in tree)
        missing = sorted({parent for _, parent in tree if parent is not None} - set(joints))
        if missing:
            raise LayoutError(f"layout '{name}': joints hang from joints that it has not: {', '.join(missing)}")
        return Layout(
            name=name,
            title=title,
            joints=joints,
            parents=tuple(-1 if parent is None else joints.index(parent) for _, parent in tree),
            channels=channels,
            mirror_pairs=tuple(mirror_pairs),
            standard_names=tuple((standard_names or {}).items()),
        )

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def root(self) -> int:
        """The joint without a parent."""
        return self.parents.index(-1)

    @cached_property
    def matched_names(self) -> tuple[str, ...]:
        """(V,) the names by which joints are found in other layouts."""
        standard = dict(self.standard_names)
        return tuple(standard.get(joint, joint) for joint in self.joints)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the index of its left/right partner, or of itself on the midline."""
        if self.mirror_pairs:
            partner = {a: b for pair in self.mirror_pairs for a, b in (pair, pair[::-1])}
        else:
            partner = {
                joint: "_".join(_OTHER_SIDE.get(word, word) for word in joint.split("_")) for joint in self.joints
            }
        index = {joint: place for place, joint in enumerate(self.joints)}
        return tuple(index.get(partner.get(joint, joint), -1) for joint in self.joints)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) pairs, for drawing."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)

    def index(self, joint: str) -> int:
        """Index of `joint` in the order."""
        if joint not in self.joints:
            raise LayoutError(f"layout '{self.name}' has no joint '{joint}'; it has {', '.join(self.joints)}")
        return self.joints.index(joint)


def _sides(*parts: str) -> tuple[str, ...]:
    """The parts of the left side, then those of the right."""
    return tuple(f"{side}_{part}" for side in ("left", "right") for part in parts)


def _chain(start: str, *joints: str) -> list[tuple[str, str | None]]:
    """Joints that hang one from the next, the first from `start`."""
    return list(zip(joints, (start, *joints[:-1]), strict=True))


_ARM = ("shoulder", "elbow", "wrist", "hand")
_LEG = ("hip", "knee", "ankle", "foot")

NTU25 = Layout.from_tree(
    "ntu25",
    "NTU RGB+D, Kinect v2",
    [
        ("pelvis", None),  # SpineBase
        ("spine", "pelvis"),  # SpineMid
        ("neck", "upper_spine"),
        ("head", "neck"),
        *_chain("upper_spine", *(f"left_{part}" for part in _ARM)),
        *_chain("upper_spine", *(f"right_{part}" for part in _ARM)),
        *_chain("pelvis", *(f"left_{part}" for part in _LEG)),
        *_chain("pelvis", *(f"right_{part}" for part in _LEG)),
        ("upper_spine", "spine"),  # SpineShoulder
        ("left_hand_tip", "left_hand"),
        ("left_thumb", "left_hand"),
        ("right_hand_tip", "right_hand"),
        ("right_thumb", "right_hand"),
    ],
)
KINECT20 = Layout.from_tree(
    "kinect20",
    "Kinect v1",
    [
        ("pelvis", None),  # HipCenter
        ("spine", "pelvis"),
        ("upper_spine", "spine"),  # ShoulderCenter
        ("head", "upper_spine"),
        *_chain("upper_spine", *(f"left_{part}" for part in _ARM)),
        *_chain("upper_spine", *(f"right_{part}" for part in _ARM)),
        *_chain("pelvis", *(f"left_{part}" for part in _LEG)),
        *_chain("pelvis", *(f"right_{part}" for part in _LEG)),
    ],
)
UI_PRMD22 = Layout.from_tree(
    "ui_prmd22",
    "UI-PRMD, Kinect v2 as 22 joints",
    [
        ("pelvis", None),  # waist
        ("spine", "pelvis"),
        ("upper_spine", "spine"),  # chest
        ("neck", "upper_spine"),
        ("head_base", "neck"),  # "head", which lies at the neck's upper end
        ("head", "head_base"),  # "head tip"
        *_chain("upper_spine", *(f"left_{part}" for part in ("collar", "shoulder", "elbow", "wrist"))),
        *_chain("upper_spine", *(f"right_{part}" for part in ("collar", "shoulder", "elbow", "wrist"))),
        *_chain("pelvis", *(f"left_{part}" for part in _LEG)),
        *_chain("pelvis", *(f"right_{part}" for part in _LEG)),
    ],
)
COCO17 = Layout.from_tree(
    "coco17",
    "COCO keypoints",
    [
        ("nose", None),
        ("left_eye", "nose"),
        ("right_eye", "nose"),
        ("left_ear", "left_eye"),
        ("right_ear", "right_eye"),
        ("left_shoulder", "nose"),
        ("right_shoulder", "nose"),
        ("left_elbow", "left_shoulder"),
        ("right_elbow", "right_shoulder"),
        ("left_wrist", "left_elbow"),
        ("right_wrist", "right_elbow"),
        ("left_hip", "left_shoulder"),
        ("right_hip", "right_shoulder"),
        ("left_knee", "left_hip"),
        ("right_knee", "right_hip"),
        ("left_ankle", "left_knee"),
        ("right_ankle", "right_knee"),
    ],
    channels=2,
)
OPENPOSE18 = Layout.from_tree(
    "openpose18",
    "OpenPose COCO",
    [
        ("nose", "upper_spine"),
        ("upper_spine", None),  # "neck": the middle of the shoulders
        *_chain("upper_spine", "right_shoulder", "right_elbow", "right_wrist"),
        *_chain("upper_spine", "left_shoulder", "left_elbow", "left_wrist"),
        *_chain("right_shoulder", "right_hip", "right_knee", "right_ankle"),
        *_chain("left_shoulder", "left_hip", "left_knee", "left_ankle"),
        ("right_eye", "nose"),
        ("left_eye", "nose"),
        ("right_ear", "right_eye"),
        ("left_ear", "left_eye"),
    ],
    channels=2,
)
BODY25 = Layout.from_tree(
    "body25",
    "OpenPose BODY_25",
    [
        ("nose", "upper_spine"),
        ("upper_spine", "pelvis"),  # "neck": the middle of the shoulders
        *_chain("upper_spine", "right_shoulder", "right_elbow", "right_wrist"),
        *_chain("upper_spine", "left_shoulder", "left_elbow", "left_wrist"),
        ("pelvis", None),  # MidHip
        *_chain("pelvis", "right_hip", "right_knee", "right_ankle"),
        *_chain("pelvis", "left_hip", "left_knee", "left_ankle"),
        ("right_eye", "nose"),
        ("left_eye", "nose"),
        ("right_ear", "right_eye"),
        ("left_ear", "left_eye"),
        ("left_big_toe", "left_ankle"),
        ("left_small_toe", "left_big_toe"),
        ("left_heel", "left_ankle"),
        ("right_big_toe", "right_ankle"),
        ("right_small_toe", "right_big_toe"),
        ("right_heel", "right_ankle"),
    ],
    channels=2,
)
MEDIAPIPE33 = Layout.from_tree(
    "mediapipe33",
    "MediaPipe pose landmarks",
    [
        ("nose", None),
        *_chain("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
        *_chain("nose", "right_eye_inner", "right_eye", "right_eye_outer"),
        ("left_ear", "left_eye_outer"),
        ("right_ear", "right_eye_outer"),
        ("mouth_left", "nose"),
        ("mouth_right", "nose"),
        ("left_shoulder", "nose"),
        ("right_shoulder", "nose"),
        ("left_elbow", "left_shoulder"),
        ("right_elbow", "right_shoulder"),
        ("left_wrist", "left_elbow"),
        ("right_wrist", "right_elbow"),
        ("left_pinky", "left_wrist"),
        ("right_pinky", "right_wrist"),
        ("left_index", "left_wrist"),
        ("right_index", "right_wrist"),
        ("left_thumb", "left_wrist"),
        ("right_thumb", "right_wrist"),
        ("left_hip", "left_shoulder"),
        ("right_hip", "right_shoulder"),
        ("left_knee", "left_hip"),
        ("right_knee", "right_hip"),
        ("left_ankle", "left_knee"),
        ("right_ankle", "right_knee"),
        ("left_heel", "left_ankle"),
        ("right_heel", "right_ankle"),
        ("left_foot", "left_ankle"),  # foot index
        ("right_foot", "right_ankle"),
    ],
)
H36M17 = Layout.from_tree(
    "h36m17",
    "Human3.6M",
    [
        ("pelvis", None),
        *_chain("pelvis", "right_hip", "right_knee", "right_ankle"),
        *_chain("pelvis", "left_hip", "left_knee", "left_ankle"),
        ("spine", "pelvis"),
        ("upper_spine", "spine"),  # thorax
        ("neck_nose", "upper_spine"),  # "neck" or "nose": between the two
        ("head_top", "neck_nose"),
        *_chain("upper_spine", "left_shoulder", "left_elbow", "left_wrist"),
        *_chain("upper_spine", "right_shoulder", "right_elbow", "right_wrist"),
    ],
)
PENN13 = Layout.from_tree(
    "penn13",
    "Penn Action",
    [
        ("head", None),
        ("left_shoulder", "head"),
        ("right_shoulder", "head"),
        ("left_elbow", "left_shoulder"),
        ("right_elbow", "right_shoulder"),
        ("left_wrist", "left_elbow"),
        ("right_wrist", "right_elbow"),
        ("left_hip", "left_shoulder"),
        ("right_hip", "right_shoulder"),
        ("left_knee", "left_hip"),
        ("right_knee", "right_hip"),
        ("left_ankle", "left_knee"),
        ("right_ankle", "right_knee"),
    ],
    channels=2,
)

# What Kinect, Vicon and MediaPipe all give. The two middles are always those of left and right: a sensor's own
# "pelvis" and "spine" lie elsewhere on the body than another's.
CANONICAL15 = Layout.from_tree(
    "canonical15",
    "fifteen joints that all sensors share",
    [
        ("mid_hip", None),
        ("mid_shoulder", "mid_hip"),
        ("head", "mid_shoulder"),
        *_chain("mid_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
        *_chain("mid_shoulder", "right_shoulder", "right_elbow", "right_wrist"),
        *_chain("mid_hip", "left_hip", "left_knee", "left_ankle"),
        *_chain("mid_hip", "right_hip", "right_knee", "right_ankle"),
    ],
)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (NTU25, KINECT20, UI_PRMD22, COCO17, OPENPOSE18, BODY25, MEDIAPIPE33, H36M17, PENN13, CANONICAL15)
}


_REGISTERED: dict[str, Layout] = {}


def layout(name: str) -> Layout:
    """The layout called `name`: a built-in one, or one that was registered.

    Raises:
        LayoutError: If there is none.
    """
    found = LAYOUTS.get(name) or _REGISTERED.get(name)
    if found is None:
        known = ", ".join([*LAYOUTS, *_REGISTERED])
        raise LayoutError(f"there is no skeleton layout '{name}'; the layouts are {known}, or register_layout adds one")
    return found


def register_layout(own: Layout) -> Layout:
    """Make a layout known by its name to recordings, stores, preprocessing, training and export.

    Stores, models and lines of JSON carry its definition, so a program that opens one need not register it again.

    Returns:
        The registered layout; the one from before if it is equal.

    Raises:
        LayoutError: If another layout has that name.
    """
    known = LAYOUTS.get(own.name) or _REGISTERED.setdefault(own.name, own)
    if known != own:
        raise LayoutError(f"there is another skeleton layout '{own.name}' with other joints; choose another name")
    return known


def definition_of(name: str) -> dict[str, object]:
    """Fields that a file carries of a layout: none of a built-in one, else {"layout_definition": its fields}.

    Raises:
        LayoutError: If there is no such layout.
    """
    return {} if name in LAYOUTS else {"layout_definition": asdict(layout(name))}


def register_definition(values: object) -> None:
    """Register the layout that a file carries as `layout_definition`; None registers nothing.

    Raises:
        LayoutError: If it is no definition of a layout, or another layout has that name.
    """
    if values is None:
        return
    try:
        found = dict(values)  # type: ignore[call-overload]
        found["joints"] = tuple(str(joint) for joint in found["joints"])
        found["parents"] = tuple(int(parent) for parent in found["parents"])
        for field in ("mirror_pairs", "standard_names"):
            found[field] = tuple((str(a), str(b)) for a, b in found.get(field, ()))
        made = Layout(**found)
    except (TypeError, ValueError, KeyError) as cause:
        raise LayoutError(f"layout_definition is not a layout ({cause}); docs/formats.md lists its fields") from cause
    register_layout(made)


# A virtual joint is a weighted mean of joints, themselves possibly virtual; of several recipes the first whose
# ingredients are present serves. Weights lie in [0, 1]: a joint is placed between others, never beyond them.
Recipe = tuple[tuple[str, float], ...]


def _mid(a: str, b: str) -> Recipe:
    return ((a, 0.5), (b, 0.5))


VIRTUAL: dict[str, tuple[Recipe, ...]] = {
    "mid_hip": (_mid("left_hip", "right_hip"),),
    "mid_shoulder": (_mid("left_shoulder", "right_shoulder"),),
    "pelvis": (_mid("left_hip", "right_hip"),),
    "upper_spine": (_mid("left_shoulder", "right_shoulder"),),
    "spine": (_mid("pelvis", "upper_spine"),),
    "head": (_mid("left_ear", "right_ear"), _mid("neck_nose", "head_top"), (("nose", 1.0),)),
    "neck": ((("upper_spine", 0.6), ("head", 0.4)),),
    "neck_nose": ((("neck", 1.0),),),
    "nose": ((("head", 1.0),),),
    "left_hand": (_mid("left_pinky", "left_index"),),
    "right_hand": (_mid("right_pinky", "right_index"),),
    "left_foot": (_mid("left_big_toe", "left_small_toe"),),
    "right_foot": (_mid("right_big_toe", "right_small_toe"),),
    "left_big_toe": ((("left_foot", 1.0),),),
    "right_big_toe": ((("right_foot", 1.0),),),
}


class Remapped(NamedTuple):
    """Poses in another layout, and which of their joints are present."""

    poses: Poses  # (..., V, C), NaN where absent
    present: Mask  # (..., V)


def present_joints(poses: Poses) -> Mask:
    """True where all channels of a joint are finite: (..., V, C) -> (..., V)."""
    return np.asarray(np.isfinite(poses).all(axis=-1), dtype=np.bool_)


def remap(poses: Poses, source: Layout, target: Layout) -> Remapped:
    """Read poses of one skeleton as another.

    Args:
        poses: (..., V_source, C), absent joints NaN.
        source: The layout the poses are in.
        target: The layout they are wanted in.

    Returns:
        Poses (..., V_target, C) with NaN where a joint is absent, and the mask of present joints. A joint of
        the same name is copied exactly; a virtual one is placed by `VIRTUAL`; any other is absent.

    Raises:
        LayoutError: If the poses do not have the joints of `source`.

    >>> shoulders = np.full((13, 2), np.nan, np.float32)
    >>> shoulders[1], shoulders[2] = (0.0, 1.0), (2.0, 1.0)
    >>> remap(shoulders, PENN13, OPENPOSE18).poses[1].tolist()
    [1.0, 1.0]
    """
    poses = np.asarray(poses, dtype=np.float32)
    if poses.ndim < 2 or poses.shape[-2] != len(source):
        raise LayoutError(
            f"layout '{source.name}' has {len(source)} joints, the poses have shape {poses.shape} with "
            f"{poses.shape[-2] if poses.ndim > 1 else 'no'} joints; name the layout the poses were recorded in"
        )
    if source is target:
        return Remapped(poses, present_joints(poses))
    placed: dict[str, Poses | None] = {}

    def place(joint: str, asking: frozenset[str]) -> Poses | None:
        """(..., C) of one joint by name, NaN where absent; None if the source can never have it."""
        if joint in source.matched_names:
            return poses[..., source.matched_names.index(joint), :]
        if joint in asking:
            return None  # nose from head and head from nose: neither is there
        if not asking and joint in placed:
            return placed[joint]
        found: Poses | None = None
        for recipe in VIRTUAL.get(joint, ()):
            parts = [(place(name, asking | {joint}), weight) for name, weight in recipe]
            if any(part is None for part, _ in parts):
                continue
            mean = sum(np.float32(weight) * part for part, weight in parts if part is not None)
            candidate = np.asarray(mean, dtype=np.float32)
            # A joint is taken whole from one recipe: half of it from each would be a place where nothing was.
            found = candidate if found is None else np.where(present_joints(found)[..., None], found, candidate)
        if not asking:
            placed[joint] = found
        return found

    out = np.full((*poses.shape[:-2], len(target), poses.shape[-1]), np.nan, dtype=np.float32)  # (..., V_target, C)
    for index, joint in enumerate(target.matched_names):
        found = place(joint, frozenset())
        if found is not None:
            out[..., index, :] = found
    return Remapped(out, present_joints(out))


def common_joints(source: Layout, target: Layout) -> tuple[str, ...]:
    """The joints of `target` that `source` can fill, exactly or as virtual joints."""
    probe = np.zeros((len(source), 1), dtype=np.float32)
    present = remap(probe, source, target).present  # (V_target,)
    return tuple(joint for joint, here in zip(target.joints, present, strict=True) if here)
