"""Energy of one inference, from the power samples that fall into a model's turns."""

from typing import Any

import numpy as np

from amr_edge.runtime.bench.measure import Timed
from amr_edge.runtime.hardware.power import Trace, counted


def energy_per_inference(trace: Trace, timed: Timed, idle_watts: float | None = None) -> dict[str, Any] | None:
    """Mean power during one model's turns, and the energy of one inference.

    Args:
        trace: Of the whole measurement.
        timed: The subject's runs; only samples that fall into its turns are its own.
        idle_watts: What the machine took before, doing nothing.

    Returns:
        Mean watts of each meter and of those that count, joules of one run (waiting between paced runs included) and
        how many samples that rests on; None without a meter or a sample.
    """
    counted_meters = counted(tuple(trace.watts))
    if not counted_meters:
        return None
    times_s = np.array(trace.times_s)
    mine = np.zeros(len(times_s), dtype=np.bool_)
    for turn in timed.turns:
        mine |= (times_s > turn.begun_s) & (times_s <= turn.ended_s)
    means = {}
    for name, values in trace.watts.items():
        # A meter that appeared later has fewer values: they are the last ones.
        watts = np.concatenate([np.full(len(times_s) - len(values), np.nan), np.array(values)])[mine]
        if np.isfinite(watts).any():
            means[name] = float(np.nanmean(watts))
    if not set(counted_meters) <= set(means):
        return None
    total = sum(means[name] for name in counted_meters)
    worked_s = sum(turn.ended_s - turn.begun_s for turn in timed.turns)
    runs = sum(turn.last - turn.first for turn in timed.turns)
    return {
        "meters_w": {name: round(value, 4) for name, value in means.items()},
        "counted": list(counted_meters),
        "watts": round(total, 4),
        "idle_watts": None if idle_watts is None else round(idle_watts, 4),
        "joules_per_inference": total * worked_s / runs if runs else None,
        "samples": int(mine.sum()),
    }
