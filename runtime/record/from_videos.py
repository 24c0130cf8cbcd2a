"""Folders of videos, named by action, as a data set: through the estimator that `live` uses, one file at a time.

What a file gave is kept beside the store, so that nothing is looked at twice: an interrupted run goes on, and a run
over more videos looks at the new ones only. A file counts as the same by its name, size and time of change.
"""

import hashlib
import json
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from amr_edge import __version__
from amr_edge.data import readers
from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, open_store, write_store
from amr_edge.errors import ClipError, ConfigError, ReadError
from amr_edge.runtime.record.visibility import (
    RecordingBuilder,
    Visibility,
    Who,
    movement,
    visibility_facts,
    visibility_of,
)
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.open_source import VIDEOS, SourceConfig, open_source
from amr_edge.runtime.sources.recorded import SourceRun
from amr_edge.runtime.sources.video import VideoFile
from amr_edge.runtime.stage_timer import Stages

TERMS = "those of the person who filmed it"
FOLDER = ".made"  # in the place of .npz


class Clip(NamedTuple):
    """A file to look at."""

    path: Path
    name: str  # from the root on, with slashes
    label: str | None  # of its folder; None: the file says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """Clips in a folder.

    Attributes:
        files: To look at, sorted.
        videos: Whether they are videos; recorded skeletons if not.
        others: Files that are neither.
    """

    files: tuple[Clip, ...]
    videos: bool
    others: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeConfig:
    """Settings of reading videos.

    Attributes:
        source: The estimator, how many people it looks for, and the format of recorded skeletons.
        who: Whom to keep, the person who moves most or all.
    """

    source: SourceConfig
    who: Who = "most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of one file.

    Attributes:
        clip: The file.
        seen: What was seen in each of its recordings, by the recording's name; empty if it cannot be read.
        again: Whether it had been looked at in an earlier run.
        failed: Pictures on which the estimator failed.
        fault: Why it cannot be read, "" if it can.
    """

    clip: Clip
    seen: Mapping[str, Visibility] = field(default_factory=dict)
    again: bool = False
    failed: int = 0
    fault: str = ""

    @property
    def state(self) -> str:
        """In a word."""
        if self.fault:
            return "unreadable"
        return "seen" if any(seen.with_person for seen in self.seen.values()) else "no person"

    def rows(self) -> list[dict[str, Any]]:
        """One for each recording, for a table."""
        head = {"file": self.clip.name, "label": self.clip.label, "state": self.state, "failed": self.failed}
        if not self.seen:
            return [{**head, "fault": self.fault}]
        return [
            {
                **head,
                "file": name,
                "state": "seen" if seen.with_person else "no person",
                **{key: value for key, value in visibility_facts(seen).items() if key != "seldom"},
                "seldom": " ".join(seen.seldom),
                "fault": "",
            }
            for name, seen in self.seen.items()
        ]


COLUMNS = (
    "file", "label", "state", "frames", "with_person", "share", "joints", "people", "kept", "seconds", "seldom",
    "failed", "fault",
)  # fmt: skip


def clips_in(root: Path, format: str) -> Clips:  # noqa: A002 - the option's own word
    """The videos below a folder, or the recorded skeletons if there is no video; the first folder below is the label.

    Raises:
        ReadError: If there is neither, there are both, or a video lies in no folder.
        ConfigError: If there is no such format.
    """
    if not root.is_dir():
        raise ReadError(f"{root}: expected a folder with a folder for each action, there is none; check the path")
    found = sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    videos = [path for path in found if path.suffix.lower() in VIDEOS]
    known, others = _recordings(root, format, found)
    if videos and known:
        raise ReadError(
            f"{root}: holds {len(videos)} videos and {len(known)} recorded skeletons; name a folder of one kind"
        )
    if not videos and not known:
        raise ReadError(f"{root}: expected videos or recorded skeletons, found none among {len(found)} files")
    clips = tuple(_clip(root, path) for path in videos or known)
    bare = [clip for clip in clips if clip.label is None]
    if videos and bare:
        raise ReadError(
            f"{root}: {len(bare)} videos lie in no folder, such as {bare[0].name}; put each into a folder that is "
            "named by its action"
        )
    return Clips(files=clips, videos=bool(videos), others=tuple(path for path in others if path not in set(videos)))


def _recordings(root: Path, format: str, found: Sequence[Path]) -> tuple[list[Path], list[Path]]:  # noqa: A002
    """Files of the one format there is, and all others."""
    known = [path for path in found if readers.recognize(path) is not None]
    if not known and format == "auto":
        return [], list(found)
    recordings = readers.find(root, format)
    return list(recordings.files), list(recordings.others)


