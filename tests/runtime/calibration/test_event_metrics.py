"""Events are held against spans as one would by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.data.recording import Span
from amr_edge.errors import ConfigError
from amr_edge.runtime.calibration.event_metrics import EventScore, TrueEvent, happened, score_events
from amr_edge.runtime.pipeline.event_detector import Event


def test_a_recording_worked_by_hand() -> None:
    spans = [Span(2.0, 4.0, "wave"), Span(10.0, 12.0, "sit"), Span(20.0, 21.0, "wave")]
    told = [
        TrueEvent("wave", 2.5, 4.0, 3.2),  # 1.5 of 2.0 s: matched, told 1.2 s after the onset
        TrueEvent("sit", 11.0, 14.0, 11.9),  # 1 of 4 s: too little overlap, but no false alarm
        TrueEvent("wave", 10.0, 12.0, 11.0),  # the wrong label
        TrueEvent("wave", 15.0, 16.0, 15.8),  # a false alarm
    ]
    score = score_events(told, spans, 0.0, 30.0)
    assert (score.actions, score.events, score.matched, score.alarms) == (3, 4, 1, ("wave",))
    assert (score.precision, score.recall) == (0.25, pytest.approx(1 / 3))
    assert score.f1 == pytest.approx(2 / 7)
    assert score.median_delay_s == pytest.approx(1.2)
    assert score.idle_s == 25.0
    assert score.alarms_per_hour == pytest.approx(144.0)


def test_one_action_told_in_pieces_is_matched_once() -> None:
    pieces = [TrueEvent("wave", 0.0, 1.0, 0.5), TrueEvent("wave", 1.0, 2.0, 1.5)]
    score = score_events(pieces, [Span(0.0, 2.0, "wave")], 0.0, 2.0)
    assert (score.matched, score.precision, score.recall) == (1, 0.5, 1.0)


def test_one_event_over_two_actions_matches_one_of_them() -> None:
    spans = [Span(0.0, 3.0, "wave"), Span(3.2, 4.0, "wave")]
    score = score_events([TrueEvent("wave", 0.0, 4.0, 1.0)], spans, 0.0, 5.0)
    assert (score.matched, score.precision, score.recall) == (1, 1.0, 0.5)
    assert score.delays_s == (1.0,)


def test_half_an_overlap_is_enough_and_less_is_not() -> None:
    span = [Span(0.1, 0.3, "wave")]
    assert score_events([TrueEvent("wave", 0.1, 0.2, 0.2)], span, 0.0, 1.0).matched == 1
    assert score_events([TrueEvent("wave", 0.1, 0.199, 0.2)], span, 0.0, 1.0).matched == 0


def test_the_pairing_is_the_one_with_most_pairs() -> None:
    spans = [Span(0.0, 4.0, "wave"), Span(2.0, 6.0, "wave")]
    # The first event fits both spans, and the second span better; the other event fits the second span only.
    told = [TrueEvent("wave", 1.0, 5.0, 2.0), TrueEvent("wave", 3.0, 6.5, 4.0)]
    assert score_events(told, spans, 0.0, 8.0).matched == 2


def test_overlapping_spans_are_not_idle_twice() -> None:
    spans = [Span(0.0, 4.0, "a"), Span(2.0, 6.0, "b"), Span(3.0, 3.5, "c")]
    assert score_events([], spans, 0.0, 10.0).idle_s == 4.0


def test_nothing_at_all_has_no_rates() -> None:
    nothing = EventScore()
    assert nothing.f1 != nothing.f1
    assert nothing.to_dict()["false_alarms"] == 0


def test_scores_of_recordings_add_up() -> None:
    one = score_events([TrueEvent("a", 0.0, 1.0, 0.4)], [Span(0.0, 1.0, "a")], 0.0, 3.0)
    two = score_events([TrueEvent("a", 5.0, 6.0, 5.6)], [Span(0.0, 1.0, "a")], 0.0, 9.0)
    both = one + two
    assert (both.actions, both.events, both.matched, both.alarms, both.idle_s) == (2, 2, 1, ("a",), 10.0)


@pytest.mark.parametrize("overlap", [0.0, -1.0, 1.1, float("nan")])
def test_an_overlap_without_meaning_is_refused(overlap: float) -> None:
    with pytest.raises(ConfigError, match="overlap must lie in"):
        score_events([], [], 0.0, 1.0, overlap=overlap)


def told(kind: str, person: int, start_s: float, end_s: float) -> Event:
    return Event(event=kind, person=person, label="wave", start_s=start_s, end_s=end_s, prob=0.9, lag_s=1.0)  # type: ignore[arg-type]


def test_starts_and_ends_of_two_people_are_put_together() -> None:
    events = [
        told("start", 0, 2.0, 2.3),
        told("start", 1, 2.5, 2.8),
        told("end", 1, 2.5, 4.0),
        told("end", 0, 2.0, 5.0),
    ]
    assert happened(events) == [TrueEvent("wave", 1.0, 4.0, 2.3), TrueEvent("wave", 1.5, 3.0, 2.8)]


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 5), st.sampled_from("ab")), max_size=8))
def test_the_truth_told_at_once_is_perfect(acts: list[tuple[float, float, str]]) -> None:
    spans = [Span(start_s, start_s + length_s, label) for start_s, length_s, label in acts]
    score = score_events([TrueEvent(s.label, s.start_s, s.end_s, s.start_s) for s in spans], spans, 0.0, 60.0)
    assert (score.matched, score.alarms) == (len(spans), ())
    assert set(score.delays_s) <= {0.0}
