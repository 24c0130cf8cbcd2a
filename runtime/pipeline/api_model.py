"""A model in a Python program: load it, ask it about a whole recording, or push frames as they come."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amr_edge.card import Card
from amr_edge.data.recording import Recording
from amr_edge.errors import ClipError, ConfigError
from amr_edge.live_settings import LiveSettings, given, settings_of
from amr_edge.pretrained import bundled
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.inference.session import AUTO, Session, open_session
from amr_edge.runtime.pipeline.event_detector import Event, EventDetector
from amr_edge.runtime.pipeline.one_euro import strength
from amr_edge.runtime.pipeline.recognizer import Prediction, Recognizer, recognize
from amr_edge.skeleton import Poses, layout

__all__ = ["Model", "ModelStream", "StreamResult", "load"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamResult:
    """Predictions and events of one frame; most frames have none.

    Attributes:
        predictions: What the model says about the windows that end here, one for each person due.
        events: What started, goes on or ended by what the predictions add up to.
    """

    predictions: tuple[Prediction, ...]
    events: tuple[Event, ...]

    @property
    def answers(self) -> tuple[Prediction, ...]:
        """`predictions` by its earlier name."""
        return self.predictions


class ModelStream:
    """Frames in, predictions and events out, as `amr-edge live` gives them; all times are the frames' own."""

    def __init__(
        self,
        session: Session,
        source: str,
        units: str,
        *,
        early: float | None,
        smooth: str,
        quality: bool,
        settings: LiveSettings,
    ) -> None:
        """See `Model.stream`."""
        self._stream = Recognizer(
            session,
            layout(source),
            units,
            early=early,
            smooth=strength(smooth),
            quality=quality,
            tracker=settings.tracker,
        )
        self._detector = EventDetector(session.card, settings.events)
        self._now_s = float("nan")

    @property
    def note(self) -> str | None:
        """Note on how the source fits the model, such as joints that it lacks; None if there is none."""
        return self._stream.note

    def push(self, time_s: float, poses: ArrayLike, ids: tuple[int, ...] | None = None) -> StreamResult:
        """Take the next frame.

        Args:
            time_s: When it was captured, in seconds on any clock; it must rise from frame to frame.
            poses: (P, V, C) of the P people in it, or (V, C) of one person; y up, absent joints NaN.
            ids: Who they are, if the source knows; None lets them be followed by where they are.

        Returns:
            The predictions that are due at this frame, which may be none, and the events they make.

        Raises:
            ClipError: If the time does not rise, or the poses do not have the joints of the stream's layout.
        """
        people = _numbers(poses)
        people = people[None] if people.ndim == 2 else people  # (P, V, C)
        predictions = self._stream.push(Frame(time_s=float(time_s), poses=people, ids=ids))
        self._now_s = float(time_s)
        return StreamResult(predictions=tuple(predictions), events=tuple(self._detector.push(self._now_s, predictions)))

    def close(self) -> StreamResult:
        """The source has ended: what goes on ends, and what was too short for any prediction gets its one, partial."""
        predictions = self._stream.flush()
        events = [*self._detector.push(self._now_s, predictions), *self._detector.flush()]
        return StreamResult(predictions=tuple(predictions), events=tuple(events))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A model that is ready to prediction; see `load`.

    Attributes:
        session: What computes; its `probs` takes prepared clips (N, M, T, V, 3).
    """

    session: Session

    @property
    def card(self) -> Card:
        """The contract that the file carries: layout, window, classes, thresholds, training data, metrics."""
        return self.session.card

    @property
    def classes(self) -> tuple[str, ...]:
        """(K,) class names in the order of the probabilities."""
        return self.session.card.classes

    @property
    def budget(self) -> float:
        """Share of a body's tokens that it looks at, in (0, 1]."""
        return self.session.tokens / self.session.card.tokens

    @property
    def title(self) -> str:
        """Model and engine, in a line."""
        return self.session.title

    @overload
    def predict(
        self, poses: Recording, *, early: float | None = None, smooth: str = "off", quality: bool = False
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self,
        poses: ArrayLike,
        times_s: ArrayLike,
        layout: str,
        *,
        units: str = "m",
        early: float | None = None,
        smooth: str = "off",
        quality: bool = False,
    ) -> list[Prediction]: ...

    def predict(
        self,
        poses: Recording | ArrayLike,
        times_s: ArrayLike | None = None,
        layout: str | None = None,
        *,
        units: str = "m",
        early: float | None = None,
        smooth: str = "off",
        quality: bool = False,
    ) -> list[Prediction]:
        """All predictions over a recording that is there as a whole: the same that a stream gives frame by frame.

        Args:
            poses: A recording; or poses (M, T, V, C), or (T, V, C) of one person, y up, absent joints NaN.
            times_s: (T,) rising seconds, for poses.
            layout: The skeleton that the poses are in, such as "ntu25" or "mediapipe33".
            units: "m", or "px" for joints in an image (y up all the same).
            early: Share of a window, in (0, 1), from which early predictions are given; None gives none.
            smooth: "off", "low" or "high".
            quality: Judge each counted repetition as well, if the card can.

        Returns:
            One prediction for each person (or for the scene) and window, by time. A recording shorter than the model's
            window gets one prediction over all of it, marked partial.

        Raises:
            ConfigError: If poses come without times or layout, a recording comes with them, or `quality` is requested
                of a card that has none.
            ClipError: If shapes, times or units contradict each other.
            LayoutError: If there is no such layout, or the model cannot be fed from it.
        """
        if isinstance(poses, Recording):
            if times_s is not None or layout is not None:
                raise ConfigError("a recording has times and a layout of its own; leave them away, or give its poses")
            recording = poses
        else:
            if times_s is None or layout is None:
                raise ConfigError(
                    "poses need the time of each frame and their layout: predict(poses, times_s, 'ntu25'); "
                    "a Recording has both"
                )
            people = _numbers(poses)
            people = people[None] if people.ndim == 3 else people  # (M, T, V, C)
            recording = Recording(poses=people, times_s=_instants(times_s), layout=layout, units=units, source="poses")
        return recognize(recording, self.session, early=early, smooth=strength(smooth), quality=quality)

    def stream(
        self,
        layout: str | None = None,
        *,
        units: str | None = None,
        early: float | None = None,
        smooth: str = "off",
        quality: bool = False,
        settings: Mapping[str, float] | None = None,
    ) -> ModelStream:
        """A stream that frames are pushed into as they come.

        Args:
            layout: The skeleton that its poses will be in; None is the model's own.
            units: "m" or "px"; None is the model's own.
            early: Share of a window, in (0, 1), from which early predictions are given; None gives none.
            smooth: "off", "low" or "high".
            quality: Ends of events say how likely their repetitions were done rightly, if the card can tell.
            settings: Event detection and tracking that differ from the card's, such as {"events.confirm_s": 1.0}.

        Raises:
            CardError: If the card's rules are broken.
            ConfigError: If `early`, `smooth`, `units` or `settings` are invalid, or `quality` is requested of
                a card that has none.
            LayoutError: If there is no such layout, or the model cannot be fed from it.
        """
        return ModelStream(
            self.session,
            self.card.prepare.layout if layout is None else layout,
            self.card.units if units is None else units,
            early=early,
            smooth=smooth,
            quality=quality,
            settings=settings_of(self.card, given(settings)),
        )


