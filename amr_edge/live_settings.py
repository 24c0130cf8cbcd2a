"""Settings of live recognition that a model's card carries: event detection and tracking.

`amr-edge live --set events.confirm_s=1` and the Python API change them for one run; the card's apply otherwise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from amr_edge.errors import ConfigError
from amr_edge.settings import override


@dataclass(frozen=True, slots=True, kw_only=True)
class EventConfig:
    """Settings of event detection.

    Attributes:
        smooth_s: Time constant of the smoothing; 0 takes every prediction as it comes.
        confirm_s: How long a label must stay above its threshold before its event starts.
        release: Share of the threshold below which an event ends.
        hold_s: An event lasts at least so long, unless the person is gone.
        pause_s: Where repetitions are counted, an event below its threshold is over after so long; its end is
            the last moment above it.
        gone_s: A person without predictions for longer is gone (or for two and a half strides, if that is longer).
        update_s: Seconds between two updates of an event that goes on.
    """

    smooth_s: float = 0.3
    confirm_s: float = 0.25
    release: float = 0.8
    hold_s: float = 0.5
    pause_s: float = 2.5
    gone_s: float = 1.0
    update_s: float = 1.0

    def __post_init__(self) -> None:
        times_s = (self.smooth_s, self.confirm_s, self.hold_s, self.pause_s, self.gone_s, self.update_s)
        if not all(0 <= time_s < float("inf") for time_s in times_s) or not 0 < self.release <= 1:
            raise ConfigError(
                f"events need times of at least 0 s and release in (0, 1], got {times_s} and {self.release}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """Settings of tracking. Lengths are shares of the body's own extent.

    Attributes:
        gap_s: Within it a person goes on where they are expected, however they look.
        reach: How far the joints may lie from where they were expected, in the middle of all joints.
        reach_per_s: How much further for each second unseen.
        spread: Distance at which a joint still counts 0.6 of one that lies where it was expected; COCO's keypoint
            similarity has 0.05 for wrists to 0.2 for hips, of the square root of the body's area.
        joints: With fewer joints in common than this, the middles of the two bodies are compared instead.
        return_s: A person unseen for longer gets a new id on return; not below `gap_s`.
        return_reach: How far beside the way from where they left to where they were heading they may come back.
        return_size: By what factor, above 1, they may have grown or shrunk meanwhile.
        double: Two people whose joints lie closer than this, in the middle, are one who was found twice.
        trial_s: A person at the place of a missing one, but beyond reach, gets an id after so long: that of
            the missing one, if they could come back so, else a new one.
    """

    gap_s: float = 0.5
    reach: float = 0.12
    reach_per_s: float = 1.5
    spread: float = 0.1
    joints: int = 3
    return_s: float = 3.0
    return_reach: float = 0.4
    return_size: float = 1.5
    double: float = 0.06
    trial_s: float = 0.25

    def __post_init__(self) -> None:
        if not (self.gap_s > 0 and self.reach > 0 and self.spread > 0 and self.reach_per_s >= 0 and self.joints >= 1):
            raise ConfigError(
                "tracks need gap_s, reach and spread above 0, reach_per_s at least 0 and joints at least 1, got "
                f"{self.gap_s}, {self.reach}, {self.spread}, {self.reach_per_s}, {self.joints}"
            )
        if not (self.gap_s <= self.return_s < math.inf and self.return_reach >= 0 and self.return_size > 1):
            raise ConfigError(
                "tracks need return_s of at least gap_s, return_reach of at least 0 and return_size above 1, got "
                f"{self.return_s}, {self.return_reach}, {self.return_size}"
            )
        if not (self.double >= 0 and self.trial_s >= 0):
            raise ConfigError(f"tracks need double and trial_s of at least 0, got {self.double}, {self.trial_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """The settings that `--set` of `amr-edge live` changes.

    Attributes:
        events: Event detection.
        tracker: Tracking of people, where the source does not name them.
    """

    events: EventConfig = field(default_factory=EventConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)


class _Carrier(Protocol):
    """A card, of which only the live settings matter here."""

    @property
    def events(self) -> EventConfig:
        """Event detection."""

    @property
    def tracker(self) -> TrackerConfig:
        """Tracking."""


def settings_of(card: _Carrier, settings: Sequence[str] = ()) -> LiveSettings:
    """The live settings of a card with "events.confirm_s=1"-like changes.

    Raises:
        ConfigError: If a field does not exist or a value does not fit it.
    """
    return override(LiveSettings(events=card.events, tracker=card.tracker), settings)


def given(settings: Mapping[str, float] | Sequence[str] | None) -> tuple[str, ...]:
    """Settings of a Python call or of the command line as FIELD=VALUE."""
    if isinstance(settings, Mapping):
        return tuple(f"{name}={value}" for name, value in settings.items())
    return tuple(settings or ())
