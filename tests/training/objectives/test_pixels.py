"""Recordings in pixels: what a recipe makes of them, and what stays as it was set by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, write_store
from amr_edge.training.tasks.job import create_job
from amr_edge.training.tasks.options import FinetuneOptions


@pytest.fixture
def flat(tmp_path: Path) -> Store:
    rng = np.random.default_rng(0)
    made = [
        Recording(
            poses=rng.uniform(0, 400, (1, 20, 13, 2)).astype(np.float32),
            times_s=np.arange(20) / 30,
            layout="penn13",
            units="px",
            label="ab"[n % 2],
            parts=("train",) if n < 4 else ("test",),
            source=str(n),
        )
        for n in range(8)
    ]
    return write_store(tmp_path / "flat.npz", made, dataset="made", terms="made for tests", classes=("a", "b"))


def options(store: Store, folder: Path) -> FinetuneOptions:
    return FinetuneOptions(store.path, device="cpu", threads=1, project=folder, split="official", recipe="amr-small")


def test_pixels_are_scaled_by_their_spread_and_keep_the_cameras_view(flat: Store, tmp_path: Path) -> None:
    prepare = create_job(options(flat, tmp_path)).recipe.prepare
    assert (prepare.scale, prepare.view, prepare.layout) == ("spread", "camera", "penn13")


def test_what_was_set_by_hand_stays(flat: Store, tmp_path: Path) -> None:
    changed = replace(options(flat, tmp_path), settings={"prepare.scale": "torso", "prepare.view": "body"})
    prepare = create_job(changed).recipe.prepare
    assert (prepare.scale, prepare.view) == ("torso", "body")
