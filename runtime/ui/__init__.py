"""The local web page of `live --ui`: its server and its files.

It shows what a run emits; the window and the video are sinks.
"""
