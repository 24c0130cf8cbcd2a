"""Click options made from the fields of an options class, and the class built from what click parsed."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from amr_edge import click_options
from amr_edge.settings import parse_settings
from amr_edge.training.tasks.options import TaskOptions

Options = TypeVar("Options", bound=TaskOptions)
Callback = Callable[..., Any]


def options_of(kind: type[TaskOptions]) -> Callable[[Callback], Callback]:
    """Decorate a callback with the options of `kind` and with --json."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
    return lambda function: click_options.options_of(kind)(as_json(function))


def build(kind: type[Options], values: dict[str, Any]) -> Options:
    """The options that click parsed; `--set` becomes a mapping.

    Raises:
        ConfigError: If a setting has no "=", or options contradict each other.
    """
    return kind(**{**values, "settings": parse_settings(values["settings"])})
