"""`live` with a source and an estimator of one's own gives what it gives for a recording."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from amr_edge import PredictionRecord, Recording, live, load
from amr_edge.errors import ConfigError
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.sources.recorded import take_of
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
        return iter(take_of(self._recording))


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
        self._frames = {frame.time_s: frame for frame in take_of(recording)}

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


def test_pictures_of_ones_own_without_an_estimator_are_refused(
    write_model: Callable[..., Path], people: Callable[..., Recording]
) -> None:
    model = load(write_model(), engine="onnxruntime", threads=1)
    with pytest.raises(ConfigError, match="--pose none"):
        list(live(Pictures(people(np.random.default_rng(0))), model, pose="none"))
