"""Pictures of a run: learning curves and the confusion matrix, as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, QUIET = "#1f3a5f", "#8a94a3"


def draw_curves(rows: Sequence[dict[str, float]], title: str, path: Path) -> None:
    """Loss and learning rate, and whatever else the rows hold, over epochs."""
    names = [name for name in dict.fromkeys(key for row in rows for key in row) if name not in ("epoch", "seconds")]
    figure = Figure(figsize=(3.6 * len(names), 3.0), layout="constrained")
    for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        panel.plot([row["epoch"] for row in rows], [row.get(name, np.nan) for row in rows], color=INK)
        panel.set_title({"lr": "learning rate", "loss": f"{title} loss"}.get(name, name.replace("_", " ")), fontsize=10)
        panel.set_xlabel("epoch", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str], title: str, path: Path) -> None:
    """Rows are what was done, columns what was answered; shares of each row, counts written in."""
    total = confusion.sum(axis=1, keepdims=True)
    share = confusion / np.maximum(total, 1)
    count = len(classes)
    side = max(4.5, 0.34 * count + 2.2)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(share, cmap="Blues", vmin=0, vmax=1)
    panel.set_xticks(range(count), classes, rotation=90, fontsize=7)
    panel.set_yticks(range(count), classes, fontsize=7)
    panel.set_xlabel("answer")
    panel.set_ylabel("truth")
    panel.set_title(title, fontsize=10)
    if count <= 40:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            ink = "white" if share[row, column] > 0.55 else "black"
            panel.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=6, color=ink)
    figure.colorbar(image, ax=panel, shrink=0.75, label="share of the row")
    figure.savefig(path, dpi=120)
