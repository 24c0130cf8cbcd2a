"""Demos and reproductions that need training and export.

The demo without training is in `runtime.demo`.
"""
