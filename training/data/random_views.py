"""Random views of the training recordings, made in batches where the model trains.

A view is a random cut of a recording, resampled and prepared as the model's card says, turned, and so on. The
recordings lie on the device from end to end, so a batch costs a few gathers and products there; those that do not fit
are read from the memory-mapped store batch by batch, with the same views.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amr_edge.data.store import Store
from amr_edge.errors import ClipError, ConfigError, DataError
from amr_edge.preprocess import FLAT, Normalization, PrepareConfig
from amr_edge.skeleton import Mask, Poses, layout, remap
from amr_edge.training.config import AugmentConfig
from amr_edge.training.data.augment import Draw, draw, noise, seeds_of
from amr_edge.training.data.batch import Batch
from amr_edge.training.data.preprocess_torch import Bodies, Spans, prepare, send, spans_of
from amr_edge.training.data.ragged import Ints, Ragged, gather
from amr_edge.training.data.torch_backend import TORCH

SHORTEST_CUT = 8  # frames; fewer do not show what is done
SHARE = 0.5  # of the device's free memory that recordings may take


def free_bytes(device: torch.device) -> int:
    """Free memory of the device; a terabyte where it is unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 1 << 40


class Views:
    """Training views of the recordings of a store.

    Args:
        store: The recordings.
        which: (N,) bool, which of them.
        config: The model's preprocessing.
        persons: M; of more persons those who move most are taken, as a stream takes them.
        augment: What may change from view to view.
        device: Where the model trains.
        memory: Bytes of the device that the recordings may take; more are read from the store batch by batch. None
            allows half of what is free.

    Raises:
        DataError: If no recording is chosen.
        ConfigError: If the recordings are in pixels and the preprocessing does not scale them.
        ClipError: If the recordings are in pixels and the preprocessing needs depth.
    """

    def __init__(
        self,
        store: Store,
        which: Mask,
        config: PrepareConfig,
        persons: int,
        augment: AugmentConfig,
        device: torch.device,
        *,
        memory: int | None = None,
    ) -> None:
        self._which = np.flatnonzero(which)
        if not len(self._which):
            raise DataError("there is no recording in this part of the split; choose another split")
        if store.units == "px" and config.bones == "unit":
            raise ClipError(FLAT)
        if store.units == "px" and config.scale == "none":
            raise ConfigError("recordings in pixels need prepare.scale=torso or spread")
        self.labels = np.asarray(store.labels, dtype=np.int64)[self._which]
        self.persons, self.augment, self.device = persons, augment, device
        self._store, self._normalization = store, Normalization(config, TORCH)
        self._channels = store[int(self._which[0])].poses.shape[3]
        memory = int(free_bytes(device) * SHARE) if memory is None else memory
        rows = int((store.lengths * store.persons)[self._which].sum())  # at most
        # Of a joint its coordinates, and two int16 that tell where it was seen.
        need = rows * len(self._normalization.layout) * (4 * self._channels + 4)
        self._resident = self._held(self._which) if need <= memory else None

    def __len__(self) -> int:
        return len(self._which)

    @property
    def resident(self) -> bool:
        """True if the recordings lie on the device, or are read batch by batch."""
        return self._resident is not None

    def _read(self, which: Ints) -> Iterator[tuple[Poses, NDArray[np.float64]]]:
        source, target = layout(self._store.layout), self._normalization.layout
        for i in which:
            recording = self._store[int(i)]
            yield remap(recording.poses, source, target).poses, recording.times_s

    def _held(self, which: Ints) -> Ragged:
        rows = int((self._store.lengths * self._store.persons)[which].sum())
        return gather(self._read(which), rows, len(self._normalization.layout), self._channels, self.device)

    def _at_hand(self, indices: Ints) -> tuple[Ragged, Ints]:
        """Recordings on the device, and which of those were requested."""
        if self._resident is not None:
            return self._resident, indices
        return self._held(self._which[indices]), np.arange(len(indices))

    def at(self, indices: Ints, start_s: NDArray[np.float64], end_s: NDArray[np.float64]) -> Batch:
        """The clips between given instants, unchanged.

        Args:
            indices: (N,) recordings.
            start_s: (N,) first instants.
            end_s: (N,) last instants, none before the first.
        """
        held, local = self._at_hand(indices)
        spans = spans_of(held, local, start_s, end_s)
        return self._batch(prepare(held, spans, self._normalization, self.persons), len(local))

    def batch(self, indices: Ints, rng: np.random.Generator) -> Batch:
        """A random view of each recording.

        A view depends on the state of `rng` and on the recording alone: a batch that is split into parts, each made
        with `rng` in the same state, has the views of the whole.

        Args:
            indices: (N,) recordings.
            rng: Randomness; one number is drawn from it.

        Returns:
            The bodies that are really in the clips, on the device.
        """
        drawn = draw(seeds_of(int(rng.integers(2**63)), indices), self.augment, len(self._normalization.layout))
        held, local = self._at_hand(indices)
        spans, change = self._cuts(held, local, drawn), send(drawn.change, self.device)
        mirrored = send(drawn.mirrored, self.device) if self.augment.mirror else None
        bodies = prepare(held, spans, self._normalization, self.persons, change, mirrored)
        return self._batch(bodies, len(local), drawn)

    def _cuts(self, held: Ragged, which: Ints, drawn: Draw) -> Spans:
        """A cut of each recording, from one of its frames to another; of at least `SHORTEST_CUT` if it has them."""
        frames = held.lengths[which]  # (N,)
        shortest = self.augment.crop
        length = (frames * (shortest + (1 - shortest) * drawn.length)).astype(np.int64)
        length = np.minimum(frames, np.maximum(length, SHORTEST_CUT))
        first = (drawn.start * (frames - length + 1)).astype(np.int64)
        last = first + length - 1
        begin = held.frames[which]
        start_s, end_s = held.clock_s[begin + first], held.clock_s[begin + np.maximum(last, 0)]
        return Spans(which=which, start_s=start_s, end_s=end_s, first=first, last=last)

    def _batch(self, bodies: Bodies, clips: int, drawn: Draw | None = None) -> Batch:
        values, present = bodies.values, bodies.present
        if drawn is not None and self.augment.noise_m:
            # Persons of a clip have numbers of their own.
            seeds = drawn.seeds[bodies.clip] + bodies.slot.astype(np.uint64) * np.uint64(1 << 32)
            made = noise(send(seeds.view(np.int64), self.device), tuple(values.shape[1:]))
            values = values + self.augment.noise_m * made
        if drawn is not None and self.augment.drop_joints:
            kept = send(drawn.kept[bodies.clip], self.device)  # (B, V)
            less = present & kept[:, None]
            # A body that would lose all it shows keeps it.
            present = torch.where(less.flatten(1).any(dim=1)[:, None, None], less, present)
        clip_of = send(bodies.clip, self.device)
        return Batch(body=values * present[..., None], present=present, clip_of=clip_of, clips=clips)
