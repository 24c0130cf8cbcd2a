"""Measure and plot accuracy and cost by token budget, with random tokens as the control."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from amr_edge.card import BudgetPoint, Card
from amr_edge.data.clips import Clips
from amr_edge.errors import DataError
from amr_edge.export.verify.budget_curve import Curve
from amr_edge.export.verify.evaluate import labels_for
from amr_edge.export.verify.verification_data import load_verification_data
from amr_edge.metrics import score
from amr_edge.preprocess import Clip
from amr_edge.runtime.inference.session import AUTO, Session, open_session
from amr_edge.terminal import progress
from amr_edge.training.config import EncoderConfig
from amr_edge.training.data.batch import to_batch
from amr_edge.training.engine.checkpoint import load_classifier, save_weights
from amr_edge.training.engine.run_folder import RunFolder, selected_checkpoint
from amr_edge.training.models.token_selection import choice_of, macs

BATCH = 32  # clips at a time
INK, QUIET = "#1f3a5f", "#8a94a3"

AtShare = Callable[[Clip, float], NDArray[np.float32]]  # a stack of clips, a budget -> probabilities (N, K)


def hide_all_but_random(clips: Clip, patch_frames: int, keep: int, rng: np.random.Generator) -> Clip:
    """Clips in which `keep` random tokens of each body can be seen, or all that exist if there are fewer.

    A model that looks at as many tokens then sees these: absent ones come last in its order.

    Args:
        clips: Values (N, M, T, V, 3) and presence (N, M, T, V).
        patch_frames: Frames in a token.
        keep: How many.
        rng: Chooses.
    """
    N, M, T, V = clips.present.shape
    cut = clips.present.reshape(N, M, T // patch_frames, patch_frames, V)
    exists = cut.all(axis=3).reshape(N, M, -1)  # (N, M, L)
    order = np.argsort(np.where(exists, rng.random(exists.shape), 2.0), axis=-1)
    seen = np.zeros_like(exists)
    np.put_along_axis(seen, order[..., :keep], values=True, axis=-1)
    seen = (seen & exists).reshape(N, M, T // patch_frames, 1, V)
    present = (cut & seen).reshape(N, M, T, V)
    return Clip(np.where(present[..., None], clips.values, np.float32(0)), present)


def measure_curve(
    path: Path,
    data: Path | None,
    name: str | None,
    shares: Sequence[float],
    rng: np.random.Generator,
    engine: str = AUTO,
) -> Curve:
    """Answer the same clips on every budget.

    Args:
        path: A run folder, a checkpoint or an exported .onnx whose budget is free.
        data: The store; None takes the one the run was made from.
        name: The split whose test part counts, "all" for everything; None takes the run's own.
        shares: The budgets.
        rng: Chooses the random tokens.
        engine: Runs an exported file; see `open_session`.

    Raises:
        ConfigError: If a budget cannot mean anything or the file has its own built in, or if data or split are not
            given and cannot be read from a run.
        DataError: If no recording of the part has a label that the model knows.
    """
    part = load_verification_data(path, data, name)
    store = part.store
    card, answer = _deployed(path, shares, engine) if path.suffix == ".onnx" else _trained(selected_checkpoint(path))
    labels = labels_for(card, store)
    known = part.which & (labels >= 0)
    if not known.any():
        raise DataError(
            f"{store.path} has no recording with a label that '{card.name}' knows: {', '.join(card.classes)}"
        )
    clips = Clips(store, known, card.prepare, card.persons)
    ranked: dict[float, list[NDArray[np.float32]]] = {share: [] for share in shares}
    control: dict[float, list[NDArray[np.float32]]] = {share: [] for share in shares}
    starts = range(0, len(clips), BATCH)
    with progress(starts, label="budgets", length=len(starts)) as bar:
        for start in bar:
            batch = clips.whole(np.arange(start, min(start + BATCH, len(clips))))
            for share in shares:
                ranked[share].append(answer(batch, share))
                hidden = hide_all_but_random(batch, card.patch_frames, card.tokens_at(share), rng)
                control[share].append(ranked[share][-1] if share == 1 else answer(hidden, share))
    encoder = EncoderConfig(**card.encoder)
    points = [
        BudgetPoint(
            share=share,
            tokens=card.tokens_at(share),
            top1=score(np.concatenate(ranked[share]), labels[known]).top1,
            macs=macs(encoder, card.tokens_at(share)),
        )
        for share in shares
    ]
    return Curve(
        points=tuple(points),
        random_top1=tuple(score(np.concatenate(control[share]), labels[known]).top1 for share in shares),
        clips=len(clips),
        store=store.path,
        split=part.split,
    )


def keep_curve(run: RunFolder, curve: Curve) -> None:
    """Write a run's own curve into the card of its selected weights, so that the next export carries it."""
    model, card = load_classifier(run.selected)
    save_weights(run.selected, model, replace(card, budget_curve=curve.points, focal_windows=card.energy_windows))


def _trained(path: Path) -> tuple[Card, AtShare]:
    """The card of a checkpoint and its model, which computes the present bodies only."""
    model, card = load_classifier(path)
    choice = choice_of(card)

    def answer(clips: Clip, share: float) -> NDArray[np.float32]:
        tokens = card.tokens_at(share)
        with torch.inference_mode():
            batch = to_batch(clips, torch.device("cpu"))
            kept = None if tokens == card.tokens else choice(batch.body, batch.present, torch.arange(tokens))
            return np.asarray(model.classify(batch, kept).softmax(dim=1).numpy(), dtype=np.float32)

    return card, answer


def _deployed(path: Path, shares: Sequence[float], engine: str) -> tuple[Card, AtShare]:
    """The card of an exported file and its sessions, one for each budget."""
    sessions: dict[float, Session] = {share: open_session(path, engine=engine, budget=share) for share in shares}
    return sessions[shares[0]].card, lambda clips, share: sessions[share].probs(clips.values, clips.present)


def draw_curve(curve: Curve, title: str, path: Path) -> None:
    """Accuracy over cost, for the chosen tokens and for random ones; every point says its budget."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    panel = figure.subplots()
    cost = [point.macs / 1e6 for point in curve.points]
    panel.plot(cost, [100 * top1 for top1 in curve.random_top1], color=QUIET, marker="o", label="random tokens")
    panel.plot(cost, [100 * p.top1 for p in curve.points], color=INK, marker="o", label="tokens chosen by motion")
    for point, x in zip(curve.points, cost, strict=True):
        panel.annotate(
            f"{point.share:.0%}",
            (x, 100 * point.top1),
            textcoords="offset points",
            xytext=(0, 7),
            ha="center",
            fontsize=8,
            color=INK,
        )
    panel.set_xscale("log")
    panel.set_xticks(cost, [f"{x:.3g}" for x in cost])
    panel.minorticks_off()
    panel.set_xlabel("million multiply-accumulates a person and window (log)", fontsize=9)
    panel.set_ylabel("top-1 %", fontsize=9)
    panel.set_title(title, fontsize=10)
    panel.tick_params(labelsize=8)
    panel.margins(y=0.12)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
