"""What does a frame cost beside pose and model: tracks, windows, prepare, decisions and JSON, for 1 and 5 people.

Run: python benchmarks/stream_overhead.py [--seconds 20] [--json]

People sway before a 30 fps camera, seen as MediaPipe sees them (33 joints, pixels, no ids). The model answers at
once with fixed probabilities, so what is timed is all of `amr_edge.runtime` but pose and model. Times are of one
thread, in milliseconds for one frame; an answer is due at about every eighth.
"""

import argparse
import io
import json
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.hardware.machine import machine
from amr_edge.runtime.pipeline.event_detector import EventDetector
from amr_edge.runtime.pipeline.recognizer import Recognizer
from amr_edge.runtime.stage_timer import Record
from amr_edge.skeleton import MEDIAPIPE33, Mask
from amr_edge.terminal import note, table, to_json

FPS = 30.0
CLASSES = tuple(f"action {k}" for k in range(60))


@dataclass(frozen=True)
class Instant:
    """A model that costs nothing."""

    card: Card
    title: str = "instant"

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:  # noqa: ARG002
        """The first class, fairly sure."""
        probs = np.full((len(values), len(CLASSES)), 0.3 / (len(CLASSES) - 1), dtype=np.float32)
        probs[:, 0] = 0.7
        return probs


def frames(people: int, seconds: float, rng: np.random.Generator) -> list[Frame]:
    """What an estimator would hand on."""
    rest = rng.normal(scale=0.3, size=(people, 33, 3))
    seen = []
    for k in range(int(seconds * FPS)):
        poses = (rest + 0.05 * np.sin(k / 5 + np.arange(33)[None, :, None])).astype(np.float32)
        poses[rng.random(poses.shape[:2]) < 0.05] = np.nan
        pixels = (
            poses[..., :2] * 150 + np.float32([300, 400]) + 400 * np.arange(people, dtype=np.float32)[:, None, None]
        )
        seen.append(Frame(time_s=k / FPS, poses=poses, pixels=pixels.astype(np.float32)))
    return seen


def measure(people: int, seconds: float) -> tuple[Record, Record]:
    """Milliseconds of all frames, and of those that gave answers."""
    rng = np.random.default_rng(0)
    card = Card(name="overhead", kind="classifier", classes=CLASSES, prepare=PrepareConfig())
    stream, decider, out = Recognizer(Instant(card), MEDIAPIPE33, "m"), EventDetector(card), io.StringIO()
    every, answered = Record(rng), Record(rng)
    for frame in frames(people, seconds, rng):
        start_s = time.perf_counter()
        answers = stream.push(frame)
        events = decider.push(frame.time_s, answers)
        for record in (*answers, *events):
            out.write(to_json(record.to_dict()))
        ms = (time.perf_counter() - start_s) * 1e3
        every.add(ms)
        if answers:
            answered.add(ms)
        out.seek(0)
    return every, answered


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of source time (default 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    measure(1, 3.0)  # imports, caches
    rows = []
    for people in (1, 5):
        for name, record in zip(("every frame", "frames with answers"), measure(people, options.seconds), strict=True):
            shares = record.percentiles((50, 99))
            rows.append([people, name, record.count, round(shares["p50"], 3), round(shares["p99"], 3)])
    header = ["people", "of", "count", "median ms", "p99 ms"]
    machine_facts = machine(threads=1)
    if options.json:
        print(json.dumps({"rows": [dict(zip(header, row, strict=True)) for row in rows], **machine_facts}))
        return
    note(", ".join(f"{name} {value}" for name, value in machine_facts.items()))
    print(table(rows, header))


if __name__ == "__main__":
    main()
