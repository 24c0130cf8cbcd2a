"""The one encoder: a pre-norm transformer over the tokens that exist.

Source: the encoder of MAMP (Mao et al., ICCV 2023), which AMR keeps; no class token, learned positions in time
and over joints, final LayerNorm.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from amr_edge.training.config import EncoderConfig
from amr_edge.training.models.backbone import Backbone
from amr_edge.training.models.patchify import patchify, token_present

LARGEST_MAP = 256 * 256  # queries times keys; a larger matrix of scores costs more memory than it saves time


class Attention(nn.Module):
    """Multi-head attention of queries over a memory; self-attention where they are the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            queries: (B, Q, D).
            memory: (B, K, D).
            mask: (B, K) bool, False for memory that must not be looked at; None looks at all.

        Returns:
            (B, Q, D).
        """
        B, Q, D = queries.shape
        q = self.query(queries).reshape(B, Q, self.heads, D // self.heads).transpose(1, 2)  # (B, H, Q, D / H)
        k, v = self.key_value(memory).reshape(B, -1, 2, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if mask is None else mask[:, None, None, :]  # (B, 1, 1, K)
        if q.device.type == "cpu" and q.dtype == torch.bfloat16:
            attended = _attend_in_bfloat16(q, k, v, mask)
        else:
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return cast("Tensor", self.out(attended.transpose(1, 2).reshape(B, Q, D)))


def _attend_in_bfloat16(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention on a CPU, whose fused bfloat16 kernel is four times slower than these (torch 2.13)."""
    if q.shape[2] * k.shape[2] > LARGEST_MAP:
        with torch.autocast("cpu", enabled=False):
            return functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, Q, K)
    if mask is not None and not bool(mask.all()):
        scores = scores.masked_fill(~mask, -torch.inf)
    attended: Tensor = scores.softmax(dim=-1) @ v
    return attended


class FeedForward(nn.Sequential):
    """Linear, GELU, Linear."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))


class Block(nn.Module):
    """x + attention(LN x); x + feed-forward(LN x). In training a sample skips the block with `drop_path`."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = FeedForward(width, ratio)
        self.drop_path = 0.0

    def _kept(self, x: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return x
        kept = torch.rand(len(x), 1, 1, device=x.device) >= self.drop_path
        return x * kept / (1 - self.drop_path)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        normed = self.norm_attention(x)
        x = x + self._kept(self.attention(normed, normed, mask))
        return x + self._kept(self.feed(self.norm_feed(x)))


def initialize(module: nn.Module) -> None:
    """Xavier-uniform linears with zero biases, as MAE does."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)


class Encoder(Backbone):
    """Tokens in, features out.

    Args:
        config: Width, depth, heads, patch length.
        frames: T of the clips.
        joints: V of the clips.
        channels: C of the clips.
    """

    config: EncoderConfig

    def __init__(self, config: EncoderConfig, *, frames: int, joints: int, channels: int = 3) -> None:
        super().__init__()
        self.config = config
        self.frames, self.joints, self.channels = frames, joints, channels
        self.steps = frames // config.patch_frames  # tokens of one joint
        self.embed = nn.Linear(config.patch_frames * channels, config.width)
        self.time_position = nn.Parameter(torch.zeros(self.steps, config.width))
        self.joint_position = nn.Parameter(torch.zeros(joints, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        initialize(self)
        nn.init.trunc_normal_(self.time_position, std=0.02)
        nn.init.trunc_normal_(self.joint_position, std=0.02)

    @property
    def tokens(self) -> int:
        """L, tokens of one body in one clip."""
        return self.steps * self.joints

    def set_drop_path(self, largest: float) -> None:
        """Skip blocks with a probability that rises linearly from 0 to `largest` in the last."""
        for index, block in enumerate(self.blocks):
            cast("Block", block).drop_path = largest * index / max(len(self.blocks) - 1, 1)

    def forward(self, body: Tensor, present: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode the tokens of each body that exist, or the `kept` ones among them.

        Args:
            body: (B, T, V, C), 0 where absent.
            present: (B, T, V) bool.
            kept: (B, L') token indices; None keeps all L.

        Returns:
            Features (B, L', D) and existence (B, L') bool. Tokens that do not exist attend and are computed, but
            no other token looks at them; leave them out of whatever comes next.
        """
        layers, exists = self.layers(body, present, kept)
        return self.norm(layers[-1]), exists

    def layers(self, body: Tensor, present: Tensor, kept: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """Intermediate outputs of `forward` before its last norm: the embedded tokens and every block's output.

        Returns:
            depth + 1 tensors (B, L', D), and existence (B, L') bool.
        """
        patches = patchify(body, self.config.patch_frames)  # (B, L, u * C)
        exists = token_present(present, self.config.patch_frames)  # (B, L)
        position = (self.time_position[:, None] + self.joint_position[None]).reshape(self.tokens, -1)  # (L, D)
        if kept is None:
            x = self.embed(patches) + position
        else:
            # Gather before embedding: hidden tokens are never computed.
            patches = patches.gather(1, kept[..., None].expand(-1, -1, patches.shape[-1]))  # (B, L', u * C)
            exists = exists.gather(1, kept)
            x = self.embed(patches) + position[kept]
        # A body without any token would have nothing to look at and give NaN; it looks at everything instead.
        mask = exists | ~exists.any(dim=1, keepdim=True)
        layers = [x]
        for block in self.blocks:
            layers.append(block(layers[-1], mask))
        return layers, exists
