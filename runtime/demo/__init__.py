"""The demo of the bundled model.

The demo that trains a model is in `export.demo`.
"""
