"""Angles worked by hand, ranges of motion that must be seen, and repetitions that are counted once."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.data.readers import ui_prmd
from amr_edge.errors import CardError, ClipError, ConfigError
from amr_edge.kinematics import (
    FEATURES,
    MEASURES,
    RULES,
    SIDED,
    WHOLE,
    Bound,
    CycleCounter,
    Gate,
    Quality,
    Rule,
    angles,
    apply_gate,
    count_repetitions,
    measure_movement,
    qualities_of,
    rep_features,
    repetitions,
    rules_of,
    shows,
    standing,
)
from amr_edge.preprocess import PrepareConfig, prepare
from amr_edge.skeleton import CANONICAL15, layout, remap

AT = {joint: index for index, joint in enumerate(CANONICAL15.joints)}
CLASSES = (*RULES, "none")


def way(forward: float = 0.0, sideways: float = 0.0) -> np.ndarray:
    """A limb's direction from straight down: so many degrees forward or to the left."""
    f, s = np.radians(forward), np.radians(sideways)
    return np.array([np.sin(s), -np.cos(s) * np.cos(f), np.cos(s) * np.sin(f)])


def posed(
    *,
    thigh: tuple[float, float] = (0, 0),
    knee: tuple[float, float] = (0, 0),
    apart: tuple[float, float] = (0, 0),
    arm: tuple[float, float] = (0, 0),
    out: tuple[float, float] = (0, 0),
    elbow: tuple[float, float] = (0, 0),
    lean: float = 0.0,
) -> np.ndarray:
    """(15, 3): degrees of (left, right); `apart` and `out` are legs and arms to the side, `elbow` bends forward."""
    pose = standing().astype(np.float64)
    tilt = np.array([0, np.cos(np.radians(lean)), np.sin(np.radians(lean))])
    pose[AT["mid_shoulder"]] = pose[AT["mid_hip"]] + 0.5 * tilt
    pose[AT["head"]] = pose[AT["mid_shoulder"]] + 0.2 * tilt
    for at, (side, outward) in enumerate((("left", 1.0), ("right", -1.0))):
        shoulder = pose[AT["mid_shoulder"]] + [0.16 * outward, 0, 0]
        upper, bend = way(arm[at], outward * out[at]), np.radians(elbow[at])
        across = np.array([0.0, 0.0, 1.0]) - upper[2] * upper
        elbow_at = shoulder + 0.26 * upper
        hip = pose[AT[f"{side}_hip"]]
        knee_at = hip + 0.375 * way(thigh[at], outward * apart[at])
        pose[AT[f"{side}_shoulder"]], pose[AT[f"{side}_elbow"]] = shoulder, elbow_at
        pose[AT[f"{side}_wrist"]] = elbow_at + 0.235 * (
            np.cos(bend) * upper + np.sin(bend) * across / np.linalg.norm(across)
        )
        pose[AT[f"{side}_knee"]] = knee_at
        pose[AT[f"{side}_ankle"]] = knee_at + 0.375 * way(thigh[at] - knee[at], outward * apart[at])
    return pose.astype(np.float32)


def measured(pose: np.ndarray) -> dict[str, list[float]]:
    return {name: np.atleast_1d(values[0]).round(2).tolist() for name, values in angles(pose[None]).items()}


def bells(depth: float, count: int, frames: int = 30, rest: int = 15) -> np.ndarray:
    """(T,) from 0 to `depth` and back, `count` times, with rests before, between and after."""
    bell = depth * (1 - np.cos(2 * np.pi * np.arange(frames) / frames)) / 2
    return np.concatenate([np.zeros(rest), *([np.concatenate([bell, np.zeros(rest)])] * count)])


