"""Options that `amr-edge live` and `amr_edge.live` share, each declared once."""

# ruff: noqa: RUF009 - `option` makes a dataclass field

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import click

from amr_edge.card import Card
from amr_edge.click_options import option
from amr_edge.data import readers
from amr_edge.data.recording import Recording
from amr_edge.live_settings import given, settings_of
from amr_edge.runtime import live_defaults
from amr_edge.runtime.inference.session import AUTO, ENGINES, Session
from amr_edge.runtime.pipeline.api_model import Model
from amr_edge.runtime.pipeline.attribution import ExplainConfig, Explainer
from amr_edge.runtime.pipeline.one_euro import STRENGTHS
from amr_edge.runtime.pipeline.pipeline import LiveConfig
from amr_edge.runtime.pose.open_pose import PoseEstimator
from amr_edge.runtime.sinks.async_sink import Record, Sink
from amr_edge.runtime.sources.protocols import STALE_S, ImageSource, SkeletonSource, SourceConfig

Source = str | Path | Recording | Iterable[Recording] | SkeletonSource | ImageSource

ABOVE_0 = click.FloatRange(min=0, min_open=True)
_COUNT = click.IntRange(min=1)


@dataclass(frozen=True)
class LiveOptions:
    """What the command and the function share.

    Attributes:
        source: In Python also recordings, or a source of your own (docs/extending.md), which you close.
        model: What `load` takes, or a loaded model; None is the bundled one.
        pose: In Python also an estimator of your own, which you close.
        to: In Python also sinks of your own, and no .mp4.
        settings: FIELD=VALUE, in Python also {"events.confirm_s": 1.0}.
        note: Called with each line for the person; None logs them to "amr_edge" as information.
    """

    source: Source | None = option(
        None,
        "Skeletons or videos (file, folder, pattern), - for JSON lines on stdin, a camera's number or address, "
        "udp://HOST:PORT, or a list of them (.streams).  [default: the first camera that is found]",
        "-s", "--source",
    )  # fmt: skip
    model: str | Path | Model | None = None
    _: KW_ONLY
    format: str = option("auto", "Format of recorded skeletons.", type=click.Choice(readers.FORMATS))
    pose: str | PoseEstimator | None = option(
        None,
        "Pose estimator of videos and cameras: lite, full, heavy, a .task, rtmpose:MODEL.onnx+DETECTOR.onnx, "
        "yolo-pose:MODEL.onnx, a .json (docs/pose.md), or none.  [default: full, fetched once]",
    )
    people: int = option(1, "Maximum people per picture.", type=_COUNT)
    speed: float = option(
        0.0, "Replay speed of recordings; 1: real time, 0: unthrottled.", type=click.FloatRange(min=0)
    )
    limit_s: float | None = option(None, "Stop after this many seconds of the source.", "--limit", type=ABOVE_0)
    stale_s: float = option(
        STALE_S, "Drop what a live source gave longer ago than this many seconds.", "--stale", type=ABOVE_0
    )
    early: float | None = option(
        None,
        "Predict already on this share of a window; such predictions are marked early.",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
    )
    smooth: str = option(
        "off",
        "Smooth joints before the model sees them, which delays them a little.",
        type=click.Choice(list(STRENGTHS)),
    )
    quality: bool = option(
        default=False, text="Add to the end of an event how likely its repetitions were executed correctly."
    )
    settings: Mapping[str, float] | Sequence[str] = option(
        (),
        "Change event detection or tracking for this run: events.confirm_s=1, tracker.return_s=5 (docs/decisions.md).",
        "--set", multiple=True, metavar="FIELD=VALUE",
    )  # fmt: skip
    explain: int | None = option(
        None, "Explain one prediction in N by joints and moments.  [4]", type=_COUNT, is_flag=False, flag_value=4
    )
    engine: str = option(AUTO, "Inference engine.", type=click.Choice([AUTO, *ENGINES]))
    threads: int | None = option(None, "CPU threads of the model.  [default: one for each core]", type=_COUNT)
    budget: float | None = option(
        None,
        "Share of the tokens to encode.  [default: the card's]",
        type=click.FloatRange(0, 1, min_open=True),
    )
    to: Sequence[str | Sink[Record]] = option(
        (),
        "Further output: FILE.jsonl, .csv, .srt, .mp4, mqtt://HOST/TOPIC, http(s)://HOOK, ws://HOST/PATH, ws://:PORT.",
        multiple=True,
    )
    note: Callable[[str], None] | None = None

    def live_config(self, card: Card) -> LiveConfig:
        """Of the live loop, with the card's settings where none is given."""
        return LiveConfig(
            limit_s=self.limit_s,
            early=self.early,
            smooth=self.smooth,
            quality=self.quality,
            settings=settings_of(card, given(self.settings)),
        )

    def explainer(self, session: Session, *, allowance_ms: float | None) -> Explainer | None:
        """What explains predictions, if that is requested.

        Args:
            session: The model.
            allowance_ms: Milliseconds of each frame that it may take; None does not limit it.
        """
        if self.explain is None:
            return None
        return Explainer(session, ExplainConfig(every=self.explain, allowance_ms=allowance_ms), time.perf_counter)

    @property
    def source_config(self) -> SourceConfig:
        """How the source is read."""
        pose = live_defaults.POSE if self.pose is None else self.pose
        return SourceConfig(format=self.format, pose=pose, people=self.people, speed=self.speed, stale_s=self.stale_s)
