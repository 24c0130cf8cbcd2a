"""The table of sources: every line opens something, a source of one's own goes through recognition."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from amr_edge.errors import ConfigError
from amr_edge.runtime import factories
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.pose.open_pose import PoseEstimator
from amr_edge.runtime.sources.open_source import SOURCES, SourceConfig, SourceKind, is_live, open_source
from amr_edge.runtime.sources.protocols import ImageSource, OpenContext, SkeletonSource
from amr_edge.runtime.sources.recorded import SourceRun
from amr_edge.runtime.stage_timer import Stages
from amr_edge.skeleton import COCO17, Layout


class Standing:
    """A source of skeletons of one's own: one person who stands still, ten times a second."""

    layout: Layout = COCO17
    units = "m"
    title = "a statue"

    def __iter__(self) -> Iterator[Frame]:
        for k in range(5):
            yield Frame(time_s=k / 10, poses=np.ones((1, 17, 3), np.float32), ids=(0,))


class Grey:
    """A source of pictures of one's own."""

    fps = 10.0
    size = (8, 6)
    live = True
    title = "grey"
    closed = False

    def __iter__(self) -> Iterator[Image]:
        for k in range(3):
            yield Image(image=np.full((6, 8, 3), 128, np.uint8), time_s=k / 10)

    def close(self) -> None:
        self.closed = True


class Centre:
    """An estimator of one's own: one person in the middle of every picture."""

    layout: Layout = COCO17
    units = "px"
    title = "the middle"
    closed = False

    def __call__(self, picture: Image) -> Frame:
        pixels = np.full((1, 17, 2), 3.0, np.float32)  # (P, V, 2)
        return Frame(time_s=picture.time_s, poses=pixels * (1, -1), pixels=pixels, picture=picture)

    def close(self) -> None:
        self.closed = True


def standing(address: str, context: OpenContext) -> Standing:
    """What a line of the table names."""
    assert context.config.people == 1
    assert address == "statue://hall"
    return Standing()


def runs(
    source: str | SkeletonSource | ImageSource, pose: str | PoseEstimator = "none"
) -> tuple[list[tuple[SourceRun, int]], list[str]]:
    """(each recording, its frames), and the notes."""
    notes: list[str] = []
    with open_source(
        source,
        SourceConfig(pose=pose),
        stages=Stages(lambda: 0.0, np.random.default_rng(0)),
        note=notes.append,
        skipped=pytest.fail,
        environ={},
    ) as opened:
        return [(run, len(list(run))) for run in opened if isinstance(run, SourceRun)], notes


@pytest.mark.parametrize("form", SOURCES)
def test_every_line_of_the_table_names_a_factory(form: str) -> None:
    assert callable(factories.load(SOURCES[form].factory))


def test_a_line_in_the_table_opens_a_source_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "statue://", SourceKind("statue", f"{__name__}:standing", live=True))
    ((run, frames),), notes = runs("statue://hall")
    assert (run.title, run.layout, run.units, frames) == ("a statue", COCO17, "m", 5)
    assert notes == ["source: a statue"]
    assert is_live("statue://hall")


def test_a_source_of_skeletons_of_ones_own_is_one_recording() -> None:
    ((run, frames),), _ = runs(Standing())
    assert (run.title, run.size, frames) == ("a statue", None, 5)
    assert not is_live(Standing())


def test_a_source_of_pictures_goes_through_an_estimator_and_neither_is_closed() -> None:
    camera, estimator = Grey(), Centre()
    ((run, frames),), notes = runs(camera, estimator)
    assert (run.layout, run.units, run.size, frames) == (COCO17, "px", (8, 6), 3)
    assert notes == ["source: grey; the middle"]
    assert is_live(camera)
    assert (camera.closed, estimator.closed) == (False, False)


def test_an_object_that_is_no_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="SkeletonSource or ImageSource as source, got int"):
        runs(7)  # type: ignore[arg-type]


def test_cameras_do_not_share_an_estimator(tmp_path: Path) -> None:
    listed = tmp_path / "door.streams"
    listed.write_text("0\n1\n")
    with pytest.raises(ConfigError, match="an estimator each"):
        runs(str(listed), Centre())
