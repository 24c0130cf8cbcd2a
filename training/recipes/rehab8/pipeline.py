"""From the raw files of UI-PRMD to a classifier: read, imagine, pre-train, fine-tune, each step kept on disk."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from amr_edge.card import Card
from amr_edge.data.readers import ui_prmd
from amr_edge.data.recording import Recording
from amr_edge.data.store import Store, is_store, open_store, write_store
from amr_edge.errors import ConfigError, ReadError
from amr_edge.terminal import to_json
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.recipes.rehab8.config import RehabRecipe
from amr_edge.training.recipes.rehab8.dataset import CLASSES, FPS, LAYOUT, Stream, check, load, opened, save
from amr_edge.training.recipes.rehab8.train import EXPERIMENTAL, TERMS, finetune, lower_none_bias, pretrain
from amr_edge.training.recipes.rehab8.training_data import imagined, material

PROOF_S = 4.2  # of a clip that an exported file is proven on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PipelineOptions:
    """A folder in which a model is made.

    Attributes:
        folder: Where everything is kept.
        recipe: How it is made.
        seed: Of all randomness.
        streams: UI-PRMD.
        synthetic: Synthetic recordings; None if the recipe wants none.
        hashes: Sensor -> SHA-256 of the raw files, empty if they were not checked.
    """

    folder: Path
    recipe: RehabRecipe
    seed: int
    streams: tuple[Stream, ...]
    synthetic: Store | None
    hashes: dict[str, str]

    @property
    def people(self) -> tuple[int, ...]:
        """Everybody in the data."""
        return tuple(sorted({stream.subject for stream in self.streams}))

    def without(self, left: Sequence[int]) -> tuple[int, ...]:
        """Everybody else."""
        return tuple(person for person in self.people if person not in left)

    def run(self, left: Sequence[int]) -> RunFolder:
        """The folder of the training without some people.

        Raises:
            ConfigError: If there is a training of other settings in it.
        """
        folder = self.folder / (f"without-{'-'.join(map(str, sorted(left)))}" if left else "all")
        folder.mkdir(parents=True, exist_ok=True)
        settings = to_json(
            {"seed": self.seed, "subjects": self.without(left), "hashes": self.hashes, "recipe": asdict(self.recipe)},
            indent=2,
        )
        path = folder / "settings.json"
        if path.exists() and path.read_text(encoding="utf-8") != settings:
            raise ConfigError(
                f"{folder} was begun with another seed, recipe or data; name another folder with --out, or delete it"
            )
        path.write_text(settings, encoding="utf-8")
        return RunFolder(folder)


def prepare_work(data: Path, folder: Path, recipe: RehabRecipe, *, seed: int, any_data: bool) -> PipelineOptions:
    """Read the raw files and make the synthetic people, or open what was kept of an earlier time.

    Args:
        data: A folder with UI-PRMD in it.
        folder: Where to work.
        recipe: How the model is made.
        seed: Of all randomness.
        any_data: Do without the check that the files are those of the published numbers.

    Raises:
        DataError: If the files are others, or damaged.
    """
    if not data.is_dir():
        raise ReadError(f"{data}: there is no such folder; download UI-PRMD and name its folder with --data")
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {} if any_data else check(data, vicon=True)
    kept = folder / "streams.npz"
    # Without a checksum the origin of a store is unknown, so it is made again.
    if hashes and is_store(kept):
        streams = opened(open_store(kept, in_memory=True))
    else:
        streams = load(data, vicon=True)
        save(streams, kept)
    return PipelineOptions(
        folder=folder,
        recipe=recipe,
        seed=seed,
        streams=streams,
        synthetic=imagined(recipe, folder / "synthetic.npz", seed=seed),
        hashes=hashes,
    )


def train_model(work: PipelineOptions, left: Sequence[int], machine: RunOptions) -> tuple[Classifier, Card]:
    """A classifier that has not learned from some people, pre-trained first; one that was interrupted goes on.

    Args:
        work: Folder, data and recipe.
        left: Subjects held out of training; empty trains on all.
        machine: What to compute on.
    """
    run, subjects = work.run(left), work.without(left)
    stuff = material(work.streams, work.synthetic, subjects, work.recipe)
    data = {
        "name": "ui_prmd + synthetic",
        "terms": TERMS,
        "split": "subjects " + ",".join(map(str, subjects)),
        "streams": len(stuff.recorded),
        "synthetic_sets": 0 if stuff.synthetic is None else len(stuff.synthetic),
        "life_s": 0.0 if stuff.life is None else float((stuff.life.length / stuff.life.fps).sum()),
        "sha256": work.hashes,
        "experimental": list(EXPERIMENTAL),
    }
    encoder = pretrain(stuff, work.recipe, run.stage("pretrain"), data, seed=work.seed, machine=machine, resume=True)
    model, card = finetune(
        stuff, encoder, work.recipe, run.stage("finetune"), data, seed=work.seed, machine=machine, resume=True
    )
    lower_none_bias(model, card)  # not in the weights that a training goes on from
    return model, card


def _middle(stream: Stream) -> Recording:
    """The window in the middle of a stream."""
    half = min(len(stream.poses), round(PROOF_S * FPS) + 1) // 2
    at = len(stream.poses) // 2
    inside = slice(at - half, at + half)
    return Recording(
        poses=stream.poses[None, inside],
        times_s=stream.times_s[inside] - stream.times_s[inside][0],
        layout=LAYOUT,
        label=stream.group,
        subject=stream.subject,
        source=stream.name,
    )


def proof_clips(work: PipelineOptions) -> Store:
    """One real window of every stream, which an exported file is proven on."""
    return write_store(
        work.folder / "proof.npz",
        map(_middle, work.streams),
        dataset="ui_prmd_windows",
        terms=ui_prmd.TERMS,
        classes=CLASSES,
    )
