"""NTU RGB+D and NTU RGB+D 120: everyday and medical actions and pairs of people, a `.skeleton` text for each clip.

`SsssCcccPpppRrrrAaaa.skeleton` (setup, camera, performer, replication, action) is whitespace-separated text: the
number of frames; for each frame the number of bodies; for each body ten fields that begin with a 64-bit id, the
number of joints (25), and for each joint twelve fields that begin with x y z in metres, Kinect v2 camera space
(x to the sensor's left, y up, z away from the sensor), 30 frames a second.

Kinect takes chairs for people and one person for several in turn. What is kept follows CTR-GCN's preparation:
with more than one body, those of 11 frames or fewer go, then those that are wider than tall in most frames; the
body that moves most is person 0; each further one, by motion, continues person 0 where their times do not
overlap, else person 1. Other than there, no gap is closed: a frame in which a person was not seen is NaN at its
true time. Frames before the first and after the last frame are left out.

Source: Shahroudy, Liu, Ng and Wang, CVPR 2016; Liu, Shahroudy, Perez, Wang, Duan and Kot, TPAMI 2019; the names of
the actions as their authors and mmaction2 list them, remarks in brackets left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.readers.joints import joints
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import NTU25, Poses

_ACTIONS = """\
drink water|eat meal|brush teeth|brush hair|drop|pick up|throw|sit down|stand up|clap|read|write|tear up paper|\
put on jacket|take off jacket|put on shoe|take off shoe|put on glasses|take off glasses|put on hat|take off hat|\
cheer up|wave hand|kick something|reach into pocket|hop|jump up|phone call|play with phone|type on keyboard|\
point to something|take selfie|check time|rub hands|nod head|shake head|wipe face|salute|put palms together|\
cross hands in front|sneeze or cough|stagger|fall|touch head|touch chest|touch back|touch neck|vomit|fan self|\
punch or slap person|kick person|push person|pat person on back|point at person|hug person|give something|\
touch person's pocket|shake hands|walk towards each other|walk apart|put on headphone|take off headphone|\
shoot at basket|bounce ball|tennis bat swing|juggle table tennis balls|hush|flick hair|thumb up|thumb down|\
make ok sign|make victory sign|staple book|count money|cut nails|cut paper|snap fingers|open bottle|sniff|\
squat down|toss coin|fold paper|ball up paper|play magic cube|apply cream on face|apply cream on hand|put on bag|\
take off bag|put something into bag|take something out of bag|open box|move heavy objects|shake fist|throw up hat|\
hands up|cross arms|arm circles|arm swings|run on the spot|butt kicks|cross toe touch|side kick|yawn|stretch|\
blow nose|hit person with something|wield knife|knock over person|grab person's stuff|shoot with gun|step on foot|\
high-five|cheers and drink|carry together|take photo of person|follow person|whisper|exchange things|\
support person|rock-paper-scissors"""

NAME = "ntu"
TITLE = "NTU RGB+D and NTU RGB+D 120"
TERMS = "academic research only, no redistribution"
CLASSES: tuple[str, ...] | None = tuple(f"A{n:03d} {name}" for n, name in enumerate(_ACTIONS.split("|"), start=1))

FPS = 30.0
SHORTEST_FRAMES = 12  # a body seen for less, beside another, is noise
WIDEST = 0.8  # x extent over y extent of a body that stands, sits or bends
MOST_WIDE = 0.69754  # share of frames from which a body that is wider is furniture
_FILE = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
_BODY_FIELDS, _JOINT_FIELDS = 10, 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Body:
    """One body of Kinect: the frames it was seen in, its joints there, and how much they move."""

    frames: NDArray[np.int64]  # (t,), rising
    poses: Poses  # (t, V, C)
    motion: float

    @property
    def first(self) -> int:
        return int(self.frames[0])

    @property
    def last(self) -> int:
        return int(self.frames[-1])


def named(name: str) -> tuple[str | None, int | None, int | None]:
    """Label, subject and camera that an NTU name like S001C002P003R002A013 says; None where it says none.

    >>> named("S001C002P003R002A013.skeleton")
    ('A013 tear up paper', 3, 2)
    """
    match = _FILE.search(name)
    if match is None:
        return None, None, None
    action = int(match[5])
    classes = CLASSES or ()
    return classes[action - 1] if 1 <= action <= len(classes) else None, int(match[3]), int(match[2])


def recognizes(path: Path) -> bool:
    """True if the name ends as Kinect v2 skeleton texts do."""
    return path.suffix == ".skeleton"


def _motion(poses: Poses) -> float:
    """Variance of all joints in all frames, summed over the channels."""
    seen = poses[np.isfinite(poses).all(axis=-1)]  # (joints seen, C)
    return float(seen.var(axis=0, dtype=np.float64).sum()) if len(seen) else 0.0


def _bodies(path: Path) -> list[_Body]:
    """Every body of a file, as Kinect numbers them."""
    try:
        words = path.read_bytes().decode("ascii").split()
    except UnicodeDecodeError as cause:
        raise ReadError(f"{path}: expected the text of a .skeleton file ({cause}); copy the file again") from cause
    at = 0

    def number(what: str, least: int, most: int) -> int:
        """The next word as a whole number."""
        nonlocal at
        if at >= len(words):
            raise ReadError(f"{path}: the file is cut off where {what} should stand; copy it again")
        try:
            value = int(words[at])
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise ReadError(
                f"{path}: expected {what} from {least} to {most}, got '{words[at]:.20}' (word {at + 1}); "
                "the file is damaged or foreign"
            )
        at += 1
        return value

    frames: dict[int, list[int]] = {}
    cells: dict[int, list[str]] = {}
    size = len(NTU25) * _JOINT_FIELDS
    count = number("the number of frames", 0, 10**7)
    for frame in range(count):
        for _ in range(number(f"the number of bodies in frame {frame + 1}", 0, 100)):
            body = number(f"the id of a body in frame {frame + 1}", -(2**63), 2**64 - 1)
            at += _BODY_FIELDS - 1
            number(f"the number of joints in frame {frame + 1}", len(NTU25), len(NTU25))
            row = words[at : at + size]
            if len(row) < size:
                raise ReadError(f"{path}: the file is cut off in frame {frame + 1} of {count}; copy it again")
            at += size
            seen = frames.setdefault(body, [])
            if not seen or seen[-1] != frame:
                seen.append(frame)
                cells.setdefault(body, []).extend(
                    word for joint in range(0, size, _JOINT_FIELDS) for word in row[joint : joint + 3]
                )
    if at < len(words):
        raise ReadError(f"{path}: {len(words) - at} words follow the last of {count} frames; the file is damaged")
    found = []
    for body, seen in frames.items():
        try:
            values = np.array(cells[body], dtype=np.float64).reshape(len(seen), len(NTU25), 3)  # (t, V, C)
        except ValueError as cause:
            raise ReadError(f"{path}: a coordinate is no number ({cause}); the file is damaged") from cause
        poses = joints(values, path, zero_is_absent=True)
        found.append(_Body(frames=np.array(seen), poses=poses, motion=_motion(poses)))
    return [body for body in found if np.isfinite(body.poses).any()]


def _upright(body: _Body) -> NDArray[np.bool_]:
    """(t,), True for the frames in which a body is not wider than a person can be."""
    low, high = np.where(np.isnan(body.poses), np.inf, body.poses), np.where(np.isnan(body.poses), -np.inf, body.poses)
    extent = high.max(axis=1) - low.min(axis=1)  # (t, C), -inf in a frame without joints
    return np.asarray(extent[:, 0] <= WIDEST * extent[:, 1])


def denoise(bodies: list[_Body]) -> list[_Body]:
    """The bodies that are people, those that move most first; of several at least one stays."""
    if len(bodies) > 1:
        long = [body for body in bodies if len(body.frames) >= SHORTEST_FRAMES]
        bodies = long or [max(bodies, key=lambda body: len(body.frames))]
    people, left = [], len(bodies)
    for body in bodies:
        upright = _upright(body)
        if left > 1 and (~upright).mean() >= MOST_WIDE:
            left -= 1
            continue
        # The motion of a body that is furniture now and then is that of its good frames.
        calm = left > 1 and not upright.all()
        people.append(replace(body, motion=min(body.motion, _motion(body.poses[upright]))) if calm else body)
    return sorted(people, key=lambda body: body.motion, reverse=True)


def _seats(bodies: list[_Body]) -> list[list[_Body]]:
    """Assign bodies to seats: at most two persons, each one or more bodies that do not overlap in time."""
    seats: list[list[_Body]] = [[], []]
    for body in bodies:
        for seat in seats:
            start, end = min((b.first for b in seat), default=0), max((b.last for b in seat), default=-1)
            if not seat or body.first > end or body.last < start:
                seat.append(body)
                break
    return [seat for seat in seats if seat]


def read(path: Path) -> Iterator[Recording]:
    """The one clip of a file, with one or two persons.

    Yields:
        Poses (M, T, 25, 3) in layout ntu25, M 1 or 2, at the times of the file's frames.

    Raises:
        ReadError: If the file is damaged, cut off, foreign or holds no body at all.
    """
    bodies = _bodies(path)
    if not bodies:
        raise ReadError(f"{path}: the file holds no body at all; leave it out")
    seats = _seats(denoise(bodies))
    first = min(body.first for seat in seats for body in seat)
    last = max(body.last for seat in seats for body in seat)
    poses = np.full((len(seats), last - first + 1, len(NTU25), 3), np.nan, dtype=np.float32)  # (M, T, V, C)
    for person, seat in enumerate(seats):
        for body in seat:
            poses[person, body.frames - first] = body.poses
    label, subject, camera = named(path.name)
    yield Recording(
        poses=poses,
        times_s=np.arange(first, last + 1, dtype=np.float64) / FPS,
        layout=NTU25.name,
        label=label,
        subject=subject,
        camera=camera,
        source=path.name,
    )
