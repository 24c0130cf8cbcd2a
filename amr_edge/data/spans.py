"""Labels of the windows of a continuous recording, from its labelled spans."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from amr_edge.data.recording import Recording, Span
from amr_edge.errors import ConfigError

FULL = 0.6  # share of the action in the window, or of the window by the action, that gives the window its label
EMPTY = 0.1  # share of the window up to which an action is ignored


def window_label(spans: Sequence[Span], start_s: float, end_s: float, none_class: str) -> str | None:
    """Label of a window.

    Args:
        spans: The labelled stretches.
        start_s: First instant of the window.
        end_s: Last instant of the window; above `start_s`.
        none_class: Name of the none class.

    Returns:
        The label of an action that fills `FULL` of the window or of which the window holds `FULL`, `none_class` if
        no action touches more than `EMPTY` of the window, None if neither is clear.

    >>> window_label([Span(2.0, 4.0, "wave")], 2.5, 4.5, "idle")
    'wave'
    >>> window_label([Span(2.0, 4.0, "wave")], 0.0, 2.0, "idle")
    'idle'
    """
    overlaps = [(min(end_s, span.end_s) - max(start_s, span.start_s), span) for span in spans]
    overlap, span = max(overlaps, default=(0.0, None), key=lambda pair: pair[0])
    if span is None or overlap <= EMPTY * (end_s - start_s):
        return none_class
    enough = min(end_s - start_s, span.end_s - span.start_s) * FULL
    return span.label if overlap >= enough else None


def windows(recording: Recording, window_s: float, stride_s: float, none_class: str) -> Iterator[Recording]:
    """The windows of a continuous recording that have one clear label, each as a recording.

    Args:
        recording: With spans.
        window_s: Length of a window, seconds.
        stride_s: Seconds from one window to the next.
        none_class: The label of windows without action.

    Yields:
        Recordings whose frames lie within the window, on the recording's clock.

    Raises:
        ConfigError: If window or stride are not above 0.
    """
    if not window_s > 0 or not stride_s > 0:
        raise ConfigError(f"window_s and stride_s must be above 0, got {window_s} and {stride_s}")
    times_s = recording.times_s
    for count in range(int(max(recording.duration_s - window_s, -1) / stride_s) + 1):
        start_s = float(times_s[0]) + count * stride_s
        label = window_label(recording.spans, start_s, start_s + window_s, none_class)
        inside = slice(*np.searchsorted(times_s, [start_s, start_s + window_s], side="left"))
        if label is None or len(times_s[inside]) < 2:
            continue
        yield replace(
            recording,
            poses=recording.poses[:, inside],
            times_s=times_s[inside],
            label=label,
            spans=(),
            source=f"{recording.source}#{start_s:.2f}s",
        )
