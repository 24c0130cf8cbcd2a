"""`live` with a source and an estimator of one's own gives what it gives for a recording."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from amr_edge import PredictionRecord, Recording, live, load
from amr_edge.errors import CheckFailedError, ConfigError
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.sinks.async_sink import Record, RefusedError
from amr_edge.runtime.sources.recorded import source_run
from amr_edge.skeleton import Layout, layout

KINECT = layout("kinect20")


class Sensor:
    """A source of skeletons of one's own: a recording, frame by frame."""

    layout: Layout = KINECT
    units = "m"
    title = "sensor"

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __iter__(self) -> Iterator[Frame]:
        return iter(source_run(self._recording))


class Pictures:
    """A source of pictures of one's own: black, at the times of a recording."""

    fps = 30.0
    size = (8, 6)
    live = False
    title = "pictures"

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __iter__(self) -> Iterator[Image]:
        for time_s in self._recording.times_s:
            yield Image(image=np.zeros((6, 8, 3), np.uint8), time_s=float(time_s))

    def close(self) -> None: ...


class Oracle:
    """An estimator of one's own: it knows the poses of a recording."""

    layout: Layout = KINECT
    units = "m"
    title = "oracle"

    def __init__(self, recording: Recording) -> None:
        self._frames = {frame.time_s: frame for frame in source_run(recording)}

    def __call__(self, picture: Image) -> Frame:
        return self._frames[picture.time_s]

    def close(self) -> None: ...


def test_own_sources_and_estimators_give_the_predictions_of_the_recording(
    write_model: Callable[..., Path], people: Callable[..., Recording]
) -> None:
    model = load(write_model(), engine="onnxruntime", threads=1)
    recording = people(np.random.default_rng(0), seconds=5.0)

    def predictions(**given: object) -> list[tuple[float, str, float]]:
        records = live(model=model, **given)  # type: ignore[arg-type]
        return [(r.time_s, r.label, r.prob) for r in records if isinstance(r, PredictionRecord)]

    expected = predictions(source=recording)
    assert len(expected) > 3
    assert predictions(source=Sensor(recording)) == expected
    assert predictions(source=Pictures(recording), pose=Oracle(recording)) == expected


class ListSink:
    """A sink of one's own."""

    title = "a list"

    def __init__(self, *, fails: bool = False) -> None:
        self.records: list[Record] = []
        self._fails = fails

    def open(self) -> None: ...

    def send(self, item: Record) -> None:
        if self._fails:
            raise RefusedError("not this one")
        self.records.append(item)

    def drop(self) -> None: ...

    def close(self) -> None: ...


def test_every_record_goes_to_the_sinks_as_well(
    write_model: Callable[..., Path], people: Callable[..., Recording], tmp_path: Path
) -> None:
    model = load(write_model(), engine="onnxruntime", threads=1)
    mine = ListSink()
    records = list(live(people(np.random.default_rng(0)), model, to=[mine, str(tmp_path / "out.jsonl")]))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [record["type"] for record in mine.records] == [line["type"] for line in lines]
    assert len(lines) == len(records) > 3


def test_a_sink_that_lost_something_fails_the_run_at_its_end(
    write_model: Callable[..., Path], people: Callable[..., Recording]
) -> None:
    model = load(write_model(), engine="onnxruntime", threads=1)
    with pytest.raises(CheckFailedError, match="did not get there"):
        list(live(people(np.random.default_rng(0)), model, to=[ListSink(fails=True)]))
    with pytest.raises(ConfigError, match="there is no such sink"):
        live(people(np.random.default_rng(0)), model, to=["ftp://host"])
    for to in ("out.csv", ["out.mp4"]):
        with pytest.raises(ConfigError, match="expects a list of sinks"):
            live(people(np.random.default_rng(0)), model, to=to)


def test_pictures_of_ones_own_without_an_estimator_are_refused(
    write_model: Callable[..., Path], people: Callable[..., Recording]
) -> None:
    model = load(write_model(), engine="onnxruntime", threads=1)
    with pytest.raises(ConfigError, match="--pose none"):
        list(live(Pictures(people(np.random.default_rng(0))), model, pose="none"))
