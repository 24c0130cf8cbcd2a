"""Which joints and moments drove a label: what the budget looks at, and what the prediction loses without them.

Two measures, both of the clip that was answered:

- **Energy** is what the token budget goes by: the motion energy of each token of `patch_frames` frames of one joint,
  and whether it is among those that the session looks at (docs/token-budget.md).
- **Occlusion** asks the model again with one joint, or one stretch of time, absent: the drop in the probability of the
  label is what that joint or stretch was worth. A drop below zero means that the label is more probable without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.array_backend import NUMPY
from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.motion_energy import token_energy
from amr_edge.runtime.inference.io_contract import Session
from amr_edge.runtime.pipeline.recognizer import Prediction
from amr_edge.runtime.pipeline.records import ExplainRecord
from amr_edge.skeleton import Layout, Mask, layout
from amr_edge.temperature import apply_temperature

BATCH = 16  # clips of one forward
# How tokens are ranked (docs/token-budget.md); tests hold these against the graph's own.
EPSILON_M2, QUANTA_PER_M2, BEST_COUNTS, PLACE = 1e-8, 2.0**39, 16.0, 2.0**-40


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainConfig:
    """Settings of attribution.

    Attributes:
        every: One prediction in so many, of everybody's; the person whose last explanation is oldest is next.
        stretches: Into how many pieces the window is cut.
        allowance_ms: Time for it at one frame of a live source; an explanation is spread over as many frames as it
            needs, and predictions meanwhile are passed over. None does it at once, for a replay.
    """

    every: int = 4
    stretches: int = 8
    allowance_ms: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or self.stretches < 1 or (self.allowance_ms is not None and not self.allowance_ms > 0):
            raise ConfigError(
                "explaining needs every >= 1, stretches >= 1 and allowance_ms > 0, got "
                f"{self.every}, {self.stretches}, {self.allowance_ms}"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """Attribution of one prediction.

    Attributes:
        prediction: The prediction.
        layout: The joints, those of the model.
        joints: (M, V) drop of the label's probability without that joint, NaN where it is absent anyway.
        moments: (S,) drop without that stretch of the window, NaN where no person is seen in it.
        edges_s: (S + 1,) where the stretches begin and end.
        energy: (M, L / V, V) motion energy of each token, squared metres.
        kept: (M, L / V, V) whether the session looks at that token.
    """

    prediction: Prediction
    layout: Layout
    joints: NDArray[np.float32]
    moments: NDArray[np.float32]
    edges_s: NDArray[np.float64]
    energy: NDArray[np.float32]
    kept: Mask

    def joint_weights(self, person: int, source: Layout) -> NDArray[np.float32]:
        """(V_source,) in [0, 1]: a person's joints, for drawing, in the layout of the source."""
        weights = np.zeros(len(source), dtype=np.float32)
        if person not in self.prediction.people:
            return weights
        mine = _to_one(self.joints[self.prediction.people.index(person)], float(np.nanmax(self.joints, initial=0.0)))
        # Virtual joints of the model, such as a pelvis between two hips, have no place in the source.
        place = {name: v for v, name in enumerate(self.layout.matched_names)}
        for v, name in enumerate(source.matched_names):
            if name in place:
                weights[v] = mine[place[name]]
        return weights

    def moment_weights(self) -> NDArray[np.float32]:
        """(S,) in [0, 1], for drawing."""
        return _to_one(self.moments, float(np.nanmax(self.moments, initial=0.0)))

    def to_dict(self) -> dict[str, Any]:
        """The explanation as docs/live-output.md describes it, without what only the live loop knows."""
        return self.to_record().content()

    def to_record(self, recording: str = "", latency_ms: float = 0.0) -> ExplainRecord:
        """The explanation as a record of `live`."""
        prediction = self.prediction
        energy = self.energy.sum(axis=1)  # (M, V)
        share = energy / max(float(energy.sum()), 1e-30)
        visible = self.kept.mean(axis=1)  # (M, V)
        return ExplainRecord(
            recording=recording,
            start_s=round(float(self.edges_s[0]), 6),
            time_s=round(prediction.time_s, 6),
            person=prediction.person,
            people=tuple(prediction.people),
            label=prediction.label,
            prob=round(prediction.prob, 6),
            joints=tuple(
                {
                    "person": prediction.people[m],
                    "joint": self.layout.joints[v],
                    "drop": round(float(self.joints[m, v]), 6),
                    "energy": round(float(share[m, v]), 6),
                    "visible": round(float(visible[m, v]), 6),
                }
                for m, v in sorted(
                    np.argwhere(np.isfinite(self.joints)).tolist(), key=lambda at: -self.joints[tuple(at)]
                )
            ),
            moments=tuple(
                {
                    "start_s": round(float(self.edges_s[s]), 6),
                    "end_s": round(float(self.edges_s[s + 1]), 6),
                    "drop": None if np.isnan(self.moments[s]) else round(float(self.moments[s]), 6),
                }
                for s in range(len(self.moments))
            ),
            latency_ms=latency_ms,
        )


