"""What was measured, as one report: JSON for machines (docs/bench.md), tables for people and for a README."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.runtime.bench.measure import MeasureConfig, Timed, invalid_reasons, summarize
from amr_edge.terminal import table

SCHEMA = 2
BINS = 60
TIMED = (
    "one forward: checked NumPy arrays in host memory in, checked probabilities in host memory out; preparation of "
    "poses, pose estimation and capture are outside (see --e2e)"
)
TRANSFERS = "included: copies to and from a device are part of every run; a CPU engine has none"


def row(
    about: Mapping[str, Any],
    timed: Timed,
    *,
    mode: str,
    pace_fps: float | None = None,
    people: int,
    evidence: Sequence[str] = (),
    runs_per_s: float | None = None,
) -> dict[str, Any]:
    """The timing part of a report's row.

    Args:
        about: Name, file, engine, people and so on.
        timed: Its runs.
        mode: "back to back", "paced" or "throughput".
        pace_fps: Frames per second of a paced run.
        people: Persons (or scenes) that one run predicts for.
        evidence: Reasons from outside the runs that make them INVALID: throttling, waiting.
        runs_per_s: Runs per second of the whole machine; None takes one run after the other.
    """
    values = timed.values()
    found = summarize(values)
    reasons = [*invalid_reasons(timed), *evidence]
    rate = runs_per_s if runs_per_s is not None else 1e3 / found.mean
    return {
        **about,
        "mode": mode,
        "pace_fps": pace_fps,
        "valid": not reasons,
        "reasons": reasons,
        "count": found.count,
        "warmup": timed.warmup,
        "settling": timed.settling,
        "late": timed.late,
        "latency_ms": found.to_dict(),
        "cv": round(found.cv, 5),
        "runs_per_s": round(rate, 3),
        "answers_per_s": round(rate * people, 3),
        "blocks_ms": [round(value, 5) for value in timed.blocks_ms()],
        "distribution": distribution(values),
    }


def distribution(values_ms: NDArray[np.float64]) -> dict[str, list[float]]:
    """All runs counted into bins of equal ratio, from the fastest to the slowest: "edges_ms" (K+1), "counts" (K)."""
    low, high = float(values_ms.min()), float(values_ms.max())
    if not 0 < low < high:
        return {"edges_ms": [low, high], "counts": [float(len(values_ms))]}
    edges = np.geomspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high  # rounding must lose no run
    counts, _ = np.histogram(values_ms, edges)
    return {"edges_ms": [round(float(edge), 6) for edge in edges], "counts": [float(count) for count in counts]}


def report(
    rows: Sequence[Mapping[str, Any]], *, context: Mapping[str, Any], config: MeasureConfig, command: str, time_s: float
) -> dict[str, Any]:
    """A report.

    Args:
        rows: What was measured.
        context: On what.
        config: How.
        command: What was typed.
        time_s: Seconds since 1970, when it ended.
    """
    return {
        "schema": SCHEMA,
        "kind": "amr-edge bench",
        "time": datetime.fromtimestamp(time_s, timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "timed": TIMED,
        "transfers": TRANSFERS,
        "trimmed": "nothing",
        "config": {
            "warmup_s": config.warmup_s,
            "seconds": config.seconds,
            "count": config.count,
            "turn_s": config.turn_s,
            "pace_fps": config.pace_fps,
        },
        "context": dict(context),
        "rows": [dict(one) for one in rows],
    }


def _number(value: float | None, digits: int = 3) -> str:
    """A number to so many digits, or a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def _ms(value: float | None) -> str:
    """Milliseconds as people read them: 0.0123, 1.23, 12.3, 123."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def columns(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the rows; columns that no row fills are left out."""
    header = ["model", "engine", "thr", "runs", "min", "p50", "p90", "p95", "p99", "p99.9", "max", "mean", "sd", "CV"]
    wide: list[list[str]] = []
    for one in rows:
        ms = one["latency_ms"]
        wide.append(
            [
                str(one["name"]),
                f"{one['engine']} {one['precision']}",
                str(one["threads"]),
                str(one["count"]),
                *(_ms(ms.get(key)) for key in ("min", "p50", "p90", "p95", "p99", "p99.9", "max", "mean", "sd")),
                f"{one['cv']:.0%}" if math.isfinite(one["cv"]) else "-",
            ]
        )
    extras = {
        "ans/s": [_number(one["answers_per_s"]) for one in rows],
        "vs first": [(one["versus_first"] or {}).get("words", "") for one in rows],
        "W": [_number((one["power"] or {}).get("watts")) if one["power"] else "" for one in rows],
        "J/run": [_number((one["power"] or {}).get("joules_per_inference")) if one["power"] else "" for one in rows],
        "top1": [f"{one['accuracy']['top1']:.1%}" if one["accuracy"] else "" for one in rows],
        "verdict": ["VALID" if one["valid"] else "INVALID" for one in rows],
    }
    for name, cells in extras.items():
        if any(cells):
            header.append(name)
            for line, cell in zip(wide, cells, strict=True):
                line.append(cell)
    return header, wide


