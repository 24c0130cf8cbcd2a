"""What do the usual skeleton networks cost on the same machine? ST-GCN, CTR-GCN, ST-GCN++ and continual ST-GCN.

Our own re-implementations from the papers' descriptions, with random weights: they measure latency and nothing else.
One body of 25 joints (NTU RGB+D), 60 classes, channels first as convolutions want them: (N, C, T, V).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from amr_edge.skeleton import NTU25

JOINTS, CLASSES, CHANNELS = 25, 60, 3
CENTRE = 20  # the upper spine, from which the bones are counted inwards and outwards
WIDTHS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
HALVED_AT = (4, 7)  # blocks that take every second frame
KERNEL = 9  # frames in a temporal convolution of ST-GCN


def partitions() -> Tensor:
    """(3, V, V) ST-GCN's spatial graph: the joint itself, neighbours nearer to the centre, neighbours farther from it.

    Columns of the whole sum to 1: a joint takes the mean of itself and its neighbours.
    """
    linked = torch.eye(JOINTS)
    for joint, parent in enumerate(NTU25.parents):
        if parent >= 0:
            linked[joint, parent] = linked[parent, joint] = 1
    hops = torch.full((JOINTS, JOINTS), torch.inf)
    reached = torch.eye(JOINTS)
    for step in range(JOINTS):
        hops[(reached > 0) & hops.isinf()] = step
        reached = (reached @ linked > 0).float()
    distance = hops[CENTRE]
    shares = linked / linked.sum(dim=0, keepdim=True)
    nearer, farther = distance[:, None] < distance[None], distance[:, None] > distance[None]
    return torch.stack([shares * ~(nearer | farther), shares * nearer, shares * farther])


def _pointwise(inputs: int, outputs: int, stride: int = 1, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride=(stride, 1), bias=bias)


def _temporal(inputs: int, outputs: int, frames: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution over time that keeps the number of frames, but for the stride."""
    padding = (frames - 1) * dilation // 2
    return nn.Conv2d(inputs, outputs, (frames, 1), stride=(stride, 1), padding=(padding, 0), dilation=(dilation, 1))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(_pointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))


