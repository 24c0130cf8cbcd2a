"""The live loop: source -> pose -> windows -> model -> events -> outputs."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.recording import Span
from amr_edge.errors import ClipError, ConfigError, LayoutError
from amr_edge.live_settings import LiveSettings
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.inference.session import Session
from amr_edge.runtime.pipeline.attribution import Explainer, Explanation
from amr_edge.runtime.pipeline.event_detector import Event, EventDetector
from amr_edge.runtime.pipeline.one_euro import strength
from amr_edge.runtime.pipeline.recognizer import Prediction, Recognizer, slow_source
from amr_edge.runtime.pipeline.records import LiveRecord, RecordingRecord, StatusRecord, SummaryRecord
from amr_edge.runtime.render.draw import Person, Scene
from amr_edge.runtime.sources.health import Health, Status
from amr_edge.runtime.sources.recorded import CameraGroup, SourceRun
from amr_edge.runtime.stage_timer import Stages
from amr_edge.skeleton import Mask

Emit = Callable[[LiveRecord], None]
Note = Callable[[str], None]

REMEMBERED_S = 5.0  # how long an explanation stays beside a person, by the source's clock


class View(Protocol):
    """Something that shows scenes; it never makes recognition wait."""

    def show(self, scene: Scene) -> None:
        """Poses and captions of one instant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """Settings of the live loop.

    Attributes:
        limit_s: Stop after so many seconds of the source's time; None goes on to its end.
        early: Share of a window from which early predictions are given; None gives none.
        smooth: How much joints are smoothed before the model sees them: "off", "low" or "high".
        quality: Ends of events carry a hint at how likely their repetitions were done rightly.
        settings: Event detection and tracking; None takes the card's.
    """

    limit_s: float | None = None
    early: float | None = None
    smooth: str = "off"
    quality: bool = False
    settings: LiveSettings | None = None

    def __post_init__(self) -> None:
        if self.limit_s is not None and not self.limit_s > 0:
            raise ConfigError(f"the limit must be above 0 seconds, got {self.limit_s}")
        strength(self.smooth)


@dataclass(slots=True)
class _Timed:
    """A session that remembers how long it took."""

    inner: Session
    stages: Stages
    spent_ms: float = 0.0
    inputs: tuple[NDArray[np.float32], Mask] | None = None  # the clips of the last forward

    @property
    def card(self) -> Card:
        return self.inner.card

    @property
    def title(self) -> str:
        return self.inner.title

    @property
    def tokens(self) -> int:
        return self.inner.tokens

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        before_ms = self.stages.since_begin_ms()
        probs = self.inner.probs(values, present)
        self.spent_ms = self.stages.since_begin_ms() - before_ms
        self.inputs = values, present
        return probs


@dataclass(slots=True)
class RunTotals:
    """Counts over a run."""

    recordings: int = 0
    frames: int = 0
    dropped: int = 0
    seconds: float = 0.0
    frames_with_people: int = 0
    predictions: int = 0
    events: int = 0
    labelled: int = 0
    correct: int = 0
    skipped: int = 0


