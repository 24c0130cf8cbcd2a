"""The lean form answers as the trained model does, from fewer nodes, whatever is absent."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.export.convert.deploy_module import Deployed
from amr_edge.export.convert.onnx import write_onnx
from amr_edge.export.convert.optimized_graph import OptimizedGraph
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.inference.session import open_session
from amr_edge.training.config import EncoderConfig
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder

T, V, TOKENS = 16, 25, 50
CONFIG = EncoderConfig(width=32, depth=2, heads=4, mlp_ratio=2, patch_frames=8)


def model() -> tuple[Classifier, Card]:
    torch.manual_seed(5)
    made = Classifier(Encoder(CONFIG, frames=T, joints=V), 6)
    for part in made.parameters():
        torch.nn.init.normal_(part, std=0.2)  # biases and norms too: whatever is folded must count
    card = Card(
        name="lean",
        kind="classifier",
        classes=tuple("abcdef"),
        prepare=PrepareConfig(frames=T),
        patch_frames=8,
        focal_windows=(4, 8),
        encoder=asdict(CONFIG),
    )
    return made.eval(), card


def clips(seed: int, persons: int, holes: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, persons, 1, V, 3, generator=generator)
    values = values + 0.1 * torch.randn(3, persons, T, V, 3, generator=generator).cumsum(dim=2)
    present = torch.rand(3, persons, T, V, generator=generator) >= holes
    present[0, -1] = False  # a person who is not there, or an empty clip
    return values * present[..., None], present


@given(
    seed=st.integers(0, 999),
    persons=st.integers(1, 2),
    holes=st.sampled_from([0.0, 0.02, 0.3]),
    tokens=st.sampled_from([1, 5, 13, 49, 50]),
)
@settings(deadline=None, max_examples=40)
def test_the_lean_form_answers_as_the_trained_model(seed: int, persons: int, holes: float, tokens: int) -> None:
    trained, card = model()
    clip, present = clips(seed, persons, holes)
    ranks = torch.arange(tokens)
    with torch.inference_mode():
        expected = Deployed(trained, card)(clip, present, ranks)[0]
        for fused in (False, True):
            logits, probs = OptimizedGraph(trained, trained.encoder, card, fused_attention=fused)(clip, present, ranks)
            torch.testing.assert_close(logits, expected, atol=2e-4, rtol=1e-4)
            torch.testing.assert_close(probs, logits.softmax(dim=1))


def test_all_tokens_built_in_are_those_of_the_model_without_a_budget() -> None:
    trained, card = model()
    clip, present = clips(1, 2, 0.02)
    with torch.inference_mode():
        torch.testing.assert_close(
            OptimizedGraph(trained, trained.encoder, card, TOKENS)(clip, present)[0],
            trained(clip, present),
            atol=2e-4,
            rtol=1e-4,
        )


def test_the_lean_form_leaves_the_trained_model_as_it_was() -> None:
    trained, card = model()
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    OptimizedGraph(trained, trained.encoder, card)
    after = trained.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@pytest.mark.slow
def test_the_file_has_four_linears_a_block_and_nothing_guards_a_softmax_that_cannot_fail(tmp_path: Path) -> None:
    trained, card = model()
    path = write_onnx(trained, card, tmp_path / "model.onnx")
    graph = onnx.load(path).graph
    kinds = Counter(node.op_type for node in graph.node)
    assert kinds["IsNaN"] == 0
    assert kinds["Softmax"] == CONFIG.depth + 1
    constants = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]
    assert len(products) == 1 + 4 * CONFIG.depth
    clip, present = clips(2, 2, 0.02)
    session = open_session(path, engine="onnxruntime", threads=1, budget=0.26)
    with torch.inference_mode():
        expected = Deployed(trained, card)(clip, present, torch.arange(13))[1]
    assert session.probs(clip.numpy(), present.numpy()) == pytest.approx(expected.numpy(), abs=1e-4)


@pytest.mark.parametrize("jitter_m", [0.0, 1e-5, 1e-4, 1e-3])
@pytest.mark.slow
def test_people_who_hardly_move_are_looked_at_alike_by_torch_and_by_the_engine(jitter_m: float, tmp_path: Path) -> None:
    # The floor of the energies is 1e-8 m^2, a jitter of a tenth of a millimetre: below it, order is a matter of care.
    trained, card = model()
    path = write_onnx(trained, card, tmp_path / "model.onnx")
    generator = torch.Generator().manual_seed(0)
    clip = torch.randn(64, 1, 1, V, 3, generator=generator).repeat(1, 1, T, 1, 1)
    clip = clip + jitter_m * torch.randn(clip.shape, generator=generator)
    clip[:, :, :, 0] += torch.linspace(0, 0.3, T)[None, None, :, None]  # one joint does
    present = torch.ones(64, 1, T, V, dtype=torch.bool)
    session = open_session(path, engine="onnxruntime", threads=1, budget=0.26)
    with torch.inference_mode():
        expected = Deployed(trained, card)(clip, present, torch.arange(13))[1]
    assert session.probs(clip.numpy(), present.numpy()) == pytest.approx(expected.numpy(), abs=1e-4)
