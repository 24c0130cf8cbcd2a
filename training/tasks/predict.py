"""Answers of a classifier for whole clips."""

import numpy as np
import torch
from numpy.typing import NDArray

from amr_edge.data.clips import Clips
from amr_edge.metrics import score
from amr_edge.training.data.batch import to_batch
from amr_edge.training.models.classifier import Classifier


def predict(model: Classifier, clips: Clips, device: torch.device, batch: int = 64) -> NDArray[np.float32]:
    """Probabilities (N, K) of every clip, whole and unchanged, on all its tokens."""
    was_training = model.training
    model.eval()
    answers: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for start in range(0, len(clips), batch):
            indices = np.arange(start, min(start + batch, len(clips)))
            logits = model.classify(to_batch(clips.whole(indices), device))  # (N, K)
            answers.append(logits.float().softmax(dim=1).cpu().numpy())
    model.train(was_training)
    return np.concatenate(answers)


def validated(model: Classifier, held_out: Clips, device: torch.device) -> tuple[float, dict[str, float]]:
    """The validation criterion of a stage: minus the top-1 on labelled clips, and what to write beside the loss."""
    top1 = score(predict(model, held_out, device), held_out.labels).top1
    return -top1, {"validation_top1": top1}
