"""Data sets of one's own actions: takes from a camera, and folders of videos.

Here frames become a store; the formats of existing data sets are in `amr_edge.data.readers`.
"""
