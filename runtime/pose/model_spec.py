"""Specification of a keypoint model: its input images and the meaning of its outputs, in a small JSON file.

`docs/pose.md` has every field. A description says nothing of where a model comes from: it names the file, or the
person names it on the command line.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from amr_edge.errors import AmrError, ConfigError, MissingError, ReadError
from amr_edge.skeleton import Layout, layout

SCHEMA = 1
SHIPPED = ("rtmpose", "yolo-pose")
ORDERS = ("rgb", "bgr")
FITS = ("warp", "letterbox", "stretch")
DECODINGS = ("simcc", "heatmap", "direct")


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Conversion of an image into model input: cut out, resized, then (value / divide - mean) / std for each channel.

    Attributes:
        width, height: Of the model's input.
        order: Of its channels, "rgb" or "bgr".
        channels_first: (1, 3, H, W) if True, (1, H, W, 3) if not.
        divide: What bytes are divided by first.
        mean, std: One number for each channel, in `order`.
        fit: "letterbox" keeps the proportions and fills up, "stretch" does not keep them; "warp" cuts a person out
            with proportions kept, for top-down models.
        fill: The byte that fills up.
    """

    width: int
    height: int
    order: str = "rgb"
    channels_first: bool = True
    divide: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: str = "letterbox"
    fill: int = 0

    def __post_init__(self) -> None:
        _check(1 <= self.width <= 4096 and 1 <= self.height <= 4096, "input.size must be two numbers from 1 to 4096")
        _check(self.order in ORDERS, f"input.order must be one of {', '.join(ORDERS)}")
        _check(self.fit in FITS, f"input.fit must be one of {', '.join(FITS)}")
        _check(len(self.mean) == len(self.std) == 3, "input.mean and input.std must be three numbers each")
        numbers = (*self.mean, *self.std, self.divide)
        _check(all(map(math.isfinite, numbers)) and 0 not in (*self.std, self.divide), "input.std must not be 0")
        _check(0 <= self.fill <= 255, "input.fill must lie in 0 to 255")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Decoding of the outputs.

    Attributes:
        kind: "simcc", "heatmap" or "direct".
        outputs: Names of the outputs: two for "simcc" (x, y), one for the others; empty takes them in order.
        split: "simcc": bins for a pixel of the input.
        refine: "heatmap": move a quarter of a cell towards the higher neighbour.
        columns_last: "direct": (1, rows, columns) if True, (1, columns, rows) if not.
        box: "direct": first column of four for the box, in pixels of the input.
        corners: "direct": the box is two corners if True, centre and size if not.
        score: "direct": the column of the person's score.
        joints: "direct": first column of the joints; None in a detector of boxes.
        numbers: "direct": columns for each joint, 2 (x, y) or 3 (x, y, score).
        classes: "direct", a detector: column of a class number that must be `person_class`, or None.
        labels: "direct", a detector: name of an output (1, rows) of class numbers, or None.
        person_class: What a person's class number is.
        overlap: "direct": of two boxes that overlap by more (intersection over union) the better is kept; 1 keeps all.
    """

    kind: str
    outputs: tuple[str, ...] = ()
    split: float = 2.0
    refine: bool = True
    columns_last: bool = True
    box: int = 0
    corners: bool = False
    score: int = 4
    joints: int | None = 5
    numbers: int = 3
    classes: int | None = None
    labels: str | None = None
    person_class: int = 0
    overlap: float = 0.65

    def __post_init__(self) -> None:
        _check(self.kind in DECODINGS, f"decode.as must be one of {', '.join(DECODINGS)}")
        _check(self.split > 0, "decode.split must be above 0")
        _check(self.numbers in (2, 3), "decode.numbers must be 2 or 3")
        columns = [self.box, self.score, *(c for c in (self.joints, self.classes) if c is not None)]
        _check(min(columns) >= 0, "decode's columns must be at least 0")
        _check(0 < self.overlap <= 1, "decode.overlap must lie in (0, 1]")
        wanted = 2 if self.kind == "simcc" else 1
        _check(len(self.outputs) in (0, wanted), f"decode.outputs must be {wanted} names")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A model that finds people's boxes for a top-down model; its decoding is "direct" without joints."""

    model: Path | None
    input: Input
    decoding: Decoding
    person_score: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A keypoint model.

    Attributes:
        name: What it is called.
        skeleton: The layout of the poses.
        joints: For each of the model's keypoints the joint of `skeleton` it is, None for one that it has not.
        model: The ONNX file; None if the person names it.
        input: How it wants pictures.
        decoding: What it answers.
        joint_score: A joint with a lower score is absent.
        person_score: A person with a lower score is not there ("direct" only).
        padding: "simcc" and "heatmap": how much larger than a person's box the cut-out is.
        detector: Finds the boxes of a top-down model; None takes the whole picture as one person's box.
    """

    name: str
    skeleton: Layout
    joints: tuple[str | None, ...]
    model: Path | None
    input: Input
    decoding: Decoding
    joint_score: float = 0.3
    person_score: float = 0.5
    padding: float = 1.25
    detector: Detector | None = None

    def __post_init__(self) -> None:
        named = [joint for joint in self.joints if joint is not None]
        foreign = sorted(set(named) - set(self.skeleton.joints))
        _check(not foreign, f"layout '{self.skeleton.name}' has no joint {', '.join(foreign)}")
        _check(len(set(named)) == len(named) > 0, "joints must name each joint once")
        _check(all(map(math.isfinite, (self.joint_score, self.person_score))), "scores must be finite")
        _check(self.padding >= 1, "padding must be at least 1")
        _check(
            self.decoding.kind != "direct" or self.decoding.joints is not None, "decode.joints must say where they are"
        )


def _check(good: bool, sentence: str) -> None:  # noqa: FBT001
    if not good:
        raise ConfigError(sentence)


def shipped(name: str) -> str:
    """The text of a description that comes with us.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in SHIPPED:
        raise ConfigError(f"there is no pose description '{name}'; there are {', '.join(SHIPPED)}")
    return (Path(__file__).parent / "descriptions" / f"{name}.json").read_text(encoding="utf-8")


