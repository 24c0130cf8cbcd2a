"""Models under measurement: a file, opened in one way, for a number of people at once."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import ConfigError
from amr_edge.runtime.bench.synthetic_inputs import moving_clips
from amr_edge.runtime.inference.session import AUTO, Session, model_path, open_session
from amr_edge.skeleton import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSpec:
    """One row of a report before it is measured.

    Attributes:
        path: A model file, or a run folder.
        threads: Threads of one inference.
        people: Who get their prediction from one forward.
        budget: Share of the tokens; None takes the card's own.
        engine: What computes, as `amr-edge live --engine` takes it.
        rebuild: Whether a TensorRT engine that does not fit this machine may be built again.
    """

    path: Path
    threads: int = 1
    people: int = 1
    budget: float | None = None
    engine: str = AUTO
    rebuild: bool = False

    def __post_init__(self) -> None:
        if self.people < 1 or self.threads < 1:
            raise ConfigError(f"a bench needs people and threads >= 1, got {self.people} and {self.threads}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that is ready to be timed.

    Attributes:
        spec: How it was opened.
        name: What it is called in tables.
        file: The model file.
        session: The open model.
        clips: Values (N, M, T, V, 3) and presence (N, M, T, V), its input.
        ask: One forward: NumPy arrays in, checked probabilities out.
    """

    spec: RowSpec
    name: str
    file: Path
    session: Session
    clips: tuple[NDArray[np.float32], Mask]
    ask: Callable[[], object]

    def to_dict(self) -> dict[str, Any]:
        """Description of the model before timing."""
        card = self.session.card
        return {
            "name": self.name,
            "model": card.name,
            "file": self.file.name,
            "file_bytes": self.file.stat().st_size,
            "file_sha256": sha256(self.file.read_bytes()),
            "card_sha256": sha256(card.to_json().encode()),
            "precision": precision(self.session),
            **engine_of(self.session),
            "answered_by": self.session.title,
            "threads": self.spec.threads,
            "people": self.spec.people,
            "budget": card.budget if self.spec.budget is None else self.spec.budget,
            "tokens": self.session.tokens,
            "shape": list(self.clips[0].shape),
        }


def load_models(specs: Sequence[RowSpec], rng: np.random.Generator) -> list[LoadedModel]:
    """Open each model once per threads and budget, and make its clips; the same people for all.

    Raises:
        AmrError: What `open_session` refuses.
    """
    files = [model_path(spec.path) for spec in specs]
    names = _names(specs, files)
    seed = int(rng.integers(2**31))
    sessions: dict[tuple[Path, str, int, float | None], Session] = {}
    found = []
    for spec, file, name in zip(specs, files, names, strict=True):
        key = (file, spec.engine, spec.threads, spec.budget)
        if key not in sessions or specs.count(spec) > 1:  # a model measured against itself is opened twice
            sessions[key] = load_session(spec)
        session = sessions[key]
        values, present = moving_clips(session.card, spec.people, np.random.default_rng(seed))
        ask = inference_call(session, values, present)
        found.append(LoadedModel(spec=spec, name=name, file=file, session=session, clips=(values, present), ask=ask))
    return found


def load_session(spec: RowSpec) -> Session:
    """The session that a row asks for."""
    return open_session(spec.path, engine=spec.engine, threads=spec.threads, budget=spec.budget, rebuild=spec.rebuild)


def inference_call(session: Session, values: NDArray[np.float32], present: Mask) -> Callable[[], object]:
    """One forward of a session on clips, as a call."""

    def ask() -> object:
        return session.probs(values, present)

    return ask


def _names(specs: Sequence[RowSpec], files: Sequence[Path]) -> list[str]:
    """File names without ending, with as much of their folders as tells them apart, and what varies beside the file."""
    places = [file.resolve() for file in files]
    short = {place: _called(place) for place in places}
    depth = 0
    while len(set(short.values())) < len(short) and depth < 12:
        depth += 1
        short = {place: "/".join([*place.parts[-1 - depth : -1], place.stem]) for place in places}
    names = []
    for spec, place in zip(specs, places, strict=True):
        words = [short[place]]
        if len({other.budget for other in specs}) > 1 and spec.budget is not None:
            words.append(f"budget {spec.budget:g}")
        if len({other.engine for other in specs}) > 1:
            words.append(spec.engine)
        if len({other.people for other in specs}) > 1:
            words.append(f"{spec.people} {'person' if spec.people == 1 else 'people'}")
        if len({other.threads for other in specs}) > 1:
            words.append(f"{spec.threads} {'thread' if spec.threads == 1 else 'threads'}")
        names.append(", ".join(words))
    # The same model given twice is the instrument's own test.
    return [f"{name} #{names[:k].count(name) + 1}" if names.count(name) > 1 else name for k, name in enumerate(names)]


def _called(file: Path) -> str:
    """A model of a run is called as the run, any other as its file."""
    if file.parent.name != "export":
        return file.stem
    run = file.parent.parent.name
    return run if file.stem == "model" else f"{run}/{file.stem}"


def engine_of(session: Session) -> dict[str, Any]:
    """Engine and providers of a session; an automatically chosen one wraps the engine's."""
    inner: Any = getattr(session, "inner", session)
    kind = getattr(inner, "engine", type(inner).__module__.rpartition(".")[2])
    return {"engine": kind, "providers": list(getattr(inner, "providers", ()))}


def precision(session: Session) -> str:
    """The arithmetic that the card names; bf16 where the engine says that it rounds to it on its own."""
    return "bf16" if re.search(r"\bbf16\b", session.title.rpartition(", on ")[2]) else session.card.precision


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
