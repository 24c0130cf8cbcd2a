"""A model file either answers as its card says or is refused with a sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from amr_edge.card import CARD_KEY, Card
from amr_edge.errors import CardError, ClipError, ConfigError, ReadError
from amr_edge.runtime.inference.session import open_session

WriteModel = Callable[..., Path]


def clips(n: int = 2, m: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    present = rng.random((n, m, 16, 20)) < 0.9
    return np.where(present[..., None], rng.normal(size=(n, m, 16, 20, 3)), 0).astype(np.float32), present


def test_a_model_says_what_its_card_says(write_model: WriteModel, card_of: Callable[..., Card]) -> None:
    session = open_session(write_model())
    assert session.card == card_of()
    assert "3 classes" in session.title
    assert "kinect20" in session.title


def test_probabilities_are_those_of_the_graph_worked_in_numpy(write_model: WriteModel) -> None:
    path = write_model()
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    values, present = clips(3, 2)
    count = present.sum(axis=(1, 2, 3))[:, None]
    moved = np.abs(np.diff(values, axis=2)).sum(axis=(1, 2, 3)) / count * 10
    scores = np.concatenate([values.sum(axis=(1, 2, 3)) / count, moved], axis=1) @ weights["weights"] + weights["bias"]
    wanted = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        open_session(path, threads=1).probs(values, present), wanted / wanted.sum(axis=1, keepdims=True), atol=1e-5
    )


def test_no_clips_have_no_answers(write_model: WriteModel) -> None:
    values, present = clips(0)
    assert open_session(write_model()).probs(values, present).shape == (0, 3)


def test_a_clip_without_anybody_still_has_finite_probabilities(write_model: WriteModel) -> None:
    values, present = clips(1)
    probs = open_session(write_model()).probs(np.zeros_like(values), np.zeros_like(present))
    assert probs.sum() == pytest.approx(1)


def test_a_run_folder_means_its_exported_model(write_model: WriteModel) -> None:
    path = write_model(name="run/export/model.onnx")
    assert open_session(path.parents[1]).card.name == "tiny"


def test_a_run_folder_that_was_not_exported_gets_the_line_to_type(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=rf"amr-edge export {tmp_path} --onnx"):
        open_session(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such model file"):
        open_session(tmp_path / "nobody.onnx")


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file\n" * 40, bytes(1000)])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ReadError, match="expected an ONNX model"):
        open_session(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_model_is_refused(write_model: WriteModel, share: float) -> None:
    path = write_model()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises((ReadError, CardError)):
        open_session(path)


def test_a_model_without_a_card_is_refused(write_model: WriteModel) -> None:
    with pytest.raises(CardError, match="carries no card"):
        open_session(write_model(carded=False))


def test_a_card_of_other_joints_than_the_graph_is_refused(write_model: WriteModel) -> None:
    with pytest.raises(CardError, match=r"\(N, M, 16, 20, 3\).*\(N, M, 16, 25, 3\)"):
        open_session(write_model(joints=25))


def test_a_card_of_other_classes_than_the_graph_is_refused(write_model: WriteModel) -> None:
    with pytest.raises(CardError, match=r"'probs' is float32 \(N, 3\).*\(N, 5\)"):
        open_session(write_model(classes=5))


def test_an_encoder_is_sent_to_finetuning(write_model: WriteModel, card_of: Callable[..., Card]) -> None:
    with pytest.raises(CardError, match="amr-edge finetune"):
        open_session(write_model(card_of(kind="encoder", classes=(), none_class=None), classes=3))


def test_another_programs_graph_is_refused_by_its_names(write_model: WriteModel) -> None:
    path = write_model()
    model = onnx.load(path)
    model.graph.input[0].name = "images"
    model.graph.node[2].input[0] = "images"
    onnx.save(model, path)
    with pytest.raises(CardError, match="expected the inputs clip, present, the model has images, present"):
        open_session(path)


def test_a_damaged_card_is_refused(write_model: WriteModel) -> None:
    path = write_model()
    model = onnx.load(path)
    next(entry for entry in model.metadata_props if entry.key == CARD_KEY).value = '{"schema": 1, "name": '
    onnx.save(model, path)
    with pytest.raises(CardError, match="not JSON"):
        open_session(path)


def test_a_fixed_batch_is_refused(write_model: WriteModel) -> None:
    path = write_model()
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, path)
    with pytest.raises(CardError, match="N and M free"):
        open_session(path)


def test_threads_below_one_are_refused(write_model: WriteModel) -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        open_session(write_model(), threads=0)


@pytest.mark.parametrize(
    ("values", "present", "sentence"),
    [
        (np.zeros((1, 1, 16, 25, 3), np.float32), np.zeros((1, 1, 16, 25), bool), "expects clips"),
        (np.zeros((1, 1, 15, 20, 3), np.float32), np.zeros((1, 1, 15, 20), bool), "expects clips"),
        (np.zeros((1, 1, 16, 20, 3)), np.zeros((1, 1, 16, 20), bool), "float64"),
        (np.zeros((1, 0, 16, 20, 3), np.float32), np.zeros((1, 0, 16, 20), bool), "expects clips"),
        (np.zeros((16, 20, 3), np.float32), np.zeros((16, 20), bool), "expects clips"),
        (np.zeros((2, 1, 16, 20, 3), np.float32), np.zeros((1, 1, 16, 20), bool), "expects presence"),
        (np.zeros((1, 1, 16, 20, 3), np.float32), np.zeros((1, 1, 16, 20), np.float32), "float32"),
    ],
)
def test_clips_that_the_card_does_not_ask_for_are_refused(
    write_model: WriteModel, values: np.ndarray, present: np.ndarray, sentence: str
) -> None:
    with pytest.raises(ClipError, match=sentence):
        open_session(write_model()).probs(values, present)
