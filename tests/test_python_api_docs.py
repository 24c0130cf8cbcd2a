"""docs/python-api.md: every block of code on the page runs, in order; the table of commands is whole."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import amr_edge
from amr_edge.cli import VERBS
from amr_edge.data.readers import jsonl
from amr_edge.synthetic import continuous, subject

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
HARDWARE = "# needs a "  # a block that begins so is read, not run


@pytest.mark.slow
@pytest.mark.torch
def test_every_block_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the page trains a model, which needs torch")
    pytest.importorskip("onnxscript", reason="the page exports a model, which needs onnxscript")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__page__"}
    for number, block in enumerate(BLOCKS, 1):
        code = compile(block, f"docs/python-api.md, block {number}", "exec")
        if not block.startswith(HARDWARE):
            exec(code, names)
    assert names["run"].top1 >= 0  # type: ignore[attr-defined]
    assert Path(str(names["file"])).is_file()


def test_most_blocks_run_and_the_others_say_what_they_need() -> None:
    assert [block.splitlines()[0] for block in BLOCKS if block.startswith(HARDWARE)] == ["# needs a camera"]
    assert len(BLOCKS) >= 9


def test_the_page_names_no_verb_and_no_function_that_is_not_there() -> None:
    commands = PAGE[PAGE.index("## Commands and functions") :]
    assert set(re.findall(r"`amr-edge ([a-z]+)", commands)) <= set(VERBS)
    rows = [row.split("|") for row in commands.splitlines() if row.startswith("| ") and "---" not in row][1:]
    named = {name for row in rows for cell in row[2:4] for name in re.findall(r"`([A-Za-z_]+)`(?!:|,? `?[a-z])", cell)}
    functions = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row[2])}
    assert functions <= set(amr_edge.__all__)
    assert {name for name in named if name[0].isupper()} <= set(amr_edge.__all__)
    imported = {
        name
        for block in BLOCKS
        for line in re.findall(r"^from amr_edge import (.*)$", block, flags=re.MULTILINE)
        for name in line.split(", ")
    }
    assert imported <= set(amr_edge.__all__)


@pytest.fixture
def example(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """example(*arguments): examples/follow.py, run as a person would."""
    jsonl.write(tmp_path / "walk.jsonl", continuous(subject(2, 0), np.random.default_rng(0), seconds=5.0))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "examples" / "follow.py"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_the_example_refuses_in_a_sentence(example: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    wrong = example("walk.jsonl", "nowhere.onnx")
    assert wrong.returncode == 4
    assert "nowhere.onnx: there is no such model file" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert example().returncode == 2
