"""Every setting of ASMa, its default and what it may be."""

import dataclasses
import math
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, Literal, TypeVar, get_type_hints

from amr_edge.errors import ConfigError
from amr_edge.preprocess import PrepareConfig
from amr_edge.training.config import (
    STUDENTS,
    DistillConfig,
    EncoderConfig,
    FinetuneConfig,
    GraphConfig,
    OptimizerConfig,
    PretrainConfig,
    Recipe,
    amr_small,
)

Side = Literal["central_slow", "leaf_fast"]  # of the two masks; what each hides
SIDES: tuple[Side, Side] = ("central_slow", "leaf_fast")


def _need(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise ConfigError(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewConfig:
    """Augmentations from one clip to another view of the same action (PSTL's augmentations, its values by default).

    Attributes:
        pad: Share of the clip that is reflected on to both ends before T frames are cut out.
        shear: Largest shear of each axis along each other.
        turn: Largest turn about one axis drawn at random, radians.
        tilt: Largest turn about the other two, radians.
        flip: Share of the views in which left and right change places; 0 where left and right are different actions.
    """

    pad: float = 1 / 6
    shear: float = 1.0
    turn: float = math.pi / 6
    tilt: float = math.pi / 180
    flip: float = 0.5

    def __post_init__(self) -> None:
        _need(0 <= self.pad <= 0.5, f"views.pad must lie in [0, 0.5], got {self.pad}")
        for name in ("shear", "turn", "tilt"):
            _need(getattr(self, name) >= 0, f"views.{name} must be at least 0, got {getattr(self, name)}")
        _need(0 <= self.flip <= 1, f"views.flip must lie in [0, 1], got {self.flip}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HideConfig:
    """Ratios of the two masks.

    Attributes:
        joints: K_j as a share of the joints: so many are drawn, some more than once. PSTL draws 8 of 25.
        frames: K_f as a share of the frames: so many of the slowest or fastest are hidden, and so many more at random.
            PSTL takes 10 of 50.
    """

    joints: float = 0.32
    frames: float = 0.2

    def __post_init__(self) -> None:
        _need(0 < self.joints < 1, f"hide.joints must lie in (0, 1), got {self.joints}")
        _need(0 < self.frames < 0.5, f"hide.frames must lie in (0, 0.5): it is hidden twice, got {self.frames}")

    def drawn_joints(self, joints: int) -> int:
        """K_j of a layout; always leaves a joint."""
        return min(max(1, round(self.joints * joints)), joints - 1)

    def hidden_frames(self, frames: int) -> int:
        """K_f of a clip; hidden twice, it always leaves a frame."""
        return min(max(1, round(self.frames * frames)), (frames - 1) // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarlowConfig:
    """The projector and the loss.

    Attributes:
        projector: Widths of its layers; the last is compared.
        off_diagonal: Weight of the correlations between different features.
    """

    projector: tuple[int, ...] = (6144, 6144, 6144)
    off_diagonal: float = 2e-4

    def __post_init__(self) -> None:
        _need(len(self.projector) > 0, "barlow.projector needs at least one width")
        _need(min(self.projector) >= 2, f"barlow.projector must be widths of at least 2, got {self.projector}")
        _need(self.off_diagonal >= 0, f"barlow.off_diagonal must be at least 0, got {self.off_diagonal}")


def _probe() -> OptimizerConfig:
    return OptimizerConfig(
        epochs=150, batch=128, lr=0.01, min_lr=0.0, warmup=1 / 15, weight_decay=1e-5, betas=(0.9, 0.999)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """Alignment and linear probe on top of two frozen encoders.

    Attributes:
        heads: Of the attention between them.
        dropout: On the pooled feature.
        views: What changes in a clip between epochs.
        optim: The optimiser.
    """

    heads: int = 8
    dropout: float = 0.0
    views: ViewConfig = field(default_factory=lambda: ViewConfig(shear=0.5, flip=0.0))
    optim: OptimizerConfig = field(default_factory=_probe)

    def __post_init__(self) -> None:
        _need(self.heads >= 1, f"teacher.heads must be at least 1, got {self.heads}")
        _need(0 <= self.dropout < 1, f"teacher.dropout must lie in [0, 1), got {self.dropout}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentConfig:
    """The light student.

    Attributes:
        kind: "graph" is a narrow ST-GCN; "small" and "tiny" are transformers, which have a token budget.
        graph: The ST-GCN, 0.213 M parameters by default at 25 joints.
        dropout: On the pooled feature.
        views: What changes in a clip between epochs.
        optim: The optimiser.
    """

    kind: Literal["graph", "small", "tiny"] = "graph"
    graph: GraphConfig = field(default_factory=lambda: GraphConfig(base=16, width=64, dropout=0.0))
    dropout: float = 0.0
    views: ViewConfig = field(default_factory=lambda: ViewConfig(shear=0.5, flip=0.0))
    optim: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            epochs=150, batch=128, lr=5e-3, min_lr=0.0, warmup=1 / 15, weight_decay=1e-4, betas=(0.9, 0.999)
        )
    )

    def __post_init__(self) -> None:
        _need(self.kind in ("graph", *STUDENTS), f"student.kind must be graph, small or tiny, got '{self.kind}'")
        _need(0 <= self.dropout < 1, f"student.dropout must lie in [0, 1), got {self.dropout}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsmaRecipe:
    """Everything that an ASMa run needs to know besides the data and the seed.

    Attributes:
        name: Of the recipe.
        prepare: How poses become clips; layout, window and, for pixels, scale and view are the data's.
        persons: In a clip.
        backbone: "graph" pre-trains two ST-GCNs by Barlow Twins; "tokens" two AMR encoders by masked reconstruction,
            the masks deciding which tokens they see.
        graph: The ST-GCNs.
        hide: What their masks hide.
        views: Between their three streams.
        barlow: Their loss.
        pretrain: Their optimiser.
        encoder: The AMR encoders.
        masked: Their pretext task, optimiser and augmentations; its `mask` is set by the two masks.
        teacher: Alignment and linear probe.
        student: The student.
        distill: How it weighs what the teacher says.
    """

    name: str
    prepare: PrepareConfig
    persons: int = 2
    backbone: Literal["graph", "tokens"] = "graph"
    graph: GraphConfig = field(default_factory=GraphConfig)
    hide: HideConfig = field(default_factory=HideConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    barlow: BarlowConfig = field(default_factory=BarlowConfig)
    pretrain: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            epochs=150, batch=128, lr=5e-3, min_lr=0.0, warmup=1 / 15, weight_decay=1e-5, betas=(0.9, 0.999)
        )
    )
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    masked: PretrainConfig = field(default_factory=PretrainConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    distill: DistillConfig = field(default_factory=lambda: DistillConfig(teacher_budget=1.0))

    def __post_init__(self) -> None:
        _need(self.persons >= 1, f"persons must be at least 1, got {self.persons}")
        _need(self.backbone in ("graph", "tokens"), f"backbone must be graph or tokens, got '{self.backbone}'")
        width = self.width
        _need(
            width % self.teacher.heads == 0,
            f"teacher.heads must divide the width {width} of an encoder, got {self.teacher.heads}",
        )
        _need(
            self.distill.teacher_budget == 1,
            f"an ASMa teacher looks at all of a clip, so distill.teacher_budget must be 1, got "
            f"{self.distill.teacher_budget}",
        )
        if self.backbone == "tokens":
            self.masked.pretext.check(self.prepare.frames, self.encoder.patch_frames)

    @property
    def width(self) -> int:
        """Of each encoder's features."""
        return self.graph.width if self.backbone == "graph" else self.encoder.width

    def reconstruction(self, side: Side) -> Recipe:
        """The recipe that pre-trains one AMR encoder behind one of the two masks."""
        return Recipe(
            name=self.name,
            prepare=self.prepare,
            encoder=self.encoder,
            pretrain=replace(self.masked, pretext=replace(self.masked.pretext, mask=side)),
            finetune=FinetuneConfig(),
            persons=self.persons,
        )


def asma() -> AsmaRecipe:
    """ASMa at PSTL's size and schedule; where the paper is silent (student, temperature, alpha) we chose."""
    return AsmaRecipe(name="asma", prepare=PrepareConfig(frames=50, window_s=2.0))


def asma_small() -> AsmaRecipe:
    """ASMa for a CPU: 32 frames, features of 128, a projector of 512, every clip turned to face the same way.

    Nothing is flipped, because small data sets tend to tell left from right.
    """
    base = amr_small()
    optim = OptimizerConfig(
        epochs=40, batch=64, lr=3e-3, min_lr=1e-5, warmup=0.1, weight_decay=1e-4, betas=(0.9, 0.999), clip_norm=5.0
    )
    mild = ViewConfig(shear=0.2, flip=0.0)
    return AsmaRecipe(
        name="asma-small",
        prepare=replace(base.prepare, frames=32),
        graph=GraphConfig(base=16, width=128, dropout=0.2),
        views=ViewConfig(shear=0.5, flip=0.0),
        barlow=BarlowConfig(projector=(512, 512, 512), off_diagonal=2e-3),
        pretrain=optim,
        encoder=base.encoder,
        masked=base.pretrain,
        teacher=TeacherConfig(heads=4, views=mild, optim=replace(optim, epochs=30, batch=32)),
        student=StudentConfig(
            graph=GraphConfig(base=8, width=64, dropout=0.0), views=mild, optim=replace(optim, epochs=60, batch=32)
        ),
    )


RECIPES = {"asma": asma, "asma-small": asma_small}


def asma_recipe(name: str) -> AsmaRecipe:
    """The recipe called `name`.

    Raises:
        ConfigError: If there is none.
    """
    if name not in RECIPES:
        raise ConfigError(f"there is no recipe '{name}'; the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]()


Config = TypeVar("Config")


def from_dict(kind: type[Config], values: dict[str, Any]) -> Config:
    """The config that `dataclasses.asdict` wrote out, checked again on the way in.

    >>> from dataclasses import asdict
    >>> from_dict(AsmaRecipe, asdict(asma_small())) == asma_small()
    True
    """
    hints = get_type_hints(kind)
    made = {}
    for f in dataclasses.fields(kind):  # type: ignore[arg-type]
        if f.name in values:
            value = values[f.name]
            if is_dataclass(hints[f.name]):
                value = from_dict(hints[f.name], value)
            made[f.name] = tuple(value) if isinstance(value, list) else value
    return kind(**made)
