"""The README's commands are the ones that are run."""

import re
from pathlib import Path

from amr_edge.cli import VERBS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = re.findall(r"^(python3 -m venv .*\.ci/check)$", README, flags=re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert command in ci.replace("install -q", "install")


def commands(page: Path) -> set[str]:
    """The verbs of the commands in a page's code, in blocks and in lines."""
    text = page.read_text(encoding="utf-8")
    code = text.split("```")[1::2] + re.findall(r"`(amr-edge [^`]*)`", text)
    return {verb for part in code for verb in re.findall(r"(?:^|&& |\$ )amr-edge ([a-z]+)", part, flags=re.MULTILINE)}


def test_every_command_in_the_docs_exists() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert not {verb for page in pages for verb in commands(page)} - set(VERBS)


def test_every_verb_is_in_the_readme() -> None:
    assert not [verb for verb in VERBS if f"amr-edge {verb}" not in README]


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
