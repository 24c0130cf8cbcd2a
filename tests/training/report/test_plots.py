import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from amr_edge.metrics import per_class_rows, score
from amr_edge.training.report.plots import (
    budget_figure,
    columns,
    confusion_figure,
    curve_figure,
    draw_confusion,
    draw_curves,
    per_class_figure,
    short,
    to_svg,
)


def rows(count: int) -> list[dict[str, float]]:
    return [
        {"epoch": e + 1, "loss": 1 / (e + 1), "lr": 1e-3, "grad_norm": 10.0 ** (e % 3), "seconds": 1.0}
        for e in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_curves_can_be_drawn_of_none_one_or_a_thousand_epochs(count: int, tmp_path: Path) -> None:
    draw_curves(rows(count), "fine-tuning", tmp_path / "curves.png")
    height, width = imread(tmp_path / "curves.png").shape[:2]
    assert width == (1368 if count else 456)
    assert height == 348


def test_time_is_no_curve_and_the_order_does_not_depend_on_the_run() -> None:
    assert columns(rows(1)) == ["loss", "grad_norm", "lr"]
    assert columns([{"epoch": 1, "lr": 1.0}, {"epoch": 2, "validation_top1": 0.5, "loss": 1.0}]) == [
        "loss",
        "validation_top1",
        "lr",
    ]


def test_one_epoch_is_marked_and_a_gap_stays_a_gap() -> None:
    (panel,) = curve_figure("loss", {"a": rows(1)}, "x").axes
    assert panel.lines[0].get_marker() == "o"
    sparse = [{"epoch": 1.0, "loss": 1.0}, {"epoch": 2.0}, {"epoch": 3.0, "loss": 2.0}]
    (panel,) = curve_figure("loss", {"a": sparse}, "x").axes
    assert np.isnan(panel.lines[0].get_ydata()).tolist() == [False, True, False]
    assert panel.lines[0].get_marker() == "o"


def test_the_smooth_line_of_a_long_run_begins_and_ends_with_it() -> None:
    (panel,) = curve_figure("loss", {"a": [{"epoch": e + 1, "loss": 2.0} for e in range(1000)]}, "x").axes
    smooth = panel.lines[1]
    assert smooth.get_xdata()[[0, -1]].tolist() == [1, 1000]
    np.testing.assert_allclose(smooth.get_ydata(), 2.0)


def test_curves_of_several_runs_have_the_colors_they_are_given() -> None:
    (panel,) = curve_figure("loss", {"a": rows(5), "b": rows(9)}, "x", {"a": 2, "b": 0}).axes
    assert panel.lines[0].get_color() != panel.lines[1].get_color()
    (first,) = curve_figure("loss", {"b": rows(9)}, "x", {"a": 2, "b": 0}).axes
    assert first.lines[0].get_color() == panel.lines[1].get_color()


def made(K: int) -> tuple[np.ndarray, tuple[str, ...], list[tuple[str, int, float, str]]]:
    rng = np.random.default_rng(K)
    labels = np.repeat(np.arange(1, K), 5)  # class 0 has no clip
    result = score(rng.dirichlet(np.ones(K), len(labels)), labels)
    classes = tuple(f"class <{i}> & a name that is long enough" for i in range(K))
    return result.confusion, classes, per_class_rows(result, classes)


@pytest.mark.parametrize("K", [2, 10, 27, 60, 120])
@pytest.mark.slow
def test_the_confusion_matrix_gives_every_class_a_readable_cell(K: int, tmp_path: Path) -> None:
    confusion, classes, _ = made(K)
    draw_confusion(confusion, classes, "title", tmp_path / "c.png")
    figure = confusion_figure(confusion, classes, "title")
    (panel,) = figure.axes
    figure.canvas.draw()
    cell = panel.get_window_extent().width / K * 120 / figure.dpi  # pixels of the PNG
    assert cell >= (18 if K > 40 else 30)
    assert [text.get_text() for text in panel.texts] == [str(n) for n in confusion[confusion > 0]]
    assert max(imread(tmp_path / "c.png").shape) < 4000


@pytest.mark.parametrize("K", [2, 27, 120])
def test_bars_stand_for_the_shares_and_a_class_without_clips_has_none(K: int) -> None:
    _, _, table = made(K)
    figure = per_class_figure(table, "title")
    shares = [bar.get_width() for panel in figure.axes for bar in panel.patches]
    assert shares == [row[2] for row in table if row[1]]
    assert len(shares) == K - 1
    assert "no test clip" in figure.get_supxlabel()


def test_an_svg_is_xml_whatever_the_classes_are_called_and_turns_light_on_a_dark_page() -> None:
    confusion, classes, table = made(4)
    for figure in (
        confusion_figure(confusion, classes, "<script>alert(1)</script>"),
        per_class_figure(table),
        curve_figure("loss", {"a": rows(3)}, "x"),
        budget_figure([{"share": 1.0, "top1": 0.9}, {"share": 0.1, "top1": 0.8}]),
    ):
        svg = to_svg(figure)
        root = ET.fromstring(svg)
        assert not [part for part in root.iter() if part.tag.endswith("script")]
        assert "prefers-color-scheme:dark" in svg
        assert "var(--c0)" in svg
    again = (to_svg(budget_figure([{"share": 0.5, "top1": 0.9}])) for _ in range(2))
    assert next(again) == next(again)


def test_a_long_name_is_cut_and_a_short_one_is_left() -> None:
    assert short("wave") == "wave"
    assert len(short("x" * 99)) == 30