def squats(depth: float = 100.0, count: int = 1) -> np.ndarray:
    """(T, 15, 3) at 15 frames a second."""
    return np.stack([posed(knee=(k, k), thigh=(0.6 * k, 0.6 * k), lean=0.3 * k) for k in bells(depth, count)])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"knee": (90, 20)}, {"knee flexion": [90, 20], "hip flexion": [0, 0], "thigh elevation": [0, 0]}),
        (
            {"thigh": (70, 0), "knee": (70, 0)},
            {"thigh forward": [70, 0], "thigh elevation": [70, 0], "hip flexion": [70, 0], "thigh sideways": [0, 0]},
        ),
        ({"thigh": (0, -30)}, {"thigh forward": [0, -30], "thigh elevation": [0, 30], "knee flexion": [0, 0]}),
        ({"apart": (0, 40)}, {"thigh sideways": [0, 40], "thigh elevation": [0, 40], "thigh forward": [0, 0]}),
        ({"lean": 30}, {"trunk lean": [30], "hip flexion": [30, 30], "trunk sideways": [0], "arm elevation": [0, 0]}),
        ({"out": (90, 0)}, {"arm elevation": [90, 0], "arm sideways": [90, 0], "arm forward": [0, 0]}),
        ({"arm": (0, 80)}, {"arm elevation": [0, 80], "arm forward": [0, 80], "arm backward": [0, -80]}),
        ({"arm": (-40, 0)}, {"arm backward": [40, 0], "arm elevation": [40, 0]}),
        ({"out": (160, 160)}, {"arm elevation": [160, 160]}),
        ({"elbow": (0, 110)}, {"elbow flexion": [0, 110], "arm elevation": [0, 0]}),
        # Feet a leg's sine apart: 2 * 0.75 sin 30 beside the hips' own 0.2, in widths of 0.2.
        ({"apart": (30, 30)}, {"stance width": [(0.75 + 0.2) / 0.2], "knees width": [(0.375 + 0.2) / 0.2]}),
        ({"thigh": (30, -30)}, {"stance depth": [0.75 / 0.2], "stance width": [1], "feet apart": [np.hypot(3.75, 1)]}),
    ],
)
def test_an_angle_is_what_a_goniometer_would_say(
    how: dict[str, tuple[float, float]], expected: dict[str, list[float]]
) -> None:
    found = measured(posed(**how))  # type: ignore[arg-type]
    assert {name: found[name] for name in expected} == {
        name: pytest.approx(values, abs=0.02) for name, values in expected.items()
    }


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("hangs", [True, False])
def test_a_forearm_turns_outward_from_a_hanging_arm_and_upward_from_one_held_out(side: str, hangs: bool) -> None:
    outward = np.float32([1 if side == "left" else -1, 0, 0])
    ahead, up = np.float32([0, 0, 1]), np.float32([0, 1, 0])
    upper, turned = (-up, outward) if hangs else (outward, up)
    for degrees in (-60.0, 0.0, 80.0):
        pose = standing()
        pose[AT[f"{side}_elbow"]] = pose[AT[f"{side}_shoulder"]] + 0.26 * upper
        pose[AT[f"{side}_wrist"]] = pose[AT[f"{side}_elbow"]] + 0.2 * (
            np.cos(np.radians(degrees)) * ahead + np.sin(np.radians(degrees)) * turned
        )
        here, other = ("left", "right") if side == "left" else ("right", "left")
        found = dict(
            zip((here, other), measured(pose)["forearm rotation"][:: 1 if side == "left" else -1], strict=True)
        )
        assert found[side] == pytest.approx(degrees, abs=0.1)
        assert np.isnan(found[other])  # a straight arm shows none


A_POSE = st.fixed_dictionaries(
    {
        name: st.tuples(st.floats(low, high), st.floats(low, high))
        for name, low, high in (
            ("thigh", -30, 80),
            ("knee", 5, 120),
            ("apart", 0, 40),
            ("arm", -40, 60),
            ("elbow", 30, 130),
        )
    }
)


