import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from amr_edge import cli
from amr_edge.data.store import Store, write_store
from amr_edge.errors import ConfigError
from amr_edge.preprocess import Clip
from amr_edge.skeleton import NTU25
from amr_edge.training.asma import stages
from amr_edge.training.asma.commands import cost, pace
from amr_edge.training.asma.config import asma_small
from amr_edge.training.asma.stages import new_student, pretrain_side
from amr_edge.training.config import EncoderConfig, GraphConfig
from amr_edge.training.data.batch import to_batch
from amr_edge.training.engine.checkpoint import load_classifier, load_weights
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.stgcn import GraphEncoder
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.tasks.job import SplitMasks, TrainJob

CPU = RunOptions(device=torch.device("cpu"))
TINY = [
    "prepare.frames=16", "graph.base=4", "graph.width=16", "graph.dropout=0", "teacher.heads=2",
    "barlow.projector=16,16", "student.graph.base=2", "student.graph.width=8",
    "pretrain.epochs=2", "pretrain.batch=12", "teacher.optim.epochs=2", "student.optim.epochs=2",
    "student.optim.batch=12",
]  # fmt: skip


def order(store: Store, project: Path, *more: str) -> list[str]:
    command = ["asma", f"--data={store.path}", "--split=loso:4", f"--project={project}", "--threads=1"]
    return [*command, *(f"--set={wish}" for wish in TINY), *more]


