"""An encoder from the words of a card: the transformer, a graph, or an aligned pair."""

from collections.abc import Mapping
from typing import Any, cast

from amr_edge.card import Card
from amr_edge.errors import CardError
from amr_edge.skeleton import layout
from amr_edge.training.config import EncoderConfig
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.stgcn import GraphConfig, GraphEncoder
from amr_edge.training.models.transformer import Encoder


def build_encoder(card: Card) -> Encoder:
    """An encoder as the card describes it, with fresh weights: the transformer, or what answers in its place.

    Raises:
        CardError: If it is of a kind that is not known here.
    """
    # Graph encoders and pairs take and give what the transformer does, which is all that is required of them.
    return cast("Encoder", _built(card.encoder, card))


def _built(words: Mapping[str, Any], card: Card) -> Encoder | GraphEncoder | DualEncoder:
    """What `words` say: `kind` is "graph" or "aligned", and absent for the transformer."""
    settings = {name: value for name, value in words.items() if name != "kind"}
    kind = words.get("kind")
    skeleton = layout(card.prepare.layout)
    try:
        if kind == "graph":
            return GraphEncoder(GraphConfig(**settings), skeleton)
        if kind == "aligned":
            first, second = (cast("Encoder | GraphEncoder", _built(words["of"], card)) for _ in range(2))
            return DualEncoder(first, second, heads=words["heads"])
        if kind is None:
            return Encoder(EncoderConfig(**settings), frames=card.prepare.frames, joints=len(skeleton))
    except (TypeError, KeyError, AttributeError) as cause:
        raise CardError(
            f"card '{card.name}': its encoder {words} cannot be built ({cause}); export it again"
        ) from cause
    raise CardError(
        f"card '{card.name}': its encoder is of the kind '{kind}', this amr-edge builds transformers, 'graph' and "
        "'aligned'; use the amr-edge version that wrote it"
    )
