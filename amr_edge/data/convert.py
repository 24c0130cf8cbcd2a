"""Conversion of recordings into one store, with an account of what was left out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from amr_edge.data.readers import Found, Reader, find, recordings, stored
from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, open_store, write_store
from amr_edge.errors import ConfigError, ReadError
from amr_edge.terminal import progress

__all__ = ["ConversionResult", "Facts", "convert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts about a store.

    Attributes:
        recordings: Number of recordings.
        unlabelled: Recordings without a label.
        classes: Number of classes.
        subjects: Number of known subjects.
        cameras: Number of known cameras.
        frames: Frames of all recordings.
        persons: Largest number in one recording.
        layout: Layout of all recordings.
        units: "m" or "px".
        fps: Median frame rate; NaN if no recording has two frames.
        bytes: Size of the file.
        terms: Terms of use.
    """

    recordings: int
    unlabelled: int
    classes: int
    subjects: int
    cameras: int
    frames: int
    persons: int
    layout: str
    units: str
    fps: float
    bytes: int
    terms: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConversionResult:
    """A store that was written.

    Attributes:
        store: The file.
        dataset: Name of the data set.
        format: Format of the files.
        facts: Facts about the store.
        found: Clips that were found, with the files that cannot be read: all that follow add up to it.
        other_parts: Recordings that are not of the requested part.
        without_persons: Stored recordings in which no joint is seen in any frame, by their sources.
        left_out: One sentence for each file and clip that could not be read.
        other_files: Files of the folder that no reader knows.
    """

    store: Path
    dataset: str
    format: str
    facts: Facts
    found: int
    other_parts: int
    without_persons: tuple[str, ...]
    left_out: tuple[str, ...]
    other_files: tuple[Path, ...]

    def to_dict(self) -> dict[str, object]:
        """A JSON-ready dict."""
        return {
            "store": self.store,
            "dataset": self.dataset,
            "format": self.format,
            **asdict(self.facts),
            "found": self.found,
            "other_parts": self.other_parts,
            "without_persons": len(self.without_persons),
            "recordings_without_persons": list(self.without_persons),
            "left_out": list(self.left_out),
            "other_files": list(self.other_files),
        }


def facts_of(store: Store) -> Facts:
    """Facts about a store."""
    return Facts(
        recordings=len(store),
        unlabelled=int((store.labels < 0).sum()),
        classes=len(store.classes),
        subjects=len(np.unique(store.subjects[store.subjects >= 0])),
        cameras=len(np.unique(store.cameras[store.cameras >= 0])),
        frames=int(store.lengths.sum()),
        persons=int(store.persons.max(initial=0)),
        layout=store.layout,
        units=store.units,
        fps=store.fps,
        bytes=store.path.stat().st_size,
        terms=store.terms,
    )


def origin_of(found: Found) -> tuple[str, str, tuple[str, ...] | None]:
    """Data set, terms and classes: the reader's own, or those of the stores that are read."""
    if found.reader.NAME != stored.NAME:
        return found.reader.NAME, found.reader.TERMS, found.reader.CLASSES
    stores = [open_store(path) for path in found.files]
    names = tuple(dict.fromkeys(name for store in stores for name in store.classes))
    return (
        "+".join(dict.fromkeys(store.dataset for store in stores)),
        "; ".join(dict.fromkeys(store.terms for store in stores)),
        names,
    )


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    format: str = "auto",  # noqa: A002 - the option's own word
    skip_bad: bool = False,
    part: str | None = None,
    on_bad: Callable[[ReadError], None] | None = None,
    reader: Reader | None = None,
) -> ConversionResult:
    """Read recordings, a file or folder, into one store (.npz), as `amr-edge data convert` does.

    Args:
        source: A file, or a folder that is searched with all its folders.
        destination: The store to write. It appears whole or not at all.
        format: Format of the files; "auto" recognises it.
        skip_bad: Leave out what cannot be read and list it in `left_out`; otherwise `ReadError` is raised.
        part: Keep only recordings of this official part, such as "train" or "correct"; None keeps all.
        on_bad: Called once for each file and clip that cannot be read.
        reader: A reader of your own, in place of `format`.

    Raises:
        ConfigError: If the destination is no .npz in a folder that is there, or there is no such format or part.
        ReadError: If nothing can be read there, formats are mixed, or something cannot be read and is not left out.
        ClipError: If layouts or units mix.
    """
    source, destination = Path(source), Path(destination)
    if destination.suffix != ".npz":
        raise ConfigError(f"{destination}: expected a store to write that ends in .npz; choose such a name")
    if not destination.parent.is_dir():
        raise ConfigError(f"{destination}: there is no folder {destination.parent}; make it first")
    found = find(source, format, reader)
    dataset, terms, classes = origin_of(found)
    bad: list[ReadError] = []
    parts: Counter[str] = Counter()
    without_persons: list[str] = []
    count = other_parts = 0

    def refused(refusal: ReadError) -> None:
        bad.append(refusal)
        if on_bad is not None:
            on_bad(refusal)

    def selected() -> Iterator[Recording]:
        nonlocal count, other_parts
        with progress(found.files, label=f"reading {found.reader.TITLE}", length=len(found.files)) as files:
            for recording in recordings(found.reader, files, refused):
                parts.update(recording.parts)
                if part is None or part in recording.parts:
                    count += 1
                    if not recording.present.any():
                        without_persons.append(recording.source or f"recording {count}")
                    yield recording
                else:
                    other_parts += 1
        if bad and not skip_bad:
            raise ReadError(
                f"{source}: {len(bad)} of {count + other_parts + len(bad)} files or clips cannot be read, "
                "nothing was written; repair them, or leave them out with --skip-bad"
            ) from bad[0]
        if part is not None and not parts[part]:
            here = ", ".join(sorted(parts)) or "none"
            raise ConfigError(f"{source}: no recording is of the part '{part}'; the parts are {here}")
        if not count:
            raise ReadError(
                f"{source}: none of {len(found.files)} files holds a recording; check the path and the format"
            )

    store = write_store(destination, selected(), dataset=dataset, terms=terms, classes=classes, keep_unused=False)
    return ConversionResult(
        store=destination,
        dataset=dataset,
        format=found.reader.NAME,
        facts=facts_of(store),
        found=count + other_parts + len(bad),
        other_parts=other_parts,
        without_persons=tuple(without_persons),
        left_out=tuple(str(refusal) for refusal in bad),
        other_files=found.others,
    )
