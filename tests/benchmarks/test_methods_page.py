"""The tables of methods on a page are what is stored, and say which row is best."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import methods_page

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
STORED = {"UTD-MHAD": "methods_utd.json", "NW-UCLA": "methods_nw.json", "Penn Action": "methods_penn.json"}


def cell(top1: float, command: str = "", wall_s: float = 60.0) -> dict[str, object]:
    return {"top1": top1, "command": command, "wall_s": wall_s}


def test_the_best_of_each_protocol_is_bold_and_minutes_are_those_of_both_trainings() -> None:
    rows = [
        {"method": "scratch", "finetune": cell(0.5, wall_s=120)},
        {
            "method": "AMR",
            "pretrain": cell(0, "amr-edge pretrain --recipe amr-small --set pretrain.optim.batch=16", 240),
            "finetune": cell(0.75, wall_s=120),
            "probe": cell(0.25),
        },
    ]
    lines = methods_page.table({"somewhere": {"seed": 3, "rows": rows}}).splitlines()
    assert lines[2] == "| somewhere | from scratch |  | 50.0 |  | 3 | 2 | `finetune --recipe amr-small` |"
    assert lines[3] == "| somewhere | AMR | **25.0** | **75.0** |  | 3 | 6 | `pretrain --recipe amr-small` |"


@pytest.mark.parametrize("name", ["README.md", "docs/objectives.md"])
def test_a_page_shows_what_is_stored(name: str) -> None:
    results = BENCHMARKS / "results"
    stored = {data: json.loads((results / f).read_text()) for data, f in STORED.items() if (results / f).is_file()}
    assert methods_page.table(stored) in (BENCHMARKS.parent / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("pilot", ["methods_utd.json#AMR", "pilot_utd.json"]),
        ("ablation", ["ablation_utd.json", "methods_utd.json#AMR without focal", "methods_utd.json#AMR"]),
    ],
)
def test_pilot_and_ablation_show_what_is_stored_between_marks_of_their_own(table: str, words: list[str]) -> None:
    page = (BENCHMARKS.parent / "docs" / "objectives.md").read_text(encoding="utf-8")
    begin, end = methods_page.marks(table)
    shown = page.partition(begin)[2].partition(end)[0].strip()
    stored = methods_page.gathered([f"UTD-MHAD={BENCHMARKS / 'results' / word}" for word in words])
    assert shown == methods_page.table(stored)
    assert len(stored["UTD-MHAD"]["rows"]) == shown.count("\n") - 1
