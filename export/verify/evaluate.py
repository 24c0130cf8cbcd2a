"""How good a model file is, be it a checkpoint or an exported one: both answer the same clips."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.errors import DataError
from amr_edge.export.verify.verification_data import load_verification_data
from amr_edge.metrics import Score, deduplicated, score
from amr_edge.runtime.inference.session import AUTO, open_session

EXPORTED = (".onnx", ".engine")  # files that an engine predicts for; anything else is torch's


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """A model's score on a part of a store.

    Attributes:
        score: On all labelled recordings of the part.
        classes: Of the model.
        store: What it was evaluated on.
        split: Whose test part, or "all".
        apart: What is left of the score without copies of training recordings; see `score.without_copies`.
    """

    score: Score
    classes: tuple[str, ...]
    store: Path
    split: str
    apart: Mapping[str, float | int | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        right = dict(zip(self.classes, self.score.per_class(), strict=True))
        return {
            "top1": self.score.top1,
            "top5": self.score.top5,
            "mean_class": self.score.mean_class,
            "clips": self.score.clips,
            **self.apart,
            "store": self.store,
            "split": self.split,
            "per_class": right,
        }


def labels_for(card: Card, store: Store) -> NDArray[np.int64]:
    """(N,) the store's labels as indices into the card's classes, matched by name; -1 where there is no such class."""
    index = {name: i for i, name in enumerate(card.classes)}
    known = np.array([index.get(name, -1) for name in store.classes] + [-1], dtype=np.int64)
    return known[store.labels]  # an unlabelled recording is -1 and takes the last


def _deployed(path: Path, engine: str, store: Store, which: NDArray[np.bool_]) -> tuple[Card, NDArray[np.float32]]:
    session = open_session(path, engine=engine)
    clips = Clips(store, which, session.card.prepare, session.card.persons)
    parts = [clips.whole(np.arange(i, min(i + 32, len(clips)))) for i in range(0, len(clips), 32)]
    return session.card, np.concatenate([session.probs(part.values, part.present) for part in parts])


def _trained(path: Path, store: Store, which: NDArray[np.bool_]) -> tuple[Card, NDArray[np.float32]]:
    import torch

    from amr_edge.training.engine.checkpoint import load_classifier
    from amr_edge.training.engine.run_folder import selected_checkpoint
    from amr_edge.training.tasks.predict import predict

    model, card = load_classifier(selected_checkpoint(path))
    return card, predict(model, Clips(store, which, card.prepare, card.persons), torch.device("cpu"))


def evaluate_file(path: Path, data: Path | None, name: str | None, engine: str = AUTO) -> EvaluationResult:
    """Score a run folder, a checkpoint or an exported file.

    Args:
        path: What to score.
        data: The store; None takes the one the run was made from.
        name: The split whose test part counts, "all" for everything; None takes the run's own.
        engine: Runs an exported file; see `open_session`.

    Raises:
        ConfigError: If data or split are not given and cannot be read from a run.
        DataError: If no recording of the part has a label that the model knows.
    """
    store, chosen, which, train = load_verification_data(path, data, name)
    card, probs = _deployed(path, engine, store, which) if path.suffix in EXPORTED else _trained(path, store, which)
    labels = labels_for(card, store)[which]
    known = labels >= 0
    if not known.any():
        raise DataError(
            f"{store.path} has no recording with a label that '{card.name}' knows: {', '.join(card.classes)}"
        )
    # Of a part that was learned from as a whole, everything is known already.
    copied = store.duplicates(which, train & ~which)[which][known]
    return EvaluationResult(
        score=score(probs[known], labels[known]),
        classes=card.classes,
        store=store.path,
        split=chosen,
        apart=deduplicated(probs[known], labels[known], copied),
    )
