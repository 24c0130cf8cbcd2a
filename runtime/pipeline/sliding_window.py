"""What has one person done lately: the frames of the last seconds, as a model wants to look at them."""

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError
from amr_edge.preprocess import Clip, PrepareConfig, prepare
from amr_edge.skeleton import Layout, Poses

MAX_FRAMES = 4096  # of one window; a source that is faster than that is thinned, so memory has a bound


class Window:
    """The frames of one person that `prepare` can look at for a prediction at the newest frame or later.

    Memory is flat: samples older than the window and its longest gap go, and frames that come closer together
    than the window divided by `MAX_FRAMES` are left out (above 1600 frames a second for a window of 2.5 s).
    """

    def __init__(self, source: Layout, config: PrepareConfig) -> None:
        self._source = source
        self._config = config
        self._reach_s = config.window_s + config.max_gap_s
        self._closest_s = self._reach_s / (MAX_FRAMES - 2)
        # Samples lie in [_first, _end) of buffers twice as long as needed, so that they are always one slice.
        self._times_s = np.empty(128, dtype=np.float64)
        self._poses: Poses = np.empty((0, len(source), 0), dtype=np.float32)
        self._first = self._end = 0
        self._since_s = float("nan")

    def __len__(self) -> int:
        return self._end - self._first

    @property
    def since_s(self) -> float:
        """Time at which the person came into view; samples may be gone since, but never all of them at once."""
        return self._since_s

    @property
    def last_s(self) -> float:
        """Time of the newest sample."""
        return float(self._times_s[self._end - 1]) if self._end else float("nan")

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(T,) seconds of the samples held, a view."""
        return self._times_s[self._first : self._end]

    @property
    def poses(self) -> Poses:
        """(T, V, C) samples held, a view."""
        return self._poses[self._first : self._end]

    def outlived(self, time_s: float) -> bool:
        """True when nothing held could be looked at for a prediction at `time_s`."""
        return not len(self) or self.last_s < time_s - self._config.window_s - self._config.max_gap_s

    def push(self, time_s: float, pose: Poses) -> None:
        """Add the newest frame.

        Args:
            time_s: Seconds on the source's clock, after every frame before.
            pose: (V, C) float32 in the source's layout, absent joints NaN.

        Raises:
            ClipError: If the time does not rise or the pose has another shape than those before.
        """
        if pose.ndim != 2 or len(pose) != len(self._source) or (self._end and pose.shape != self._poses.shape[1:]):
            wanted = self._poses.shape[1:] if self._end else (len(self._source), "2 or 3")
            raise ClipError(f"expected a pose {wanted} of layout '{self._source.name}', got {pose.shape}")
        if not np.isfinite(time_s) or (self._end and time_s <= self.last_s):
            raise ClipError(f"a window's times must be finite and rise, got {time_s} s after {self.last_s} s")
        if self.outlived(time_s):
            self._first = self._end = 0
            self._since_s = time_s
        elif time_s - self.last_s < self._closest_s:
            return
        oldest_s = time_s - self._config.window_s - self._config.max_gap_s
        self._first += int(np.searchsorted(self.times_s, oldest_s, side="left"))
        self._make_room(pose.shape[1])
        self._times_s[self._end] = time_s
        self._poses[self._end] = pose
        self._end += 1

    def clip(self, start_s: float, end_s: float) -> Clip:
        """The clip (1, T, V, 3) of this person from `start_s` to `end_s`.

        Raises:
            ClipError: If no sample lies there.
        """
        poses = self.poses[None]  # (1, T', V, C)
        return prepare(poses, self.times_s, self._source, self._config, (start_s, end_s))

    def _make_room(self, channels: int) -> None:
        """Leave one free place after `_end`: slide the samples to the front, or double the buffers."""
        if not len(self._poses):
            self._poses = np.empty((len(self._times_s), len(self._source), channels), dtype=np.float32)
        if self._end < len(self._times_s):
            return
        held = len(self)
        size = len(self._times_s) * (2 if held > len(self._times_s) // 2 else 1)
        times_s, poses = np.empty(size, dtype=np.float64), np.empty((size, *self._poses.shape[1:]), dtype=np.float32)
        times_s[:held], poses[:held] = self.times_s, self.poses
        self._times_s, self._poses, self._first, self._end = times_s, poses, 0, held
