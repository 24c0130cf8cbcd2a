"""Any ONNX keypoint model by its description: what was drawn into a picture is found where it was drawn."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from amr_edge.cli import run
from amr_edge.errors import ClipError, ConfigError, MissingError, ReadError
from amr_edge.runtime.frame import Image
from amr_edge.runtime.pose import model_spec
from amr_edge.runtime.pose.model_spec import Decoding, Description, Detector, Input
from amr_edge.runtime.pose.onnx_keypoints import Found, OnnxPose, best, direct, heatmap, simcc
from amr_edge.runtime.pose.open_pose import open_pose
from amr_edge.skeleton import COCO17

pytest.importorskip("cv2", reason="pictures are cut and resized by OpenCV")

# A red dot is the nose, a green one the left eye, a blue one the right eye: the models below look for colours.
COLOURS = ("nose", "left_eye", "right_eye")


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[str], constants: dict[str, Any]) -> Path:
    graph = helper.make_graph(
        nodes,
        "pose",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def picture_input(size: tuple[int, int], batch: int | str = "N") -> Any:
    return helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, size[1], size[0]])


def by_simcc(path: Path, size: tuple[int, int] = (48, 64), batch: int | str = "N") -> Path:
    """Bins are columns and rows of the picture: the brightest of each colour."""
    nodes = [
        helper.make_node("ReduceMax", ["input", "down"], ["simcc_x"], keepdims=0),
        helper.make_node("ReduceMax", ["input", "across"], ["simcc_y"], keepdims=0),
    ]
    constants = {"down": np.array([2]), "across": np.array([3])}
    return save(path, nodes, [picture_input(size, batch)], ["simcc_x", "simcc_y"], constants)


def by_heatmap(path: Path, size: tuple[int, int] = (48, 64)) -> Path:
    """A cell is the mean of four by four pixels."""
    node = helper.make_node("AveragePool", ["input"], ["maps"], kernel_shape=[4, 4], strides=[4, 4])
    return save(path, [node], [picture_input(size)], ["maps"], {})


def by_rows(path: Path, rows: np.ndarray, size: tuple[int, int] = (64, 64), *, last: bool = False) -> Path:
    """Always the same rows, whatever is in the picture."""
    table = rows.astype(np.float32)[None] if last else rows.astype(np.float32).T[None]
    nodes = [
        helper.make_node("ReduceMin", ["input"], ["least"], keepdims=0),
        helper.make_node("Mul", ["least", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["output0"]),
    ]
    return save(path, nodes, [picture_input(size, 1)], ["output0"], {"rows": table, "zero": np.float32(0)})


def described(model: Path, kind: str, **changes: Any) -> Description:
    size = changes.pop("size", (48, 64))
    plain = Description(
        name="by colour",
        skeleton=COCO17,
        joints=COLOURS,
        model=model,
        input=Input(width=size[0], height=size[1], divide=255.0, fit=changes.pop("fit", "warp"), order="rgb"),
        decoding=Decoding(kind=kind, split=1.0, **changes.pop("decode", {})),
        padding=1.0,
    )
    return replace(plain, **changes)


def dots(size: tuple[int, int], *places: tuple[int, int, int]) -> Image:
    """A black picture with a dot of 5 x 5 pixels, brightest in its middle, for each (x, y, channel)."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, channel in places:
        image[y - 2 : y + 3, x - 2 : x + 3, channel] = 120
        image[y, x, channel] = 255
    return Image(image=image, time_s=0.5)


def joint(frame: Any, name: str, person: int = 0) -> list[float]:
    return [float(value) for value in frame.pixels[person, COCO17.index(name)]]


@pytest.mark.parametrize("batch", ["N", 1])
def test_simcc_finds_each_color_where_it_was_drawn(tmp_path: Path, batch: int | str) -> None:
    model = by_simcc(tmp_path / "m.onnx", batch=batch)
    picture = dots((48, 64), (10, 20, 0), (30, 40, 1), (40, 50, 2))
    with OnnxPose(described(model, "simcc")) as estimator:
        frame = estimator(picture)
    assert [joint(frame, name) for name in COLOURS] == [[10, 20], [30, 40], [40, 50]]
    # Poses have y up from the lower edge of 64.
    assert frame.poses[0, COCO17.index("nose")].tolist() == [10, 44]
    # Whatever the model has no word for is absent.
    assert np.isnan(frame.poses[0, COCO17.index("left_ankle")]).all()
    assert (frame.time_s, frame.ids) == (0.5, None)
    assert (estimator.layout, estimator.units) == (COCO17, "px")


