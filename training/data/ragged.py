"""Recordings end to end in one tensor, where the model trains: what the clips of a batch are gathered from.

Nothing is padded: of every person there are the rows from the first frame that shows them to the last. What is small
and decides shapes stays on the host, so that making a batch never waits for the device.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amr_edge.skeleton import Mask, Poses, present_joints

LOST = 32767  # further away than any gap that is joined: the joint is not seen again on this side
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """N recordings with P persons in all, R rows and F frames. A person's frame f is the row `row[p] + f`.

    Attributes:
        rows: (R, V, C) float32 on the device, 0 where absent.
        behind: (R, V) int16, frames back to the last one that saw the joint, 0 if this one did; None if every joint
            is in every row.
        ahead: (R, V) int16, the same forwards.
        times_s: (F,) float64 on the device.
        clock_s: (F,) float64, the same on the host.
        frames: (N + 1,) where the frames of each recording begin.
        people: (N + 1,) where the persons of each recording begin.
        first: (P,) the first frame that shows a person.
        last: (P,) the last one.
        row: (P,) the row of a person's frame 0, below 0 where they come late.
        whole: (P,) no joint is missing from the first frame to the last.
        shown: (R,) a joint was seen.
        pause_s: (N,) the longest time from one frame to the next.
    """

    rows: Tensor
    behind: Tensor | None
    ahead: Tensor | None
    times_s: Tensor
    clock_s: NDArray[np.float64]
    frames: Ints
    people: Ints
    first: Ints
    last: Ints
    row: Ints
    whole: Mask
    shown: Mask
    pause_s: NDArray[np.float64]

    @property
    def lengths(self) -> Ints:
        """(N,) frames of each recording."""
        return np.diff(self.frames)


def _distances(seen: Mask) -> NDArray[np.int16]:
    """(T, V) frames back to the last one that saw each joint."""
    index = np.arange(len(seen))[:, None]
    last = np.maximum.accumulate(np.where(seen, index, -LOST), axis=0)
    return np.minimum(index - last, LOST).astype(np.int16)


def gather(
    recordings: Iterable[tuple[Poses, NDArray[np.float64]]], rows: int, joints: int, channels: int, device: torch.device
) -> Ragged:
    """Lay recordings end to end.

    Args:
        recordings: Poses (M, T, V, C) of one layout and unit, absent joints NaN, and their (T,) times.
        rows: At least as many as their persons have frames; memory that is not filled is not taken.
        joints: V.
        channels: C.
        device: Where the rows shall lie.

    Returns:
        All of them; persons who are never seen take no room.
    """
    values = np.empty((max(rows, 1), joints, channels), dtype=np.float32)
    behind = np.zeros((max(rows, 1), joints), dtype=np.int16)
    ahead = np.zeros((max(rows, 1), joints), dtype=np.int16)
    shown = np.zeros(max(rows, 1), dtype=np.bool_)
    frames, people = [0], [0]
    first, last, row, whole, clock_s, pause_s = [], [], [], [], [], []
    filled = 0
    for poses, times_s in recordings:
        for person, seen in zip(poses, present_joints(poses), strict=True):  # (T, V, C) and (T, V)
            anything = seen.any(axis=1)  # (T,)
            if not anything.any():
                continue
            begin, end = int(anything.argmax()), len(anything) - int(anything[::-1].argmax())
            here = slice(filled, filled + end - begin)
            rows_seen = seen[begin:end]
            complete = bool(rows_seen.all())
            values[here] = person[begin:end] if complete else np.where(rows_seen[..., None], person[begin:end], 0)
            if not complete:
                behind[here] = _distances(rows_seen)
                ahead[here] = _distances(rows_seen[::-1])[::-1]
            shown[here] = anything[begin:end]
            first.append(begin)
            last.append(end - 1)
            row.append(filled - begin)
            whole.append(complete)
            filled = here.stop
        clock_s.append(times_s)
        frames.append(frames[-1] + len(times_s))
        people.append(len(first))
        pause_s.append(float(np.diff(times_s).max(initial=0.0)))
    size = max(filled, 1)
    values[filled:size] = 0  # one empty row, so that there is something to index
    complete = all(whole)
    clock = np.concatenate([*clock_s, np.zeros(1)])
    return Ragged(
        rows=torch.from_numpy(values[:size]).to(device),
        behind=None if complete else torch.from_numpy(behind[:size]).to(device),
        ahead=None if complete else torch.from_numpy(ahead[:size]).to(device),
        times_s=torch.from_numpy(clock).to(device),
        clock_s=clock,
        frames=np.array(frames),
        people=np.array(people),
        first=np.array(first, dtype=np.int64),
        last=np.array(last, dtype=np.int64),
        row=np.array(row, dtype=np.int64),
        whole=np.array(whole, dtype=np.bool_),
        shown=shown[:size],
        pause_s=np.array(pause_s),
    )
