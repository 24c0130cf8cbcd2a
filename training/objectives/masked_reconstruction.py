"""Masked reconstruction: an encoder sees a few tokens, a decoder predicts the rest, a loss says what counts.

AMR (Sun et al., CVPR 2026): the decoder's queries attend to the encoder's visible tokens and never to each other, so
their number and the size of what they predict are free of the encoder's tokens, and the loss looks where the movement
is. MAE's decoder of self-attention, which SkeletonMAE and MAMP share, and the steps between the two are settings.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from amr_edge.errors import ConfigError
from amr_edge.training.config import PretextConfig
from amr_edge.training.models.motion_energy import focal_weights
from amr_edge.training.models.patchify import patchify, token_present
from amr_edge.training.models.transformer import Attention, Block, Encoder, FeedForward, initialize
from amr_edge.training.objectives.masking import keep_asymmetric, keep_grid, keep_random, keep_still, patch_motion

EPSILON = 1e-6  # of the target's variance, (metres per frame)^2


class QueryBlock(nn.Module):
    """q + cross-attention(LN q, memory); q + feed-forward(LN q)."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = FeedForward(width, ratio)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """(B, Q, D) over (B, K, D) -> (B, Q, D)."""
        queries = queries + self.attention(self.norm_attention(queries), memory, mask)
        return cast("Tensor", queries + self.feed(self.norm_feed(queries)))


class Reconstruction(NamedTuple):
    """Tensors of one pre-training step; shapes with Q of the N_t target patches, of P numbers each."""

    loss: Tensor  # ()
    predicted: Tensor  # (B, Q, P)
    target: Tensor  # (B, Q, P), normalised
    weight: Tensor  # (B, Q, P), 0 where absent
    kept: Tensor  # (B, L') visible tokens
    targets_index: Tensor | None  # (B, Q) which targets, time-major; None is all N_t in order


class MaskedReconstruction(nn.Module):
    """An encoder that sees some of the tokens, and a decoder that predicts targets from them.

    Args:
        encoder: Whose weights are learned.
        config: What is hidden, predicted and counted.
        degrees: (V,) bones at each joint, for the masks that go by them.

    Raises:
        ConfigError: If patches or windows do not divide the clip, or a mask goes by degrees that are not given.
    """

    def __init__(self, encoder: Encoder, config: PretextConfig, degrees: Sequence[int] | None = None) -> None:
        super().__init__()
        config.check(encoder.frames, encoder.config.patch_frames)
        if config.mask in ("central_slow", "leaf_fast") and degrees is None:
            raise ConfigError(f"pretext.mask={config.mask} goes by the bones at each joint; give the layout's degrees")
        width, heads, ratio = encoder.config.width, encoder.config.heads, encoder.config.mlp_ratio
        self.encoder = encoder
        self.config = config
        self.target_frames = config.enlarge * encoder.config.patch_frames
        self.target_steps = encoder.frames // config.downsample // self.target_frames
        self.degrees = nn.Buffer(torch.tensor(degrees or [1] * encoder.joints), persistent=False)
        self.memory = nn.Linear(width, width)
        if config.memory == "layers":
            count = encoder.config.depth + 1
            self.mix = nn.Parameter(torch.randn(config.decoder_depth, count) / count**0.5)
            self.mix_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.decoder_depth))
        if config.queries == "placed":
            self.query = nn.Parameter(torch.zeros(width))
            self.query_time = nn.Parameter(torch.zeros(self.target_steps, width))
            self.query_joint = nn.Parameter(torch.zeros(encoder.joints, width))
            positions = [self.query, self.query_time, self.query_joint]
        else:
            self.query_free = nn.Parameter(torch.zeros(self.targets, width))
            positions = [self.query_free]
        layer = QueryBlock if config.decoder == "cross" else Block
        self.blocks = nn.ModuleList(layer(width, heads, ratio) for _ in range(config.decoder_depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.target_frames * encoder.channels)
        for part in (self.memory, self.blocks, self.head):
            initialize(part)
        for position in positions:
            nn.init.trunc_normal_(position, std=0.02)

    @property
    def targets(self) -> int:
        """N_t, targets of a body."""
        return self.target_steps * self.encoder.joints

    @property
    def keep(self) -> int:
        """Visible tokens of a body."""
        if self.config.mask in ("tube", "spatial_temporal"):
            joints, steps = self._grid()
            return joints * steps
        return max(1, round(self.encoder.tokens * (1 - self.config.mask_ratio)))

    def _grid(self) -> tuple[int, int]:
        """Joints and moments that a mask of whole joints leaves."""
        V, steps, share = self.encoder.joints, self.encoder.steps, 1 - self.config.mask_ratio
        if self.config.mask == "tube":
            return max(1, round(V * share)), steps
        joints = max(1, round(V * self.config.joint_share))
        return joints, min(steps, max(1, round(V * steps * share / joints)))

    def visible(self, body: Tensor, present: Tensor, generator: torch.Generator) -> Tensor:
        """The tokens that the encoder sees: (B, T, V, C) and (B, T, V) bool -> (B, L') indices."""
        config, frames = self.config, self.encoder.config.patch_frames
        exists = token_present(present, frames)  # (B, L)
        if config.mask == "random":
            return keep_random(exists, self.keep, generator)
        if config.mask in ("tube", "spatial_temporal"):
            return keep_grid(exists, self.encoder.joints, *self._grid(), generator)
        motion = patch_motion(patchify(body, frames), exists, self.encoder.joints)  # (B, L)
        if config.mask == "motion":
            return keep_still(exists, motion, self.keep, config.mask_tau, generator)
        return keep_asymmetric(
            exists, motion, self.degrees, self.keep, generator, hide_central=config.mask == "central_slow"
        )

    def queries(self) -> Tensor:
        """(N_t, D): the learnable queries with their place in time and on the body."""
        if self.config.queries == "free":
            return self.query_free
        placed = self.query_time[:, None] + self.query_joint[None]  # (steps, V, D)
        return self.query + placed.reshape(-1, placed.shape[-1])

    def decode(self, memories: Sequence[Tensor], mask: Tensor, queries: Tensor) -> Tensor:
        """Predict from features.

        Args:
            memories: (B, K, D) what the first, second, ... layer sees of the encoder; one serves all.
            mask: (B, K) bool, False for tokens that do not exist.
            queries: (Q, D) or (B, Q, D).

        Returns:
            (B, Q, P).
        """
        mask = mask | ~mask.any(dim=1, keepdim=True)
        x = queries.expand(len(mask), -1, -1)  # (B, Q, D)
        Q = x.shape[1]
        if self.config.decoder == "self":
            x = torch.cat([x, memories[0]], dim=1)  # (B, Q + K, D)
            mask = torch.cat([mask.new_ones(len(mask), Q), mask], dim=1)
            for block in self.blocks:
                x = block(x, mask)
        else:
            for index, block in enumerate(self.blocks):
                x = block(x, memories[index % len(memories)], mask)
        return cast("Tensor", self.head(self.norm(x[:, :Q])))

    def remember(self, layers: Sequence[Tensor], kept: Tensor) -> list[Tensor]:
        """Encoder layers that the decoder's layers attend to: depth + 1 times (B, L', D) -> one or `decoder_depth`."""
        if self.config.memory == "last":
            memories = [self.memory(self.encoder.norm(layers[-1]))]
        else:
            stacked = torch.stack([*layers[:-1], self.encoder.norm(layers[-1])])  # (depth + 1, B, L', D)
            mixed = torch.einsum("jk,kbld->jbld", self.mix, stacked.float())
            memories = [self.memory(norm(one)) for norm, one in zip(self.mix_norms, mixed, strict=True)]
        if self.config.decoder == "self" and self.config.queries == "placed":
            # A token stands where the target does that it lies in; among others of its own size, where it stood.
            joints = self.encoder.joints
            step = kept // joints * self.target_steps // self.encoder.steps
            memories = [one + self.query_time[step] + self.query_joint[kept % joints] for one in memories]
        return memories

    def targets_index(self, kept: Tensor, generator: torch.Generator) -> Tensor | None:
        """The targets that are predicted in a step: (B, L') visible tokens -> (B, Q), or None for all in order."""
        share = self.config.predict_share
        if self.config.predict == "hidden":
            hidden = torch.ones(len(kept), self.targets, dtype=torch.bool, device=kept.device)
            hidden.scatter_(1, kept, value=False)
            count = max(1, round((self.targets - kept.shape[1]) * share))
            return keep_random(hidden, count, generator).sort(dim=1).values
        if share == 1:
            return None
        every = torch.ones(len(kept), self.targets, dtype=torch.bool, device=kept.device)
        return keep_random(every, max(1, round(self.targets * share)), generator).sort(dim=1).values

    def _moved(self, body: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements to the next frame, and where both frames were seen; the last frame does not move."""
        moved = torch.zeros_like(body)  # (B, T, V, C)
        moved[:, :-1] = body[:, 1:] - body[:, :-1]
        both = present.clone()
        both[:, :-1] &= present[:, 1:]
        return moved, both

    def target(self, body: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Targets, and where they exist: (B, N_t, P) and a bool of the same shape."""
        body, present = body[:, :: self.config.downsample], present[:, :: self.config.downsample]
        value, seen = self._moved(body, present) if self.config.target == "motion" else (body, present)
        there = seen[..., None].expand_as(value)  # (B, T', V, C)
        if self.config.target_norm == "time":
            value = _normalize(value, there, dim=1)
        patches = patchify(value, self.target_frames)  # (B, N_t, P)
        there = patchify(there, self.target_frames)
        if self.config.target_norm == "patch":
            patches = _normalize(patches, there, dim=2)
        return patches * there, there

    def weights(self, body: Tensor, present: Tensor) -> Tensor:
        """Weights of the numbers of every target: (B, N_t, P) in (0, 1]."""
        config = self.config
        value, seen = self._moved(body, present) if config.focal_source == "motion" else (body, present)
        weight = focal_weights(value, seen, config.focal_windows, config.focal_k, config.focal_fusion)  # (B, T, V)
        weight = weight[:, :: config.downsample]  # (B, T', V)
        return patchify(weight[..., None].expand(*weight.shape, body.shape[-1]), self.target_frames)

    def forward(self, body: Tensor, present: Tensor, generator: torch.Generator) -> Reconstruction:
        """One step: hide, encode, predict, weigh.

        Args:
            body: (B, T, V, C), 0 where absent.
            present: (B, T, V) bool.
            generator: Chooses the visible tokens.

        Returns:
            The loss and everything it was made of.
        """
        kept = self.visible(body.float(), present, generator)
        targets_index = self.targets_index(kept, generator)
        layers, seen = self.encoder.layers(body, present, kept)
        queries = self.queries()
        queries = queries if targets_index is None else queries[targets_index]  # (Q, D) or (B, Q, D)
        predicted = self.decode(self.remember(layers, kept), seen, queries).float()
        target, there = self.target(body.float(), present)  # (B, N_t, P)
        weight = self.weights(body.float(), present) * there
        if targets_index is not None:
            where = targets_index[..., None].expand(-1, -1, target.shape[-1])  # (B, Q, P)
            target, there, weight = target.gather(1, where), there.gather(1, where), weight.gather(1, where)
        loss = (weight * (predicted - target).square()).sum() / there.sum().clamp(min=1)
        return Reconstruction(loss, predicted, target, weight, kept, targets_index)


def _normalize(value: Tensor, there: Tensor, dim: int) -> Tensor:
    """Zero mean and unit (unbiased) variance along `dim`, over what is there."""
    count = there.sum(dim=dim, keepdim=True)
    mean = (value * there).sum(dim=dim, keepdim=True) / count.clamp(min=1)
    spread = ((value - mean).square() * there).sum(dim=dim, keepdim=True) / (count - 1).clamp(min=1)
    return (value - mean) / (spread + EPSILON).sqrt()
