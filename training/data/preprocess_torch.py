"""The shared preprocessing for many clips at once, where the model trains.

`amr_edge.preprocess` says what a clip is; this gives the same numbers for a whole batch by batched gathers,
interpolations and products, and tests hold it to the reference. Who is in a batch is settled on the host from the
frames that show each person, so that nothing waits for the device, except where only an interpolation can tell.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amr_edge.preprocess import TORSO_M, PrepareConfig, unit_lengths
from amr_edge.skeleton import NTU25, Layout, Mask, layout, remap
from amr_edge.training.data.ragged import LOST, Ints, Ragged


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


def _energy(values: Tensor, present: Tensor) -> Tensor:
    """(K,) squared steps summed in float64; see `motion_energy` there."""
    steps = (values[:, 1:].double() - values[:, :-1]).square().sum(dim=-1)  # (K, T - 1, V)
    return (steps * (present[:, 1:] & present[:, :-1])).sum(dim=(1, 2))


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
        moved = _energy(values[where], present[where])
        table[at[0], at[1]] = torch.where(seen[where], moved, -1.0)
        order = table.argsort(dim=1, descending=True, stable=True)  # (N, most rivals)
        at = send(np.stack([of, slot, start[of]]), device)
        chosen = at[2] + order[at[0], at[1]]
    return values[chosen], present[chosen], of, slot


def _made_of(target: Layout, joint: int) -> tuple[int, int] | None:
    """The two joints of a layout whose middle is a joint of NTU-25, twice the same where it has that joint itself."""
    weights = remap(np.eye(len(target), dtype=np.float32), target, NTU25).poses[joint]  # (V,)
    parts = np.flatnonzero(weights > 0)
    return (int(parts[0]), int(parts[-1])) if np.isfinite(weights).all() else None


class Anatomy:
    """Where a layout keeps its pelvis, torso and sides, and how clips are centred, scaled and turned by them."""

    def __init__(self, config: PrepareConfig) -> None:
        self.config = config
        self.layout = layout(config.layout)
        names = ("pelvis", "upper_spine", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
        self.parts = {name: _made_of(self.layout, NTU25.index(name)) for name in names}

    def _joint(self, name: str, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor] | None:
        """A joint of NTU-25: (B, T, C) and (B, T) bool; None if the layout cannot show it."""
        parts = self.parts[name]
        if parts is None:
            return None
        a, b = parts
        if a == b:
            return values[:, :, a], present[:, :, a]
        return values[:, :, a] * 0.5 + values[:, :, b] * 0.5, present[:, :, a] & present[:, :, b]

    def origin(self, values: Tensor, present: Tensor, body: Tensor, here: Tensor) -> Tensor:
        """(N, C): the first pelvis that the first visible person shows, else the mean of their first joints.

        Args:
            values: (B, T, V, C).
            present: (B, T, V).
            body: (N, M) which body stands in each slot.
            here: (N, M) bool, whether one does.
        """
        every = torch.arange(len(values), device=values.device)
        first = present.any(dim=2).byte().argmax(dim=1)  # (B,)
        seen = present[every, first].unsqueeze(-1)  # (B, V, 1)
        middle = (values[every, first] * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)  # (B, C)
        place = middle[body[:, 0]]  # (N, C)
        pelvis = self._joint("pelvis", values, present)
        if pelvis is None:
            return place
        shows = pelvis[1].any(dim=1)  # (B,)
        first = pelvis[1].byte().argmax(dim=1)
        best = shows[body] & here  # (N, M)
        chosen = body.gather(1, best.byte().argmax(dim=1, keepdim=True)).squeeze(1)  # (N,)
        return torch.where(best.any(dim=1)[:, None], pelvis[0][every, first][chosen], place)

    def size(self, values: Tensor, present: Tensor, body: Tensor, here: Tensor) -> Tensor:
        """(N,): what makes the median torso of a clip `TORSO_M` long; 1 where no torso is seen."""
        pelvis, chest = self._joint("pelvis", values, present), self._joint("upper_spine", values, present)
        if pelvis is None or chest is None:
            return values.new_ones(len(body))
        length = torch.linalg.vector_norm(chest[0] - pelvis[0], dim=-1)  # (B, T)
        return self._median_to_torso(length.masked_fill(~(pelvis[1] & chest[1]), torch.inf), body, here)

    @staticmethod
    def _median_to_torso(length: Tensor, body: Tensor, here: Tensor) -> Tensor:
        """(N,): what makes the median of the finite lengths (B, T) of a clip `TORSO_M`; 1 where there is none."""
        length = length[body].masked_fill(~here[..., None], torch.inf).flatten(1)  # (N, M * T)
        length = length.sort(dim=1).values
        count = length.isfinite().sum(dim=1, keepdim=True)
        middle = torch.cat([(count - 1).clamp(min=0) // 2, (count // 2).clamp(max=length.shape[1] - 1)], dim=1)
        median = length.gather(1, middle).mean(dim=1)  # (N,), infinite if there is none
        return torch.where(median.isfinite() & (median > 1e-6), TORSO_M / median, 1.0)

    def spread(self, values: Tensor, present: Tensor, body: Tensor, here: Tensor) -> Tensor:
        """(N,): what makes the median spread of the joints of a clip `TORSO_M`; 1 where there is none."""
        shown = present[..., None]  # (B, T, V, 1)
        count = shown.sum(dim=2)  # (B, T, 1)
        middle = (values * shown).sum(dim=2) / count.clamp(min=1)  # (B, T, C)
        away = (values - middle[:, :, None]) * shown
        length = (away.square().sum(dim=(2, 3)) / count[..., 0].clamp(min=1)).sqrt()  # (B, T)
        return self._median_to_torso(length.masked_fill(count[..., 0] < 2, torch.inf), body, here)

    def turn(self, values: Tensor, present: Tensor, size: Tensor, body: Tensor, here: Tensor) -> Tensor:
        """(N, 3, 3): about the vertical, so that the first measurable person's right-to-left axis lies along +x."""
        total, count = values.new_zeros(len(values), 3), values.new_zeros(len(values), 1)
        for part in ("shoulder", "hip"):
            left = self._joint(f"left_{part}", values, present)
            right = self._joint(f"right_{part}", values, present)
            if left is not None and right is not None:
                both = (left[1] & right[1])[..., None]  # (B, T, 1)
                total = total + ((left[0] - right[0]) * both).sum(dim=1)
                count = count + both.sum(dim=1)
        across = (total / count.clamp(min=1))[body] * size[:, None, None]  # (N, M, 3)
        norm = torch.hypot(across[..., 0], across[..., 2])  # (N, M)
        best = (norm > 1e-6) & here
        chosen = best.byte().argmax(dim=1, keepdim=True)  # (N, 1)
        found = best.any(dim=1)
        norm = norm.gather(1, chosen).squeeze(1)
        norm = torch.where(found, norm, 1.0)
        x, z = (across[..., axis].gather(1, chosen).squeeze(1) for axis in (0, 2))  # (N,)
        cos, sin = torch.where(found, x / norm, 1.0), torch.where(found, z / norm, 0.0)
        zero, one = torch.zeros_like(cos), torch.ones_like(cos)
        rows = [cos, zero, sin, zero, one, zero, -sin, zero, cos]
        return torch.stack(rows, dim=1).reshape(-1, 3, 3)

    def unit(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (B, T, V, 3) built again from where the bones point, and where they are; see `unit_bones` there."""
        places, shown = [values.new_zeros(values[:, :, 0].shape)], [present[:, :, 0]]
        lengths = unit_lengths()  # (V,)
        for joint, parent in enumerate(self.layout.parents[1:], start=1):
            bone = values[:, :, joint] - values[:, :, parent]  # (B, T, 3)
            seen = torch.linalg.vector_norm(bone, dim=-1, keepdim=True)  # (B, T, 1)
            shown.append(present[:, :, joint] & shown[parent] & (seen[..., 0] > 1e-6))
            places.append(places[parent] + float(lengths[joint]) * bone / seen.clamp(min=1e-6))
        return torch.stack(places, dim=2), torch.stack(shown, dim=2)

    def streamed(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Joints, bones or motion of (B, T, V, 3) positions, and where they are."""
        if self.config.stream == "joint":
            return values, present
        if self.config.stream == "bone":
            parents = [joint if parent < 0 else parent for joint, parent in enumerate(self.layout.parents)]
            return values - values[:, :, parents], present & present[:, :, parents]
        both = present.clone()
        both[:, :-1] &= present[:, 1:]
        return torch.cat([values[:, 1:], values[:, -1:]], dim=1) - values, both


def prepare(
    held: Ragged,
    spans: Spans,
    anatomy: Anatomy,
    persons: int,
    change: Tensor | None = None,
    mirrored: Tensor | None = None,
) -> Bodies:
    """The bodies that a model sees of the spans.

    Args:
        held: The recordings, in the model's layout.
        spans: N of them.
        anatomy: The model's preprocessing.
        persons: M, how many of a clip at most.
        change: (N, 3, 3) what the prepared positions of each clip are multiplied by; None leaves them.
        mirrored: (N,) bool, clips whose left and right joints change places; None leaves them.

    Returns:
        What `prepare_scene` gives for each span, end to end.
    """
    config, clips = anatomy.config, len(spans.which)
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
    here, body = body >= 0, body.clamp(min=0)
    of = send(clip, values.device)  # (B,)
    values = values - anatomy.origin(values, present, body, here)[of][:, None, None]
    if config.bones == "unit":
        values, present = anatomy.unit(values, present)
    if values.shape[-1] == 2:
        values = torch.cat([values, torch.zeros_like(values[..., :1])], dim=-1)
    matrix = change
    if config.scale != "none" or config.view == "body":
        size = values.new_ones(clips)
        if config.scale == "torso":
            size = anatomy.size(values, present, body, here)
        if config.scale == "spread":
            size = anatomy.spread(values, present, body, here)
        own = torch.eye(3, device=values.device).expand(clips, 3, 3)
        if config.view == "body":
            own = anatomy.turn(values, present, size, body, here)
        own = own * size[:, None, None]
        matrix = own if matrix is None else matrix @ own
    if matrix is not None:
        shape = values.shape
        values = torch.bmm(values.flatten(1, 2), matrix[of].transpose(1, 2)).reshape(shape)  # (B, T, V, 3)
    if mirrored is not None:
        places = torch.arange(V, device=values.device)
        swap = torch.where(mirrored[of, None], torch.as_tensor(anatomy.layout.mirror, device=values.device), places)
        present = present.gather(2, swap[:, None].expand_as(present))  # (B, T, V)
        values = values.gather(2, swap[:, None, :, None].expand_as(values))  # (B, T, V, 3)
    values, present = anatomy.streamed(values, present)
    if config.stream != "joint" or config.bones == "unit":
        # A body may have joints and no bone, so only the device knows who is left.
        left = np.flatnonzero(present.flatten(1).any(dim=1).cpu().numpy())
        chosen = send(left, values.device)
        values, present, clip, slot = values[chosen], present[chosen], clip[left], slot[left]
    return Bodies(values=values, present=present, clip=clip, slot=slot)
