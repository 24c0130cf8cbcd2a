"""Barlow Twins pre-training without labels or negatives: a clip and its masked version get the same features.

Source: PSTL (Zhou et al., AAAI 2023), three streams compared by the Barlow Twins loss (Zbontar et al., ICML 2021); that
there are two masks which complement each other is ASMa's (Anand et al., TMLR 2026).
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from amr_edge.skeleton import Layout
from amr_edge.training.asma.config import BarlowConfig, HideConfig, Side
from amr_edge.training.asma.views import left_frames, left_joints
from amr_edge.training.data.batch import Batch
from amr_edge.training.models.stgcn import GraphEncoder

EPSILON = 1e-5  # of the variances, as torch's batch normalisation


def cross_correlation(one: Tensor, other: Tensor) -> Tensor:
    """Cross-correlation of the features of two views of the same clips: two (N, D) -> (D, D), from -1 to 1."""

    def standard(z: Tensor) -> Tensor:
        z = z.float() - z.float().mean(dim=0)
        return z * (z.square().mean(dim=0) + EPSILON).rsqrt()

    compared: Tensor = standard(one).T @ standard(other) / len(one)
    return compared


def barlow_loss(one: Tensor, other: Tensor, off_diagonal: float) -> Tensor:
    """Barlow Twins loss: the distance of the cross-correlation from the identity.

    Args:
        one: (N, D) features of a view of N clips; 2 <= N.
        other: (N, D) of another view of them.
        off_diagonal: Weight of what is beside the diagonal.

    Returns:
        sum_i (1 - c_ii)^2 + off_diagonal sum_(i != j) c_ij^2.
    """
    c = cross_correlation(one, other)
    squares = c.square()
    diagonal = c.diagonal()
    return (1 - diagonal).square().sum() + off_diagonal * (squares.sum() - diagonal.square().sum())


class Projector(nn.Sequential):
    """Linear, norm, ReLU between the layers and a linear at the end, without biases."""

    def __init__(self, width: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for before, after in zip((width, *widths[:-1]), widths, strict=True):
            if layers:
                layers += [nn.BatchNorm1d(before), nn.ReLU()]
            layers.append(nn.Linear(before, after, bias=False))
        super().__init__(*layers)


class ThreeStreams(nn.Module):
    """An encoder applied three times: with all of a view, without some joints, without some moments.

    Args:
        encoder: What is pre-trained.
        layout: Its skeleton.
        side: Which of the two masks.
        hide: How much they hide.
        barlow: Projector and loss.
    """

    def __init__(
        self, encoder: GraphEncoder, layout: Layout, side: Side, hide: HideConfig, barlow: BarlowConfig
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.layout, self.side, self.hide, self.barlow = layout, side, hide, barlow
        self.projector = Projector(encoder.config.width, barlow.projector)

    def feature(self, batch: Batch, joints: Tensor | None = None) -> Tensor:
        """(N, D): the mean over a body's features, then over the persons who are there."""
        features, exists = self.encoder(batch.body, batch.present, None, joints)  # (B, S, D), (B, S)
        weight = exists[..., None].to(features.dtype)
        pooled = ((features * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)).float()  # (B, D)
        here = exists.any(dim=1, keepdim=True).to(pooled.dtype)  # (B, 1)
        total = pooled.new_zeros(batch.clips, pooled.shape[1]).index_add(0, batch.clip_of, pooled * here)
        count = pooled.new_zeros(batch.clips, 1).index_add(0, batch.clip_of, here)
        mean: Tensor = total / count.clamp(min=1)
        return mean

    def forward(self, views: tuple[Batch, Batch, Batch], rng: np.random.Generator) -> Tensor:
        """The loss of one step.

        Args:
            views: Three views of the same clips: for the anchor, for the spatial and for the temporal mask.
            rng: Chooses what is hidden.

        Returns:
            The loss between anchor and spatial stream plus that between anchor and temporal stream.
        """
        anchor, spatial, temporal = views
        joints = torch.from_numpy(left_joints(self.layout, self.side, self.hide, rng)).to(spatial.body.device)
        body, present = left_frames(temporal.body, temporal.present, self.side, self.hide, rng)
        shorter = Batch(body=body, present=present, clip_of=temporal.clip_of, clips=temporal.clips)
        projected = [
            cast("Tensor", self.projector(feature))
            for feature in (self.feature(anchor), self.feature(spatial, joints), self.feature(shorter))
        ]
        return barlow_loss(projected[0], projected[1], self.barlow.off_diagonal) + barlow_loss(
            projected[0], projected[2], self.barlow.off_diagonal
        )
