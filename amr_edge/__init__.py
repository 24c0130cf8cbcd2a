"""amr-edge: skeleton action recognition, from unlabelled recordings to live answers on an edge device."""

__version__ = "0.1.0"
