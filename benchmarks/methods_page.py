r"""The tables of `methods.py`, several data sets at once, written into a page between its marks.

python benchmarks/methods_page.py README.md docs/objectives.md \
    UTD-MHAD=benchmarks/results/methods_utd.json NW-UCLA=benchmarks/results/methods_nw.json ...

`--table pilot` (or ablation, focal) writes between the marks of that name. A row that another file has already is named
by NAME=FILE#ROW, and is listed under that file's name for it.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rehab8 import written_into  # beside this file

NAMES = {"scratch": "from scratch", "AMR without focal": "AMR without focal weights"}
PROTOCOLS = ("probe", "finetune", "labels")
# What was paused or shared its core has no wall time that says anything.
PAUSED = {("UTD-MHAD", "SkeletonMAE")}


def marks(table: str) -> tuple[str, str]:
    """What stands before and after a table."""
    return f"<!-- {table}: written by benchmarks/methods_page.py -->", f"<!-- end of {table} -->"


def gathered(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is stored, by data set: NAME=FILE takes all rows of a file, NAME=FILE#ROW one."""
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        name, place = word.split("=", 1)
        path, _, wanted = place.partition("#")
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = [row for row in stored["rows"] if wanted in ("", row["method"])]
        have = found.setdefault(name, {**stored, "rows": []})
        have["rows"] += rows
    return found


def _percent(row: Mapping[str, Any], protocol: str, best: float) -> str:
    if protocol not in row:
        return ""
    share = 100 * float(row[protocol]["top1"])
    return f"**{share:.1f}**" if share >= best - 1e-9 else f"{share:.1f}"


def _command(row: Mapping[str, Any]) -> str:
    """What tells a row's commands from those of the others."""
    if "pretrain" not in row:
        return "`finetune --recipe amr-small`"
    words = re.search(r"--recipe \S+(?: --set pretrain\.pretext\.\S+)*", row["pretrain"]["command"])
    return f"`pretrain {words.group(0)}`" if words else ""


def table(stored: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row for each method on each data set, the best of each protocol in bold."""
    lines = [
        "| data | | linear probe | fine-tuned | 10 % of the labels | seed | minutes | `amr-edge` |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data, found in stored.items():
        best = {
            protocol: max((100 * row[protocol]["top1"] for row in found["rows"] if protocol in row), default=0.0)
            for protocol in PROTOCOLS
        }
        for row in found["rows"]:
            wall = sum(row[step]["wall_s"] for step in ("pretrain", "finetune") if step in row) / 60
            cells = [
                data,
                NAMES.get(row["method"], row["method"]),
                *(_percent(row, protocol, best[protocol]) for protocol in PROTOCOLS),
                str(found["seed"]),
                "(*)" if (data, row["method"]) in PAUSED else f"{wall:.0f}",
                _command(row),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="+", help="pages, and NAME=FILE for every data set")
    parser.add_argument("--table", default="methods", help="whose marks the page has (default methods)")
    args = parser.parse_intermixed_args()
    block = table(gathered([word for word in args.words if "=" in word]))
    print(block)
    for page in (Path(word) for word in args.words if "=" not in word):
        text = page.read_text(encoding="utf-8")
        page.write_text(written_into(text, marks(args.table), block), encoding="utf-8")


if __name__ == "__main__":
    main()
