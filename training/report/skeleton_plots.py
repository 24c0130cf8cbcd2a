"""What a person did in a clip, as a strip of stick figures: moments from left to right, feet on one line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from amr_edge import skeleton
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.preprocess import PrepareConfig
from amr_edge.skeleton import Layout, Mask
from amr_edge.training.report.plots import INK, LEFT, MIDDLE, RIGHT, SERIES, save_png, to_svg

MOMENTS = 8
SHOWN = 8  # clips in one picture
# Seen from 20 degrees to the side, where a bow or a punch shows as well as a wave.
ASIDE = np.array([[np.cos(0.35), 0, np.sin(0.35)], [0, 1, 0], [-np.sin(0.35), 0, np.cos(0.35)]], dtype=np.float32)
# Left, right and middle of the first, the second, ... person.
COLOURS = ((LEFT, RIGHT, MIDDLE), (SERIES[2], SERIES[3], "#a9a38f"))
FEET = ("foot", "ankle", "toe", "heel")
TRAILS = 3  # joints of each person that draw where they came from
HEIGHT_INCHES, CELL_INCHES = 1.25, 1.05
PALE = 0.2  # opacity of what is drawn over

Points = NDArray[np.float32]  # (M, T, V, 2), x to the right, y up, absent NaN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strip:
    """One clip to draw.

    Attributes:
        values: (M, T, V, 3), as the model sees it; 0 where absent.
        present: (M, T, V).
        layout: The layout of the joints.
        title: Above it.
    """

    values: NDArray[np.float32]
    present: Mask
    layout: Layout
    title: str


def seen_from_aside(values: NDArray[np.float32], present: Mask) -> Points:
    """(M, T, V, 3) -> (M, T, V, 2): poses in space from a little to the side, flat ones from the front."""
    flat = not values[present][:, 2].any()
    turned = values if flat else values @ ASIDE
    return np.where(present[..., None], turned[..., :2], np.nan).astype(np.float32)


def moments_of(present: Mask, count: int = MOMENTS) -> NDArray[np.int64]:
    """Frames to show, evenly from the first with a person to the last; (M, T, V) -> (count,)."""
    frames = np.flatnonzero(present.any(axis=(0, 2)))
    first, last = (int(frames[0]), int(frames[-1])) if frames.size else (0, present.shape[1] - 1)
    return np.asarray(np.linspace(first, last, count).round(), dtype=np.int64)


def sides(layout: Layout) -> tuple[int, ...]:
    """For each joint 0 on the left side of the body, 1 on the right, 2 in the middle."""
    words = [joint.split("_") for joint in layout.joints]
    return tuple(0 if "left" in w else 1 if "right" in w else 2 for w in words)


def floor_of(points: Points, frames: NDArray[np.int64], layout: Layout) -> float:
    """Height of the feet in most of the moments; NaN for a layout or a clip without feet.

    The median, because a jump must leave the floor and one lost foot must not lower it.
    """
    feet = [i for i, joint in enumerate(layout.joints) if any(word in FEET for word in joint.split("_"))]
    heights = points[:, frames][:, :, feet, 1]  # (M, moments, feet)
    lowest = np.where(np.isfinite(heights), heights, np.inf).min(axis=(0, 2), initial=np.inf)
    lowest = lowest[np.isfinite(lowest)]
    return float(np.median(lowest)) if lowest.size else float("nan")


def busiest(points: Points, person: int, count: int = TRAILS) -> list[int]:
    """The joints of a person that travel furthest about the body's middle, at most `count`."""
    body = points[person]  # (T, V, 2)
    seen = np.isfinite(body[..., 0])
    total = np.maximum(seen.sum(axis=1), 1)[:, None]
    path = body - (np.where(seen[..., None], body, 0).sum(axis=1) / total)[:, None]  # about the body's middle
    steps = np.linalg.norm(np.diff(path, axis=0), axis=-1)  # (T - 1, V)
    length = np.where(np.isfinite(steps), steps, 0).sum(axis=0)
    return [int(joint) for joint in np.argsort(-length, kind="stable")[:count] if length[joint] > 0]


