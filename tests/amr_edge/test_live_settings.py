"""Live settings: defaults, the card's, and those of one run; unknown fields are refused with a suggestion."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from amr_edge.card import Card
from amr_edge.errors import CardError, ConfigError
from amr_edge.live_settings import EventConfig, LiveSettings, TrackerConfig, given, settings_of
from amr_edge.preprocess import PrepareConfig


def card(**changes: object) -> Card:
    return Card(name="m", kind="classifier", classes=("a", "b"), prepare=PrepareConfig(), **changes)  # type: ignore[arg-type]


def test_a_run_changes_the_cards_settings_and_the_card_those_of_the_package() -> None:
    assert settings_of(card()) == LiveSettings()
    mine = card(events=EventConfig(confirm_s=1.0), tracker=TrackerConfig(return_s=9.0))
    assert settings_of(mine).events.confirm_s == 1.0
    changed = settings_of(mine, ["events.confirm_s=2", "tracker.joints=5"])
    assert (changed.events.confirm_s, changed.tracker.return_s, changed.tracker.joints) == (2.0, 9.0, 5)
    assert settings_of(mine, given({"events.hold_s": 0})).events.hold_s == 0.0


def test_a_card_carries_its_settings_and_one_of_schema_1_has_the_defaults() -> None:
    mine = card(events=EventConfig(confirm_s=1.0))
    assert Card.from_json(mine.to_json(), "x") == mine
    earlier = json.loads(card().to_json())
    del earlier["events"], earlier["tracker"]
    assert Card.from_json(json.dumps(earlier | {"schema": 1}), "x") == card()


@pytest.mark.parametrize("wrong", [{"confirm_s": -1}, {"confirm": 1}, {"confirm_s": "long"}, [], 3])
def test_a_card_with_broken_settings_is_refused(wrong: object) -> None:
    values = json.loads(card().to_json()) | {"events": wrong}
    with pytest.raises(CardError, match="cannot be used"):
        Card.from_json(json.dumps(values), "x")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("event.confirm_s=1", "did you mean 'events'"),
        ("events.confirms=1", "did you mean 'confirm_s'"),
        ("events.confirm_s=long", "expects float"),
        ("events.confirm_s=-1", "at least 0"),
        ("events=1", "is a group"),
        ("events.confirm_s", "FIELD=VALUE"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_with_the_way_out(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        settings_of(card(), [setting])


def test_the_page_lists_every_setting_with_its_default() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "decisions.md").read_text(encoding="utf-8")
    for group, fields in asdict(LiveSettings()).items():
        for name, default in fields.items():
            assert f"| `{group}.{name}` | {default:g} |" in page
