"""Event metrics of `live` on labelled continuous recordings of subjects outside of the training set.

Run: python benchmarks/events.py --model RUN --data JOINED.npz --calibrate-on 2 --test-on 4,6,8 --out events.json
 or: python benchmarks/events.py --model RUN --synthetic --calibrate-on 2,6,10 --test-on 4,8,12 --out events.json

The model predicts every recording as `live` does; its predictions become events, with the card as it is and with
temperature and thresholds fitted on the subjects of --calibrate-on for --false-alarms an hour. Figures are for the
subjects of --test-on: an event is right if it has the label of a span and overlaps it by half (intersection over
union), each paired once; a false positive touches no span; a delay runs from the onset of an action to the moment its
start is reported.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store
from amr_edge.runtime.calibration.event_metrics import EventScore
from amr_edge.runtime.calibration.thresholds import answered, calibrate, score_predictions, summary
from amr_edge.runtime.hardware.machine import machine
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pipeline.one_euro import STRENGTHS, strength
from amr_edge.synthetic import continuous, subject
from amr_edge.terminal import note, table, to_json

COLUMNS = {
    "smoothing": "smoothing",
    "thresholds": "threshold",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "median_delay_s": "median delay s",
    "false_alarms_per_hour": "false positives/h idle",
    "idle_hours": "idle h",
}


def synthetic(numbers: list[int], seconds: float) -> Iterator[Recording]:
    """Continuous recordings of synthetic people, one each, unlike any that `amr-edge demo` trains on."""
    for number in numbers:
        yield continuous(subject(number, 0), np.random.default_rng([0, 5, number]), seconds=seconds)


def row(smooth: str, name: str, score: EventScore) -> dict[str, object]:
    """One line of the table."""
    return {"smoothing": smooth, "thresholds": name, **score.to_dict()}


def origin(card: Card) -> dict[str, object]:
    """What the model was made from, as its card says."""
    return {"name": card.name, "data": card.data, "recipe": card.recipe, "metrics": card.metrics}


def main() -> None:
    """Answer, decide, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="a store of continuous recordings, from amr-edge data join")
    parser.add_argument("--calibrate-data", type=Path, help="another store for --calibrate-on")
    parser.add_argument("--synthetic", action="store_true", help="make continuous recordings of synthetic people")
    parser.add_argument("--seconds", type=float, default=600.0, help="of each synthetic recording (default 600)")
    parser.add_argument("--calibrate-seconds", type=float, help="the same of those of --calibrate-on")
    parser.add_argument("--calibrate-on", required=True, help="subjects")
    parser.add_argument("--test-on", required=True, help="subjects")
    parser.add_argument("--false-alarms", type=float, default=2.0, help="requested, an hour (default 2)")
    parser.add_argument("--smooth", nargs="+", choices=list(STRENGTHS), default=["off"])
    parser.add_argument("--budget", type=float, help="share of the tokens (default: the card's)")
    parser.add_argument("--out", type=Path, help="write everything here as JSON")
    options = parser.parse_args()
    if (options.data is None) == (not options.synthetic):
        parser.error("give --data or --synthetic, one of them")
    sides = {name: [int(n) for n in getattr(options, name).split(",")] for name in ("calibrate_on", "test_on")}
    if options.synthetic:
        seconds = {"calibrate_on": options.calibrate_seconds or options.seconds, "test_on": options.seconds}
        recordings = {name: list(synthetic(numbers, seconds[name])) for name, numbers in sides.items()}
    else:
        stores = {"calibrate_on": options.calibrate_data or options.data, "test_on": options.data}
        recordings = {
            name: [each for each in open_store(stores[name]) if each.subject in numbers]
            for name, numbers in sides.items()
        }
    session = open_session(options.model, threads=1, budget=options.budget)
    rows, fits = [], {}
    for smooth in options.smooth:
        began = time.perf_counter()
        held, test = (list(answered(recordings[name], session, smooth=strength(smooth))) for name in sides)
        note(f"answered with smoothing {smooth} in {time.perf_counter() - began:.0f} s")
        fitted = calibrate(held, session.card, options.false_alarms)
        fits[smooth] = summary(fitted, session.card)
        rows.append(row(smooth, f"{session.card.threshold:g}", score_predictions(test, session.card)))
        name = f"fitted for {options.false_alarms:g}/h"
        rows.append(row(smooth, name, score_predictions(test, fitted.card(session.card, "held out"))))
    print(table([[each[name] for name in COLUMNS] for each in rows], list(COLUMNS.values())))
    if options.out is not None:
        result = {
            "model": origin(session.card),
            "tokens": session.tokens,
            "data": "synthetic" if options.synthetic else options.data.name,
            "calibrated_on_data": None if options.calibrate_data is None else options.calibrate_data.name,
            "calibrated_on_subjects": sides["calibrate_on"],
            "tested_on_subjects": sides["test_on"],
            "false_positives_requested": options.false_alarms,
            "rows": rows,
            "fitted": fits,
            "machine": machine(threads=1),
        }
        options.out.write_text(json.dumps(json.loads(to_json(result)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
