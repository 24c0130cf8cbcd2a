"""How a student starts: from those parts of its teacher's weights that matter most and fit it."""

from typing import cast

import torch
from torch import Tensor, nn

from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Block, Encoder


def _largest(importance: Tensor, count: int) -> Tensor:
    """The indices of the `count` largest, in rising order; all of them in their order where `count` is their number."""
    return importance.topk(count).indices.sort().values


def inherited_block(index: int, student: int, teacher: int) -> int:
    """Index of the teacher's block that the student's block `index` starts from: spread evenly, both ends included.

    >>> [inherited_block(i, 4, 6) for i in range(4)]
    [0, 2, 3, 5]
    """
    return round(index * (teacher - 1) / max(student - 1, 1))


def _block(own: Block, theirs: Block, width: Tensor) -> dict[str, Tensor]:
    """Weights for the block `own` of a student whose features are the teacher's features `width`."""
    found = {}
    for norm in ("norm_attention", "norm_feed"):
        for kind in ("weight", "bias"):
            found[f"{norm}.{kind}"] = getattr(getattr(theirs, norm), kind)[width]
    attention = theirs.attention
    D, size = attention.out.in_features, attention.out.in_features // attention.heads
    if own.attention.out.in_features // own.attention.heads == size and own.attention.heads <= attention.heads:
        head_norms = attention.out.weight.reshape(D, attention.heads, size).norm(dim=(0, 2))  # (H,)
        heads = _largest(head_norms, own.attention.heads)
        rows = (heads[:, None] * size + torch.arange(size)).flatten()  # (own D,) the features of those heads
        both = torch.cat([rows, rows + D])  # keys, then values
        found["attention.query.weight"] = attention.query.weight[rows][:, width]
        found["attention.query.bias"] = attention.query.bias[rows]
        found["attention.key_value.weight"] = attention.key_value.weight[both][:, width]
        found["attention.key_value.bias"] = attention.key_value.bias[both]
        found["attention.out.weight"] = attention.out.weight[width][:, rows]
        found["attention.out.bias"] = attention.out.bias[width]
    wide, narrow = cast("nn.Linear", theirs.feed[0]), cast("nn.Linear", theirs.feed[2])
    units = cast("nn.Linear", own.feed[0]).out_features
    if units <= wide.out_features:
        hidden = _largest(wide.weight.norm(dim=1) * narrow.weight.norm(dim=0), units)
        found["feed.0.weight"], found["feed.0.bias"] = wide.weight[hidden][:, width], wide.bias[hidden]
        found["feed.2.weight"], found["feed.2.bias"] = narrow.weight[width][:, hidden], narrow.bias[width]
    return found


def _input(own: Encoder, theirs: Encoder, width: Tensor) -> dict[str, Tensor]:
    """The embedding of k patches in one is the mean of their embeddings, and so is their place in time."""
    k, rest = divmod(own.config.patch_frames, theirs.config.patch_frames)
    found = {"joint_position": theirs.joint_position[:, width]}
    if k and not rest:
        found["embed.weight"] = torch.cat([theirs.embed.weight[width]] * k, dim=1) / k
        found["embed.bias"] = theirs.embed.bias[width]
        found["time_position"] = theirs.time_position.reshape(own.steps, k, -1).mean(dim=1)[:, width]
    return found


def inherit(student: Classifier, teacher: Classifier) -> list[str]:
    """Start a student from its teacher, and say which of its tensors were taken.

    Of the teacher's features, heads and hidden units the largest are kept, of its blocks those spread evenly over
    its depth. What the teacher has no equal of (more heads, other head sizes, patches that are no multiple of the
    teacher's) stays as it was.

    Args:
        student: No wider than the teacher, or it takes nothing; changed in place.
        teacher: Of the same joints, frames and classes.

    Returns:
        Names in the student's state dict.

    Source:
        Keeping the largest units: Xu et al., "Initializing Models with Larger Ones", ICLR 2024.
    """
    own, theirs = student.encoder, teacher.encoder
    if not isinstance(own, Encoder) or not isinstance(theirs, Encoder) or own.config.width > theirs.config.width:
        return []
    width = _largest(teacher.head.weight.norm(dim=0) * theirs.norm.weight.abs(), own.config.width)
    found = {f"encoder.{name}": tensor for name, tensor in _input(own, theirs, width).items()}
    for index, block in enumerate(own.blocks):
        source = theirs.blocks[inherited_block(index, len(own.blocks), len(theirs.blocks))]
        taken = _block(cast("Block", block), cast("Block", source), width)
        found |= {f"encoder.blocks.{index}.{name}": tensor for name, tensor in taken.items()}
    found["encoder.norm.weight"], found["encoder.norm.bias"] = theirs.norm.weight[width], theirs.norm.bias[width]
    found["head.weight"], found["head.bias"] = teacher.head.weight[:, width], teacher.head.bias
    now = student.state_dict()
    with torch.no_grad():
        for name, tensor in found.items():
            now[name].copy_(tensor)
    return list(found)
