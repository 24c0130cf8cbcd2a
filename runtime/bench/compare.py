"""Compare latencies of two models or reports, and test the difference against noise.

Within one run two models had their turns in the same rounds: the ratios of their turns' medians, round by round, are
free of drift, and an interval for their median follows from counting alone (no shape of noise is assumed). Between two
runs only the medians of their parts are there, and what changed in the machine in between is not; such a comparison
never claims more than `UNPAIRED_TOLERANCE`.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import CheckFailedError, ConfigError, ReadError

CONFIDENCE = 0.99
# Forty openings of one file, each beside a second opening, differed by up to 1 % with bounds that did not hold 1: where
# a session's memory lies is part of its speed. Two models that differ by less than twice that are the same.
PAIRED_TOLERANCE = 0.02
# Runs of one file in a row, each in a process of its own, differed by up to 3 % on a virtual machine, whose speed
# wandered by 15 % over half an hour: compare runs that were made close together.
UNPAIRED_TOLERANCE = 0.03


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratio of two latencies with its confidence bounds and the equivalence margin."""

    value: float
    low: float
    high: float
    floor: float

    @property
    def same(self) -> bool:
        """True if it cannot be distinguished from 1."""
        return self.low <= 1 + self.floor and self.high >= 1 - self.floor

    @property
    def noise(self) -> float:
        """Half of the width of what is not known, as a share."""
        return (self.high - self.low) / 2

    def words(self) -> str:
        """For a table: "same", "1.31x slower", "2.40x faster"."""
        if self.same:
            return "same"
        return f"{self.value:.2f}x slower" if self.value > 1 else f"{1 / self.value:.2f}x faster"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ratio": round(self.value, 5),
            "low": round(self.low, 5),
            "high": round(self.high, 5),
            "same": self.same,
        }


