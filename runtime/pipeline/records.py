"""The records that `live` emits: one frozen class for each type of JSON line.

docs/live-output.md describes every field and both schemas. The classes have the field names of schema 2; `to_dict`
gives a record as a line of either schema, `record_of` reads a line of either.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

from amr_edge.errors import ReadError

SCHEMAS = (1, 2)
DEFAULT_SCHEMA = 1  # programs that select type "answer" read today's lines

# Schema 2 -> schema 1.
_TYPES_1 = {"prediction": "answer"}
_FIELDS_1 = {"predictions": "answers", "correct": "right", "message": "sentence"}
_JOINT_FIELDS_1 = {"visible": "kept"}

_OF_THE_LOOP = ("schema", "type", "recording", "latency_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """Fields of every record.

    Attributes:
        extra: Fields of a line that was read, which this version does not know.
    """

    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def line(self) -> dict[str, Any]:
        """The record as a JSON line of schema 1."""
        return self.to_dict(1)

    def to_dict(self, schema: int = DEFAULT_SCHEMA) -> dict[str, Any]:
        """The record as a JSON line of a schema; optional fields that are None are left out."""
        values: dict[str, Any] = {"schema": schema, "type": ""}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name != "extra" and not (value is None and each.default is None):
                values[each.name] = _plain(value)
        if schema == 1:
            values["type"] = _TYPES_1.get(values["type"], values["type"])
            values = _renamed(values, _FIELDS_1)
            if "joints" in values:
                values["joints"] = [_renamed(joint, _JOINT_FIELDS_1) for joint in values["joints"]]
        return {**values, **self.extra}

    def content(self) -> dict[str, Any]:
        """The line without what only the live loop knows."""
        return {name: value for name, value in self.line.items() if name not in _OF_THE_LOOP}


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRecord(_Record):
    """A prediction for one window of one person, or of the scene.

    Attributes:
        recording: What it is about.
        start_s: First instant that was looked at, on the source's clock.
        time_s: Last instant that was looked at.
        person: Track id; None for the scene.
        people: Everyone in the clip.
        label: The most probable class.
        prob: Its probability.
        top: Up to five (class, probability), the most probable first.
        partial: The recording was shorter than the window.
        early: The person had been in view for a part of the window only.
        gated: The class that a rule of the card rejected; None otherwise.
        latency_ms: From the frame in hand to this record.
    """

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
    type: Literal["prediction"] = "prediction"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord(_Record):
    """An action: it starts, goes on, ends.

    Attributes:
        recording: What it is about.
        event: "start", "update" or "end".
        person: Track id; None for the scene.
        label: The class.
        start_s: When it was first above its threshold.
        end_s: When it was last above its threshold.
        done_s: From when to when it was done, about.
        prob: Smoothed probability; for an end, the highest there was.
        reps: Full repetitions counted so far; None if nothing is counted.
        hint: What is known of how well it was done; None if that was not requested.
        latency_ms: From the frame in hand to this record.
    """

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
class ExplainRecord(_Record):
    """Attribution of a prediction to joints and moments.

    Attributes:
        recording: What it is about.
        start_s: First instant of the window.
        time_s: Last instant of the window.
        person: Track id; None for the scene.
        people: Everyone in the clip.
        label: The predicted class.
        prob: Its probability.
        joints: Each with "person", "joint", "drop", "energy" and "visible", the most important first.
        moments: Each with "start_s", "end_s" and "drop".
        latency_ms: From the frame in hand to this record.
    """

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
class StatusRecord(_Record):
    """A source lost something and goes on.

    Attributes:
        source: Its title.
        state: "lost", "back", "malformed", "unordered", "restarted", "truncated", "failed" or "unopened".
        time_s: When, on the source's clock; None where that is unknown.
        message: The same in words.
    """

    source: str
    state: str
    time_s: float | None
    message: str
    type: Literal["status"] = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRecord(_Record):
    """A recording, video or camera came to its end.

    Attributes:
        recording: What it is about.
        label: The most probable class by the mean of all predictions; None without predictions.
        prob: Its mean probability; None without predictions.
        predictions: How many there were.
        truth: The recording's own label; None if it has none.
        correct: Whether the two agree; None if that is unknown.
        spans: For each labelled stretch "start_s", "end_s", "truth", "label" and "prob".
    """

    recording: str
    label: str | None
    prob: float | None
    predictions: int
    truth: str | None
    correct: bool | None
    spans: tuple[Mapping[str, Any], ...]
    type: Literal["recording"] = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRecord(_Record):
    """The last record: totals of the run.

    Attributes:
        ended: "end", "limit" or "interrupted".
        model: The name on the model's card.
        recordings: How many were gone through.
        skipped: Files that could not be read.
        frames: Frames taken.
        frames_with_people: Those with a person in them.
        dropped: Frames that a camera had to drop.
        losses: How often each state of `StatusRecord` came up.
        seconds: Source time, first to last frame, over all recordings.
        predictions: How many were given.
        events: How many events started.
        labelled: Recordings whose label is a class of the model.
        accuracy: Share of them that was predicted correctly; None if there were none.
        latency_ms: Stage -> "count", "p50", "p90", "p99", "max".
        sinks: Of each sink "to", "sent", "lost", "waiting", "failures" and the last "fault".
    """

    ended: str
    model: str
    recordings: int
    skipped: int
    frames: int
    frames_with_people: int
    dropped: int
    losses: Mapping[str, int]
    seconds: float
    predictions: int
    events: int
    labelled: int
    accuracy: float | None
    latency_ms: Mapping[str, Mapping[str, float]]
    sinks: tuple[Mapping[str, Any], ...] = ()
    type: Literal["summary"] = "summary"


LiveRecord = PredictionRecord | EventRecord | ExplainRecord | StatusRecord | RecordingRecord | SummaryRecord

KINDS: Mapping[str, type[LiveRecord]] = {
    "prediction": PredictionRecord,
    "event": EventRecord,
    "explain": ExplainRecord,
    "status": StatusRecord,
    "recording": RecordingRecord,
    "summary": SummaryRecord,
}


def record_of(line: Mapping[str, Any]) -> LiveRecord:
    """A JSON line of `live`, of schema 1 or 2, as a record; fields that are not known here are in `extra`.

    Raises:
        ReadError: If it is no line of `live`: of another type, or without one of its fields.

    >>> line = {"type": "status", "source": "camera 0", "state": "lost", "time_s": 2.0, "sentence": "camera 0: ..."}
    >>> record_of(line)
    StatusRecord(source='camera 0', state='lost', time_s=2.0, message='camera 0: ...', type='status')
    """
    schema_1 = line.get("schema", 1) == 1
    names = {old: new for new, old in _FIELDS_1.items()} if schema_1 else {}
    types = {old: new for new, old in _TYPES_1.items()} if schema_1 else {}
    kind = KINDS.get(types.get(str(line.get("type")), str(line.get("type"))))
    if kind is None:
        raise ReadError(
            f"expected a line of `amr-edge live`, of type {', '.join(KINDS)}, got type {line.get('type')!r}; "
            "leave out what others wrote between the lines"
        )
    values = _renamed(line, names)
    if schema_1 and kind is ExplainRecord and isinstance(line.get("joints"), list | tuple):
        back = {old: new for new, old in _JOINT_FIELDS_1.items()}
        values["joints"] = [_renamed(joint, back) for joint in line["joints"]]
    known = {each.name: each for each in fields(kind) if each.name not in ("extra", "type")}
    required = [name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise ReadError(
            f"expected {', '.join(missing)} in a line of type '{line['type']}', they are not there; "
            "read what `amr-edge live` wrote, whole lines of it"
        )
    extra = {name: value for name, value in values.items() if name not in {*known, "schema", "type"}}
    return kind(extra=extra, **{name: _fixed(values[name]) for name in known if name in values})


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _plain(value: Any) -> Any:
    """Tuples as JSON's lists."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _fixed(value: Any) -> Any:
    """JSON's lists as tuples, so that a record cannot change."""
    return tuple(_fixed(item) for item in value) if isinstance(value, list | tuple) else value
