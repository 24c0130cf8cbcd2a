from dataclasses import replace

import numpy as np
import pytest
import torch

from amr_edge.training.config import STUDENTS
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Block, Encoder
from amr_edge.training.models.weight_inheritance import inherit


def model(**wishes: int) -> Classifier:
    """A classifier of width 32 with two heads, four blocks and patches of 8 frames, or as wished."""
    config = replace(STUDENTS["small"], **{"width": 32, "heads": 2, **wishes})
    made = Classifier(Encoder(config, frames=16, joints=5), 3)
    with torch.no_grad():  # norms and biases start as ones and zeros, which would hide a mistake
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made.eval()


def block(made: Classifier, index: int) -> Block:
    found = made.encoder.blocks[index]
    assert isinstance(found, Block)
    return found


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_a_student_of_the_teachers_shape_starts_as_the_teacher() -> None:
    own, theirs = model(), model()
    taken = inherit(own, theirs)
    assert sorted(taken) == sorted(theirs.state_dict())
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in own.state_dict().items())


def test_every_tensor_of_both_students_comes_from_a_teacher_of_the_papers_size() -> None:
    theirs = Classifier(
        Encoder(replace(STUDENTS["small"], width=256, depth=8, heads=8, patch_frames=4), frames=16, joints=5), 3
    )
    for config in STUDENTS.values():
        own = Classifier(Encoder(config, frames=16, joints=5), 3)
        assert sorted(inherit(own, theirs)) == sorted(own.state_dict())


def test_blocks_are_taken_from_all_depths() -> None:
    own, theirs = model(depth=3), model(depth=6)
    inherit(own, theirs)
    for index, source in enumerate((0, 2, 5)):
        assert torch.equal(block(own, index).attention.out.weight, block(theirs, source).attention.out.weight)


def test_a_longer_patch_embeds_as_the_mean_of_the_patches_in_it() -> None:
    own, theirs = model(patch_frames=8), model(patch_frames=4)
    inherit(own, theirs)
    patch = torch.randn(8 * 3)
    halves = theirs.encoder.embed(torch.stack([patch[:12], patch[12:]]))
    torch.testing.assert_close(own.encoder.embed(patch), halves.mean(dim=0), atol=1e-6, rtol=1e-5)
    expected = (theirs.encoder.time_position[0::2] + theirs.encoder.time_position[1::2]) / 2
    torch.testing.assert_close(own.encoder.time_position, expected)


def test_hidden_units_that_do_nothing_are_the_ones_left_out() -> None:
    own, theirs = model(mlp_ratio=2), model(mlp_ratio=4)
    with torch.no_grad():
        for index in range(4):
            block(theirs, index).feed[2].weight[:, torch.randperm(128)[:64]] = 0
    inherit(own, theirs)
    x = torch.randn(2, 7, 32)
    for index in range(4):
        torch.testing.assert_close(block(own, index).feed(x), block(theirs, index).feed(x), atol=1e-5, rtol=1e-4)


def test_a_head_that_says_nothing_is_the_one_left_out() -> None:
    own, theirs = model(width=16, heads=1), model()
    with torch.no_grad():
        for index in range(4):
            block(theirs, index).attention.out.weight[:, :16] = 0
    inherit(own, theirs)
    # The student's queries are those of the second head, seen through the half of the features that it has.
    width = (theirs.head.weight.norm(dim=0) * theirs.encoder.norm.weight.abs()).topk(16).indices.sort().values
    expected = block(theirs, 0).attention.query.weight[16:][:, width]
    assert torch.equal(block(own, 0).attention.query.weight, expected)
    assert torch.equal(own.encoder.joint_position, theirs.encoder.joint_position[:, width])
    assert torch.equal(own.head.weight, theirs.head.weight[:, width])


@pytest.mark.parametrize(
    ("wishes", "fresh"),
    [
        ({"heads": 4}, ".attention."),  # heads of 8 features cannot be cut from heads of 16
        ({"mlp_ratio": 4}, ".feed."),
        ({"patch_frames": 2}, "encoder.embed."),
    ],
)
def test_what_the_teacher_has_no_equal_of_stays_as_it_was(wishes: dict[str, int], fresh: str) -> None:
    own, theirs = model(**wishes), model(patch_frames=4)
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    taken = inherit(own, theirs)
    left = {name for name in before if name not in taken}
    assert left
    assert any(fresh in name for name in left)
    assert all(torch.equal(own.state_dict()[name], before[name]) for name in left)


def test_a_student_wider_than_its_teacher_takes_nothing() -> None:
    own = model(width=64)
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    assert inherit(own, model()) == []
    assert all(torch.equal(tensor, before[name]) for name, tensor in own.state_dict().items())


def test_the_teacher_stays_as_it_is_and_shares_no_memory_with_the_student() -> None:
    own, theirs = model(), model()
    inherit(own, theirs)
    before = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in theirs.state_dict().items())


def test_a_student_without_a_step_of_learning_agrees_with_its_teacher_more_than_chance_has_it() -> None:
    theirs = model(depth=6, patch_frames=4, mlp_ratio=4)
    body = torch.randn(200, 1, 16, 5, 3).cumsum(dim=2)
    present = torch.ones(body.shape[:-1], dtype=torch.bool)
    heir, stranger = model(mlp_ratio=2), model(mlp_ratio=2)
    inherit(heir, theirs)
    with torch.no_grad():
        said = [m(body, present).log_softmax(dim=1).numpy() for m in (theirs, heir, stranger)]
    apart = [float(np.abs(other - said[0]).mean()) for other in said[1:]]
    assert apart[0] < apart[1]
