"""Sources of frames: recorded skeletons, video files, cameras, JSON lines and packets; `open_source.py` has the table.

Here sources are opened, read, and their faults survived; joints in pictures are found by `pose`, file formats read by
`amr_edge.data.readers`.
"""
