"""How two plain TFLite models become the `.task` file that MediaPipe opens, and whether a file is one.

A pose bundle is an uncompressed zip of a person detector and a landmark model. MediaPipe reads from metadata
inside each model how its input pictures are scaled, and refuses models without. The models that are published
as plain TFLite (in the MediaPipe 0.10.21 wheel, in the BlazePose releases) lack it; here it is written in, with
the FlatBuffers schema that MediaPipe itself brings.

Source:
    The TFLite schema, its metadata schema (identifiers `TFL3` and `M001`), and the pose landmarker's model card:
    the detector sees 224 x 224 pixels in [-1, 1], the landmark model 256 x 256 in [0, 1].
"""

import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amr_edge.errors import ReadError
from amr_edge.optional_dependencies import require


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the two models: its name in the bundle, and what tells it from the other.

    Attributes:
        member: File name inside the bundle.
        outputs: Tensors that the graph gives.
        mean: Subtracted from a pixel in 0..255 before the model sees it,
        std: ... and what the difference is divided by.
    """

    member: str
    outputs: int
    mean: float
    std: float


DETECTOR = Part(member="pose_detector.tflite", outputs=2, mean=127.5, std=127.5)
LANDMARKS = Part(member="pose_landmarks_detector.tflite", outputs=5, mean=0.0, std=255.0)

_METADATA = "TFLITE_METADATA"
_ZIP_HEADER = 30  # bytes before the name of an entry
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # a date of the day would give the same models another checksum


def _graph(model: bytes, part: Part, where: str) -> Any:
    """The model in its object form, once it is known to be the stated `part`.

    Raises:
        ReadError: If it is not TFLite, is cut short, or is another model.
    """
    from mediapipe.tasks.metadata import schema_py_generated as schema

    if model[4:8] != b"TFL3":
        raise ReadError(
            f"{where}: expected a TFLite model (identifier TFL3 at byte 4), got {model[4:8]!r}; fetch the file again"
        )
    try:
        graph = schema.ModelT.InitFromPackedBuf(model, 0)
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, MemoryError) as cause:
        # The generated reader checks nothing: offsets that lead outside the file surface as any of these.
        raise ReadError(
            f"{where}: this TFLite model is cut short or damaged ({len(model):,} bytes, {type(cause).__name__}); "
            "fetch the file again"
        ) from cause
    subgraphs = graph.subgraphs or []
    outputs = len(subgraphs[0].outputs) if len(subgraphs) == 1 and subgraphs[0].outputs is not None else 0
    if outputs != part.outputs:
        raise ReadError(
            f"{where}: as {part.member} a model with {part.outputs} outputs was expected, this one has {outputs}; "
            f"{'give' if outputs == 0 else 'were the two models swapped? give'} a BlazePose "
            f"{'person detector' if part is DETECTOR else 'landmark model'}"
        )
    return graph


def with_normalization(model: bytes, part: Part, where: str) -> bytes:
    """A copy of a TFLite model that says how its input pictures are scaled.

    Args:
        model: The bytes of a TFLite model whose one input is an RGB picture.
        part: Which of the bundle's models it is.
        where: File name, for the error.

    Returns:
        The model with TFLite metadata; what metadata it had is replaced. The same bytes for the same model.

    Raises:
        ReadError: If the bytes are no such model.
    """
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as meta
    from mediapipe.tasks.metadata import schema_py_generated as schema

    graph = _graph(model, part, where)
    if any(buffer.offset > 1 for buffer in graph.buffers):
        raise ReadError(f"{where}: this model keeps weights outside its FlatBuffer; give a model below 2 GB")

    scaling = meta.NormalizationOptionsT()
    scaling.mean, scaling.std = [part.mean], [part.std]
    unit = meta.ProcessUnitT()
    unit.optionsType, unit.options = meta.ProcessUnitOptions.NormalizationOptions, scaling
    picture = meta.ImagePropertiesT()
    picture.colorSpace = meta.ColorSpaceType.RGB
    content = meta.ContentT()
    content.contentPropertiesType, content.contentProperties = meta.ContentProperties.ImageProperties, picture
    tensor = meta.TensorMetadataT()
    tensor.content, tensor.processUnits = content, [unit]
    subgraph = meta.SubGraphMetadataT()
    subgraph.inputTensorMetadata = [tensor]
    subgraph.outputTensorMetadata = [meta.TensorMetadataT() for _ in range(part.outputs)]
    about = meta.ModelMetadataT()
    about.subgraphMetadata = [subgraph]
    builder = flatbuffers.Builder(0)
    builder.Finish(about.Pack(builder), b"M001")

    buffer = schema.BufferT()
    buffer.data = bytes(builder.Output())
    graph.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _METADATA, len(graph.buffers) - 1
    # An entry of that name that is already there points at a buffer that is then unused; it is kept, so
    # that no other index moves.
    graph.metadata = [old for old in graph.metadata or [] if _text(old.name) != _METADATA] + [entry]
    builder = flatbuffers.Builder(len(model) + 65536)
    builder.Finish(graph.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _text(name: str | bytes | None) -> str:
    """FlatBuffers give names as bytes."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""


