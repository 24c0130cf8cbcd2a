"""Clips of a whole batch in torch: resampling of many recordings at once, then the shared normalization.

Resampling is written twice. `amr_edge.preprocess.resample` takes one recording as it is; here, recordings of unequal
length lie end to end on the device, and every clip of a batch is resampled by the same few gathers, which no array
library could do for both. Tests hold the two to each other. Everything after it (origin, bones, scale, view, stream) is
`amr_edge.preprocess.Normalization`. Who is in a batch is settled on the host from the frames that show each person, so
that nothing waits for the device, except where only an interpolation can tell.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amr_edge.motion_energy import body_energy
from amr_edge.preprocess import Normalization, PrepareConfig, Scenes
from amr_edge.skeleton import Mask
from amr_edge.training.data.ragged import LOST, Ints, Ragged
from amr_edge.training.data.torch_backend import TORCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The stretch of its recording that each of N clips shows.

    Attributes:
        which: (N,) the recordings.
        start_s: (N,) first instants.
        end_s: (N,) last instants.
        first: (N,) the first frames at or after the start.
        last: (N,) the last frames at or before the end.
    """

    which: Ints
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    first: Ints
    last: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """B bodies of N clips, those who move most first in each clip.

    Attributes:
        values: (B, T, V, 3), anything where absent.
        present: (B, T, V) bool.
        clip: (B,) which clip, on the host.
        slot: (B,) which person of the clip, on the host.
    """

    values: Tensor
    present: Tensor
    clip: Ints
    slot: Ints


def spans_of(held: Ragged, which: Ints, start_s: NDArray[np.float64], end_s: NDArray[np.float64]) -> Spans:
    """The spans between any two instants of each recording."""
    first, last = np.zeros_like(which), np.zeros_like(which)
    for n, (i, start, end) in enumerate(zip(which, start_s, end_s, strict=True)):
        times_s = held.clock_s[held.frames[i] : held.frames[i + 1]]
        first[n] = np.searchsorted(times_s, start, side="left")
        last[n] = np.searchsorted(times_s, end, side="right") - 1
    return Spans(which=which, start_s=start_s, end_s=end_s, first=first, last=last)


