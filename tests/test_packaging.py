"""Packaging: the wheel and the sdist hold every module and install in a clean environment."""

import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout without symbolic links, as on Windows: the package map must do without them."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in ("amr_edge", "training", "export", "runtime"):
        links = {path.name for path in (ROOT / name).iterdir() if path.is_symlink()}
        ignored = shutil.ignore_patterns("__pycache__", *links)
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
        for link in links:  # git writes a link that it may not make as a file with its target
            (source / name / link).write_text(f"../{link}")
    return source


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, source, cwd=source)
    return out


def environment(folder: Path) -> Path:
    """The Python of a new environment that sees our dependencies, and not our own editable install.

    A path that a .pth file adds is not searched for further .pth files.
    """
    venv.create(folder, with_pip=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / "lent.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return folder / "bin" / "python"


@pytest.mark.slow
def test_a_checkout_without_symbolic_links_installs_editable_and_runs(source: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "env")
    run(python, "-m", "pip", "install", "-q", "--no-deps", "-e", source, cwd=tmp_path)
    code = (
        "import amr_edge.training.config as t, amr_edge.runtime.cli as r, amr_edge.export.cli as e; print(t.__file__)"
    )
    assert run(python, "-c", code, cwd=tmp_path).strip() == str(source / "training" / "config.py")
    assert "rehab8" in run(tmp_path / "env" / "bin" / "amr-edge", "model", "info", "rehab8", cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_every_module_is_in_it_and_imports_in_a_clean_environment(kind: str, built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob(kind)
    python = environment(tmp_path / "env")
    run(python, "-m", "pip", "install", "-q", "--no-deps", archive, cwd=tmp_path)
    code = """
import importlib, pkgutil, sys, warnings, amr_edge
warnings.simplefilter("ignore")
assert amr_edge.__file__.startswith(sys.prefix), amr_edge.__file__
names = [m.name for m in pkgutil.walk_packages(amr_edge.__path__, "amr_edge.") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(" ".join(names))
"""
    here = set(run(python, "-c", code, cwd=tmp_path).split())
    expected = set()
    for top in ("amr_edge", "training", "export", "runtime"):
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[0] == "amr_edge" and len(parts) > 1 and parts[1] in ("training", "export", "runtime"):
                continue
            parts = parts if parts[0] == "amr_edge" else ("amr_edge", *parts)
            expected.add(".".join(p for p in parts if p != "__init__"))
    assert expected - {"amr_edge", "amr_edge.__main__"} == here
    typed = run(
        python,
        "-c",
        "import amr_edge, pathlib; print(pathlib.Path(amr_edge.__path__[0], 'py.typed').exists())",
        cwd=tmp_path,
    )
    assert typed.strip() == "True"


NO_DATA = (".py", ".pyc")


def data_files() -> dict[str, str]:
    """Everything that lies beside the modules: {where it is installed: where it lies here}."""
    found = {}
    for top in ("amr_edge", "training", "export", "runtime"):
        links = [path for path in (ROOT / top).iterdir() if path.is_symlink()]
        for path in (ROOT / top).rglob("*"):
            inside = path.relative_to(ROOT)
            foreign = "__pycache__" in inside.parts or any(path.is_relative_to(link) for link in links)
            if path.is_file() and path.suffix not in NO_DATA and not foreign:
                installed = inside if top == "amr_edge" else Path("amr_edge") / inside
                found[installed.as_posix()] = inside.as_posix()
    return found


@pytest.mark.slow
def test_every_page_description_and_model_is_in_both(built: Path) -> None:
    wanted = data_files()
    assert {"amr_edge/py.typed", "amr_edge/runtime/render/playback.html", "amr_edge/runtime/ui/page.js"} <= set(wanted)
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        assert set(wanted) - set(archive.namelist()) == set()
    with tarfile.open(sdist) as archive:
        assert set(wanted.values()) - {name.partition("/")[2] for name in archive.getnames()} == set()
