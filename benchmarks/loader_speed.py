"""Throughput of the data loader against that of the training step, in clips per second.

Run: python benchmarks/loader_speed.py [--data STORE] [--device cpu] [--rounds 5] [--json FILE]

Without --data a store is made in a temporary folder: 400 recordings of 60 to 120 frames of 25 joints, of which 18 %
show two persons, as in NTU RGB+D. Ways to a batch: `one by one`, whole clips by the reference in NumPy, not even
augmented; `resident`, `Views` with all recordings on the device; `mapped`, `Views` that may keep nothing and reads
every batch from the memory-mapped store. The step is the recipe's pre-training: forward, backward and AdamW, on the
same batches. One thread; every way makes one batch in every round; seconds are CPU seconds (wall seconds on CUDA, with
the step in bf16), and the median round is reported.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amr_edge.data.clips import Clips
from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, open_store, write_store
from amr_edge.runtime.hardware.machine import context
from amr_edge.terminal import note, table
from amr_edge.training.config import recipe
from amr_edge.training.data.batch import Batch, fit_to_data, to_batch
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.optimizer import build_optimizer
from amr_edge.training.objectives.masked_reconstruction import MaskedReconstruction
from amr_edge.training.tasks.pretrain import new_encoder

Make = Callable[[], object]

LOADED = 64  # clips in a batch of the loader
STEPPED = {"amr": 8, "amr-small": 32}  # clips in a batch of the step on a CPU
ON_CUDA = 128


def made(folder: Path) -> Store:
    """People who wander before a Kinect."""
    rng = np.random.default_rng(0)

    def recording(number: int) -> Recording:
        people, frames = 1 + (number % 100 < 18), int(rng.integers(60, 121))
        rest = rng.normal(0, 0.3, (people, 1, 25, 3)) + rng.normal(0, 1, (people, 1, 1, 3))
        poses = rest + np.cumsum(rng.normal(0, 0.01, (people, frames, 25, 3)), axis=1)
        return Recording(
            poses=poses.astype(np.float32), times_s=np.arange(frames) / 30, layout="ntu25", source=str(number)
        )

    recordings = (recording(number) for number in range(400))
    return write_store(folder / "made.npz", recordings, dataset="made", terms="made for this benchmark")


def measure(name: str, store: Store, device: torch.device, rounds: int) -> dict[str, float]:
    """Clips a second of each road and of the step, for one recipe."""
    settings = recipe(name)
    which = np.ones(len(store), dtype=np.bool_)
    settings = replace(settings, prepare=fit_to_data(settings.prepare, store, which))
    changes = settings.pretrain.augment
    clips = Clips(store, which, settings.prepare, settings.persons)
    resident = Views(store, which, settings.prepare, settings.persons, changes, device)
    mapped = Views(store, which, settings.prepare, settings.persons, changes, device, memory=0)
    rng = np.random.default_rng(1)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    encoder = new_encoder(settings, 0)
    module = MaskedReconstruction(encoder, settings.pretrain.pretext).to(device)
    adam = build_optimizer(module, encoder, settings.pretrain.optim)
    loaded = LOADED if device.type == "cpu" else ON_CUDA
    stepped = min(STEPPED[name] if device.type == "cpu" else ON_CUDA, len(store))
    batch = resident.batch(np.arange(stepped), rng)

    def one_by_one() -> Batch:
        return to_batch(clips.whole(chosen), device)

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            loss = module(batch.body, batch.present, generator).loss
        loss.backward()
        adam.step()

    roads: dict[str, tuple[Make, int]] = {
        "one by one": (one_by_one, loaded),
        "resident": (lambda: resident.batch(chosen, rng), loaded),
        "mapped": (lambda: mapped.batch(chosen, rng), loaded),
        "step": (step, stepped),
    }
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    rates: dict[str, list[float]] = {road: [] for road in roads}
    for turn in range(rounds + 1):
        chosen = rng.choice(len(store), loaded, replace=loaded > len(store))
        for road, (make, count) in roads.items():
            began = clock()
            make()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first round warms up
                rates[road].append(count / (clock() - began))
    return {road: statistics.median(each) for road, each in rates.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a store, instead of one that is made")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--rounds", type=int, default=5, help="batches of each road (default 5)")
    parser.add_argument("--json", type=Path, help="where to store what was measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"device": options.device, "rounds": options.rounds, "torch": str(torch.__version__)}
    result["machine"] = context()
    result["clips_per_s"] = {}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = made(Path(folder)) if options.data is None else open_store(options.data)
        for name in STEPPED:
            note(f"{name} ...")
            rates = measure(name, store, torch.device(options.device), options.rounds)
            result["clips_per_s"][name] = rates
            for road in ("one by one", "resident", "mapped"):
                share = rates["step"] / rates[road]
                rows.append([name, road, round(rates[road]), round(rates["step"], 1), f"{share:.2%}"])
    print(table(rows, ["recipe", "road", "loader clips/s", "step clips/s", "loading per step"]))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