def assemble(detector: bytes, landmarks: bytes, *, where: str) -> bytes:
    """The bytes of a `.task` bundle from two plain TFLite models.

    Args:
        detector: `pose_detection.tflite`.
        landmarks: `pose_landmark_{lite,full,heavy}.tflite`.
        where: Where the two came from, for the error.

    Returns:
        An uncompressed zip; the same bytes for the same models, on any day.

    Raises:
        ReadError: If one of them is damaged or not the stated model.
        MissingError: If MediaPipe, which brings the schema, is not installed.
    """
    require("pose", "assembling a pose model")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        for part, model in ((DETECTOR, detector), (LANDMARKS, landmarks)):
            entry = zipfile.ZipInfo(part.member, date_time=_ZIP_EPOCH)
            entry.create_system = 3  # else the platform writes its own number, and the checksum with it
            entry.external_attr = 0o644 << 16
            entry.extra = _padding(out.tell() + _ZIP_HEADER + len(part.member))
            bundle.writestr(entry, with_normalization(model, part, f"{where}, {part.member}"))
    return out.getvalue()


def _padding(offset: int) -> bytes:
    """A zip extra field after which the data begins on a 16-byte boundary.

    MediaPipe maps the models where they lie in the zip and copies what is not aligned, with a warning.
    """
    spare = -(offset + 4) % 16
    return struct.pack("<HH", 0xD935, spare) + bytes(spare)  # 0xD935 is the alignment field of Android's zipalign


def check(path: Path) -> None:
    """Refuse a file that is not a pose bundle: an intact, uncompressed zip of the two models.

    Raises:
        ReadError: If it is anything else; the sentence says what.
        MissingError: If MediaPipe, which brings the schema, is not installed.
    """
    require("pose", "checking a pose model")
    try:
        with zipfile.ZipFile(path) as bundle:
            names = bundle.namelist()
            lacking = [part.member for part in (DETECTOR, LANDMARKS) if part.member not in names]
            if lacking:
                raise ReadError(
                    f"{path}: a pose bundle holds {DETECTOR.member} and {LANDMARKS.member}, this zip lacks "
                    f"{' and '.join(lacking)}; give a pose_landmarker .task file"
                )
            for part in (DETECTOR, LANDMARKS):
                if bundle.getinfo(part.member).compress_type != zipfile.ZIP_STORED:
                    raise ReadError(
                        f"{path}: {part.member} is compressed, MediaPipe maps it from a stored one; zip it with -0"
                    )
                _graph(bundle.read(part.member), part, f"{path}, {part.member}")  # reading checks the CRC
    except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError, RuntimeError) as cause:
        raise ReadError(
            f"{path}: expected a MediaPipe .task bundle (a zip of two models), got {path.stat().st_size:,} bytes "
            f"that are none or are damaged ({cause}); fetch it again"
        ) from cause
    except OSError as cause:
        raise ReadError(f"{path}: cannot be read ({cause.strerror or cause}); give a .task file") from cause
