"""Two encoders that learned different things, brought to agree: each looks at the other's features.

Source: ASMa (Anand et al., TMLR 2026), the bidirectional attention that aligns two complementary encoders.
"""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amr_edge.errors import ConfigError
from amr_edge.training.models.backbone import Backbone
from amr_edge.training.models.transformer import Attention, initialize


@dataclass(frozen=True, slots=True, kw_only=True)
class DualEncoderConfig:
    """Configuration of a pair of encoders.

    Attributes:
        width: Of the pair's features: those of the two encoders together.
        depth: Of each encoder.
        heads: Of the attention between them; must divide half of the width.
    """

    width: int
    depth: int
    heads: int = 8

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width % (2 * self.heads):
            raise ConfigError(
                f"teacher.heads must divide the {self.width // 2} features of an encoder, got {self.heads}"
            )


class DualEncoder(Backbone):
    """Two frozen encoders and what they say to each other; serves wherever one encoder does.

    F1' = F1 + attention(F1 over F2), F2' = F2 + attention(F2 over F1); the features are [F1', F2'], so that their mean
    is the mean of each beside the other.

    Args:
        first: An encoder of width D.
        second: Another of the same shape.
        heads: Of the attention; divides D.
    """

    config: DualEncoderConfig

    def __init__(self, first: Backbone, second: Backbone, *, heads: int) -> None:
        super().__init__()
        width = first.config.width
        self.config = DualEncoderConfig(width=2 * width, depth=first.config.depth, heads=heads)
        self.first, self.second = first, second
        self.first_over_second = Attention(width, heads)
        self.second_over_first = Attention(width, heads)
        for attention in (self.first_over_second, self.second_over_first):
            initialize(attention)
            # The output projection starts at zero: the pair starts as the two encoders that were pre-trained.
            nn.init.zeros_(attention.out.weight)
        self.frozen = True
        for encoder in (first, second):
            encoder.requires_grad_(requires_grad=False)
        self.train(self.training)

    def unfreeze(self) -> None:
        """Let the two encoders be trained as well, as fine-tuning does."""
        self.frozen = False
        self.first.requires_grad_(requires_grad=True)
        self.second.requires_grad_(requires_grad=True)
        self.train(self.training)

    def train(self, mode: bool = True) -> "DualEncoder":  # noqa: FBT001, FBT002  (torch's own signature)
        """Put the attention into training; what is frozen answers as it was learned, its norms and dropouts at rest."""
        super().train(mode)
        if self.frozen:
            self.first.eval()
            self.second.eval()
        return self

    def forward(self, body: Tensor, present: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode with both.

        Args:
            body: (B, T, V, C), 0 where absent.
            present: (B, T, V) bool.
            kept: (B, L') the tokens to look at, for encoders that have tokens; None looks at all.

        Returns:
            Features (B, S, 2 D) and which exist, (B, S) bool.
        """
        with torch.no_grad() if self.frozen else nullcontext():
            one, exists = self.first(body, present, kept)  # (B, S, D), (B, S)
            other, _ = self.second(body, present, kept)
        # A body without anything would have nothing to look at and give NaN; it looks at everything instead.
        mask = exists | ~exists.any(dim=1, keepdim=True)
        both = torch.cat(
            [one + self.first_over_second(one, other, mask), other + self.second_over_first(other, one, mask)], dim=2
        )
        return both, exists
