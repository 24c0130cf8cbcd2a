import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from amr_edge.errors import MissingError
from amr_edge.runtime.pose import task_bundle
from amr_edge.runtime.pose.cli import pose

pytest.importorskip("mediapipe", reason="MediaPipe brings the schema of the bundles")
pytest.importorskip("flatbuffers")


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Callable[[int], bytes]) -> Path:
    """A .task file that somebody brought, and an empty cache."""
    monkeypatch.setenv("AMR_EDGE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "brought.task"
    path.write_bytes(task_bundle.assemble(tiny(2), tiny(5), where="the test"))
    return path


def run(*arguments: str) -> str:
    """What the command says on stdout."""
    result = CliRunner().invoke(pose, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_fetch_says_where_the_model_is_and_what_to_type_next(brought: Path, tmp_path: Path) -> None:
    said = run("fetch", "lite", "--from", str(brought))
    assert str(tmp_path / "cache" / "pose_landmarker_lite.task") in said
    assert said.splitlines()[-1] == "next: amr-edge live MODEL --source 0"
    assert "already here" not in said
    assert "already here" in run("fetch", "lite")


def test_fetch_as_json_is_one_object(brought: Path, tmp_path: Path) -> None:
    first = json.loads(run("fetch", "lite", "--from", str(brought), "--json"))
    second = json.loads(run("fetch", "lite", "--json"))
    assert first["fetched"] is True
    assert second == {**first, "fetched": False}
    assert first["path"] == str(tmp_path / "cache" / "pose_landmarker_lite.task")
    assert first["installed"] is True
    assert first["size"] == brought.stat().st_size


def test_list_shows_an_empty_cache_and_how_to_fill_it(brought: Path) -> None:
    said = run("list")
    assert said.count("not fetched") == 3
    assert said.splitlines()[-1] == "next: amr-edge pose fetch full"


def test_list_shows_what_is_ready_and_what_was_changed(brought: Path, tmp_path: Path) -> None:
    run("fetch", "lite", "--from", str(brought))
    run("fetch", "heavy", "--from", str(brought))
    (tmp_path / "cache" / "pose_landmarker_heavy.task").write_bytes(b"something else")
    states = {state["variant"]: state for state in json.loads(run("list", "--json"))["models"]}
    assert states["lite"]["installed"] is True
    assert states["lite"]["fault"] is None
    assert states["full"]["fault"] == "not fetched"
    assert "changed" in states["heavy"]["fault"]
    said = run("list")
    assert "ready" in said
    assert said.splitlines()[-1] == "next: amr-edge live MODEL --source 0"


def test_a_folder_without_the_models_is_missing(brought: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match=r"pose_detection\.tflite"):
        CliRunner().invoke(pose, ["fetch", "lite", "--from", str(tmp_path / "empty")], catch_exceptions=False)


def test_an_unknown_model_is_wrong_usage() -> None:
    assert CliRunner().invoke(pose, ["fetch", "tiny"]).exit_code == 2


def test_importing_the_command_loads_no_vision_package() -> None:
    program = """
import sys
import amr_edge.runtime.pose.cli, amr_edge.runtime.pose.mediapipe_tasks, amr_edge.runtime.sources.video
print([name for name in ("cv2", "mediapipe", "flatbuffers", "onnxruntime", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.strip() == "[]"
