import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from amr_edge.data.store import Store
from amr_edge.errors import CheckFailedError
from amr_edge.training.config import Recipe, amr_small, override
from amr_edge.training.data.batch import fit_to_data
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.checkpoint import load_weights
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.run_folder import RunFolder, new_run
from amr_edge.training.engine.trainer import Stage, train_loop
from amr_edge.training.tasks.finetune import finetune
from amr_edge.training.tasks.job import SplitMasks, TrainJob
from amr_edge.training.tasks.pretrain import pretrain

CPU = RunOptions(device=torch.device("cpu"))
TINY = [
    "prepare.frames=16",
    "encoder.width=32",
    "encoder.depth=2",
    "encoder.heads=2",
    "pretrain.pretext.decoder_depth=1",
    "pretrain.optim.epochs=4",
    "pretrain.optim.batch=8",
    "finetune.optim.epochs=4",
    "finetune.optim.batch=8",
]


def tiny(store: Store, *settings: str) -> Recipe:
    made = override(amr_small(), [*TINY, *settings])
    which = np.ones(len(store), dtype=bool)
    return replace(made, prepare=fit_to_data(made.prepare, store, which), persons=1)


def run_in(folder: Path) -> RunFolder:
    folder.mkdir()
    return RunFolder(folder, quiet=True)


def job_of(store: Store, recipe: Recipe, run: RunFolder, *, seed: int = 3) -> TrainJob[Recipe]:
    """Everything is the training part."""
    everything = np.ones(len(store), dtype=bool)
    masks = SplitMasks(train=everything, test=~everything)
    return TrainJob(store=store, split="all", masks=masks, recipe=recipe, run=run, machine=CPU, seed=seed)


def test_a_resumed_run_ends_with_the_weights_of_the_uninterrupted_one(
    tmp_path: Path, tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(tiny_store)
    straight, broken = run_in(tmp_path / "straight"), run_in(tmp_path / "broken")
    pretrain(job_of(tiny_store, recipe, straight))

    seen = 0
    real = Views.batch

    def interrupt(*args: object) -> object:
        nonlocal seen
        seen += 1
        if seen == 10:  # in the middle of the third epoch of four steps
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Views, "batch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pretrain(job_of(tiny_store, recipe, broken))
    assert len(broken.results()) == 2
    pretrain(replace(job_of(tiny_store, recipe, broken), resume=True))

    expected, _ = load_weights(straight.last)
    resumed, _ = load_weights(broken.last)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    assert [row["loss"] for row in broken.results()] == [row["loss"] for row in straight.results()]


def test_another_seed_gives_other_weights(tmp_path: Path, tiny_store: Store) -> None:
    recipe = tiny(tiny_store, "pretrain.optim.epochs=1")
    weights = []
    for seed in (0, 1):
        run = run_in(tmp_path / str(seed))
        pretrain(job_of(tiny_store, recipe, run, seed=seed))
        weights.append(load_weights(run.last)[0]["encoder.embed.weight"])
    assert not torch.equal(*weights)


def test_a_tiny_classifier_learns_left_from_right_and_keeps_the_best_by_validation(
    tmp_path: Path, tiny_store: Store
) -> None:
    recipe = tiny(tiny_store, "finetune.optim.epochs=25", "finetune.optim.lr=3e-3", "finetune.full_share=0.5")
    train, validation = tiny_store.subjects < 4, tiny_store.subjects == 4
    run = run_in(tmp_path / "run")
    masks = SplitMasks(train=train, test=validation, validation=validation)
    model, card = finetune(replace(job_of(tiny_store, recipe, run), split="loso:4", masks=masks))
    rows = run.results()
    assert card.classes == ("left", "right")
    assert max(row["validation_top1"] for row in rows) == 1.0
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert run.best.exists()
    assert not model.training


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_weights(tmp_path: Path) -> None:
    from amr_edge.card import Card
    from amr_edge.preprocess import PrepareConfig
    from amr_edge.training.config import EncoderConfig, OptimizerConfig
    from amr_edge.training.models.transformer import Encoder

    encoder = Encoder(EncoderConfig(width=16, depth=1, heads=2), frames=8, joints=3)
    steps = 0

    def step(*_: object) -> torch.Tensor:
        nonlocal steps
        steps += 1
        weight = encoder.embed.weight.square().sum()
        return weight if steps <= 2 else weight * torch.nan

    run = run_in(tmp_path / "run")
    stage = Stage(
        title="test",
        module=encoder,
        encoder=encoder,
        step=step,
        saved=encoder,
        card=Card(name="t", kind="encoder", prepare=PrepareConfig()),
        clips=4,
        config=OptimizerConfig(epochs=3, batch=2, warmup=0),
        seed=0,
        machine=CPU,
    )
    with pytest.raises(CheckFailedError, match="epoch 2"):
        train_loop(stage, run)
    assert torch.isfinite(load_weights(run.last)[0]["embed.weight"]).all()
    assert len(run.results()) == 1


def test_runs_are_numbered_and_never_overwrite_each_other(tmp_path: Path) -> None:
    names = [new_run(tmp_path, "train", "amr").folder.name for _ in range(3)]
    assert names == ["amr-1", "amr-2", "amr-3"]
    (tmp_path / "train" / "amr-9").mkdir()
    assert new_run(tmp_path, "train", "amr").folder.name == "amr-10"


def test_settings_come_back_as_the_recipe_they_were(tmp_path: Path, tiny_store: Store) -> None:
    run = run_in(tmp_path / "run")
    run.write_settings(tiny(tiny_store), {"seed": 5})
    recipe, said = run.read_settings()
    assert recipe == tiny(tiny_store)
    assert said == {"seed": 5}
    assert "torch" in json.loads((run.folder / "environment.json").read_text())
