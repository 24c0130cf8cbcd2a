"""Which numbers of a graph may be fp16: weights, linears, attention's products; what sums or squares stays fp32.

The rule is a walk along the graph, so it does not depend on how an exporter names or groups its nodes. LayerNorm,
softmax, the pooling over tokens and persons, the residual sum and the ranking of tokens compute in fp32; the head,
whose rounding would go straight into the probabilities, does so too. Inputs and outputs of the file do not change.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from amr_edge.errors import CheckFailedError

LARGEST = float(np.finfo(np.float16).max)
# Products of two tensors: what fp16 is for. `Gemm`, the head on one feature a clip, is not among them.
PRODUCTS = ("MatMul", "Attention")
# One float in, the same numbers out or a function of each: fp16 stays fp16.
FOLLOWERS = ("Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Gelu", "Erf")
# fp16 with a bias or a scalar stays fp16; with anything else the other side decides.
PAIRS = ("Add", "Mul", "Div")
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a fp32 graph that computes its products in fp16.

    Args:
        model: What `write_onnx` makes.

    Returns:
        The graph, typed throughout: every change of precision is a Cast node, as strongly typed engines want it.

    Raises:
        CheckFailedError: If a weight does not fit into fp16, or the graph that came out is not valid.
    """
    typed = _Typed(model, ranking(model))
    for node in model.graph.node:
        typed.take(node)
    return typed.result()


def ranking(model: onnx.ModelProto) -> set[str]:
    """The tensors that decide which tokens are looked at: all that a TopK goes back to."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found: set[str] = set()
    waiting = [name for node in model.graph.node if node.op_type == "TopK" for name in node.input]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(makers[name].input if name in makers else ())
    return found


class _Typed:
    """The new graph while it grows: which tensor has which float type, and in which types it is at hand."""

    def __init__(self, model: onnx.ModelProto, exact: set[str]) -> None:
        self.exact = exact  # a token ranked in fp16 would be another token
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.nodes: list[onnx.NodeProto] = []
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        known = (*inferred.value_info, *inferred.input, *inferred.output)
        self.type = {value.name: value.type.tensor_type.elem_type for value in known}
        self.type |= {name: tensor.data_type for name, tensor in self.constants.items()}
        self.outputs = {value.name for value in model.graph.output}
        self.halves: dict[str, onnx.TensorProto] = {}
        self.cast: dict[tuple[str, int], str] = {}
        self.used: set[str] = set()

    def take(self, node: onnx.NodeProto) -> None:
        """Put one node, in the type it computes in, behind the casts it needs."""
        wanted = self._precision(node)
        if node.op_type == "Cast":
            wanted = 0  # takes any type, gives the one it names
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for index, name in enumerate(node.input):
            if wanted and name and self.type.get(name) in FLOATS:
                new.input[index] = self._as(name, wanted)
            self.used.add(new.input[index])
        if node.op_type == "Attention" and wanted == TensorProto.FLOAT16:
            new.attribute.append(helper.make_attribute("softmax_precision", TensorProto.FLOAT))
        for index, name in enumerate(node.output):
            if wanted == TensorProto.FLOAT16 and self.type.get(name) in FLOATS:
                if name in self.outputs:
                    new.output[index] = f"{name}_fp16"
                    self.type[new.output[index]] = wanted
                else:
                    self.type[name] = wanted
        self.nodes.append(new)
        for index, name in enumerate(node.output):
            if new.output[index] != name:
                self.nodes.append(helper.make_node("Cast", [new.output[index]], [name], to=TensorProto.FLOAT))

    def _precision(self, node: onnx.NodeProto) -> int:
        """The float type that a node computes in."""
        if self.exact.intersection(node.output):
            return int(TensorProto.FLOAT)
        half = [name for name in node.input if self.type.get(name) == TensorProto.FLOAT16]
        if node.op_type in PRODUCTS:
            return int(TensorProto.FLOAT16)
        if node.op_type in FOLLOWERS and half:
            return int(TensorProto.FLOAT16)
        if node.op_type in PAIRS and half:
            others = [name for name in node.input if name not in half]
            if all(name in self.constants and len(self.constants[name].dims) <= 1 for name in others):
                return int(TensorProto.FLOAT16)
        return int(TensorProto.FLOAT)

    def _as(self, name: str, wanted: int) -> str:
        """The name under which tensor `name` is at hand in the wanted type."""
        if self.type[name] == wanted:
            return name
        if name in self.constants:
            return self._constant(name)
        if (name, wanted) not in self.cast:
            made = f"{name}_{'fp16' if wanted == TensorProto.FLOAT16 else 'fp32'}"
            self.nodes.append(helper.make_node("Cast", [name], [made], to=wanted))
            self.cast[name, wanted] = made
            self.type[made] = wanted
        return self.cast[name, wanted]

    def _constant(self, name: str) -> str:
        """A constant once more in fp16."""
        made = f"{name}_fp16"
        if made not in self.halves:
            values = numpy_helper.to_array(self.constants[name])
            if (np.abs(values[np.isfinite(values)]) > LARGEST).any():
                raise CheckFailedError(
                    f"the constant '{name}' reaches {np.abs(values).max():.3g}, fp16 ends at {LARGEST:.5g}; "
                    "export this model without --fp16"
                )
            self.halves[made] = numpy_helper.from_array(values.astype(np.float16), made)
            self.type[made] = TensorProto.FLOAT16
        return made

    def result(self) -> onnx.ModelProto:
        """The graph with the constants that are still used."""
        graph = self.model.graph
        kept = [tensor for name, tensor in self.constants.items() if name in self.used]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend([*kept, *self.halves.values()])
        try:
            onnx.checker.check_model(self.model)
            typed = onnx.shape_inference.infer_shapes(self.model, check_type=True, strict_mode=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as cause:
            raise CheckFailedError(
                f"the fp16 graph is not valid ({' '.join(str(cause).split())[:200]}); export this model without --fp16"
            ) from cause
        return typed
