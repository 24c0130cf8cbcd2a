"""Click options made from the fields of an options class, and the class built from what click parsed."""

from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from amr_edge.settings import parse_settings
from amr_edge.training.tasks.options import TaskOptions

Options = TypeVar("Options", bound=TaskOptions)
Callback = Callable[..., Any]


def options_of(kind: type[TaskOptions]) -> Callable[[Callback], Callback]:
    """Decorate a callback with the options of `kind` and with --json."""
    parameters = [parameter(each) for each in fields(kind)]
    parameters.append(click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."))

    def decorate(function: Callback) -> Callback:
        for parameter in reversed(parameters):
            function = parameter(function)
        return function

    return decorate


def parameter(each: "Field[Any]") -> Callable[[Callback], Callback]:
    """The click option, or argument, that a field declares."""
    meta = each.metadata
    kind: Any = click.Path(path_type=Path) if meta.get("path") else meta.get("type")
    if meta.get("argument"):
        return click.argument(each.name, type=kind, required=bool(meta.get("required")))
    flag = str(meta.get("flag", "--" + each.name.replace("_", "-")))
    if each.name == "settings":
        return click.option(flag, each.name, multiple=True, metavar=meta["metavar"], help=meta["help"])
    if isinstance(each.default, bool):
        return click.option(flag, each.name, is_flag=True, help=meta["help"])
    if meta.get("choices"):
        kind = click.Choice(list(meta["choices"]))
    elif meta.get("at_least") is not None:
        kind = click.IntRange(min=meta["at_least"])
    show: Any = meta.get("show_default", True) if each.default is not None else meta.get("show_default", False)
    return click.option(
        flag, each.name, default=each.default, type=kind, metavar=meta.get("metavar"), show_default=show,
        help=meta["help"],
    )  # fmt: skip


def build(kind: type[Options], values: dict[str, Any]) -> Options:
    """The options that click parsed; `--set` becomes a mapping.

    Raises:
        ConfigError: If a setting has no "=", or options contradict each other.
    """
    return kind(**{**values, "settings": parse_settings(values["settings"])})
