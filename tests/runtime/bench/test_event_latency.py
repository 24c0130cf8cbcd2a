"""The delay of an action runs from its onset to the frame that told of it; misses and inventions are counted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.data.recording import Span
from amr_edge.errors import DataError
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.bench.event_latency import Confirmed, action_latency, matched
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.sources.recorded import SourceRun
from amr_edge.skeleton import KINECT20, Mask


@dataclass
class Oracle:
    """Says "wave" as soon as the newest pose of a clip has its marker, for sure, and nothing else."""

    card: Card
    title: str = "oracle"
    tokens: int = 1

    def probs(self, values: np.ndarray, present: Mask) -> np.ndarray:
        marked = np.abs(values[:, 0, -1, :, :]).max(axis=(1, 2)) > 50
        out = np.zeros((len(values), 2), np.float32)
        out[np.arange(len(values)), marked.astype(int)] = 1.0
        return out


@pytest.fixture
def oracle(card_of: Callable[..., Card]) -> Oracle:
    prepare = PrepareConfig(layout="kinect20", frames=16, window_s=1.0, max_gap_s=0.4, scale="none", view="camera")
    return Oracle(card_of(classes=("none", "wave"), none_class="none", stride_s=0.1, prepare=prepare))


def take(spans: tuple[Span, ...], marked: tuple[Span, ...], seconds: float = 12.0) -> SourceRun:
    """One person before a camera at 20 fps; a far joint marks the frames in which the oracle will see a wave."""
    frames = []
    for k in range(int(seconds * 20)):
        pose = np.zeros((1, 20, 3), np.float32)
        pose[0, :, 1] = np.linspace(0, 1, 20)
        if any(span.start_s <= k / 20 <= span.end_s for span in marked):
            pose[0, 7, 0] = 100.0
        frames.append(Frame(time_s=k / 20, poses=pose, ids=(0,)))
    return SourceRun(title="made", layout=KINECT20, units="m", frames=frames, spans=spans)


def frozen() -> float:
    return 0.0


def test_the_delay_of_an_instant_model_is_what_decisions_and_stride_cost(oracle: Oracle) -> None:
    wave = Span(5.0, 8.0, "wave")
    said = action_latency(oracle, [take((wave,), (wave,))], now=frozen)
    assert (said["actions"], said["detected"], said["missed"], said["false"]) == (1, 1, 0, 0)
    # Smoothing passes one half after about 0.2 s, confirming takes 0.25 s, an answer comes every 0.1 s.
    assert 0.3 <= said["delay_s"]["p50"] <= 0.7
    assert said["compute_ms"]["p50"] == 0
    assert said["hours"] == pytest.approx(11.95 / 3600)


def test_what_a_frame_costs_is_part_of_the_delay(oracle: Oracle) -> None:
    wave = Span(5.0, 8.0, "wave")
    ticks = iter(np.arange(0, 1e6, 0.25))
    slow = action_latency(oracle, [take((wave,), (wave,))], now=lambda: float(next(ticks)))
    fast = action_latency(oracle, [take((wave,), (wave,))], now=frozen)
    assert slow["delay_s"]["p50"] - fast["delay_s"]["p50"] == pytest.approx(0.25)


def test_an_action_that_is_not_told_is_missed_and_one_that_is_not_there_is_invented(oracle: Oracle) -> None:
    shown, seen = Span(3.0, 5.0, "wave"), Span(8.0, 10.0, "wave")
    said = action_latency(oracle, [take((shown,), (seen,), seconds=14.0)], now=frozen)
    assert (said["detected"], said["missed"], said["false"]) == (0, 1, 1)
    assert said["false_per_hour"] == pytest.approx(1 / (13.95 / 3600))
    assert said["delay_s"] == {"count": 0}


def test_an_event_before_the_onset_tells_of_nothing() -> None:
    wave = Span(5.0, 6.0, "wave")
    found, false = matched([wave], [Confirmed(4.9, "wave", 0.0), Confirmed(5.5, "sit", 0.0)], grace_s=1.0)
    assert (found, false) == ({}, 2)


def test_the_second_event_of_one_action_is_no_invention_and_the_next_action_gets_its_own() -> None:
    first, second = Span(1.0, 3.0, "wave"), Span(3.5, 5.0, "wave")
    events = [Confirmed(1.5, "wave", 0.0), Confirmed(2.5, "wave", 0.0), Confirmed(4.0, "wave", 0.0)]
    found, false = matched([first, second], events, grace_s=1.0)
    assert {span: event.time_s for span, event in found.items()} == {first: 1.5, second: 4.0}
    assert false == 0


def test_recordings_without_spans_that_the_model_knows_are_refused(oracle: Oracle) -> None:
    with pytest.raises(DataError, match="continuous recordings with spans"):
        action_latency(oracle, [take((), ()), take((Span(1, 2, "fly"),), ())], now=frozen)
