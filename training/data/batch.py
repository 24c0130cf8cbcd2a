"""From prepared clips to tensors: what a training step and an evaluation take in."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from amr_edge.data.store import Store
from amr_edge.errors import DataError
from amr_edge.preprocess import Clip, PrepareConfig
from amr_edge.skeleton import Mask


@dataclass(frozen=True, slots=True)
class Batch:
    """The B bodies that are really in N clips, and which clip each is in."""

    body: Tensor  # (B, T, V, 3)
    present: Tensor  # (B, T, V) bool
    clip_of: Tensor  # (B,) int64
    clips: int  # N


def to_batch(clips: Clip, device: torch.device) -> Batch:
    """Drop the persons who are not there: values (N, M, T, V, 3) and presence (N, M, T, V) become bodies."""
    persons = clips.present.shape[1]
    values = torch.from_numpy(clips.values).flatten(0, 1)  # (N * M, T, V, 3)
    present = torch.from_numpy(clips.present).flatten(0, 1)  # (N * M, T, V)
    bodies = torch.nonzero(present.flatten(1).any(dim=1)).squeeze(1)  # (B,)
    return Batch(
        body=values[bodies].to(device, non_blocking=True),
        present=present[bodies].to(device, non_blocking=True),
        clip_of=(bodies // persons).to(device, non_blocking=True),
        clips=len(clips.values),
    )


def fit_to_data(config: PrepareConfig, store: Store, which: Mask) -> PrepareConfig:
    """The recipe's preprocessing with the data's layout, scale, view and window.

    A live window lasts as long as the median training clip, because training stretches clips to T frames. Pixels
    are scaled by the spread of the joints and not turned, whatever the recipe says: a torso that points to the camera
    has no length in them, and a turn about the vertical is not seen (docs/objectives.md has what that is worth).
    """
    flat = store.units == "px"
    lengths_s = (store.lengths[which] - 1) / store.fps_each[which]
    lengths_s = lengths_s[np.isfinite(lengths_s) & (lengths_s > 0)]
    if not lengths_s.size:
        raise DataError("no recording in the training part has two frames or more; check the data and convert it again")
    return replace(
        config,
        layout=store.layout,
        window_s=round(float(np.median(lengths_s)), 2),
        scale="spread" if flat else config.scale,
        view="camera" if flat else config.view,
    )
