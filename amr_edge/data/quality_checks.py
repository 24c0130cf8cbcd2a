"""Data quality checks before training: lost joints, implausible scale, swapped sides, duplicates.

A finding is no proof: a handstand can look mirrored. Many findings of one kind point to a fault of the files or of
their reader.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.recording import Recording
from amr_edge.skeleton import NTU25, Layout, Poses, present_joints, remap

# Kind of finding -> its meaning, in the order of the report.
KINDS: dict[str, str] = {
    "unreadable": "the file cannot be read",
    "empty": "no joint is seen in any frame",
    "one frame": "there is no motion in it",
    "gap": "no person is seen for a while",
    "absent": "many joints of persons who are present are absent",
    "half absent": "a joint has some of its numbers only",
    "zero": "a person stands at the origin in one point",
    "time": "time jumps",
    "scale": "a body is not of human size",
    "mirrored": "left and right are swapped",
    "frozen": "a joint never moves",
    "copy": "its poses equal those of another recording (duplicate)",
}

MOST_ABSENT = 0.25  # share of the joints of persons who are present
LONGEST_GAP_S = 0.4  # as far as preprocessing joins two observed frames by default
TORSO_M = (0.2, 1.0)  # pelvis to upper spine, children to the tallest
LEAST_FRAMES = 10  # with fewer, a still joint or a direction can be a coincidence
FORWARD_SHARE = 1 / 3  # of the frames, at least, in which the feet point where the hips say


class Finding(NamedTuple):
    """One thing that looks wrong."""

    kind: str
    source: str
    sentence: str


def _longest_unseen_s(seen: NDArray[np.bool_], times_s: NDArray[np.float64]) -> float:
    """Longest gap between two observed frames, seconds."""
    at = np.flatnonzero(seen)
    apart = np.diff(at) > 1
    return float(np.diff(times_s[at])[apart].max(initial=0.0))


def torso_m(poses: Poses, source: Layout) -> float:
    """Median distance from pelvis to upper spine; NaN if never seen."""
    body = remap(poses, source, NTU25).poses
    ends = body[..., NTU25.index("upper_spine"), :] - body[..., NTU25.index("pelvis"), :]
    length = np.linalg.norm(ends, axis=-1)
    length = length[np.isfinite(length)]
    return float(np.median(length)) if length.size else float("nan")


def forward_share(poses: Poses, source: Layout) -> tuple[float, int]:
    """Share of frames in which the feet (else the nose) point to where left and right put the front.

    The left hip minus the right one, crossed with the spine's direction, points forward in a right-handed system.
    Mirrored axes or swapped names turn it round; feet and nose stay in front.

    Args:
        poses: (M, T, V, 3).
        source: Their layout.

    Returns:
        Share of the frames (of all persons) that agree, and how many frames could be checked.
    """
    body = remap(poses, source, NTU25).poses  # (M, T, 25, 3)

    def joint(name: str) -> Poses:
        return np.asarray(body[..., NTU25.index(name), :])

    forward = np.cross(joint("left_hip") - joint("right_hip"), joint("upper_spine") - joint("pelvis"))  # (M, T, 3)
    front = joint("left_foot") - joint("left_ankle") + joint("right_foot") - joint("right_ankle")
    if not present_joints(front).any() and {"nose", "left_ear", "right_ear"} <= set(source.joints):
        nose, left, right = (poses[..., source.index(name), :] for name in ("nose", "left_ear", "right_ear"))
        front = nose - (left + right) / 2
    agreement = (forward * front).sum(axis=-1)  # (M, T)
    scored = agreement[np.isfinite(agreement) & (agreement != 0)]
    return (float((scored > 0).mean()) if scored.size else float("nan")), int(scored.size)


def _frozen(recording: Recording) -> list[str]:
    """Joints that stay in one place while others of the same person move."""
    names: list[str] = []
    for poses, present in zip(recording.poses, recording.present, strict=True):
        always = present.all(axis=0)  # (V,)
        if len(poses) < LEAST_FRAMES or not always.any():
            continue
        still = always & (np.ptp(np.where(always[:, None], poses, 0), axis=0) == 0).all(axis=-1)
        if still.any() and not still[always].all():
            names += [recording.skeleton.joints[i] for i in np.flatnonzero(still)]
    return list(dict.fromkeys(names))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


class Duplicates:
    """Finds recordings whose poses equal those of an earlier one."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}  # digest of the poses -> source of the first such recording

    def check(self, recording: Recording) -> Iterator[Finding]:
        """A finding if an earlier recording had the same poses; empty recordings are never duplicates."""
        if not recording.present.any():
            return
        shape = repr(recording.poses.shape).encode()
        digest = hashlib.blake2b(shape + np.ascontiguousarray(recording.poses).tobytes(), digest_size=16).digest()
        source = recording.source or "recording"
        if digest in self._first:
            yield Finding("copy", source, f"{source}: its poses equal those of {self._first[digest]}")
        else:
            self._first[digest] = source


def findings(recording: Recording) -> Iterator[Finding]:
    """All findings about a recording, except duplicates."""
    source = recording.source or "recording"
    present = recording.present  # (M, T, V)

    def found(kind: str, sentence: str) -> Finding:
        return Finding(kind, source, f"{source}: {sentence}")

    if not present.any():
        yield found("empty", f"no joint is seen in any of its {len(recording.times_s)} frames")
        return
    if len(recording.times_s) == 1:
        yield found("one frame", "it has one frame, in which nothing can move")
    there = present.any(axis=2)  # (M, T)
    gap_s = _longest_unseen_s(np.asarray(there.any(axis=0)), recording.times_s)
    if gap_s > LONGEST_GAP_S:
        yield found("gap", f"no person is seen for {gap_s:.2f} s in the middle of it")
    absent = 1 - present[there].mean()
    if absent > MOST_ABSENT:
        yield found("absent", f"{_percent(absent)} of the joints of persons who are present are absent")
    half = np.isfinite(recording.poses).any(axis=-1) & ~present
    if half.any():
        yield found("half absent", f"{int(half.sum())} joints have some of their numbers only")
    zero = there & (np.where(present[..., None], recording.poses, 0) == 0).all(axis=(2, 3))
    if zero.any():
        yield found("zero", f"in {int(zero.sum())} frames all joints of a person are exactly at the origin")
    steps = np.diff(recording.times_s)
    if len(steps) and steps.max() > max(3 * float(np.median(steps)), LONGEST_GAP_S):
        yield found("time", f"time jumps by {steps.max():.2f} s where {np.median(steps):.3f} s is usual")
    if recording.units == "m":
        torso = torso_m(recording.poses, recording.skeleton)
        if not (TORSO_M[0] <= torso <= TORSO_M[1] or np.isnan(torso)):
            yield found(
                "scale", f"from pelvis to upper spine it is {torso:.3g} m, expected {TORSO_M[0]} to {TORSO_M[1]} m"
            )
    if recording.poses.shape[3] == 3:
        share, scored = forward_share(recording.poses, recording.skeleton)
        if scored >= LEAST_FRAMES and share < FORWARD_SHARE:
            yield found(
                "mirrored",
                f"left and right look swapped: the feet point forward in {_percent(share)} of the frames only",
            )
    frozen = _frozen(recording)
    if frozen:
        yield found("frozen", f"{', '.join(frozen)} never move{'s' if len(frozen) == 1 else ''} while the body does")
