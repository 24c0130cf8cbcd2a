import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.errors import ConfigError
from amr_edge.preprocess import Clip
from amr_edge.skeleton import LAYOUTS, NTU25, layout
from amr_edge.training.asma.barlow import Projector, ThreeStreams, barlow_loss, cross_correlation
from amr_edge.training.asma.config import (
    SIDES,
    AsmaRecipe,
    BarlowConfig,
    HideConfig,
    Side,
    StudentConfig,
    TeacherConfig,
    ViewConfig,
    asma,
    asma_recipe,
    asma_small,
)
from amr_edge.training.asma.views import copies, frame_motion, left_frames, left_joints, view
from amr_edge.training.config import GraphConfig
from amr_edge.training.data.batch import to_batch
from amr_edge.training.models.skeleton_graph import degrees
from amr_edge.training.models.stgcn import GraphEncoder

STILL = ViewConfig(pad=0, shear=0, turn=0, tilt=0, flip=0)
CPU = torch.device("cpu")


def clips(count: int = 4, frames: int = 12, seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)
    present = rng.random((count, 1, frames, 25)) > 0.1
    values = rng.normal(size=(count, 1, frames, 25, 3)) * present[..., None]
    return Clip(values.astype(np.float32), present)


# ---- views


def test_a_view_that_may_not_change_anything_changes_nothing() -> None:
    made = view(clips(), STILL, NTU25, np.random.default_rng(0))
    np.testing.assert_allclose(made.values, clips().values, atol=1e-6)
    assert np.array_equal(made.present, clips().present)


def test_a_flip_is_a_mirror_image_with_the_names_of_the_other_side() -> None:
    flip = ViewConfig(pad=0, shear=0, turn=0, tilt=0, flip=1)
    made, was = view(clips(), flip, NTU25, np.random.default_rng(0)), clips()
    left, right = NTU25.index("left_hand"), NTU25.index("right_hand")
    np.testing.assert_allclose(made.values[..., left, :], was.values[..., right, :] * [-1, 1, 1], atol=1e-6)
    assert np.array_equal(made.present[..., left], was.present[..., right])
    again = view(made, flip, NTU25, np.random.default_rng(1))
    np.testing.assert_allclose(again.values, was.values, atol=1e-6)


def test_a_turn_keeps_lengths_and_a_shear_does_not() -> None:
    was = np.linalg.norm(clips().values, axis=-1)
    turned = view(clips(), ViewConfig(pad=0, shear=0, flip=0), NTU25, np.random.default_rng(0)).values
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), was, rtol=1e-4)
    assert not np.allclose(turned, clips().values, atol=1e-2)
    sheared = view(clips(), ViewConfig(pad=0, turn=0, tilt=0, flip=0), NTU25, np.random.default_rng(0)).values
    assert not np.allclose(np.linalg.norm(sheared, axis=-1), was, rtol=1e-2)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_view_invents_nothing_where_nothing_was(seed: int) -> None:
    made = view(clips(seed=seed), ViewConfig(), NTU25, np.random.default_rng(seed))
    assert not made.values[~made.present].any()
    assert made.values.shape == (4, 1, 12, 25, 3)
    assert np.isfinite(made.values).all()


def test_two_views_of_a_clip_differ_and_the_same_seed_gives_the_same() -> None:
    one, other = (view(clips(), ViewConfig(), NTU25, np.random.default_rng(seed)).values for seed in (0, 1))
    assert not np.allclose(one, other)
    assert np.array_equal(one, view(clips(), ViewConfig(), NTU25, np.random.default_rng(0)).values)


# ---- hidden joints


def test_joints_lie_in_the_urn_by_their_bones_or_inversely() -> None:
    central, leaf = copies(NTU25, "central_slow"), copies(NTU25, "leaf_fast")
    spine, tip = NTU25.index("upper_spine"), NTU25.index("left_hand_tip")
    assert (central[spine], central[tip]) == (4, 1)
    assert (leaf[spine], leaf[tip]) == (3, 12)
    assert len(set((central * leaf).tolist())) == 1


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("side", SIDES)
def test_some_joints_are_hidden_and_some_are_left(name: str, side: Side) -> None:
    skeleton, rng = layout(name), np.random.default_rng(0)
    for _ in range(20):
        left = left_joints(skeleton, side, HideConfig(), rng)
        assert 0 < len(left) < len(skeleton)
        assert len(skeleton) - len(left) <= HideConfig().drawn_joints(len(skeleton))
        assert (np.diff(left) > 0).all()
    assert len(left_joints(skeleton, side, HideConfig(joints=0.99), rng)) >= 1


