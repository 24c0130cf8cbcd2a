"""Records of `live` in both schemas."""

import json
from typing import Any

import pytest

from amr_edge.runtime.pipeline.pipeline import status_record
from amr_edge.runtime.pipeline.records import (
    EventRecord,
    ExplainRecord,
    LiveRecord,
    PredictionRecord,
    RecordingRecord,
    StatusRecord,
    SummaryRecord,
    record_of,
)
from amr_edge.runtime.sources.health import Status

PREDICTION = PredictionRecord(
    recording="a", start_s=0.0, time_s=1.0, person=0, people=(0,), label="wave", prob=0.9, top=(("wave", 0.9),),
    partial=False, early=False, latency_ms=1.5,
)  # fmt: skip
EXPLAIN = ExplainRecord(
    recording="a", start_s=0.0, time_s=1.0, person=0, people=(0,), label="wave", prob=0.9,
    joints=({"person": 0, "joint": "head", "drop": 0.1, "energy": 0.2, "visible": 0.5},), moments=(), latency_ms=1.5,
)  # fmt: skip
RECORDING = RecordingRecord(
    recording="a", label="wave", prob=0.9, predictions=5, truth="wave", correct=True, spans=()
)  # fmt: skip
SUMMARY = SummaryRecord(
    ended="end", model="m", recordings=1, skipped=0, frames=9, frames_with_people=9, dropped=0, losses={}, seconds=0.3,
    predictions=5, events=1, labelled=1, accuracy=1.0, latency_ms={},
)  # fmt: skip
EVENT = EventRecord(
    recording="a", event="end", person=None, label="wave", start_s=1.0, end_s=2.0, done_s=(0.0, 1.0), prob=0.9,
    latency_ms=1.0, reps=2, hint={"correct": 0.81},
)  # fmt: skip
STATUS = StatusRecord(source="camera 0", state="lost", time_s=1.0, message="camera 0: lost")
EVERY = (PREDICTION, EXPLAIN, RECORDING, SUMMARY, EVENT, STATUS)


@pytest.mark.parametrize("record", EVERY, ids=lambda each: each.type)
@pytest.mark.parametrize("schema", [1, 2])
def test_a_line_of_either_schema_is_read_back_as_the_record(record: LiveRecord, schema: int) -> None:
    line = json.loads(json.dumps(record.to_dict(schema)))
    assert line["schema"] == schema
    back = record_of(line)
    assert back == record
    assert back.extra == {}


@pytest.mark.parametrize(
    ("record", "schema_1", "schema_2"),
    [
        (PREDICTION, {"type": "answer"}, {"type": "prediction"}),
        (RECORDING, {"answers": 5, "right": True}, {"predictions": 5, "correct": True}),
        (SUMMARY, {"answers": 5}, {"predictions": 5}),
        (STATUS, {"sentence": "camera 0: lost"}, {"message": "camera 0: lost"}),
        (EVENT, {"hint": {"correct": 0.81}}, {"hint": {"correct": 0.81}}),
    ],
    ids=lambda each: getattr(each, "type", ""),
)
def test_the_schemas_differ_in_these_names(
    record: LiveRecord, schema_1: dict[str, Any], schema_2: dict[str, Any]
) -> None:
    first, second = record.to_dict(1), record.to_dict(2)
    assert schema_1.items() <= first.items()
    assert schema_2.items() <= second.items()
    assert record.line == first
    assert len(first) == len(second)


def test_an_explanation_names_the_tokens_of_a_joint_by_schema() -> None:
    assert EXPLAIN.to_dict(1)["joints"][0]["kept"] == EXPLAIN.to_dict(2)["joints"][0]["visible"] == 0.5


def test_fields_that_do_not_apply_are_left_out_and_those_without_a_value_are_null() -> None:
    assert "gated" not in PREDICTION.to_dict(2)
    assert RecordingRecord(
        recording="a", label=None, prob=None, predictions=0, truth=None, correct=None, spans=()
    ).to_dict(2)["correct"] is None  # fmt: skip


def test_a_status_becomes_a_record_with_its_time_in_microseconds() -> None:
    status = Status(source="camera 0", state="lost", sentence="camera 0: lost", time_s=1.23456789)
    assert status_record(status).line == {
        "schema": 1,
        "type": "status",
        "source": "camera 0",
        "state": "lost",
        "time_s": 1.234568,
        "sentence": "camera 0: lost",
    }
