"""Messages that wait for one client of a server on this machine: bounded, a slow client loses the oldest."""

import threading
from collections import deque

WAITING = 256  # messages that wait for a client


class Outbox:
    """The newest frame of each camera and whatever else waits for a client.

    Attributes:
        dropped: Messages that the client was too slow for.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frames: dict[int, str] = {}  # of each camera
        self._waiting: deque[str] = deque()
        self._over = False
        self.dropped = 0

    def put(self, message: str, *, frame_of: int | None = None) -> None:
        """Queue a message; of the frames of a camera only the newest waits."""
        with self._changed:
            if frame_of is not None:
                self.dropped += frame_of in self._frames
                self._frames[frame_of] = message
            else:
                if len(self._waiting) >= WAITING:
                    self._waiting.popleft()
                    self.dropped += 1
                self._waiting.append(message)
            self._changed.notify()

    def finish(self) -> None:
        """There will be no more messages."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def take(self, limit_s: float | None = None) -> tuple[list[str], bool]:
        """Waiting items after at most `limit_s` seconds, and whether they are the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._frames or self._over, limit_s)
            messages = [*self._waiting, *self._frames.values()]
            self._waiting.clear()
            self._frames.clear()
            return messages, self._over
