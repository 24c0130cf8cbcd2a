"""The contract that travels inside every model file: what it saw, what it answers, how it must be fed.

The card is JSON: in ONNX under the metadata key `amr_edge.card`, in safetensors under the same key. A program
that opens a model reads its layout, window and classes from here and needs no options for them.
"""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from amr_edge.data.recording import UNITS
from amr_edge.errors import AmrError, CardError, ConfigError
from amr_edge.live_settings import EventConfig, TrackerConfig
from amr_edge.preprocess import PrepareConfig
from amr_edge.skeleton import definition_of, layout, register_definition

CARD_KEY = "amr_edge.card"
CARD_SCHEMA = 2
READABLE_SCHEMAS = (1, 2)  # 1 has no live settings

_TEXTS = ("name", "kind", "units", "precision", "pose_source")
PRECISIONS = ("fp32", "fp16", "int8", "int8-static")
_WHOLE = ("persons", "patch_frames")
_TABLES = ("encoder", "data", "metrics", "recipe", "versions", "calibration", "rules", "quality")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPoint:
    """Accuracy and cost of a model at one token budget.

    Attributes:
        share: Of all tokens of a body, in (0, 1].
        tokens: How many those are.
        top1: Share of labelled clips predicted rightly, in [0, 1].
        macs: Multiply-accumulates for one body.
    """

    share: float
    tokens: int
    top1: float
    macs: int

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or self.tokens < 1 or not 0 <= self.top1 <= 1 or self.macs < 1:
            raise CardError(
                "a point of the budget curve needs share in (0, 1], tokens >= 1, top1 in [0, 1] and macs >= 1, got "
                f"{self.share}, {self.tokens}, {self.top1}, {self.macs}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The description of a model.

    Attributes:
        name: What people call it.
        kind: "classifier" answers with probabilities; "encoder" is pre-trained and has no classes.
        classes: Class names in the order of the probabilities.
        none_class: The class that means "nothing is happening", if one does.
        prepare: How poses become the clip it sees: layout, frames, window, scale, view, stream.
        units: What it was trained on: "m" or "px".
        persons: Persons in one clip: 1 predictions for each person, 2 or more for the scene.
        patch_frames: Frames of one joint in one token.
        stride_s: Seconds between two predictions of a stream.
        threshold: Probability from which a label is believed by the stream.
        thresholds: The same for each class, where they differ; empty is `threshold` for all.
        temperature: What logits are divided by before a stream takes them for probabilities; see `apply_temperature`.
        events: Event detection of a stream, unless a run sets it otherwise.
        tracker: Tracking of people in a stream, unless a run sets it otherwise.
        calibration: What temperature and thresholds were fitted on, and what they gave there.
        rules: Class name -> range of motion that a prediction of this class must show; see `amr_edge.kinematics`.
        quality: What tells a right execution from a wrong one; see `amr_edge.kinematics`.
        budget: Share of a body's tokens that a session encodes by default, in (0, 1].
        budget_curve: What it answers at which budget, measured on the test part of its split.
        focal_windows: Frames in the windows whose motion energies rank the tokens; see `energy_windows`.
        fixed_tokens: Tokens that the file looks at, if that was fixed when it was written; None is chosen when it
            is opened.
        precision: What its linears compute in: "fp32", "fp16", "int8" (ranges found at every run) or "int8-static"
            (ranges calibrated).
        encoder: Width, depth and heads, as needed to build it again; its "kind" is "graph", "aligned" (a pair of what
            stands under "of") or absent for the transformer.
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
    thresholds: tuple[float, ...] = ()
    temperature: float = 1.0
    events: EventConfig = field(default_factory=EventConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    calibration: dict[str, Any] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    budget: float = 1.0
    budget_curve: tuple[BudgetPoint, ...] = ()
    focal_windows: tuple[int, ...] = ()
    fixed_tokens: int | None = None
    precision: str = "fp32"
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
        if self.precision not in PRECISIONS:
            raise CardError(
                f"card '{self.name}': precision must be one of {', '.join(PRECISIONS)}, got '{self.precision}'"
            )
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
        self._check_calibration()
        self._check_budget()

    def _check_calibration(self) -> None:
        if self.thresholds and len(self.thresholds) != len(self.classes):
            raise CardError(
                f"card '{self.name}': thresholds must be one for each of {len(self.classes)} classes or none, got "
                f"{len(self.thresholds)}"
            )
        if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in self.thresholds):
            raise CardError(f"card '{self.name}': thresholds must lie in [0, 1], got {self.thresholds}")
        if not isinstance(self.temperature, int | float) or not 0 < self.temperature < math.inf:
            raise CardError(f"card '{self.name}': temperature must be above 0 and finite, got {self.temperature!r}")

    def _check_budget(self) -> None:
        frames = self.prepare.frames
        if not 0 < self.budget <= 1:
            raise CardError(f"card '{self.name}': budget must lie in (0, 1], got {self.budget}")
        if self.budget != 1 and not self.has_budget:
            raise CardError(f"card '{self.name}': a graph network has no token budget, got {self.budget}")
        if not all(isinstance(point, BudgetPoint) for point in self.budget_curve):
            raise CardError(f"card '{self.name}': budget_curve must be points, got {self.budget_curve}")
        if not all(isinstance(w, int) and w >= 1 and frames % w == 0 for w in self.focal_windows):
            raise CardError(
                f"card '{self.name}': focal_windows must divide the {frames} frames of a clip, got {self.focal_windows}"
            )
        if self.fixed_tokens is not None and not 1 <= self.fixed_tokens <= self.tokens:
            raise CardError(f"card '{self.name}': fixed_tokens must lie in 1 to {self.tokens}, got {self.fixed_tokens}")

    def threshold_of(self, label: int) -> float:
        """Probability from which the class number `label` is believed by the stream."""
        return self.thresholds[label] if self.thresholds else self.threshold

    @property
    def has_budget(self) -> bool:
        """True if it can look at a part of the tokens; a graph network looks at every joint in every frame."""
        inner = self.encoder.get("of", self.encoder)
        return not (isinstance(inner, dict) and inner.get("kind") == "graph")

    @property
    def tokens(self) -> int:
        """L, tokens of one body: patches of its frames times joints."""
        return self.prepare.frames // self.patch_frames * len(layout(self.prepare.layout))

    def tokens_at(self, share: float) -> int:
        """Number of a body's tokens on a budget, at least one.

        Raises:
            ConfigError: If the share is not in (0, 1], or it is a part and the model cannot look at one.
        """
        if not 0 < share <= 1:
            raise ConfigError(f"a budget is the share of the tokens to look at, in (0, 1], got {share}")
        if share != 1 and not self.has_budget:
            raise ConfigError(
                f"'{self.name}' is a graph network, which looks at every joint in every frame and has no token budget; "
                "leave budgets and target times away, or teach a transformer: amr-edge asma --student small"
            )
        return max(1, round(share * self.tokens))

    @property
    def energy_windows(self) -> tuple[int, ...]:
        """Frames in the windows whose motion energies rank the tokens.

        Where the card does not say: one, two and four patches, as far as they divide a clip.
        """
        multiples = tuple(n * self.patch_frames for n in (1, 2, 4))
        return self.focal_windows or tuple(w for w in multiples if self.prepare.frames % w == 0)

    def to_json(self) -> str:
        """The card as one line of standard JSON.

        Raises:
            CardError: If it holds what JSON has no word for, such as NaN.
        """
        try:
            values = {"schema": CARD_SCHEMA, **definition_of(self.prepare.layout), **asdict(self)}
            return json.dumps(values, sort_keys=True, allow_nan=False)
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
        if schema not in READABLE_SCHEMAS:
            raise CardError(
                f"{where}: the card has schema {schema}, this amr-edge reads schemas 1 to {CARD_SCHEMA}; "
                "use the amr-edge version that wrote it, or export it again"
            )
        definition = values.pop("layout_definition", None)
        unknown = sorted(set(values) - {f.name for f in fields(Card)})
        if unknown:
            raise CardError(f"{where}: the card has unknown fields {', '.join(unknown)}; export the model again")
        for name in ("classes", "budget_curve", "focal_windows", "thresholds"):
            if not isinstance(values.setdefault(name, []), list):
                raise CardError(
                    f"{where}: the card cannot be used ({name} {values[name]!r} is no list); export the model again"
                )
        try:
            register_definition(definition)
            values["prepare"] = PrepareConfig(**values["prepare"])
            values["events"] = EventConfig(**values.get("events", {}))
            values["tracker"] = TrackerConfig(**values.get("tracker", {}))
            values["classes"] = tuple(values["classes"])
            values["budget_curve"] = tuple(BudgetPoint(**point) for point in values["budget_curve"])
            values["focal_windows"] = tuple(values["focal_windows"])
            values["thresholds"] = tuple(values["thresholds"])
            return Card(**values)
        except (TypeError, KeyError, OverflowError, AmrError) as cause:
            raise CardError(f"{where}: the card cannot be used ({cause}); export the model again") from cause
