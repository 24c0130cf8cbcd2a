"""What the synthetic exercises and the synthetic life look like: contact sheets for a physiotherapist to judge.

Run: python benchmarks/draw_exercises.py sheet.png [--subject 1] [--takes 2] [--only "squat,jog on the spot,life"]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

from amr_edge import synthetic
from amr_edge.data.recording import Recording
from amr_edge.skeleton import NTU25, Poses

MOMENTS = 9


def _moments(recording: Recording) -> np.ndarray:
    """The frames of two repetitions from the middle of the set, or of the whole where nothing is labelled."""
    spans = recording.spans[len(recording.spans) // 2 :][:2]
    start_s, end_s = (spans[0].start_s, spans[-1].end_s) if spans else (0.0, recording.duration_s)
    return np.searchsorted(recording.times_s, np.linspace(start_s, end_s, MOMENTS)).clip(0, len(recording.times_s) - 1)


def _stick(axis: object, pose: Poses, across: int, sign: float, floor: float) -> None:
    """One stick figure, left red and right blue, seen along the other horizontal axis."""
    middle = pose[NTU25.root, across]
    for parent, child in NTU25.bones:
        name = NTU25.joints[child]
        color = "tab:red" if "left" in name else "tab:blue" if "right" in name else "black"
        x = sign * (pose[[parent, child], across] - middle)
        axis.plot(x, pose[[parent, child], 1] - floor, color=color, linewidth=1.6)  # type: ignore[attr-defined]
    head = pose[NTU25.index("head")]
    axis.plot(sign * (head[across] - middle), head[1] - floor, "o", color="black", fillstyle="none")  # type: ignore[attr-defined]


def draw(path: Path, recordings: list[Recording]) -> None:
    """Write one row of front views and one of side views for each recording."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    size = (1.5 * MOMENTS, 3.2 * len(recordings))
    figure, axes = plt.subplots(2 * len(recordings), MOMENTS, figsize=size, squeeze=False)
    for row, recording in enumerate(recordings):
        floor = float(np.nanmin(recording.poses[..., 1]))
        for column, frame in enumerate(_moments(recording)):
            for view, (across, sign) in enumerate(((0, 1.0), (2, -1.0))):
                axis = axes[2 * row + view, column]
                _stick(axis, recording.poses[0, frame], across, sign, floor)
                axis.axhline(0, color="grey", linewidth=0.6)
                axis.set(xlim=(-1.1, 1.1), ylim=(-0.1, 2.3), xticks=[], yticks=[], aspect="equal")
                if view == 0:
                    axis.set_title(f"{recording.times_s[frame]:.1f} s", fontsize=7, pad=1)
                if column == 0:
                    axis.set_ylabel(recording.source.split("/")[-1].replace("#", "\n"), fontsize=7)
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=60)


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="PNG to write")
    parser.add_argument("--subject", type=int, default=1)
    parser.add_argument("--takes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=8.0, help="of life")
    parser.add_argument("--only", help="exercises, doings of life, or life, separated by commas")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(synthetic.EXERCISES)
    made = []
    for name in names:
        for take in range(given.takes):
            rng = np.random.default_rng([given.seed, take, sum(map(ord, name))])
            person = synthetic.subject(given.subject + take, given.seed)
            if name in synthetic.EXERCISES:
                made.append(synthetic.exercise(name, person, rng))
            else:
                lived = synthetic.life(person, rng, given.seconds, doing=None if name == "life" else [name])
                made.append(replace(lived, source=f"life#{name}"))
    draw(given.path, made)
    print(f"wrote {given.path}")


if __name__ == "__main__":
    main()
