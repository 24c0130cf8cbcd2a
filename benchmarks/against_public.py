"""Does `amr-edge bench` report what public instruments report, on the same file with the same threads?

Run: python benchmarks/against_public.py MODEL [--seconds 5] [--rounds 5] [--json FILE]

MODEL is an exported model.onnx. In every round four instruments measure one after the other, each in a process of its
own, one thread: a bare loop around ONNX Runtime's `InferenceSession.run`, `amr-edge bench --engine onnxruntime`,
OpenVINO's `benchmark_app` and `amr-edge bench --engine openvino`. What counts is the ratio of medians within a round,
so that a machine on which others work as well cancels out; the table gives the median of the rounds' ratios.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from amr_edge.runtime.hardware.machine import context
from amr_edge.runtime.inference.session import open_session
from amr_edge.skeleton import layout
from amr_edge.terminal import note, table

BARE = """
import sys, time
import numpy as np
import onnxruntime as ort
path, seconds, frames, joints = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
feed = {
    "clip": np.random.default_rng(0).normal(size=(1, 1, frames, joints, 3)).astype(np.float32),
    "present": np.ones((1, 1, frames, joints), bool),
}
if any(tensor.name == "ranks" for tensor in session.get_inputs()):
    feed["ranks"] = np.arange(int(sys.argv[5]))
times = []
end = time.perf_counter() + 1 + seconds
while (before := time.perf_counter()) < end:
    session.run(["probs"], feed)
    if before > end - seconds:
        times.append(time.perf_counter() - before)
print(np.median(times) * 1e3)
"""


def _run(*command: str) -> str:
    environ = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def _ours(model: Path, engine: str, seconds: float) -> float:
    command = ("-m", "amr_edge", "bench", str(model), "--engine", engine, "--seconds", str(seconds), "--json")
    result: dict[str, Any] = json.loads(_run(sys.executable, *command))
    return float(result["rows"][0]["latency_ms"]["p50"])


def _openvino(program: str, model: Path, seconds: float, frames: int, joints: int, tokens: int) -> float:
    shape = f"clip[1,1,{frames},{joints},3],present[1,1,{frames},{joints}]"
    if "ranks" in {tensor.partition("[")[0] for tensor in _inputs(model)}:
        shape += f",ranks[{tokens}]"
    command = [program, "-m", str(model), "-d", "CPU", "-api", "sync", "-hint", "none", "-nstreams", "1"]
    command += ["-nthreads", "1", "-infer_precision", "f32", "-t", str(round(seconds)), "-data_shape", shape]
    with tempfile.TemporaryDirectory() as folder:
        out = _run(*command, "-report_folder", folder)
    found = re.search(r"Median:\s+([\d.]+) ms", out)
    if found is None:
        sys.exit(f"benchmark_app printed no median: {out[-500:]}")
    return float(found.group(1))


def _inputs(model: Path) -> list[str]:
    import onnxruntime

    return [tensor.name for tensor in onnxruntime.InferenceSession(str(model)).get_inputs()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each instrument in each round (default 5)")
    parser.add_argument("--rounds", type=int, default=5, help="(default 5)")
    parser.add_argument("--json", type=Path, help="write what was measured here")
    options = parser.parse_args()
    session = open_session(options.model, engine="onnxruntime", threads=1)
    frames, joints = session.card.prepare.frames, len(layout(session.card.prepare.layout))
    program = shutil.which("benchmark_app")
    rounds: list[dict[str, float]] = []
    for place in range(options.rounds):
        note(f"round {place + 1} of {options.rounds}")
        sizes = map(str, (options.seconds, frames, joints, session.tokens))
        one = {
            "bare loop": float(_run(sys.executable, "-c", BARE, str(options.model), *sizes)),
            "amr-edge onnxruntime": _ours(options.model, "onnxruntime", options.seconds),
        }
        if program:
            one["benchmark_app"] = _openvino(program, options.model, options.seconds, frames, joints, session.tokens)
            one["amr-edge openvino"] = _ours(options.model, "openvino", options.seconds)
        rounds.append(one)
    pairs = [("amr-edge onnxruntime", "bare loop"), ("amr-edge openvino", "benchmark_app")]
    rows, ratios = [], {}
    for ours, public in pairs:
        if public not in rounds[0]:
            note(f"{public} is not installed")
            continue
        both = np.array([one[ours] / one[public] for one in rounds])
        ratios[f"{ours} / {public}"] = both.round(4).tolist()
        medians = [float(np.median([one[name] for one in rounds])) for name in (ours, public)]
        spread = f"{both.min():.3f} to {both.max():.3f}"
        rows.append([ours, round(medians[0], 3), public, round(medians[1], 3), f"{np.median(both):.3f}", spread])
    print(table(rows, ["instrument", "p50 ms", "public", "p50 ms", "ratio", "rounds"]))
    if options.json:
        result = {"rounds_ms": rounds, "ratios": ratios, "model": options.model.name, "context": context()}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
