"""Ids in a crowd of synthetic people who meet, hide each other, leave and come back, as a detector would see them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from amr_edge.errors import ConfigError
from amr_edge.live_settings import TrackerConfig
from amr_edge.runtime.pipeline.tracker import MOST_MISSING, Tracker
from amr_edge.synthetic import crowd, subject

FPS = 20.0
PX_PER_M = 150.0
BEHIND_M = 0.4  # two people whose middles are nearer to each other than this: the one behind is not found
# Not shrunk: a scene of fewer frames is another scene.
TRIALS = settings(deadline=None, max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])


@lru_cache(maxsize=8)
def bodies(seed: int, people: int, seconds: float = 8.0) -> np.ndarray:
    """(M, T, V, 2) pixels, y up, of people who act where they stand, each about x = 0."""
    chosen = [subject(2 * seed + 3 * k, seed) for k in range(people)]
    poses = (
        crowd(chosen, np.random.default_rng(seed), seconds=seconds, fps=FPS).recording.poses[..., :2].copy()
    )  # (M, T, V, 2)
    poses[..., 0] -= np.nanmean(poses[..., 0], axis=(1, 2), keepdims=True)
    return np.asarray(poses * PX_PER_M, dtype=np.float32)


@dataclass
class Told:
    """Which ids each person got, and at how many instants they got none although they were found."""

    ids: list[set[int]]
    unsure: list[int]
    alive: list[int] = field(default_factory=list)

    @property
    def stable(self) -> bool:
        """Everybody has one id, and nobody another's."""
        one_each = all(len(ids) == 1 for ids in self.ids)
        return one_each and len(set.union(*self.ids)) == len(self.ids)


def followed(
    acting: np.ndarray,
    x_m: np.ndarray,
    found: np.ndarray,
    rng: np.random.Generator,
    *,
    every: int = 1,
    extra: Sequence[Sequence[np.ndarray]] | None = None,
    tracks: Tracker | None = None,
) -> Told:
    """The ids of people (M, T, V, 2) who stand at x_m (M, T) while found (M, T), listed in any order."""
    tracks = tracks or Tracker()
    told = Told([set() for _ in acting], [0] * len(acting))
    for frame in range(0, acting.shape[1], every):
        here = [int(who) for who in np.flatnonzero(found[:, frame])]
        seen = [acting[who, frame] + np.float32([PX_PER_M * x_m[who, frame], 0]) for who in here]
        seen += [] if extra is None else list(extra[frame])
        if not seen:
            tracks.assign(frame / FPS, np.zeros((0, acting.shape[2], 2), np.float32))
            continue
        order = rng.permutation(len(seen))
        ids = tracks.assign(frame / FPS, np.stack([seen[place] for place in order]).astype(np.float32))
        for place, number in zip(order.tolist(), ids, strict=True):
            if place < len(here) and number is None:
                told.unsure[here[place]] += 1
            elif place < len(here):
                told.ids[here[place]].add(number)
    told.alive = list(tracks.alive)
    return told


def hidden(x_m: np.ndarray) -> np.ndarray:
    """(M, T): found, unless somebody of a lower number stands before them."""
    found = np.ones(x_m.shape, dtype=np.bool_)
    for back in range(1, len(x_m)):
        for front in range(back):
            found[back] &= np.abs(x_m[back] - x_m[front]) > BEHIND_M
    return found


@TRIALS
@given(st.integers(0, 5), st.floats(0.35, 1.3), st.floats(0.35, 1.3), st.sampled_from([1, 2, 3]))
def test_two_who_cross_and_hide_each_other_keep_their_ids(seed: int, one: float, other: float, every: int) -> None:
    acting = bodies(seed, 2)
    t_s = np.arange(acting.shape[1]) / FPS - 4.0
    x_m = np.stack([one * t_s, -other * t_s])
    assert followed(acting, x_m, hidden(x_m), np.random.default_rng(seed), every=every).stable


