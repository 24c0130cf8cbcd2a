"""The report as one HTML page without network: distributions, accuracy against latency, power over time."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from amr_edge.runtime.bench.report import columns, machine_line
from amr_edge.runtime.bench.suggest import known_accuracy

COLOURS = ("#1f6feb", "#d1571f", "#2a8a4a", "#8a3ffc", "#b3123f", "#007d79", "#7a5c00", "#5f6b7a")
WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 44
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:62rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;display:block;overflow-x:auto}
td,th{border-bottom:1px solid #d5dae0;padding:.25rem .6rem;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}
.bad{color:#b3123f;font-weight:600}.good{color:#2a8a4a;font-weight:600}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#444c56}
pre{background:#f4f6f8;padding:.8rem;overflow-x:auto;font-size:12.5px}
"""


class Axes:
    """A plot's frame: turns values into places and draws what stands along the edges."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], *, log_x: bool = False) -> None:
        """Axes.

        Args:
            x: Smallest and largest value across.
            y: Smallest and largest value upwards.
            log_x: Equal ratios lie equally far apart.
        """
        self._log = log_x
        self._x = self._widened(*(math.log10(v) if log_x else v for v in x))
        self._y = self._widened(*y)

    @staticmethod
    def _widened(low: float, high: float) -> tuple[float, float]:
        room = (high - low) * 0.04 or max(abs(high), 1e-9) * 0.1
        return low - room, high + room

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixel position of a point."""
        across = math.log10(x) if self._log else x
        share_x = (across - self._x[0]) / (self._x[1] - self._x[0])
        share_y = (y - self._y[0]) / (self._y[1] - self._y[0])
        return LEFT + share_x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - share_y * (HEIGHT - TOP - BOTTOM)

    def frame(self, x_name: str, y_name: str) -> str:
        """Lines, ticks and names."""
        box = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
        parts = [f'<rect {box} fill="none" stroke="#d5dae0"/>']
        for value in _ticks(*self._x, log=self._log):
            x = self.at(10**value if self._log else value, self._y[0])[0]
            shown = f"{10**value:g}" if self._log else f"{value:g}"
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#eef1f4"/>'
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{shown}</text>'
            )
        for value in _ticks(*self._y):
            y = self.at(10 ** self._x[0] if self._log else self._x[0], value)[1]
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eef1f4"/>'
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>')
        parts.append(
            f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>'
        )
        return "".join(parts)

    def line(self, xs: Sequence[float], ys: Sequence[float], color: str, *, dashed: bool = False) -> str:
        """A line through points; points that are not finite are left out."""
        places = [self.at(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        style = ' stroke-dasharray="5 4"' if dashed else ""
        return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"{style}/>'


def _ticks(low: float, high: float, *, log: bool = False) -> list[float]:
    """About five round values between two."""
    if log:
        marks = [e + math.log10(m) for e in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
        inside = [mark for mark in marks if low <= mark <= high]
        if len(inside) >= 2:
            return inside if len(inside) <= 8 else [mark for mark in inside if abs(mark - round(mark)) < 1e-9]
        return [math.log10(round(10 ** (low + (high - low) * share), 4)) for share in (0.1, 0.5, 0.9)]
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 6)
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step) + 1)]


def _drawing(inner: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{inner}</svg>"
    )


def _legend(names: Sequence[str]) -> str:
    marks = [
        f'<span style="color:{COLOURS[k % len(COLOURS)]}">&#9632;</span> {escape(name)}' for k, name in enumerate(names)
    ]
    return f"<p>{' &nbsp; '.join(marks)}</p>"


