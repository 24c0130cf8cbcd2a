"""int8 graphs: which nodes they touch, the rounding worked by hand, the calibration, the proof."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from amr_edge.data.store import Store
from amr_edge.errors import CheckFailedError, ConfigError, DataError
from amr_edge.export.convert.int8 import linears, quantize_dynamic, quantize_static, ranges
from amr_edge.export.convert.precision import LIMITS, calibration, file_name, lowered, stratified
from amr_edge.export.export_onnx import OnnxConfig, export_run
from amr_edge.export.verify.parity import Limits
from amr_edge.export.verify.verification_data import load_verification_data
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.runtime.inference.session import open_session
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import RunFolder

WIDE = Limits(probability=1.0, agreement=0.0, accuracy=1.0)


def three(weight: np.ndarray) -> onnx.ModelProto:
    """x (N, 2) through three linears, of which the one in the middle has `weight` (2, 2)."""
    eye = np.eye(2, dtype=np.float32)
    nodes = [helper.make_node("MatMul", [a, w], [b]) for a, w, b in [("x", "i", "a"), ("a", "w", "b"), ("b", "o", "y")]]
    graph = helper.make_graph(
        nodes,
        "three",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value, name) for name, value in (("i", eye), ("w", weight), ("o", eye))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def answer(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


W = np.float32([[0.63, -6.3], [-0.315, 3.15]])  # columns reach 0.63 and 6.3: steps of 0.01 and 0.1


def test_weights_are_rounded_for_each_output_to_63_steps() -> None:
    made = {t.name: numpy_helper.to_array(t) for t in quantize_dynamic(three(W)).graph.initializer}
    np.testing.assert_array_equal(made["w_int8"], [[63, -63], [-32, 32]])  # -31.5 and 31.5 go to the even step
    np.testing.assert_allclose(made["w_scale"], [0.01, 0.1], rtol=1e-6)
    assert "w" not in made
    assert made["w_int8"].dtype == np.int8


def test_a_calibrated_linear_worked_by_hand() -> None:
    x = np.float32([[1.27, -0.5], [3.0, 0.004]])
    model = quantize_static(three(W), {"a": 1.27})  # steps of 0.01, cut off at 1.27
    rounded = np.float32([[1.27, -0.5], [1.27, 0.0]])
    weight = np.float32([[0.63, -6.3], [-0.32, 3.2]])
    np.testing.assert_allclose(answer(model, x), rounded @ weight, atol=1e-5)


@given(st.integers(0, 2**31))
def test_a_dynamic_linear_is_off_by_no_more_than_its_steps_allow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(2, 2)).astype(np.float32)
    x = rng.normal(size=(5, 2)).astype(np.float32) * 10
    step_w = np.abs(weight).max(axis=0) / 63
    step_x = (max(x.max(), 0) - min(x.min(), 0)) / 255
    # |x w - x' w'| <= |x| |w - w'| + |x - x'| |w'|, the zero point itself rounded: a whole step of x
    allowed = np.abs(x).sum(axis=1, keepdims=True) * step_w / 2 + step_x * (np.abs(weight) + step_w).sum(axis=0)
    assert (np.abs(answer(quantize_dynamic(three(weight)), x) - x @ weight) <= allowed + 1e-4).all()


def test_ranges_end_at_the_largest_value_of_the_clips() -> None:
    feeds = [{"x": np.float32([[1, -5], [2, 0]])}, {"x": np.float32([[3, 4]])}]
    assert ranges(three(W), feeds) == {"a": 5.0}


@pytest.mark.parametrize("feeds", [[], [{"x": np.zeros((1, 2), np.float32)}], [{"x": np.full((1, 2), np.inf, "f")}]])
def test_ranges_that_mean_nothing_are_refused(feeds: list[dict[str, np.ndarray]]) -> None:
    with pytest.raises(DataError, match="cannot be calibrated"):
        ranges(three(W), feeds)


def test_a_weight_that_is_nan_is_refused() -> None:
    with pytest.raises(CheckFailedError, match="'w' has NaN"):
        quantize_dynamic(three(np.full((2, 2), np.nan, np.float32)))


def test_a_column_of_zeros_stays_zero() -> None:
    weight = np.float32([[0, 1], [0, 2]])
    assert (answer(quantize_dynamic(three(weight)), np.float32([[1, 2]]))[:, 0] == 0).all()


@pytest.mark.parametrize("opset", [20, 23])
@pytest.mark.parametrize("static", [False, True])
def test_only_the_linears_inside_the_blocks_change(
    full_precision: Callable[..., Path], opset: int, static: bool
) -> None:
    full = onnx.load(full_precision(opset))
    chosen = linears(full)
    assert len(chosen) == 2 * 4  # query, key and value in one, out and two of the feed-forward in each of two blocks
    made = (
        quantize_static(full, dict.fromkeys([x.activation for x in chosen], 1.0)) if static else quantize_dynamic(full)
    )
    onnx.checker.check_model(made, full_check=True)
    before, after = (Counter(node.op_type for node in model.graph.node) for model in (full, made))
    for operator in ("LayerNormalization", "Softmax", "Attention", "Gemm", "ReduceSum", "Gelu"):
        assert before[operator] == after[operator], operator
    assert after["MatMul"] == before["MatMul"] - (0 if static else 8)
    assert after["MatMulInteger"] == (0 if static else 8)
    # Four activations a block.
    assert after["QuantizeLinear" if static else "DynamicQuantizeLinear"] == 8
    assert {entry.domain: entry.version for entry in made.opset_import} == {"": opset}
    assert [value.type for value in made.graph.output] == [value.type for value in full.graph.output]


@pytest.mark.parametrize(
    ("precision", "engine"), [("fp16", "onnxruntime"), ("int8", "onnxruntime"), ("int8-static", "openvino")]
)
@pytest.mark.slow
def test_an_export_below_fp32_is_proven_kept_and_says_what_it_is(run: RunFolder, precision: str, engine: str) -> None:
    pytest.importorskip(engine)
    exported = export_run(run.folder, OnnxConfig(precision=precision, engine=engine, limits=WIDE, calibrate_on=4))
    assert exported.path == run.folder / "export" / f"model.{precision}.onnx"
    assert exported.precision == precision
    assert 0 < exported.parity.max_difference < 0.2
    assert exported.pace is not None
    assert open_session(exported.path, engine=engine).card.precision == precision
    report = json.loads((exported.path.parent / f"model.{precision}.report.json").read_text())
    assert report["precision"] == precision
    assert report["latency_to_fp32"]["ratio"] > 0
    assert read_onnx(exported.path).opset == 20
    assert {path.name for path in exported.path.parent.iterdir()} == {
        f"model.{precision}.onnx",
        f"model.{precision}.report.json",
    }


@pytest.mark.slow
def test_a_precision_past_its_limit_leaves_no_file_unless_it_is_forced(run: RunFolder) -> None:
    strict = Limits(probability=1e-9, agreement=0.0, accuracy=1.0)
    with pytest.raises(CheckFailedError, match=r"a probability differs by .*allowed is 1e-09.*--force") as refusal:
        export_run(run.folder, OnnxConfig(precision="fp16", limits=strict))
    assert refusal.value.exit_code == 1
    path = run.folder / "export" / "model.fp16.onnx"
    assert not list(path.parent.glob("*.onnx"))
    forced = export_run(run.folder, OnnxConfig(precision="fp16", limits=strict, force=True))
    assert forced.failures
    assert path.is_file()
    assert json.loads(path.with_name("model.fp16.report.json").read_text())["proven"] is False


def test_the_calibration_sample_is_of_training_clips_only_and_of_every_class(run: RunFolder, store: Store) -> None:
    part = load_verification_data(run.folder, None, None)
    _, card = load_classifier(run.last)
    assert not (part.train & part.which).any()
    taught = np.flatnonzero(part.train)
    chosen = taught[stratified(store.labels[taught], 6, np.random.default_rng(0))]
    assert part.train[chosen].all()
    assert Counter(store.labels[chosen].tolist()) == {0: 2, 1: 2, 2: 2}
    feeds = list(calibration(part, card, ["clip", "present"], count=6, rng=np.random.default_rng(0))())
    assert len(feeds) == 6
    assert set(feeds[0]) == {"clip", "present"}


@given(st.lists(st.integers(-1, 4), max_size=40), st.integers(1, 50), st.integers(0, 99))
def test_a_stratified_sample_is_as_even_as_the_classes_allow(labels: list[int], count: int, seed: int) -> None:
    known = np.array(labels, dtype=np.int64)
    chosen = stratified(known, count, np.random.default_rng(seed))
    assert len(chosen) == len(set(chosen.tolist())) == min(count, len(labels))
    taken, there = Counter(known[chosen].tolist()), Counter(labels)
    for label, most in there.items():
        # Whoever has fewer than another by two or more has no more to give.
        assert taken[label] == most or all(taken[label] >= other - 1 for other in taken.values())


def test_a_calibration_on_no_clips_is_refused(run: RunFolder) -> None:
    part = load_verification_data(run.folder, None, None)
    _, card = load_classifier(run.last)
    with pytest.raises(ConfigError, match="at least 1 clip"):
        calibration(part, card, [], count=0, rng=np.random.default_rng(0))


def test_a_precision_of_no_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of fp32, fp16, int8, int8-static"):
        file_name("int4")


def test_every_precision_has_a_limit_and_fp32_changes_nothing() -> None:
    assert set(LIMITS) == {"fp32", "fp16", "int8", "int8-static"}
    model = three(W)
    assert lowered(model, "fp32", list) is model
    assert all(limits.accuracy <= 0.005 for limits in LIMITS.values())
