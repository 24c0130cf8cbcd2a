"""Options declared once, as fields of a frozen dataclass: the command line and Python both build it."""

from collections.abc import Callable
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from typing import Any

import click

Callback = Callable[..., Any]


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
    declared = [parameter(each) for each in fields(kind) if "help" in each.metadata]

    def decorate(function: Callback) -> Callback:
        for each in reversed(declared):
            function = each(function)
        return function

    return decorate


def parameter(each: "Field[Any]") -> Callable[[Callback], Callback]:
    """The click option, or argument, that a field declares in its metadata.

    `help`; `flags` or `flag` where the name of the field is not the option's; `path`, `choices` or `at_least` in place
    of a `type`; `argument` and `required` for an argument; what else `click.option` takes.
    """
    meta = dict(each.metadata)
    kind: Any = meta.pop("type", None)
    if meta.pop("path", False):
        kind = click.Path(path_type=Path)
    if (choices := meta.pop("choices", None)) is not None:
        kind = click.Choice(list(choices))
    if (least := meta.pop("at_least", None)) is not None:
        kind = click.IntRange(min=least)
    required = bool(meta.pop("required", False))
    if meta.pop("argument", False):
        return click.argument(each.name, type=kind, required=required)
    flag = meta.pop("flag", "--" + each.name.replace("_", "-"))
    flags = meta.pop("flags", ()) or (flag,)
    if isinstance(each.default, bool):
        return click.option(*flags, each.name, is_flag=True, **meta)
    default = None if each.default is MISSING else each.default
    meta.setdefault("show_default", default not in (None, ()))
    return click.option(*flags, each.name, default=default, type=kind, required=required, **meta)
