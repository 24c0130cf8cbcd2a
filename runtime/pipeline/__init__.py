"""Frames in, predictions and events out: tracking, windows, recognition, event detection.

Reading cameras and files belongs in `sources`, writing results in `sinks`.
"""
