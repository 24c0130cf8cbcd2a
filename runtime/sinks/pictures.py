"""Scenes as pictures, into an MP4."""

from pathlib import Path

from amr_edge.errors import ReadError
from amr_edge.runtime.draw import Film, Scene


class FilmSink:
    """Scenes into a film; the drawing and encoding happen here, beside recognition."""

    def __init__(self, path: Path, *, mirror: bool) -> None:
        """A sink; see `Film` for what is refused."""
        self.title = str(path)
        self.film = Film(path, mirror=mirror)
        self._take = 0

    def open(self) -> None:
        """The file appears with the first frame."""

    def send(self, item: Scene) -> None:
        """Draw and encode a scene."""
        if item.take != self._take:
            self._take = item.take
            self.film.begin(item.fps)
        try:
            self.film.show(item.sighting, item.layout, item.people, item.banner)
        except ReadError as cause:
            raise OSError(str(cause)) from cause

    def drop(self) -> None:
        """A film cannot be taken up again: it goes on as it is."""

    def close(self) -> None:
        """Finish the film."""
        try:
            self.film.close()
        except ReadError as cause:
            raise OSError(str(cause)) from cause
