"""Windows true in time: early answers are marked and equal offline; a slow source is noticed by its own times."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.inference.session import Session, open_session
from amr_edge.runtime.pipeline.recognizer import Prediction, Recognizer, recognize
from amr_edge.skeleton import present_joints

WriteModel = Callable[..., Path]
CardOf = Callable[..., Card]
People = Callable[..., Recording]


def streamed(recording: Recording, session: Session, early: float | None) -> tuple[list[Prediction], Recognizer]:
    stream = Recognizer(session, recording.skeleton, recording.units, early=early)
    answers = []
    for frame, time_s in enumerate(recording.times_s):
        poses = recording.poses[:, frame]
        here = np.flatnonzero(present_joints(poses).any(axis=-1))
        answers += stream.push(Frame(time_s=float(time_s), poses=poses[here], ids=tuple(map(int, here))))
    return answers + stream.flush(), stream


@pytest.fixture(params=[1, 2], ids=["for one person", "for a scene of two"])
def session(request: pytest.FixtureRequest, write_model: WriteModel, card_of: CardOf) -> Session:
    return open_session(write_model(card_of(persons=request.param)), threads=1)


def test_early_answers_come_on_the_same_beat_and_move_no_other(session: Session, people: People) -> None:
    recording = people(np.random.default_rng(0), seconds=2.0, fps=20)
    plain, _ = streamed(recording, session, None)
    both, _ = streamed(recording, session, 0.4)
    # A window of 1 s and a beat of 0.25 s: 0.5 and 0.75 s are early, 0.25 s is under 0.4 of a window.
    assert [(a.time_s, a.start_s, a.early) for a in both[:3]] == [
        (0.5, 0.0, True),
        (0.75, 0.0, True),
        (1.0, 0.0, False),
    ]
    assert not any(a.early for a in plain)
    late = [a for a in both if not a.early]
    assert [a.time_s for a in late] == [a.time_s for a in plain]
    for one, other in zip(late, plain, strict=True):
        np.testing.assert_allclose(one.probs, other.probs, atol=1e-6)
    assert both[0].to_dict()["early"] is True


def test_who_comes_later_is_answered_early_from_when_they_came(write_model: WriteModel, people: People) -> None:
    recording = people(np.random.default_rng(0), persons=2, seconds=2.0, fps=20)
    recording.poses[1, :20] = np.nan  # comes at 1.0 s
    answers, _ = streamed(recording, open_session(write_model()), 0.5)
    second = [(a.time_s, a.start_s, a.early) for a in answers if a.person == 1]
    assert second == [(1.5, 1.0, True), (1.75, 1.0, True), (2.0, 1.0, False)]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    seconds=st.floats(0.0, 4.0),
    fps=st.sampled_from([7.0, 12.0, 30.0]),
    early=st.sampled_from([0.1, 0.5, 0.8]),
    from_s=st.floats(0, 3),
    for_s=st.floats(0, 3),
)
def test_early_answers_of_a_stream_equal_the_whole_recordings(
    session: Session, people: People, seed: int, seconds: float, fps: float, early: float, from_s: float, for_s: float
) -> None:
    recording = people(np.random.default_rng(seed), persons=2, seconds=seconds, fps=fps, jitter=0.9, holes=0.2)
    recording.poses[1, (recording.times_s >= from_s) & (recording.times_s <= from_s + for_s)] = np.nan
    live, _ = streamed(recording, session, early)
    offline = recognize(recording, session, early=early)
    key = [(a.time_s, a.start_s, a.people, a.partial, a.early) for a in live]
    assert key == [(a.time_s, a.start_s, a.people, a.partial, a.early) for a in offline]
    for one, other in zip(live, offline, strict=True):
        np.testing.assert_allclose(one.probs, other.probs, atol=1e-5)


@pytest.mark.parametrize("early", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_is_none_is_refused(session: Session, people: People, early: float) -> None:
    recording = people(np.random.default_rng(0))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        Recognizer(session, recording.skeleton, recording.units, early=early)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        recognize(recording, session, early=early)


@pytest.mark.parametrize(("fps", "said"), [(30.0, None), (12.0, "12 frames a second"), (2.0, "sees next to nothing")])
def test_a_slow_source_is_noticed_by_its_own_times(
    session: Session, people: People, fps: float, said: str | None
) -> None:
    # The tiny model sees 16 frames in 1 s: what gives less than half of 15 frames a second is slow.
    recording = people(np.random.default_rng(0), seconds=4.0, fps=fps if fps != 12.0 else 7.0)
    _, stream = streamed(recording, session, None)
    if said is None:
        assert stream.slow is None
    else:
        assert stream.slow is not None
        assert said.replace("12", "7") in stream.slow


def test_a_pause_does_not_make_a_source_slow(session: Session, people: People) -> None:
    recording = people(np.random.default_rng(0), seconds=4.0, fps=30.0)
    here = (recording.times_s < 1.0) | (recording.times_s > 3.0)
    cut = Recording(poses=recording.poses[:, here], times_s=recording.times_s[here], layout=recording.layout)
    assert streamed(cut, session, None)[1].slow is None


def test_a_stuttering_camera_of_twelve_frames_gives_the_clip_of_a_steady_one(session: Session, people: People) -> None:
    """A body that moves in straight lines is the same to the model however unevenly it was photographed."""
    start = people(np.random.default_rng(0), seconds=0.0).poses[:, 0]  # (1, V, C)
    rng = np.random.default_rng(1)
    steady = np.arange(0, 61) / 30
    stutter = np.unique(np.concatenate([[0.0, 1.0, 2.0], np.arange(24) / 12 + rng.uniform(0, 0.06, 24)]))
    answers = []
    for times_s in (steady, stutter):
        poses = (start[:, None] * (1 + 0.2 * times_s[None, :, None, None])).astype(np.float32)  # (M, T, V, C)
        recording = Recording(poses=poses, times_s=times_s, layout="kinect20")
        answers.append({round(a.time_s, 6): a.probs for a in streamed(recording, session, None)[0]})
    for time_s in (1.0, 2.0):
        np.testing.assert_allclose(answers[0][time_s], answers[1][time_s], atol=1e-4)
