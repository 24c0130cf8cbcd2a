"""UI-PRMD as continuous streams, grouped into classes and checked.

The data set cuts every recording into ten repetitions. A model trained on cut repetitions never sees the
seam between two of them, which is most of what a camera sees, so the episodes of one person and one exercise are put
back together. Kinect gives correct and incorrect executions, Vicon the correct ones in other people's proportions.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.readers import ui_prmd, ui_prmd_vicon
from amr_edge.data.recording import Recording, Span
from amr_edge.data.store import Store, write_store
from amr_edge.errors import DataError, ReadError
from amr_edge.preprocess import resample
from amr_edge.skeleton import Poses, layout, remap
from amr_edge.terminal import progress

LAYOUT = "canonical15"
FPS = 30.0
NONE = "none"
CLASSES = (
    "squat",
    "hurdle step",
    "inline lunge",
    "side lunge",
    "leg raise",
    "arm raise",
    "shoulder extension",
    "shoulder rotation",
    NONE,
)
# Exercise of the data set -> group: sitting down is a squat and scaption is an abduction by the joints alone.
GROUPS = {
    1: "squat",
    2: "hurdle step",
    3: "inline lunge",
    4: "side lunge",
    5: "squat",
    6: "leg raise",
    7: "arm raise",
    8: "shoulder extension",
    9: "shoulder rotation",
    10: "arm raise",
}
# Of Vicon the first two repetitions are read: they are what the checksum below covers.
VICON_EPISODES = 2
MAX_GAP_S = 0.4  # a marker that is lost for longer is absent meanwhile
# m10 s05: its Vicon markers lie where no body could have them.
DAMAGED = frozenset({("vicon", 10, 5)})
CHECKSUMS: Mapping[str, str] = {
    "kinect": "edab86819b4cbc1c2333c582250a1b27dd0c5acecd940569d248ae15b02a1fe7",
    "vicon": "c1d1c5d7810019cd742eaa98397a42c2cbeadb7a8ccabfc1e0ee1479c93abf8d",
}

Sensor = Literal["kinect", "vicon", "synthetic"]
_FILE = re.compile(r"m(\d{2})_s(\d{2})_e(\d{2})_(positions|angles)(_inc)?\.txt(\.gz)?")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """One person doing one exercise again and again, seen by one sensor.

    Attributes:
        poses: (T, 15, 3) float32 in layout canonical15, metres, absent joints NaN, at 30 frames a second.
        times_s: (T,) float64 seconds from 0.
        exercise: As the data set counts them, 1 to 10.
        group: The class it belongs to.
        subject: As the data set counts them, 1 to 10.
        sensor: "kinect" or "vicon"; "synthetic" for a person who was never there.
        correct: Whether it is done as it should be.
        episodes: First frame of each repetition and the frame after its last.
    """

    poses: Poses
    times_s: NDArray[np.float64]
    exercise: int
    group: str
    subject: int
    sensor: Sensor
    correct: bool
    episodes: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        """Name in tables: "kinect m01 s03"."""
        return f"{self.sensor} m{self.exercise:02d} s{self.subject:02d}{'' if self.correct else ' incorrect'}"


def _content(path: Path) -> bytes:
    """A file's text, packed or not."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as cause:
        raise ReadError(f"{path}: is no whole gzip file ({cause}); copy it again") from cause


def files_of(root: Path, sensor: Sensor) -> tuple[Path, ...]:
    """Every file of a sensor that is read, in the order of its name and folder.

    Raises:
        ReadError: If there is none under `root`.
    """
    found = {}
    for path in root.rglob("m*_s*_e*.txt*"):
        match = _FILE.fullmatch(path.name)
        if match is None or path.parent.parent.name.lower() != sensor:
            continue
        if sensor == "vicon" and (match[4] != "positions" or match[5] or int(match[3]) > VICON_EPISODES):
            continue
        found[path.parent.name, path.name.removesuffix(".gz")] = path
    if not found:
        raise ReadError(
            f"{root}: expected the folders 'Segmented Movements' and 'Incorrect Segmented Movements' of UI-PRMD with "
            f"{sensor.capitalize()} files, found none; download the data set and name its folder"
        )
    return tuple(found[key] for key in sorted(found))


def checksum(files: Sequence[Path]) -> str:
    """SHA-256 over the files' names and unpacked contents, so that packing does not matter."""
    digest = hashlib.sha256()
    with progress(files, label="checksum") as shown:
        for path in shown:
            digest.update(path.name.removesuffix(".gz").encode())
            digest.update(hashlib.sha256(_content(path)).digest())
    return digest.hexdigest()


def check(root: Path, *, vicon: bool) -> dict[str, str]:
    """Hold the files under `root` against those that the published numbers were made from.

    Returns:
        Sensor -> SHA-256.

    Raises:
        DataError: If they are others.
    """
    found: dict[str, str] = {}
    for sensor in _sensors(vicon=vicon):
        found[sensor] = checksum(files_of(root, sensor))
        if found[sensor] != CHECKSUMS[sensor]:
            raise DataError(
                f"{root}: expected the {sensor.capitalize()} files of UI-PRMD with SHA-256 "
                f"{CHECKSUMS[sensor][:12]}..., got {found[sensor][:12]}...; download the data set again, or go on "
                "with other data and other numbers with --any-data"
            )
    return found


