from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from amr_edge.errors import ConfigError
from amr_edge.training.config import RECIPES, EncoderConfig, PretextConfig, recipe
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.objectives.masked_reconstruction import MaskedReconstruction

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
    straight = pretext.decode([memory], seen, pretext.queries())
    shuffled = pretext.decode([memory], seen, pretext.queries()[order])
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


def test_a_joint_target_normalized_over_time_has_zero_mean_over_the_clip() -> None:
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


def test_the_papers_step_costs_3_73_to_3_76_gflop_for_two_persons_by_the_papers_counter(
    generator: torch.Generator,
) -> None:
    # The paper's counter sees linear layers and not the products inside fused attention.
    pretext = MaskedReconstruction(Encoder(EncoderConfig(), frames=120, joints=25), PretextConfig())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        pretext(torch.randn(2, 120, 25, 3), torch.ones(2, 120, 25, dtype=torch.bool), generator)
    linear = sum(flops for op, flops in counter.get_flop_counts()["Global"].items() if "mm" in str(op))
    assert 3.73e9 <= linear <= 3.76e9


def test_mamps_step_costs_13_7_gflop_for_two_persons_by_the_same_counter(generator: torch.Generator) -> None:
    pretext = MaskedReconstruction(Encoder(EncoderConfig(), frames=120, joints=25), recipe("mamp").pretrain.pretext)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        pretext(torch.randn(2, 120, 25, 3), torch.ones(2, 120, 25, dtype=torch.bool), generator)
    linear = sum(flops for op, flops in counter.get_flop_counts()["Global"].items() if "mm" in str(op))
    assert linear == pytest.approx(13.7e9, rel=5e-3)


VARIANTS: list[dict[str, Any]] = [
    {"decoder": "self"},
    {"decoder": "self", "enlarge": 1, "predict": "hidden"},
    {"decoder": "self", "enlarge": 1, "predict": "hidden", "predict_share": 0.2},
    {"decoder": "self", "enlarge": 1, "downsample": 2},
    {"enlarge": 1, "predict": "hidden"},
    {"predict_share": 0.5},
    {"memory": "layers"},
    {"queries": "free"},
    {"focal_fusion": "energies", "focal_source": "motion"},
    *({"mask": mask} for mask in ("motion", "tube", "spatial_temporal", "central_slow", "leaf_fast")),
    {"target": "joint", "target_norm": "time"},
]


def varied(settings: dict[str, Any]) -> MaskedReconstruction:
    config = PretextConfig(
        **{"enlarge": 2, "decoder_depth": 2, "focal_windows": (4, 8), "mask_ratio": 0.75, **settings}
    )
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(width=32, depth=2, heads=4), frames=16, joints=5)
    return MaskedReconstruction(encoder, config, degrees=[2, 2, 2, 1, 1])


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
@pytest.mark.slow
def test_every_member_of_the_family_learns_with_all_its_weights_and_counts_nothing_absent(
    settings: dict[str, Any], generator: torch.Generator
) -> None:
    pretext = varied(settings)
    body, present = clip(16)
    present[:, :, 4] = False
    body[:, :, 4] = 0
    adam = torch.optim.AdamW(pretext.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        result = pretext(body, present, generator)
        adam.zero_grad()
        result.loss.backward()
        adam.step()
        losses.append(result.loss.item())
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])
    assert [name for name, p in pretext.named_parameters() if p.grad is None or not p.grad.any()] == []
    asked = torch.arange(pretext.targets).expand(16, -1) if result.targets_index is None else result.targets_index
    assert (
        result.predicted.shape
        == result.target.shape
        == result.weight.shape
        == (*asked.shape, 12 * pretext.config.enlarge)
    )
    assert result.weight[asked % 5 == 4].sum() == 0


@pytest.mark.parametrize("settings", [v for v in VARIANTS if v.get("predict") == "hidden"], ids=str)
def test_what_the_encoder_sees_is_not_asked_for(settings: dict[str, Any], generator: torch.Generator) -> None:
    result = varied(settings)(*clip(4), generator)
    assert result.targets_index is not None
    for kept, asked in zip(result.kept.tolist(), result.targets_index.tolist(), strict=True):
        assert set(kept).isdisjoint(asked)
        assert len(asked) == round((20 - len(kept)) * settings.get("predict_share", 1.0))


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_hidden_tokens_leak_into_no_decoder(settings: dict[str, Any]) -> None:
    pretext = varied(settings).eval()
    body, present = clip(1)
    kept = torch.tensor([[0, 3, 7, 11, 16]])
    layers, seen = pretext.encoder.layers(body, present, kept)
    first = pretext.decode(pretext.remember(layers, kept), seen, pretext.queries())
    body[:, 4:8, 0] += 3.0  # token 5 is hidden
    layers, seen = pretext.encoder.layers(body, present, kept)
    assert torch.equal(first, pretext.decode(pretext.remember(layers, kept), seen, pretext.queries()))


