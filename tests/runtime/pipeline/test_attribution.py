"""What drove an answer is found where it was put."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amr_edge.array_backend import NUMPY
from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.motion_energy import token_energy
from amr_edge.preprocess import PrepareConfig
from amr_edge.runtime.pipeline.attribution import (
    ExplainConfig,
    Explainer,
    Explanation,
    Occlusion,
    kept_tokens,
)
from amr_edge.runtime.pipeline.recognizer import Prediction
from amr_edge.skeleton import COCO17, KINECT20, Mask

JOINT, FRAMES = KINECT20.index("right_hand"), slice(8, 10)  # what the constructed model looks at, and nothing else


def card_of(**changes: Any) -> Card:
    plain = Card(
        name="constructed",
        kind="classifier",
        classes=("none", "wave"),
        prepare=PrepareConfig(layout="kinect20", frames=16, window_s=1.5),
    )
    return replace(plain, **changes)


@dataclass
class OneJointOneMoment:
    """P(wave) = 0.9 while the right hand of anybody is seen at frames 8 and 9, else 0.2; counts its forwards."""

    card: Card
    tokens: int = 80
    title: str = "constructed"
    forwards: int = 0
    clips: int = 0

    def probs(self, values: NDArray[np.float32], present: Mask) -> NDArray[np.float32]:
        self.forwards += 1
        self.clips += len(values)
        assert not values[~present].any(), "what is absent is 0"
        seen = present[:, :, FRAMES, JOINT].any(axis=(1, 2))  # (N,)
        wave = np.where(seen, 0.9, 0.2).astype(np.float32)
        return np.stack([1 - wave, wave], axis=1)


def clip(bodies: int = 1, seed: int = 0) -> tuple[NDArray[np.float32], Mask]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(bodies, 16, 20, 3)).astype(np.float32)
    return values, np.ones((bodies, 16, 20), dtype=np.bool_)


def answer(card: Card, people: tuple[int, ...] = (7,), **changes: Any) -> Prediction:
    told = Prediction(
        start_s=0.5,
        time_s=2.0,
        person=people[0] if card.persons == 1 else None,
        people=people,
        classes=card.classes,
        probs=np.float32([0.1, 0.9]),
    )
    return replace(told, **changes)


def explained(session: OneJointOneMoment, people: tuple[int, ...] = (7,), clips: int = 5) -> Explanation:
    question = Occlusion(session, answer(session.card, people), *clip(len(people)), stretches=8)
    while question.left:
        question.step(clips)
    return question.result()


def test_occlusion_finds_the_one_joint_and_the_one_moment() -> None:
    session = OneJointOneMoment(card_of())
    found = explained(session)
    wanted = np.zeros(20)
    wanted[JOINT] = 0.7
    np.testing.assert_allclose(found.joints, wanted[None], atol=1e-6)
    np.testing.assert_allclose(found.moments, [0, 0, 0, 0, 0.7, 0, 0, 0], atol=1e-6)  # frames 8 and 9 of 16
    np.testing.assert_allclose(found.edges_s, 0.5 + 1.5 * np.arange(9) / 8)
    told = found.to_dict()
    assert told["joints"][0]["joint"] == "right_hand"
    assert told["joints"][0]["drop"] == pytest.approx(0.7)
    assert max(told["moments"], key=lambda m: m["drop"])["start_s"] == pytest.approx(1.25)
    assert sum(joint["energy"] for joint in told["joints"]) == pytest.approx(1, abs=1e-4)


def test_of_two_people_the_one_who_matters_is_found() -> None:
    session = OneJointOneMoment(card_of(persons=2))
    values, present = clip(2)
    present[0, :, JOINT] = False
    values[~present] = 0
    question = Occlusion(session, answer(session.card, (4, 9)), values, present, stretches=4)
    question.step(1000)
    found = question.result()
    assert np.isnan(found.joints[0, JOINT])  # it was absent anyway
    assert found.joints[1, JOINT] == pytest.approx(0.7)
    assert found.to_dict()["joints"][0] | {"energy": 0, "kept": 0} == {
        "person": 9,
        "joint": "right_hand",
        "drop": pytest.approx(0.7, abs=1e-6),
        "energy": 0,
        "kept": 0,
    }
    weights = found.joint_weights(9, COCO17)  # joints by name, those that both layouts have
    assert weights.shape == (17,)
    assert not found.joint_weights(4, KINECT20).any()
    assert found.joint_weights(9, KINECT20)[JOINT] == 1
    assert not found.joint_weights(5, KINECT20).any()


def test_the_batches_do_not_change_what_is_found() -> None:
    by = [explained(OneJointOneMoment(card_of()), clips=clips) for clips in (1, 5, 100)]
    for other in by[1:]:
        np.testing.assert_array_equal(by[0].joints, other.joints)
        np.testing.assert_array_equal(by[0].moments, other.moments)


def test_noise_is_not_drawn_as_a_cause() -> None:
    found = explained(OneJointOneMoment(card_of()))
    faint = replace(found, joints=found.joints * 1e-4, moments=-found.moments)
    assert faint.joint_weights(7, KINECT20).max() < 0.01
    assert not faint.moment_weights().any()


def test_a_live_explanation_is_spread_over_frames_and_answers_meanwhile_are_passed_over() -> None:
    session = OneJointOneMoment(card_of())
    explainer = Explainer(session, ExplainConfig(every=1, allowance_ms=1e-6), time.perf_counter)
    values, present = clip()
    explainer.offer([answer(session.card)], values[None], present[None])
    steps = 0
    while (found := explainer.work()) is None:
        steps += 1
        explainer.offer([answer(session.card, (8,))], values[None], present[None])
    assert session.forwards == session.clips == steps + 1 == 28  # 20 joints and 8 moments, one at a frame
    assert found.prediction.person == 7
    assert explainer.work() is None


def test_a_replay_explains_one_answer_in_n_and_everybody_in_turn() -> None:
    session = OneJointOneMoment(card_of())
    explainer = Explainer(session, ExplainConfig(every=4), time.perf_counter)
    values, present = clip()
    people = []
    for _ in range(8):
        explainer.offer([answer(session.card, (p,)) for p in (1, 2)], np.stack([values] * 2), np.stack([present] * 2))
        found = explainer.work()
        people.append(None if found is None else found.prediction.person)
    assert people == [None, 1, None, 2, None, 1, None, 2]
    assert session.forwards == 8  # 28 clips, 16 of one forward


def test_an_early_answer_is_explained_over_the_whole_window_and_a_partial_one_over_what_there_was() -> None:
    session = OneJointOneMoment(card_of())
    for changes, start_s in (({"early": True, "start_s": 1.2}, 0.5), ({"partial": True, "start_s": 1.2}, 1.2)):
        question = Occlusion(session, answer(session.card, **changes), *clip(), stretches=4)
        question.step(100)
        assert question.result().edges_s[0] == pytest.approx(start_s)


@pytest.mark.parametrize("settings", [{"every": 0}, {"stretches": 0}, {"allowance_ms": 0.0}])
def test_nonsense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ExplainConfig(**settings)


@pytest.mark.torch
@pytest.mark.parametrize("tokens", [1, 8, 20, 40, 80])
def test_the_tokens_that_are_shown_are_those_that_the_graph_chooses(tokens: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: nothing to hold the tokens against")
    from amr_edge.training.data.torch_backend import TORCH
    from amr_edge.training.models.token_selection import choice_of

    card = card_of()
    for seed in range(5):
        values, present = clip(2, seed)
        values *= np.random.default_rng(seed).uniform(0, 1, (2, 1, 20, 1)).astype(np.float32)
        present &= np.random.default_rng(seed).random(present.shape) > 0.05
        present[0, :, 3] = False
        present[1, 4:12] = False
        values[~present] = 0
        energy = token_energy(values.astype(np.float64), present, card.patch_frames, card.energy_windows, NUMPY)
        body, seen = torch.from_numpy(values), torch.from_numpy(present)
        wanted = token_energy(body, seen, card.patch_frames, card.energy_windows, TORCH).flatten(1).numpy()
        np.testing.assert_allclose(energy.reshape(2, 80), wanted, rtol=1e-4, atol=1e-6)
        chosen = choice_of(card)(body, seen, torch.arange(tokens)).numpy()
        kept = kept_tokens(energy, present, card, tokens).reshape(2, 80)
        there = present.reshape(2, 4, 4, 20).all(axis=2).reshape(2, 80)
        for m in range(2):
            assert set(np.flatnonzero(kept[m])) == {int(t) for t in chosen[m] if there[m, t]}