@TRIALS
@given(st.integers(0, 5), st.floats(0.8, 1.4), st.floats(0.3, 0.8))
def test_whoever_is_overtaken_in_front_of_the_camera_is_found_again_behind(
    seed: int, pace: float, slower: float
) -> None:
    acting = bodies(seed, 2)
    t_s = np.arange(acting.shape[1]) / FPS - 4.0
    x_m = np.stack([pace * t_s, pace * slower * t_s])
    found = hidden(x_m)
    if (~found[1]).sum() / FPS > TrackerConfig().return_s:
        return
    assert followed(acting, x_m, found, np.random.default_rng(seed)).stable


@TRIALS
@given(st.integers(0, 5), st.floats(0.05, 2.9), st.floats(-0.3, 0.3))
def test_whoever_is_lost_for_up_to_three_seconds_comes_back_as_who_they_were(
    seed: int, away_s: float, moved_m: float
) -> None:
    acting = bodies(seed, 3)
    frames = acting.shape[1]
    x_m = np.stack([np.full(frames, place) for place in (-1.2, 0.0, 1.2)])
    found = np.ones((3, frames), dtype=np.bool_)
    found[1, 60 : 60 + round(away_s * FPS)] = False
    x_m[1, 60 + round(away_s * FPS) :] += moved_m
    told = followed(acting, x_m, found, np.random.default_rng(seed))
    assert told.stable
    assert told.unsure == [0, 0, 0]


@TRIALS
@given(st.integers(0, 5), st.floats(0.6, 2.4))
def test_whoever_walks_out_and_turns_back_is_who_they_were(seed: int, away_s: float) -> None:
    acting = bodies(seed, 2)
    frames = acting.shape[1]
    t_s = np.arange(frames) / FPS
    edge_m = 2.0
    out_s = 2.0
    walk = np.where(t_s < out_s + away_s / 2, edge_m + 1.0 * (t_s - out_s), edge_m + 1.0 * (out_s + away_s - t_s))
    x_m = np.stack([np.full(frames, -1.5), walk])
    assert followed(acting, x_m, x_m < edge_m, np.random.default_rng(seed)).stable


def test_whoever_comes_back_later_or_elsewhere_is_somebody_new() -> None:
    acting = bodies(1, 1)
    frames = acting.shape[1]
    for away_s, moved_m, known in ((3.2, 0.0, 2), (1.0, 1.5, 2), (1.0, 0.2, 1)):
        found = np.ones((1, frames), dtype=np.bool_)
        found[0, 40 : 40 + round(away_s * FPS)] = False
        x_m = np.zeros((1, frames))
        x_m[0, 40 + round(away_s * FPS) :] = moved_m
        told = followed(acting, x_m, found, np.random.default_rng(0))
        assert len(told.ids[0]) == known, (away_s, moved_m)


def test_a_child_who_comes_where_a_grown_up_left_is_somebody_new() -> None:
    acting = bodies(1, 1)
    tracks = Tracker()
    assert tracks.assign(0.0, acting[:, 0]) == (0,)
    child = child_of(acting[0, 40])[None]
    assert tracks.assign(1.5, child) == (1,)
    assert tracks.assign(1.6, np.concatenate([child, acting[:, 42] + np.float32([120, 0])])) == (1, 2)


@TRIALS
@given(st.integers(0, 5), st.integers(0, 99))
def test_a_body_that_is_found_twice_is_one_person(seed: int, noise: int) -> None:
    acting = bodies(seed, 2)
    frames, rng = acting.shape[1], np.random.default_rng(noise)
    x_m = np.stack([np.full(frames, -0.8), np.full(frames, 0.8)])
    doubles: list[list[np.ndarray]] = []
    for frame in range(frames):
        who = int(rng.integers(0, 2))
        again = acting[who, frame] + np.float32([PX_PER_M * x_m[who, frame], 0])
        again = again + rng.normal(0, 3.0, again.shape).astype(np.float32)  # 2 cm
        doubles.append([again] if frame and rng.random() < 0.5 else [])
    told = followed(acting, x_m, np.ones((2, frames), dtype=np.bool_), rng, extra=doubles)
    assert sorted(told.alive) == [0, 1]


