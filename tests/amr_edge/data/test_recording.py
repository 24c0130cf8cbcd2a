"""What a recording accepts, what it refuses, and what it knows of itself."""

from typing import Any

import numpy as np
import pytest

from amr_edge.data.recording import Recording, Span
from amr_edge.errors import AmrError, ClipError, LayoutError
from amr_edge.skeleton import COCO17


def make(**changed: Any) -> Recording:
    fields: dict[str, Any] = {
        "poses": np.zeros((2, 4, 17, 2), np.float32),
        "times_s": np.array([0.0, 0.1, 0.3, 0.4]),
        "layout": "coco17",
        "units": "px",
        "source": "clip.jsonl",
        **changed,
    }
    return Recording(**fields)


def test_a_recording_knows_its_skeleton_presence_duration_and_rate() -> None:
    poses = np.zeros((2, 4, 17, 2), np.float32)
    poses[1, 2] = np.nan
    poses[0, 0, 3, 1] = np.nan  # half a coordinate is no joint
    recording = make(poses=poses, times_s=np.array([5.0, 5.1, 5.2, 5.5]))
    assert recording.skeleton is COCO17
    assert recording.present.shape == (2, 4, 17)
    assert not recording.present[1, 2].any()
    assert not recording.present[0, 0, 3]
    assert recording.present.sum() == 2 * 4 * 17 - 17 - 1
    assert recording.duration_s == pytest.approx(0.5)
    assert recording.fps == pytest.approx(10)  # the median step is 0.1 s, one long pause does not change it


def test_a_recording_of_one_frame_has_no_duration_and_no_rate() -> None:
    recording = make(poses=np.zeros((1, 1, 17, 2), np.float32), times_s=np.array([3.0]))
    assert recording.duration_s == 0
    assert np.isnan(recording.fps)


def test_a_recording_without_frames_or_persons_is_empty_and_not_broken() -> None:
    empty = make(poses=np.zeros((1, 0, 17, 2), np.float32), times_s=np.zeros(0))
    assert empty.duration_s == 0
    assert make(poses=np.zeros((0, 4, 17, 2), np.float32)).present.shape == (0, 4, 17)


def test_spans_and_parts_are_kept() -> None:
    recording = make(parts=("train", "xsub_train"), spans=(Span(0.0, 0.2, "wave"),))
    assert recording.spans[0].label == "wave"
    assert recording.parts == ("train", "xsub_train")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"poses": np.zeros((4, 17, 2), np.float32)}, r"\(4, 17, 2\)"),
        ({"poses": np.zeros((2, 4, 16, 2), np.float32)}, r"\(2, 4, 16, 2\)"),
        ({"poses": np.zeros((2, 4, 17, 4), np.float32)}, r"\(2, 4, 17, 4\)"),
        ({"poses": np.zeros((2, 4, 17, 2))}, "float64"),
        ({"times_s": np.zeros(4, np.float32)}, "float32"),
        ({"times_s": np.arange(3.0)}, r"\(3,\)"),
        ({"times_s": np.arange(8.0).reshape(4, 2)}, r"\(4, 2\)"),
        ({"times_s": np.array([0.0, 0.1, 0.1, 0.2])}, "rise"),
        ({"times_s": np.array([0.0, 0.2, 0.1, 0.3])}, "rise"),
        ({"times_s": np.array([0.0, np.nan, 0.1, 0.3])}, "finite"),
        ({"times_s": np.array([0.0, 0.1, 0.2, np.inf])}, "finite"),
        ({"units": "mm"}, "m, px"),
    ],
)
def test_what_contradicts_itself_is_refused_by_the_name_of_its_source(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ClipError, match=says) as refusal:
        make(**changed)
    assert "clip.jsonl" in str(refusal.value)


def test_an_unknown_layout_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LayoutError, match="ntu25"):
        make(layout="halpe26")


def test_a_refusal_is_a_data_error_for_the_command_line() -> None:
    with pytest.raises(AmrError) as refusal:
        make(units="mm")
    assert refusal.value.exit_code == 4


def test_a_recording_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        make().label = "wave"  # type: ignore[misc]
