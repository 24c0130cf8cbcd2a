import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.errors import CheckFailedError, ConfigError
from amr_edge.export.convert.onnx import save_onnx
from amr_edge.export.export_onnx import OnnxConfig, export_run, keep_if_proven
from amr_edge.export.verify.evaluate import evaluate_file
from amr_edge.export.verify.parity import Limits
from amr_edge.runtime.inference.session import open_session
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import RunFolder


@pytest.mark.slow
def test_an_exported_run_is_proven_on_its_test_clips_and_carries_its_card(run: RunFolder) -> None:
    exported = export_run(run.folder)
    assert exported.path == run.folder / "export" / "model.onnx"
    assert exported.parity.clips == 20
    assert exported.parity.max_difference < 1e-5
    assert exported.parity.agreement == 1
    report = json.loads((run.folder / "export" / "export_report.json").read_text())
    assert report["proven"] is True
    _, card = load_classifier(run.last)
    assert open_session(run.folder).card == card
    assert [p.name for p in exported.path.parent.iterdir() if p.suffix == ".onnx"] == ["model.onnx"]


@pytest.mark.slow
def test_the_file_is_one_file_of_the_opset_that_was_asked_for(run: RunFolder) -> None:
    exported = export_run(run.folder, OnnxConfig(opset=18))
    model = onnx.load(exported.path, load_external_data=False)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18
    assert not any(tensor.external_data for tensor in model.graph.initializer)


@pytest.mark.slow
def test_clips_and_persons_are_free_in_the_file(run: RunFolder) -> None:
    session = open_session(export_run(run.folder).path)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 3, 16, 25, 3)).astype(np.float32)
    present = np.ones(values.shape[:-1], dtype=np.bool_)
    together = session.probs(values, present)
    one_by_one = np.concatenate([session.probs(values[i : i + 1], present[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, one_by_one, atol=1e-6)
    assert session.probs(values[:1, :1], present[:1, :1]).shape == (1, 3)


def scale_head(model: onnx.ModelProto, factor: float) -> None:
    """Scale the weights of the head's first class, in the one matrix that joins 32 features and 3 classes."""
    (head,) = [t for t in model.graph.initializer if sorted(t.dims) == [3, 32]]
    weights = onnx.numpy_helper.to_array(head).copy()
    (weights if weights.shape[0] == 3 else weights.T)[0] *= np.float32(factor)
    head.CopyFrom(onnx.numpy_helper.from_array(weights, head.name))


@pytest.mark.slow
def test_a_model_that_was_broken_on_purpose_is_refused_and_leaves_no_file(run: RunFolder, store: Store) -> None:
    exported = export_run(run.folder)
    broken = exported.path.with_name("candidate.onnx")
    graph = onnx.load(exported.path)
    scale_head(graph, 1.02)
    save_onnx(graph, open_session(exported.path).card, broken)
    exported.path.unlink()
    model, card = load_classifier(run.last)
    clips = Clips(store, store.subjects == 2, card.prepare, card.persons)
    with pytest.raises(CheckFailedError, match="probability differs"):
        keep_if_proven(broken, exported.path, model, clips, OnnxConfig(limits=Limits()))
    assert not broken.exists()
    assert not exported.path.exists()
    assert json.loads(exported.path.with_name("export_report.json").read_text())["proven"] is False


@pytest.mark.slow
def test_a_file_that_answers_nan_is_refused(run: RunFolder, store: Store) -> None:
    exported = export_run(run.folder)
    graph = onnx.load(exported.path)
    scale_head(graph, np.nan)
    candidate = exported.path.with_name("candidate.onnx")
    save_onnx(graph, open_session(exported.path).card, candidate)
    model, card = load_classifier(run.last)
    clips = Clips(store, store.subjects == 2, card.prepare, card.persons)
    with pytest.raises(Exception, match="NaN"):
        keep_if_proven(candidate, exported.path, model, clips, OnnxConfig(limits=Limits()))
    assert not candidate.exists()


@pytest.mark.slow
def test_limits_that_cannot_be_met_leave_no_file_not_even_the_old_one(run: RunFolder) -> None:
    path = export_run(run.folder).path
    with pytest.raises(CheckFailedError, match="not kept"):
        export_run(run.folder, OnnxConfig(limits=Limits(probability=0.0, agreement=1.1)))
    assert not path.exists()


@pytest.mark.slow
def test_the_trained_and_the_exported_model_score_the_same(run: RunFolder) -> None:
    exported = export_run(run.folder)
    trained, deployed = evaluate_file(run.folder, None, None), evaluate_file(exported.path, None, None)
    assert trained.score.clips == 20
    assert trained.score.top1 == deployed.score.top1
    np.testing.assert_array_equal(trained.score.confusion, deployed.score.confusion)


@pytest.mark.slow
def test_a_bare_model_file_needs_to_be_told_what_to_be_judged_on(run: RunFolder, tmp_path: Path) -> None:
    lonely = tmp_path / "elsewhere" / "deep" / "model.onnx"
    lonely.parent.mkdir(parents=True)
    shutil.copy(export_run(run.folder).path, lonely)
    with pytest.raises(ConfigError, match="--data"):
        evaluate_file(lonely, None, None)