def _sensors(*, vicon: bool) -> tuple[Sensor, ...]:
    return ("kinect", "vicon") if vicon else ("kinect",)


def _canonical(recording: Recording) -> Poses:
    """(T, 15, 3) of the one person."""
    return remap(recording.poses[0], recording.skeleton, layout(LAYOUT)).poses


def _joined(parts: Sequence[tuple[Poses, float]]) -> tuple[Poses, NDArray[np.float64], tuple[tuple[int, int], ...]]:
    """Episodes and their frame rates -> one stream at 30 frames a second, its times and its episodes."""
    poses = np.concatenate([each for each, _ in parts])
    steps_s = np.concatenate([np.full(len(each), 1 / fps) for each, fps in parts])
    times_s = np.concatenate([[0.0], np.cumsum(steps_s)])  # (T + 1,), the last where a next frame would be
    at_s = np.arange(int(times_s[-2] * FPS + 1e-6) + 1) / FPS  # (T',)
    ends = np.cumsum([len(each) for each, _ in parts])
    bounds = np.searchsorted(at_s, times_s[np.concatenate([[0], ends])] - 0.5 / FPS)
    out = resample(poses[None], times_s[:-1], at_s, MAX_GAP_S)[0]  # (T', V, C)
    return out, at_s, tuple((int(a), int(b)) for a, b in pairwise(bounds))


def _gathered(root: Path, sensor: Sensor) -> Iterator[Stream]:
    """The streams of one sensor, in the order of exercise, subject and execution."""
    reader = ui_prmd if sensor == "kinect" else ui_prmd_vicon
    files: dict[tuple[int, int, bool], list[Path]] = {}
    for path in files_of(root, sensor):
        match = _FILE.fullmatch(path.name)
        if match is None or match[4] != "positions":
            continue
        exercise, subject = int(match[1]), int(match[2])
        if (sensor, exercise, subject) not in DAMAGED:
            files.setdefault((exercise, subject, match[5] is None), []).append(path)
    with progress(sorted(files.items()), label=f"read {sensor.capitalize()}") as shown:
        for (exercise, subject, correct), paths in shown:
            recordings = [recording for path in sorted(paths) for recording in reader.read(path)]
            poses, times_s, episodes = _joined([(_canonical(each), each.fps) for each in recordings])
            yield Stream(
                poses=poses,
                times_s=times_s,
                exercise=exercise,
                group=GROUPS[exercise],
                subject=subject,
                sensor=sensor,
                correct=correct,
                episodes=episodes,
            )


def load(root: Path, *, vicon: bool) -> tuple[Stream, ...]:
    """Every stream of the data set, from its raw files.

    Args:
        root: A folder with 'Segmented Movements' and 'Incorrect Segmented Movements' somewhere in it.
        vicon: Whether to read the Vicon recordings too.

    Raises:
        ReadError: If there are no such files, or one of them is damaged.
    """
    return tuple(stream for sensor in _sensors(vicon=vicon) for stream in _gathered(root, sensor))


def to_recording(stream: Stream) -> Recording:
    """A stream as a recording with one span for each repetition."""
    ends = np.append(stream.times_s, stream.times_s[-1] + 1 / FPS)
    return Recording(
        poses=stream.poses[None],  # (1, T, V, C)
        times_s=stream.times_s,
        layout=LAYOUT,
        label=stream.group,
        subject=stream.subject,
        source=stream.name,
        parts=(stream.sensor, "correct" if stream.correct else "incorrect", f"m{stream.exercise:02d}"),
        spans=tuple(Span(float(ends[a]), float(ends[b]), stream.group) for a, b in stream.episodes),
    )


def of_recording(recording: Recording) -> Stream:
    """Inverse of `to_recording`.

    Raises:
        DataError: If the recording is no such one.
    """
    known = len(recording.parts) == 3 and re.fullmatch(r"m\d\d", recording.parts[2])
    if not known or recording.layout != LAYOUT or recording.label is None or recording.subject is None:
        raise DataError(f"{recording.source}: is no stream of UI-PRMD; delete the cached store and run it again")
    sensor, how, exercise = recording.parts
    return Stream(
        poses=recording.poses[0],
        times_s=recording.times_s,
        exercise=int(exercise[1:]),
        group=recording.label,
        subject=recording.subject,
        sensor="kinect" if sensor == "kinect" else "vicon",
        correct=how == "correct",
        episodes=tuple((round(s.start_s * FPS), round(s.end_s * FPS)) for s in recording.spans),
    )


def save(streams: Iterable[Stream], path: Path) -> Store:
    """Keep streams as a store, which opens in milliseconds."""
    return write_store(
        path,
        map(to_recording, streams),
        dataset="ui_prmd_streams",
        terms=ui_prmd.TERMS,
        classes=CLASSES,
    )


def opened(store: Store) -> tuple[Stream, ...]:
    """The streams in a store that `save` wrote."""
    return tuple(map(of_recording, store))


def of_subjects(streams: Iterable[Stream], subjects: Iterable[int]) -> tuple[Stream, ...]:
    """Those of some people."""
    wanted = frozenset(subjects)
    return tuple(stream for stream in streams if stream.subject in wanted)
