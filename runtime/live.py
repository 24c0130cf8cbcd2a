"""From a source to what is told: the one loop that joins source, pose, stream, decisions and outputs."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.errors import ClipError, ConfigError
from amr_edge.recording import Span
from amr_edge.runtime.decide import Decider, Event
from amr_edge.runtime.draw import Film, Person
from amr_edge.runtime.latency import Stages
from amr_edge.runtime.session import Session
from amr_edge.runtime.sighting import Sighting
from amr_edge.runtime.sources.recorded import Take
from amr_edge.runtime.stream import Answer, Stream
from amr_edge.skeleton import Mask

SCHEMA = 1  # of the JSON lines; docs/live-output.md

Emit = Callable[[dict[str, Any]], None]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """What is told.

    Attributes:
        answers: Every answer of the model.
        events: Starts, updates and ends of what the answers add up to.
        limit_s: Stop after so many seconds of the source's time; None goes on to its end.
    """

    answers: bool = True
    events: bool = True
    limit_s: float | None = None

    def __post_init__(self) -> None:
        if self.limit_s is not None and not self.limit_s > 0:
            raise ConfigError(f"the limit must be above 0 seconds, got {self.limit_s}")


@dataclass(slots=True)
class _Timed:
    """A session that remembers how long it took."""

    inner: Session
    stages: Stages
    spent_ms: float = 0.0

    @property
    def card(self) -> Card:
        return self.inner.card

    @property
    def title(self) -> str:
        return self.inner.title

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        before_ms = self.stages.since_begin_ms()
        probs = self.inner.probs(values, present)
        self.spent_ms = self.stages.since_begin_ms() - before_ms
        self.stages.add("infer", self.spent_ms)
        return probs


@dataclass(slots=True)
class Totals:
    """What a run came to."""

    recordings: int = 0
    frames: int = 0
    dropped: int = 0
    seconds: float = 0.0
    frames_with_people: int = 0
    answers: int = 0
    events: int = 0
    labelled: int = 0
    right: int = 0
    skipped: int = 0


@dataclass(slots=True)
class _Mean:
    """The mean of probabilities, in flat memory."""

    total: NDArray[np.float64]
    count: int = 0

    def add(self, probs: NDArray[np.float32]) -> None:
        self.total += probs
        self.count += 1

    def best(self, classes: tuple[str, ...]) -> tuple[str, float] | None:
        """The most probable class by the mean, None without answers."""
        if not self.count:
            return None
        best = int(self.total.argmax())
        return classes[best], float(self.total[best] / self.count)


@dataclass(slots=True)
class _SpanMeans:
    """The mean answer in each labelled stretch: of the windows whose middle lies in it."""

    spans: tuple[Span, ...]
    classes: tuple[str, ...]
    means: list[_Mean] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.means = [_Mean(np.zeros(len(self.classes))) for _ in self.spans]

    def add(self, answer: Answer) -> None:
        middle_s = (answer.start_s + answer.time_s) / 2
        for span, mean in zip(self.spans, self.means, strict=True):
            if span.start_s <= middle_s <= span.end_s:
                mean.add(answer.probs)

    def told(self) -> list[dict[str, Any]]:
        rows = []
        for span, mean in zip(self.spans, self.means, strict=True):
            label, prob = mean.best(self.classes) or (None, None)
            rows.append(
                {"start_s": span.start_s, "end_s": span.end_s, "truth": span.label, "label": label, "prob": prob}
            )
        return rows


class Live:
    """Runs takes through a model, tells what comes out and keeps the totals."""

    def __init__(
        self,
        session: Session,
        *,
        config: LiveConfig,
        stages: Stages,
        emit: Emit,
        note: Note,
        film: Film | None = None,
    ) -> None:
        """A run.

        Args:
            session: The model.
            config: What is told.
            stages: Times the work.
            emit: Takes each record for stdout.
            note: Takes each line for the person.
            film: Draws what is seen and said, if a film is wanted.
        """
        self._session = _Timed(session, stages)
        self._config = config
        self._stages = stages
        self._emit = emit
        self._note = note
        self._film = film
        self._noted: set[str] = set()
        self.full = False  # the limit has been reached
        self.totals = Totals()

    def run(self, takes: Iterable[Take]) -> None:
        """Every take, one after the other.

        Raises:
            AmrError: What the source, the estimator or the model refuses; what came before has been told.
        """
        for take in takes:
            self._take(take)
            if self.full:
                return

    def skip(self, sentence: str) -> None:
        """A recording could not be read; the sentence says why."""
        self.totals.skipped += 1
        self._note(f"skipped: {sentence}")

    def summary(self, *, ended: str) -> dict[str, Any]:
        """The last record: what the run came to."""
        totals = self.totals
        return {
            "type": "summary",
            "ended": ended,
            "model": self._session.card.name,
            "recordings": totals.recordings,
            "skipped": totals.skipped,
            "frames": totals.frames,
            "frames_with_people": totals.frames_with_people,
            "dropped": totals.dropped,
            "seconds": round(totals.seconds, 6),
            "answers": totals.answers,
            "events": totals.events,
            "labelled": totals.labelled,
            "accuracy": totals.right / totals.labelled if totals.labelled else None,
            "latency_ms": self._stages.report(),
        }

    def close_with(self, ended: str) -> None:
        """Tell the summary, and the same in words and a table for the person."""
        totals = self.totals
        self._tell(self.summary(ended=ended))
        if not totals.frames:
            self._note("the source held no frame")
        elif not totals.frames_with_people:
            self._note(f"nobody was seen in {totals.frames} frames, so there was nothing to recognise")
        elif not totals.answers:
            window_s = self._session.card.prepare.window_s
            self._note(f"nobody stayed in view for a whole window of {window_s:g} s, so nothing was recognised")
        if totals.skipped:
            self._note(f"{totals.skipped} recordings could not be read and were skipped")
        if totals.labelled:
            share = totals.right / totals.labelled
            self._note(f"{totals.right} of {totals.labelled} labelled recordings right ({share:.1%}), by mean answer")
        self._note(self._stages.table())
        self._note(
            f"{totals.frames} frames, {totals.dropped} dropped, {totals.seconds:.1f} s of source time, "
            f"{totals.answers} answers, {totals.events} events"
        )

    def _take(self, take: Take) -> None:
        card = self._session.card
        stream, decider = Stream(self._session, take.layout, take.units), Decider(card)
        if stream.note and stream.note not in self._noted:
            self._noted.add(stream.note)
            self._note(f"note: {stream.note}")
        mean, spans = _Mean(np.zeros(len(card.classes))), _SpanMeans(take.spans, card.classes)
        self.totals.recordings += 1
        if self._film is not None:
            self._film.begin(take.fps)
        first_s = last_s = math.nan
        # A take of pictures times its own capture, before the pose; any other is timed here.
        for sighting in take if take.size else self._stages.each("capture", take):
            first_s = sighting.time_s if math.isnan(first_s) else first_s
            passed_s = self.totals.seconds + sighting.time_s - first_s
            if self._config.limit_s is not None and passed_s > self._config.limit_s:
                self.full = True
                break
            try:
                answers = self._push(stream, sighting)
            except ClipError as cause:
                raise ClipError(f"{take.title}: {cause}") from cause
            last_s = sighting.time_s
            events = decider.push(last_s, answers)
            self._say(take, answers, events)
            for answer in answers:
                mean.add(answer.probs)
                spans.add(answer)
            if answers:
                self._stages.add("total", self._stages.since_begin_ms())
            if self._film is not None:
                self._film.show(sighting, take.layout, *_captions(stream, decider, card))
        if not math.isnan(first_s):
            self.totals.seconds += last_s - first_s
        self._stages.begin()
        answers = stream.flush()
        events = [*decider.push(last_s, answers), *decider.flush()]
        self._say(take, answers, events)
        for answer in answers:
            mean.add(answer.probs)
            spans.add(answer)
        self._conclude(take, mean, spans)

    def _push(self, stream: Stream, sighting: Sighting) -> list[Answer]:
        """The stream's answers, and what they cost."""
        before_ms = self._stages.since_begin_ms()
        answers = stream.push(sighting)
        self.totals.frames += 1
        self.totals.frames_with_people += any(person is not None for person in stream.ids)
        self.totals.dropped += sighting.picture.dropped if sighting.picture is not None else 0
        if answers:
            self._stages.add("prepare", self._stages.since_begin_ms() - before_ms - self._session.spent_ms)
        return answers

    def _say(self, take: Take, answers: Iterable[Answer], events: Iterable[Event]) -> None:
        for answer in answers:
            self.totals.answers += 1
            if self._config.answers:
                self._tell({"type": "answer", "recording": take.title, **answer.to_dict(), **self._latency()})
        for event in events:
            self.totals.events += event.event == "start"
            if self._config.events:
                self._tell({"type": "event", "recording": take.title, **event.to_dict(), **self._latency()})

    def _latency(self) -> dict[str, float]:
        return {"latency_ms": round(self._stages.since_begin_ms(), 3)}

    def _conclude(self, take: Take, mean: _Mean, spans: _SpanMeans) -> None:
        """What a take was, as a whole; beside the truth where it is known."""
        best = mean.best(self._session.card.classes)
        label, prob = best or (None, None)
        right = None
        if take.label is not None and take.label in self._session.card.classes:
            right = label == take.label
            self.totals.labelled += 1
            self.totals.right += right
        self._tell(
            {
                "type": "recording",
                "recording": take.title,
                "label": label,
                "prob": None if prob is None else round(prob, 6),
                "answers": mean.count,
                "truth": take.label,
                "right": right,
                "spans": spans.told(),
            }
        )
        said = "nothing recognised" if best is None else f"{label} {prob:.2f} (mean of {mean.count})"
        truth = ""
        if take.label is not None:
            verdict = {True: "right", False: "wrong", None: "not a class of this model"}[right]
            truth = f"; truth: {take.label}, {verdict}"
        self._note(f"{take.title}: {said}{truth}")

    def _tell(self, record: dict[str, Any]) -> None:
        self._emit({"schema": SCHEMA, **record})


def _captions(stream: Stream, decider: Decider, card: Card) -> tuple[list[Person], str]:
    """What stands above each person of the newest sighting, and what stands over the scene."""

    def words(person: int | None) -> str:
        said = decider.now(person)
        return "" if said is None else f"{said[0]} {said[1]:.2f}"

    if card.persons > 1:
        return [Person(person, "") for person in stream.ids], words(None)
    return [Person(person, "" if person is None else words(person)) for person in stream.ids], ""