def test_a_joint_of_low_score_is_absent_in_poses_and_pixels(tmp_path: Path) -> None:
    picture = dots((48, 64), (10, 20, 0), (30, 40, 1))  # no blue
    picture.image[38:43, 28:33, 1] = 60
    frame = OnnxPose(described(by_simcc(tmp_path / "m.onnx"), "simcc", joint_score=0.3))(picture)
    assert joint(frame, "nose") == [10, 20]
    for name in ("left_eye", "right_eye"):  # 60 / 255 and 0
        assert np.isnan(frame.poses[0, COCO17.index(name)]).all()
        assert np.isnan(joint(frame, name)).all()


def test_who_shows_no_joint_is_nobody(tmp_path: Path) -> None:
    frame = OnnxPose(described(by_simcc(tmp_path / "m.onnx"), "simcc"))(dots((48, 64)))
    assert frame.poses.shape == (0, 17, 2)
    assert frame.pixels is not None
    assert frame.pixels.shape == (0, 17, 2)


def test_channels_come_in_the_order_that_the_model_was_trained_on(tmp_path: Path) -> None:
    said = described(by_simcc(tmp_path / "m.onnx"), "simcc")
    bgr = replace(said, input=replace(said.input, order="bgr"))
    frame = OnnxPose(bgr)(dots((48, 64), (10, 20, 0)))
    assert joint(frame, "right_eye") == [10, 20]  # red stands last in BGR
    assert np.isnan(joint(frame, "nose")).all()


def test_mean_and_deviation_are_applied_after_the_division(tmp_path: Path) -> None:
    said = described(by_simcc(tmp_path / "m.onnx"), "simcc")
    # (255 / 255 - 0.5) / 0.25 = 2 at the dot, (120 / 255 - 0.5) / 0.25 = -0.12 beside it.
    bright = replace(said, input=replace(said.input, mean=(0.5,) * 3, std=(0.25,) * 3), joint_score=1.99)
    assert joint(OnnxPose(bright)(dots((48, 64), (10, 20, 0))), "nose") == [10, 20]
    assert len(OnnxPose(replace(bright, joint_score=2.01))(dots((48, 64), (10, 20, 0))).poses) == 0


def test_a_picture_of_other_proportions_is_cut_out_with_proportions_kept(tmp_path: Path) -> None:
    # 192 x 128 onto 48 x 64: a quarter of the size, 32 rows of picture in the middle of 64.
    picture = Image(image=np.zeros((128, 192, 3), np.uint8), time_s=0.0)
    picture.image[60:69, 96:105, 0] = 255
    (x, y) = joint(OnnxPose(described(by_simcc(tmp_path / "m.onnx"), "simcc"))(picture), "nose")
    assert abs(x - 100) <= 4
    assert abs(y - 64) <= 4


def test_a_heatmap_is_a_quarter_cell_nearer_to_the_higher_neighbor(tmp_path: Path) -> None:
    maps = np.zeros((1, 2, 5, 6), np.float32)
    maps[0, 0, 2, 3], maps[0, 0, 2, 4], maps[0, 0, 1, 3] = 0.9, 0.5, 0.2
    maps[0, 1, 0, 0] = 0.4  # at the edge there is no neighbour to compare
    places, scores = heatmap([maps], Decoding(kind="heatmap"), 2, (24, 20))
    # Cells of 4 pixels: (3 + 0.25, 2 - 0.25) * 4.
    assert places[0].tolist() == [[13.0, 7.0], [0.0, 0.0]]
    np.testing.assert_allclose(scores, [[0.9, 0.4]])
    plain, _ = heatmap([maps], Decoding(kind="heatmap", refine=False), 2, (24, 20))
    assert plain[0, 0].tolist() == [12.0, 8.0]


def test_a_heatmap_model_finds_colors_within_a_cell(tmp_path: Path) -> None:
    picture = Image(image=np.zeros((64, 48, 3), np.uint8), time_s=0.0)
    picture.image[20:24, 8:12, 0] = picture.image[40:44, 32:36, 2] = 255
    frame = OnnxPose(described(by_heatmap(tmp_path / "m.onnx"), "heatmap"))(picture)
    assert joint(frame, "nose") == [8, 20]
    assert joint(frame, "right_eye") == [32, 40]
    assert np.isnan(joint(frame, "left_eye")).all()


