"""Faults that come again and again: every one is counted, and none of them leaves anything behind in memory."""

import json
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.errors import ClipError
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.sources import open_source as open_source_module
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.open_source import SourceConfig, open_source
from amr_edge.runtime.sources.recorded import SourceRun
from amr_edge.runtime.sources.video import Camera
from amr_edge.runtime.stage_timer import Stages
from amr_edge.skeleton import KINECT20

cv2: Any = pytest.importorskip("cv2", reason="OpenCV is not installed: no video and no cameras")

WriteModel = Callable[..., Path]
LEFT_BEHIND = 200_000  # bytes: a picture of the tests is 9216, a frame of joints 240


def held(work: Callable[[], object]) -> int:
    """Bytes that `work` allocated and that are still held after it."""
    work()  # growing up: imports, buffers, what is remembered of each source
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


class Loose:
    """A camera at the boundary to OpenCV whose contact is loose: twenty pictures, then it is gone."""

    def __init__(self) -> None:
        self._left = 20

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's own name
        return True

    def get(self, _: int) -> float:
        return 30.0

    def grab(self) -> bool:
        time.sleep(0.001)
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self) -> None:
        self._left = 0


@pytest.mark.slow
def test_a_camera_with_a_loose_contact_goes_on_counts_every_loss_and_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Camera, "_connect", lambda _: Loose())
    told: list[str] = []
    health = Health(lambda status: told.append(status.state))
    camera = Camera(0, health=health)
    pictures = iter(camera)

    def lose(times: int) -> None:
        until = health.losses.get("lost", 0) + times
        while health.losses.get("lost", 0) < until:
            next(pictures)

    try:
        next(pictures)
        threads = threading.active_count()
        assert held(lambda: lose(2)) < LEFT_BEHIND
        assert health.losses["lost"] == told.count("lost") >= 4
        assert told.count("back") >= 3
        assert threading.active_count() == threads  # whoever reads it anew is not a further one
    finally:
        camera.close()


class Failing:
    """An estimator that fails on every tenth picture."""

    layout, units, title = KINECT20, "m", "every tenth fails"

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, picture: Image) -> Frame:
        self.asked += 1
        if self.asked % 10 == 0:
            raise ClipError("the estimator failed on a picture")
        return Frame(time_s=picture.time_s, poses=np.zeros((1, 20, 3), np.float32), picture=picture)

    def close(self) -> None:
        """Nothing to release."""


def film(path: Path, pictures: int) -> Path:
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for _ in range(pictures):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def watched(clip: Path, health: Health) -> int:
    """How many pictures of a video are answered."""
    stages = Stages(lambda: 0.0, np.random.default_rng(0))
    how: dict[str, Any] = {"stages": stages, "note": lambda _: None, "skipped": lambda _: None, "health": health}
    with open_source(str(clip), SourceConfig(), environ={}, **how) as takes:
        return sum(1 for take in takes if isinstance(take, SourceRun) for _ in take)


def test_pictures_that_the_estimator_fails_on_are_all_counted_told_once_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(open_source_module, "open_pose", lambda *_, **__: Failing())
    clip = film(tmp_path / "clip.avi", 300)
    told: list[Status] = []
    health = Health(told.append)
    seen: list[int] = []

    def look() -> None:
        seen.append(watched(clip, health))

    assert held(look) < LEFT_BEHIND  # 30 pictures that were kept would be 276 000
    assert seen == [270, 270]
    assert health.losses == {"failed": 60}
    assert [status.state for status in told] == ["failed"]


def test_cut_videos_one_after_the_other_are_all_counted_and_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(open_source_module, "open_pose", lambda *_, **__: Failing())
    clip = film(tmp_path / "cut.avi", 80)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    told: list[Status] = []
    health = Health(told.append)
    seen: list[int] = []

    def look() -> None:
        seen.extend(watched(clip, health) for _ in range(10))

    assert held(look) < LEFT_BEHIND
    assert len(set(seen)) == 1
    assert 25 <= seen[0] <= 45
    assert health.losses["truncated"] == [status.state for status in told].count("truncated") == 20


def faulty(lines: int) -> Iterator[str]:
    """Skeletons of which each tenth line is no JSON, each tenth late, and each hundredth begins the clock anew."""
    yield '{"amr_edge": "skeleton", "schema": 1, "layout": "kinect20"}\n'
    joints = json.dumps([[0.1 * k, 0.05 * k, 2.0] for k in range(20)])
    for at in range(lines):
        time_s = (at % 100) / 30
        if at % 10 == 3:
            yield "}{\n"
        elif at % 10 == 7:
            time_s -= 0.5 if at % 100 > 20 else 0.01
            yield f'{{"t": {max(time_s, 0):.6f}, "people": []}}\n' if at % 100 > 7 else "}{\n"
        else:
            yield f'{{"t": {time_s:.6f}, "people": [{{"id": 0, "joints": {joints}}}]}}\n'


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_a_stream_whose_times_go_back_and_whose_lines_are_bad_takes_no_more_memory_at_its_end(
    write_model: WriteModel, replayed: Callable[..., Any]
) -> None:
    summary, resident = replayed(write_model(), faulty(1500), 500)
    losses = summary["losses"]
    assert losses["restarted"] == 14
    assert losses["malformed"] >= 150
    assert summary["frames"] + losses["malformed"] + losses.get("unordered", 0) == 1500
    assert resident[-1] <= 1.05 * resident[0], resident
