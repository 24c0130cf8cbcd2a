"""Evaluation on held-out subjects and sensors, with the event rules of the runtime.

A recording is cut into windows as long as the model's, one every second from its first frame on; a recording that is
shorter than a window is stretched to one, as a stream does with it. Windows go through the one `prepare`, the predict
are counted by class, and "none" for an exercise is an error. A stream of ten repetitions gets one decision, by the mean
of its windows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.clips import stack
from amr_edge.data.recording import Recording
from amr_edge.data.spans import window_label
from amr_edge.errors import ConfigError, DataError
from amr_edge.kinematics import apply_gate
from amr_edge.preprocess import RECENT_S, Clip, prepare
from amr_edge.runtime.pipeline.event_detector import EventDetector
from amr_edge.runtime.pipeline.recognizer import Prediction
from amr_edge.skeleton import Mask, Poses, layout, remap
from amr_edge.temperature import apply_temperature
from amr_edge.terminal import progress, table
from amr_edge.training.data.batch import to_batch
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.token_selection import choice_of
from amr_edge.training.recipes.rehab8.dataset import Stream, to_recording

EVERY_S = 1.0  # from the start of a window to the start of the next
BATCH = 64  # clips of one forward
BUDGETS = (1.0, 0.5, 0.25, 0.1)
CANONICAL = layout("canonical15")
KINECT = "Kinect, unseen people"
WRONGLY = "Kinect, unseen people, done wrongly"
VICON = "Vicon, unseen people"
VICON_NEVER = "Vicon never learned, everybody"

Labels = NDArray[np.int64]
Probs = NDArray[np.float32]
How = Literal["most probable", "as live"]
HOWS: tuple[How, ...] = ("most probable", "as live")


class Predictor(Protocol):
    """A model that predicts the class of windows: one that is being trained, or an exported one in a session."""

    @property
    def card(self) -> Card:
        """Its contract."""
        ...

    def probs(self, values: NDArray[np.float32], present: Mask) -> Probs:
        """(N, K) for values (N, M, T, V, 3) and presence (N, M, T, V)."""
        ...


class TrainedModel:
    """A classifier as it was trained, looking at the share of the tokens that a budget says."""

    def __init__(self, model: Classifier, card: Card, budget: float | None = None) -> None:
        self.card = card
        self._model = model
        share = card.budget if budget is None else budget
        self._choice = choice_of(card)
        self._ranks = torch.arange(card.tokens_at(share))

    def probs(self, values: NDArray[np.float32], present: Mask) -> Probs:
        """See `Predictor.probs`."""
        was_training = self._model.training
        self._model.eval()
        with torch.inference_mode():
            batch = to_batch(Clip(values, present), torch.device("cpu"))
            visible = None
            if len(self._ranks) < self.card.tokens:
                visible = self._choice(batch.body, batch.present, self._ranks)
            probs = self._model.classify(batch, visible).softmax(dim=1).numpy()
        self._model.train(was_training)
        return np.asarray(probs, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """N windows that are scored together.

    Attributes:
        name: What they have in common: "Kinect, unseen people".
        clips: As the model sees them: values (N, 1, T, V, 3) and presence (N, 1, T, V).
        labels: (N,) the right class.
        whose: (N,) which recording a window is of.
        subjects: (N,) whose; -1 where unknown.
    """

    name: str
    clips: Clip
    labels: Labels
    whose: Labels
    subjects: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, which: Mask, name: str | None = None) -> "Part":
        """Some of the windows."""
        return Part(
            name=self.name if name is None else name,
            clips=Clip(self.clips.values[which], self.clips.present[which]),
            labels=self.labels[which],
            whose=self.whose[which],
            subjects=self.subjects[which],
        )


def windows(recording: Recording, window_s: float, every_s: float = EVERY_S) -> list[tuple[float, float]]:
    """Start and end of the windows of a recording, in seconds on its clock.

    >>> still = Recording(
    ...     poses=np.zeros((1, 4, 15, 3), np.float32), times_s=np.array([2.0, 3.0, 4.0, 5.0]), layout="canonical15"
    ... )
    >>> windows(still, 2.0), windows(still, 9.0)
    ([(2.0, 4.0), (3.0, 5.0)], [(2.0, 5.0)])
    """
    if len(recording.times_s) < 2:
        return []
    first_s, last_s = float(recording.times_s[0]), float(recording.times_s[-1])
    if last_s - first_s < window_s:
        return [(first_s, last_s)]
    # A window that ends with the last frame is one, whatever the last bit of the difference says.
    count = int((last_s - first_s - window_s) / every_s + 1e-6) + 1
    return [(first_s + n * every_s, first_s + n * every_s + window_s) for n in range(count)]


def _right(recording: Recording, start_s: float, end_s: float, nothing: str) -> str | None:
    """The class that a window shows; None if it could be called either of two."""
    return recording.label if recording.label is not None else window_label(recording.spans, start_s, end_s, nothing)


def cut(name: str, recordings: Iterable[Recording], card: Card, *, every_s: float = EVERY_S) -> Part:
    """Cut recordings of one person each into windows, each shown to be one class or nothing.

    Args:
        name: What they have in common.
        recordings: With a label for all of it, or labelled spans.
        card: The model's: preprocessing, classes.
        every_s: From the start of a window to the start of the next.

    Raises:
        ConfigError: If the card has no class for "nothing".
        DataError: If there is no window, or a label is no class of the model.
    """
    if card.none_class is None:
        raise ConfigError(
            f"judging needs a model with a class for nothing, '{card.name}' has {', '.join(card.classes)}"
        )
    number = {label: place for place, label in enumerate(card.classes)}
    clips, labels, whose, subjects = [], [], [], []
    recent = max(1, round(RECENT_S * card.prepare.fps))
    for at, recording in enumerate(recordings):
        poses = remap(recording.poses[:1], recording.skeleton, CANONICAL).poses  # (1, T, V, C)
        for start_s, end_s in windows(recording, card.prepare.window_s, every_s):
            label = _right(recording, start_s, end_s, card.none_class)
            if label is None:
                continue
            if label not in number:
                raise DataError(
                    f"{recording.source}: '{label}' is no class of '{card.name}', which has {', '.join(card.classes)}"
                )
            clip = prepare(poses, recording.times_s, CANONICAL, card.prepare, (start_s, end_s))
            if not clip.present[:, -recent:].any():
                continue  # a stream gives no prediction for a person who has left
            clips.append(clip)
            labels.append(number[label])
            whose.append(at)
            subjects.append(-1 if recording.subject is None else recording.subject)
    if not clips:
        raise DataError(f"{name}: there is no window to evaluate; check the recordings")
    return Part(
        name=name,
        clips=stack(clips),
        labels=np.array(labels, dtype=np.int64),
        whose=np.array(whose, dtype=np.int64),
        subjects=np.array(subjects, dtype=np.int64),
    )


def parts(streams: Sequence[Stream], people: Sequence[int], card: Card, *, vicon_learned: bool = True) -> list[Part]:
    """Test parts of UI-PRMD for a model trained without some people.

    Args:
        streams: Of everybody, both sensors.
        people: Whom the model has not learned from.
        card: The model's.
        vicon_learned: Whether it has learned from the Vicon streams of the others; if not, everybody's are scored.

    Raises:
        DataError: If there is no stream of these people.
    """
    unseen = [stream for stream in streams if stream.subject in people]
    groups = {
        KINECT: [s for s in unseen if s.sensor == "kinect" and s.correct],
        WRONGLY: [s for s in unseen if s.sensor == "kinect" and not s.correct],
        VICON: [s for s in unseen if s.sensor == "vicon"],
        VICON_NEVER: [] if vicon_learned else [s for s in streams if s.sensor == "vicon"],
    }
    made = [cut(name, map(to_recording, chosen), card) for name, chosen in groups.items() if chosen]
    if not made:
        raise DataError(f"UI-PRMD has no stream of the people {', '.join(map(str, people))}; choose from 1 to 10")
    return made


def right_executions(streams: Sequence[Stream], card: Card) -> list[Part]:
    """Everybody's right executions, a part for each sensor, for ranges of motion; no model predicts them."""
    found = []
    for sensor, name in (("kinect", "Kinect, everybody"), ("vicon", "Vicon, everybody")):
        chosen = [stream for stream in streams if stream.sensor == sensor and stream.correct]
        if chosen:
            found.append(cut(name, map(to_recording, chosen), card))
    return found


