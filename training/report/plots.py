"""Pictures of a run's figures: learning curves, confusion, accuracy by class, accuracy by cost, as PNG and as SVG."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

INK, QUIET = "#1f3a5f", "#8a94a3"
# Colours that stay apart for people who do not see red and green apart (Okabe and Ito), on white and on black.
SERIES = ("#2f7fc4", "#d9782d", "#0f9d76", "#b565a7", "#a08a00", "#7a7f87")
LEFT, RIGHT, MIDDLE = SERIES[0], SERIES[1], QUIET
GOOD, BAD = SERIES[2], "#d1495b"
_DARK = {INK: "#dbe4f0", QUIET: "#97a3b4"}  # what an SVG turns these into on a dark page
# From transparent to blue, so that white pages stay white and dark ones dark.
SHARE = LinearSegmentedColormap.from_list("share", [(0.18, 0.5, 0.77, 0.0), (0.12, 0.42, 0.72, 1.0)])
LONGEST_NAME = 30
NOT_DRAWN = ("epoch", "seconds", "samples_per_second", "step", "steps")
_NAMES = {"lr": "learning rate", "grad_norm": "gradient norm"}

Rows = Sequence[Mapping[str, float]]


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """A name that fits beside a picture.

    >>> short("put on a jacket", 8)
    'put on…'
    """
    return name if len(name) <= longest else name[: longest - 1].rstrip() + "…"


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=120, format="png", facecolor="white")
    return part.replace(path)


def to_svg(figure: Figure) -> str:
    """A figure as SVG without a background, whose ink turns light where the reader's screen is dark."""
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "amr-edge"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    light = "".join(f"--c{i}:{color};" for i, color in enumerate(_DARK))
    dark = "".join(f"--c{i}:{color};" for i, color in enumerate(_DARK.values()))
    for i, color in enumerate(_DARK):
        svg = svg.replace(f": {color}", f": var(--c{i})")
    style = f"<style>:root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    opening_ends = svg.index(">") + 1
    return svg[:opening_ends] + style + svg[opening_ends:]


