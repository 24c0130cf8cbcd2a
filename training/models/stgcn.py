"""The graph encoder: convolutions over the bones of the body and over time (ST-GCN), for bodies with gaps.

A joint that is absent, or hidden by leaving it out of the graph, says nothing to its neighbours, is left out of every
mean and variance, and has no feature. An encoder that never saw a joint answers as one whose graph has not got it.

Source: ST-GCN (Yan et al., AAAI 2018) at the size of PSTL (Zhou et al., AAAI 2023), 821 380 parameters at 25 joints.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from amr_edge.errors import ConfigError
from amr_edge.skeleton import Layout
from amr_edge.training.config import GraphConfig
from amr_edge.training.models.backbone import Backbone
from amr_edge.training.models.skeleton_graph import partitions

HALVING = (4, 7)  # indices of the blocks after which half of the frames are left
EPSILON = 1e-5  # of the norms, as torch's
MOMENTUM = 0.1  # of the running statistics


class PresentNorm(nn.Module):
    """Batch normalisation over what is present.

    Args:
        shape: Of the weights and statistics.
        over: Axes of the input that are normalised over; those of `shape` are the others.
    """

    def __init__(self, shape: tuple[int, ...], over: tuple[int, ...]) -> None:
        super().__init__()
        self.over = over
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.mean = nn.Buffer(torch.zeros(shape))
        self.variance = nn.Buffer(torch.ones(shape))

    def forward(self, x: Tensor, present: Tensor, rows: Tensor | None = None) -> Tensor:
        """Normalise.

        Args:
            x: What to normalise; what is absent in it may be anything finite.
            present: 1 or 0, broadcast to x.
            rows: Of the weights, those that x has; None has all.

        Returns:
            The shape of x; where something is absent the value means nothing.
        """
        weight, bias, mean, variance = (
            part if rows is None else part.index_select(0, rows)
            for part in (self.weight, self.bias, self.mean, self.variance)
        )
        if self.training:
            x = x.float()
            count = present.sum(dim=self.over, keepdim=True).clamp(min=1)
            mean = (x * present).sum(dim=self.over, keepdim=True) / count
            variance = ((x - mean).square() * present).sum(dim=self.over, keepdim=True) / count
            self._remember(mean, variance, count, rows)
        scale = weight * (variance + EPSILON).rsqrt()
        return x * scale + (bias - mean * scale)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor, rows: Tensor | None) -> None:
        """Move the running statistics towards those of a batch, where the batch says something."""
        for kept, now in ((self.mean, mean), (self.variance, variance * count / (count - 1).clamp(min=1))):
            old = kept if rows is None else kept.index_select(0, rows)
            step = MOMENTUM * (count > 1).to(old.dtype)  # what was not seen stays as it was
            new = old + (step * (now - old)).reshape(old.shape)
            if rows is None:
                kept.copy_(new)
            else:
                kept.index_copy_(0, rows, new)


class GraphBlock(nn.Module):
    """Talk along the bones, then look along time; the input is added."""

    def __init__(self, before: int, after: int, config: GraphConfig, *, stride: int, residual: bool) -> None:
        super().__init__()
        self.stride = stride
        self.project = nn.Conv2d(before, 3 * after, 1)
        self.norm_graph = PresentNorm((after, 1, 1), (0, 2, 3))
        self.look = nn.Conv2d(after, after, (config.kernel, 1), (stride, 1), (config.kernel // 2, 0))
        self.norm_time = PresentNorm((after, 1, 1), (0, 2, 3))
        self.dropout = nn.Dropout(config.dropout)
        self.skip = nn.Conv2d(before, after, 1, (stride, 1)) if residual and (before != after or stride > 1) else None
        self.norm_skip = PresentNorm((after, 1, 1), (0, 2, 3)) if self.skip is not None else None
        self.residual = residual

    def forward(self, x: Tensor, present: Tensor, graph: Tensor) -> tuple[Tensor, Tensor]:
        """One block.

        Args:
            x: (B, C, T, V), 0 where absent.
            present: (B, 1, T, V), 1 or 0.
            graph: (3, V, V) weights of what is heard.

        Returns:
            The same with the block's width and T / stride frames, rounded up; a pair of frames that becomes one is
            present if either is.
        """
        messages = (self.project(x) * present).chunk(3, dim=1)  # three of (B, D, T, V)
        aggregated = messages[0] @ graph[0] + messages[1] @ graph[1] + messages[2] @ graph[2]
        aggregated = functional.relu(self.norm_graph(aggregated, present)) * present
        after = present if self.stride == 1 else functional.max_pool2d(present, (self.stride, 1), ceil_mode=True)
        y = self.dropout(self.norm_time(self.look(aggregated), after))  # (B, D, T / stride, V)
        if self.skip is not None and self.norm_skip is not None:
            y = y + self.norm_skip(self.skip(x), after)
        elif self.residual:
            y = y + x
        return functional.relu(y) * after, after


class GraphEncoder(Backbone):
    """Bodies in, a feature for each joint and each fourth frame out; serves wherever the transformer encoder does.

    Args:
        config: Widths, kernel, dropout.
        layout: Whose bones.
        channels: C of the clips.
    """

    config: GraphConfig

    def __init__(self, config: GraphConfig, layout: Layout, *, channels: int = 3) -> None:
        super().__init__()
        self.config = config
        self.joints = len(layout)
        graph = torch.from_numpy(partitions(layout))  # (3, V, V)
        self.graph = nn.Buffer(graph, persistent=False)
        self.norm_input = PresentNorm((self.joints, channels), (0, 1))
        self.importance = nn.ParameterList(nn.Parameter(torch.ones_like(graph)) for _ in config.widths)
        widths = (channels, *config.widths)
        self.blocks = nn.ModuleList(
            GraphBlock(widths[i], widths[i + 1], config, stride=2 if i in HALVING else 1, residual=i > 0)
            for i in range(config.depth)
        )

    def forward(
        self, body: Tensor, present: Tensor, kept: Tensor | None = None, joints: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Encode whole bodies, or what is left of them without the joints that are hidden.

        Args:
            body: (B, T, V, C), 0 where absent.
            present: (B, T, V) bool.
            kept: A graph has no tokens to choose from; only None.
            joints: (V',) int64 rising, the joints that are left in the graph; None leaves all.

        Returns:
            Features (B, S, D), S = T / 4 (rounded up) times V', time-major, and which of them exist, (B, S) bool.

        Raises:
            ConfigError: If tokens are to be chosen.
        """
        if kept is not None:
            raise ConfigError(
                "a graph encoder looks at all joints and frames and has no token budget; "
                "leave budgets at 1, or use the transformer encoder"
            )
        graph: Tensor = self.graph
        if joints is not None:
            body, present = body.index_select(2, joints), present.index_select(2, joints)
            graph = graph.index_select(1, joints).index_select(2, joints)
        there = present[..., None].to(body.dtype)  # (B, T, V', 1)
        x = self.norm_input(body, there, joints) * there
        x = x.permute(0, 3, 1, 2)  # (B, C, T, V'), as convolutions want it
        there = there.permute(0, 3, 1, 2)  # (B, 1, T, V')
        for block, importance in zip(self.blocks, self.importance, strict=True):
            if joints is not None:
                importance = importance.index_select(1, joints).index_select(2, joints)
            x, there = cast("GraphBlock", block)(x, there, graph * importance)
        return x.flatten(2).transpose(1, 2), there.flatten(1) > 0  # (B, S, D), (B, S)


def macs(config: GraphConfig, frames: int, joints: int, channels: int = 3) -> int:
    """Multiply-accumulates for one body: pointwise convolutions, talk along the graph, convolutions over time.

    Args:
        config: The encoder.
        frames: T.
        joints: V.
        channels: C.
    """
    total, before, T = 0, channels, frames
    for index, width in enumerate(config.widths):
        shorter = -(-T // 2) if index in HALVING else T
        total += 3 * before * width * T * joints + 3 * width * T * joints * joints
        total += config.kernel * width * width * shorter * joints
        if index and (before != width or index in HALVING):
            total += before * width * shorter * joints
        before, T = width, shorter
    return total
