"""An array of an .npz is the same whole, row by row and memory-mapped, and a false promise is refused."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from amr_edge.data.npz import load, mapped, members, rows, verify
from amr_edge.errors import ReadError


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=arrays.arrays(
        st.sampled_from([np.float32, np.int64, np.bool_, np.dtype(">f8")]),
        arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    ),
    compressed=st.booleans(),
)
def test_whole_by_rows_and_mapped_are_what_numpy_loads(tmp_path: Path, array: np.ndarray, compressed: bool) -> None:
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, before=np.arange(3), x=np.ascontiguousarray(array))
    member = members(path)["x"]
    with np.load(path) as plain:
        expected = plain["x"]
    assert member.stored is not compressed
    assert (member.shape, member.dtype) == (expected.shape, expected.dtype)
    assert load(path, member).tobytes() == expected.tobytes()
    assert mapped(path, member).tobytes() == expected.tobytes()
    assert [row.tobytes() for row in rows(path, member)] == [
        expected[i : i + 1].tobytes() for i in range(len(expected))
    ]
    verify(path, member)


def test_a_mapped_array_cannot_be_written(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    array = mapped(tmp_path / "a.npz", members(tmp_path / "a.npz")["x"])
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def _zip(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path / "a.npz", "w") as archive:
        archive.writestr(name, content)
    return path / "a.npz"


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "damaged or cut off"),
        (b"hello", "damaged or cut off"),
        (b"\x93NUMPY\x03\x00", "version"),
        (_npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}\n", b"\0" * 16), "Fortran"),
        (_npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}\n"), "unpickling"),
        (_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}\n", b"\0" * 16), "promises"),
        (_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}\n", b"\0" * 16), "a shape of"),
        (_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 60 + ",)}\n"), "promises"),
        pytest.param(_npy("(" * 5000), "damaged or cut off|never do", id="parentheses"),
        (_npy("[1, 2]"), "cannot be parsed"),
        (_npy("x" * 20000), "header of 20000 bytes"),
        (_npy("{'descr': 'zebra', 'fortran_order': False, 'shape': (1,)}\n"), "damaged or cut off"),
    ],
)
def test_a_member_that_is_not_what_it_promises_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(ReadError, match=rf"a\.npz: .*({sentence})"):
        members(_zip(tmp_path, "x.npy", content))


def test_a_member_that_is_no_array_and_a_file_that_is_no_zip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"'notes\.txt' is no \.npy"):
        members(_zip(tmp_path, "notes.txt", b"hello"))
    with pytest.raises(ReadError, match="check the path and the rights"):
        members(tmp_path)


def test_a_file_that_shrinks_after_it_was_described_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros((4, 3)))
    member: Any = members(path)["x"]
    np.savez(path, x=np.zeros((2, 3)))
    with pytest.raises(ReadError, match="ends early"):
        list(rows(path, member))
    with pytest.raises(ReadError, match="damaged or cut off"):
        load(path, member)