@given(
    how=A_POSE,
    lean=st.floats(0, 60),
    turn=st.floats(-3.1, 3.1),
    sizes=st.lists(st.floats(0.5, 2), min_size=15, max_size=15),
)
@settings(deadline=None, max_examples=25)
def test_no_angle_knows_where_somebody_stands_faces_or_how_long_their_bones_are(
    how: dict[str, tuple[float, float]], lean: float, turn: float, sizes: list[float]
) -> None:
    pose = posed(**how, lean=lean)  # type: ignore[arg-type]
    other = np.zeros_like(pose)
    for joint, parent in enumerate(CANONICAL15.parents):
        if parent >= 0:
            # Both sides alike: a body whose left hip is longer would face elsewhere.
            size = sizes[min(joint, CANONICAL15.mirror[joint])]
            other[joint] = other[parent] + size * (pose[joint] - pose[parent])
    cos, sin = np.cos(turn), np.sin(turn)
    other = other @ np.float32([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]) + np.float32([3, -1, 7])
    expected, found = angles(pose[None]), angles(other[None])
    for name in MEASURES:
        np.testing.assert_allclose(found[name], expected[name], atol=0.5, err_msg=name)


@given(how=A_POSE, lean=st.floats(0, 60))
@settings(deadline=None, max_examples=15)
def test_a_mirror_swaps_the_sides_and_nothing_else(how: dict[str, tuple[float, float]], lean: float) -> None:
    pose = posed(**how, lean=lean)  # type: ignore[arg-type]
    mirrored = (pose * np.float32([-1, 1, 1]))[list(CANONICAL15.mirror)]
    expected, found = angles(pose[None]), angles(mirrored[None])
    for name in SIDED:
        np.testing.assert_allclose(found[name][:, ::-1], expected[name], atol=0.3, err_msg=name)
    for name in WHOLE:
        np.testing.assert_allclose(found[name], expected[name], atol=0.3, err_msg=name)
    times_s = np.arange(3.0)
    np.testing.assert_allclose(
        rep_features(np.stack([mirrored, pose, mirrored]), times_s),
        rep_features(np.stack([pose, mirrored, pose]), times_s),
        atol=0.5,
    )


def test_an_absent_joint_hides_what_needs_it_and_nothing_else() -> None:
    pose = posed(knee=(30, 40), elbow=(50, 60))
    pose[AT["left_ankle"]] = np.nan
    found = measured(pose)
    assert np.isnan(found["knee flexion"][0])
    assert found["knee flexion"][1] == pytest.approx(40, abs=0.01)
    assert found["elbow flexion"] == pytest.approx([50, 60], abs=0.01)
    pose[:] = np.nan
    assert all(np.isnan(values).all() for values in measured(pose).values())


def test_poses_of_another_layout_are_refused() -> None:
    with pytest.raises(ClipError, match=r"\(T, 15, 3\).*\(4, 25, 3\)"):
        angles(np.zeros((4, 25, 3), np.float32))


def test_the_clip_of_a_model_shows_the_angles_that_the_sensor_saw() -> None:
    poses = squats()
    times_s = np.arange(len(poses)) / 15
    config = PrepareConfig(layout="canonical15", frames=len(poses), window_s=4.2, view="body", bones="unit")
    clip = prepare(poses[None] * 2 + 1, times_s, CANONICAL15, config)
    expected, found = angles(poses), angles(clip.values[0])
    for name in ("knee flexion", "hip flexion", "thigh elevation", "trunk lean", "arm elevation", "stance width"):
        np.testing.assert_allclose(found[name], expected[name], atol=0.3, err_msg=name)


# --- rules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"measure": "elbow wisdom"},
        {"sides": "left"},
        {"measure": "trunk lean", "sides": "either"},
        {"least_travel": 0},
        {"least_travel": float("nan")},
        {"least_travel": True},
        {"least_peak": float("inf")},
        {"least_peak": "45"},
        {"rest": "high"},
        {"back": 1.0},
        {"back": "half"},
        {"at_peak": [Bound(measure="trunk lean", most=1)]},
        {"at_peak": ({"measure": "trunk lean", "most": 1},)},
    ],
)
def test_a_rule_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Rule(**{"measure": "knee flexion", "least_travel": 35, "least_peak": 45, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"least": 5, "most": 4}, {"most": float("nan")}, {"most": 1, "side": "left"}, {"measure": "x", "most": 1}],
)
def test_a_bound_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Bound(**{"measure": "elbow flexion", **wrong})  # type: ignore[arg-type]


