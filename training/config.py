"""Every setting of training, its default and what it may be; a recipe is a function that returns them all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

from amr_edge.errors import ConfigError
from amr_edge.preprocess import PrepareConfig
from amr_edge.settings import override as apply_settings


def _need(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise ConfigError(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """A plain pre-norm ViT over tokens of `patch_frames` frames of one joint.

    The defaults are the paper's size: 8 layers of width 256, 6.336 M parameters at 25 joints and 120 frames.
    """

    width: int = 256
    depth: int = 8
    heads: int = 8
    mlp_ratio: int = 4
    patch_frames: int = 4

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads", "mlp_ratio", "patch_frames"):
            _need(getattr(self, name) >= 1, f"encoder.{name} must be at least 1, got {getattr(self, name)}")
        _need(
            self.width % self.heads == 0,
            f"encoder.width must be a multiple of encoder.heads, got {self.width} and {self.heads}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PretextConfig:
    """Masked reconstruction: what is hidden, who predicts it, what is predicted, and what counts.

    The defaults are AMR's. `decoder="self"`, `enlarge=1`, `predict="hidden"` and `focal_k=0` make MAMP and, with
    `target="joint"`, SkeletonMAE of the same encoder.

    Attributes:
        mask: Which tokens the encoder sees: "random"; "motion" (still ones more often); "tube" (some joints, at all
            times); "spatial_temporal" (some joints at some moments); "central_slow" hides joints of many bones and
            slow moments, "leaf_fast" joints of few bones and fast moments.
        mask_ratio: Share of the tokens that the encoder does not see.
        mask_tau: Of "motion": the smaller, the more strictly movement is hidden.
        joint_share: Of "spatial_temporal": share of the joints that are seen; the moments follow from mask_ratio.
        decoder: "cross": queries look at the encoder's tokens and not at each other. "self": queries and tokens look
            at all of both, as in MAE.
        decoder_depth: Layers.
        memory: What a decoder layer sees of the encoder: its "last" layer, or a learned mix of all "layers".
        queries: "placed": one learned vector plus a place in time and on the body. "free": one vector for each.
        enlarge: r; one query predicts r * patch_frames frames of one joint.
        downsample: n; what is predicted is every n-th frame, so that a query spans n times as long.
        predict: "all" targets count in the loss, or those of "hidden" tokens only, which needs targets of the size
            of tokens.
        predict_share: Of the targets, the share that is predicted in a step, chosen at random (decoder masking).
        target: "motion" predicts displacements to the next frame, "joint" positions.
        target_norm: "patch" normalises each target patch, "time" each joint and axis over the clip, "none" nothing.
        focal_k: k of the focal weight 1 / (1 + k * mean energy / energy); 0 weighs everything alike.
        focal_windows: Frames in the windows whose motion energies are fused.
        focal_fusion: Whether "weights" or "energies" are meaned over the windows.
        focal_source: Whose energy: of the "joint" positions or of the "motion" from frame to frame.
    """

    mask: Literal["random", "motion", "tube", "spatial_temporal", "central_slow", "leaf_fast"] = "random"
    mask_ratio: float = 0.9
    mask_tau: float = 0.8
    joint_share: float = 0.4
    decoder: Literal["cross", "self"] = "cross"
    decoder_depth: int = 5
    memory: Literal["last", "layers"] = "last"
    queries: Literal["placed", "free"] = "placed"
    enlarge: int = 6
    downsample: int = 1
    predict: Literal["all", "hidden"] = "all"
    predict_share: float = 1.0
    target: Literal["motion", "joint"] = "motion"
    target_norm: Literal["patch", "time", "none"] = "patch"
    focal_k: float = 0.01
    focal_windows: tuple[int, ...] = (4, 8, 12)
    focal_fusion: Literal["weights", "energies"] = "weights"
    focal_source: Literal["joint", "motion"] = "joint"

    def __post_init__(self) -> None:
        _need(0 < self.mask_ratio < 1, f"pretext.mask_ratio must lie in (0, 1), got {self.mask_ratio}")
        _need(self.mask_tau > 0, f"pretext.mask_tau must be above 0, got {self.mask_tau}")
        _need(0 < self.joint_share <= 1, f"pretext.joint_share must lie in (0, 1], got {self.joint_share}")
        _need(self.enlarge >= 1, f"pretext.enlarge must be at least 1, got {self.enlarge}")
        _need(self.downsample >= 1, f"pretext.downsample must be at least 1, got {self.downsample}")
        _need(0 < self.predict_share <= 1, f"pretext.predict_share must lie in (0, 1], got {self.predict_share}")
        _need(self.decoder_depth >= 1, f"pretext.decoder_depth must be at least 1, got {self.decoder_depth}")
        for name, allowed in (
            ("mask", ("random", "motion", "tube", "spatial_temporal", "central_slow", "leaf_fast")),
            ("decoder", ("cross", "self")),
            ("memory", ("last", "layers")),
            ("queries", ("placed", "free")),
            ("predict", ("all", "hidden")),
            ("target", ("motion", "joint")),
            ("target_norm", ("patch", "time", "none")),
            ("focal_fusion", ("weights", "energies")),
            ("focal_source", ("joint", "motion")),
        ):
            value = getattr(self, name)
            _need(value in allowed, f"pretext.{name} must be one of {', '.join(allowed)}, got '{value}'")
        _need(
            self.predict == "all" or self.enlarge == self.downsample == 1,
            "pretext.predict=hidden needs targets of the size of tokens, so pretext.enlarge and pretext.downsample "
            f"must be 1, got {self.enlarge} and {self.downsample}; or set pretext.predict=all",
        )
        _need(
            self.memory == "last" or self.decoder == "cross",
            "pretext.memory=layers gives every layer of a cross-attention decoder a mix of its own, so "
            f"pretext.decoder must be cross, got '{self.decoder}'",
        )
        _need(self.focal_k >= 0, f"pretext.focal_k must be at least 0, got {self.focal_k}")
        _need(len(self.focal_windows) > 0, "pretext.focal_windows needs at least one window length")
        _need(min(self.focal_windows) >= 1, f"pretext.focal_windows must be at least 1, got {self.focal_windows}")

    def check(self, frames: int, patch_frames: int) -> None:
        """Refuse patches and windows that do not divide a clip of `frames` frames."""
        _need(
            frames % patch_frames == 0,
            f"encoder.patch_frames must divide prepare.frames, got {patch_frames} and {frames}",
        )
        steps = frames // patch_frames
        allowed = [n for n in range(1, steps + 1) if steps % n == 0]
        for name in ("enlarge", "downsample"):
            _need(
                getattr(self, name) in allowed,
                f"pretext.{name} must divide the {steps} tokens of a joint in time; "
                f"it may be {', '.join(map(str, allowed))}, got {getattr(self, name)}",
            )
        _need(
            steps % (self.enlarge * self.downsample) == 0,
            f"pretext.enlarge times pretext.downsample must divide the {steps} tokens of a joint in time, got "
            f"{self.enlarge} times {self.downsample}",
        )
        for window in self.focal_windows:
            _need(
                frames % window == 0,
                f"pretext.focal_windows must divide prepare.frames = {frames}, got {window}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """Augmentations that keep the action of a clip.

    Attributes:
        crop: Shortest share of a recording that a clip is cut from, in (0, 1].
        yaw: Largest turn about the vertical, radians.
        tilt: Largest turn about the two level axes, radians.
        scale: Largest relative change of size.
        mirror: Share of the clips that are seen as in a mirror, left joints as right ones; for actions that no side
            is part of.
        noise_m: Standard deviation of white noise on every coordinate.
        drop_joints: Share of the clips in which up to a third of the joints are absent throughout.
    """

    crop: float = 0.5
    yaw: float = 0.3
    tilt: float = 0.3
    scale: float = 0.0
    mirror: float = 0.0
    noise_m: float = 0.0
    drop_joints: float = 0.0

    def __post_init__(self) -> None:
        _need(0 < self.crop <= 1, f"augment.crop must lie in (0, 1], got {self.crop}")
        for name in ("yaw", "tilt", "scale", "noise_m"):
            _need(getattr(self, name) >= 0, f"augment.{name} must be at least 0, got {getattr(self, name)}")
        _need(self.scale < 1, f"augment.scale must be below 1, got {self.scale}")
        _need(0 <= self.mirror <= 1, f"augment.mirror must lie in [0, 1], got {self.mirror}")
        _need(0 <= self.drop_joints <= 1, f"augment.drop_joints must lie in [0, 1], got {self.drop_joints}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW with linear warm-up and half-cosine decay, per step."""

    epochs: int = 400
    batch: int = 128
    lr: float = 1e-3
    min_lr: float = 5e-4
    warmup: float = 0.05  # share of the steps with a rising learning rate
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    layer_decay: float = 1.0  # learning rate of a layer relative to the one above it
    clip_norm: float = 0.0  # 0 does not clip
    ema: float = 0.0  # decay of the averaged weights that are kept instead of the last; 0 does not average
    patience: int = 0  # epochs without a better validation score after which training stops; 0 never stops

    def __post_init__(self) -> None:
        _need(self.epochs >= 1, f"optim.epochs must be at least 1, got {self.epochs}")
        _need(self.batch >= 1, f"optim.batch must be at least 1, got {self.batch}")
        _need(self.lr > 0, f"optim.lr must be above 0, got {self.lr}")
        _need(0 <= self.min_lr <= self.lr, f"optim.min_lr must lie in [0, lr], got {self.min_lr}")
        _need(0 <= self.warmup < 1, f"optim.warmup must lie in [0, 1), got {self.warmup}")
        _need(self.weight_decay >= 0, f"optim.weight_decay must be at least 0, got {self.weight_decay}")
        _need(all(0 <= beta < 1 for beta in self.betas), f"optim.betas must lie in [0, 1), got {self.betas}")
        _need(0 < self.layer_decay <= 1, f"optim.layer_decay must lie in (0, 1], got {self.layer_decay}")
        _need(self.clip_norm >= 0, f"optim.clip_norm must be at least 0, got {self.clip_norm}")
        _need(0 <= self.ema < 1, f"optim.ema must lie in [0, 1), got {self.ema}")
        _need(self.patience >= 0, f"optim.patience must be at least 0, got {self.patience}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneConfig:
    """The classifier on top of the encoder.

    Attributes:
        label_smoothing: Probability mass given to the other classes.
        dropout: On the pooled feature.
        drop_path: Largest share of samples that skip the last block; rises linearly with depth.
        budget: Smallest and largest share of a clip's tokens that a training step sees.
        full_share: Share of the steps that see all tokens.
        ranked_share: Of the steps on a budget, the share whose tokens are ranked by motion energy.
        optim: The optimiser.
        augment: The augmentations.
    """

    label_smoothing: float = 0.1
    dropout: float = 0.1
    drop_path: float = 0.1
    budget: tuple[float, float] = (1.0, 1.0)
    full_share: float = 0.0
    ranked_share: float = 0.5
    optim: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            epochs=100, batch=48, lr=3e-4, min_lr=1e-5, betas=(0.9, 0.999), layer_decay=0.8
        )
    )
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        for name in ("label_smoothing", "dropout", "drop_path"):
            _need(0 <= getattr(self, name) < 1, f"finetune.{name} must lie in [0, 1), got {getattr(self, name)}")
        low, high = self.budget
        _need(0 < low <= high <= 1, f"finetune.budget must be two rising shares in (0, 1], got {self.budget}")
        for name in ("full_share", "ranked_share"):
            _need(0 <= getattr(self, name) <= 1, f"finetune.{name} must lie in [0, 1], got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Masked pre-training: the pretext task, its optimiser and its augmentations."""

    pretext: PretextConfig = field(default_factory=PretextConfig)
    optim: OptimizerConfig = field(default_factory=OptimizerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """Settings of the distillation loss.

    Attributes:
        alpha: Share of the loss that is the distance to the teacher's predictions; the rest is the labels'.
        temperature: T; above 1 shows more of what the teacher thinks of the classes it does not choose.
        teacher_budget: Share of a clip's tokens that the teacher sees, those that move most.
    """

    alpha: float = 0.7
    temperature: float = 4.0
    teacher_budget: float = 0.25

    def __post_init__(self) -> None:
        _need(0 < self.alpha <= 1, f"distill.alpha must lie in (0, 1], got {self.alpha}")
        _need(0 < self.temperature < math.inf, f"distill.temperature must be above 0, got {self.temperature}")
        _need(0 < self.teacher_budget <= 1, f"distill.teacher_budget must lie in (0, 1], got {self.teacher_budget}")


# Widths of all blocks of an ST-GCN but the last, as multiples of the first.
GRAPH_WIDTHS = (1, 1, 1, 1, 2, 2, 2, 4, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphConfig:
    """An ST-GCN of ten blocks.

    Attributes:
        base: Width of the first blocks; the fifth to seventh are twice as wide, the next two four times.
        width: Of the last block, and so of the features.
        kernel: Frames that a block looks at; odd.
        dropout: Inside every block.
    """

    base: int = 16
    width: int = 256
    kernel: int = 9
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("base", "width", "kernel"):
            if getattr(self, name) < 1:
                raise ConfigError(f"graph.{name} must be at least 1, got {getattr(self, name)}")
        if self.kernel % 2 == 0:
            raise ConfigError(f"graph.kernel must be odd, so that it has a middle, got {self.kernel}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"graph.dropout must lie in [0, 1), got {self.dropout}")

    @property
    def depth(self) -> int:
        """Blocks."""
        return len(GRAPH_WIDTHS) + 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Of every block."""
        return (*(self.base * times for times in GRAPH_WIDTHS), self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything a run needs to know besides the data and the seed.

    `prepare.layout` "" takes the layout of the data, and `prepare.window_s` 0 the median length of its clips.

    Attributes:
        backbone: "transformer" is built from `encoder`, "graph" (ST-GCN) from `graph`, another kind of
            `amr_edge.training.models.build.BACKBONES` from `backbone_fields`. Only a transformer has tokens, and so
            masked pre-training and budgets.
        backbone_fields: Of other kinds, what a card states of them beside the kind.
    """

    name: str
    prepare: PrepareConfig
    encoder: EncoderConfig
    pretrain: PretrainConfig
    finetune: FinetuneConfig
    distill: DistillConfig = field(default_factory=DistillConfig)
    persons: int = 2
    backbone: str = "transformer"
    graph: GraphConfig = field(default_factory=GraphConfig)
    backbone_fields: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _need(self.persons >= 1, f"persons must be at least 1, got {self.persons}")
        _need(
            self.backbone == "transformer" or self.finetune.budget == (1.0, 1.0),
            f"a backbone of the kind '{self.backbone}' sees all joints and frames and has no token budget; leave "
            f"finetune.budget=1,1, got {self.finetune.budget}",
        )
        self.pretrain.pretext.check(self.prepare.frames, self.encoder.patch_frames)

    @property
    def described_backbone(self) -> dict[str, Any]:
        """The backbone as a card states it; `amr_edge.training.models.build` builds it again."""
        if self.backbone == "transformer":
            return asdict(self.encoder)
        return {"kind": self.backbone, **(asdict(self.graph) if self.backbone == "graph" else self.backbone_fields)}


def amr() -> Recipe:
    """AMR at the paper's size and schedule (Sun et al., CVPR 2026; defaults where the paper is silent are ours)."""
    return Recipe(
        name="amr",
        prepare=PrepareConfig(frames=120, window_s=4.0),
        encoder=EncoderConfig(),
        pretrain=PretrainConfig(),
        finetune=FinetuneConfig(drop_path=0.3, dropout=0.3),
    )


def amr_small() -> Recipe:
    """AMR for a CPU: width 128, 6 layers, 64 frames, every clip turned to face the same way, random token budgets."""
    turned = AugmentConfig(yaw=0.3, tilt=0.1)
    return Recipe(
        name="amr-small",
        prepare=PrepareConfig(frames=64, window_s=2.1, scale="torso", view="body"),
        encoder=EncoderConfig(width=128, depth=6, heads=4),
        pretrain=PretrainConfig(
            pretext=PretextConfig(enlarge=4, decoder_depth=3, focal_windows=(4, 8, 16)),
            optim=OptimizerConfig(epochs=120, batch=32, lr=1e-3, min_lr=1e-5),
            augment=turned,
        ),
        finetune=FinetuneConfig(
            budget=(0.1, 0.5),
            drop_path=0.0,
            optim=OptimizerConfig(epochs=60, batch=32, lr=1e-3, min_lr=1e-5, betas=(0.9, 0.999)),
            augment=turned,
        ),
    )


def stgcn_small() -> Recipe:
    """An ST-GCN trained from scratch on the clips and schedule of amr-small; it has no masked pre-training."""
    base = amr_small()
    return replace(
        base,
        name="stgcn-small",
        backbone="graph",
        graph=GraphConfig(base=16, width=128, dropout=0.2),
        finetune=replace(base.finetune, budget=(1.0, 1.0)),
    )


def mamp() -> Recipe:
    """MAMP on the same encoder: motion-aware masks, small motion targets, a decoder of self-attention over all tokens.

    Source: Mao et al., ICCV 2023, with the five decoder layers that AMR's authors compare with.
    """
    return _peer(amr(), "mamp", PretextConfig(mask="motion"))


def mamp_small() -> Recipe:
    """MAMP for a CPU: the encoder, schedule and decoder depth of amr-small."""
    return _peer(amr_small(), "mamp-small", PretextConfig(mask="motion", decoder_depth=3, focal_windows=(4, 8, 16)))


def skeletonmae() -> Recipe:
    """SkeletonMAE on the same encoder: whole joints and frames are hidden, and coordinates are predicted.

    Source: Wu et al., ICMEW 2023. Its ratios are not known: two fifths of the joints at a quarter of the moments are
    seen, a tenth of the tokens. `pretext.mask=random pretext.target_norm=patch` is what MAMP's authors call so.
    """
    return _peer(amr(), "skeletonmae", PretextConfig(mask="spatial_temporal", target="joint", target_norm="none"))


def skeletonmae_small() -> Recipe:
    """SkeletonMAE for a CPU: the encoder, schedule and decoder depth of amr-small."""
    return _peer(
        amr_small(),
        "skeletonmae-small",
        PretextConfig(
            mask="spatial_temporal", target="joint", target_norm="none", decoder_depth=3, focal_windows=(4, 8, 16)
        ),
    )


def _peer(own: Recipe, name: str, pretext: PretextConfig) -> Recipe:
    """AMR's recipe with a predecessor's decoder: self-attention, targets of the hidden tokens, all weighed alike."""
    pretext = replace(pretext, decoder="self", predict="hidden", enlarge=1, focal_k=0.0)
    return replace(own, name=name, pretrain=replace(own.pretrain, pretext=pretext))


STUDENTS = {
    "small": EncoderConfig(width=128, depth=4, heads=4, mlp_ratio=2, patch_frames=8),
    "tiny": EncoderConfig(width=64, depth=4, heads=2, mlp_ratio=4, patch_frames=8),
}


def student(name: str, prepare: PrepareConfig, persons: int) -> Recipe:
    """A student that sees what its teacher sees, in longer patches.

    Args:
        name: "small", 0.55 M parameters at 25 joints and 120 frames, or "tiny", 0.21 M.
        prepare: The teacher's preprocessing.
        persons: The teacher's persons.

    Raises:
        ConfigError: If there is no such student, or its patches do not divide the teacher's clip.
    """
    _need(name in STUDENTS, f"there is no student '{name}'; the students are {', '.join(STUDENTS)}")
    encoder = STUDENTS[name]
    _need(
        prepare.frames % encoder.patch_frames == 0,
        f"a student looks at patches of {encoder.patch_frames} frames, which must divide the teacher's clip of "
        f"{prepare.frames}; train a teacher with --set prepare.frames=64 or 120",
    )
    steps = prepare.frames // encoder.patch_frames
    turned = AugmentConfig(yaw=0.3, tilt=0.1)
    return Recipe(
        name=name,
        prepare=prepare,
        persons=persons,
        encoder=encoder,
        pretrain=PretrainConfig(
            pretext=PretextConfig(
                # The nearest to the teacher's two dozen frames in a target patch.
                enlarge=min((r for r in range(1, steps + 1) if steps % r == 0), key=lambda r: abs(r - 2.6)),
                decoder_depth=2,
                focal_windows=tuple(w for w in (4, 8, 12, 16) if prepare.frames % w == 0),
            ),
            optim=OptimizerConfig(epochs=120, batch=32, lr=1e-3, min_lr=1e-5),
            augment=turned,
        ),
        finetune=FinetuneConfig(
            budget=(0.1, 0.5),
            dropout=0.0,
            drop_path=0.0,
            label_smoothing=0.0,
            optim=OptimizerConfig(epochs=150, batch=16, lr=1e-3, min_lr=1e-5, betas=(0.9, 0.999), ema=0.999),
            augment=turned,
        ),
    )


RECIPES = {
    "amr": amr,
    "amr-small": amr_small,
    "mamp": mamp,
    "mamp-small": mamp_small,
    "skeletonmae": skeletonmae,
    "skeletonmae-small": skeletonmae_small,
    "stgcn-small": stgcn_small,
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        ConfigError: If there is none.
    """
    if name not in RECIPES:
        raise ConfigError(f"there is no recipe '{name}'; the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]()


# What earlier versions called a group of settings; their configs and settings stay readable.
RENAMED_FIELDS = {"distil": "distill"}

Config = TypeVar("Config")


def override(config: Config, settings: Mapping[str, object] | Sequence[str]) -> Config:
    """A copy of `config` with {"finetune.optim.epochs": 30} or "finetune.optim.epochs=30" applied.

    See `amr_edge.settings.override`.

    >>> override(amr_small(), ["encoder.width=64"]).encoder.width
    64
    """
    return apply_settings(config, settings, renamed=RENAMED_FIELDS)


def from_dict(kind: type[Config], values: dict[str, Any]) -> Config:
    """The config that `dataclasses.asdict` wrote out, checked again on the way in."""
    made: dict[str, Any] = {}
    for f in fields(kind):  # type: ignore[arg-type]
        if f.name not in values:
            continue
        value = values[f.name]
        nested = _NESTED.get((kind.__name__, f.name))
        made[f.name] = from_dict(nested, value) if nested else tuple(value) if isinstance(value, list) else value
    return kind(**made)


_NESTED: dict[tuple[str, str], Any] = {
    ("Recipe", "prepare"): PrepareConfig,
    ("Recipe", "encoder"): EncoderConfig,
    ("Recipe", "pretrain"): PretrainConfig,
    ("Recipe", "finetune"): FinetuneConfig,
    ("Recipe", "distill"): DistillConfig,
    ("Recipe", "graph"): GraphConfig,
    ("PretrainConfig", "pretext"): PretextConfig,
    ("PretrainConfig", "optim"): OptimizerConfig,
    ("PretrainConfig", "augment"): AugmentConfig,
    ("FinetuneConfig", "optim"): OptimizerConfig,
    ("FinetuneConfig", "augment"): AugmentConfig,
}