def test_one_mask_hides_the_middle_of_the_body_and_the_other_its_ends() -> None:
    bones, rng = degrees(NTU25), np.random.default_rng(0)
    hidden = {side: np.zeros(25) for side in SIDES}
    for side in SIDES:
        for _ in range(400):
            hidden[side][np.setdiff1d(np.arange(25), left_joints(NTU25, side, HideConfig(), rng))] += 1
    central, leaf = hidden["central_slow"], hidden["leaf_fast"]
    assert central[bones >= 3].mean() > 1.5 * central[bones == 1].mean()
    assert leaf[bones == 1].mean() > 1.5 * leaf[bones >= 3].mean()
    assert HideConfig().drawn_joints(25) == 8
    assert HideConfig().hidden_frames(50) == 10


# ---- hidden frames


def steps(*sizes: float) -> tuple[torch.Tensor, torch.Tensor]:
    """One body of two joints that moves along x by these steps."""
    x = torch.cumsum(torch.tensor([0.0, *sizes]), dim=0)
    body = torch.zeros(1, len(x), 2, 3)
    body[0, :, :, 0] = x[:, None]
    return body, torch.ones(1, len(x), 2, dtype=torch.bool)


def test_the_motion_of_a_frame_is_its_mean_squared_step() -> None:
    body, present = steps(1.0, 2.0, 0.0)
    assert frame_motion(body, present).tolist() == [[1.0, 1.0, 4.0, 0.0]]
    present[0, 2, 0] = False  # the other joint tells
    assert frame_motion(body, present).tolist() == [[1.0, 1.0, 4.0, 0.0]]
    present[0, 3] = False
    assert frame_motion(body, present).tolist() == [[1.0, 1.0, 4.0, -1.0]]


def test_the_slowest_frames_are_hidden_on_one_side_and_the_fastest_on_the_other() -> None:
    # Ten frames, K_f = 2; the frames 3 and 7 stand still, 5 and 9 jump.
    body, present = steps(1, 1, 0, 1, 9, 1, 0, 1, 9)
    place = body[0, :, 0, 0].tolist()
    slow, fast = {3, 7}, {5, 9}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for side, gone in (("central_slow", slow), ("leaf_fast", fast)):
            left, seen = left_frames(body, present, side, HideConfig(frames=0.2), rng)  # type: ignore[arg-type]
            assert left.shape == (1, 6, 2, 3)
            assert seen.all()
            # Places are told apart by the order of time: 2 and 3 are alike, and so are 6 and 7.
            kept = left[0, :, 0, 0]
            assert (kept[1:] >= kept[:-1]).all()
            unique = [place[frame] for frame in gone if place.count(place[frame]) == 1]
            assert not set(kept.tolist()) & set(unique)


def test_frames_without_anybody_are_hidden_first() -> None:
    body, present = steps(1, 5, 1, 0, 1, 9, 1, 2, 1)
    present[0, 4:6] = False
    for side in SIDES:
        _, seen = left_frames(body, present, side, HideConfig(frames=0.2), np.random.default_rng(0))
        assert seen.all()


def test_the_frames_hidden_by_chance_are_the_same_for_all_bodies() -> None:
    torch.manual_seed(0)
    body, present = torch.randn(1, 20, 3, 3).repeat(4, 1, 1, 1), torch.ones(4, 20, 3, dtype=torch.bool)
    left, _ = left_frames(body, present, "leaf_fast", HideConfig(), np.random.default_rng(0))
    assert left.shape[1] == 12
    assert all(torch.equal(left[0], one) for one in left)


# ---- the loss


def test_the_loss_is_the_one_worked_by_hand() -> None:
    # Feature 0 of both views is (1, -1, 1, -1); feature 1 is (1, 1, -1, -1) and its negative.
    # c = [[1, 0], [0, -1]]: (1 - 1)^2 + (1 + 1)^2 = 4, and nothing beside the diagonal.
    one = torch.tensor([[1.0, 1], [-1, 1], [1, -1], [-1, -1]], dtype=torch.float64)
    other = one * torch.tensor([1.0, -1.0])
    assert barlow_loss(one, other, 0.5).item() == pytest.approx(4, abs=1e-3)
    # Both features the same: c is 1 everywhere, two entries beside the diagonal.
    same = one[:, :1].expand(-1, 2)
    assert barlow_loss(same, same, 0.5).item() == pytest.approx(2 * 0.5, abs=1e-3)


def test_the_loss_is_zero_where_the_correlation_is_the_identity() -> None:
    one = torch.tensor([[1.0, 1], [-1, 1], [1, -1], [-1, -1]])
    torch.testing.assert_close(cross_correlation(one, one), torch.eye(2), atol=1e-4, rtol=0)
    assert barlow_loss(one, one, 1.0).item() == pytest.approx(0, abs=1e-6)


