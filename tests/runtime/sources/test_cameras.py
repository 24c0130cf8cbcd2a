"""Several cameras at once: each has its panel on the page, its film and its tile, and nobody is taken for another."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pipeline.pipeline import LiveConfig, LivePipeline
from amr_edge.runtime.render.draw import Person, Scene
from amr_edge.runtime.sinks.outbox import Outbox
from amr_edge.runtime.sinks.video import VideoSink
from amr_edge.runtime.sinks.window import tiled
from amr_edge.runtime.sources.recorded import CameraGroup, SourceRun
from amr_edge.runtime.stage_timer import Stages
from amr_edge.runtime.ui.page import Page
from amr_edge.skeleton import KINECT20

CardOf = Callable[..., Card]
WriteModel = Callable[..., Path]
People = Callable[..., Recording]


def scene(place: int, time_s: float, *, places: int = 2, take: int = 1, grey: int | None = None) -> Scene:
    """One person, seen by camera `place`; pictures of another size for each camera."""
    poses = np.random.default_rng(place).normal(size=(1, 20, 3)).astype(np.float32)
    picture = pixels = None
    if grey is not None:
        image = np.full((48 + 16 * place, 64, 3), grey, np.uint8)
        picture, pixels = Image(image=image, time_s=time_s), poses[..., :2] + 1000  # drawn outside
    return Scene(
        take=take,
        title=f"camera {place}",
        fps=10.0,
        layout=KINECT20,
        frame=Frame(time_s=time_s, poses=poses, pixels=pixels, picture=picture),
        people=(Person(0, ""),),
        banner="",
        place=place,
        places=places,
    )


def messages(viewer: Outbox) -> list[dict[str, Any]]:
    return [json.loads(text) for text in viewer.take(0)[0]]


@pytest.fixture
def page(card_of: CardOf) -> Iterator[Page]:
    now_s = iter(range(1000))
    served = Page(card_of(), title="tiny.onnx", now=lambda: float(next(now_s)))
    yield served
    served.close()


def test_every_camera_has_its_panel_and_its_newest_frame(page: Page) -> None:
    page.show(scene(1, 0.0))
    viewer = page.enter()
    assert viewer is not None
    for k in range(1, 4):
        page.show(scene(0, k / 10))
        page.show(scene(1, 50 + k / 10))  # a clock of its own
    told = messages(viewer)
    assert [(each["place"], each["places"]) for each in told if each["kind"] == "take"] == [(1, 2), (0, 2)]
    # Whoever is slow gets the newest frame of each camera, not the newest of all.
    assert sorted((each["place"], each["time_s"]) for each in told if each["kind"] == "frame") == [(0, 0.3), (1, 50.3)]
    assert viewer.dropped == 4
    page.leave(viewer)


def test_whoever_comes_later_is_told_of_every_camera_that_is_on(page: Page) -> None:
    for place in (0, 1, 2):
        page.show(scene(place, 0.0, places=3))
    viewer = page.enter()
    assert viewer is not None
    assert [each["title"] for each in messages(viewer) if each["kind"] == "take"] == [
        "camera 0",
        "camera 1",
        "camera 2",
    ]
    page.show(scene(0, 0.0, places=1, take=2))  # another take alone: the three are over
    later = page.enter()
    assert later is not None
    assert [each["places"] for each in messages(later) if each["kind"] == "take"] == [1]
    for each in (viewer, later):
        page.leave(each)


def test_each_camera_has_a_film_in_its_own_time_and_size(tmp_path: Path) -> None:
    cv2: Any = pytest.importorskip("cv2", reason="OpenCV is not installed: no films")
    sink = VideoSink(tmp_path / "out.mp4", mirror=False)
    sink.open()
    for k in range(6):
        sink.send(scene(0, k / 10, grey=40))
        if k % 2:  # half as fast, and its clock began elsewhere
            sink.send(scene(1, 900 + k / 10, grey=200))
    sink.close()
    # Camera 1 goes on for 0.4 s at 10 frames a second: five frames.
    assert sink.written == [(str(tmp_path / "out.mp4"), 6), (str(tmp_path / "out-2.mp4"), 5)]
    for name, grey, height, frames in (("out.mp4", 40, 48, 6), ("out-2.mp4", 200, 64, 5)):
        film = cv2.VideoCapture(str(tmp_path / name))
        assert int(film.get(cv2.CAP_PROP_FRAME_COUNT)) == frames
        good, image = film.read()
        film.release()
        assert good
        assert image.shape == (height, 64, 3)
        assert abs(float(image.mean()) - grey) < 6


def test_a_film_of_nothing_is_not_written_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: no films")
    sink = VideoSink(tmp_path / "out.mp4", mirror=False)
    sink.close()
    assert sink.written == [(str(tmp_path / "out.mp4"), 0)]
    assert not list(tmp_path.iterdir())


def test_tiles_hold_every_camera_and_are_black_where_there_is_none_yet() -> None:
    cv2: Any = pytest.importorskip("cv2", reason="OpenCV is not installed: no window")
    pictures = {2: np.full((40, 80, 3), 90, np.uint8), 0: np.full((80, 80, 3), 200, np.uint8)}
    sheet = tiled(cv2, pictures, 3)
    assert sheet.shape == (40, 80, 3)  # two columns and two rows of 20 by 40
    assert (sheet[:20, 10:30] == 200).all()  # as high as its tile, so 20 wide in the middle of it
    assert (sheet[:20, :10] == 0).all()
    assert (sheet[:20, 40:] == 0).all()  # camera 1 has shown nothing
    assert (sheet[20:, :40] == 90).all()
    alone = np.full((30, 50, 3), 7, np.uint8)
    assert tiled(cv2, {0: alone}, 1) is alone


class Kept:
    """A view that keeps what it is shown."""

    def __init__(self) -> None:
        self.scenes: list[Scene] = []

    def show(self, scene: Scene) -> None:
        self.scenes.append(scene)


def test_live_shows_all_cameras_and_tells_their_people_apart(write_model: WriteModel, people: People) -> None:
    recordings = [people(np.random.default_rng(k), seconds=2.0) for k in range(2)]
    takes = tuple(
        SourceRun(title=f"camera {k}", layout=KINECT20, units="m", frames=(), fps=30.0) for k in range(len(recordings))
    )

    def frames() -> Iterator[tuple[int, Frame]]:
        for frame in range(len(recordings[0].times_s)):
            for place, recording in enumerate(recordings):
                time_s = float(recording.times_s[frame]) + 100 * place
                yield place, Frame(time_s=time_s, poses=recording.poses[:, frame])

    told: list[dict[str, Any]] = []
    view = Kept()
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    session = open_session(write_model())
    live = LivePipeline(
        session,
        config=LiveConfig(),
        stages=stages,
        emit=lambda record: told.append(record.line),
        note=lambda _: None,
        views=[view],
    )
    live.run([CameraGroup(takes=takes, frames=frames())])
    frames = len(recordings[0].times_s)
    assert [(each.place, each.places, each.title) for each in view.scenes[:2]] == [
        (0, 2, "camera 0"),
        (1, 2, "camera 1"),
    ]
    assert [sum(each.place == place for each in view.scenes) for place in (0, 1)] == [frames, frames]
    assert len({each.take for each in view.scenes}) == 1
    answers = [each for each in told if each["type"] == "answer"]
    assert {(each["recording"], each["person"]) for each in answers} == {("camera 0", 0), ("camera 1", 0)}
    assert min(each["time_s"] for each in answers if each["recording"] == "camera 1") > 100