def predict(model: Predictor, part: Part) -> Probs:
    """(N, K) what a model says about each window, before any temperature."""
    values, present = part.clips
    return np.concatenate(
        [model.probs(values[at : at + BATCH], present[at : at + BATCH]) for at in range(0, len(part), BATCH)]
    )


def poses_of(clip: Clip) -> Poses:
    """The joints of clips as measures of movement read them, absent ones NaN: (N, M, T, V, 3) -> (N, T, V, 3)."""
    return np.where(clip.present[:, 0, ..., None], clip.values[:, 0], np.float32(np.nan))


def as_live(probs: Probs, part: Part, card: Card) -> Probs:
    """(N, K) after the card's temperature and ranges of motion, which the stream applies too."""
    return apply_gate(card, apply_temperature(probs, card.temperature), *part.clips)[0]


def decide(probs: NDArray[np.floating], card: Card, *, thresholds: bool) -> Labels:
    """(N,) predicted class of each row (N, K): the most probable, or with `thresholds` that of the event it starts."""
    if not thresholds:
        return np.asarray(probs.argmax(axis=1), dtype=np.int64)
    detector, classes = EventDetector(card), card.classes
    labels = np.full(len(probs), classes.index(card.none_class or ""), dtype=np.int64)
    for row, each in enumerate(probs):
        # A partial prediction is an event by itself if it reaches its threshold.
        alone = Prediction(start_s=0.0, time_s=0.0, person=0, people=(0,), classes=classes, probs=each, partial=True)
        labels[row] = next((classes.index(event.label) for event in detector.push(0.0, [alone])), labels[row])
    return labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartScore:
    """Confusion of a model on a part, for one budget and one decision rule.

    Attributes:
        part: Its name.
        budget: Share of the tokens.
        how: "most probable" takes the class with the highest probability; "as live" first applies the temperature,
            the ranges of motion and the thresholds of the card.
        confusion: (K, K) windows, rows are right classes, columns predictions.
        streams: (K, K) the same for whole recordings, decided by the mean of their windows.
    """

    part: str
    budget: float
    how: How
    confusion: NDArray[np.int64]
    streams: NDArray[np.int64]

    @property
    def right(self) -> float:
        """Share of windows predicted rightly."""
        return _share(self.confusion)

    @property
    def streams_right(self) -> float:
        """Share of recordings predicted rightly."""
        return _share(self.streams)

    def per_class(self) -> NDArray[np.float64]:
        """(K,) share of each class's windows; NaN without any."""
        total = self.confusion.sum(axis=1)
        return np.where(total > 0, np.diag(self.confusion) / np.maximum(total, 1), np.nan)

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """For machines; only classes that have windows."""
        here = [k for k in range(len(classes)) if self.confusion[k].any()]
        return {
            "part": self.part,
            "budget": self.budget,
            "how": self.how,
            "windows": int(self.confusion.sum()),
            "right": round(self.right, 4),
            "recordings": int(self.streams.sum()),
            "recordings_right": round(self.streams_right, 4),
            "answers": {
                classes[k]: {classes[j]: int(self.confusion[k, j]) for j in np.flatnonzero(self.confusion[k]).tolist()}
                for k in here
            },
        }


