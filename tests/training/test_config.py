from dataclasses import asdict, replace
from itertools import permutations

import pytest

from amr_edge.errors import ConfigError
from amr_edge.training.config import (
    RECIPES,
    AugmentConfig,
    OptimizerConfig,
    Recipe,
    amr_small,
    from_dict,
    override,
    recipe,
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_being_written_down(name: str) -> None:
    assert from_dict(Recipe, asdict(recipe(name))) == recipe(name)


def test_settings_reach_into_the_groups_and_keep_their_types() -> None:
    changed = override(
        amr_small(), ["finetune.optim.epochs=3", "pretrain.pretext.focal_windows=4,8", "prepare.view=body"]
    )
    assert changed.finetune.optim.epochs == 3
    assert changed.pretrain.pretext.focal_windows == (4, 8)
    assert changed.prepare.view == "body"
    assert changed.encoder == amr_small().encoder


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("finetune.optim.epoch=3", "epochs"),
        ("nothing=3", "encoder"),
        ("encoder=3", "width"),
        ("encoder.width", "FIELD=VALUE"),
        ("encoder.width=wide", "int"),
        ("encoder.width=130", "multiple of encoder.heads"),
        ("prepare.frames=65", "patch_frames"),
        ("pretrain.pretext.enlarge=3", "1, 2, 4, 8, 16"),
        ("finetune.budget=0,0.5", "budget"),
        ("encoder.width.deeper=1", "no fields"),
    ],
)
def test_a_bad_setting_is_refused_and_the_way_out_named(setting: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        override(amr_small(), [setting])


def test_settings_that_fit_only_together_may_come_in_any_order() -> None:
    together = ["prepare.frames=120", "pretrain.pretext.enlarge=6", "pretrain.pretext.focal_windows=4,8,12"]
    for one in together[:2]:
        with pytest.raises(ConfigError):
            override(amr_small(), [one])
    for order in permutations(together):
        made = override(amr_small(), order)
        assert (made.prepare.frames, made.pretrain.pretext.enlarge) == (120, 6)
    assert override(amr_small(), ["persons=1", "persons=3"]).persons == 3


def test_settings_from_python_keep_their_types_and_wrong_ones_are_refused() -> None:
    given = {"finetune.optim.epochs": 3, "finetune.budget": (0.25, 1), "finetune.optim.lr": 1, "persons": "2"}
    changed = override(amr_small(), given)
    as_text = ["finetune.optim.epochs=3", "finetune.budget=0.25,1", "finetune.optim.lr=1", "persons=2"]
    assert changed == override(amr_small(), as_text)
    assert isinstance(changed.finetune.optim.lr, float)
    for wrong in (3.5, True, None, [3]):
        with pytest.raises(ConfigError, match=r"'finetune\.optim\.epochs' expects int"):
            override(amr_small(), {"finetune.optim.epochs": wrong})


@pytest.mark.parametrize("group", ["pretrain", "finetune"])
def test_a_field_that_two_groups_have_is_refused_by_its_whole_name(group: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{group}\.optim\.lr=0: optim\.lr must be above 0, got 0\.0$"):
        override(amr_small(), [f"{group}.optim.lr=0"])


@pytest.mark.parametrize(
    ("config", "change"),
    [
        (OptimizerConfig(), {"epochs": 0}),
        (OptimizerConfig(), {"min_lr": 1.0}),
        (OptimizerConfig(), {"warmup": 1.0}),
        (OptimizerConfig(), {"layer_decay": 0.0}),
        (AugmentConfig(), {"crop": 0.0}),
        (AugmentConfig(), {"scale": 1.0}),
        (AugmentConfig(), {"yaw": -0.1}),
    ],
)
def test_a_config_cannot_hold_nonsense(config: object, change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        replace(config, **change)  # type: ignore[type-var]


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="amr-small"):
        recipe("amr-huge")
