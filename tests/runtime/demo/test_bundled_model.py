"""The model in the box: it is there, small enough, what its contract says, and good for the first minute."""

import json
from pathlib import Path

import pytest

from amr_edge.card import Card
from amr_edge.cli import run
from amr_edge.preprocess import PrepareConfig
from amr_edge.pretrained import MODELS, bundled
from amr_edge.runtime.doctor import system_info
from amr_edge.runtime.inference.session import open_session

CLASSES = (
    "squat",
    "hurdle step",
    "inline lunge",
    "side lunge",
    "leg raise",
    "arm raise",
    "shoulder extension",
    "shoulder rotation",
    "none",
)


@pytest.fixture(scope="module")
def card() -> Card:
    return open_session("rehab8", engine="onnxruntime", threads=1).card


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_box_takes_less_than_four_megabytes_with_its_card(name: str) -> None:
    assert 100_000 < bundled(name).stat().st_size < 4_000_000


def test_it_is_what_the_contract_says(card: Card) -> None:
    assert (card.name, card.classes, card.none_class, card.persons) == ("rehab8", CLASSES, "none", 1)
    assert card.prepare == PrepareConfig(layout="canonical15", frames=64, window_s=4.2, view="body", bones="unit")


def test_it_says_from_whom_it_learned_and_how_it_answers_sensors_that_it_never_saw(card: Card) -> None:
    terms = json.dumps(card.data).lower()
    assert "public domain" in terms
    assert "synthetic" in terms
    names = " ".join(card.metrics).lower()
    assert "kinect" in names
    assert "utd" in names, "the numbers of its own data stand beside those of another sensor"
    assert all(0 <= value <= 1 for value in card.metrics.values())


def test_its_exercises_have_a_range_of_motion(card: Card) -> None:
    assert set(card.rules) <= set(CLASSES) - {"none"}
    assert {"squat", "arm raise"} <= set(card.rules)


def test_the_demo_tells_both_sets_and_counts_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", str(tmp_path / "demo"), "--threads", "1", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["recognised"], told["actions"]) == (2, 2)
    assert told["false_events"] <= 1
    assert told["median_delay_s"] < 4.2
    squats = next(row for row in told["events"] if row["truth"] == "squat")
    assert abs(squats["reps"] - 5) <= 1
    assert (tmp_path / "demo" / "demo.html").is_file()


def test_the_doctor_opens_it() -> None:
    found = system_info.probe("model")
    assert found.facts is not None, found.trouble
    assert (found.facts["name"], found.facts["classes"]) == ("rehab8", 9)
