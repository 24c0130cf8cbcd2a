"""Tables of factories: the form of an address -> "module:function", which is imported when it is used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any


def key_of(address: str, table: Mapping[str, object]) -> str | None:
    """The key of a table that fits an address: its "scheme://", itself, its "name:" or its ".suffix".

    An address with "://" has no suffix: what its path ends in belongs to the other side.

    >>> [key_of(address, {"mqtt://": 1, ".csv": 2, "-": 3}) for address in ("MQTT://host/a", "out.CSV", "-", "x.txt")]
    ['mqtt://', '.csv', '-', None]
    """
    head, colon, rest = address.partition(":")
    if colon and rest.startswith("//"):
        keys = [f"{head.lower()}://"]
    else:
        keys = [address, f"{head}:" if colon else address, Path(address).suffix.lower()]
    return next((key for key in keys if key in table), None)


def load(target: str) -> Callable[..., Any]:
    """The function that "module:function" names."""
    module, _, function = target.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
