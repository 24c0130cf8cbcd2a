import json
import sys
from pathlib import Path

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.export.verify.rehab8.evaluation import HOWS, KINECT, WRONGLY, Evaluation, PartScore, cut
from amr_edge.export.verify.rehab8.execution_quality import Trust
from amr_edge.preprocess import PrepareConfig
from amr_edge.skeleton import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import rehab8

ROOT = Path(__file__).resolve().parents[2]
CARD = Card(
    name="tiny",
    kind="classifier",
    prepare=PrepareConfig(layout="canonical15", frames=16, window_s=2.0, view="body", bones="unit"),
    classes=("squat", "none"),
    none_class="none",
)


def film(seconds: float, *, gone_s: tuple[float, float] | None = None, people: int = 1) -> Recording:
    """People of random joints, the first of whom is out of view for a while."""
    times_s = np.arange(round(seconds * 10) + 1) / 10
    rng = np.random.default_rng(0)
    poses = rng.normal(0, 1, (people, len(times_s), len(layout("mediapipe33")), 3)).astype(np.float32)
    if gone_s is not None:
        poses[0, (times_s > gone_s[0]) & (times_s < gone_s[1])] = np.nan
    return Recording(poses=poses, times_s=times_s, layout="mediapipe33", source="film.mp4")


def test_who_is_gone_for_longer_than_a_window_starts_anew() -> None:
    short, long = film(12.0, gone_s=(4.0, 5.0)), film(12.0, gone_s=(4.0, 8.0))
    assert [part.duration_s for part in rehab8.people(short, CARD)] == [pytest.approx(12.0)]
    assert [part.duration_s for part in rehab8.people(long, CARD)] == [pytest.approx(4.0), pytest.approx(4.0)]


def test_who_is_in_view_for_less_than_a_window_is_not_asked_about_unless_the_film_ends() -> None:
    assert list(rehab8.people(film(8.0, gone_s=(1.0, 9.0)), CARD)) == []
    assert len(list(rehab8.people(film(1.5), CARD))) == 1


def test_everybody_is_somebody_and_all_of_it_is_no_exercise() -> None:
    found = rehab8.film_parts([film(4.0, people=2)], CARD)
    assert [part.name for part in found] == ["film.mp4", rehab8.NOT_EXERCISE]
    assert len(found[0]) == len(found[1]) == 2 * 9  # every quarter of a second from 0 to 2 s
    assert set(found[0].subjects.tolist()) == {0, 1}
    assert (found[0].labels == 1).all()


def test_joined_parts_keep_their_recordings_apart() -> None:
    one, two = (cut(name, list(rehab8.people(film(3.0), CARD)), CARD) for name in ("one", "two"))
    both = rehab8.joined("both", [one, two])
    assert both.whose.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(both.clips.values[2:], two.clips.values)


def evaluation_of(right: int) -> Evaluation:
    """A model that says so many of ten windows rightly, in every way."""
    confusion = np.array([[right, 10 - right], [0, 0]])
    each = [
        PartScore(part=part, budget=0.5, how=how, confusion=confusion, streams=confusion)
        for part in (KINECT, WRONGLY)
        for how in HOWS
    ]
    return Evaluation(classes=CARD.classes, scores=tuple(each))


def test_the_table_by_group_gives_mean_and_spread() -> None:
    table = rehab8.by_group({"seed 0": evaluation_of(9), "seed 1": evaluation_of(10)}, 0.5).splitlines()
    assert table[0] == f"| group | {KINECT} | {WRONGLY} |"
    assert table[2] == "| squat | 95.0 (90.0 to 100.0) of 10 | 95.0 (90.0 to 100.0) of 10 |"
    assert len(table) == 3


def test_the_table_by_part_names_the_most_frequent_error() -> None:
    table = rehab8.by_part({"seed 0": evaluation_of(8)}, 0.5).splitlines()
    assert table[2] == f"| {KINECT} | 10 | 80.0 | 80.0 | 10 | 80.0 | squat as none 2 of 10 |"
    assert rehab8.by_budget({"seed 0": evaluation_of(8)}, (0.5,)).splitlines()[2] == f"| {KINECT} | 80.0 |"


def test_tables_are_written_between_the_marks_again_and_again() -> None:
    begin, end = rehab8.EVALUATED
    page = f"a\n{begin}\nold\n{end}\nb\n"
    once = rehab8.written_into(page, rehab8.EVALUATED, "new")
    assert once == f"a\n{begin}\nnew\n{end}\nb\n"
    assert rehab8.written_into(once, rehab8.EVALUATED, "new") == once
    with pytest.raises(ValueError, match="found none"):
        rehab8.written_into("a page", rehab8.EVALUATED, "new")


def test_the_page_of_the_model_has_a_place_for_its_tables() -> None:
    page = (Path(rehab8.__file__).parents[1] / "docs" / "rehab8.md").read_text(encoding="utf-8")
    for marks in (rehab8.EVALUATED, rehab8.SHIPPED, rehab8.HINTS):
        assert "| new |" in rehab8.written_into(page, marks, "| new |")


def test_the_table_of_hints_says_what_is_shown() -> None:
    trust = Trust(reps=200, people=10, right=0.9, low=0.85, high=0.93, people_low=0.8, worst=0.6)
    row = rehab8.by_class({"squat": trust}).splitlines()[2]
    assert row == "| squat | 200 | 10 | 90.0 | 85 to 93 | 80.0 | 60.0 | yes |"


def stored(name: str) -> dict[str, Evaluation]:
    """What benchmarks/results holds; of whole recordings only how many were right."""
    found = json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))
    models = {}
    for name, said in found["judged"].items():
        classes, scores = tuple(said["classes"]), []
        for row in said["rows"]:
            confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
            for label, answers in row["answers"].items():
                for answer, count in answers.items():
                    confusion[classes.index(label), classes.index(answer)] = count
            right = round(row["recordings"] * row["recordings_right"])
            streams = np.array([[right, row["recordings"] - right], [0, 0]])
            scores.append(
                PartScore(part=row["part"], budget=row["budget"], how=row["how"], confusion=confusion, streams=streams)
            )
        models[name] = Evaluation(classes=classes, scores=tuple(scores))
    return models


def test_the_tables_of_the_page_are_those_of_the_stored_evaluation() -> None:
    page = (ROOT / "docs" / "rehab8.md").read_text(encoding="utf-8")
    evaluated = stored("rehab8.json")
    budgets = sorted({each.budget for each in next(iter(evaluated.values())).scores}, reverse=True)
    for table in (
        rehab8.by_part(evaluated, 0.5),
        rehab8.by_group(evaluated, 0.5),
        rehab8.by_budget(evaluated, budgets),
        rehab8.by_part(stored("rehab8_shipped.json"), 0.5),
    ):
        assert table in page
