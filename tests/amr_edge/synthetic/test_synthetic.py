from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge import synthetic
from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError
from amr_edge.skeleton import NTU25
from amr_edge.synthetic import ACTIONS, CLASSES, Sensor, Subject, clip, continuous, corpus, crowd, subject

PERFECT = Sensor.perfect()  # y is the height above the floor
FASTEST_M_S = 12.0
TAKES = range(12)
BOTH = ("left", "right")


def take(action: str, number: int = 1, seed: int = 0, *, person: Subject | None = None, **how: object) -> Recording:
    sensor = how.get("sensor", PERFECT)
    assert isinstance(sensor, Sensor)
    return clip(action, person or subject(number, 0), np.random.default_rng([seed, number]), sensor=sensor)


def path(recording: Recording, joint: str) -> np.ndarray:
    """(T, 3) of one joint of the first person."""
    return recording.poses[0, :, NTU25.index(joint)].astype(np.float64)


def from_pelvis(recording: Recording, joint: str) -> np.ndarray:
    return path(recording, joint) - path(recording, "pelvis")


def energy(recording: Recording, joint: str) -> float:
    """Mean squared speed against the pelvis."""
    return float((np.diff(from_pelvis(recording, joint), axis=0) ** 2).sum(axis=-1).mean()) * recording.fps**2


def bone(recording: Recording, parent: str, child: str) -> float:
    """Its length in metres."""
    return float(np.linalg.norm(path(recording, child)[0] - path(recording, parent)[0]))


def speeds(recording: Recording) -> np.ndarray:
    """(M, T - 1, V) metres per second."""
    return np.linalg.norm(np.diff(recording.poses, axis=1), axis=-1) * recording.fps


@pytest.mark.parametrize("action", CLASSES)
def test_bones_keep_their_length(action: str) -> None:
    poses = take(action, 3).poses[0].astype(np.float64)
    for parent, child in NTU25.bones:
        length = np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1)
        # The collar bones and hips of one side are rigid; a span across two segments is not in the tree.
        assert np.ptp(length) < 1e-5, (NTU25.joints[parent], NTU25.joints[child])


def test_the_corpus_is_the_same_every_time() -> None:
    first, second = (list(corpus(subjects=1, takes=2, seed=5)) for _ in range(2))
    assert len(first) == len(CLASSES) * 2
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.poses, b.poses)
        assert (a.source, a.label, a.subject) == (b.source, b.label, b.subject)


def test_a_clip_does_not_depend_on_how_many_others_are_made() -> None:
    few = {r.source: r for r in corpus(subjects=1, takes=1, seed=2)}
    many = {r.source: r for r in islice(corpus(subjects=3, takes=3, seed=2), 3 * len(CLASSES))}
    assert set(few) < set(many)
    for source, recording in few.items():
        np.testing.assert_array_equal(recording.poses, many[source].poses)


def test_sources_name_each_clip_once() -> None:
    made = list(corpus(subjects=2, takes=2))
    assert len({r.source for r in made}) == len(made) == 2 * 2 * 13
    assert "synthetic/wave_s02_k01" in {r.source for r in made}
    assert {r.label for r in made} == set(CLASSES)
    assert {r.subject for r in made} == {1, 2}


@pytest.mark.parametrize("action", CLASSES)
def test_two_takes_differ(action: str) -> None:
    a, b = take(action, seed=1), take(action, seed=2)
    frames = min(len(a.times_s), len(b.times_s))
    assert np.abs(a.poses[:, :frames] - b.poses[:, :frames]).max() > 0.02


def test_another_seed_is_another_population() -> None:
    assert subject(1, 0) != subject(1, 1)
    assert subject(1, 0) == subject(1, 0)
    people = [subject(number, 0) for number in range(1, 21)]
    assert len({person.height_m for person in people}) == 20
    assert 0 < sum(person.left_handed for person in people) < 10


@pytest.mark.parametrize("action", CLASSES)
def test_a_clip_is_one_person_for_one_and_a_half_to_four_seconds(action: str) -> None:
    for seed in range(4):
        made = take(action, 2, seed, sensor=Sensor())
        assert made.poses.shape[0] == 1
        assert 1.45 < made.duration_s < 4.0
        assert made.fps == pytest.approx(30.0)
        assert made.layout == "ntu25"


