"""Recordings that a model is verified on: the test part of its own split, unless others are given."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from amr_edge.data.splits import split
from amr_edge.data.store import Store, open_store
from amr_edge.errors import ConfigError, ReadError
from amr_edge.skeleton import Mask


class VerificationData(NamedTuple):
    """Recordings of a store: (N,) which of them judge, and which of them teach."""

    store: Store
    split: str
    which: Mask
    train: Mask


def run_folder(path: Path) -> Path:
    """The run folder that a folder, RUN/weights/X or RUN/export/X belongs to; it may not be one."""
    return path if path.is_dir() else path.parent.parent


def load_verification_data(path: Path, data: Path | None, name: str | None) -> VerificationData:
    """The recordings to judge `path` on.

    Args:
        path: A run folder or a model file in one.
        data: A store; None takes the run's own.
        name: A split, whose test part is taken, or "all"; None takes the run's own. A run that learned from all
            is verified on all.

    Raises:
        ConfigError: If something is left open and `path` does not lie in a run folder.
        ReadError: If the run's config cannot be read.
    """
    seed = 0
    if data is None or name is None:
        config = run_folder(path) / "config.json"
        if not config.exists():
            raise ConfigError(f"{path} does not lie in a run folder; say what to judge it on with --data and --split")
        try:
            config_values = json.loads(config.read_text(encoding="utf-8"))
            data, name, seed = (
                data or Path(config_values["data"]),
                name or str(config_values["split"]),
                int(config_values["seed"]),
            )
        except (ValueError, KeyError, TypeError) as cause:
            raise ReadError(f"{config}: is not the config of a run ({cause}); give --data and --split") from cause
    store = open_store(data)
    if name == "all":
        everything = np.ones(len(store), dtype=np.bool_)
        return VerificationData(store, name, everything, everything)
    sides = split(store, name, seed=seed)
    return VerificationData(store, name, sides.test, sides.train)
