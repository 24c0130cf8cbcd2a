import pytest
import torch

from amr_edge.errors import ConfigError
from amr_edge.training.config import EncoderConfig, PretextConfig
from amr_edge.training.encoder import Encoder
from amr_edge.training.pretext import MaskedReconstruction

CONFIG = PretextConfig(enlarge=2, decoder_depth=2, focal_windows=(4, 8))


def small(config: PretextConfig = CONFIG) -> MaskedReconstruction:
    torch.manual_seed(0)
    return MaskedReconstruction(Encoder(EncoderConfig(width=32, depth=2, heads=4), frames=16, joints=5), config)


def clip(bodies: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(bodies, 16, 5, 3).cumsum(dim=1) * 0.05, torch.ones(bodies, 16, 5, dtype=torch.bool)


def test_the_papers_decoder_has_about_4_04_million_parameters_and_125_queries_of_72_numbers() -> None:
    encoder = Encoder(EncoderConfig(), frames=120, joints=25)
    pretext = MaskedReconstruction(encoder, PretextConfig())
    own = sum(p.numel() for p in pretext.parameters()) - sum(p.numel() for p in encoder.parameters())
    assert own == pytest.approx(4.04e6, rel=2e-3)
    assert pretext.queries().shape == (125, 256)
    assert pretext.head.out_features == 72
    assert pretext.keep == 75


def test_permuting_the_queries_permutes_the_predictions_and_nothing_else() -> None:
    pretext = small().eval()
    memory, seen = torch.randn(2, 7, 32), torch.ones(2, 7, dtype=torch.bool)
    order = torch.randperm(10)
    straight = pretext.decode(memory, seen, pretext.queries())
    shuffled = pretext.decode(memory, seen, pretext.queries()[order])
    torch.testing.assert_close(shuffled, straight[:, order], atol=1e-6, rtol=1e-5)


def test_predicting_zero_costs_the_mean_weight(generator: torch.Generator) -> None:
    pretext = small()
    torch.nn.init.zeros_(pretext.head.weight)
    body, present = clip(32)
    result = pretext(body, present, generator)
    # A normalised patch of P numbers has the unbiased variance 1, so its mean square is (P - 1) / P.
    P = result.target.shape[-1]
    torch.testing.assert_close(result.loss * P / (P - 1), result.weight.mean(), atol=2e-2, rtol=2e-2)


def test_hidden_tokens_do_not_leak_into_the_prediction(generator: torch.Generator) -> None:
    pretext = small().eval()
    body, present = clip(1)
    first = pretext(body, present, generator)
    hidden = next(token for token in range(20) if token not in first.kept[0].tolist())
    time, joint = divmod(hidden, 5)
    body[0, time * 4 : time * 4 + 4, joint] += 3.0
    again = pretext(body, present, torch.Generator().manual_seed(0))
    assert torch.equal(first.kept, again.kept)
    assert torch.equal(first.predicted, again.predicted)


def test_the_motion_target_of_a_steady_joint_is_its_step_and_nothing_in_the_last_frame() -> None:
    pretext = small(PretextConfig(enlarge=4, decoder_depth=1, focal_windows=(4,), target_norm="none"))
    body = torch.zeros(1, 16, 5, 3)
    body[0, :, 2, 0] = torch.arange(16) * 0.1
    target, there = pretext.target(body, torch.ones(1, 16, 5, dtype=torch.bool))
    steps = target[0, 2].reshape(16, 3)
    torch.testing.assert_close(steps[:15, 0], torch.full((15,), 0.1))
    assert steps[15].tolist() == [0.0, 0.0, 0.0]
    assert there.all()


def test_a_joint_target_normalised_over_time_has_zero_mean_over_the_clip() -> None:
    pretext = small(PretextConfig(enlarge=2, decoder_depth=1, focal_windows=(4,), target="joint", target_norm="time"))
    body, present = clip(2)
    target, _ = pretext.target(body, present)
    path = target.reshape(2, 2, 5, 8, 3)  # (B, steps, V, frames, C)
    torch.testing.assert_close(path.mean(dim=(1, 3)), torch.zeros(2, 5, 3), atol=1e-5, rtol=0)


def test_absent_frames_are_neither_predicted_nor_counted(generator: torch.Generator) -> None:
    pretext = small()
    body, present = clip(1)
    present[0, :, 4] = False
    body[0, :, 4] = 0
    result = pretext(body, present, generator)
    weight = result.weight.reshape(1, 2, 5, -1)
    assert weight[:, :, 4].sum() == 0
    assert weight[:, :, :4].min() > 0


def test_the_loss_falls_when_it_is_minimised(generator: torch.Generator) -> None:
    pretext = small()
    body, present = clip(8)
    adam = torch.optim.AdamW(pretext.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = pretext(body, present, generator).loss
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize(("field", "value"), [("enlarge", 3), ("focal_windows", (5,))])
def test_a_patch_or_window_that_does_not_divide_the_clip_is_refused_by_name(field: str, value: object) -> None:
    config = PretextConfig(**{"enlarge": 2, "focal_windows": (4,), field: value})
    with pytest.raises(ConfigError, match=field):
        small(config)
