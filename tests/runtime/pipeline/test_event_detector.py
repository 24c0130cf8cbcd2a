"""Answers become events with a start and an end, and nothing else does."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.live_settings import EventConfig
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.pipeline.event_detector import Event, EventDetector
from amr_edge.runtime.pipeline.recognizer import Prediction

CardOf = Callable[..., Card]
PREPARE = PrepareConfig()
CLASSES = ("none", "wave", "sit")
RAW = EventConfig(smooth_s=0.0, confirm_s=0.25, hold_s=0.5, release=0.8, gone_s=1.0, update_s=1.0)


def answer(time_s: float, *probs: float, person: int | None = 0, partial: bool = False) -> Prediction:
    return Prediction(
        start_s=time_s - 1,
        time_s=time_s,
        person=person,
        people=(0,),
        classes=CLASSES,
        probs=np.float32(probs),
        partial=partial,
    )


def told(decider: EventDetector, *answers: Prediction) -> list[tuple[str, str, float, float]]:
    events = [event for one in answers for event in decider.push(one.time_s, [one])]
    return [(e.event, e.label, e.start_s, e.end_s) for e in [*events, *decider.flush()]]


WAVE, SIT, NONE, UNSURE = (0.1, 0.8, 0.1), (0.1, 0.1, 0.8), (0.9, 0.05, 0.05), (0.4, 0.3, 0.3)


def test_a_label_that_stays_starts_and_ends_an_event(card_of: CardOf) -> None:
    answers = [answer(0.0, *NONE), *(answer(0.25 * k, *WAVE) for k in range(1, 5)), answer(1.25, *NONE)]
    assert told(EventDetector(card_of(), RAW), *answers) == [("start", "wave", 0.25, 0.5), ("end", "wave", 0.25, 1.0)]


def test_the_cards_settings_decide_unless_others_are_given(card_of: CardOf) -> None:
    answers = [answer(0.25 * k, *WAVE) for k in range(5)]
    patient = card_of(events=EventConfig(smooth_s=0.0, confirm_s=0.75))
    assert told(EventDetector(patient), *answers)[0] == ("start", "wave", 0.0, 0.75)
    assert told(EventDetector(patient, RAW), *answers)[0] == ("start", "wave", 0.0, 0.25)


def test_a_single_answer_starts_nothing(card_of: CardOf) -> None:
    assert told(EventDetector(card_of(), RAW), answer(0.0, *NONE), answer(0.25, *WAVE), answer(0.5, *NONE)) == []


def test_the_none_class_never_starts_an_event(card_of: CardOf) -> None:
    assert told(EventDetector(card_of(), RAW), *(answer(0.25 * k, *NONE) for k in range(20))) == []


def test_without_a_none_class_every_label_may_start_an_event(card_of: CardOf) -> None:
    events = told(EventDetector(card_of(none_class=None), RAW), *(answer(0.25 * k, *NONE) for k in range(3)))
    assert [event[:2] for event in events] == [("start", "none"), ("end", "none")]


def test_nothing_below_the_threshold_starts_an_event(card_of: CardOf) -> None:
    assert told(EventDetector(card_of(threshold=0.85), RAW), *(answer(0.25 * k, *WAVE) for k in range(9))) == []


def test_an_event_survives_answers_between_release_and_threshold(card_of: CardOf) -> None:
    low = (0.1, 0.45, 0.44)  # threshold 0.5, released below 0.4
    answers = [answer(0.25 * k, *(WAVE if k < 3 else low)) for k in range(6)]
    assert told(EventDetector(card_of(), RAW), *answers)[-1] == ("end", "wave", 0.0, 1.25)


def test_an_event_is_held_for_its_least_length(card_of: CardOf) -> None:
    config = EventConfig(smooth_s=0.0, confirm_s=0.0, hold_s=1.0)
    decider = EventDetector(card_of(), config)
    kinds = [
        [event.event for event in decider.push(0.25 * k, [answer(0.25 * k, *(WAVE if k == 0 else NONE))])]
        for k in range(6)
    ]
    assert kinds == [["start"], [], [], [], ["end"], []]


def test_one_event_gives_way_to_the_next(card_of: CardOf) -> None:
    answers = [answer(0.25 * k, *(WAVE if k < 4 else SIT)) for k in range(8)]
    assert told(EventDetector(card_of(), RAW), *answers) == [
        ("start", "wave", 0.0, 0.25),
        ("end", "wave", 0.0, 0.75),
        ("start", "sit", 1.0, 1.25),
        ("end", "sit", 1.0, 1.75),
    ]


def test_a_long_event_is_updated_every_second(card_of: CardOf) -> None:
    events = told(EventDetector(card_of(), RAW), *(answer(0.25 * k, *WAVE) for k in range(14)))
    assert [(kind, end_s) for kind, _, _, end_s in events if kind == "update"] == [
        ("update", 1.25),
        ("update", 2.25),
        ("update", 3.25),
    ]


def test_somebody_who_is_gone_ends_what_they_did(card_of: CardOf) -> None:
    decider = EventDetector(card_of(), RAW)
    for k in range(3):
        decider.push(0.25 * k, [answer(0.25 * k, *WAVE)])
    assert decider.push(1.5, []) == []
    (event,) = decider.push(1.51, [])
    assert (event.event, event.end_s) == ("end", 0.5)
    assert decider.now(0) is None


def test_each_person_has_their_own_events(card_of: CardOf) -> None:
    decider = EventDetector(card_of(), RAW)
    events: list[Event] = []
    for k in range(3):
        pair = [answer(0.25 * k, *WAVE, person=3), answer(0.25 * k, *SIT, person=7)]
        events += decider.push(0.25 * k, pair)
    assert [(event.person, event.label) for event in events] == [(3, "wave"), (7, "sit")]


def test_smoothing_is_exponential_in_time_however_answers_are_spaced(card_of: CardOf) -> None:
    decider = EventDetector(card_of(), EventConfig(smooth_s=0.5))
    decider.push(0.0, [answer(0.0, 1, 0, 0)])
    decider.push(0.1, [answer(0.1, 0, 1, 0)])
    decider.push(0.5, [answer(0.5, 0, 1, 0)])
    label, prob = decider.now(0) or ("", 0.0)
    assert label == "wave"
    assert prob == pytest.approx(1 - np.exp(-1.0))


def test_the_only_answer_of_a_short_recording_is_an_event_by_itself(card_of: CardOf) -> None:
    decider = EventDetector(card_of(), RAW)
    assert told(decider, answer(0.6, *WAVE, partial=True)) == [
        ("start", "wave", pytest.approx(-0.4), 0.6),
        ("end", "wave", pytest.approx(-0.4), 0.6),
    ]
    assert told(EventDetector(card_of(), RAW), answer(0.6, *UNSURE, partial=True)) == []
    assert told(EventDetector(card_of(), RAW), answer(0.6, *NONE, partial=True)) == []


@given(st.lists(st.tuples(st.sampled_from([WAVE, SIT, NONE, UNSURE]), st.sampled_from([0.1, 0.25, 2.0])), max_size=60))
def test_starts_and_ends_alternate_whatever_comes(script: list[tuple[tuple[float, ...], float]]) -> None:
    card = Card(name="c", kind="classifier", classes=CLASSES, none_class="none", prepare=PREPARE)
    decider, time_s, going, last_end_s = EventDetector(card), 0.0, None, -1.0
    events: list[Event] = []
    for probs, step_s in script:
        time_s += step_s
        events += decider.push(time_s, [answer(time_s, *probs)])
    for event in [*events, *decider.flush()]:
        assert event.label != "none"
        assert last_end_s <= event.start_s <= event.end_s <= time_s
        if event.event == "start":
            assert going is None
            going = event.label
        else:
            assert going == event.label
        if event.event == "end":
            going, last_end_s = None, event.end_s
    assert going is None


@pytest.mark.parametrize("wrong", [{"smooth_s": -1.0}, {"confirm_s": float("nan")}, {"release": 0.0}, {"release": 1.5}])
def test_settings_without_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="events need"):
        EventConfig(**wrong)
