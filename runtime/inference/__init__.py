"""Open a model file with an inference engine: ONNX Runtime, OpenVINO, TensorRT.

What is done with predictions belongs in `pipeline`.
"""
