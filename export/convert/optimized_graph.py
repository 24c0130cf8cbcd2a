"""The same predictions from fewer nodes: a transformer classifier rewritten for the engines that run its file.

At a quarter of the tokens a small student's products take little more time than what stands around them. So what does
not depend on the clip is done here, once: scale and bias of attention go into its weights, its three linears become
one, places and the bias of the embedding become one table. Tokens are gathered from the clip as it comes, and which of
them exist is read off the order that ranked them. The weights are those of training; only sums are taken in another
order, so predictions agree to the last digits of a float.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from amr_edge.card import Card
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.patchify import token_present
from amr_edge.training.models.token_selection import choice_of
from amr_edge.training.models.transformer import Block, Encoder


class _Linear(nn.Module):
    """x W + b of rows. A product and a sum: one node of both would hide the product from what writes it in int8."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Buffer(weight.detach().clone().contiguous())  # (D_in, D_out)
        self.bias = nn.Buffer(bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(R, D_in) -> (R, D_out)."""
        return x @ self.weight + self.bias


class _LeanBlock(nn.Module):
    """A block over the rows of all bodies, B * K of them."""

    def __init__(self, block: Block, *, fused_attention: bool) -> None:
        super().__init__()
        self.fused = fused_attention
        self.heads = block.attention.heads
        self.norm_attention, self.norm_feed = block.norm_attention, block.norm_feed
        query, pair = block.attention.query, block.attention.key_value
        scale = 1.0 if fused_attention else (query.out_features // self.heads) ** -0.5
        self.inputs = _Linear(
            torch.cat([query.weight * scale, pair.weight]).T, torch.cat([query.bias * scale, pair.bias])
        )
        self.out = _linear(block.attention.out)
        self.up, self.down = _linear(cast("nn.Linear", block.feed[0])), _linear(cast("nn.Linear", block.feed[2]))

    def forward(self, x: Tensor, tokens: int, mask: Tensor) -> Tensor:
        """(B * K, D) -> (B * K, D); `mask` (B, 1, 1, K) is added to the products, or bool for an engine's own node."""
        D = x.shape[1]
        three = self.inputs(self.norm_attention(x)).reshape(-1, tokens, 3, self.heads, D // self.heads)
        q, k, v = three.permute(2, 0, 3, 1, 4).unbind()  # (B, H, K, D / H) each
        if self.fused:
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            attended = (q @ k.transpose(2, 3) + mask).softmax(dim=-1) @ v
        x = x + self.out(attended.transpose(1, 2).reshape(-1, D))
        return cast("Tensor", x + self.down(functional.gelu(self.up(self.norm_feed(x)))))


def _linear(linear: nn.Linear) -> _Linear:
    return _Linear(linear.weight.T, linear.bias)


class OptimizedGraph(nn.Module):
    """The model of `Deployed` in the form that engines run fastest.

    Args:
        classifier: The weights.
        encoder: Its encoder, a transformer.
        card: What they are; says how tokens are ranked.
        tokens: K, how many are looked at, for engines that want it constant; None asks for `ranks` at every forward.
        fused_attention: Leave attention in one piece, for operator sets that have it.
    """

    def __init__(
        self,
        classifier: Classifier,
        encoder: Encoder,
        card: Card,
        tokens: int | None = None,
        *,
        fused_attention: bool = False,
    ) -> None:
        super().__init__()
        config = encoder.config
        self.fused = fused_attention
        self.patch_frames = config.patch_frames
        self.choice = choice_of(card, torch.float64 if tokens is None else torch.float32)
        self.ranks = None if tokens is None else nn.Buffer(torch.arange(tokens), persistent=False)
        self.looks_at_all = tokens == encoder.tokens
        # Where the numbers of a token stand in a clip: token t * V + v is joint v in patch-time t.
        frame, joint, channel = torch.meshgrid(
            *(torch.arange(n) for n in (encoder.frames, encoder.joints, encoder.channels)), indexing="ij"
        )
        places = (frame * encoder.joints + joint) * encoder.channels + channel  # (T, V, C)
        places = places.reshape(encoder.steps, config.patch_frames, encoder.joints, encoder.channels)
        places = places.transpose(1, 2)  # (T / u, V, u, C)
        self.places = nn.Buffer(places.reshape(encoder.tokens, -1).contiguous(), persistent=False)  # (L, u * C)
        self.embed = nn.Buffer(encoder.embed.weight.T.detach().clone().contiguous())
        position = encoder.time_position[:, None] + encoder.joint_position[None] + encoder.embed.bias
        self.position = nn.Buffer(position.detach().reshape(encoder.tokens, -1).clone())  # (L, D)
        self.blocks = nn.ModuleList(
            _LeanBlock(cast("Block", block), fused_attention=fused_attention) for block in encoder.blocks
        )
        self.norm, self.head = encoder.norm, classifier.head

    def forward(self, clip: Tensor, present: Tensor, ranks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Answer; see `Deployed.forward`."""
        N, _, T, V, C = clip.shape
        body, seen = clip.reshape(-1, T, V, C), present.reshape(-1, T, V)
        if self.looks_at_all:
            K = len(self.places)
            exists = token_present(seen, self.patch_frames)  # (B, K)
            mask = exists | ~exists.any(dim=1, keepdim=True)
            patches = body.flatten(1)[:, self.places.flatten()]  # (B, L * u * C)
            # How many bodies there are is not known yet: the count must not be written into the graph.
            position = self.position.expand(exists.shape[0], -1, -1).reshape(-1, self.position.shape[1])  # (B * L, D)
        else:
            chosen = cast("Tensor", self.ranks if ranks is None else ranks)
            K = chosen.shape[0]
            kept, exists = self.choice.first(body, seen, chosen)  # (B, K) each
            # The first exists if any does; where none does, all are looked at, because NaN is no use.
            mask = exists == exists[:, :1]
            patches = body.flatten(1).gather(1, self.places[kept].flatten(1))  # (B, K * u * C)
            position = self.position[kept.flatten()]  # (B * K, D)
        x = patches.reshape(-1, self.places.shape[1]) @ self.embed + position  # (B * K, D)
        mask = mask[:, None, None, :]  # (B, 1, 1, K)
        if not self.fused:
            mask = torch.where(mask, 0.0, -torch.inf)
        for block in self.blocks:
            x = block(x, K, mask)
        return self._classify(self.norm(x), exists, N)

    def _classify(self, features: Tensor, exists: Tensor, N: int) -> tuple[Tensor, Tensor]:
        """Mean over the tokens that exist, then over the persons who are there: (B * K, D), (B, K) -> logits, probs."""
        weight = exists.to(features.dtype)
        weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)  # (B, K), rows sum to 1 or 0
        # No product, which fp16 would lower: pooling stays in fp32.
        total = (features.reshape(N, -1, features.shape[1]) * weight.reshape(N, -1, 1)).sum(dim=1)  # (N, D)
        here = weight.reshape(N, -1).sum(dim=1, keepdim=True).round().clamp(min=1)  # (N, 1) persons
        logits = self.head(total / here)
        return logits, logits.softmax(dim=-1)
