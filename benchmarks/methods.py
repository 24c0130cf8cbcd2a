"""One table: every objective of the family on one data set, equal encoder, epochs and seed, by three protocols.

python benchmarks/methods.py DATA.npz --split xsub --work FOLDER --out benchmarks/results/methods_utd.json

Every cell is an `amr-edge` command; the file holds it beside what it answered and how long it took. What is already in
FOLDER is not run again, so an interrupted table goes on where it was.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amr_edge.training.engine.run_folder import versions


def _amr(**pretext: object) -> tuple[str, ...]:
    """amr-small with other settings of its pretext task."""
    changed = (word for name, value in pretext.items() for word in ("--set", f"pretrain.pretext.{name}={value}"))
    return ("--recipe", "amr-small", *changed)


METHODS: dict[str, tuple[str, ...] | None] = {
    "scratch": None,
    "SkeletonMAE": ("--recipe", "skeletonmae-small"),
    "MAMP": ("--recipe", "mamp-small"),
    "AMR without focal": _amr(focal_k=0),
    "AMR": _amr(),
}
# The rows of the paper's ablation, all of which predict a quarter as many targets as there are tokens.
ABLATION = {
    "decoder masking": _amr(decoder="self", enlarge=1, predict="hidden", predict_share=0.278, focal_k=0),
    "down-sampling": _amr(decoder="self", enlarge=1, downsample=4, focal_k=0),
    "decoupled": _amr(focal_k=0),
    "decoupled, focal": _amr(),
}
# What the paper does not say about its target.
PILOT = {
    "motion, per patch": _amr(),
    "joints, over time": _amr(target="joint", target_norm="time"),
    "joints, per patch": _amr(target="joint"),
    "joints, plain": _amr(target="joint", target_norm="none"),
    "motion, over time": _amr(target_norm="time"),
    "mixed layers": _amr(memory="layers"),
    "motion-aware mask": _amr(mask="motion"),
}
# How strongly, and by whose energy, the loss looks where movement is.
FOCAL = {
    "energy of motion": _amr(focal_source="motion"),
    "k = 0.001": _amr(focal_k=0.001),
    "k = 0.1": _amr(focal_k=0.1),
}
TABLES: dict[str, dict[str, tuple[str, ...] | None]] = {
    "methods": METHODS,
    "ablation": dict(ABLATION),
    "pilot": dict(PILOT),
    "focal": dict(FOCAL),
}


def amr_edge(work: Path, name: str, arguments: Sequence[str | Path]) -> dict[str, Any]:
    """One command, its JSON, its text and its wall time; remembered in `work/name.json`."""
    kept = work / f"{name}.json"
    if kept.exists():
        answer: dict[str, Any] = json.loads(kept.read_text())
        return answer
    words = [str(word) for word in arguments]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "amr_edge", *words, "--json"], check=True, stdout=subprocess.PIPE, text=True
    )
    answer = {"command": words, "wall_s": round(time.perf_counter() - began, 1), "answer": json.loads(done.stdout)}
    kept.write_text(json.dumps(answer, indent=2) + "\n")
    return answer


KEPT = ("top1", "top5", "mean_class", "clips", "copies", "top1_without_copies", "loss", "seed", "seconds")


def cell(found: dict[str, Any], places: dict[str, str]) -> dict[str, Any]:
    """What is stored of a command: itself without this machine's paths, what it answered, its wall time."""
    answer = {name: found["answer"][name] for name in KEPT if name in found["answer"]}
    return {"command": shortened(found["command"], places), "wall_s": found["wall_s"], **answer}


def shortened(words: Sequence[str], places: dict[str, str]) -> str:
    """A command as a person types it, with names instead of this machine's paths."""
    command = " ".join(["amr-edge", *words])
    for place, name in places.items():
        command = command.replace(str(Path(place).resolve()), name).replace(place, name)
    return command


def asking(description: str | None) -> argparse.ArgumentParser:
    """What a table of `amr-edge` commands on one data set has to know."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="what `amr-edge data convert` wrote")
    parser.add_argument("--split", required=True)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="of every command: FIELD=VALUE")
    return parser


def main() -> None:
    """Run what is missing and store the table."""
    parser = asking(__doc__)
    parser.add_argument("--table", default="methods", choices=TABLES)
    parser.add_argument("--methods", help="some of the table's rows, separated by semicolons")
    parser.add_argument("--protocols", default="finetune,labels,probe")
    parser.add_argument("--pretrain-epochs", default="60")
    parser.add_argument("--finetune-epochs", default="40")
    parser.add_argument("--labels", default="0.1")
    parser.add_argument("--precision", default="bf16")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    shared = ("--data", options.data, "--split", options.split, "--seed", options.seed, "--threads", "1")
    shared += ("--precision", options.precision, "--project", options.work / "runs")
    everywhere = tuple(word for setting in options.settings for word in ("--set", setting))
    few = (*everywhere, "--set", f"finetune.optim.epochs={options.finetune_epochs}")
    rows = []
    table = TABLES[options.table]
    for method in options.methods.split(";") if options.methods else table:
        recipe = table[method]
        slug = method.lower().replace(", ", "-").replace(" = ", "-").replace(" ", "-")
        row: dict[str, Any] = {"method": method}
        start: tuple[str | Path, ...] = ()
        if recipe is not None:
            epochs = (*everywhere, "--set", f"pretrain.optim.epochs={options.pretrain_epochs}")
            row["pretrain"] = amr_edge(
                options.work, f"{slug}-pretrain", ("pretrain", *recipe, *epochs, *shared, "--name", slug)
            )
            start = ("--init", str(row["pretrain"]["answer"]["run"]))
        for protocol in options.protocols.split(","):
            if protocol == "probe":
                if start:
                    row[protocol] = amr_edge(options.work, f"{slug}-probe", ("probe", start[1], *shared))
                continue
            name = slug if protocol == "finetune" else f"{slug}-{options.labels}"
            share = () if protocol == "finetune" else ("--labels", options.labels)
            row[protocol] = amr_edge(
                options.work, f"{slug}-{protocol}", ("finetune", *start, *few, *share, *shared, "--name", name)
            )
        rows.append(row)
        top1 = {p: f"{row[p]['answer']['top1']:.4f}" for p in options.protocols.split(",") if p in row}
        print(f"{options.data.stem} {method}: {top1}", flush=True)
    places = {str(options.data): "DATA.npz", str(options.work): "WORK"}
    kept = [
        {name: cell(value, places) if isinstance(value, dict) else value for name, value in row.items()} for row in rows
    ]
    table = {"split": options.split, "seed": options.seed, "versions": versions(), "rows": kept}
    options.out.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
