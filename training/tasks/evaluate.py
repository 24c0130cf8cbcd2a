"""Evaluate a run on its test part, as tables and pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.metrics import Score, deduplicated, per_class_rows, score
from amr_edge.skeleton import Mask
from amr_edge.training.engine.checkpoint import save_weights
from amr_edge.training.engine.predictions import FILE as ANSWERS
from amr_edge.training.engine.predictions import SavedPredictions, save_predictions
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.report.html_report import write_page
from amr_edge.training.report.plots import draw_confusion, draw_curves, per_class_figure, save_png
from amr_edge.training.report.skeleton_plots import SHOWN, as_strip, draw_strips, wrong_title
from amr_edge.training.tasks.predict import predict


def worst_clips(probs: NDArray[np.floating], labels: NDArray[np.int64], count: int = SHOWN) -> list[int]:
    """The clips that are predicted wrongly with the greatest probability, the worst first.

    Args:
        probs: (N, K).
        labels: (N,).
        count: How many at most.

    >>> worst_clips(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), np.array([1, 1, 1]))
    [0, 1]
    """
    certain = np.where(probs.argmax(axis=1) != labels, probs.max(axis=1), -1.0)
    return [int(i) for i in np.argsort(-certain, kind="stable")[:count] if certain[i] >= 0]


def draw_worst(store: Store, tested: NDArray[np.int64], card: Card, probs: NDArray[np.floating], path: Path) -> None:
    """Draw the clips that are most confidently predicted wrongly as stick figures.

    Args:
        store: The recordings.
        tested: (N,) their places in the store.
        card: Of the model.
        probs: (N, K) its answers.
        path: A PNG; an SVG for the report is written beside it.
    """
    labels = np.asarray(store.labels, dtype=np.int64)[tested]
    strips = []
    for index in worst_clips(probs, labels):
        truth, answer = card.classes[labels[index]], card.classes[int(probs[index].argmax())]
        place = int(tested[index])
        title = wrong_title(truth, answer, float(probs[index].max()), store.names[place])
        strips.append(as_strip(store, place, card.prepare, card.persons, title))
    draw_strips(strips, path)


def evaluate_run(
    run: RunFolder, model: Classifier, card: Card, store: Store, train: Mask, test: Mask, device: torch.device
) -> tuple[Score, dict[str, float | int | None]]:
    """Score the selected weights on the test part and write what a person wants to see into the run.

    Returns:
        The score, and what is left of it without copies of what was learned from (see `deduplicated`).

    Writes score.json, per_class.csv, predictions.csv, predictions.npz, confusion_matrix.png, per_class.png,
    worst_clips.png, curves.png, report.html, and the card with its metrics into the selected weights.
    """
    labelled = test & (store.labels >= 0)
    clips = Clips(store, labelled, card.prepare, card.persons)
    probs = predict(model, clips, device)  # (N, K)
    result = score(probs, clips.labels)
    copied = store.duplicates(labelled, train)[labelled]
    apart = deduplicated(probs, clips.labels, copied)
    metrics = {"top1": result.top1, "top5": result.top5, "mean_class": result.mean_class}
    save_weights(run.selected, model, replace(card, metrics=metrics, data={**card.data, "test_clips": result.clips}))
    epochs = run.results()
    run.write_json(
        "score.json",
        {
            **metrics,
            "clips": result.clips,
            **apart,
            "epoch": card.recipe.get("epoch", len(epochs)),
            "epoch_chosen_by": card.recipe.get("epoch_chosen_by", "last"),
            "split": card.data.get("split"),
            **({"labels": card.data["labels"]} if "labels" in card.data else {}),
        },
    )
    answers = SavedPredictions(
        names=tuple(clips.names),
        labels=clips.labels,
        probs=probs,
        classes=card.classes,
        data_hash=store.content_hash,
        split=str(card.data.get("split", "")),
        copied=copied,
    )
    save_predictions(answers, run.folder / ANSWERS)
    rows = per_class_rows(result, card.classes)
    run.write_table("per_class.csv", ("class", "clips", "right", "taken_for"), rows)
    run.write_table(
        "predictions.csv",
        ("clip", "truth", "prediction", "prob"),
        [
            (name, card.classes[label], card.classes[int(p.argmax())], f"{p.max():.4f}")
            for name, label, p in zip(clips.names, clips.labels, probs, strict=True)
        ],
    )
    title = f"{card.data.get('name', '')} {card.data.get('split', '')}: top-1 {result.top1:.3f}"
    draw_confusion(result.confusion, card.classes, title, run.folder / "confusion_matrix.png")
    save_png(per_class_figure(rows, title), run.folder / "per_class.png")
    draw_worst(store, np.flatnonzero(labelled), card, probs, run.folder / "worst_clips.png")
    if epochs:
        draw_curves(epochs, "fine-tuning", run.folder / "curves.png")
    write_page(run)
    return result, apart
