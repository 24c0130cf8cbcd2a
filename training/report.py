"""What one run, or several beside each other, came to: read from their folders, told as numbers and as one page."""

import base64
import csv
import html
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import AmrError, ConfigError, ReadError
from amr_edge.preprocess import PrepareConfig
from amr_edge.score import Score, per_class_rows
from amr_edge.store import open_store
from amr_edge.terminal import to_json
from amr_edge.training.answers import FILE as ANSWERS
from amr_edge.training.answers import load_answers
from amr_edge.training.checkpoint import load_weights
from amr_edge.training.config import Recipe, recipe, student
from amr_edge.training.picture import (
    SERIES,
    budget_figure,
    columns,
    confusion_figure,
    curve_figure,
    per_class_figure,
    to_svg,
)
from amr_edge.training.reconstruct import draw_reconstruction
from amr_edge.training.run import Run
from amr_edge.training.strips import SHOWN, as_strip, draw_strips, wrong_title

STAGES = {
    "pretrain": "pre-training",
    "finetune": "fine-tuning",
    "train": "fine-tuning",
    "distil": "distillation",
    "probe": "linear probe",
}
HEADLINE = ("top1", "top5", "mean_class")
# What a run takes from its data, whatever the recipe says.
FITTED = ("prepare.layout", "prepare.window_s", "prepare.scale", "persons")
PAIRS, FILES = 12, 60  # rows of the longest tables


class Answer(NamedTuple):
    """What was answered to one test clip."""

    clip: str
    truth: str
    answer: str
    prob: float


