"""The curve is made of the same answers as every other road, its control is random, and it ends in the card."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.cli import run as amr_edge
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError
from amr_edge.export.convert.deploy_module import Deployed
from amr_edge.export.convert.onnx import write_onnx
from amr_edge.export.export_onnx import export_run
from amr_edge.export.verify.budget_curve import shares_of
from amr_edge.export.verify.budget_curve_plot import hide_all_but_random, keep_curve, measure_curve
from amr_edge.export.verify.evaluate import evaluate_file
from amr_edge.metrics import score
from amr_edge.preprocess import Clip
from amr_edge.runtime.inference.session import open_session
from amr_edge.training.config import EncoderConfig
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.token_selection import macs

SHARES = (1.0, 0.5, 0.1)
RNG = np.random.default_rng


def whole(run: RunFolder, store: Store) -> tuple[Clip, np.ndarray]:
    _, card = load_classifier(run.last)
    clips = Clips(store, store.subjects == 2, card.prepare, card.persons)
    return clips.whole(np.arange(len(clips))), clips.labels


@pytest.mark.slow
def test_torch_and_the_file_choose_the_same_tokens_on_every_budget(
    run: RunFolder, store: Store, tmp_path: Path
) -> None:
    model, card = load_classifier(run.last)
    path = write_onnx(model, card, tmp_path / "model.onnx")
    clips, _ = whole(run, store)
    deployed = Deployed(model, card)
    for tokens in (1, 2, 7, 33, 50, 99, 100):
        session = open_session(path, engine="onnxruntime", threads=1, budget=tokens / card.tokens)
        assert session.tokens == tokens
        with torch.inference_mode():
            clip, present = torch.from_numpy(clips.values), torch.from_numpy(clips.present)
            _, ours = deployed(clip, present, torch.arange(tokens))
        np.testing.assert_allclose(session.probs(clips.values, clips.present), ours.numpy(), atol=1e-5)


def test_a_full_budget_answers_as_the_model_that_knows_no_budgets(run: RunFolder, store: Store) -> None:
    model, card = load_classifier(run.last)
    clips, _ = whole(run, store)
    with torch.inference_mode():
        clip, present = torch.from_numpy(clips.values), torch.from_numpy(clips.present)
        logits, _ = Deployed(model, card)(clip, present, torch.arange(card.tokens))
        torch.testing.assert_close(logits, model(clip, present), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_a_file_with_its_budget_built_in_answers_as_the_one_that_is_asked_for_it(
    run: RunFolder, store: Store, tmp_path: Path
) -> None:
    model, card = load_classifier(run.last)
    free = open_session(write_onnx(model, card, tmp_path / "free.onnx"), engine="onnxruntime", budget=0.25)
    fixed_path = write_onnx(model, card, tmp_path / "fixed.onnx", tokens=25)
    fixed = open_session(fixed_path, engine="onnxruntime")
    assert (fixed.tokens, fixed.card.fixed_tokens, fixed.card.budget) == (25, 25, 0.25)
    clips, _ = whole(run, store)
    np.testing.assert_allclose(
        fixed.probs(clips.values, clips.present), free.probs(clips.values, clips.present), atol=1e-5
    )
    assert open_session(fixed_path, engine="onnxruntime", budget=0.25).tokens == 25
    with pytest.raises(ConfigError, match=r"always looks at 25 of 100 tokens; export it again"):
        open_session(fixed_path, engine="onnxruntime", budget=0.5)


@pytest.mark.parametrize("tokens", [0, 101])
def test_a_file_cannot_look_at_more_tokens_than_there_are(run: RunFolder, tmp_path: Path, tokens: int) -> None:
    model, card = load_classifier(run.last)
    with pytest.raises(ConfigError, match="1 to 100 tokens"):
        write_onnx(model, card, tmp_path / "model.onnx", tokens=tokens)


def test_an_absent_person_changes_no_answer_on_any_budget(run: RunFolder, store: Store) -> None:
    model, card = load_classifier(run.last)
    deployed = Deployed(model, card)
    clips, _ = whole(run, store)
    alone = torch.from_numpy(clips.values[:4, :1]), torch.from_numpy(clips.present[:4, :1])
    beside = tuple(torch.cat([part, torch.zeros_like(part)], dim=1) for part in alone)
    with torch.inference_mode():
        for tokens in (1, 10, 100):
            first, second = deployed(*alone, torch.arange(tokens)), deployed(*beside, torch.arange(tokens))
            torch.testing.assert_close(first[1], second[1], atol=1e-6, rtol=0)


@pytest.mark.slow
def test_the_curve_of_a_checkpoint_is_that_of_its_file(run: RunFolder) -> None:
    trained = measure_curve(run.folder, None, None, SHARES, RNG(0))
    path = export_run(run.folder).path
    assert measure_curve(path, None, None, SHARES, RNG(0)) == trained
    assert [point.tokens for point in trained.points] == [100, 50, 10]
    assert trained.points[0].top1 == trained.random_top1[0] == evaluate_file(run.folder, None, None).score.top1
    small = EncoderConfig(width=32, depth=2, heads=4)
    assert [point.macs for point in trained.points] == [macs(small, 100), macs(small, 50), macs(small, 10)]


@pytest.mark.slow
def test_a_point_of_the_curve_is_the_score_of_a_session_on_that_budget(run: RunFolder, store: Store) -> None:
    path = export_run(run.folder).path
    clips, labels = whole(run, store)
    probs = open_session(path, engine="onnxruntime", budget=0.1).probs(clips.values, clips.present)
    (point,) = measure_curve(path, None, None, (0.1,), RNG(0)).points
    assert point.top1 == score(probs, labels).top1


@given(seed=st.integers(0, 2**16), keep=st.integers(1, 12), holes=st.sampled_from([0.0, 0.05, 0.5, 1.0]))
@settings(deadline=None)
def test_the_control_shows_as_many_tokens_as_the_budget_and_only_existing_ones(
    seed: int, keep: int, holes: float
) -> None:
    rng = RNG(seed)
    present = rng.random((2, 2, 16, 3)) >= holes
    clips = Clip(np.where(present[..., None], rng.normal(size=(2, 2, 16, 3, 3)), 0).astype(np.float32), present)
    hidden = hide_all_but_random(clips, 4, keep, rng)
    before = present.reshape(2, 2, 4, 4, 3).all(axis=3)
    after = hidden.present.reshape(2, 2, 4, 4, 3).all(axis=3)
    assert (after <= before).all()
    np.testing.assert_array_equal(after.sum(axis=(2, 3)), np.minimum(before.sum(axis=(2, 3)), keep))
    np.testing.assert_array_equal(hidden.present.reshape(2, 2, 4, 4, 3).any(axis=3), after)  # no half tokens are left
    np.testing.assert_array_equal(hidden.values, np.where(hidden.present[..., None], clips.values, 0))


@pytest.mark.slow
def test_the_curve_is_kept_in_the_card_and_goes_into_the_next_export(run: RunFolder) -> None:
    curve = measure_curve(run.folder, None, None, SHARES, RNG(0))
    before, card = load_classifier(run.last)
    keep_curve(run, curve)
    after, kept = load_classifier(run.last)
    assert kept == replace(card, budget_curve=curve.points, focal_windows=(4, 8, 16))
    for name, weight in before.state_dict().items():
        assert torch.equal(weight, after.state_dict()[name])
    assert open_session(export_run(run.folder).path).card.budget_curve == curve.points


def test_the_command_measures_draws_and_keeps(run: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert amr_edge(["evaluate", str(run.folder), "--budgets", "0.1,1,0.5", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert [row["share"] for row in said["budgets"]] == [1.0, 0.5, 0.1]
    assert said["in_card"] is True
    assert (run.folder / "budget_curve.png").read_bytes().startswith(b"\x89PNG")
    assert len(load_classifier(run.last)[1].budget_curve) == 3


def test_a_dry_run_measures_and_writes_nothing(run: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}
    assert amr_edge(["evaluate", str(run.folder), "--budgets", "1,0.5", "--dry-run"]) == 0
    assert "dry run: the card was not changed" in capfd.readouterr().out
    assert {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()} == before


def test_a_curve_on_other_data_is_printed_but_not_written(
    run: RunFolder, store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "seen.png"
    options = ["--budgets", "1", "--data", str(store.path), "--split", "all", "--out", str(picture)]
    assert amr_edge(["evaluate", str(run.folder), *options]) == 0
    assert "not in the run's card" in capfd.readouterr().out
    assert picture.is_file()
    assert load_classifier(run.last)[1].budget_curve == ()


@pytest.mark.parametrize("text", ["", "1,,2", "half", "0", "1.5", "nan"])
def test_budgets_that_are_no_shares_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="budget"):
        shares_of(text)


@pytest.mark.slow
def test_an_export_is_proven_on_a_full_and_on_small_budgets(run: RunFolder) -> None:
    exported = export_run(run.folder)
    assert [(proof.share, proof.tokens) for proof in exported.proofs] == [(1.0, 100), (0.25, 25), (0.1, 10)]
    assert max(proof.parity.max_difference for proof in exported.proofs) < 1e-5
    report = json.loads((run.folder / "export" / "export_report.json").read_text())
    assert [(row["tokens"], row["proven"]) for row in report["budgets"]] == [(100, True), (25, True), (10, True)]
    assert "25 tokens" in exported.text()
