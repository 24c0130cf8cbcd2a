"""The contract that travels inside every model file: what it saw, what it answers, how it must be fed.

The card is JSON: in ONNX under the metadata key `amr_edge.card`, in safetensors under the same key. Whoever
opens a model reads its layout, window and classes from here; nothing is asked from the command line again.
"""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from amr_edge.errors import AmrError, CardError
from amr_edge.preprocess import PrepareConfig
from amr_edge.recording import UNITS

CARD_KEY = "amr_edge.card"
CARD_SCHEMA = 1

_TEXTS = ("name", "kind", "units", "pose_source")
_WHOLE = ("persons", "patch_frames")
_TABLES = ("encoder", "data", "metrics", "recipe", "versions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a model is.

    Attributes:
        name: What people call it.
        kind: "classifier" answers with probabilities; "encoder" is pre-trained and has no classes.
        classes: Class names in the order of the probabilities.
        none_class: The class that means "nothing is happening", if one does.
        prepare: How poses become the clip it sees: layout, frames, window, scale, view.
        units: What it was trained on: "m" or "px".
        persons: Persons in one clip: 1 answers for each person, 2 or more for the scene.
        patch_frames: Frames of one joint in one token.
        stride_s: Seconds between two answers of a stream.
        threshold: Probability from which a label is believed by the stream.
        encoder: Width, depth and heads, as needed to build it again.
        pose_source: What estimated the joints it was trained on.
        data: Training data: name, terms, split, number of clips.
        metrics: Measured results by name.
        recipe: Name of the recipe and the seed.
        versions: Versions of what made it.
    """

    name: str
    kind: str
    prepare: PrepareConfig
    classes: tuple[str, ...] = ()
    none_class: str | None = None
    units: str = "m"
    persons: int = 1
    patch_frames: int = 4
    stride_s: float = 0.25
    threshold: float = 0.5
    encoder: dict[str, Any] = field(default_factory=dict)
    pose_source: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, names in ((str, _TEXTS), (int, _WHOLE), (dict, _TABLES)):
            for name in names:
                if not isinstance(getattr(self, name), kind):
                    raise CardError(
                        f"card '{self.name}': {name} must be of type {kind.__name__}, got {getattr(self, name)!r}"
                    )
        if not all(isinstance(label, str) for label in self.classes):
            raise CardError(f"card '{self.name}': class names must be text, got {self.classes}")
        if self.units not in UNITS:
            raise CardError(f"card '{self.name}': units must be one of {', '.join(UNITS)}, got '{self.units}'")
        if self.kind not in ("classifier", "encoder"):
            raise CardError(f"card '{self.name}': kind must be classifier or encoder, got '{self.kind}'")
        if self.kind == "classifier" and (not self.classes or len(set(self.classes)) != len(self.classes)):
            raise CardError(f"card '{self.name}': a classifier needs distinct class names, got {self.classes}")
        if self.none_class is not None and self.none_class not in self.classes:
            raise CardError(f"card '{self.name}': none_class '{self.none_class}' is not one of its classes")
        stride_means_something = math.isfinite(self.stride_s) and self.stride_s > 0
        if self.persons < 1 or self.patch_frames < 1 or not stride_means_something or not 0 <= self.threshold <= 1:
            raise CardError(
                f"card '{self.name}': expected persons, patch_frames >= 1, stride_s > 0, threshold in [0, 1], got "
                f"{self.persons}, {self.patch_frames}, {self.stride_s}, {self.threshold}"
            )

    def to_json(self) -> str:
        """The card as one line of standard JSON.

        Raises:
            CardError: If it holds what JSON has no word for, such as NaN.
        """
        try:
            return json.dumps({"schema": CARD_SCHEMA, **asdict(self)}, sort_keys=True, allow_nan=False)
        except (ValueError, TypeError) as cause:
            raise CardError(f"card '{self.name}': {cause}; keep only finite numbers, text and lists in it") from cause

    @staticmethod
    def from_json(text: str, where: str) -> "Card":
        """The card in `text`.

        Args:
            text: What `to_json` wrote.
            where: The file it came from, for the sentence when it is broken.

        Raises:
            CardError: If it is not JSON, of another schema, or contradicts itself.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as cause:
            raise CardError(f"{where}: the card is not JSON; the file is damaged, export it again") from cause
        if not isinstance(values, dict):
            raise CardError(f"{where}: the card is not a JSON object; the file is damaged, export it again")
        schema = values.pop("schema", None)
        if schema != CARD_SCHEMA:
            raise CardError(
                f"{where}: the card has schema {schema}, this amr-edge reads schema {CARD_SCHEMA}; "
                "use the amr-edge version that wrote it, or export it again"
            )
        unknown = sorted(set(values) - {f.name for f in fields(Card)})
        if unknown:
            raise CardError(f"{where}: the card has unknown fields {', '.join(unknown)}; export the model again")
        classes = values.get("classes", [])
        if not isinstance(classes, list):
            raise CardError(
                f"{where}: the card cannot be used (classes {classes!r} is no list); export the model again"
            )
        try:
            values["prepare"] = PrepareConfig(**values["prepare"])
            values["classes"] = tuple(classes)
            return Card(**values)
        except (TypeError, KeyError, OverflowError, AmrError) as cause:
            raise CardError(f"{where}: the card cannot be used ({cause}); export the model again") from cause
