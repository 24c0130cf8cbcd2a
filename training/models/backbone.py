"""The backbone interface: what heads, objectives, checkpoints and export require of an encoder."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn


class BackboneConfig(Protocol):
    """The part of a backbone's configuration that others read."""

    @property
    def width(self) -> int:
        """D, of the features."""

    @property
    def depth(self) -> int:
        """Blocks, for layer-wise learning rates."""


class Backbone(nn.Module, ABC):
    """An encoder of bodies: (B, T, V, C) -> features of S places.

    A subclass sets `config` and defines `forward`. Parameters named `blocks.N.` get layer-wise learning rates by
    their block.
    """

    config: BackboneConfig

    @abstractmethod
    def forward(self, body: Tensor, present: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode bodies.

        Args:
            body: (B, T, V, C), 0 where absent.
            present: (B, T, V) bool.
            kept: (B, L') the visible tokens of backbones that have tokens; None shows all.

        Returns:
            Features (B, S, D), and which of them exist, (B, S) bool.

        Raises:
            ConfigError: If `kept` is given to a backbone without tokens.
        """

    def set_drop_path(self, largest: float) -> None:
        """Stochastic depth up to `largest` in the last block, for backbones that have it."""
