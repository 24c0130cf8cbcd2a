import http.server
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.errors import ConfigError, MissingError, ReadError
from amr_edge.runtime.sources.video import Camera, VideoFile, rising

cv2 = pytest.importorskip("cv2", reason="video and cameras are read by OpenCV")

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def write(path: Path, colors: list[tuple[int, int, int]], *, fps: float = 20.0, codec: str = "mp4v") -> Path:
    """A video of plain pictures, one for each RGB colour."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for red, green, blue in colors:
        writer.write(np.full((48, 64, 3), (blue, green, red), np.uint8))
    writer.release()
    return path


def noise(path: Path, pictures: int) -> Path:
    """A video whose pictures do not compress, so that a share of the file is a share of the pictures."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for _ in range(pictures):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_a_file_gives_every_picture_in_order_as_rgb_with_its_time(tmp_path: Path, name: str, codec: str) -> None:
    colors = [RED, GREEN, BLUE] * 7
    with VideoFile(write(tmp_path / name, colors, fps=20.0, codec=codec)) as video:
        pictures = list(video)
        assert (video.fps, video.size, video.live, video.length) == (20.0, (64, 48), False, 21)
    assert len(pictures) == 21
    for number, (picture, color) in enumerate(zip(pictures, colors, strict=True)):
        assert picture.image.shape == (48, 64, 3)
        assert picture.image.dtype == np.uint8
        assert picture.image.flags.c_contiguous
        assert picture.dropped == 0
        assert picture.time_s == pytest.approx(number / 20.0, abs=1e-3)
        np.testing.assert_allclose(picture.image.mean(axis=(0, 1)), color, atol=12)


def test_a_file_can_be_gone_through_twice(tmp_path: Path) -> None:
    video = VideoFile(write(tmp_path / "clip.mp4", [RED, GREEN, BLUE]))
    first, second = list(video), list(video)
    assert [picture.time_s for picture in first] == [picture.time_s for picture in second]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_a_picture_stays_what_it_was_when_the_next_is_read(tmp_path: Path) -> None:
    first, second = list(VideoFile(write(tmp_path / "clip.mp4", [RED, BLUE])))
    assert not np.shares_memory(first.image, second.image)
    assert first.image.mean(axis=(0, 1))[0] > 200


def test_closing_twice_is_allowed_and_a_closed_file_says_so(tmp_path: Path) -> None:
    video = VideoFile(write(tmp_path / "clip.mp4", [RED, GREEN, BLUE]))
    running = iter(video)
    next(running)
    video.close()
    video.close()
    assert list(running) == []  # whoever was reading it simply ends
    with pytest.raises(ReadError, match=r"clip\.mp4: the video has been closed"):
        list(video)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"nowhere\.mp4: expected a video file, there is nothing"):
        VideoFile(tmp_path / "nowhere.mp4")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="there is a folder"):
        VideoFile(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello, I am a text\n" * 50, bytes(5000)])
def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "story.mp4").write_bytes(content)
    with pytest.raises(ReadError, match=r"story\.mp4: expected a video that OpenCV can open") as refusal:
        VideoFile(tmp_path / "story.mp4")
    assert refusal.value.exit_code == 4


def test_opencv_and_ffmpeg_are_silent_about_what_we_say_ourselves(tmp_path: Path) -> None:
    (tmp_path / "story.mp4").write_text("hello")
    # FFmpeg's level is settled when it is first used, and this process has used it: a fresh one it is.
    program = """
import sys
from pathlib import Path
from amr_edge.errors import MissingError, ReadError
from amr_edge.runtime.sources.video import Camera, VideoFile
for open_it in (lambda: VideoFile(Path(sys.argv[1])), lambda: Camera(63), lambda: Camera("/dev/video63")):
    try:
        open_it()
    except (MissingError, ReadError) as refusal:
        print(type(refusal).__name__)
"""
    spotless = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "story.mp4")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env=spotless,
    )
    assert done.stdout.split() == ["ReadError", "MissingError", "MissingError"]
    assert done.stderr == ""


def test_an_mp4_that_lost_its_end_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.mp4", [RED, GREEN, BLUE] * 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ReadError, match=r"cut\.mp4"):
        VideoFile(path)


def test_an_avi_that_lost_its_end_gives_what_it_has_and_then_says_so(tmp_path: Path) -> None:
    path = noise(tmp_path / "cut.avi", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen = []
    with pytest.raises(ReadError, match=r"cut\.avi: the file states 60 pictures, \d+ could be read"):
        seen.extend(VideoFile(path))
    # `extend` keeps what came before the error
    assert 20 <= len(seen) <= 35


def test_a_whole_avi_is_not_taken_for_a_cut_one(tmp_path: Path) -> None:
    assert len(list(VideoFile(noise(tmp_path / "whole.avi", 60)))) == 60


@given(st.lists(st.one_of(st.floats(), st.floats(0, 100)), min_size=1, max_size=50), st.floats(1, 240))
def test_times_rise_whatever_a_file_says(stated: list[float], fps: float) -> None:
    last_s = -math.inf
    for stated_s in stated:
        now_s = rising(stated_s, last_s=last_s, fps=fps)
        assert now_s > last_s
        last_s = now_s


def test_a_file_without_times_or_rate_has_no_telling() -> None:
    assert math.isnan(rising(0.0, last_s=0.0, fps=math.nan))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "pictures"),
    [("ntu_S001C001P001R001A001_rgb.avi", 103), ("mmaction2_demo_skeleton.mp4", 72), ("cvzmh_fun_theory.mp4", 218)],
)
def test_real_clips_with_bad_last_times_uneven_times_and_a_wrong_count_are_read_whole(name: str, pictures: int) -> None:
    if "AMR_EDGE_DATA" not in os.environ:
        pytest.skip("AMR_EDGE_DATA is not set: no clips here")
    video = VideoFile(Path(os.environ["AMR_EDGE_DATA"]) / "videos" / name)
    times = [picture.time_s for picture in video]
    assert len(times) == pictures
    assert (np.diff(times) > 0).all()


