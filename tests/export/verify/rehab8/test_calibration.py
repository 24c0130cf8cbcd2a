from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ConfigError, DataError
from amr_edge.export.verify.rehab8.calibration import CAUTION, KEPT, LEAST, LeftOut, calibrated, narrowed
from amr_edge.export.verify.rehab8.evaluation import Part, as_live, decide
from amr_edge.kinematics import RULES, Bound, Movement, Rule, shows, standing
from amr_edge.preprocess import Clip, PrepareConfig, unit_bones
from amr_edge.skeleton import CANONICAL15
from amr_edge.temperature import nll

CLASSES = ("squat", "arm raise", "none")
T = 16


def card() -> Card:
    return Card(
        name="tiny",
        kind="classifier",
        prepare=PrepareConfig(layout="canonical15", frames=T, window_s=2.0, view="body", bones="unit"),
        classes=CLASSES,
        none_class="none",
    )


def raising(elevation_deg: float) -> NDArray[np.float32]:
    """(T, 15, 3): both straight arms go up sideways by so much, from hanging."""
    poses = np.repeat(standing()[None], T, axis=0)
    angle = np.radians(np.linspace(0, elevation_deg, T))[:, None]
    for side, outward in (("left", 1.0), ("right", -1.0)):
        shoulder, elbow, wrist = (CANONICAL15.index(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist"))
        along = np.concatenate([outward * np.sin(angle), -np.cos(angle), 0 * angle], axis=1)  # (T, 3)
        poses[:, elbow] = poses[:, shoulder] + 0.26 * along
        poses[:, wrist] = poses[:, elbow] + 0.235 * along
    return unit_bones(poses.astype(np.float32))


def part(name: str, elevations_deg: list[float], labels: list[int]) -> Part:
    values = np.stack([raising(each) for each in elevations_deg])[:, None]  # (N, 1, T, V, 3)
    count = len(labels)
    return Part(
        name=name,
        clips=Clip(values, np.ones(values.shape[:-1], dtype=np.bool_)),
        labels=np.array(labels, dtype=np.int64),
        whose=np.arange(count),
        subjects=np.zeros(count, dtype=np.int64),
    )


def answered(confidences: list[float], labels: list[int]) -> NDArray[np.float32]:
    """(N, 3): so sure of the class, the rest shared."""
    out = np.repeat((1 - np.array(confidences))[:, None] / 2, 3, axis=1)
    out[np.arange(len(labels)), labels] = confidences
    return out.astype(np.float32)


def left_out(seed: int = 0) -> list[LeftOut]:
    """Two sensors, the second of which sees arms raised less and is less sure; and life that looks alike."""
    rng = np.random.default_rng(seed)
    first = LeftOut(
        part=part("first", [120.0] * 60, [1] * 60), probs=answered(rng.uniform(0.7, 0.95, 60).tolist(), [1] * 60)
    )
    second = LeftOut(
        part=part("second", [60.0] * 60, [1] * 60), probs=answered(rng.uniform(0.55, 0.8, 60).tolist(), [1] * 60)
    )
    fooled = LeftOut(
        part=part("life", [110.0] * 30 + [10.0] * 30, [2] * 60),
        probs=answered(rng.uniform(0.36, 0.4, 60).tolist(), [1] * 60),
    )
    return [first, second, fooled]


def fitted(to: list[LeftOut], base: Card | None = None) -> Card:
    """As `calibrated`, ranges by the two sensors."""
    first, second, _ = left_out()
    return calibrated(base or card(), to, moved_by=[first.part, second.part], data="two sensors")


def test_each_sensor_keeps_its_windows() -> None:
    everything = left_out()
    done = fitted(everything)
    for each in everything[:2]:
        said = decide(as_live(each.probs, each.part, done), done, thresholds=True)
        assert (said == 1).mean() >= KEPT
    assert done.calibration["right_after"]["first"] == 1.0
    assert done.calibration["data"] == "two sensors"
    assert Card.from_json(done.to_json(), "here") == done


def test_what_moves_like_nothing_is_nothing_whatever_the_model_says() -> None:
    done = fitted(left_out())
    # Half of the life raises its arms by ten degrees only.
    assert done.calibration["right_before"]["life"] == 0.0
    assert done.calibration["right_after"]["life"] >= 0.5


def test_a_range_of_motion_is_as_narrow_as_the_sensor_that_sees_least() -> None:
    done = fitted(left_out())
    rule = Rule.from_json(done.rules["arm raise"])
    assert RULES["arm raise"].least_peak == 70
    assert rule.least_peak == 55.0  # what is under 60 in whole steps of five
    assert rule.least_travel == 50  # 60 are reached, no more is asked for
    assert shows(rule, raising(60.0))
    assert not shows(rule, raising(45.0))
    assert done.rules["squat"] == RULES["squat"].to_json()  # nobody squatted, so nothing is known better


def test_the_temperature_makes_the_answers_likelier() -> None:
    everything = left_out()
    done = fitted(everything)
    probs = np.concatenate([each.probs for each in everything]).astype(np.float64)
    labels = np.concatenate([each.part.labels for each in everything])
    assert nll(probs, labels, done.temperature) <= nll(probs, labels, 1.0)
    assert done.calibration["nll_after"] <= done.calibration["nll_before"]


def test_what_was_fitted_before_is_forgotten() -> None:
    before = replace(card(), temperature=3.0, thresholds=(0.9, 0.9, 0.9), rules={"squat": RULES["squat"].to_json()})
    assert fitted(left_out(), before) == fitted(left_out())


def test_calibration_without_nothing_or_without_exercises_is_refused() -> None:
    first, _, life = left_out()
    for alone in ([first], [life], []):
        with pytest.raises(DataError, match="windows of exercises and windows of nothing"):
            fitted(alone)
    with pytest.raises(ConfigError, match="has no `none` class"):
        fitted([first, life], replace(card(), none_class=None))
    with pytest.raises(ConfigError, match="60 windows have 59 answers"):
        LeftOut(part=first.part, probs=first.probs[:59])


@given(
    travels=st.lists(st.floats(1, 170), min_size=20, max_size=60),
    peaks=st.lists(st.floats(-40, 170), min_size=20, max_size=60),
    elbows=st.lists(st.floats(0, 150), min_size=20, max_size=60),
)
def test_a_narrowed_rule_never_asks_for_more_than_before(
    travels: list[float], peaks: list[float], elbows: list[float]
) -> None:
    rule = RULES["arm raise"]
    shown = [Movement(*each[:2], ((each[2], each[2]),)) for each in zip(travels, peaks, elbows, strict=False)]
    found = narrowed(rule, shown)
    assert found.least_travel <= rule.least_travel
    assert found.least_peak <= rule.least_peak
    before, after = rule.at_peak[0].most, found.at_peak[0].most
    assert before is not None
    assert after is not None
    assert after >= before


def test_bounds_in_widths_of_the_hips_are_widened_in_small_steps() -> None:
    rule = Rule(
        measure="knee flexion", least_travel=30, least_peak=40, at_peak=(Bound(measure="stance width", least=2.0),)
    )
    found = narrowed(rule, [Movement(90.0, 100.0, ((1.67, 1.67),))] * 30)
    assert found.at_peak[0].least == 1.6
    assert found.least_travel == 30


def test_a_threshold_goes_by_the_sensor_that_is_least_sure() -> None:
    done = fitted(left_out())
    _, second, _ = left_out()
    warm = as_live(second.probs, second.part, done)[:, 1]
    assert done.thresholds[1] == pytest.approx(CAUTION * np.quantile(warm, 1 - KEPT), abs=0.005)
    assert done.thresholds[0] == LEAST  # nobody squatted
    assert done.thresholds[2] == 0.0


def test_ranges_of_motion_go_by_those_who_are_asked_for_them() -> None:
    first, _, _ = left_out()
    done = calibrated(card(), left_out(), moved_by=[first.part], data="x")
    assert done.rules["arm raise"]["least_peak"] == RULES["arm raise"].least_peak
