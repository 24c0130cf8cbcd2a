"""What does an ONNX file say of itself before an engine reads it: its card, inputs, outputs, and whether it is whole.

Engines parse files in native code, where damage is a code, a crash or a model that answers nonsense. So the bytes are
looked at here first, by the few rules of the protobuf wire format, and the engine gets the very bytes that were
checked.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amr_edge.card import CARD_KEY, Card
from amr_edge.errors import CardError, ReadError

CHECKSUM_KEY = "amr_edge.sha256"  # of everything else in the file
LARGEST_BYTES = 2**31 - 1  # where protobuf ends

# Field numbers of onnx.proto, ModelProto down to a tensor's dimensions.
MODEL_IR, MODEL_GRAPH, MODEL_OPSET, MODEL_METADATA = 1, 7, 8, 14
ENTRY_KEY, ENTRY_VALUE = 1, 2
OPSET_DOMAIN, OPSET_VERSION = 1, 2
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT = 1, 5, 11, 12
VALUE_NAME, VALUE_TYPE, TYPE_TENSOR, TENSOR_ELEMENT, TENSOR_SHAPE = 1, 2, 1, 1, 2
SHAPE_DIM, DIM_VALUE, DIM_NAME = 1, 1, 2
INITIALIZER_LOCATION = 14  # 1: the numbers lie in another file
ELEMENTS = {1: "float32", 7: "int64", 9: "bool", 10: "float16"}

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Field = tuple[int, int, int | memoryview]  # number, wire type, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An input or output of the graph.

    Attributes:
        name: Its name.
        kind: "float32", "bool", "int64", "float16", or the number that ONNX has for another type.
        shape: A number for a fixed axis, its name (maybe empty) for a free one.
    """

    name: str
    kind: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """A file that is whole.

    Attributes:
        path: Where it lies.
        content: All of it.
        card: The contract that it carries.
        opset: The operator set of its graph.
        inputs: What the graph takes.
        outputs: What it gives.
    """

    path: Path
    content: bytes
    card: Card
    opset: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_onnx(path: Path) -> OnnxFile:
    """Read a model file and what it says of itself.

    Raises:
        ReadError: If it cannot be read, is no ONNX file, is damaged or keeps its weights elsewhere.
        CardError: If it carries no card or a broken one.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ReadError(f"{path}: an ONNX file ends at 2 GiB, this one is larger; name an exported model.onnx")
        content = path.read_bytes()
    except OSError as cause:
        raise ReadError(f"{path}: cannot be read ({cause.strerror}); check that the file is there and yours") from cause
    try:
        metadata, opset, graph = _model(content)
        inputs, outputs = _graph(graph)
    except (_BrokenError, UnicodeDecodeError) as cause:
        raise ReadError(
            f"{path}: expected an ONNX model, got {looks_like(content)} ({cause}); export or copy it again"
        ) from cause
    if CARD_KEY not in metadata:
        raise CardError(
            f"{path}: the ONNX model carries no card (metadata '{CARD_KEY}'), so its layout, window and classes are "
            "unknown; export it with: amr-edge export RUN --onnx"
        )
    found = checksum(content)
    if metadata.get(CHECKSUM_KEY, found) != found:
        raise ReadError(
            f"{path}: its bytes are not those that were exported and proven (SHA-256 {metadata[CHECKSUM_KEY][:8]} was "
            f"written, {found[:8]} is found); copy it again or export it again"
        )
    card = Card.from_json(metadata[CARD_KEY], str(path))
    return OnnxFile(path=path, content=content, card=card, opset=opset, inputs=inputs, outputs=outputs)


def looks_like(content: bytes) -> str:
    """Apparent type of a file that is no ONNX model, for a sentence."""
    starts = (
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"PK\x03\x04", "a zip archive (.npz, .task)"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"<!", "a web page"),
        (b"<html", "a web page"),
        (b"version https://git-lfs", "a Git LFS pointer, whose file was not fetched"),
        (b"<", "a web page"),
    )
    for start, name in starts:
        if content.startswith(start):
            return name
    if not content:
        return "an empty file"
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content):
        return "a safetensors checkpoint"
    return f"{len(content)} bytes of something else, or a damaged one"


def checksum(content: bytes) -> str:
    """SHA-256 of a serialised ModelProto, its own checksum left out.

    Raises:
        ReadError: If these are no fields of a message.
    """
    digest = hashlib.sha256()
    view = memoryview(content)
    try:
        for number, _, value, start, end in _spans(view):
            if number == MODEL_METADATA and _entry(value)[0] == CHECKSUM_KEY:
                continue
            digest.update(view[start:end])
    except (_BrokenError, UnicodeDecodeError) as cause:
        raise ReadError(f"these bytes are no ONNX model ({cause}); export it again") from cause
    return digest.hexdigest()


def sealed(content: bytes) -> bytes:
    """A serialised ModelProto with its checksum in its metadata."""
    return content + _metadata(CHECKSUM_KEY, checksum(content))


def with_card(content: bytes, card: Card) -> bytes:
    """A serialised ModelProto that carries another card, sealed again; everything else in it stays byte for byte.

    Raises:
        CardError: If the card holds what JSON has no word for.
        ReadError: If these are no fields of a message.
    """
    view, kept = memoryview(content), bytearray()
    try:
        for number, _, value, start, end in _spans(view):
            if number != MODEL_METADATA or _entry(value)[0] not in (CARD_KEY, CHECKSUM_KEY):
                kept += view[start:end]
    except (_BrokenError, UnicodeDecodeError) as cause:
        raise ReadError(f"these bytes are no ONNX model ({cause}); export it again") from cause
    return sealed(bytes(kept) + _metadata(CARD_KEY, card.to_json()))


def _metadata(key: str, value: str) -> bytes:
    """A StringStringEntryProto as a field of a ModelProto."""
    fields = (key.encode(), value.encode())
    entry = b"\x0a" + _length(fields[0]) + fields[0] + b"\x12" + _length(fields[1]) + fields[1]
    return b"\x72" + _length(entry) + entry  # 0x72: field 14, bytes


def _length(content: bytes) -> bytes:
    """Length of the following bytes, as a varint."""
    size, written = len(content), bytearray()
    while size > 127:
        written.append(size & 127 | 128)
        size >>= 7
    return bytes(written) + bytes([size])


class _BrokenError(Exception):
    """These bytes are no message."""


def _model(content: bytes) -> tuple[dict[str, str], int, memoryview]:
    """Metadata, opset and the one graph of a ModelProto."""
    metadata: dict[str, str] = {}
    opset, graphs, ir = 0, [], False
    for number, kind, value in _fields(memoryview(content)):
        if number == MODEL_GRAPH and isinstance(value, memoryview):
            graphs.append(value)
        elif number == MODEL_METADATA:
            key, text = _entry(value)
            if key in metadata:
                raise _BrokenError(f"two metadata entries '{key}'")
            metadata[key] = text
        elif number == MODEL_OPSET and isinstance(value, memoryview):
            fields = {inner: item for inner, _, item in _fields(value)}
            if not fields.get(OPSET_DOMAIN):
                version = fields.get(OPSET_VERSION, 0)
                opset = version if isinstance(version, int) else 0
        elif number == MODEL_IR and kind == VARINT:
            ir = True
    if not ir or len(graphs) != 1 or opset < 1:
        raise _BrokenError("no version, operator set or graph")
    return metadata, opset, graphs[0]


def _graph(graph: memoryview) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Inputs and outputs of a GraphProto; refuses weights that lie in other files."""
    inputs, outputs, nodes = [], [], 0
    for number, _, value in _fields(graph):
        if number == GRAPH_NODE:
            nodes += 1
        elif number == GRAPH_INPUT:
            inputs.append(_tensor(value))
        elif number == GRAPH_OUTPUT:
            outputs.append(_tensor(value))
        elif number == GRAPH_INITIALIZER:
            for inner, _, item in _fields(_message(value)):
                if inner == INITIALIZER_LOCATION and item != 0:
                    raise _BrokenError("its weights lie in another file")
    if not nodes:
        raise _BrokenError("a graph without nodes")
    return tuple(inputs), tuple(outputs)