@TRIALS
@given(st.integers(0, 5), st.integers(1, 5), st.integers(0, 99))
def test_what_a_detector_makes_of_two_who_meet_gets_no_id(seed: int, lasts: int, noise: int) -> None:
    acting = bodies(seed, 2)
    frames, rng = acting.shape[1], np.random.default_rng(noise)
    x_m = np.stack([np.full(frames, -0.3), np.full(frames, 0.3)])
    found = np.ones((2, frames), dtype=np.bool_)
    found[:, 100 : 100 + lasts] = False
    between: list[list[np.ndarray]] = [[] for _ in range(frames)]
    for frame in range(100, 100 + lasts):
        halves = [acting[who, frame] + np.float32([PX_PER_M * x_m[who, frame], 0]) for who in (0, 1)]
        between[frame] = [np.asarray((halves[0] + halves[1]) / 2, dtype=np.float32)]
    told = followed(acting, x_m, found, rng, extra=between)
    assert told.stable
    # One of the two may have been taken for what was between them, and be on trial for a quarter of a second.
    assert sum(told.unsure) <= 6
    assert len(told.alive) == 2


def child_of(body: np.ndarray) -> np.ndarray:
    """(V, 2), half as tall on the same floor."""
    floor = np.nanmin(body[:, 1])
    return np.asarray((body - [0, floor]) * 0.55 + [0, floor], dtype=np.float32)


def test_somebody_else_where_somebody_is_missing_gets_an_id_after_a_quarter_of_a_second() -> None:
    acting = bodies(1, 1)
    tracks = Tracker(TrackerConfig(reach_per_s=0.0))
    assert tracks.assign(0.0, acting[:, 0]) == (0,)
    given_ids = [tracks.assign(frame / FPS, child_of(acting[0, frame])[None])[0] for frame in range(1, 10)]
    assert given_ids == [None] * 5 + [1] * 4  # the first at 0.05 s, 0.25 s later the sixth


def test_a_person_whose_track_was_led_astray_is_the_same_after_a_quarter_of_a_second() -> None:
    acting = bodies(1, 1)
    tracks = Tracker()
    assert tracks.assign(0.0, acting[:, 0]) == (0,)
    assert tracks.assign(1 / FPS, acting[:, 0] + np.float32([40, 0])) == (0,)  # 27 cm beside
    beside = acting[:, 0] - np.float32([20, 0])
    given_ids = [tracks.assign(frame / FPS, beside)[0] for frame in range(2, 10)]
    assert given_ids == [None] * 5 + [0] * 3


def test_ghosts_take_no_memory_and_people_keep_their_ids_among_them() -> None:
    acting = bodies(2, 2)
    rng, frames = np.random.default_rng(5), acting.shape[1]
    ghosts = [
        [np.asarray(rng.normal(0, 40, acting.shape[2:]) + rng.uniform(2000, 9000, 2), dtype=np.float32)]
        for _ in range(frames)
    ]
    x_m = np.stack([np.full(frames, -0.8), np.full(frames, 0.8)])
    tracks = Tracker()
    told = followed(acting, x_m, np.ones((2, frames), dtype=np.bool_), rng, extra=ghosts, tracks=tracks)
    assert [len(ids) for ids in told.ids] == [1, 1]
    assert len(tracks.alive) <= MOST_MISSING + 3


@pytest.mark.parametrize(
    "wrong", [{"return_s": 0.2}, {"return_s": float("inf")}, {"return_size": 1.0}, {"return_reach": -0.1}]
)
def test_returns_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="return_s"):
        TrackerConfig(**wrong)


@pytest.mark.parametrize("wrong", [{"double": -0.1}, {"trial_s": -1.0}])
def test_trials_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="double and trial_s"):
        TrackerConfig(**wrong)
