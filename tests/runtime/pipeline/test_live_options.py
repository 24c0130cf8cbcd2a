"""Options that the command and the function `live` share."""

from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest

from amr_edge.errors import ConfigError
from amr_edge.runtime.cli import live as command
from amr_edge.runtime.pipeline.api_live import live
from amr_edge.runtime.pipeline.live_command_options import LiveCommandOptions
from amr_edge.runtime.pipeline.live_options import LiveOptions
from amr_edge.runtime.pose.open_pose import NONE


def test_every_parameter_of_the_function_is_one_of_the_command() -> None:
    names = {each.name for each in command.params}
    assert set(signature(live).parameters) - names == {"note"}
    assert names <= {each.name for each in fields(LiveCommandOptions)}


def test_the_function_describes_every_parameter() -> None:
    for name in signature(live).parameters:
        assert f"            {name}: " in str(live.__doc__)


def test_without_a_pose_estimator_pictures_get_the_default_one() -> None:
    assert LiveOptions("0").source_config.pose == "full"
    assert LiveOptions("0", pose=NONE).source_config.pose == NONE


def test_a_call_without_a_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a source"):
        live()


def test_a_film_is_one_of_the_outputs_and_a_recording_at_full_speed_waits_for_them() -> None:
    options = LiveCommandOptions(save=Path("a.mp4"), to=("b.csv",), emit="events", schema="2")
    config = options.outputs_config(live=False)
    assert (config.to, config.predictions, config.events, config.schema) == (("b.csv", "a.mp4"), False, True, 2)
    assert config.replay
    assert not options.outputs_config(live=True).replay
    assert not LiveCommandOptions(speed=1.0).outputs_config(live=False).replay


@pytest.mark.parametrize("given", [{"budget": 0.5, "target_ms": 9.0}, {"save": Path("a.gif")}])
def test_options_that_contradict_each_other_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="give"):
        LiveCommandOptions(**given)  # type: ignore[arg-type]