def test_simcc_bins_are_split_and_the_lower_peak_is_the_score() -> None:
    across, down = np.zeros((1, 1, 16), np.float32), np.zeros((1, 1, 12), np.float32)
    across[0, 0, 7], down[0, 0, 5] = 0.9, 0.4
    places, scores = simcc([across, down], Decoding(kind="simcc", split=2.0), 1, (8, 6))
    assert places.tolist() == [[[3.5, 2.5]]]
    np.testing.assert_allclose(scores, [[0.4]])
    with pytest.raises(ClipError, match=r"decode\.split"):
        simcc([across, down], Decoding(kind="simcc", split=1.0), 1, (8, 6))


def person(x: float, y: float, score: float, joint_score: float = 0.9) -> list[float]:
    """Centre, size, score and three joints above each other, on a sheet of 64 x 64."""
    return [x, y, 20, 30, score, x, y - 10, joint_score, x, y, joint_score, x, y + 10, 0.1]


@pytest.mark.parametrize("last", [True, False])
def test_a_one_stage_model_gives_each_person_once_the_best_first(tmp_path: Path, last: bool) -> None:
    rows = np.array([person(20, 30, 0.7), person(21, 30, 0.9), person(50, 30, 0.8), person(50, 10, 0.2)])
    model = by_rows(tmp_path / "m.onnx", rows, last=last)
    said = described(model, "direct", size=(64, 64), fit="letterbox", decode={"columns_last": last})
    # A picture of 128 x 64 lies on the sheet at half its size, 16 rows down.
    picture = Image(image=np.zeros((64, 128, 3), np.uint8), time_s=0.0)
    frame = OnnxPose(said, people=5)(picture)
    assert len(frame.poses) == 2
    assert [joint(frame, "nose", k) for k in (0, 1)] == [[42, 8], [100, 8]]
    assert joint(frame, "left_eye") == [42, 28]
    assert np.isnan(joint(frame, "right_eye")).all()  # 0.1
    assert len(OnnxPose(said, people=1)(picture).poses) == 1


def test_a_top_down_model_looks_where_the_detector_points(tmp_path: Path) -> None:
    # Boxes of 12 x 16 pixels on a sheet of the picture's size; people are told apart by class number 0.
    rows = np.array([[30, 40, 12, 16, 0.9, 0], [80, 40, 12, 16, 0.8, 0], [60, 80, 12, 16, 0.95, 7]])
    detector = Detector(
        model=by_rows(tmp_path / "d.onnx", rows, size=(100, 100), last=True),
        input=Input(width=100, height=100),
        decoding=Decoding(kind="direct", joints=None, classes=5),
    )
    said = described(by_simcc(tmp_path / "m.onnx"), "simcc", detector=detector)
    picture = dots((100, 100), (30, 40, 0), (80, 42, 0), (60, 80, 0))
    with OnnxPose(said, people=4) as estimator:
        frame = estimator(picture)
    assert len(frame.poses) == 2  # each sees its own red dot, the one of class 7 nobody's
    for k, place in enumerate([(30, 40), (80, 42)]):
        assert np.abs(np.subtract(joint(frame, "nose", k), place)).max() <= 0.5
    assert "up to 4 people" in estimator.title


def test_a_detector_that_sees_nobody_leaves_nobody(tmp_path: Path) -> None:
    detector = Detector(
        model=by_rows(tmp_path / "d.onnx", np.array([[5, 5, 4, 4, 0.1]]), size=(32, 32), last=True),
        input=Input(width=32, height=32),
        decoding=Decoding(kind="direct", joints=None),
    )
    said = described(by_simcc(tmp_path / "m.onnx"), "simcc", detector=detector)
    assert OnnxPose(said)(dots((32, 32), (10, 10, 0))).poses.shape == (0, 17, 2)


def test_labels_in_an_output_of_their_own_choose_people() -> None:
    boxes = np.array([[[0, 0, 4, 4, 0.9], [4, 4, 8, 8, 0.8]]], np.float32)
    decoding = Decoding(kind="direct", joints=None, corners=True, labels="labels")
    found = direct([boxes, np.array([[3.0, 0.0]], np.float32)], decoding, 0)
    assert found.boxes.tolist() == [[4, 4, 8, 8]]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.floats(0.1, 1.0), st.integers(1, 12))
