import pytest
import torch

from amr_edge.training.config import EncoderConfig, OptimizerConfig
from amr_edge.training.engine.optimizer import build_optimizer, learning_rate
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder


def test_vectors_are_not_decayed_and_lower_layers_learn_more_slowly() -> None:
    encoder = Encoder(EncoderConfig(width=16, depth=3, heads=2), frames=8, joints=3)
    model = Classifier(encoder, 4)
    adam = build_optimizer(model, encoder, OptimizerConfig(layer_decay=0.5))
    group_of = {id(p): group for group in adam.param_groups for p in group["params"]}
    names = dict(model.named_parameters())
    assert len(group_of) == len(names)
    for name, scale in [("encoder.embed.weight", 0.5**4), ("encoder.blocks.0.feed.0.weight", 0.5**3)]:
        assert group_of[id(names[name])]["scale"] == pytest.approx(scale)
    assert group_of[id(names["encoder.blocks.2.feed.0.weight"])]["scale"] == pytest.approx(0.5)
    assert group_of[id(names["head.weight"])]["scale"] == 1
    assert group_of[id(names["encoder.norm.weight"])]["scale"] == 1
    assert all(group_of[id(p)]["weight_decay"] == (0.05 if p.ndim > 1 else 0) for p in names.values())


def test_the_rate_rises_then_falls_to_the_smallest() -> None:
    config = OptimizerConfig(epochs=10, lr=1e-3, min_lr=1e-5, warmup=0.2)
    rates = torch.tensor([learning_rate(step, 5, config) for step in range(50)])
    assert rates.argmax() in (9, 10)
    assert (rates[:10].diff() > 0).all()
    assert (rates[10:].diff() < 0).all()
    assert rates[-1] == pytest.approx(1e-5, abs=3e-6)
