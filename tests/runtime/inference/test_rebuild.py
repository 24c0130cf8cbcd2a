"""What may be built again, and what a report says of the precision that answers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.runtime.bench.models import RowSpec, load_models
from amr_edge.runtime.inference.session import open_session


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_only_a_tensorrt_engine_can_be_built_again(write_model: Callable[..., Path], engine: str) -> None:
    with pytest.raises(ConfigError, match="leave --rebuild away"):
        open_session(write_model(), engine=engine, rebuild=True)


def test_a_report_names_the_precision_of_the_card_whatever_the_file_is_called(
    write_model: Callable[..., Path], card_of: Callable[..., Card]
) -> None:
    path = write_model(replace(card_of(), precision="int8-static"), name="half.fp16.onnx")
    (subject,) = load_models([RowSpec(path=path, engine="onnxruntime")], np.random.default_rng(0))
    said = subject.to_dict()
    assert (said["precision"], said["engine"]) == ("int8-static", "onnxruntime")
    assert said["providers"] == ["CPUExecutionProvider"]
