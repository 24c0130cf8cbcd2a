import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from amr_edge.card import Card
from amr_edge.cli import run
from amr_edge.data.clips import Clips
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError
from amr_edge.preprocess import Clip, PrepareConfig
from amr_edge.training.config import EncoderConfig
from amr_edge.training.data.batch import to_batch
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.checkpoint import load_classifier, save_weights
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.predictions import FILE, load_predictions
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.tasks.linear_probe import Frozen, ProbeConfig, features_by_epoch, fit_linear
from amr_edge.training.tasks.predict import predict

CONFIG = EncoderConfig(width=16, depth=1, heads=2)
CARD = Card(name="tiny", kind="encoder", prepare=PrepareConfig(frames=16), encoder=asdict(CONFIG))
CPU = RunOptions(device=torch.device("cpu"))


def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(CONFIG, frames=16, joints=25)


def frozen(share: float = 1.0) -> Frozen:
    return Frozen(Classifier(encoder(), 2), CARD, share, CPU)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_weights(tmp_path / "tiny.safetensors", Classifier(encoder(), 2), CARD)
    return tmp_path / "tiny.safetensors"


def clouds(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds, far apart in one of eight features that is small beside the others."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    features = rng.normal(0, 1, (count, 8))
    features[:, 3] = (labels * 2 - 1) * 0.01 + rng.normal(0, 0.001, count) + 5
    return features.astype(np.float32), labels.astype(np.int64)


def test_the_norm_finds_a_small_feature_and_is_folded_into_the_layer_that_answers() -> None:
    features, labels = clouds()
    fitted = fit_linear(lambda _: features, labels, 2, ProbeConfig(epochs=60), seed=0)
    assert (fitted.probs(features).argmax(axis=1) == labels).all()
    assert fitted.epoch == 60
    assert fitted.rows[-1]["loss"] < fitted.rows[0]["loss"]


def test_without_the_norm_that_feature_is_too_small_to_be_found() -> None:
    features, labels = clouds()
    fitted = fit_linear(lambda _: features, labels, 2, ProbeConfig(epochs=60, norm="none", lr=0.01), seed=0)
    assert (fitted.probs(features).argmax(axis=1) == labels).mean() < 1


def test_a_fit_is_a_function_of_its_seed() -> None:
    features, labels = clouds()
    first, again, other = (
        fit_linear(lambda _: features, labels, 2, ProbeConfig(epochs=3), seed=seed).weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_validation_chooses_the_first_best_epoch_and_without_it_the_last_counts() -> None:
    features, labels = clouds()
    config = ProbeConfig(epochs=30)
    chosen = fit_linear(lambda _: features, labels, 2, config, seed=0, validation=(features, labels))
    scores = [row["validation_top1"] for row in chosen.rows]
    assert chosen.epoch == scores.index(max(scores)) + 1
    # The weights are those of that epoch: they score what that epoch scored.
    assert (chosen.probs(features).argmax(axis=1) == labels).mean() == max(scores)
    assert chosen.epoch < 30


def test_one_clip_cannot_be_normalized_over() -> None:
    features, labels = clouds(2)
    with pytest.raises(ConfigError, match="norm=none"):
        fit_linear(lambda _: features[:1], labels[:1], 2, ProbeConfig(), seed=0)


@pytest.mark.parametrize(
    "setting", [{"lr": 0.0}, {"epochs": 0}, {"views": -1}, {"norm": "layer"}, {"momentum": 1.0}, {"batch": 0}]
)
def test_a_probe_setting_that_means_nothing_is_refused_by_name(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        ProbeConfig(**setting)  # type: ignore[arg-type]


def test_features_are_the_mean_over_present_persons_and_tokens_and_nothing_absent_counts() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 1, 16, 25, 3)).astype(np.float32)
    present = np.ones((2, 1, 16, 25), dtype=np.bool_)
    alone = frozen().features(to_batch(Clip(values, present), torch.device("cpu")))
    nobody = Clip(np.concatenate([values, np.zeros_like(values)], 1), np.concatenate([present, ~present], 1))
    assert np.allclose(alone, frozen().features(to_batch(nobody, torch.device("cpu"))), atol=1e-5)
    with torch.inference_mode():
        tokens, _ = encoder()(torch.from_numpy(values[:, 0]), torch.from_numpy(present[:, 0]))
    assert np.allclose(alone, tokens.mean(dim=1).numpy(), atol=1e-5)


def test_a_budget_looks_at_fewer_tokens_and_answers_otherwise(tiny_store: Store) -> None:
    clips = Clips(tiny_store, tiny_store.labels >= 0, CARD.prepare, 1)
    assert frozen(0.2).tokens == 20
    assert not np.allclose(frozen(0.2).whole(clips), frozen().whole(clips), atol=1e-4)


def test_views_are_new_in_every_epoch_taken_in_turns_or_the_clip_itself(tiny_store: Store) -> None:
    clips = Clips(tiny_store, tiny_store.subjects == 1, CARD.prepare, 1)
    config = ProbeConfig()
    views = Views(tiny_store, tiny_store.subjects == 1, CARD.prepare, 1, config.augment, torch.device("cpu"))
    fresh, turns, whole = (features_by_epoch(frozen(), clips, views, replace(config, views=n), 0) for n in (0, 2, 1))
    assert not np.allclose(fresh(0), fresh(2))
    assert np.array_equal(fresh(1), fresh(1))
    assert not np.allclose(turns(0), turns(1))
    assert turns(0) is turns(2)
    assert np.array_equal(whole(0), frozen().whole(clips))


def test_the_command_reports_the_protocol_and_leaves_a_classifier_that_answers_the_same(
    tiny_store: Store, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["probe", str(checkpoint), f"--data={tiny_store.path}", f"--project={checkpoint.parent}", "--split=xsub"]
    few = ["--set=epochs=5", "--set=views=1", "--threads=1"]
    assert run([*asked, *few, "--json", "--labels=0.5"]) == 0
    said = json.loads(capsys.readouterr().out)
    folder = Path(said["run"])
    assert (said["epoch"], said["epoch_chosen_by"], said["labels"]["clips"]) == (5, "last", 8)
    model, card = load_classifier(folder / "weights" / "best.safetensors")
    assert (card.classes, card.kind) == (("left", "right"), "classifier")
    clips = Clips(tiny_store, np.isin(tiny_store.subjects, (2, 4)), card.prepare, card.persons)
    answers = load_predictions(folder / FILE)
    assert np.allclose(predict(model, clips, torch.device("cpu")), answers.probs, atol=1e-5)
    assert not np.array_equal(model.head.weight.detach().numpy(), np.zeros_like(model.head.weight.detach().numpy()))
    # The encoder was frozen.
    assert torch.equal(model.encoder.embed.weight, encoder().embed.weight)
    assert run([*asked, "--knn", "--threads=1"]) == 0
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines()[2:5]] == ["1", "5", "20"]
    assert "next: amr-edge probe" in table


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--budget=0"], 2, "--budget"),
        (["--variant=best"], 2, "--variant"),
        (["--set=lr=fast"], 2, "lr"),
        (["--set=probe.lr=1"], 2, "there is no setting"),
        (["--split=loso"], 2, "loso:3"),
        (["--split=all"], 4, "test on"),
        (["--labels=7"], 2, "--labels"),
        (["--data=nowhere.npz"], 4, "nowhere.npz"),
        (["--validate=9"], 2, "--validate"),
    ],
)
def test_a_wrong_probe_is_refused_in_a_sentence(
    arguments: list[str],
    code: int,
    named: str,
    tiny_store: Store,
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["probe", str(checkpoint), f"--data={tiny_store.path}", f"--project={checkpoint.parent}", "--split=xsub"]
    assert run([*asked, *arguments]) == code
    said = capsys.readouterr().err
    assert named in said
    assert "bug of ours" not in said


def test_a_fine_tuned_checkpoint_is_probed_with_a_note(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "taught.safetensors"
    save_weights(path, Classifier(encoder(), 2), replace(CARD, kind="classifier", classes=("a", "b")))
    command = ["probe", str(path), f"--data={tiny_store.path}", f"--project={tmp_path}", "--split=xsub", "--knn"]
    assert run(command) == 0
    assert "not an evaluation of pre-training alone" in capsys.readouterr().err