class _Mixed(nn.Module):
    """Each partition's features from a pointwise convolution, then a sum over the neighbours in each partition."""

    def __init__(self, inputs: int, outputs: int, graph: Tensor) -> None:
        super().__init__()
        self.features = _pointwise(inputs, len(graph) * outputs)
        self.graph = nn.Parameter(graph.clone(), requires_grad=False)

    def mix(self, x: Tensor, graph: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, C', T, V)."""
        parts = self.features(x).chunk(len(graph), dim=1)
        return cast("Tensor", sum(part @ matrix for part, matrix in zip(parts, graph.unbind(), strict=True)))


class SpatialGraph(_Mixed):
    """ST-GCN: a fixed graph whose edges have a learned importance."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, partitions())
        self.importance = nn.Parameter(torch.ones(3, JOINTS, JOINTS))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, C', T, V)."""
        return cast("Tensor", self.norm(self.mix(x, self.graph * self.importance)).relu())


class LearnedGraph(_Mixed):
    """ST-GCN++: the graph itself is learned, and a shortcut leads around it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, partitions())
        self.norm = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, C', T, V)."""
        return cast("Tensor", (self.norm(self.mix(x, self.graph)) + self.shortcut(x)).relu())


class RefinedGraph(nn.Module):
    """CTR-GCN: a shared topology, refined for every channel by how joints differ in the clip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        relation = 8 if inputs == CHANNELS else inputs // 8
        self.one = nn.ModuleList(_pointwise(inputs, relation) for _ in range(3))
        self.other = nn.ModuleList(_pointwise(inputs, relation) for _ in range(3))
        self.refine = nn.ModuleList(_pointwise(relation, outputs) for _ in range(3))
        self.features = nn.ModuleList(_pointwise(inputs, outputs) for _ in range(3))
        self.graph = nn.Parameter(partitions())
        self.strength = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, C', T, V)."""
        # A pointwise convolution and a mean over time can be done in either order; the mean first is cheaper.
        mean = x.mean(dim=2, keepdim=True)  # (N, C, 1, V)
        total: Tensor | float = 0.0
        for k in range(3):
            one, other = self.one[k](mean), self.other[k](mean)  # (N, R, 1, V)
            pairs = (one.transpose(2, 3) - other).tanh()  # (N, R, V, V)
            graph = self.refine[k](pairs) * self.strength + self.graph[k]  # (N, C', V, V)
            total = total + self.features[k](x) @ graph.transpose(2, 3)  # (N, C', T, V)
        return cast("Tensor", (self.norm(total) + self.shortcut(x)).relu())


class SingleScale(nn.Module):
    """ST-GCN: one convolution over nine frames."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.over_time = _temporal(width, width, KERNEL, stride)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, C, T / stride, V)."""
        return cast("Tensor", self.norm(self.over_time(x)))


def _narrowed(inputs: int, width: int, then: Sequence[nn.Module]) -> nn.Sequential:
    return nn.Sequential(_pointwise(inputs, width), nn.BatchNorm2d(width), nn.ReLU(), *then)


class FourBranches(nn.Module):
    """CTR-GCN: two dilated convolutions over five frames, a maximum over three, and the frames themselves."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        part = width // 4
        branches: list[nn.Module] = [
            _narrowed(width, part, [_temporal(part, part, 5, stride, dilation), nn.BatchNorm2d(part)])
            for dilation in (1, 2)
        ]
        largest = nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0))
        branches.append(_narrowed(width, part, [largest, nn.BatchNorm2d(part)]))
        branches.append(nn.Sequential(_pointwise(width, part, stride), nn.BatchNorm2d(part)))
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, C, T / stride, V)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class SixBranches(nn.Module):
    """ST-GCN++: four dilated convolutions over three frames, a maximum over three, the frames, and a mix of all."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        part = width // 6
        branches: list[nn.Module] = []
        for dilation in (1, 2, 3, 4):
            wide = width - 5 * part if dilation == 1 else part
            branches.append(_narrowed(width, wide, [_temporal(wide, wide, 3, stride, dilation)]))
        branches.append(_narrowed(width, part, [nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0))]))
        branches.append(_pointwise(width, part, stride))
        self.branches = nn.ModuleList(branches)
        self.mix = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), _pointwise(width, width), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, C, T / stride, V)."""
        return cast("Tensor", self.mix(torch.cat([branch(x) for branch in self.branches], dim=1)))


class GraphBlock(nn.Module):
    """Over the body, over time, and a shortcut around both."""

    def __init__(self, space: nn.Module, time: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.space, self.time, self.shortcut = space, time, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, C', T / stride, V)."""
        y = self.time(self.space(x))
        return cast("Tensor", (y if self.shortcut is None else y + self.shortcut(x)).relu())