def _to_one(drops: NDArray[np.float32], largest: float) -> NDArray[np.float32]:
    """Drops as shares of the largest one; nothing where the label loses nothing."""
    # Below a hundredth of a probability all drops are noise, and would be drawn as a cause.
    scaled = np.clip(np.nan_to_num(drops, nan=0.0) / max(largest, 0.01), 0.0, 1.0)
    return np.asarray(scaled, dtype=np.float32)


def kept_tokens(energy: NDArray[np.float64], present: Mask, card: Card, tokens: int) -> Mask:
    """Tokens that a session with a budget encodes.

    Args:
        energy: (M, T / patch_frames, V) from `token_energy`.
        present: (M, T, V) bool.
        card: Says how long tokens are.
        tokens: How many of each body it looks at.

    Returns:
        (M, T / patch_frames, V) bool; never an absent token.
    """
    M, steps, V = energy.shape
    seen = present.reshape(M, steps, card.patch_frames, V).all(axis=2)  # (M, steps, V)
    place = np.arange(steps * V).reshape(steps, V)
    quanta = np.round(energy * QUANTA_PER_M2) + EPSILON_M2 * QUANTA_PER_M2
    ranked = quanta.astype(np.float32).astype(np.float64) * (1 + (steps * V - 1 - place) * PLACE)
    keys = np.where(seen, ranked, -1.0 - place)
    best = (keys == keys.max(axis=1, keepdims=True)) | (keys == keys.max(axis=2, keepdims=True))
    flat = np.where(best, keys * BEST_COUNTS, keys).reshape(M, steps * V)
    first = np.argsort(-flat, axis=1, kind="stable")[:, :tokens]  # (M, tokens)
    kept = np.zeros((M, steps * V), dtype=np.bool_)
    np.put_along_axis(kept, first, values=True, axis=1)
    return np.asarray(kept.reshape(M, steps, V) & seen, dtype=np.bool_)


