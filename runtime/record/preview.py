"""Terminal preview for the person being recorded: a small stick figure, the counter, the next action."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

import numpy as np

from amr_edge.runtime.frame import Frame
from amr_edge.runtime.render.draw import Fit
from amr_edge.skeleton import Layout, Poses, present_joints

SIZE = (30, 14)  # columns and lines of the figure
EVERY_S = 0.1  # between two pictures
# A Braille character is 2 dots wide and 4 high; bit of each dot, row by row.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def figure(poses: Poses, layout: Layout, fit: Fit, size: tuple[int, int] = SIZE) -> list[str]:
    """People as lines of Braille dots, seen from the front.

    Args:
        poses: (P, V, C), y up, absent joints NaN.
        layout: Of the joints.
        fit: Scales them to `size` times 2 and 4 dots.
        size: Columns and lines.
    """
    columns, lines = size
    dots = np.zeros((lines * 4, columns * 2), dtype=np.bool_)
    places = fit(poses)  # (P, V, 2)
    for joints, here in zip(places, present_joints(places), strict=True):
        for parent, child in layout.bones:
            if here[parent] and here[child]:
                steps = int(np.abs(joints[child] - joints[parent]).max()) + 2
                line = np.linspace(joints[parent], joints[child], steps)  # (steps, 2)
                x, y = np.rint(line).astype(int).T
                inside = (x >= 0) & (x < dots.shape[1]) & (y >= 0) & (y < dots.shape[0])
                dots[y[inside], x[inside]] = True
    return [
        "".join(
            chr(
                0x2800
                + sum(
                    bit
                    for row, bits in enumerate(_DOTS)
                    for column, bit in enumerate(bits)
                    if dots[4 * line_ + row, 2 * cell + column]
                )
            )
            for cell in range(columns)
        )
        for line_ in range(lines)
    ]


class TerminalPreview:
    """The figure and one line of state on a terminal, drawn over and over; where there is none, only notes."""

    def __init__(self, out: TextIO, *, now: Callable[[], float] = time.monotonic) -> None:
        """Nothing on the screen yet.

        Args:
            out: A terminal or not.
            now: Seconds that rise; the figure is drawn ten times a second at most.
        """
        self._out = out
        self._now = now
        self._fit = Fit((SIZE[0] * 2, SIZE[1] * 4))
        self._drawn = 0  # lines on the screen
        self._last_s = float("-inf")
        self.live = out.isatty()
        # A terminal that cannot say ⣿ gets the line alone.
        self._figure = "utf" in (getattr(out, "encoding", None) or sys.getdefaultencoding()).lower()

    def show(self, frame: Frame, layout: Layout, line: str) -> None:
        """Draw, if it is time to."""
        if not self.live or self._now() - self._last_s < EVERY_S:
            return
        self._last_s = self._now()
        rows = [*(figure(frame.poses, layout, self._fit) if self._figure else []), line[:110]]
        self._clear()
        self._out.write("\n".join(rows) + "\n")
        self._out.flush()
        self._drawn = len(rows)

    def note(self, text: str, *, ring: bool = False) -> None:
        """A line that stays; `ring` also rings the bell, for a person too far away to read."""
        self._clear()
        self._out.write(f"{text}\n" + ("\a" if ring and self.live else ""))
        self._out.flush()

    def _clear(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0
