"""What is said when an optional package is missing, found out without importing it."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from amr_edge.errors import MissingError
from amr_edge.optional_dependencies import EXTRAS, require

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.parametrize("extra", list(EXTRAS))
def test_an_extra_that_is_installed_is_not_refused(extra: str) -> None:
    if any(find_spec(module) is None for module in EXTRAS[extra]):
        pytest.skip(f"the extra '{extra}' is not installed here")
    require(extra, "this test")


def test_a_missing_package_is_named_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "train", ("numpy", "no_such_package"))
    with pytest.raises(MissingError) as refusal:
        require("train", "`amr-edge train`")
    sentence = str(refusal.value)
    assert sentence.startswith("`amr-edge train` needs no_such_package, which is not installed")
    assert 'pip install "amr-edge[train]"' in sentence
    assert "numpy" not in sentence
    assert refusal.value.exit_code == 3


def test_two_missing_packages_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "train", ("no_such_package", "nor_this_one"))
    with pytest.raises(MissingError, match="no_such_package, nor_this_one, which are not installed"):
        require("train", "this test")


def test_finding_out_imports_nothing() -> None:
    modules = {module for names in EXTRAS.values() for module in names if find_spec(module)}
    program = (
        "import sys\nfrom amr_edge.errors import MissingError\n"
        "from amr_edge.optional_dependencies import EXTRAS, require\n"
        "for extra in EXTRAS:\n"
        "    try: require(extra, 'this')\n"
        "    except MissingError: pass\n"
        f"print(sorted(set(sys.modules) & {modules!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_extra_that_is_recommended_can_be_installed() -> None:
    # Python 3.10 has no reader of TOML; the table is plain enough for a pattern.
    table = PYPROJECT.read_text().split("[project.optional-dependencies]")[1].split("\n[")[0]
    offered = set(re.findall(r"^(\w+) = \[", table, flags=re.MULTILINE))
    assert set(EXTRAS) <= offered
