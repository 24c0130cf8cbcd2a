import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amr_edge.errors import ReadError
from amr_edge.runtime.pose.task_bundle import DETECTOR, LANDMARKS, assemble, check, with_normalization

pytest.importorskip("mediapipe", reason="MediaPipe brings the schema of the bundles")
pytest.importorskip("flatbuffers")


def scaling(model: bytes) -> tuple[float, float]:
    """Mean and standard deviation as the metadata inside a model states them."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as meta
    from mediapipe.tasks.metadata import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(model, 0)
    (entry,) = [entry for entry in graph.metadata if entry.name == b"TFLITE_METADATA"]
    content = bytes(graph.buffers[entry.buffer].data)
    assert content[4:8] == b"M001"
    (subgraph,) = meta.ModelMetadataT.InitFromPackedBuf(content, 0).subgraphMetadata
    assert len(subgraph.outputTensorMetadata) == len(graph.subgraphs[0].outputs)
    (unit,) = subgraph.inputTensorMetadata[0].processUnits
    return float(unit.options.mean[0]), float(unit.options.std[0])


def test_the_detector_is_told_to_expect_minus_one_to_one_and_the_landmark_model_zero_to_one(
    tiny: Callable[[int], bytes],
) -> None:
    with zipfile.ZipFile(io.BytesIO(assemble(tiny(2), tiny(5), where="here"))) as bundle:
        assert scaling(bundle.read("pose_detector.tflite")) == (127.5, 127.5)
        assert scaling(bundle.read("pose_landmarks_detector.tflite")) == (0.0, 255.0)


def test_weights_go_through_unchanged(tiny: Callable[[int], bytes]) -> None:
    from mediapipe.tasks.metadata import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(with_normalization(tiny(2), DETECTOR, "here"), 0)
    assert bytes(model.buffers[1].data) == bytes(np.arange(5000, dtype=np.uint8))


def test_metadata_that_is_already_there_is_replaced_not_doubled(tiny: Callable[[int], bytes]) -> None:
    once = with_normalization(tiny(5), DETECTOR.__class__(member="x", outputs=5, mean=1.0, std=2.0), "here")
    assert scaling(once) == (1.0, 2.0)
    assert scaling(with_normalization(once, LANDMARKS, "here")) == (0.0, 255.0)


def test_the_same_models_give_the_same_bytes(tiny: Callable[[int], bytes]) -> None:
    assert assemble(tiny(2), tiny(5), where="here") == assemble(tiny(2), tiny(5), where="there")


def test_models_are_stored_uncompressed_on_sixteen_byte_boundaries(tiny: Callable[[int], bytes]) -> None:
    made = assemble(tiny(2), tiny(5), where="here")
    with zipfile.ZipFile(io.BytesIO(made)) as bundle:
        for entry in bundle.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            start = made.index(bundle.read(entry))
            assert start % 16 == 0, f"{entry.filename} begins at {start}"


def test_an_assembled_bundle_passes_its_own_check(tiny: Callable[[int], bytes], tmp_path: Path) -> None:
    path = tmp_path / "made.task"
    path.write_bytes(assemble(tiny(2), tiny(5), where="here"))
    check(path)


def test_swapped_models_are_refused(tiny: Callable[[int], bytes]) -> None:
    with pytest.raises(ReadError, match=r"pose_detector\.tflite a model with 2 outputs was expected, this one has 5"):
        assemble(tiny(5), tiny(2), where="here")


def test_a_file_that_is_no_tflite_is_refused_by_name(tiny: Callable[[int], bytes]) -> None:
    with pytest.raises(ReadError, match=r"somewhere, pose_detector\.tflite: expected a TFLite model"):
        assemble(b"not a model at all", tiny(5), where="somewhere")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.5, 0.9])
def test_a_model_that_is_cut_short_is_refused(tiny: Callable[[int], bytes], share: float) -> None:
    whole = tiny(2)
    with pytest.raises(ReadError):
        assemble(whole[: int(len(whole) * share)], tiny(5), where="here")


def test_garbage_behind_the_identifier_is_refused_and_never_crashes(tiny: Callable[[int], bytes]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        junk = rng.integers(0, 256, size=int(rng.integers(8, 400)), dtype=np.uint8).tobytes()
        with pytest.raises(ReadError):
            assemble(junk[:4] + b"TFL3" + junk[8:], tiny(5), where="here")


def test_a_flipped_bit_in_a_bundle_is_found(tiny: Callable[[int], bytes], tmp_path: Path) -> None:
    made = bytearray(assemble(tiny(2), tiny(5), where="here"))
    made[len(made) // 2] ^= 1
    path = tmp_path / "bent.task"
    path.write_bytes(made)
    with pytest.raises(ReadError, match=r"bent\.task"):
        check(path)


def test_a_truncated_bundle_is_refused(tiny: Callable[[int], bytes], tmp_path: Path) -> None:
    made = assemble(tiny(2), tiny(5), where="here")
    path = tmp_path / "short.task"
    path.write_bytes(made[: len(made) // 2])
    with pytest.raises(ReadError, match=r"short\.task: expected a MediaPipe \.task bundle"):
        check(path)


def test_a_compressed_bundle_is_refused_with_the_way_out(tiny: Callable[[int], bytes], tmp_path: Path) -> None:
    path = tmp_path / "packed.task"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr(DETECTOR.member, tiny(2))
        bundle.writestr(LANDMARKS.member, tiny(5))
    with pytest.raises(ReadError, match=r"is compressed.*zip it with -0"):
        check(path)


def test_a_zip_without_a_landmark_model_is_refused(tiny: Callable[[int], bytes], tmp_path: Path) -> None:
    path = tmp_path / "half.task"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(DETECTOR.member, tiny(2))
    with pytest.raises(ReadError, match=r"lacks pose_landmarks_detector\.tflite"):
        check(path)


@pytest.mark.data
def test_the_published_blazepose_models_give_the_same_bundle_twice(tmp_path: Path) -> None:
    if "AMR_EDGE_DATA" not in os.environ:
        pytest.skip("AMR_EDGE_DATA is not set: no BlazePose models here")
    folder = Path(os.environ["AMR_EDGE_DATA"]) / "models" / "blazepose"
    models = [(folder / name).read_bytes() for name in ("pose_detection.tflite", "pose_landmark_lite.tflite")]
    first, second = (assemble(*models, where=str(folder)) for _ in range(2))
    assert first == second
    (tmp_path / "lite.task").write_bytes(first)
    check(tmp_path / "lite.task")
