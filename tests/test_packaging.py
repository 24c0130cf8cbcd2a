"""What a stranger installs: the wheel and the sdist hold every module, in a clean environment."""

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
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in ("amr_edge", "training", "export", "runtime"):
        # Links are left out, as a checkout on Windows has none: the package map must do without them.
        links = {path.name for path in (ROOT / name).iterdir() if path.is_symlink()}
        ignored = shutil.ignore_patterns("__pycache__", *links)
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    run(sys.executable, "-m", "build", "--outdir", out, source, cwd=source)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_every_module_is_in_it_and_imports_in_a_clean_environment(kind: str, built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob(kind)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    # The environment holds nothing but the archive; what it depends on is lent by ours, whose own editable install
    # is not: a path that a .pth file adds is not searched for further .pth files.
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (packages / "lent.pth").write_text("\n".join(site.getsitepackages()) + "\n")
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
    assert {"amr_edge/py.typed", "amr_edge/runtime/playback.html", "amr_edge/runtime/ui/page.js"} <= set(wanted)
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        assert set(wanted) - set(archive.namelist()) == set()
    with tarfile.open(sdist) as archive:
        assert set(wanted.values()) - {name.partition("/")[2] for name in archive.getnames()} == set()
