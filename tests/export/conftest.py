from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, write_store
from amr_edge.export.convert.onnx import write_onnx
from amr_edge.training.config import Recipe, amr_small, override
from amr_edge.training.engine.checkpoint import save_weights
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.tasks.pretrain import new_encoder


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """40 noisy clips of two subjects and one or two persons, with joints that are unseen for a while."""

    def clip(index: int) -> Recording:
        rng = np.random.default_rng(index)
        frames = int(rng.integers(12, 50))
        poses = rng.normal(size=(1 + index % 2, 1, 25, 3)) + rng.normal(0, 0.1, (1 + index % 2, frames, 25, 3))
        poses[:, 4:9, rng.integers(0, 25)] = np.nan
        label = ("a", "b", "c")[index // 2 % 3]
        return Recording(
            poses=poses.astype(np.float32),
            times_s=np.arange(frames) / 30,
            layout="ntu25",
            label=label,
            subject=1 + index % 2,
            source=f"clip{index}",
        )

    path = Path(tmp_path_factory.mktemp("store")) / "clips.npz"
    return write_store(
        path, (clip(i) for i in range(40)), dataset="synthetic", terms="made for tests", classes=("a", "b", "c")
    )


def _untrained() -> tuple[Recipe, Classifier, Card]:
    """A classifier that was never trained: its answers are arbitrary and must survive the export all the same."""
    recipe = override(amr_small(), ["prepare.frames=16", "encoder.width=32", "encoder.depth=2"])
    recipe = replace(recipe, persons=2)
    torch.manual_seed(1)
    model = Classifier(new_encoder(recipe, 0), 3)
    torch.nn.init.normal_(model.head.weight)
    card = Card(
        name="t",
        kind="classifier",
        classes=("a", "b", "c"),
        prepare=recipe.prepare,
        persons=2,
        encoder=asdict(recipe.encoder),
    )
    return recipe, model, card


@pytest.fixture
def run(tmp_path: Path, store: Store) -> RunFolder:
    """A run folder with an untrained classifier."""
    recipe, model, card = _untrained()
    run = RunFolder(tmp_path / "run", quiet=True)
    run.folder.mkdir()
    settings = {"data": str(store.path), "split": "xsub", "seed": 0}
    run.write_settings(recipe, settings)
    save_weights(run.last, model, card)
    return run


@pytest.fixture(scope="session")
def full_precision(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The same classifier as a fp32 file of an opset, for all budgets or a number of tokens, written once."""
    folder = tmp_path_factory.mktemp("fp32")

    def written(opset: int, tokens: int | None = None) -> Path:
        path = folder / f"opset{opset}-{tokens}.onnx"
        _, model, card = _untrained()
        return path if path.exists() else write_onnx(model, card, path, opset=opset, tokens=tokens)

    return written
