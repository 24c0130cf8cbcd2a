"""`amr-edge reproduce`: from the raw files of UI-PRMD to the bundled model, verified."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import require
from amr_edge.terminal import note, table, to_json

if TYPE_CHECKING:
    from amr_edge.card import Card
    from amr_edge.export.verify.verification_report import ExportResult
    from amr_edge.training.models.classifier import Classifier
    from amr_edge.training.recipes.rehab8.pipeline import PipelineOptions

BUDGETS = (1.0, 0.5, 0.25)


@click.command()
@click.argument("model", type=click.Choice(["rehab8"]))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A folder with UI-PRMD in it.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/reproduce/rehab8"), show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed.")
@click.option("--fold", metavar="SUBJECTS", help="Only train without these subjects and test on them: 9,10.")
@click.option("--all", "everybody", is_flag=True, help="Only train on all subjects; the figures are those of the fold.")
@click.option("--kinect-only", is_flag=True, help="With --fold: train on no Vicon recording, and test on all of them.")
@click.option("--utd", type=click.Path(path_type=Path), help="UTD-MHAD, for testing only.")
@click.option("--smoke", is_flag=True, help="Run every step in some minutes; the model is worth nothing.")
@click.option("--any-data", is_flag=True, help="Accept other files than those of the published figures.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; all by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reproduce(
    model: str,
    data: Path,
    out: Path,
    seed: int,
    fold: str | None,
    everybody: bool,  # noqa: FBT001
    kinect_only: bool,  # noqa: FBT001
    utd: Path | None,
    smoke: bool,  # noqa: FBT001
    any_data: bool,  # noqa: FBT001
    threads: int | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Reproduce MODEL, which is bundled with amr-edge, from the raw files of its data.

    Without --fold and --all: train without subjects 9 and 10, test on them, then train on all and write
    OUT/rehab8.onnx. A second call resumes an interrupted first. Exit code 1 if the numbers are worse than
    those that were published.
    """
    require("export", "`amr-edge reproduce`")
    if fold is not None and everybody:
        raise ConfigError("--fold and --all exclude each other; leave both away for one after the other")
    if kinect_only and fold is None:
        raise ConfigError("--kinect-only asks how good a model is on a sensor that it never saw; name a --fold with it")
    import torch

    from amr_edge.export.verify.rehab8.cross_validation import LEFT_OUT, card_of_all, card_of_fold, check_expected
    from amr_edge.export.verify.rehab8.cross_validation import fold as run_fold
    from amr_edge.export.verify.rehab8.execution_quality import text as trust_text
    from amr_edge.export.verify.rehab8.execution_quality import trust_to_dict
    from amr_edge.training.engine.device import RunOptions
    from amr_edge.training.recipes.rehab8.config import rehab8
    from amr_edge.training.recipes.rehab8.config import smoke as smoke_recipe
    from amr_edge.training.recipes.rehab8.pipeline import prepare_work, train_model

    left = LEFT_OUT if fold is None else _people(fold)
    if threads is not None:
        torch.set_num_threads(threads)
    machine = RunOptions(device=torch.device("cpu"))  # the published numbers are those of a CPU
    recipe = smoke_recipe() if smoke else rehab8()
    recipe = replace(recipe, vicon=0.0) if kinect_only else recipe
    work = prepare_work(data, out, recipe, seed=seed, any_data=any_data)
    result: dict[str, object] = {"model": model, "seed": seed, "left_out": left, "folder": out}
    if not everybody:
        found = run_fold(work, left, machine, utd=utd, budgets=BUDGETS)
        result |= {
            "metrics": found.card.metrics,
            "judgement": found.evaluation.to_dict(),
            "quality": trust_to_dict(found.trust),
        }
        path = work.run(left).folder / "rehab8.onnx"
        result["fold"] = _proven(found.model, found.card, work, path).to_dict()
        if not as_json:
            click.echo(f"{found.evaluation.text()}\n\n{trust_text(found.trust)}\n\n{_numbers(found.card)}")
        published = left == LEFT_OUT and seed == 0 and not (smoke or any_data or kinect_only)
        if published:
            check_expected(found.card)
    if fold is None:
        numbers = card_of_fold(work, left)
        classifier, card = train_model(work, (), machine)
        exported = _proven(classifier, card_of_all(card, numbers), work, out / "rehab8.onnx")
        result["exported"] = {"path": exported.path, **exported.to_dict()}
        if not as_json:
            click.echo(exported.text())
    if as_json:
        click.echo(to_json(result))
    elif fold is None:
        click.echo(f"proven: {out / 'rehab8.onnx'}\nnext: amr-edge live {out / 'rehab8.onnx'} --source 0")
    elif left == LEFT_OUT and not kinect_only:
        click.echo(f"next: amr-edge reproduce {model} --data {data} --out {out} --all")
    else:
        click.echo(f"next: amr-edge model info {work.run(left).folder / 'rehab8.onnx'}")


def _people(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(number) for number in text.split(",")}))
    except ValueError as cause:
        raise ConfigError(f"--fold expects subject numbers, as in 9,10; got '{text}'") from cause


def _numbers(card: "Card") -> str:
    return table([(name, round(100 * share, 1)) for name, share in card.metrics.items()], ("in the card", "right %"))


def _proven(model: "Classifier", card: "Card", work: "PipelineOptions", path: Path) -> "ExportResult":
    """Write a classifier as ONNX and keep the file if it answers real windows as the classifier does."""
    from amr_edge.data.clips import Clips
    from amr_edge.export.convert.onnx import OPSET, write_onnx
    from amr_edge.export.export_onnx import keep_if_proven
    from amr_edge.training.recipes.rehab8.pipeline import proof_clips

    note(f"write {path}")
    store = proof_clips(work)
    clips = Clips(store, np.ones(len(store), dtype=np.bool_), card.prepare, card.persons)
    candidate = write_onnx(model, card, path.with_name(f"unproven-{path.name}"), opset=OPSET)
    return keep_if_proven(candidate, path, model, clips)