class Occlusion:
    """A prediction and the clips that lack one joint or one stretch each; asks the model about some at a time."""

    def __init__(
        self, session: Session, prediction: Prediction, values: NDArray[np.float32], present: Mask, stretches: int
    ):
        """A question.

        Args:
            session: The model.
            prediction: What it answered.
            values: (M, T, V, 3), the clip that it answered to, 0 where absent.
            present: (M, T, V) bool.
            stretches: Into how many pieces time is cut; more than T are T.
        """
        self._session = session
        self._prediction = prediction
        self._values, self._present = values, present
        M, T, V = present.shape
        self._cuts = np.unique(np.linspace(0, T, min(stretches, T) + 1).round().astype(int))
        hidden = [(m, slice(None), v) for m in range(M) for v in range(V) if present[m, :, v].any()]
        stretch = [slice(a, b) for a, b in zip(self._cuts[:-1], self._cuts[1:], strict=True)]
        self._hidden: list[tuple[Any, ...]] = [
            *hidden,
            *((slice(None), span, slice(None)) for span in stretch if present[:, span].any()),
        ]
        self._drops: list[float] = []

    @property
    def left(self) -> int:
        """Clips that are still to be run."""
        return len(self._hidden) - len(self._drops)

    def step(self, clips: int) -> None:
        """Ask about so many more, in one forward."""
        hidden = self._hidden[len(self._drops) :][:clips]
        if not hidden:
            return
        values = np.repeat(self._values[None], len(hidden), axis=0)  # (N, M, T, V, 3)
        present = np.repeat(self._present[None], len(hidden), axis=0)  # (N, M, T, V)
        for row, place in enumerate(hidden):
            values[row][place] = 0
            present[row][place] = False
        label = int(self._prediction.probs.argmax())
        without = apply_temperature(self._session.probs(values, present), self._session.card.temperature)[
            :, label
        ]  # (N,)
        self._drops += (float(self._prediction.probs[label]) - without).tolist()

    def result(self) -> Explanation:
        """The explanation, once nothing is left to ask."""
        card, prediction = self._session.card, self._prediction
        M, T, V = self._present.shape
        joints = np.full((M, V), np.nan, dtype=np.float32)
        moments = np.full(len(self._cuts) - 1, np.nan, dtype=np.float32)
        for (body, span, joint), drop in zip(self._hidden, self._drops, strict=True):
            if isinstance(joint, slice):
                moments[int(np.searchsorted(self._cuts, span.start))] = drop
            else:
                joints[body, joint] = drop
        start_s = prediction.start_s if prediction.partial else prediction.time_s - card.prepare.window_s
        energy = token_energy(
            self._values.astype(np.float64), self._present, card.patch_frames, card.energy_windows, NUMPY
        )
        return Explanation(
            prediction=prediction,
            layout=layout(card.prepare.layout),
            joints=joints,
            moments=moments,
            edges_s=start_s + (prediction.time_s - start_s) * self._cuts / T,
            energy=energy.astype(np.float32),
            kept=kept_tokens(energy, self._present, card, self._session.tokens),
        )


class Explainer:
    """Explains one prediction after the other, a little at every frame, so that live stays live."""

    def __init__(self, session: Session, config: ExplainConfig, now: Callable[[], float]) -> None:
        """An explainer.

        Args:
            session: The model.
            config: How much is explained.
            now: Seconds on a clock that never goes back.
        """
        self._session = session
        self._config = config
        self._now = now
        self._seen = 0  # predictions since the last one that was taken
        self._took: dict[int | None, int] = {}  # person -> the turn of their last explanation
        self._turn = 0
        self._job: Occlusion | None = None
        self._clip_ms = 0.0  # what one clip of a forward took last

    def offer(
        self, predictions: Sequence[Prediction], values: NDArray[np.float32], present: Mask, *, only: bool = False
    ) -> None:
        """Predictions that were just given, with their clips (N, M, T, V, 3) and (N, M, T, V).

        Args:
            predictions: N predictions.
            values: Their clips, 0 where absent.
            present: What is there of them.
            only: There will be no others of this recording, so one of these is explained whatever the count.
        """
        self._seen += len(predictions)
        if not predictions or self._job is not None or (self._seen < self._config.every and not only):
            return
        self._seen = 0
        self._turn += 1
        place = min(range(len(predictions)), key=lambda n: self._took.get(predictions[n].person, 0))
        prediction = predictions[place]
        self._took[prediction.person] = self._turn
        if len(self._took) > 1000:  # people who come and go for months
            del self._took[min(self._took, key=lambda person: self._took[person])]
        bodies = max(len(prediction.people), 1)  # a clip of one forward with larger ones has absent bodies at its end
        self._job = Occlusion(
            self._session, prediction, values[place, :bodies], present[place, :bodies], self._config.stretches
        )

    def work(self, *, finish: bool = False) -> Explanation | None:
        """Go on with the prediction that is being explained.

        Args:
            finish: Go on to its end whatever that takes.

        Returns:
            The explanation, when it is complete.
        """
        if self._job is None:
            return None
        allowance_ms = self._config.allowance_ms
        if allowance_ms is None or finish:
            while self._job.left:
                self._job.step(BATCH)
        elif self._job.left:
            clips = int(min(max(allowance_ms // self._clip_ms, 1), BATCH)) if self._clip_ms else 1
            clips = min(clips, self._job.left)
            begun_s = self._now()
            self._job.step(clips)
            self._clip_ms = max((self._now() - begun_s) * 1e3 / clips, 1e-3)
        if self._job.left:
            return None
        done, self._job = self._job.result(), None
        return done
