"""Of what a page of a report is put together: text that no browser takes for markup, tables, pictures, tiles."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from amr_edge.training.report.plots import to_svg


def text(value: object) -> str:
    """A value as text that no browser takes for markup."""
    if isinstance(value, float):
        value = f"{value:.4g}"
    elif isinstance(value, list | tuple):
        value = ", ".join(f"{item:.4g}" if isinstance(item, float) else str(item) for item in value)
    return html.escape(str(value))


def table(header: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> str:
    """A table; the columns of `numeric` are numbers."""

    def line(tag: str, cells: Sequence[object]) -> str:
        text_parts = (
            f'<{tag} class="{"n" if i in numeric else "long"}">'
            f"{cell.markup if isinstance(cell, Markup) else text(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )
        return f"<tr>{''.join(text_parts)}</tr>"

    head = line("th", header) if any(header) else ""
    return f'<div class="box"><table>{head}{"".join(line("td", row) for row in rows)}</table></div>'


class Markup(NamedTuple):
    """Text that is markup already, written by our own code."""

    markup: str


def image(data: bytes, kind: str, alt: str, style: str) -> str:
    """A picture as a data address. An SVG in an <img> runs nothing and follows the reader's light or dark."""
    return f'<img class="{style}" alt="{text(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def drawn(figure: Figure, alt: str, style: str = "fits") -> str:
    """A figure as a picture."""
    return image(to_svg(figure).encode(), "svg+xml", alt, style)


def stored(path: Path, alt: str) -> str:
    """A picture of the run's folder: its SVG if there is one, else its PNG, else nothing."""
    for suffix, kind in ((".svg", "svg+xml"), (".png", "png")):
        if path.with_suffix(suffix).is_file():
            return f'<div class="box">{image(path.with_suffix(suffix).read_bytes(), kind, alt, "wide")}</div>'
    return ""


def percent(value: object) -> str:
    """A share, or a dash for what is none."""
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "–"


def seconds(value: float) -> str:
    """A duration in the unit that people would choose."""
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def tile(value: str, text_parts: str) -> str:
    """A figure that stands out, with what it is below it."""
    return f"<div><b>{text(value)}</b><span>{text(text_parts)}</span></div>"
