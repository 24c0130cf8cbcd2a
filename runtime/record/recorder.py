"""The recording loop: frames -> scheduler, keys, preview -> takes on disk."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from amr_edge.errors import ClipError, ConfigError
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.record.keyboard import Keys
from amr_edge.runtime.record.preview import Screen
from amr_edge.runtime.record.take_scheduler import Cue, TakeScheduler
from amr_edge.runtime.record.take_store import Takes
from amr_edge.runtime.record.visibility import Gathering, Seen, facts
from amr_edge.runtime.render.draw import Person, Scene
from amr_edge.runtime.sources.recorded import CameraGroup, SourceRun

LEAST = 0.5  # share of a take's frames in which a person must be seen
PATIENCE = 10  # takes in a row that show too little before giving up
_RECENT = 15  # frames of which the preview states how many show a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A take that is on disk."""

    name: str
    label: str
    seen: Seen

    def to_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {"take": self.name, "label": self.label, **facts(self.seen)}


class Recorder:
    """Records takes until all are there, the user finishes, or the source ends.

    Attributes:
        kept: Takes of this run that are on disk.
        refused: Takes that showed too little of anybody, or were cut off.
        undone: Takes that were taken back.
    """

    def __init__(
        self,
        director: TakeScheduler,
        takes: Takes,
        *,
        subject: int | None,
        keys: Sequence[Keys],
        screen: Screen,
        show: Callable[[Scene], None] | None = None,
    ) -> None:
        """A recorder.

        Args:
            director: Says when a take begins and ends.
            takes: Where they are kept.
            subject: Who is recorded, as a number.
            keys: What was pressed, in the terminal and in the window.
            screen: What the recorded person reads.
            show: Takes what is to be seen in a window; it does not wait.
        """
        self._director = director
        self._takes = takes
        self._subject = subject
        self._keys = keys
        self._screen = screen
        self._show = show
        self._gathering: Gathering | None = None
        self._refused_in_a_row = 0
        self._recent: list[bool] = []
        self._stretch = 0
        self.kept: list[Kept] = []
        self.refused = 0
        self.undone = 0

    def run(self, stretches: Iterable[SourceRun | CameraGroup]) -> None:
        """Go through a source.

        Args:
            stretches: What the source sees, without a cut in each.

        Raises:
            ConfigError: If it is several cameras at once.
            ClipError: If its poses do not fit the takes that are there, or take after take shows no person.
        """
        for stretch in stretches:
            if isinstance(stretch, CameraGroup):
                raise ConfigError("takes are recorded from one camera, got several at once; give one of them")
            if self._director.state == "done":
                return
            self._takes.check(stretch.layout.name, stretch.units)
            self._through(stretch)

    def _through(self, stretch: SourceRun) -> None:
        director = self._director
        self._stretch += 1
        time_s = math.nan
        for frame in stretch:
            time_s = frame.time_s
            for key in (key for keys in self._keys for key in keys()):
                self._heed(director.press(key, time_s), time_s)
            self._heed(director.step(time_s), time_s)
            if director.state == "done":
                return
            if director.state == "recording":
                if self._gathering is None:
                    self._gathering = Gathering(stretch.layout, stretch.units)
                self._gathering.add(frame)
            self._preview(frame, stretch)
        if not math.isnan(time_s):
            self._heed(director.cut(time_s), time_s, cut=True)
            director.restart()

    def _heed(self, cue: Cue, time_s: float, *, cut: bool = False) -> None:
        """Do what a cue says."""
        director, note = self._director, self._screen.note
        if cue == "countdown":
            wait_s = director.left_s(time_s)
            note(f"{director.sentence()}" + (f", in {wait_s:.3g} s" if wait_s else ""))
        elif cue == "begin":
            note(f"{director.label}: go", ring=True)
        elif cue == "end":
            self._end()
        elif cue == "drop":
            self._gathering = None
            self.refused += cut
            note(f"{director.label}: dropped" + (", the source ended before half of it" if cut else ""))
        elif cue == "undo":
            self._undo()
        elif cue == "quit" and self._gathering is not None:
            self._gathering = None
            note(f"{director.label}: the take that was on is dropped")

    def _end(self) -> None:
        """Look at the take that has ended, and keep it if a person is in it."""
        gathering, self._gathering = self._gathering, None
        director, label = self._director, self._director.label
        if gathering is None or len(gathering) < 2:
            self._refuse(f"{label}: too short to be a take, once more")
            return
        recording, seen = gathering.finish(who="most", label=label, subject=self._subject, source=label)
        if seen.share < LEAST:
            self._refuse(
                f"{label}: not kept ({seen.sentence()}); stand where the camera sees all of you, once more",
            )
            return
        name = self._takes.add(recording)
        self._refused_in_a_row = 0
        self.kept.append(Kept(name=name, label=label, seen=seen))
        sentence = f"{director.sentence()} kept as {name}: {seen.sentence()}"
        director.kept()
        self._screen.note(sentence, ring=True)

    def _refuse(self, sentence: str) -> None:
        self.refused += 1
        self._refused_in_a_row += 1
        self._screen.note(sentence, ring=True)
        if self._refused_in_a_row >= PATIENCE:
            raise ClipError(
                f"{PATIENCE} takes in a row show a person in fewer than half of their frames; check what the camera "
                "sees (--show), then type the same command to go on"
            )

    def _undo(self) -> None:
        if not self.kept:
            self._screen.note("nothing was recorded in this run that could be undone")
            return
        last = self.kept.pop()
        self._takes.remove(last.name)
        self.undone += 1
        self._gathering = None
        self._director.undone(last.label)
        self._screen.note(f"{last.name} ({last.label}) is gone; {self._director.sentence()} comes next")

    def _preview(self, frame: Frame, stretch: SourceRun) -> None:
        self._recent = [*self._recent[1 - _RECENT :], bool(len(frame.poses))]
        line = self._line(frame.time_s)
        self._screen.show(frame, stretch.layout, line)
        if self._show is not None:
            self._show(
                Scene(
                    take=self._stretch,
                    title=stretch.title,
                    fps=stretch.fps,
                    layout=stretch.layout,
                    frame=frame,
                    people=tuple(Person(None, "") for _ in frame.poses),
                    banner=line,
                )
            )

    def _line(self, time_s: float) -> str:
        """The state in one line."""
        director = self._director
        left_s = director.left_s(time_s)
        doing = {
            "waiting": "paused" if director.paused else "ready",
            "countdown": f"in {math.ceil(left_s)}",
            "recording": f"RECORDING {left_s:.1f} s left",
            "done": "done",
        }[director.state]
        share = sum(self._recent) / len(self._recent)
        return f"{director.sentence()}  {doing}  person seen {share:.0%}"
