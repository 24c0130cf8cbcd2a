"""From streams and synthetic people to what windows are cut from; whatever takes long is kept in a store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amr_edge.data.recording import Recording, Span
from amr_edge.data.store import Store, is_store, open_store, write_store
from amr_edge.skeleton import layout, present_joints, remap
from amr_edge.synthetic import TERMS, subject
from amr_edge.synthetic.exercises import exercise
from amr_edge.synthetic.life import life
from amr_edge.terminal import progress
from amr_edge.training.recipes.rehab8.config import RehabRecipe
from amr_edge.training.recipes.rehab8.dataset import CLASSES, LAYOUT, NONE, Stream, of_subjects
from amr_edge.training.recipes.rehab8.negatives import Life, life_of
from amr_edge.training.recipes.rehab8.windowing import Pool, pool_of

FPS = 15.0  # of synthetic recordings: as many as the model sees
LIFE_S = 40.0  # of one recording


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """Sources of training windows.

    Attributes:
        recorded: Streams of people.
        synthetic: Streams of synthetic people; None learns from recorded ones alone.
        life: Recordings of life; None does without.
    """

    recorded: Pool
    synthetic: Pool | None
    life: Life | None


def _canonical(recording: Recording, label: str) -> Recording:
    """A synthetic recording as the model's joints, with the class that it shows."""
    return Recording(
        poses=remap(recording.poses, recording.skeleton, layout(LAYOUT)).poses,
        times_s=recording.times_s,
        layout=LAYOUT,
        label=label,
        subject=recording.subject,
        source=recording.source,
        spans=tuple(Span(span.start_s, span.end_s, label) for span in recording.spans),
    )


def _imagined(sets: int, life_s: float, seed: int) -> Iterator[Recording]:
    """Sets of every exercise and stretches of life, each by another person; without a sensor, which comes later."""
    lived = round(life_s / LIFE_S)
    # Of each recording by its number alone, so that more of them leave the first ones as they were.
    jobs = [(label, n) for n in range(sets) for label in CLASSES[:-1]] + [(NONE, n) for n in range(lived)]
    with progress(jobs, label="animate") as shown:
        for label, n in shown:
            kind = CLASSES.index(label)
            rng = np.random.default_rng([seed, kind, n])
            person = subject(1 + kind + len(CLASSES) * n, seed)
            if label == NONE:
                yield _canonical(life(person, rng, LIFE_S, sensor=None, fps=FPS), NONE)
            else:
                yield _canonical(exercise(label, person, rng, sensor=None, fps=FPS), label)


def imagined(recipe: RehabRecipe, path: Path, *, seed: int) -> Store | None:
    """The synthetic recordings of a recipe, made if the store is not there yet; None if it wants none."""
    if not recipe.sets and recipe.life_s < LIFE_S:
        return None
    name = f"rehab_synthetic_{recipe.sets}_{recipe.life_s:g}_{seed}"
    if is_store(path):
        store = open_store(path, in_memory=True)
        if store.dataset == name:
            return store
    return write_store(path, _imagined(recipe.sets, recipe.life_s, seed), dataset=name, terms=TERMS, classes=CLASSES)


def _synthetic(recording: Recording) -> Stream:
    label = recording.label or NONE
    bounds = np.array([[span.start_s, span.end_s] for span in recording.spans])
    frames = np.searchsorted(recording.times_s, bounds.ravel() - 1e-6).reshape(-1, 2)
    return Stream(
        poses=recording.poses[0],
        times_s=recording.times_s,
        exercise=0,
        group=label,
        subject=recording.subject or 0,
        sensor="synthetic",
        correct=True,
        episodes=tuple((int(a), int(b)) for a, b in frames),
    )


def _is_trained_variant(recording: Recording) -> bool:
    """True if a set shows its group: an arm that is raised forward is also how people point, push and take."""
    return recording.label != NONE and "flexion" not in recording.source


def _whole(stream: Stream) -> bool:
    """True if every joint is seen at some time, which a path without gaps needs."""
    return bool(present_joints(stream.poses).any(axis=0).all())


def material(streams: Sequence[Stream], made: Store | None, subjects: Sequence[int], recipe: RehabRecipe) -> Material:
    """Training data of a model.

    Args:
        streams: Of UI-PRMD.
        made: Synthetic recordings; None is none.
        subjects: Of whom it may learn.
        recipe: How often each sensor is drawn.

    Raises:
        DataError: If there is no stream of them.
    """
    weights = {"kinect": 1.0, "vicon": recipe.vicon, "synthetic": 1.0}
    train_streams = [
        stream for stream in of_subjects(streams, subjects) if weights[stream.sensor] > 0 and _whole(stream)
    ]
    played = () if made is None else tuple(made)
    sets = [_synthetic(recording) for recording in played if _is_trained_variant(recording)]
    lived = [(recording.poses[0], recording.fps) for recording in played if recording.label == NONE]
    return Material(
        recorded=pool_of(train_streams, weights),
        synthetic=pool_of(sets, weights) if sets else None,
        life=life_of(lived) if lived else None,
    )
