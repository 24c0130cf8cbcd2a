"""Whatever bytes are called a model, opening them ends in an answer or in one sentence with exit code 4."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amr_edge.card import CARD_KEY, Card
from amr_edge.errors import CardError, DataError, ReadError
from amr_edge.runtime.inference.onnx_metadata import CHECKSUM_KEY, checksum, read_onnx, sealed
from amr_edge.runtime.inference.session import open_session

WriteModel = Callable[..., Path]
MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ENGINES = ["onnxruntime", "openvino"]


def clips() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    present = rng.random((2, 1, 16, 20)) < 0.9
    return np.where(present[..., None], rng.normal(size=(2, 1, 16, 20, 3)), 0).astype(np.float32), present


def here(engine: str) -> str:
    if find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed here")
    return engine


def refused(path: Path, engine: str) -> str:
    """The one sentence that a file is refused with."""
    with pytest.raises(DataError) as refusal:
        open_session(path, engine=engine, threads=1)
    assert refusal.value.exit_code == 4
    sentence = str(refusal.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def answers_or_refuses(path: Path, engine: str) -> np.ndarray | None:
    """What a file answers; None if it is refused, in one sentence with exit code 4."""
    try:
        return open_session(path, engine=engine, threads=1).probs(*clips())
    except DataError as refusal:
        said = str(refusal)
    assert "\n" not in said
    return None


@pytest.fixture
def intact(write_model: WriteModel) -> Path:
    path = write_model()
    path.write_bytes(sealed(path.read_bytes()))
    return path


def damages() -> st.SearchStrategy[list[tuple[str, int, bytes]]]:
    """Bytes that are changed, cut out or put in, at places given as numbers to be taken modulo the length."""
    one = st.tuples(
        st.sampled_from(["change", "cut", "insert", "truncate"]),
        st.integers(0, 10**6),
        st.binary(min_size=1, max_size=6),
    )
    return st.lists(one, min_size=1, max_size=4)


def damaged(content: bytes, how: list[tuple[str, int, bytes]]) -> bytes:
    made = bytearray(content)
    for kind, place, piece in how:
        at = place % (len(made) + 1)
        if kind == "change":
            made[at : at + len(piece)] = piece
        elif kind == "cut":
            del made[at : at + len(piece)]
        elif kind == "insert":
            made[at:at] = piece
        else:
            del made[at:]
    return bytes(made)


@pytest.mark.parametrize("engine", ENGINES)
@MANY
@given(how=damages())
def test_a_damaged_file_is_refused_or_answers_as_the_intact_one(
    intact: Path, engine: str, how: list[tuple[str, int, bytes]]
) -> None:
    wanted = open_session(intact, engine="onnxruntime", threads=1).probs(*clips())
    path = intact.with_name("damaged.onnx")
    path.write_bytes(damaged(intact.read_bytes(), how))
    found = answers_or_refuses(path, here(engine))
    if found is not None:
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@MANY
@given(how=damages())
def test_a_damaged_file_without_a_checksum_never_ends_in_a_foreign_exception(
    write_model: WriteModel, engine: str, how: list[tuple[str, int, bytes]]
) -> None:
    path = write_model()
    path.write_bytes(damaged(path.read_bytes(), how))
    found = answers_or_refuses(path, here(engine))
    assert found is None or (found.shape == (2, 3) and np.isfinite(found).all())


@pytest.mark.parametrize("engine", ENGINES)
@MANY
@given(content=st.binary(max_size=400))
def test_random_bytes_are_refused(tmp_path: Path, engine: str, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "expected an ONNX model" in refused(path, here(engine))


def test_every_truncation_is_refused(intact: Path) -> None:
    content = intact.read_bytes()
    path = intact.with_name("short.onnx")
    seal = len(content) - content.rindex(CHECKSUM_KEY.encode()) + 4  # the last entry, from its tag on
    for length in range(len(content)):
        path.write_bytes(content[:length])
        if length == len(content) - seal:
            assert read_onnx(path).card == read_onnx(intact).card  # the whole model, only its checksum is gone
        else:
            with pytest.raises(DataError):
                read_onnx(path)


def test_every_flipped_bit_of_the_weights_is_found(intact: Path) -> None:
    model = onnx.load(intact)
    (weights,) = [tensor for tensor in model.graph.initializer if tensor.name == "weights"]
    content = bytearray(intact.read_bytes())
    at = content.index(weights.raw_data)
    path = intact.with_name("flipped.onnx")
    for bit in range(8 * len(weights.raw_data)):
        content[at + bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with pytest.raises(ReadError, match="not those that were exported"):
            read_onnx(path)
        content[at + bit // 8] ^= 1 << bit % 8


def test_the_checksum_does_not_depend_on_itself(intact: Path) -> None:
    content = intact.read_bytes()
    assert checksum(content) == checksum(onnx.load(intact).SerializeToString())
    entries = {entry.key: entry.value for entry in onnx.load(intact).metadata_props}
    assert entries[CHECKSUM_KEY] == checksum(content)


def _safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


def _zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("pose_detector.tflite", bytes(100))
    return held.getvalue()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "an empty file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "a JPEG picture"),
        (_safetensors(), "a safetensors checkpoint"),
        (_zip(), "a zip archive"),
        (b"<!DOCTYPE html><html><body>404: Not Found</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n", "a Git LFS pointer"),
        (b"hello, I am a text file\n" * 40, "something else"),
        (bytes(1000), "something else"),
    ],
)
def test_a_foreign_file_is_called_by_its_name(tmp_path: Path, engine: str, content: bytes, name: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert name in refused(path, here(engine))


def test_a_folder_and_nothing_at_all_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model.onnx"
    folder.mkdir()
    assert "amr-edge export" in refused(folder, "auto")
    assert "there is no such model file" in refused(tmp_path / "nothing.onnx", "auto")


def test_a_file_that_may_not_be_read_is_refused(intact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert "Permission denied" in refused(intact, "auto")


def test_a_model_under_a_wrong_name_is_known_by_its_content_unless_it_is_called_an_engine(intact: Path) -> None:
    picture = intact.rename(intact.with_name("holiday.png"))
    assert open_session(picture, threads=1).card.name == "tiny"
    refused(picture.rename(picture.with_name("model.engine")), "auto")


def test_the_card_of_another_model_is_refused(write_model: WriteModel, card_of: Callable[..., Card]) -> None:
    path = write_model()
    model = onnx.load(path)
    (entry,) = model.metadata_props
    other = card_of()
    for card, sentence in [
        (replace(other, classes=("a", "b"), none_class=None), r"probs"),
        (replace(other, prepare=replace(other.prepare, frames=32)), r"clip"),
        (replace(other, prepare=replace(other.prepare, layout="ntu25")), r"clip"),
    ]:
        entry.value = card.to_json()
        onnx.save(model, path)
        assert f"the {'out' if sentence == 'probs' else 'in'}put '{sentence}'" in refused(path, "auto")


def test_a_card_put_in_after_the_export_is_found(intact: Path, card_of: Callable[..., Card]) -> None:
    model = onnx.load(intact)
    for entry in model.metadata_props:
        if entry.key == CARD_KEY:
            entry.value = replace(card_of(), threshold=0.01).to_json()
    onnx.save(model, intact)
    assert "not those that were exported" in refused(intact, "auto")


def test_two_cards_in_one_file_are_refused(write_model: WriteModel, card_of: Callable[..., Card]) -> None:
    path = write_model()
    model = onnx.load(path)
    model.metadata_props.append(model.metadata_props[0])
    onnx.save(model, path)
    assert "two metadata entries" in refused(path, "auto")


def test_weights_that_lie_in_another_file_are_refused(write_model: WriteModel) -> None:
    path = write_model()
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert "weights lie in another file" in refused(path, "auto")


def test_the_smallest_damage_to_a_file_from_elsewhere_is_a_card_error_not_a_crash(write_model: WriteModel) -> None:
    with pytest.raises(CardError, match="carries no card"):
        open_session(write_model(carded=False))
