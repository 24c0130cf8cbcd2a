"""Store of converted recordings: one ragged .npz without padding, which opens in milliseconds.

Only frames in which a person is present are stored, as rows of one long array. The members are not
compressed: the poses are memory-mapped, and only the recordings that are indexed are read. `docs/formats.md` lists
the members for reading a store with plain NumPy.
"""

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.npz import Member, load, mapped, members
from amr_edge.data.recording import UNITS, Recording, Span
from amr_edge.errors import AmrError, ClipError, ReadError
from amr_edge.skeleton import Poses, definition_of, layout, register_definition

SCHEMA = 1

# Member -> its type. The header is JSON as UTF-8 bytes; N recordings, F frames in all, Q person-frames in all
# (persons times frames of each recording, summed), R of those present.
_TYPES: dict[str, type[np.generic]] = {
    "header": np.uint8,  # (bytes,)
    "lengths": np.int64,  # (N,) frames
    "persons": np.int64,  # (N,)
    "labels": np.int64,  # (N,) index into classes, -1 unlabelled
    "subjects": np.int64,  # (N,) -1 unknown
    "cameras": np.int64,  # (N,) -1 unknown
    "fps": np.float64,  # (N,) median, NaN for fewer than two frames
    "part_sets": np.int64,  # (N,) index into the header's part_sets
    "offsets": np.int64,  # (N + 1,) first row of each recording in poses, then R
    "times_s": np.float64,  # (F,)
    "present": np.bool_,  # (Q,) person by person, frame by frame: has a row in poses
    "poses": np.float32,  # (R, V, C)
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Store:
    """N recordings of one layout and unit; `store[i]` is a `Recording`.

    Attributes:
        path: The file.
        dataset: What the data set is called; `splits` knows the official splits by it.
        terms: Under which terms it may be used.
        layout: Name of the layout of all recordings.
        units: "m" or "px".
        classes: Class names; a label is an index into them.
        names: N sources: a file name, with "#key" for a part of a file.
        parts: For each recording the official parts it belongs to.
        labels: (N,) int64, -1 unlabelled.
        subjects: (N,) int64, -1 unknown.
        cameras: (N,) int64, -1 unknown.
        lengths: (N,) int64 frames.
        persons: (N,) int64.
        fps_each: (N,) float64, the median frame rate of each; NaN for fewer than two frames.
    """

    path: Path
    dataset: str
    terms: str
    layout: str
    units: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...]
    labels: NDArray[np.int64]
    subjects: NDArray[np.int64]
    cameras: NDArray[np.int64]
    lengths: NDArray[np.int64]
    persons: NDArray[np.int64]
    fps_each: NDArray[np.float64]
    _spans: dict[int, tuple[Span, ...]]
    _times_s: NDArray[np.float64]  # (F,)
    _present: NDArray[np.bool_]  # (Q,)
    _poses: Poses  # (R, V, C)
    _frame_offsets: NDArray[np.int64]  # (N + 1,)
    _present_offsets: NDArray[np.int64]  # (N + 1,)
    _row_offsets: NDArray[np.int64]  # (N + 1,)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, position: int) -> Recording:
        """The recording at `position`; a person who is not there in a frame is NaN.

        Raises:
            IndexError: If there is none.
            ClipError: If its times or shapes contradict each other.
        """
        i = index(position)
        i = i + len(self) if i < 0 else i
        if not 0 <= i < len(self):
            raise IndexError(f"{self.path} holds {len(self)} recordings, there is no number {position}")
        here = self._present[self._present_offsets[i] : self._present_offsets[i + 1]]
        here = here.reshape(int(self.persons[i]), int(self.lengths[i]))  # (M, T)
        poses = np.full((*here.shape, *self._poses.shape[1:]), np.nan, dtype=np.float32)  # (M, T, V, C)
        poses[here] = self._poses[self._row_offsets[i] : self._row_offsets[i + 1]]
        label, subject, camera = int(self.labels[i]), int(self.subjects[i]), int(self.cameras[i])
        return Recording(
            poses=poses,
            times_s=self._times_s[self._frame_offsets[i] : self._frame_offsets[i + 1]].copy(),
            layout=self.layout,
            units=self.units,
            label=self.classes[label] if label >= 0 else None,
            subject=subject if subject >= 0 else None,
            camera=camera if camera >= 0 else None,
            source=self.names[i],
            parts=self.parts[i],
            spans=self._spans.get(i, ()),
        )

    def __iter__(self) -> Iterator[Recording]:
        return (self[i] for i in range(len(self)))

    def duplicates(self, among: NDArray[np.bool_], of: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Recordings whose poses equal those of another recording number for number, whatever their names.

        Args:
            among: (N,) True for the recordings to look at.
            of: (N,) True for those to compare with; no recording is a duplicate of itself.

        Returns:
            (N,) True for the duplicates. An empty recording is no duplicate.
        """
        alike: dict[tuple[object, ...], list[int]] = {}
        for i in np.flatnonzero(of):
            alike.setdefault(self._ends(int(i)), []).append(int(i))
        found = np.zeros(len(self), dtype=np.bool_)
        for i in np.flatnonzero(among & (np.diff(self._row_offsets) > 0)):
            # Few recordings begin and end alike, so all poses are read of few.
            twins = alike.get(self._ends(int(i)), ())
            found[i] = any(twin != i and self._equal(twin, int(i)) for twin in twins)
        return found

    def _ends(self, i: int) -> tuple[object, ...]:
        """A cheap key that duplicates share: their lengths, first pose and last pose."""
        start, end = int(self._row_offsets[i]), int(self._row_offsets[i + 1])
        ends = () if start == end else (self._poses[start].tobytes(), self._poses[end - 1].tobytes())
        return int(self.lengths[i]), int(self.persons[i]), end - start, *ends

    def _equal(self, one: int, other: int) -> bool:
        (a, b), (c, d) = (self._row_offsets[[i, i + 1]] for i in (one, other))
        (e, f), (g, h) = (self._present_offsets[[i, i + 1]] for i in (one, other))
        same = np.array_equal(self._poses[a:b], self._poses[c:d], equal_nan=True)
        return bool(same and np.array_equal(self._present[e:f], self._present[g:h]))

    @cached_property
    def fps(self) -> float:
        """Median of the recordings' frame rates; NaN if none has two frames."""
        known = self.fps_each[np.isfinite(self.fps_each)]
        return float(np.median(known)) if known.size else float("nan")

    @cached_property
    def content_hash(self) -> str:
        """SHA-256, in hex, of what is stored: equal for equal recordings, wherever and whenever they were written."""
        digest = hashlib.sha256()
        content = {
            "dataset": self.dataset,
            "terms": self.terms,
            "layout": self.layout,
            **definition_of(self.layout),
            "units": self.units,
            "classes": self.classes,
            "names": self.names,
            "parts": self.parts,
            "spans": sorted(self._spans.items()),
        }
        digest.update(json.dumps(content, sort_keys=True).encode())
        arrays: tuple[NDArray[Any], ...] = (
            self.labels, self.subjects, self.cameras, self.lengths, self.persons, self._times_s, self._present,
        )  # fmt: skip
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        for start in range(0, len(self._poses), 1 << 16):  # a piece at a time: the poses may exceed memory
            digest.update(np.ascontiguousarray(self._poses[start : start + (1 << 16)]).tobytes())
        return digest.hexdigest()


def _canonical_nan(poses: Poses) -> NDArray[np.bool_]:
    """(M, T), True where a person shows no joint at all in a frame."""
    return np.asarray(np.isnan(poses).all(axis=(2, 3)), dtype=np.bool_)


class _StoreWriter:
    """Metadata of the recordings written so far; their poses go straight to `rows`."""

    def __init__(self, rows: IO[bytes]) -> None:
        self.rows = rows
        self.row_count = 0
        self.shape: tuple[str, str, int] | None = None  # layout, units, channels
        self.first_source = ""
        self.labels: list[str | None] = []
        self.names: list[str] = []
        self.part_sets: dict[tuple[str, ...], int] = {}
        self.spans: dict[int, tuple[Span, ...]] = {}
        self.columns: dict[str, list[float]] = {
            name: [] for name in ("lengths", "persons", "subjects", "cameras", "fps", "part_sets")
        }
        self.offsets = [0]
        self.times_s: list[NDArray[np.float64]] = []
        self.present: list[NDArray[np.bool_]] = []

    def add(self, recording: Recording) -> None:
        """Append one recording."""
        shape = (recording.layout, recording.units, int(recording.poses.shape[3]))
        where = recording.source or f"recording {len(self.names)}"
        if self.shape is None:
            self.shape, self.first_source = shape, where
        if shape != self.shape:
            raise ClipError(
                f"a store holds one layout, unit and number of channels: {self.first_source} has {self.shape}, "
                f"{where} has {shape}; convert them into two stores"
            )
        for what, number in (("subject", recording.subject), ("camera", recording.camera)):
            if number is not None and number < 0:
                raise ClipError(f"{where}: expected a {what} number of at least 0 or None, got {number}")
        if recording.spans:
            self.spans[len(self.names)] = recording.spans
        present = ~_canonical_nan(recording.poses)  # (M, T)
        rows = recording.poses[present]  # (rows, V, C), person by person, frame by frame
        self.rows.write(rows.astype("<f4", copy=False).tobytes())
        self.row_count += len(rows)
        self.labels.append(recording.label)
        self.names.append(recording.source)
        row = {
            "lengths": recording.poses.shape[1],
            "persons": recording.poses.shape[0],
            "subjects": -1 if recording.subject is None else recording.subject,
            "cameras": -1 if recording.camera is None else recording.camera,
            "fps": recording.fps,
            "part_sets": self.part_sets.setdefault(tuple(recording.parts), len(self.part_sets)),
        }
        for name, value in row.items():
            self.columns[name].append(value)
        self.offsets.append(self.row_count)
        self.times_s.append(recording.times_s)
        self.present.append(present.ravel())  # (M * T,)

    def arrays(
        self, dataset: str, terms: str, classes: Sequence[str] | None, *, keep_unused: bool
    ) -> dict[str, NDArray[Any]]:
        """Every member but the poses."""
        if self.shape is None:
            raise ClipError("there is no recording to store; check what was read")
        found = sorted({label for label in self.labels if label is not None})
        names = tuple(found if classes is None else classes)
        if len(set(names)) != len(names):
            raise ClipError(f"class names must be distinct, got {', '.join(names)}")
        unknown = [label for label in found if label not in set(names)]
        if unknown:
            first = self.names[self.labels.index(unknown[0])]
            raise ClipError(f"{first}: the label '{unknown[0]}' is not one of the classes {', '.join(names)}")
        if not keep_unused:
            names = tuple(name for name in names if name in set(found))
        number = {name: i for i, name in enumerate(names)}
        header = {
            "amr_edge": "store",
            "schema": SCHEMA,
            "dataset": dataset,
            "terms": terms,
            "layout": self.shape[0],
            **definition_of(self.shape[0]),
            "units": self.shape[1],
            "classes": names,
            "names": self.names,
            "part_sets": list(self.part_sets),
            "spans": {str(i): spans for i, spans in self.spans.items()},
        }
        arrays: dict[str, Any] = {
            "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
            "labels": [-1 if label is None else number[label] for label in self.labels],
            "offsets": self.offsets,
            "times_s": np.concatenate(self.times_s),
            "present": np.concatenate(self.present),
            **self.columns,
        }
        return {name: np.asarray(arrays[name], dtype=kind) for name, kind in _TYPES.items() if name in arrays}


def _write_member(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    """One array as a stored .npy; the date is fixed, so that equal recordings give equal files."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)


def write_store(
    path: str | Path,
    recordings: Iterable[Recording],
    *,
    dataset: str,
    terms: str,
    classes: Sequence[str] | None = None,
    keep_unused: bool = True,
) -> Store:
    """Write recordings into one store, holding one recording at a time in memory.

    Args:
        path: The .npz to write. It appears whole or, if anything fails, not at all; an older file stays until then.
        recordings: All of one layout, unit and number of channels; a label is a class name.
        dataset: What the data set is called.
        terms: Under which terms it may be used.
        classes: Class names in the order of the labels; None takes the labels that occur, sorted.
        keep_unused: Keep a class of `classes` that no recording has.

    Returns:
        The store, opened.

    Raises:
        ClipError: If there is no recording, layouts or units mix, or a label is not one of the classes.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryFile(dir=path.parent) as rows, unfinished.open("xb") as out:
            writer = _StoreWriter(rows)
            for recording in recordings:
                writer.add(recording)
            arrays = writer.arrays(dataset, terms, classes, keep_unused=keep_unused)
            assert writer.shape is not None  # noqa: S101 - arrays() has refused an empty store
            name, _, channels = writer.shape
            with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
                for member, array in arrays.items():
                    _write_member(archive, member, array)
                rows.seek(0)
                with archive.open(zipfile.ZipInfo("poses.npy"), "w", force_zip64=True) as file:
                    promise = {"descr": "<f4", "fortran_order": False}
                    shape = (writer.row_count, len(layout(name)), channels)
                    np.lib.format.write_array_header_1_0(file, {**promise, "shape": shape})
                    while piece := rows.read(1 << 24):
                        file.write(piece)
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return open_store(path)


def is_store(path: Path) -> bool:
    """True if `path` is a store of ours, whole or of another schema; never raises."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("header.npy") as file:
            return b'"amr_edge": "store"' in file.read(4096)
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, RuntimeError):
        return False


def _strings(values: Any) -> tuple[str, ...]:
    """A JSON list of strings as a tuple."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list of names is something else")
    return tuple(values)


def _check(arrays: dict[str, NDArray[Any]], poses: Member, count: int, part_sets: int, classes: int) -> str | None:
    """A contradiction in a store's arrays, in words; None if there is none."""
    per_recording = ("lengths", "persons", "labels", "subjects", "cameras", "fps", "part_sets")
    for name in per_recording:
        if arrays[name].shape != (count,):
            return f"'{name}' has the shape {arrays[name].shape} for {count} recordings"
    if min((int(arrays[name].min(initial=0)) for name in ("lengths", "persons")), default=0) < 0:
        return "a recording has a negative number of frames or persons"
    if min(int(arrays[name].min(initial=0)) for name in ("labels", "subjects", "cameras")) < -1:
        return "a label, subject or camera is below -1"
    if int(arrays["labels"].max(initial=-1)) >= classes:
        return f"a label is {int(arrays['labels'].max())}, there are {classes} classes"
    if int(arrays["part_sets"].min(initial=0)) < 0 or int(arrays["part_sets"].max(initial=-1)) >= part_sets:
        return f"a recording belongs to a set of parts that is not one of the {part_sets}"
    frames = int(arrays["lengths"].sum())
    if arrays["times_s"].shape != (frames,):
        return f"there are {arrays['times_s'].shape} times for {frames} frames"
    slots = arrays["lengths"] * arrays["persons"]
    if arrays["present"].shape != (int(slots.sum()),):
        return f"presence has the shape {arrays['present'].shape} for {int(slots.sum())} person-frames"
    offsets = arrays["offsets"]
    if offsets.shape != (count + 1,) or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        return "the row offsets do not rise from 0"
    ends = np.cumsum(slots)
    seen = np.concatenate([[0], np.cumsum(arrays["present"])])  # (Q + 1,) rows before each person-frame
    if not np.array_equal(offsets[1:], seen[ends]):
        return "the row offsets do not agree with who is present"
    if len(poses.shape) != 3 or poses.shape[0] != int(offsets[-1]):
        return f"the poses have the shape {poses.shape} for {int(offsets[-1])} rows"
    return None


def _times_rise(arrays: dict[str, NDArray[Any]]) -> bool:
    """True if the times of every recording are finite and rise."""
    times_s = arrays["times_s"]
    rises = np.diff(times_s) > 0
    starts = np.cumsum(arrays["lengths"])[:-1]
    rises[starts[(starts > 0) & (starts < len(times_s))] - 1] = True  # from one recording to the next, time may fall
    return bool(np.isfinite(times_s).all() and rises.all())


def open_store(path: str | Path, *, in_memory: bool = False, check_times: bool = True) -> Store:
    """Open a store; its poses stay on disk, memory-mapped where they lie, unless `in_memory`.

    Args:
        path: What `write_store` wrote.
        in_memory: Load the poses as well, their checksum verified; faster to read again and again.
        check_times: Refuse a store in which the times of any recording do not rise; False leaves that to each
            recording, which raises `ClipError` when it is indexed.

    Raises:
        ReadError: If the file is no store, is damaged or cut off, has another schema or contradicts itself.
    """
    path = Path(path)
    found = members(path)
    if "header" not in found or not is_store(path):
        raise ReadError(
            f"{path}: expected an amr-edge store, got another .npz; convert it with `amr-edge data convert`"
        )
    try:
        header = json.loads(load(path, found["header"]).tobytes())
    except ValueError as cause:
        raise ReadError(f"{path}: the store's header is damaged ({cause}); convert it again") from cause
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        schema = header.get("schema") if isinstance(header, dict) else None
        raise ReadError(f"{path}: the store has schema {schema}, this amr-edge reads schema {SCHEMA}; convert it again")
    wrong = sorted(name for name, kind in _TYPES.items() if name not in found or found[name].dtype != np.dtype(kind))
    if wrong:
        raise ReadError(f"{path}: the store's {', '.join(wrong)} is missing or of another type; convert it again")
    arrays = {name: load(path, found[name]) for name in _TYPES if name not in ("header", "poses")}
    try:
        classes, names = _strings(header["classes"]), _strings(header["names"])
        part_sets = tuple(_strings(parts) for parts in header["part_sets"])
        spans = {
            int(i): tuple(Span(float(start), float(end), str(label)) for start, end, label in each)
            for i, each in header["spans"].items()
        }
        dataset, terms, layout_name, units = (str(header[key]) for key in ("dataset", "terms", "layout", "units"))
        register_definition(header.get("layout_definition"))
        joints = len(layout(layout_name))
    except (KeyError, TypeError, ValueError, AttributeError, AmrError) as cause:
        raise ReadError(f"{path}: the store's header cannot be used ({cause}); convert it again") from cause
    contradiction = _check(arrays, found["poses"], len(names), len(part_sets), len(classes))
    if contradiction is None and check_times and not _times_rise(arrays):
        contradiction = "the times of a recording do not rise"
    if contradiction is None and (found["poses"].shape[1] != joints or found["poses"].shape[2] not in (2, 3)):
        contradiction = f"the poses have the shape {found['poses'].shape} for layout '{layout_name}'"
    if contradiction is None and (units not in UNITS or not all(0 <= i < len(names) for i in spans)):
        contradiction = f"the units are '{units}' or a span belongs to no recording"
    if contradiction is not None:
        raise ReadError(f"{path}: the store contradicts itself: {contradiction}; convert it again")
    slots = arrays["lengths"] * arrays["persons"]
    return Store(
        path=path,
        dataset=dataset,
        terms=terms,
        layout=layout_name,
        units=units,
        classes=classes,
        names=names,
        parts=tuple(part_sets[i] for i in arrays["part_sets"]),
        labels=arrays["labels"],
        subjects=arrays["subjects"],
        cameras=arrays["cameras"],
        lengths=arrays["lengths"],
        persons=arrays["persons"],
        fps_each=arrays["fps"],
        _spans=spans,
        _times_s=arrays["times_s"],
        _present=arrays["present"],
        _poses=load(path, found["poses"]) if in_memory else mapped(path, found["poses"]),
        _frame_offsets=np.concatenate([[0], np.cumsum(arrays["lengths"])]),
        _present_offsets=np.concatenate([[0], np.cumsum(slots)]),
        _row_offsets=arrays["offsets"],
    )
