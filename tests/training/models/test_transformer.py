import pytest
import torch

from amr_edge.training.config import EncoderConfig
from amr_edge.training.models.transformer import Attention, Encoder

SMALL = EncoderConfig(width=32, depth=2, heads=4)


def small() -> Encoder:
    torch.manual_seed(0)
    return Encoder(SMALL, frames=16, joints=5).eval()


def test_the_papers_encoder_has_6_336_million_parameters() -> None:
    encoder = Encoder(EncoderConfig(), frames=120, joints=25)
    assert sum(p.numel() for p in encoder.parameters()) == 6_336_000
    assert encoder.tokens == 750


def test_keeping_all_tokens_in_another_order_gives_the_same_features() -> None:
    encoder = small()
    body, present = torch.randn(2, 16, 5, 3), torch.ones(2, 16, 5, dtype=torch.bool)
    order = torch.stack([torch.randperm(20), torch.randperm(20)])
    whole, _ = encoder(body, present)
    shuffled, _ = encoder(body, present, order)
    torch.testing.assert_close(shuffled, whole.gather(1, order[..., None].expand(-1, -1, 32)), atol=1e-5, rtol=1e-4)


def test_a_hidden_token_has_no_influence() -> None:
    encoder = small()
    body, present = torch.randn(1, 16, 5, 3), torch.ones(1, 16, 5, dtype=torch.bool)
    kept = torch.tensor([[0, 6, 7, 13]])
    before, _ = encoder(body, present, kept)
    body[0, :4, 1:] += 100.0  # tokens 1 to 4
    after, _ = encoder(body, present, kept)
    assert torch.equal(before, after)


def test_what_stands_where_a_joint_is_absent_has_no_influence_on_the_others() -> None:
    encoder = small()
    body, present = torch.randn(1, 16, 5, 3), torch.ones(1, 16, 5, dtype=torch.bool)
    present[0, 2, 3] = False
    features, exists = encoder(body, present)
    body[0, :4, 3] = 50.0
    other, _ = encoder(body, present)
    assert exists.sum() == 19
    assert torch.equal(features[exists], other[exists])


def test_a_body_without_any_token_gives_finite_features() -> None:
    features, exists = small()(torch.zeros(1, 16, 5, 3), torch.zeros(1, 16, 5, dtype=torch.bool))
    assert torch.isfinite(features).all()
    assert not exists.any()


def test_drop_path_rises_to_the_last_block_and_is_silent_in_evaluation() -> None:
    encoder = small()
    encoder.set_drop_path(0.4)
    assert [block.drop_path for block in encoder.blocks] == [0.0, 0.4]  # type: ignore[union-attr]
    body, present = torch.randn(1, 16, 5, 3), torch.ones(1, 16, 5, dtype=torch.bool)
    assert torch.equal(encoder(body, present)[0], encoder(body, present)[0])


@pytest.mark.parametrize("tokens", [20, 300])  # below and above the largest map that is written out
def test_attention_in_bfloat16_is_that_in_float32_but_for_rounding_and_looks_at_nothing_masked(tokens: int) -> None:
    torch.manual_seed(1)
    attention = Attention(32, 4)
    queries, memory = torch.randn(3, tokens, 32), torch.randn(3, tokens, 32, requires_grad=True)
    mask = torch.rand(3, tokens) < 0.7
    for looked_at in (None, mask, torch.ones_like(mask)):
        wanted = attention(queries, memory, looked_at)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = attention(queries, memory, looked_at)
        torch.testing.assert_close(got.float(), wanted, atol=0.03, rtol=0.03)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attention(queries, memory, mask).float().sum().backward()
    assert memory.grad is not None
    assert (memory.grad[~mask] == 0).all()
    assert memory.grad[mask].abs().sum() > 0
