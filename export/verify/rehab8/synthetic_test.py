"""Evaluation on synthetic subjects held out of training, seen by one camera and a pose estimator.

They come from another population than those that training draws from, so bodies, variants, tempo, depth and camera
are others. They move as the same code makes them move: this is a check of the sensor more than of the movement.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.export.verify.rehab8.evaluation import Part, cut
from amr_edge.synthetic import Sensor, exercise, subject
from amr_edge.synthetic.exercises import EXERCISES
from amr_edge.synthetic.life import life
from amr_edge.terminal import progress
from amr_edge.training.recipes.rehab8.dataset import NONE

SETS = "synthetic exercises, one camera"
VARIANTS = "synthetic variants that UI-PRMD has not, one camera"
LIFE = "synthetic life, one camera"
# How the name of a variant begins that people do under the same name and no one in UI-PRMD does: arms raised forward,
# legs raised sideways or backward, rotation with the elbow at the side.
NOT_TRAINED_ON = ("flexion", "leg raise sideways", "leg raise backward", "shoulder rotation at the side")
# Seeds of synthetic people: of a judgement, and of those who tell what to believe; those of a training have small ones.
POPULATION, CALIBRATING = 8000, 9000
LIFE_S = 30.0  # of one recording


def _is_trained_variant(recording: Recording) -> bool:
    return not recording.source.partition("#")[2].startswith(NOT_TRAINED_ON)


def _sets(population: int, sets: int) -> Iterator[Recording]:
    jobs = [(name, at, n) for at, name in enumerate(EXERCISES) for n in range(sets)]
    with progress(jobs, label="animate exercises") as shown:
        for name, at, n in shown:
            person = subject(1 + at + len(EXERCISES) * n, population)
            rng = np.random.default_rng([population, 1, at, n])
            yield exercise(name, person, rng, reps=3, sensor=Sensor.monocular())


def _lives(population: int, seconds: float) -> Iterator[Recording]:
    with progress(range(max(1, round(seconds / LIFE_S))), label="animate life") as shown:
        for n in shown:
            rng = np.random.default_rng([population, 2, n])
            lived = life(subject(1 + n, population + 1), rng, LIFE_S, sensor=Sensor.monocular())
            yield replace(lived, label=NONE, spans=())


def synthetic_parts(card: Card, *, population: int = POPULATION, sets: int = 6, life_s: float = 600.0) -> list[Part]:
    """Synthetic people doing the exercises and their variants, and living without them, as a pose estimator sees them.

    Args:
        card: The model's.
        population: Seed of the people and of what they do.
        sets: Of three repetitions, for each exercise, each by another person.
        life_s: Seconds of life.
    """
    everybody = list(_sets(population, sets))
    groups = {
        SETS: [recording for recording in everybody if _is_trained_variant(recording)],
        VARIANTS: [recording for recording in everybody if not _is_trained_variant(recording)],
        LIFE: _lives(population, life_s),
    }
    return [cut(name, recordings, card) for name, recordings in groups.items() if recordings]
