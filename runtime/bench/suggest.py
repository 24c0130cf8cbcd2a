"""Which model, engine, precision, budget and threads fit into a time on this machine, and what to type then."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amr_edge.card import Card
from amr_edge.errors import CheckFailedError, MissingError
from amr_edge.pretrained import resolve_model_path
from amr_edge.runtime.bench.models import RowSpec
from amr_edge.runtime.inference.session import AUTO, ENGINES, open_session

WITHIN = 0.005  # accuracies that are closer are equal: the faster one is better then


def candidates(
    paths: Sequence[Path], *, engines: Sequence[str], budgets: Sequence[float | None], threads: Sequence[int]
) -> list[RowSpec]:
    """Every way to open every model file; a run folder stands for all models that were exported in it.

    Args:
        paths: Model files and run folders.
        engines: What may compute an ONNX file; an .engine file is TensorRT's.
        budgets: Shares of the tokens; None is the card's own.
        threads: Numbers of threads.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted((path / "export").glob("*.onnx")) + sorted((path / "export").glob("*.engine"))
        files += inside or [resolve_model_path(path)]
    return [
        RowSpec(path=file, threads=count, budget=budget, engine=engine)
        for file in dict.fromkeys(files)
        for engine in (engines if file.suffix == ".onnx" else [AUTO])
        for budget in budgets
        for count in threads
    ]


def engines_here(path: Path, tell: Callable[[str], None]) -> list[str]:
    """The engines that can open a model file on this machine.

    Args:
        path: A model file or run folder.
        tell: Called with a sentence on why an engine is left out.
    """
    found = []
    for engine in ENGINES:
        if engine == "tensorrt":
            continue  # reads its own files only
        try:
            open_session(path, engine=engine, threads=1)
        except MissingError as cause:
            tell(f"without {engine}: {cause}")
            continue
        found.append(engine)
    return found


def threads_to_try(cores: int) -> tuple[int, ...]:
    """1, 2, 4, ... and all of them.

    >>> threads_to_try(6)
    (1, 2, 4, 6)
    """
    powers = [2**k for k in range(int(math.log2(cores)) + 1)]
    return tuple(sorted({*powers, cores}))


def stated_accuracy(card: Card, tokens: int) -> float | None:
    """Accuracy of a model at a number of tokens, from its card: its budget curve, else its score with all of them."""
    for point in card.budget_curve:
        if point.tokens == tokens:
            return float(point.top1)
    top1 = card.metrics.get("top1")
    return float(top1) if tokens == card.tokens and top1 is not None else None


def best(rows: Iterable[Mapping[str, Any]], target_ms: float) -> Mapping[str, Any]:
    """The row to use: the most accurate that keeps the target, then the one with more of its tokens, then the faster.

    A row keeps the target if its 99th percentile does (its slowest run, where there are too few for one). Accuracy is
    what was measured, else what the card states; a row without either ranks below any with one. Valid rows go first.

    Args:
        rows: Of a report, with "stated_top1" where the card states it.
        target_ms: For one answer.

    Raises:
        CheckFailedError: If none keeps it, with the nearest.
    """
    listed = list(rows)
    kept = [row for row in listed if _tail_ms(row) <= target_ms]
    if not kept:
        nearest = min(listed, key=_tail_ms)
        raise CheckFailedError(
            f"nothing answers within {target_ms:g} ms here: the nearest is {nearest['name']} with "
            f"{nearest['threads']} thread(s), p99 {_tail_ms(nearest):.3g} ms; use a smaller model, a lower budget "
            "(--budget) or another machine"
        )

    def rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
        known = known_accuracy(row)
        level = -1 if known is None else round(known / WITHIN)
        exact = row["precision"] == "fp32"
        return (
            row["valid"],
            level,
            row["budget"] if known is None else 0,
            exact if known is None else False,
            -row["latency_ms"]["p50"] * 1.02 ** row["threads"],
        )  # a core more must be worth it: pose needs it

    return max(kept, key=rank)


def known_accuracy(row: Mapping[str, Any]) -> float | None:
    """Measured accuracy, else the card's."""
    measured = (row.get("accuracy") or {}).get("top1")
    return measured if measured is not None else row.get("stated_top1")


def _tail_ms(row: Mapping[str, Any]) -> float:
    p99 = row["latency_ms"]["p99"]
    return float(p99 if p99 is not None and math.isfinite(p99) else row["latency_ms"]["max"])


def live_command(row: Mapping[str, Any], path: Path) -> str:
    """Command that uses a row."""
    words = ["amr-edge", "live", str(path), "--source", "0", "--threads", str(row["threads"])]
    if path.suffix != ".engine":
        words += ["--engine", row["requested_engine"]]
    if row.get("requested_budget") is not None:
        words += ["--budget", f"{row['requested_budget']:g}"]
    return " ".join(words)
