"""`amr-edge evaluate --engine` runs exported files on the engine that is named, and nothing else."""

import json

import pytest
from click.testing import CliRunner

from amr_edge.errors import ConfigError
from amr_edge.export.cli import evaluate
from amr_edge.export.convert.onnx import write_onnx
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import RunFolder


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.slow
def test_a_file_is_scored_on_the_engine_that_is_named(run: RunFolder, engine: str) -> None:
    pytest.importorskip(engine)
    path = write_onnx(*load_classifier(run.last), run.folder / "export" / "model.onnx")
    done = CliRunner().invoke(evaluate, [str(path), "--engine", engine, "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["clips"] == 20


def test_an_engine_cannot_answer_for_a_run_or_a_checkpoint(run: RunFolder) -> None:
    for path in (run.folder, run.last):
        with pytest.raises(ConfigError, match="is answered by torch"):
            CliRunner().invoke(evaluate, [str(path), "--engine", "onnxruntime"], catch_exceptions=False)


@pytest.mark.slow
def test_an_engine_of_no_name_is_refused(run: RunFolder) -> None:
    path = write_onnx(*load_classifier(run.last), run.folder / "export" / "model.onnx")
    with pytest.raises(ConfigError, match="there is no engine 'abacus'"):
        CliRunner().invoke(evaluate, [str(path), "--engine", "abacus"], catch_exceptions=False)
