"""How good a run is on the part of the data that it has not learned from, told in tables and pictures."""

from dataclasses import replace

import torch

from amr_edge.card import Card
from amr_edge.clips import Clips
from amr_edge.score import Score, per_class_rows, score
from amr_edge.skeleton import Mask
from amr_edge.store import Store
from amr_edge.training.checkpoint import save_weights
from amr_edge.training.classifier import Classifier
from amr_edge.training.picture import draw_confusion, draw_curves
from amr_edge.training.predict import predict
from amr_edge.training.run import Run


def evaluate_run(run: Run, model: Classifier, card: Card, store: Store, test: Mask, device: torch.device) -> Score:
    """Score the last weights on the test part and write what a person wants to see into the run.

    Writes score.json, per_class.csv, answers.csv, confusion_matrix.png, curves.png, and the card with its metrics
    into the last weights.
    """
    clips = Clips(store, test & (store.labels >= 0), card.prepare, card.persons)
    probs = predict(model, clips, device)  # (N, K)
    result = score(probs, clips.labels)
    metrics = {"top1": result.top1, "top5": result.top5, "mean_class": result.mean_class}
    save_weights(run.last, model, replace(card, metrics=metrics, data={**card.data, "test_clips": result.clips}))
    epochs = run.results()
    run.write_json("score.json", {**metrics, "clips": result.clips, "epoch": len(epochs), "epoch_chosen_by": "last"})
    run.write_table("per_class.csv", ("class", "clips", "right", "taken_for"), per_class_rows(result, card.classes))
    run.write_table(
        "answers.csv",
        ("clip", "truth", "answer", "prob"),
        [
            (name, card.classes[label], card.classes[int(p.argmax())], f"{p.max():.4f}")
            for name, label, p in zip(clips.names, clips.labels, probs, strict=True)
        ],
    )
    title = f"{card.data.get('name', '')} {card.data.get('split', '')}: top-1 {result.top1:.3f}"
    draw_confusion(result.confusion, card.classes, title, run.folder / "confusion_matrix.png")
    if epochs:
        draw_curves(epochs, "fine-tuning", run.folder / "curves.png")
    return result
