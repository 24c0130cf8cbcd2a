"""Convert, train, export and score one data set, and store what was measured.

python benchmarks/accuracy.py FOLDER --split xsub --out benchmarks/results/utd_mhad_xsub.json [--set FIELD=VALUE ...]
    [--precision bf16] [--run FINISHED_RUN]
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def amr_edge(*arguments: str | Path) -> dict[str, object]:
    """One command, its JSON back."""
    command = [sys.executable, "-m", "amr_edge", *map(str, arguments), "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def check(config: dict[str, Any], field: str, value: str) -> None:
    """Refuse a run that was not made with a setting."""
    found: Any = config["recipe"]
    for part in field.split("."):
        found = found[part]
    if str(found) != value:
        raise SystemExit(f"--set {field}={value}: the run was made with {found}")


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the raw recordings")
    parser.add_argument("--split", required=True)
    parser.add_argument("--recipe", default="amr-small")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="of the training")
    parser.add_argument("--precision", default="auto", help="of the training")
    parser.add_argument("--run", type=Path, help="a finished run of this recipe on this data, to save the training")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    extra = [word for setting in options.settings for word in ("--set", setting)]
    if options.precision != "auto":
        extra += ["--precision", options.precision]
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch) / "data.npz"
        data = amr_edge("data", "convert", options.folder, store)
        folder = options.run
        if folder is None:
            choice = ("--split", options.split, "--recipe", options.recipe, "--seed", options.seed)
            made = amr_edge("train", "--data", store, *choice, *extra, "--project", Path(scratch) / "runs")
            folder = Path(str(made["run"]))
        exported = amr_edge("export", folder, "--onnx", "--data", store, "--split", options.split)
        evaluated = amr_edge("evaluate", folder / "export" / "model.onnx", "--data", store, "--split", options.split)
        config = json.loads((folder / "config.json").read_text())
        for setting in options.settings:
            check(config, *setting.split("=", 1))
        environment = json.loads((folder / "environment.json").read_text())
        del environment["command"]  # it names this machine's paths
        seconds = [
            float(row["seconds"])
            for stage in (folder / "pretrain", folder)
            for row in csv.DictReader((stage / "results.csv").read_text().splitlines())
        ]
        result = {
            "command": f"amr-edge train --data DATA.npz --split {options.split} --recipe {options.recipe} "
            + " ".join(["--seed", str(config["seed"]), *extra]),
            "data": {key: data[key] for key in ("recordings", "classes", "subjects") if key in data},
            "data_hash": config["data_hash"],
            "environment": environment,
            "training_seconds": round(sum(seconds), 1),
            "top1": evaluated["top1"],
            "mean_class": evaluated["mean_class"],
            "test_clips": evaluated["clips"],
            **{key: evaluated[key] for key in ("copies", "top1_without_copies") if key in evaluated},
            "export": {k: exported[k] for k in ("max_difference", "agreement", "size_bytes", "opset", "proven")},
        }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