def _ends(layout: Layout) -> set[int]:
    """Joints that no bone starts from: hands, feet, head."""
    return set(range(len(layout))) - {parent for parent, _ in layout.bones}


def _middle(points: Points, frame: int) -> float:
    """Centre of a moment: halfway between the outermost joints."""
    x = points[:, frame, :, 0]
    return float((np.nanmin(x) + np.nanmax(x)) / 2) if np.isfinite(x).any() else float("nan")


def draw_moments(
    panel: Axes,
    points: Points,
    layout: Layout,
    frames: NDArray[np.int64],
    *,
    cell: float,
    trails: bool = True,
    faded: bool = False,
    shifts: Sequence[float] | None = None,
) -> list[float]:
    """Stick figures beside each other, each in a cell of `cell` units, all to one scale.

    Args:
        panel: Where to draw; x runs from 0 to `cell` times the number of moments.
        points: (M, T, V, 2), absent NaN. Bones to an absent joint are not drawn.
        layout: The layout of the joints.
        frames: The moments.
        cell: Width of a cell, in units of the points.
        trails: Draw where the busiest joints were since the moment before.
        faded: Draw everything pale, to be drawn over.
        shifts: How far to move each moment to the right; None puts its middle into the middle of its cell.

    Returns:
        The shifts, NaN where there is no person.
    """
    side = np.array(sides(layout))
    ends = _ends(layout)
    opacity = PALE if faded else 1.0
    before = int(frames[1] - frames[0]) if len(frames) > 1 else 0
    trailing = [[joint for joint in busiest(points, m, 2 * TRAILS) if joint in ends] for m in range(len(points))]
    if shifts is None:
        shifts = [(place + 0.5) * cell - _middle(points, frame) for place, frame in enumerate(frames.tolist())]
    for place, (frame, shift) in enumerate(zip(frames.tolist(), shifts, strict=True)):
        if np.isnan(shift):
            panel.text((place + 0.5) * cell, 0.4 * cell, "no person", ha="center", fontsize=7, color=MIDDLE)
            continue
        for person in range(len(points)):
            colors = COLOURS[min(person, len(COLOURS) - 1)]
            pose = points[person, frame] + (shift, 0)  # (V, 2)
            if trails and before:
                for joint in trailing[person][:TRAILS]:
                    path = points[person, max(frame - before, 0) : frame + 1, joint] + (shift, 0)
                    # A person who crosses the picture would draw through the neighbours.
                    path[np.abs(path[:, 0] - (place + 0.5) * cell) > 0.5 * cell] = np.nan
                    panel.plot(*path.T, color=colors[side[joint]], lw=0.9, alpha=0.45, solid_capstyle="round")
            for which in (2, 0, 1):
                bones = [np.stack([pose[a], pose[b], (np.nan, np.nan)]) for a, b in layout.bones if side[b] == which]
                if bones:
                    line = np.concatenate(bones)  # (3 * bones, 2), a gap after each
                    panel.plot(*line.T, color=colors[which], lw=1.8, alpha=opacity, solid_capstyle="round")
                dots = pose[(side == which) & np.isfinite(pose[:, 0])]
                panel.plot(*dots.T, ".", ms=2.6, color=colors[which], alpha=opacity)
    panel.axis("off")
    return list(shifts)


def frame_of(points: Points, frames: NDArray[np.int64], floor: float) -> tuple[float, float, float]:
    """Width of a cell, bottom and top of a strip that hold every moment; a joint lost far away does not count."""
    shown = points[:, frames]  # (M, moments, V, 2)
    spans, tops, bottoms = [], [], []
    for place in range(len(frames)):
        x, y = shown[:, place, :, 0], shown[:, place, :, 1]
        if np.isfinite(x).any():
            spans.append(float(np.nanmax(x) - np.nanmin(x)))
            tops.append(float(np.nanmax(y)))
            bottoms.append(float(np.nanmin(y)))
    if not spans:
        return 1.0, 0.0, 1.0
    usual = float(np.median(tops)) - float(np.median(bottoms))
    usual = max(usual, float(np.median(spans)), 1e-6)
    bottom = max(min(bottoms), float(np.median(bottoms)) - 0.8 * usual)
    top = min(max(tops), float(np.median(tops)) + 0.8 * usual)
    bottom = bottom if np.isnan(floor) else min(bottom, floor)
    cell = max(min(max(spans), 2.5 * usual), 0.5 * usual) * 1.12
    return cell, bottom - 0.04 * usual, top + 0.06 * usual


