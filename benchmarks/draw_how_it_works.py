"""What do our own masks, targets, weights and budget make of one synthetic clip? Pictures for docs/how-it-works.md.

Run: python benchmarks/draw_how_it_works.py docs

Writes how_mask.png, how_targets.png, how_focal.png and how_budget.png. Nothing in them is trained: what is hidden, what
is to be predicted, what counts and what is kept are functions of the clip alone. The sensor trembles by 2 mm from frame
to frame, the synthetic corpus's by 6; what that one makes of the weights is printed. Backgrounds are transparent, and
every colour can be read on white and on black.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from amr_edge import synthetic
from amr_edge.preprocess import prepare
from amr_edge.skeleton import NTU25
from amr_edge.training.config import PretextConfig, amr_small
from amr_edge.training.models.motion_energy import focal_weights
from amr_edge.training.models.patchify import unpatchify
from amr_edge.training.models.token_selection import TokenSelector, macs
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.objectives.masked_reconstruction import MaskedReconstruction
from amr_edge.training.report.plots import LEFT, MIDDLE, RIGHT, SHARE
from amr_edge.training.report.skeleton_plots import seen_from_aside, sides

INK = "#7d8896"  # text that can be read on white and on black
PALE = 0.26
WIDTH_INCHES = 9.0
MOMENTS = 8
ACTION = "kick"
MOVING, STILL = "left_foot", "right_foot"  # of this person, who kicks with the left
# From the head down, each side together, so that neighbours on the body are neighbours in the picture.
ORDER = (
    *("head", "neck", "upper_spine", "spine", "pelvis"),
    *(f"left_{part}" for part in ("shoulder", "elbow", "wrist", "hand", "hand_tip", "thumb")),
    *(f"right_{part}" for part in ("shoulder", "elbow", "wrist", "hand", "hand_tip", "thumb")),
    *(f"left_{part}" for part in ("hip", "knee", "ankle", "foot")),
    *(f"right_{part}" for part in ("hip", "knee", "ankle", "foot")),
)
GROUPS = (
    ("head, spine", 0, 5),
    ("left arm", 5, 11),
    ("right arm", 11, 17),
    ("left leg", 17, 21),
    ("right leg", 21, 25),
)
COLOURS = (LEFT, RIGHT, MIDDLE)
CALM = synthetic.Sensor(noise_m=0.002, drift_m=0.002, lost_per_s=0.0, limb_lost_per_s=0.0)


class Seen(NamedTuple):
    """One body as the model sees it."""

    body: Tensor  # (1, T, V, 3)
    present: Tensor  # (1, T, V)
    flat: NDArray[np.float32]  # (T, V, 2), seen from a little to the side
    module: MaskedReconstruction  # amr-small's pretext task, untrained

    @property
    def patch_frames(self) -> int:
        """Frames in a token."""
        return self.module.encoder.config.patch_frames


def see(action: str, seed: int, sensor: synthetic.Sensor) -> Seen:
    """A person who acts, prepared as amr-small prepares."""
    recipe = amr_small()
    clip = synthetic.clip(action, synthetic.subject(1, seed), np.random.default_rng(seed), sensor=sensor)
    prepared = prepare(clip.poses, clip.times_s, NTU25, recipe.prepare)
    torch.manual_seed(seed)
    encoder = Encoder(recipe.encoder, frames=recipe.prepare.frames, joints=len(NTU25))
    return Seen(
        torch.from_numpy(prepared.values[:1]),
        torch.from_numpy(prepared.present[:1]),
        seen_from_aside(prepared.values, prepared.present)[0],
        MaskedReconstruction(encoder, recipe.pretrain.pretext),
    )


def grid(seen: Seen, tokens: Tensor) -> NDArray[np.bool_]:
    """(V, T / patch_frames): which tokens are among these, joints as in `ORDER`."""
    joints = len(NTU25)
    chosen = np.zeros(seen.module.encoder.tokens, dtype=np.bool_)
    chosen[tokens[0].numpy()] = True
    rows = [NTU25.index(name) for name in ORDER]
    # (V, T / patch_frames), from time-major tokens
    return chosen.reshape(-1, joints).T[rows]


def plain(panel: Axes) -> None:
    """No frame and no ground; text in the ink."""
    panel.patch.set_alpha(0)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0, labelsize=8, labelcolor=INK, pad=2)


def draw_figures(panel: Axes, seen: Seen, chosen: NDArray[np.bool_] | None) -> None:
    """Moments from left to right; the chosen tokens strong, with the way of their joint, the rest of the body pale."""
    steps = len(seen.flat) // seen.patch_frames
    which = np.linspace(0, steps - 1, MOMENTS).round().astype(int)
    side = np.array(sides(NTU25))
    cell = 1.1 * float(np.nanmax(seen.flat[..., 0]) - np.nanmin(seen.flat[..., 0]))
    for place, step in enumerate(which.tolist()):
        frames = slice(step * seen.patch_frames, (step + 1) * seen.patch_frames)
        path = seen.flat[frames] + ((place + 0.5) * cell, 0)  # (patch_frames, V, 2)
        pose = path[-1]
        for parent, child in NTU25.bones:
            opacity = 1.0 if chosen is None else PALE
            panel.plot(*pose[[parent, child]].T, color=COLOURS[side[child]], lw=1.8, alpha=opacity)
        if chosen is None:
            continue
        for row in np.flatnonzero(chosen[:, step]).tolist():
            joint = NTU25.index(ORDER[row])
            panel.plot(*path[:, joint].T, color=COLOURS[side[joint]], lw=1.6, solid_capstyle="round")
            panel.plot(*pose[joint], "o", ms=3.4, color=COLOURS[side[joint]])
    low, high = float(np.nanmin(seen.flat[..., 1])), float(np.nanmax(seen.flat[..., 1]))
    panel.set(xlim=(0, cell * MOMENTS), ylim=(low - 0.05, high + 0.08), aspect="equal", xticks=[], yticks=[])
    plain(panel)


def name_groups(panel: Axes) -> None:
    """The parts of the body beside a map of the joints, and thin lines between them."""
    panel.set_yticks([(low + high - 1) / 2 for _, low, high in GROUPS], [name for name, _, _ in GROUPS])
    for _, low, _ in GROUPS[1:]:
        panel.axhline(low - 0.5, color=INK, lw=0.5, alpha=0.5)


def draw_grid(panel: Axes, chosen: NDArray[np.bool_]) -> None:
    """The tokens as a map, joints down and time across; those that are chosen filled."""
    side = np.array(sides(NTU25))
    for row, name in enumerate(ORDER):
        color = COLOURS[side[NTU25.index(name)]]
        for step, taken in enumerate(chosen[row].tolist()):
            opacity = 0.95 if taken else 0.09
            panel.add_patch(Rectangle((step - 0.44, row - 0.42), 0.88, 0.84, color=color, lw=0, alpha=opacity))
    panel.set(xlim=(-0.5, chosen.shape[1] - 0.5), ylim=(len(ORDER) - 0.5, -0.5), xticks=[])
    name_groups(panel)
    plain(panel)


def title(panel: Axes, text: str) -> None:
    """What a panel shows, above it."""
    panel.set_title(text, loc="left", fontsize=10, color=INK, pad=5)


def save(figure: Figure, path: Path) -> None:
    """Write a picture that suits a light and a dark page."""
    figure.savefig(path, dpi=150, transparent=True)


def draw_mask(seen: Seen, path: Path) -> None:
    """The clip, and the tenth of its tokens that the encoder sees in pre-training."""
    visible = seen.module.visible(seen.body, seen.present, torch.Generator().manual_seed(3))
    chosen = grid(seen, visible)
    figure = Figure(figsize=(WIDTH_INCHES, 5.6), layout="constrained")
    whole, left, tokens = figure.subplots(3, 1, height_ratios=(1, 1, 1.35))
    draw_figures(whole, seen, None)
    title(whole, "the recording: a kick")
    draw_figures(left, seen, chosen)
    title(left, "what the encoder sees of it")
    draw_grid(tokens, chosen)
    title(
        tokens,
        f"{visible.shape[1]} of {seen.module.encoder.tokens} tokens, at random; a token is one joint over "
        f"{seen.patch_frames} frames, time runs to the right",
    )
    save(figure, path)


def weights(seen: Seen) -> Tensor:
    """(T, V): how much every joint counts in every frame."""
    module = seen.module
    return unpatchify(module.weights(seen.body, seen.present), module.target_frames, len(NTU25))[0, ..., 0]


def draw_targets(seen: Seen, path: Path) -> None:
    """What the decoder predicts: displacements in large patches, each normalised by itself, and what counts."""
    module, V = seen.module, len(NTU25)
    value, _ = module.target(seen.body, seen.present)  # (1, N_t, P) each
    normalized = unpatchify(value, module.target_frames, V)[0]  # (T, V, 3)
    weight = weights(seen)
    moved = (seen.body[0, 1:] - seen.body[0, :-1]) * 1000  # (T - 1, V, 3), mm
    T = len(normalized)
    figure = Figure(figsize=(WIDTH_INCHES, 6.0), layout="constrained")
    panels = figure.subplots(3, 2, sharex=True)
    for column, name in enumerate((MOVING, STILL)):
        joint = NTU25.index(name)
        caption = "moves" if name == MOVING else "hardly moves"
        rows = (
            (moved[:, joint], f"{name.replace('_', ' ')}, which {caption}: mm from frame to frame"),
            (normalized[:, joint], f"the target: {T // module.target_frames} patches, each normalised by itself"),
            (weight[:, joint, None], "the focal weight: how much each frame counts in the loss"),
        )
        for row, (lines, caption) in enumerate(rows):
            panel = panels[row, column]
            for axis, color in zip(range(lines.shape[1]), (RIGHT, LEFT, MIDDLE), strict=False):
                panel.plot(lines[:, axis], color=color if row < 2 else LEFT, lw=1.6, label="xyz"[axis])
            for edge in range(module.target_frames, T, module.target_frames):
                panel.axvline(edge - 0.5, color=INK, lw=0.7, ls=(0, (4, 3)))
            if row == 2:
                panel.set_ylim(0, 1.05)
                panel.fill_between(range(T), lines[:, 0], color=LEFT, alpha=0.15, lw=0)
            plain(panel)
            panel.spines["left"].set_visible(True)
            panel.spines["left"].set_color(INK)
            panel.set_xlim(0, T - 1)
            title(panel, caption)
        panels[2, column].set_xlabel("frame", color=INK, fontsize=9)
    # One scale for both joints: that the right one is nearly still is the point.
    largest = 1.1 * float(moved[:, [NTU25.index(MOVING), NTU25.index(STILL)]].abs().max())
    for panel in panels[0]:
        panel.set_ylim(-largest, largest)
    panels[0, 0].legend(frameon=False, labelcolor=INK, fontsize=8, ncols=3, loc="lower left")
    save(figure, path)


def draw_focal(seen: Seen, path: Path, config: PretextConfig) -> None:
    """The focal weights of every joint and frame at three lengths of window, and what the loss uses."""
    rows = [NTU25.index(name) for name in ORDER]
    each = [focal_weights(seen.body, seen.present, [window], config.focal_k) for window in config.focal_windows]
    used = focal_weights(seen.body, seen.present, config.focal_windows, config.focal_k, config.focal_fusion)
    figure = Figure(figsize=(WIDTH_INCHES, 3.6), layout="constrained")
    panels = figure.subplots(1, 4)
    names = [f"windows of {window} frames" for window in config.focal_windows]
    image = None
    shown = zip(panels, [*each, used], [*names, "their mean: the loss"], strict=True)
    for index, (panel, weight, name) in enumerate(shown):
        image = panel.imshow(
            weight[0].T.numpy()[rows], cmap=SHARE, vmin=0, vmax=1, aspect="auto", interpolation="nearest"
        )
        plain(panel)
        panel.set_xticks([0, 32, 63], ["0", "frame", "63"])
        name_groups(panel)
        if index:
            panel.set_yticks([])
        title(panel, name)
    assert image is not None
    bar = figure.colorbar(image, ax=panels, pad=0.01, aspect=30)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, labelcolor=INK, color=INK)
    save(figure, path)


def draw_budget(seen: Seen, path: Path, shares: Sequence[float]) -> None:
    """What is looked at on three budgets, as a deployed model chooses it."""
    encoder = seen.module.encoder
    choice = TokenSelector(
        frames=encoder.frames,
        joints=encoder.joints,
        patch_frames=seen.patch_frames,
        windows=seen.module.config.focal_windows,
    )
    figure = Figure(figsize=(WIDTH_INCHES, 5.0), layout="constrained")
    panels = figure.subplots(len(shares), 2, width_ratios=(2.6, 1), squeeze=False)
    whole = macs(encoder.config, encoder.tokens)
    for (bodies, tokens), share in zip(panels, shares, strict=True):
        count = max(1, round(share * encoder.tokens))
        chosen = grid(seen, choice(seen.body, seen.present, torch.arange(count)))
        draw_figures(bodies, seen, chosen)
        cost = macs(encoder.config, count)
        less = "" if count == encoder.tokens else f", {whole / cost:.1f} times less"
        title(bodies, f"{100 * share:.0f} % of the tokens: {count}, {cost / 1e6:.0f} M multiply-accumulates{less}")
        draw_grid(tokens, chosen)
    save(figure, path)


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--action", default=ACTION, choices=synthetic.ACTIONS, help=f"what is done (default {ACTION})")
    parser.add_argument("--seed", type=int, default=0, help="of the person and the take (default 0)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seen = see(given.action, given.seed, CALM)
    draw_mask(seen, given.folder / "how_mask.png")
    draw_targets(seen, given.folder / "how_targets.png")
    draw_focal(seen, given.folder / "how_focal.png", amr_small().pretrain.pretext)
    draw_budget(seen, given.folder / "how_budget.png", (1.0, 0.25, 0.1))
    print(f"wrote how_mask, how_targets, how_focal and how_budget.png to {given.folder}")
    for name, sensor in (("2 mm", CALM), ("6 mm", synthetic.Sensor())):
        watched = see(given.action, given.seed, sensor)
        weight = weights(watched)
        for joint in (MOVING, STILL):
            each = weight[:, NTU25.index(joint)]
            print(f"a sensor that trembles by {name}: {joint} weighs {each.min():.2f} to {each.max():.2f}")


if __name__ == "__main__":
    main()
