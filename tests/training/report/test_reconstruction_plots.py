from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from amr_edge.skeleton import LAYOUTS
from amr_edge.training.config import EncoderConfig, PretextConfig
from amr_edge.training.models.patchify import unpatchify
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.objectives.masked_reconstruction import MaskedReconstruction
from amr_edge.training.report.reconstruction_plots import Glimpse, look, reconstruction_figure, undo

T, PENN = 16, LAYOUTS["penn13"]
AMR = PretextConfig(enlarge=2, decoder_depth=1, focal_windows=(4, 8))
MAMP = PretextConfig(
    mask="motion", decoder="self", decoder_depth=1, predict="hidden", enlarge=1, focal_k=0.0, focal_windows=(4,)
)
FAMILY = {
    "amr": AMR,
    "mamp": MAMP,
    "skeletonmae": replace(MAMP, mask="spatial_temporal", target="joint", target_norm="none"),
    "downsampled": replace(AMR, downsample=2, enlarge=1),
    "some targets": replace(AMR, predict_share=0.5),
    "over time": replace(AMR, target_norm="time"),
    "positions over time": replace(AMR, target="joint", target_norm="time"),
}


def bodies(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two moving bodies of Penn Action's joints; the second has no left wrist, and nobody at the end."""
    body = torch.randn(2, 1, 13, 3, generator=generator) + torch.randn(2, T, 13, 3, generator=generator).cumsum(1) / 9
    present = torch.ones(2, T, 13, dtype=torch.bool)
    present[1, :, 5] = False
    present[1, 12:] = False
    return body * present[..., None], present


def module_of(config: PretextConfig) -> MaskedReconstruction:
    encoder = Encoder(EncoderConfig(width=16, depth=1, heads=2, patch_frames=4), frames=T, joints=13)
    return MaskedReconstruction(encoder, config, [1] * 13)


@pytest.mark.parametrize("norm", ["patch", "time", "none"])
@pytest.mark.parametrize("target", ["motion", "joint"])
def test_undoing_the_normalization_of_the_targets_gives_the_raw_targets(
    norm: str, target: str, generator: torch.Generator
) -> None:
    config = replace(AMR, target=target, target_norm=norm)
    body, present = bodies(generator)
    normalized, there = module_of(config).target(body, present)
    raw, _ = module_of(replace(config, target_norm="none")).target(body, present)
    back = undo(normalized, raw, there, norm, 8, 13)
    torch.testing.assert_close(back * there, raw * there, rtol=1e-4, atol=1e-5)


def glimpses(config: PretextConfig, generator: torch.Generator) -> tuple[MaskedReconstruction, list[Glimpse]]:
    module = module_of(config)
    return module, look(module, *bodies(generator), ["a", "b"], generator)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.slow
def test_every_objective_of_the_family_can_be_taken_apart_and_drawn(name: str, generator: torch.Generator) -> None:
    config = FAMILY[name]
    module, seen = glimpses(config, generator)
    for glimpse in seen:
        frames = T // config.downsample
        assert glimpse.target.shape == glimpse.predicted.shape == (frames, 13, 3)
        assert glimpse.weight.shape == (frames, 13)
        assert np.isfinite(glimpse.loss)
        # What is predicted is a target, and is weighed.
        assert np.isfinite(glimpse.target[np.isfinite(glimpse.predicted)]).all()
        assert (np.isfinite(glimpse.predicted[..., 0]) == np.isfinite(glimpse.weight)).all()
    absent = seen[1]
    assert np.isnan(absent.target[:, 5]).all()
    assert not absent.visible[:, 5].any()
    assert not absent.visible[12:].any()
    figure = reconstruction_figure(seen, config, module.target_frames, PENN)
    figure.canvas.draw()
    heat = figure.axes[3]
    assert [label.get_text() for label in heat.get_yticklabels()] == [j.replace("_", " ") for j in PENN.joints]


def test_the_target_in_frames_is_the_step_to_the_next_frame(generator: torch.Generator) -> None:
    _, (first, _) = glimpses(AMR, generator)
    np.testing.assert_allclose(first.target[:-1], np.diff(first.body, axis=0), atol=1e-6)
    np.testing.assert_array_equal(first.target[-1], 0)


def test_of_hidden_tokens_only_those_that_were_hidden_are_predicted(generator: torch.Generator) -> None:
    _, (first, _) = glimpses(MAMP, generator)
    assert (np.isfinite(first.predicted[..., 0]) == ~first.visible).all()


def test_the_losses_are_those_of_the_step(generator: torch.Generator) -> None:
    state = generator.get_state()
    module, seen = glimpses(AMR, generator)
    generator.set_state(state)
    body, present = bodies(generator)
    with torch.no_grad():
        step = module.eval()(body, present, generator)
    counts = (step.weight > 0).sum(dim=(1, 2))
    mean = sum(g.loss * int(n) for g, n in zip(seen, counts, strict=True)) / int(counts.sum())
    assert mean == pytest.approx(float(step.loss), rel=1e-5)
    visible = torch.zeros(2, 52, dtype=torch.bool).scatter(1, step.kept, value=True)[0].reshape(4, 13)
    np.testing.assert_array_equal(seen[0].visible, visible.repeat_interleave(4, dim=0).numpy())
    frames = unpatchify(step.weight, 8, 13)[0, :, :, 0].numpy()
    np.testing.assert_allclose(seen[0].weight, frames, atol=1e-6)
