"""Does a model know the exercises of people and sensors that it has not learned from?

A recording is cut into windows as long as the model's, one every second from its first frame on; a recording that is
shorter than a window is stretched to one, as a stream does with it. Windows go through the one `prepare`, the answers
are counted by class, and "none" for an exercise is an error. A stream of ten repetitions gets one decision, by the mean
of its windows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.clips import stack
from amr_edge.errors import ConfigError, DataError
from amr_edge.preprocess import Clip, prepare
from amr_edge.recording import Recording
from amr_edge.skeleton import Mask, Poses, layout, remap
from amr_edge.spans import shown
from amr_edge.terminal import table
from amr_edge.training.budget import choice_of
from amr_edge.training.classifier import Classifier
from amr_edge.training.dataset import to_batch
from amr_edge.training.rehab.streams import Stream

EVERY_S = 1.0  # from the start of a window to the start of the next
BATCH = 64  # clips of one forward
BUDGETS = (1.0, 0.5, 0.25, 0.1)
CANONICAL = layout("canonical15")

Labels = NDArray[np.int64]
Probs = NDArray[np.float32]
How = Literal["most probable", "as live"]


class Answering(Protocol):
    """A model that answers windows: one that is being trained, or an exported one in a session."""

    @property
    def card(self) -> Card:
        """Its contract."""
        ...

    def probs(self, values: NDArray[np.float32], present: Mask) -> Probs:
        """(N, K) for values (N, M, T, V, 3) and presence (N, M, T, V)."""
        ...


class Trained:
    """A classifier as it was trained, looking at the share of the tokens that a budget says."""

    def __init__(self, model: Classifier, card: Card, budget: float | None = None) -> None:
        self.card = card
        self._model = model
        share = card.budget if budget is None else budget
        self._choice = choice_of(card)
        self._ranks = torch.arange(card.tokens_at(share))

    def probs(self, values: NDArray[np.float32], present: Mask) -> Probs:
        """See `Answering.probs`."""
        was_training = self._model.training
        self._model.eval()
        with torch.inference_mode():
            batch = to_batch(Clip(values, present), torch.device("cpu"))
            kept = None
            if len(self._ranks) < self.card.tokens:
                kept = self._choice(batch.body, batch.present, self._ranks)
            answers = self._model.classify(batch, kept).softmax(dim=1).numpy()
        self._model.train(was_training)
        return np.asarray(answers, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """N windows that are judged together.

    Attributes:
        name: What they have in common: "Kinect, unseen people".
        clips: As the model sees them: values (N, 1, T, V, 3) and presence (N, 1, T, V).
        seen: What the sensor saw in each: poses (T', 15, 3) in canonical15 and their times, for ranges of motion.
        labels: (N,) the right class.
        whose: (N,) which recording a window is of.
        subjects: (N,) whose; -1 where unknown.
    """

    name: str
    clips: Clip
    seen: tuple[tuple[Poses, NDArray[np.float64]], ...]
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
            seen=tuple(self.seen[int(at)] for at in np.flatnonzero(which)),
            labels=self.labels[which],
            whose=self.whose[which],
            subjects=self.subjects[which],
        )


def windows(recording: Recording, window_s: float, every_s: float = EVERY_S) -> list[tuple[float, float]]:
    """When the windows of a recording begin and end, in seconds on its clock.

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
    return recording.label if recording.label is not None else shown(recording.spans, start_s, end_s, nothing)


def cut(name: str, recordings: Iterable[Recording], card: Card, tick: Callable[[], None] = lambda: None) -> Part:
    """Cut recordings of one person each into windows, each shown to be one class or nothing.

    Args:
        name: What they have in common.
        recordings: With a label for all of it, or labelled spans.
        card: The model's: preprocessing, classes.
        tick: Called after each recording.

    Raises:
        ConfigError: If the card has no class for "nothing".
        DataError: If there is no window, or a label is no class of the model.
    """
    if card.none_class is None:
        raise ConfigError(
            f"judging needs a model with a class for nothing, '{card.name}' has {', '.join(card.classes)}"
        )
    number = {label: place for place, label in enumerate(card.classes)}
    clips, seen, labels, whose, subjects = [], [], [], [], []
    for at, recording in enumerate(recordings):
        poses = remap(recording.poses[:1], recording.skeleton, CANONICAL).poses  # (1, T, V, C)
        for start_s, end_s in windows(recording, card.prepare.window_s):
            label = _right(recording, start_s, end_s, card.none_class)
            if label is None:
                continue
            if label not in number:
                raise DataError(
                    f"{recording.source}: '{label}' is no class of '{card.name}', which has {', '.join(card.classes)}"
                )
            clip = prepare(poses, recording.times_s, CANONICAL, card.prepare, (start_s, end_s))
            if not clip.present.any():
                continue
            inside = slice(*np.searchsorted(recording.times_s, [start_s, end_s + 1e-9]))
            clips.append(clip)
            seen.append((poses[0, inside], recording.times_s[inside]))
            labels.append(number[label])
            whose.append(at)
            subjects.append(-1 if recording.subject is None else recording.subject)
        tick()
    if not clips:
        raise DataError(f"{name}: there is no window to judge; check the recordings")
    return Part(
        name=name,
        clips=stack(clips),
        seen=tuple(seen),
        labels=np.array(labels, dtype=np.int64),
        whose=np.array(whose, dtype=np.int64),
        subjects=np.array(subjects, dtype=np.int64),
    )


def as_recording(stream: Stream) -> Recording:
    """A stream of one exercise as a recording that is labelled all through."""
    done = "right" if stream.correct else "wrong"
    return Recording(
        poses=np.asarray(stream.poses, dtype=np.float32)[None],
        times_s=np.asarray(stream.times_s, dtype=np.float64),
        layout=CANONICAL.name,
        label=stream.group,
        subject=stream.subject,
        source=f"{stream.sensor} m{stream.exercise:02d} s{stream.subject:02d} {done}",
    )


def parts(streams: Sequence[Stream], people: Sequence[int], card: Card, *, vicon_learned: bool = True) -> list[Part]:
    """What UI-PRMD has to say about a model that has not learned from some people.

    Args:
        streams: Of everybody, both sensors.
        people: Whom the model has not learned from.
        card: The model's.
        vicon_learned: Whether it has learned from the Vicon streams of the others; if not, everybody's are judged.

    Raises:
        DataError: If there is no stream of these people.
    """
    asked: list[tuple[str, Callable[[Stream], bool]]] = [
        ("Kinect, unseen people", lambda s: s.sensor == "kinect" and s.correct and s.subject in people),
        (
            "Kinect, unseen people, done wrongly",
            lambda s: s.sensor == "kinect" and not s.correct and s.subject in people,
        ),
        ("Vicon, unseen people", lambda s: s.sensor == "vicon" and s.correct and s.subject in people),
        ("Vicon, unseen people, done wrongly", lambda s: s.sensor == "vicon" and not s.correct and s.subject in people),
    ]
    if not vicon_learned:
        asked.append(("Vicon never learned, everybody", lambda s: s.sensor == "vicon" and s.correct))
    chosen = [(name, [as_recording(s) for s in streams if wanted(s)]) for name, wanted in asked]
    made = [cut(name, recordings, card) for name, recordings in chosen if recordings]
    if not made:
        raise DataError(f"UI-PRMD has no stream of the people {', '.join(map(str, people))}; choose from 1 to 10")
    return made


def answers(model: Answering, part: Part) -> Probs:
    """(N, K) what a model says about each window, before any temperature."""
    values, present = part.clips
    return np.concatenate(
        [model.probs(values[at : at + BATCH], present[at : at + BATCH]) for at in range(0, len(part), BATCH)]
    )
