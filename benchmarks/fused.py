"""What several finished runs answer together, stored with the commands that made them.

python benchmarks/fused.py RUN RUN [RUN ...] --out benchmarks/results/nw_ucla_fused.json
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

KEPT = ("top1", "top5", "mean_class", "clips", "split")


def run_entry(run: Path, places: dict[str, str]) -> dict[str, Any]:
    """How a run was made, without this machine's paths, from what and on what data, and what it reached."""
    environment = json.loads((run / "environment.json").read_text())
    config = json.loads((run / "config.json").read_text())
    words = [places.get(word, word) for word in environment.pop("command").split()]
    command = re.sub(r" --(?:project|name|init) \S+| --json", "", " ".join(words))
    score = json.loads((run / "score.json").read_text())
    return {
        "command": command,
        "init": config["init"] and "sha256:" + hashlib.sha256(Path(config["init"]).read_bytes()).hexdigest(),
        "seed": config["seed"],
        "data_hash": config["data_hash"],
        "environment": environment,
        **{name: score[name] for name in KEPT if name in score},
    }


def main() -> None:
    """Fuse and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "amr_edge", "fuse", *map(str, options.runs), "--project", scratch, "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout)
    configs = [json.loads((run / "config.json").read_text()) for run in options.runs]
    result = {
        **{name: answer[name] for name in KEPT},
        "weights": [each["weight"] for each in answer["runs"]],
        "runs": [
            run_entry(run, {config["data"]: "DATA.npz"}) for run, config in zip(options.runs, configs, strict=True)
        ],
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
