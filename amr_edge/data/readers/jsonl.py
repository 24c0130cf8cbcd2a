"""JSON lines, the project's own text format for files and streams: a header, then the persons of each frame.

```
{"amr_edge": "skeleton", "schema": 1, "layout": "ntu25", "units": "m", "label": "wave"}
{"t": 0.0, "people": [{"id": 0, "joints": [[0.1, 0.9, 2.5], null, ...]}]}
{"t": 0.033, "people": []}
```

`null` is a joint that was not seen. An `id` names one person throughout. `docs/formats.md` has every field.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from amr_edge.data.readers.joints import FARTHEST
from amr_edge.data.recording import UNITS, Recording, Span
from amr_edge.errors import AmrError, ClipError, ReadError
from amr_edge.skeleton import Layout, Poses, definition_of, layout, register_definition

NAME = "jsonl"
TITLE = "amr-edge JSON lines"
TERMS = "those of the person who recorded it"
CLASSES: tuple[str, ...] | None = None

SCHEMA = 1
_SNIFF = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line.

    Attributes:
        layout: The skeleton of all lines.
        units: "m" or "px".
        fps: Frames a second that the sender aims at; None if it does not say. Times count, not this.
        label: The one action in it.
        subject: Who was recorded.
        camera: Which camera.
        parts: Official parts it belongs to.
        spans: Labelled stretches.
    """

    layout: Layout
    units: str = "m"
    fps: float | None = None
    label: str | None = None
    subject: int | None = None
    camera: int | None = None
    parts: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JsonlFrame:
    """One line after the first: P people at one instant.

    Attributes:
        time_s: Seconds on the sender's clock.
        ids: P identities, all different.
        poses: (P, V, C) float32, absent joints NaN; C as the joints have, the layout's own if none was seen.
        seen: Whether any joint was seen, so that C is certain.
    """

    time_s: float
    ids: tuple[int, ...]
    poses: Poses
    seen: bool


