"""Every engine answers as every other; what is chosen for the person, and why, is said; what is not here is named."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.errors import ClipError, ConfigError, MissingError
from amr_edge.optional_dependencies import EXTRAS
from amr_edge.runtime.inference import session as session_module
from amr_edge.runtime.inference.session import AUTO, ENGINES, open_session

WriteModel = Callable[..., Path]
HERE = ["onnxruntime", "openvino"]


def clips(n: int = 2, m: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n * 10 + m)
    present = rng.random((n, m, 16, 20)) < 0.9
    return np.where(present[..., None], rng.normal(size=(n, m, 16, 20, 3)), 0).astype(np.float32), present


def installed(engine: str) -> str:
    if find_spec(engine.partition("-")[0]) is None:
        pytest.skip(f"{engine} is not installed here")
    return engine


def bf16_here() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_openvino_answers_as_onnx_runtime_for_any_number_of_clips_and_people(write_model: WriteModel) -> None:
    path = write_model()
    one = open_session(path, engine="onnxruntime", threads=1)
    other = open_session(path, engine=installed("openvino"), threads=1)
    assert one.card == other.card
    assert one.tokens == other.tokens
    for n, m in [(1, 1), (5, 1), (2, 3), (1, 2), (5, 1)]:
        np.testing.assert_allclose(one.probs(*clips(n, m)), other.probs(*clips(n, m)), atol=1e-5)


@pytest.mark.parametrize("engine", HERE)
def test_an_answer_is_not_overwritten_by_the_next(write_model: WriteModel, engine: str) -> None:
    session = open_session(write_model(), engine=installed(engine), threads=1)
    first = session.probs(*clips(2))
    kept = first.copy()
    session.probs(clips(2)[0] * 3, clips(2)[1])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("engine", HERE)
def test_no_clips_and_wrong_clips_are_the_same_to_every_engine(write_model: WriteModel, engine: str) -> None:
    session = open_session(write_model(), engine=installed(engine), threads=1)
    values, present = clips(2)
    assert session.probs(values[:0], present[:0]).shape == (0, 3)
    with pytest.raises(ClipError, match="expects clips"):
        session.probs(values[:, :, :15], present[:, :, :15])
    with pytest.raises(ClipError, match="float64"):
        session.probs(values.astype(np.float64), present)


def test_bf16_is_taken_where_it_is_asked_for_and_nowhere_else(write_model: WriteModel) -> None:
    installed("openvino")
    path = write_model()
    if not bf16_here():
        with pytest.raises(MissingError, match="computes no bf16"):
            open_session(path, engine="openvino-bf16")
        return
    values, present = clips(4)
    answers = [
        open_session(path, engine=engine, threads=1).probs(values * 0.02, present)  # small, so that no answer is sure
        for engine in ("onnxruntime", "openvino", "openvino-bf16")
    ]
    assert np.abs(answers[1] - answers[0]).max() < 1e-5 < np.abs(answers[2] - answers[0]).max() < 0.05


@pytest.mark.parametrize("engine", HERE)
def test_the_title_names_the_engine(write_model: WriteModel, engine: str) -> None:
    title = open_session(write_model(), engine=installed(engine)).title
    assert title.endswith(("(CPU)", "(CPU, f32)"))
    assert "\n" not in title


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(session_module, "find_spec", lambda name: None if name == package else find_spec(name))


def test_auto_takes_onnx_runtime_where_nothing_else_is_and_says_so(
    write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "openvino")
    title = open_session(write_model()).title
    assert "ONNX Runtime" in title
    assert title.endswith("(no GPU build and no OpenVINO is installed)")


def test_auto_takes_openvino_where_it_is_and_says_so(write_model: WriteModel) -> None:
    installed("openvino")
    session = open_session(write_model(), engine=AUTO, threads=1)
    assert "OpenVINO is installed" in session.title
    np.testing.assert_allclose(
        session.probs(*clips()), open_session(write_model(), engine="onnxruntime").probs(*clips()), atol=1e-5
    )


def test_auto_takes_onnx_runtime_for_dynamic_int8(write_model: WriteModel, card_of: Callable[..., Card]) -> None:
    installed("openvino")
    title = open_session(write_model(card_of(precision="int8"))).title
    assert "on ONNX Runtime" in title
    assert title.endswith("(the fastest for int8 with ranges found at every run)")


def test_auto_goes_on_to_the_next_engine_when_one_cannot_start_and_says_why(
    write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("openvino")
    monkeypatch.setitem(EXTRAS, "openvino", ("no_such_package",))
    title = open_session(write_model()).title
    assert "on ONNX Runtime" in title
    assert 'pip install "amr-edge[openvino]"' in title


def test_a_missing_engine_ends_with_exit_code_3_and_the_line_to_type(
    write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "openvino", ("no_such_package",))
    with pytest.raises(MissingError, match=r'pip install "amr-edge\[openvino\]"') as refusal:
        open_session(write_model(), engine="openvino")
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize("engine", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_provider_that_is_not_built_in_is_missing_with_the_line_to_type(write_model: WriteModel, engine: str) -> None:
    import onnxruntime

    if len(onnxruntime.get_available_providers()) > 2:
        pytest.skip("this ONNX Runtime is a GPU build")
    with pytest.raises(MissingError, match="pip install onnxruntime-gpu") as refusal:
        open_session(write_model(), engine=engine)
    assert refusal.value.exit_code == 3


def test_an_engine_of_no_name_is_refused_with_those_there_are(write_model: WriteModel) -> None:
    with pytest.raises(ConfigError, match="choose auto or one of onnxruntime, ") as refusal:
        open_session(write_model(), engine="abacus")
    assert refusal.value.exit_code == 2


def test_engines_are_not_given_files_of_another_kind(write_model: WriteModel) -> None:
    path = write_model()
    with pytest.raises(ConfigError, match="amr-edge export RUN --trt"):
        open_session(path, engine="tensorrt")
    with pytest.raises(ConfigError, match="leave --engine away"):
        open_session(path.rename(path.with_suffix(".engine")), engine="onnxruntime")


def test_only_the_engine_that_is_asked_for_is_imported(write_model: WriteModel) -> None:
    installed("openvino")
    code = """
import sys
from amr_edge.runtime.inference.session import open_session
open_session(sys.argv[1], engine=sys.argv[2], threads=1)
print(sorted({"onnxruntime", "openvino", "tensorrt", "torch"} & set(sys.modules)))
"""
    for engine in HERE:
        done = subprocess.run(
            [sys.executable, "-c", code, str(write_model()), engine], capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == f"['{engine}']", done.stderr


def test_every_name_leads_to_a_function() -> None:
    for target in ENGINES.values():
        module, _, function = target.partition(":")
        assert find_spec(module) is not None, target
        assert function.startswith("open_")
