"""Label subsets for semi-supervised protocols: a share of every class, drawn once and stored clip by clip."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, DataError, ReadError
from amr_edge.skeleton import Mask

SCHEMA = 1
FILE = "labels.json"  # in a run's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The labelled clips that may be learned from.

    Attributes:
        data_hash: Content hash of the store they lie in.
        split: Of whose training part they are.
        share: Of every class's clips, in (0, 1].
        seed: They were drawn with.
        positions: Where in the store they stand, rising.
        names: What the recordings are called.
        labels: What is done in them.
    """

    data_hash: str
    split: str
    share: float
    seed: int
    positions: tuple[int, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of the data and of the clips: equal for equal subsets, however they were come by."""
        content = json.dumps([self.data_hash, list(self.positions), list(self.names), list(self.labels)])
        return hashlib.sha256(content.encode()).hexdigest()

    def mask(self, clips: int) -> Mask:
        """(clips,) bool, True for those of the subset."""
        chosen = np.zeros(clips, dtype=np.bool_)
        chosen[list(self.positions)] = True
        return chosen

    def sentence(self) -> str:
        """One line for a person."""
        return (
            f"{len(self.positions)} labelled clips of {len(set(self.labels))} classes ({self.share:g} of each, "
            f"subset {self.sha256[:12]})"
        )

    def to_dict(self) -> dict[str, object]:
        """Description for reports."""
        return {
            "share": self.share,
            "seed": self.seed,
            "clips": len(self.positions),
            "sha256": self.sha256,
        }


def draw(store: Store, train: Mask, split: str, share: float, seed: int) -> Subset:
    """A share of every class of the training part, at least one clip of each.

    The draw depends on the data's content, the split, the share and the seed alone, so every method and every process
    gets the same clips.

    Args:
        store: The recordings.
        train: (N,) bool, the training part.
        split: What it is called.
        share: In (0, 1].
        seed: Of the draw.

    Raises:
        ConfigError: If the share is none.
        DataError: If no clip of the part has a label.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"--labels expects a share of the labels in (0, 1] or a file of clips, got {share:g}")
    key = hashlib.sha256(f"{store.content_hash} {split} {share!r} {seed}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(key, dtype=np.uint32))
    chosen: list[int] = []
    for label in range(len(store.classes)):
        clips = np.flatnonzero(train & (store.labels == label))
        count = max(round(share * len(clips)), 1)
        chosen += [int(i) for i in rng.permutation(clips)[:count]]
    if not chosen:
        raise DataError(
            f"{store.path}: no recording of the training part has a label; --labels needs some to draw from"
        )
    return _of(store, sorted(chosen), split, share, seed)


def _of(store: Store, positions: list[int], split: str, share: float, seed: int) -> Subset:
    return Subset(
        data_hash=store.content_hash,
        split=split,
        share=share,
        seed=seed,
        positions=tuple(positions),
        names=tuple(store.names[i] for i in positions),
        labels=tuple(store.classes[int(store.labels[i])] for i in positions),
    )


def save_subset(subset: Subset, path: Path) -> Path:
    """Write a subset as JSON, one line a clip, so that a person can read it and `--labels FILE` can take it."""
    head = {"amr_edge": "label subset", "schema": SCHEMA, **asdict(subset), "sha256": subset.sha256}
    clips = zip(head.pop("positions"), head.pop("names"), head.pop("labels"), strict=True)
    lines = ",\n".join(f"    {json.dumps(list(clip))}" for clip in clips)
    text = json.dumps(head, indent=2).removesuffix("\n}")
    path.write_text(f'{text},\n  "clips": [\n{lines}\n  ]\n}}\n', encoding="utf-8")
    return path


def load_subset(path: Path, store: Store, train: Mask, split: str) -> Subset:
    """The subset in a file, held against the data that it is to be used on.

    Args:
        path: What `save_subset` wrote, as `labels.json` in a run.
        store: The recordings.
        train: (N,) bool, the training part, which it must lie in.
        split: What that is called.

    Raises:
        ReadError: If it is no such file.
        DataError: If it is of other data or another split, or its clips are not those of the store.
    """
    again = "draw another with --labels SHARE"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["amr_edge"] == "label subset" and content["schema"] == SCHEMA
        clips = [(int(i), str(name), str(label)) for i, name, label in content["clips"]]
        subset = Subset(
            data_hash=str(content["data_hash"]),
            split=str(content["split"]),
            share=float(content["share"]),
            seed=int(content["seed"]),
            positions=tuple(i for i, _, _ in clips),
            names=tuple(name for _, name, _ in clips),
            labels=tuple(label for _, _, label in clips),
        )
    except FileNotFoundError as cause:
        raise ReadError(
            f"--labels {path}: is no share of the labels such as 0.1, and there is no such file; {again}"
        ) from cause
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise ReadError(f"--labels {path}: is not a subset that amr-edge wrote ({cause}); {again}") from cause
    if not known:
        raise ReadError(f"--labels {path}: is not a subset of schema {SCHEMA} that amr-edge wrote; {again}")
    if subset.data_hash != store.content_hash:
        raise DataError(f"--labels {path}: was drawn from other data than {store.path}; give its data, or {again}")
    if subset.split != split:
        raise DataError(
            f"--labels {path}: was drawn from split '{subset.split}', not '{split}'; use it there, or {again}"
        )
    inside = all(0 <= i < len(store) and train[i] and store.labels[i] >= 0 for i in subset.positions)
    if (
        not subset.positions
        or not inside
        or subset != _of(store, sorted(set(subset.positions)), split, subset.share, subset.seed)
    ):
        raise DataError(
            f"--labels {path}: its clips are not labelled clips of the training part of {store.path}; it was changed "
            f"by hand, or --validate took some of them away; {again}"
        )
    return subset


def resolve_subset(requested: str, store: Store, train: Mask, split: str, seed: int) -> Subset:
    """The subset that `--labels` means: a share to draw, or a file to load."""
    try:
        share = float(requested)
    except ValueError:
        return load_subset(Path(requested), store, train, split)
    return draw(store, train, split, share, seed)


def require_all_classes(store: Store, train: Mask, split: str) -> None:
    """Refuse a training part that lacks a class which other recordings show: it could not be learned.

    Raises:
        ConfigError: If there is such a class.
    """
    trained_labels = np.unique(store.labels[train])
    shown = np.unique(store.labels[store.labels >= 0])
    missing = [store.classes[int(label)] for label in np.setdiff1d(shown, trained_labels)]
    if missing:
        raise ConfigError(
            f"--split {split}: no clip of the training part shows {', '.join(missing)}, which {store.path} has; choose "
            "a split that teaches every class (random does), validate on fewer subjects, or convert the data without it"
        )
