"""Are ten repetitions counted as ten, and do the default rules believe the movement they are about?

    python benchmarks/repetitions.py --data FOLDER_OF_UI_PRMD --out benchmarks/results/repetitions.json

Every subject's ten Kinect episodes of an exercise were cut from one recording; joined again they are a set of ten.
Counted with `movement.RULES` as they are. The ranges are those of windows of 4.2 s at 15 frames a second, one every two
seconds.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from amr_edge.data.readers import ui_prmd
from amr_edge.kinematics import RULES, count_repetitions, measure_movement, shows
from amr_edge.preprocess import resample
from amr_edge.skeleton import CANONICAL15, layout, remap

KINDS = (
    "squat", "hurdle step", "inline lunge", "side lunge", "squat", "leg raise", "arm raise", "shoulder extension",
    "shoulder rotation", "arm raise",
)  # fmt: skip
FPS, WINDOW_S, EVERY_S = 15, 4.2, 2.0


def main() -> None:
    """Count and judge everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows, spent_s, frames = [], 0.0, 0
    for correct in (True, False):
        folder = "Segmented Movements" if correct else "Incorrect Segmented Movements"
        room = args.data / folder / "Kinect" / "Positions"
        for movement, kind in enumerate(KINDS, start=1):
            rule, counts, ranges, believed = RULES[kind], [], [], []
            for subject in range(1, 11):
                ends = "_inc.txt.gz" if not correct else ".txt.gz"
                names = [f"m{movement:02d}_s{subject:02d}_e{e:02d}_positions{ends}" for e in range(1, 11)]
                seen = np.concatenate([next(ui_prmd.read(room / name)).poses[0] for name in names])
                times_s = np.arange(len(seen)) / ui_prmd.FPS
                poses = remap(seen, layout("ui_prmd22"), CANONICAL15).poses
                before_s = time.process_time()
                counts.append(len(count_repetitions(rule, poses, times_s)))
                spent_s, frames = spent_s + time.process_time() - before_s, frames + len(seen)
                at_s = np.arange(0, times_s[-1], 1 / FPS)
                slow = resample(poses[None], times_s, at_s, 0.4)[0]  # (T', 15, 3)
                for first in range(0, len(slow) - int(WINDOW_S * FPS), int(EVERY_S * FPS)):
                    window = slow[first : first + int(WINDOW_S * FPS) + 1]
                    found = measure_movement(rule, window)
                    ranges.append((found.travel, found.peak))
                    believed.append(shows(rule, window))
            travel, peak = np.percentile(np.array(ranges), [10, 50], axis=0).T.round(1).tolist()
            rows.append(
                {
                    "movement": movement, "rule": kind, "correct": correct, "counts": counts, "windows": len(believed),
                    "believed": round(float(np.mean(believed)), 4), "travel_p10_p50": travel, "peak_p10_p50": peak,
                }
            )  # fmt: skip
            print(rows[-1])
    result = {
        "sets_of_ten_counted_as_ten": {
            name: [sum(n == 10 for r in rows if r["correct"] == which for n in r["counts"]), 100]
            for name, which in (("correct", True), ("incorrect", False))
        },
        "microseconds_per_frame": round(1e6 * spent_s / frames, 2),
        "rows": rows,
    }
    print(json.dumps(result["sets_of_ten_counted_as_ten"]), result["microseconds_per_frame"])
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
