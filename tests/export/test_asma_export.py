import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from amr_edge.card import Card
from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.errors import CardError, ConfigError
from amr_edge.export.convert.onnx import write_onnx
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.inference.session import open_session
from amr_edge.training.config import GraphConfig
from amr_edge.training.models.build import build_encoder
from amr_edge.training.models.classifier import Classifier

TINY = {"kind": "graph", **asdict(GraphConfig(base=4, width=16, dropout=0.0))}
KINDS = {"graph": TINY, "aligned": {"kind": "aligned", "heads": 2, "of": TINY}}


def made(kind: str) -> tuple[Classifier, Card]:
    card = Card(
        name="bones", kind="classifier", classes=("a", "b", "c"), persons=2, patch_frames=1, encoder=KINDS[kind],
        prepare=PrepareConfig(frames=18),
    )  # fmt: skip
    torch.manual_seed(0)
    model = Classifier(build_encoder(card), 3)
    for part in model.modules():  # statistics and alignments that are not those of birth
        for name in ("mean", "variance"):
            if isinstance(getattr(part, name, None), torch.Tensor):
                getattr(part, name).uniform_(0.5, 1.5)
    for name, p in model.named_parameters():
        if "out.weight" in name or name == "head.weight":
            torch.nn.init.normal_(p.data)
    return model.eval(), card


def clips(count: int, persons: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    present = rng.random((count, persons, 18, 25)) > 0.3
    present[:, :, :, 5] = False
    present[0, 1] = False
    values = (rng.normal(size=(*present.shape, 3)) * present[..., None]).astype(np.float32)
    return values, present


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an exported graph in it."""
    path = tmp_path_factory.mktemp("files")
    write_onnx(*made("graph"), path / "graph.onnx")
    return path


@pytest.mark.parametrize("kind", ["graph", pytest.param("aligned", marks=pytest.mark.slow)])
def test_an_exported_graph_answers_as_the_trained_one_with_gaps_and_with_nobody(kind: str, folder: Path) -> None:
    model, card = made(kind)
    if kind != "graph":
        write_onnx(model, card, folder / f"{kind}.onnx")
    session = open_session(folder / f"{kind}.onnx", engine="onnxruntime", threads=1)
    for count, persons in ((1, 1), (3, 2)):
        values, present = clips(count, persons) if persons == 2 else (x[1:2, :1] for x in clips(2))
        with torch.no_grad():
            wanted = model(torch.from_numpy(values), torch.from_numpy(present)).softmax(dim=1).numpy()
        np.testing.assert_allclose(session.probs(values, present), wanted, atol=1e-5)
    nobody = session.probs(np.zeros((1, 1, 18, 25, 3), np.float32), np.zeros((1, 1, 18, 25), bool))
    np.testing.assert_allclose(nobody, model.head.bias.softmax(dim=0).detach().numpy()[None], atol=1e-5)


def test_a_graph_says_that_it_has_no_budget_and_refuses_one(folder: Path) -> None:
    _, card = made("graph")
    path = folder / "graph.onnx"
    session = open_session(path, engine="onnxruntime")
    assert not session.card.has_budget
    assert session.tokens == session.card.tokens
    assert open_session(path, engine="onnxruntime", budget=1.0).tokens == session.tokens
    with pytest.raises(ConfigError, match=r"graph network.*no token budget"):
        open_session(path, engine="onnxruntime", budget=0.5)
    with pytest.raises(CardError, match="no token budget"):
        replace(card, budget=0.5)
    assert replace(card, encoder={"width": 32}, budget=0.5).has_budget


def test_a_graph_runs_live_from_a_recording(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = folder / "graph.onnx"
    rng = np.random.default_rng(0)
    poses = np.cumsum(rng.normal(0, 0.02, (1, 90, 25, 3)), axis=1) + rng.normal(0, 0.4, (25, 3))
    jsonl.write(
        tmp_path / "walk.jsonl",
        Recording(poses=poses.astype(np.float32), times_s=np.arange(90) / 30, layout="ntu25", source="walk"),
    )
    assert run(["live", str(path), "--source", str(tmp_path / "walk.jsonl"), "--engine", "onnxruntime"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    answers = [line for line in lines if line["type"] == "answer"]
    assert answers
    assert run(["live", str(path), "--source", str(tmp_path / "walk.jsonl"), "--budget", "0.5"]) == 2
    assert "graph network" in capfd.readouterr().err
