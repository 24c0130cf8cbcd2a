"""PKU-MMD: long Kinect v2 recordings in which 51 actions follow each other, with their beginnings and ends.

`skeleton/NAME.txt` has a frame in each line: 150 numbers, two persons x 25 joints x xyz in metres (Kinect camera
space), zeros where no person is, 30 frames a second. `label/NAME.txt` has an action in each line: number (1..51),
first frame, frame after the last, confidence. NAME ends in the camera: L, M or R. `read` cuts the actions out, one
recording each, on the clock of the long one; `read_untrimmed` gives the long one with its `spans`.

Beside the folders may lie the official splits, such as `cross-subject.txt` and `cross-view.txt` (phase II:
`..._v2.txt`): a title line, then the training recordings' names, comma-separated; the others are the test.

The actions have numbers only ("A01" to "A51"): their names come in a spreadsheet that was not at hand.

Source: Liu, Hu, Li, Song and Liu, "PKU-MMD", 2017.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from amr_edge.data.readers.joints import at_rate, joints
from amr_edge.data.recording import Recording, Span
from amr_edge.errors import ReadError
from amr_edge.skeleton import NTU25, Poses, present_joints

NAME = "pku_mmd"
TITLE = "PKU-MMD"
TERMS = "academic research, cite the paper"
CLASSES: tuple[str, ...] | None = tuple(f"A{number:02d}" for number in range(1, 52))

FPS = 30.0
_FILE = re.compile(r"(\d{4}|A\d{2}N\d{2})-([LMR])\.txt")
_SPLIT_FILE = re.compile(r"cross[-_](subject|view)(_v2)?\.txt")
_CAMERAS = {"L": 1, "M": 2, "R": 3}
_PERSONS = 2
_WIDTH = _PERSONS * len(NTU25) * 3


def _labels_folder(folder: Path) -> bool:
    return "label" in folder.name.lower()


def recognizes(path: Path) -> bool:
    """True if the name is that of a recording, and its folder does not say that it holds labels."""
    return _FILE.fullmatch(path.name) is not None and not _labels_folder(path.parent)


def companion(path: Path) -> bool:
    """True if this file belongs to the data set without being a recording of its own: labels and splits."""
    return (_FILE.fullmatch(path.name) is not None and _labels_folder(path.parent)) or (
        _SPLIT_FILE.fullmatch(path.name) is not None
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii")
    except UnicodeDecodeError as cause:
        raise ReadError(f"{path}: expected text ({cause}); copy the file again") from cause


def _poses(path: Path) -> Poses:
    """(2, T, V, C) of a whole file."""
    lines = [line.split() for line in _text(path).splitlines() if line.strip()]
    if not lines:
        raise ReadError(f"{path}: expected a frame in each line, found none; leave the file out")
    odd = next((number for number, row in enumerate(lines, start=1) if len(row) != _WIDTH), None)
    if odd is not None:
        raise ReadError(
            f"{path}: expected {_WIDTH} numbers in every line, line {odd} has {len(lines[odd - 1])}; "
            "the file is cut off, damaged or foreign"
        )
    try:
        values = np.array(lines, dtype=np.float64)
    except ValueError as cause:
        raise ReadError(f"{path}: expected only numbers ({cause}); the file is damaged or foreign") from cause
    values = values.reshape(len(lines), _PERSONS, len(NTU25), 3)  # (T, M, V, C)
    return joints(values.transpose(1, 0, 2, 3), path, zero_is_absent=True)  # (M, T, V, C)


def _actions(path: Path) -> list[tuple[int, int, str]]:
    """First frame, frame after the last and class of every action, from the labels beside `path`."""
    places = [folder / path.name for folder in sorted(path.parent.parent.iterdir()) if _labels_folder(folder)]
    place = next((place for place in places if place.is_file()), None)
    if place is None:
        raise ReadError(
            f"{path}: expected its actions in a folder 'label' beside '{path.parent.name}', there are none; "
            "fetch the labels as well"
        )
    classes = CLASSES or ()
    found = []
    for number, line in enumerate(_text(place).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label, start, end = (int(word) for word in line.split(",")[:3])
        except ValueError:
            label, start, end = 0, 0, 0
        if not 1 <= label <= len(classes) or not 0 <= start < end:
            raise ReadError(
                f"{place}: expected 'action,first frame,frame after the last,confidence' in line {number}, got "
                f"'{line.strip():.40}'; the file is damaged or foreign"
            )
        found.append((start, end, classes[label - 1]))
    return found


def _parts(path: Path) -> tuple[str, ...]:
    """Splits that the files around `path` list for it."""
    found = []
    for folder in (path.parent, path.parent.parent, path.parent.parent / "Split"):
        for place in sorted(folder.glob("cross*.txt")):
            match = _SPLIT_FILE.fullmatch(place.name)
            lines = _text(place).splitlines() if match else []
            if match is None or len(lines) < 2:
                continue
            trains = path.stem in {word.strip() for word in lines[1].split(",")}
            found.append(f"{'xsub' if match[1] == 'subject' else 'xview'}_{'train' if trains else 'test'}")
    return tuple(dict.fromkeys(found))


def _camera(path: Path) -> int | None:
    match = _FILE.fullmatch(path.name)
    return _CAMERAS[match[2]] if match else None


def read_untrimmed(path: Path) -> Recording:
    """The long recording of a skeleton file, its actions as spans where labels lie beside it.

    Raises:
        ReadError: If the file or its labels are damaged, cut off or foreign.
    """
    poses = _poses(path)
    times_s = at_rate(poses.shape[1], FPS)
    labelled = any(_labels_folder(folder) and (folder / path.name).is_file() for folder in path.parent.parent.iterdir())
    actions = _actions(path) if labelled else []
    return Recording(
        poses=poses,
        times_s=times_s,
        layout=NTU25.name,
        camera=_camera(path),
        source=path.name,
        parts=_parts(path),
        spans=tuple(Span(start / FPS, end / FPS, label) for start, end, label in actions),
    )


def read(path: Path) -> Iterator[Recording]:
    """Every action of a skeleton file; one in which no person is seen comes all absent, or with no frame.

    Yields:
        Poses (M, T, 25, 3) in layout ntu25, M 1 or 2; source "NAME.txt#1" for the first action.

    Raises:
        ReadError: If the file or its labels are damaged, cut off, foreign or missing.
    """
    actions = _actions(path)
    poses = _poses(path)
    times_s = at_rate(poses.shape[1], FPS)
    parts = _parts(path)
    for number, (start, end, label) in enumerate(actions, start=1):
        clip = poses[:, start:end]
        seen = np.asarray(present_joints(clip).any(axis=(1, 2)))  # (M,)
        seen[0] |= not seen.any()
        yield Recording(
            poses=np.ascontiguousarray(clip[seen]),
            times_s=times_s[start:end],
            layout=NTU25.name,
            label=label,
            camera=_camera(path),
            source=f"{path.name}#{number}",
            parts=parts,
        )
