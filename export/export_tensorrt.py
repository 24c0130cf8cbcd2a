"""From a run to a TensorRT engine: the ready ONNX file first, proven; then the engine, proven on the same clips.

A machine without TensorRT gets the ready file and the line to type on the machine that has it. There this module is
given that file instead of a run and needs no torch.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.card import Card
from amr_edge.data.clips import Clips
from amr_edge.errors import CheckFailedError, ConfigError, MissingError
from amr_edge.export.verify.parity import Limits, Parity, Predictor, compare
from amr_edge.export.verify.verification_data import VerificationData, load_verification_data, run_folder
from amr_edge.optional_dependencies import require
from amr_edge.preprocess import Clip
from amr_edge.pretrained import is_bundled
from amr_edge.runtime.inference.cuda import open_cuda
from amr_edge.runtime.inference.io_contract import Session, check_contract, takes_budget
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.inference.tensorrt import (
    describe_engine,
    free_memory,
    make_engine,
    open_engine,
    open_gpu,
    profile_for,
)
from amr_edge.runtime.inference.tensorrt_build import BuildConfig, check_memory, trtexec_line
from amr_edge.runtime.inference.tensorrt_manifest import Manifest, machine, onnx_beside, remove
from amr_edge.terminal import table, to_json

# Those of `precision.LIMITS`, which needs onnx; of int8, TensorRT takes what is calibrated.
LIMITS = {
    "fp32": Limits(),
    "fp16": Limits(probability=0.02, agreement=0.99, accuracy=0.005),
    "int8-static": Limits(probability=0.2, agreement=0.97, accuracy=0.005),
}
MOST_SORTED = 3840  # TensorRT's largest K of a TopK
TRTEXEC = Path("/usr/src/tensorrt/bin/trtexec")  # where JetPack and NVIDIA's packages put it, off the PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that was built, and what is known of it.

    Attributes:
        path: The file.
        manifest: What stands beside it.
        ready: The ONNX file it was built from.
        proofs: Subject ("ONNX", "engine") -> its comparison with the trained model; with the ONNX file, where the
            source was one. Empty where there were no clips to compare on.
    """

    path: Path
    manifest: Manifest
    ready: Path
    proofs: dict[str, Parity]

    def to_dict(self) -> dict[str, object]:
        """Contents of engine_report.json."""
        built_for = self.manifest.built_for
        return {
            "file": self.path.name,
            "size_bytes": self.path.stat().st_size,
            "precision": self.manifest.card.precision,
            "tokens": self.manifest.card.fixed_tokens,
            "built_by": self.manifest.built_by,
            **asdict(built_for),
            "proven": bool(self.proofs),
            "proofs": {subject: asdict(parity) for subject, parity in self.proofs.items()},
        }

    def text(self) -> str:
        """The proofs as a table, and the verdict."""
        if self.proofs:
            return f"{proof_table(self.proofs)}\nproven: {self.path}"
        return (
            f"built, not proven: {self.path} was compared with nothing, for there were no clips; "
            f"type: amr-edge export {self.ready} --trt --data STORE --split all"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnnxModel:
    """The ONNX file an engine is built from, and what to judge the engine by."""

    path: Path
    card: Card
    predict: Predictor
    part: VerificationData | None
    proofs: dict[str, Parity]


def proof_table(proofs: dict[str, Parity]) -> str:
    """Comparisons as a table, one a row."""
    rows = [
        (
            subject,
            p.clips,
            f"{p.max_difference:.2e} (<= {p.limits.probability:.0e})",
            f"{p.agreement:.2%} (>= {p.limits.agreement:.2%})",
            f"{p.accuracy_trained:.4f} -> {p.accuracy_deployed:.4f}",
        )
        for subject, p in proofs.items()
    ]
    return table(rows, ("proof", "clips", "max difference", "top-1 agreement", "accuracy"))


def limits_for(precision: str, max_difference: float | None, min_agreement: float | None) -> Limits:
    """Parity limits of an engine: by its precision, or as given."""
    usual = LIMITS[precision]
    return replace(
        usual,
        probability=usual.probability if max_difference is None else max_difference,
        agreement=usual.agreement if min_agreement is None else min_agreement,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorrtConfig:
    """How an engine is built and verified.

    Attributes:
        precision: A key of `LIMITS`; a prepared file has its own.
        budget: Share of the tokens, a constant of the engine; None takes the card's.
        build: Settings of the builder.
        max_difference: Largest difference of a probability; by the precision if None.
        min_agreement: Smallest share of equal predictions; by the precision if None.
        by_trtexec: Build with the program trtexec instead of Python's TensorRT.
    """

    precision: str = "fp32"
    budget: float | None = None
    build: BuildConfig = field(default_factory=BuildConfig)
    max_difference: float | None = None
    min_agreement: float | None = None
    by_trtexec: bool = False

    def __post_init__(self) -> None:
        if self.precision not in LIMITS:
            raise ConfigError(f"precision must be one of {', '.join(LIMITS)}, got '{self.precision}'")

    def limits(self, precision: str) -> Limits:
        """Parity limits at a precision."""
        return limits_for(precision, self.max_difference, self.min_agreement)


def export_tensorrt(
    source: Path,
    config: TensorrtConfig | None = None,
    *,
    data: Path | None = None,
    name: str | None = None,
    out: Path | None = None,
    rng: np.random.Generator,
    progress: Callable[[str], None],
) -> Engine:
    """Write and verify the prepared ONNX file, build its engine and verify that.

    Args:
        source: A run folder or checkpoint; or a prepared .onnx file, for which no torch is needed.
        config: Precision, budget, builder and limits.
        data: Another store to verify on.
        name: Another split to verify on.
        out: The engine; RUN/export/model.engine by default, beside a prepared file by its name.
        rng: Chooses the training clips that int8 ranges are calibrated on.
        progress: Takes lines for the person.

    Returns:
        The engine; it is kept only if it is verified, or if there is nothing to verify it on.

    Raises:
        ConfigError: If source and options contradict each other.
        CheckFailedError: If the prepared file or the engine predicts differently, or TensorRT builds nothing.
        MissingError: If TensorRT, its GPU or memory is not here; the prepared file stays.
    """
    config = config or TensorrtConfig()
    if source.suffix == ".onnx":
        ready = _onnx_from_file(source, data, name, config)
        engine = out or _default_engine_path(source)
    else:
        engine = out or run_folder(source) / "export" / "model.engine"
        ready = _onnx_from_run(source, data, name, onnx_beside(engine), config, rng, progress)
    manifest = _build(ready, engine, config, progress)
    proofs = dict(ready.proofs)
    built = Engine(path=engine, manifest=manifest, ready=ready.path, proofs=proofs)
    if ready.part is not None:
        session = open_engine(engine, progress=progress)
        clips = Clips(ready.part.store, ready.part.which, ready.card.prepare, ready.card.persons)
        limits = config.limits(ready.card.precision)
        proofs["engine"] = compare(ready.predict, _session_predictor(session), clips, limits)
        report = engine.with_name(engine.stem + ".engine_report.json")
        report.write_text(to_json(built.to_dict(), indent=2) + "\n", encoding="utf-8")
        if proofs["engine"].failures:
            remove(engine)
            raise CheckFailedError(
                f"{engine} was not kept: {'; '.join(proofs['engine'].failures)} on {len(clips)} clips; see {report}"
            )
    return built


def _build(ready: _OnnxModel, engine: Path, config: TensorrtConfig, progress: Callable[[str], None]) -> Manifest:
    """Build the engine of a prepared file, by Python's TensorRT or by trtexec."""
    build = config.build
    line = shlex.join(
        trtexec_line("trtexec", ready.path.absolute(), engine.absolute(), profile_for(ready.card, build), build)
    )
    progress(f"the same engine with trtexec: {line}")
    try:
        if config.by_trtexec:
            return _build_by_trtexec(ready, engine, build, progress)
        return make_engine(
            ready.path,
            engine,
            card=ready.card,
            config=build,
            gpu=open_gpu("`amr-edge export --trt`"),
            free_bytes=free_memory(),
            progress=progress,
        )
    except MissingError as cause:
        raise MissingError(
            f"{cause}; {ready.path} is ready: copy it to the device and type there: "
            f"amr-edge export {ready.path.name} --trt"
        ) from cause


def _session_predictor(session: Session) -> Predictor:
    return lambda clips: session.probs(clips.values, clips.present)


def _default_engine_path(ready: Path) -> Path:
    """model.engine.onnx and model.onnx are both built into model.engine."""
    name = ready.name.removesuffix(".onnx")
    if is_bundled(ready):  # the installation is left as it is
        return Path(f"{name}.engine")
    return ready.with_name(name if name.endswith(".engine") else name + ".engine")


def _onnx_from_file(source: Path, data: Path | None, name: str | None, config: TensorrtConfig) -> _OnnxModel:
    """A prepared file given by path: its card has all settings; it is compared on clips if there are any."""
    model = read_onnx(source)
    check_contract(model)
    card = model.card
    held = card.precision
    if held not in LIMITS:
        raise ConfigError(f"{source}: the file computes in {held}, an engine takes {', '.join(LIMITS)}; export the run")
    if takes_budget(model):
        raise ConfigError(
            f"{source}: an engine needs a fixed number of tokens, this file takes it at every run; "
            "write one that is fixed from the run: amr-edge export RUN --trt --budget 0.25"
        )
    budget = config.budget
    other_tokens = budget is not None and card.tokens_at(budget) != card.fixed_tokens
    if config.precision not in ("fp32", held) or other_tokens:
        raise ConfigError(
            f"{source}: the file computes in {held} on {card.fixed_tokens} of {card.tokens} tokens, which an engine "
            "cannot change; leave --fp16, --int8 and --budget away, or export the run again"
        )
    known = data is not None or (run_folder(source) / "config.json").is_file()
    return _OnnxModel(
        path=source,
        card=card,
        predict=_session_predictor(open_session(source, engine="onnxruntime")),
        part=load_verification_data(source, data, name) if known else None,
        proofs={},
    )


def _onnx_from_run(
    source: Path,
    data: Path | None,
    name: str | None,
    ready: Path,
    config: TensorrtConfig,
    rng: np.random.Generator,
    progress: Callable[[str], None],
) -> _OnnxModel:
    """Write a run's weights as the ONNX file an engine is built from, and keep it only if it is proven."""
    require("export", "`amr-edge export`")
    from amr_edge.export.convert.deploy_module import Deployed
    from amr_edge.export.convert.onnx import write_onnx
    from amr_edge.training.engine.checkpoint import load_classifier
    from amr_edge.training.engine.run_folder import selected_checkpoint

    model, card = load_classifier(selected_checkpoint(source))
    part = load_verification_data(source, data, name)
    tokens = card.tokens_at(card.budget if config.budget is None else config.budget)
    remove(ready.with_name(ready.name.removesuffix(".onnx")))  # an engine of other weights must not outlive them
    ready.unlink(missing_ok=True)
    candidate = ready.with_name("unproven-" + ready.name)
    try:
        write_onnx(model, card, candidate, tokens=tokens)
        _prepare_graph(candidate, config.precision, part, rng)
        card = read_onnx(candidate).card
        clips = Clips(part.store, part.which, card.prepare, card.persons)
        answer = _trained_predictor(Deployed(model, card, tokens))
        session = open_session(candidate, engine="onnxruntime")
        parity = compare(answer, _session_predictor(session), clips, config.limits(config.precision))
        if parity.failures:
            raise CheckFailedError(f"{ready} was not kept: {'; '.join(parity.failures)} on {parity.clips} clips")
        os.replace(candidate, ready)  # noqa: PTH105  (atomic)
    finally:
        candidate.unlink(missing_ok=True)
    progress(
        f"ready: {ready}, {config.precision}, {tokens} of {card.tokens} tokens, verified on {parity.clips} clips "
        f"(probabilities differ by {parity.max_difference:.1e} at most)"
    )
    return _OnnxModel(path=ready, card=card, predict=answer, part=part, proofs={"ONNX": parity})


def _trained_predictor(model: Any) -> Predictor:
    """The trained weights in torch, looking at as many tokens as the engine does."""
    import torch

    def answer(clips: Clip) -> NDArray[np.float32]:
        with torch.inference_mode():
            _, probs = model(torch.from_numpy(clips.values), torch.from_numpy(clips.present))
        return np.asarray(probs.numpy(), dtype=np.float32)

    return answer


def _prepare_graph(candidate: Path, precision: str, part: VerificationData, rng: np.random.Generator) -> None:
    """Give the ONNX file its precision, which a strongly typed network takes from there, and constant sorts."""
    import onnx

    from amr_edge.export.convert.onnx import save_onnx
    from amr_edge.export.convert.precision import SAMPLE, calibration, lowered

    card = read_onnx(candidate).card
    feeds = calibration(part, card, ("clip", "present"), count=SAMPLE, rng=rng)
    model = lowered(onnx.load(candidate), precision, feeds)
    fix_sorts(model, card.tokens)
    save_onnx(model, replace(card, precision=precision), candidate)


def fix_sorts(model: Any, tokens: int) -> None:
    """Make K of every TopK a constant: torch.export computes it from a shape, TensorRT's parser wants to read it.

    Args:
        model: An onnx.ModelProto with a fixed number of tokens, changed in place; each of its sorts orders all tokens.
        tokens: How many there are.

    Raises:
        ConfigError: If there are more than TensorRT sorts.
    """
    import onnx

    sorts = [node for node in model.graph.node if node.op_type == "TopK"]
    if sorts and tokens > MOST_SORTED:
        raise ConfigError(
            f"the model has {tokens} tokens, TensorRT sorts at most {MOST_SORTED}; take --budget 1, or fewer frames"
        )
    if sorts:
        name = "tokens_to_sort"
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([tokens], dtype=np.int64), name))
        for node in sorts:
            node.input[1] = name
    _drop_unused(model)


