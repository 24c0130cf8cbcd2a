"""Draw skeletons on frames and play recordings back in a page.

The live page is in `ui`, video files are written in `sinks`.
"""
