r"""ASMa on real recordings: the teacher of two masked encoders, and what its light student keeps of it.

    python benchmarks/asma.py utd.npz --split xsub --work FOLDER --page docs/asma.md \
        --out benchmarks/results/asma_utd.json

Every row is one `amr-edge asma` command, stored with its answer and wall time; what is already in FOLDER is not run
again. Paces are PyTorch's, teacher and student in turns within each run.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from methods import amr_edge, asking, shortened  # beside this file
from rehab8 import written_into

from amr_edge.training.engine.run_folder import versions

MARKS = ("<!-- asma: written by benchmarks/asma.py -->", "<!-- end of asma -->")
ROWS: dict[str, tuple[str, ...]] = {
    "ST-GCN, narrow ST-GCN": (),
    "AMR's encoder, `small`": ("--backbone", "tokens", "--student", "small"),
}
KEPT = (
    "teacher_top1", "student_top1", "agreement", "clips", "teacher_parameters", "parameters", "fewer_percent",
    "teacher_macs", "student_macs", "teacher_ms", "student_ms", "times_faster", "seconds", "seed",
)  # fmt: skip


def table(stored: Mapping[str, Any]) -> str:
    """Markdown: a row for each pair of encoders and its student."""
    lines = [
        "| encoders, student | teacher | student | answer alike | parameters | fewer | M MACs | faster | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in stored["rows"]:
        large, small = row["teacher_parameters"] / 1e6, row["parameters"] / 1e6
        cells = [
            row["row"],
            f"{100 * row['teacher_top1']:.1f}",
            f"{100 * row['student_top1']:.1f}",
            f"{100 * row['agreement']:.1f} %",
            f"{large:.2f} M, {small:.3f} M",
            f"{row['fewer_percent']:.1f} %",
            f"{row['teacher_macs'] / 1e6:.0f}, {row['student_macs'] / 1e6:.0f}",
            f"{row['times_faster']:.1f}",
            f"{row['wall_s'] / 60:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def run(data: Path, split: str, work: Path, options: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """Every requested row."""
    rows = []
    for name in names:
        slug = name.lower().replace("'s", "").replace("`", "").replace(", ", "-").replace(" ", "-")
        words = ("asma", "--data", data, "--split", split, *ROWS[name], *options, "--threads", "1")
        found = amr_edge(work, slug, (*words, "--project", work / "runs", "--name", slug))
        answer = {key: found["answer"][key] for key in KEPT if key in found["answer"]}
        command = shortened(found["command"], {str(data): "DATA.npz", str(work): "WORK"})
        rows.append({"row": name, "command": command, "wall_s": found["wall_s"], **answer})
        print(f"{name}: teacher {answer['teacher_top1']:.4f}, student {answer['student_top1']:.4f}", flush=True)
    return rows


def main() -> None:
    """Run what is missing, store it, write the page."""
    parser = asking(__doc__)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--rows", help="some of the table's rows, separated by semicolons")
    parser.add_argument("--recipe", default="asma-small")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    options = ["--recipe", args.recipe, "--seed", args.seed, *(w for s in args.settings for w in ("--set", s))]
    names = args.rows.split(";") if args.rows else list(ROWS)
    rows = run(args.data, args.split, args.work, options, names)
    report = {"split": args.split, "seed": args.seed, "versions": versions(), "rows": rows}
    args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if args.page:
        args.page.write_text(written_into(args.page.read_text(encoding="utf-8"), MARKS, table(report)))


if __name__ == "__main__":
    main()