def test_every_rule_comes_back_from_a_card_as_it_went_in() -> None:
    card = Card(
        name="r", kind="classifier", prepare=PrepareConfig(layout="canonical15"), classes=CLASSES, none_class="none",
        rules={name: rule.to_json() for name, rule in RULES.items()},
    )  # fmt: skip
    again = Card.from_json(card.to_json(), "here")
    assert rules_of(again) == {CLASSES.index(name): rule for name, rule in RULES.items()}


PLAIN = {"measure": "knee flexion", "least_travel": 1, "least_peak": 1}


@pytest.mark.parametrize(
    "wrong", [[], {}, {"measure": "knee flexion"}, {**PLAIN, "at_peak": 3}, {**PLAIN, "colour": "red"}]
)
def test_a_broken_rule_in_a_card_is_refused_by_the_models_name(wrong: object) -> None:
    card = Card(
        name="broken", kind="classifier", prepare=PrepareConfig(layout="canonical15"), classes=CLASSES,
        rules={"squat": wrong},
    )  # fmt: skip
    with pytest.raises(CardError, match=r"broken.*squat"):
        rules_of(card)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rules": {"yoga": RULES["squat"].to_json()}}, "yoga"),
        ({"rules": {"none": RULES["squat"].to_json()}}, "none"),
        ({"persons": 2}, "2 people"),
        ({"units": "px"}, "px"),
        ({"prepare": PrepareConfig(layout="canonical15", stream="bone")}, "bone"),
        ({"quality": {"squat": {}}}, "quality of 'squat'"),
        ({"quality": {"leg raise": {}}}, "needs both"),
    ],
)
def test_rules_and_qualities_that_no_model_could_keep_are_refused(changes: dict[str, object], says: str) -> None:
    good: dict[str, object] = {
        "name": "m", "kind": "classifier", "prepare": PrepareConfig(layout="canonical15"), "classes": CLASSES,
        "none_class": "none", "rules": {"squat": RULES["squat"].to_json()},
    }  # fmt: skip
    card = Card(**{**good, **changes})  # type: ignore[arg-type]
    with pytest.raises(CardError, match=says):
        qualities_of(card) if rules_of(card) else None


def test_a_squat_shows_a_squat_and_standing_half_a_squat_and_one_leg_do_not() -> None:
    assert shows(RULES["squat"], squats())
    assert measure_movement(RULES["squat"], squats()).peak == pytest.approx(100, abs=1.5)
    assert not shows(RULES["squat"], squats(depth=0))
    assert not shows(RULES["squat"], squats(depth=30))
    one = np.stack([posed(knee=(k, 0), thigh=(k, 0)) for k in bells(100, 1)])
    assert not shows(RULES["squat"], one)
    assert shows(RULES["hurdle step"], one)
    assert not shows(RULES["hurdle step"], squats())  # the other knee must be straight


def test_somebody_who_stays_down_moves_no_more() -> None:
    down = squats()[30:31].repeat(60, axis=0)
    assert measure_movement(RULES["squat"], down).peak > 80
    assert not shows(RULES["squat"], down)


def test_one_wild_frame_is_no_movement() -> None:
    poses = squats(depth=0)
    poses[20] = squats()[30]
    assert not shows(RULES["squat"], poses)


def test_a_bent_elbow_is_no_arm_raise_but_one_that_nobody_sees_may_be() -> None:
    def raised(elbow: float) -> np.ndarray:
        return np.stack([posed(out=(a, 0), elbow=(elbow, elbow)) for a in bells(120, 1)])

    assert shows(RULES["arm raise"], raised(10))
    assert not shows(RULES["arm raise"], raised(90))
    unseen = raised(90)
    unseen[:, AT["left_wrist"]] = np.nan
    assert shows(RULES["arm raise"], unseen)
    unseen[:, AT["left_elbow"]] = np.nan
    assert not shows(RULES["arm raise"], unseen)  # the arm that moved is not seen any more


