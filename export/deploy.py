"""What leaves the workshop: a classifier with the softmax inside, fed exactly as `prepare` feeds it."""

from torch import Tensor, nn

from amr_edge.training.classifier import Classifier


class Deployed(nn.Module):
    """(N, M, T, V, C) float32 clips and (N, M, T, V) bool presence in, logits and probabilities (N, K) out."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier.eval()

    def forward(self, clip: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Answer."""
        logits = self.classifier(clip, present)
        return logits, logits.softmax(dim=-1)