class _Mean:
    """The mean of probabilities, in flat memory."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._total = np.zeros(len(classes))
        self.count = 0

    def add(self, probs: NDArray[np.float32]) -> None:
        self._total += probs
        self.count += 1

    @property
    def best(self) -> tuple[str | None, float | None]:
        """The most probable class by the mean, and its probability; nothing without predictions."""
        if not self.count:
            return None, None
        best = int(self._total.argmax())
        return self._classes[best], round(float(self._total[best]) / self.count, 6)


class _History:
    """Predictions of a recording, as a whole and in each labelled span."""

    def __init__(self, classes: tuple[str, ...], spans: tuple[Span, ...]) -> None:
        self.mean = _Mean(classes)
        self._spans = [(span, _Mean(classes)) for span in spans]

    def add(self, prediction: Prediction) -> None:
        self.mean.add(prediction.probs)
        middle_s = (prediction.start_s + prediction.time_s) / 2
        for span, mean in self._spans:
            if span.start_s <= middle_s <= span.end_s:
                mean.add(prediction.probs)

    def spans(self) -> tuple[dict[str, str | float | None], ...]:
        return tuple(
            {
                "start_s": span.start_s,
                "end_s": span.end_s,
                "truth": span.label,
                "label": mean.best[0],
                "prob": mean.best[1],
            }
            for span, mean in self._spans
        )


@dataclass(slots=True)
class _Running:
    """A take that is on, and what follows it."""

    take: SourceRun
    stream: Recognizer
    detector: EventDetector
    history: _History
    warned_slow: bool
    place: int = 0  # among those that go on at the same time
    places: int = 1
    first_s: float = math.nan
    last_s: float = math.nan

    @property
    def seconds(self) -> float:
        """Seconds since the first frame; 0 before it."""
        return 0.0 if math.isnan(self.first_s) else self.last_s - self.first_s


class LivePipeline:
    """Runs takes through a model, tells what comes out and keeps the totals."""

    def __init__(
        self,
        session: Session,
        *,
        config: LiveConfig,
        stages: Stages,
        emit: Emit,
        note: Note,
        views: Sequence[View] = (),
        explainer: Explainer | None = None,
        deliveries: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        """A run.

        Args:
            session: The model.
            config: What is emitted.
            stages: Times the work.
            emit: Takes each record for stdout.
            note: Takes each line for the person.
            views: Show frames and predictions.
            explainer: Says which joints and moments drove the predictions, if that is wanted.
            deliveries: What has become of the records of every sink until now, for the summary.
        """
        self._session = _Timed(session, stages)
        self._config = config
        self._stages = stages
        self._emit = emit
        self._note = note
        self._views = views
        self._explainer = explainer
        self._deliveries = deliveries
        self._on: list[_Running] = []  # takes that have begun and not ended
        self._explained: dict[tuple[str, int | None], Explanation] = {}
        self._noted: set[str] = set()
        self.limit_reached = False  # the limit has been reached
        self.totals = RunTotals()
        self.health = Health(self._status)

    def run(self, takes: Iterable[SourceRun | CameraGroup]) -> None:
        """Every take, one after the other; those that go on together, together.

        Raises:
            AmrError: What the source, the estimator or the model refuses; records before it have been emitted.
        """
        for take in takes:
            if isinstance(take, CameraGroup):
                self._together(take)
            else:
                self._take(take)
            if self.limit_reached:
                return

    def skip(self, sentence: str) -> None:
        """A recording could not be read; the sentence says why."""
        self.totals.skipped += 1
        self._note(f"skipped: {sentence}")

    def summary(self, *, ended: str) -> SummaryRecord:
        """The last record: totals of the run."""
        totals = self.totals
        return SummaryRecord(
            ended=ended,
            model=self._session.card.name,
            recordings=totals.recordings,
            skipped=totals.skipped,
            frames=totals.frames,
            frames_with_people=totals.frames_with_people,
            dropped=totals.dropped,
            losses=self.health.losses,
            seconds=round(totals.seconds, 6),
            predictions=totals.predictions,
            events=totals.events,
            labelled=totals.labelled,
            accuracy=totals.correct / totals.labelled if totals.labelled else None,
            latency_ms=self._stages.report(),
            sinks=tuple(self._deliveries()),
        )

    def close_with(self, ended: str) -> None:
        """Tell the summary, and the same in words and a table for the person."""
        for running in self._on:  # interrupted: open events end for every client
            self._emit_results(running.take, running.history, [], running.detector.flush())
        self._on.clear()
        totals = self.totals
        self._emit(self.summary(ended=ended))
        if not totals.frames:
            self._note("the source held no frame")
        elif not totals.frames_with_people:
            self._note(f"no person was seen in {totals.frames} frames, so there was nothing to recognise")
        elif not totals.predictions:
            window_s = self._session.card.prepare.window_s
            self._note(f"no person stayed in view for a whole window of {window_s:g} s, so nothing was recognised")
        if self.health.losses:
            words = ", ".join(f"{state} {count}" for state, count in self.health.losses.items())
            self._note(f"survived: {words}; docs/sources.md says what each means")
        if totals.skipped:
            self._note(f"{totals.skipped} recordings could not be read and were skipped")
        if totals.labelled:
            share = totals.correct / totals.labelled
            self._note(
                f"{totals.correct} of {totals.labelled} labelled recordings right ({share:.1%}), by mean prediction"
            )
        self._note(self._stages.table())
        self._note(
            f"{totals.frames} frames, {totals.dropped} dropped, {totals.seconds:.1f} s of source time, "
            f"{totals.predictions} predictions, {totals.events} events"
        )

    def _take(self, take: SourceRun) -> None:
        running = self._begin(take)
        # A take of pictures times its own capture, before the pose; any other is timed here.
        try:
            for frame in take if take.size else self._stages.each("capture", take):
                if not self._process(running, frame):
                    break
        finally:  # also of what is interrupted
            self.totals.seconds += running.seconds
        self._end(running)

    def _together(self, together: CameraGroup) -> None:
        running = [self._begin(take, place, len(together.takes)) for place, take in enumerate(together.takes)]
        try:
            for place, frame in together.frames:
                if not self._process(running[place], frame):
                    break
        finally:  # also of what is interrupted
            self.totals.seconds += max((each.seconds for each in running), default=0.0)
        for each in running:
            self._end(each)

    def _begin(self, take: SourceRun, place: int = 0, places: int = 1) -> _Running:
        card = self._session.card
        try:
            smooth, settings = strength(self._config.smooth), self._config.settings
            stream = Recognizer(
                self._session,
                take.layout,
                take.units,
                early=self._config.early,
                smooth=smooth,
                quality=self._config.quality,
                tracker=None if settings is None else settings.tracker,
            )
        except LayoutError as cause:
            raise LayoutError(f"{take.title}: {cause}") from cause
        self._note_once(stream.note)
        slow = slow_source(take.fps, card)
        self._note_once(slow)
        self.totals.recordings += 1
        self._explained.clear()
        history = _History(card.classes, take.spans)
        detector = EventDetector(card, None if settings is None else settings.events)
        running = _Running(take, stream, detector, history, slow is not None, place, places)
        self._on.append(running)
        return running

    def _process(self, running: _Running, frame: Frame) -> bool:
        """The next instant of a take; False once the limit has been reached."""
        take, stream = running.take, running.stream
        running.first_s = frame.time_s if math.isnan(running.first_s) else running.first_s
        passed_s = self.totals.seconds + frame.time_s - running.first_s
        if self._config.limit_s is not None and passed_s > self._config.limit_s:
            self.limit_reached = True
            return False
        try:
            predictions = self._timed(partial(stream.push, frame))
        except ClipError as cause:
            raise ClipError(f"{take.title}: {cause}") from cause
        running.last_s = frame.time_s
        self._count(frame, stream)
        if not running.warned_slow and stream.slow is not None:
            running.warned_slow = True
            self._note_once(f"{take.title}: {stream.slow}")
        self._emit_results(take, running.history, predictions, running.detector.push(running.last_s, predictions))
        self._explain(take, predictions)
        if self._views:
            scene = self._scene(running, frame)
            for view in self._views:
                view.show(scene)
        return True

    def _end(self, running: _Running) -> None:
        self._on.remove(running)
        self._stages.begin()
        predictions = self._timed(running.stream.flush)
        detector = running.detector
        events = [*detector.push(running.last_s, predictions), *detector.flush()]
        self._emit_results(running.take, running.history, predictions, events)
        self._explain(running.take, predictions, finish=True)
        self._conclude(running.take, running.history)

    def _status(self, status: Status) -> None:
        self._emit(status_record(status))
        self._note(f"note: {status.sentence}")

    def _note_once(self, sentence: str | None) -> None:
        """Report a flaw that all recordings of a folder have only once."""
        if sentence and sentence not in self._noted:
            self._noted.add(sentence)
            self._note(f"note: {sentence}")

    def _timed(self, predict: Callable[[], list[Prediction]]) -> list[Prediction]:
        """The stream's predictions, and what they cost."""
        before_ms = self._stages.since_begin_ms()
        predictions = predict()
        if predictions:
            self._stages.add("prepare", self._stages.since_begin_ms() - before_ms - self._session.spent_ms)
            self._stages.add("infer", self._session.spent_ms)
        return predictions

    def _count(self, frame: Frame, stream: Recognizer) -> None:
        self.totals.frames += 1
        self.totals.frames_with_people += any(person is not None for person in stream.ids)
        self.totals.dropped += frame.dropped

    def _emit_results(
        self, take: SourceRun, history: _History, predictions: Sequence[Prediction], events: Iterable[Event]
    ) -> None:
        for prediction in predictions:
            history.add(prediction)
            self.totals.predictions += 1
            self._emit(prediction.to_record(take.title, self._latency_ms()))
        for event in events:
            self.totals.events += event.event == "start"
            self._emit(event.to_record(take.title, self._latency_ms()))
        if predictions:
            self._stages.add("total", self._stages.since_begin_ms())

    def _explain(self, take: SourceRun, predictions: Sequence[Prediction], *, finish: bool = False) -> None:
        """Go on explaining, and tell what has been found."""
        if self._explainer is None:
            return
        before_ms = self._stages.since_begin_ms()
        if predictions and self._session.inputs is not None:
            self._explainer.offer(predictions, *self._session.inputs, only=finish)
        explanation = self._explainer.work(finish=finish)
        spent_ms = self._stages.since_begin_ms() - before_ms
        if explanation is not None:
            self._stages.add("explain", spent_ms)
            self._explained[take.title, explanation.prediction.person] = explanation
            if len(self._explained) > 100:  # people who left long ago
                del self._explained[next(iter(self._explained))]
            self._emit(explanation.to_record(take.title, self._latency_ms()))

    def _scene(self, running: _Running, frame: Frame) -> Scene:
        """Scene with the attribution of each label."""
        take, stream = running.take, running.stream
        people, banner = _captions(stream, running.detector, self._session.card)
        for place, person in enumerate(people):
            found = self._explained.get((take.title, None if self._session.card.persons > 1 else person.id))
            if found is None or person.id is None or frame.time_s - found.prediction.time_s > REMEMBERED_S:
                continue
            weights = found.joint_weights(person.id, take.layout)
            people[place] = person._replace(weights=weights, moments=found.moment_weights())
        return Scene(
            take=self.totals.recordings,
            title=take.title,
            fps=take.fps,
            layout=take.layout,
            frame=frame,
            people=tuple(people),
            banner=banner,
            place=running.place,
            places=running.places,
        )

    def _latency_ms(self) -> float:
        return round(self._stages.since_begin_ms(), 3)

    def _conclude(self, take: SourceRun, history: _History) -> None:
        """Label of a whole recording, with the ground truth where it is known."""
        label, prob = history.mean.best
        correct = None
        if take.label is not None and take.label in self._session.card.classes:
            correct = label == take.label
            self.totals.labelled += 1
            self.totals.correct += correct
        self._emit(
            RecordingRecord(
                recording=take.title,
                label=label,
                prob=prob,
                predictions=history.mean.count,
                truth=take.label,
                correct=correct,
                spans=history.spans(),
            )
        )
        words = "nothing recognised" if label is None else f"{label} {prob:.2f} (mean of {history.mean.count})"
        verdict = {True: "right", False: "wrong", None: "not a class of this model"}[correct]
        self._note(f"{take.title}: {words}" + ("" if take.label is None else f"; truth: {take.label}, {verdict}"))


def status_record(status: Status) -> StatusRecord:
    """A status of a source as a record of `live`."""
    time_s = None if status.time_s is None else round(status.time_s, 6)
    return StatusRecord(source=status.source, state=status.state, time_s=time_s, message=status.sentence)


def _captions(stream: Recognizer, detector: EventDetector, card: Card) -> tuple[list[Person], str]:
    """Captions of each person of the newest frame, and of the scene."""

    def words(person: int | None) -> str:
        history = detector.now(person)
        if history is None:
            return ""
        reps = detector.reps(person)
        return f"{history[0]} {history[1]:.2f}" + ("" if reps is None else f", {reps}×")

    if card.persons > 1:
        return [Person(person, "") for person in stream.ids], words(None)
    return [Person(person, "" if person is None else words(person)) for person in stream.ids], ""
