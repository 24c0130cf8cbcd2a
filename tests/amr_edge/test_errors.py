"""The tree of errors and the exit codes that scripts rely on."""

import pytest

from amr_edge import errors
from amr_edge.errors import AmrError

EVERY = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.AmrError, 1),
        (errors.CheckFailedError, 1),
        (errors.ConfigError, 2),
        (errors.MissingError, 3),
        (errors.DataError, 4),
        (errors.LayoutError, 4),
        (errors.ClipError, 4),
        (errors.ReadError, 4),
        (errors.CardError, 4),
    ],
)
def test_an_error_ends_a_command_with_the_documented_code(error: type[AmrError], code: int) -> None:
    assert error("why").exit_code == code
    assert str(error("why")) == "why"


def test_every_error_hangs_in_the_tree_and_is_drawn_in_its_picture() -> None:
    for error in EVERY:
        assert issubclass(error, AmrError)
        assert error.__name__ in (errors.__doc__ or "")


def test_what_was_brought_to_us_can_be_caught_as_one() -> None:
    for error in (errors.LayoutError, errors.ClipError, errors.ReadError, errors.CardError):
        assert issubclass(error, errors.DataError)
