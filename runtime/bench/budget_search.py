"""Which budget keeps a time on this machine: the largest of a ladder, measured before the source is opened."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from amr_edge.errors import ConfigError
from amr_edge.runtime.bench.measure import MeasureConfig, measure, summarize
from amr_edge.runtime.bench.models import inference_call
from amr_edge.runtime.bench.synthetic_inputs import moving_clips
from amr_edge.runtime.inference.session import Session

LADDER = (0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1.0)
SHORT = MeasureConfig(warmup_s=0.1, seconds=0.3, count=20, turn_s=0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSearchResult:
    """The budget that was chosen.

    Attributes:
        session: Opened on it.
        share: Of the tokens.
        p90_ms: What nine of ten forwards take at most.
        target_ms: What they should.
        people: Who get their prediction from one forward.
        beyond: The next larger budget and its time, which was too long; None if there was none to try.
    """

    session: Session
    share: float
    p90_ms: float
    target_ms: float
    people: int
    beyond: tuple[float, float] | None

    @property
    def holds(self) -> bool:
        """True if the time is kept at all."""
        return self.p90_ms <= self.target_ms

    def sentence(self) -> str:
        """Chosen budget and the reason, in one line."""
        who = "1 person" if self.people == 1 else f"{self.people} people"
        took = (
            f"a budget of {self.share:g}, {self.session.tokens} of {self.session.card.tokens} tokens, takes "
            f"{self.p90_ms:.3g} ms for {who} (p90)"
        )
        if not self.holds:
            return f"target {self.target_ms:g} ms: no budget keeps it here; the smallest is taken: {took}"
        more = "" if self.beyond is None else f"; {self.beyond[0]:g} would take {self.beyond[1]:.3g} ms"
        return f"target {self.target_ms:g} ms: {took}{more}"


def largest_that_holds(
    open_at: Callable[[float], Session],
    target_ms: float,
    people: int,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], None],
    rng: np.random.Generator,
) -> BudgetSearchResult:
    """Climb the ladder of budgets while the time is kept, on moving bodies of the model's own shape.

    Args:
        open_at: Opens the model on a budget.
        target_ms: What nine of ten forwards may take at most.
        people: Who get their prediction from one forward.
        now: Seconds on a fine clock that never goes back, such as `time.perf_counter`.
        sleep: Waits for so many seconds.
        rng: Makes the bodies.

    Raises:
        ConfigError: If the target is no time, or the file has one budget built in.
    """
    if not 0 < target_ms < np.inf:
        raise ConfigError(f"the target must be a time above 0 ms, got {target_ms}")

    def tried(share: float) -> tuple[float, Session]:
        session = open_at(share)
        ask = inference_call(session, *moving_clips(session.card, people, rng))
        (timed,) = measure([ask], SHORT, now=now, sleep=sleep, rng=rng)
        return summarize(timed.values()).percentiles["p90"], session

    best, beyond = (LADDER[0], *tried(LADDER[0])), None
    for share in LADDER[1:]:
        if best[1] > target_ms:
            break
        p90_ms, session = tried(share)
        if p90_ms > target_ms:
            beyond = (share, p90_ms)
            break
        best = (share, p90_ms, session)
    share, p90_ms, session = best
    return BudgetSearchResult(
        session=session, share=share, p90_ms=p90_ms, target_ms=target_ms, people=people, beyond=beyond
    )
