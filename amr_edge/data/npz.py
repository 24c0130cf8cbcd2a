"""Safe reading of .npz files: headers are checked against sizes, nothing is unpickled.

`np.load` believes a header that promises a terabyte, and reads a member whole. Here a member's promise is
held against its bytes before memory is taken, a stored member can be memory-mapped where it lies in the zip,
and any member can be read row by row.
"""

import ast
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ReadError

Array = NDArray[Any]

_PIECE = 1 << 22  # bytes
_LONGEST_HEADER = 10_000  # bytes, as NumPy has it
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # PKZIP application note, 4.3.7


class Member(NamedTuple):
    """One array of an .npz: what it promises, already held against the bytes that are there."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    stored: bool  # not compressed
    data_offset: int  # bytes of .npy header before the data

    @property
    def size(self) -> int:
        """Bytes of data."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what zip and NumPy raise over damaged bytes into one sentence that names the file."""
    try:
        yield
    except FileNotFoundError as cause:
        raise ReadError(f"{path}: expected a file, there is none; check the path") from cause
    except OSError as cause:
        raise ReadError(f"{path}: cannot be read ({cause.strerror or cause}); check the path and the rights") from cause
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, MemoryError) as cause:
        raise ReadError(f"{path}: expected a whole .npz, it is damaged or cut off ({cause}); fetch it again") from cause
    except RuntimeError as cause:
        raise ReadError(f"{path}: the zip uses what .npz files never do ({cause}); save it with np.savez") from cause


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and length of the .npy header at the start of `file`.

    NumPy's own parser rewrites a damaged header as Python 2 might have meant it; here it is refused.
    """
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError(f"{start!r} does not begin a .npy of version 1 or 2")
    field = "<H" if start[6] == 1 else "<I"
    (size,) = struct.unpack(field, file.read(struct.calcsize(field)))
    if size > _LONGEST_HEADER:
        raise ValueError(f"a header of {size} bytes")
    text = file.read(size).decode("latin-1")
    try:
        header = ast.literal_eval(text)
        descr, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
        dtype = np.dtype(descr if isinstance(descr, str) else "O")
    except (SyntaxError, TypeError, KeyError) as cause:
        raise ValueError(f"a header that cannot be parsed ({cause})") from cause
    if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"a shape of {shape!r:.60}")
    if fortran and len(shape) > 1:
        raise ValueError("an array in Fortran order")
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which only unpickling could read")
    return shape, dtype, len(start) + struct.calcsize(field) + size


def members(path: Path) -> dict[str, Member]:
    """The arrays of an .npz by name, in the order they lie in it.

    Raises:
        ReadError: If it is no .npz, is damaged, or a member's header promises other than its bytes hold.
    """
    found: dict[str, Member] = {}
    with _reading(path), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                raise ValueError(f"'{info.filename}' is no .npy")
            with archive.open(info) as file:
                shape, dtype, offset = _header(file)
            name = info.filename.removesuffix(".npy")
            member = Member(name, dtype, shape, info.compress_type == zipfile.ZIP_STORED, offset)
            if offset + member.size != info.file_size:
                raise ValueError(
                    f"'{name}' promises {shape} of {dtype}, its {info.file_size} bytes hold another amount"
                )
            found[name] = member
    return found


def load(path: Path, member: Member) -> Array:
    """The whole array, its checksum verified.

    Raises:
        ReadError: If the file is damaged.
    """
    with _reading(path), zipfile.ZipFile(path) as archive, archive.open(f"{member.name}.npy") as file:
        data = file.read()
        if len(data) != member.data_offset + member.size:
            raise EOFError(f"'{member.name}' is not as long as it was")
    array: Array = np.ndarray(member.shape, dtype=member.dtype, buffer=data, offset=member.data_offset)
    return array


def verify(path: Path, member: Member) -> None:
    """Hold an array against its checksum, which memory-mapping does not.

    Raises:
        ReadError: If they differ.
    """
    with _reading(path), zipfile.ZipFile(path) as archive, archive.open(f"{member.name}.npy") as file:
        while file.read(_PIECE):
            pass


def rows(path: Path, member: Member) -> Iterator[Array]:
    """The array row by row along its first axis, so that memory holds one row at a time.

    Raises:
        ReadError: If the file is damaged.
    """
    row_shape = member.shape[1:]
    size = math.prod(row_shape) * member.dtype.itemsize
    with _reading(path), zipfile.ZipFile(path) as archive, archive.open(f"{member.name}.npy") as file:
        file.read(member.data_offset)
        for _ in range(member.shape[0]):
            data = file.read(size)
            if len(data) != size:
                raise EOFError(f"'{member.name}' ends early")
            yield np.ndarray(row_shape, dtype=member.dtype, buffer=data)


def mapped(path: Path, member: Member) -> Array:
    """The array memory-mapped read-only where it lies in the zip; a compressed or empty one is loaded.

    Raises:
        ReadError: If the file is damaged.
    """
    if not member.stored or not member.size:
        return load(path, member)
    with _reading(path), zipfile.ZipFile(path) as archive, path.open("rb") as file:
        start = archive.getinfo(f"{member.name}.npy").header_offset
        file.seek(start)
        fields = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        name_length, extra_length = fields[-2:]
        data_start = start + _LOCAL_HEADER.size + name_length + extra_length + member.data_offset
        return np.memmap(path, dtype=member.dtype, mode="r", offset=data_start, shape=member.shape)