def median_between(values: NDArray[np.float64], sure: float = CONFIDENCE) -> tuple[float, float]:
    """Bounds of the median of what (n,) values were drawn from: two of the values, found by counting.

    A value lies below the median with probability a half, so how many of n do is binomial. Fewer than eight values
    give their smallest and largest.

    >>> median_between(np.arange(9.0))
    (0.0, 8.0)
    """
    ordered = np.sort(values)
    n = len(ordered)
    below, skipped = 0.0, 0
    for k in range(n // 2):
        below += math.comb(n, k) / 2**n if n < 1000 else math.exp(_log_comb(n, k) - n * math.log(2))
        if 2 * below > 1 - sure:
            break
        skipped = k
    return float(ordered[skipped]), float(ordered[n - 1 - skipped])


def _log_comb(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def paired(new_ms: NDArray[np.float64], old_ms: NDArray[np.float64]) -> Ratio | None:
    """Two models that had their turns in the same rounds.

    Args:
        new_ms: (rounds,) medians of the one's turns.
        old_ms: (rounds,) of the other's.

    Returns:
        How many times as long the one takes; None with fewer than eight rounds.
    """
    both = min(len(new_ms), len(old_ms))
    ratios = new_ms[:both] / old_ms[:both]
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) < 8:
        return None
    return Ratio(float(np.median(ratios)), *median_between(ratios), PAIRED_TOLERANCE)


def unpaired(new_ms: Sequence[float], old_ms: Sequence[float], new_p50: float, old_p50: float) -> Ratio:
    """Two runs, by the medians of their parts and of the whole."""
    spread = 0.0
    for blocks, middle in ((new_ms, new_p50), (old_ms, old_p50)):
        low, high = median_between(np.array(blocks, dtype=np.float64))
        spread += ((high - low) / 2 / middle) ** 2
    value, half = new_p50 / old_p50, math.sqrt(spread)
    return Ratio(value, value * (1 - half), value * (1 + half), UNPAIRED_TOLERANCE)


def read_report(path: Path) -> dict[str, Any]:
    """A report that `amr-edge bench --out` wrote.

    Raises:
        ReadError: If it is none.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as cause:
        raise ReadError(
            f"{path}: expected a report of amr-edge bench, this is not JSON; write one with --out"
        ) from cause
    except OSError as cause:
        raise ReadError(f"{path}: the report cannot be read ({cause.strerror}); write one with --out") from cause
    if (
        not isinstance(report, dict)
        or report.get("kind") != "amr-edge bench"
        or not isinstance(report.get("rows"), list)
    ):
        raise ReadError(f"{path}: expected a report of amr-edge bench, this JSON is none; write one with --out")
    if report.get("schema") != 2:
        raise ReadError(
            f"{path}: the report has schema {report.get('schema')}, this amr-edge reads 2; measure it again"
        )
    return report


KEY = ("mode", "people", "budget", "threads", "engine", "precision")


def matching_rows(new: dict[str, Any], old: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows of two reports that measure the same thing: by name and way of asking, or the only row of each."""
    pairs = []
    for row in new["rows"]:
        alike = [o for o in old["rows"] if o.get("name") == row["name"] and _way(o) == _way(row)]
        if not alike and len(new["rows"]) == len(old["rows"]) == 1:
            alike = old["rows"]
        pairs += [(row, other) for other in alike[:1]]
    return pairs


def _way(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in KEY)


def compare_reports(new: dict[str, Any], old: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """Ratios of each row of a report to the same row of an older one.

    Raises:
        ReadError: If no row of the old report measures what a row of the new one does, or one holds no numbers.
    """
    pairs = matching_rows(new, old)
    if not pairs:
        names = ", ".join(str(row.get("name")) for row in old["rows"]) or "nothing"
        raise ReadError(
            f"{where}: none of its rows ({names}) was measured as these were; compare runs of the same models, people, "
            "budget, threads and mode"
        )
    found = []
    for row, other in pairs:
        try:
            ratio = unpaired(
                row["blocks_ms"],
                [float(v) for v in other["blocks_ms"]],
                row["latency_ms"]["p50"],
                float(other["latency_ms"]["p50"]),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as cause:
            raise ReadError(f"{where}: its row '{other.get('name')}' holds no latencies; measure it again") from cause
        found.append(
            {
                "name": row["name"],
                "old_p50_ms": other["latency_ms"]["p50"],
                "new_p50_ms": row["latency_ms"]["p50"],
                **ratio.to_dict(),
                "words": ratio.words(),
                "noise": round(ratio.noise, 5),
                "old_valid": other.get("valid"),
            }
        )
    return found


def parse_percent(text: str) -> float:
    """A share written as "5%".

    Raises:
        ConfigError: If it is not.

    >>> parse_percent("5%")
    0.05
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if not found:
        raise ConfigError(f"expected a share with its sign, such as 5%, got '{text}'")
    return float(found.group(1)) / 100


def parse_milliseconds(text: str) -> float:
    """A time written as "20ms", "0.02s" or "20" (milliseconds).

    Raises:
        ConfigError: If it is none, or not above 0.

    >>> parse_milliseconds("0.02s")
    20.0
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|)\s*", text)
    value = float(found.group(1)) * (1000 if found.group(2) == "s" else 1) if found else 0.0
    if not value > 0:
        raise ConfigError(f"expected a time such as 20ms or 0.02s, got '{text}'")
    return value


def check_limits(
    report: dict[str, Any], *, max_p99_ms: float | None = None, max_regression: float | None = None
) -> None:
    """Check a report against its limits.

    Args:
        report: With "rows" and, for a regression, "compared".
        max_p99_ms: No row's 99th percentile may be above.
        max_regression: No row may have become slower by more, as a share.

    Raises:
        CheckFailedError: With every reason. Numbers that are not valid pass no gate.
    """
    if max_p99_ms is None and max_regression is None:
        return
    wrong = [f"{row['name']} is INVALID ({'; '.join(row['reasons'])})" for row in report["rows"] if not row["valid"]]
    for row in report["rows"]:
        p99 = row["latency_ms"].get("p99")
        if max_p99_ms is not None and p99 is not None and math.isfinite(p99) and p99 > max_p99_ms:
            wrong.append(f"{row['name']}: p99 is {p99:.3g} ms, {max_p99_ms:g} ms is allowed")
    for row in report.get("compared") or []:
        if max_regression is None:
            break
        change = row["ratio"] - 1
        if change > max_regression and not row["same"]:
            wrong.append(f"{row['name']}: {change:.1%} slower than before, {max_regression:.1%} is allowed")
        elif row["noise"] > max_regression:
            wrong.append(
                f"{row['name']}: noise of {row['noise']:.1%} hides a change of {max_regression:.1%}; measure longer "
                "(--seconds) on a quieter machine"
            )
    if wrong:
        raise CheckFailedError("the gate is closed: " + "; ".join(wrong))
