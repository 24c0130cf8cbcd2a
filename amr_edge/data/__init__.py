"""Recordings, stores, splits and readers of dataset formats.

Synthetic recordings come from `synthetic`, preprocessing for a model from `preprocess`.
"""