def send(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """An array of the host on the device, without waiting for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _candidates(held: Ragged, spans: Spans, config: PrepareConfig) -> tuple[Ints, Ints, Mask]:
    """Persons who may be in the clips: (K,) persons, (K,) clips, and (K,) whether they are for certain."""
    begin, count = held.people[spans.which], np.diff(held.people)[spans.which]  # (N,)
    clip = np.repeat(np.arange(len(count)), count)  # (K,)
    person = np.arange(len(clip)) + np.repeat(begin - np.cumsum(count) + count, count)
    low, high = spans.first[clip], spans.last[clip]
    first, last = held.first[person], held.last[person]
    here = (first <= high) & (last >= low)
    person, clip, low, high, first, last = (a[here] for a in (person, clip, low, high, first, last))
    frames = held.frames[spans.which][clip]
    certain = np.zeros(len(person), dtype=np.bool_)
    for frame, at_s in ((low, spans.start_s[clip]), (high, spans.end_s[clip])):
        # A clip shows the pose of its first and last instant as it is, where a frame was taken then.
        inside = (first <= frame) & (frame <= last)
        taken = held.clock_s[np.where(inside, frames + frame, 0)] == at_s
        certain |= inside & taken & held.shown[np.where(inside, held.row[person] + frame, 0)]
    begin, end = np.maximum(first, low), np.minimum(last, high)
    stay_s = held.clock_s[frames + end] - held.clock_s[frames + begin]
    step_s = (spans.end_s - spans.start_s)[clip] / (config.frames - 1)
    # A body that is complete and stays longer than from one sample to the next is sampled, unless there is a gap.
    gapless = held.pause_s[spans.which][clip] <= config.max_gap_s
    certain |= held.whole[person] & gapless & (stay_s > step_s * 1.001)
    return person, clip, certain


def _resample(held: Ragged, spans: Spans, person: Ints, clip: Ints, config: PrepareConfig) -> tuple[Tensor, Tensor]:
    """K persons at the T instants of their clips, (K, T, V, C), and where they are present; see `resample` there."""
    device, T = held.rows.device, config.frames
    begin, length = held.frames[spans.which], held.lengths[spans.which]
    whole_numbers = send(np.stack([begin, length]), device)  # (2, N)
    instants = send(np.stack([spans.start_s, spans.end_s]), device)  # (2, N)
    persons = send(np.stack([clip, held.row[person], held.first[person], held.last[person]]), device)  # (4, K)
    (begin_n, length_n), (start_s, end_s) = whole_numbers[..., None], instants[..., None]  # each (N, 1)
    clip_k, row, first, last = persons[0], *persons[1:, :, None]  # (K,), then each (K, 1)
    longest = int(length.max())
    frame = torch.arange(longest, device=device)
    times_s = held.times_s[(begin_n + frame).clamp(max=len(held.times_s) - 1)]
    times_s = times_s.masked_fill(frame >= length_n, torch.inf)  # (N, longest)
    at_s = torch.arange(T, device=device, dtype=torch.float64) * ((end_s - start_s) / (T - 1)) + start_s  # (N, T)
    at_s = torch.cat([at_s[:, :-1], end_s], dim=1)
    # What a stream could look at and no more.
    earliest = torch.searchsorted(times_s, start_s - config.max_gap_s)  # (N, 1)
    latest = torch.searchsorted(times_s, end_s, right=True) - 1
    low, high = earliest.clamp(max=longest - 1), latest.clamp(min=0)
    right = torch.searchsorted(times_s, at_s).maximum(low).minimum(high)  # (N, T), first frame at or after
    left = torch.where(times_s.gather(1, right) == at_s, right, (right - 1).maximum(low))
    inside = (at_s >= times_s.gather(1, low)) & (at_s <= times_s.gather(1, high)) & (latest >= earliest)
    left_k, right_k = left[clip_k], right[clip_k]  # (K, T)
    there = inside[clip_k] & (left_k >= first) & (right_k <= last)
    left_k, right_k = torch.where(there, left_k, first), torch.where(there, right_k, first)
    if held.behind is None or held.ahead is None or bool(held.whole[person].all()):
        before_s, after_s = times_s.gather(1, left), times_s.gather(1, right)  # (N, T)
        apart_s = after_s - before_s
        weight = torch.where(apart_s > 0, (at_s - before_s) / apart_s, 0).float()[clip_k]  # (K, T)
        there = there & (apart_s <= config.max_gap_s)[clip_k]
        shape = (*there.shape, *held.rows.shape[1:])
        before = held.rows.index_select(0, (row + left_k).flatten()).reshape(shape)  # (K, T, V, C)
        after = held.rows.index_select(0, (row + right_k).flatten()).reshape(shape)
        return _between(before, after, weight[..., None, None]), there[..., None].expand(shape[:3])
    # Some joint is missing somewhere, so each is joined from its own two observed frames.
    back = held.behind[row + left_k].long()  # (K, T, V)
    on = held.ahead[row + right_k].long()
    before_f, after_f = left_k[..., None] - back, right_k[..., None] + on  # (K, T, V) frames
    there_v = there[..., None] & (back < LOST) & (on < LOST)
    there_v &= (before_f >= earliest[clip_k][..., None]) & (after_f <= latest[clip_k][..., None])
    before_f = torch.where(there_v, before_f, left_k[..., None])
    after_f = torch.where(there_v, after_f, left_k[..., None])
    origin = begin_n[clip_k][..., None]  # (K, 1, 1)
    before_s, after_s = held.times_s[origin + before_f], held.times_s[origin + after_f]
    apart_s = after_s - before_s
    there_v &= apart_s <= config.max_gap_s
    weights = torch.where(apart_s > 0, (at_s[clip_k][..., None] - before_s) / apart_s, 0).float()  # (K, T, V)
    R, V, C = held.rows.shape
    joint = torch.arange(V, device=device)
    flat = held.rows.reshape(R * V, C)
    before = flat.index_select(0, ((row[..., None] + before_f) * V + joint).flatten())
    after = flat.index_select(0, ((row[..., None] + after_f) * V + joint).flatten())
    shape = (*there_v.shape, C)
    return _between(before.reshape(shape), after.reshape(shape), weights[..., None]), there_v


def _between(before: Tensor, after: Tensor, weight: Tensor) -> Tensor:
    """Both weighed, in place, and rounded as `resample` rounds, which torch.lerp does not."""
    return before.mul_(1 - weight).add_(after.mul_(weight))


def _scene(
    values: Tensor, present: Tensor, clip: Ints, certain: Mask, clips: int, persons: int
) -> tuple[Tensor, Tensor, Ints, Ints]:
    """Of K candidates, those who are seen, at most M of a clip, who moves most first; with their clip and slot."""
    device = values.device
    seen = present.flatten(1).any(dim=1)  # (K,)
    sure = certain if certain.all() else seen.cpu().numpy()
    rivals = np.bincount(clip, minlength=clips)  # (N,) candidates
    count = np.minimum(np.bincount(clip[sure], minlength=clips), persons)  # (N,) bodies
    of = np.repeat(np.arange(clips), count)  # (B,)
    slot = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)  # (B,)
    start = np.cumsum(rivals) - rivals  # (N,)
    if rivals.max(initial=0) <= 1:
        if sure.all():
            return values, present, of, slot
        chosen = send(start[of], device)
    else:
        several = np.flatnonzero(rivals[clip] > 1)
        place = np.arange(len(clip)) - start[clip]  # (K,) within the clip
        table = torch.full((clips, int(rivals.max())), -1.0, dtype=torch.float64, device=device)
        where, at = send(several, device), send(np.stack([clip, place])[:, several], device)
        moved = body_energy(values[where], present[where], TORCH)
        table[at[0], at[1]] = torch.where(seen[where], moved, -1.0)
        order = table.argsort(dim=1, descending=True, stable=True)  # (N, most rivals)
        at = send(np.stack([of, slot, start[of]]), device)
        chosen = at[2] + order[at[0], at[1]]
    return values[chosen], present[chosen], of, slot


def prepare(
    held: Ragged,
    spans: Spans,
    normalization: Normalization,
    persons: int,
    change: Tensor | None = None,
    mirrored: Tensor | None = None,
) -> Bodies:
    """The bodies that a model sees of the spans.

    Args:
        held: The recordings, in the model's layout.
        spans: N of them.
        normalization: The model's preprocessing, with the operations of torch.
        persons: M, how many of a clip at most.
        change: (N, 3, 3) what the prepared positions of each clip are multiplied by; None leaves them.
        mirrored: (N,) bool, clips whose left and right joints change places; None leaves them.

    Returns:
        What `prepare_scene` gives for each span, end to end.
    """
    config, clips = normalization.config, len(spans.which)
    person, clip, certain = _candidates(held, spans, config)
    V = held.rows.shape[1]
    if not len(person):
        nothing = held.rows.new_zeros(0, config.frames, V, 3)
        return Bodies(values=nothing, present=nothing[..., 0].bool(), clip=clip, slot=clip)
    values, present = _resample(held, spans, person, clip, config)
    values, present, clip, slot = _scene(values, present, clip, certain, clips, persons)
    if not len(clip):
        nothing = held.rows.new_zeros(0, config.frames, V, 3)
        return Bodies(values=nothing, present=nothing[..., 0].bool(), clip=clip, slot=slot)
    table = np.full((clips, persons), -1)
    table[clip, slot] = np.arange(len(clip))
    body = send(table, values.device)  # (N, M)
    scenes = Scenes(body.clamp(min=0), body >= 0, send(clip, values.device))
    values, present = normalization(values, present, scenes, change, mirrored)
    if config.stream != "joint" or config.bones == "unit":
        # A body may have joints and no bone, so only the device knows who is left.
        left = np.flatnonzero(present.flatten(1).any(dim=1).cpu().numpy())
        chosen = send(left, values.device)
        values, present, clip, slot = values[chosen], present[chosen], clip[left], slot[left]
    return Bodies(values=values, present=present, clip=clip, slot=slot)
