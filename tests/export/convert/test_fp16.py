"""The fp16 graph: which nodes compute in what, that its ends stay as they were, and that it answers as fp32 does."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from amr_edge.errors import CheckFailedError
from amr_edge.export.convert.fp16 import ranking, to_fp16
from amr_edge.export.convert.onnx import save_onnx
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.runtime.inference.session import open_session

HALF, FULL = TensorProto.FLOAT16, TensorProto.FLOAT


def types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    known = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    return known | {tensor.name: tensor.data_type for tensor in graph.initializer}


def float_types_by_operator(model: onnx.ModelProto) -> dict[str, set[int]]:
    """Operator -> the float types of everything that goes in and comes out, casts left out."""
    kinds, found = types(model), defaultdict(set)
    for node in model.graph.node:
        if node.op_type != "Cast":
            names = (*node.input, *node.output)
            found[node.op_type] |= {kinds[name] for name in names if kinds.get(name) in (HALF, FULL)}
    return found


@pytest.fixture(params=[18, 20, 23])
def full(request: pytest.FixtureRequest, full_precision: Callable[..., Path]) -> Path:
    return full_precision(request.param)


def test_products_are_fp16_and_what_sums_or_squares_is_fp32(full: Path) -> None:
    half = to_fp16(onnx.load(full))
    opset = read_onnx(full).opset
    found = float_types_by_operator(half)
    assert found["MatMul"] == {HALF}  # tokens are ranked in doubles
    for operator in ("LayerNormalization", "Softmax", "ReduceSum", "Gemm"):
        assert found[operator] == {FULL}, operator
    assert found.get("Attention", {HALF}) == {HALF}
    assert ("Attention" in found) == (opset >= 23)
    assert {entry.domain: entry.version for entry in half.opset_import}[""] == opset


@pytest.mark.parametrize("opset", [20, 23])
@pytest.mark.slow
def test_tokens_are_ranked_in_full_precision_where_it_is_fp32(full_precision: Callable[..., Path], opset: int) -> None:
    model = onnx.load(full_precision(opset, tokens=10))
    before = [node for node in model.graph.node if ranking(model).intersection(node.output)]
    assert sum(node.op_type == "MatMul" for node in before) == 3  # middles, energies and shares
    after = to_fp16(model)
    kinds, names = types(after), {name for node in before for name in node.output}
    kept = [node for node in after.graph.node if names.intersection(node.output)]
    assert kept == before
    assert HALF not in {kinds.get(name) for node in kept for name in (*node.input, *node.output)}


def test_the_softmax_inside_attention_stays_fp32(full_precision: Callable[..., Path]) -> None:
    half = to_fp16(onnx.load(full_precision(23)))
    inside = [{a.name: a.i for a in node.attribute} for node in half.graph.node if node.op_type == "Attention"]
    assert len(inside) == 2
    assert all(attributes["softmax_precision"] == FULL for attributes in inside)


def test_the_residual_sum_stays_fp32(full: Path) -> None:
    half = to_fp16(onnx.load(full))
    kinds = types(half)
    normed = {node.input[0] for node in half.graph.node if node.op_type == "LayerNormalization"}
    made = {name: node.op_type for node in half.graph.node for name in node.output}
    assert {made[name] for name in normed} == {"Add"}
    assert all(kinds[name] == FULL for name in normed)


def test_inputs_and_outputs_are_those_of_the_fp32_file(full: Path) -> None:
    before = onnx.load(full).graph
    after = to_fp16(onnx.load(full)).graph
    for one, other in ((before.input, after.input), (before.output, after.output)):
        assert [(value.name, value.type) for value in one] == [(value.name, value.type) for value in other]


def test_every_weight_of_a_product_is_there_once_in_fp16(full: Path) -> None:
    before, half = onnx.load(full), to_fp16(onnx.load(full))
    constants = {tensor.name: tensor for tensor in half.graph.initializer}
    weights = [n.input[1] for n in half.graph.node if n.op_type == "MatMul" and n.input[1] in constants]
    assert len(weights) == 1 + 2 * 4  # the first, and four in each block
    assert {constants[name].data_type for name in weights} == {HALF}
    used = {name for node in half.graph.node for name in node.input}
    assert set(constants) <= used
    assert not {name.removesuffix("_fp16") for name in weights} & set(constants)  # none is there in fp32 as well
    assert half.ByteSize() < before.ByteSize()


def test_the_fp16_file_answers_as_the_fp32_file(full: Path, tmp_path: Path) -> None:
    one = open_session(full, engine="onnxruntime", threads=1)
    half = save_onnx(to_fp16(onnx.load(full)), one.card, tmp_path / "half.onnx")
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 2, 16, 25, 3)).astype(np.float32)
    present = rng.random(values.shape[:-1]) < 0.9
    values[~present] = 0
    difference = open_session(half, engine="onnxruntime", threads=1).probs(values, present) - one.probs(values, present)
    assert 0 < np.abs(difference).max() < 0.01


def linear(weight: np.ndarray) -> onnx.ModelProto:
    """x @ weight, a graph of one product whose output is the file's."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", FULL, ["N", 2])],
        [helper.make_tensor_value_info("y", FULL, ["N", 2])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_product_that_is_an_output_is_cast_back() -> None:
    half = to_fp16(linear(np.eye(2, dtype=np.float32)))
    assert [node.op_type for node in half.graph.node] == ["Cast", "MatMul", "Cast"]
    assert [node.output[0] for node in half.graph.node] == ["x_fp16", "y_fp16", "y"]


def test_a_weight_beyond_fp16_is_refused_with_its_size() -> None:
    with pytest.raises(CheckFailedError, match=r"'w' reaches 7e\+04, fp16 ends at 65504"):
        to_fp16(linear(np.full((2, 2), 7e4, dtype=np.float32)))


def test_the_graph_that_is_given_is_not_changed() -> None:
    model = linear(np.eye(2, dtype=np.float32))
    before = model.SerializeToString()
    to_fp16(model)
    assert model.SerializeToString() == before
