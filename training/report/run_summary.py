"""Load metrics and settings of one or more run folders."""

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import AmrError, ConfigError, LayoutError, ReadError
from amr_edge.metrics import Score, per_class_rows
from amr_edge.preprocess import PrepareConfig
from amr_edge.terminal import to_json
from amr_edge.training.config import Recipe, recipe, student
from amr_edge.training.engine.checkpoint import load_weights
from amr_edge.training.engine.predictions import load_predictions, predictions_file
from amr_edge.training.engine.run_folder import RunFolder, with_current_names
from amr_edge.training.report.skeleton_plots import SHOWN

STAGES = {
    "pretrain": "pre-training",
    "finetune": "fine-tuning",
    "train": "fine-tuning",
    "distill": "distillation",
    "probe": "linear probe",
    "asma": "student",
    "central_slow": "pre-training, central_slow",
    "leaf_fast": "pre-training, leaf_fast",
}
HEADLINE = ("top1", "top5", "mean_class")
# What a run takes from its data, whatever the recipe says.
FITTED = ("prepare.layout", "prepare.window_s", "prepare.scale", "persons")


class Answer(NamedTuple):
    """Prediction for one test clip."""

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
class RunSummary:
    """Metrics and settings in the folder of a run.

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
        """Name of the run."""
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
        """True if every stage had its epochs."""
        return all(len(rows) >= self.epochs.get(stage, 0) for stage, rows in self.stages.items())

    def figures(self) -> dict[str, float]:
        """top1, top5, mean_class and clips, as far as they are known; empty where nothing was tested."""
        pooled = self.score.get("pooled")
        figures_in = {**self.score, **(pooled if isinstance(pooled, dict) else {})}
        found = {key: float(figures_in[key]) for key in HEADLINE if isinstance(figures_in.get(key), int | float)}
        clips = len(self.answers) or figures_in.get("clips")
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
        """(class, clips, share right, most frequent wrong prediction), the worst first."""
        counted = Score(top1=0.0, top5=0.0, mean_class=0.0, confusion=self.confusion())
        return per_class_rows(counted, self.classes) if self.answers else []

    def confused(self) -> list[tuple[str, str, int]]:
        """(truth, answer, clips) of what is taken for what, the most frequent first."""
        wrong = Counter((a.truth, a.answer) for a in self.answers if a.truth != a.answer)
        return [(*pair, count) for pair, count in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))]

    def worst(self, count: int = SHOWN) -> list[Answer]:
        """The clips most confidently predicted wrongly."""
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
    """The prediction for each test clip, and the classes, as far as they are stored."""
    path = predictions_file(folder)
    if path.exists():
        predictions = load_predictions(path)
        if len(predictions) and not 0 <= predictions.labels.min() <= predictions.labels.max() < len(
            predictions.classes
        ):
            raise ReadError(f"{path}: a label has no class; the file is damaged, evaluate the run again")
        names = zip(predictions.names, predictions.labels, predictions.probs, strict=True)
        answers = (
            Answer(n, predictions.classes[y], predictions.classes[int(p.argmax())], float(p.max())) for n, y, p in names
        )
        return tuple(answers), predictions.classes
    table = folder / "predictions.csv"
    return _written_answers(table if table.exists() else folder / "answers.csv"), ()


def _written_answers(path: Path) -> tuple[Answer, ...]:
    if not path.exists():
        return ()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(
                Answer(r["clip"], r["truth"], r["prediction"] if "prediction" in r else r["answer"], float(r["prob"]))
                for r in csv.DictReader(file)
            )
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ReadError(
            f"{path}: is not a table of predictions ({cause!r}); evaluate or train the run again"
        ) from cause


def _results(run: RunFolder) -> list[dict[str, float]]:
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


def usual(verb: str, values: Mapping[str, Any]) -> Recipe | None:
    """The recipe as it comes, or None if this amr-edge has none of that name."""
    name = str(values.get("name", ""))
    try:
        if verb == "distill":
            return student(name, PrepareConfig(**values["prepare"]), int(values["persons"]))
        return recipe(name)
    except (ConfigError, LayoutError, KeyError, TypeError, ValueError):
        return None


def changed(verb: str, values: Mapping[str, Any]) -> tuple[Change, ...] | None:
    """Settings of a run that are not those of the recipe it names; None if there is no such recipe."""
    theirs = usual(verb, values)
    if theirs is None:
        return None
    fields = flat(json.loads(to_json(asdict(theirs))))
    return tuple(
        Change(field, fields[field], value, field in FITTED)
        for field, value in flat(values).items()
        if field in fields and fields[field] != value
    )


def read_run(folder: Path) -> RunSummary:
    """Metrics and settings in the folder of a run.

    Raises:
        ReadError: If this is no run folder, or a file in it is damaged.
    """
    if not any((folder / name).is_file() for name in ("config.json", "score.json")):
        raise ReadError(f"{folder}: is not the folder of a run (it has no config.json); name one under runs/")
    settings = with_current_names(_json(folder / "config.json"))
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
        stages[title] = _results(RunFolder(sub.parent))
        epochs[title] = planned.get(f"{sub.parent.name}.optim.epochs")
    if (folder / "results.csv").exists():
        title = STAGES.get(verb, verb or "training")
        stages[title] = _results(RunFolder(folder))
        epochs[title] = planned.get(f"{'pretrain' if verb == 'pretrain' else 'finetune'}.optim.epochs")
    answers, classes = _answers(folder)
    card, parameters = None, 0
    try:
        weights = RunFolder(folder).selected
        if weights.exists():
            tensors, card = load_weights(weights)
            parameters = sum(tensor.numel() for tensor in tensors.values())
    except AmrError as cause:
        notes.append(str(cause))
    if not classes:
        named = {name for answer in answers for name in (answer.truth, answer.answer)}
        classes = card.classes if card is not None and named <= set(card.classes) else tuple(sorted(named))
    changes = changed(verb, values)
    if changes is None and values.get("name") and verb != "asma":
        notes.append(f"this amr-edge has no recipe '{values.get('name')}' to compare the settings with")
    return RunSummary(
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


def compare(runs: Sequence[RunSummary]) -> list[dict[str, object]]:
    """Each run after the first against the first, on the clips that both were tested on.

    Returns:
        For each: run, clips, right_only_here, right_only_first, and p, the two-sided sign test of the two counts.
    """
    first = {a.clip: a.truth == a.answer for a in runs[0].answers}
    rows: list[dict[str, object]] = []
    for predictions in runs[1:]:
        pairs = [(a.truth == a.answer, first[a.clip]) for a in predictions.answers if a.clip in first]
        wins, losses = sum(h and not f for h, f in pairs), sum(f and not h for h, f in pairs)
        rows.append(
            {
                "run": predictions.name,
                "clips": len(pairs),
                "right_only_here": wins,
                "right_only_first": losses,
                "p": sign_test(wins, losses),
            }
        )
    return rows