def for_people(result: Mapping[str, Any]) -> str:
    """The report as a person at a terminal reads it."""
    header, cells = columns(result["rows"])
    parts = [table([_numbers(line) for line in cells], [f"{name} ms" if name == "min" else name for name in header])]
    parts += [f"INVALID {one['name']}: {reason}" for one in result["rows"] for reason in one["reasons"]]
    if result.get("compared"):
        lines = [
            [one["name"], f"{one['old_p50_ms']:.4g}", f"{one['new_p50_ms']:.4g}", one["words"], f"{one['noise']:.1%}"]
            for one in result["compared"]
        ]
        parts.append(table(lines, ["against the old report", "p50 then", "p50 now", "verdict", "noise"]))
    parts.append(machine_line(result["context"]))
    return "\n".join(parts)


def _numbers(line: Sequence[str]) -> list[object]:
    """Text that is a number as one, so that it is set to the right; its digits stay as they are."""
    return [_Aligned(cell) if cell.replace(".", "", 1).isdecimal() else cell for cell in line]


class _Aligned(float):
    """A number that prints as it was written."""

    def __new__(cls, text: str) -> "_Aligned":
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str

    def __str__(self) -> str:
        return self.text


def machine_line(context: Mapping[str, Any]) -> str:
    """The machine in one line."""
    board = context.get("jetson") or {}
    parts = [
        board.get("module") or context["cpu"],
        f"{context['cores']} cores",
        "virtual machine" if context.get("virtual") else "",
        f"governor {context['governor']}" if context.get("governor") else "",
        f"JetPack {board['jetpack']}" if board.get("jetpack") else "",
        f"mode {board['power_mode_name']}" if board.get("power_mode_name") else "",
        {True: "clocks locked", False: "clocks free"}.get(board.get("clocks_locked"), ""),  # type: ignore[arg-type]
        ", ".join(card["name"] for card in context.get("nvidia") or []),
        " ".join(f"{name} {version}" for name, version in context["versions"].items()),
        f"Python {context['python']}",
        f"revision {context['revision']}" if context.get("revision") else "",
        f"scheduled {context['scheduling']}" if context.get("scheduling", "other, nice 0") != "other, nice 0" else "",
        f"load {context['load']}" if context.get("load") is not None else "",
    ]
    return "on " + ", ".join(part for part in parts if part)


def markdown(result: Mapping[str, Any]) -> str:
    """The report for a README: one table, the machine, and what the numbers are."""
    header, cells = columns(result["rows"])
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join('---' for _ in header)}|"]
    lines += [f"| {' | '.join(line)} |" for line in cells]
    lines += [
        "",
        f"Milliseconds of {result['timed']}. Transfers {result['transfers']}. Nothing is trimmed.",
        f"Measured {result['time']} {machine_line(result['context'])}.",
    ]
    lines += [f"- INVALID, {one['name']}: {reason}" for one in result["rows"] for reason in one["reasons"]]
    for one in result.get("compared") or []:
        lines.append(
            f"- {one['name']}: {one['words']} against the old report ({one['old_p50_ms']:.4g} -> "
            f"{one['new_p50_ms']:.4g} ms, noise {one['noise']:.1%})"
        )
    return "\n".join(lines) + "\n"
