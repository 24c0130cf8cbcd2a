"""What does a source show, record by record: `live` as something that a Python program goes through."""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path
from queue import Full, Queue
from typing import ParamSpec, TypeVar

import numpy as np

from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError
from amr_edge.runtime.inference.session import AUTO
from amr_edge.runtime.pipeline.api_model import Model, load
from amr_edge.runtime.pipeline.live_options import LiveOptions
from amr_edge.runtime.pipeline.outputs import check_delivered, start_sinks
from amr_edge.runtime.pipeline.pipeline import LivePipeline
from amr_edge.runtime.pipeline.records import LiveRecord
from amr_edge.runtime.sinks.async_sink import AsyncSink, Record, Sink
from amr_edge.runtime.sinks.open_sink import is_video, open_sink
from amr_edge.runtime.sources.open_source import is_live, open_source
from amr_edge.runtime.sources.protocols import ImageSource, SkeletonSource
from amr_edge.runtime.sources.recorded import CameraGroup, SourceRun, source_run
from amr_edge.runtime.stage_timer import Stages

__all__ = ["live"]

Item = TypeVar("Item")
P = ParamSpec("P")

AHEAD = 64  # records that wait for the program; then recognition waits for it
GLANCE_S = 0.1  # how long either side waits before it looks whether the other is still there
PATIENCE_S = 2.0  # how long a source that is left early may take to let go


def _live(options: LiveOptions) -> Generator[LiveRecord, None, None]:
    source, model = options.source, options.model
    if source is None:
        raise ConfigError("live() needs a source: a file, a camera's number or address, or recordings")
    if not isinstance(model, Model):
        loaded = load(model, engine=options.engine, threads=options.threads, budget=options.budget)
    elif options.engine != AUTO or options.threads is not None or options.budget is not None:
        raise ConfigError(
            "engine, threads and budget are chosen when a model is loaded; give them to load(), or live() a path"
        )
    else:
        loaded = model
    note = options.note or logging.getLogger("amr_edge").info
    config, source_config = options.live_config(loaded.card), options.source_config
    stages = Stages(time.perf_counter, np.random.default_rng(0))
    explainer = options.explainer(loaded.session, allowance_ms=None)

    videos = [sink for sink in options.to if isinstance(sink, str) and is_video(sink)]
    if videos or isinstance(options.to, str):
        raise ConfigError(
            f"live(to=...) expects a list of sinks of records, got {options.to!r}; a video is written by the command: "
            "amr-edge live --save"
        )
    sinks = [open_sink(sink) for sink in options.to]

    def recognize(emit: Callable[[LiveRecord], None], left: threading.Event) -> None:
        live = isinstance(source, str | SkeletonSource | ImageSource) and is_live(source, options.format)
        with _started(sinks, replay=not live and not options.speed, note=note) as outlets:
            pass_through(outlets, emit, left)

    def pass_through(
        outlets: Sequence[AsyncSink[Record]], emit: Callable[[LiveRecord], None], left: threading.Event
    ) -> None:
        def emit_everywhere(record: LiveRecord) -> None:
            for outlet in outlets:
                outlet.put(record.line)
            emit(record)

        pipeline = LivePipeline(
            loaded.session,
            config=config,
            stages=stages,
            emit=emit_everywhere,
            note=note,
            explainer=explainer,
            deliveries=lambda: [outlet.report().to_dict() for outlet in outlets],
        )
        if isinstance(source, str | Path | SkeletonSource | ImageSource):
            with open_source(
                str(source) if isinstance(source, Path) else source,
                source_config,
                stages=stages,
                note=note,
                skipped=pipeline.skip,
                environ=os.environ,
                health=pipeline.health,
            ) as takes:
                pipeline.run(_until(left, takes))
        else:
            recordings = [source] if isinstance(source, Recording) else source
            pipeline.run(_until(left, (source_run(recording) for recording in recordings)))
        pipeline.close_with("limit" if pipeline.limit_reached else "end")

    return _records_of(recognize)


def _function(options: Callable[P, LiveOptions]) -> Callable[P, Generator[LiveRecord, None, None]]:
    """`live`, with the parameters of its options class."""

    def live(*args: P.args, **kwargs: P.kwargs) -> Generator[LiveRecord, None, None]:  # noqa: D417 - below
        """Recognise what a source shows: the records that `amr-edge live` writes as JSON lines, as they come.

        Recognition runs in its own thread, at most `AHEAD` records before the program; a recording waits for it, a
        camera drops pictures. Leaving the loop leaves the source: close the generator (`contextlib.closing`) to be
        sure when a camera is released.

        Args:
            source: What `--source` takes; recordings that are here already; or a source of your own, which you close
                (docs/extending.md).
            model: What `load` takes, or a loaded model; None is the bundled one.
            note: Called with each line for the person; None logs them to "amr_edge" as information.

        Yields:
            Predictions, events and the rest in the order of the JSON lines; the last is a `SummaryRecord`.

        Raises:
            ConfigError: At once, if an option is invalid, or one for loading comes with a loaded model.
            MissingError: If a package, model, camera or pose model is not here.
            ReadError: If the source or the model cannot be read.
            LayoutError: If the model cannot be fed from the source.
            ClipError: If the source's poses or times contradict each other.
            CheckFailedError: At the end, if a sink of `to` did not get everything.
        """
        return _live(options(*args, **kwargs))

    described = [(each.name, each.metadata["help"]) for each in fields(LiveOptions) if "help" in each.metadata]
    text = "\n".join(f"            {name}: {about}" for name, about in described if name != "source")
    live.__doc__ = str(live.__doc__).replace("            note:", f"{text}\n            note:", 1)
    live.__signature__ = signature(options).replace(  # type: ignore[attr-defined]
        return_annotation=Generator[LiveRecord, None, None]
    )
    live.__qualname__ = "live"
    return live


live = _function(LiveOptions)


@contextmanager
def _started(
    sinks: Iterable[Sink[Record]], *, replay: bool, note: Callable[[str], None]
) -> Iterator[list[AsyncSink[Record]]]:
    """Sinks at work.

    Raises:
        CheckFailedError: At the end, if one of them did not get everything.
    """
    outlets = start_sinks(sinks, replay=replay, note=note)
    try:
        yield outlets
    except BaseException:
        for outlet in outlets:
            outlet.hurry(PATIENCE_S)
        raise
    finally:
        deliveries = [outlet.close() for outlet in outlets]
    check_delivered(deliveries)


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
