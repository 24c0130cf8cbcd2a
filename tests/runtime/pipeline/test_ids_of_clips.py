"""On public clips, everybody keeps one id, as a person would count them."""

import os
from pathlib import Path

import numpy as np
import pytest

from amr_edge.errors import MissingError
from amr_edge.runtime.pipeline.tracker import Tracker
from amr_edge.runtime.pose.open_pose import open_pose
from amr_edge.runtime.sources.video import VideoFile

pytest.importorskip("cv2", reason="OpenCV is not installed: no video")
pytest.importorskip("mediapipe", reason="MediaPipe is not installed: nobody finds joints in pictures")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "people"),
    [
        # Two who hug: the detector finds the one, then the other, then the one again.
        ("mmaction2_demo_skeleton.mp4", 2),
        # Three passers-by, of whom one is hidden for 1.7 s and seen with another's legs before.
        ("cvzmh_fun_theory.mp4", 3),
        # Three who exercise, found one after the other.
        ("felixchenfy_exercise.avi", 3),
    ],
)
def test_everybody_of_a_clip_keeps_one_id(clip: str, people: int) -> None:
    if "AMR_EDGE_DATA" not in os.environ:
        pytest.skip("AMR_EDGE_DATA is not set: no clips and no BlazePose models here")
    data = Path(os.environ["AMR_EDGE_DATA"])
    tracks, seen = Tracker(), dict[int, int]()
    try:
        pose = open_pose("full", people=4, environ=os.environ)
    except MissingError as why:
        pytest.skip(f"no full pose model here: {why}")
    for picture in VideoFile(data / "videos" / clip):
        pixels = pose(picture).pixels
        assert pixels is not None
        here = pixels[np.isfinite(pixels).all(axis=-1).any(axis=-1)]  # (P, V, 2)
        for person in tracks.assign(picture.time_s, here):
            if person is not None:
                seen[person] = seen.get(person, 0) + 1
    pose.close()
    assert sorted(seen) == list(range(people)), seen
    assert min(seen.values()) >= 15
