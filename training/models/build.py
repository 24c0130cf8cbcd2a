"""Build a backbone from what a model card states of it."""

from collections.abc import Callable, Mapping
from typing import Any

from amr_edge.card import Card
from amr_edge.errors import CardError
from amr_edge.preprocess import PrepareConfig
from amr_edge.skeleton import layout
from amr_edge.training.config import EncoderConfig, GraphConfig
from amr_edge.training.models.backbone import Backbone
from amr_edge.training.models.dual_encoder import DualEncoder
from amr_edge.training.models.stgcn import GraphEncoder
from amr_edge.training.models.transformer import Encoder

Fields = Mapping[str, Any]


def _transformer(fields: Fields, prepare: PrepareConfig) -> Backbone:
    return Encoder(EncoderConfig(**fields), frames=prepare.frames, joints=len(layout(prepare.layout)))


def _graph(fields: Fields, prepare: PrepareConfig) -> Backbone:
    return GraphEncoder(GraphConfig(**fields), layout(prepare.layout))


def _aligned(fields: Fields, prepare: PrepareConfig) -> Backbone:
    first, second = (_build(fields["of"], prepare) for _ in range(2))
    return DualEncoder(first, second, heads=fields["heads"])


# `kind` of a card's encoder -> its builder; a transformer has no kind. A new backbone is a file in this folder with a
# subclass of `Backbone`, and a line here (docs/extending.md, "A backbone").
BACKBONES: dict[str | None, Callable[[Fields, PrepareConfig], Backbone]] = {
    None: _transformer,
    "graph": _graph,
    "aligned": _aligned,
}


def _build(fields: Fields, prepare: PrepareConfig) -> Backbone:
    builder = BACKBONES[fields.get("kind")]
    return builder({name: value for name, value in fields.items() if name != "kind"}, prepare)


def build_encoder(card: Card) -> Backbone:
    """The backbone that a card describes, with fresh weights.

    Raises:
        CardError: If its kind is unknown here or its fields do not fit.
    """
    kind = card.encoder.get("kind")
    if kind not in BACKBONES:
        raise CardError(
            f"card '{card.name}': its encoder is of the kind '{kind}', this amr-edge builds transformers, "
            f"{', '.join(repr(name) for name in BACKBONES if name)}; use the amr-edge version that wrote it"
        )
    try:
        return _build(card.encoder, card.prepare)
    except (TypeError, KeyError, AttributeError) as cause:
        raise CardError(
            f"card '{card.name}': its encoder {card.encoder} cannot be built ({cause}); export it again"
        ) from cause
