"""Exporting, evaluating and measuring from Python give what the commands give, typed."""

import json
from pathlib import Path

import pytest

from amr_edge import CheckFailedError, ConfigError, MeasureConfig, bench, budget_curve, evaluate, export_onnx, load
from amr_edge.cli import run as command
from amr_edge.terminal import to_json
from amr_edge.training.engine.run_folder import RunFolder


@pytest.mark.slow
def test_a_run_is_exported_scored_and_measured(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    exported = export_onnx(run.folder)
    assert exported.path == run.folder / "export" / "model.onnx"
    assert exported.failures == []
    assert json.loads((run.folder / "export" / "export_report.json").read_text())["proven"] is True
    judged = evaluate(exported.path, engine="onnxruntime")
    assert judged.score.clips == 20
    assert judged.score.top1 == evaluate(run.folder).score.top1
    assert command(["evaluate", str(exported.path), "--engine=onnxruntime", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(to_json(judged.to_dict()))
    measured = budget_curve(run.folder, [0.5, 1])
    assert [point.share for point in measured.curve.points] == [1, 0.5]
    assert measured.in_card
    assert measured.picture == run.folder / "budget_curve.png"
    assert measured.picture.is_file()
    report = bench(
        exported.path,
        budgets=[1, 0.25],
        engines=["onnxruntime"],
        measure=MeasureConfig(seconds=0.02, count=5, warmup_s=0.01, turn_s=0.01),
    )
    assert [row.budget for row in report.rows] == [1, 0.25]
    assert [row.tokens for row in report.rows] == [
        load(exported.path, budget=share).session.tokens for share in (1, 0.25)
    ]
    assert report.rows[0].versus_first is None
    assert all(row.versus_first == row.line["versus_first"] for row in report.rows)
    assert all(row.latency_ms["min"] <= row.latency_ms["p50"] <= row.latency_ms["max"] for row in report.rows)
    assert [row.line for row in report.rows] == report.to_dict()["rows"]
    json.loads(to_json(report.to_dict()))


@pytest.mark.slow
def test_a_file_that_answers_differently_is_refused_and_kept_by_force_alone(run: RunFolder) -> None:
    with pytest.raises(CheckFailedError, match="was not kept"):
        export_onnx(run.folder, max_difference=-1.0)
    assert not (run.folder / "export" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda folder: export_onnx(folder, precision="fp8"), "no precision 'fp8'"),
        (lambda folder: evaluate(folder, engine="onnxruntime"), "answered by torch"),
        (lambda folder: budget_curve(folder, [0.0]), "share of the tokens"),
        (lambda folder: budget_curve(folder, "much"), "with commas between them"),
        (lambda folder: bench(folder, throughput=True, measure=MeasureConfig(pace_fps=30)), "choose one"),
        (lambda folder: bench(folder, people=[0]), "people and threads >= 1"),
    ],
)
def test_what_means_nothing_is_refused(run: RunFolder, call: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call(run.folder)  # type: ignore[operator]
    assert not Path(run.folder / "export").exists()


@pytest.mark.parametrize(
    ("option", "words"),
    [("--onnx", "expected a run folder or a checkpoint"), ("--trt", "an engine needs a fixed number of tokens")],
)
def test_export_finds_a_bundled_model_by_its_name(
    option: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(["export", "rehab8", option]) != 0
    message = capsys.readouterr().err
    assert "rehab8.onnx" in message
    assert words in message