class Change(NamedTuple):
    """A setting that is not the recipe's."""

    field: str
    usual: object
    here: object
    fitted: bool  # taken from the data, not chosen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What the folder of a run tells.

    Attributes:
        folder: The run.
        settings: config.json without the recipe; empty for what no recipe made, such as a fusion.
        recipe: The recipe in it, as JSON has it.
        environment: environment.json.
        score: score.json; empty where nothing was tested.
        changes: Settings that differ from the recipe of that name.
        stages: Rows of results.csv of each stage, by its title, in the order they ran.
        epochs: How many epochs each stage was to have.
        answers: One for each test clip.
        classes: In the model's order.
        parameters: Of the last weights; 0 if they cannot be read.
        card: Of the last weights; None if they cannot be read.
        beside: teacher.json; empty for other runs.
        notes: What the run warned of, and what of it could not be read.
    """

    folder: Path
    settings: Mapping[str, Any]
    recipe: Mapping[str, Any]
    environment: Mapping[str, Any]
    score: Mapping[str, Any]
    changes: tuple[Change, ...]
    stages: Mapping[str, list[dict[str, float]]]
    epochs: Mapping[str, int]
    answers: tuple[Answer, ...]
    classes: tuple[str, ...]
    parameters: int
    card: Card | None
    beside: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """What people call the run."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def verb(self) -> str:
        """The command that made it."""
        return str(self.settings.get("verb", ""))

    @property
    def seconds(self) -> float:
        """Training time of all stages."""
        return sum(row.get("seconds", 0.0) for rows in self.stages.values() for row in rows)

    @property
    def finished(self) -> bool:
        """Whether every stage had its epochs."""
        return all(len(rows) >= self.epochs.get(stage, 0) for stage, rows in self.stages.items())

    def figures(self) -> dict[str, float]:
        """top1, top5, mean_class and clips, as far as they are known; empty where nothing was tested."""
        pooled = self.score.get("pooled")
        said = {**self.score, **(pooled if isinstance(pooled, dict) else {})}
        found = {key: float(said[key]) for key in HEADLINE if isinstance(said.get(key), int | float)}
        clips = len(self.answers) or said.get("clips")
        if not clips:
            return {}
        if self.answers and "top1" not in found:
            found["top1"] = sum(a.truth == a.answer for a in self.answers) / len(self.answers)
        return {**found, "clips": clips} if "top1" in found else {}

    def confusion(self) -> NDArray[np.int64]:
        """(K, K) counts, rows are what was done."""
        place = {name: index for index, name in enumerate(self.classes)}
        counts = np.zeros((len(place), len(place)), dtype=np.int64)
        for answer in self.answers:
            counts[place[answer.truth], place[answer.answer]] += 1
        return counts

    def per_class(self) -> list[tuple[str, int, float, str]]:
        """(class, clips, share right, most frequent wrong answer), the worst first."""
        counted = Score(top1=0.0, top5=0.0, mean_class=0.0, confusion=self.confusion())
        return per_class_rows(counted, self.classes) if self.answers else []

    def confused(self) -> list[tuple[str, str, int]]:
        """(truth, answer, clips) of what is taken for what, the most frequent first."""
        wrong = Counter((a.truth, a.answer) for a in self.answers if a.truth != a.answer)
        return [(*pair, count) for pair, count in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))]

    def worst(self, count: int = SHOWN) -> list[Answer]:
        """The clips most confidently answered wrongly."""
        return sorted((a for a in self.answers if a.truth != a.answer), key=lambda a: -a.prob)[:count]

    def to_dict(self) -> dict[str, object]:
        """The same for machines."""
        figures = self.figures()
        interval = wilson(figures["top1"], int(figures["clips"])) if figures else None
        return {
            "run": self.folder,
            "verb": self.verb,
            "data": {"name": "", **(self.card.data if self.card else {}), "split": self.settings.get("split")},
            "seed": self.settings.get("seed"),
            **figures,
            "score": dict(self.score),
            "top1_interval_95": interval,
            "epochs": {stage: {"done": len(rows), "of": self.epochs.get(stage)} for stage, rows in self.stages.items()},
            "last_row": {stage: rows[-1] for stage, rows in self.stages.items() if rows},
            "seconds": self.seconds,
            "finished": self.finished,
            "parameters": self.parameters,
            "settings_changed": [change._asdict() for change in self.changes],
            "environment": dict(self.environment),
            "per_class": [
                {"class": name, "clips": clips, "right": right if clips else None, "taken_for": taken}
                for name, clips, right, taken in self.per_class()
            ],
            "confused": [{"truth": t, "answer": a, "clips": n} for t, a, n in self.confused()],
            "worst_clips": [answer._asdict() for answer in self.worst()],
            "budget_curve": [asdict(point) for point in self.card.budget_curve] if self.card else [],
            "beside_the_teacher": dict(self.beside),
            "notes": list(self.notes),
        }


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share of `count` trials, 95 % for the default z.

    >>> [round(x, 3) for x in wilson(0.9372, 430)]
    [0.91, 0.956]
    """
    if count < 1:
        return 0.0, 1.0
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact probability that a fair coin falls at least as unevenly.

    >>> sign_test(1, 9)
    0.021484375
    """
    total, few = wins + losses, min(wins, losses)
    return min(1.0, float(2 * sum(math.comb(total, k) for k in range(few + 1)) / 2**total))


def _json(path: Path) -> dict[str, Any]:
    """An object from a JSON file; empty if there is no such file."""
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise ReadError(f"{path}: is not JSON ({cause}); the run is damaged, evaluate or train it again") from cause
    if not isinstance(value, dict):
        raise ReadError(f"{path}: expected a JSON object, got {type(value).__name__}; the run is damaged")
    return value


def _answers(folder: Path) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
    """What was answered to each test clip, and the classes, as far as they are told."""
    if (folder / ANSWERS).exists():
        told = load_answers(folder / ANSWERS)
        if len(told) and not 0 <= told.labels.min() <= told.labels.max() < len(told.classes):
            raise ReadError(f"{folder / ANSWERS}: a label has no class; the file is damaged, evaluate the run again")
        names = zip(told.names, told.labels, told.probs, strict=True)
        answers = (Answer(n, told.classes[y], told.classes[int(p.argmax())], float(p.max())) for n, y, p in names)
        return tuple(answers), told.classes
    return _written_answers(folder / "answers.csv"), ()


