"""Skeletons: their joints against the sensors' own documentation, and what remapping may and may not do."""

import json
import warnings
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.data.readers import jsonl, read
from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store, write_store
from amr_edge.errors import CardError, LayoutError, ReadError
from amr_edge.preprocess import PrepareConfig, prepare
from amr_edge.skeleton import (
    BODY25,
    COCO17,
    H36M17,
    KINECT20,
    LAYOUTS,
    MEDIAPIPE33,
    NTU25,
    OPENPOSE18,
    PENN13,
    UI_PRMD22,
    VIRTUAL,
    Layout,
    common_joints,
    definition_of,
    layout,
    present_joints,
    register_definition,
    register_layout,
    remap,
)

EVERY = list(LAYOUTS.values())
PAIRS = [(a, b) for a, b in product(EVERY, EVERY) if a is not b]
any_pair = st.sampled_from(PAIRS)


def numbered(source: Layout, channels: int = 3) -> np.ndarray:
    """(V, C) in which every value says where it stands."""
    return np.float32([[joint + axis / 8 for axis in range(channels)] for joint in range(len(source))])


def poses(seed: int, source: Layout, lost: float = 0.0) -> np.ndarray:
    """(2, V, 3) random poses, a share of the joints absent."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(2, len(source), 3)).astype(np.float32)
    found[rng.random((2, len(source))) < lost] = np.nan
    return found


# --- layouts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_mirroring_twice_is_the_identity_and_keeps_the_midline(one: Layout) -> None:
    twice = [one.mirror[one.mirror[joint]] for joint in range(len(one))]
    assert twice == list(range(len(one)))
    for joint, partner in enumerate(one.mirror):
        sided = "left" in one.joints[joint] or "right" in one.joints[joint]
        assert (partner != joint) == sided


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_the_mirror_of_a_bone_is_a_bone(one: Layout) -> None:
    bones = set(one.bones)
    assert {(one.mirror[parent], one.mirror[child]) for parent, child in bones} == bones
    assert len(bones) == len(one) - 1


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_every_joint_hangs_from_the_one_root(one: Layout) -> None:
    assert one.parents.count(-1) == 1
    for start in range(len(one)):
        joint, steps = start, 0
        while joint != one.root:
            joint, steps = one.parents[joint], steps + 1
            assert steps < len(one), f"{one.joints[start]} hangs in a circle"


def test_the_flip_of_ntu25_is_the_published_permutation() -> None:
    published = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 20, 23, 24, 21, 22]
    assert list(NTU25.mirror) == published


@pytest.mark.parametrize(
    ("one", "parents"),
    [
        (NTU25, [-1, 0, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1, 7, 7, 11, 11]),
        (KINECT20, [-1, 0, 1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18]),
        (UI_PRMD22, [-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 2, 10, 11, 12, 0, 14, 15, 16, 0, 18, 19, 20]),
        (COCO17, [-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14]),
        (OPENPOSE18, [1, -1, 1, 2, 3, 1, 5, 6, 2, 8, 9, 5, 11, 12, 0, 0, 14, 15]),
        (BODY25, [1, 8, 1, 2, 3, 1, 5, 6, -1, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11]),
        (H36M17, [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]),
    ],
    ids=lambda value: value.name if isinstance(value, Layout) else "",
)
def test_joints_hang_as_the_sensors_documentation_draws_them(one: Layout, parents: list[int]) -> None:
    assert list(one.parents) == parents


@pytest.mark.parametrize(
    ("one", "joints"),
    [
        (
            NTU25,
            {3: "head", 6: "left_wrist", 10: "right_wrist", 14: "left_ankle", 20: "upper_spine", 24: "right_thumb"},
        ),
        (KINECT20, {0: "pelvis", 3: "head", 5: "left_elbow", 9: "right_elbow", 15: "left_foot", 19: "right_foot"}),
        (COCO17, {0: "nose", 3: "left_ear", 6: "right_shoulder", 9: "left_wrist", 14: "right_knee", 16: "right_ankle"}),
        (OPENPOSE18, {4: "right_wrist", 7: "left_wrist", 10: "right_ankle", 13: "left_ankle", 14: "right_eye"}),
        (BODY25, {8: "pelvis", 11: "right_ankle", 14: "left_ankle", 19: "left_big_toe", 24: "right_heel"}),
        (H36M17, {3: "right_ankle", 6: "left_ankle", 8: "upper_spine", 10: "head_top", 13: "left_wrist"}),
        (PENN13, {0: "head", 1: "left_shoulder", 6: "right_wrist", 7: "left_hip", 12: "right_ankle"}),
        (UI_PRMD22, {5: "head", 9: "left_wrist", 13: "right_wrist", 16: "left_ankle", 20: "right_ankle"}),
    ],
    ids=lambda value: value.name if isinstance(value, Layout) else "",
)
def test_joints_stand_where_the_sensors_documentation_counts_them(one: Layout, joints: dict[int, str]) -> None:
    assert {place: one.joints[place] for place in joints} == joints


def test_mediapipe33_names_the_joints_as_mediapipe_does() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vision = pytest.importorskip("mediapipe.tasks.python.vision", reason="mediapipe is not installed")
    theirs = tuple(landmark.name.lower() for landmark in vision.PoseLandmark)
    ours = tuple(joint.replace("_foot", "_foot_index") for joint in MEDIAPIPE33.joints)
    assert ours == theirs


def test_a_layout_is_found_by_name_and_an_unknown_name_is_refused_with_the_known_ones() -> None:
    assert layout("ntu25") is NTU25
    with pytest.raises(LayoutError, match="coco17"):
        layout("halpe26")


def test_a_joint_is_found_by_name_and_an_unknown_name_is_refused() -> None:
    assert NTU25.index("head") == 3
    with pytest.raises(LayoutError, match="no joint 'tail'"):
        NTU25.index("tail")


def test_a_layout_with_a_missing_parent_or_a_joint_twice_is_refused() -> None:
    with pytest.raises(LayoutError):
        Layout(name="x", title="x", joints=("a", "b"), parents=(-1,))
    with pytest.raises(LayoutError):
        Layout(name="x", title="x", joints=("a", "a"), parents=(-1, 0))


# --- remapping --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_remapping_to_itself_is_the_identity(one: Layout) -> None:
    before = poses(1, one, lost=0.3)
    after = remap(before, one, one)
    np.testing.assert_array_equal(after.poses, before)
    np.testing.assert_array_equal(after.present, present_joints(before))


@given(pair=any_pair, seed=st.integers(0, 1000))
@settings(deadline=None)
def test_a_joint_of_the_same_name_is_copied_bit_for_bit(pair: tuple[Layout, Layout], seed: int) -> None:
    source, target = pair
    before = poses(seed, source, lost=0.2)
    after = remap(before, source, target).poses
    for joint in set(source.joints) & set(target.joints):
        np.testing.assert_array_equal(after[:, target.index(joint)], before[:, source.index(joint)])


@given(pair=any_pair, seed=st.integers(0, 1000), lost=st.sampled_from([0.0, 0.2, 0.8]))
@settings(deadline=None)
def test_a_joint_is_whole_or_absent_and_the_mask_says_which(
    pair: tuple[Layout, Layout], seed: int, lost: float
) -> None:
    source, target = pair
    after = remap(poses(seed, source, lost), source, target)
    finite = np.isfinite(after.poses)
    np.testing.assert_array_equal(finite.all(axis=-1), finite.any(axis=-1))
    np.testing.assert_array_equal(after.present, finite.all(axis=-1))


@given(pair=any_pair)
@settings(deadline=None)
def test_from_absent_joints_nothing_is_invented(pair: tuple[Layout, Layout]) -> None:
    source, target = pair
    nobody = np.full((2, len(source), 3), np.nan, np.float32)
    assert not remap(nobody, source, target).present.any()


@given(pair=any_pair, seed=st.integers(0, 1000), lost=st.sampled_from([0.0, 0.3]))
@settings(deadline=None)
def test_no_joint_lies_outside_what_it_was_made_of(pair: tuple[Layout, Layout], seed: int, lost: float) -> None:
    source, target = pair
    before = poses(seed, source, lost)
    after = remap(before, source, target).poses
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a pose without any joint has no extent
        low, high = np.nanmin(before, axis=1)[:, None], np.nanmax(before, axis=1)[:, None]  # (2, 1, 3)
    here = np.isfinite(after)
    assert (after >= low - 1e-5)[here].all()
    assert (after <= high + 1e-5)[here].all()


@given(pair=any_pair, seed=st.integers(0, 1000))
@settings(deadline=None)
def test_remapping_commutes_with_mirroring(pair: tuple[Layout, Layout], seed: int) -> None:
    source, target = pair
    before = poses(seed, source, lost=0.2)
    one_way = remap(before[:, list(source.mirror)], source, target).poses
    other_way = remap(before, source, target).poses[:, list(target.mirror)]
    np.testing.assert_allclose(one_way, other_way, atol=1e-5)


@given(pair=any_pair, seed=st.integers(0, 1000))
@settings(deadline=None)
def test_remapping_commutes_with_a_shift(pair: tuple[Layout, Layout], seed: int) -> None:
    source, target = pair
    before = poses(seed, source, lost=0.2)
    shift = np.float32([1, -2, 3])
    np.testing.assert_allclose(
        remap(before + shift, source, target).poses, remap(before, source, target).poses + shift, atol=1e-5
    )


@given(pair=any_pair)
@settings(deadline=None)
def test_the_common_joints_are_those_that_a_whole_pose_fills(pair: tuple[Layout, Layout]) -> None:
    source, target = pair
    filled = remap(numbered(source), source, target).present
    assert common_joints(source, target) == tuple(j for j, f in zip(target.joints, filled, strict=True) if f)


def place(source: Layout, target: Layout, joint: str, **at: tuple[float, float]) -> list[float]:
    """Where `joint` of the target comes to lie when only the named joints of the source are there."""
    pose = np.full((len(source), 2), np.nan, np.float32)
    for name, xy in at.items():
        pose[source.index(name)] = xy
    return [float(value) for value in remap(pose, source, target).poses[target.index(joint)]]


def test_virtual_joints_worked_by_hand() -> None:
    hips = {"left_hip": (0.0, 0.0), "right_hip": (2.0, 0.0)}
    shoulders = {"left_shoulder": (0.0, 8.0), "right_shoulder": (2.0, 8.0)}
    assert place(COCO17, NTU25, "pelvis", **hips) == [1, 0]
    assert place(COCO17, NTU25, "upper_spine", **shoulders) == [1, 8]
    assert place(COCO17, NTU25, "spine", **hips, **shoulders) == [1, 4]
    assert place(COCO17, NTU25, "head", left_ear=(0.0, 10.0), right_ear=(2.0, 12.0)) == [1, 11]
    neck = place(COCO17, NTU25, "neck", **shoulders, left_ear=(1.0, 13.0), right_ear=(1.0, 13.0))
    assert neck == pytest.approx([1, 10])  # 0.6 of 8 and 0.4 of 13
    assert place(H36M17, NTU25, "head", neck_nose=(0.0, 4.0), head_top=(0.0, 6.0)) == [0, 5]
    assert place(MEDIAPIPE33, NTU25, "left_hand", left_pinky=(0.0, 0.0), left_index=(4.0, 2.0)) == [2, 1]
    assert place(BODY25, NTU25, "right_foot", right_big_toe=(0.0, 0.0), right_small_toe=(4.0, 2.0)) == [2, 1]
    assert place(NTU25, COCO17, "nose", head=(3.0, 4.0)) == [3, 4]


def test_the_second_recipe_serves_where_the_first_lacks_an_ingredient() -> None:
    assert place(COCO17, NTU25, "head", left_ear=(0.0, 10.0), nose=(5.0, 5.0)) == [5, 5]
    assert place(COCO17, NTU25, "head", left_ear=(0.0, 10.0), right_ear=(0.0, 12.0), nose=(5.0, 5.0)) == [0, 11]


def test_recipes_are_chosen_frame_by_frame() -> None:
    both = np.full((2, 17, 2), np.nan, np.float32)
    both[:, COCO17.index("nose")] = (5, 5)
    both[1, COCO17.index("left_ear")] = both[1, COCO17.index("right_ear")] = (1, 1)
    assert remap(both, COCO17, NTU25).poses[:, NTU25.index("head")].tolist() == [[5, 5], [1, 1]]


def test_a_joint_with_half_a_coordinate_is_absent_and_is_not_mixed_with_another() -> None:
    pose = np.full((17, 2), np.nan, np.float32)
    pose[COCO17.index("left_ear")], pose[COCO17.index("right_ear")] = (np.nan, 9), (1, 9)
    pose[COCO17.index("nose")] = (5, 5)
    assert remap(pose, COCO17, NTU25).poses[NTU25.index("head")].tolist() == [5, 5]


def test_hands_thumbs_and_feet_that_coco_does_not_see_are_absent() -> None:
    filled = set(common_joints(COCO17, NTU25))
    assert set(NTU25.joints) - filled == {
        f"{side}_{part}" for side in ("left", "right") for part in ("hand", "hand_tip", "thumb", "foot")
    }


def test_every_virtual_joint_is_a_mean_with_weights_that_sum_to_one() -> None:
    for recipes in VIRTUAL.values():
        for recipe in recipes:
            assert sum(weight for _, weight in recipe) == pytest.approx(1)
            assert all(0 < weight <= 1 for _, weight in recipe)


@pytest.mark.parametrize("shape", [(17, 3), (2, 24, 3), (25,), ()])
def test_poses_that_do_not_have_the_joints_of_the_layout_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LayoutError, match="25 joints"):
        remap(np.zeros(shape, np.float32), NTU25, COCO17)


def test_remapping_does_not_touch_what_it_was_given() -> None:
    before = poses(0, COCO17, lost=0.2)
    kept = before.copy()
    remap(before, COCO17, NTU25)
    np.testing.assert_array_equal(before, kept)


# --- layouts of one's own ---------------------------------------------------------------------------------------

GLOVE = Layout.from_tree(
    "glove5",
    "a data glove",
    [("palm", None), ("L1", "palm"), ("R1", "palm"), ("L2", "L1"), ("R2", "R1")],
    mirror_pairs=[("L1", "R1"), ("L2", "R2")],
    standard_names={"palm": "pelvis", "L2": "left_hand", "R2": "right_hand"},
)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Layout]:
    """The registered layouts of this test alone."""
    made: dict[str, Layout] = {}
    monkeypatch.setattr("amr_edge.skeleton._REGISTERED", made)
    return made


def test_an_own_layout_is_found_by_its_name_after_registering(registry: dict[str, Layout]) -> None:
    with pytest.raises(LayoutError, match=r"no skeleton layout 'glove5'.*register_layout"):
        layout("glove5")
    assert register_layout(GLOVE) is GLOVE
    assert layout("glove5") is GLOVE
    assert register_layout(replace(GLOVE)) is GLOVE  # once more is no contradiction
    assert list(registry) == ["glove5"]


@pytest.mark.parametrize("other", [replace(GLOVE, parents=(-1, 0, 0, 1, 1)), replace(NTU25, title="mine")])
def test_a_name_stands_for_one_layout(registry: dict[str, Layout], other: Layout) -> None:
    register_layout(GLOVE)
    with pytest.raises(LayoutError, match="choose another name"):
        register_layout(other)
    assert registry["glove5"] is GLOVE


def test_own_joints_are_mirrored_by_pairs_and_read_by_standard_names() -> None:
    assert GLOVE.mirror == (0, 2, 1, 4, 3)
    out = remap(numbered(GLOVE), GLOVE, NTU25)
    assert out.poses[NTU25.index("left_hand")].tolist() == numbered(GLOVE)[3].tolist()
    assert out.present.sum() == 3
    back = remap(numbered(NTU25), NTU25, GLOVE)
    assert back.poses[0].tolist() == numbered(NTU25)[NTU25.index("pelvis")].tolist()
    assert back.present.tolist() == [True, False, False, True, True]


def test_a_definition_brings_the_layout_back(registry: dict[str, Layout]) -> None:
    assert definition_of("ntu25") == {}
    register_layout(GLOVE)
    text = json.dumps(definition_of("glove5"))
    registry.clear()
    register_definition(json.loads(text)["layout_definition"])
    assert layout("glove5") == GLOVE
    register_definition(None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "no spaces"}, "letters, digits"),
        ({"joints": ()}, "1 to 1024 joints"),
        ({"joints": ("a", "a", "b", "c", "d")}, "distinct names"),
        ({"parents": (-1, 0)}, "one parent for each"),
        ({"parents": (-1, 0, 0, 1, 9)}, "in -1 to 4"),
        ({"parents": (-1, -1, 0, 1, 1)}, "exactly one joint"),
        ({"parents": (-1, 3, 0, 1, 1)}, "'L1' hangs in a circle"),
        ({"channels": 4}, "channels must be 2 or 3"),
        ({"mirror_pairs": (("L1", "R9"),)}, "got R9"),
        ({"mirror_pairs": (("L1", "R1"), ("L1", "R2"))}, "at most one mirror partner"),
        ({"standard_names": (("L1", "palm"),)}, "a standard name of its own"),
        ({"joints": ("palm", "left_1", "b", "c", "d"), "mirror_pairs": (), "standard_names": ()}, "partner for left_1"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        replace(GLOVE, **changed)


@pytest.mark.parametrize(
    "values", [3, [], {}, {"name": "a"}, {**asdict(GLOVE), "joints": 5}, {**asdict(GLOVE), "x": 1}]
)
def test_what_is_no_definition_is_refused(registry: dict[str, Layout], values: object) -> None:
    with pytest.raises(LayoutError):
        register_definition(values)
    assert not registry


def test_stores_lines_and_cards_carry_an_own_layout(tmp_path: Path, registry: dict[str, Layout]) -> None:
    register_layout(GLOVE)
    poses = np.random.default_rng(0).normal(size=(1, 9, 5, 3)).astype(np.float32)
    recording = Recording(poses=poses, times_s=np.arange(9) / 30, layout="glove5", source="one")
    write_store(tmp_path / "own.npz", [recording], dataset="own", terms="mine")
    jsonl.write(tmp_path / "own.jsonl", recording)
    text = Card(name="m", kind="encoder", prepare=PrepareConfig(layout="glove5", frames=8)).to_json()
    for reopen in (
        lambda: open_store(tmp_path / "own.npz")[0].skeleton,
        lambda: next(iter(read(tmp_path / "own.jsonl"))).skeleton,
        lambda: layout(Card.from_json(text, "m.onnx").prepare.layout),
    ):
        registry.clear()
        assert reopen() == GLOVE
    registry.clear()
    register_layout(replace(GLOVE, parents=(-1, 0, 0, 1, 1)))
    with pytest.raises(CardError, match="choose another name"):
        Card.from_json(text, "m.onnx")
    with pytest.raises(ReadError, match="choose another name"):
        open_store(tmp_path / "own.npz")


def test_clips_of_an_own_layout_are_centred_on_its_standard_pelvis(registry: dict[str, Layout]) -> None:
    register_layout(GLOVE)
    poses = np.random.default_rng(0).normal(size=(1, 9, 5, 3)).astype(np.float32)
    clip = prepare(poses, np.arange(9) / 30, GLOVE, PrepareConfig(layout="glove5", frames=9))
    np.testing.assert_allclose(clip.values[0, 0], poses[0, 0] - poses[0, 0, 0], atol=1e-6)
