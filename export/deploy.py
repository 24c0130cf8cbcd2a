"""What leaves the workshop: a classifier that chooses its tokens and ends in a softmax, fed as `prepare` feeds it."""

import torch
from torch import Tensor, nn

from amr_edge.card import Card
from amr_edge.training.budget import ranking_of
from amr_edge.training.classifier import Classifier


class Deployed(nn.Module):
    """Clips in, logits and probabilities out; of every body only the tokens that move most are looked at.

    Args:
        classifier: The weights.
        card: What they are; says how tokens are ranked.
        tokens: K, how many are looked at, for engines that want it constant; None asks for `ranks` at every forward.
    """

    def __init__(self, classifier: Classifier, card: Card, tokens: int | None = None) -> None:
        super().__init__()
        self.classifier = classifier.eval()
        self.tokens = tokens
        # Engines that want K constant have no doubles either.
        self.ranking = ranking_of(card, torch.float64 if tokens is None else torch.float32)

    def forward(self, clip: Tensor, present: Tensor, ranks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Answer.

        Args:
            clip: (N, M, T, V, C) float32, 0 where absent.
            present: (N, M, T, V) bool.
            ranks: (K,) int64, the places in the order of motion to look at: 0 moves most, so 0 to K - 1 are the K
                tokens that move most. None where K is fixed.

        Returns:
            Logits and probabilities, (N, classes) each.
        """
        if self.tokens == self.ranking.tokens:
            kept = None
        else:
            order = self.ranking(clip.flatten(0, 1), present.flatten(0, 1))  # (N * M, L)
            kept = order[:, : self.tokens] if ranks is None else order[:, ranks]  # (N * M, K)
        logits = self.classifier(clip, present, kept)
        return logits, logits.softmax(dim=-1)
