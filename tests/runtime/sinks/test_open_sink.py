"""The table of sinks: every line opens something, a sink of one's own goes through as it is."""

from pathlib import Path

import pytest

from amr_edge.runtime import factories
from amr_edge.runtime.sinks.async_sink import AsyncSink, AsyncSinkConfig, Record
from amr_edge.runtime.sinks.files import TextFile
from amr_edge.runtime.sinks.open_sink import SINKS, is_video, open_sink


class ListSink:
    """A sink of one's own."""

    title = "a list"

    def __init__(self) -> None:
        self.records: list[Record] = []

    def open(self) -> None: ...

    def send(self, item: Record) -> None:
        self.records.append(item)

    def drop(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("form", SINKS)
def test_every_line_of_the_table_names_a_factory(form: str) -> None:
    assert form.endswith("://") or form.startswith(".")
    assert callable(factories.load(SINKS[form]))


def test_a_suffix_counts_in_any_case_and_not_behind_a_scheme(tmp_path: Path) -> None:
    assert isinstance(open_sink(str(tmp_path / "OUT.CSV")), TextFile)
    assert open_sink("https://host/out.csv").title == "https://host/..."
    assert is_video("out.MP4")
    assert not is_video("https://host/out.mp4")


def test_a_sink_of_ones_own_takes_every_record() -> None:
    mine = ListSink()
    assert open_sink(mine) is mine
    outlet = AsyncSink[Record](open_sink(mine), AsyncSinkConfig(), note=lambda _: None)
    outlet.put({"schema": 1, "type": "event"})
    assert outlet.close().whole
    assert mine.records == [{"schema": 1, "type": "event"}]
