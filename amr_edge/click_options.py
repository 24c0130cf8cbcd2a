"""Options declared once, as fields of a frozen dataclass: the command line and Python both build it."""

from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import Any

import click

Callback = Callable[..., None]


def option(default: Any, text: str, *flags: str, **click_arguments: Any) -> Any:
    """A dataclass field that is an option of a command.

    Args:
        default: In Python and on the command line.
        text: Help of the option.
        flags: Its spellings; none is "--" with the name of the field.
        click_arguments: What else `click.option` takes.
    """
    return field(default=default, metadata={"help": text, "flags": flags, **click_arguments})


def options_of(kind: type) -> Callable[[Callback], Callback]:
    """Decorate a command's callback with the options that the fields of `kind` declare, in their order."""
    declared = [_click_option(each) for each in fields(kind) if "flags" in each.metadata]

    def decorate(function: Callback) -> Callback:
        for each in reversed(declared):
            function = each(function)
        return function

    return decorate


def _click_option(each: "Field[Any]") -> Callable[[Callback], Callback]:
    arguments = dict(each.metadata)
    flags = arguments.pop("flags") or ("--" + each.name.replace("_", "-"),)
    if isinstance(each.default, bool):
        return click.option(*flags, each.name, is_flag=True, **arguments)
    shown = each.default not in (None, ())
    return click.option(*flags, each.name, default=each.default, **{"show_default": shown, **arguments})