def read(path: Path) -> Description:
    """The description in a file; models are looked for beside it.

    Raises:
        MissingError: If there is no such file.
        ReadError: If it is no description, or one that cannot be.
    """
    if not path.is_file():
        raise MissingError(
            f"{path}: there is no such pose description; begin with: amr-edge pose describe {SHIPPED[0]}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as cause:
        raise ReadError(f"{path}: expected JSON in UTF-8 ({cause}); write the description again") from cause
    return parse(text, str(path), path.parent)


def with_models(description: Description, model: Path, detector: Path | None) -> Description:
    """A description whose models are these files.

    Raises:
        ConfigError: If there is a detector for a model that needs none.
    """
    if detector is None:
        # A top-down model without a detector looks at the whole picture.
        return replace(description, model=model, detector=None)
    if description.detector is None:
        raise ConfigError(f"the description '{description.name}' uses no detector, got {detector}; leave it out")
    return replace(description, model=model, detector=replace(description.detector, model=detector))


def parse(text: str, where: str, folder: Path) -> Description:
    """A description from its JSON.

    Args:
        text: The JSON.
        where: What it is, for the sentence when it is wrong.
        folder: Where the models it names lie.

    Raises:
        ReadError: If it is no description, or one that cannot be.
    """
    try:
        values = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        raise ReadError(f"{where}: expected a JSON object ({cause}); write the description again") from cause
    if not isinstance(values, dict) or values.get("amr_edge") != "pose" or values.get("schema") != SCHEMA:
        raise ReadError(
            f'{where}: expected a pose description {{"amr_edge": "pose", "schema": {SCHEMA}, ...}}; begin with: '
            f"amr-edge pose describe {SHIPPED[0]}"
        )
    try:
        return _description(values, folder)
    except (AmrError, KeyError, TypeError, ValueError) as cause:
        why = f"it does not say {cause}" if isinstance(cause, KeyError) else str(cause)
        raise ReadError(f"{where}: the description cannot be used ({why}); docs/pose.md has every field") from cause


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _description(values: Mapping[str, Any], folder: Path) -> Description:
    _known(
        values, "it", "amr_edge schema name layout joints model input decode joint_score person_score padding detector"
    )
    skeleton = layout(str(values["layout"]))
    found = values.get("detector")
    joints = values.get("joints", skeleton.joints)
    _check(isinstance(joints, list | tuple), "joints must be a list of names and nulls")
    return Description(
        name=str(values["name"]),
        skeleton=skeleton,
        joints=tuple(None if joint is None else str(joint) for joint in joints),
        model=_beside(folder, values.get("model")),
        input=_input(values["input"]),
        decoding=_decoding(values["decode"]),
        joint_score=float(values.get("joint_score", 0.3)),
        person_score=float(values.get("person_score", 0.5)),
        padding=float(values.get("padding", 1.25)),
        detector=None if found is None else _detector(found, folder),
    )


def _detector(values: Mapping[str, Any], folder: Path) -> Detector:
    _known(values, "detector", "model input decode person_score")
    decoding = _decoding({"joints": None, **values["decode"]})
    _check(decoding.kind == "direct" and decoding.joints is None, "a detector's decode is direct and has no joints")
    return Detector(
        model=_beside(folder, values.get("model")),
        input=_input(values["input"]),
        decoding=decoding,
        person_score=float(values.get("person_score", 0.5)),
    )


def _beside(folder: Path, name: object) -> Path | None:
    return None if name is None else folder / str(name)


def _input(values: Mapping[str, Any]) -> Input:
    _known(values, "input", "size order channels_first divide mean std fit fill")
    width, height = values["size"]
    mean, std = (_three(values.get(name, [plain] * 3)) for name, plain in (("mean", 0.0), ("std", 1.0)))
    return Input(
        width=int(width),
        height=int(height),
        order=str(values.get("order", "rgb")),
        channels_first=bool(values.get("channels_first", True)),
        divide=float(values.get("divide", 1.0)),
        mean=mean,
        std=std,
        fit=str(values.get("fit", "letterbox")),
        fill=int(values.get("fill", 0)),
    )


def _three(numbers: Any) -> tuple[float, float, float]:
    a, b, c = numbers
    return float(a), float(b), float(c)


def _decoding(values: Mapping[str, Any]) -> Decoding:
    _known(
        values,
        "decode",
        "as outputs split refine columns_last box corners score joints numbers classes labels person_class overlap",
    )
    joints, classes, labels = values.get("joints", 5), values.get("classes"), values.get("labels")
    return Decoding(
        kind=str(values["as"]),
        outputs=tuple(map(str, values.get("outputs", ()))),
        split=float(values.get("split", 2.0)),
        refine=bool(values.get("refine", True)),
        columns_last=bool(values.get("columns_last", True)),
        box=int(values.get("box", 0)),
        corners=bool(values.get("corners", False)),
        score=int(values.get("score", 4)),
        joints=None if joints is None else int(joints),
        numbers=int(values.get("numbers", 3)),
        classes=None if classes is None else int(classes),
        labels=None if labels is None else str(labels),
        person_class=int(values.get("person_class", 0)),
        overlap=float(values.get("overlap", 0.65)),
    )


def _known(values: Mapping[str, Any], what: str, names: str) -> None:
    """An unknown field is a typing error and must not be ignored."""
    foreign = sorted(set(values) - set(names.split()))
    _check(not foreign, f"{what} has no field {', '.join(foreign)}")
