"""How long does the whole chain take, from the frame to the prediction, and which stage takes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from amr_edge.errors import DataError
from amr_edge.runtime.bench.measure import summarize
from amr_edge.runtime.inference.session import Session
from amr_edge.runtime.pipeline.pipeline import LiveConfig, LivePipeline
from amr_edge.runtime.sources.open_source import Note, SourceConfig, open_source
from amr_edge.runtime.stage_timer import Stages
from amr_edge.terminal import table

NOTE = (
    "'total' runs from the frame in hand to the prediction emitted, for frames that gave one; 'capture' is the wait "
    "for the frame"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainConfig:
    """Source and limits of an end-to-end measurement.

    Attributes:
        source: As `amr-edge live` takes it.
        reading: How it is read; its speed 1 keeps the pace of a recording, 0 runs all out.
        limit_s: Stop after so many seconds of the source; None goes on to its end.
    """

    source: str
    reading: SourceConfig
    limit_s: float | None = None


def chain(
    session: Session, config: ChainConfig, *, stages: Stages, note: Note, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Run `live`'s own loop over a source and keep the time of every stage.

    Args:
        session: The model.
        config: The source.
        stages: Times the work by its clock.
        note: Takes each line for the person.
        environ: Where pose models are kept stands here.

    Returns:
        Stages with their numbers in milliseconds, frames, dropped frames and answers.

    Raises:
        DataError: If the source gave no frame.
    """
    live = LivePipeline(
        session,
        config=LiveConfig(limit_s=config.limit_s),
        stages=stages,
        emit=lambda _: None,
        note=lambda _: None,
    )
    with open_source(
        config.source, config.reading, stages=stages, note=note, skipped=live.skip, environ=environ
    ) as takes:
        live.run(takes)
    totals = live.totals
    if not totals.frames:
        raise DataError(f"{config.source}: it held no frame, so there is no chain to time; use another source")
    found = {stage: record.kept for stage, record in stages.records.items()}
    return {
        "source": config.source.rpartition("/")[2] if "://" not in config.source else "stream",
        "pose": config.reading.pose,
        "paced": config.reading.speed > 0,
        "frames": totals.frames,
        "frames_with_people": totals.frames_with_people,
        "dropped": totals.dropped,
        "answers": totals.predictions,
        "source_s": round(totals.seconds, 3),
        "stages": {
            stage: {"count": len(values), **summarize(np.asarray(values)).to_dict()} for stage, values in found.items()
        },
        "note": NOTE,
    }


def for_people(result: Mapping[str, Any]) -> str:
    """The stages as a table."""
    names = ("count", "min", "p50", "p90", "p99", "max")
    rows = [
        [stage, *("-" if numbers[name] != numbers[name] else round(numbers[name], 3) for name in names)]
        for stage, numbers in result["stages"].items()
    ]
    lines = [table(rows, ["stage", "count", *(f"{name} ms" for name in names[1:])])]
    lines.append(
        f"{result['frames']} frames ({result['frames_with_people']} with people, {result['dropped']} dropped) of "
        f"{result['source']}, {result['answers']} answers, {'at its own pace' if result['paced'] else 'all out'}"
    )
    return "\n".join(lines)
