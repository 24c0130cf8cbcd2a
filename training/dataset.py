"""From a store of recordings to batches of prepared clips, cut at random for training and whole for evaluation."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amr_edge.errors import ConfigError, DataError
from amr_edge.preprocess import Clip, PrepareConfig, prepare
from amr_edge.recording import Recording
from amr_edge.skeleton import Layout, layout, present_joints, remap
from amr_edge.store import Store
from amr_edge.training.augment import augment
from amr_edge.training.config import AugmentConfig

SHORTEST_CUT = 8  # frames; fewer do not show what is done


@dataclass(frozen=True, slots=True)
class Batch:
    """N clips as tensors, and the B bodies that are really in them."""

    clip: Tensor  # (N, M, T, V, 3)
    present: Tensor  # (N, M, T, V) bool
    labels: Tensor  # (N,) int64
    body: Tensor  # (B, T, V, 3)
    body_present: Tensor  # (B, T, V) bool
    clip_of: Tensor  # (B,) int64, the clip that each body is in


def fit_to_data(config: PrepareConfig, store: Store, which: NDArray[np.bool_]) -> PrepareConfig:
    """The recipe's preprocessing with the data's layout and, where the recipe leaves it open, its window.

    A live window lasts as long as the median training clip, because training stretches clips to T frames.
    """
    spans_s = [r.duration_s for r in (store[int(i)] for i in np.flatnonzero(which)) if r.duration_s > 0]
    if not spans_s:
        raise DataError("no recording in the training part has two frames or more; convert the data again and check it")
    scale = "torso" if store.units == "px" else config.scale
    return replace(config, layout=store.layout, window_s=round(float(np.median(spans_s)), 2), scale=scale)


class Clips:
    """Recordings of a store, prepared on demand.

    Args:
        store: The recordings.
        which: (N,) bool, which of them.
        config: The model's preprocessing.
        persons: M; of more persons those seen in most frames are kept.
    """

    def __init__(self, store: Store, which: NDArray[np.bool_], config: PrepareConfig, persons: int) -> None:
        indices = np.flatnonzero(which)
        if not len(indices):
            raise DataError("there is no recording in this part of the split; choose another split")
        if store.units == "px" and config.scale != "torso":
            raise ConfigError("recordings in pixels need prepare.scale=torso")
        self.config = config
        self.persons = persons
        self.labels = np.asarray(store.labels, dtype=np.int64)[indices]
        self.names = [store.names[int(i)] for i in indices]
        target = layout(config.layout)
        source = layout(store.layout)
        # Read once, in the model's layout, so that a clip costs one resampling.
        self._recordings = [self._read(store[int(i)], source, target) for i in indices]

    def _read(self, recording: Recording, source: Layout, target: Layout) -> Recording:
        """The recording in the model's layout, with the persons who are seen in most frames."""
        poses = remap(recording.poses, source, target).poses
        seen = present_joints(poses).any(axis=2).sum(axis=1)  # (M,)
        best = np.sort(np.argsort(-seen, kind="stable")[: self.persons])
        return replace(recording, poses=np.ascontiguousarray(poses[best]), layout=target.name)

    def __len__(self) -> int:
        return len(self._recordings)

    def clip(self, index: int, span_s: tuple[float, float] | None = None) -> Clip:
        """One recording, whole or in part, with M persons (those who are not there are absent)."""
        recording = self._recordings[index]
        clip = prepare(recording.poses, recording.times_s, recording.skeleton, self.config, span_s)
        missing = self.persons - len(clip.values)
        if not missing:
            return clip
        pad = ((0, missing), (0, 0), (0, 0))
        return Clip(np.pad(clip.values, (*pad, (0, 0))), np.pad(clip.present, pad))

    def cut(self, index: int, shortest: float, rng: np.random.Generator) -> tuple[float, float]:
        """A random span of at least `shortest` of a recording, from one of its frames to another."""
        times_s = self._recordings[index].times_s
        frames = len(times_s)
        length = int(frames * rng.uniform(shortest, 1))
        length = min(frames, max(length, SHORTEST_CUT))
        start = int(rng.integers(0, frames - length + 1))
        return float(times_s[start]), float(times_s[start + length - 1])

    def batch(
        self, indices: NDArray[np.int64], config: AugmentConfig | None, rng: np.random.Generator, device: torch.device
    ) -> Batch:
        """The clips at `indices`: cut and augmented if a config is given, whole otherwise."""
        made = [self.clip(int(i), self.cut(int(i), config.crop, rng) if config else None) for i in indices]
        clips = Clip(np.stack([c.values for c in made]), np.stack([c.present for c in made]))
        if config is not None:
            clips = augment(clips, config, rng)
        values, present = torch.from_numpy(clips.values), torch.from_numpy(clips.present)
        here = present.flatten(0, 1).any(dim=(1, 2))  # (N * M,)
        bodies = torch.nonzero(here).squeeze(1)  # (B,)
        return Batch(
            clip=values.to(device),
            present=present.to(device),
            labels=torch.from_numpy(self.labels[indices]).to(device),
            body=values.flatten(0, 1)[bodies].to(device),
            body_present=present.flatten(0, 1)[bodies].to(device),
            clip_of=(bodies // self.persons).to(device),
        )
