from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amr_edge.data.clips import Clips, stack
from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, write_store
from amr_edge.errors import ClipError, ConfigError, DataError
from amr_edge.preprocess import Clip, PrepareConfig
from amr_edge.skeleton import LAYOUTS
from amr_edge.training.config import AugmentConfig
from amr_edge.training.data.augment import draw, noise, seeds_of, uniform
from amr_edge.training.data.batch import Batch, to_batch
from amr_edge.training.data.random_views import Views

CPU = torch.device("cpu")
STILL = AugmentConfig(yaw=0, tilt=0)


def recording(rng: np.random.Generator, name: str, units: str, people: int, whole: bool) -> Recording:
    """People who walk, come late, leave, lose joints and are not seen for a while, at an uneven rate."""
    frames, joints = int(rng.integers(2, 40)), len(LAYOUTS[name])
    channels = 3 if units == "m" else 2
    rest = rng.normal(0, 0.4, (people, 1, joints, channels)) + rng.normal(0, 1.0, (people, 1, 1, channels))
    poses = rest + np.cumsum(rng.normal(0, 0.03, (people, frames, joints, channels)), axis=1)
    poses = (poses * (150 if units == "px" else 1)).astype(np.float32)
    if not whole:
        poses[rng.random(poses.shape[:3]) < rng.choice([0.0, 0.1, 0.6])] = np.nan
        for person in range(people):
            first, last = sorted(rng.integers(0, frames + 1, 2))
            poses[person, :first] = np.nan
            poses[person, last:] = np.nan
            if rng.random() < 0.3:
                poses[person, :, rng.integers(0, joints, joints // 2)] = np.nan  # joints that no frame shows
            if rng.random() < 0.2:
                poses[person, rng.integers(0, frames), :, 0] = np.nan  # part of a joint is no joint
    steps_s = rng.choice([1 / 30, 0.05, 0.3, 0.6], frames, p=[0.7, 0.2, 0.05, 0.05])
    return Recording(poses=poses, times_s=5 + np.cumsum(steps_s), layout=name, units=units, source="made", label="walk")


def stored(folder: Path, made: list[Recording]) -> Store:
    return write_store(folder / "made.npz", made, dataset="made", terms="made for tests", classes=("walk",))


def config_of(rng: np.random.Generator, name: str, units: str) -> PrepareConfig:
    unit = name == "canonical15" and units == "m" and rng.random() < 0.7
    return PrepareConfig(
        layout=name,
        frames=int(rng.integers(2, 24)),
        bones="unit" if unit else "measured",
        scale="none" if unit else rng.choice(["torso", "spread"] if units == "px" else ["none", "torso", "spread"]),
        view="body" if rng.random() < 0.5 else "camera",
        stream=rng.choice(["joint", "joint", "bone", "motion"]),
        max_gap_s=float(rng.choice([0.1, 0.4, 1.0])),
    )


def agree(got: Batch, wanted: Batch) -> None:
    assert got.clips == wanted.clips
    assert got.clip_of.tolist() == wanted.clip_of.tolist()
    assert torch.equal(got.present, wanted.present)
    # Clips that show no torso stay in pixels, of which float32 knows seven digits.
    largest = max(1.0, float(wanted.body.abs().max())) if len(wanted.body) else 1.0
    torch.testing.assert_close(got.body, wanted.body, atol=1e-5 * largest, rtol=0)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    source=st.sampled_from(sorted(LAYOUTS)),
    target=st.sampled_from(sorted(LAYOUTS)) | st.just("canonical15"),
    same=st.booleans(),
    units=st.sampled_from(["m", "px"]),
    whole=st.booleans(),
    persons=st.integers(1, 3),
)
def test_a_batch_made_at_once_equals_its_clips_made_one_by_one(
    tmp_path: Path, seed: int, source: str, target: str, same: bool, units: str, whole: bool, persons: int
) -> None:
    rng = np.random.default_rng(seed)
    made = [recording(rng, source, units, int(rng.integers(1, 4)), whole) for _ in range(4)]
    store = stored(tmp_path, made)
    config = config_of(rng, source if same else target, units)
    which = np.ones(len(made), dtype=bool)
    clips = Clips(store, which, config, persons)
    indices = rng.integers(0, len(made), 6)
    spans = np.empty((6, 2))
    for n, i in enumerate(indices):
        times_s = made[i].times_s
        any_two = rng.uniform(times_s[0] - 0.2, times_s[-1] + 0.2, 2)
        spans[n] = np.sort(rng.choice(times_s, 2) if rng.random() < 0.6 else any_two)
    wanted = to_batch(stack([clips.clip(int(i), tuple(span)) for i, span in zip(indices, spans, strict=True)]), CPU)
    for memory in (None, 0):
        views = Views(store, which, config, persons, STILL, CPU, memory=memory)
        assert views.resident == (memory is None)
        agree(views.at(indices, spans[:, 0], spans[:, 1]), wanted)


def several(folder: Path) -> Store:
    rng = np.random.default_rng(3)
    return stored(folder, [recording(rng, "ntu25", "m", 1 + n % 2, n % 3 > 0) for n in range(24)])


CHANGES = AugmentConfig(crop=0.4, yaw=0.5, tilt=0.2, scale=0.1, noise_m=0.01, drop_joints=0.7)
CONFIG = PrepareConfig(frames=16, scale="torso", view="body")
EVERY = np.ones(24, dtype=bool)


def test_a_view_is_the_cut_turned_sized_disturbed_and_robbed_of_joints_as_drawn(tmp_path: Path) -> None:
    store = several(tmp_path)
    views, clips = Views(store, EVERY, CONFIG, 2, CHANGES, CPU), Clips(store, EVERY, CONFIG, 2)
    indices = np.arange(24)
    seeds = seeds_of(int(np.random.default_rng(7).integers(2**63)), indices)
    drawn = draw(seeds, CHANGES, 25)
    made = []
    for i in indices:
        times_s = store[int(i)].times_s
        frames = len(times_s)
        length = min(frames, max(8, int(frames * (0.4 + 0.6 * drawn.length[i]))))
        first = int(drawn.start[i] * (frames - length + 1))
        made.append(clips.clip(int(i), (times_s[first], times_s[first + length - 1])))
    values, present = stack(made)
    values = np.einsum("nmtvc,ndc->nmtvd", values, drawn.change)
    slots = seeds[:, None] + np.arange(2, dtype=np.uint64) * np.uint64(1 << 32)  # (N, M)
    random = noise(torch.from_numpy(slots.ravel().view(np.int64)), (16, 25, 3)).numpy().reshape(values.shape)
    values = values + np.float32(0.01) * random
    less = present & drawn.kept[:, None, None, :]
    present = np.where(less.any(axis=(2, 3), keepdims=True), less, present)
    wanted = to_batch(Clip(np.where(present[..., None], values, 0).astype(np.float32), present), CPU)
    agree(views.batch(indices, np.random.default_rng(7)), wanted)


@pytest.mark.parametrize("stream", ["joint", "bone"])
def test_a_mirror_shows_the_left_where_the_right_was_and_twice_shows_what_was(tmp_path: Path, stream: str) -> None:
    store, still = several(tmp_path), AugmentConfig(crop=1.0, yaw=0, tilt=0)
    config = replace(CONFIG, stream=stream)
    plain = Views(store, EVERY, config, 2, still, CPU).batch(np.arange(24), np.random.default_rng(0))
    seen = Views(store, EVERY, config, 2, replace(still, mirror=1.0), CPU).batch(
        np.arange(24), np.random.default_rng(0)
    )
    back = list(LAYOUTS["ntu25"].mirror)
    assert not torch.equal(seen.body, plain.body)
    assert torch.equal(seen.present[:, :, back], plain.present)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(seen.body[:, :, back] * flip, plain.body, atol=1e-5, rtol=0)


def test_the_same_randomness_gives_the_same_batch_from_memory_and_from_the_store(tmp_path: Path) -> None:
    store = several(tmp_path)
    here = Views(store, EVERY, CONFIG, 2, CHANGES, CPU)
    there = Views(store, EVERY, CONFIG, 2, CHANGES, CPU, memory=0)
    indices = np.array([5, 0, 23, 7])
    once, again = here.batch(indices, np.random.default_rng(1)), here.batch(indices, np.random.default_rng(1))
    assert torch.equal(once.body, again.body)
    assert torch.equal(once.body, there.batch(indices, np.random.default_rng(1)).body)
    assert not torch.equal(once.body, here.batch(indices, np.random.default_rng(2)).body)


def test_a_batch_in_parts_has_the_views_of_the_whole(tmp_path: Path) -> None:
    views = Views(several(tmp_path), EVERY, CONFIG, 2, CHANGES, CPU)
    whole = views.batch(np.arange(12), np.random.default_rng(4))
    parts = [views.batch(part, np.random.default_rng(4)) for part in np.array_split(np.arange(12), 5)]
    torch.testing.assert_close(torch.cat([part.body for part in parts]), whole.body, atol=1e-6, rtol=0)
    assert torch.equal(torch.cat([part.present for part in parts]), whole.present)


def test_a_batch_leaves_the_generator_in_the_same_state_whatever_is_in_it(tmp_path: Path) -> None:
    views = Views(several(tmp_path), EVERY, CONFIG, 2, CHANGES, CPU)
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    views.batch(np.array([1]), one)
    views.batch(np.arange(9), other)
    assert one.random() == other.random()


def test_cuts_are_as_long_as_asked_and_reach_from_the_first_frame_to_the_last(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ramp = np.zeros((1, 30, 25, 3), dtype=np.float32)
    ramp[..., 0] = np.arange(30)[:, None]  # every joint moves one metre a frame
    ramp[:, :, 20, 1] = 0.5
    made = Recording(poses=ramp, times_s=np.arange(30) / 30, layout="ntu25", label="walk", source="ramp")
    store = stored(tmp_path, [made])
    views = Views(store, np.ones(1, dtype=bool), PrepareConfig(frames=8), 1, AugmentConfig(yaw=0, tilt=0), CPU)
    lengths = [round(float(views.batch(np.array([0]), rng).body[0, -1, 0, 0])) + 1 for _ in range(300)]
    assert set(lengths) == set(range(15, 30))  # int(30 * u), u in [0.5, 1)


@given(st.integers(0, 2**62), st.integers(0, 2**40))
def test_numbers_drawn_lie_in_the_unit_interval_and_follow_key_and_clip(key: int, clip: int) -> None:
    seeds = seeds_of(key, np.array([clip, clip + 1, clip]))
    numbers = uniform(seeds, 5)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert (numbers[0] == numbers[2]).all()
    assert not (numbers[0] == numbers[1]).any()


def test_numbers_drawn_are_spread_evenly_and_noise_is_normal() -> None:
    seeds = seeds_of(11, np.arange(4000))
    numbers = uniform(seeds, 10)
    assert abs(numbers.mean() - 0.5) < 0.005
    assert abs(numbers.var() - 1 / 12) < 0.002
    assert np.abs(np.corrcoef(numbers.T) - np.eye(10)).max() < 0.06
    made = noise(torch.from_numpy(seeds[:50].view(np.int64)), (40, 25, 3)).double()
    assert abs(float(made.mean())) < 0.01
    assert abs(float(made.var()) - 1) < 0.02
    assert abs(float((made**4).mean()) - 3) < 0.15  # kurtosis of a normal


def test_a_part_without_recordings_and_pixels_without_scale_are_refused(tmp_path: Path) -> None:
    store = several(tmp_path)
    with pytest.raises(DataError, match="no recording in this part"):
        Views(store, ~EVERY, CONFIG, 1, STILL, CPU)
    rng = np.random.default_rng(0)
    pixels = stored(tmp_path, [recording(rng, "coco17", "px", 1, True)])
    with pytest.raises(ConfigError, match="scale=torso"):
        Views(pixels, np.ones(1, dtype=bool), PrepareConfig(layout="coco17"), 1, STILL, CPU)
    with pytest.raises(ClipError, match="with depth"):
        Views(pixels, np.ones(1, dtype=bool), PrepareConfig(layout="canonical15", bones="unit"), 1, STILL, CPU)


def test_a_batch_in_which_nobody_is_seen_has_no_body(tmp_path: Path) -> None:
    nobody = np.full((1, 10, 25, 3), np.nan, dtype=np.float32)
    made = Recording(poses=nobody, times_s=np.arange(10) / 30, layout="ntu25", label="walk", source="empty")
    views = Views(stored(tmp_path, [made]), np.ones(1, dtype=bool), CONFIG, 2, CHANGES, CPU)
    batch = views.batch(np.array([0]), np.random.default_rng(0))
    assert batch.body.shape == (0, 16, 25, 3)
    assert batch.clips == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_batch_on_an_accelerator_is_that_of_the_cpu_and_nobody_waits_for_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    store = stored(tmp_path, [recording(rng, "ntu25", "m", 1 + n % 2, True) for n in range(24)])
    cuda = torch.device("cuda", 0)
    here, there = (Views(store, EVERY, CONFIG, 2, CHANGES, device) for device in (CPU, cuda))
    indices = np.arange(24)
    there.batch(indices, np.random.default_rng(2))  # the first call makes handles
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = there.batch(indices, np.random.default_rng(2))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    agree(
        Batch(got.body.cpu(), got.present.cpu(), got.clip_of.cpu(), got.clips),
        here.batch(indices, np.random.default_rng(2)),
    )
