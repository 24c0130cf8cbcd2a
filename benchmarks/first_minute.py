"""What does the first minute cost: size of the wheel, its install, imports, and the time until the first answer?

Run: python benchmarks/first_minute.py [--repeat 5] [--wheel FILE] [--out benchmarks/results/first_minute.json]

Builds the wheel, makes a fresh virtual environment, installs the wheel with what it depends on and nothing else, and
times in it what a newcomer types, each as a process of its own: `--help`, `live` on a recorded skeleton until the first
answer, `demo` until the first event and to its end. Medians over the repeats, extremes beside them. The install is
timed once, as it is: it depends on the network and on pip's cache, as the output states.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amr_edge.runtime.hardware.machine import machine
from amr_edge.terminal import note, table, to_json

ROOT = Path(__file__).resolve().parents[1]
MODEL = "amr_edge/pretrained/rehab8.onnx"


def build(folder: Path) -> Path:
    """The wheel of this checkout, made from its sdist: a build folder of before could hold files that are gone."""
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def contents(wheel: Path) -> dict[str, Any]:
    """Bytes of the wheel, packed and unpacked, and of the model in it."""
    with zipfile.ZipFile(wheel) as archive:
        sizes = {each.filename: each.file_size for each in archive.infolist()}
    return {
        "wheel_bytes": wheel.stat().st_size,
        "unpacked_bytes": sum(sizes.values()),
        "files": len(sizes),
        "model_bytes": sizes.get(MODEL),
    }


def install(wheel: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The commands of a fresh environment with the wheel, and what that took."""
    begun_s = time.perf_counter()
    venv.create(folder, with_pip=True)
    made_s = time.perf_counter() - begun_s
    places = folder / ("Scripts" if sys.platform == "win32" else "bin")
    begun_s = time.perf_counter()
    subprocess.run([places / "python", "-m", "pip", "install", "-q", wheel], check=True)
    took_s = time.perf_counter() - begun_s
    listed = subprocess.run(
        [places / "python", "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True
    )
    names = {each["name"]: each["version"] for each in json.loads(listed.stdout)}
    held = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    return places, {
        "environment_s": made_s,
        "install_s": took_s,
        "installed_bytes": held,
        "packages": {name: names[name] for name in sorted(names) if name not in ("pip", "setuptools")},
    }


def until(command: Sequence[str], *, stream: str, word: str, folder: Path) -> tuple[float, float]:
    """Seconds until a command's output holds a word, and until it has ended."""
    begun_s = time.perf_counter()
    process = subprocess.Popen(
        list(command),
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE if stream == "stdout" else subprocess.DEVNULL,
        stderr=subprocess.PIPE if stream == "stderr" else subprocess.DEVNULL,
    )
    lines = process.stdout if stream == "stdout" else process.stderr
    assert lines is not None
    first_s = None
    for line in lines:
        if first_s is None and word in line:
            first_s = time.perf_counter() - begun_s
    code = process.wait()
    ended_s = time.perf_counter() - begun_s
    lines.close()
    if code or first_s is None:
        raise SystemExit(f"{command}: ended with {code}, '{word}' was {'not ' if first_s is None else ''}printed")
    return first_s, ended_s


def imported_ms(python: Path, module: str) -> float:
    """What importing a module takes, NumPy included, by the interpreter's own clock."""
    done = subprocess.run(
        [python, "-X", "importtime", "-c", f"import {module}"], check=True, capture_output=True, text=True
    )
    found = re.findall(rf"\|\s*(\d+) \| {re.escape(module)}$", done.stderr, flags=re.MULTILINE)
    return int(found[-1]) / 1e3


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def timed(places: Path, folder: Path, count: int) -> dict[str, Any]:
    """What a newcomer waits for."""
    python, amr_edge = places / "python", str(places / "amr-edge")
    demo = [amr_edge, "demo", "--threads", "1"]
    live = [amr_edge, "live", "--source", "amr-edge-demo/person.jsonl", "--threads", "1"]
    # No bytecode is there yet: what happens once, right after the install.
    cold = until(demo, stream="stderr", word="begins", folder=folder)
    warm = [until(demo, stream="stderr", word="begins", folder=folder) for _ in range(count)]
    answers = [until(live, stream="stdout", word='"answer"', folder=folder)[0] for _ in range(count)]
    helps = [until([amr_edge, "--help"], stream="stdout", word="Commands", folder=folder)[1] for _ in range(count)]
    done = subprocess.run([*demo, "--json"], check=True, capture_output=True, text=True, cwd=folder)
    output = json.loads(done.stdout)
    return {
        "first_event_after_install_s": cold[0],
        "demo_after_install_s": cold[1],
        "demo_first_event_s": spread([first_s for first_s, _ in warm]),
        "demo_s": spread([whole_s for _, whole_s in warm]),
        "live_first_answer_s": spread(answers),
        "help_s": spread(helps),
        "import_ms": {
            module: spread([imported_ms(python, module) for _ in range(count)])
            for module in ("numpy", "amr_edge", "amr_edge.cli", "amr_edge.runtime.cli", "onnxruntime")
        },
        "demo": {
            name: output[name]
            for name in (
                "model", "sets", "recognised", "actions", "false_events", "repeats", "median_delay_s", "source_s",
                "answers", "latency_ms",
            )
        },
    }  # fmt: skip


def measured(wheel: Path | None, count: int) -> dict[str, Any]:
    """Everything, in folders that are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="first-minute-") as name:
        folder = Path(name)
        if wheel is None:
            note("building the wheel")
            wheel = build(folder / "dist")
        result: dict[str, Any] = {"schema": 1, "kind": "first minute", "wheel": wheel.name, **contents(wheel)}
        note("installing it into a fresh environment")
        places, installed = install(wheel, folder / "env")
        note("doing what a newcomer does")
        result |= installed | timed(places, folder, count)
    result["install_to_first_event_s"] = result["install_s"] + result["first_event_after_install_s"]
    return {**result, **machine(threads=1)}


def main() -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="of everything but the install (default 5)")
    parser.add_argument("--wheel", type=Path, help="measure this one instead of building")
    parser.add_argument("--out", type=Path, help="store the result as JSON")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    result = measured(options.wheel, options.repeat)
    if options.out is not None:
        options.out.write_text(to_json(result, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(to_json(result))
        return
    rows = [
        ["wheel, MB", round(result["wheel_bytes"] / 1e6, 2)],
        ["model in it, MB", round((result["model_bytes"] or 0) / 1e6, 2)],
        ["installed with what it needs, MB", round(result["installed_bytes"] / 1e6)],
        ["pip install, s", round(result["install_s"], 1)],
        ["first event after the install, s", round(result["first_event_after_install_s"], 2)],
        ["from pip install to the first event, s", round(result["install_to_first_event_s"], 1)],
        *[
            [f"{name.removesuffix('_s').replace('_', ' ')}, s", round(result[name]["median"], 2)]
            for name in ("demo_first_event_s", "demo_s", "live_first_answer_s", "help_s")
        ],
        *[[f"import {name}, ms", round(value["median"], 1)] for name, value in result["import_ms"].items()],
    ]
    print(table(rows, ["", "median"]))


if __name__ == "__main__":
    main()
