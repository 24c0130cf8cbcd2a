"""Contact sheet of every synthetic action.

Run: python benchmarks/draw_synthetic.py sheet.png [--subject 1] [--take 1] [--only kick,jump]
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from amr_edge import synthetic
from amr_edge.skeleton import NTU25

MOMENTS = 8


def draw(path: Path, *, number: int, take: int, actions: list[str], seed: int) -> None:
    """Write one row of front views and one of side views for each action."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    person = synthetic.subject(number, seed)
    figure, axes = plt.subplots(2 * len(actions), MOMENTS, figsize=(2.0 * MOMENTS, 4.4 * len(actions)), squeeze=False)
    for row, action in enumerate(actions):
        rng = np.random.default_rng([seed, take, synthetic.CLASSES.index(action)])
        clip = synthetic.clip(action, person, rng, sensor=synthetic.Sensor.perfect())
        frames = np.linspace(0, len(clip.times_s) - 1, MOMENTS).round().astype(int)
        for column, frame in enumerate(frames):
            pose = clip.poses[0, frame]
            for view, (across, sign) in enumerate(((0, -1), (2, -1))):
                axis = axes[2 * row + view, column]
                offset = pose[NTU25.root, across] if action == "walk" else clip.poses[0, 0, NTU25.root, across]
                for parent, child in NTU25.bones:
                    name = NTU25.joints[child]
                    color = "tab:red" if "left" in name else "tab:blue" if "right" in name else "black"
                    x = sign * (pose[[parent, child], across] - offset)
                    axis.plot(x, pose[[parent, child], 1], color=color, linewidth=1.8)
                head = pose[NTU25.index("head")]
                axis.plot(sign * (head[across] - offset), head[1], "o", color="black", markersize=9, fillstyle="none")
                axis.axhline(0, color="grey", linewidth=0.6)
                axis.set(xlim=(-1.1, 1.1), ylim=(-0.1, 2.4), xticks=[], yticks=[], aspect="equal")
                if column == 0:
                    axis.set_ylabel(f"{action} {('front', 'side')[view]}")
                axis.set_title(f"{clip.times_s[frame]:.2f} s", fontsize=8, pad=2)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=55)


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="PNG to write")
    parser.add_argument("--subject", type=int, default=1)
    parser.add_argument("--take", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(synthetic.CLASSES), help="actions, separated by commas")
    given = parser.parse_args()
    draw(given.path, number=given.subject, take=given.take, actions=given.only.split(","), seed=given.seed)
    print(f"wrote {given.path}: {synthetic.subject(given.subject, given.seed)}")


if __name__ == "__main__":
    main()
