"""Scenes as pictures, into an MP4 for each camera."""

from pathlib import Path

from amr_edge.errors import ReadError
from amr_edge.runtime.render.draw import Scene, VideoWriter


class VideoSink:
    """Draws scenes and encodes them, in a thread of its own.

    Of several cameras each has a video of its own, because each has its own clock: out.mp4, out-2.mp4, ...
    """

    def __init__(self, path: Path, *, mirror: bool) -> None:
        """A sink; see `VideoWriter` for what is refused."""
        self.title = str(path)
        self._path = path
        self._mirror = mirror
        self._writers = {0: VideoWriter(path, mirror=mirror)}
        self._takes: dict[int, int] = {}  # of each camera, the take that is on

    @property
    def written(self) -> list[tuple[str, int]]:
        """Each video, and how many frames it has."""
        return [(str(self._path_of(place)), writer.frames) for place, writer in sorted(self._writers.items())]

    def open(self) -> None:
        """A file appears with the first frame."""

    def send(self, item: Scene) -> None:
        """Draw and encode a scene."""
        if item.place not in self._writers:
            self._writers[item.place] = VideoWriter(self._path_of(item.place), mirror=self._mirror)
        writer = self._writers[item.place]
        if item.take != self._takes.get(item.place):
            self._takes[item.place] = item.take
            writer.begin(item.fps)
        try:
            writer.show(item.frame, item.layout, item.people, item.banner)
        except ReadError as cause:
            raise OSError(str(cause)) from cause

    def drop(self) -> None:
        """A video cannot be taken up again: it goes on as it is."""

    def close(self) -> None:
        """Finish every video, also if one of them cannot be."""
        first: ReadError | None = None
        for writer in self._writers.values():
            try:
                writer.close()
            except ReadError as cause:  # noqa: PERF203 - each disk may be full
                first = first or cause
        if first is not None:
            raise OSError(str(first)) from first

    def _path_of(self, place: int) -> Path:
        return self._path.with_stem(f"{self._path.stem}-{place + 1}") if place else self._path
