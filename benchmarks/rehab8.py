"""Evaluate the bundled model on people, sensors and films held out of training.

Run: python benchmarks/rehab8.py MODEL.onnx [MODEL.onnx ...] --people 9,10 --ui-prmd DIR --utd DIR --films DIR \
         --work SCRATCH --out benchmarks/results/rehab8.json

Several models are one recipe with other seeds. Every part is cut into windows as
`export/verify/rehab8/evaluation.py` says (films as often as `live` answers), and decided twice: by the most
probable class, and as `live` does with the card's temperature, ranges of motion and thresholds. A part whose folder
is not named is left out. Films are estimated once, with the pose model of --pose, and their joints are kept in
--work, which must lie outside the project: films are not ours to give away. What is looked at again and again while a
model is made is no blind test, and that holds for UTD-MHAD and for the films.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store, write_store
from amr_edge.export.verify.rehab8.cross_sensor_test import utd_parts
from amr_edge.export.verify.rehab8.evaluation import (
    BUDGETS,
    HOWS,
    KINECT,
    VICON,
    VICON_NEVER,
    WRONGLY,
    Evaluation,
    Part,
    Predictor,
    cut,
    evaluate,
    parts,
)
from amr_edge.export.verify.rehab8.execution_quality import Trust, hints, reps_of, text, trust_to_dict
from amr_edge.export.verify.rehab8.synthetic_test import synthetic_parts
from amr_edge.kinematics import rules_of
from amr_edge.preprocess import Clip
from amr_edge.runtime.hardware.machine import machine
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pose.open_pose import open_pose
from amr_edge.runtime.record.visibility import RecordingBuilder
from amr_edge.runtime.sources.video import VideoFile
from amr_edge.skeleton import Mask, present_joints
from amr_edge.terminal import note, progress, table, to_json
from amr_edge.training.recipes.rehab8.dataset import NONE, Stream, load, opened, save

Floats = NDArray[np.float32]
EVALUATED = ("<!-- evaluated: written by benchmarks/rehab8.py -->", "<!-- end of evaluated -->")
SHIPPED = ("<!-- shipped: written by benchmarks/rehab8.py without --ui-prmd -->", "<!-- end of shipped -->")
HINTS = ("<!-- hints: written by benchmarks/rehab8.py -->", "<!-- end of hints -->")
OF_UI_PRMD = (KINECT, WRONGLY, VICON, VICON_NEVER)
FILMS = (".mp4", ".avi")
NOT_EXERCISE = "films, not exercise"
# Depth cameras put their picture beside the colours.
COLOURS_ON_THE_RIGHT = ("fall-01-cam0.mp4", "fall-05-cam0.mp4")
# Gymnasts who mix side lunges, arm raises and squats to music: reported, counted neither as exercise nor as none.
EXERCISING = ("felixchenfy_exercise.avi",)


def estimated(film: Path, pose: str) -> Recording:
    """Everybody whom the estimator sees in a film."""
    with VideoFile(film) as pictures, closing(open_pose(pose, people=4, environ=os.environ)) as estimator:
        builder = RecordingBuilder(estimator.layout, estimator.units)
        for picture in pictures:
            half = picture.image.shape[1] // 2 if film.name in COLOURS_ON_THE_RIGHT else 0
            builder.add(estimator(replace(picture, image=np.ascontiguousarray(picture.image[:, half:]))))
        return builder.finish(who="all", label=None, subject=None, source=film.name)[0]


def people(everybody: Recording, card: Card) -> Iterator[Recording]:
    """Each stretch of a film in which a stream would answer about one person."""
    window_s = card.prepare.window_s
    for number, poses in enumerate(everybody.poses):
        seen = np.flatnonzero(present_joints(poses).any(axis=-1))
        # A person who is gone for longer than that starts anew, as in a stream.
        anew = np.flatnonzero(np.diff(everybody.times_s[seen]) > window_s + card.prepare.max_gap_s) + 1
        for stretch in np.split(seen, anew):
            if len(stretch) < 2:
                continue
            first, last = int(stretch[0]), int(stretch[-1]) + 1
            part = replace(
                everybody,
                poses=poses[None, first:last],
                times_s=everybody.times_s[first:last],
                subject=number,
                label=NONE,
            )
            if part.duration_s >= min(window_s, everybody.duration_s) - 1e-6:
                yield part


def films_of(folder: Path, work: Path, pose: str) -> list[Recording]:
    """The joints of all films, estimated at the first time."""
    work.mkdir(parents=True, exist_ok=True)
    found = []
    files = sorted(path for path in folder.iterdir() if path.suffix in FILMS)
    with progress(files, label="films") as shown:
        for film in shown:
            kept = work / f"{film.stem}-{pose}.npz"
            if not kept.is_file():
                write_store(kept, [estimated(film, pose)], dataset="films", terms="not ours to give away")
            found.append(replace(open_store(kept)[0], source=film.name))
    return found


def film_parts(recordings: Sequence[Recording], card: Card) -> list[Part]:
    """One part for each film, and one of all that is no exercise."""
    made = []
    for recording in recordings:
        stretches = list(people(recording, card))
        if stretches:
            made.append(cut(recording.source, stretches, card, every_s=card.stride_s))
        else:
            note(f"{recording.source}: no person is in view for a whole window")
    quiet = [part for part in made if part.name not in EXERCISING]
    return [*made, *([joined(NOT_EXERCISE, quiet)] if quiet else [])]


def joined(name: str, several: Sequence[Part]) -> Part:
    """Several parts as one, whose recordings stay apart."""
    offsets = np.cumsum([0, *(part.whose.max() + 1 for part in several[:-1])])
    return Part(
        name=name,
        clips=Clip(
            np.concatenate([part.clips.values for part in several]),
            np.concatenate([part.clips.present for part in several]),
        ),
        labels=np.concatenate([part.labels for part in several]),
        whose=np.concatenate([part.whose + offset for part, offset in zip(several, offsets, strict=True)]),
        subjects=np.concatenate([part.subjects for part in several]),
    )


def summary(evaluations: dict[str, Evaluation]) -> str:
    """Share of right windows of every part and budget, a column for each model."""
    first = next(iter(evaluations.values()))
    rows = [
        (
            each.part,
            f"{each.budget:g}",
            each.how,
            int(each.confusion.sum()),
            *(round(100 * model.of(each.part, each.budget, each.how).right, 1) for model in evaluations.values()),
        )
        for each in first.scores
    ]
    return table(rows, ("part", "budget", "decided", "windows", *evaluations))


def by_group(evaluations: dict[str, Evaluation], budget: float) -> str:
    """Markdown: a row for each group, a column for each part of UI-PRMD; mean over the models, and their spread."""
    models = list(evaluations.values())
    names = list(dict.fromkeys(each.part for each in models[0].scores if each.part in OF_UI_PRMD))
    lines = [f"| group | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for label, group in enumerate(models[0].classes):
        cells = []
        for name in names:
            found = [model.of(name, budget, HOWS[0]) for model in models]
            count = int(found[0].confusion[label].sum())
            cells.append(f"{_percent([float(each.per_class()[label]) for each in found])} of {count}" if count else "")
        if any(cells):
            lines.append(f"| {group} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(shares: Sequence[float]) -> str:
    """The mean in percent, and from where to where if there are several."""
    spread = f" ({100 * min(shares):.1f} to {100 * max(shares):.1f})" if len(shares) > 1 else ""
    return f"{100 * float(np.mean(shares)):.1f}{spread}"


def _tabled(first: Evaluation) -> list[str]:
    """The names of the parts that a page shows; single films are too short to have a line, and stand in the JSON."""
    names = dict.fromkeys(each.part for each in first.scores)
    return [name for name in names if Path(name).suffix not in FILMS]


def by_part(evaluations: dict[str, Evaluation], budget: float) -> str:
    """Markdown: a row for each part, what it says on one budget in both ways, windows and whole recordings."""
    models = list(evaluations.values())
    lines = [
        "| part | windows | most probable, % | as live, % | recordings | as live, % | most frequent error as live |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in _tabled(models[0]):
        plain, live = ([model.of(name, budget, how) for model in models] for how in HOWS)
        cells = [
            name,
            str(int(live[0].confusion.sum())),
            _percent([each.right for each in plain]),
            _percent([each.right for each in live]),
            str(int(live[0].streams.sum())),
            _percent([each.streams_right for each in live]),
            models[0].wrong(live[0], most=1),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def by_budget(evaluations: dict[str, Evaluation], budgets: Sequence[float]) -> str:
    """Markdown: a row for each part, a column for each budget, the most probable class."""
    models = list(evaluations.values())
    shares = " | ".join(f"{100 * budget:g} % of the tokens" for budget in budgets)
    lines = [f"| part | {shares} |", "|---" * (len(budgets) + 1) + "|"]
    for name in _tabled(models[0]):
        cells = [_percent([model.of(name, share, HOWS[0]).right for model in models]) for share in budgets]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def by_class(trust: Mapping[str, Trust]) -> str:
    """Markdown: how often the hint at right and wrong executions is right about people left out."""
    lines = [
        "| class | repetitions | people | right, % | interval, % | lower end, people, % | worst person, % | shown |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, each in trust.items():
        shares = (each.people_low, each.worst)
        cells = (
            name,
            each.reps,
            each.people,
            f"{100 * each.right:.1f}",
            f"{100 * each.low:.0f} to {100 * each.high:.0f}",
        )
        shown = "yes" if each.clearly else "no"
        lines.append(f"| {' | '.join(map(str, (*cells, *(f'{100 * share:.1f}' for share in shares), shown)))} |")
    return "\n".join(lines)


def written_into(page: str, marks: tuple[str, str], block: str) -> str:
    """A page whose stretch between two marks is replaced.

    Raises:
        ValueError: If it has no such marks.
    """
    before, _, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not end:
        raise ValueError(f"expected the marks {marks[0]} and {marks[1]} in the page, found none")
    return f"{before}{marks[0]}\n{block}\n{marks[1]}{after}"


def streams_of(folder: Path | None, work: Path) -> tuple[Stream, ...]:
    """UI-PRMD, read at the first time; nothing if no folder is named."""
    if folder is None:
        return ()
    kept = work / "streams.npz"
    if not kept.is_file():
        save(load(folder, vicon=True), kept)
    return opened(open_store(kept, in_memory=True))


class Together:
    """Several models whose probabilities are averaged: what a student of theirs could learn at best."""

    def __init__(self, paths: Sequence[Path], card: Card, share: float) -> None:
        self.card = card
        self._models = [_at(path, share) for path in paths]

    def probs(self, values: Floats, present: Mask) -> Floats:
        """See `Predictor.probs`."""
        return np.asarray(np.mean([model.probs(values, present) for model in self._models], axis=0))


def everything(options: argparse.Namespace, streams: Sequence[Stream], card: Card) -> list[Part]:
    """The parts whose folders were named, and synthetic people, who need none."""
    made: list[Part] = []
    if streams:
        made += parts(streams, options.people, card, vicon_learned=not options.vicon_never)
    if options.utd is not None:
        made += [part for mode in ("stretched", "held") for part in utd_parts(options.utd, card, mode)]
    if options.films is not None:
        made += film_parts(films_of(options.films, options.work, options.pose), card)
    return [*made, *synthetic_parts(card, sets=options.sets, life_s=options.life_s)]


def main() -> None:
    """Cut, answer, decide, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="exported files; one recipe, other seeds")
    parser.add_argument("--people", help="subjects of UI-PRMD whom no model has learned from: 9,10")
    parser.add_argument(
        "--vicon-never", action="store_true", help="no model was trained on Vicon: evaluate all subjects"
    )
    parser.add_argument("--ui-prmd", type=Path)
    parser.add_argument("--utd", type=Path, help="skeleton files of UTD-MHAD, for evaluation only")
    parser.add_argument("--films", type=Path)
    parser.add_argument("--pose", default="full", help="pose model for the films (default full)")
    parser.add_argument("--work", type=Path, required=True, help="keeps what takes long; outside the project")
    parser.add_argument("--sets", type=int, default=6, help="synthetic sets of each exercise (default 6)")
    parser.add_argument("--life-s", type=float, default=600.0, help="seconds of synthetic life (default 600)")
    parser.add_argument("--budgets", default=",".join(f"{budget:g}" for budget in BUDGETS))
    parser.add_argument("--out", type=Path, help="write everything here as JSON")
    parser.add_argument("--page", type=Path, help="write the tables into this page, between its marks")
    options = parser.parse_args()
    if (options.people is None) != (options.ui_prmd is None):
        parser.error("--people and --ui-prmd belong together: who of it was left out")
    options.people = [] if options.people is None else [int(number) for number in options.people.split(",")]
    budgets = [float(share) for share in options.budgets.split(",")]
    options.work.mkdir(parents=True, exist_ok=True)
    first = open_session(options.models[0], threads=1).card
    streams = streams_of(options.ui_prmd, options.work)
    cut_once = everything(options, streams, first)
    evaluations: dict[str, Evaluation] = {}
    cards: dict[str, Card] = {}
    for place, path in enumerate(options.models):
        card = open_session(path, threads=1).card
        if card.prepare != first.prepare or card.classes != first.classes:
            parser.error(f"{path} sees other windows or classes than {options.models[0]}; evaluate it alone")
        name = f"{card.name} seed {card.recipe.get('seed', place)}"
        if name in evaluations:
            parser.error(f"{path} has the seed of a model before it; name models of one recipe with other seeds")
        cards[name], evaluations[name] = card, evaluate(partial(_at, path), cut_once, budgets)
    together: dict[str, Evaluation] = {}
    if len(evaluations) > 1:
        name = f"mean of {len(evaluations)}"
        together[name] = evaluate(lambda share: Together(options.models, first, share), cut_once, budgets)
    print(summary(evaluations | together))
    budget = first.budget if first.budget in budgets else budgets[0]
    tables, marks = [by_part(evaluations, budget)], SHIPPED
    trust: dict[str, Trust] = {}
    if streams:
        tables, marks = [*tables, by_group(evaluations, budget), by_budget(evaluations, budgets)], EVALUATED
        rules = {first.classes[label]: rule for label, rule in rules_of(first).items()}
        trust = hints(reps_of([stream for stream in streams if stream.sensor == "kinect"], rules))[1]
        print(f"\n{text(trust)}")
    if options.page is not None:
        page = written_into(options.page.read_text(encoding="utf-8"), marks, "\n\n".join(tables))
        options.page.write_text(written_into(page, HINTS, by_class(trust)) if trust else page, encoding="utf-8")
    for name, evaluation in evaluations.items():
        print(f"\n{name}\n{evaluation.text()}")
    if options.out is not None:
        scored = {name: evaluation.to_dict() for name, evaluation in evaluations.items()}
        result = {
            "people_left_out": options.people,
            "models": {name: {"recipe": card.recipe, "data": card.data} for name, card in cards.items()},
            "judged": scored,  # the key of results written by earlier versions
            "together": {name: evaluation.to_dict() for name, evaluation in together.items()},
            "hints": trust_to_dict(trust),
            "pose": options.pose,
            "machine": machine(threads=1),
        }
        options.out.write_text(json.dumps(json.loads(to_json(result)), indent=1) + "\n", encoding="utf-8")


def _at(path: Path, budget: float) -> Predictor:
    return open_session(path, threads=1, budget=budget)


if __name__ == "__main__":
    main()
