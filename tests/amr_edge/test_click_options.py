"""Options declared as fields of a dataclass."""

from dataclasses import dataclass
from typing import Any

import click
import pytest
from click.testing import CliRunner

from amr_edge.click_options import option, options_of


@dataclass(frozen=True, kw_only=True)
class Base:
    limit_s: float | None = option(None, "Seconds.", "-l", "--limit", type=click.FloatRange(min=0))
    dry_run: bool = option(default=False, text="Change nothing.")
    note: str = "python only"


@dataclass(frozen=True, kw_only=True)
class More(Base):
    names: tuple[str, ...] = option((), "Names.", "--name", multiple=True)
    count: int = option(3, "How many.", type=click.IntRange(min=1))


def parsed(*words: str) -> Any:
    found: list[More] = []

    @click.command()
    @options_of(More)
    def command(**values: Any) -> None:
        found.append(More(**values))

    result = CliRunner().invoke(command, words)
    return found[0] if found else result.output


def test_the_command_line_and_python_have_the_same_defaults() -> None:
    assert parsed() == More()


def test_a_spelling_a_flag_and_a_repeated_option_reach_their_fields() -> None:
    expected = More(limit_s=2.5, dry_run=True, names=("a", "b"), count=4)
    assert parsed("-l", "2.5", "--dry-run", "--name=a", "--name=b", "--count=4") == expected


@pytest.mark.parametrize("words", [("--count=0",), ("--limit=-1",), ("--note=x",)])
def test_what_click_refuses_never_reaches_the_class(words: tuple[str, ...]) -> None:
    assert "Error" in parsed(*words)


def test_help_shows_defaults_that_are_values() -> None:
    text = parsed("--help")
    assert "[default: 3" in text
    assert text.count("default") == 1
    assert text.index("--limit") < text.index("--name")