def test_whoever_is_kept_overlaps_no_better_one(seed: int, count: int, overlap: float, people: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 10, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 10, (count, 2))], axis=1).astype(np.float32)
    scores = rng.uniform(0, 1, count).astype(np.float32)
    empty = np.zeros((count, 0, 2), np.float32)
    kept = best(Found(boxes, scores, empty, empty[..., 0]), 0.2, overlap, people)
    assert len(kept.scores) <= people
    assert (kept.scores >= 0.2).all()
    assert (np.diff(kept.scores) <= 0).all()
    for a in range(len(kept.boxes)):
        for b in range(a):
            left, right = kept.boxes[a].astype(float), kept.boxes[b].astype(float)
            sides = np.clip(np.minimum(left[2:], right[2:]) - np.maximum(left[:2], right[:2]), 0, None)
            shared = sides.prod()
            union = (left[2:] - left[:2]).prod() + (right[2:] - right[:2]).prod() - shared
            assert shared / union <= overlap + 1e-4


def test_rows_of_too_few_columns_are_refused_with_what_to_correct() -> None:
    with pytest.raises(ClipError, match="expected at least 14 columns, got 6"):
        direct([np.zeros((1, 4, 6), np.float32)], Decoding(kind="direct"), 3)


def test_what_contradicts_the_description_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    model = by_simcc(tmp_path / "m.onnx")
    said = described(model, "simcc")
    with pytest.raises(ReadError, match=r"m\.onnx.*the description says \[1, 3, 32, 32\]"):
        OnnxPose(replace(said, input=Input(width=32, height=32)))
    with pytest.raises(ReadError, match="the model has simcc_x, simcc_y"):
        OnnxPose(replace(said, decoding=Decoding(kind="simcc", outputs=("a", "b"))))
    (tmp_path / "bad.onnx").write_bytes(b"hello")
    with pytest.raises(ReadError, match=r"bad\.onnx: ONNX Runtime refuses"):
        OnnxPose(replace(said, model=tmp_path / "bad.onnx"))
    with pytest.raises(MissingError, match=r"none\.onnx"):
        OnnxPose(replace(said, model=tmp_path / "none.onnx"))
    with pytest.raises(ConfigError, match='names no "model"'):
        OnnxPose(replace(said, model=None))
    with pytest.raises(ConfigError, match="at least 1"):
        OnnxPose(said, people=0)


def test_a_closed_estimator_and_what_is_no_picture_are_refused(tmp_path: Path) -> None:
    estimator = OnnxPose(described(by_simcc(tmp_path / "m.onnx"), "simcc"))
    with pytest.raises(ClipError, match="uint8, RGB"):
        estimator(Image(image=np.zeros((4, 4), np.uint8), time_s=0.0))
    estimator.close()
    estimator.close()
    with pytest.raises(ClipError, match="closed"):
        estimator(dots((48, 64)))


@pytest.mark.parametrize("name", model_spec.SHIPPED)
def test_a_shipped_description_is_one_and_says_what_its_kind_of_model_wants(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["pose", "describe", name]) == 0
    (tmp_path / "mine.json").write_text(capfd.readouterr().out)
    said = model_spec.read(tmp_path / "mine.json")
    assert said.skeleton is COCO17
    assert said.joints == COCO17.joints
    assert (said.decoding.kind, said.input.order) == {
        "rtmpose": ("simcc", "rgb"),
        "yolo-pose": ("direct", "rgb"),
    }[name]


def test_a_yolo_pose_model_is_opened_by_its_name_and_its_rows_are_read(tmp_path: Path) -> None:
    row = [320, 320, 100, 200, 0.9, *(value for k in range(17) for value in (300 + k, 250 + k, 0.8))]
    model = by_rows(tmp_path / "y.onnx", np.array([row, [0] * 56]), size=(640, 640))
    estimator = open_pose(f"yolo-pose:{model}", people=2, environ={})
    frame = estimator(Image(image=np.zeros((640, 640, 3), np.uint8), time_s=0.0))
    assert frame.poses.shape == (1, 17, 2)
    assert joint(frame, "right_ankle") == [316, 266]


