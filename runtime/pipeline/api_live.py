"""What does a source show, record by record: `live` as something that a Python program goes through."""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Full, Queue
from typing import TypeVar

import numpy as np

from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError
from amr_edge.live_settings import given, settings_of
from amr_edge.runtime.inference.session import AUTO
from amr_edge.runtime.pipeline.api_model import Model, load
from amr_edge.runtime.pipeline.attribution import ExplainConfig, Explainer
from amr_edge.runtime.pipeline.pipeline import LiveConfig, LivePipeline
from amr_edge.runtime.pipeline.records import LiveRecord
from amr_edge.runtime.pose.open_pose import PoseEstimator
from amr_edge.runtime.sources.open_source import SourceConfig, open_source
from amr_edge.runtime.sources.protocols import STALE_S, ImageSource, SkeletonSource
from amr_edge.runtime.sources.recorded import CameraGroup, SourceRun, take_of
from amr_edge.runtime.stage_timer import Stages

__all__ = ["live"]

Item = TypeVar("Item")

AHEAD = 64  # records that wait for the program; then recognition waits for it
GLANCE_S = 0.1  # how long either side waits before it looks whether the other is still there
PATIENCE_S = 2.0  # how long a source that is left early may take to let go


def live(
    source: str | Path | Recording | Iterable[Recording] | SkeletonSource | ImageSource,
    model: str | Path | Model | None = None,
    *,
    format: str = "auto",  # noqa: A002 - the option's own word
    pose: str | PoseEstimator = "full",
    people: int = 1,
    speed: float = 0.0,
    limit_s: float | None = None,
    stale_s: float = STALE_S,
    early: float | None = None,
    smooth: str = "off",
    quality: bool = False,
    settings: Mapping[str, float] | None = None,
    explain: int | None = None,
    engine: str = AUTO,
    threads: int | None = None,
    budget: float | None = None,
    note: Callable[[str], None] | None = None,
) -> Generator[LiveRecord, None, None]:
    """Recognise what a source shows: the records that `amr-edge live` writes as JSON lines, as they come.

    Recognition goes on in a thread of its own, at most `AHEAD` records before the program; a recording waits for it, a
    camera drops pictures. Leaving the loop leaves the source: close the generator (`contextlib.closing`) to be sure
    when a camera is released.

    Args:
        source: What `--source` takes: skeletons or videos (file, folder, pattern), "-", a camera's number or address,
            "udp://HOST:PORT", a list of them; recordings that are here already; or a source of your own
            (docs/extending.md), which you close.
        model: What `load` takes, or a model that is loaded; None takes the one of the box.
        format: Of recorded skeletons.
        pose: For pictures: what finds the joints (docs/pose.md), or an estimator of your own, which you close.
        people: For pictures: how many people are looked for.
        speed: For what is recorded: 1 in real time, 0 as fast as it goes.
        limit_s: Stop after so many seconds of the source; None goes on to its end.
        stale_s: For what is live: seconds after which what it gave is dropped.
        early: Share of a window, in (0, 1), from which early answers are given; None gives none.
        smooth: "off", "low" or "high".
        quality: Ends of events carry a hint at how likely their repetitions were done rightly, if the card can tell.
        settings: Event detection and tracking that differ from the card's, such as {"events.confirm_s": 1.0}.
        explain: Explain one answer in so many; None explains none.
        engine: As in `load`.
        threads: As in `load`.
        budget: As in `load`.
        note: Takes each line for the person; None gives them to the logger "amr_edge" as information.

    Yields:
        Answers, events and the rest in the order of the JSON lines; the last is a `SummaryRecord`.

    Raises:
        ConfigError: At once, if an option means nothing, or one for loading comes with a model that is loaded.
        MissingError: If a package, model, camera or pose model is not here.
        ReadError: If the source or the model cannot be read.
        LayoutError: If the model cannot be fed from the source.
        ClipError: If the source's poses or times contradict each other.
    """
    if isinstance(model, Model):
        if engine != AUTO or threads is not None or budget is not None:
            raise ConfigError(
                "engine, threads and budget are chosen when a model is loaded; give them to load(), or live() a path"
            )
        loaded = model
    else:
        loaded = load(model, engine=engine, threads=threads, budget=budget)
    tell_person = logging.getLogger("amr_edge").info if note is None else note
    config = LiveConfig(
        limit_s=limit_s, early=early, smooth=smooth, quality=quality, settings=settings_of(loaded.card, given(settings))
    )
    reading = SourceConfig(format=format, pose=pose, people=people, speed=speed, stale_s=stale_s)
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    explainer = None
    if explain is not None:
        explainer = Explainer(loaded.session, ExplainConfig(every=explain, allowance_ms=None), time.perf_counter)

    def recognize(emit: Callable[[LiveRecord], None], left: threading.Event) -> None:
        run = LivePipeline(
            loaded.session, config=config, stages=stages, emit=emit, note=tell_person, explainer=explainer
        )
        if isinstance(source, str | Path | SkeletonSource | ImageSource):
            with open_source(
                str(source) if isinstance(source, Path) else source,
                reading,
                stages=stages,
                note=tell_person,
                skipped=run.skip,
                environ=os.environ,
                health=run.health,
            ) as takes:
                run.run(_until(left, takes))
        else:
            recordings = [source] if isinstance(source, Recording) else source
            run.run(_until(left, (take_of(recording) for recording in recordings)))
        run.close_with("limit" if run.limit_reached else "end")

    return _records_of(recognize)


class _Left(Exception):  # noqa: N818 - nothing is wrong
    """The iteration over the records has ended."""


def _until(left: threading.Event, takes: Iterable[SourceRun | CameraGroup]) -> Iterator[SourceRun | CameraGroup]:
    """The takes and their frames, until the caller stops."""
    for take in takes:
        if isinstance(take, CameraGroup):
            yield replace(take, frames=_each_until(left, take.frames))
        else:  # the same for the frames of several cameras
            yield replace(take, frames=_each_until(left, take.frames))


def _each_until(left: threading.Event, items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if left.is_set():
            raise _Left
        yield item


def _records_of(
    work: Callable[[Callable[[LiveRecord], None], threading.Event], None],
) -> Generator[LiveRecord, None, None]:
    """The records that `work` emits in a thread of its own; what it raises is raised here.

    Args:
        work: Called with a function that takes each record, and an event that is set when the caller has stopped.
    """
    records: Queue[LiveRecord | None] = Queue(maxsize=AHEAD)  # None is the end
    left, failures = threading.Event(), list[Exception]()

    def put(record: LiveRecord | None) -> None:
        while not left.is_set():
            try:
                records.put(record, timeout=GLANCE_S)
            except Full:
                continue
            return
        raise _Left

    def run() -> None:
        try:
            work(put, left)
        except _Left:
            return
        except Exception as cause:  # noqa: BLE001 - handed to the program's thread, where it is raised again
            failures.append(cause)
        with suppress(_Left):
            put(None)

    # A daemon: a camera that never answers must not keep the program from ending.
    thread = threading.Thread(target=run, name="amr-edge live", daemon=True)

    def leave() -> None:
        left.set()
        thread.join(PATIENCE_S)

    # A program that ends inside the loop: an engine that is cut off in the middle would take the process down.
    atexit.register(leave)
    thread.start()
    try:
        while (record := records.get()) is not None:
            yield record
        if failures:
            raise failures[0]
    finally:
        leave()
        atexit.unregister(leave)