def latency_plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Share of runs that were done after so many milliseconds, one line a row; the tail is where a line is flat."""
    spans = [row["distribution"]["edges_ms"] for row in rows]
    axes = Axes((min(s[0] for s in spans), max(s[-1] for s in spans)), (0.0, 100.0), log_x=True)
    parts = [axes.frame("milliseconds", "% of runs done")]
    for k, row in enumerate(rows):
        edges, counts = row["distribution"]["edges_ms"], np.cumsum(row["distribution"]["counts"])
        parts.append(axes.line(edges, [0.0, *(100 * counts / counts[-1])], COLOURS[k % len(COLOURS)]))
        for share in ("p50", "p99"):
            value = row["latency_ms"][share]
            if value is not None and math.isfinite(value):
                x, y = axes.at(value, float(share[1:]))
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{COLOURS[k % len(COLOURS)]}"/>')
    return _drawing("".join(parts), "distribution of latencies") + _legend([str(row["name"]) for row in rows])


def accuracy_plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy against median latency; the line joins the rows that no other beats in both."""
    known = [(row, known_accuracy(row)) for row in rows]
    points = [(row, 100 * value) for row, value in known if value is not None]
    if not points:
        return "<p>No accuracy is known: give labelled recordings with <code>--data</code>.</p>"
    xs = [row["latency_ms"]["p50"] for row, _ in points]
    axes = Axes((min(xs), max(xs)), (min(y for _, y in points), max(y for _, y in points)))
    parts = [axes.frame("p50, milliseconds", "top-1 accuracy, %")]
    edge: list[tuple[float, float]] = []
    for row, y in sorted(points, key=lambda point: (point[0]["latency_ms"]["p50"], -point[1])):
        if not edge or y > edge[-1][1]:
            edge.append((row["latency_ms"]["p50"], y))
    parts.append(axes.line([x for x, _ in edge], [y for _, y in edge], "#9aa4b0", dashed=True))
    for k, row in enumerate(rows):
        value = known_accuracy(row)
        if value is None:
            continue
        x, y = axes.at(row["latency_ms"]["p50"], 100 * value)
        anchor, shift = ("end", -8) if x > WIDTH * 0.7 else ("start", 8)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[k % len(COLOURS)]}"/>'
            f'<text x="{x + shift:.1f}" y="{y - 6:.1f}" text-anchor="{anchor}">{escape(str(row["name"]))}</text>'
        )
    return _drawing("".join(parts), "accuracy against latency")


def power_plot(trace: Mapping[str, Any] | None) -> str:
    """Watts of each meter over the measurement."""
    if not trace or not trace["watts"]:
        return "<p>No power meter could be read on this machine.</p>"
    times_s = [t - trace["times_s"][0] for t in trace["times_s"]]
    finite = [w for values in trace["watts"].values() for w in values if w is not None and math.isfinite(w)]
    if not finite:
        return "<p>The power meters of this machine gave no value.</p>"
    axes = Axes((0.0, times_s[-1]), (0.0, max(finite)))
    parts = [axes.frame("seconds", "watts")]
    for k, values in enumerate(trace["watts"].values()):
        seen = [math.nan if w is None else w for w in values]
        parts.append(axes.line(times_s[-len(seen) :], seen, COLOURS[k % len(COLOURS)]))
    return _drawing("".join(parts), "power over time") + _legend(list(trace["watts"]))


def html_page(result: Mapping[str, Any]) -> str:
    """The whole report as HTML."""
    header, cells = columns(result["rows"])
    marks = {"VALID": ' class="good"', "INVALID": ' class="bad"'}
    body = "".join(
        "<tr>" + "".join(f"<td{marks.get(cell, '')}>{escape(cell)}</td>" for cell in line) + "</tr>" for line in cells
    )
    doubts = "".join(
        f'<li><span class="bad">INVALID</span> {escape(str(row["name"]))}: {escape(reason)}</li>'
        for row in result["rows"]
        for reason in row["reasons"]
    )
    facts = "\n".join(f"{name}: {value}" for name, value in result["context"].items() if value not in (None, [], {}))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>amr-edge bench</title><style>{STYLE}</style>"
        f"<h1>amr-edge bench</h1><p>{escape(str(result['time']))}, {escape(machine_line(result['context']))}</p>"
        f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in header)}</tr>{body}</table>"
        f"<ul>{doubts}</ul>"
        f"<p>Milliseconds of {escape(result['timed'])}. Transfers {escape(result['transfers'])}. "
        "Nothing is trimmed.</p>"
        f"<h2>Distribution</h2>{latency_plot(result['rows'])}"
        f"<h2>Accuracy against latency</h2>{accuracy_plot(result['rows'])}"
        f"<h2>Power</h2>{power_plot(result.get('power_trace'))}"
        f"<h2>Context</h2><pre>{escape(facts)}</pre><pre>{escape(result['command'])}</pre></html>\n"
    )
