from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.recording import Recording, Span
from amr_edge.errors import ConfigError, DataError
from amr_edge.export.verify.rehab8.cross_sensor_test import held
from amr_edge.export.verify.rehab8.evaluation import (
    KINECT,
    VICON_NEVER,
    Part,
    TrainedModel,
    as_live,
    cut,
    decide,
    evaluate,
    parts,
    predict,
    score_part,
    windows,
)
from amr_edge.kinematics import Rule, standing
from amr_edge.preprocess import PrepareConfig, prepare
from amr_edge.skeleton import CANONICAL15
from amr_edge.training.config import EncoderConfig
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.recipes.rehab8.dataset import Stream

CLASSES = ("squat", "arm raise", "none")
PREPARE = PrepareConfig(layout="canonical15", frames=16, window_s=2.0, view="body", bones="unit")


def card(**changes: Any) -> Card:
    made = Card(
        name="tiny",
        kind="classifier",
        prepare=PREPARE,
        classes=CLASSES,
        none_class="none",
        encoder={"width": 16, "depth": 1, "heads": 2},
    )
    return replace(made, **changes)


def squatting(seconds: float, *, period_s: float = 2.0, depth: float = 0.35, fps: float = 15.0) -> Recording:
    """Somebody whose hips go down and up while the feet stay."""
    times_s = np.arange(round(seconds * fps) + 1) / fps
    down = depth * (1 - np.cos(2 * np.pi * times_s / period_s)) / 2  # (T,)
    poses = np.repeat(standing()[None], len(times_s), axis=0)  # (T, V, C)
    names = CANONICAL15.joints
    fixed = [names.index(f"{side}_ankle") for side in ("left", "right")]
    moving = [joint for joint in range(len(names)) if joint not in fixed]
    poses[:, moving, 1] -= down[:, None]
    for side in ("left", "right"):
        hip, knee, ankle = (names.index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        middle = (poses[:, hip] + poses[:, ankle]) / 2
        half = np.linalg.norm(poses[:, hip] - poses[:, ankle], axis=-1) / 2
        forward = np.sqrt(np.maximum(0.375**2 - half**2, 0))  # thighs and shanks keep their 0.375 m
        poses[:, knee] = middle
        poses[:, knee, 2] += forward
    return Recording(
        poses=poses[None].astype(np.float32), times_s=times_s, layout="canonical15", label="squat", subject=3
    )


class Always:
    """A model that says the same of everything."""

    def __init__(self, its_card: Card, probs: tuple[float, ...]) -> None:
        self.card = its_card
        self._probs = np.array(probs, dtype=np.float32)

    def probs(self, values: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.repeat(self._probs[None], len(values), axis=0)


def test_windows_begin_every_second_and_lie_within_the_recording() -> None:
    assert windows(squatting(5.0), 2.0) == [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (3.0, 5.0)]
    assert windows(squatting(1.2), 2.0) == [(0.0, pytest.approx(1.2))]


@given(seconds=st.floats(0.5, 20), window_s=st.floats(0.5, 5), every_s=st.floats(0.2, 2))
def test_no_window_reaches_past_the_last_frame(seconds: float, window_s: float, every_s: float) -> None:
    recording = squatting(seconds)
    last_s = float(recording.times_s[-1])
    spans = windows(recording, window_s, every_s)
    assert spans
    assert all(start_s >= 0 and end_s <= last_s + 1e-5 for start_s, end_s in spans)
    assert len(spans) == 1 or spans[-1][1] + every_s > last_s


def test_a_window_of_the_part_is_what_prepare_makes_of_it() -> None:
    recording = squatting(5.0)
    part = cut("x", [recording], card())
    assert len(part) == 4
    expected = prepare(recording.poses, recording.times_s, CANONICAL15, PREPARE, (2.0, 4.0))
    np.testing.assert_array_equal(part.clips.values[2], expected.values)
    assert part.labels.tolist() == [0] * 4
    assert part.subjects.tolist() == [3] * 4


def test_windows_that_could_be_called_either_are_left_out() -> None:
    recording = replace(squatting(8.0), label=None, spans=(Span(4.0, 6.0, "squat"),))
    part = cut("x", [recording], card())
    # Starts at 0, 1, ..., 6: [3, 5] and [5, 7] hold half of the squat and are neither.
    assert part.labels.tolist() == [2, 2, 2, 0, 2]


def test_nobody_is_asked_about_who_has_left() -> None:
    recording = squatting(6.0)
    recording.poses[0, recording.times_s > 3.0] = np.nan
    assert len(cut("x", [recording], card())) == 2  # ends at 2 and 3 s; the other ones show nobody at their end


def test_a_label_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match="'lunge' is no class of 'tiny'"):
        cut("x", [replace(squatting(3.0), label="lunge")], card())
    with pytest.raises(ConfigError, match="class for nothing"):
        cut("x", [squatting(3.0)], card(none_class=None))
    with pytest.raises(DataError, match="no window"):
        cut("x", [], card())


def test_a_trained_model_on_all_tokens_answers_as_its_forward_pass() -> None:
    torch.manual_seed(0)
    model = Classifier(Encoder(EncoderConfig(width=16, depth=1, heads=2), frames=16, joints=15), 3).train()
    part = cut("x", [squatting(5.0)], card())
    said = predict(TrainedModel(model, card(), 1.0), part)
    assert model.training  # as it was
    with torch.inference_mode():
        expected = model.eval()(torch.from_numpy(part.clips.values), torch.from_numpy(part.clips.present)).softmax(1)
    np.testing.assert_allclose(said, expected.numpy(), atol=1e-6)
    fewer = predict(TrainedModel(model, card(), 0.25), part)
    assert fewer.shape == said.shape
    assert not np.allclose(fewer, said)


def test_nothing_said_of_an_exercise_is_an_error() -> None:
    part = cut("x", [squatting(5.0)], card())
    model = Always(card(), (0.3, 0.1, 0.6))
    found = score_part(predict(model, part), part, model.card, 1.0, "most probable")
    assert found.right == 0.0
    assert found.streams_right == 0.0
    assert found.confusion[0].tolist() == [0, 0, 4]


def test_a_stream_is_decided_by_the_mean_of_its_windows() -> None:
    part = cut("x", [squatting(4.0)], card())  # three windows
    probs = np.float32([[0.4, 0.6, 0], [0.45, 0.55, 0], [1, 0, 0]])
    found = score_part(probs, part, card(), 1.0, "most probable")
    assert found.right == pytest.approx(1 / 3)
    assert found.streams_right == 1.0  # 1.85 against 1.15


def test_thresholds_turn_what_is_not_believed_into_nothing() -> None:
    sure = card(thresholds=(0.8, 0.5, 0.0))
    probs = np.array([[0.7, 0.2, 0.1], [0.9, 0.1, 0.0], [0.3, 0.6, 0.1]])
    assert decide(probs, sure, thresholds=True).tolist() == [2, 0, 1]
    assert decide(probs, sure, thresholds=False).tolist() == [0, 0, 1]


def test_an_answer_without_its_movement_becomes_nothing_as_live_decides() -> None:
    rule = Rule(measure="knee flexion", least_travel=35, least_peak=45)
    ruled = card(rules={"squat": rule.to_json()})
    still = replace(squatting(5.0, depth=0.0), label="none")
    part = cut("x", [squatting(5.0), still], ruled)
    said = np.repeat(np.float32([[0.8, 0.1, 0.1]]), len(part), axis=0)
    live = as_live(said, part, ruled)
    np.testing.assert_array_equal(live[:4], said[:4])
    np.testing.assert_allclose(live[4:], [[0.0, 0.1, 0.9]] * 4, atol=1e-6)
    before, after = (score_part(said, part, ruled, 1.0, how) for how in ("most probable", "as live"))
    assert before.right == 0.5
    assert after.right == 1.0


def stream(subject: int, sensor: Literal["kinect", "vicon"], *, correct: bool = True) -> Stream:
    base = squatting(6.0)
    return Stream(
        poses=base.poses[0],
        times_s=base.times_s,
        exercise=1,
        group="squat",
        subject=subject,
        sensor=sensor,
        correct=correct,
        episodes=((0, 30),),
    )


def streams() -> list[Stream]:
    people = [(stream(n, "kinect"), stream(n, "kinect", correct=False), stream(n, "vicon")) for n in (1, 2)]
    return [one for each in people for one in each]


def test_only_people_who_were_left_out_are_judged_unless_their_sensor_was() -> None:
    found = parts(streams(), [2], card())
    assert found[0].name == KINECT
    assert len(found) == 3
    assert all(set(part.subjects.tolist()) == {2} for part in found)
    never = parts(streams(), [2], card(), vicon_learned=False)
    assert never[-1].name == VICON_NEVER
    assert set(never[-1].subjects.tolist()) == {1, 2}
    with pytest.raises(DataError, match="no stream of the people 7"):
        parts(streams(), [7], card())


def test_an_evaluation_names_its_errors_and_finds_its_scores() -> None:
    part = cut("x", [squatting(5.0)], card())
    found = evaluate(lambda budget: Always(card(), (0.4, 0.5, 0.1)), [part], (1.0, 0.5))
    assert len(found.scores) == 4
    assert "squat as arm raise 4 of 4" in found.text()
    assert found.text().split()[:3] == ["part", "budget", "decided"]
    assert found.of("x", 0.5, "as live").right == 0.0
    assert found.to_dict()["rows"][0]["answers"] == {"squat": {"arm raise": 4}}
    with pytest.raises(DataError, match="was not scored"):
        found.of("x", 0.1)
    with pytest.raises(ConfigError, match="at least one part"):
        evaluate(lambda budget: Always(card(), (1, 0, 0)), [], (1.0,))


def test_a_held_recording_lasts_a_window_and_moves_as_before_in_its_middle() -> None:
    short = squatting(1.0)
    longer = held(short, 2.0)
    assert longer.duration_s == pytest.approx(2.0, abs=1.01 / 15 * 2)
    assert longer.duration_s >= 2.0 - 1e-6
    inside = np.searchsorted(longer.times_s, 0.0)
    np.testing.assert_array_equal(longer.poses[:, inside : inside + len(short.times_s)], short.poses)
    np.testing.assert_array_equal(longer.poses[:, 0], short.poses[:, 0])
    assert held(longer, 2.0) is longer


def test_part_keeps_what_belongs_together() -> None:
    part = cut("x", [squatting(5.0), replace(squatting(3.0), label="none", subject=5)], card())
    some: Part = part.only(part.labels == 2, "nothing")
    assert some.name == "nothing"
    assert some.whose.tolist() == [1, 1]
    assert some.subjects.tolist() == [5, 5]
    assert some.clips.values.shape[0] == 2
