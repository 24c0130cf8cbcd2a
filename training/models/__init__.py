"""Backbones, heads and token selection as torch modules.

Losses belong in `objectives`, loops in `engine`.
"""
