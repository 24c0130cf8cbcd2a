"""docs/extending.md by the letter: its files written into a copy of the source tree, its lines added, its tests run."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
# What a section may need beyond the core: it is skipped where that is not installed.
NEEDS = {"A backbone": "torch", "A pre-training objective": "torch"}


@dataclass(frozen=True)
class Section:
    """One `## ` chapter of the page: (language, path, text) of its blocks, in order."""

    title: str
    blocks: tuple[tuple[str, str, str], ...]


def sections() -> list[Section]:
    """The chapters that have listings."""
    found = []
    for chapter in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        title, _, body = chapter.partition("\n")
        blocks = re.findall(r"^```(python|diff)\n# (\S+)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
        found.append(Section(title, tuple(blocks)))
    return found


def insert(text: str, change: str, where: str) -> str:
    """Apply a diff block: its context lines are found as they stand, its + lines come after or between them."""
    before = "".join(line[1:] for line in change.splitlines(keepends=True) if not line.startswith("+"))
    after = "".join(line[1:] for line in change.splitlines(keepends=True) if not line.startswith("-"))
    assert text.count(before) == 1, f"{where}: the context of the page stands there {text.count(before)} times"
    return text.replace(before, after)


@pytest.mark.slow
@pytest.mark.parametrize("section", sections(), ids=lambda section: section.title)
def test_the_files_lines_and_tests_of_a_section_work(section: Section, tmp_path: Path) -> None:
    if section.title in NEEDS:
        pytest.importorskip(NEEDS[section.title])
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("amr_edge", "training", "export", "runtime"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    new, tests = [], []
    for language, path, text in section.blocks:
        place = tmp_path / path
        if language == "diff":
            place.write_text(insert(place.read_text(encoding="utf-8"), text, path), encoding="utf-8")
            continue
        assert not (ROOT / path).exists(), f"{path} is in the tree already"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        (tests if path.startswith("tests/") else new).append(path)
    assert tests, f"{section.title}: the section has no test"
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_the_page_has_a_section_for_each_kind() -> None:
    titles = [section.title for section in sections()]
    assert len(titles) == len(set(titles))
    assert {"An engine", "A source", "A sink", "A pose estimator"} <= set(titles)