@pytest.fixture(scope="module")
def finished(tiny_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("asma")
    torch.set_num_threads(1)
    assert cli.run(order(tiny_store, project)) == 0
    return project / "asma" / "asma-small-1"


@pytest.fixture(scope="module")
def untested(tiny_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on everything: with nothing left to test on, nothing is drawn, which takes most of the time."""
    project = tmp_path_factory.mktemp("asma")
    assert cli.run(order(tiny_store, project, "--split=all")) == 0
    return project / "asma" / "asma-small-1"


def same(one: Path, other: Path) -> bool:
    ours, theirs = load_weights(one)[0], load_weights(other)[0]
    return ours.keys() == theirs.keys() and all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_one_command_leaves_two_encoders_a_teacher_and_a_student_beside_it(finished: Path) -> None:
    student, card = load_classifier(RunFolder(finished).last)
    teacher, teacher_card = load_classifier(RunFolder(finished / "teacher").last)
    assert isinstance(student.encoder, GraphEncoder)
    assert isinstance(teacher.encoder, DualEncoder)
    assert (card.classes, teacher_card.classes) == (("left", "right"), ("left", "right"))
    assert "top1" in card.metrics
    assert "top1" in teacher_card.metrics
    assert (card.recipe["alpha"], card.recipe["temperature"]) == (0.7, 4.0)
    for side, encoder in (("central_slow", teacher.encoder.first), ("leaf_fast", teacher.encoder.second)):
        tensors, theirs = load_weights(RunFolder(finished / side).last)
        assert theirs.recipe["mask"] == side
        assert all(torch.equal(t, tensors[f"encoder.{name}"]) for name, t in encoder.state_dict().items())
    found = json.loads((finished / "teacher.json").read_text())
    assert found["parameters"] == sum(p.numel() for p in student.parameters())
    assert found["teacher_parameters"] == sum(p.numel() for p in teacher.parameters())
    assert found["times_faster"] > 1
    assert found["clips"] == 8
    assert found["teacher_macs"] > found["student_macs"] > 0
    assert {"student_top1", "teacher_top1", "agreement", "fewer_percent"} <= found.keys()


def test_the_two_encoders_start_and_end_unlike(finished: Path) -> None:
    assert not same(RunFolder(finished / "central_slow").last, RunFolder(finished / "leaf_fast").last)


def stopping(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    calls = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    return counted


# Three views a step, three steps an epoch: 18 for each encoder; then the teacher, then the student.
@pytest.mark.parametrize("at", [29, 41])
@pytest.mark.slow
def test_a_run_that_is_interrupted_in_any_stage_ends_as_if_it_had_not_been(
    at: int, untested: Path, tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(stages, "view", stopping(stages.view, at))
        assert cli.run(order(tiny_store, tmp_path, "--split=all")) == 130
    broken = tmp_path / "asma" / "asma-small-1"
    assert f"amr-edge asma --resume {broken}" in capsys.readouterr().err
    assert cli.run(["asma", f"--resume={broken}"]) == 0
    for part in ("central_slow", "leaf_fast", "teacher", "."):
        ours, theirs = load_weights(RunFolder(broken / part).last)[0], load_weights(RunFolder(untested / part).last)[0]
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items()), part
    assert "clips" in json.loads((broken / "teacher.json").read_text())


def test_two_transformers_behind_the_masks_teach_a_transformer_that_has_a_budget(
    tiny_store: Store, tmp_path: Path
) -> None:
    small = [
        "encoder.width=16", "encoder.depth=2", "encoder.heads=2", "masked.pretext.decoder_depth=1",
        "masked.pretext.focal_windows=4,8,16", "masked.optim.epochs=1", "masked.optim.batch=12",
    ]  # fmt: skip
    more = ["--split=all", "--backbone=tokens", "--student=tiny", *(f"--set={wish}" for wish in small)]
    assert cli.run(order(tiny_store, tmp_path, *more)) == 0
    folder = tmp_path / "asma" / "asma-small-1"
    _, card = load_classifier(RunFolder(folder).last)
    teacher, teacher_card = load_classifier(RunFolder(folder / "teacher").last)
    assert card.has_budget
    assert card.patch_frames == 8
    assert teacher_card.has_budget
    assert teacher_card.patch_frames == 4
    assert isinstance(teacher.encoder, DualEncoder)
    masks = [load_weights(RunFolder(folder / side).last)[1] for side in ("central_slow", "leaf_fast")]
    assert [card.kind for card in masks] == ["encoder", "encoder"]
    assert not same(RunFolder(folder / "central_slow").last, RunFolder(folder / "leaf_fast").last)


def test_without_labels_there_is_nothing_to_probe(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = write_store(
        tmp_path / "silent.npz", [replace(r, label=None) for r in tiny_store], dataset="synthetic", terms="made"
    )
    assert cli.run(order(silent, tmp_path, "--split=all")) == 4
    assert "amr-edge pretrain" in capsys.readouterr().err


def test_a_step_of_a_single_clip_is_refused(tiny_store: Store, tmp_path: Path) -> None:
    made = replace(asma_small(), pretrain=replace(asma_small().pretrain, batch=1))
    which = np.arange(len(tiny_store)) < 5
    job = TrainJob(
        store=tiny_store,
        split="all",
        masks=SplitMasks(train=which, test=~which),
        recipe=made,
        run=RunFolder(tmp_path),
        machine=CPU,
    )
    with pytest.raises(ConfigError, match=r"pretrain\.batch=2 or more"):
        pretrain_side("leaf_fast", job)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ("--set=teacher.heads=7", "teacher.heads"),
        ("--set=hide.frames=0.6", "hide.frames"),
        ("--set=student.kind=giant", "student.kind"),
        ("--recipe=amr", "asma, asma-small"),
        ("--set=distill.teacher_budget=0.5", "teacher_budget"),
    ],
)
def test_a_bad_setting_ends_with_code_2_and_names_the_field(
    wish: str, says: str, tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(order(tiny_store, tmp_path, wish)) == 2
    assert says in capsys.readouterr().err
    assert cli.run(["asma", f"--project={tmp_path}"]) == 2
    assert "--data" in capsys.readouterr().err


def test_a_run_of_another_command_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"verb": "train", "data": "x.npz", "split": "all", "seed": 0, "data_hash": "0"})
    )
    assert cli.run(["asma", f"--resume={tmp_path}"]) == 2
    assert "amr-edge train" in capsys.readouterr().err


def test_the_pace_of_two_models_is_taken_in_turns() -> None:
    small, large = (
        Classifier(GraphEncoder(GraphConfig(base=base, width=base), NTU25), 2)  # type: ignore[arg-type]
        for base in (2, 4)
    )
    present = np.ones((1, 1, 16, 25), dtype=bool)
    batch = to_batch(Clip(np.zeros((1, 1, 16, 25, 3), np.float32), present), CPU.device)
    clock = iter(np.cumsum([0, *([0.004, 0.0, 0.002, 0.0] * 3)]).tolist())
    assert pace(large, small, batch, lambda: next(clock), turns=2, per_turn=2) == (
        pytest.approx(2.0),
        pytest.approx(1.0),
        pytest.approx(2.0),
    )


@pytest.mark.parametrize("first", ["graph", "tokens"])
def test_the_cost_of_a_pair_is_half_the_operations_that_torch_counts(first: str) -> None:
    torch.manual_seed(0)
    made: Any
    if first == "graph":
        made = [GraphEncoder(GraphConfig(base=4, width=16), NTU25) for _ in range(2)]
        outside = 0
    else:
        made = [Encoder(EncoderConfig(width=16, depth=2, heads=2), frames=16, joints=25) for _ in range(2)]
        outside = 2 * 2 * 100 * 12 * 16  # the embeddings, which a token's cost leaves out
    pair = DualEncoder(*made, heads=2).eval()
    # The other kernels of attention are not counted on every device.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted, torch.no_grad():
        pair(torch.randn(1, 16, 25, 3), torch.ones(1, 16, 25, dtype=torch.bool))
    assert 2 * cost(pair, 16, 25) == counted.get_total_flops() - outside


@pytest.mark.parametrize("kind", ["graph", "small", "tiny"])
def test_a_student_of_every_kind_answers(kind: str) -> None:
    made = asma_small()
    made = replace(made, student=replace(made.student, kind=kind))  # type: ignore[arg-type]
    model, words, tokens = new_student(made, 5, seed=0)
    assert (tokens is None) == (kind == "graph")
    assert words.get("kind") == ("graph" if kind == "graph" else None)
    present = torch.ones(1, 1, made.prepare.frames, 25, dtype=torch.bool)
    assert model.eval()(torch.zeros(*present.shape, 3), present).shape == (1, 5)
