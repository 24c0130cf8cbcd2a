"""Sensors and people from elsewhere: what each part holds, and that bodies stand as the model expects them."""

import os
from pathlib import Path

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.errors import ReadError
from amr_edge.export.verify.rehab8.cross_sensor_test import LUNGE, OTHER, SIT_STAND, SQUAT, WindowMode, utd_parts
from amr_edge.export.verify.rehab8.synthetic_test import LIFE, SETS, VARIANTS, synthetic_parts
from amr_edge.preprocess import PrepareConfig
from amr_edge.skeleton import CANONICAL15
from amr_edge.training.recipes.rehab8.dataset import CLASSES, NONE

ASKED: tuple[tuple[WindowMode, str], ...] = (("stretched", ""), ("held", ", held"))
CARD = Card(
    name="tiny",
    kind="classifier",
    prepare=PrepareConfig(layout="canonical15", frames=64, window_s=4.2, view="body", bones="unit"),
    classes=CLASSES,
    none_class=NONE,
)


def test_a_folder_without_skeletons_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"expected UTD-MHAD skeletons like a1_s1_t1_skeleton.mat, found none"):
        utd_parts(tmp_path, CARD)


def test_synthetic_people_do_every_exercise_and_live_without_them() -> None:
    found = {part.name: part for part in synthetic_parts(CARD, sets=1, life_s=30.0)}
    assert set(found) <= {SETS, VARIANTS, LIFE}
    exercises = np.concatenate([found[name].labels for name in (SETS, VARIANTS) if name in found])
    assert set(exercises.tolist()) >= set(range(len(CLASSES) - 1))
    assert set(found[LIFE].labels.tolist()) == {CLASSES.index(NONE)}
    again = {part.name: part for part in synthetic_parts(CARD, sets=1, life_s=30.0)}
    np.testing.assert_array_equal(again[LIFE].clips.values, found[LIFE].clips.values)


@pytest.fixture(scope="module")
def utd() -> Path:
    root = os.environ.get("AMR_EDGE_DATA")
    folder = Path(root or "nowhere") / "data" / "utd_mhad"
    if not folder.is_dir():
        pytest.skip("needs UTD-MHAD: set AMR_EDGE_DATA to a folder that has data/utd_mhad")
    return folder


@pytest.mark.data
def test_every_clip_of_utd_mhad_is_one_window_of_one_part_and_its_knees_bend_forward(utd: Path) -> None:
    for asked, suffix in ASKED:
        found = {part.name: part for part in utd_parts(utd, CARD, asked)}
        counts = {name: len(part) for name, part in found.items()}
        names = [f"{name}{suffix}" for name in (SIT_STAND, SQUAT, LUNGE, OTHER)]
        assert counts == dict(zip(names, (64, 31, 32, 734), strict=True))
        assert sum(counts.values()) == 861
        knees = [CANONICAL15.index(f"{side}_knee") for side in ("left", "right")]
        depth = found[names[1]].clips.values[:, 0][:, :, knees, 2]  # (N, T, 2), forward of the hips
        assert np.median(depth.max(axis=(1, 2))) > 0.15
        assert np.median(depth.min(axis=(1, 2))) > -0.15
