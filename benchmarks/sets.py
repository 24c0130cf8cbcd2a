"""Whether a set of repetitions becomes one event with the right count, by the pause that ends an event.

    python benchmarks/sets.py [MODEL.onnx] [--ui-prmd FOLDER] --out benchmarks/results/sets.json

Two sorts of sets: of synthetic people, five repetitions of four exercises each, with rests and everyday actions, by
a camera off to one side; and UI-PRMD's ten Kinect episodes of a person and exercise, joined again to the
recording that they were cut from. The bundled model, the default, learned from all of
UI-PRMD's people: those rows say how events are made, not how well people are recognised.

The model runs once; then events are made from its predictions with one `pause_s` after the other.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from amr_edge import bundled
from amr_edge.data.readers import ui_prmd
from amr_edge.data.recording import Recording, Span
from amr_edge.live_settings import EventConfig
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pipeline.event_detector import Event, EventDetector
from amr_edge.runtime.pipeline.recognizer import Prediction, recognize
from amr_edge.synthetic import Sensor, subject
from amr_edge.synthetic.workout import workout
from amr_edge.terminal import progress, table
from amr_edge.training.engine.run_folder import versions

PAUSES_S = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
SETS = (("squat", 5), ("arm raise", 5), ("side lunge", 5), ("leg raise", 5))
POPULATION = 9000  # of synthetic people whom no model was shown
KINDS = (
    "squat", "hurdle step", "inline lunge", "side lunge", "squat", "leg raise", "arm raise", "shoulder extension",
    "shoulder rotation", "arm raise",
)  # fmt: skip


class Seen(NamedTuple):
    """A recording's sets, when it ends and what was answered."""

    sort: str
    spans: Sequence[Span]
    reps: Sequence[int]
    end_s: float
    answers: Sequence[Prediction]


def synthetic(people: int) -> Iterator[tuple[str, Recording, Sequence[int]]]:
    """Workouts, each of another person."""
    for number in range(1, people + 1):
        rng = np.random.default_rng([POPULATION, number])
        done = workout(subject(number, POPULATION), rng, sets=SETS, sensor=Sensor(yaw_deg=20))
        yield "synthetic", done.recording, done.reps


def joined(root: Path) -> Iterator[tuple[str, Recording, Sequence[int]]]:
    """The sets of ten that UI-PRMD's episodes were cut from."""
    sorts = (("Segmented Movements", "", "UI-PRMD"), ("Incorrect Segmented Movements", "_inc", "UI-PRMD, done wrongly"))
    for folder, end, sort in sorts:
        room = root / folder / "Kinect" / "Positions"
        for movement, kind in enumerate(KINDS, start=1):
            for person in range(1, 11):
                names = [f"m{movement:02d}_s{person:02d}_e{e:02d}_positions{end}.txt.gz" for e in range(1, 11)]
                poses = np.concatenate([next(ui_prmd.read(room / name)).poses[0] for name in names])
                times_s = np.arange(len(poses)) / ui_prmd.FPS
                recording = Recording(
                    poses=poses[None].astype(np.float32),
                    times_s=times_s,
                    layout="ui_prmd22",
                    subject=person,
                    source=f"{sort} m{movement:02d} s{person:02d}",
                    spans=(Span(0.0, float(times_s[-1]), kind),),
                )
                yield sort, recording, (10,)


def ended(seen: Seen, decider: EventDetector) -> list[Event]:
    """The events of a recording."""
    events: list[Event] = []
    for time_s, answers in groupby(seen.answers, lambda answer: answer.time_s):
        events += decider.push(time_s, list(answers))
    events += [*decider.push(seen.end_s, []), *decider.flush()]
    return [event for event in events if event.event == "end"]


def main() -> None:
    """Ask, decide and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=None)
    parser.add_argument("--ui-prmd", type=Path)
    parser.add_argument("--people", type=int, default=24, help="synthetic ones (default 24)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    session = open_session(args.model or bundled(), threads=1)
    card = session.card
    recordings = [*synthetic(args.people), *(joined(args.ui_prmd) if args.ui_prmd else ())]
    everything = []
    with progress(recordings, label="recordings") as counted:
        for sort, recording, reps in counted:
            answers = recognize(recording, session)
            everything.append(Seen(sort, recording.spans, reps, float(recording.times_s[-1]), answers))
    rows = []
    for pause_s in PAUSES_S:
        for sort in dict.fromkeys(seen.sort for seen in everything):
            row = {"pause_s": pause_s, "sets": 0, "one_event": 0, "in_pieces": 0, "one_event_right_count": 0}
            for seen in everything:
                if seen.sort != sort:
                    continue
                ends = ended(seen, EventDetector(card, EventConfig(pause_s=pause_s)))
                for span, reps in zip(seen.spans, seen.reps, strict=True):
                    within = [e for e in ends if e.start_s <= span.end_s + card.prepare.window_s]
                    own = [e for e in within if e.label == span.label and e.end_s >= span.start_s]
                    row["sets"] += 1
                    row["one_event"] += len(own) == 1
                    row["in_pieces"] += len(own) > 1
                    row["one_event_right_count"] += len(own) == 1 and own[0].reps == reps
            rows.append({"sort": sort, **row})
    header = ["sort", "pause_s", "sets", "one event", "in pieces", "one event, right count"]
    print(table([list(row.values()) for row in rows], header))
    if args.out:
        report = {"model": card.name, "versions": versions(), "default_pause_s": EventConfig().pause_s, "rows": rows}
        args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