def quiet_panel(panel: Axes) -> None:
    """Ink and grid that leave the data in front."""
    panel.patch.set_alpha(0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(QUIET)
    panel.tick_params(labelsize=8, color=QUIET, labelcolor=INK)
    for axis in (panel.xaxis, panel.yaxis):
        axis.label.set_color(INK)
        axis.label.set_fontsize(9)
    panel.title.set_color(INK)
    panel.grid(alpha=0.3, lw=0.6, color=QUIET)
    panel.set_axisbelow(True)


def columns(rows: Rows) -> list[str]:
    """Columns of the rows besides time, in a fixed order.

    >>> columns([{"epoch": 1, "lr": 0.1, "validation_top1": 0.5, "loss": 2.0, "seconds": 1.0}])
    ['loss', 'validation_top1', 'lr']
    """
    names = dict.fromkeys(key for row in rows for key in row if key not in NOT_DRAWN)
    rank = {"loss": 0, "grad_norm": 2, "lr": 3}
    return sorted(names, key=lambda name: rank.get(name, 1))


def draw_curve(
    panel: Axes, name: str, runs: Mapping[str, Rows], title: str, colors: Mapping[str, int] | None = None
) -> None:
    """One column of results.csv over the epochs, a line for each run; rows that lack it leave a gap.

    Args:
        panel: Where to draw.
        name: The column.
        runs: Rows by run.
        title: Above it.
        colors: Which of `SERIES` a run has; by default in order.
    """
    lines = {
        run: np.array([(row["epoch"], row.get(name, np.nan)) for row in rows], dtype=np.float64).reshape(-1, 2)
        for run, rows in runs.items()
    }
    values = np.concatenate([line[:, 1] for line in lines.values()]) if lines else np.zeros(0)
    values = values[np.isfinite(values)]
    for index, (run, line) in enumerate(lines.items()):
        known = int(np.isfinite(line[:, 1]).sum())
        color = SERIES[(index if colors is None else colors[run]) % len(SERIES)]
        # A line of one point, or of points with gaps between them, cannot be seen without marks.
        gaps = known and np.isnan(line[:, 1]).any()
        marker = "o" if known == 1 or (gaps and known <= 60) else ""
        many = known > 300 and name in ("grad_norm", "loss") and not gaps
        panel.plot(*line.T, color=color, lw=0.6 if many else 1.6, alpha=0.4 if many else 1, marker=marker, ms=4)
        if many:
            around = np.ones(known // 60)
            # At both ends the mean is of fewer epochs, so that the line begins and ends where the run does.
            smooth = np.convolve(line[:, 1], around, "same") / np.convolve(np.ones(known), around, "same")
            panel.plot(line[:, 0], smooth, color=color, lw=1.8)
    if values.size and values.min() > 0 and values.max() > 30 * values.min() and name != "lr":
        panel.set_yscale("log")
        if values.max() < 100 * values.min():
            panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
            panel.yaxis.set_minor_formatter(NullFormatter())
    if name.endswith(("top1", "top5", "accuracy")):
        panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.3g} %"))
        low, high = panel.get_ylim()
        panel.set_ylim(max(low, -0.01), min(high, 1.01))
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("epoch")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    most = max((line[:, 0].max() for line in lines.values() if len(line)), default=1.0)
    panel.set_xlim(0.5, most + 0.5) if most < 20 else panel.set_xlim(0, most * 1.02)
    quiet_panel(panel)
    if not values.size:
        panel.text(0.5, 0.5, "no finished epoch", transform=panel.transAxes, ha="center", color=QUIET)


def curve_title(name: str, title: str) -> str:
    """Title of a column above its curve."""
    return f"{title} loss" if name == "loss" else _NAMES.get(name, name.replace("_", " ").replace("top1", "top-1"))


def curve_figure(name: str, runs: Mapping[str, Rows], title: str, colors: Mapping[str, int] | None = None) -> Figure:
    """One curve as a figure of its own."""
    figure = Figure(figsize=(4.2, 2.7), layout="constrained")
    draw_curve(figure.subplots(), name, runs, curve_title(name, title), colors)
    return figure


def draw_curves(rows: Rows, title: str, path: Path) -> None:
    """Loss and whatever else the rows hold over epochs, three panels to a line, as a PNG."""
    names = columns(rows) or ["loss"]
    across = min(len(names), 4 if len(names) in (4, 7, 8) else 3)
    down = -(-len(names) // across)
    figure = Figure(figsize=(3.8 * across, 2.9 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, name in zip(panels, names, strict=False):
        draw_curve(panel, name, {title: rows}, curve_title(name, title))
    for panel in panels[len(names) :]:
        panel.axis("off")
    save_png(figure, path)


def confusion_figure(confusion: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Rows are what was done, columns what was answered; shares of each row, counts written in up to 40 classes.

    Args:
        confusion: (K, K) counts.
        classes: K names.
        title: Above it.
    """
    total = confusion.sum(axis=1, keepdims=True)
    share = confusion / np.maximum(total, 1)
    count = len(classes)
    cell_inches, size = (0.34, 7) if count <= 40 else (0.18, 6)
    names = [short(name) for name in classes]
    margin = 0.075 * max(map(len, names), default=0) * size / 7 + 0.6
    side = max(2.4, cell_inches * count)
    figure = Figure(figsize=(side + margin, side + margin + 0.3), layout="constrained")
    panel = figure.subplots()
    panel.imshow(share, cmap=SHARE, vmin=0, vmax=1, interpolation="nearest")
    panel.set_xticks(range(count), names, rotation=90)
    panel.set_yticks(range(count), names)
    quiet_panel(panel)
    panel.tick_params(labelsize=size, length=0 if count > 40 else 2)
    panel.grid(visible=False)
    # Lines between the cells lead the eye to the names; every fifth is stronger where there are many.
    for place in range(1, count):
        strong = count > 40 and place % 5 == 0
        for line in (panel.axhline, panel.axvline):
            line(place - 0.5, color=QUIET, lw=0.5 if strong else 0.25, alpha=0.7 if strong else 0.35)
    panel.spines[["top", "right"]].set_visible(True)
    panel.spines[["top", "right"]].set_color(QUIET)
    panel.set_xlabel("answer")
    panel.set_ylabel("truth")
    panel.set_title(title, fontsize=10, color=INK)
    digits = size - 1 if count <= 40 else 4.5
    for row, column in zip(*np.nonzero(confusion), strict=True):
        if confusion[row, column] < 1000:
            ink = "white" if share[row, column] > 0.55 else INK
            panel.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=digits, color=ink)
    return figure


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str], title: str, path: Path) -> None:
    """The confusion matrix as a PNG."""
    save_png(confusion_figure(confusion, classes, title), path)


def per_class_figure(rows: Sequence[tuple[str, int, float, str]], title: str = "") -> Figure:
    """Share of each class predicted rightly, the worst first, and what it is taken for.

    Args:
        rows: (class, clips, share right, most frequent wrong prediction), as `amr_edge.metrics.per_class_rows` gives
            them; classes without clips are named below the picture.
        title: Above it.
    """
    known = [row for row in rows if row[1]]
    without = [row[0] for row in rows if not row[1]]
    across = 1 if len(known) <= 40 else 2
    down = -(-len(known) // across)
    figure = Figure(figsize=(5.2 * across, max(0.2 * down, 0.4) + 0.8), layout="constrained")
    panels = figure.subplots(1, across, squeeze=False)[0]
    for index, panel in enumerate(panels):
        part = known[index * down : (index + 1) * down]
        place = np.arange(len(part))
        right = [row[2] for row in part]
        panel.barh(place, right, height=0.72, color=[BAD if r < 0.5 else SERIES[0] for r in right])
        for at, (_, clips, share, taken) in enumerate(part):
            caption = f"{100 * share:.0f} % of {clips}" + (f", else {short(taken, 20)}" if taken else "")
            inside = share > 0.6
            panel.text(
                share - 0.01 if inside else share + 0.01,
                at,
                caption,
                va="center",
                ha="right" if inside else "left",
                fontsize=6.5,
                color="white" if inside else INK,
            )
        panel.set_yticks(place, [short(row[0]) for row in part])
        panel.set(xlim=(0, 1), ylim=(down - 0.4, -0.6))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f} %"))
        quiet_panel(panel)
        panel.tick_params(axis="y", labelsize=7, length=0)
        panel.grid(visible=False, axis="y")
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    if without:
        figure.supxlabel(f"no test clip: {short(', '.join(without), 90)}", fontsize=7, color=QUIET)
    return figure


def budget_figure(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Top-1 over the share of a body's tokens that is looked at, as the card tells it."""
    ordered = sorted(points, key=lambda point: float(point["share"]))
    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    panel = figure.subplots()
    panel.plot([p["share"] for p in ordered], [p["top1"] for p in ordered], color=SERIES[0], marker="o", ms=4)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.3g} %"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.3g} %"))
    panel.set(xlabel="share of the tokens", title="top-1 by token budget", xlim=(0, 1.04))
    panel.title.set_fontsize(10)
    quiet_panel(panel)
    return figure
