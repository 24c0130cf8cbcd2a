"""Joint, bone and motion streams: worked by hand, absent staying absent, live equal to offline, old cards readable."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.errors import CardError, ConfigError
from amr_edge.preprocess import PrepareConfig, prepare, streamed
from amr_edge.skeleton import layout

NTU = layout("ntu25")
TIMES_S = np.linspace(0, 0.8, 9)


def poses(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, 9, 25, 3)).astype(np.float32)


def config(stream: str) -> PrepareConfig:
    return PrepareConfig(frames=9, stream=stream)  # type: ignore[arg-type]


def test_a_bone_is_a_joint_minus_its_parent_and_the_root_is_zero() -> None:
    raw = poses()
    values, present = prepare(raw, TIMES_S, NTU, config("bone"))
    wrist, elbow, pelvis = NTU.index("left_wrist"), NTU.index("left_elbow"), NTU.index("pelvis")
    np.testing.assert_allclose(values[:, :, wrist], raw[:, :, wrist] - raw[:, :, elbow], atol=1e-5)
    assert not values[:, :, pelvis].any()
    assert present.all()


def test_motion_is_the_step_to_the_next_frame_and_zero_in_the_last() -> None:
    raw = poses()
    values, _ = prepare(raw, TIMES_S, NTU, config("motion"))
    np.testing.assert_allclose(values[:, :-1], np.diff(raw, axis=1), atol=1e-5)
    assert not values[:, -1].any()


@pytest.mark.parametrize("stream", ["bone", "motion"])
def test_what_an_absent_joint_would_be_part_of_is_absent_and_nothing_else(stream: str) -> None:
    raw = poses()
    elbow, wrist = NTU.index("left_elbow"), NTU.index("left_wrist")
    raw[0, 4:, elbow] = np.nan  # gone for good: nothing to interpolate
    values, present = prepare(raw, TIMES_S, NTU, config(stream))
    absent = np.zeros((1, 9, 25), dtype=np.bool_)
    if stream == "bone":
        absent[0, 4:, [elbow, wrist]] = True
    else:
        absent[0, 3:, elbow] = True  # the step from frame 3 has nowhere to go
    assert (present == ~absent).all()
    assert not values[absent].any()


def test_the_joint_stream_is_what_prepare_always_gave() -> None:
    raw = poses()
    assert streamed(raw, NTU, "joint") is raw
    assert PrepareConfig().stream == "joint"


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.sampled_from(["bone", "motion"]))
def test_bones_and_motion_do_not_know_where_a_body_stands(x: float, z: float, stream: str) -> None:
    moved = poses() + np.float32([x, 0, z])
    here, there = (prepare(each, TIMES_S, NTU, config(stream)).values for each in (poses(), moved))
    np.testing.assert_allclose(here, there, atol=1e-4)


def test_a_stream_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="stream must be joint, bone or motion, got 'velocity'"):
        config("velocity")


def test_a_card_without_a_stream_means_joints_and_one_with_a_stream_comes_back() -> None:
    card = Card(name="t", kind="classifier", classes=("a", "b"), prepare=config("bone"))
    assert Card.from_json(card.to_json(), "t") == card
    old = json.loads(card.to_json())
    del old["prepare"]["stream"]
    assert Card.from_json(json.dumps(old), "old").prepare.stream == "joint"
    assert asdict(card)["prepare"]["stream"] == "bone"
    old["prepare"]["stream"] = "velocity"
    with pytest.raises(CardError, match="velocity"):
        Card.from_json(json.dumps(old), "bad")
