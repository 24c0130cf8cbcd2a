"""From features to answers: mean over the tokens that exist and the persons who are there, then one linear layer."""

from typing import cast

import torch
from torch import Tensor, nn

from amr_edge.training.data.batch import Batch
from amr_edge.training.models.backbone import Backbone


class Classifier(nn.Module):
    """An encoder with a light head: dropout, one linear layer.

    Args:
        encoder: Pre-trained or not.
        classes: K.
        dropout: On the pooled feature.
    """

    def __init__(self, encoder: Backbone, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.width, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, clip: Tensor, present: Tensor, kept: Tensor | None = None) -> Tensor:
        """Logits of whole clips.

        Args:
            clip: (N, M, T, V, C), 0 where absent.
            present: (N, M, T, V) bool.
            kept: (N * M, L') the tokens of each body to look at; None looks at all.

        Returns:
            (N, K). A clip without anyone in it gets the bias alone.
        """
        N, M = clip.shape[:2]
        pooled, here = self.pool(clip.flatten(0, 1), present.flatten(0, 1), kept)  # (N * M, D), (N * M,)
        weight = here.reshape(N, M, 1).to(pooled.dtype)
        feature = (pooled.reshape(N, M, -1) * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)  # (N, D)
        return cast("Tensor", self.head(self.dropout(feature)))

    def pool(self, body: Tensor, present: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One feature for each body: (B, T, V, C) -> (B, D), and whether there was anything of it, (B,) bool."""
        features, exists = self.encoder(body, present, kept)  # (B, L', D), (B, L')
        weight = exists[..., None].to(features.dtype)
        return (features * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1), exists.any(dim=1)

    def classify(self, batch: Batch, kept: Tensor | None = None) -> Tensor:
        """Logits of clips whose present bodies stand in one list, each on its own tokens.

        Args:
            batch: B bodies of N clips.
            kept: (B, L') the tokens to look at; None looks at all.

        Returns:
            (N, K), equal to `forward` where all tokens are kept.
        """
        return cast("Tensor", self.head(self.dropout(self.features(batch, kept))))

    def features(self, batch: Batch, kept: Tensor | None = None) -> Tensor:
        """Pooled feature of each clip, the mean over its present persons and tokens: (N, D) float32."""
        pooled, here = self.pool(batch.body, batch.present, kept)
        pooled = pooled.float()
        weight = here[:, None].to(pooled.dtype)  # (B, 1)
        total = torch.zeros(batch.clips, pooled.shape[1], device=pooled.device)
        total = total.index_add(0, batch.clip_of, pooled * weight)  # (N, D)
        count = torch.zeros(batch.clips, 1, device=pooled.device).index_add(0, batch.clip_of, weight)
        return total / count.clamp(min=1)
