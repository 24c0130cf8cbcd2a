"""AMR's pretext task: a decoupled decoder predicts few large patches, and the loss looks where the movement is.

Source: AMR (Sun et al., CVPR 2026). The decoder's queries attend to the encoder's visible tokens and never to each
other, so their number and the size of what they predict are free of the encoder's tokens.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from amr_edge.training.config import PretextConfig
from amr_edge.training.encoder import Attention, Encoder, FeedForward, initialise
from amr_edge.training.energy import focal_weights
from amr_edge.training.masking import keep_random
from amr_edge.training.patchify import patchify, token_present

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
    """What one pre-training step saw; shapes with N_t target patches of P numbers."""

    loss: Tensor  # ()
    predicted: Tensor  # (B, N_t, P)
    target: Tensor  # (B, N_t, P), normalised
    weight: Tensor  # (B, N_t, P), 0 where absent
    kept: Tensor  # (B, L') visible tokens


class MaskedReconstruction(nn.Module):
    """An encoder that sees a tenth of the tokens, and a decoder that predicts all large patches from them."""

    def __init__(self, encoder: Encoder, config: PretextConfig) -> None:
        super().__init__()
        config.check(encoder.frames, encoder.config.patch_frames)
        width, heads, ratio = encoder.config.width, encoder.config.heads, encoder.config.mlp_ratio
        self.encoder = encoder
        self.config = config
        self.target_frames = config.enlarge * encoder.config.patch_frames
        steps = encoder.frames // self.target_frames
        self.memory = nn.Linear(width, width)
        self.query = nn.Parameter(torch.zeros(width))
        self.query_time = nn.Parameter(torch.zeros(steps, width))
        self.query_joint = nn.Parameter(torch.zeros(encoder.joints, width))
        self.blocks = nn.ModuleList(QueryBlock(width, heads, ratio) for _ in range(config.decoder_depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.target_frames * encoder.channels)
        for part in (self.memory, self.blocks, self.head):
            initialise(part)
        for position in (self.query, self.query_time, self.query_joint):
            nn.init.trunc_normal_(position, std=0.02)

    @property
    def keep(self) -> int:
        """Visible tokens of a body."""
        return max(1, round(self.encoder.tokens * (1 - self.config.mask_ratio)))

    def queries(self) -> Tensor:
        """(N_t, D): the learnable queries with their place in time and on the body."""
        placed = self.query_time[:, None] + self.query_joint[None]  # (steps, V, D)
        return self.query + placed.reshape(-1, placed.shape[-1])

    def decode(self, memory: Tensor, mask: Tensor, queries: Tensor) -> Tensor:
        """Predict from features.

        Args:
            memory: (B, K, D) features of the visible tokens.
            mask: (B, K) bool, False for those that do not exist.
            queries: (Q, D).

        Returns:
            (B, Q, P).
        """
        memory = self.memory(memory)
        mask = mask | ~mask.any(dim=1, keepdim=True)
        x = queries.expand(len(memory), -1, -1)  # (B, Q, D)
        for block in self.blocks:
            x = block(x, memory, mask)
        return cast("Tensor", self.head(self.norm(x)))

    def target(self, body: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be predicted, and where there is something: (B, N_t, P) and a bool of the same shape."""
        if self.config.target == "motion":
            moved = torch.zeros_like(body)  # (B, T, V, C), the last frame does not move
            moved[:, :-1] = body[:, 1:] - body[:, :-1]
            both = present.clone()
            both[:, :-1] &= present[:, 1:]
            value, seen = moved, both
        else:
            value, seen = body, present
        there = seen[..., None].expand_as(value)  # (B, T, V, C)
        if self.config.target_norm == "time":
            value = _normalise(value, there, dim=1)
        patches = patchify(value, self.target_frames)  # (B, N_t, P)
        there = patchify(there, self.target_frames)
        if self.config.target_norm == "patch":
            patches = _normalise(patches, there, dim=2)
        return patches * there, there

    def forward(self, body: Tensor, present: Tensor, generator: torch.Generator) -> Reconstruction:
        """One step: hide, encode, predict, weigh.

        Args:
            body: (B, T, V, C), 0 where absent.
            present: (B, T, V) bool.
            generator: Chooses the visible tokens.

        Returns:
            The loss and everything it was made of.
        """
        exists = token_present(present, self.encoder.config.patch_frames)
        kept = keep_random(exists, self.keep, generator)
        features, seen = self.encoder(body, present, kept)
        predicted = self.decode(features, seen, self.queries()).float()
        target, there = self.target(body.float(), present)
        weight = focal_weights(body.float(), present, self.config.focal_windows, self.config.focal_k)  # (B, T, V)
        weight = patchify(weight[..., None].expand_as(body), self.target_frames) * there  # (B, N_t, P)
        loss = (weight * (predicted - target).square()).sum() / there.sum().clamp(min=1)
        return Reconstruction(loss, predicted, target, weight, kept)


def _normalise(value: Tensor, there: Tensor, dim: int) -> Tensor:
    """Zero mean and unit (unbiased) variance along `dim`, over what is there."""
    count = there.sum(dim=dim, keepdim=True)
    mean = (value * there).sum(dim=dim, keepdim=True) / count.clamp(min=1)
    spread = ((value - mean).square() * there).sum(dim=dim, keepdim=True) / (count - 1).clamp(min=1)
    return (value - mean) / (spread + EPSILON).sqrt()