def test_a_bound_holds_for_the_side_that_moves_or_for_the_other_one() -> None:
    poses = np.stack([posed(thigh=(0, a), knee=(60, 10)) for a in bells(70, 1)])
    rule = replace(RULES["leg raise"], at_peak=())
    assert measure_movement(replace(rule, at_peak=(Bound(measure="knee flexion", most=0),)), poses).at_peak[0][1] < 15
    other = Bound(measure="knee flexion", side="other", most=0)
    assert measure_movement(replace(rule, at_peak=(other,)), poses).at_peak[0][0] == pytest.approx(60, abs=0.1)
    both = replace(RULES["squat"], least_travel=1, at_peak=(Bound(measure="knee flexion", most=0),))
    assert measure_movement(both, poses).at_peak[0] == pytest.approx((10, 60), abs=0.1)


def test_nothing_is_shown_by_nobody() -> None:
    nobody = np.full((10, 15, 3), np.nan, np.float32)
    for rule in RULES.values():
        assert not shows(rule, nobody)
        assert count_repetitions(rule, nobody, np.arange(10.0)) == ()


# --- repetitions -----------------------------------------------------------------------------------------------


@given(
    reps=st.lists(
        st.tuples(st.floats(50, 130), st.floats(0.8, 6), st.floats(0, 4), st.floats(0, 6)), min_size=0, max_size=8
    ),
    fps=st.sampled_from([10.0, 15.0, 30.0, 100.0]),
    noise=st.floats(0, 6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=30)
def test_every_full_repetition_counts_once_whatever_its_depth_tempo_and_pauses(
    reps: list[tuple[float, float, float, float]], fps: float, noise: float, seed: int
) -> None:
    parts = [np.zeros(int(fps))]
    for depth, move_s, hold_s, rest_s in reps:
        half = depth * (1 - np.cos(np.pi * np.arange(round(move_s * fps / 2)) / round(move_s * fps / 2))) / 2
        parts += [half, np.full(round(hold_s * fps) + 1, depth), half[::-1], np.zeros(round(rest_s * fps) + 1)]
    angle = np.concatenate([*parts, np.zeros(int(fps))])
    angle += np.random.default_rng(seed).uniform(-noise, noise, len(angle))
    times_s = np.arange(len(angle)) / fps
    found = repetitions(angle, times_s, travel=35, peak=40)
    assert len(found) == len(reps)
    assert all(one.end_s <= two.start_s + 1e-9 for one, two in pairwise(found))
    for cycle, (depth, *_) in zip(found, reps, strict=True):
        assert cycle.peak == pytest.approx(depth, abs=2 * noise + 0.2 * depth)
        assert cycle.start_s < cycle.end_s


@pytest.mark.parametrize(
    ("angle", "count"),
    [
        (np.zeros(50), 0),
        (bells(30, 3), 0),  # not far enough
        (np.concatenate([np.linspace(0, 100, 30), np.full(30, 100.0)]), 0),  # never back
        (np.concatenate([bells(100, 1), np.linspace(0, 100, 20)]), 1),  # the second one is not over
        (np.linspace(100, 0, 30), 0),  # began at the far end
        (np.where(np.arange(60) % 20 == 10, 120.0, 0.0), 0),  # single wild frames
        (np.where(np.arange(90) % 3 == 0, np.nan, bells(100, 2, rest=10)[:90]), 2),  # seen two frames in three
        # Down, a bounce at the bottom of a third of the way, up: one.
        (np.interp(np.arange(60), [0, 20, 28, 36, 56, 60], [0, 110, 70, 110, 0, 0]), 1),
        # A split stance: the knee rests at 45 after standing, and counting goes on from there.
        (np.concatenate([np.zeros(15), 45 + bells(45, 4)]), 3),
    ],
)  # fmt: skip
def test_what_is_no_full_cycle_does_not_count(angle: np.ndarray, count: int) -> None:
    assert len(repetitions(angle, np.arange(len(angle)) / 15, travel=35, peak=40)) == count


def test_a_repetition_begins_when_its_rest_ends() -> None:
    angle = np.concatenate([np.zeros(75), bells(100, 1, rest=0), np.zeros(15)])
    (cycle,) = repetitions(angle, np.arange(len(angle)) / 15, travel=35)
    assert cycle.start_s == pytest.approx(5.2, abs=0.15)
    assert cycle.end_s == pytest.approx(6.6, abs=0.25)


def test_sitting_for_a_minute_between_down_and_up_repeats_nothing() -> None:
    down, up = np.linspace(0, 95, 20), np.linspace(95, 0, 20)
    for seat_s, count in ((5, 1), (60, 0)):
        angle = np.concatenate([np.zeros(10), down, np.full(seat_s * 15, 95.0), up])
        assert len(repetitions(angle, np.arange(len(angle)) / 15, travel=35)) == count


@given(cuts=st.lists(st.integers(0, 200), max_size=5), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_counting_value_by_value_in_pieces_equals_all_at_once(cuts: list[int], seed: int) -> None:
    angle = bells(90, 4) + np.random.default_rng(seed).normal(0, 5, len(bells(90, 4)))
    times_s = np.arange(len(angle)) / 15
    counter = CycleCounter(35, 40)
    found = []
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(angle)], strict=True):
        found += [
            counter.push(t, a) for t, a in zip(times_s[first:last].tolist(), angle[first:last].tolist(), strict=True)
        ]
    assert tuple(cycle for cycle in found if cycle) == repetitions(angle, times_s, 35, 40)


