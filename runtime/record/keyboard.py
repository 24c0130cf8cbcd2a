"""Which keys were pressed, without waiting for any: from the terminal that the command was started in."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Keys(Protocol):
    """Something that knows which keys were pressed."""

    def __call__(self) -> str:
        """The keys since the last call, in order; "" if there were none."""
        ...


def no_keys() -> str:
    """Stand-in where there is no keyboard."""
    return ""


@contextmanager
def terminal_keys(*, stdin_taken: bool) -> Iterator[Keys | None]:
    """Read keys one by one, unseen, until the block is left; None where there is no terminal.

    Args:
        stdin_taken: Standard input is the source; keys are read from the terminal then.
    """
    if sys.platform == "win32":  # not tried on a machine
        import msvcrt

        def pressed() -> str:
            keys = ""
            while msvcrt.kbhit():
                keys += msvcrt.getwch()
            return keys

        yield pressed if sys.stdin.isatty() or stdin_taken else None
        return
    import termios
    import tty

    opened = -1
    if stdin_taken:
        try:
            descriptor = opened = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        except OSError:  # a process without a terminal, as under a service
            yield None
            return
    elif sys.stdin is not None and sys.stdin.isatty():
        descriptor = sys.stdin.fileno()
    else:
        yield None
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSANOW)  # keys come at once, Ctrl-C still interrupts
        yield lambda: _waiting(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        if opened >= 0:
            os.close(opened)


def _waiting(descriptor: int) -> str:
    """Keys in the terminal's buffer."""
    import select

    keys = b""
    while select.select([descriptor], [], [], 0)[0]:
        piece = os.read(descriptor, 64)
        if not piece:  # the terminal has gone
            return "q"
        keys += piece
    text = keys.decode("utf-8", "ignore")
    # An arrow is Esc and more; only Esc alone is one.
    return "" if len(text) > 1 and text.startswith("\x1b") else text
