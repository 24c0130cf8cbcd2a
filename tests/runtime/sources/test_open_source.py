"""The word after --source: what it stands for, and what a mixture of things is refused with."""

import http.server
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.errors import AmrError, ConfigError, MissingError, ReadError
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.sources import open_source as named
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.open_source import SourceConfig, is_live, open_source
from amr_edge.runtime.sources.recorded import CameraGroup, SourceRun
from amr_edge.runtime.stage_timer import Stages
from amr_edge.skeleton import COCO17, Layout

cv2 = pytest.importorskip("cv2", reason="video and cameras are read by OpenCV")

People = Callable[..., Recording]


class Nobody:
    """An estimator for tests that are not about poses: it sees nobody."""

    layout: Layout = COCO17
    units = "px"
    title = "nobody"

    def __call__(self, picture: Image) -> Frame:
        none = np.zeros((0, 17, 2), np.float32)
        return Frame(time_s=picture.time_s, poses=none, pixels=none, picture=picture)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "open_pose", lambda *_, **__: Nobody())


class Told:
    """What a source said while it was gone through."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.skipped: list[str] = []
        self.statuses: list[Status] = []

    def open(self, source: object, **config: object) -> object:
        return open_source(
            str(source),
            SourceConfig(**config),  # type: ignore[arg-type]
            stages=Stages(lambda: 0.0, np.random.default_rng(0)),
            note=self.notes.append,
            skipped=self.skipped.append,
            environ={},
            health=Health(self.statuses.append),
        )

    def titles(self, source: object, **config: object) -> list[tuple[str, int]]:
        """(title, sightings) of each take."""
        with self.open(source, **config) as takes:  # type: ignore[attr-defined]
            return [(take.title, sum(1 for _ in take)) for take in takes]


def video(path: Path, pictures: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for _ in range(pictures):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path, people: People) -> Path:
    """Two videos in one folder, two recordings in another."""
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    (tmp_path / "people").mkdir()
    video(tmp_path / "videos" / "b.avi", 3)
    video(tmp_path / "videos" / "deep" / "a.avi", 2)
    for name in ("x", "y"):
        jsonl.write(tmp_path / "people" / f"{name}.jsonl", people(np.random.default_rng(0), seconds=0.1))
    return tmp_path


def test_a_folder_of_videos_is_gone_through_with_its_folders(folder: Path) -> None:
    told = Told()
    assert told.titles(folder / "videos") == [("b.avi", 3), ("a.avi", 2)]
    assert "2 files" in told.notes[0]


def test_a_folder_of_recordings_is_what_it_was(folder: Path) -> None:
    assert Told().titles(folder / "people") == [("x.jsonl", 4), ("y.jsonl", 4)]
    # The skeletons of a data set are meant where its videos lie beside them.
    assert Told().titles(folder) == [("x.jsonl", 4), ("y.jsonl", 4)]


def test_a_pattern_stands_for_the_files_that_fit_it(folder: Path) -> None:
    assert Told().titles(folder / "videos" / "**" / "*.avi") == [("b.avi", 3), ("a.avi", 2)]
    assert Told().titles(folder / "people" / "[y]*.jsonl") == [("y.jsonl", 4)]
    with pytest.raises(ReadError, match="there are none"):
        Told().titles(folder / "*.nothing")


def test_a_list_of_files_is_read_from_where_the_list_lies(folder: Path) -> None:
    (folder / "mine.txt").write_text("# both kinds\nvideos/b.avi\n\npeople/x.jsonl\n")
    assert Told().titles(folder / "mine.txt") == [("b.avi", 3), ("x.jsonl", 4)]
    (folder / "empty.streams").write_text("# nothing\n")
    with pytest.raises(ReadError, match="found none"):
        Told().titles(folder / "empty.streams")


def test_a_list_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    plain = folder / "plain.txt"
    marked = folder / "marked.txt"
    plain.write_text("a.mp4\n", encoding="utf-8")
    marked.write_text("a.mp4\n", encoding="utf-8-sig")
    assert named._read_list(marked) == named._read_list(plain)


def test_a_device_that_is_not_plugged_in_is_a_camera() -> None:
    assert is_live("/dev/no-such-video9")


def test_a_file_of_several_that_cannot_be_read_is_skipped_and_none_at_all_is_refused(folder: Path) -> None:
    (folder / "videos" / "c.avi").write_bytes(b"no video")
    told = Told()
    assert [title for title, _ in told.titles(folder / "videos")] == ["b.avi", "a.avi"]
    (sentence,) = told.skipped
    assert "c.avi" in sentence
    with pytest.raises(ReadError, match=r"c\.avi"):
        Told().titles(folder / "videos" / "c*.avi")


def test_cameras_and_files_are_not_mixed(folder: Path) -> None:
    (folder / "mixed.streams").write_text("0\nvideos/b.avi\n")
    with pytest.raises(ConfigError, match="cameras go with cameras"):
        Told().titles(folder / "mixed.streams")


def test_pictures_without_an_estimator_are_refused_and_skeletons_need_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--pose none"):
        Told().titles(folder / "videos" / "b.avi", pose="none")
    assert Told().titles(folder / "people" / "x.jsonl", pose="none") == [("x.jsonl", 4)]


def test_what_goes_on_by_itself_is_live(folder: Path) -> None:
    (folder / "cameras.streams").write_text("rtsp://127.0.0.1/a\nrtsp://127.0.0.1/b\n")
    live = ["0", "rtsp://127.0.0.1/a", "udp://127.0.0.1:5005", str(folder / "cameras.streams")]
    assert all(is_live(source) for source in live)
    assert not any(is_live(source) for source in ["-", str(folder / "videos"), str(folder / "people" / "x.jsonl")])


def test_a_staleness_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="staleness"):
        SourceConfig(stale_s=0)


class Cameras:
    """Two HTTP cameras that send pictures without end, each in its own grey."""

    def __init__(self) -> None:
        stopped = self.stopped = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                grey = 50 if "left" in self.path else 200
                _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), grey, np.uint8))
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    while not stopped.wait(0.02):
                        self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
                except OSError:
                    return  # the reader has gone

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    opened_cameras = Cameras()
    yield opened_cameras
    opened_cameras.close()


def test_cameras_of_a_list_go_on_together_and_one_that_is_not_there_is_told(tmp_path: Path, cameras: Cameras) -> None:
    listed = tmp_path / "door.streams"
    listed.write_text(f"{cameras.address}/left\nhttp://127.0.0.1:9/none\n{cameras.address}/right\n")
    told = Told()
    # A loaded machine may take its time between two pictures.
    with told.open(listed, stale_s=30.0) as takes:  # type: ignore[attr-defined]
        (together,) = takes
        assert isinstance(together, CameraGroup)
        assert [take.title for take in together.takes] == [f"{cameras.address}/left", f"{cameras.address}/right"]
        seen = list(islice(together.frames, 12))
    for place, grey in ((0, 50), (1, 200)):
        mine = [frame for at, frame in seen if at == place]
        assert len(mine) >= 2, "one camera starves the other"
        assert (np.diff([frame.time_s for frame in mine]) > 0).all()
        assert all(abs(s.picture.image.mean() - grey) < 10 for s in mine if s.picture is not None)
    (status,) = told.statuses
    assert (status.state, status.source) == ("unopened", "http://127.0.0.1:9/none")


def test_a_stream_is_one_take_without_end(cameras: Cameras) -> None:
    with Told().open(f"{cameras.address}/left", stale_s=30.0) as takes:  # type: ignore[attr-defined]
        (take,) = takes
        assert take.title == f"{cameras.address}/left"
        assert len(list(islice(take, 3))) == 3


def test_a_list_of_cameras_of_which_none_is_there_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "none.streams"
    listed.write_text("http://127.0.0.1:9/a\nhttp://127.0.0.1:9/b\n")
    with pytest.raises(MissingError, match="cannot be opened") as refusal:
        Told().titles(listed)
    assert isinstance(refusal.value, AmrError)


def test_one_source_is_one_take(folder: Path) -> None:
    with Told().open(folder / "videos" / "b.avi") as takes:  # type: ignore[attr-defined]
        (take,) = takes
        assert isinstance(take, SourceRun)
        assert take.size == (64, 48)
