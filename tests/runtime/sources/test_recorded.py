"""Recorded skeletons come frame by frame, as they were, or are refused with their line."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError, ReadError
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.sources.jsonl import runs_of_lines
from amr_edge.runtime.sources.recorded import RecordedSource, SourceRun, paced, source_run

People = Callable[..., Recording]
HEADER = '{"amr_edge": "skeleton", "schema": 1, "layout": "coco17"}'


def lines_of(recording: Recording) -> list[str]:
    ids = tuple(range(len(recording.poses)))
    return [
        jsonl.header_line(recording),
        *(jsonl.frame_line(float(t), ids, recording.poses[:, k]) for k, t in enumerate(recording.times_s)),
    ]


def assert_shows(take: SourceRun, recording: Recording) -> None:
    """The sightings, put together again, are the recording."""
    again = np.full_like(recording.poses, np.nan)
    for index, frame in enumerate(take):
        assert frame.time_s == recording.times_s[index]
        assert frame.ids is not None
        for person, pose in zip(frame.ids, frame.poses, strict=True):
            again[person, index] = pose
    np.testing.assert_array_equal(again, recording.poses)


def test_a_recording_comes_frame_by_frame_as_it_was(people: People) -> None:
    recording = people(np.random.default_rng(0), persons=3, holes=0.5, label="wave", source="w.x")
    recording.poses[1, 10:40] = np.nan
    take = source_run(recording)
    assert (take.label, take.title, take.units) == ("wave", "w.x", "m")
    assert take.fps == pytest.approx(30)
    assert_shows(take, recording)


def test_whoever_shows_no_joint_is_not_there(people: People) -> None:
    recording = people(np.random.default_rng(0), persons=2)
    recording.poses[0, 5] = np.nan
    recording.poses[:, 6] = np.nan
    frames = list(source_run(recording))
    assert [frames[k].ids for k in (4, 5, 6)] == [(0, 1), (1,), ()]


def test_a_file_and_its_lines_show_the_same(people: People, tmp_path: Path) -> None:
    recording = people(np.random.default_rng(1), persons=2, holes=0.2, label="sit")
    jsonl.write(tmp_path / "a.jsonl", recording)
    (from_file,) = RecordedSource(tmp_path / "a.jsonl", skipped=pytest.fail)
    assert_shows(from_file, recording)
    (from_lines,) = runs_of_lines(lines_of(recording), "stdin")
    assert from_lines.label == "sit"


def test_lines_show_what_was_written(people: People) -> None:
    recording = people(np.random.default_rng(1), persons=2, holes=0.2)
    for take in runs_of_lines(lines_of(recording), "stdin"):
        assert_shows(take, recording)


def test_a_frame_is_there_as_soon_as_its_line_is(people: People) -> None:
    lines = lines_of(people(np.random.default_rng(1)))
    taken = []

    def arriving() -> object:
        for line in lines:
            taken.append(line)
            yield line

    (take,) = [next(runs_of_lines(arriving(), "stdin"))]  # type: ignore[arg-type]
    frames = iter(take)
    next(frames)
    assert len(taken) == 2
    next(frames)
    assert len(taken) == 3


def test_recordings_one_after_the_other_are_takes_of_their_own(people: People) -> None:
    first, second = people(np.random.default_rng(1), seconds=0.2), people(np.random.default_rng(2), seconds=0.3)
    titles, frames = [], []
    for take in runs_of_lines([*lines_of(first), "", *lines_of(second)], "stdin"):
        titles.append(take.title)
        frames.append(len(list(take)))
    assert titles == ["stdin", "stdin#2"]
    assert frames == [7, 10]


def test_a_take_that_nobody_looks_at_is_passed_over(people: People) -> None:
    one = lines_of(people(np.random.default_rng(1), seconds=0.2))
    assert [take.title for take in runs_of_lines([*one, *one], "stdin")] == ["stdin", "stdin#2"]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "expected a header and frames"),
        (["hello"], "stdin, line 1: expected a JSON object"),
        (['{"t": 0, "people": []}'], "stdin, line 1: expected a header"),
        (['{"amr_edge": "skeleton", "schema": 1, "layout": "octopus8"}'], "octopus8"),
        ([HEADER, "", '{"t": 0}'], "stdin, line 3"),
        ([HEADER, '{"t": 0, "peo'], "stdin, line 2"),
        (
            [
                '{"amr_edge": "skeleton", "schema": 1, "layout": "coco17"}',
                '{"t":0,"people":[{"id":0,"joints":[[1,2]]}]}',
            ],
            "17 joints",
        ),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(lines: list[str], sentence: str) -> None:
    with pytest.raises(ReadError, match=sentence):
        [list(take) for take in runs_of_lines(lines, "stdin")]


def test_a_damaged_file_of_a_folder_is_named_and_passed_over(people: People, tmp_path: Path) -> None:
    jsonl.write(tmp_path / "a.jsonl", people(np.random.default_rng(1)))
    jsonl.write(tmp_path / "c.jsonl", people(np.random.default_rng(2)))
    (tmp_path / "b.jsonl").write_text((tmp_path / "a.jsonl").read_text()[:-40])
    skipped: list[str] = []
    titles = [take.title for take in RecordedSource(tmp_path, skipped=skipped.append)]
    assert titles == ["a.jsonl", "c.jsonl"]
    assert len(skipped) == 1
    assert "b.jsonl" in skipped[0]


def test_a_folder_in_which_nothing_can_be_read_is_refused_with_the_reason(people: People, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("")
    with pytest.raises(ReadError, match=r"b\.jsonl"):
        list(RecordedSource(tmp_path, skipped=lambda _: None))


def test_a_damaged_file_by_itself_is_refused(people: People, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("")
    with pytest.raises(ReadError, match=r"b\.jsonl"):
        list(RecordedSource(tmp_path / "b.jsonl", skipped=pytest.fail))


def test_a_bad_clip_of_a_file_of_many_is_reported_and_the_others_are_shown(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 30, 150)).astype(np.float32)
    x[0, 3, 7] = x[2, 3, 7] = np.inf
    np.savez(tmp_path / "n.npz", x_train=x, y_train=np.zeros(4))
    skipped: list[str] = []
    takes = list(RecordedSource(tmp_path / "n.npz", skipped=skipped.append))
    assert [take.title for take in takes] == ["n.npz#train/1", "n.npz#train/3"]
    assert [sentence.partition(": ")[0] for sentence in skipped] == [f"{tmp_path}/n.npz#train/{k}" for k in (0, 2)]


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="there is none"):
        RecordedSource(tmp_path / "nobody", skipped=pytest.fail)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.slept_s: list[float] = []

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_the_pace_is_the_recorded_one_times_the_speed(speed: float) -> None:
    clock = Clock()
    seen = [Frame(time_s=t, poses=np.zeros((0, 20, 3), np.float32)) for t in (10.0, 10.5, 12.5)]
    at_s = [clock.now_s for _ in paced(seen, speed, now=clock.now, sleep=clock.sleep)]
    np.testing.assert_allclose(at_s, [50, 50 + 0.5 / speed, 50 + 2.5 / speed])


def test_who_is_late_does_not_wait() -> None:
    clock = Clock()
    seen = [Frame(time_s=t, poses=np.zeros((0, 20, 3), np.float32)) for t in (0.0, 1.0, 2.0, 3.0)]
    for frame in paced(seen, 1.0, now=clock.now, sleep=clock.sleep):
        clock.now_s += 2.5 if frame.time_s == 0 else 0
    assert clock.slept_s == [0.5]


def test_speed_zero_never_waits_and_a_negative_speed_is_refused() -> None:
    clock = Clock()
    seen = [Frame(time_s=t, poses=np.zeros((0, 20, 3), np.float32)) for t in (0.0, 9.0)]
    assert len(list(paced(seen, 0.0, now=clock.now, sleep=clock.sleep))) == 2
    assert clock.slept_s == []
    with pytest.raises(ConfigError, match="speed"):
        paced(seen, -1.0)


@pytest.mark.data
def test_real_recordings_of_two_people_come_as_two() -> None:
    root = os.environ.get("AMR_EDGE_DATA")
    if root is None:
        pytest.skip("AMR_EDGE_DATA is not set: no real recordings here")
    file = Path(root) / "data/ntu_rgbd/S017C003P020R002A058.skeleton"
    if not file.is_file():
        pytest.skip(f"{file.name} is not under AMR_EDGE_DATA")
    (take,) = RecordedSource(file, skipped=pytest.fail)
    assert take.layout.name == "ntu25"
    assert max(len(frame.poses) for frame in take) == 2
