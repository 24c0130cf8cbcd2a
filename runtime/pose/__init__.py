"""Pose estimators: MediaPipe and ONNX keypoint models, and the download of their files; `open_pose.py` has the table.

An estimator finds joints in one picture; pictures come from `sources`, identities over time from `pipeline`.
"""
