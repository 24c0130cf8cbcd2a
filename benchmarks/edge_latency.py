"""What does an answer cost on an edge device, and how good is it? Teacher, students, budgets, precisions, engines.

python benchmarks/edge_latency.py --teacher RUN --small RUN --tiny RUN --data STORE --split NAME --out FILE --markdown
python benchmarks/edge_latency.py --random --out FILE        # the paper's size, random weights: ratios only

One process, one thread, one person, everything in turns, medians of processor time. Every row is a multiple of the
first, the teacher's full window in fp32. Accuracy is that of the very file, engine and budget of the row. For scale
the same run times ST-GCN, CTR-GCN, ST-GCN++ and continual ST-GCN: our own re-implementations with random weights,
`reference_networks.py`, for latency only.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

# Before torch is loaded, which spins otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import reference_networks
import torch

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.errors import ConfigError, MissingError
from amr_edge.export.convert.onnx import save_onnx, write_onnx
from amr_edge.export.convert.precision import SAMPLE, calibration, file_name, lowered
from amr_edge.export.verify.evaluate import labels_for
from amr_edge.export.verify.verification_data import VerificationData, load_verification_data
from amr_edge.metrics import score
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.bench.measure import MeasureConfig, Timed, measure
from amr_edge.runtime.bench.models import inference_call
from amr_edge.runtime.bench.synthetic_inputs import moving_clips
from amr_edge.runtime.hardware.machine import context, machine
from amr_edge.runtime.inference.session import Session, open_session
from amr_edge.terminal import note, progress, table, to_json
from amr_edge.training.config import EncoderConfig
from amr_edge.training.engine.checkpoint import load_classifier
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.token_selection import macs
from amr_edge.training.models.transformer import Encoder

BUDGETS = {"teacher": (1.0, 0.5, 0.25, 0.1), "small": (1.0, 0.25), "tiny": (1.0, 0.25)}
# Each engine in fp32 and in the int8 that it is faster in (docs/precision.md).
ENGINES = {"onnxruntime": ("fp32", "int8"), "openvino": ("fp32", "int8-static")}
STUDENT = EncoderConfig(width=128, depth=4, heads=4, mlp_ratio=2, patch_frames=8)
RANDOM = {
    "teacher": EncoderConfig(),
    "small": STUDENT,
    "tiny": replace(STUDENT, width=64, heads=2, mlp_ratio=4),
}
FRAMES, JOINTS, CLASSES = 120, 25, 60  # of the paper
# What each looks at for one answer.
SCALE = {
    "CTR-GCN": (reference_networks.ctr_gcn, 64),
    "ST-GCN++": (reference_networks.st_gcn_pp, 100),
    "ST-GCN": (reference_networks.st_gcn, 300),
}
CONTINUAL = "CoST-GCN*"
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One file on one engine and budget.

    Attributes:
        model: "teacher", "small" or "tiny".
        precision: Of the file.
        engine: As `open_session` takes it.
        budget: Share of the tokens.
        parameters: Of the model.
        file_bytes: Size of the file.
        macs: Multiply-accumulates of its blocks for one body, attention included.
        tokens: Looked at, of one body.
        ask: One answer for one person.
        session: The open file.
    """

    model: str
    precision: str
    engine: str
    budget: float
    parameters: int
    file_bytes: int
    macs: int
    tokens: int
    ask: Callable[[], object]
    session: Session


def random_model(name: str) -> tuple[Classifier, Card]:
    """A model of the paper's size that has learned nothing; it costs what a trained one costs."""
    torch.manual_seed(0)
    config = RANDOM[name]
    model = Classifier(Encoder(config, frames=FRAMES, joints=JOINTS), CLASSES)
    card = Card(
        name=name,
        kind="classifier",
        classes=tuple(f"action {k}" for k in range(CLASSES)),
        prepare=PrepareConfig(frames=FRAMES),
        patch_frames=config.patch_frames,
        focal_windows=(4, 8, 12),
        encoder=asdict(config),
    )
    return model, card


def write_files(
    models: dict[str, tuple[Classifier, Card]],
    train_part: VerificationData | None,
    folder: Path,
    precisions: Iterable[str],
) -> dict[tuple[str, str], Path]:
    """(model, precision) -> its file, written as `amr-edge export` writes it.

    Args:
        models: What to write.
        train_part: Whose training part int8-static is calibrated on; None calibrates on swaying bodies.
        folder: Where to.
        precisions: Which.
    """
    files = {}
    for name, (model, card) in models.items():
        full = write_onnx(model, card, folder / name / file_name("fp32"))
        graph = onnx.load(full)
        for precision in precisions:
            if precision != "fp32":
                if train_part is None:
                    values, present = moving_clips(card, 8, np.random.default_rng(1))
                    feed = {"clip": values, "present": present, "ranks": np.arange(card.tokens, dtype=np.int64)}
                    feeds: Callable[[], Any] = lambda feed=feed: [feed]  # noqa: E731
                else:
                    inputs = [value.name for value in graph.graph.input]
                    feeds = calibration(train_part, card, inputs, count=SAMPLE, rng=np.random.default_rng(0))
                lower = lowered(graph, precision, feeds)
                save_onnx(lower, replace(card, precision=precision), full.with_name(file_name(precision)))
            files[name, precision] = full.with_name(file_name(precision))
    return files


