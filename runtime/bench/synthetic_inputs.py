"""What clips is a model timed on: bodies that sway, made by the same preparation as real ones."""

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.preprocess import prepare
from amr_edge.skeleton import Mask, layout


def moving_clips(card: Card, people: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Mask]:
    """Clips of bodies that sway for a window.

    Args:
        card: Of the model.
        people: Who get their prediction from one forward; for a model of scenes, who stand in the one scene.
        rng: Makes the bodies.

    Returns:
        Values (N, M, T, V, 3) and presence (N, M, T, V): N people of M = 1, or one scene of M people, as many as
        the model takes.
    """
    config, skeleton = card.prepare, layout(card.prepare.layout)
    times_s = np.arange(0, config.window_s + 1 / 30, 1 / 30)
    rest = rng.normal(scale=0.3, size=(people, 1, len(skeleton), skeleton.channels))
    phase = rng.uniform(0, 2 * np.pi, size=rest.shape)
    poses = rest + 0.2 * np.sin(2 * np.pi * times_s[None, :, None, None] + phase)  # (M, T, V, C)
    span_s = (0.0, config.window_s)
    bodies = [prepare(body[None].astype(np.float32), times_s, skeleton, config, span_s) for body in poses]
    values = np.stack([body.values for body in bodies])  # (people, 1, T, V, 3)
    present = np.stack([body.present for body in bodies])  # (people, 1, T, V)
    if card.persons == 1:
        return values, present
    # (people, 1, T, V, 3) -> (1, M, T, V, 3): those who stand in the one scene
    return values[None, : card.persons, 0], present[None, : card.persons, 0]