def load(
    model: str | Path | None = None, *, budget: float | None = None, engine: str = AUTO, threads: int | None = None
) -> Model:
    """Open a model.

    Args:
        model: An exported model.onnx, a TensorRT .engine, a run folder that was exported, or the name of a model that
            comes with amr-edge; None takes that of the box, "rehab8".
        budget: Share of each body's tokens to look at, in (0, 1]; None takes what the card says.
        engine: What computes: "onnxruntime", "openvino", "tensorrt", ...; "auto" takes what fits and is installed.
        threads: Threads of one inference on the CPU; None lets it take one for each core.

    Raises:
        ConfigError: If budget, engine or threads mean nothing, or do not fit the file.
        MissingError: If the engine's package or device, or the model of the box, is not here.
        ReadError: If there is no such file, or it is no model that can be run here.
        CardError: If it carries no card, or contradicts it.
    """
    file = bundled() if model is None else model
    return Model(session=open_session(file, engine=engine, threads=threads, budget=budget))


def _numbers(poses: ArrayLike) -> Poses:
    """Poses as float32.

    Raises:
        ClipError: If they are no rectangle of numbers.
    """
    try:
        return np.asarray(poses, dtype=np.float32)
    except (ValueError, TypeError) as cause:
        raise ClipError(
            f"expected poses as an array of numbers ({cause}); give every person and frame the same joints, "
            "those that were not seen as NaN"
        ) from cause


def _instants(times_s: ArrayLike) -> NDArray[np.float64]:
    """Times as float64.

    Raises:
        ClipError: If they are no row of numbers.
    """
    try:
        return np.asarray(times_s, dtype=np.float64)
    except (ValueError, TypeError) as cause:
        raise ClipError(f"expected the times of the frames in seconds, (T,) numbers ({cause})") from cause
