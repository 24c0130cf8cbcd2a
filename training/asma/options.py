"""Options of `amr-edge asma`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from amr_edge.training.tasks.options import ResumableOptions, option


@dataclass(frozen=True, kw_only=True)
class AsmaOptions(ResumableOptions):
    """Options of `asma`."""

    command: ClassVar[str] = "asma"

    recipe: str = option("asma-small", "asma (the paper's line of ST-GCN) or asma-small.")
    backbone: Literal["graph", "tokens"] | None = option(
        None, "Two ST-GCNs (the default), or two AMR encoders.", choices=("graph", "tokens")
    )
    student: Literal["graph", "small", "tiny"] | None = option(
        None, "A narrow ST-GCN (the default) or a transformer.", choices=("graph", "small", "tiny")
    )

    @property
    def overrides(self) -> dict[str, object]:
        """Fields of the recipe that are set, with those that have an option of their own."""
        given = {"backbone": self.backbone, "student.kind": self.student}
        return {**{name: value for name, value in given.items() if value is not None}, **(self.settings or {})}
