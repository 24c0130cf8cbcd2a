"""From a checkpoint to an ONNX graph, and from there to lower precision.

Comparing results belongs in `verify`.
"""
