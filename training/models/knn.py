"""Cosine k-nearest neighbours on frozen features; nothing is trained."""

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError

PIECE = 256  # queries at a time, so that the similarities stay small


def neighbors(
    known: NDArray[np.floating], labels: NDArray[np.int64], queries: NDArray[np.floating], k: int, classes: int
) -> NDArray[np.float32]:
    """The votes of the k nearest.

    Args:
        known: (N, D) features with labels.
        labels: (N,) int64 in [0, classes).
        queries: (Q, D) features to answer.
        k: How many vote; all N, if there are fewer.
        classes: K.

    Returns:
        (Q, K) shares of the votes, rows sum to 1. Ties are broken by the similarity of
        the neighbours, by less than any vote counts.

    Raises:
        ConfigError: If k is below 1.

    >>> known = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    >>> neighbors(known, np.array([0, 1, 1]), np.array([[1.0, 0.1]]), k=1, classes=2).argmax(axis=1).tolist()
    [0]
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}")
    known, queries = _unit(known), _unit(queries)
    k = min(k, len(known))
    votes = np.zeros((len(queries), classes), dtype=np.float64)
    for start in range(0, len(queries), PIECE):
        alike = queries[start : start + PIECE] @ known.T  # (q, N)
        nearest = np.argsort(-alike, axis=1, kind="stable")[:, :k]  # (q, k)
        weight = 1 + np.take_along_axis(alike, nearest, axis=1) / (4 * k)  # a tie-break of at most a quarter of a vote
        rows = np.arange(start, start + len(alike))[:, None]
        np.add.at(votes, (np.broadcast_to(rows, nearest.shape), labels[nearest]), weight)
    return np.asarray(votes / votes.sum(axis=1, keepdims=True), dtype=np.float32)


def _unit(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows of length 1; a row of zeros stays."""
    features = features.astype(np.float64)
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12), dtype=np.float64)