def test_another_frame_rate_shows_the_same_movement() -> None:
    person = subject(1, 0)
    slow, fast = (clip("kick", person, np.random.default_rng(3), fps=fps, sensor=PERFECT) for fps in (30.0, 60.0))
    frames = min(len(slow.times_s), (len(fast.times_s) + 1) // 2)
    np.testing.assert_allclose(slow.poses[:, :frames], fast.poses[:, : 2 * frames : 2], atol=1e-5)


@pytest.mark.parametrize("action", ["wave", "clap", "drink", "raise_arms"])
def test_planted_feet_do_not_slip(action: str) -> None:
    for seed in TAKES:
        made = take(action, 4, seed)
        for side in BOTH:
            ankle = path(made, f"{side}_ankle")
            assert np.linalg.norm(ankle - ankle[0], axis=-1).max() < 0.03


@pytest.mark.parametrize("action", ["idle", "walk", "kick", "throw", "punch", "squat", "bow", "sit_down"])
def test_one_foot_always_stands(action: str) -> None:
    for seed in TAKES:
        made = take(action, 5, seed)
        moved = np.stack([np.linalg.norm(np.diff(path(made, f"{side}_ankle"), axis=0), axis=-1) for side in BOTH])
        assert moved.min(axis=0).max() < 0.03


@pytest.mark.parametrize("action", CLASSES)
def test_no_foot_sinks_into_the_floor(action: str) -> None:
    for seed in TAKES:
        assert take(action, seed + 1, seed).poses[..., 1].min() > -0.01


@pytest.mark.parametrize("action", CLASSES)
def test_knees_bend_forward_only(action: str) -> None:
    for seed in TAKES:
        made = take(action, 6, seed)
        for side in BOTH:
            hip, knee, ankle, foot = (path(made, f"{side}_{part}") for part in ("hip", "knee", "ankle", "foot"))
            line = (ankle - hip) / np.linalg.norm(ankle - hip, axis=-1, keepdims=True)
            out = knee - hip - ((knee - hip) * line).sum(axis=-1, keepdims=True) * line  # off the straight leg
            toes = foot - ankle
            assert ((out * toes).sum(axis=-1) > -1e-3).all()


@pytest.mark.parametrize("action", CLASSES)
def test_left_is_left(action: str) -> None:
    made = take(action, 7, 3, sensor=replace(PERFECT, yaw_deg=60.0))
    across = path(made, "left_hip") - path(made, "right_hip")
    ahead = np.cross(across, [0.0, 1.0, 0.0])
    toes = sum(path(made, f"{side}_foot") - path(made, f"{side}_ankle") for side in BOTH)
    assert (ahead * toes).sum(axis=-1).mean() > 0


def test_people_face_the_camera() -> None:
    made = take("wave", 1, sensor=PERFECT)
    assert (path(made, "left_foot") - path(made, "left_ankle"))[0, 2] < 0  # z runs away from the camera
    assert path(made, "pelvis")[0, 2] == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize("action", ["wave", "drink", "throw"])
@pytest.mark.parametrize("left_handed", [False, True])
def test_people_act_with_the_hand_they_prefer(action: str, left_handed: bool) -> None:
    person = replace(subject(1, 0), left_handed=left_handed)
    own, other = ("left", "right") if left_handed else ("right", "left")
    made = [take(action, seed=seed, person=person) for seed in range(20)]
    preferred = [energy(r, f"{own}_wrist") > 2 * energy(r, f"{other}_wrist") for r in made]
    assert sum(preferred) >= 13


def test_in_a_wave_one_hand_goes_from_side_to_side_at_least_four_times() -> None:
    for seed in TAKES:
        made = take("wave", seed=seed)
        across = max((path(made, f"{side}_hand")[:, 0] for side in BOTH), key=lambda x: float(np.diff(x).var()))
        way = np.sign(np.diff(across))[np.abs(np.diff(across)) > 0.005]
        assert (np.diff(way) != 0).sum() >= 3


def test_in_a_clap_the_hands_meet_several_times() -> None:
    for seed in TAKES:
        made = take("clap", seed=seed)
        gap = np.linalg.norm(path(made, "left_hand") - path(made, "right_hand"), axis=-1)
        met = gap < 0.12
        assert (np.diff(met.astype(int)) == 1).sum() >= 2 or np.ptp(gap[met]) > 0.03
        assert gap.min() > 0.01


def test_in_a_drink_the_hand_is_at_the_face_for_a_while() -> None:
    for seed in TAKES:
        made = take("drink", seed=seed)
        near = min(
            (np.sort(np.linalg.norm(path(made, f"{side}_hand") - path(made, "head"), axis=-1)) for side in BOTH),
            key=lambda distance: float(distance[0]),
        )
        assert near[8] < 0.25


def test_in_a_throw_the_hand_moves_fast() -> None:
    for seed in TAKES:
        made = take("throw", seed=seed)
        hands = [NTU25.index(f"{side}_hand") for side in BOTH]
        assert speeds(made)[0][:, hands].max() > 3.0


def test_in_a_kick_one_ankle_leaves_the_other_behind() -> None:
    for seed in TAKES:
        made = take("kick", seed=seed)
        moved = sorted((energy(made, f"{side}_ankle"), side) for side in BOTH)
        assert moved[1][0] > 5 * moved[0][0]
        assert np.ptp(path(made, f"{moved[1][1]}_ankle")[:, 1]) > 0.15


def test_in_a_jump_both_feet_leave_the_floor() -> None:
    for seed in TAKES:
        made = take("jump", seed=seed)
        toes = np.minimum(path(made, "left_foot")[:, 1], path(made, "right_foot")[:, 1])
        assert toes.max() - toes[0] > 0.06


def test_in_a_squat_the_pelvis_sinks_and_returns() -> None:
    for seed in TAKES:
        height = path(take("squat", seed=seed), "pelvis")[:, 1]
        assert height.max() - height.min() > 0.2
        assert height.argmin() < len(height) - 5
        assert height[height.argmin() :].max() - height.min() > 0.1


def test_who_sits_down_stays_down() -> None:
    for seed in TAKES:
        made = take("sit_down", seed=seed)
        height = path(made, "pelvis")[:, 1]
        knees = 0.5 * (path(made, "left_knee") + path(made, "right_knee"))[:, 1]
        assert height[:5].mean() - height[-1] > 0.25
        assert abs(height[-1] - knees[-1]) < 0.15


def test_in_a_bow_the_head_goes_down_and_the_pelvis_does_not() -> None:
    for seed in TAKES:
        made = take("bow", seed=seed)
        assert np.ptp(path(made, "head")[:, 1]) > 0.1
        assert np.ptp(path(made, "pelvis")[:, 1]) < 0.12


def test_in_a_punch_a_fist_goes_to_the_end_of_the_arm() -> None:
    for seed in TAKES:
        made = take("punch", seed=seed)
        reach = []
        for side in BOTH:
            upper, fore = (
                bone(made, f"{side}_{a}", f"{side}_{b}") for a, b in (("shoulder", "elbow"), ("elbow", "wrist"))
            )
            ahead = path(made, f"{side}_shoulder") - path(made, f"{side}_wrist")
            reach.append((np.linalg.norm(ahead, axis=-1) / (upper + fore) * (ahead[:, 2] > 0.3)).max())
        assert max(reach) > 0.9


def test_walking_gets_somewhere_on_alternating_feet() -> None:
    for seed in TAKES:
        made = take("walk", seed=seed)
        pelvis = path(made, "pelvis")
        assert np.linalg.norm(pelvis[-1] - pelvis[0]) > 0.8
        assert min(np.ptp(path(made, f"{side}_ankle")[:, 1]) for side in BOTH) > 0.05


def test_raised_arms_are_both_above_the_head() -> None:
    for seed in TAKES:
        made = take("raise_arms", seed=seed)
        for side in BOTH:
            assert (path(made, f"{side}_hand") - path(made, "head"))[:, 1].max() > 0.05


def test_who_is_idle_moves_less_than_who_acts() -> None:
    moved = {a: np.mean([speeds(take(a, n, n)).mean() for n in range(1, 13)]) for a in CLASSES}
    assert min(moved, key=lambda action: float(moved[action])) == "idle"
    assert np.mean([moved[action] for action in ACTIONS]) > 2 * moved["idle"]


@settings(max_examples=40, deadline=None)
@given(action=st.sampled_from(CLASSES), number=st.integers(0, 500), seed=st.integers(0, 2**32 - 1))
def test_every_take_is_humanly_possible(action: str, number: int, seed: int) -> None:
    person = subject(number, seed % 7)
    made = clip(action, person, np.random.default_rng(seed), sensor=PERFECT)
    assert np.isfinite(made.poses).all()
    assert speeds(made).max() < FASTEST_M_S
    assert made.poses[..., 1].min() > -0.05
    assert 0 < made.poses[..., NTU25.index("head"), 1].max() < person.height_m + 0.7


@settings(max_examples=15, deadline=None)
@given(number=st.integers(0, 50), seed=st.integers(0, 2**32 - 1))
def test_a_long_recording_never_teleports(number: int, seed: int) -> None:
    made = continuous(subject(number, 0), np.random.default_rng(seed), seconds=40, sensor=PERFECT)
    assert speeds(made).max() < FASTEST_M_S
    jolt = np.abs(np.diff(made.poses, n=2, axis=1)).max()
    assert jolt < 0.4
    # Walking leads away and back, never out of the room.
    assert np.linalg.norm(path(made, "pelvis")[:, [0, 2]] - [0, 3], axis=-1).max() < 4.0


@pytest.mark.parametrize("seed", range(5))
def test_spans_lie_inside_in_order_and_apart(seed: int) -> None:
    made = continuous(subject(seed, 0), np.random.default_rng(seed), seconds=60)
    assert len(made.spans) >= 4
    assert made.label is None
    end_s = 0.0
    for span in made.spans:
        assert span.label in ACTIONS
        assert end_s + 1.4 < span.start_s < span.end_s <= made.times_s[-1]
        end_s = span.end_s


def test_there_is_more_motion_inside_spans_than_between_them() -> None:
    for seed in range(5):
        made = continuous(subject(seed, 0), np.random.default_rng(seed), seconds=90, sensor=PERFECT)
        moved = (speeds(made)[0] ** 2).mean(axis=-1)  # (T - 1,)
        inside = np.zeros(len(moved), dtype=bool)
        for span in made.spans:
            inside |= (made.times_s[1:] > span.start_s) & (made.times_s[1:] < span.end_s)
        assert moved[inside].mean() > 2 * moved[~inside].mean()


def test_actions_are_done_in_the_order_that_was_asked_for() -> None:
    asked = ["sit_down", "walk", "walk", "wave"]
    made = continuous(subject(1, 0), np.random.default_rng(0), actions=asked)
    assert [span.label for span in made.spans] == asked
    assert made.times_s[-1] > made.spans[-1].end_s + 1.0


def test_seconds_are_kept() -> None:
    made = continuous(subject(1, 0), np.random.default_rng(0), seconds=30, fps=15)
    assert made.poses.shape[1] == 30 * 15


def test_who_sat_down_stands_again_for_the_next_action() -> None:
    made = continuous(subject(1, 0), np.random.default_rng(1), actions=["sit_down", "wave"], sensor=PERFECT)
    pelvis = path(made, "pelvis")[:, 1]
    at = np.searchsorted(made.times_s, [made.spans[0].start_s, made.spans[0].end_s, made.spans[1].start_s])
    assert pelvis[at[0]] - pelvis[at[1]] > 0.25
    assert pelvis[at[2]] == pytest.approx(pelvis[at[0]], abs=0.05)


def test_a_crowd_stands_apart_and_each_acts_alone() -> None:
    people = [subject(1, 0), subject(2, 0)]
    scene = crowd(people, np.random.default_rng(3), seconds=40, sensor=PERFECT)
    poses = scene.recording.poses
    assert poses.shape == (2, 40 * 30, 25, 3)
    assert scene.recording.spans == ()
    gap = np.linalg.norm(poses[0, :, NTU25.root] - poses[1, :, NTU25.root], axis=-1)
    assert gap.min() > 0.6
    assert poses[0, 0, NTU25.root, 0] > poses[1, 0, NTU25.root, 0]
    assert scene.spans[0] != scene.spans[1]
    moved = (speeds(scene.recording) ** 2).mean(axis=-1)  # (M, T - 1)
    for person, spans in enumerate(scene.spans):
        assert len(spans) >= 3
        assert "walk" not in {span.label for span in spans}
        inside = np.zeros(moved.shape[1], dtype=bool)
        for span in spans:
            inside |= (scene.recording.times_s[1:] > span.start_s) & (scene.recording.times_s[1:] < span.end_s)
        assert moved[person, inside].mean() > 1.5 * moved[person, ~inside].mean()


def test_an_empty_crowd_is_refused() -> None:
    with pytest.raises(ConfigError, match="people"):
        crowd([], np.random.default_rng(0))


def test_lost_joints_are_absent_never_zero() -> None:
    sensor = replace(Sensor(), lost_per_s=0.5, limb_lost_per_s=0.5)
    made = take("wave", 1, 0, sensor=sensor)
    lost = ~made.present
    assert 0.02 < lost.mean() < 0.6
    assert (np.isnan(made.poses).all(axis=-1) == lost).all()
    assert not (made.poses == 0).any()
    assert take("wave").present.all()


def test_a_limb_is_lost_as_a_whole() -> None:
    made = take("wave", 1, 0, sensor=replace(PERFECT, limb_lost_per_s=2.0))
    lost = ~made.present[0]
    assert lost.any()
    arm = [NTU25.index(f"left_{part}") for part in ("elbow", "wrist", "hand", "hand_tip", "thumb")]
    assert (lost[:, arm].all(axis=1) == lost[:, arm].any(axis=1)).all()
    assert not lost[:, NTU25.index("pelvis")].any()


def test_noise_has_the_size_that_was_asked_for_and_more_of_it_in_depth() -> None:
    person, clean = subject(1, 0), replace(PERFECT, noise_m=1e-9)
    noisy = clip("idle", person, np.random.default_rng(1), sensor=replace(PERFECT, noise_m=0.02))
    exact = clip("idle", person, np.random.default_rng(1), sensor=clean)
    error = (noisy.poses - exact.poses)[0, :, NTU25.index("spine")]
    assert error[:, 0].std() == pytest.approx(0.02, rel=0.3)
    assert error[:, 2].std() == pytest.approx(0.036, rel=0.3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise_m": -0.01},
        {"height_m": (2.0, 1.0)},
        {"lost_s": float("nan")},
        {"yaw_deg": 200.0},
        {"distance_m": (1.0, float("inf"))},
    ],
)
def test_a_sensor_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"got"):
        replace(Sensor(), **wrong)


@pytest.mark.parametrize("wrong", [{"number": -1}, {"height_m": 17.2}, {"tempo": 0.0}, {"slouch": float("nan")}])
def test_a_subject_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        replace(subject(1, 0), **wrong)


def test_an_impossible_action_is_refused() -> None:
    person, rng = subject(1, 0), np.random.default_rng(0)
    with pytest.raises(ConfigError, match="'fly'"):
        clip("fly", person, rng)
    with pytest.raises(ConfigError, match="'idle'"):
        continuous(person, rng, actions=["idle"])
    with pytest.raises(ConfigError, match="fps"):
        clip("wave", person, rng, fps=0)
    with pytest.raises(ConfigError, match="takes"):
        next(corpus(takes=0))
    with pytest.raises(ConfigError, match="seconds"):
        continuous(person, rng, seconds=0)
    with pytest.raises(ConfigError, match="idle_s"):
        continuous(person, rng, idle_s=(3.0, 1.0))


def test_the_terms_of_the_corpus_name_no_recorded_person() -> None:
    assert synthetic.DATASET == "synthetic"
    assert "synthetic" in synthetic.TERMS
    assert len(ACTIONS) == 12
    assert (*ACTIONS, "idle") == CLASSES
