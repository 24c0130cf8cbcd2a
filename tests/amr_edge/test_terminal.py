"""What a person and a machine get to see."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.terminal import note, progress, table, to_json


def test_text_stands_left_and_numbers_stand_right() -> None:
    lines = table([["wave", 3, 0.5], ["clap", 120, 0.25]], ["class", "clips", "top1"]).splitlines()
    assert lines == ["class  clips  top1", "wave       3   0.5", "clap     120  0.25"]


def test_a_column_of_text_and_numbers_stands_left() -> None:
    assert table([["a", 1], ["b", "-"]], ["x", "y"]).splitlines() == ["x  y", "a  1", "b  -"]


def test_a_table_without_rows_is_its_header() -> None:
    assert table([], ["class", "clips"]) == "class  clips"


def test_no_line_of_a_table_ends_in_blanks() -> None:
    assert all(line == line.rstrip() for line in table([["a", "b"], ["cc", ""]], ["x", "long"]).splitlines())


def test_json_has_null_for_what_is_no_number_and_lists_for_arrays() -> None:
    value = {
        "nan": float("nan"),
        "inf": np.float32("inf"),
        "array": np.array([[1.0, np.nan]]),
        "integer": np.int64(3),
        "yes": np.bool_(True),
        "path": Path("a") / "b",
        "tuple": (1, None, True),
        7: "key",
    }
    assert json.loads(to_json(value)) == {
        "nan": None,
        "inf": None,
        "array": [[1.0, None]],
        "integer": 3,
        "yes": True,
        "path": str(Path("a") / "b"),
        "tuple": [1, None, True],
        "7": "key",
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_whatever_is_told_is_one_line_of_standard_json(value: Any) -> None:
    text = to_json(value)
    assert "\n" not in text
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_json_for_people_is_indented() -> None:
    assert to_json({"a": 1}, indent=2) == '{\n  "a": 1\n}'


def test_a_note_goes_to_stderr_and_leaves_stdout_to_answers(capsys: pytest.CaptureFixture[str]) -> None:
    note("reading")
    assert capsys.readouterr() == ("", "reading\n")


def test_progress_hands_on_every_item_and_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(range(5), label="reading") as items:
        assert list(items) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")
