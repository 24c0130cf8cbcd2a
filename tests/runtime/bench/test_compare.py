"""Equal is called equal, slower is called slower, and a gate closes on both slowness and ignorance."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.errors import AmrError, CheckFailedError, ConfigError, ReadError
from amr_edge.runtime.bench.compare import (
    Ratio,
    check_limits,
    compare_reports,
    median_between,
    paired,
    parse_milliseconds,
    parse_percent,
    read_report,
    unpaired,
)


def test_models_that_take_the_same_are_called_the_same_in_nearly_every_run() -> None:
    rng = np.random.default_rng(0)
    said = []
    for _ in range(200):
        drift = np.cumsum(rng.normal(0, 0.3, 25)) + 20  # the machine wanders by far more than the noise
        ratio = paired(drift * rng.normal(1, 0.03, 25), drift * rng.normal(1, 0.03, 25))
        assert ratio is not None
        said.append(ratio.same)
    assert np.mean(said) > 0.95


def test_a_model_that_takes_a_twentieth_longer_is_called_slower() -> None:
    rng = np.random.default_rng(0)
    drift = np.cumsum(rng.normal(0, 0.3, 40)) + 20
    ratio = paired(1.05 * drift * rng.normal(1, 0.02, 40), drift * rng.normal(1, 0.02, 40))
    assert ratio is not None
    assert not ratio.same
    assert ratio.low < 1.05 < ratio.high
    assert ratio.words().endswith("x slower")
    assert Ratio(0.5, 0.49, 0.51, 0.01).words() == "2.00x faster"


def test_too_few_rounds_allow_no_verdict() -> None:
    assert paired(np.arange(1.0, 8.0), np.arange(1.0, 8.0)) is None
    assert paired(np.full(30, np.nan), np.full(30, 1.0)) is None


def test_the_bounds_of_a_median_hold_it_as_often_as_they_promise() -> None:
    rng = np.random.default_rng(0)
    held = [low <= 0 <= high for low, high in (median_between(rng.normal(size=31)) for _ in range(2000))]
    assert np.mean(held) >= 0.985


@given(st.integers(8, 3000))
def test_the_bounds_of_a_median_lie_around_it(n: int) -> None:
    low, high = median_between(np.arange(float(n)))
    assert 0 <= low <= (n - 1) / 2 <= high <= n - 1
    assert low == pytest.approx(n - 1 - high)


def row(name: str, p50: float, *, spread: float = 0.002, valid: bool = True, p99: float = 12.0) -> dict[str, Any]:
    blocks = (p50 * (1 + spread * np.linspace(-1, 1, 10))).tolist()
    way = {"mode": "back to back", "people": 1, "budget": 1.0, "threads": 1, "engine": "e", "precision": "fp32"}
    return {
        "name": name,
        **way,
        "blocks_ms": blocks,
        "latency_ms": {"p50": p50, "p99": p99},
        "valid": valid,
        "reasons": [] if valid else ["throttled"],
    }


def report(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"schema": 2, "kind": "amr-edge bench", "rows": list(rows)}


def compared(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    return {**new, "compared": compare_reports(new, old, "old.json")}


def test_a_gate_passes_what_is_no_slower_and_stops_what_is() -> None:
    old = report(row("a", 10.0))
    check_limits(compared(report(row("a", 10.3)), old), max_regression=0.05)
    check_limits(compared(report(row("a", 8.0)), old), max_regression=0.05)
    with pytest.raises(CheckFailedError, match=r"10\.0% slower than before, 5\.0% is allowed"):
        check_limits(compared(report(row("a", 11.0)), old), max_regression=0.05)


def test_a_gate_stops_when_noise_hides_what_it_should_see() -> None:
    noisy = compared(report(row("a", 10.0, spread=0.3)), report(row("a", 10.0)))
    with pytest.raises(CheckFailedError, match=r"hides a change of 5\.0%"):
        check_limits(noisy, max_regression=0.05)


def test_a_gate_on_the_tail_names_the_row() -> None:
    check_limits(report(row("a", 10.0)), max_p99_ms=20)
    with pytest.raises(CheckFailedError, match=r"a: p99 is 12 ms, 11\.5 ms is allowed"):
        check_limits(report(row("a", 10.0)), max_p99_ms=11.5)


def test_invalid_numbers_pass_no_gate_and_without_a_gate_stop_nothing() -> None:
    check_limits(report(row("a", 10.0, valid=False)))
    with pytest.raises(CheckFailedError, match="a is INVALID"):
        check_limits(report(row("a", 10.0, valid=False)), max_p99_ms=1000)


def test_rows_are_compared_with_rows_that_were_asked_in_the_same_way() -> None:
    old = report(row("a", 10.0), {**row("a", 50.0), "people": 5})
    (found,) = compare_reports(report({**row("a", 50.0), "people": 5}), old, "old.json")
    assert found["same"]
    with pytest.raises(ReadError, match="none of its rows"):
        compare_reports(report(row("b", 1.0), row("c", 1.0)), old, "old.json")


def test_two_single_rows_are_compared_whatever_their_names() -> None:
    (found,) = compare_reports(report(row("new", 20.0)), report(row("old", 10.0)), "old.json")
    assert found["words"] == "2.00x slower"


def test_unpaired_runs_never_claim_less_than_three_percent() -> None:
    assert unpaired([10.2] * 10, [10.0] * 10, 10.2, 10.0).same
    assert not unpaired([10.5] * 10, [10.0] * 10, 10.5, 10.0).same


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", '{"kind": "amr-edge bench", "rows": [], "schema": 1}', '{"kind": "x", "rows": []}'],
)
def test_what_is_no_report_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(ReadError, match=r"old\.json"):
        read_report(tmp_path / "old.json")
    with pytest.raises(ReadError, match="cannot be read"):
        read_report(tmp_path / "nothing.json")


@pytest.mark.parametrize("broken", [{"latency_ms": {}}, {"blocks_ms": ["x"]}, {"latency_ms": {"p50": 0}}])
def test_a_row_without_numbers_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(AmrError, match="holds no latencies"):
        compare_reports(
            report(row("a", 10.0)), json.loads(json.dumps(report({**row("a", 10.0), **broken}))), "old.json"
        )


def test_shares_and_times_are_read_with_their_units() -> None:
    assert parse_percent(" 2.5 %") == 0.025
    assert parse_milliseconds("20") == parse_milliseconds("20ms") == parse_milliseconds("0.02 s") == 20
    for text in ("5", "five%", "-1%"):
        with pytest.raises(ConfigError, match="5%"):
            parse_percent(text)
    for text in ("0", "x", "20 m", "-2ms"):
        with pytest.raises(ConfigError, match="20ms"):
            parse_milliseconds(text)
    assert math.isclose(parse_percent("100%"), 1)
