"""The examples for other clients answer as our own session does: neither knows the other."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amr_edge.export.convert.onnx import write_onnx
from amr_edge.runtime.inference.session import open_session
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import RunFolder

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WRITTEN: dict[int | None, bytes] = {}  # the weights of `run` are always the same, and writing takes seconds


@pytest.fixture
def model(run: RunFolder, tmp_path: Path) -> Callable[[int | None], Path]:
    """model(tokens): a file with a fixed number of tokens, or with a free budget."""

    def put(tokens: int | None) -> Path:
        path = tmp_path / "model.onnx"
        if tokens not in WRITTEN:
            weights, card = load_classifier(run.last)
            WRITTEN[tokens] = write_onnx(weights, card, path, tokens=tokens).read_bytes()
        path.write_bytes(WRITTEN[tokens])
        return path

    return put


def poses(persons: int) -> np.ndarray:
    """(M, T, V, 3) with a joint that is never seen and one that is unseen for a while."""
    rng = np.random.default_rng(persons)
    clip = rng.normal(size=(persons, 16, 25, 3)).astype(np.float32)
    clip[:, :, 3] = np.nan
    clip[0, 4:9, 7] = np.nan
    return clip


def ours(path: Path, clip: np.ndarray, budget: float | None = None) -> np.ndarray:
    present = np.isfinite(clip).all(axis=-1)
    values = np.where(present[..., None], clip, np.float32(0))
    return open_session(path, engine="onnxruntime", budget=budget).probs(values[None], present[None])[0]


@pytest.mark.parametrize(("tokens", "budget"), [(None, None), (None, 0.25), (25, None)])
@pytest.mark.slow
def test_the_python_example_answers_as_our_session_does(
    tokens: int | None, budget: float | None, model: Callable[..., Path], tmp_path: Path
) -> None:
    path, clip = model(tokens), poses(2)
    np.save(tmp_path / "clip.npy", clip)
    words = [sys.executable, str(EXAMPLES / "infer.py"), str(path), str(tmp_path / "clip.npy")]
    done = subprocess.run(
        [*words, *([] if budget is None else [str(budget)])], capture_output=True, text=True, check=True
    )
    said = {name: float(p) for p, name in (line.split() for line in done.stdout.splitlines())}
    wanted = ours(path, clip, budget)
    np.testing.assert_allclose([said[name] for name in ("a", "b", "c")], wanted, atol=1e-6)
    assert list(said.values()) == sorted(said.values(), reverse=True)


def test_the_python_example_refuses_what_the_model_does_not_take(model: Callable[..., Path], tmp_path: Path) -> None:
    path = model(25)
    np.save(tmp_path / "long.npy", np.zeros((17, 25, 3), np.float32))
    np.save(tmp_path / "clip.npy", poses(1)[0])
    for words, reason in (
        ([tmp_path / "long.npy"], "got (1, 17, 25, 3)"),
        ([tmp_path / "clip.npy", "0.5"], "25 tokens"),
    ):
        line = [sys.executable, str(EXAMPLES / "infer.py"), str(path), *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


def test_the_python_example_is_short_and_imports_nothing_of_ours() -> None:
    source = (EXAMPLES / "infer.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    imported = {
        alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported == {"json", "sys", "numpy", "onnxruntime"}


def headers() -> Path | None:
    """The folder with ONNX Runtime's C++ header: ONNXRUNTIME_ROOT, or where systems install it."""
    places = [Path(os.environ.get("ONNXRUNTIME_ROOT", "none"), "include")]
    places += [Path(root, "include", "onnxruntime") for root in ("/usr", "/usr/local")]
    deeper = [place / "onnxruntime" for place in places] + [place / "core" / "session" for place in places]
    return next((place for place in (*places, *deeper) if (place / "onnxruntime_cxx_api.h").is_file()), None)


def library() -> Path | None:
    """The library: ONNXRUNTIME_ROOT, where systems install it, or the one inside the Python package."""
    import onnxruntime

    folders = [Path(os.environ.get("ONNXRUNTIME_ROOT", "none"), "lib")]
    folders += [Path(folder) for folder in ("/usr/lib", "/usr/local/lib")]
    folders += sorted(Path("/usr/lib").glob("*-linux-gnu"))
    folders += [Path(onnxruntime.__file__).parent / "capi"]
    found = [path for folder in folders for path in sorted(folder.glob("libonnxruntime.so*")) if path.is_file()]
    return found[0] if found else None


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The C++ example, compiled."""
    compiler, include, shared = shutil.which("g++") or shutil.which("clang++"), headers(), library()
    if compiler is None or include is None or shared is None:
        pytest.skip(
            f"the C++ example was NOT compiled: compiler {compiler}, headers {include}, library {shared}; "
            "set ONNXRUNTIME_ROOT to a release of ONNX Runtime with include/ and lib/"
        )
    # The loader asks for the name that stands inside the library.
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "libonnxruntime.so").symlink_to(shared)
    (folder / "libonnxruntime.so.1").symlink_to(shared)
    built = tmp_path / "infer"
    line = [compiler, "-std=c++17", "-Wall", str(EXAMPLES / "infer.cpp"), "-isystem", str(include)]
    line += ["-L", str(folder), "-lonnxruntime", f"-Wl,-rpath,{folder}", "-o", str(built)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    return built


def test_the_cpp_example_answers_as_our_session_does(model: Callable[..., Path], program: Path, tmp_path: Path) -> None:
    clip = poses(2)
    clip.tofile(tmp_path / "clip.f32")
    sizes = ["2", "16", "25"]
    for tokens, more, budget in ((None, [], 1.0), (None, ["25"], 0.25), (25, [], None)):
        path = model(tokens)
        line = [str(program), str(path), str(tmp_path / "clip.f32"), *sizes, *more]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        np.testing.assert_allclose([float(text) for text in done.stdout.split()], ours(path, clip, budget), atol=1e-6)


def test_the_cpp_example_refuses_a_short_clip_and_a_foreign_model_with_4(
    model: Callable[..., Path], program: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.f32"
    poses(2).tofile(clip)
    for arguments in ([model(25), clip, "3", "16", "25"], [clip, clip, "2", "16", "25"]):
        done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 4
        assert done.stderr