def test_alternating_legs_count_one_each_and_both_arms_together_count_once() -> None:
    wave = bells(80, 3)
    legs = [posed(thigh=(a, 0), knee=(a, 0)) for a in wave] + [posed(thigh=(0, a), knee=(0, a)) for a in wave]
    assert len(count_repetitions(RULES["hurdle step"], np.stack(legs), np.arange(len(legs)) / 15)) == 6
    arms = np.stack([posed(out=(1.4 * a, 1.3 * a)) for a in wave])
    assert len(count_repetitions(RULES["arm raise"], arms, np.arange(len(arms)) / 15)) == 3


def test_a_hand_on_the_hip_hides_nothing_of_the_arm_that_moves() -> None:
    poses = np.stack([posed(arm=(-a, -45), elbow=(0, 90)) for a in bells(50, 3)])  # the right hand rests on the hip
    assert shows(RULES["shoulder extension"], poses)
    assert len(count_repetitions(RULES["shoulder extension"], poses, np.arange(len(poses)) / 15)) == 3


def test_over_the_hurdle_and_back_is_one_step() -> None:
    over = np.interp(np.arange(60), [0, 12, 22, 32, 45, 60], [0, 90, 35, 90, 0, 0])
    poses = np.stack([posed(thigh=(a, 0), knee=(a, 0)) for a in np.tile(over, 3)])
    assert len(count_repetitions(RULES["hurdle step"], poses, np.arange(len(poses)) / 15)) == 3


def test_what_breaks_a_bound_at_its_far_end_does_not_count() -> None:
    for elbow, count in ((10, 3), (100, 0)):
        poses = np.stack([posed(out=(a, 0), elbow=(elbow, elbow)) for a in bells(120, 3)])
        assert len(count_repetitions(RULES["arm raise"], poses, np.arange(len(poses)) / 15)) == count


def test_a_rotation_counts_from_whichever_end_it_begins() -> None:
    def swings(angle: np.ndarray) -> np.ndarray:
        poses = np.stack([posed(elbow=(90, 0))] * len(angle))
        outward = np.float32([1, 0, 0])
        for pose, a in zip(poses, np.radians(angle), strict=True):
            ahead = np.float32([0, 0, 1])
            pose[AT["left_wrist"]] = pose[AT["left_elbow"]] + 0.2 * (np.cos(a) * ahead + np.sin(a) * outward)
        return poses

    rest_in, rest_out = swings(bells(80, 4) - 30), swings(50 - bells(80, 4))
    for poses in (rest_in, rest_out):
        assert len(count_repetitions(RULES["shoulder rotation"], poses, np.arange(len(poses)) / 15)) == 4


@pytest.mark.parametrize(("travel", "peak"), [(0, 0), (-1, 0), (float("nan"), 0), (1, float("nan"))])
def test_counting_what_cannot_be_told_is_refused(travel: float, peak: float) -> None:
    with pytest.raises(ConfigError):
        CycleCounter(travel, peak)
    with pytest.raises(ClipError):
        repetitions(np.zeros(3), np.zeros(2), 1)


