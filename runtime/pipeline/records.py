"""What `live` tells, as types: one frozen class for each type of JSON line, with the same fields.

docs/live-output.md says what every field means. `record_of` reads a line, so a file that `amr-edge live` wrote can be
read back with the same types.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

from amr_edge.errors import ReadError


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRecord:
    """The model answered for one window of one person, or of the scene.

    Attributes:
        line: The whole JSON line.
        recording: What it is about.
        start_s: First instant that was looked at, on the source's clock.
        time_s: Last instant that was looked at.
        person: Whose answer it is; None for the scene.
        people: Everyone in the clip.
        label: The most probable class.
        prob: Its probability.
        top: Up to five (class, probability), the most probable first.
        partial: The recording was shorter than the window.
        early: The person had been in view for a part of the window only.
        gated: The class that a rule of the card did not let through; None otherwise.
        latency_ms: From the frame in hand to this record.
    """

    line: Mapping[str, Any] = field(repr=False, compare=False)
    recording: str
    start_s: float
    time_s: float
    person: int | None
    people: tuple[int, ...]
    label: str
    prob: float
    top: tuple[tuple[str, float], ...]
    partial: bool
    early: bool
    latency_ms: float
    gated: str | None = None
    type: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An action: it starts, goes on, ends.

    Attributes:
        line: The whole JSON line.
        recording: What it is about.
        event: "start", "update" or "end".
        person: Who; None for the scene.
        label: What.
        start_s: When it was first believed.
        end_s: When it was last believed.
        done_s: From when to when it was done, about.
        prob: Smoothed probability; for an end, the highest there was.
        reps: Full repetitions counted so far; None if nothing is counted.
        hint: What is known of how well it was done; None if that was not requested.
        latency_ms: From the frame in hand to this record.
    """

    line: Mapping[str, Any] = field(repr=False, compare=False)
    recording: str
    event: Literal["start", "update", "end"]
    person: int | None
    label: str
    start_s: float
    end_s: float
    done_s: tuple[float, float]
    prob: float
    latency_ms: float
    reps: int | None = None
    hint: Mapping[str, Any] | None = None
    type: Literal["event"] = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRecord:
    """Which joints and moments drove an answer.

    Attributes:
        line: The whole JSON line.
        recording: What it is about.
        start_s: First instant of the window.
        time_s: Last instant of the window.
        person: Whose answer it explains; None for the scene.
        people: Everyone in the clip.
        label: The answer.
        prob: Its probability.
        joints: Each with "person", "joint", "drop", "energy" and "kept", the most important first.
        moments: Each with "start_s", "end_s" and "drop".
        latency_ms: From the frame in hand to this record.
    """

    line: Mapping[str, Any] = field(repr=False, compare=False)
    recording: str
    start_s: float
    time_s: float
    person: int | None
    people: tuple[int, ...]
    label: str
    prob: float
    joints: tuple[Mapping[str, Any], ...]
    moments: tuple[Mapping[str, Any], ...]
    latency_ms: float
    type: Literal["explain"] = "explain"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRecord:
    """A source lost something and goes on.

    Attributes:
        line: The whole JSON line.
        source: Its title.
        state: "lost", "back", "malformed", "unordered", "restarted", "truncated", "failed" or "unopened".
        time_s: When, on the source's clock; None where that is unknown.
        sentence: The same for a person.
    """

    line: Mapping[str, Any] = field(repr=False, compare=False)
    source: str
    state: str
    time_s: float | None
    sentence: str
    type: Literal["status"] = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRecord:
    """A recording, video or camera came to its end.

    Attributes:
        line: The whole JSON line.
        recording: What it is about.
        label: The most probable class by the mean of all answers; None without answers.
        prob: Its mean probability; None without answers.
        answers: How many there were.
        truth: The recording's own label; None if it has none.
        right: Whether the two agree; None if that is unknown.
        spans: For each labelled stretch "start_s", "end_s", "truth", "label" and "prob".
    """

    line: Mapping[str, Any] = field(repr=False, compare=False)
    recording: str
    label: str | None
    prob: float | None
    answers: int
    truth: str | None
    right: bool | None
    spans: tuple[Mapping[str, Any], ...]
    type: Literal["recording"] = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRecord:
    """The last record: what the run came to.

    Attributes:
        line: The whole JSON line.
        ended: "end", "limit" or "interrupted".
        model: The name on the model's card.
        recordings: How many were gone through.
        skipped: Files that could not be read.
        frames: Frames taken.
        frames_with_people: Those with a person in them.
        dropped: Frames that a camera had to drop.
        losses: How often each state of `StatusRecord` came up.
        seconds: Source time, first to last frame, over all recordings.
        answers: How many answers were given.
        events: How many events started.
        labelled: Recordings whose label is a class of the model.
        accuracy: Share of them that was right; None if there were none.
        latency_ms: Stage -> "count", "p50", "p90", "p99", "max".
    """

    line: Mapping[str, Any] = field(repr=False, compare=False)
    ended: str
    model: str
    recordings: int
    skipped: int
    frames: int
    frames_with_people: int
    dropped: int
    losses: Mapping[str, int]
    seconds: float
    answers: int
    events: int
    labelled: int
    accuracy: float | None
    latency_ms: Mapping[str, Mapping[str, float]]
    type: Literal["summary"] = "summary"


LiveRecord = PredictionRecord | EventRecord | ExplainRecord | StatusRecord | RecordingRecord | SummaryRecord

KINDS: Mapping[str, type[LiveRecord]] = {
    "answer": PredictionRecord,
    "event": EventRecord,
    "explain": ExplainRecord,
    "status": StatusRecord,
    "recording": RecordingRecord,
    "summary": SummaryRecord,
}


def record_of(line: Mapping[str, Any]) -> LiveRecord:
    """A JSON line of `live` as a record; fields that are not known here are in `line` alone.

    Raises:
        ReadError: If it is no line of `live`: of another type, or without one of its fields.

    >>> line = {"type": "status", "source": "camera 0", "state": "lost", "time_s": 2.0, "sentence": "camera 0: ..."}
    >>> record_of(line)
    StatusRecord(source='camera 0', state='lost', time_s=2.0, sentence='camera 0: ...', type='status')
    """
    kind = KINDS.get(str(line.get("type")))
    if kind is None:
        raise ReadError(
            f"expected a line of `amr-edge live`, of type {', '.join(KINDS)}, got type {line.get('type')!r}; "
            "leave out what others wrote between the lines"
        )
    known = {each.name: each.default for each in fields(kind) if each.name not in ("line", "type")}
    missing = [name for name, default in known.items() if default is MISSING and name not in line]
    if missing:
        raise ReadError(
            f"expected {', '.join(missing)} in a line of type '{line['type']}', they are not there; "
            "read what `amr-edge live` wrote, whole lines of it"
        )
    return kind(line=line, **{name: _fixed(line[name]) for name in known if name in line})


def _fixed(value: Any) -> Any:
    """JSON's lists as tuples, so that a record cannot change."""
    return tuple(_fixed(item) for item in value) if isinstance(value, list | tuple) else value
