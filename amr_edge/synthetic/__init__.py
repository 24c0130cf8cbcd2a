"""Synthetic skeleton recordings: a labelled corpus that needs no download and no camera."""

from amr_edge.synthetic.body import Subject, subject
from amr_edge.synthetic.corpus import ACTIONS, CLASSES, DATASET, TERMS, Scene, clip, continuous, corpus, crowd
from amr_edge.synthetic.exercises import EXERCISES, exercise
from amr_edge.synthetic.idling import IDLE
from amr_edge.synthetic.life import DOINGS, life
from amr_edge.synthetic.sensor import Sensor

__all__ = [
    "ACTIONS",
    "CLASSES",
    "DATASET",
    "DOINGS",
    "EXERCISES",
    "IDLE",
    "TERMS",
    "Scene",
    "Sensor",
    "Subject",
    "clip",
    "continuous",
    "corpus",
    "crowd",
    "exercise",
    "life",
    "subject",
]
