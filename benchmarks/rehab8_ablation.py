"""What is each augmentation, each kind of nothing and each step of the making of `rehab8` worth by itself?

Run: python benchmarks/rehab8_ablation.py UI_PRMD --utd UTD_MHAD --work SCRATCH \
         --out benchmarks/results/rehab8_ablation.json [--page docs/rehab8.md]

Each row leaves one thing out of the recipe (or changes one), teaches five of the ten people, calibrates as the command
does, and judges on the other five, on their motion capture and on UTD-MHAD, which is never learned from. Two people,
as in the numbers that are published, would be too few to tell rows apart. Everything else stays equal: seed, steps,
data. Rows that were finished are not run again. The schedule sees half the windows that the file in the wheel saw, in
as many steps (--epochs), so rows compare with each other and with nothing else; --seeds repeats rows, which tells what
chance does.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from amr_edge.export.verify.rehab8 import cross_sensor_test
from amr_edge.export.verify.rehab8.cross_validation import fold
from amr_edge.export.verify.rehab8.evaluation import KINECT, VICON, WRONGLY
from amr_edge.runtime.hardware.machine import machine
from amr_edge.terminal import note, to_json
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.run_folder import versions
from amr_edge.training.recipes.rehab8.config import RehabRecipe, rehab8
from amr_edge.training.recipes.rehab8.pipeline import prepare_work

MARKS = ("<!-- ablated: written by benchmarks/rehab8_ablation.py -->", "<!-- end of ablated -->")
PLAIN = "as it is"
PARTS = (KINECT, WRONGLY, VICON, cross_sensor_test.SIT_STAND, cross_sensor_test.SQUAT, cross_sensor_test.OTHER)
BUDGET = 0.5
LEFT_OUT = (6, 7, 8, 9, 10)


def _change(**off: float) -> Callable[[RehabRecipe], RehabRecipe]:
    return lambda recipe: replace(recipe, change=replace(recipe.change, **off))


def _nothing(**off: float) -> Callable[[RehabRecipe], RehabRecipe]:
    return lambda recipe: replace(recipe, nothing=replace(recipe.nothing, **off))


def _budget(low: float, high: float, full: float) -> Callable[[RehabRecipe], RehabRecipe]:
    def changed(recipe: RehabRecipe) -> RehabRecipe:
        finetune_config = replace(recipe.recipe.finetune, budget=(low, high), full_share=full)
        return replace(recipe, recipe=replace(recipe.recipe, finetune=finetune_config))

    return changed


def _pretrain(**optim: float) -> Callable[[RehabRecipe], RehabRecipe]:
    def changed(recipe: RehabRecipe) -> RehabRecipe:
        config = recipe.recipe.pretrain
        config = replace(config, optim=replace(config.optim, **optim))
        return replace(recipe, recipe=replace(recipe.recipe, pretrain=config))

    return changed


ROWS: Mapping[str, Callable[[RehabRecipe], RehabRecipe]] = {
    PLAIN: lambda recipe: recipe,
    "no bone jitter": _change(jitter_deg=0.0),
    "no stance": _change(stance_deg=0.0),
    "no other arms": _change(arms=0.0, bilateral=0.0, forearm=0.0),
    "no amplitude": _change(amplitude=0.0, amplitude_others=0.0),
    "no tempo, no pauses": _change(tempo=0.0, pauses=0.0),
    "no errors of depth": _change(squash=0.0, drift_m=0.0),
    "no drop-outs": _change(dropped=0.0),
    "no mirror": _change(mirror=0.0),
    "no other views": _change(yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, facing_deg=0.0),
    "no life": _nothing(life=0.0),
    "no gestures": _nothing(gestures=0.0),
    "no hinted exercises": _nothing(hinted=0.0),
    "no synthetic exercises": lambda recipe: replace(recipe, synthetic=0.0),
    "no wrong executions": lambda recipe: replace(recipe, incorrect=0.0),
    "no pre-training": _pretrain(epochs=1, lr=1e-30, min_lr=1e-30, warmup=0.0),
    "pre-trained for longer": _pretrain(epochs=24),
    "trained on all tokens": _budget(1.0, 1.0, 1.0),
    "trained on 25 to 75 %": _budget(0.25, 0.75, 0.12),
    "half the gestures": _nothing(gestures=0.25),
}


def shortened(recipe: RehabRecipe, epochs: int) -> RehabRecipe:
    """The recipe with fewer epochs of fine-tuning, in smaller batches: half the windows, as many steps."""
    config = recipe.recipe.finetune
    config = replace(config, optim=replace(config.optim, epochs=epochs, batch=32, lr=7e-4))
    return replace(recipe, recipe=replace(recipe.recipe, finetune=config))


def evaluate_row(options: argparse.Namespace, row: str, seed: int) -> dict[str, Any]:
    """One row with one seed: what it answered on each part, in both ways of deciding."""
    recipe = shortened(ROWS[row](rehab8()), options.epochs)
    slug = "".join(letter if letter.isalnum() else "-" for letter in row)
    began = time.perf_counter()
    # Recordings are read and imagined once a seed, not once a row.
    shared = prepare_work(options.data, options.work / f"seed{seed}", rehab8(), seed=seed, any_data=False)
    work = replace(shared, folder=shared.folder / slug, recipe=recipe)
    found = fold(
        work,
        LEFT_OUT,
        RunOptions(device=torch.device("cpu"), precision=options.precision),
        utd=options.utd,
        budgets=(BUDGET,),
    )
    parts = {
        f"{each.part}, {each.how}": {
            "windows": int(each.confusion.sum()),
            "right": round(each.right, 4),
            "recordings_right": round(each.streams_right, 4),
        }
        for each in found.evaluation.scores
    }
    return {"seconds": round(time.perf_counter() - began, 1), "parts": parts}


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row for each thing left out and each seed, a column for each part: most probable / as live."""
    lines = ["| recipe | seed | " + " | ".join(PARTS) + " |", "|---" * (len(PARTS) + 2) + "|"]
    for row, seeds in rows.items():
        for seed, found in seeds.items():
            cells = [row, seed]
            for part in PARTS:
                both = [found["parts"].get(f"{part}, {how}") for how in ("most probable", "as live")]
                cells.append(" / ".join(f"{100 * each['right']:.1f}" for each in both if each is not None))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, store everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder with UI-PRMD in it")
    parser.add_argument("--utd", type=Path, required=True, help="skeleton files of UTD-MHAD, for evaluation only")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the trainings")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="write the table into this page, between its marks")
    parser.add_argument("--rows", help="some of the rows, separated by semicolons")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--epochs", type=int, default=12, help="of fine-tuning (the file in the wheel has 24)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"epochs": options.epochs, "precision": options.precision, "budget": BUDGET, "left_out": LEFT_OUT}
    settings = json.loads(to_json(settings))
    stored: dict[str, Any] = {"settings": settings, "rows": {}}
    if options.out.exists():
        stored = json.loads(options.out.read_text())
        if stored["settings"] != settings:
            parser.error(f"{options.out} was made with {stored['settings']}; name another file, or delete it")
    for seed in map(int, options.seeds.split(",")):
        for row in options.rows.split(";") if options.rows else ROWS:
            if str(seed) in stored["rows"].get(row, {}):
                continue
            stored["rows"].setdefault(row, {})[str(seed)] = found = evaluate_row(options, row, seed)
            stored |= {"versions": versions(), "machine": machine(1), "recipe": rehab8().to_dict()}
            options.out.write_text(to_json(stored, indent=2) + "\n")
            kinect, other = (found["parts"][f"{part}, as live"]["right"] for part in (KINECT, cross_sensor_test.OTHER))
            note(f"{row}, seed {seed}: Kinect {kinect:.3f}, UTD-MHAD others {other:.3f}, {found['seconds']:.0f} s")
    print(table(stored["rows"]))
    if options.page is not None:
        from rehab8 import written_into  # beside this file

        text = options.page.read_text(encoding="utf-8")
        options.page.write_text(written_into(text, MARKS, table(stored["rows"])), encoding="utf-8")


if __name__ == "__main__":
    main()
