import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from amr_edge.errors import CardError, ConfigError
from amr_edge.skeleton import LAYOUTS, NTU25, PENN13, layout
from amr_edge.training.config import EncoderConfig, GraphConfig
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.skeleton_graph import degrees, distances, partitions
from amr_edge.training.models.stgcn import GraphEncoder, PresentNorm, macs
from amr_edge.training.models.transformer import Encoder

TINY = GraphConfig(base=4, width=16, dropout=0.0)


def bodies(count: int = 3, frames: int = 12, joints: int = 25, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    body = torch.randn(count, frames, joints, 3, generator=generator)
    return body, torch.ones(count, frames, joints, dtype=torch.bool)


def lived_in(encoder: GraphEncoder) -> GraphEncoder:
    """With statistics and importances that are not those of birth."""
    torch.manual_seed(1)
    with torch.no_grad():
        for importance in encoder.importance:
            importance.uniform_(0.5, 1.5)
    encoder.train()
    encoder(*bodies(4, seed=2))
    return encoder.eval()


# ---- the graph


def test_a_joint_hears_itself_the_nearer_and_the_farther_ones() -> None:
    # Penn's left elbow (3) hangs from the left shoulder (1) and carries the left wrist (5); it hears three joints.
    k = partitions(PENN13)
    third = pytest.approx(1 / 3)
    assert [k[0, 3, 3], k[1, 1, 3], k[2, 5, 3]] == [third, third, third]
    # The root is the head (0): it hears itself and two shoulders, all of them farther away.
    assert [k[0, 0, 0], k[2, 1, 0], k[2, 2, 0]] == [third, third, third]
    assert k[1, :, 0].sum() == 0


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_a_joint_hears_sums_to_one_along_bones_only_in_every_layout(name: str) -> None:
    skeleton = layout(name)
    k = partitions(skeleton)
    np.testing.assert_allclose(k.sum(axis=(0, 1)), 1, rtol=1e-6)
    bones = {frozenset(pair) for pair in skeleton.bones}
    assert {frozenset(map(int, pair)) for pair in zip(*np.nonzero(k[1] + k[2]), strict=True)} == bones
    # Who is nearer for one end of a bone is farther for the other.
    assert np.array_equal(k[1] > 0, (k[2] > 0).T)
    assert degrees(skeleton).sum() == 2 * len(bones)
    assert (distances(skeleton) >= 0).all()


def test_the_center_of_ntus_body_is_between_the_shoulders() -> None:
    far = distances(NTU25)
    assert far[NTU25.index("upper_spine")] == 0
    assert far[NTU25.index("pelvis")] == 2
    assert far[NTU25.index("left_hand_tip")] == 5
    assert degrees(NTU25)[NTU25.index("upper_spine")] == 4


# ---- size


@pytest.mark.parametrize(
    ("base", "width", "parameters"), [(16, 256, 821_380), (16, 64, 212_868), (8, 128, 220_908), (4, 64, 70_096)]
)
def test_the_encoder_has_the_parameters_that_are_published(base: int, width: int, parameters: int) -> None:
    encoder = GraphEncoder(GraphConfig(base=base, width=width), NTU25)
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_the_blocks_are_those_of_the_paper() -> None:
    assert GraphConfig().widths == (16, 16, 16, 16, 32, 32, 32, 64, 64, 256)
    assert [block.stride for block in GraphEncoder(GraphConfig(), NTU25).blocks] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
    assert GraphEncoder(GraphConfig(), NTU25).blocks[0].look.kernel_size == (9, 1)


def test_a_teacher_of_two_is_ten_times_a_narrow_student() -> None:
    pair = DualEncoder(GraphEncoder(GraphConfig(), NTU25), GraphEncoder(GraphConfig(), NTU25), heads=8)
    teacher = sum(p.numel() for p in pair.parameters())
    assert teacher == 2 * 821_380 + 2 * 4 * (256 * 256 + 256)  # 2.17 M
    assert 1 - 212_868 / teacher == pytest.approx(0.902, abs=1e-3)


def test_the_macs_are_half_the_operations_that_torch_counts() -> None:
    encoder = GraphEncoder(GraphConfig(), NTU25).eval()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        encoder(*bodies(1, frames=50))
    assert 2 * macs(GraphConfig(), 50, 25) == counted.get_total_flops()


@pytest.mark.parametrize("change", [{"base": 0}, {"width": 0}, {"kernel": 8}, {"dropout": 1.0}])
def test_a_graph_encoder_cannot_hold_nonsense(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        GraphConfig(**change)  # type: ignore[arg-type]


# ---- what is present


def test_the_norm_is_torchs_where_everything_is_present() -> None:
    ours, theirs = PresentNorm((5, 1, 1), (0, 2, 3)), torch.nn.BatchNorm2d(5)
    for step in range(3):
        x = torch.randn(4, 5, 6, 7) * 3 + step
        torch.testing.assert_close(ours(x, torch.ones(4, 1, 6, 7)), theirs(x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.variance.flatten(), theirs.running_var)
    x = torch.randn(2, 5, 6, 7)
    torch.testing.assert_close(ours.eval()(x, torch.ones(2, 1, 6, 7)), theirs.eval()(x), atol=1e-5, rtol=1e-4)


def test_the_norm_does_not_see_what_is_absent() -> None:
    x, present = torch.randn(4, 5, 6, 7), (torch.rand(4, 1, 6, 7) > 0.4).float()
    one, other = PresentNorm((5, 1, 1), (0, 2, 3)), PresentNorm((5, 1, 1), (0, 2, 3))
    nonsense = torch.where(present > 0, x, torch.full_like(x, 1e3))
    torch.testing.assert_close(one(x, present) * present, other(nonsense, present) * present)
    torch.testing.assert_close(one.mean, other.mean)


def test_a_joint_that_a_batch_never_shows_keeps_its_statistics() -> None:
    norm = PresentNorm((3, 2), (0, 1))
    present = torch.ones(4, 6, 3, 1)
    present[:, :, 1] = 0
    norm(torch.randn(4, 6, 3, 2) + 5, present)
    assert torch.equal(norm.mean[1], torch.zeros(2))
    assert torch.equal(norm.variance[1], torch.ones(2))
    assert (norm.mean[0] > 0).all()


@pytest.mark.parametrize("training", [False, True])
def test_an_absent_joint_is_a_joint_that_the_graph_has_not_got(training: bool) -> None:
    # Two roads: mark it absent in all frames, or drop its row and column.
    body, present = bodies()
    gone = [3, 8, 24]
    left = torch.tensor([v for v in range(25) if v not in gone])
    present[:, :, gone] = False
    body = body * present[..., None]
    encoder = lived_in(GraphEncoder(TINY, NTU25)).train(training)
    state = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    marked, exists = encoder(body, present)  # (B, 3 * 25, D)
    encoder.load_state_dict(state)
    dropped, all_exist = encoder(body, present, None, left)  # (B, 3 * 22, D)
    marked = marked.reshape(3, 3, 25, 16)
    torch.testing.assert_close(marked[:, :, left], dropped.reshape(3, 3, 22, 16), atol=1e-5, rtol=1e-4)
    assert not marked[:, :, gone].any()
    assert not exists.reshape(3, 3, 25)[:, :, gone].any()
    assert all_exist.all()


def test_nothing_comes_from_what_is_absent() -> None:
    body, present = bodies()
    present[0, :5] = False
    present[1, :, 7] = False
    present[2, 4:9, 3] = False
    encoder = lived_in(GraphEncoder(TINY, NTU25))
    # What callers promise to be 0 may not matter even if it is not.
    features, exists = encoder(body * present[..., None], present)
    others, _ = encoder(torch.where(present[..., None], body, torch.full_like(body, 7.0)), present)
    torch.testing.assert_close(features, others)
    assert exists.reshape(3, 3, 25)[0, 0].any().item() is False  # frames 0 to 3 of the first body
    assert exists.reshape(3, 3, 25)[0, 1].all()  # frame 5 is there


def test_a_person_who_is_not_there_changes_no_answer() -> None:
    torch.manual_seed(0)
    model = Classifier(lived_in(GraphEncoder(TINY, NTU25)), 4).eval()  # type: ignore[arg-type]
    body, present = bodies(2)
    clip, there = body.reshape(1, 2, 12, 25, 3).clone(), present.reshape(1, 2, 12, 25).clone()
    alone = model(clip[:, :1], there[:, :1])
    there[:, 1] = False
    clip[:, 1] = 0
    torch.testing.assert_close(model(clip, there), alone)


def test_a_body_without_anything_gives_nothing_and_no_nan() -> None:
    encoder = GraphEncoder(TINY, NTU25).train()
    body, present = bodies()
    features, exists = encoder(torch.zeros_like(body), torch.zeros_like(present))
    assert not features.any()
    assert not exists.any()


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_can_be_learned_and_its_gradients_reach_the_first_block(name: str) -> None:
    skeleton = layout(name)
    encoder = GraphEncoder(TINY, skeleton).train()
    features, exists = encoder(*bodies(2, frames=10, joints=len(skeleton)))
    assert features.shape == (2, 3 * len(skeleton), 16)  # 10 frames, 5, 3
    assert exists.all()
    features.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


def test_a_graph_has_no_token_budget() -> None:
    with pytest.raises(ConfigError, match="no token budget"):
        GraphEncoder(TINY, NTU25)(*bodies(), torch.zeros(3, 4, dtype=torch.int64))


# ---- the pair


def transformers() -> tuple[Encoder, Encoder]:
    torch.manual_seed(0)
    config = EncoderConfig(width=32, depth=2, heads=4)
    return Encoder(config, frames=16, joints=5), Encoder(config, frames=16, joints=5)


def test_a_pair_starts_as_its_two_encoders() -> None:
    first, second = transformers()
    pair = DualEncoder(first, second, heads=4).eval()
    body, present = bodies(2, frames=16, joints=5)
    features, _ = pair(body, present)
    torch.testing.assert_close(features, torch.cat([first(body, present)[0], second(body, present)[0]], dim=2))


def test_the_pair_is_the_two_formulas_worked_one_by_one() -> None:
    first, second = transformers()
    pair = DualEncoder(first, second, heads=4).eval()
    torch.nn.init.normal_(pair.first_over_second.out.weight)
    torch.nn.init.normal_(pair.second_over_first.out.weight)
    body, present = bodies(2, frames=16, joints=5)
    one, other = first(body, present)[0], second(body, present)[0]
    features, _ = pair(body, present)
    torch.testing.assert_close(features[..., :32], one + pair.first_over_second(one, other))
    torch.testing.assert_close(features[..., 32:], other + pair.second_over_first(other, one))


def test_only_the_alignment_of_a_pair_learns_and_what_is_frozen_does_not_move() -> None:
    pair = DualEncoder(lived_in(GraphEncoder(TINY, NTU25)), lived_in(GraphEncoder(TINY, NTU25)), heads=2)
    before = {name: tensor.clone() for name, tensor in pair.state_dict().items()}
    pair.train()
    assert not pair.first.training
    pair(*bodies())[0].square().mean().backward()
    learning = {name for name, p in pair.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"first_over_second", "second_over_first"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in pair.state_dict().items())
    assert all(p.grad is None for name, p in pair.named_parameters() if name not in learning)


def test_a_pair_takes_a_token_budget_if_its_encoders_do() -> None:
    pair = DualEncoder(*transformers(), heads=4)
    body, present = bodies(2, frames=16, joints=5)
    features, exists = pair(body, present, torch.tensor([[0, 3], [1, 2]]))
    assert features.shape == (2, 2, 64)
    assert exists.all()


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"teacher\.heads"):
        DualEncoder(*transformers(), heads=5)


def test_an_encoder_is_built_from_the_words_of_a_card() -> None:
    from amr_edge.card import Card
    from amr_edge.preprocess import PrepareConfig
    from amr_edge.training.models.build import build_encoder

    words = {"kind": "graph", "base": 4, "width": 16, "kernel": 9, "dropout": 0.0}
    card = Card(name="x", kind="encoder", prepare=PrepareConfig(), encoder={"kind": "aligned", "heads": 2, "of": words})
    pair = build_encoder(card)
    assert isinstance(pair, DualEncoder)
    assert isinstance(pair.second, GraphEncoder)
    assert pair.second.config == TINY
    for broken in ({"kind": "mamba"}, {"kind": "graph", "depth": 3}, {"kind": "aligned", "heads": 2}):
        with pytest.raises(CardError, match="'x'"):
            build_encoder(Card(name="x", kind="encoder", prepare=PrepareConfig(), encoder=broken))