# A camera: a real stream of JPEG pictures over HTTP on the loopback, read by the same code as a USB camera.


class Stream:
    """An HTTP server that plays a camera; it can be told to fall silent."""

    def __init__(self, *, fps: float, pictures: int | None = None) -> None:
        self.silent = threading.Event()
        self.stopped = threading.Event()
        self.connections = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                outer.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                try:
                    while not outer.stopped.is_set() and (pictures is None or number < pictures):
                        if not outer.silent.is_set():
                            level = 10 * (number % 20) + 30
                            _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), (0, 0, level), np.uint8))
                            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                            self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
                            number += 1
                        outer.stopped.wait(1 / fps)
                except OSError:
                    return  # the reader has gone

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/camera"

    def close(self) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def stream() -> Iterator[Callable[..., Stream]]:
    opened: list[Stream] = []

    def start(**how: Any) -> Stream:
        opened.append(Stream(**how))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_a_camera_hands_out_rising_times_and_red_as_red(stream: Callable[..., Stream]) -> None:
    with Camera(stream(fps=100).address) as camera:
        assert camera.live
        assert camera.size == (64, 48)
        pictures = [picture for picture, _ in zip(camera, range(10), strict=False)]
    assert (np.diff([picture.time_s for picture in pictures]) > 0).all()
    red, green, blue = pictures[0].image.mean(axis=(0, 1))
    assert red > 20 > max(green, blue)
    assert pictures[0].image.flags.c_contiguous


def test_who_is_slow_gets_the_newest_picture_and_the_count_of_what_was_missed(stream: Callable[..., Stream]) -> None:
    with Camera(stream(fps=100).address) as camera:
        running = iter(camera)
        first = next(running)
        time.sleep(0.5)  # about fifty pictures go by
        second = next(running)
        time.sleep(0.2)
        third = next(running)
    assert first.dropped == 0
    assert second.dropped > 10
    assert second.time_s - first.time_s > 0.3, "an old picture was handed out"
    assert third.time_s - second.time_s > 0.1
    assert camera.dropped == second.dropped + third.dropped


def test_a_picture_that_went_stale_in_the_slot_is_not_handed_out(stream: Callable[..., Stream]) -> None:
    source = stream(fps=50)
    with Camera(source.address, stale_s=0.1, patience_s=5) as camera:
        running = iter(camera)
        next(running)
        source.silent.set()
        time.sleep(0.6)  # the slot holds a picture from before the silence
        threading.Timer(0.3, source.silent.clear).start()
        before_s = time.monotonic()
        next(running)
        assert time.monotonic() - before_s > 0.15, "the stale picture was handed out"


def test_a_camera_that_falls_silent_is_given_up_when_that_is_wanted(stream: Callable[..., Stream]) -> None:
    source = stream(fps=50)
    with Camera(source.address, silent_s=0.3, give_up_s=0.8) as camera:
        running = iter(camera)
        next(running)
        source.silent.set()
        with pytest.raises(MissingError, match=r"no picture has come for 0\.8 s") as refusal:
            list(running)
    assert refusal.value.exit_code == 3


def test_a_stream_that_breaks_off_is_opened_again(stream: Callable[..., Stream]) -> None:
    source = stream(fps=100, pictures=20)
    with Camera(source.address, patience_s=5) as camera:
        for picture in camera:
            if source.connections >= 3 and picture.time_s > 0:
                break
    assert source.connections >= 3


def test_closing_a_camera_ends_whoever_reads_it_and_its_thread(stream: Callable[..., Stream]) -> None:
    camera = Camera(stream(fps=50).address)
    threading.Timer(0.2, camera.close).start()
    assert len(list(camera)) > 0
    camera.close()
    deadline_s = time.monotonic() + 5
    while any(thread.name.startswith("amr-edge http") for thread in threading.enumerate()):
        assert time.monotonic() < deadline_s, "the camera's thread is still there"
        time.sleep(0.02)
    with pytest.raises(MissingError, match="has been closed"):
        list(camera)


@pytest.mark.parametrize("device", [63, "/dev/video63"])
def test_a_camera_that_is_not_there_is_missing_with_what_to_try(device: int | str) -> None:
    with pytest.raises(MissingError, match=r"video63|camera 63") as refusal:
        Camera(device)
    assert "--source" in str(refusal.value)
    assert refusal.value.exit_code == 3


def test_the_password_of_a_stream_is_never_shown() -> None:
    with pytest.raises(MissingError, match=r"rtsp://127\.0\.0\.1:1/door") as refusal:
        Camera("rtsp://me:secret@127.0.0.1:1/door", patience_s=1)
    assert "secret" not in str(refusal.value)


def test_a_camera_without_patience_is_nonsense() -> None:
    with pytest.raises(ConfigError, match="patience"):
        Camera(0, patience_s=0)
    with pytest.raises(ConfigError, match="numbered from 0"):
        Camera(-1)
