"""Live predictions are accepted if the window bears them out, and repetitions are counted the same in every way."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.errors import CardError, ConfigError
from amr_edge.kinematics import FEATURES, RULES, Cycle, Quality
from amr_edge.live_settings import EventConfig
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pipeline.event_detector import Event, EventDetector
from amr_edge.runtime.pipeline.pipeline import LiveConfig, LivePipeline
from amr_edge.runtime.pipeline.recognizer import Prediction, Recognizer, recognize
from amr_edge.runtime.pipeline.repetition_counter import Rep, RepetitionCounter, RepetitionTotals, counting_of
from amr_edge.runtime.sources.recorded import source_run
from amr_edge.runtime.stage_timer import Stages
from amr_edge.skeleton import CANONICAL15, Mask, layout, present_joints, remap

CLASSES = ("squat", "arm raise", "none")
FPS = 30.0


def card_of(**changes: object) -> Card:
    plain = Card(
        name="moving",
        kind="classifier",
        classes=CLASSES,
        none_class="none",
        prepare=PrepareConfig(layout="canonical15", frames=64, window_s=4.2, view="body", bones="unit"),
        rules={name: RULES[name].to_json() for name in CLASSES[:-1]},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class Says:
    """A session that is always of one opinion: what is left to see is what is made of it."""

    title, tokens = "says", 1

    def __init__(self, card: Card, *probs: float) -> None:
        self.card, self._probs = card, np.float32(probs)

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        return np.tile(self._probs, (len(values), 1))


def knees(*parts: tuple[float, int], still_s: float = 6.0) -> np.ndarray:
    """(T,) knee angles: stands, does `parts` = (depth, how many) in 2.4 s each, stands."""
    bell = (1 - np.cos(2 * np.pi * np.arange(72) / 72)) / 2
    moves = [depth * bell for depth, count in parts for _ in range(count)]
    return np.concatenate([np.zeros(int(still_s * FPS)), *moves, np.zeros(int(still_s * FPS))])


def squatting(angle: np.ndarray, place: float = 0.0) -> np.ndarray:
    """(T, 15, 3) metres of somebody whose knees bend so far."""
    bend = np.radians(angle)[:, None]
    side, up, ahead = np.eye(3)
    thigh = -np.cos(0.6 * bend) * up + np.sin(0.6 * bend) * ahead
    shank = -np.cos(-0.4 * bend) * up + np.sin(-0.4 * bend) * ahead
    poses = np.zeros((len(angle), 15, 3))
    at = {joint: poses[:, index] for index, joint in enumerate(CANONICAL15.joints)}
    hips = 0.15 * up - 0.4 * shank - 0.4 * thigh + place * side
    at["mid_hip"][:], at["mid_shoulder"][:], at["head"][:] = hips, hips + 0.5 * up, hips + 0.7 * up
    for name, outward in (("left", 1), ("right", -1)):
        at[f"{name}_hip"][:] = hips + 0.1 * outward * side
        at[f"{name}_knee"][:] = at[f"{name}_hip"] + 0.4 * thigh
        at[f"{name}_ankle"][:] = at[f"{name}_knee"] + 0.4 * shank
        at[f"{name}_shoulder"][:] = hips + 0.5 * up + 0.16 * outward * side
        at[f"{name}_elbow"][:] = at[f"{name}_shoulder"] - 0.26 * up
        at[f"{name}_wrist"][:] = at[f"{name}_elbow"] - 0.24 * up
    return poses.astype(np.float32)


def recorded(*people: np.ndarray, name: str = "canonical15") -> Recording:
    poses = remap(np.stack(people), CANONICAL15, layout(name)).poses
    return Recording(poses=poses, times_s=np.arange(len(people[0])) / FPS, layout=name, source="set")


def streamed(recording: Recording, session: Says, *, quality: bool = False) -> list[Prediction]:
    stream = Recognizer(session, recording.skeleton, recording.units, quality=quality)
    answers: list[Prediction] = []
    for frame, time_s in enumerate(recording.times_s):
        poses = recording.poses[:, frame]
        here = np.flatnonzero(present_joints(poses).any(axis=-1))
        answers += stream.push(Frame(time_s=float(time_s), poses=poses[here], ids=tuple(here.tolist())))
    return answers + stream.flush()


def told(recording: Recording, session: Says, *, quality: bool = False) -> list[Event]:
    decider = EventDetector(session.card)
    answers = streamed(recording, session, quality=quality)
    events = [event for each in answers for event in decider.push(each.time_s, [each])]
    return [*events, *decider.flush()]


def test_standing_is_no_squat_and_squatting_is_one() -> None:
    answers = streamed(recorded(squatting(knees((100, 4)))), Says(card_of(), 0.9, 0.05, 0.05))
    for answer in answers:
        moves = answer.time_s > 7 and answer.start_s < 14.5
        still = answer.time_s < 6.2 or answer.start_s > 15.6
        if moves:
            assert (answer.label, answer.gated) == ("squat", None)
        if still:
            assert (answer.label, answer.gated) == ("none", "squat")
            np.testing.assert_allclose(answer.probs, [0, 0.05, 0.95], atol=1e-6)
            assert answer.to_dict()["gated"] == "squat"
    assert {answer.gated for answer in answers} == {None, "squat"}


@pytest.mark.parametrize("name", ["canonical15", "ntu25", "kinect20", "mediapipe33"])
def test_an_event_has_the_repetitions_that_were_done_from_the_first_on(name: str) -> None:
    recording = recorded(squatting(knees((100, 4))), name=name)
    if name == "mediapipe33":  # it has no head, whose ears nobody sees here
        assert np.isnan(recording.poses).any()
    events = told(recording, Says(card_of(), 0.9, 0.05, 0.05))
    assert [event.event for event in events if event.event != "update"] == ["start", "end"]
    assert events[0].reps is None
    updates = [event.reps for event in events if event.event == "update"]
    assert updates == sorted(updates)
    assert events[-1].reps == 4
    assert events[-1].to_dict()["reps"] == 4
    assert "hint" not in events[-1].to_dict()


def test_half_squats_are_neither_believed_nor_counted() -> None:
    assert told(recorded(squatting(knees((30, 4)))), Says(card_of(), 0.9, 0.05, 0.05)) == []


def test_what_is_believed_for_another_reason_counts_only_what_it_is_about() -> None:
    free = card_of(rules={"squat": RULES["squat"].to_json()})
    events = told(recorded(squatting(knees((100, 3)))), Says(free, 0.05, 0.9, 0.05))
    assert {event.label for event in events} == {"arm raise"}
    assert {event.reps for event in events} == {None}


def test_two_events_share_no_repetition() -> None:
    angle = np.concatenate([knees((100, 2)), knees((100, 3))])
    ends = [e for e in told(recorded(squatting(angle)), Says(card_of(), 0.9, 0.05, 0.05)) if e.event == "end"]
    assert [event.reps for event in ends] == [2, 3]


def test_everybody_is_counted_apart() -> None:
    one, two = squatting(knees((100, 4))), squatting(np.roll(knees((100, 2), (0, 2)), 20), place=2.0)
    ends = [e for e in told(recorded(one, two), Says(card_of(), 0.9, 0.05, 0.05)) if e.event == "end"]
    assert {event.person: event.reps for event in ends} == {0: 4, 1: 2}


def test_a_short_recording_is_one_event_with_its_repetitions() -> None:
    recording = recorded(squatting(knees((100, 1), still_s=0.7)))
    events = told(recording, Says(card_of(), 0.9, 0.05, 0.05))
    assert [(event.event, event.reps) for event in events] == [("start", None), ("end", 1)]


def holes(poses: np.ndarray, seed: int) -> np.ndarray:
    """With joints lost, somebody away for a moment and for long, and a shaking sensor."""
    rng = np.random.default_rng(seed)
    poses = poses + rng.normal(0, 0.005, poses.shape).astype(np.float32)
    poses[rng.random(poses.shape[:2]) < 0.05] = np.nan
    for first, frames in ((100, 10), (250, 40), (420, 170)):
        poses[first : first + frames] = np.nan
    return poses


@pytest.mark.parametrize("seed", range(3))
def test_streaming_frame_by_frame_counts_and_believes_as_the_whole_recording(seed: int) -> None:
    people = [holes(squatting(knees((100, 4), (110, 5), (30, 2)), place=2.0 * p), seed + p) for p in (0, 1)]
    recording = recorded(*people)
    session = Says(card_of(quality={"squat": JUDGE.to_json()}), 0.9, 0.05, 0.05)
    live = streamed(recording, session, quality=True)
    whole = recognize(recording, session, quality=True)
    assert [(a.time_s, a.person, a.gated, a.reps) for a in live] == [
        (a.time_s, a.person, a.gated, a.reps) for a in whole
    ]
    assert any(a.reps for a in live)
    assert any(a.gated for a in live)
    for one, other in zip(live, whole, strict=True):
        np.testing.assert_array_equal(one.probs, other.probs)


def test_a_card_without_rules_answers_and_tells_as_it_always_did() -> None:
    session = Says(card_of(rules={}), 0.9, 0.05, 0.05)
    recording = recorded(squatting(knees((0, 1))))
    answers, events = streamed(recording, session), told(recording, session)
    assert all(set(a.to_dict()) == KEYS_OF_AN_ANSWER and a.label == "squat" and a.reps == () for a in answers)
    assert all(set(e.to_dict()) == KEYS_OF_AN_EVENT for e in events)
    assert [e.event for e in events if e.event != "update"] == ["start", "end"]


KEYS_OF_AN_ANSWER = {"start_s", "time_s", "person", "people", "label", "prob", "top", "partial", "early"}
KEYS_OF_AN_EVENT = {"event", "person", "label", "start_s", "end_s", "done_s", "prob"}


def test_rules_on_a_model_for_a_scene_are_refused_before_anything_is_seen() -> None:
    with pytest.raises(CardError, match="2 people"):
        Recognizer(Says(card_of(persons=2), 1, 0, 0), CANONICAL15, "m")


# --- memory ----------------------------------------------------------------------------------------------------


def test_nobody_who_asks_for_nothing_makes_memory_grow() -> None:
    moving = RepetitionCounter(counting_of(card_of()), CANONICAL15)
    pose = squatting(np.zeros(1))[0]
    for frame in range(3000):
        moving.push(frame / 100, pose)
        assert len(moving._waiting) < 256
    assert len(moving._past) == 0


def test_hours_of_one_event_are_a_handful_of_numbers() -> None:
    decider = EventDetector(card_of())
    for k in range(4000):
        rep = Rep(0, 0, Cycle(k - 0.5, k + 0.5, 100.0, 95.0), None)
        other = Rep(1, 0, Cycle(k - 0.5, k + 0.5, 100.0, 95.0), None)
        events = decider.push(float(k), [said(float(k), rep, other)])
    assert events[-1].reps == 3999
    assert len(decider._states[0].reps) < 20


NONE, SQUAT, RAISE = (0.05, 0.05, 0.9), (0.9, 0.05, 0.05), (0.05, 0.9, 0.05)


def squat_rep(end_s: float) -> Rep:
    return Rep(0, 0, Cycle(end_s - 1, end_s, 100.0, 95.0), None)


def events_of(*answers: Prediction, config: EventConfig | None = None) -> list[Event]:
    decider = EventDetector(card_of(), config or EventConfig(smooth_s=0.0))
    return [*(event for each in answers for event in decider.push(each.time_s, [each])), *decider.flush()]


def test_a_rest_between_two_repetitions_does_not_end_their_set() -> None:
    doing = {0.25 * k: SQUAT if k < 12 or k >= 22 else NONE for k in range(34)}  # nothing from 3.0 to 5.25 s
    reps = {2.5: (squat_rep(2.4),), 6.0: (squat_rep(5.9),)}
    events = events_of(*(said(time_s, *reps.get(time_s, ()), probs=probs) for time_s, probs in doing.items()))
    assert [event.event for event in events if event.event != "update"] == ["start", "end"]
    assert not [event for event in events if event.event == "update" and 2.75 < event.end_s < 5.5]
    assert (events[-1].start_s, events[-1].end_s, events[-1].reps) == (0.0, 8.25, 2)


def test_a_set_that_is_over_ended_when_it_was_last_believed() -> None:
    decider = EventDetector(card_of(), EventConfig(smooth_s=0.0, pause_s=2.5))
    told = {0.25 * k: decider.push(0.25 * k, [said(0.25 * k, probs=SQUAT if k < 12 else NONE)]) for k in range(30)}
    ends = {time_s: event for time_s, events in told.items() for event in events if event.event == "end"}
    assert {time_s: event.end_s for time_s, event in ends.items()} == {5.5: 2.75}


def test_another_exercise_ends_a_set_that_rests_at_once() -> None:
    doing = [*[SQUAT] * 8, *[NONE] * 4, *[RAISE] * 8]
    events = events_of(*(said(0.25 * k, probs=probs) for k, probs in enumerate(doing)))
    assert [(event.event, event.label, event.start_s, event.end_s) for event in events if event.event != "update"] == [
        ("start", "squat", 0.0, 0.25),
        ("end", "squat", 0.0, 1.75),
        ("start", "arm raise", 3.0, 3.25),
        ("end", "arm raise", 3.0, 4.75),
    ]


def test_what_has_no_repetitions_is_over_when_it_is_not_believed() -> None:
    free = replace(card_of(), rules={})
    decider = EventDetector(free, EventConfig(smooth_s=0.0))
    told = {k: decider.push(0.25 * k, [said(0.25 * k, probs=SQUAT if k < 12 else NONE)]) for k in range(14)}
    assert [k for k, events in told.items() if events and events[-1].event == "end"] == [12]


@given(st.lists(st.sampled_from([SQUAT, RAISE, NONE]), max_size=60), st.sampled_from([0.0, 1.0, 2.5]))
def test_whoever_rests_is_told_in_no_more_pieces_than_without_rests(doing: list[Any], pause_s: float) -> None:
    answers = [said(0.25 * k, probs=probs) for k, probs in enumerate(doing)]
    plain = events_of(*answers, config=EventConfig(smooth_s=0.0, pause_s=0.0))
    rested = events_of(*answers, config=EventConfig(smooth_s=0.0, pause_s=pause_s))
    ends = [[e for e in events if e.event == "end"] for events in (plain, rested)]
    assert len(ends[1]) <= len(ends[0])
    assert all(one.end_s <= other.start_s for one, other in pairwise(ends[1]))
    for event in ends[0]:  # nothing that was told is lost
        assert any(e.label == event.label and e.start_s <= event.start_s and e.end_s >= event.end_s for e in ends[1])


def said(time_s: float, *reps: Rep, probs: tuple[float, ...] = SQUAT) -> Prediction:
    return Prediction(
        start_s=time_s - 4.2, time_s=time_s, person=0, people=(0,), classes=CLASSES,
        probs=np.float32(probs), reps=reps,
    )  # fmt: skip


def test_of_both_ends_of_a_movement_the_one_with_more_repetitions_is_right() -> None:
    tally = RepetitionTotals()
    cycle = Cycle(0.0, 1.0, 90.0, 80.0)
    for end, correct in ((0, 0.9), (1, 0.2), (1, 0.4), (1, None)):
        tally.add(Rep(0, end, cycle, correct))
    assert tally.reps == 3
    assert tally.correct == pytest.approx(0.3)
    assert RepetitionTotals().correct is None


# --- the hint --------------------------------------------------------------------------------------------------

JUDGE = Quality(features=("knee flexion peak",), mean=(90.0,), scale=(10.0,), weights=(2.0,), bias=0.0)


def test_deep_squats_are_hinted_at_as_right_and_shallow_ones_as_wrong() -> None:
    session = Says(card_of(quality={"squat": JUDGE.to_json()}), 0.9, 0.05, 0.05)
    hints = {}
    for depth in (70, 115):
        end = told(recorded(squatting(knees((depth, 3)))), session, quality=True)[-1]
        hints[depth] = end.to_dict()["hint"]["correct"]
    # By hand: 2 and a half spreads above the mean are log odds of 5, two below of -4.
    assert hints[115] == pytest.approx(1 / (1 + np.exp(-5)), abs=0.02)
    assert hints[70] == pytest.approx(1 / (1 + np.exp(4)), abs=0.03)


def test_no_hint_is_given_unasked_and_a_model_without_hints_refuses_to_give_them() -> None:
    recording = recorded(squatting(knees((100, 2))))
    session = Says(card_of(quality={"squat": JUDGE.to_json()}), 0.9, 0.05, 0.05)
    assert "hint" not in told(recording, session)[-1].to_dict()
    with pytest.raises(ConfigError, match=r"--quality.*'moving' carries none"):
        streamed(recording, Says(card_of(), 1, 0, 0), quality=True)
    assert len(FEATURES) == len(set(FEATURES))


# --- what live tells -------------------------------------------------------------------------------------------


def lines_of(session: Any, recording: Recording, *, quality: bool = False) -> list[dict[str, Any]]:
    ticks = iter(range(10**6))
    stages = Stages(lambda: next(ticks) * 1e-3, np.random.default_rng(0))
    lines: list[dict[str, Any]] = []
    live = LivePipeline(
        session,
        config=LiveConfig(quality=quality),
        stages=stages,
        emit=lambda record: lines.append(record.line),
        note=lambda _: None,
    )
    live.run([source_run(recording)])
    live.close_with("end")
    return [json.loads(json.dumps(line)) for line in lines]


def test_live_tells_repetitions_gates_and_hints_as_lines_of_json() -> None:
    session = Says(card_of(quality={"squat": JUDGE.to_json()}), 0.9, 0.05, 0.05)
    lines = lines_of(session, recorded(squatting(knees((100, 3)))), quality=True)
    events = [line for line in lines if line["type"] == "event"]
    assert [line.get("reps") for line in events if line["event"] == "start"] == [None]
    assert [(line["reps"], set(line["hint"])) for line in events if line["event"] == "end"] == [(3, {"correct"})]
    assert all("reps" in line and "hint" not in line for line in events if line["event"] == "update")
    assert {line.get("gated") for line in lines if line["type"] == "answer"} == {None, "squat"}


def test_a_real_model_with_rules_runs_from_its_file_to_the_lines(write_model: Callable[..., Any]) -> None:
    session = open_session(write_model(card_of()), threads=1)
    lines = lines_of(session, recorded(squatting(knees((100, 2)))))
    plain = lines_of(open_session(write_model(card_of(rules={})), threads=1), recorded(squatting(knees((100, 2)))))
    assert len([a for a in lines if a["type"] == "answer"]) == len([a for a in plain if a["type"] == "answer"])
    for line, bare in zip(lines, plain, strict=False):
        if line["type"] == "answer" and "gated" not in line:
            assert {**line, "latency_ms": 0} == {**bare, "latency_ms": 0}
