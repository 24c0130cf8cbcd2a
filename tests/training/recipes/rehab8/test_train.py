"""What a step learns from: as many of each class as asked for, drawn from the randomness that it was given alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from amr_edge.data.store import write_store
from amr_edge.errors import ConfigError
from amr_edge.skeleton import CANONICAL15, remap
from amr_edge.synthetic import subject
from amr_edge.synthetic.exercises import EXERCISES, exercise
from amr_edge.training.config import EncoderConfig, OptimizerConfig
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.interrupts import OutOfTimeError
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.recipes.rehab8.config import RehabRecipe, rehab8, smoke
from amr_edge.training.recipes.rehab8.dataset import CLASSES, NONE, Stream, opened, save, to_recording
from amr_edge.training.recipes.rehab8.train import card_of, finetune, lesson, lower_none_bias
from amr_edge.training.recipes.rehab8.training_data import Material, imagined, material
from amr_edge.training.tasks.pretrain import new_encoder

RECIPE = replace(smoke(), sets=1, life_s=40.0)


def stream(name: str, person: int) -> Stream:
    """Two repetitions by a synthetic person who stands for a real one."""
    rng = np.random.default_rng([person, list(EXERCISES).index(name)])
    recording = exercise(name, subject(person, 1), rng, reps=2, fps=30.0)
    return Stream(
        poses=remap(recording.poses, recording.skeleton, CANONICAL15).poses[0],
        times_s=recording.times_s,
        exercise=1,
        group=name,
        subject=person,
        sensor="kinect",
        correct=True,
        episodes=((0, len(recording.times_s)),),
    )


@pytest.fixture(scope="module")
def stuff(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Two people, a synthetic set of each exercise and a stretch of life."""
    streams = [stream(name, person) for name in EXERCISES for person in (1, 2)]
    made = imagined(RECIPE, tmp_path_factory.mktemp("made") / "synthetic.npz", seed=0)
    return material(streams, made, (1, 2), RECIPE)


def test_the_same_randomness_gives_the_same_lesson(stuff: Material) -> None:
    one, two = (lesson(stuff, 20, RECIPE, np.random.default_rng(7)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_lesson_has_its_share_of_nothing_and_as_much_of_every_exercise(stuff: Material) -> None:
    taken = lesson(stuff, 80, RECIPE, np.random.default_rng(0))
    counts = np.bincount(taken.labels, minlength=len(CLASSES))
    assert taken.values.shape == (80, 64, 15, 3)
    assert counts[-1] >= 24  # and windows in which somebody hardly moves
    assert (counts[:-1] <= 7).all()
    assert counts.sum() == 80


def test_absent_joints_of_a_lesson_are_zero_and_said_to_be_absent(stuff: Material) -> None:
    recipe = replace(RECIPE, change=replace(RECIPE.change, dropped=1.0))
    taken = lesson(stuff, 16, recipe, np.random.default_rng(0))
    assert not taken.present.all()
    assert (taken.values[~taken.present] == 0).all()
    assert np.isfinite(taken.values).all()


def test_who_is_left_out_is_not_in_the_material() -> None:
    streams = [stream(name, person) for name in EXERCISES for person in (1, 2)]
    alone = material(streams, None, (2,), RECIPE)
    assert len(alone.recorded) == len(EXERCISES)
    assert alone.synthetic is None
    assert alone.life is None


def test_synthetic_recordings_are_made_once_and_anew_for_another_recipe(tmp_path: Path) -> None:
    path = tmp_path / "synthetic.npz"
    first = imagined(RECIPE, path, seed=0)
    assert first is not None
    assert sorted({recording.label for recording in first}) == sorted(CLASSES)
    written = path.stat().st_mtime_ns
    again = imagined(RECIPE, path, seed=0)
    assert again is not None
    assert path.stat().st_mtime_ns == written
    other = imagined(RECIPE, path, seed=1)
    assert other is not None
    assert other.content_hash != first.content_hash
    assert imagined(replace(RECIPE, sets=0, life_s=0.0), path, seed=0) is None


def test_a_flexion_is_nobodys_arm_raise(tmp_path: Path) -> None:
    recording = replace(to_recording(stream("arm raise", 1)), source="synthetic/arm_raise_s01#flexion, one")
    store = write_store(tmp_path / "one.npz", [recording], dataset="x", terms="x", classes=CLASSES)
    assert material([stream("squat", 1)], store, (1,), RECIPE).synthetic is None


@pytest.mark.torch
def test_a_training_that_was_interrupted_ends_as_one_that_was_not(stuff: Material, tmp_path: Path) -> None:
    optim = OptimizerConfig(epochs=2, batch=4, lr=1e-3, min_lr=1e-4, ema=0.9)
    base = replace(RECIPE, windows=8)
    recipe = replace(base, recipe=replace(base.recipe, finetune=replace(base.recipe.finetune, optim=optim)))

    def run(folder: Path, *, limit_s: float = 0.0) -> dict[str, torch.Tensor]:
        folder.mkdir(exist_ok=True)
        machine = RunOptions(device=torch.device("cpu"), time_limit_s=limit_s)
        encoder = new_encoder(recipe.recipe, 0)
        model, _ = finetune(
            stuff, encoder, recipe, RunFolder(folder, quiet=True), {}, seed=0, machine=machine, resume=True
        )
        return model.state_dict()

    whole = run(tmp_path / "whole")
    with pytest.raises(OutOfTimeError):
        run(tmp_path / "parts", limit_s=1e-6)
    parts = run(tmp_path / "parts")
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=0, atol=0)


def test_the_model_in_the_box_sees_what_its_contract_says() -> None:
    recipe = rehab8()
    prepare = recipe.recipe.prepare
    assert (prepare.layout, prepare.frames, prepare.window_s) == ("canonical15", 64, 4.2)
    assert (prepare.bones, prepare.view, prepare.scale) == ("unit", "body", "none")
    assert prepare.fps == pytest.approx(15)
    assert CLASSES[-1] == NONE


@pytest.mark.parametrize("wrong", [{"nothing_share": 1.0}, {"synthetic": -0.1}, {"vicon": -1.0}, {"windows": 0}])
def test_a_recipe_refuses_what_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="got"):
        RehabRecipe(recipe=rehab8().recipe, **wrong)


def test_streams_survive_the_store_that_a_training_goes_on_from(tmp_path: Path) -> None:
    streams = (stream("squat", 1), stream("leg raise", 2))
    kept = opened(save(streams, tmp_path / "kept.npz"))
    assert [each.episodes for each in kept] == [each.episodes for each in streams]


def test_the_bias_of_none_is_lowered_by_that_much() -> None:
    torch.manual_seed(0)
    model = Classifier(Encoder(EncoderConfig(width=16, depth=1, heads=2), frames=16, joints=15), len(CLASSES)).eval()
    card = card_of(RECIPE, "classifier", {}, seed=0, classes=CLASSES)
    body, present = torch.randn(2, 1, 16, 15, 3), torch.ones(2, 1, 16, 15, dtype=torch.bool)
    with torch.inference_mode():
        before = model(body, present)
        lower_none_bias(model, card, 0.5)
        after = model(body, present)
    torch.testing.assert_close(after - before, torch.tensor([[0.0] * (len(CLASSES) - 1) + [-0.5]] * 2))
    with pytest.raises(ConfigError, match="no `none` class"):
        lower_none_bias(model, replace(card, none_class=None))
