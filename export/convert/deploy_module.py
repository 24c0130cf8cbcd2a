"""What leaves the workshop: a classifier that chooses its tokens and ends in a softmax, fed as `prepare` feeds it."""

import torch
from torch import Tensor, nn

from amr_edge.card import Card
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.token_selection import choice_of


class Deployed(nn.Module):
    """Clips in, logits and probabilities out; of every body only as many tokens are looked at as the budget says.

    Args:
        classifier: The weights.
        card: What they are; says how tokens are ranked.
        tokens: K, how many are looked at, for engines that want it constant; None asks for `ranks` at every forward.
    """

    def __init__(self, classifier: Classifier, card: Card, tokens: int | None = None) -> None:
        super().__init__()
        self.classifier = classifier.eval()
        # Engines that want K constant have no doubles either.
        self.choice = choice_of(card, torch.float64 if tokens is None else torch.float32) if card.has_budget else None
        self.ranks = None if tokens is None else nn.Buffer(torch.arange(tokens), persistent=False)
        self.looks_at_all = tokens == card.tokens

    def forward(self, clip: Tensor, present: Tensor, ranks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Answer.

        Args:
            clip: (N, M, T, V, C) float32, 0 where absent.
            present: (N, M, T, V) bool.
            ranks: (K,) int64, 0 to K - 1: look at the first K tokens of each body. None where K is fixed, and for
                a graph network, which always looks at everything.

        Returns:
            Logits and probabilities, (N, classes) each.
        """
        kept = None
        if self.choice is not None and not self.looks_at_all:
            ranks = self.ranks if ranks is None else ranks
            kept = self.choice(clip.flatten(0, 1), present.flatten(0, 1), ranks)  # (N * M, K)
        logits = self.classifier(clip, present, kept)
        return logits, logits.softmax(dim=-1)
