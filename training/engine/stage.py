"""The module, data, schedule and criterion of one training stage."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from amr_edge.card import Card
from amr_edge.training.config import OptimizerConfig
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.train_step import Step
from amr_edge.training.models.backbone import Backbone


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One fitting of a module.

    Attributes:
        title: What the person reads: "pre-train".
        module: What is trained.
        encoder: The encoder inside it, for layer-wise learning rates.
        step: The loss of a step, a mean over its clips.
        saved: What the checkpoint holds: the module itself or its encoder.
        card: The card that is written with the weights.
        clips: How many clips there are.
        config: The optimiser.
        seed: Of all randomness.
        machine: What it runs on.
        judge: After an epoch, a number that is better when lower and what to write beside the loss; None judges
            by the loss. With an average of weights (optim.ema) the module holds the average while it is evaluated.
    """

    title: str
    module: nn.Module
    encoder: Backbone
    step: Step
    saved: nn.Module
    card: Card
    clips: int
    config: OptimizerConfig
    seed: int
    machine: RunOptions
    judge: Callable[[], tuple[float, dict[str, float]]] | None = None
