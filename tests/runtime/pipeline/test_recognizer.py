"""Streaming frame by frame equals the whole recording; what does not fit is refused."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.errors import ClipError, ConfigError, LayoutError
from amr_edge.preprocess import PrepareConfig, motion_energy, prepare
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.inference.session import Session, open_session
from amr_edge.runtime.pipeline.one_euro import strength
from amr_edge.runtime.pipeline.recognizer import Prediction, Recognizer, check_source, recognize, scene_clip
from amr_edge.skeleton import COCO17, KINECT20, MEDIAPIPE33, NTU25, PENN13, present_joints

WriteModel = Callable[..., Path]
CardOf = Callable[..., Card]
People = Callable[..., Recording]


def frames(recording: Recording, *, absent_rows: bool = False) -> Iterator[Frame]:
    """Frame by frame; somebody without a joint is left out, or stays as a row of NaN."""
    for frame, time_s in enumerate(recording.times_s):
        poses = recording.poses[:, frame]
        here = np.flatnonzero(present_joints(poses).any(axis=-1) | absent_rows)
        yield Frame(time_s=float(time_s), poses=poses[here], ids=tuple(int(person) for person in here))


def streamed(
    recording: Recording,
    session: Session,
    *,
    absent_rows: bool = False,
    early: float | None = None,
    smooth: str = "off",
) -> list[Prediction]:
    stream = Recognizer(session, recording.skeleton, recording.units, early=early, smooth=strength(smooth))
    answers = [a for s in frames(recording, absent_rows=absent_rows) for a in stream.push(s)]
    return answers + stream.flush()


def assert_same(left: list[Prediction], right: list[Prediction]) -> None:
    assert [(a.time_s, a.start_s, a.person, a.people, a.partial, a.early) for a in left] == [
        (a.time_s, a.start_s, a.person, a.people, a.partial, a.early) for a in right
    ]
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a.probs, b.probs, atol=1e-5)


@pytest.fixture(params=[1, 2], ids=["for one person", "for a scene of two"])
def session(request: pytest.FixtureRequest, write_model: WriteModel, card_of: CardOf) -> Session:
    return open_session(write_model(card_of(persons=request.param)), threads=1)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    persons=st.integers(1, 3),
    seconds=st.floats(0.0, 5.0),
    fps=st.sampled_from([2.0, 11.0, 30.0, 120.0]),
    jitter=st.sampled_from([0.0, 0.9]),
    holes=st.sampled_from([0.0, 0.2, 0.97]),
    away=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3)), max_size=3),
    absent_rows=st.booleans(),
    pause=st.one_of(st.none(), st.tuples(st.floats(0, 4), st.floats(0, 2))),
    early=st.sampled_from([None, 0.3, 0.8]),
    smooth=st.sampled_from(["off", "low", "high"]),
)
def test_streaming_frame_by_frame_equals_the_whole_recording(
    session: Session,
    people: People,
    seed: int,
    persons: int,
    seconds: float,
    fps: float,
    jitter: float,
    holes: float,
    away: list[tuple[float, float]],
    absent_rows: bool,
    pause: tuple[float, float] | None,
    early: float | None,
    smooth: str,
) -> None:
    rng = np.random.default_rng(seed)
    recording = people(rng, persons=persons, seconds=seconds, fps=fps, jitter=jitter, holes=holes)
    for which, (from_s, for_s) in enumerate(away):
        gone = (recording.times_s >= from_s) & (recording.times_s <= from_s + for_s)
        recording.poses[which % persons, gone] = np.nan
    if pause is not None:  # no frames at all
        here = (recording.times_s <= pause[0]) | (recording.times_s > sum(pause))
        recording = replace(recording, poses=recording.poses[:, here], times_s=recording.times_s[here])
    assert_same(
        streamed(recording, session, absent_rows=absent_rows, early=early, smooth=smooth),
        recognize(recording, session, early=early, smooth=strength(smooth)),
    )


def test_somebody_who_starts_anew_is_smoothed_anew(write_model: WriteModel, people: People) -> None:
    session = open_session(write_model())
    whole = people(np.random.default_rng(4), seconds=8.0)
    whole.poses[:, 60:150] = np.nan  # 3 s: longer than the window of 1 s and its longest gap
    back = replace(whole, poses=whole.poses[:, 150:], times_s=whole.times_s[150:])
    later = [a for a in recognize(whole, session, smooth=strength("high")) if a.time_s > 6.0]
    alone = recognize(back, session, smooth=strength("high"))
    for answer in later:
        (same,) = [a for a in alone if a.time_s == answer.time_s]
        np.testing.assert_array_equal(answer.probs, same.probs)


def test_smoothing_changes_what_a_model_sees_of_a_jittery_body(write_model: WriteModel, people: People) -> None:
    session, recording = open_session(write_model()), people(np.random.default_rng(0), seconds=2.0)
    recording.poses[:] += np.random.default_rng(1).normal(0, 0.02, recording.poses.shape).astype(np.float32)
    off, high = recognize(recording, session), recognize(recording, session, smooth=strength("high"))
    assert [a.time_s for a in off] == [a.time_s for a in high]
    assert max(np.abs(a.probs - b.probs).max() for a, b in zip(off, high, strict=True)) > 1e-3


def test_a_temperature_of_two_takes_the_root_of_the_odds(
    write_model: WriteModel, card_of: CardOf, people: People
) -> None:
    recording = people(np.random.default_rng(0), seconds=1.0)
    (plain,) = recognize(recording, open_session(write_model()))
    (calm,) = recognize(recording, open_session(write_model(card_of(temperature=2.0), name="calm.onnx")))
    odds, calmer = plain.probs[1] / plain.probs[0], calm.probs[1] / calm.probs[0]
    assert calmer == pytest.approx(np.sqrt(odds), rel=1e-4)
    assert calm.probs.sum() == pytest.approx(1, abs=1e-6)


def test_answers_come_at_the_first_frame_at_or_after_each_due_time(session: Session, people: People) -> None:
    recording = people(np.random.default_rng(0), seconds=2.0, fps=30)
    answers = streamed(recording, session)
    # Due at 1.0, 1.25, 1.5, 1.75, 2.0; 1.25 s lies between frames 37 and 38, 1.75 s between 52 and 53.
    assert [round(answer.time_s * 30) for answer in answers] == [30, 38, 45, 53, 60]


def test_after_a_pause_of_the_source_nothing_is_made_up_for(session: Session, people: People) -> None:
    whole = people(np.random.default_rng(0), seconds=4.0, fps=30)
    here = (whole.times_s < 1.5) | (whole.times_s > 2.4)
    recording = Recording(poses=whole.poses[:, here], times_s=whole.times_s[here], layout="kinect20")
    answers = streamed(recording, session)
    # 73 / 30 s is the first frame after the pause; what was due in it is asked once.
    assert [round(a.time_s * 30) for a in answers] == [30, 38, 73, 75, 83, 90, 98, 105, 113, 120]
    assert_same(answers, recognize(recording, session))


def test_two_people_get_an_answer_each_out_of_one_forward(
    write_model: WriteModel, people: People, card_of: CardOf
) -> None:
    inner = open_session(write_model())
    batches = []

    class Counting:
        card, title = inner.card, inner.title

        def probs(self, values: np.ndarray, present: np.ndarray) -> np.ndarray:
            batches.append(values.shape)
            return inner.probs(values, present)

    answers = streamed(people(np.random.default_rng(1), persons=2, seconds=1.5), Counting())
    assert batches == [(2, 1, 16, 20, 3)] * 3
    assert [answer.person for answer in answers] == [0, 1] * 3


def test_a_recording_shorter_than_the_window_is_stretched_to_it(write_model: WriteModel, people: People) -> None:
    session = open_session(write_model())
    recording = people(np.random.default_rng(2), seconds=0.6)
    (answer,) = streamed(recording, session)
    clip = prepare(recording.poses, recording.times_s, KINECT20, session.card.prepare)
    assert answer.partial
    assert (answer.start_s, answer.time_s) == (0.0, recording.times_s[-1])
    np.testing.assert_allclose(answer.probs, session.probs(clip.values[None], clip.present[None])[0], atol=1e-6)


def test_one_frame_is_answered(session: Session, people: People) -> None:
    recording = people(np.random.default_rng(2), seconds=0.0)
    assert len(streamed(recording, session)) == 1


def test_a_recording_as_long_as_the_window_is_not_partial(session: Session, people: People) -> None:
    (answer,) = streamed(people(np.random.default_rng(2), seconds=1.0), session)
    assert not answer.partial


def test_nobody_gets_no_answer(session: Session, people: People) -> None:
    recording = people(np.random.default_rng(3), holes=1.0)
    assert np.isnan(recording.poses).all()
    assert streamed(recording, session, absent_rows=True) == []
    assert recognize(recording, session) == []
    assert Recognizer(session, KINECT20, "m").flush() == []


def test_somebody_away_for_seconds_gets_no_answer_meanwhile(write_model: WriteModel, people: People) -> None:
    recording = people(np.random.default_rng(4), seconds=8.0)
    recording.poses[:, 60:150] = np.nan  # from 2 s to 5 s
    times_s = [answer.time_s for answer in streamed(recording, open_session(write_model()))]
    assert not [t for t in times_s if 2.5 < t < 6.0]  # half a second of patience, then a whole new window
    assert [t for t in times_s if t <= 2.5]
    assert [t for t in times_s if t >= 6.0]


def test_answers_do_not_depend_on_where_the_clock_starts(session: Session, people: People) -> None:
    recording = people(np.random.default_rng(5), persons=2, seconds=2.0)
    later = Recording(poses=recording.poses, times_s=recording.times_s + 4096.0, layout="kinect20")
    for a, b in zip(streamed(recording, session), streamed(later, session), strict=True):
        assert b.time_s - a.time_s == pytest.approx(4096)
        np.testing.assert_allclose(a.probs, b.probs, atol=1e-4)


def test_memory_is_flat_over_many_passers_by(write_model: WriteModel, people: People) -> None:
    stream = Recognizer(open_session(write_model()), KINECT20, "m")
    one = people(np.random.default_rng(0), seconds=0.0).poses[:, 0]
    for step in range(400):
        stream.push(Frame(time_s=step * 0.5, poses=one, ids=(step,)))
        assert stream.in_view <= 3


def test_people_without_ids_get_them_from_their_places(write_model: WriteModel, people: People) -> None:
    session = open_session(write_model())
    recording = people(np.random.default_rng(6), persons=2, seconds=2.0)
    stream = Recognizer(session, KINECT20, "m")
    answers = []
    for frame, time_s in enumerate(recording.times_s):
        order = [0, 1] if frame % 3 else [1, 0]  # a detector names people in any order
        answers += stream.push(Frame(time_s=float(time_s), poses=recording.poses[order, frame]))
    by_person = {
        person: [answer.probs for answer in answers if answer.person == person]
        for person in {answer.person for answer in answers}
    }
    known: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for answer in recognize(recording, session):
        known[answer.people[0]].append(answer.probs)
    assert len(by_person) == 2
    # The first frame named person 1 first.
    np.testing.assert_allclose(by_person[0], known[1], atol=1e-5)
    np.testing.assert_allclose(by_person[1], known[0], atol=1e-5)


@pytest.mark.parametrize("smooth", ["off", "high"])
def test_a_window_begins_anew_when_an_identity_breaks(write_model: WriteModel, people: People, smooth: str) -> None:
    session, recording = open_session(write_model()), people(np.random.default_rng(6), seconds=4.0)
    recording.poses[:, 60:] += np.float32([3.0, 0.0, 0.0])  # at 2 s the detector finds another body

    def answers(whole: Recording) -> list[Prediction]:
        stream = Recognizer(session, KINECT20, "m", smooth=strength(smooth))
        seen = zip(whole.times_s, np.moveaxis(whole.poses, 1, 0), strict=True)
        return [a for time_s, poses in seen for a in stream.push(Frame(time_s=float(time_s), poses=poses))]

    both = answers(recording)
    assert {a.person for a in both if a.time_s < 2.0} == {0}
    assert not [a for a in both if a.person == 1 and a.time_s < 3.0 - 1e-6]
    alone = answers(replace(recording, poses=recording.poses[:, 60:], times_s=recording.times_s[60:]))
    for mine, theirs in zip([a for a in both if a.person == 1], alone, strict=True):
        np.testing.assert_allclose(mine.probs, theirs.probs, atol=1e-6)


def test_the_picture_tells_people_apart_whose_poses_share_an_origin(write_model: WriteModel, people: People) -> None:
    recording = people(np.random.default_rng(6), persons=1, seconds=1.0)
    stream = Recognizer(open_session(write_model()), KINECT20, "m")
    for frame, time_s in enumerate(recording.times_s):
        twins = recording.poses[[0, 0], frame]  # both hang from the origin
        pixels = twins[..., :2] * 100 + np.float32([[[100, 100]], [[500, 100]]])
        order = [0, 1] if frame % 2 else [1, 0]
        stream.push(Frame(time_s=float(time_s), poses=twins, pixels=pixels[order].astype(np.float32)))
        assert stream.ids == ((1, 0) if frame % 2 else (0, 1))


def test_the_scene_takes_those_who_move_most(card_of: CardOf) -> None:
    times_s = np.arange(31) / 30
    speed = np.float32([0.1, 3.0, 0.0, 1.0])
    poses = np.zeros((4, 31, 20, 3), np.float32)
    poses[..., 0] = speed[:, None, None] * times_s[None, :, None].astype(np.float32)
    found = scene_clip(poses, times_s, (10, 11, 12, 13), KINECT20, card_of(persons=2), (0.0, 1.0))
    assert found is not None
    assert found[0] == (11, 13)
    assert found[1].values.shape == (2, 16, 20, 3)


def test_a_lone_person_in_a_scene_of_two_is_a_clip_of_one_body(
    write_model: WriteModel, card_of: CardOf, people: People
) -> None:
    session = open_session(write_model(card_of(persons=2)))
    recording = people(np.random.default_rng(0), persons=2, seconds=2.0)
    recording.poses[1, :45] = np.nan  # comes in at 1.5 s
    batches = []

    class Watched:
        card, title = session.card, session.title

        def probs(self, values: np.ndarray, present: np.ndarray) -> np.ndarray:
            batches.append(values.shape[:2])
            return session.probs(values, present)

    assert_same(streamed(recording, Watched()), recognize(recording, Watched()))
    # Five answers frame by frame; at once, the clips of one body are filled up with an absent one.
    assert batches == [(1, 1), (1, 1), (1, 2), (1, 2), (1, 2), (5, 2)]


def test_motion_energy_leaves_absent_joints_out() -> None:
    poses = np.float32([[[[0, 0], [0, 0]], [[3, 4], [np.nan, np.nan]], [[3, 4], [9, 9]]]])  # (1, 3, 2, 2)
    assert motion_energy(poses).tolist() == [25.0]


@pytest.mark.parametrize("time_s", [0.5, 0.4, float("nan")])
def test_times_that_do_not_rise_are_refused_with_a_way_out(session: Session, time_s: float) -> None:
    stream = Recognizer(session, KINECT20, "m")
    nobody = np.zeros((0, 20, 3), np.float32)
    stream.push(Frame(time_s=0.5, poses=nobody))
    with pytest.raises(ClipError, match=r"must be finite and rise, got .* after 0.5 s; sort the frames"):
        stream.push(Frame(time_s=time_s, poses=nobody))


def test_poses_of_another_layout_are_refused(session: Session) -> None:
    stream = Recognizer(session, KINECT20, "m")
    with pytest.raises(ClipError, match=r"\(P, 20, 2 or 3\).*\(1, 25, 3\)"):
        stream.push(Frame(time_s=0.0, poses=np.zeros((1, 25, 3), np.float32)))
    with pytest.raises(ClipError, match="2 different ids"):
        stream.push(Frame(time_s=0.0, poses=np.zeros((2, 20, 3), np.float32), ids=(4, 4)))


def test_pixels_are_refused_by_a_model_of_metres_that_does_not_rescale(card_of: CardOf) -> None:
    with pytest.raises(LayoutError, match="trained on metres and does not rescale, the source gives pixels"):
        check_source(card_of(), KINECT20, "px")


def test_pixels_are_taken_with_a_note_by_a_model_that_rescales(card_of: CardOf) -> None:
    card = card_of(prepare=replace(card_of().prepare, scale="torso"))
    assert "rescaled by the torso" in (check_source(card, KINECT20, "px") or "")


def test_units_without_meaning_are_refused(card_of: CardOf) -> None:
    with pytest.raises(ConfigError, match="got 'inch'"):
        check_source(card_of(), KINECT20, "inch")


def test_a_source_with_fewer_than_half_of_the_joints_is_refused_by_their_names(card_of: CardOf) -> None:
    card = card_of(units="px", prepare=PrepareConfig(layout="mediapipe33"))
    with pytest.raises(LayoutError, match=r"lacks left_eye_inner, left_eye, .*right_foot"):
        check_source(card, PENN13, "px")


def test_a_source_with_a_few_joints_less_gets_a_note_that_names_them(card_of: CardOf) -> None:
    note = check_source(card_of(units="px"), COCO17, "px") or ""
    assert "left_hand, left_foot" in note.replace("right_hand, ", "")
    assert check_source(card_of(), NTU25, "m") is None
    assert check_source(card_of(), MEDIAPIPE33, "m") is None


def test_an_answer_as_a_dictionary_has_its_five_best_classes_first(session: Session) -> None:
    classes = tuple("abcdefg")
    probs = np.float32([0.02, 0.4, 0.05, 0.3, 0.1, 0.08, 0.05])
    answer = Prediction(start_s=1.0, time_s=2.0, person=3, people=(3,), classes=classes, probs=probs)
    told = answer.to_dict()
    assert (told["label"], told["person"]) == ("b", 3)
    assert [name for name, _ in told["top"]] == ["b", "d", "e", "f", "c"]


def test_who_is_in_the_scene_does_not_depend_on_frames_after_it(card_of: CardOf, people: People) -> None:
    for seed in range(20):
        recording = people(np.random.default_rng(seed), persons=2, seconds=3.0, holes=0.3)
        now = recording.times_s <= 1.5
        whole = scene_clip(recording.poses, recording.times_s, (0, 1), KINECT20, card_of(persons=2), (0.5, 1.5))
        past = scene_clip(
            recording.poses[:, now], recording.times_s[now], (0, 1), KINECT20, card_of(persons=2), (0.5, 1.5)
        )
        assert whole is not None
        assert past is not None
        assert whole[0] == past[0]
        np.testing.assert_array_equal(whole[1].values, past[1].values)
