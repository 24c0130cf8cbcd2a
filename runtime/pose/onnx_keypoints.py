"""Where people's joints are in a picture, according to any ONNX keypoint model that has a description.

One-stage models look at the whole picture and answer for everyone. Top-down models look at one person at a time,
whom a detector has found; without a detector the whole picture is taken for one person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ClipError, ConfigError, MissingError, ReadError
from amr_edge.optional_dependencies import require
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.pose import model_spec
from amr_edge.runtime.pose.model_spec import Decoding, Description, Detector, Input

Floats = NDArray[np.float32]
QUIET = 4  # ONNX Runtime's severity "fatal": errors are raised as our own, in a sentence


@dataclass(frozen=True, slots=True)
class Found:
    """P people as a model sees them, in pixels of its input.

    Attributes:
        boxes: (P, 4) left, top, right, bottom.
        scores: (P,).
        joints: (P, J, 2), J as the model has; J = 0 of a detector.
        joint_scores: (P, J).
    """

    boxes: Floats
    scores: Floats
    joints: Floats
    joint_scores: Floats


class OnnxPose:
    """A pose estimator: an ONNX model read by its description, on the CPU.

    Attributes:
        layout: As the description says.
        units: "px".
        title: What it is, in a line.
    """

    units: str = "px"

    def __init__(self, description: Description, *, people: int = 1, threads: int | None = None) -> None:
        """Open the model, and the detector if there is one.

        Args:
            description: What the model is.
            people: How many people are looked for at most: the best by score.
            threads: Of the engine; None is one for each core.

        Raises:
            MissingError: If a file, ONNX Runtime or OpenCV is not here.
            ReadError: If a file is no model, or not the one that is described.
            ConfigError: If `people` is below 1.
        """
        if people < 1:
            raise ConfigError(f"the number of people to look for must be at least 1, got {people}")
        require("video", "finding people in pictures")
        import cv2

        self._cv2: Any = cv2
        self.layout = description.skeleton
        self._description = description
        self._people = people
        where = [None if joint is None else self.layout.index(joint) for joint in description.joints]
        self._from = [k for k, place in enumerate(where) if place is not None]
        self._to = [place for place in where if place is not None]
        self._model: _Engine | None = _Engine(description.model, description.input, description.decoding, threads)
        detector = description.detector
        self._detector = (
            None if detector is None else _Engine(detector.model, detector.input, detector.decoding, threads)
        )
        top_down = description.decoding.kind != "direct"
        eyes = "" if not top_down else (", whole picture" if detector is None else ", with a detector")
        limit = 1 if top_down and detector is None else people
        self.title = f"{description.name}{eyes}, up to {limit} {'person' if limit == 1 else 'people'}"

    def __call__(self, picture: Image) -> Frame:
        """The people in a picture.

        Returns:
            A frame with P people, P up to `people`: poses (P, V, 2) in pixels, y up from the lower edge; pixels
            (P, V, 2), y down; ids None. A joint that the model has not, or is not sure of, is NaN in both.

        Raises:
            ClipError: If the picture is no (H, W, 3) uint8 array, the model fails on it or answers in another shape
                than described, or we are closed.
        """
        if self._model is None:
            raise ClipError("the pose estimator is closed; open another one")
        image = picture.image
        picture.check()
        if self._description.decoding.kind == "direct":
            joints, scores = self._one_stage(self._model, image)
        else:
            joints, scores = self._top_down(self._model, image)
        pixels = np.full((len(joints), len(self.layout), 2), np.nan, dtype=np.float32)  # (P, V, 2)
        sure = (scores >= self._description.joint_score) & np.isfinite(joints).all(axis=-1)  # (P, J)
        joints = np.where(sure[..., None], joints, np.nan)
        pixels[:, self._to] = joints[:, self._from]
        pixels = pixels[np.isfinite(pixels).any(axis=(1, 2))]  # without a visible joint there is no person
        poses = pixels * _floats([1, -1]) + _floats([0, image.shape[0]])
        return Frame(time_s=picture.time_s, poses=poses.astype(np.float32), pixels=pixels, picture=picture)

    def _one_stage(self, model: "_Engine", image: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Joints (P, J, 2) in pixels of the picture and their scores (P, J)."""
        back = _placed(image.shape[1], image.shape[0], self._description.input)
        sheet = _sheet(self._cv2, image, back, self._description.input)
        found = best(
            direct(model.run(sheet[None]), self._description.decoding, len(self._description.joints)),
            self._description.person_score,
            self._description.decoding.overlap,
            self._people,
        )
        return _undone(found.joints, back), found.joint_scores

    def _top_down(self, model: "_Engine", image: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        boxes = self._boxes(image)  # (P, 4)
        backs = [_around(box, self._description.input, self._description.padding) for box in boxes]
        joint_count = len(self._description.joints)
        if not backs:
            return np.empty((0, joint_count, 2), np.float32), np.empty((0, joint_count), np.float32)
        sheets = np.stack([_sheet(self._cv2, image, back, self._description.input) for back in backs])
        size = (self._description.input.width, self._description.input.height)
        decode = simcc if self._description.decoding.kind == "simcc" else heatmap
        joints, scores = decode(model.run(sheets), self._description.decoding, joint_count, size)
        if len(joints) != len(backs):
            raise ClipError(f"'{self._description.name}' got crops of {len(backs)} people and returned {len(joints)}")
        return np.stack([_undone(each, back) for each, back in zip(joints, backs, strict=True)]), scores

    def _boxes(self, image: NDArray[np.uint8]) -> Floats:
        """(P, 4) left, top, right, bottom in pixels of the picture."""
        height, width = image.shape[:2]
        detector: Detector | None = self._description.detector
        if detector is None or self._detector is None:
            return _floats([[0, 0, width, height]])
        back = _placed(width, height, detector.input)
        sheet = _sheet(self._cv2, image, back, detector.input)
        decoded = direct(self._detector.run(sheet[None]), detector.decoding, 0)
        found = best(decoded, detector.person_score, detector.decoding.overlap, self._people)
        corners = _undone(found.boxes.reshape(-1, 2, 2), back).reshape(-1, 4)  # (P, 4)
        corners = np.clip(corners, 0, _floats([width, height, width, height]))
        wide = (corners[:, 2:] - corners[:, :2]).min(axis=1, initial=np.inf) >= 1  # a sliver holds no person
        return np.asarray(corners[wide], dtype=np.float32)

    def close(self) -> None:
        """Release the models; closing twice is allowed."""
        self._model = self._detector = None

    def __enter__(self) -> "OnnxPose":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Engine:
    """An ONNX model in ONNX Runtime that takes sheets (P, H, W, 3) and gives the described outputs."""

    def __init__(self, path: Path | None, wants: Input, decoding: Decoding, threads: int | None) -> None:
        if path is None:
            raise ConfigError(
                'the description names no "model" file; add it, or give it on the command line: '
                "--pose rtmpose:MODEL.onnx or --pose rtmpose:MODEL.onnx+DETECTOR.onnx"
            )
        if not path.is_file():
            raise MissingError(f"{path}: there is no such pose model; check the path in the description")
        if find_spec("onnxruntime") is None:
            raise MissingError("ONNX Runtime is not installed; type: pip install onnxruntime")
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as faults

        options = onnxruntime.SessionOptions()
        options.log_severity_level = QUIET
        # A spinning pool takes the cores that recognition needs between two pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        refusals = (faults.Fail, faults.InvalidArgument, faults.InvalidGraph, faults.InvalidProtobuf)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except (*refusals, faults.NotImplemented, faults.RuntimeException) as cause:
            raise ReadError(f"{path}: ONNX Runtime refuses this pose model ({_line(cause)})") from cause
        self._faults = (*refusals, faults.RuntimeException)
        self._path = path
        self._wants = wants
        entry = self._session.get_inputs()[0]
        shape = [wants.height, wants.width]
        shape = [3, *shape] if wants.channels_first else [*shape, 3]
        if len(entry.shape) != 4 or any(
            isinstance(has, int) and has != want for has, want in zip(entry.shape[1:], shape, strict=True)
        ):
            raise ReadError(
                f"{path}: the model takes pictures of shape {entry.shape}, the description says [1, "
                f"{', '.join(map(str, shape))}]; correct input.size or input.channels_first"
            )
        # A batch of fixed size takes people one by one.
        self._batch = entry.shape[0] if isinstance(entry.shape[0], int) else None
        self._input = entry.name
        self._half = entry.type == "tensor(float16)"
        here = [each.name for each in self._session.get_outputs()]
        labels = [] if decoding.labels is None else [decoding.labels]
        wanted = [*(decoding.outputs or here[: 2 if decoding.kind == "simcc" else 1]), *labels]
        if set(wanted) - set(here):
            raise ReadError(
                f"{path}: the description wants the outputs {', '.join(wanted)}, the model has {', '.join(here)}; "
                "correct decode.outputs"
            )
        self._outputs = wanted

    def run(self, sheets: NDArray[np.uint8]) -> list[Floats]:
        """The described outputs for sheets (P, H, W, 3) in the model's order of channels."""
        wants = self._wants
        values = (sheets.astype(np.float32) / np.float32(wants.divide) - _floats(wants.mean)) / _floats(wants.std)
        if wants.channels_first:
            values = values.transpose(0, 3, 1, 2)  # (P, 3, H, W)
        values = np.ascontiguousarray(values, dtype=np.float16 if self._half else np.float32)
        batches = [values] if self._batch in (None, len(values)) else [values[k : k + 1] for k in range(len(values))]
        try:
            answers = [self._session.run(self._outputs, {self._input: batch}) for batch in batches]
        except self._faults as cause:
            raise ClipError(f"{self._path}: ONNX Runtime fails on a picture ({_line(cause)})") from cause
        return [np.concatenate([answer[k] for answer in answers]).astype(np.float32) for k in range(len(self._outputs))]


def simcc(outputs: Sequence[Floats], decoding: Decoding, joints: int, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Joints from two sequences of bins for each: the highest bin across, the highest bin down.

    Args:
        outputs: (P, J, BX) and (P, J, BY).
        decoding: Its `split` says how many bins a pixel has.
        joints: J.
        size: Width and height of the model's input.

    Returns:
        (P, J, 2) in pixels of the input, and scores (P, J): the lower of the two peaks.

    Raises:
        ClipError: If the outputs have another shape.

    Source:
        SimCC (Li et al., ECCV 2022), as RTMPose uses it.
    """
    across, down = outputs
    bins = tuple(round(length * decoding.split) for length in size)
    if across.ndim != 3 or across.shape[1:] != (joints, bins[0]) or down.shape != (len(across), joints, bins[1]):
        raise ClipError(
            f"expected SimCC outputs (P, {joints}, {bins[0]}) and (P, {joints}, {bins[1]}), got {across.shape} and "
            f"{down.shape}; correct joints, input.size or decode.split in the description"
        )
    places = np.stack([across.argmax(axis=-1), down.argmax(axis=-1)], axis=-1) / decoding.split  # (P, J, 2)
    scores = np.minimum(across.max(axis=-1), down.max(axis=-1))  # (P, J)
    return places.astype(np.float32), scores.astype(np.float32)


def heatmap(outputs: Sequence[Floats], decoding: Decoding, joints: int, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Joints from a map for each: its highest cell.

    Args:
        outputs: One of (P, J, H', W').
        decoding: Whether to refine by the neighbours.
        joints: J.
        size: Width and height of the model's input.

    Returns:
        (P, J, 2) in pixels of the input, and scores (P, J): the peak.

    Raises:
        ClipError: If the output has another shape.
    """
    (maps,) = outputs
    if maps.ndim != 4 or maps.shape[1] != joints or 0 in maps.shape[2:]:
        raise ClipError(f"expected heatmaps (P, {joints}, H, W), got {maps.shape}; correct joints in the description")
    people, _, height, width = maps.shape
    flat = maps.reshape(people, joints, height * width)  # one row of cells a joint
    peak = flat.argmax(axis=-1)  # (P, J)
    x, y = peak % width, peak // width
    places = np.stack([x, y], axis=-1).astype(np.float32)  # (P, J, 2)
    if decoding.refine:
        p, j = np.indices(peak.shape)
        inner = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
        left, right = np.maximum(x - 1, 0), np.minimum(x + 1, width - 1)
        above, below = np.maximum(y - 1, 0), np.minimum(y + 1, height - 1)
        slope = np.stack([maps[p, j, y, right] - maps[p, j, y, left], maps[p, j, below, x] - maps[p, j, above, x]], -1)
        places += np.float32(0.25) * np.sign(slope) * inner[..., None]
    return places * _floats([size[0] / width, size[1] / height]), flat.max(axis=-1)


def direct(outputs: Sequence[Floats], decoding: Decoding, joints: int) -> Found:
    """People from rows of numbers: box, score and joints.

    Args:
        outputs: (1, rows, columns) or (1, columns, rows); after it class numbers (1, rows) if the decoding has them.
        decoding: Which column is what.
        joints: J; 0 of a detector.

    Raises:
        ClipError: If the output has too few columns or another shape.
    """
    table = outputs[0]
    table = table[0] if table.ndim == 3 and len(table) == 1 else table
    if table.ndim != 2:
        raise ClipError(f"expected an output (1, rows, columns), got {outputs[0].shape}; correct decode.outputs")
    rows = table if decoding.columns_last else table.T  # (R, columns)
    first = 0 if decoding.joints is None else decoding.joints
    last = max(first + joints * decoding.numbers, decoding.box + 4, decoding.score + 1, (decoding.classes or 0) + 1)
    if rows.shape[1] < last:
        raise ClipError(
            f"expected at least {last} columns, got {rows.shape[1]} in an output of shape {outputs[0].shape}; correct "
            "joints or decode in the description"
        )
    keep = np.isfinite(rows[:, :last]).all(axis=1)
    if decoding.classes is not None:
        keep &= np.rint(rows[:, decoding.classes]) == decoding.person_class
    if decoding.labels is not None:
        labels = outputs[-1].reshape(-1)  # (R,)
        if len(labels) != len(rows):
            raise ClipError(f"expected a class number for each of {len(rows)} rows, got {outputs[-1].shape}")
        keep &= np.rint(labels) == decoding.person_class
    rows = rows[keep]
    box = rows[:, decoding.box : decoding.box + 4]
    if not decoding.corners:
        half = box[:, 2:] / 2
        box = np.concatenate([box[:, :2] - half, box[:, :2] + half], axis=1)
    body = rows[:, first : first + joints * decoding.numbers].reshape(len(rows), joints, decoding.numbers)  # (R, J, n)
    ones = np.ones((len(rows), joints), dtype=np.float32)
    return Found(
        boxes=box,
        scores=rows[:, decoding.score],
        joints=body[..., :2],
        joint_scores=body[..., 2] if decoding.numbers == 3 else ones,
    )


def best(found: Found, least: float, overlap: float, people: int) -> Found:
    """The best people by score, each once: of two whose boxes overlap by more than `overlap` the better stays."""
    order = np.flatnonzero(found.scores >= least)
    order = order[np.argsort(-found.scores[order], kind="stable")]
    chosen: list[int] = []
    while len(order) and len(chosen) < people:
        chosen.append(int(order[0]))
        rest = order[1:]
        order = rest[_overlaps(found.boxes[order[0]], found.boxes[rest]) <= overlap]
    return Found(found.boxes[chosen], found.scores[chosen], found.joints[chosen], found.joint_scores[chosen])


def _overlaps(box: Floats, others: Floats) -> Floats:
    """Intersection over union of a box (4,) with others (R, 4)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])  # (R, 2)
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas = np.clip(others[:, 2:] - others[:, :2], 0, None).prod(axis=1) + np.clip(box[2:] - box[:2], 0, None).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), dtype=np.float32)


# A place on a model's sheet times `scale` plus `offset` is a place in the picture.
_Back = tuple[Floats, Floats]  # scale (2,), offset (2,)


def _placed(width: int, height: int, wants: Input) -> _Back:
    """Placement of the whole image on the model input."""
    across, down = width / wants.width, height / wants.height
    if wants.fit == "stretch":
        return _floats([across, down]), np.zeros(2, np.float32)
    scale = max(across, down)
    # The picture lies in the middle of the sheet.
    offset = [(width - scale * wants.width) / 2, (height - scale * wants.height) / 2]
    return _floats([scale, scale]), _floats(offset)


def _around(box: Floats, wants: Input, padding: float) -> _Back:
    """Placement of a person's crop on the model input."""
    middle, (wide, high) = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    if wants.fit == "stretch":
        scale = _floats([wide * padding / wants.width, high * padding / wants.height])
    else:
        scale = _floats([max(wide / wants.width, high / wants.height) * padding] * 2)
    return scale, (middle - scale * _floats([wants.width, wants.height]) / 2).astype(np.float32)


def _sheet(cv2: Any, image: NDArray[np.uint8], back: _Back, wants: Input) -> NDArray[np.uint8]:
    """(H, W, 3) of the model's size and order of channels."""
    scale, offset = back
    matrix = np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]], dtype=np.float64)
    sheet = cv2.warpAffine(
        np.ascontiguousarray(image),
        matrix,
        (wants.width, wants.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(wants.fill,) * 3,
    )
    return np.asarray(sheet if wants.order == "rgb" else sheet[..., ::-1], dtype=np.uint8)


def _undone(places: Floats, back: _Back) -> Floats:
    """Places (..., 2) on the sheet as places in the picture."""
    scale, offset = back
    return np.asarray(places * scale + offset, dtype=np.float32)


def _floats(numbers: Any) -> Floats:
    return np.array(numbers, dtype=np.float32)


def open_shipped(pose: str, *, people: int, environ: Mapping[str, str]) -> OnnxPose:  # noqa: ARG001 - of every factory
    """The estimator of a shipped description: `NAME:MODEL.onnx` or `NAME:MODEL.onnx+DETECTOR.onnx`."""
    name, _, files = pose.partition(":")
    model, _, detector = files.partition("+")
    described = model_spec.parse(model_spec.shipped(name), f"the description '{name}'", Path())
    return OnnxPose(model_spec.with_models(described, Path(model), Path(detector) if detector else None), people=people)


def open_description(path: str, *, people: int, environ: Mapping[str, str]) -> OnnxPose:  # noqa: ARG001
    """The estimator of a description in a file."""
    return OnnxPose(model_spec.read(Path(path)), people=people)


def _line(cause: BaseException) -> str:
    """The first line of a message."""
    return (str(cause).strip() or type(cause).__name__).splitlines()[0][:200]
