"""Training from Python gives what the commands give, typed."""

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from inspect import signature
from pathlib import Path

import click
import pytest

from amr_edge import (
    ConfigError,
    CrossValidationResult,
    DistillResult,
    ReadError,
    distill,
    finetune,
    leave_one_out,
    pretrain,
    train,
)
from amr_edge.cli import run
from amr_edge.data.store import Store
from amr_edge.training import cli
from amr_edge.training.click_options import build
from amr_edge.training.tasks.options import (
    DistillOptions,
    FinetuneOptions,
    PretrainOptions,
    TaskOptions,
    TrainOptions,
)

TINY = {
    "prepare.frames": 16,
    "encoder.width": 32,
    "encoder.depth": 1,
    "pretrain.pretext.decoder_depth": 1,
    "pretrain.optim.epochs": 1,
    "finetune.optim.epochs": 2,
}
SET = [f"--set={name}={value}" for name, value in TINY.items()]


@pytest.mark.slow
def test_train_gives_what_the_command_prints(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--split=xsub", "--labels=0.5", "--threads=1", f"--project={tmp_path / 'typed'}", "--json"]
    assert run(["train", f"--data={tiny_store.path}", *SET, *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    done = train(
        tiny_store.path, split="xsub", labels="0.5", settings=TINY, threads=1, project=tmp_path / "called", name="mine"
    )
    assert done.run == tmp_path / "called" / "train" / "mine-1"
    assert done.weights.is_file()
    assert done.examined is not None
    assert done.top1 == done.examined.top1 == printed["top1"]
    assert done.examined.clips == 16
    assert done.recipe["encoder"]["width"] == 32
    said = json.loads(json.dumps(done.to_dict()))
    for answer in (said, printed):  # what differs from run to run
        del answer["run"], answer["weights"], answer["seconds"]
    assert said == printed
    with pytest.raises(FrozenInstanceError):
        done.seed = 1  # type: ignore[misc]


def test_the_halves_of_train_and_a_student_take_what_came_before(tiny_store: Store, tmp_path: Path) -> None:
    encoder = pretrain(str(tiny_store.path), settings=TINY, threads=1, project=tmp_path)
    assert encoder.weights.is_file()
    assert encoder.loss > 0
    tuned = finetune(
        tiny_store.path, init=encoder, split="all", settings={"finetune.optim.epochs": 1}, threads=1, project=tmp_path
    )
    assert tuned.examined is None
    assert tuned.top1 != tuned.top1  # NaN: nothing is left to test on
    assert "top1" not in tuned.to_dict()
    student = distill(
        tuned,
        student="tiny",
        unlabelled=True,
        settings={"encoder.width": 32, "encoder.depth": 1, "finetune.optim.epochs": 1},
        threads=1,
        project=tmp_path,
    )
    assert isinstance(student, DistillResult)
    assert student.recipe["distill"]["alpha"] == 1
    assert set(student.beside_the_teacher) >= {"parameters", "teacher_parameters", "clips", "agreement"}
    assert student.to_dict()["beside_the_teacher"] == student.beside_the_teacher


@pytest.mark.slow
def test_every_subject_is_left_out_once_and_runs_are_not_taken_for_folds(tiny_store: Store, tmp_path: Path) -> None:
    short = {**TINY, "finetune.optim.epochs": 1}
    done = leave_one_out(tiny_store.path, verb="finetune", settings=short, threads=1, project=tmp_path)
    assert isinstance(done, CrossValidationResult)
    assert [fold.subject for fold in done.folds] == [1, 2, 3, 4]
    assert done.clips == sum(fold.clips for fold in done.folds) == 32
    assert done.mean == pytest.approx(sum(fold.top1 for fold in done.folds) / 4)
    assert done.to_dict()["split"] == "loso"
    config = json.loads((done.run / "config.json").read_text())
    assert config["settings"] == short
    config["settings"] = [f"{name}={value}" for name, value in short.items()]  # as earlier versions wrote them
    (done.run / "config.json").write_text(json.dumps(config))
    again = leave_one_out(verb="finetune", resume=done.run, threads=1)  # nothing is left to do
    assert (again.mean, again.std, again.run) == (done.mean, done.std, done.run)
    with pytest.raises(ConfigError, match="a folder of folds; go on with leave_one_out"):
        finetune(resume=done.run, threads=1)
    with pytest.raises(ConfigError, match="one run; go on with finetune"):
        leave_one_out(verb="finetune", resume=done.folds[0].run, threads=1)


def test_what_means_nothing_is_refused_before_anything_is_computed(tiny_store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave_one_out"):
        train(tiny_store.path, split="loso")
    with pytest.raises(ConfigError, match="choose verb='finetune'"):
        leave_one_out(tiny_store.path, init="run")
    with pytest.raises(ConfigError, match="no labels to weigh"):
        distill("run", unlabelled=True, alpha=0.5)
    with pytest.raises(ConfigError, match=r"no setting 'encoder\.girth'"):
        pretrain(tiny_store.path, settings={"encoder.girth": 3}, project=tmp_path)
    with pytest.raises(ConfigError, match="--data is missing"):
        train(project=tmp_path)
    with pytest.raises(ReadError, match="not the config of a run"):
        train(resume=tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())


def test_alpha_and_temperature_are_settings_of_the_recipe() -> None:
    assert DistillOptions().overrides == {}
    assert DistillOptions(alpha=0.5, temperature=2.0).overrides == {"distill.alpha": 0.5, "distill.temperature": 2.0}
    assert DistillOptions(unlabelled=True).overrides == {"distill.alpha": 1.0}
    assert DistillOptions(alpha=0.5, settings={"distill.alpha": 0.6}).overrides == {"distill.alpha": 0.6}


@pytest.mark.parametrize(
    ("function", "kind", "command"),
    [
        (pretrain, PretrainOptions, cli.pretrain),
        (train, TrainOptions, cli.train),
        (finetune, FinetuneOptions, cli.finetune),
        (distill, DistillOptions, cli.distill),
    ],
)
def test_an_option_is_the_same_in_python_and_on_the_command_line(
    function: Callable[..., object], kind: type[TaskOptions], command: click.Command
) -> None:
    declared = {each.name: each.default for each in fields(kind)}
    assert {name: each.default for name, each in signature(function).parameters.items()} == declared
    assert {each.name for each in command.params} == {*declared, "as_json"}
    with command.make_context(kind.command, []) as context:
        parsed = {name: value for name, value in context.params.items() if name != "as_json"}
    assert build(kind, parsed) == replace(kind(), settings={})
    for each in fields(kind):
        assert f"{each.name}: {each.metadata['help']}" in str(function.__doc__)