def recognizes(path: Path) -> bool:
    """True if it is a .jsonl whose first line is our header, or an empty one."""
    if path.suffix != ".jsonl":
        return False
    try:
        with path.open("rb") as file:
            first = file.read(_SNIFF)
    except OSError:
        return False
    return not first.strip() or b'"amr_edge"' in first.partition(b"\n")[0]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _object(line: str | bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        raise ReadError(
            f"{where}: expected a JSON object, got {line[:30]!r} ({cause}); write the line again"
        ) from cause
    if not isinstance(found, dict):
        raise ReadError(f"{where}: expected a JSON object, got {type(found).__name__}; write the line again")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse_header(line: str | bytes, where: str) -> Header:
    """Parse the first line.

    Args:
        line: The line.
        where: The file or stream and the line, for the sentence when it is wrong.

    Raises:
        ReadError: If it is no header of this schema, or says what cannot be.
    """
    found = _object(line, where)
    if found.get("amr_edge") != "skeleton" or found.get("schema") != SCHEMA:
        raise ReadError(
            f'{where}: expected a header {{"amr_edge": "skeleton", "schema": {SCHEMA}, "layout": ...}}, got '
            f"amr_edge {found.get('amr_edge')!r:.20} and schema {found.get('schema')!r:.20}; write that line first"
        )
    fps, label, units = found.get("fps"), found.get("label"), found.get("units", "m")
    if units not in UNITS:
        raise ReadError(f"{where}: units must be one of {', '.join(UNITS)}, got {units!r:.20}")
    if fps is not None and (not _is_number(fps) or not 0 < fps < 1e6):
        raise ReadError(f"{where}: fps must be a number above 0, got {fps!r:.20}")
    if label is not None and not isinstance(label, str):
        raise ReadError(f"{where}: label must be a text, got {label!r:.20}")
    numbers = {name: found.get(name) for name in ("subject", "camera")}
    for name, value in numbers.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise ReadError(f"{where}: {name} must be a whole number of at least 0, got {value!r:.20}")
    try:
        register_definition(found.get("layout_definition"))
        skeleton = layout(str(found.get("layout")))
        parts = tuple(str(part) for part in found.get("parts", ()))
        spans = tuple(Span(float(start), float(end), str(name)) for start, end, name in found.get("spans", ()))
    except (AmrError, TypeError, ValueError) as cause:
        raise ReadError(f"{where}: the header cannot be used ({cause})") from cause
    return Header(
        layout=skeleton,
        units=units,
        fps=None if fps is None else float(fps),
        label=label,
        subject=numbers["subject"],
        camera=numbers["camera"],
        parts=parts,
        spans=spans,
    )


def parse_frame(line: str | bytes, header: Header, where: str) -> JsonlFrame:
    """Parse the people of a later line.

    Args:
        line: The line.
        header: The first line.
        where: The file or stream and the line, for the sentence when it is wrong.

    Raises:
        ReadError: If it is no such line, or its joints are not those of the layout.
    """
    found = _object(line, where)
    time_s, people = found.get("t"), found.get("people")
    if not _is_number(time_s) or not isinstance(people, list):
        raise ReadError(f'{where}: expected {{"t": seconds, "people": [...]}}, got the keys {sorted(found)}')
    joint_count = len(header.layout)
    ids: list[int] = []
    rows: list[list[Any]] = []
    for person in people:
        number = person.get("id") if isinstance(person, dict) else None
        row = person.get("joints") if isinstance(person, dict) else None
        if not isinstance(number, int) or isinstance(number, bool) or not isinstance(row, list):
            raise ReadError(f'{where}: expected people as {{"id": whole number, "joints": [...]}}')
        if len(row) != joint_count:
            raise ReadError(
                f"{where}: layout '{header.layout.name}' has {joint_count} joints, person {number} has {len(row)}; "
                "say null for a joint that was not seen"
            )
        if number in ids:
            raise ReadError(f"{where}: person {number} is there twice; give each person an id of their own")
        ids.append(number)
        rows.append(row)
    sizes = {
        len(joint) if isinstance(joint, list) and all(_is_number(value) for value in joint) else 0
        for row in rows
        for joint in row
        if joint is not None
    }
    if len(sizes) > 1 or not sizes <= {2, 3}:
        raise ReadError(f"{where}: expected every joint as null, as two numbers or as three, all alike")
    channels = next(iter(sizes), header.layout.channels)
    absent = [np.nan] * channels
    filled = [[absent if joint is None else joint for joint in row] for row in rows]
    try:
        values = np.array(filled, dtype=np.float64).reshape(len(rows), joint_count, channels)  # (P, V, C)
        time_s = float(time_s or 0)
    except OverflowError as cause:
        raise ReadError(f"{where}: a number is too large ({cause})") from cause
    if (np.abs(np.where(np.isnan(values), 0, values)) > FARTHEST).any() or not np.isfinite(time_s):
        raise ReadError(
            f"{where}: a joint lies beyond {FARTHEST:.0g} or the time is not finite; check the sender's units"
        )
    return JsonlFrame(time_s=time_s, ids=tuple(ids), poses=values.astype(np.float32), seen=bool(sizes))


def read(path: Path) -> Iterator[Recording]:
    """The one recording of a file; its persons are in the order in which they first appear.

    Yields:
        Poses (M, T, V, C) in the header's layout and units.

    Raises:
        ReadError: If a line is damaged or foreign, time does not rise, or there is no frame.
    """
    with path.open("rb") as file:
        header: Header | None = None
        frames: list[JsonlFrame] = []
        for number, line in enumerate(file, start=1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            if header is None:
                header = parse_header(line, where)
                continue
            frame = parse_frame(line, header, where)
            if frames and frame.time_s <= frames[-1].time_s:
                raise ReadError(
                    f"{where}: time must rise from line to line, got {frame.time_s} after {frames[-1].time_s}"
                )
            frames.append(frame)
    if header is None or not frames:
        raise ReadError(f"{path}: expected a header and frames, found {'no frame' if header else 'nothing'}")
    sizes = {frame.poses.shape[2] for frame in frames if frame.seen} or {header.layout.channels}
    if len(sizes) > 1:
        raise ReadError(f"{path}: joints have two numbers in some lines and three in others; write them all alike")
    ids = list(dict.fromkeys(number for frame in frames for number in frame.ids))
    shape = (len(ids), len(frames), len(header.layout), sizes.pop())
    poses = np.full(shape, np.nan, dtype=np.float32)  # (M, T, V, C)
    for at, frame in enumerate(frames):
        for number, pose in zip(frame.ids, frame.poses, strict=True):
            if frame.seen:
                poses[ids.index(number), at] = pose
    yield Recording(
        poses=poses,
        times_s=np.array([frame.time_s for frame in frames], dtype=np.float64),
        layout=header.layout.name,
        units=header.units,
        label=header.label,
        subject=header.subject,
        camera=header.camera,
        source=path.name,
        parts=header.parts,
        spans=header.spans,
    )


def header_line(recording: Recording) -> str:
    """The first line for a recording."""
    header = {
        "amr_edge": "skeleton",
        "schema": SCHEMA,
        "layout": recording.layout,
        **definition_of(recording.layout),
        "units": recording.units,
        "label": recording.label,
        "subject": recording.subject,
        "camera": recording.camera,
        "parts": list(recording.parts),
        "spans": [list(span) for span in recording.spans],
    }
    return json.dumps({name: value for name, value in header.items() if value not in (None, [])}, allow_nan=False)


def frame_line(time_s: float, ids: tuple[int, ...], poses: Poses) -> str:
    """The line for one instant: (P, V, C) poses of the people `ids`; who shows no joint is left out."""
    people = []
    for number, pose in zip(ids, poses, strict=True):
        present = np.isfinite(pose).all(axis=-1)  # (V,)
        if present.any():
            # Nine digits bring every float32 back exactly.
            row = [
                [float(f"{value:.9g}") for value in joint] if here else None
                for joint, here in zip(pose.tolist(), present.tolist(), strict=True)
            ]
            people.append({"id": number, "joints": row})
    return json.dumps({"t": time_s, "people": people}, allow_nan=False)


def write(path: Path, recording: Recording) -> None:
    """Write a recording as lines; the file appears whole or not at all.

    A person who is never seen cannot be written in this format and is left out; a joint of which one number is
    missing is absent.

    Raises:
        ClipError: If a joint is infinite or there is no frame.
    """
    if not len(recording.times_s) or np.isinf(recording.poses).any():
        raise ClipError(f"{recording.source or path}: expected at least one frame and no infinite joint")
    ids = tuple(range(recording.poses.shape[0]))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("x", encoding="ascii", newline="\n") as file:
            file.write(header_line(recording) + "\n")
            for at, time_s in enumerate(recording.times_s.tolist()):
                file.write(frame_line(time_s, ids, recording.poses[:, at]) + "\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