def _written_answers(path: Path) -> tuple[Answer, ...]:
    if not path.exists():
        return ()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(Answer(r["clip"], r["truth"], r["answer"], float(r["prob"])) for r in csv.DictReader(file))
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ReadError(f"{path}: is not a table of answers ({cause!r}); evaluate or train the run again") from cause


def _results(run: Run) -> list[dict[str, float]]:
    try:
        rows = run.results()
        missing = [row for row in rows if "epoch" not in row]
    except (OSError, ValueError, TypeError, AttributeError) as cause:
        raise ReadError(f"{run.folder / 'results.csv'}: is not a table of numbers ({cause}); train again") from cause
    if missing:
        raise ReadError(f"{run.folder / 'results.csv'}: a row has no epoch; the table is damaged, train again")
    return rows


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested settings as "finetune.optim.epochs": 60.

    >>> flat({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    found: dict[str, object] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _usual(verb: str, values: Mapping[str, Any]) -> Recipe | None:
    """The recipe as it comes, or None if this amr-edge has none of that name."""
    name = str(values.get("name", ""))
    try:
        if verb == "distil":
            return student(name, PrepareConfig(**values["prepare"]), int(values["persons"]))
        return recipe(name)
    except (ConfigError, KeyError, TypeError, ValueError):
        return None


def changed(verb: str, values: Mapping[str, Any]) -> tuple[Change, ...] | None:
    """Settings of a run that are not those of the recipe it names; None if there is no such recipe."""
    usual = _usual(verb, values)
    if usual is None:
        return None
    theirs = flat(json.loads(to_json(asdict(usual))))
    return tuple(
        Change(field, theirs[field], value, field in FITTED)
        for field, value in flat(values).items()
        if field in theirs and theirs[field] != value
    )


def read_run(folder: Path) -> Told:
    """What the folder of a run tells.

    Raises:
        ReadError: If this is no run folder, or a file in it is damaged.
    """
    if not any((folder / name).is_file() for name in ("config.json", "score.json")):
        raise ReadError(f"{folder}: is not the folder of a run (it has no config.json); name one under runs/")
    settings = _json(folder / "config.json")
    values = settings.pop("recipe", settings.pop("asma", {}))
    if not isinstance(values, dict):
        raise ReadError(f"{folder / 'config.json'}: its recipe is not an object; name a folder under runs/")
    verb = str(settings.get("verb", ""))
    notes = []
    log = folder / "log.txt"
    if log.exists():
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        notes += [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]
    stages, epochs = {}, {}
    planned = flat(values)
    for sub in sorted(folder.glob("*/results.csv")):
        title = STAGES.get(sub.parent.name, sub.parent.name)
        stages[title] = _results(Run(sub.parent))
        epochs[title] = planned.get(f"{sub.parent.name}.optim.epochs")
    if (folder / "results.csv").exists():
        title = STAGES.get(verb, verb or "training")
        stages[title] = _results(Run(folder))
        epochs[title] = planned.get(f"{'pretrain' if verb == 'pretrain' else 'finetune'}.optim.epochs")
    answers, classes = _answers(folder)
    card, parameters = None, 0
    if Run(folder).last.exists():
        try:
            tensors, card = load_weights(Run(folder).last)
            parameters = sum(tensor.numel() for tensor in tensors.values())
        except AmrError as cause:
            notes.append(str(cause))
    if not classes:
        named = {name for answer in answers for name in (answer.truth, answer.answer)}
        classes = card.classes if card is not None and named <= set(card.classes) else tuple(sorted(named))
    changes = changed(verb, values)
    if changes is None and values.get("name") and verb != "asma":
        notes.append(f"this amr-edge has no recipe '{values.get('name')}' to compare the settings with")
    return Told(
        folder=folder,
        settings=settings,
        recipe=values,
        environment=_json(folder / "environment.json"),
        score=_json(folder / "score.json"),
        changes=changes or (),
        stages=stages,
        epochs={stage: count for stage, count in epochs.items() if isinstance(count, int)},
        answers=answers,
        classes=classes,
        parameters=parameters,
        card=card,
        beside=_json(folder / "teacher.json"),
        notes=tuple(dict.fromkeys(notes)),
    )


def _draw_worst(told: Told) -> str:
    """Draw the worst clips of a run that has no picture of them; what hinders it, or "" if it is there."""
    path = told.folder / "worst_clips.png"
    if not told.worst() or path.with_suffix(".svg").exists():
        return ""
    data = Path(str(told.settings.get("data", "")))
    if told.card is None or not told.settings.get("data"):
        return "They are drawn in the reports of the runs that this one is made of."
    if not data.is_file():
        return f"The clips cannot be drawn: the recordings ({data.name or 'unknown'}) are not where the run had them."
    try:
        store = open_store(data)
        place = {name: index for index, name in enumerate(store.names)}
        strips = [
            as_strip(
                store,
                place[a.clip],
                told.card.prepare,
                told.card.persons,
                wrong_title(a.truth, a.answer, a.prob, a.clip),
            )
            for a in told.worst()
            if a.clip in place
        ]
    except AmrError as cause:
        return f"The clips cannot be drawn: {cause}"
    draw_strips(strips, path)
    return "" if strips else f"The clips cannot be drawn: {data.name} does not hold them any more."


def compare(runs: Sequence[Told]) -> list[dict[str, object]]:
    """Each run after the first against the first, on the clips that both were tested on.

    Returns:
        For each: run, clips, right_only_here, right_only_first, and p, the two-sided sign test of the two counts.
    """
    first = {a.clip: a.truth == a.answer for a in runs[0].answers}
    rows: list[dict[str, object]] = []
    for told in runs[1:]:
        pairs = [(a.truth == a.answer, first[a.clip]) for a in told.answers if a.clip in first]
        wins, losses = sum(h and not f for h, f in pairs), sum(f and not h for h, f in pairs)
        rows.append(
            {
                "run": told.name,
                "clips": len(pairs),
                "right_only_here": wins,
                "right_only_first": losses,
                "p": sign_test(wins, losses),
            }
        )
    return rows


def write_report(folders: Sequence[Path], path: Path) -> list[Told]:
    """Write one self-contained HTML page about runs, and return what was read of them.

    Args:
        folders: Run folders, one or several to be compared.
        path: Where the page goes; links in it are relative to its folder.

    Raises:
        ReadError: If a folder is no run, or a file in it is damaged.
        ConfigError: If no run is named, or one twice.
    """
    if not folders or len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("a report is about one run or several different ones; name each folder once")
    runs = [read_run(folder) for folder in folders]
    if len(runs) == 1:
        title, body = runs[0].name, _run_page(runs[0], path)
    else:
        title, body = f"{len(runs)} runs compared", _comparison(runs, path)
    page = Template(files("amr_edge.training").joinpath("report.html").read_text(encoding="utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(page.substitute(title=_text(title), body=body), encoding="utf-8")
    part.replace(path)
    return runs


def write_page(run: Run) -> None:
    """Write the page of one run into its folder."""
    write_report([run.folder], run.folder / "report.html")


def _text(value: object) -> str:
    """A value as text that no browser takes for markup."""
    if isinstance(value, float):
        value = f"{value:.4g}"
    elif isinstance(value, list | tuple):
        value = ", ".join(f"{item:.4g}" if isinstance(item, float) else str(item) for item in value)
    return html.escape(str(value))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> str:
    """A table; the columns of `numeric` are numbers."""

    def line(tag: str, cells: Sequence[object]) -> str:
        said = (
            f'<{tag} class="{"n" if i in numeric else "long"}">'
            f"{cell.markup if isinstance(cell, _Markup) else _text(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )
        return f"<tr>{''.join(said)}</tr>"

    head = line("th", header) if any(header) else ""
    return f'<div class="box"><table>{head}{"".join(line("td", row) for row in rows)}</table></div>'


class _Markup(NamedTuple):
    """Text that is markup already, written by this module."""

    markup: str


def _image(data: bytes, kind: str, alt: str, style: str) -> str:
    """A picture as a data address. An SVG in an <img> runs nothing and follows the reader's light or dark."""
    return f'<img class="{style}" alt="{_text(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _figure(figure: Figure, alt: str, style: str = "fits") -> str:
    return _image(to_svg(figure).encode(), "svg+xml", alt, style)


def _stored(path: Path, alt: str) -> str:
    """A picture of the run's folder: its SVG if there is one, else its PNG, else nothing."""
    for suffix, kind in ((".svg", "svg+xml"), (".png", "png")):
        if path.with_suffix(suffix).is_file():
            return f'<div class="box">{_image(path.with_suffix(suffix).read_bytes(), kind, alt, "wide")}</div>'
    return ""


def _percent(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "–"


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _tile(value: str, said: str) -> str:
    return f"<div><b>{_text(value)}</b><span>{_text(said)}</span></div>"


def _which_epoch(told: Told) -> str:
    by = str(told.score.get("epoch_chosen_by", "last"))
    if told.score.get("epoch") is None:
        return by if "epoch_chosen_by" in told.score else "each fold's own"
    how = "the last, fixed in advance" if by == "last" else f"chosen by {by}"
    return f"epoch {told.score.get('epoch')}, {how}"


def _headline(told: Told) -> str:
    tiles = []
    figures = told.figures()
    if figures:
        clips, top1 = int(figures["clips"]), figures["top1"]
        low, high = wilson(top1, clips)
        tiles.append(
            _tile(_percent(top1), f"top-1 of {clips} test clips; 95 % interval {_percent(low)} to {_percent(high)}")
        )
        if "mean_class" in figures:
            tiles.append(_tile(_percent(figures["mean_class"]), f"mean over {len(told.classes)} classes"))
        if "top5" in figures:
            tiles.append(_tile(_percent(figures["top5"]), "top-5"))
        done = str(len(list(told.stages.values())[-1])) if told.stages else "–"
        tiles.append(_tile(done, f"epochs; reported is {_which_epoch(told)}"))
    elif told.stages:
        stage, rows = list(told.stages.items())[-1]
        if rows:
            tiles.append(_tile(f"{rows[-1].get('loss', math.nan):.4f}", f"loss of {stage}, epoch {len(rows)}"))
    told_already = list(told.stages)[-1:] if tiles else []
    for stage, rows in told.stages.items():
        if stage in told_already:
            continue
        tiles.append(_tile(f"{len(rows)}", f"epochs of {stage}, of {told.epochs.get(stage, len(rows))}"))
    if told.seconds:
        tiles.append(_tile(_seconds(told.seconds), "of training"))
    if told.parameters:
        tiles.append(_tile(f"{told.parameters / 1e6:.2f} M", "parameters"))
    return f'<div class="figures">{"".join(tiles)}</div>'


def _about(told: Told) -> str:
    """One sentence: what was done on what."""
    data = told.card.data if told.card else {}
    name = data.get("name") or Path(str(told.settings.get("data", ""))).name or "several runs"
    parts = [f"{name}, split {told.settings.get('split', told.score.get('split'))}"]
    if data.get("train_clips"):
        parts.append(f"{data['train_clips']} clips to learn from")
    if "seed" in told.settings:
        parts.append(f"seed {told.settings['seed']}")
    if told.settings.get("validate"):
        parts.append(f"validation subjects {told.settings['validate']}")
    return ", ".join(parts)


def _curves(runs: Sequence[Told]) -> str:
    """Every stage's curves, those of several runs in one picture."""
    parts = []
    for stage in dict.fromkeys(stage for told in runs for stage in told.stages):
        rows = {told.name: told.stages[stage] for told in runs if told.stages.get(stage)}
        if not rows:
            continue
        colours = {told.name: index for index, told in enumerate(runs)}
        names = columns([row for each in rows.values() for row in each])
        pictures = "".join(
            f"<figure>{_figure(curve_figure(name, rows, stage, colours), f'{stage}: {name} over epochs')}</figure>"
            for name in names
        )
        parts.append(f'<h3>{_text(stage[:1].upper() + stage[1:])}</h3><div class="curves">{pictures}</div>')
    return "".join(parts)


def _scored(told: Told) -> str:
    """Per class, confusion and worst clips."""
    if not told.answers:
        return ""
    rows = told.per_class()
    size = "own" if len(told.classes) > 40 else "large" if len(told.classes) > 12 else "fits"
    bars = _figure(per_class_figure(rows), "accuracy by class", "wide" if len(rows) > 40 else "bars")
    parts = ["<h2>Class by class</h2>", f'<div class="box">{bars}</div>']
    pairs = told.confused()
    parts.append("<h2>What is taken for what</h2>")
    if pairs:
        parts.append(_table(("done", "answered", "clips"), pairs[:PAIRS], numeric=(2,)))
        if len(pairs) > PAIRS:
            parts.append(f"<p class=quiet>and {len(pairs) - PAIRS} more pairs</p>")
    matrix = confusion_figure(told.confusion(), told.classes, "")
    parts.append(f'<div class="box">{_figure(matrix, "confusion matrix", size)}</div>')
    parts.append("<h2>Most confidently wrong</h2>")
    if not told.worst():
        return "".join([*parts, "<p>Every test clip was answered rightly.</p>"])
    hindered = _draw_worst(told)
    picture = _stored(told.folder / "worst_clips.png", "the worst clips as stick figures")
    return "".join(
        [*parts, picture or _table(Answer._fields, told.worst(), (3,)), f"<p class=quiet>{_text(hindered)}</p>"]
    )


def _more(told: Told) -> str:
    """What else score.json tells: folds, fused runs, neighbours, label subsets."""
    parts, rows = [], []
    for key, value in told.score.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            header = tuple(dict.fromkeys(name for item in value for name in item))
            table = [tuple(_brief(item.get(name, "")) for name in header) for item in value]
            numeric = [
                i for i, name in enumerate(header) if all(isinstance(item.get(name), int | float) for item in value)
            ]
            parts.append(f"<h2>{_text(key.replace('_', ' ').capitalize())}</h2>{_table(header, table, numeric)}")
        elif isinstance(value, dict):
            rows += [(f"{key} {name}", _brief(item)) for name, item in flat(value).items()]
        elif key not in (*HEADLINE, "clips", "epoch", "epoch_chosen_by", "split", "seed", "run") and value is not None:
            rows.append((key, _brief(value)))
    more = [(name.replace("_", " "), value) for name, value in rows]
    return "".join([*parts, f"<h2>More figures</h2>{_table(('', ''), more)}" if more else ""])


def _brief(value: object) -> object:
    """A value for a table; of a path its end, because what lies above is nobody's business."""
    if isinstance(value, str) and "/" in value and not value.startswith("http"):
        return "/".join(value.rsplit("/", 2)[-2:])
    return value


def _reconstructed(told: Told) -> str:
    """What pre-training sees and predicts; drawn now where the run's state is newer than its picture."""
    stage = Run(told.folder if told.verb == "pretrain" else told.folder / "pretrain")
    drawn = stage.folder / "reconstruction.svg"
    if not stage.state.is_file():
        return ""
    said = ""
    if not drawn.exists() or drawn.stat().st_mtime < stage.state.stat().st_mtime:
        try:
            made, settings = Run(told.folder, quiet=True).read_settings()
            draw_reconstruction(stage, made, settings)
        except AmrError as cause:
            said = f"<p class=quiet>{'From an earlier epoch' if drawn.exists() else 'Not drawn'}: {_text(cause)}</p>"
    picture = _stored(drawn, "masked input, prediction, target and focal weights")
    return f"<h2>What pre-training sees and predicts</h2>{said}{picture}"


def _budget(told: Told) -> str:
    points = told.card.budget_curve if told.card else ()
    if not points:
        return ""
    rows = [(_percent(p.share), p.tokens, f"{p.macs / 1e6:.1f}", _percent(p.top1)) for p in points]
    table = _table(("budget", "tokens", "M MACs", "top-1"), rows, numeric=(0, 1, 2, 3))
    drawn = f'<div class="box">{_figure(budget_figure([asdict(p) for p in points]), "top-1 by token budget")}</div>'
    return f"<h2>Accuracy by token budget</h2>{drawn if len(points) > 1 else ''}{table}"


def _teacher(told: Told) -> str:
    if not told.beside:
        return ""
    rows = [(str(key).replace("_", " "), value) for key, value in told.beside.items()]
    return f"<h2>Beside its teacher</h2>{_table(('', ''), rows, (1,))}"


def _settings(told: Told) -> str:
    if not told.recipe:
        return ""
    chosen = [(c.field, c.usual, c.here) for c in told.changes if not c.fitted]
    fitted = [(c.field, c.here) for c in told.changes if c.fitted]
    name = told.recipe.get("name")
    parts = [f"<h2>Settings</h2><p>Recipe <b>{_text(name)}</b>"]
    known = _usual(told.verb, told.recipe) is not None
    parts.append(", changed in:</p>" if chosen else ", nothing changed.</p>" if known else ".</p>")
    if chosen:
        parts.append(_table(("setting", "recipe", "this run"), chosen))
    if fitted:
        said = ", ".join(f"{field.partition('.')[2] or field} {value}" for field, value in fitted)
        parts.append(f"<p class=quiet>Taken from the data: {_text(said)}.</p>")
    return "".join(parts)


def _environment(told: Told) -> str:
    command = told.environment.get("command")
    rows = [(key.replace("_", " "), value) for key, value in told.environment.items() if key != "command" and value]
    said = f"<p><code>{_text(command)}</code></p>" if command else ""
    return f"<h2>Made by</h2>{said}{_table(('', ''), rows)}" if rows or said else ""


def _links(told: Told, page: Path) -> str:
    """The files of the run, as links relative to the page."""
    found = sorted(p for p in told.folder.rglob("*") if p.is_file() and p.resolve() != page.resolve())
    rows = []
    for file in found[:FILES]:
        address = quote(Path(os.path.relpath(file, page.parent)).as_posix())
        size = file.stat().st_size
        said = f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.1f} kB"
        rows.append(
            (_Markup(f'<a href="{_text(address)}">{_text(file.relative_to(told.folder).as_posix())}</a>'), said)
        )
    more = f"<p class=quiet>and {len(found) - FILES} more</p>" if len(found) > FILES else ""
    return f"<h2>Files</h2>{_table(('file', 'size'), rows, (1,))}{more}"


def _notes(told: Told) -> str:
    unfinished = [
        f"{stage} has {len(rows)} of {told.epochs[stage]} epochs: the run was interrupted or stopped early"
        for stage, rows in told.stages.items()
        if len(rows) < told.epochs.get(stage, 0)
    ]
    return "".join(f'<p class="note">{_text(note)}</p>' for note in [*unfinished, *told.notes])


def _run_page(told: Told, page: Path) -> str:
    """Everything about one run."""
    return "\n".join(
        [
            f"<h1>{_text(told.name)}</h1><p class=quiet>{_text(_about(told))}</p>",
            _headline(told),
            _notes(told),
            f"<h2>How it learned</h2>{_curves([told])}" if any(told.stages.values()) else "",
            _scored(told),
            _more(told),
            _budget(told),
            _teacher(told),
            _reconstructed(told),
            _settings(told),
            _environment(told),
            _links(told, page),
        ]
    )


def _same_test(runs: Sequence[Told]) -> bool:
    """Whether the scores are about the same clips."""
    return len({frozenset(a.clip for a in told.answers) for told in runs}) == 1


def _comparison(runs: Sequence[Told], page: Path) -> str:
    """Runs beside each other, then each in turn."""
    parts = [f"<h1>{len(runs)} runs compared</h1>"]
    figures = [told.figures() for told in runs]
    scored = [told for told, found in zip(runs, figures, strict=True) if found]
    best = {key: max((found[key] for found in figures if key in found), default=math.nan) for key in HEADLINE}
    comparable = len(scored) > 1 and _same_test(scored)

    def share(told: Told, key: str) -> object:
        value = told.figures().get(key)
        bold = comparable and value == best[key]
        return _Markup(f'<span class="best">{_percent(value)}</span>') if bold else _percent(value)

    rows = [
        (
            _Markup(f'<span class="key" style="background:{SERIES[i % len(SERIES)]}"></span>{_text(told.name)}'),
            _about(told),
            share(told, "top1"),
            share(told, "mean_class"),
            told.figures().get("clips", "–"),
            _which_epoch(told) if told.score else "–",
            f"{told.parameters / 1e6:.2f}" if told.parameters else "–",
            _seconds(told.seconds) if told.seconds else "–",
        )
        for i, told in enumerate(runs)
    ]
    names = ("run", "data", "top-1", "mean class", "clips", "reported", "M parameters", "training")
    parts.append(_table(names, rows, (2, 3, 4, 6, 7)))
    if len(scored) > 1 and not comparable:
        parts.append('<p class="note">The runs were not tested on the same clips, so their scores do not compare.</p>')
    pairs = [row for row in compare(runs) if row["clips"]]
    if pairs:
        parts.append(f"<h2>Against {_text(runs[0].name)}, clip by clip</h2>")
        header = ("run", "same clips", "right only here", "right only there", "sign test p")
        parts.append(_table(header, [tuple(row.values()) for row in pairs], (1, 2, 3, 4)))
        parts.append(
            "<p class=quiet>The smaller p, the less the difference looks like chance on these clips; other "
            "seeds vary besides.</p>"
        )
    parts.append(f"<h2>How they learned</h2>{_curves(runs)}")
    parts.append(_differing(runs))
    parts += [f"<details><summary>{_text(told.name)}</summary>{_run_page(told, page)}</details>" for told in runs]
    return "\n".join(parts)


def _init(told: Told) -> str:
    """Which run it started from, without the folders above that."""
    init = told.settings.get("init")
    return "/".join(Path(str(init)).parts[-4:-2]) if init else "scratch"


def _differing(runs: Sequence[Told]) -> str:
    """The settings in which the runs differ."""
    each = [flat(told.recipe) | {"seed": told.settings.get("seed"), "init": told.settings.get("init")} for told in runs]
    each = [
        values | {"init": Path(str(values["init"])).parent.parent.name if values["init"] else None} for values in each
    ]
    fields = dict.fromkeys(field for values in each for field in values)
    rows = [
        (field, *(values.get(field, "–") for values in each))
        for field in fields
        if len({json.dumps(values.get(field)) for values in each}) > 1
    ]
    if not rows:
        return "<h2>Settings</h2><p>All the same.</p>"
    return f"<h2>Settings that differ</h2>{_table(('setting', *(told.name for told in runs)), rows)}"