def _clip(root: Path, path: Path) -> Clip:
    below = path.relative_to(root)
    return Clip(path, below.as_posix(), below.parts[0] if len(below.parts) > 1 else None)


class Maker:
    """Looks at files and keeps what each gave.

    Attributes:
        outcomes: What became of the files so far, in their order.
    """

    def __init__(
        self, clips: Clips, config: MakeConfig, out: Path, *, stages: Stages, environ: Mapping[str, str]
    ) -> None:
        """A maker.

        Args:
            clips: The files.
            config: How they are looked at.
            out: The store to make; what each file gave is kept in a folder beside it.
            stages: Times capture and pose.
            environ: Where the pose models are kept stands here.
        """
        self._clips = clips
        self._config = config
        self._out = out
        self._stages = stages
        self._environ = environ
        self.folder = out.with_suffix(FOLDER)
        self.outcomes: list[Outcome] = []

    def steps(self) -> int:
        """Number of steps of `look`: one for each picture, or for each file of skeletons, that is new."""
        return sum(self._length(clip) for clip in self._clips.files if self._cached(clip) is None)

    def look(self) -> Iterator[None]:
        """Read every file; one item for each step, for progress.

        A file that cannot be read is an outcome; nothing else is caught.
        """
        self.outcomes.clear()
        self.folder.mkdir(exist_ok=True)
        for clip in self._clips.files:
            before = self._cached(clip)
            if before is not None:
                self.outcomes.append(before)
                continue
            try:
                outcome = yield from self._from_video(clip) if self._clips.videos else self._from_recordings(clip)
            except (ReadError, ClipError) as refusal:
                outcome = Outcome(clip=clip, fault=str(refusal))
            self.outcomes.append(outcome)

    def write(self, subjects: Mapping[str, int]) -> Store:
        """Put what the readable files gave into the store; recordings without a person are left out.

        Args:
            subjects: Who is in a file, by its name.

        Raises:
            ReadError: If no person was seen in any.
            ClipError: If layouts or units mix.
        """
        good = [outcome for outcome in self.outcomes if outcome.state == "seen"]
        if not good:
            raise ReadError(
                f"{self._out}: no person was seen in any of {len(self.outcomes)} files, nothing was written; look at "
                "one with amr-edge live MODEL --source FILE --save look.mp4"
            )

        def recordings() -> Iterator[Recording]:
            for outcome in good:
                for recording in open_store(self._cache_path(outcome.clip).with_suffix(".npz")):
                    if recording.present.any():
                        subject = subjects.get(outcome.clip.name, recording.subject)
                        yield replace(recording, subject=subject)

        return write_store(self._out, recordings(), dataset=f"made of {self._out.stem}", terms=TERMS)

    def _length(self, clip: Clip) -> int:
        if not self._clips.videos:
            return 1
        try:
            with VideoFile(clip.path) as video:
                return video.length or 1
        except ReadError:  # it is reported when its turn comes
            return 1

    def _cache_path(self, clip: Clip) -> Path:
        """Cache path of a file's poses; other settings, another path."""
        stat = clip.path.stat()
        source = self._config.source
        word = source.pose if isinstance(source.pose, str) else source.pose.title
        pose = Path(word.partition(":")[2].partition("+")[0] or word)
        model = [pose.stat().st_size, pose.stat().st_mtime_ns] if pose.is_file() else []
        settings = [word, model, source.people] if self._clips.videos else [source.format]  # what changes the answer
        stored = [__version__, clip.name, stat.st_size, stat.st_mtime_ns, self._config.who, *settings]
        return self.folder / hashlib.sha256(json.dumps(stored).encode()).hexdigest()[:24]

    def _cached(self, clip: Clip) -> Outcome | None:
        """Cached outcome of an earlier run; None if there is none."""
        place = self._cache_path(clip)
        try:
            stored = json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))
            seen = {
                name: Visibility(**{**each, "seldom": tuple(each["seldom"]), "joints": _number(each["joints"])})
                for name, each in stored["seen"].items()
            }
            if any(each.with_person for each in seen.values()):
                open_store(place.with_suffix(".npz"))
        except (OSError, ReadError, ValueError, KeyError, TypeError):
            return None  # nothing, or not whole: it is looked at again
        return Outcome(clip=clip, seen=seen, again=True, failed=int(stored["failed"]))

    def _keep(self, clip: Clip, recordings: Sequence[Recording], outcome: Outcome) -> Outcome:
        """Put a file's recordings on disk, and last what says that they are there."""
        place = self._cache_path(clip)
        if outcome.state == "seen":
            write_store(place.with_suffix(".npz"), recordings, dataset="made", terms=TERMS)
        stored = {
            "file": clip.name,
            "failed": outcome.failed,
            "seen": {
                name: {key: getattr(seen, key) for key in Visibility.__dataclass_fields__}
                for name, seen in outcome.seen.items()
            },
        }
        unfinished = place.with_suffix(f".{os.getpid()}.part")
        try:
            unfinished.write_text(json.dumps(stored).replace("NaN", "null"), encoding="utf-8")
            unfinished.replace(place.with_suffix(".json"))
        finally:
            unfinished.unlink(missing_ok=True)
        return outcome

    def _from_video(self, clip: Clip) -> Generator[None, None, Outcome]:
        """A video, through the source and the estimator of `live`."""
        statuses: list[Status] = []
        health = Health(statuses.append)
        seen: dict[str, Visibility] = {}
        recordings: list[Recording] = []
        with open_source(
            str(clip.path),
            self._config.source,
            stages=self._stages,
            note=_silent,
            skipped=_silent,
            environ=self._environ,
            health=health,
        ) as takes:
            for take in takes:
                if not isinstance(take, SourceRun):  # cameras go together, files do not
                    raise ReadError(f"{clip.name}: expected a video, got cameras; check the file")
                builder = RecordingBuilder(take.layout, take.units)
                for frame in take:
                    builder.add(frame)
                    yield
                recording, what = builder.finish(who=self._config.who, label=clip.label, subject=None, source=clip.name)
                recordings.append(recording)
                seen[clip.name] = what
        cut = [status.sentence for status in statuses if status.state == "truncated"]
        if cut:
            raise ReadError(cut[0].partition("; what it holds")[0])
        return self._keep(clip, recordings, Outcome(clip=clip, seen=seen, failed=health.losses.get("failed", 0)))

    def _from_recordings(self, clip: Clip) -> Generator[None, None, Outcome]:
        """Recorded skeletons, by the reader that knows them."""
        seen: dict[str, Visibility] = {}
        recordings: list[Recording] = []
        for recording in readers.read(clip.path, self._config.source.format):
            key = recording.source.partition("#")[2]
            name = f"{clip.name}#{key}" if key else clip.name
            poses = recording.poses
            if self._config.who == "most" and len(poses) > 1:
                best = int(np.argmax([movement(each) for each in poses]))
                poses = poses[best : best + 1]
            kept = replace(recording, poses=poses, label=clip.label or recording.label, source=name)
            recordings.append(kept)
            everybody = int(recording.present.any(axis=(1, 2)).sum())
            seen[name] = visibility_of(kept, people=everybody)
        yield
        return self._keep(clip, recordings, Outcome(clip=clip, seen=seen))


