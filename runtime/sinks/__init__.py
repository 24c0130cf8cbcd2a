"""Sinks of records: files, MQTT, webhooks, WebSocket; of scenes: a video, a window; `open_sink.py` has the table.

A sink delivers; what is delivered is made in `pipeline`, and drawn in `render`.
"""
