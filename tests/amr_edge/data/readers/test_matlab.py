"""Our reader of MATLAB files against scipy's, and against damage that ends scipy's process."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from amr_edge.data.readers.matlab import load_variables
from amr_edge.errors import ReadError

AN_OWN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?"]


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), min_size=2, max_size=4),
    compressed=st.booleans(),
    name=st.sampled_from(["x", "d_skel", "visibility", "a" * 31]),
)
@AN_OWN_FOLDER
def test_numbers_of_every_kind_and_shape_come_back_as_scipy_reads_them(
    tmp_path: Path, dtype: str, shape: list[int], compressed: bool, name: str
) -> None:
    values = (np.arange(np.prod(shape)).reshape(shape) - 1).astype(dtype)
    path = tmp_path / "a.mat"
    savemat(path, {"before": "text", name: values, "after": np.eye(3)}, do_compression=compressed)
    (found,) = load_variables(path, [name], what="test").values()
    assert isinstance(found, np.ndarray)
    expected = loadmat(path)[name]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected.astype(np.float64))


@pytest.mark.parametrize("text", ["squat", "sit to stand", "Übung", "x", "面"])
@pytest.mark.parametrize("compressed", [True, False])
def test_text_comes_back_as_it_was_saved(tmp_path: Path, text: str, compressed: bool) -> None:
    savemat(tmp_path / "a.mat", {"action": text}, do_compression=compressed)
    assert load_variables(tmp_path / "a.mat", ["action"], what="test") == {"action": text}


def test_a_cell_comes_back_as_a_list(tmp_path: Path) -> None:
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = "squat", np.eye(2)
    savemat(tmp_path / "a.mat", {"both": cell})
    both = load_variables(tmp_path / "a.mat", ["both"], what="test")["both"]
    assert isinstance(both, list)
    assert both[0] == "squat"
    np.testing.assert_array_equal(np.asarray(both[1]), np.eye(2))


@pytest.mark.parametrize("value", [1j, {"field": 1.0}, np.array(["a", "b"])])
def test_what_is_neither_real_numbers_nor_text_nor_a_cell_is_refused(tmp_path: Path, value: object) -> None:
    savemat(tmp_path / "a.mat", {"x": value})
    with pytest.raises(ReadError, match="'x'"):
        load_variables(tmp_path / "a.mat", ["x"], what="test")


def test_a_file_of_an_older_or_newer_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    old, new = tmp_path / "old.mat", tmp_path / "new.mat"
    savemat(old, {"x": np.eye(2)}, format="4")
    new.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" + bytes(500))
    for path in (old, new):
        with pytest.raises(ReadError, match="-v7"):
            load_variables(path, ["x"], what="test")


@given(damage=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
@AN_OWN_FOLDER
def test_damaged_bytes_are_refused_or_read_but_never_crash(tmp_path: Path, damage: list[tuple[int, int]]) -> None:
    path = tmp_path / "a.mat"
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = "squat"
    savemat(path, {"x": np.eye(4), "action": cell, "y": np.arange(12, dtype=np.uint8).reshape(3, 4)})
    raw = bytearray(path.read_bytes())
    for at, byte in damage:
        raw[at % len(raw)] = byte
    path.write_bytes(raw)
    try:
        assert set(load_variables(path, ["x", "action", "y"], what="test")) == {"x", "action", "y"}
    except ReadError as refusal:
        assert str(path) in str(refusal)  # noqa: PT017


@given(tail=st.binary(max_size=200), order=st.sampled_from([b"\x00\x01IM", b"\x01\x00MI"]))
@AN_OWN_FOLDER
def test_any_bytes_behind_a_sound_header_are_refused(tmp_path: Path, tail: bytes, order: bytes) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + order + tail)
    with pytest.raises(ReadError):
        load_variables(path, ["x"], what="test")
