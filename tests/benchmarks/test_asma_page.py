"""The table of ASMa on its page is what is stored."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import asma

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_shows_what_is_stored() -> None:
    stored = json.loads((ROOT / "benchmarks" / "results" / "asma_utd.json").read_text(encoding="utf-8"))
    assert asma.table(stored) in (ROOT / "docs" / "asma.md").read_text(encoding="utf-8")


def test_a_row_says_what_the_student_keeps_and_costs() -> None:
    row = {
        "row": "two, one", "wall_s": 120.0, "teacher_top1": 0.75, "student_top1": 0.5, "agreement": 0.625,
        "teacher_parameters": 2_000_000, "parameters": 250_000, "fewer_percent": 87.5, "teacher_macs": 3e8,
        "student_macs": 2e7, "times_faster": 3.25,
    }  # fmt: skip
    assert asma.table({"rows": [row]}).splitlines()[2] == (
        "| two, one | 75.0 | 50.0 | 62.5 % | 2.00 M, 0.250 M | 87.5 % | 300, 20 | 3.2 | 2 |"
    )