def test_the_correlation_does_not_know_where_and_how_large_features_are() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(64, 5), torch.randn(64, 5)
    moved = cross_correlation(one * 3 + 2, other * 0.5 - 1)
    torch.testing.assert_close(moved, cross_correlation(one, other), atol=1e-4, rtol=1e-3)
    theirs = torch.nn.BatchNorm1d(5, affine=False)
    torch.testing.assert_close(cross_correlation(one, other), theirs(one).T @ theirs(other) / 64, atol=1e-5, rtol=1e-4)


def test_the_gradient_is_the_one_of_small_differences() -> None:
    torch.manual_seed(0)
    one = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    other = torch.randn(6, 3, dtype=torch.float64)
    barlow_loss(one, other, 0.3).backward()  # type: ignore[no-untyped-call]
    assert one.grad is not None
    for place in ((0, 0), (3, 2), (5, 1)):
        up, down = one.detach().clone(), one.detach().clone()
        up[place] += 0.05
        down[place] -= 0.05
        slope = (barlow_loss(up, other, 0.3) - barlow_loss(down, other, 0.3)).item() / 0.1
        assert one.grad[place].item() == pytest.approx(slope, abs=2e-2)


def test_a_projector_has_norms_between_its_layers_and_no_biases() -> None:
    projector = Projector(8, (16, 12, 10))
    kinds = [type(part).__name__ for part in projector]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert all(part.bias is None for part in projector if isinstance(part, torch.nn.Linear))
    paper = Projector(256, BarlowConfig().projector)
    assert sum(p.numel() for p in paper.parameters()) == 256 * 6144 + 2 * 6144 * 6144 + 2 * 2 * 6144


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.slow
def test_three_streams_give_a_loss_that_falls(side: Side) -> None:
    torch.manual_seed(0)
    encoder = GraphEncoder(GraphConfig(base=4, width=16, dropout=0.0), NTU25)
    module = ThreeStreams(encoder, NTU25, side, HideConfig(), BarlowConfig(projector=(16, 16), off_diagonal=0.02))
    adam = torch.optim.Adam(module.parameters(), lr=3e-3)
    rng, losses = np.random.default_rng(0), []
    whole = clips(16, frames=16)
    for _ in range(25):
        streams = [to_batch(view(whole, ViewConfig(shear=0.1, flip=0), NTU25, rng), CPU) for _ in range(3)]
        loss = module((streams[0], streams[1], streams[2]), rng)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_persons_who_are_there_are_averaged_and_others_do_not_count() -> None:
    torch.manual_seed(0)
    encoder = GraphEncoder(GraphConfig(base=4, width=16, dropout=0.0), NTU25).eval()
    module = ThreeStreams(encoder, NTU25, "leaf_fast", HideConfig(), BarlowConfig(projector=(4,))).eval()
    values = torch.randn(1, 2, 12, 25, 3)
    there = np.ones((1, 2, 12, 25), dtype=bool)
    both = module.feature(to_batch(Clip(values.numpy(), there), CPU))
    each = [module.feature(to_batch(Clip(values[:, i : i + 1].numpy(), there[:, :1]), CPU)) for i in range(2)]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2, atol=1e-5, rtol=1e-4)
    there[:, 1] = False
    torch.testing.assert_close(module.feature(to_batch(Clip(values.numpy(), there), CPU)), each[0])


# ---- settings


def test_the_recipe_of_the_paper_has_its_settings() -> None:
    made = asma()
    assert (made.prepare.frames, made.pretrain.batch, made.pretrain.lr, made.pretrain.epochs) == (50, 128, 5e-3, 150)
    assert made.barlow == BarlowConfig(projector=(6144, 6144, 6144), off_diagonal=2e-4)
    assert (made.views.turn, made.views.flip, made.views.shear) == (math.pi / 6, 0.5, 1.0)
    assert (made.distill.alpha, made.distill.temperature) == (0.7, 4.0)
    assert asma_small().barlow.projector == (512, 512, 512)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (ViewConfig, {"pad": 0.6}),
        (ViewConfig, {"shear": -1.0}),
        (ViewConfig, {"flip": 1.5}),
        (HideConfig, {"joints": 1.0}),
        (HideConfig, {"frames": 0.5}),
        (BarlowConfig, {"projector": (1,)}),
        (BarlowConfig, {"off_diagonal": -1.0}),
        (TeacherConfig, {"heads": 0}),
        (StudentConfig, {"kind": "giant"}),
        (StudentConfig, {"dropout": 1.0}),
    ],
)
def test_settings_cannot_hold_nonsense(kind: type, change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        kind(**change)


def test_a_recipe_refuses_what_does_not_fit_together() -> None:
    made = asma_small()
    with pytest.raises(ConfigError, match=r"teacher\.heads"):
        AsmaRecipe(name="x", prepare=made.prepare, teacher=TeacherConfig(heads=7))
    with pytest.raises(ConfigError, match="backbone"):
        AsmaRecipe(name="x", prepare=made.prepare, backbone="lstm")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="asma, asma-small"):
        asma_recipe("amr")
