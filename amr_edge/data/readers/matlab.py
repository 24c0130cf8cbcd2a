"""Arrays of MATLAB "Level 5" files, read without scipy.

Data sets come as MATLAB "Level 5" files (versions 5 to 7, with or without compression), of which this reads
numbers, text and cells. It is our own because scipy's reader, written for files that are whole, can end the whole
process on a damaged one; here every length is checked before it is believed. It needs NumPy and zlib only.

Source: "MAT-File Format", The MathWorks, the chapter on Level 5.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ReadError

# Numbers in the shape that MATLAB gives them (two axes or more), one line of text, or the contents of a cell.
Variable: TypeAlias = "NDArray[np.float64] | str | list[Variable]"
Order: TypeAlias = Literal["little", "big"]

_HEADER = 128
_INFLATED_MOST = 2**28  # no clip is a quarter of a gigabyte; a forged length must not take the memory
_NESTED_MOST = 4
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHAR = 1, 4
_NUMERIC = range(6, 16)  # double, single and the integers
_COMPLEX = 0x0800


class _Element(NamedTuple):
    kind: int
    data: bytes


def _elements(raw: bytes, order: Order) -> Iterator[_Element]:
    """The data elements that lie one after the other in `raw`."""
    at = 0
    while at < len(raw):
        word = int.from_bytes(raw[at : at + 4], order)
        if word >> 16:  # a small element: its length shares the tag's first word, its data is the second
            kind, length, start, end = word & 0xFFFF, word >> 16, at + 4, at + 8
            if length > 4:
                raise ValueError(f"an element of {length} bytes in a place for 4")
        else:
            kind, length, start = word, int.from_bytes(raw[at + 4 : at + 8], order), at + 8
            end = start + (length if kind == _COMPRESSED else -(-length // 8) * 8)
        if start + length > len(raw):
            raise ValueError(f"it ends {start + length - len(raw)} bytes too early")
        yield _Element(kind, raw[start : start + length])
        at = end


def _inflate(data: bytes) -> bytes:
    """Decompress an element."""
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(data, _INFLATED_MOST)
    if unpacker.unconsumed_tail:
        raise ValueError(f"a compressed element holds more than {_INFLATED_MOST} bytes")
    # Some MATLABs leave out the end of the stream, so whether enough came is for the lengths inside to say.
    return raw


def _numbers(element: _Element, order: Order) -> NDArray[np.float64]:
    """(n,) the numbers of a data element."""
    if element.kind not in _NUMBERS:
        raise ValueError(f"numbers of unknown kind {element.kind}")
    dtype = np.dtype(_NUMBERS[element.kind]).newbyteorder("<" if order == "little" else ">")
    return np.frombuffer(element.data, dtype=dtype).astype(np.float64)


def _matrix(data: bytes, order: Order, wanted: Sequence[str] | None, nested: int) -> tuple[str, Variable] | None:
    """Name and value of a matrix element; None if it is not one of the `wanted`, which None does not limit."""
    if nested > _NESTED_MOST:
        raise ValueError("cells within cells without end")
    parts = _elements(data, order)
    try:
        flags, dimensions, label = next(parts), next(parts), next(parts)
    except StopIteration as cause:
        raise ValueError("a variable without a name") from cause
    word = int.from_bytes(flags.data[:4], order)
    kind = word & 0xFF
    shape = [int(length) for length in _numbers(dimensions, order)]
    name = label.data.decode("latin-1")
    if wanted is not None and name not in wanted:
        return None
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"variable '{name}' of shape {tuple(shape)}")
    count = math.prod(shape)
    if kind == _CELL:
        cells = [_matrix(part.data, order, None, nested + 1) for part in parts if part.kind == _MATRIX]
        if len(cells) != count:
            raise ValueError(f"cell '{name}' with {len(cells)} of {count} contents")
        return name, [cell[1] for cell in cells if cell is not None]
    content = next(parts, _Element(2, b""))
    if kind == _CHAR:
        if shape[0] > 1 and count:
            raise ValueError(f"text '{name}' in {shape[0]} lines")
        encoding = _TEXTS.get(content.kind, "utf-8")
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if order == "little" else "-be"
        return name, content.data.decode(encoding)
    if kind not in _NUMERIC or word & _COMPLEX:
        raise ValueError(f"variable '{name}' is neither real numbers nor text nor a cell")
    values = _numbers(content, order)
    if len(values) != count:
        raise ValueError(f"variable '{name}' with {len(values)} of {count} numbers")
    return name, values.reshape(shape, order="F")


def load_variables(path: Path, names: Sequence[str], *, what: str) -> dict[str, Variable]:
    """Load some variables of a MATLAB file.

    Args:
        path: The file.
        names: Variables that it must have; others are passed over.
        what: What the file claims to be, for the sentences: "UTD-MHAD skeleton".

    Returns:
        The variables by name.

    Raises:
        ReadError: If the file is damaged, no MATLAB file of versions 5 to 7, or lacks a variable.
    """
    raw = path.read_bytes()
    marks: dict[bytes, Order] = {b"IM": "little", b"MI": "big"}
    order = marks.get(raw[126:128])
    if order is None or int.from_bytes(raw[124:126], order) != 0x0100:
        raise ReadError(
            f"{path}: expected a {what} as MATLAB file of version 5 to 7, got something else; "
            "save it with MATLAB's option -v7, or copy it again"
        )
    found: dict[str, Variable] = {}
    try:
        for element in _elements(raw[_HEADER:], order):
            inner = _elements(_inflate(element.data), order) if element.kind == _COMPRESSED else [element]
            for one in inner:
                named = _matrix(one.data, order, names, 0) if one.kind == _MATRIX else None
                if named is not None:
                    found[named[0]] = named[1]
    except (ValueError, zlib.error) as cause:
        raise ReadError(f"{path}: the {what} is damaged ({cause}); copy the file again") from cause
    absent = [name for name in names if name not in found]
    if absent:
        raise ReadError(f"{path}: expected a {what}, the file has no variable {', '.join(absent)}; leave the file out")
    return found


def as_numbers(value: Variable, path: Path, name: str) -> NDArray[np.float64]:
    """A variable that must be numbers.

    Raises:
        ReadError: If it is text or a cell.
    """
    if not isinstance(value, np.ndarray):
        raise ReadError(
            f"{path}: expected numbers in variable '{name}', got {type(value).__name__}; the file is foreign"
        )
    return value
