"""The accuracy of a model by token budget, and the parsing of requested budgets."""

from dataclasses import asdict, dataclass
from pathlib import Path

from amr_edge.card import BudgetPoint
from amr_edge.errors import ConfigError
from amr_edge.terminal import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Accuracy against cost.

    Attributes:
        points: One for each budget, the largest first.
        random_top1: The same for random tokens, as many, of those that exist.
        clips: Labelled clips that were answered.
        store: Where they come from.
        split: Whose test part they are.
    """

    points: tuple[BudgetPoint, ...]
    random_top1: tuple[float, ...]
    clips: int
    store: Path
    split: str

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        rows = zip(self.points, self.random_top1, strict=True)
        return {
            "budgets": [{**asdict(point), "random_top1": control} for point, control in rows],
            "clips": self.clips,
            "store": self.store,
            "split": self.split,
        }

    def text(self) -> str:
        """The curve as a table."""
        dearest = max(point.macs for point in self.points)
        rows = [
            (
                f"{point.share:g}",
                point.tokens,
                round(point.macs / 1e6, 1),
                round(dearest / point.macs, 1),
                round(100 * point.top1, 2),
                round(100 * control, 2),
            )
            for point, control in zip(self.points, self.random_top1, strict=True)
        ]
        return table(rows, ("budget", "tokens", "M MACs a person", "times less", "top-1 %", "random tokens %"))


def shares_of(text: str) -> tuple[float, ...]:
    """The budgets in "1,0.5,0.25", each once, the largest first.

    Raises:
        ConfigError: If one is no number in (0, 1].

    >>> shares_of("0.25,1")
    (1.0, 0.25)
    """
    try:
        shares = {float(part) for part in text.split(",")}
    except ValueError as cause:
        raise ConfigError(f"budgets are shares of the tokens with commas between them, got '{text}'") from cause
    if not all(0 < share <= 1 for share in shares):
        raise ConfigError(f"a budget is the share of the tokens to look at, in (0, 1], got '{text}'")
    return tuple(sorted(shares, reverse=True))
