"""The card survives the way through a model file, and refuses to lie."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.card import CARD_SCHEMA, BudgetPoint, Card
from amr_edge.errors import CardError, ConfigError
from amr_edge.preprocess import PrepareConfig


def make(**changed: Any) -> Card:
    fields: dict[str, Any] = {
        "name": "gestures",
        "kind": "classifier",
        "prepare": PrepareConfig(layout="coco17", frames=32, window_s=1.5, scale="torso", view="body", max_gap_s=0.2),
        "classes": ("none", "wave", "clap"),
        "none_class": "none",
        "units": "px",
        "persons": 2,
        "patch_frames": 8,
        "stride_s": 0.5,
        "threshold": 0.7,
        "encoder": {"width": 128, "layers": 6},
        "pose_source": "mediapipe lite",
        "data": {"name": "mine", "clips": 12},
        "metrics": {"top1": 0.91},
        "recipe": {"seed": 3},
        "versions": {"torch": "2.5"},
        **changed,
    }
    return Card(**fields)


def test_a_card_comes_back_from_json_as_it_was() -> None:
    assert Card.from_json(make().to_json(), "model.onnx") == make()


def test_an_encoder_needs_no_classes() -> None:
    card = make(kind="encoder", classes=(), none_class=None)
    assert Card.from_json(card.to_json(), "model.onnx") == card


def test_a_card_is_one_line_of_standard_json() -> None:
    text = make().to_json()
    assert "\n" not in text
    assert json.loads(text)["schema"] == CARD_SCHEMA


@given(
    name=st.text(max_size=20),
    classes=st.lists(st.text(max_size=9), min_size=1, max_size=6, unique=True),
    threshold=st.floats(0, 1),
    frames=st.integers(2, 300),
)
@settings(deadline=None)
def test_any_card_that_can_be_made_comes_back(name: str, classes: list[str], threshold: float, frames: int) -> None:
    card = make(
        name=name,
        classes=tuple(classes),
        none_class=None,
        threshold=threshold,
        prepare=PrepareConfig(frames=frames),
    )
    assert Card.from_json(card.to_json(), "model.onnx") == card


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "oracle"},
        {"classes": ()},
        {"classes": ("wave", "wave"), "none_class": None},
        {"none_class": "nothing"},
        {"units": "mm"},
        {"persons": 0},
        {"patch_frames": 0},
        {"stride_s": 0},
        {"stride_s": -1},
        {"stride_s": math.nan},
        {"stride_s": math.inf},
        {"threshold": 1.1},
        {"threshold": -0.1},
        {"threshold": math.nan},
    ],
)
def test_a_card_that_contradicts_itself_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(CardError, match="gestures"):
        make(**changed)


def written(**changed: Any) -> str:
    values = json.loads(make().to_json())
    values.update(changed)
    return json.dumps({key: value for key, value in values.items() if value is not ...})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("3", "not a JSON object"),
        ("{}", "schema None"),
        (written(schema=CARD_SCHEMA + 1), f"schema {CARD_SCHEMA + 1}"),
        (written(color="red"), "color"),
        (written(name=...), "cannot be used"),
        (written(prepare=...), "cannot be used"),
        (written(prepare=3), "cannot be used"),
        (written(prepare={"layout": "halpe26"}), "halpe26"),
        (written(prepare={"layout": ["ntu25"]}), "cannot be used"),
        (written(prepare={"frames": "many"}), "cannot be used"),
        (written(prepare={"frames": 32.5}), "cannot be used"),
        (written(prepare={"window_s": None}), "cannot be used"),
        (written(prepare={"speed": 3}), "cannot be used"),
        (written(classes="abc"), "cannot be used"),
        (written(classes=3), "cannot be used"),
        (written(classes=[1, 2]), "cannot be used"),
        (written(classes=[["a"], ["b"]]), "cannot be used"),
        (written(classes=[]), "cannot be used"),
        (written(kind="oracle"), "cannot be used"),
        (written(persons="2"), "cannot be used"),
        (written(persons=1.5), "cannot be used"),
        (written(threshold=None), "cannot be used"),
        (written(name=3), "cannot be used"),
        (written(metrics=[1]), "cannot be used"),
        (written(encoder="wide"), "cannot be used"),
    ],
)
def test_a_broken_card_is_refused_by_the_name_of_its_file(text: str, says: str) -> None:
    with pytest.raises(CardError, match=says) as refusal:
        Card.from_json(text, "model.onnx")
    assert "model.onnx" in str(refusal.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(field=st.sampled_from(sorted(json.loads(make().to_json()))), value=JSON)
@settings(deadline=None, max_examples=300)
def test_a_field_of_any_other_content_is_read_back_or_refused_but_never_crashes(field: str, value: object) -> None:
    try:
        card = Card.from_json(written(**{field: value}), "model.onnx")
        again = Card.from_json(card.to_json(), "model.onnx")
    except CardError as refusal:
        assert "model.onnx" in str(refusal) or "finite" in str(refusal)  # noqa: PT017
    else:
        assert again == card


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_json_has_no_word_for_is_refused_when_it_is_written(number: float) -> None:
    with pytest.raises(CardError, match="finite"):
        make(metrics={"top1": number}).to_json()


@pytest.mark.parametrize(
    "changed",
    [
        {"frames": 1},
        {"frames": 32.5},
        {"window_s": 0},
        {"window_s": math.nan},
        {"window_s": math.inf},
        {"max_gap_s": -1},
        {"max_gap_s": math.nan},
        {"scale": "metres"},
        {"view": "above"},
    ],
)
def test_a_preparation_that_cannot_mean_anything_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PrepareConfig(**changed)


def test_the_frame_rate_of_a_window_counts_steps_and_not_frames() -> None:
    assert PrepareConfig(frames=31, window_s=1.0).fps == 30


def points() -> tuple[BudgetPoint, ...]:
    return (
        BudgetPoint(share=1.0, tokens=68, top1=0.9, macs=70_000_000),
        BudgetPoint(share=0.25, tokens=17, top1=0.89, macs=14_000_000),
    )


def test_what_a_budget_costs_comes_back_from_json() -> None:
    card = make(budget=0.25, budget_curve=points(), focal_windows=(8, 16), fixed_tokens=17)
    assert Card.from_json(card.to_json(), "model.onnx") == card


def test_a_card_from_before_there_were_budgets_looks_at_everything() -> None:
    values = json.loads(make().to_json())
    for name in ("budget", "budget_curve", "focal_windows", "fixed_tokens"):
        del values[name]
    card = Card.from_json(json.dumps(values), "model.onnx")
    assert (card.budget, card.budget_curve, card.fixed_tokens) == (1.0, (), None)
    assert card.tokens_at(card.budget) == card.tokens == 32 // 8 * 17


def test_a_card_that_does_not_say_ranks_by_windows_of_one_two_and_four_patches() -> None:
    assert make().energy_windows == (8, 16, 32)
    assert make(focal_windows=(8,)).energy_windows == (8,)
    odd = PrepareConfig(layout="coco17", frames=24, window_s=1.5, scale="torso")
    assert make(prepare=odd).energy_windows == (8,)  # 16 and 32 do not divide 24


@pytest.mark.parametrize(("share", "tokens"), [(1.0, 68), (0.25, 17), (0.1, 7), (0.001, 1)])
def test_a_budget_is_a_share_of_the_tokens_and_never_none_of_them(share: float, tokens: int) -> None:
    assert make().tokens_at(share) == tokens


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, math.nan])
def test_a_budget_that_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="share of the tokens"):
        make().tokens_at(share)


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": 0.0},
        {"budget": math.nan},
        {"budget": "all"},
        {"focal_windows": (5,)},
        {"focal_windows": (0,)},
        {"fixed_tokens": 0},
        {"fixed_tokens": 69},
        {"fixed_tokens": "many"},
        {"budget_curve": 3},
        {"budget_curve": [3]},
        {"budget_curve": [{"share": 1.0}]},
        {"budget_curve": [{"share": 2.0, "tokens": 3, "top1": 0.5, "macs": 9}]},
        {"budget_curve": [{"share": 1.0, "tokens": 3, "top1": 1.5, "macs": 9}]},
        {"budget_curve": [{"share": 1.0, "tokens": "x", "top1": 0.5, "macs": 9}]},
    ],
)
def test_a_budget_that_means_nothing_is_refused_in_a_sentence(wrong: dict[str, Any]) -> None:
    text = json.dumps(
        {**json.loads(make().to_json()), **{k: list(v) if k == "focal_windows" else v for k, v in wrong.items()}}
    )
    with pytest.raises(CardError, match=r"^m\.onnx: the card cannot be used"):
        Card.from_json(text, "m.onnx")