def open_rows(
    models: dict[str, tuple[Classifier, Card]], files: dict[tuple[str, str], Path], engines: Sequence[str]
) -> list[Row]:
    """Every model on its budgets, in each engine's precisions; the first is the teacher's full window in fp32."""
    rows = []
    for engine in engines:
        for (name, precision), file in files.items():
            if precision not in ENGINES[engine]:
                continue
            model, card = models[name]
            for budget in BUDGETS[name]:
                session = open_session(file, engine=engine, threads=1, budget=budget)
                values, present = moving_clips(card, 1, np.random.default_rng(0))
                rows.append(
                    Row(
                        model=name,
                        precision=precision,
                        engine=engine,
                        budget=budget,
                        parameters=sum(part.numel() for part in model.parameters()),
                        file_bytes=file.stat().st_size,
                        macs=macs(EncoderConfig(**card.encoder), session.tokens),
                        tokens=session.tokens,
                        ask=inference_call(session, values, present),
                        session=session,
                    )
                )
    return rows


def open_reference_networks(folder: Path) -> Iterator[tuple[str, str, int, Callable[[], object]]]:
    """(name, what it looks at, parameters, one answer for one person) of the networks for scale, on ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4

    def opened(path: Path) -> Any:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    rng = np.random.default_rng(0)
    for name, (make, frames) in SCALE.items():
        network = reference_networks.shaken(make())
        session = opened(reference_networks.write(network, frames, folder / f"{frames}.onnx"))
        clip = rng.normal(size=(1, 3, frames, JOINTS)).astype(np.float32)
        yield name, f"{frames} frames", _size(network), lambda s=session, x=clip: s.run(None, {"clip": x})
    continual = reference_networks.Continual(reference_networks.st_gcn())
    reference_networks.shaken(continual)
    session = opened(reference_networks.write(continual, 1, folder / "continual.onnx"))
    names = [value.name for value in session.get_inputs()]
    held = [rng.normal(size=(1, 3, 1, JOINTS)).astype(np.float32), *(c.numpy() for c in continual.caches())]

    def frame() -> object:
        held[1:] = session.run(None, dict(zip(names, held, strict=True)))[1:]
        return held

    yield CONTINUAL, "every single frame", _size(continual), frame


def _size(network: torch.nn.Module) -> int:
    return sum(part.numel() for part in network.parameters() if part.requires_grad)


def top1(rows: Sequence[Row], part: VerificationData) -> list[float]:
    """Of every row on the test part, through its own session; one clip at a time, as a device answers."""
    answers: list[float] = []
    with progress(rows, label="accuracy", length=len(rows)) as bar:
        for row in bar:
            card = row.session.card
            labels = labels_for(card, part.store)
            known = part.which & (labels >= 0)
            clips = Clips(part.store, known, card.prepare, card.persons)
            probs = []
            # Where int8 finds its ranges at every run, who else is in the batch has a part in the answer.
            batch = 1 if row.precision == "int8" else BATCH
            for start in range(0, len(clips), batch):
                clip = clips.whole(np.arange(start, min(start + batch, len(clips))))
                probs.append(row.session.probs(clip.values, clip.present))
            answers.append(score(np.concatenate(probs), labels[known]).top1)
    return answers


def median_ms(timed: Timed) -> float:
    """Median of its runs."""
    return float(np.median(timed.values()))


def report(
    rows: Sequence[Row],
    beside: Sequence[tuple[str, str, int, Callable[[], object]]],
    timed: Sequence[Timed],
    accuracies: Sequence[float] | None,
) -> dict[str, Any]:
    """What was measured, for machines."""
    first = median_ms(timed[0])
    result = []
    for k, row in enumerate(rows):
        ms = median_ms(timed[k])
        result.append(
            {
                "model": row.model,
                "precision": row.precision,
                "engine": row.engine,
                "budget": row.budget,
                "tokens": row.tokens,
                "top1": None if accuracies is None else round(accuracies[k], 4),
                "parameters": row.parameters,
                "file_bytes": row.file_bytes,
                "macs": row.macs,
                "ms": round(ms, 4),
                "runs": len(timed[k].times_ms),
                "times_faster": round(first / ms, 2),
            }
        )
    scale = [
        {
            "network": name,
            "looks_at": looks_at,
            "parameters": parameters,
            "ms": round(median_ms(runs), 4),
            "runs": len(runs.times_ms),
            "times_faster": round(first / median_ms(runs), 2),
        }
        for (name, looks_at, parameters, _), runs in zip(beside, timed[len(rows) :], strict=True)
    ]
    return {"rows": result, "for_scale": scale}


def tables(result: dict[str, Any]) -> str:
    """What was measured, in Markdown."""
    head = "| model | budget | precision | engine | top-1 % | parameters | MB | M MACs | ms | times faster |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for row in result["rows"]:
        top = "" if row["top1"] is None else f"{100 * row['top1']:.1f}"
        lines.append(
            f"| {row['model']} | {row['budget']:.0%} | {row['precision']} | {row['engine']} | {top} | "
            f"{row['parameters'] / 1e6:.2f} M | {row['file_bytes'] / 1e6:.2f} | {row['macs'] / 1e6:.1f} | "
            f"{row['ms']:.2f} | {row['times_faster']:.1f} |"
        )
    lines += ["", "| for scale (our code, random weights) | looks at | parameters | ms | times faster |"]
    lines.append("|---|---|---|---|---|")
    lines += [
        f"| {row['network']} | {row['looks_at']} | {row['parameters'] / 1e6:.2f} M | {row['ms']:.2f} | "
        f"{row['times_faster']:.1f} |"
        for row in result["for_scale"]
    ]
    return "\n".join(lines)


def text(result: dict[str, Any]) -> str:
    """What was measured, for people."""
    columns = ("model", "budget", "precision", "engine", "top1", "macs", "ms", "times_faster")
    ours = table([[row[name] for name in columns] for row in result["rows"]], columns)
    columns = ("network", "looks_at", "parameters", "ms", "times_faster")
    return f"{ours}\n{table([[row[name] for name in columns] for row in result['for_scale']], columns)}"


def available(engines: Sequence[str], file: Path) -> list[str]:
    """Those of the engines that are here; a note about the others."""
    here = []
    for engine in engines:
        try:
            open_session(file, engine=engine, threads=1)
        except MissingError as cause:
            note(f"left out: {cause}")
            continue
        here.append(engine)
    return here


def main() -> None:
    """Write the files, time them in turns, score them, store the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in RANDOM:
        parser.add_argument(f"--{name}", type=Path, help=f"the run folder of the {name} model")
    parser.add_argument("--random", action="store_true", help="random weights at the paper's size instead of runs")
    parser.add_argument("--data", type=Path, help="the store; the teacher's own by default")
    parser.add_argument("--split", help="whose test part is scored; the teacher's own by default")
    parser.add_argument("--out", type=Path, help="what was measured, as JSON")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--seconds", type=float, default=1.0, help="every row is timed for so long (default 1)")
    parser.add_argument("--count", type=int, default=30, help="and so often (default 30)")
    options = parser.parse_args()
    runs = {name: getattr(options, name) for name in RANDOM if getattr(options, name) is not None}
    if options.random == bool(runs) or (runs and "teacher" not in runs):
        raise ConfigError("give --teacher RUN, with --small RUN and --tiny RUN if there are any, or --random")
    torch.set_num_threads(1)
    part = load_verification_data(runs["teacher"], options.data, options.split) if runs else None
    models = (
        {name: load_classifier(RunFolder(run).selected) for name, run in runs.items()}
        if runs
        else {name: random_model(name) for name in RANDOM}
    )
    engines = options.engines.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        wanted = dict.fromkeys(precision for engine in engines for precision in ENGINES[engine])
        files = write_files(models, part, folder, wanted)
        rows = open_rows(models, files, available(engines, files["teacher", "fp32"]))
        beside = list(open_reference_networks(folder))
        note(f"timing {len(rows) + len(beside)} rows")
        timed = measure(
            [*(row.ask for row in rows), *(ask for *_, ask in beside)],
            MeasureConfig(warmup_s=0.1, seconds=options.seconds, count=options.count, turn_s=0.05),
            # What others do on the machine meanwhile is no cost of ours.
            now=time.process_time,
            sleep=time.sleep,
            rng=np.random.default_rng(0),
        )
        accuracies = None if part is None else top1(rows, part)
        result = {
            "what": "median processor time of one answer for one person, one thread, all rows in turns in one process; "
            "times_faster is against the first row; for_scale: our re-implementations with random weights",
            "clips": None if part is None else int(part.which.sum()),
            "split": None if part is None else part.split,
            "data": None if part is None else part.store.path.name,
            "measured_on": {**machine(1), "scheduling": context()["scheduling"], "load": context()["load"]},
            "versions": context()["versions"],
            **report(rows, beside, timed, accuracies),
        }
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(to_json(result, indent=1) + "\n", encoding="utf-8")
        note(f"written: {options.out}")
    print(tables(result) if options.markdown else text(result))


if __name__ == "__main__":
    main()
