"""The field's standard terms: words that have one are not used in source, messages or docs."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Not used -> what the field says. Parts of identifiers count, too: `last_told_s`.
TERMS = {
    "told": "reported, emitted, logged, predicted",
    "said": "reported, stated",
    "asked": "requested, queried, given",
    "taught": "trained",
    "somebody": "a person, a user",
    "nobody": "no person, no user",
    "whoever": "a caller, a user",
    "sighting": "frame, observation",
    "sightings": "frames, observations",
    "judged": "evaluated, scored",
    "from chance": "from scratch",
    "from nothing": "from scratch",
    "by chance": "random",
    "how sure": "confidence, calibrated probability",
    "in the box": "bundled",
    "false alarm": "false positive",
    "false alarms": "false positives",
    "bug of ours": "internal error",
    "lean graph": "optimised graph",
}
# A line with this comment reads what an earlier version wrote.
EARLIER = "written by earlier versions"
FOLDERS = ("amr_edge", "training", "export", "runtime", "docs", "benchmarks", "examples", "deploy")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml")
SUFFIXES = (".py", ".pyi", ".md", ".html", ".js", ".json", ".service", ".toml")


def files() -> list[Path]:
    """The files that a user or a contributor reads; stored results are numbers of earlier versions."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *FOLDERS, *PAGES],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [
        path
        for path in paths
        if path.suffix in SUFFIXES and path.is_file() and not path.is_symlink() and "results" not in path.parts
    ]


def pattern(term: str) -> re.Pattern[str]:
    """`term` as a word or as a part of a snake_case name, in any case."""
    return re.compile(rf"(?<![a-z]){re.escape(term)}(?![a-z])", re.IGNORECASE)


def test_a_term_is_found_in_names_and_across_case_and_not_inside_other_words() -> None:
    assert pattern("told").search("last_told_s")
    assert pattern("said").search("What is Said.")
    assert not pattern("told").search("untoldable stoldt")


@pytest.mark.parametrize("term", TERMS)
def test_words_with_a_standard_term_are_not_used(term: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern(term).search(line) and EARLIER not in line
    ]
    assert not found, f"'{term}' ({len(found)} times): the field says {TERMS[term]}\n" + "\n".join(found[:20])
