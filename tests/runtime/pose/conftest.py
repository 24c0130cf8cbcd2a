"""What tests of pose models share."""

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny() -> Callable[[int], bytes]:
    """A TFLite model of our own with that many outputs and a weight buffer; it computes nothing."""
    import flatbuffers
    from mediapipe.tasks.metadata import schema_py_generated as schema

    def make(outputs: int) -> bytes:
        tensors = []
        for index in range(1 + outputs):
            tensor = schema.TensorT()
            tensor.name, tensor.shape, tensor.type, tensor.buffer = f"t{index}", [1, 4], schema.TensorType.FLOAT32, 0
            tensors.append(tensor)
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs, graph.outputs = tensors, [0], list(range(1, 1 + outputs))
        model = schema.ModelT()
        empty, weights = schema.BufferT(), schema.BufferT()
        weights.data = np.arange(5000, dtype=np.uint8)
        model.version, model.subgraphs, model.buffers = 3, [graph], [empty, weights]
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return make