def test_queries_look_at_each_other_in_a_self_attention_decoder_and_not_in_a_cross_attention_one() -> None:
    memory, seen, kept = torch.randn(1, 4, 32), torch.ones(1, 4, dtype=torch.bool), torch.tensor([[0, 1, 2, 3]])
    for decoder, moves in (("self", True), ("cross", False)):
        pretext = varied({"decoder": decoder}).eval()
        memories = pretext.remember([memory] * 3, kept)
        queries = pretext.queries().detach().clone()
        before = pretext.decode(memories, seen, queries)
        queries[0] += 1.0
        after = pretext.decode(memories, seen, queries)
        assert torch.equal(before[:, 1:], after[:, 1:]) is not moves


def test_a_downsampled_target_is_the_path_of_every_second_frame() -> None:
    pretext = varied({"downsample": 2, "enlarge": 1, "target_norm": "none", "target": "joint"})
    body, present = clip(1)
    target, _ = pretext.target(body, present)
    assert target.shape == (1, 10, 12)  # 8 of 16 frames, two patches of 4 for each of 5 joints
    torch.testing.assert_close(target[0, 5 + 3].reshape(4, 3), body[0, 8::2, 3])


def test_turning_and_moving_a_clip_leaves_the_focal_weights_alone() -> None:
    pretext = varied({"focal_k": 0.1})
    body, present = clip(2)
    turn, _ = torch.linalg.qr(torch.randn(3, 3))
    torch.testing.assert_close(
        pretext.weights(body, present), pretext.weights(body @ turn.T + 2.0, present), atol=1e-4, rtol=1e-3
    )


def test_a_k_of_zero_weighs_everything_alike() -> None:
    assert (varied({"focal_k": 0.0}).weights(*clip(2)) == 1).all()


def test_one_scale_fuses_alike_whichever_is_meaned_and_several_do_not() -> None:
    body, present = clip(2)
    one = [varied({"focal_windows": (4,), "focal_fusion": f}).weights(body, present) for f in ("weights", "energies")]
    two = [varied({"focal_k": 1.0, "focal_fusion": f}).weights(body, present) for f in ("weights", "energies")]
    torch.testing.assert_close(*one)
    assert not torch.allclose(*two)


# A recipe of a graph backbone is fine-tuned only.
@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"stgcn-small"}))
def test_every_recipe_pre_trains_the_same_encoder_as_its_peers(name: str) -> None:
    own = recipe(name)
    assert own.name == name
    peers = amr_sized(small=name.endswith("-small"))
    assert (own.encoder, own.prepare, own.pretrain.optim, own.finetune) == peers


def amr_sized(*, small: bool) -> tuple[object, ...]:
    own = recipe("amr-small" if small else "amr")
    return own.encoder, own.prepare, own.pretrain.optim, own.finetune


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"predict": "hidden", "enlarge": 2}, "enlarge"),
        ({"memory": "layers", "decoder": "self"}, "decoder"),
        ({"mask": "diagonal"}, "mask"),
        ({"mask_tau": 0.0}, "mask_tau"),
        ({"joint_share": 1.5}, "joint_share"),
        ({"predict_share": 0.0}, "predict_share"),
        ({"downsample": 3}, "downsample"),
        ({"downsample": 4, "enlarge": 2}, "downsample"),
        ({"decoder": "linear"}, "decoder"),
        ({"focal_fusion": "max"}, "focal_fusion"),
    ],
    ids=str,
)
def test_settings_that_exclude_each_other_are_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"pretext.{named}"):
        varied(settings)


def test_a_mask_by_degree_needs_degrees() -> None:
    with pytest.raises(ConfigError, match="degrees"):
        small(PretextConfig(enlarge=2, decoder_depth=1, focal_windows=(4,), mask="leaf_fast"))
