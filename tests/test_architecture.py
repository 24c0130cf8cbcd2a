"""Which package imports which, what is installed, what a fresh interpreter loads, how large things are."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = None

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "onnx", "onnxscript", "safetensors", "onnxruntime", "cv2", "mediapipe", "scipy", "matplotlib")


def modules() -> list[str]:
    """Every module of the package, by its import name."""
    found = []
    for folder, name in [("amr_edge", "amr_edge")] + [(p, f"amr_edge.{p}") for p in ("training", "export", "runtime")]:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if parts[0] in ("training", "export", "runtime", "__main__") and folder == "amr_edge":
                continue
            found.append(".".join([name, *(p for p in parts if p != "__init__")]))
    return found


def fresh(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that has imported nothing yet."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.skipif(tomllib is None, reason="Python 3.10 has no tomllib to read pyproject.toml with")
def test_the_package_list_equals_the_folders() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {"amr_edge"} | {
        ("amr_edge." if top != "amr_edge" else "") + ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("amr_edge", "training", "export", "runtime")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert set(packages) == folders
    assert len(packages) == len(set(packages))


def test_the_runtime_and_the_core_load_no_training_framework_and_the_commands_load_nothing_heavy() -> None:
    light = [name for name in modules() if not name.startswith(("amr_edge.training", "amr_edge.export"))]
    assert "amr_edge.runtime.pipeline.recognizer" in light
    code = f"""
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = fresh(code, *light)
    assert done.stdout.strip() == "[]", done.stderr


def test_every_command_shows_its_help_without_loading_anything_heavy() -> None:
    code = f"""
import sys
from amr_edge.cli import VERBS, run
for verb in VERBS:
    assert run([verb, "--help"]) == 0, verb
print("loaded", sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = fresh(code)
    assert done.stdout.strip().splitlines()[-1] == "loaded []", done.stdout[-500:] + done.stderr


def test_training_knows_no_runtime_and_the_runtime_knows_no_training() -> None:
    for folder, stranger in (("training", "amr_edge.runtime"), ("runtime", "amr_edge.training")):
        for path in (ROOT / folder).rglob("*.py"):
            assert stranger not in path.read_text(encoding="utf-8"), path


def test_the_files_that_the_architecture_page_names_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    questions = dict(re.findall(r"^\| ([^|]+\?) \| `([^`]+)` \|$", page, re.MULTILINE))
    assert len(questions) == 12
    assert [path for path in questions.values() if not (ROOT / path).is_file()] == []
    folders = re.findall(r"`((?:[a-z_0-9]+/)+)`", page)
    tops = ("amr_edge", "training", "export", "runtime")
    assert [folder for folder in folders if not any((ROOT / top / folder).is_dir() for top in ("", *tops))] == []


def source_files() -> list[Path]:
    """Every source file of the four packages, once."""
    return [
        path
        for top in ("amr_edge", "training", "export", "runtime")
        for path in sorted((ROOT / top).rglob("*.py"))
        if not any(part.is_symlink() for part in path.parents if part != ROOT)
    ]


def test_a_folder_holds_about_a_dozen_modules_and_its_docstring_what_belongs_there() -> None:
    folders = {path.parent for path in source_files()}
    crowded = {
        str(folder.relative_to(ROOT)): count
        for folder in folders
        if (count := len([path for path in folder.glob("*.py") if not path.name.startswith("__")])) > 15
    }
    assert crowded == {}
    for folder in folders:
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert text, folder


def test_module_docstrings_are_statements() -> None:
    for path in source_files():
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert text, path
        assert "?" not in text.split("\n\n")[0], path


def test_functions_are_short_and_take_few_parameters_except_at_the_command_line() -> None:
    long, wide = [], []
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > 80:
                long.append(f"{where} ({lines} lines)")
            arguments = node.args
            named = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            count = len([name for name in named if name not in ("self", "cls")])
            command = any("click." in ast.unparse(decorator) for decorator in node.decorator_list)
            if count > 8 and not command:
                wide.append(f"{where} ({count} parameters)")
    assert long == []
    assert wide == []


def test_the_version_is_the_same_everywhere() -> None:
    from amr_edge import __version__

    stated = {
        name: re.findall(
            rf"^{key}\s*[=:]\s*\"?([0-9.]+[0-9])\"?", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE
        )
        for name, key in (("pyproject.toml", "version"), ("CITATION.cff", "version"))
    }
    assert stated == {"pyproject.toml": [__version__], "CITATION.cff": [__version__]}


def test_no_file_is_named_for_its_type_instead_of_its_job() -> None:
    bad = {"utils", "util", "misc", "helpers", "common", "base", "manager"}
    assert not [name for name in modules() if name.rsplit(".", 1)[-1] in bad]


def test_without_torch_training_ends_with_exit_code_3_and_the_line_to_type() -> None:
    code = """
import sys
from importlib.abc import MetaPathFinder
class Without(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "safetensors"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in ("torch", "safetensors") else real(name, *a)
from amr_edge.cli import run
sys.exit(run(["train", "--data", "x.npz"]))
"""
    done = fresh(code)
    assert done.returncode == 3
    assert 'pip install "amr-edge[train]"' in done.stderr
    assert "Traceback" not in done.stderr
