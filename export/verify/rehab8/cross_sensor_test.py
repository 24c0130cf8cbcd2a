"""Evaluation on a sensor and subjects that no training saw: UTD-MHAD.

UTD-MHAD (a Kinect v1, eight other people) is looked at and never learned from: its terms allow research only. Its clips
last about two seconds, shorter than a window, so each is tested in two ways: *stretched* to a window, as a stream does
with a recording that ends too soon, and *held*, standing still before and after it as a person before a camera would.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from amr_edge.card import Card
from amr_edge.data.readers import utd_mhad
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.export.verify.rehab8.evaluation import Part, cut
from amr_edge.terminal import progress
from amr_edge.training.recipes.rehab8.dataset import NONE

WindowMode = Literal["stretched", "held"]

SIT_STAND = "UTD-MHAD sit and stand"
SQUAT = "UTD-MHAD squat"
LUNGE = "UTD-MHAD forward lunge"  # a step out and back: looked at, and nothing is claimed of it
OTHER = "UTD-MHAD other actions"
# Action of UTD-MHAD -> the part that it belongs to and the class that it would be; all others are nothing.
_LIKE = {
    "sit to stand": (SIT_STAND, "squat"),
    "stand to sit": (SIT_STAND, "squat"),
    "squat": (SQUAT, "squat"),
    "forward lunge": (LUNGE, "inline lunge"),
}


def held(recording: Recording, window_s: float) -> Recording:
    """The recording with its first and its last pose held, equally long, until it lasts `window_s` or a frame more.

    >>> short = Recording(poses=np.zeros((1, 2, 15, 3), np.float32), times_s=np.array([0.0, 1.0]), layout="canonical15")
    >>> held(short, 3.0).times_s.tolist()
    [-1.0, 0.0, 1.0, 2.0]
    """
    missing_s = window_s - recording.duration_s
    count = int(np.ceil(missing_s / 2 * recording.fps - 1e-6)) if len(recording.times_s) > 1 else 0
    if count < 1:
        return recording
    # As many frames a second as it has, so that no gap is too long to be joined.
    before = np.arange(count, 0, -1) / recording.fps  # seconds ahead of the first frame
    first, last = recording.times_s[0], recording.times_s[-1]
    times_s = np.concatenate([first - before, recording.times_s, last + before[::-1]])
    still = [np.repeat(recording.poses[:, at], len(before), axis=1) for at in (slice(0, 1), slice(-1, None))]
    poses = np.concatenate([still[0], recording.poses, still[1]], axis=1)  # (1, T', V, C)
    return replace(recording, poses=poses, times_s=times_s)


def _utd_recordings(folder: Path) -> Iterator[Recording]:
    files = sorted(path for path in folder.rglob("*.mat") if utd_mhad.recognizes(path))
    if not files:
        raise ReadError(
            f"{folder}: expected UTD-MHAD skeletons like a1_s1_t1_skeleton.mat, found none; name the folder they are in"
        )
    with progress(files, label="read UTD-MHAD") as shown:
        for path in shown:
            yield from utd_mhad.read(path)


def utd_parts(folder: Path, card: Card, mode: WindowMode = "stretched") -> list[Part]:
    """The four parts of UTD-MHAD: what is a squat, what may be a lunge, and everything else.

    Args:
        folder: Where its skeleton files lie.
        card: The model's.
        mode: How clips that are shorter than a window become one.

    Raises:
        ReadError: If no file is there, or one is damaged.
    """
    sorted_: dict[str, list[Recording]] = {SIT_STAND: [], SQUAT: [], LUNGE: [], OTHER: []}
    for recording in _utd_recordings(folder):
        part, label = _LIKE.get(recording.label or "", (OTHER, NONE))
        recording = replace(recording, label=label, source=f"{recording.label}: {recording.source}")
        sorted_[part].append(held(recording, card.prepare.window_s) if mode == "held" else recording)
    return [_named(part, recordings, card, mode) for part, recordings in sorted_.items() if recordings]


def _named(part: str, recordings: Iterable[Recording], card: Card, mode: WindowMode) -> Part:
    return cut(part if mode == "stretched" else f"{part}, {mode}", recordings, card)
