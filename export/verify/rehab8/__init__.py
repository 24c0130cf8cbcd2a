"""Evaluation of the bundled model's recipe: held-out subjects, another sensor, synthetic subjects, calibration.

Training belongs in `training/recipes/rehab8`.
"""
