"""The table of pose estimators: every line opens something, an estimator of one's own goes through as it is."""

from pathlib import Path

import numpy as np
import pytest

from amr_edge.errors import MissingError
from amr_edge.runtime import factories
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.pose import download, model_spec
from amr_edge.runtime.pose.open_pose import ESTIMATORS, PoseEstimator, open_pose
from amr_edge.skeleton import COCO17, Layout


class Centre:
    """An estimator of one's own: one person in the middle of every picture."""

    layout: Layout = COCO17
    units = "px"
    title = "the middle"

    def __call__(self, picture: Image) -> Frame:
        height, width = picture.image.shape[:2]
        pixels = np.full((1, len(self.layout), 2), (width / 2, height / 2), np.float32)  # (P, V, 2)
        return Frame(time_s=picture.time_s, poses=pixels * (1, -1), pixels=pixels, picture=picture)

    def close(self) -> None: ...


@pytest.mark.parametrize("form", ESTIMATORS)
def test_every_line_of_the_table_names_a_factory(form: str) -> None:
    assert callable(factories.load(ESTIMATORS[form]))


def test_the_table_has_every_variant_and_every_shipped_description() -> None:
    assert set(download.VARIANTS) <= set(ESTIMATORS)
    assert {f"{name}:" for name in model_spec.SHIPPED} == {form for form in ESTIMATORS if form.endswith(":")}


def test_an_estimator_of_ones_own_is_returned_as_it_is() -> None:
    mine = Centre()
    assert isinstance(mine, PoseEstimator)
    assert open_pose(mine, people=1, environ={}) is mine


@pytest.mark.parametrize("pose", ["nowhere.task", "medium"])
def test_an_unknown_estimator_is_refused_with_those_there_are(pose: str) -> None:
    with pytest.raises(MissingError, match=f"no pose model '{pose}'; give lite, full, heavy, yolo-pose:MODEL.onnx"):
        open_pose(pose, people=1, environ={})


def test_a_model_that_was_not_fetched_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="pose fetch lite"):
        open_pose("lite", people=1, environ={"AMR_EDGE_CACHE": str(tmp_path)})