def draw_strip(panel: Axes, strip: Strip, *, points: Points | None = None, trails: bool = True) -> None:
    """A clip as a strip: its moments, the floor line, its title."""
    points = seen_from_aside(strip.values, strip.present) if points is None else points
    frames = moments_of(strip.present)
    floor = floor_of(points, frames, strip.layout)
    cell, bottom, top = frame_of(points, frames, floor)
    cell = max(cell, (top - bottom) * CELL_INCHES / HEIGHT_INCHES)  # the width is there, so use it
    if not np.isnan(floor):
        panel.plot([0, cell * len(frames)], [floor, floor], color=MIDDLE, lw=0.8, alpha=0.6)
    draw_moments(panel, points, strip.layout, frames, cell=cell, trails=trails)
    panel.set(xlim=(0, cell * len(frames)), ylim=(bottom, top), aspect="equal", anchor="W")
    panel.set_title(strip.title, fontsize=8, color=INK, loc="left", pad=3)


def strips_figure(strips: Sequence[Strip], title: str = "") -> Figure:
    """Clips below each other; a legend says which colour is which side."""
    figure = Figure(figsize=(CELL_INCHES * MOMENTS, (HEIGHT_INCHES + 0.28) * len(strips) + 0.45), layout="constrained")
    panels = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
    for panel, strip in zip(panels, strips, strict=True):
        draw_strip(cast("Axes", panel), strip)
    most = max((int(strip.present.any(axis=(1, 2)).sum()) for strip in strips), default=1)
    for person, (left, right, _) in enumerate(COLOURS[: max(most, 1)]):
        of = f" of person {person + 1}" if most > 1 else ""
        panels[0].plot([], [], color=left, lw=2, label=f"left{of}")
        panels[0].plot([], [], color=right, lw=2, label=f"right{of}")
    legend = figure.legend(
        loc="outside lower left",
        ncols=4,
        frameon=False,
        fontsize=7,
        labelcolor=INK,
        title_fontsize=7,
        title=f"{MOMENTS} moments, first to last frame; thin lines: the way since the moment before",
        alignment="left",
    )
    legend.get_title().set_color(MIDDLE)
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    return figure


def wrong_title(truth: str, answer: str, prob: float, name: str) -> str:
    """Title of a misclassified clip.

    >>> wrong_title("wave", "clap", 0.931, "a1.mat")
    'wave  →  answered clap, 93 %   ·   a1.mat'
    """
    return f"{truth}  →  answered {answer}, {100 * prob:.0f} %   ·   {name}"


def as_strip(store: Store, index: int, prepare: PrepareConfig, persons: int, title: str) -> Strip:
    """A recording of a store as a model sees it, always as joints, whatever stream the model takes."""
    which = np.zeros(len(store), dtype=np.bool_)
    which[index] = True
    clip = Clips(store, which, replace(prepare, stream="joint"), persons).clip(0)
    return Strip(values=clip.values, present=clip.present, layout=skeleton.layout(prepare.layout), title=title)


def draw_strips(strips: Sequence[Strip], path: Path, title: str = "") -> None:
    """Clips as stick figures: a PNG, and beside it an SVG that suits a light and a dark page.

    Without clips no picture is left, not even an old one.
    """
    svg = path.with_suffix(".svg")
    if not strips:
        path.unlink(missing_ok=True)
        svg.unlink(missing_ok=True)
        return
    figure = strips_figure(strips, title)
    save_png(figure, path)
    svg.write_text(to_svg(figure), encoding="utf-8")
