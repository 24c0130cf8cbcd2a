from dataclasses import replace

import numpy as np
import pytest

from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError
from amr_edge.kinematics import RULES, shows
from amr_edge.skeleton import NTU25, layout, remap
from amr_edge.synthetic import DOINGS, EXERCISES, Sensor, exercise, life, subject
from amr_edge.synthetic.body import bones
from amr_edge.synthetic.choreography import arm, leg, sink
from amr_edge.synthetic.exercises import LUNGE_KNEE_DEG, SIDE_LUNGE_KNEE_DEG, SQUAT_KNEE_DEG

BOTH = ("left", "right")
LOW = frozenset({"jump", "hop", "tie a shoe", "fall"})  # of life: where both knees may bend beyond 60 degrees
SWAY_DEG = 9.0  # what sway and the tilt of the pelvis add to an angle


def made(name: str, seed: int, reps: int = 2) -> Recording:
    return exercise(name, subject(seed + 1, 0), np.random.default_rng(seed), reps=reps)


def path(recording: Recording, joint: str) -> np.ndarray:
    """(T, 3) of one joint."""
    return recording.poses[0, :, NTU25.index(joint)].astype(np.float64)


def bend(recording: Recording, upper: str, middle: str, lower: str) -> np.ndarray:
    """(T,) degrees by which two bones are not in line."""
    a, b = path(recording, middle) - path(recording, upper), path(recording, lower) - path(recording, middle)
    cosine = (a * b).sum(axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def knees(recording: Recording) -> np.ndarray:
    """(2, T) degrees, left and right."""
    return np.stack([bend(recording, f"{side}_hip", f"{side}_knee", f"{side}_ankle") for side in BOTH])


def elbows(recording: Recording) -> np.ndarray:
    """(2, T) degrees."""
    return np.stack([bend(recording, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist") for side in BOTH])


def raised(recording: Recording, start: str, end: str) -> np.ndarray:
    """(2, T) degrees of a limb of each side from hanging."""
    lines = np.stack([path(recording, f"{side}_{end}") - path(recording, f"{side}_{start}") for side in BOTH])
    return np.degrees(np.arccos(np.clip(-lines[..., 1] / np.linalg.norm(lines, axis=-1), -1, 1)))


def within(recording: Recording) -> np.ndarray:
    """(T,) True inside the repetitions."""
    inside = np.zeros(len(recording.times_s), dtype=np.bool_)
    for span in recording.spans:
        inside |= (recording.times_s >= span.start_s) & (recording.times_s <= span.end_s)
    return inside


def sets(name: str, variant: str, wanted: int = 3) -> list[Recording]:
    """The first few sets whose source says `variant`."""
    found = []
    for seed in range(60):
        recording = made(name, seed)
        if variant in recording.source:
            found.append(recording)
        if len(found) == wanted:
            break
    assert len(found) == wanted, f"no {variant} among 60 sets of {name}"
    return found


def test_a_level_thigh_on_an_upright_shin_is_half_a_leg_down_and_half_a_leg_back() -> None:
    b = bones(subject(1, 0))
    down, back = sink(b, np.pi / 2, 0.0)
    assert down == pytest.approx(0.496 * b.leg)
    assert back == pytest.approx(0.5 * b.leg)


def test_a_thigh_at_right_angles_with_a_hanging_shin_puts_the_ankle_half_a_turn_ahead() -> None:
    _, forward, _, reach = leg(np.pi / 2, np.pi / 2)
    assert forward == pytest.approx(np.pi / 4)
    assert reach == pytest.approx(np.sqrt(0.5))


def test_an_arm_raised_by_ninety_degrees_to_the_side_is_level() -> None:
    assert arm(np.pi / 2, 0.0, 1.0) == pytest.approx((1.0, 0.0, 0.0))
    assert arm(0.0, 1.2, 1.0) == pytest.approx((0.0, -1.0, 0.0))


@pytest.mark.parametrize("name", EXERCISES)
def test_a_set_has_one_span_for_each_repetition_and_stands_before_and_after(name: str) -> None:
    recording = made(name, 1, reps=3)
    assert [span.label for span in recording.spans] == [name] * 3
    assert recording.label is None
    edges = [0.0, *(time for span in recording.spans for time in span[:2]), recording.duration_s]
    assert np.all(np.diff(edges) >= -1e-9)
    assert recording.spans[0].start_s > 0.2
    assert recording.spans[-1].end_s < recording.duration_s


@pytest.mark.parametrize("name", EXERCISES)
def test_the_same_seed_makes_the_same_set_and_another_seed_another(name: str) -> None:
    first, again, other = made(name, 2), made(name, 2), made(name, 3)
    np.testing.assert_array_equal(first.poses, again.poses)
    assert first.spans == again.spans
    assert first.spans != other.spans


@pytest.mark.parametrize("name", EXERCISES)
def test_repetitions_are_what_the_rules_of_movement_ask_for(name: str) -> None:
    shown = []
    for seed in range(4):
        recording = exercise(name, subject(seed, 2), np.random.default_rng(seed), reps=2, fps=15.0)
        poses = remap(recording.poses, NTU25, layout("canonical15")).poses[0]
        for span in recording.spans:
            inside = slice(*np.searchsorted(recording.times_s, [span.start_s - 0.3, span.end_s + 0.3]))
            shown.append(shows(RULES[name], poses[inside]))
    assert np.mean(shown) >= 0.75


@pytest.mark.parametrize("name", EXERCISES)
def test_bones_keep_their_length_and_stay_above_the_floor(name: str) -> None:
    poses = made(name, 4, reps=1).poses[0].astype(np.float64)
    for parent, child in NTU25.bones:
        assert np.ptp(np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1)) < 1e-5
    assert poses[..., 1].min() > -0.01


def test_both_knees_of_a_squat_bend_as_far_as_was_asked_for_over_planted_feet() -> None:
    for recording in sets("squat", "#squat"):
        lowest = knees(recording).max(axis=1)
        assert (lowest > SQUAT_KNEE_DEG[0] * 0.92 - SWAY_DEG).all()
        assert (lowest < SQUAT_KNEE_DEG[1] + SWAY_DEG).all()
        assert abs(lowest[0] - lowest[1]) < 15
        for side in BOTH:
            ankle = path(recording, f"{side}_ankle")
            assert np.linalg.norm(ankle - ankle[0], axis=-1).max() < 0.03


def test_knees_bend_only_within_the_spans_of_a_squat() -> None:
    for recording in sets("squat", "#squat"):
        assert knees(recording)[:, ~within(recording)].max() < 45


def test_who_sits_has_level_thighs_and_who_stands_up_has_long_legs() -> None:
    for recording in sets("squat", "sit to stand"):
        thighs = raised(recording, "hip", "knee").mean(axis=0)
        assert 60 < thighs.max() < 108
        assert thighs.min() < 20
        assert path(recording, "left_ankle")[:, 1].max() < 0.12


def test_a_hurdle_step_lifts_one_thigh_and_stands_on_the_other_leg() -> None:
    for seed in range(3):
        recording = made("hurdle step", seed, reps=1)
        thighs = raised(recording, "hip", "knee").max(axis=1)
        assert thighs.max() > 45
        assert thighs.min() < 35
        standing = BOTH[int(thighs.argmin())]
        ankle = path(recording, f"{standing}_ankle")
        assert np.linalg.norm(ankle - ankle[0], axis=-1).max() < 0.03


@pytest.mark.parametrize("way", ["split", "forward", "reverse", "walking"])
def test_a_lunge_bends_both_knees_over_feet_that_are_far_apart_and_keeps_the_trunk_up(way: str) -> None:
    for recording in sets("inline lunge", f"lunge {way}", 2):
        lowest = path(recording, "pelvis")[:, 1].argmin()
        both = knees(recording)[:, lowest]
        assert both.max() > LUNGE_KNEE_DEG[0] * 0.92 - SWAY_DEG
        assert both.min() > 45
        feet = path(recording, "left_ankle")[lowest] - path(recording, "right_ankle")[lowest]
        assert np.hypot(feet[0], feet[2]) > 0.4
        trunk = path(recording, "upper_spine")[lowest] - path(recording, "pelvis")[lowest]
        assert np.degrees(np.arccos(trunk[1] / np.linalg.norm(trunk))) < 35


def test_a_side_lunge_bends_one_knee_and_keeps_the_other_leg_long() -> None:
    for seed in range(4):
        recording = made("side lunge", seed, reps=1)
        lowest = path(recording, "pelvis")[:, 1].argmin()
        low, high = sorted(knees(recording)[:, lowest])
        assert low < 32
        assert SIDE_LUNGE_KNEE_DEG[0] * 0.85 - SWAY_DEG < high < SIDE_LUNGE_KNEE_DEG[1] + SWAY_DEG
        feet = path(recording, "left_ankle")[lowest] - path(recording, "right_ankle")[lowest]
        assert abs(feet[0]) > 0.45


@pytest.mark.parametrize(("way", "axis", "sign"), [("forward", 2, 1), ("backward", 2, -1), ("sideways", 0, 0)])
def test_a_raised_leg_stays_long_and_goes_where_its_variant_says(way: str, axis: int, sign: int) -> None:
    for recording in sets("leg raise", f"raise {way}", 2):
        assert knees(recording).max() < 40
        travel = [path(recording, f"{side}_ankle") - path(recording, f"{side}_ankle")[0] for side in BOTH]
        mover = max(travel, key=lambda moved: np.abs(moved[:, axis]).max())
        far = mover[np.abs(mover[:, axis]).argmax(), axis]
        assert abs(far) > 0.15
        assert sign == 0 or np.sign(far) == sign


def test_a_raised_arm_is_long_and_at_least_level() -> None:
    for seed in range(4):
        recording = made("arm raise", seed, reps=1)
        high = raised(recording, "shoulder", "wrist")
        side, top = np.unravel_index(high.argmax(), high.shape)
        assert high[side, top] > 70
        assert elbows(recording)[side, top] < 50


def test_an_extended_arm_goes_behind_the_shoulder() -> None:
    for seed in range(3):
        recording = made("shoulder extension", seed, reps=1)
        behind = min(
            (path(recording, f"{side}_wrist") - path(recording, f"{side}_shoulder"))[:, 2].min() for side in BOTH
        )
        assert behind < -0.15


def test_a_rotating_shoulder_keeps_its_elbow_and_swings_its_hand() -> None:
    for variant in ("at the side", "held out"):
        for recording in sets("shoulder rotation", variant, 2):
            inside = within(recording)
            moved = []
            for side in BOTH:
                chest = path(recording, "upper_spine")
                hand = np.ptp((path(recording, f"{side}_wrist") - chest)[inside], axis=0).max()
                elbow = np.ptp((path(recording, f"{side}_elbow") - chest)[inside], axis=0).max()
                moved.append((hand, elbow))
            hand, elbow = max(moved)
            assert hand > 0.15
            assert elbow < 0.6 * hand


def test_both_sides_are_used_by_different_people() -> None:
    sides = set()
    for seed in range(12):
        high = raised(made("hurdle step", seed, reps=1), "hip", "knee").max(axis=1)
        sides.add(BOTH[int(high.argmax())])
    assert sides == set(BOTH)


@pytest.mark.parametrize("name", DOINGS)
def test_everything_in_life_keeps_bodies_whole(name: str) -> None:
    poses = life(subject(2, 0), np.random.default_rng(5), 6.0, doing=[name]).poses[0].astype(np.float64)
    assert np.isfinite(poses).all()
    for parent, child in NTU25.bones:
        assert np.ptp(np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1)) < 1e-5


def test_life_has_no_label_and_no_spans_and_is_the_same_every_time() -> None:
    first, again = (life(subject(1, 0), np.random.default_rng(3), 20.0) for _ in range(2))
    assert first.label is None
    assert first.spans == ()
    np.testing.assert_array_equal(first.poses, again.poses)
    assert first.duration_s == pytest.approx(20.0, abs=0.05)


def test_no_one_standing_in_daily_life_bends_both_knees_like_a_squat() -> None:
    harmless = [name for name in DOINGS if name not in LOW]
    standing = 0
    for seed in range(8):
        both = knees(life(subject(seed, 1), np.random.default_rng(seed), 60.0, doing=harmless)).min(axis=0)
        if both[0] < 45:  # or sits from the beginning to the end
            standing += 1
            assert both.max() < 65
    assert standing >= 4


def test_a_flattened_depth_halves_what_is_between_nearest_and_farthest() -> None:
    whole, flat = (
        exercise("squat", subject(1, 0), np.random.default_rng(0), reps=1, sensor=sensor)
        for sensor in (Sensor.perfect(), replace(Sensor.perfect(), depth=(0.5, 0.5)))
    )
    from_pelvis = [recording.poses - recording.poses[:, :, [NTU25.root]] for recording in (whole, flat)]
    np.testing.assert_allclose(from_pelvis[1][..., :2], from_pelvis[0][..., :2], atol=1e-5)
    np.testing.assert_allclose(from_pelvis[1][..., 2], 0.5 * from_pelvis[0][..., 2], atol=1e-5)


def test_a_single_camera_errs_but_still_sees_a_squat() -> None:
    for seed in range(4):
        person, clean, seen = subject(seed + 1, 0), None, None
        clean = exercise("squat", person, np.random.default_rng(seed), reps=2)
        seen = exercise("squat", person, np.random.default_rng(seed), reps=2, sensor=Sensor.monocular())
        wrong = np.abs(knees(seen) - knees(clean))
        assert 0.5 < np.nanmean(wrong) < 25
        assert np.nanmax(knees(seen).mean(axis=0)) > 0.5 * SQUAT_KNEE_DEG[0]
        assert np.isnan(seen.poses).mean() < 0.1


def test_swapped_legs_are_the_same_places_under_other_names() -> None:
    still = replace(Sensor.perfect(), swapped_per_s=2.0, swapped_s=0.3)
    plain, swapped = (
        life(subject(1, 0), np.random.default_rng(1), 10.0, doing=["telephone"], sensor=sensor).poses[0]
        for sensor in (Sensor.perfect(), still)
    )
    moved = np.abs(plain - swapped).max(axis=(1, 2)) > 1e-3
    assert 0 < moved.sum() < len(moved)
    np.testing.assert_allclose(np.sort(plain[moved][..., 0]), np.sort(swapped[moved][..., 0]), atol=1e-6)


@pytest.mark.parametrize(("name", "reps", "fps"), [("plank", 3, 30.0), ("squat", 0, 30.0), ("squat", 3, 0.0)])
def test_a_set_that_means_nothing_is_refused(name: str, reps: int, fps: float) -> None:
    with pytest.raises(ConfigError, match=r"plank|reps|fps"):
        exercise(name, subject(1, 0), np.random.default_rng(0), reps=reps, fps=fps)


def test_a_life_that_means_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="squat"):
        life(subject(1, 0), np.random.default_rng(0), 5.0, doing=["squat"])
    with pytest.raises(ConfigError, match="seconds"):
        life(subject(1, 0), np.random.default_rng(0), 0.0)
