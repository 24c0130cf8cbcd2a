"""How good is what was just timed: the same open session, engine, budget and threads answers a store's test clips."""

from typing import Any

import numpy as np

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.data.splits import split
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, DataError
from amr_edge.metrics import score
from amr_edge.runtime.inference.session import Session
from amr_edge.skeleton import Mask

BATCH = 32


def split_of(card: Card, name: str | None) -> str:
    """The split that accuracy is measured on: the one that was named, else the one it was trained on the other part of.

    Raises:
        ConfigError: If neither is known: all of a store would include the training clips.
    """
    found = name or card.data.get("split")
    if not isinstance(found, str) or not found:
        raise ConfigError(f"the card of '{card.name}' does not say its split; say what to judge it on with --split")
    return found


def test_mask(store: Store, card: Card, name: str) -> Mask:
    """(N,) the test part of a split, or everything for "all"."""
    if name == "all":
        return np.ones(len(store), dtype=np.bool_)
    seed = card.recipe.get("seed", 0)
    return split(store, name, seed=seed if isinstance(seed, int) else 0).test


def accuracy(session: Session, store: Store, name: str | None) -> dict[str, Any]:
    """Top-1, top-5 and mean class accuracy of an open session.

    Args:
        session: The model, as it was timed.
        store: Labelled recordings.
        name: A split, whose test part counts, or "all"; None takes the card's own.

    Raises:
        DataError: If no clip of the part has a label that the model knows.
        ConfigError: If there is no such split, or none is known.
    """
    card = session.card
    name = split_of(card, name)
    which = test_mask(store, card, name)
    place = {label: k for k, label in enumerate(card.classes)}
    known = np.array([place.get(label, -1) for label in store.classes] + [-1], dtype=np.int64)
    labels = known[store.labels]  # (N,) an unlabelled recording is -1 and takes the last
    which = which & (labels >= 0)
    if not which.any():
        raise DataError(
            f"{store.path} has no recording in '{name}' with a label that '{card.name}' knows: "
            f"{', '.join(card.classes)}"
        )
    clips = Clips(store, which, card.prepare, card.persons)
    answered = []
    for first in range(0, len(clips), BATCH):
        part = clips.whole(np.arange(first, min(first + BATCH, len(clips))))
        answered.append(session.probs(part.values, part.present))
    found = score(np.concatenate(answered), labels[which])
    return {
        "top1": found.top1,
        "top5": found.top5,
        "mean_class": found.mean_class,
        "clips": found.clips,
        "split": name,
        "store": store.path.name,
        "store_sha256": store.content_hash,
    }
