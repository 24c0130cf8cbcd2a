"""Fit the temperature and event thresholds of a model from continuous recordings, and score events.

The event detector itself is in `pipeline`.
"""