def _tensor(value: int | memoryview) -> Tensor:
    """A ValueInfoProto."""
    name, kind, shape = "", 0, []
    for number, _, item in _fields(_message(value)):
        if number == VALUE_NAME:
            name = str(_message(item), "utf-8")
        elif number == VALUE_TYPE:
            for _, _, tensor in (f for f in _fields(_message(item)) if f[0] == TYPE_TENSOR):
                for inner, _, part in _fields(_message(tensor)):
                    if inner == TENSOR_ELEMENT and isinstance(part, int):
                        kind = part
                    elif inner == TENSOR_SHAPE:
                        shape = [_dim(f[2]) for f in _fields(_message(part)) if f[0] == SHAPE_DIM]
    return Tensor(name=name, kind=ELEMENTS.get(kind, str(kind)), shape=tuple(shape))


def _dim(value: int | memoryview) -> int | str:
    for number, _, item in _fields(_message(value)):
        if number == DIM_VALUE and isinstance(item, int):
            return item
        if number == DIM_NAME:
            return str(_message(item), "utf-8")
    return ""


def _entry(value: int | memoryview) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    fields = {number: str(_message(item), "utf-8") for number, _, item in _fields(_message(value))}
    return fields.get(ENTRY_KEY, ""), fields.get(ENTRY_VALUE, "")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _BrokenError("a number where a message belongs")
    return value


def _fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message, in file order."""
    for number, kind, value, _, _ in _spans(message):
        yield number, kind, value


def _spans(message: memoryview) -> Iterator[tuple[int, int, int | memoryview, int, int]]:
    """The fields of a message with the bytes they take, tag included."""
    at, end = 0, len(message)
    while at < end:
        start = at
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: int | memoryview
        if kind == VARINT:
            value, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
            value, at = int.from_bytes(message[at : at + size], "little"), at + size
        elif kind == BYTES:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        else:
            raise _BrokenError(f"wire type {kind} at byte {start}")
        if number < 1 or at > end:
            raise _BrokenError(f"cut off or damaged at byte {start}")
        yield number, kind, value, start, at


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of up to ten bytes and where the next thing begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise _BrokenError("cut off inside a number")
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise _BrokenError("a number that does not end")
