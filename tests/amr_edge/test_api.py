"""`from amr_edge import ...`: what there is, what it costs, and that type checkers see the same."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import amr_edge

PACKAGE = Path(amr_edge.__file__).parent
HEAVY = ("torch", "onnx", "onnxscript", "safetensors", "onnxruntime", "cv2", "mediapipe", "scipy", "matplotlib")


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def stub() -> dict[str, str]:
    """{name: the module it comes from} by the stub that type checkers read."""
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert all(alias.asname == alias.name for node in imports for alias in node.names)
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_the_stub_and_the_table_say_the_same() -> None:
    assert stub() == amr_edge._WHERE


def test_all_names_what_there_is_and_dir_shows_it() -> None:
    assert set(amr_edge.__all__) == {*stub(), "__version__"}
    assert len(amr_edge.__all__) == len(set(amr_edge.__all__))
    assert set(amr_edge.__all__) <= set(dir(amr_edge))


@pytest.mark.parametrize("name", sorted(stub()))
def test_every_name_is_what_its_module_defines_and_explains(name: str) -> None:
    found = getattr(amr_edge, name)
    assert found is getattr(import_module(stub()[name]), name)
    if name != "LiveRecord":  # a union has no docstring of its own
        assert len(found.__doc__ or "") > 20


@pytest.mark.parametrize("name", sorted(stub()))
def test_no_name_is_hidden_by_a_module_of_the_package(name: str) -> None:
    # A sub-module that is imported becomes an attribute of its package and would take the name's place.
    assert not (PACKAGE / f"{name}.py").exists()
    assert not (PACKAGE / name).exists()


def test_the_package_is_imported_without_numpy_and_its_names_without_anything_heavy() -> None:
    code = f"""
import sys
import amr_edge
print("numpy" in sys.modules, len([name for name in sys.modules if name.startswith("amr_edge")]))
from amr_edge import *
print(sorted(set({HEAVY!r}) & set(sys.modules)), load.__module__, train.__module__)
"""
    assert fresh(code).splitlines() == ["False 1", "[] amr_edge.runtime.pipeline.api_model amr_edge.training.tasks.api"]


def test_a_name_that_is_not_there_is_an_attribute_error_and_an_import_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'recognize'"):
        _ = amr_edge.recognize  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="recognize"):
        exec("from amr_edge import recognize", {})


def test_without_torch_training_is_refused_with_the_line_to_type_and_loading_still_works() -> None:
    code = """
import sys
from importlib.abc import MetaPathFinder
import importlib.util
class Without(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "safetensors", "onnx"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in ("torch", "safetensors", "onnx") else real(name, *a)
from amr_edge import MissingError, ReadError, distill, evaluate, export_onnx, load, pretrain, train
for call in (lambda: train("x.npz"), lambda: pretrain("x.npz"), lambda: distill("r"), lambda: export_onnx("r"),
             lambda: evaluate("weights.safetensors", data="x.npz")):
    try:
        call()
    except MissingError as refusal:
        assert 'pip install "amr-edge[' in str(refusal), refusal
    else:
        raise SystemExit("not refused")
try:
    load("nowhere.onnx")
except ReadError:
    print("refused")
"""
    assert fresh(code) == "refused"


USER = '''
"""What somebody writes who uses amr-edge, under mypy --strict."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import amr_edge
from amr_edge import PredictionRecord, EventRecord, Model, Recording, TrainResult, live, load, read, train


def label_of(model: Model, poses: NDArray[np.float32], times_s: NDArray[np.float64]) -> str | None:
    answers = model.predict(poses, times_s, "ntu25")
    return answers[-1].label if answers else None


def counted(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in live(path, load(budget=0.5)):
        if record.type == "event" and record.event == "end":
            found[record.label] = found.get(record.label, 0) + (record.reps or 1)
        elif isinstance(record, PredictionRecord):
            top: tuple[tuple[str, float], ...] = record.top
            print(top)
    return found


def learned(data: str) -> float:
    run: TrainResult = train(data, split="random", settings={"finetune.optim.epochs": 1})
    judged = amr_edge.evaluate(run)
    file: Path = amr_edge.export_onnx(run, precision="int8").path
    p99: float = amr_edge.bench(file).rows[0].latency_ms["p99"]
    print(judged.score.top1, p99, amr_edge.calibrate(file, "long.npz").after.f1)
    return run.top1


def first(path: str) -> Recording:
    return next(iter(read(path)))


def seen(model: Model, poses: NDArray[np.float32]) -> list[str]:
    frame = model.stream("coco17", units="px").push(0.0, poses)
    said: list[EventRecord] = []
    print(said)
    return [event.label for event in frame.events]


try:
    learned("mine.npz")
except amr_edge.AmrError as refusal:
    raise SystemExit(refusal.exit_code) from refusal
'''

WRONG = (
    USER
    + """
load(budgets=0.5)
label: int = load().classes
for record in live("0"):
    print(record.recording)
"""
)


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy --strict says about the two scripts, in one run that shares the checkout's cache."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    folder = tmp_path_factory.mktemp("user")
    for name, text in (("right", USER), ("wrong", WRONG)):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    # The checkout's own settings, which are strict: what CI's mypy has found out is not found out again.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(folder / "right.py"), str(folder / "wrong.py")],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_users_script_passes_mypy_strict(checked: str) -> None:
    assert not [line for line in checked.splitlines() if "right.py:" in line]


@pytest.mark.slow
def test_mypy_sees_a_users_mistakes(checked: str) -> None:
    wrong = [line for line in checked.splitlines() if "wrong.py:" in line]
    assert any('Unexpected keyword argument "budgets"' in line for line in wrong)
    assert any("Incompatible types in assignment" in line for line in wrong)
    assert any('has no attribute "recording"' in line for line in wrong)
