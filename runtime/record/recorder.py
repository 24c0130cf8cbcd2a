"""The recording loop: frames -> scheduler, keys, preview -> takes on disk."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from amr_edge.errors import ClipError, ConfigError
from amr_edge.runtime.frame import Frame
from amr_edge.runtime.record.keyboard import Keys
from amr_edge.runtime.record.preview import TerminalPreview
from amr_edge.runtime.record.take_scheduler import Cue, TakeScheduler
from amr_edge.runtime.record.take_store import TakeStore
from amr_edge.runtime.record.visibility import RecordingBuilder, Visibility, visibility_facts
from amr_edge.runtime.render.draw import Person, Scene
from amr_edge.runtime.sources.recorded import CameraGroup, SourceRun

LEAST = 0.5  # share of a take's frames in which a person must be seen
PATIENCE = 10  # takes in a row that show too little before giving up
_RECENT = 15  # frames of which the preview states how many show a person


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedTake:
    """A take that is on disk."""

    name: str
    label: str
    seen: Visibility

    def to_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {"take": self.name, "label": self.label, **visibility_facts(self.seen)}


class Recorder:
    """Records takes until all are there, the user finishes, or the source ends.

    Attributes:
        saved: Takes of this run that are on disk.
        refused: Takes that showed too little of a person, or were cut off.
        undone: Takes that were taken back.
    """

    def __init__(
        self,
        scheduler: TakeScheduler,
        takes: TakeStore,
        *,
        subject: int | None,
        keys: Sequence[Keys],
        preview: TerminalPreview,
        show: Callable[[Scene], None] | None = None,
    ) -> None:
        """A recorder.

        Args:
            scheduler: Says when a take begins and ends.
            takes: Where they are kept.
            subject: Who is recorded, as a number.
            keys: What was pressed, in the terminal and in the window.
            preview: What the recorded person reads.
            show: Takes what is to be seen in a window; it does not wait.
        """
        self._scheduler = scheduler
        self._takes = takes
        self._subject = subject
        self._keys = keys
        self._preview = preview
        self._show = show
        self._builder: RecordingBuilder | None = None
        self._refused_in_a_row = 0
        self._recent: list[bool] = []
        self._run_number = 0
        self.saved: list[SavedTake] = []
        self.refused = 0
        self.undone = 0

    def run(self, runs: Iterable[SourceRun | CameraGroup]) -> None:
        """Go through a source.

        Args:
            runs: What the source sees, without a cut in each.

        Raises:
            ConfigError: If it is several cameras at once.
            ClipError: If its poses do not fit the takes that are there, or take after take shows no person.
        """
        for run in runs:
            if isinstance(run, CameraGroup):
                raise ConfigError("takes are recorded from one camera, got several at once; give one of them")
            if self._scheduler.state == "done":
                return
            self._takes.check(run.layout.name, run.units)
            self._record_run(run)

    def _record_run(self, run: SourceRun) -> None:
        scheduler = self._scheduler
        self._run_number += 1
        time_s = math.nan
        for frame in run:
            time_s = frame.time_s
            for key in (key for keys in self._keys for key in keys()):
                self._apply(scheduler.press(key, time_s), time_s)
            self._apply(scheduler.step(time_s), time_s)
            if scheduler.state == "done":
                return
            if scheduler.state == "recording":
                if self._builder is None:
                    self._builder = RecordingBuilder(run.layout, run.units)
                self._builder.add(frame)
            self._show_frame(frame, run)
        if not math.isnan(time_s):
            self._apply(scheduler.cut(time_s), time_s, cut=True)
            scheduler.restart()

    def _apply(self, cue: Cue, time_s: float, *, cut: bool = False) -> None:
        """Do what a cue says."""
        scheduler, note = self._scheduler, self._preview.note
        if cue == "countdown":
            wait_s = scheduler.left_s(time_s)
            note(f"{scheduler.sentence()}" + (f", in {wait_s:.3g} s" if wait_s else ""))
        elif cue == "begin":
            note(f"{scheduler.label}: go", ring=True)
        elif cue == "end":
            self._end()
        elif cue == "drop":
            self._builder = None
            self.refused += cut
            note(f"{scheduler.label}: dropped" + (", the source ended before half of it" if cut else ""))
        elif cue == "undo":
            self._undo()
        elif cue == "quit" and self._builder is not None:
            self._builder = None
            note(f"{scheduler.label}: the take that was on is dropped")

    def _end(self) -> None:
        """Look at the take that has ended, and keep it if a person is in it."""
        builder, self._builder = self._builder, None
        scheduler, label = self._scheduler, self._scheduler.label
        if builder is None or len(builder) < 2:
            self._refuse(f"{label}: too short to be a take, once more")
            return
        recording, seen = builder.finish(who="most", label=label, subject=self._subject, source=label)
        if seen.share < LEAST:
            self._refuse(
                f"{label}: not kept ({seen.sentence()}); stand where the camera sees all of you, once more",
            )
            return
        name = self._takes.add(recording)
        self._refused_in_a_row = 0
        self.saved.append(SavedTake(name=name, label=label, seen=seen))
        sentence = f"{scheduler.sentence()} kept as {name}: {seen.sentence()}"
        scheduler.mark_saved()
        self._preview.note(sentence, ring=True)

    def _refuse(self, sentence: str) -> None:
        self.refused += 1
        self._refused_in_a_row += 1
        self._preview.note(sentence, ring=True)
        if self._refused_in_a_row >= PATIENCE:
            raise ClipError(
                f"{PATIENCE} takes in a row show a person in fewer than half of their frames; check what the camera "
                "sees (--show), then type the same command to go on"
            )

    def _undo(self) -> None:
        if not self.saved:
            self._preview.note("nothing was recorded in this run that could be undone")
            return
        last = self.saved.pop()
        self._takes.remove(last.name)
        self.undone += 1
        self._builder = None
        self._scheduler.mark_undone(last.label)
        self._preview.note(f"{last.name} ({last.label}) is gone; {self._scheduler.sentence()} comes next")

    def _show_frame(self, frame: Frame, run: SourceRun) -> None:
        self._recent = [*self._recent[1 - _RECENT :], bool(len(frame.poses))]
        line = self._line(frame.time_s)
        self._preview.show(frame, run.layout, line)
        if self._show is not None:
            self._show(
                Scene(
                    take=self._run_number,
                    title=run.title,
                    fps=run.fps,
                    layout=run.layout,
                    frame=frame,
                    people=tuple(Person(None, "") for _ in frame.poses),
                    banner=line,
                )
            )

    def _line(self, time_s: float) -> str:
        """The state in one line."""
        scheduler = self._scheduler
        left_s = scheduler.left_s(time_s)
        doing = {
            "waiting": "paused" if scheduler.paused else "ready",
            "countdown": f"in {math.ceil(left_s)}",
            "recording": f"RECORDING {left_s:.1f} s left",
            "done": "done",
        }[scheduler.state]
        share = sum(self._recent) / len(self._recent)
        return f"{scheduler.sentence()}  {doing}  person seen {share:.0%}"
