"""Model inputs from the recordings of a store, whole or in part, in NumPy.

Evaluation in training and of an exported file both read them.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from amr_edge.data.recording import Recording
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, DataError
from amr_edge.preprocess import Clip, PrepareConfig, prepare_scene
from amr_edge.skeleton import Layout, Mask, layout, remap


class Clips:
    """Recordings of a store, prepared on demand.

    Args:
        store: The recordings.
        which: (N,) True for the recordings to use.
        config: The model's preprocessing.
        persons: M; of more persons those who move most are used, as in live recognition.

    Raises:
        DataError: If no recording is chosen.
        ConfigError: If the recordings are in pixels and the preprocessing does not scale them.
    """

    def __init__(self, store: Store, which: Mask, config: PrepareConfig, persons: int) -> None:
        indices = np.flatnonzero(which)
        if not len(indices):
            raise DataError("there is no recording in this part of the split; choose another split")
        if store.units == "px" and config.scale == "none":
            raise ConfigError("recordings in pixels need prepare.scale=torso or spread")
        self.config = config
        self.persons = persons
        self.labels = np.asarray(store.labels, dtype=np.int64)[indices]
        self.names = [store.names[int(i)] for i in indices]
        # Read once, in the model's layout, so that a clip costs one resampling.
        source, target = layout(store.layout), layout(config.layout)
        self._recordings = [_to_layout(store[int(i)], source, target) for i in indices]

    def __len__(self) -> int:
        return len(self._recordings)

    def clip(self, index: int, span_s: tuple[float, float] | None = None) -> Clip:
        """One recording, whole or in part, with M persons (missing ones are absent)."""
        recording = self._recordings[index]
        _, clip = prepare_scene(
            recording.poses, recording.times_s, recording.skeleton, self.config, self.persons, span_s
        )
        missing = self.persons - len(clip.values)
        if not missing:
            return clip
        pad = ((0, missing), (0, 0), (0, 0))
        return Clip(np.pad(clip.values, (*pad, (0, 0))), np.pad(clip.present, pad))

    def whole(self, indices: NDArray[np.int64]) -> Clip:
        """Whole recordings, stacked: values (N, M, T, V, 3) and presence (N, M, T, V)."""
        return stack([self.clip(int(i)) for i in indices])


def _to_layout(recording: Recording, source: Layout, target: Layout) -> Recording:
    """The recording in the model's layout."""
    poses = remap(recording.poses, source, target).poses
    return replace(recording, poses=np.ascontiguousarray(poses), layout=target.name)


def stack(clips: list[Clip]) -> Clip:
    """Clips of equal shape along a new first axis."""
    return Clip(np.stack([clip.values for clip in clips]), np.stack([clip.present for clip in clips]))