def _share(confusion: NDArray[np.int64]) -> float:
    return float(np.trace(confusion) / confusion.sum()) if confusion.any() else float("nan")


def _confusion(labels: Labels, lines: Labels, classes: int) -> NDArray[np.int64]:
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, lines), 1)
    return counts


def score_part(probs: Probs, part: Part, card: Card, budget: float, how: How) -> PartScore:
    """Score the predictions on a part.

    Args:
        probs: (N, K) from `predict`.
        part: The windows.
        card: Whose temperature, ranges and thresholds apply if it is "as live".
        budget: For the table.
        how: Of deciding.
    """
    live = how == "as live"
    used = as_live(probs, part, card) if live else probs
    K = len(card.classes)
    recordings = np.unique(part.whose)
    means = np.stack([used[part.whose == one].mean(axis=0) for one in recordings])
    # A recording of an exercise has one label; of one with pauses the most frequent counts.
    labels = np.array([np.bincount(part.labels[part.whose == one]).argmax() for one in recordings], dtype=np.int64)
    return PartScore(
        part=part.name,
        budget=budget,
        how=how,
        confusion=_confusion(part.labels, decide(used, card, thresholds=live), K),
        streams=_confusion(labels, decide(means, card, thresholds=live), K),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """All scores of one model."""

    classes: tuple[str, ...]
    scores: tuple[PartScore, ...]

    def of(self, part: str, budget: float, how: How = "as live") -> PartScore:
        """The score of a part.

        Raises:
            DataError: If it was not scored.
        """
        for each in self.scores:
            if (each.part, each.budget, each.how) == (part, budget, how):
                return each
        raise DataError(f"'{part}' was not scored at a budget of {budget:g} {how}")

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"classes": self.classes, "rows": [each.to_dict(self.classes) for each in self.scores]}

    def text(self) -> str:
        """One line for each score, then the most frequent confusions."""
        rows = [
            (
                each.part,
                f"{each.budget:g}",
                each.how,
                int(each.confusion.sum()),
                round(100 * each.right, 1),
                int(each.streams.sum()),
                round(100 * each.streams_right, 1),
                self.wrong(each),
            )
            for each in self.scores
        ]
        header = ("part", "budget", "decided", "windows", "right %", "recordings", "right %", "taken for")
        return table(rows, header)

    def wrong(self, each: PartScore, most: int = 2) -> str:
        """The most frequent errors: "leg raise as none 4 of 40"."""
        wrong = each.confusion.copy()
        np.fill_diagonal(wrong, 0)
        places = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = [divmod(int(place), len(self.classes)) for place in places]
        lines = [
            f"{self.classes[k]} as {self.classes[j]} {wrong[k, j]} of {each.confusion[k].sum()}"
            for k, j in pairs
            if wrong[k, j]
        ]
        return "; ".join(lines)


def evaluate(
    at: Callable[[float], Predictor],
    everything: Sequence[Part],
    budgets: Sequence[float] = BUDGETS,
) -> Evaluation:
    """Judge a model on several parts at several budgets, in both ways of deciding.

    Args:
        at: Opens the model on a budget.
        everything: The parts.
        budgets: Shares of the tokens.

    Raises:
        ConfigError: If there is no part or no budget.
    """
    if not everything or not budgets:
        raise ConfigError("judging needs at least one part and one budget")
    models = [(budget, at(budget)) for budget in budgets]
    made: list[PartScore] = []
    with progress([(*model, part) for model in models for part in everything], label="evaluate") as shown:
        for budget, model, part in shown:
            probs = predict(model, part)
            made += [score_part(probs, part, model.card, budget, how) for how in HOWS]
    return Evaluation(classes=models[0][1].card.classes, scores=tuple(made))
