"""What is written as lines is read back, and a line that is wrong is named by its number."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording, Span
from amr_edge.errors import ClipError, ReadError
from amr_edge.skeleton import LAYOUTS

HEADER = {"amr_edge": "skeleton", "schema": 1, "layout": "penn13", "units": "px"}


def joints(value: float = 1.0, channels: int = 2) -> list[Any]:
    return [[value] * channels] * 13


def save(path: Path, *lines: object) -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (path / "a.jsonl").write_text(text)
    return path / "a.jsonl"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    channels=st.sampled_from([2, 3]),
    persons=st.integers(1, 3),
    frames=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    label=st.one_of(st.none(), st.text(max_size=5)),
    number=st.one_of(st.none(), st.integers(0, 10**12)),
)
def test_any_recording_comes_back_exactly(
    tmp_path: Path,
    layout: str,
    channels: int,
    persons: int,
    frames: int,
    seed: int,
    label: str | None,
    number: int | None,
) -> None:
    rng = np.random.default_rng(seed)
    poses = (rng.normal(size=(persons, frames, len(LAYOUTS[layout]), channels)) * 10 ** rng.uniform(-6, 5)).astype("f4")
    poses[rng.random(poses.shape[:3]) < 0.3] = np.nan
    poses[:, 0, 0] = 1.0  # everyone is there from the first frame on, so the order of persons is theirs
    whole = Recording(
        poses=poses,
        times_s=np.cumsum(rng.random(frames) + 1e-6),
        layout=layout,
        units="px",
        label=label,
        subject=number,
        camera=number,
        source="a.jsonl",
        parts=("train",),
        spans=(Span(0.5, 1.0, "wave"),),
    )
    jsonl.write(tmp_path / "a.jsonl", whole)
    back = next(jsonl.read(tmp_path / "a.jsonl"))
    assert back.poses.tobytes() == poses.tobytes()
    assert back.times_s.tobytes() == whole.times_s.tobytes()
    for name in ("layout", "units", "label", "subject", "camera", "source", "parts", "spans"):
        assert getattr(back, name) == getattr(whole, name)


def test_persons_are_distinguished_by_id_and_stand_in_the_order_of_their_first_line(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        HEADER,
        {"t": 0.0, "people": [{"id": 7, "joints": joints(7)}]},
        {"t": 0.1, "people": [{"id": 3, "joints": joints(3)}, {"id": 7, "joints": joints(8)}]},
        "",
        {"t": 0.25, "people": []},
    )
    found = next(jsonl.read(path))
    assert found.poses.shape == (2, 3, 13, 2)
    assert found.poses[0, :2, 0, 0].tolist() == [7, 8]
    assert found.poses[1, 1, 0, 0] == 3
    assert found.present.any(axis=2).tolist() == [[True, True, False], [False, True, False]]
    assert found.times_s.tolist() == [0.0, 0.1, 0.25]


def test_null_is_an_absent_joint(tmp_path: Path) -> None:
    row = joints()
    row[4] = None
    found = next(jsonl.read(save(tmp_path, HEADER, {"t": 0, "people": [{"id": 0, "joints": row}]})))
    assert np.flatnonzero(~found.present[0, 0]).tolist() == [4]


def test_a_stream_without_a_person_is_an_empty_recording(tmp_path: Path) -> None:
    found = next(jsonl.read(save(tmp_path, HEADER, {"t": 0, "people": []}, {"t": 1, "people": []})))
    assert found.poses.shape == (0, 2, 13, 2)


def frame(**changes: Any) -> dict[str, Any]:
    return {"t": 1.0, "people": [{"id": 0, "joints": joints()}], **changes}


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "found nothing"),
        ([HEADER], "found no frame"),
        (["{"], "line 1: expected a JSON object"),
        (["[1]"], "line 1: expected a JSON object, got list"),
        ([frame()], "line 1: expected a header"),
        ([{**HEADER, "schema": 2}], "line 1: expected a header .*schema 2"),
        ([{**HEADER, "layout": "octopus"}], "no skeleton layout 'octopus'"),
        ([{**HEADER, "units": "feet"}], "units must be one of m, px"),
        ([{**HEADER, "fps": 0}], "fps must be a number above 0"),
        ([{**HEADER, "label": 3}], "label must be a text"),
        ([{**HEADER, "subject": -1}], "subject must be a whole number"),
        ([{**HEADER, "spans": [[1, 2]]}], "header cannot be used"),
        ([{**HEADER, "parts": 3}], "header cannot be used"),
        ([HEADER, {"people": []}], 'line 2: expected .*"t"'),
        ([HEADER, frame(), frame()], "line 3: time must rise from line to line, got 1.0 after 1.0"),
        ([HEADER, frame(people=[{"id": 0, "joints": joints()[:12]}])], "has 13 joints, person 0 has 12"),
        ([HEADER, frame(people=[{"joints": joints()}])], "line 2: expected people as"),
        ([HEADER, frame(people=[3])], "line 2: expected people as"),
        ([HEADER, frame(people=[{"id": 0, "joints": joints()}] * 2)], "person 0 is there twice"),
        ([HEADER, frame(people=[{"id": 0, "joints": [*joints()[:12], [1]]}])], "two numbers or as three"),
        ([HEADER, frame(people=[{"id": 0, "joints": [*joints()[:12], [1, 2, 3]]}])], "two numbers or as three"),
        ([HEADER, frame(people=[{"id": 0, "joints": [*joints()[:12], ["1", 2]]}])], "two numbers or as three"),
        ([HEADER, frame(people=[{"id": 0, "joints": [*joints()[:12], 5]}])], "two numbers or as three"),
        ([HEADER, frame(people=[{"id": 0, "joints": joints(1e9)}])], "beyond 1e"),
        ([HEADER, '{"t": NaN, "people": []}'], "NaN is no JSON"),
        ([HEADER, '{"t": 1e999, "people": []}'], "time is not finite"),
        ([HEADER, frame(), frame(t=2.0, people=[{"id": 0, "joints": joints(1, 3)}])], "two numbers in some lines"),
        ([HEADER, '{"t": 1.0, "peo'], "line 2: expected a JSON object"),
        ([HEADER, '{"t": ' + "9" * 400 + ', "people": []}'], "a number is too large"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path, lines: list[object], sentence: str) -> None:
    with pytest.raises(ReadError, match=rf"a\.jsonl.*{sentence}"):
        list(jsonl.read(save(tmp_path, *lines)))


def test_a_recording_that_the_lines_cannot_say_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    poses = np.full((1, 1, 13, 2), np.inf, np.float32)
    with pytest.raises(ClipError, match="no infinite joint"):
        jsonl.write(tmp_path / "a.jsonl", Recording(poses=poses, times_s=np.zeros(1), layout="penn13"))
    assert list(tmp_path.iterdir()) == []


def test_it_is_known_by_its_first_line(tmp_path: Path) -> None:
    assert jsonl.recognizes(save(tmp_path, HEADER))
    assert not jsonl.recognizes(save(tmp_path, {"event": "wave"}, HEADER))
    assert not jsonl.recognizes(tmp_path / "none.jsonl")