def subjects_in(clips: Sequence[Clip], pattern: str | None) -> dict[str, int]:
    """Subject of each file, by a pattern of its name: its first group, or the whole match.

    Numbers stay what they are; if any is none, all are numbered from 0 in the order of the alphabet.

    Raises:
        ConfigError: If the pattern is none, or fits no name.

    >>> subjects_in([Clip(Path(), "wave/anna-1.mp4", "wave"), Clip(Path(), "wave/zoe-1.mp4", "wave")], "/([a-z]+)-")
    {'wave/anna-1.mp4': 0, 'wave/zoe-1.mp4': 1}
    """
    if pattern is None:
        return {}
    try:
        fits = {clip.name: re.search(pattern, clip.name) for clip in clips}
    except re.error as cause:
        raise ConfigError(
            f"--subject '{pattern}' is no regular expression ({cause}); try one such as 'P(\\d+)'"
        ) from cause
    words = {name: fit[1] if fit.re.groups else fit[0] for name, fit in fits.items() if fit is not None}
    if not words:
        raise ConfigError(f"--subject '{pattern}' fits no file, such as {clips[0].name}; try one such as 'P(\\d+)'")
    if all(word.isdecimal() for word in words.values()):
        return {name: int(word) for name, word in words.items()}
    numbers = {word: number for number, word in enumerate(sorted(set(words.values())))}
    return {name: numbers[word] for name, word in words.items()}


def _silent(_: str) -> None:
    """One file of many goes into the report."""


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
