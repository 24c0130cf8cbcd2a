"""What pre-training hides, predicts and counts, as a picture of a few clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from amr_edge.data.clips import Clips
from amr_edge.data.splits import split
from amr_edge.data.store import Store, open_store
from amr_edge.errors import ConfigError, ReadError
from amr_edge.preprocess import motion_energy
from amr_edge.skeleton import Layout, Mask, layout
from amr_edge.training.config import PretextConfig, Recipe
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.patchify import patchify, token_present, unpatchify
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.objectives.masked_reconstruction import EPSILON, MaskedReconstruction
from amr_edge.training.report.plots import INK, QUIET, SERIES, SHARE, quiet_panel, save_png, to_svg
from amr_edge.training.report.skeleton_plots import ASIDE, COLOURS, MOMENTS, Points, draw_moments, frame_of, sides

SHOWN = 2  # clips
WIDTH_INCHES, ROW_INCHES = 8.4, 1.45
UNDONE = {
    "none": "targets are not normalised",
    "time": "targets are normalised over time by joint and axis; this is undone here with the target's own mean and\n"
    "spread, which the model does not know",
    "patch": "every target patch is normalised; this is undone here with its own mean and spread, which the model\n"
    "does not know: it predicts shapes, not sizes",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Glimpse:
    """One body in one pre-training step; T' frames are every `downsample`-th of T.

    Attributes:
        name: Of the clip.
        body: (T, V, 3), 0 where absent.
        present: (T, V).
        visible: (T, V), what the encoder saw.
        target: (T', V, 3), not normalised; NaN where absent.
        predicted: (T', V, 3), with the normalisation undone; NaN where absent or not predicted.
        weight: (T', V), how much each counts; NaN where absent or not predicted.
        loss: Of this body.
        loss_of_zero: What predicting 0 everywhere would cost.
    """

    name: str
    body: NDArray[np.float32]
    present: Mask
    visible: Mask
    target: NDArray[np.float32]
    predicted: NDArray[np.float32]
    weight: NDArray[np.float32]
    loss: float
    loss_of_zero: float


def undo(values: Tensor, raw: Tensor, there: Tensor, norm: str, frames: int, joints: int) -> Tensor:
    """Undo the normalisation of targets with the mean and spread of the raw ones.

    Args:
        values: (B, N_t, P), normalised as the targets are: predictions, or the targets themselves.
        raw: (B, N_t, P), the targets before normalisation.
        there: (B, N_t, P) bool.
        norm: "patch", "time" or "none".
        frames: Frames in a target patch.
        joints: V.

    Returns:
        (B, N_t, P) in metres, or metres per frame.
    """
    if norm == "none":
        return values
    if norm == "time":
        values, raw = (unpatchify(each, frames, joints) for each in (values, raw))  # (B, T', V, C)
        there = unpatchify(there, frames, joints)
    dim = 2 if norm == "patch" else 1
    count = there.sum(dim=dim, keepdim=True)
    mean = (raw * there).sum(dim=dim, keepdim=True) / count.clamp(min=1)
    spread = ((raw - mean).square() * there).sum(dim=dim, keepdim=True) / (count - 1).clamp(min=1)
    values = values * (spread + EPSILON).sqrt() + mean
    return patchify(values, frames) if norm == "time" else values


def look(
    module: MaskedReconstruction, body: Tensor, present: Tensor, names: Sequence[str], generator: torch.Generator
) -> list[Glimpse]:
    """One pre-training step on some bodies, taken apart.

    Args:
        module: The pretext task, on the CPU.
        body: (B, T, V, 3), 0 where absent.
        present: (B, T, V) bool.
        names: B names.
        generator: Chooses the visible tokens.
    """
    config, frames, joints = module.config, module.target_frames, module.encoder.joints
    patch = module.encoder.config.patch_frames
    was_training = module.training
    module.eval()
    with torch.inference_mode():
        seen = module(body, present, generator)
        # The same targets before normalisation; its fresh weights play no part in them.
        degrees = module.degrees.tolist()
        plain = MaskedReconstruction(module.encoder, replace(config, target_norm="none"), degrees)
        raw, there = plain.target(body, present)  # (B, N_t, P)
    module.train(was_training)
    every = (
        seen.targets_index if seen.targets_index is not None else torch.arange(module.targets).expand(len(body), -1)
    )  # (B, Q)
    place = every[..., None].expand(-1, -1, raw.shape[-1])  # (B, Q, P)
    predicted = torch.zeros_like(raw).scatter(1, place, seen.predicted)
    predicted = undo(predicted, raw, there, config.target_norm, frames, joints)
    weight = torch.zeros_like(raw).scatter(1, place, seen.weight)
    queried = torch.zeros_like(there).scatter(1, place, value=True) & there
    nan = torch.tensor(torch.nan)
    exists = token_present(present, patch)
    shown = torch.zeros_like(exists).scatter(1, seen.kept, value=True) & exists  # (B, L)
    shown = shown.reshape(len(body), -1, joints).repeat_interleave(patch, dim=1)  # (B, T, V)

    def to_frames(values: Tensor, where: Tensor) -> NDArray[np.float32]:
        cut = unpatchify(torch.where(where, values, nan), frames, joints)  # (B, T', V, C)
        return np.asarray(cut.numpy(), dtype=np.float32)

    counts = (seen.weight > 0).sum(dim=(1, 2)).clamp(min=1)
    losses = (seen.weight * (seen.predicted - seen.target).square()).sum(dim=(1, 2)) / counts
    zeros = (seen.weight * seen.target.square()).sum(dim=(1, 2)) / counts
    parts = zip(to_frames(raw, there), to_frames(predicted, queried), to_frames(weight, queried)[..., 0], strict=True)
    return [
        Glimpse(
            name=name,
            body=body[b].numpy(),
            present=present[b].numpy(),
            visible=shown[b].numpy(),
            target=target,
            predicted=guess,
            weight=weights,
            loss=float(losses[b]),
            loss_of_zero=float(zeros[b]),
        )
        for b, (name, (target, guess, weights)) in enumerate(zip(names, parts, strict=True))
    ]


def _view(values: NDArray[np.float32], *, flat: bool) -> NDArray[np.float32]:
    """(..., 3) -> (..., 2) as strips show it; NaN stays."""
    return np.asarray((values if flat else values @ ASIDE)[..., :2], dtype=np.float32)


def _draw_ways(panel: Axes, ways: Points, shift: float, of: Layout, limits: tuple[float, float]) -> None:
    """The way of each joint (F, V, 2) as a line that ends in a dot, as far as it is known and inside the cell."""
    for joint, side in enumerate(sides(of)):
        way = ways[:, joint] + (shift, 0)
        way = way[(way[:, 0] > limits[0]) & (way[:, 0] < limits[1])]
        panel.plot(*way.T, color=COLOURS[0][side], lw=1.1, solid_capstyle="round")
        panel.plot(*way[-1:].T, ".", color=COLOURS[0][side], ms=2.8)


def _added_up(start: Points, steps: Points) -> Points:
    """Places (V, 2) and displacements (F, V, 2) -> the way (F + 1, V, 2), NaN once a displacement is unknown."""
    return np.concatenate([start[None], start + np.cumsum(steps, axis=0)])


def _draw_bodies(
    panels: Sequence[Axes], glimpse: Glimpse, config: PretextConfig, target_frames: int, of: Layout
) -> None:
    """Masked input, prediction and target, moments from left to right."""
    flat = not glimpse.body[glimpse.present][:, 2].any()
    points = np.where(glimpse.present[..., None], _view(glimpse.body, flat=flat), np.nan)[None]  # (1, T, V, 2)
    visible = np.where(glimpse.visible[..., None], points[0], np.nan)  # (T, V, 2)
    patches = len(glimpse.target) // target_frames
    chosen = np.unique(np.linspace(0, patches - 1, min(MOMENTS, patches)).round().astype(np.int64))
    at = chosen * target_frames + (0 if config.target == "motion" else target_frames // 2)  # of T'
    frames = at * config.downsample  # of T
    span = target_frames * config.downsample
    cell, bottom, top = frame_of(points, frames, float("nan"))
    cell = max(cell, (top - bottom) * WIDTH_INCHES / ROW_INCHES / len(frames))
    for panel, kind in zip(panels, ("visible", "predicted", "target"), strict=True):
        shifts = draw_moments(panel, points, of, frames, cell=cell, trails=False, faded=True)
        values = _view(glimpse.predicted if kind == "predicted" else glimpse.target, flat=flat)  # (T', V, 2)
        if kind != "visible" and config.target == "joint":
            whole = np.full_like(points, np.nan)
            whole[0, frames] = values[at]
            draw_moments(panel, whole, of, frames, cell=cell, trails=False, shifts=shifts)
        else:
            for place, (patch, shift) in enumerate(zip(chosen.tolist(), shifts, strict=True)):
                limits = (place * cell, (place + 1) * cell)
                ways = (
                    visible[patch * span : (patch + 1) * span]
                    if kind == "visible"
                    else _added_up(points[0, patch * span], values[patch * target_frames : (patch + 1) * target_frames])
                )
                _draw_ways(panel, ways, shift, of, limits)
        panel.set(xlim=(0, cell * len(frames)), ylim=(bottom, top), aspect="equal", anchor="W")
    what = f"displacements over {span} frames, added up" if config.target == "motion" else "positions"
    titles = (
        f"{glimpse.name}: what the encoder sees, {glimpse.visible.mean():.0%} of the tokens (the body is pale)",
        f"what is predicted: {what}",
        "the target",
    )
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, fontsize=8, color=INK, loc="left", pad=3)


def _draw_weights(panel: Axes, glimpse: Glimpse, config: PretextConfig, of: Layout) -> None:
    """Focal weights over joints and time, with the tokens that the encoder saw."""
    T = len(glimpse.body)
    panel.set_facecolor("none")
    image = panel.imshow(
        glimpse.weight.T, cmap=SHARE, vmin=0, vmax=1, aspect="auto", interpolation="nearest", extent=(0, T, len(of), 0)
    )
    quiet_panel(panel)
    panel.grid(visible=False)
    panel.set_yticks(np.arange(len(of)) + 0.5, [joint.replace("_", " ") for joint in of.joints])
    panel.tick_params(axis="y", labelsize=5.5, length=0)
    edges = np.diff(np.pad(glimpse.visible, ((1, 1), (0, 0))).astype(np.int8), axis=0)  # (T + 1, V)
    for joint in range(len(of)):
        begins, ends = (np.flatnonzero(edges[:, joint] == change) for change in (1, -1))
        for first, last in zip(begins, ends, strict=True):
            panel.plot([first + 0.4, last - 0.4], [joint + 0.5] * 2, color=SERIES[1], lw=1.6, solid_capstyle="butt")
    alike = "k = 0: all alike" if config.focal_k == 0 else f"k = {config.focal_k:g}"
    panel.set_title(f"focal weights ({alike}); orange: tokens that the encoder saw", fontsize=8, color=INK, loc="left")
    panel.set_xlabel("frame")
    bar = panel.figure.colorbar(image, ax=panel, fraction=0.02, pad=0.01)
    bar.outline.set_edgecolor(QUIET)
    bar.ax.tick_params(labelsize=6, color=QUIET, labelcolor=INK)


def reconstruction_figure(glimpses: Sequence[Glimpse], config: PretextConfig, target_frames: int, of: Layout) -> Figure:
    """For each clip: masked input, prediction and target as stick figures, and the weights as a heat map."""
    heat = 0.105 * len(of) + 0.55
    height = (3 * (ROW_INCHES + 0.25) + heat) * len(glimpses) + 0.5
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    ratios = [ROW_INCHES, ROW_INCHES, ROW_INCHES, heat] * len(glimpses)
    panels = cast("Sequence[Axes]", figure.subplots(len(ratios), 1, height_ratios=ratios))
    for index, glimpse in enumerate(glimpses):
        own = panels[4 * index : 4 * index + 4]
        _draw_bodies(own[:3], glimpse, config, target_frames, of)
        caption = f"{glimpse.loss:.3f}, and {glimpse.loss_of_zero:.3f} for predicting nothing"
        own[1].set_title(f"loss {caption}", fontsize=7, color=QUIET, loc="right", pad=3)
        _draw_weights(own[3], glimpse, config, of)
    figure.supxlabel(UNDONE[config.target_norm], fontsize=7, color=QUIET)
    return figure


def load_pretext(path: Path, recipe: Recipe) -> MaskedReconstruction:
    """The encoder and decoder in the state of a pre-training run.

    Raises:
        ReadError: If the file is not the state of such a run.
    """
    skeleton = layout(recipe.prepare.layout)
    degrees = [sum(joint in bone for bone in skeleton.bones) for joint in range(len(skeleton))]
    encoder = Encoder(recipe.encoder, frames=recipe.prepare.frames, joints=len(skeleton))
    module = MaskedReconstruction(encoder, recipe.pretrain.pretext, degrees)
    try:
        with safe_open(path, framework="pt") as file:
            own = {k.removeprefix("module/"): file.get_tensor(k) for k in file.keys() if k.startswith("module/")}  # noqa: SIM118
        module.load_state_dict(own)
    except (SafetensorError, OSError, RuntimeError) as cause:
        raise ReadError(f"{path}: is not the state of a pre-training run by masked reconstruction") from cause
    return module.eval()


def _chosen(store: Store, name: str, seed: int, count: int) -> Mask:
    """(N,) bool: a few clips, evenly from those that were not learned from, or from all if there are none."""
    part = np.ones(len(store), dtype=np.bool_) if name == "all" else split(store, name, seed=seed).test
    places = np.flatnonzero(part if part.any() else np.ones(len(store), dtype=np.bool_))
    chosen = np.zeros(len(store), dtype=np.bool_)
    chosen[places[np.linspace(0, len(places) - 1, min(count, len(places)) + 2).round().astype(np.int64)[1:-1]]] = True
    return chosen


def draw_reconstruction(stage: RunFolder, recipe: Recipe, settings: Mapping[str, Any], count: int = SHOWN) -> Path:
    """Draw what the pre-trained weights of a run predict, as reconstruction.png and .svg in its folder.

    Args:
        stage: The folder with the state of the pre-training.
        recipe: The run's.
        settings: Its data, split and seed.
        count: Clips.

    Raises:
        ReadError: If the state or the recordings cannot be read.
        ConfigError: If the clips are not made of joints.
    """
    if recipe.prepare.stream != "joint":
        raise ConfigError(f"bodies are drawn from joints, this run learns from the stream '{recipe.prepare.stream}'")
    module = load_pretext(stage.state, recipe)
    store = open_store(Path(str(settings["data"])))
    seed = int(str(settings["seed"]))
    clips = Clips(store, _chosen(store, str(settings["split"]), seed, count), recipe.prepare, recipe.persons)
    whole = clips.whole(np.arange(len(clips)))
    # Of each clip the person who moves most.
    seen = np.where(whole.present[..., None], whole.values, np.nan)
    person = np.array([motion_energy(scene).argmax() for scene in seen])
    body = torch.from_numpy(whole.values[np.arange(len(clips)), person])  # (B, T, V, 3)
    present = torch.from_numpy(whole.present[np.arange(len(clips)), person])
    glimpses = look(module, body, present, clips.names, torch.Generator().manual_seed(seed))
    figure = reconstruction_figure(
        glimpses, recipe.pretrain.pretext, module.target_frames, layout(recipe.prepare.layout)
    )
    path = stage.folder / "reconstruction.png"
    save_png(figure, path)
    path.with_suffix(".svg").write_text(to_svg(figure), encoding="utf-8")
    return path
