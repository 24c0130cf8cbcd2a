"""Which of these belongs to which of those, so that all pairs together cost least."""

import numpy as np
from numpy.typing import NDArray


def cheapest_pairs(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The pairing of rows and columns of the least total cost, as many pairs as are allowed.

    Shortest augmenting paths with potentials, O(n^3); a frame has a handful of people.

    Args:
        cost: (R, C) at least 0; `inf` is a pair that must not be.

    Returns:
        (row, column), rising by row. Of all largest sets of allowed pairs, one that costs least.

    Source:
        Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment problems",
        1987.

    >>> cheapest_pairs(np.array([[1.0, 2.0], [1.0, 9.0]]))
    [(0, 1), (1, 0)]
    """
    rows, columns = cost.shape
    allowed = np.isfinite(cost)
    if not allowed.any():
        return []
    # A forbidden pair costs more than any choice of allowed ones could save, and is dropped afterwards.
    dear = (float(cost[allowed].sum()) + 1.0) * 2
    size = max(rows, columns)
    square = np.full((size, size), dear)
    square[:rows, :columns] = np.where(allowed, cost, dear)
    up, down = np.zeros(size), np.zeros(size)  # potentials of rows and columns
    row_of = np.full(size, -1)  # of each column
    for start in range(size):
        shortest, via = np.full(size, np.inf), np.full(size, -1)
        done = np.zeros(size, dtype=np.bool_)
        row, column = start, -1
        while True:
            reduced = square[row] - up[row] - down
            if column >= 0:
                reduced = reduced + shortest[column]
            better = ~done & (reduced < shortest)
            shortest[better], via[better] = reduced[better], column
            column = int(np.where(done, np.inf, shortest).argmin())
            done[column] = True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
        length = shortest[column]
        reached = done & (row_of >= 0)
        up[row_of[reached]] += length - shortest[reached]
        up[start] += length
        down[done] -= length - shortest[done]
        while column >= 0:
            before = int(via[column])
            row_of[column] = start if before < 0 else row_of[before]
            column = before
    pairs = [(int(row_of[c]), c) for c in range(columns) if row_of[c] < rows and allowed[row_of[c], c]]
    return sorted(pairs)
