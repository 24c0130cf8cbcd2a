import torch

from amr_edge.training.config import EncoderConfig
from amr_edge.training.encoder import Encoder

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
