"""Temperature scaling: the number that logits are divided by so that probabilities are calibrated.

Source: Guo et al., "On calibration of modern neural networks", ICML 2017.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COLDEST, HOTTEST = 0.25, 8.0  # temperatures that are tried


def apply_temperature(probs: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities after their logits are divided by a temperature; above 1 they are less extreme.

    Args:
        probs: (N, K), of a softmax.
        temperature: Above 0.

    Returns:
        (N, K), float32.

    >>> [round(float(prob), 4) for prob in apply_temperature(np.float32([[0.8, 0.2]]), 2.0)[0]]
    [0.6667, 0.3333]
    """
    if temperature == 1.0:
        return probs
    powers = np.power(probs.astype(np.float64), 1.0 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def nll(probs: Floats, labels: NDArray[np.int64], temperature: float) -> float:
    """Mean negative log likelihood of labels (N,) under probabilities (N, K) at a temperature."""
    scaled = np.log(np.maximum(probs, 1e-38)) / temperature  # (N, K)
    top = scaled.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
    return float((total - scaled[np.arange(len(labels)), labels]).mean())


def fit_temperature(probs: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature under which labels are most likely, between `COLDEST` and `HOTTEST`.

    Args:
        probs: (N, K) of a softmax.
        labels: (N,) below K.

    Returns:
        Found by thirds over its reciprocal, in which the likelihood is concave.
    """
    low, high = 1 / HOTTEST, 1 / COLDEST
    while high - low > 1e-4:
        third = (high - low) / 3
        if nll(probs, labels, 1 / (low + third)) <= nll(probs, labels, 1 / (high - third)):
            high -= third
        else:
            low += third
    return round(2 / (low + high), 4)
