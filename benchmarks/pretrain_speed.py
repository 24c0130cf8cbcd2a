"""How much faster is a step of AMR than a step of MAMP, at the paper's size, and what does it take of memory?

Run: python benchmarks/pretrain_speed.py [--rounds 3] [--clips 8] [--device cpu] [--json FILE]

A step is forward, backward and AdamW on one batch of 120 frames of 25 joints: AMR and MAMP as the recipes `amr` and
`mamp` train them (scaled-dot-product attention), and `plain`, a reference written here that does what MAMP's
publication describes in the plainest way: every token embedded before nine tenths are dropped, attention by its
explicit matrix, five decoder layers over all 750 tokens, the prediction of visible tokens thrown away, two persons a
clip however many are present, fp32. It is not released code of others.

Each candidate is a process of its own with one thread; in every round each makes one step after the other, so that a
machine on which others work as well cancels out of the ratios, which are medians over the rounds. Seconds are CPU
seconds. "Equal persons" has two persons in every clip; "present persons" drops those who are not there from batches in
which five of six clips have one person, as in NTU RGB+D (82 %). Everything is done twice: with the allocator as it is,
and with a heap that is kept, because half of a step that is heavy with attention matrices is page faults.

On CUDA (--device cuda --clips 128) the table gives clips a second.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amr_edge.runtime.hardware.machine import context
from amr_edge.terminal import note, table
from amr_edge.training.config import recipe
from amr_edge.training.engine.optimizer import build_optimizer
from amr_edge.training.models.patchify import patchify
from amr_edge.training.objectives.masked_reconstruction import MaskedReconstruction
from amr_edge.training.tasks.pretrain import new_encoder

FRAMES, JOINTS, PATCH, WIDTH, HEADS = 120, 25, 4, 256, 8
KEPT_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}
# Name -> recipe, precision and whether persons who are not there are dropped.
CANDIDATES = {
    "plain fp32": ("plain", "fp32", False),
    "mamp fp32": ("mamp", "fp32", False),
    "mamp bf16": ("mamp", "bf16", False),
    "amr fp32": ("amr", "fp32", False),
    "amr bf16": ("amr", "bf16", False),
    "amr fp32, present": ("amr", "fp32", True),
    "amr bf16, present": ("amr", "bf16", True),
}


class PlainBlock(nn.Module):
    """Pre-norm transformer block that writes its attention matrix out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        B, L, D = x.shape
        qkv = self.qkv(self.first(x)).reshape(B, L, 3, HEADS, D // HEADS)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, L, D / H)
        looks = (q @ k.transpose(-2, -1) * (D // HEADS) ** -0.5).softmax(dim=-1)  # (B, H, L, L)
        x = x + self.out((looks @ v).transpose(1, 2).reshape(B, L, D))
        y: Tensor = x + self.feed(self.second(x))
        return y


class Plain(nn.Module):
    """MAMP by its publication (Mao et al., ICCV 2023), nothing saved; see the module's docstring."""

    def __init__(self) -> None:
        super().__init__()
        steps = FRAMES // PATCH
        self.keep = steps * JOINTS // 10
        self.embed = nn.Linear(PATCH * 3, WIDTH)
        self.places = nn.Parameter(torch.randn(2, steps * JOINTS, WIDTH) * 0.02)
        self.encoder = nn.Sequential(*(PlainBlock() for _ in range(8)), nn.LayerNorm(WIDTH))
        self.between, self.hidden = nn.Linear(WIDTH, WIDTH), nn.Parameter(torch.randn(WIDTH) * 0.02)
        self.decoder = nn.Sequential(*(PlainBlock() for _ in range(5)), nn.LayerNorm(WIDTH))
        self.head = nn.Linear(WIDTH, PATCH * 3)

    def forward(self, body: Tensor) -> Tensor:
        """(B, T, V, 3) -> the loss."""
        patches = patchify(body, PATCH)  # (B, L, 12)
        B, L, _ = patches.shape
        tokens = self.embed(patches) + self.places[0]
        path = patches.reshape(B, L // JOINTS, JOINTS, -1)
        moved = (path[:, 1:] - path[:, :-1]).abs().mean(dim=-1)  # (B, T_e - 1, V)
        moved = torch.cat([moved[:, :1], moved], dim=1).reshape(B, L)
        odds = (moved / (moved.amax(dim=1, keepdim=True) * 0.8)).log_softmax(dim=1)
        order = (odds - torch.log(-torch.log(torch.rand_like(odds)))).argsort(dim=1)  # (B, L)
        back = order.argsort(dim=1)
        seen = order[:, : self.keep, None].expand(-1, -1, WIDTH)
        features = self.between(self.encoder(tokens.gather(1, seen)))  # (B, L / 10, D)
        rest = self.hidden.expand(B, L - self.keep, -1)
        whole = torch.cat([features, rest], dim=1).gather(1, back[..., None].expand(-1, -1, WIDTH))  # (B, L, D)
        predicted = self.head(self.decoder(whole + self.places[1]))
        motion = torch.cat([body[:, 1:] - body[:, :-1], torch.zeros_like(body[:, :1])], dim=1)
        target = patchify(motion, PATCH)
        target = (target - target.mean(dim=-1, keepdim=True)) / (target.var(dim=-1, keepdim=True) + 1e-6).sqrt()
        hidden = torch.ones(B, L, device=body.device).scatter(1, order[:, : self.keep], 0.0)
        return ((predicted - target).square().mean(dim=-1) * hidden).sum() / hidden.sum()


def walkers(bodies: int, device: torch.device) -> Tensor:
    """(B, T, V, 3): bodies whose joints wander."""
    generator = torch.Generator().manual_seed(bodies)
    steps = torch.randn(bodies, FRAMES, JOINTS, 3, generator=generator)
    return (0.01 * steps).cumsum(dim=1).to(device)


def stepper(name: str, device: torch.device) -> Callable[[Tensor], float]:
    """What makes one step on a batch of bodies and returns its loss."""
    kind, precision, _ = CANDIDATES[name]
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    if kind == "plain":
        plain = Plain().to(device)
        module: nn.Module = plain
        adam = torch.optim.AdamW(plain.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05)
    else:
        settings = recipe(kind)
        encoder = new_encoder(settings, 0)
        module = MaskedReconstruction(encoder, settings.pretrain.pretext).to(device)
        adam = build_optimizer(module, encoder, settings.pretrain.optim)

    def step(body: Tensor) -> float:
        adam.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            if kind == "plain":
                loss = module(body)
            else:
                present = torch.ones(body.shape[:3], dtype=torch.bool, device=device)
                loss = module(body, present, generator).loss
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step


def work(name: str, clips: int, device: torch.device) -> None:
    """One candidate's process: a step for every line on stdin, what it cost on stdout."""
    torch.set_num_threads(1)
    step = stepper(name, device)
    present = CANDIDATES[name][2]
    # Of six clips one has two persons.
    crowds = [2 * clips] if not present else [clips + (clips + 5 - turn) // 6 for turn in range(0, 6, 2)]
    batches = [walkers(crowd, device) for crowd in crowds]
    bare_mb = _resident_mb()
    step(batches[-1])
    print("ready", flush=True)
    for turn, _ in enumerate(sys.stdin):
        body = batches[turn % len(batches)]
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        loss = step(body)
        if device.type == "cuda":
            torch.cuda.synchronize()
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        peak_mb = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else _resident_mb() - bare_mb
        row = {"wall_s": wall_s, "cpu_s": cpu_s, "bodies": len(body), "peak_mb": peak_mb, "loss": loss}
        print(json.dumps(row), flush=True)


def _resident_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def race(options: argparse.Namespace, heap: dict[str, str]) -> dict[str, list[dict[str, float]]]:
    """Every candidate's steps, one round after the other."""
    own = [sys.executable, __file__, "--device", options.device, "--clips", str(options.clips), "--worker"]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **heap}
    workers: dict[str, subprocess.Popen[str]] = {}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in CANDIDATES}
    try:
        for name in CANDIDATES:
            workers[name] = subprocess.Popen(
                [*own, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
            )
            _answer(name, workers[name])
        for turn in range(options.rounds):
            for name, worker in workers.items():
                assert worker.stdin is not None
                worker.stdin.write("step\n")
                worker.stdin.flush()
                rows[name].append(json.loads(_answer(name, worker)))
                note(f"round {turn + 1}  {name}: {rows[name][-1]['cpu_s']:.2f} s")
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return rows


def _answer(name: str, worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        sys.exit(f"{name}: its process ended with {worker.wait()}")
    return line


def summary(rows: dict[str, list[dict[str, float]]], clips: int, device: str) -> dict[str, dict[str, float]]:
    """What each candidate took, and how often its steps fit into the slower ones', round by round."""
    clock = "cpu_s" if device == "cpu" else "wall_s"
    found = {}
    for name, own in rows.items():
        found[name] = {
            "seconds": statistics.median(row[clock] for row in own),
            "clips_per_s": clips / statistics.median(row[clock] for row in own),
            "peak_mb": max(row["peak_mb"] for row in own),
        }
        for other in ("plain fp32", "mamp fp32", "mamp bf16"):
            pairs = zip(rows[other], own, strict=True)
            found[name][f"times_{other.replace(' ', '_')}"] = statistics.median(a[clock] / b[clock] for a, b in pairs)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="steps of each candidate (default 3)")
    parser.add_argument("--clips", type=int, default=8, help="in a batch (default 8)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--json", type=Path, help="where to store what was measured")
    parser.add_argument("--worker", choices=CANDIDATES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.clips, torch.device(options.device))
        return
    heaps: dict[str, dict[str, str]] = {"default": {}, "kept heap": KEPT_HEAP}
    if options.device != "cpu":
        heaps = {options.device: {}}
    result: dict[str, Any] = {"clips": options.clips, "rounds": options.rounds, "device": options.device}
    result["torch"] = torch.__version__
    result["machine"] = context()
    for title, heap in heaps.items():
        rows = race(options, heap)
        found = summary(rows, options.clips, options.device)
        result[title] = {"summary": found, "rounds": rows}
        keys = ("seconds", "clips_per_s", "times_plain_fp32", "times_mamp_fp32", "times_mamp_bf16", "peak_mb")
        lines = [[name, *(round(row[key], 2) for key in keys)] for name, row in found.items()]
        print(f"\nallocator: {title}")
        header = ["candidate", "s a step", "clips/s", "x plain fp32", "x mamp fp32", "x mamp bf16", "peak MB"]
        print(table(lines, header))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
