"""The figures in the page on how it works are those of the clip that its pictures show."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from amr_edge import synthetic
from amr_edge.skeleton import NTU25

pytest.importorskip("torch", reason="masks, targets and weights are torch's")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-it-works.md"


@pytest.fixture(scope="module")
def draw() -> ModuleType:
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import draw_how_it_works as module  # type: ignore[import-not-found]
    finally:
        sys.path.remove(folder)
    return module


def test_the_standing_foot_weighs_what_the_page_says(draw: ModuleType) -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    told = re.search(r"standing foot weighs ([\d.]+) to ([\d.]+), and .* still ([\d.]+) to ([\d.]+)\. ", text)
    assert told is not None
    found = []
    for sensor in (draw.CALM, synthetic.Sensor()):
        weight = draw.weights(draw.see(draw.ACTION, 0, sensor))[:, NTU25.index(draw.STILL)]
        found += [f"{weight.min():.2f}", f"{weight.max():.2f}"]
    assert list(told.groups()) == found


def test_a_picture_is_drawn_of_the_budget(draw: ModuleType, tmp_path: Path) -> None:
    seen = draw.see(draw.ACTION, 0, draw.CALM)
    draw.draw_budget(seen, tmp_path / "budget.png", (0.1,))
    assert (tmp_path / "budget.png").read_bytes().startswith(b"\x89PNG")
