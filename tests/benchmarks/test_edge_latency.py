"""The edge table: every row is a multiple of the first, its accuracy is that of its own file, engine and budget."""

import sys
from array import array
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, write_store
from amr_edge.export.verify.verification_data import VerificationData
from amr_edge.metrics import score
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.bench.measure import Timed
from amr_edge.runtime.inference.session import open_session
from amr_edge.training.config import EncoderConfig
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.token_selection import macs
from amr_edge.training.models.transformer import Encoder

FOLDER = Path(__file__).parents[2] / "benchmarks"
LITTLE = EncoderConfig(width=16, depth=1, heads=2, mlp_ratio=2)

pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def edge() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        import edge_latency as module  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(FOLDER))
    return module


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> VerificationData:
    """12 clips of three labels; the last six judge."""

    def clip(index: int) -> Recording:
        rng = np.random.default_rng(index)
        poses = rng.normal(size=(1, 1, 25, 3)) + rng.normal(0, 0.1, (1, 20, 25, 3))
        return Recording(
            poses=poses.astype(np.float32),
            times_s=np.arange(20) / 30,
            layout="ntu25",
            label="abc"[index % 3],
            subject=1,
            source=f"clip{index}",
        )

    path = Path(tmp_path_factory.mktemp("store")) / "clips.npz"
    store: Store = write_store(
        path, (clip(i) for i in range(12)), dataset="synthetic", terms="made for tests", classes=("a", "b", "c")
    )
    judges = np.arange(12) >= 6
    return VerificationData(store, "last six", judges, ~judges)


def little() -> tuple[Classifier, Card]:
    torch.manual_seed(3)
    model = Classifier(Encoder(LITTLE, frames=16, joints=25), 3)
    torch.nn.init.normal_(model.head.weight)
    card = Card(
        name="little",
        kind="classifier",
        classes=("a", "b", "c"),
        prepare=PrepareConfig(frames=16),
        encoder=asdict(LITTLE),
    )
    return model, card


def test_random_models_have_the_papers_size_and_the_students_theirs(edge: ModuleType) -> None:
    found = {name: sum(p.numel() for p in edge.random_model(name)[0].parameters()) for name in edge.RANDOM}
    assert found == {"teacher": 6_351_420, "small": 546_236, "tiny": 208_124}


@pytest.mark.slow
def test_every_row_is_scored_by_its_own_file_engine_and_budget(
    edge: ModuleType, part: VerificationData, tmp_path: Path
) -> None:
    models = {"teacher": little()}
    files = edge.write_files(models, part, tmp_path, ("fp32", "int8", "int8-static"))
    assert {open_session(file, engine="onnxruntime").card.precision for file in files.values()} == {
        "fp32",
        "int8",
        "int8-static",
    }
    rows = edge.open_rows(models, files, ["onnxruntime"])
    assert [(row.precision, row.budget, row.tokens) for row in rows] == [
        (precision, budget, round(budget * 100)) for precision in ("fp32", "int8") for budget in (1.0, 0.5, 0.25, 0.1)
    ]
    assert [row.macs for row in rows[:4]] == [macs(LITTLE, tokens) for tokens in (100, 50, 25, 10)]
    found = edge.top1(rows, part)
    clips = Clips(part.store, part.which, little()[1].prepare, 1)
    whole = clips.whole(np.arange(len(clips)))
    for row, top1 in zip(rows, found, strict=True):
        file = files["teacher", row.precision]
        session = open_session(file, engine=row.engine, threads=1, budget=row.budget)
        # One clip at a time, as a device answers.
        probs = np.concatenate([session.probs(whole.values[[k]], whole.present[[k]]) for k in range(len(clips))])
        assert top1 == score(probs, clips.labels).top1


def test_the_table_is_a_multiple_of_its_first_row(edge: ModuleType) -> None:
    model, card = little()
    row = edge.Row(
        model="teacher",
        precision="fp32",
        engine="onnxruntime",
        budget=1.0,
        parameters=sum(p.numel() for p in model.parameters()),
        file_bytes=2_000_000,
        macs=3_000_000,
        tokens=card.tokens,
        ask=lambda: None,
        session=None,
    )
    quarter = replace(row, budget=0.25, tokens=25)
    timed = [Timed(times_ms=array("d", times)) for times in ([8.0, 9.0, 70.0], [3.0], [18.0])]
    said = edge.report([row, quarter], [("ST-GCN", "300 frames", 3_100_000, lambda: None)], timed, [0.9, 0.875])
    assert [r["times_faster"] for r in said["rows"]] == [1.0, 3.0]  # 9 ms is the median of the first
    assert said["for_scale"][0]["times_faster"] == 0.5
    text = edge.tables(said)
    assert "| teacher | 25% | fp32 | onnxruntime | 87.5 |" in text
    assert "| 3.00 | 3.0 |" in text
    assert "our code, random weights" in text


@pytest.mark.slow
def test_the_networks_for_scale_answer_from_their_files(
    edge: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "SCALE", {"CTR-GCN": (edge.reference_networks.ctr_gcn, 8)})
    found = list(edge.open_reference_networks(tmp_path))
    assert [(name, looks_at) for name, looks_at, *_ in found] == [
        ("CTR-GCN", "8 frames"),
        ("CoST-GCN*", "every single frame"),
    ]
    for *_, ask in found:
        ask()
