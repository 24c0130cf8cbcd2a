import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _commands_can_be_interrupted() -> Iterator[None]:
    """A job that a shell started in the background ignores SIGINT, and so would every command that a test interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
