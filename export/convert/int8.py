"""How the weights of a graph become int8: dynamically or with calibrated QDQ pairs, the linears inside the blocks only.

Everything but those linears keeps its type: LayerNorm, softmax and attention's products lose far more in int8 than
they save. The first linear reads metres and the last writes logits; both are small and stay fp32 too.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from amr_edge.errors import CheckFailedError, DataError
from amr_edge.export.convert.fp16 import ranking
from amr_edge.runtime.inference.onnx_runtime import QUIET

Feed = dict[str, NDArray[np.generic]]

# Weights go to 63, not 127: processors without VNNI add two products of uint8 and int8 into 16 bits, which saturates
# from 2 * 255 * 65 on without a word, and what was proven on one machine must hold on the next.
WEIGHT_STEPS = 63
ACTIVATION_STEPS = 127


class Linear(NamedTuple):
    """A MatMul by constant weights."""

    activation: str
    weight: str
    output: str


def linears(model: onnx.ModelProto) -> list[Linear]:
    """The linears to quantise, in the graph's order: all but the first and the last.

    Raises:
        CheckFailedError: If there are none.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    exact = ranking(model)
    found = [
        Linear(node.input[0], node.input[1], node.output[0])
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm")
        and node.output[0] not in exact
        and len(getattr(constants.get(node.input[1]), "dims", ())) == 2
    ]
    if len(found) < 3:
        raise CheckFailedError("the graph has no linears between its first and its last that could be quantised")
    return found[1:-1]


def quantize_dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose linears hold int8 weights and round what they are given by its range at that moment.

    Nothing is calibrated. The range is that of all clips of a batch together, so a prediction depends a little on who
    else is in the batch.
    """
    chosen = {linear.output: linear for linear in linears(model)}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    made: list[onnx.TensorProto] = []
    rounded: set[str] = set()
    for node in model.graph.node:
        linear = chosen.get(node.output[0])
        if linear is None:
            nodes.append(node)
            continue
        x, w, y = linear
        if x not in rounded:
            rounded.add(x)
            nodes.append(helper.make_node("DynamicQuantizeLinear", [x], [f"{x}_u8", f"{x}_scale", f"{x}_zero"]))
        steps, scale = _rounded_weight(constants[w])
        made += [
            numpy_helper.from_array(steps, f"{w}_int8"),
            numpy_helper.from_array(scale, f"{w}_scale"),
        ]
        nodes += [
            helper.make_node("MatMulInteger", [f"{x}_u8", f"{w}_int8", f"{x}_zero"], [f"{y}_int32"]),
            helper.make_node("Cast", [f"{y}_int32"], [f"{y}_steps"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{x}_scale", f"{w}_scale"], [f"{y}_scale"]),
            helper.make_node("Mul", [f"{y}_steps", f"{y}_scale"], [y]),
        ]
    return _rebuilt(model, nodes, made)


def quantize_static(model: onnx.ModelProto, largest: Mapping[str, float]) -> onnx.ModelProto:
    """A copy whose linears stand between QuantizeLinear and DequantizeLinear, symmetric, as TensorRT wants it.

    Args:
        model: A fp32 graph.
        largest: Activation -> where its int8 range ends, from `ranges`.
    """
    chosen = {linear.output: linear for linear in linears(model)}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    made = [numpy_helper.from_array(np.int8(0), "int8_zero")]
    rounded: set[str] = set()
    for node in model.graph.node:
        linear = chosen.get(node.output[0])
        if linear is None:
            nodes.append(node)
            continue
        x, w, y = linear
        if x not in rounded:
            rounded.add(x)
            made.append(numpy_helper.from_array(np.float32(largest[x] / ACTIVATION_STEPS), f"{x}_scale"))
            pair = [f"{x}_scale", "int8_zero"]
            nodes += [
                helper.make_node("QuantizeLinear", [x, *pair], [f"{x}_int8"]),
                helper.make_node("DequantizeLinear", [f"{x}_int8", *pair], [f"{x}_rounded"]),
            ]
        steps, scale = _rounded_weight(constants[w])
        made += [
            numpy_helper.from_array(steps, f"{w}_int8"),
            numpy_helper.from_array(scale, f"{w}_scale"),
            numpy_helper.from_array(np.zeros(len(scale), dtype=np.int8), f"{w}_zero"),
        ]
        nodes += [
            helper.make_node("DequantizeLinear", [f"{w}_int8", f"{w}_scale", f"{w}_zero"], [f"{w}_rounded"], axis=1),
            helper.make_node("MatMul", [f"{x}_rounded", f"{w}_rounded"], [y]),
        ]
    return _rebuilt(model, nodes, made)


def ranges(model: onnx.ModelProto, feeds: Iterable[Feed]) -> dict[str, float]:
    """Upper end of the int8 range of every activation: at the largest value that the clips make it take.

    Args:
        model: A fp32 graph.
        feeds: Inputs of the graph, of clips that it may learn from.

    Returns:
        Activation -> the end of its symmetric range, above 0.

    Raises:
        DataError: If there are no clips, or an activation is 0 in all of them.
    """
    import onnxruntime

    names = list(dict.fromkeys(linear.activation for linear in linears(model)))
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    # Fused, the activations would no longer exist.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    largest = dict.fromkeys(names, 0.0)
    for feed in feeds:
        for name, values in zip(names, session.run(names, feed), strict=True):
            largest[name] = max(largest[name], float(np.abs(values).max(initial=0)))
    still = [name for name, value in largest.items() if not 0 < value < np.inf]
    if still:
        raise DataError(
            f"int8 ranges cannot be calibrated: '{still[0]}' reaches {largest[still[0]]:g} in the clips; "
            "take more of them"
        )
    return largest


def _rounded_weight(tensor: onnx.TensorProto) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A weight (D_in, D_out) as int8 steps and the size of a step for each output (D_out,)."""
    weight = numpy_helper.to_array(tensor).astype(np.float32)
    if not np.isfinite(weight).all():
        raise CheckFailedError(f"the weight '{tensor.name}' has NaN or infinity in it and cannot be quantised")
    scale = np.abs(weight).max(axis=0) / WEIGHT_STEPS
    scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
    return np.round(weight / scale).astype(np.int8), scale


def _rebuilt(
    model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], made: Iterable[onnx.TensorProto]
) -> onnx.ModelProto:
    """A copy with other nodes, and of the constants those that are still used."""
    new = onnx.ModelProto()
    new.CopyFrom(model)
    graph = new.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    used = {name for node in graph.node for name in node.input}
    graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in used)
    graph.initializer.extend({tensor.name: tensor for tensor in made}.values())
    return new