# --- the gate --------------------------------------------------------------------------------------------------


def clip_of(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(1, T, V, 3) and (1, T, V) as `prepare` gives them: absent is 0."""
    present = np.isfinite(poses).all(axis=-1)
    return np.where(present[..., None], poses, 0).astype(np.float32)[None], present[None]


def card_of(**changes: object) -> Card:
    plain = Card(
        name="gated", kind="classifier", classes=CLASSES, none_class="none",
        prepare=PrepareConfig(layout="canonical15", frames=64, window_s=4.2),
        rules={name: rule.to_json() for name, rule in RULES.items()},
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def saying(**probs: float) -> np.ndarray:
    out = np.full(len(CLASSES), 0.0, np.float32)
    for name, prob in probs.items():
        out[CLASSES.index(name.replace("_", " "))] = prob
    return out


def test_an_answer_that_the_window_bears_out_stands_as_it_is() -> None:
    probs = saying(squat=0.7, none=0.3)
    verdict = Gate(card_of())(probs, *clip_of(squats()))
    assert verdict.label is None
    assert verdict.probs is probs


def test_what_the_window_does_not_show_goes_to_none() -> None:
    probs = saying(squat=0.7, arm_raise=0.2, none=0.1)
    verdict = Gate(card_of())(probs, *clip_of(squats(depth=5)))
    assert verdict.label == "squat"
    np.testing.assert_allclose(verdict.probs, saying(arm_raise=0.2, none=0.8))
    assert probs[0] == np.float32(0.7)  # the model's own answer is left alone


def test_without_a_none_class_it_is_gone_and_the_next_one_is_judged() -> None:
    card = card_of(none_class=None)
    verdict = Gate(card)(saying(squat=0.7, arm_raise=0.2, none=0.1), *clip_of(squats(depth=5)))
    assert verdict.label == "squat"
    np.testing.assert_allclose(verdict.probs, saying(none=0.1))  # "none" is a class like any other, without a rule
    only = replace(card, classes=CLASSES[:-1])
    verdict = Gate(only)(saying(squat=0.7, arm_raise=0.3)[:-1], *clip_of(squats(depth=5)))
    assert (verdict.label, float(verdict.probs.sum())) == ("squat", 0.0)


def test_a_card_without_rules_has_no_gate_and_a_class_without_one_is_believed() -> None:
    assert not Gate(card_of(rules={}))
    only = card_of(rules={"squat": RULES["squat"].to_json()})
    assert Gate(only)(saying(arm_raise=1.0), *clip_of(squats(depth=0))).label is None


def test_absent_joints_are_absent_to_the_gate_and_not_at_the_origin() -> None:
    poses = squats()
    poses[:, [AT["left_knee"], AT["left_ankle"]]] = np.nan
    assert Gate(card_of())(saying(squat=1.0), *clip_of(poses)).label == "squat"


def test_another_layout_is_judged_by_the_same_angles() -> None:
    ntu = remap(squats(), CANONICAL15, layout("ntu25")).poses
    ntu[:, layout("ntu25").index("pelvis")] = np.nan
    gate = Gate(card_of(prepare=PrepareConfig(layout="ntu25", frames=64, window_s=4.2)))
    assert gate(saying(squat=1.0), *clip_of(ntu)).label is None
    assert gate(saying(squat=1.0), *clip_of(ntu[:5])).label == "squat"


def test_many_answers_are_judged_as_each_of_them() -> None:
    card = card_of()
    probs = np.stack([saying(squat=0.9, none=0.1)] * 2)
    clips = [clip_of(squats()), clip_of(squats(depth=0))]
    found, refused = apply_gate(card, probs, *(np.stack(part) for part in zip(*clips, strict=True)))
    assert list(refused) == [None, "squat"]
    np.testing.assert_allclose(found, np.stack([saying(squat=0.9, none=0.1), saying(none=1.0)]))
    assert (
        apply_gate(replace(card, rules={}), probs, *(np.stack(part) for part in zip(*clips, strict=True)))[0] is probs
    )
    assert (
        apply_gate(card, probs[:0], np.zeros((0, 1, 64, 15, 3), np.float32), np.zeros((0, 1, 64, 15), np.bool_))[1]
        == []
    )


# --- executions ------------------------------------------------------------------------------------------------


def test_a_repetitions_features_are_what_was_done() -> None:
    poses, times_s = squats(depth=90), np.arange(len(squats())) / 15
    found = dict(zip(FEATURES, rep_features(poses, times_s), strict=True))
    assert len(found) == len(FEATURES)
    assert found["knee flexion peak"] == pytest.approx(90, abs=1.5)
    assert found["knee flexion travel"] == pytest.approx(90, abs=1.5)
    assert found["knee flexion unevenness"] == pytest.approx(0, abs=0.1)
    assert found["trunk lean peak"] == pytest.approx(27, abs=0.5)
    assert found["duration s"] == pytest.approx(times_s[-1])
    assert found["jerkiness"] == pytest.approx(1, abs=0.05)  # straight there and straight back
    assert np.isnan(found["forearm rotation peak"])
    bounced = np.stack(
        [posed(knee=(k, k)) for k in np.interp(np.arange(60), [0, 20, 30, 40, 60], [0, 110, 55, 110, 0])]
    )
    times_s = np.arange(60) / 15
    assert dict(zip(FEATURES, rep_features(bounced, times_s), strict=True))["jerkiness"] == pytest.approx(1.4, abs=0.05)


def test_a_linear_guess_is_worked_by_hand_and_comes_back_from_json() -> None:
    judge = Quality(
        features=("knee flexion peak", "trunk lean peak"),
        mean=(90.0, 20.0),
        scale=(10.0, 5.0),
        weights=(1.0, -2.0),
        bias=0.5,
    )
    found = np.full(len(FEATURES), np.nan)
    found[FEATURES.index("knee flexion peak")] = 105.0  # 1.5 spreads above; the lean is not known
    assert judge.prob(found) == pytest.approx(1 / (1 + np.exp(-2.0)))
    found[FEATURES.index("trunk lean peak")] = 30.0  # 2 spreads above
    assert judge.prob(found) == pytest.approx(1 / (1 + np.exp(2.0)))
    found[FEATURES.index("trunk lean peak")] = 1e9
    assert judge.prob(found) == pytest.approx(0, abs=1e-9)
    assert Quality.from_json(judge.to_json()) == judge


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": []}, {"features": ["charm"]}, {"mean": [1.0, 2.0]}, {"scale": [0.0]}, {"weights": [float("nan")]},
        {"bias": None}, {"mean": "1"}, {"colour": 1},
    ],
)  # fmt: skip
def test_a_guess_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    good = {"features": ["trunk lean peak"], "mean": [1.0], "scale": [1.0], "weights": [1.0], "bias": 0.0}
    assert Quality.from_json(good)
    with pytest.raises(ConfigError):
        Quality.from_json({**good, **wrong})


# --- the real recordings ---------------------------------------------------------------------------------------


@pytest.mark.data
def test_ten_real_repetitions_are_counted_as_ten(real_data: Path) -> None:
    kinds: tuple[str, ...] = (
        "squat", "hurdle step", "inline lunge", "side lunge", "squat", "leg raise", "arm raise", "shoulder extension",
        "shoulder rotation", "arm raise",
    )  # fmt: skip
    room = next((real_data / "ui_prmd").rglob("Segmented Movements/Kinect/Positions"))
    for movement, kind in enumerate(kinds, start=1):
        for subject in (2, 9):
            files = [
                room / f"m{movement:02d}_s{subject:02d}_e{episode:02d}_positions.txt.gz" for episode in range(1, 11)
            ]
            seen = np.concatenate([next(ui_prmd.read(path)).poses[0] for path in files])
            poses = remap(seen, layout("ui_prmd22"), CANONICAL15).poses
            found = count_repetitions(RULES[kind], poses, np.arange(len(poses)) / 30)
            assert len(found) == 10, (kind, movement, subject)
            assert shows(RULES[kind], poses[::2])