def test_an_rtmpose_model_is_opened_by_its_name_with_and_without_a_detector(tmp_path: Path) -> None:
    down, across = np.array([2]), np.array([3])
    nodes = [
        # One map stands for all 17 joints; each bin twice, for two bins a pixel.
        helper.make_node("ReduceMean", ["input", "channels"], ["grey"], keepdims=1),
        helper.make_node("Tile", ["grey", "joints"], ["all"]),
        helper.make_node("Resize", ["all", "", "twice"], ["fine"], mode="nearest"),
        helper.make_node("ReduceMax", ["fine", "down"], ["simcc_x"], keepdims=0),
        helper.make_node("ReduceMax", ["fine", "across"], ["simcc_y"], keepdims=0),
    ]
    constants = {
        "channels": np.array([1]),
        "joints": np.array([1, 17, 1, 1]),
        "twice": np.array([1, 1, 2, 2], np.float32),
        "down": down,
        "across": across,
    }
    model = save(tmp_path / "r.onnx", nodes, [picture_input((192, 256))], ["simcc_x", "simcc_y"], constants)
    detector = by_rows(tmp_path / "d.onnx", np.array([[320, 320, 640, 640, 0.9]]), size=(640, 640))
    image = np.zeros((240, 320, 3), np.uint8)
    image[100:103, 200:203] = 255
    for pose, title in ((f"rtmpose:{model}", "whole picture"), (f"rtmpose:{model}+{detector}", "with a detector")):
        estimator = open_pose(pose, people=2, environ={})
        (x, y) = joint(estimator(Image(image=image, time_s=0.0)), "left_wrist")
        assert abs(x - 201) < 4
        assert abs(y - 101) < 4
        assert title in estimator.title
    with pytest.raises(ConfigError, match="uses no detector"):
        open_pose(f"yolo-pose:{model}+{detector}", people=1, environ={})


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(layout="coco18"), "no skeleton layout"),
        (lambda d: d.update(joints=["nose", "tail"]), "no joint tail"),
        (lambda d: d.update(joints=["nose", "nose"]), "each joint once"),
        (lambda d: d.pop("input"), "does not say 'input'"),
        (lambda d: d["input"].update(size=[0, 3]), "input.size"),
        (lambda d: d["input"].update(std=[1, 0, 1]), "must not be 0"),
        (lambda d: d["input"].update(color="rgb"), "input has no field color"),
        (lambda d: d["decode"].update({"as": "guess"}), "simcc, heatmap, direct"),
        (lambda d: d.update(schema=2), "pose description"),
        (lambda d: d.update(joint_score=None), "cannot be used"),
        (lambda d: d.update(detector={"input": d["input"], "decode": {"as": "simcc"}}), "a detector's decode"),
    ],
)
def test_a_description_that_cannot_be_is_refused_by_name(tmp_path: Path, change: Change, sentence: str) -> None:
    said = json.loads(model_spec.shipped("yolo-pose"))
    change(said)
    (tmp_path / "mine.json").write_text(json.dumps(said))
    with pytest.raises(ReadError, match=r"mine\.json") as refusal:
        model_spec.read(tmp_path / "mine.json")
    assert sentence in str(refusal.value)


def test_what_is_no_json_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{")
    with pytest.raises(ReadError, match="expected a JSON object"):
        open_pose(str(tmp_path / "mine.json"), people=1, environ={})
    with pytest.raises(MissingError, match="amr-edge pose describe"):
        open_pose(str(tmp_path / "none.json"), people=1, environ={})


def test_opening_an_onnx_pose_model_imports_no_onnx(tmp_path: Path) -> None:
    import subprocess
    import sys

    model = by_simcc(tmp_path / "m.onnx")
    (tmp_path / "mine.json").write_text(
        json.dumps(
            {
                "amr_edge": "pose",
                "schema": 1,
                "name": "by colour",
                "layout": "coco17",
                "joints": [*COLOURS],
                "model": model.name,
                "input": {"size": [48, 64], "fit": "warp"},
                "decode": {"as": "simcc", "split": 1},
            }
        )
    )
    code = """
import sys
from amr_edge.runtime.pose.open_pose import open_pose
open_pose(sys.argv[1], people=1, environ={})
print(sorted({"onnx", "torch", "mediapipe"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "mine.json")], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_model_never_sees_a_mirrored_person(tmp_path: Path) -> None:
    """The film is mirrored for the eye; poses, pixels and the estimator's picture are as the camera saw them."""
    from amr_edge.runtime.render.draw import mirrored

    picture = dots((48, 64), (10, 20, 0), (30, 40, 1))
    before = picture.image.copy()
    frame = OnnxPose(described(by_simcc(tmp_path / "m.onnx"), "simcc"))(picture)
    assert frame.pixels is not None
    shown, pixels = mirrored(picture.image, frame.pixels)
    assert joint(frame, "nose") == [10, 20]
    assert pixels[0, COCO17.index("nose")].tolist() == [37, 20]
    assert shown[20, 37, 0] == 255  # what is drawn lies on what is shown
    np.testing.assert_array_equal(picture.image, before)