class GraphNetwork(nn.Module):
    """Ten blocks, the mean over frames and joints, one linear layer.

    Args:
        space: Makes the part over the body from input and output channels.
        time: Makes the part over time from channels and stride.
    """

    def __init__(self, space: type[nn.Module], time: type[nn.Module]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(CHANNELS * JOINTS)
        blocks, inputs = [], CHANNELS
        for index, width in enumerate(WIDTHS):
            stride = 2 if index in HALVED_AT else 1
            shortcut = None if index == 0 else _shortcut(inputs, width, stride)
            blocks.append(GraphBlock(space(inputs, width), time(width, stride), shortcut))
            inputs = width
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, K) logits."""
        N, C, T, V = x.shape
        x = self.norm(x.permute(0, 3, 1, 2).reshape(N, V * C, T)).reshape(N, V, C, T).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        return cast("Tensor", self.head(x.mean(dim=(2, 3))))


def st_gcn() -> GraphNetwork:
    """ST-GCN (Yan et al., AAAI 2018), 3.1 M parameters."""
    return GraphNetwork(SpatialGraph, SingleScale)


def ctr_gcn() -> GraphNetwork:
    """CTR-GCN (Chen et al., ICCV 2021), 1.46 M parameters."""
    return GraphNetwork(RefinedGraph, FourBranches)


def st_gcn_pp() -> GraphNetwork:
    """ST-GCN++ (Duan et al., ACM MM 2022), 1.39 M parameters."""
    return GraphNetwork(LearnedGraph, SixBranches)


class Continual(nn.Module):
    """CoST-GCN* (Hedegaard et al., 2022): ST-GCN without strides and padding, one frame at a time.

    What a temporal convolution still needs of the past is kept between frames, and so is what its shortcut waits for:
    the answer to a frame costs one frame. Nothing is computed twice, nothing is left out.

    Args:
        network: ST-GCN; its weights are used.
        pooled: Frames in the mean before the head.
    """

    def __init__(self, network: GraphNetwork, pooled: int = 300 - 10 * (KERNEL - 1)) -> None:
        super().__init__()
        self.network, self.pooled = network, pooled
        for block in network.blocks:
            over_time = block.time.over_time
            over_time.stride, over_time.padding = (1, 1), (0, 0)
            if isinstance(block.shortcut, nn.Sequential):
                cast("nn.Conv2d", block.shortcut[0]).stride = (1, 1)

    @property
    def receptive(self) -> int:
        """Frames that the first full answer needs."""
        return len(self.network.blocks) * (KERNEL - 1) + self.pooled

    def caches(self) -> list[Tensor]:
        """What is known before the first frame: nothing, as zeros.

        Of every block the input of its temporal convolution (1, C', 8, V) and of its shortcut (1, C', 4, V), then the
        features that the mean is over (1, C', pooled) and their sum (1, C').
        """
        made = []
        for index, width in enumerate(WIDTHS):
            made.append(torch.zeros(1, width, KERNEL - 1, JOINTS))
            if index:
                made.append(torch.zeros(1, width, KERNEL // 2, JOINTS))
        return [*made, torch.zeros(1, WIDTHS[-1], self.pooled), torch.zeros(1, WIDTHS[-1])]

    def forward(self, frame: Tensor, caches: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One frame (1, C, 1, V) and the caches -> (1, K) logits and the caches of the next frame."""
        x, kept, given = self._normed(frame), [], iter(caches)
        for block in self.network.blocks:
            past = torch.cat([next(given), block.space(x)], dim=2)  # (1, C', 9, V)
            kept.append(past[:, :, 1:])
            y = block.time(past)  # (1, C', 1, V)
            if block.shortcut is not None:
                waiting = torch.cat([next(given), block.shortcut(x)], dim=2)  # (1, C', 5, V)
                kept.append(waiting[:, :, 1:])
                y = y + waiting[:, :, :1]
            x = y.relu()
        features, total = next(given), next(given)
        new = x.mean(dim=(2, 3))  # (1, C')
        total = total + new - features[:, :, 0]
        kept += [torch.cat([features[:, :, 1:], new[:, :, None]], dim=2), total]
        return self.network.head(total / self.pooled), kept

    def clipwise(self, x: Tensor) -> Tensor:
        """The same network on a whole clip (1, C, receptive, V) -> (1, K) logits."""
        x = self._normed(x)
        for block in self.network.blocks:
            y = block.time(block.space(x))  # (1, C', T - 8, V)
            if block.shortcut is not None:
                y = y + block.shortcut(x)[:, :, KERNEL // 2 : -(KERNEL // 2)]
            x = y.relu()
        return cast("Tensor", self.network.head(x.mean(dim=(2, 3))))

    def _normed(self, x: Tensor) -> Tensor:
        N, C, T, V = x.shape
        x = self.network.norm(x.permute(0, 3, 1, 2).reshape(N, V * C, T))  # (N, V * C, T)
        return x.reshape(N, V, C, T).permute(0, 2, 3, 1)  # (N, C, T, V)


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random statistics in every batch norm, so that none is the identity and what folds them has work to do."""
    generator = torch.Generator().manual_seed(seed)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
    return network.eval()


def write(network: nn.Module, frames: int, path: Path) -> Path:
    """Write a network for clips (1, C, frames, V), or a continual one for a frame and its caches, as ONNX."""
    import logging
    import warnings

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    clip = torch.zeros(1, CHANNELS, frames, JOINTS)
    arguments: tuple[Tensor | list[Tensor], ...] = (clip,)
    names = ["clip"]
    if isinstance(network, Continual):
        caches = network.caches()
        arguments = (clip, caches)
        names += [f"cache{k}" for k in range(len(caches))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own internals
        program = torch.onnx.export(
            network.eval(),
            arguments,
            dynamo=True,
            opset_version=20,
            input_names=names,
            output_names=["logits", *(f"next{k}" for k in range(len(names) - 1))],
            external_data=False,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    program.save(str(path))
    return path
