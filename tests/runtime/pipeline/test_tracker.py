"""Ids stay with people; the ids of those who left are never given again."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from amr_edge.errors import ClipError, ConfigError
from amr_edge.live_settings import TrackerConfig
from amr_edge.runtime.pipeline.tracker import Tracker

BODY = np.float32([[0, 1.7], [0, 1.4], [-0.2, 1.4], [0.2, 1.4], [0, 0.9], [-0.1, 0.0], [0.1, 0.0]])  # (V, 2) metres


def at(x: float, scale: float = 1.0, unit: float = 1.0) -> np.ndarray:
    return np.asarray((BODY * scale + np.float32([x, 0])) * unit, dtype=np.float32)


@pytest.mark.parametrize("unit", [1.0, 300.0], ids=["metres", "pixels"])
def test_two_people_who_cross_slowly_keep_their_ids(unit: float) -> None:
    tracks, rng = Tracker(), np.random.default_rng(0)
    for frame in range(150):
        x = -2 + 4 * frame / 149  # 0.8 m/s; they meet in the middle, one a bit taller
        people = [at(x, 1.0, unit), at(-x, 1.08, unit)]
        order = rng.permutation(2)
        noisy = np.stack([people[k] for k in order]) + rng.normal(0, 0.005 * unit, (2, 7, 2)).astype(np.float32)
        ids = tracks.assign(frame / 30, noisy.astype(np.float32))
        if frame == 0:
            known = dict(zip(order.tolist(), ids, strict=True))
        assert [known[k] for k in order] == list(ids)


def test_somebody_who_comes_in_elsewhere_after_one_left_is_somebody_new() -> None:
    tracks = Tracker()
    assert tracks.assign(0.0, at(0.0)[None]) == (0,)
    assert tracks.assign(0.1, at(5.0)[None]) == (1,)
    assert tracks.alive == (0, 1)


def test_a_detector_that_hops_to_a_neighbor_between_two_frames_has_found_somebody_else() -> None:
    tracks = Tracker()
    assert tracks.assign(0.0, at(0.0)[None]) == (0,)
    # Half a metre in a thirtieth of a second is nobody's pace; the first one is still there afterwards.
    assert tracks.assign(1 / 30, at(0.5)[None]) == (1,)
    assert tracks.assign(2 / 30, np.stack([at(0.5), at(0.0)])) == (1, 0)


@pytest.mark.parametrize("fps", [5.0, 10.0, 30.0])
def test_a_runner_is_followed_from_the_first_step(fps: float) -> None:
    tracks = Tracker()
    assert {tracks.assign(frame / fps, at(3.0 * frame / fps)[None])[0] for frame in range(12)} == {0}


def test_a_gap_of_half_a_second_is_bridged_far_off_and_a_longer_one_near_the_place_of_leaving_only() -> None:
    tracks = Tracker()
    assert tracks.assign(0.0, at(0.0)[None]) == (0,)
    assert tracks.assign(0.5, at(1.0)[None]) == (0,)  # 1 m of a body of 1.7 m, reach 0.12 + 0.75 of it
    far = Tracker()
    assert far.assign(0.0, at(0.0)[None]) == (0,)
    assert far.assign(0.51, at(1.0)[None]) == (1,)  # beyond 0.4 of it
    assert far.assign(3.0, at(0.1)[None]) == (0,)
    assert far.assign(6.2, np.stack([at(0.1), at(1.0)])) == (2, 3)  # after more than three seconds nobody is known


def test_ids_rise_and_are_never_used_twice() -> None:
    tracks = Tracker()
    seen = [tracks.assign(10.0 * t, at(0.0)[None])[0] for t in range(5)]
    assert seen == [0, 1, 2, 3, 4]


def test_a_walker_is_found_again_where_they_were_heading() -> None:
    tracks = Tracker(TrackerConfig(reach=0.2, reach_per_s=0.0))
    for frame in range(20):
        tracks.assign(frame / 30, at(2.0 * frame / 30)[None])
    # 0.4 s unseen at 2 m/s: 0.8 m on, far beyond the reach of 0.34 m without the heading.
    assert tracks.assign(19 / 30 + 0.4, at(2.0 * (19 / 30 + 0.4))[None]) == (0,)


def test_somebody_half_hidden_is_still_the_same() -> None:
    tracks = Tracker()
    half = at(0.02)
    half[4:] = np.nan
    assert tracks.assign(0.0, at(0.0)[None]) == (0,)
    assert tracks.assign(0.1, half[None]) == (0,)
    only_feet = at(0.02)
    only_feet[:5] = np.nan
    assert tracks.assign(0.2, only_feet[None]) in ((0,), (1,))
    assert tracks.assign(0.3, np.zeros((0, 7, 2), np.float32)) == ()


def test_the_nearer_of_two_gets_the_id() -> None:
    tracks = Tracker()
    tracks.assign(0.0, at(0.0)[None])
    assert tracks.assign(0.03, np.stack([at(0.3), at(0.01)])) == (1, 0)


def test_a_body_of_one_joint_can_be_followed_if_it_stands_still() -> None:
    tracks = Tracker()
    dot = np.full((1, 7, 2), np.nan, np.float32)
    dot[0, 3] = 1.0
    assert tracks.assign(0.0, dot) == (0,)
    assert tracks.assign(0.1, dot) == (0,)


def test_nobody_cannot_be_followed() -> None:
    with pytest.raises(ClipError, match="without any visible joint"):
        Tracker().assign(0.0, np.full((1, 7, 2), np.nan, np.float32))


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(ConfigError, match="gap_s"):
        TrackerConfig(gap_s=0.0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.floats(-5, 5), max_size=4), max_size=25), st.integers(0, 99))
@example([[0.0, 0.0, 0.0], [-2.0, -0.75], [-1.0], [], [], [], [], [], [-2.0]], 0)
@example([[0.0, 2.0, 1.375], [], [], [], [], [0.0, 0.0, 0.0]], 0)
def test_ids_at_one_instant_are_different_and_do_not_depend_on_the_order(frames: list[list[float]], seed: int) -> None:
    tracks, shuffled, rng = Tracker(), Tracker(), np.random.default_rng(seed)
    groups: dict[int | None, int | None] = {}
    for number, places in enumerate(frames):
        people = np.array([at(x + 0.001 * k) for k, x in enumerate(places)], np.float32).reshape(-1, 7, 2)
        assume(len(np.unique(people, axis=0)) == len(people))  # of equal bodies, any may be the one found twice
        ids = tracks.assign(number / 10, people)
        given = [one for one in ids if one is not None]
        assert len(set(given)) == len(given)
        order = rng.permutation(len(places))
        others = shuffled.assign(number / 10, people[order])
        for k, other in zip(order, others, strict=True):
            assert groups.setdefault(ids[k], other) == other


def test_the_best_pairing_of_all_is_taken_and_not_the_nearest_pair_first() -> None:
    # The one on the left stays near, the one on the right has moved to just beside where the left one was: joining the
    # nearest pair first would leave the left one with nobody.
    tracks = Tracker(TrackerConfig(reach=0.5, reach_per_s=0.0))
    assert tracks.assign(0.0, np.stack([at(0.0), at(0.7)])) == (0, 1)
    assert tracks.assign(0.1, np.stack([at(0.05), at(-0.6)])) == (1, 0)


def test_of_two_people_as_near_the_one_in_the_same_pose_is_taken() -> None:
    tracks = Tracker()
    squat = BODY * np.float32([1, 0.6])
    tracks.assign(0.0, np.stack([at(0.0), squat + np.float32([0.3, 0])]))
    assert tracks.assign(0.1, np.stack([squat + np.float32([0.2, 0]), at(0.1)])) == (1, 0)
