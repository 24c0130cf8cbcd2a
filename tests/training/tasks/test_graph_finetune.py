"""Graph backbones are fine-tuned like transformers: from scratch, from ASMa's encoders, resumed, exported."""

import json
from pathlib import Path

import pytest
import torch

from amr_edge.cli import run
from amr_edge.data.store import Store
from amr_edge.training.engine.checkpoint import load_classifier, load_weights
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.stgcn import GraphEncoder
from amr_edge.training.tasks import finetune as finetuning

SHORT = ["--set=prepare.frames=16", "--set=finetune.optim.epochs=2", "--threads=1"]
GRAPH = ["--recipe=stgcn-small", "--set=graph.base=2", "--set=graph.width=8", *SHORT]
ASMA = [
    "prepare.frames=16", "graph.base=2", "graph.width=8", "graph.dropout=0", "teacher.heads=2", "barlow.projector=8,8",
    "student.graph.base=2", "student.graph.width=8", "pretrain.epochs=1", "teacher.optim.epochs=1",
    "student.optim.epochs=1",
]  # fmt: skip


def finetune(store: Store, project: Path, *more: str) -> int:
    return run(["finetune", f"--data={store.path}", "--split=xsub", f"--project={project}", *more])


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(RunFolder(folder).last)[0]


@pytest.mark.slow
def test_a_graph_is_trained_from_scratch_scored_and_exported_with_parity(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(tiny_store, tmp_path, *GRAPH) == 0
    folder = tmp_path / "finetune" / "stgcn-small-1"
    model, card = load_classifier(RunFolder(folder).last)
    assert isinstance(model.encoder, GraphEncoder)
    assert card.encoder == {"kind": "graph", "base": 2, "width": 8, "kernel": 9, "dropout": 0.2}
    assert json.loads((folder / "score.json").read_text())["clips"] == 16
    assert run(["export", str(folder), "--onnx", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["proven"]
    assert (folder / "export" / "model.onnx").is_file()


@pytest.mark.slow
def test_a_resumed_graph_run_ends_as_the_uninterrupted_one(
    tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finetune(tiny_store, tmp_path / "whole", *GRAPH) == 0
    calls = 0
    step = finetuning.functional.cross_entropy

    def stopping(*arguments: object, **named: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return step(*arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(finetuning.functional, "cross_entropy", stopping)
        assert finetune(tiny_store, tmp_path / "broken", *GRAPH) == 130
    folder = tmp_path / "broken" / "finetune" / "stgcn-small-1"
    assert run(["finetune", f"--resume={folder}", "--threads=1"]) == 0
    whole, resumed = tensors(tmp_path / "whole" / "finetune" / "stgcn-small-1"), tensors(folder)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
def test_asmas_encoder_and_its_aligned_pair_are_fine_tuned_with_all_their_weights(
    tiny_store: Store, tmp_path: Path
) -> None:
    command = ["asma", f"--data={tiny_store.path}", "--split=xsub", f"--project={tmp_path}", "--threads=1"]
    assert run([*command, *(f"--set={setting}" for setting in ASMA)]) == 0
    asma = tmp_path / "asma" / "asma-small-1"
    for part, kind in (("leaf_fast", GraphEncoder), ("teacher", DualEncoder)):
        project = tmp_path / part
        assert (
            finetune(tiny_store, project, f"--init={asma / part}", "--set=finetune.optim.epochs=1", "--threads=1") == 0
        )
        (folder,) = (project / "finetune").iterdir()
        model, _ = load_classifier(RunFolder(folder).last)
        assert isinstance(model.encoder, kind)
        before, after = tensors(asma / part), tensors(folder)
        weights = [name for name in after if name.startswith("encoder.") and name.endswith("project.weight")]
        changed = [name for name in weights if not torch.equal(before[name], after[name])]
        # A block two channels wide may be dead and have no gradient; frozen encoders would have none changed.
        assert len(changed) > len(weights) / 2
        assert {name.split(".")[1] for name in changed} == {name.split(".")[1] for name in weights}


def test_what_a_graph_cannot_do_is_refused_in_a_sentence(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(tiny_store, tmp_path, *GRAPH, "--set=finetune.budget=0.1,0.5") == 2
    assert "has no token budget" in capsys.readouterr().err
    order = [f"--data={tiny_store.path}", "--split=xsub", f"--project={tmp_path}", *GRAPH]
    assert run(["pretrain", *order]) == 2
    assert "amr-edge finetune --recipe stgcn-small" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))
