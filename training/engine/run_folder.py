"""The folder of a run: settings, environment, log, results, weights; a new one for every run."""

import csv
import io
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amr_edge import __version__
from amr_edge.errors import ReadError
from amr_edge.terminal import note, to_json
from amr_edge.training.config import RENAMED_FIELDS, Recipe, from_dict
from amr_edge.training.engine.checkpoint import read_card
from amr_edge.training.engine.distributed import world


def versions() -> dict[str, str]:
    """Versions of the packages that compute."""
    return {
        "amr_edge": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
    }


def environment() -> dict[str, object]:
    """The machine and the state of the checkout, as far as they are known."""
    here = Path(__file__).resolve().parent
    try:
        git = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
    except OSError:  # no git on this machine; the version says enough
        git = ""
    return {
        **versions(),
        "git": git,
        "machine": platform.platform(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "",
        "command": " ".join(["amr-edge", *sys.argv[1:]]),
    }


class RunFolder:
    """A folder that a training run writes into.

    `weights/last.safetensors` are the weights of the last finished epoch, `weights/best.safetensors` those of the
    selected one, and `selected` is the file that everything else reads. A resumed run goes on from
    `state.safetensors`, or from `midway.safetensors` where it was saved later, inside an epoch. Of several processes
    the first has the folder, the others a private copy of it.

    Args:
        folder: Where.
        quiet: Whether to tell the person nothing.
        whole: The run that this is one stage of.
    """

    def __init__(self, folder: Path, *, quiet: bool = False, whole: "RunFolder | None" = None) -> None:
        self.folder = world().own_copy(folder)
        self.quiet = quiet
        self.whole = whole or self

    @property
    def last(self) -> Path:
        """Weights of the last finished epoch."""
        return self.folder / "weights" / "last.safetensors"

    @property
    def best(self) -> Path:
        """Weights of the selected epoch: the best by validation, or a copy of the last once the run has finished."""
        return self.folder / "weights" / "best.safetensors"

    @property
    def selected(self) -> Path:
        """The checkpoint that the run's score belongs to: `best` once its card names the epoch, else `last`.

        Earlier versions wrote the selected weights over `last` and left in `best` those of the lowest loss; the card
        of that `best` names no epoch.
        """
        return self.best if self.best.exists() and "epoch" in read_card(self.best).recipe else self.last

    @property
    def state(self) -> Path:
        """Weights, optimiser and progress after the last finished epoch."""
        return self.folder / "state.safetensors"

    @property
    def midway(self) -> Path:
        """The same inside the epoch after it, if the run was saved there."""
        return self.folder / "midway.safetensors"

    def stage(self, name: str) -> "RunFolder":
        """A sub-folder for one stage of a run of several."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return RunFolder(folder, quiet=self.quiet, whole=self.whole)

    def go_on(self) -> str:
        """Command that resumes an unfinished run."""
        verb = self.whole.config().get("verb") if (self.whole.folder / "config.json").exists() else None
        if verb is None:
            return f"resume from {self.whole.folder}"
        distributed = world()
        command = "amr-edge" if distributed.size == 1 else f"torchrun --nproc-per-node {distributed.size} -m amr_edge"
        return f"go on with: {command} {verb} --resume {self.whole.folder}"

    def log(self, text: str, *, show: bool = True) -> None:
        """Append a line to log.txt and, unless quiet, tell the person."""
        with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        if show and not self.quiet:
            note(text)

    def write_json(self, name: str, value: object) -> Path:
        """Write `value` to a JSON file of the run."""
        return self._write(name, to_json(value, indent=2) + "\n")

    def write_table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        """Write rows to a CSV file of the run."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(header)
        writer.writerows(rows)
        return self._write(name, text.getvalue())

    def _write(self, name: str, text: str) -> Path:
        """Write a text file whole or not at all."""
        path = self.folder / name
        part = path.with_name(path.name + ".part")
        try:
            part.write_text(text, encoding="utf-8", newline="")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def results(self) -> list[dict[str, float]]:
        """The rows of results.csv; none if the run has not finished an epoch."""
        path = self.folder / "results.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]

    def write_results(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write results.csv: one row an epoch."""
        header = list(dict.fromkeys(key for row in rows for key in row))
        self.write_table("results.csv", header, [[row.get(key, "") for key in header] for row in rows])

    def write_settings(self, recipe: Recipe, settings: Mapping[str, object]) -> None:
        """Write the resolved config and the environment, so that the run can be resumed and repeated."""
        self.write_json("config.json", {**settings, "recipe": asdict(recipe)})
        self.write_json("environment.json", environment())

    def config(self) -> dict[str, object]:
        """All that the run's config says, whatever made it.

        Raises:
            ReadError: If this is no run folder or its config cannot be read.
        """
        path = self.folder / "config.json"
        try:
            values: object = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as cause:
            raise ReadError(f"{path}: is not the config of a run ({cause}); name a folder under runs/") from cause
        if not isinstance(values, dict):
            raise ReadError(f"{path}: is not the config of a run; name a folder under runs/")
        return with_current_names(values)

    def read_settings(self) -> tuple[Recipe, dict[str, object]]:
        """Read what `write_settings` wrote.

        Raises:
            ReadError: If this is no run folder or its config cannot be read.
        """
        path = self.folder / "config.json"
        values = self.config()
        try:
            settings = values.pop("recipe")
        except KeyError as cause:
            raise ReadError(
                f"{path}: is the config of a run of `amr-edge {values.get('verb')}`, which is no run of one recipe; "
                "name a run of another command"
            ) from cause
        if not isinstance(settings, dict):
            raise ReadError(f"{path}: its recipe is not an object; name a folder under runs/")
        return from_dict(Recipe, settings), values


RENAMED_KEYS = {
    "labels_asked": "requested_labels",  # written by earlier versions
    "recipe_asked": "requested_recipe",  # written by earlier versions
}


def selected_checkpoint(path: Path) -> Path:
    """The checkpoint that `path` means: itself, or the selected one of a run folder."""
    return RunFolder(path).selected if path.is_dir() else path


def with_current_names(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a config.json, with the names that earlier versions wrote replaced by the present ones."""
    current = dict(values)
    if current.get("verb") == "distil":
        current["verb"] = "distill"
    current = {RENAMED_KEYS.get(name, name): value for name, value in current.items()}
    recipe = current.get("recipe")
    if isinstance(recipe, dict):
        current["recipe"] = {RENAMED_FIELDS.get(name, name): value for name, value in recipe.items()}
    return current


def new_run(project: Path, verb: str, name: str, *, quiet: bool = False) -> RunFolder:
    """A fresh folder `project/verb/name-N`, N one above the highest there is."""
    distributed = world()
    folder = distributed.own(distributed.broadcast_from_main(lambda: _new_folder(project / verb, name)))
    folder.mkdir(parents=True, exist_ok=True)
    return RunFolder(folder, quiet=quiet)


def _new_folder(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    taken = [p.name.removeprefix(f"{name}-") for p in parent.iterdir() if p.name.startswith(f"{name}-")]
    number = max((int(n) for n in taken if n.isdigit()), default=0) + 1
    folder = parent / f"{name}-{number}"
    folder.mkdir()
    return folder