def _drop_unused(model: Any) -> None:
    """Leave out nodes and constants that no output needs."""
    needed = {tensor.name for tensor in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):  # in an ONNX file a node stands after those it needs
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(type(node).FromString(node.SerializeToString()))
    constants = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    constants = [type(tensor).FromString(tensor.SerializeToString()) for tensor in constants]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(constants)


def find_trtexec() -> str:
    """The program, on the PATH or where it is installed off it.

    Raises:
        MissingError: If it is in neither place.
    """
    found = shutil.which("trtexec") or shutil.which(TRTEXEC)
    if found is None:
        raise MissingError(f"--trtexec needs NVIDIA's program trtexec, which is neither on the PATH nor {TRTEXEC}")
    return found


def _build_by_trtexec(
    ready: _OnnxModel, engine: Path, config: BuildConfig, progress: Callable[[str], None]
) -> Manifest:
    """Let trtexec build the engine; its manifest is ours."""
    program, cuda = find_trtexec(), open_cuda("`amr-edge export --trtexec`")
    compute, release = cuda.compute_capability(), cuda.version()
    check_memory(ready.path.stat().st_size, config, free_memory())
    remove(engine)
    part = engine.with_name(engine.name + ".part")
    line = trtexec_line(program, ready.path.absolute(), part.absolute(), profile_for(ready.card, config), config)
    progress(f"building {engine.name} with {program}; this takes minutes on a small board")
    try:
        # What trtexec says is kept from stdout, which is for answers.
        run = subprocess.run(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
        )
        log = run.stdout.splitlines()
        errors = [text for text in log if "[E]" in text]
        if run.returncode != 0 or not part.is_file():
            reason = "; ".join(errors[-3:]) or f"its last line was: {log[-1] if log else 'none'}"
            raise CheckFailedError(f"{ready.path}: trtexec ended with {run.returncode} and built no engine ({reason})")
        os.replace(part, engine)  # noqa: PTH105  (atomic)
    finally:
        part.unlink(missing_ok=True)
    version = next((found[1] for text in log if (found := re.search(r"TensorRT v(\d{5,})", text))), "")
    if not version:
        engine.unlink()
        raise CheckFailedError(f"{ready.path}: trtexec did not say its version, so its engine could not be described")
    # v101303 is 10.13.3.
    number = int(version)
    return describe_engine(
        ready.path,
        engine,
        card=ready.card,
        config=config,
        built_for=machine(f"{number // 10000}.{number // 100 % 100}.{number % 100}", release, compute),
        built_by="trtexec",
    )
