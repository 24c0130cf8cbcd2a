from pathlib import Path

import numpy as np
import pytest
import torch

from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, write_store


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def wiggle(label: str, subject: int, seed: int, frames: int = 40) -> Recording:
    """One standing NTU-25 skeleton whose left or right arm swings: two classes that a tiny model can learn."""
    rng = np.random.default_rng(seed)
    rest = rng.normal(0, 0.02, (25, 3)) + np.linspace(-0.8, 0.8, 25)[:, None] * np.array([0.2, 1.0, 0.1])
    poses = np.repeat(rest[None], frames, axis=0)  # (T, V, C)
    joints = slice(5, 8) if label == "left" else slice(9, 12)
    swing = 0.4 * np.sin(np.arange(frames) / 4 + rng.uniform(0, 6))
    poses[:, joints, 1] += swing[:, None]
    poses += rng.normal(0, 0.005, poses.shape)
    return Recording(
        poses=poses[None].astype(np.float32),
        times_s=np.arange(frames) / 30,
        layout="ntu25",
        label=label,
        subject=subject,
        source=f"{label}_s{subject}_{seed}",
    )


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """32 wiggling clips of 4 subjects."""
    made = [
        wiggle(label, subject, 100 * subject + take, frames=30 + 5 * take)
        for subject in (1, 2, 3, 4)
        for take in range(4)
        for label in ("left", "right")
    ]
    path = Path(tmp_path_factory.mktemp("store")) / "tiny.npz"
    return write_store(path, made, dataset="synthetic", terms="made for tests", classes=("left", "right"))
