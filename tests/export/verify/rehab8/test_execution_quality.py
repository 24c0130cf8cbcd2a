import numpy as np
import pytest

from amr_edge.errors import DataError
from amr_edge.export.verify.rehab8.execution_quality import (
    Reps,
    binomial,
    fitted,
    hints,
    left_out,
    reps_of,
    text,
    trust_to_dict,
)
from amr_edge.export.verify.rehab8.synthetic_test import POPULATION
from amr_edge.kinematics import FEATURES, RULES, Quality
from amr_edge.skeleton import CANONICAL15, remap
from amr_edge.synthetic import exercise, subject
from amr_edge.training.recipes.rehab8.dataset import Stream

LEAN = FEATURES.index("trunk lean peak")


def reps(*, difference_deg: float, people: int = 6, each: int = 12, seed: int = 0) -> Reps:
    """People who lean more by so much when they do it wrongly; everybody leans differently."""
    rng = np.random.default_rng(seed)
    count = people * each
    subjects = np.repeat(np.arange(people), each)
    correct = np.tile(np.arange(each) % 2 == 0, people)
    features = rng.normal(0, 1, (count, len(FEATURES)))
    features[:, LEAN] = 20 + 5 * rng.standard_normal(people)[subjects] + 3 * rng.standard_normal(count)
    features[~correct, LEAN] += difference_deg
    features[:, FEATURES.index("forearm rotation peak")] = np.nan  # arms that were straight all the time
    return Reps(features=features, correct=correct, subjects=subjects)


def test_what_tells_right_from_wrong_is_found_on_people_left_out() -> None:
    trust = left_out(reps(difference_deg=30.0))
    assert trust.right > 0.9
    assert trust.clearly
    assert (trust.people, trust.reps) == (6, 72)
    assert trust.low <= trust.right <= trust.high


def test_chance_is_not_shown() -> None:
    everything = {"squat": reps(difference_deg=0.0), "leg raise": reps(difference_deg=30.0)}
    shown, trust = hints(everything)
    assert list(shown) == ["leg raise"]
    assert not trust["squat"].clearly
    assert trust_to_dict(trust)["squat"]["shown"] is False
    assert "no" in text(trust).splitlines()[1]


def test_a_hint_survives_the_card_and_speaks_against_leaning() -> None:
    made = fitted(reps(difference_deg=30.0))
    assert "forearm rotation peak" not in made.features
    again = Quality.from_json(made.to_json())
    average = np.full(len(FEATURES), np.nan)
    leaning = average.copy()
    leaning[LEAN] = 60.0
    assert again.prob(leaning) < 0.2 < again.prob(average) < 0.8
    assert again.weights[again.features.index("trunk lean peak")] < 0


def test_weights_count_right_and_wrong_alike_however_many_there_are() -> None:
    full = reps(difference_deg=30.0, people=20)
    few = full.correct | (np.arange(len(full.correct)) % 8 == 1)  # a quarter of the wrong ones
    rare = Reps(features=full.features[few], correct=full.correct[few], subjects=full.subjects[few])
    average = np.full(len(FEATURES), np.nan)
    middle = average.copy()
    middle[LEAN] = 35.0  # half-way between 20 and 50
    assert fitted(rare).prob(middle) == pytest.approx(fitted(full).prob(middle), abs=0.2)


def test_an_interval_holds_its_share_and_narrows_with_more_trials() -> None:
    for count in (10, 100, 1000):
        low, high = binomial(0.8, count)
        assert 0 <= low < 0.8 < high <= 1
    widths = [high - low for low, high in (binomial(0.8, count) for count in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)
    assert binomial(1.0, 20)[1] == pytest.approx(1.0)


def test_too_few_people_or_one_kind_of_execution_is_refused() -> None:
    with pytest.raises(DataError, match="expected three with both executions, got 2"):
        left_out(reps(difference_deg=30.0, people=2))
    full = reps(difference_deg=30.0)
    alike = Reps(
        features=full.features[full.correct], correct=full.correct[full.correct], subjects=full.subjects[full.correct]
    )
    with pytest.raises(DataError, match="all alike"):
        fitted(alike)
    with pytest.raises(DataError, match="no repetition"):
        reps_of([], RULES)


def test_repetitions_of_a_stream_are_counted_by_its_rule() -> None:
    made = exercise("squat", subject(1, POPULATION), np.random.default_rng(3), reps=4)
    stream = Stream(
        poses=remap(made.poses[0], made.skeleton, CANONICAL15).poses,
        times_s=made.times_s,
        exercise=1,
        group="squat",
        subject=4,
        sensor="kinect",
        correct=False,
        episodes=((0, len(made.times_s)),),
    )
    found = reps_of([stream], RULES)
    assert list(found) == ["squat"]
    assert found["squat"].features.shape == (4, len(FEATURES))
    assert found["squat"].subjects.tolist() == [4] * 4
    assert not found["squat"].correct.any()
