"""Every setting of the bundled model; each augmentation and each kind of negative can be switched off here."""

from dataclasses import asdict, dataclass, field

from amr_edge.errors import ConfigError
from amr_edge.preprocess import PrepareConfig
from amr_edge.training.config import (
    EncoderConfig,
    FinetuneConfig,
    OptimizerConfig,
    PretextConfig,
    PretrainConfig,
    Recipe,
)
from amr_edge.training.recipes.rehab8.augmentation import AugmentationConfig
from amr_edge.training.recipes.rehab8.negatives import NegativesConfig

NAME = "rehab8"
FRAMES, WINDOW_S = 64, 4.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RehabRecipe:
    """Settings of `rehab8`.

    Attributes:
        recipe: The encoder, the pretext, the classifier and their optimisers.
        change: What the exercises are changed by.
        nothing: What the windows without exercise are made of.
        nothing_share: Share of each batch that shows no exercise.
        windows: Windows in an epoch; every one is cut and changed anew.
        incorrect: How often an incorrect execution is drawn, relative to a correct one.
        vicon: How often a Vicon stream is drawn, relative to one of Kinect.
        synthetic: Share of the exercises that synthetic people do.
        sets: Synthetic sets of each class.
        life_s: Seconds of synthetic life.
    """

    recipe: Recipe
    change: AugmentationConfig = field(default_factory=AugmentationConfig)
    nothing: NegativesConfig = field(default_factory=NegativesConfig)
    nothing_share: float = 0.3
    windows: int = 3200
    incorrect: float = 1.0
    vicon: float = 1.0
    synthetic: float = 0.25
    sets: int = 60
    life_s: float = 3600.0

    def __post_init__(self) -> None:
        if not 0 <= self.nothing_share < 1 or not 0 <= self.synthetic < 1:
            raise ConfigError(
                f"nothing_share and synthetic must lie in [0, 1), got {self.nothing_share} and {self.synthetic}"
            )
        if min(self.incorrect, self.vicon, self.life_s) < 0 or self.windows < 1 or self.sets < 0:
            raise ConfigError(
                "expected incorrect, vicon, life_s, sets >= 0 and windows >= 1, got "
                f"{self.incorrect}, {self.vicon}, {self.life_s}, {self.sets}, {self.windows}"
            )

    def to_dict(self) -> dict[str, object]:
        """Fields for the card and the run."""
        values = asdict(self)
        del values["recipe"]
        return values


def rehab8() -> RehabRecipe:
    """The model in the wheel: about ten minutes of a CPU core."""
    return _sized(pretrain_epochs=3, finetune_epochs=24)


def smoke() -> RehabRecipe:
    """The whole way in a minute, for tests: what comes out is worth nothing."""
    few = _sized(pretrain_epochs=1, finetune_epochs=2)
    return RehabRecipe(recipe=few.recipe, windows=128, sets=2, life_s=120.0)


def _sized(*, pretrain_epochs: int, finetune_epochs: int) -> RehabRecipe:
    return RehabRecipe(
        recipe=Recipe(
            name=NAME,
            prepare=PrepareConfig(layout="canonical15", frames=FRAMES, window_s=WINDOW_S, view="body", bones="unit"),
            encoder=EncoderConfig(width=96, depth=4, heads=4),
            pretrain=PretrainConfig(
                pretext=PretextConfig(enlarge=4, decoder_depth=2, focal_windows=(4, 8, 16)),
                optim=OptimizerConfig(epochs=pretrain_epochs, batch=64, lr=1e-3, min_lr=1e-4),
            ),
            finetune=FinetuneConfig(
                label_smoothing=0.1,
                dropout=0.1,
                drop_path=0.05,
                budget=(0.1, 0.5),
                full_share=0.12,
                optim=OptimizerConfig(
                    epochs=finetune_epochs,
                    batch=64,
                    lr=1e-3,
                    min_lr=1e-5,
                    betas=(0.9, 0.999),
                    clip_norm=1.0,
                    ema=0.999,
                ),
            ),
            persons=1,
        )
    )
