"""`amr-edge bench`: rows for every way of asking, reports in four forms, gates with exit code 1."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording, Span
from amr_edge.data.store import write_store
from amr_edge.errors import CheckFailedError
from amr_edge.runtime.bench import suggest
from amr_edge.runtime.bench.api import BenchOptions, run_benchmark
from amr_edge.runtime.bench.html_report import html_page
from amr_edge.runtime.bench.measure import MeasureConfig
from amr_edge.runtime.bench.models import RowSpec, load_models
from amr_edge.runtime.bench.throughput import measure_throughput
from amr_edge.runtime.cli import live

WriteModel = Callable[..., Path]
People = Callable[..., Recording]
Main = Callable[..., tuple[int, dict[str, Any], str]]
QUICK = ("--seconds", "0.05", "--warmup", "0.01", "--engine", "onnxruntime")


@pytest.fixture
def main(capfd: pytest.CaptureFixture[str]) -> Main:
    """main(model, ...) -> exit code, the report, stderr."""

    def call(*arguments: object) -> tuple[int, dict[str, Any], str]:
        capfd.readouterr()
        code = run(["bench", *map(str, arguments), "--json"])
        out, err = capfd.readouterr()
        return code, json.loads(out) if out else {}, err

    return call


def test_a_report_holds_its_numbers_what_was_timed_and_the_machine(main: Main, write_model: WriteModel) -> None:
    code, said, _ = main(write_model(), *QUICK, "--people", 2)
    assert code == 0
    assert (said["schema"], said["kind"], said["trimmed"]) == (2, "amr-edge bench", "nothing")
    assert "included" in said["transfers"]
    (row,) = said["rows"]
    assert row["shape"] == [2, 1, 16, 20, 3]
    ms = row["latency_ms"]
    assert 0 < ms["min"] <= ms["p50"] <= ms["p90"] <= ms["p95"] <= ms["p99"] <= ms["max"]
    assert row["count"] >= 100
    assert sum(row["distribution"]["counts"]) == row["count"]
    assert row["answers_per_s"] == pytest.approx(2 * row["runs_per_s"], rel=1e-3)
    assert (row["engine"], row["providers"], row["threads"]) == ("onnxruntime", ["CPUExecutionProvider"], 1)
    assert len(row["file_sha256"]) == len(row["card_sha256"]) == 64
    assert {"cpu", "cores", "governor", "memory_mb", "versions", "revision", "jetson", "nvidia"} <= set(said["context"])
    assert row["valid"] == (not row["reasons"])


def test_every_model_and_number_of_people_has_a_row(main: Main, write_model: WriteModel) -> None:
    _, said, _ = main(write_model(name="a.onnx"), write_model(name="b.onnx"), *QUICK, "--people", "1,3")
    assert [row["name"] for row in said["rows"]] == ["a, 1 person", "a, 3 people", "b, 1 person", "b, 3 people"]
    assert said["rows"][0]["versus_first"] is None


def test_a_model_against_itself_is_named_apart(main: Main, write_model: WriteModel) -> None:
    model = write_model()
    _, said, _ = main(model, model, *QUICK)
    assert [row["name"] for row in said["rows"]] == ["model #1", "model #2"]


def test_a_paced_run_says_its_pace(main: Main, write_model: WriteModel) -> None:
    _, said, _ = main(write_model(), "--engine", "onnxruntime", "--pace", 400, "--seconds", 0, "--warmup", 0)
    (row,) = said["rows"]
    assert (row["mode"], row["pace_fps"], row["runs_per_s"]) == ("paced", 400, 400)


def test_throughput_counts_all_callers(main: Main, write_model: WriteModel) -> None:
    _, said, _ = main(write_model(), *QUICK, "--throughput")
    (row,) = said["rows"]
    assert row["mode"] == "throughput"
    # The last runs end after the time is up, so the rate is a little below the count over the time.
    assert 0 < row["runs_per_s"] <= row["count"] / 0.05 * 1.001


def test_callers_work_at_the_same_time_and_a_refusal_ends_them() -> None:
    timed, rate = measure_throughput([lambda: time.sleep(0.01)] * 4, seconds=0.3, warmup_s=0.0, now=time.perf_counter)
    assert rate > 200  # one after the other would be 100 a second
    assert len(timed.times_ms) > 60

    def refuse() -> None:
        raise CheckFailedError("no")

    with pytest.raises(CheckFailedError, match="no"):
        measure_throughput([refuse], seconds=1.0, warmup_s=0.0, now=time.perf_counter)


def test_reports_are_written_in_every_form_and_read_back(
    main: Main, write_model: WriteModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, out = write_model(), tmp_path / "deep" / "r.json"
    files = ("--out", out, "--markdown", tmp_path / "r.md", "--html", tmp_path / "r.html")
    code, said, _ = main(model, *QUICK, *files)
    assert code == 0
    assert json.loads(out.read_text())["rows"] == said["rows"]
    assert (tmp_path / "r.md").read_text().startswith("| model | engine |")
    html = (tmp_path / "r.html").read_text()
    assert html.count("<svg") >= 1
    assert "http" not in html.replace("https://pypi", "")
    code, again, _ = main(model, *QUICK, "--compare", out)
    assert code == 0
    assert again["compared"][0]["old_p50_ms"] == said["rows"][0]["latency_ms"]["p50"]


def test_a_gate_that_cannot_hold_ends_with_1_after_the_report(main: Main, write_model: WriteModel) -> None:
    code, said, err = main(write_model(), *QUICK, "--max-p99", "0.000001ms")
    assert code == 1
    assert said["rows"]
    assert "the gate is closed" in err


def labelled(people: People, tmp_path: Path, count: int = 12) -> Path:
    rng = np.random.default_rng(0)
    recordings = [people(rng, label=("none", "wave", "sit")[k % 3], subject=k % 4 + 1) for k in range(count)]
    write_store(tmp_path / "s.npz", recordings, dataset="made", terms="none")
    return tmp_path / "s.npz"


def test_accuracy_stands_beside_the_latency(
    main: Main, write_model: WriteModel, people: People, tmp_path: Path
) -> None:
    store = labelled(people, tmp_path)
    _, said, _ = main(write_model(), *QUICK, "--data", store, "--split", "all")
    found = said["rows"][0]["accuracy"]
    assert (found["clips"], found["split"], found["store"]) == (12, "all", "s.npz")
    assert 0 <= found["top1"] <= 1
    _, halved, _ = main(write_model(), *QUICK, "--data", store, "--split", "random:0.5")
    assert 3 <= halved["rows"][0]["accuracy"]["clips"] < 12


def test_accuracy_without_a_split_is_refused_because_it_would_be_that_of_what_was_learned(
    main: Main, write_model: WriteModel, people: People, tmp_path: Path
) -> None:
    code, _, err = main(write_model(), *QUICK, "--data", labelled(people, tmp_path))
    assert code == 2
    assert "--split" in err


def test_the_whole_chain_is_timed_by_stages(
    main: Main, write_model: WriteModel, people: People, tmp_path: Path
) -> None:
    jsonl.write(tmp_path / "a.jsonl", people(np.random.default_rng(0), seconds=3.0))
    _, said, _ = main(write_model(), *QUICK, "--e2e", tmp_path / "a.jsonl")
    chain = said["chain"]
    assert set(chain["stages"]) == {"capture", "prepare", "infer", "total"}
    assert (chain["frames"], chain["answers"]) == (91, 9)
    assert chain["stages"]["total"]["p50"] >= chain["stages"]["infer"]["p50"]


def test_action_latency_is_measured_on_labelled_stretches(
    main: Main, write_model: WriteModel, card_of: Callable[..., Card], people: People, tmp_path: Path
) -> None:
    spans = (Span(2.0, 4.0, "wave"), Span(5.0, 7.0, "sit"))
    jsonl.write(tmp_path / "a.jsonl", people(np.random.default_rng(0), seconds=8.0, spans=spans))
    model = write_model(card_of(threshold=0.0, none_class=None))
    code, said, _ = main(model, *QUICK, "--action-latency", tmp_path / "a.jsonl")
    assert code == 0
    assert said["action_latency"]["actions"] == 2
    assert said["action_latency"]["detected"] + said["action_latency"]["missed"] == 2


def test_a_suggestion_names_the_command_and_none_fits_is_said(main: Main, write_model: WriteModel) -> None:
    model = write_model()
    code, said, _ = main(model, *QUICK, "--suggest", "--target-ms", 10_000)
    assert code == 0
    assert said["suggested"]["live"].startswith(f"amr-edge live {model} --source 0 --threads ")
    code, _, err = main(model, *QUICK, "--suggest", "--target-ms", 0.000001)
    assert code == 1
    assert "nothing answers within" in err


def fit(name: str, p99: float, **more: Any) -> dict[str, Any]:
    ms = {"p50": p99 * 0.9, "p99": p99, "max": p99 * 2}
    plain = {"precision": "fp32", "budget": 1.0, "threads": 1, "valid": True, "accuracy": None, "stated_top1": None}
    return {"name": name, "latency_ms": ms, **plain, **more}


def test_the_most_accurate_that_keeps_the_time_is_suggested_and_of_equals_the_faster() -> None:
    slow = fit("slow", 30, accuracy={"top1": 0.99})
    good, equal = fit("good", 15, accuracy={"top1": 0.95}), fit("equal", 9, accuracy={"top1": 0.951})
    poor = fit("poor", 1, accuracy={"top1": 0.50})
    assert suggest.best([slow, good, equal, poor], 20)["name"] == "equal"
    assert suggest.best([slow, good, equal, poor], 40)["name"] == "slow"
    with pytest.raises(CheckFailedError, match="poor"):
        suggest.best([slow, poor], 0.5)


def test_without_any_accuracy_more_tokens_and_full_precision_are_suggested() -> None:
    rows = [fit("half", 3, budget=0.5), fit("all", 9), fit("int8", 2, precision="int8")]
    assert suggest.best(rows, 20)["name"] == "all"


def test_a_second_core_must_be_worth_it() -> None:
    assert suggest.best([fit("two", 9.95, threads=2), fit("one", 10.0)], 20)["name"] == "one"
    assert suggest.best([fit("two", 6.0, threads=2), fit("one", 10.0)], 20)["name"] == "two"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing.onnx"], 4, "no such model file"),
        (["MODEL", "--threads", "0"], 2, "--threads"),
        (["MODEL", "--people", "1,x"], 2, "numbers with commas"),
        (["MODEL", "--people", "0"], 2, "people"),
        (["MODEL", "--engine", "abacus"], 2, "no engine 'abacus'"),
        (["MODEL", "--suggest"], 2, "--target-ms"),
        (["MODEL", "--max-regression", "5%"], 2, "--compare"),
        (["MODEL", "--max-p99", "soon"], 2, "20ms"),
        (["MODEL", "--pace", "30", "--throughput"], 2, "choose one"),
        (["MODEL", "--compare", "nothing.json"], 4, "cannot be read"),
        (["MODEL", "--data", "nothing.npz"], 4, "nothing.npz"),
        ([], 2, "MODEL"),
    ],
)
def test_what_cannot_be_is_refused_with_its_exit_code(
    main: Main, write_model: WriteModel, arguments: list[str], code: int, sentence: str
) -> None:
    model = str(write_model())
    got, said, err = main(*(model if argument == "MODEL" else argument for argument in arguments), *QUICK[:4])
    assert (got, said) == (code, {})
    assert sentence in err
    assert "bug of ours" not in err


def test_people_get_a_table_and_the_next_command(write_model: WriteModel, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", str(write_model()), *QUICK]) == 0
    out = capfd.readouterr().out.splitlines()
    assert "VALID" in out[1]
    assert out[-1].startswith("next: amr-edge live ")


def test_a_page_shows_power_and_the_frontier_when_they_are_known(main: Main, write_model: WriteModel) -> None:
    _, said, _ = main(write_model(name="a.onnx"), write_model(name="b.onnx"), *QUICK)
    for row, top1 in zip(said["rows"], (0.9, 0.8), strict=True):
        row["stated_top1"] = top1
        row["name"] = "<b>" + row["name"]
    said["power_trace"] = {"times_s": [0.0, 0.5, 1.0], "watts": {"VDD_IN": [None, 5.0, 6.0]}}
    html = html_page(said)
    assert html.count("<svg") == 3
    assert "<b>a" not in html


@pytest.mark.slow
def test_two_identical_models_compare_as_equal_in_nine_of_ten_runs(main: Main, write_model: WriteModel) -> None:
    model, same = write_model(), 0
    for _ in range(10):
        _, said, _ = main(model, model, "--engine", "onnxruntime", "--seconds", 1, "--warmup", 0.1, "--turn", 0.02)
        same += said["rows"][1]["versus_first"]["same"]
    assert same >= 9


def test_the_suggested_command_uses_options_that_live_has() -> None:
    row = {**fit("a", 1.0), "requested_engine": "onnxruntime", "requested_budget": 0.5}
    typed = suggest.live_command(row, Path("model.onnx")).split()
    known = {name for option in live.params for name in option.opts}
    assert typed[:2] == ["amr-edge", "live"]
    assert {word for word in typed if word.startswith("--")} <= known
    assert "--engine" not in suggest.live_command(row, Path("model.engine"))


@pytest.mark.parametrize("slowed", [0, 1])
def test_a_machine_that_is_slowed_down_makes_every_row_invalid_and_a_board_tells_joules(
    write_model: WriteModel, jetson_tree: Callable[..., Path], slowed: int
) -> None:
    root = jetson_tree("orin-nano", slowed=slowed)
    subjects = load_models([RowSpec(path=write_model(), engine="onnxruntime")], np.random.default_rng(0))
    options = BenchOptions(measure=MeasureConfig(seconds=0.3, warmup_s=0.0))
    said = run_benchmark(subjects, options, root=root)
    (row,) = said["rows"]
    throttled = [reason for reason in row["reasons"] if reason.startswith("throttled")]
    assert throttled == (["throttled: cpu-throttle-alert"] if slowed else [])
    assert not (slowed and row["valid"])
    assert said["context"]["jetson"]["power_mode_name"] == "25W"
    assert row["power"]["watts"] == row["power"]["idle_watts"] == pytest.approx(6.5)
    assert row["power"]["joules_per_inference"] == pytest.approx(6.5 * row["latency_ms"]["mean"] / 1e3, rel=0.2)
    assert said["power_trace"]["watts"]["VDD_IN"]
