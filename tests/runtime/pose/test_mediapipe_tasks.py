import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from amr_edge.errors import ClipError, ConfigError, MissingError, ReadError
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.pose.download import fetch
from amr_edge.runtime.pose.mediapipe_tasks import MediaPipePose
from amr_edge.runtime.sources.video import VideoFile

pytest.importorskip("mediapipe", reason="this is about MediaPipe")


@pytest.fixture(scope="session")
def data() -> Path:
    if "AMR_EDGE_DATA" not in os.environ:
        pytest.skip("AMR_EDGE_DATA is not set: no clips and no BlazePose models here")
    return Path(os.environ["AMR_EDGE_DATA"])


@pytest.fixture(scope="session")
def lite(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lite pose model, assembled by our own code from the published models."""
    return fetch("lite", cache=tmp_path_factory.mktemp("cache"), source=data / "models" / "blazepose")


@pytest.fixture
def estimator(lite: Path) -> Iterator[MediaPipePose]:
    with MediaPipePose(lite) as opened:
        yield opened


@pytest.fixture(scope="session")
def tai_chi(data: Path, lite: Path) -> list[Frame]:
    """What is seen of one person who stands, turns and steps, every picture of the clip."""
    with MediaPipePose(lite) as opened:
        return [opened(picture) for picture in VideoFile(data / "videos" / "stgcn_ta_chi.mp4")]


def joint(frames: list[Frame], name: str) -> np.ndarray:
    """(T, C) of one joint of the first person, where one was seen."""
    index = MediaPipePose.layout.index(name)
    return np.stack([frame.poses[0, index] for frame in frames if len(frame.poses)])


@pytest.mark.data
def test_a_person_is_seen_with_33_joints_in_nearly_every_picture(tai_chi: list[Frame]) -> None:
    assert len(tai_chi) == 300
    seen = [frame for frame in tai_chi if len(frame.poses)]
    assert len(seen) > 0.9 * len(tai_chi)
    for frame in seen:
        assert frame.poses.shape == (1, 33, 3)
        assert frame.poses.dtype == np.float32
        assert frame.pixels is not None
        assert frame.pixels.shape == (1, 33, 2)
        assert frame.ids is None
    present = np.mean([np.isfinite(frame.poses).mean() for frame in seen])
    assert present > 0.9


@pytest.mark.data
def test_y_points_up(tai_chi: list[Frame]) -> None:
    hips = (joint(tai_chi, "left_hip") + joint(tai_chi, "right_hip")) / 2
    above = joint(tai_chi, "nose")[:, 1] - hips[:, 1]
    below = joint(tai_chi, "left_ankle")[:, 1] - hips[:, 1]
    assert (above[np.isfinite(above)] > 0.2).all()
    assert (below[np.isfinite(below)] < -0.2).all()


@pytest.mark.data
def test_left_is_left_in_a_right_handed_space(tai_chi: list[Frame]) -> None:
    # From the right hip to the left, crossed with up, is where the person faces, and so do the toes. A mirrored
    # or a left-handed space turns the sign.
    across = joint(tai_chi, "left_hip") - joint(tai_chi, "right_hip")
    up = joint(tai_chi, "left_shoulder") - joint(tai_chi, "left_hip")
    faces = np.cross(across, up)
    for side in ("left", "right"):
        toes = joint(tai_chi, f"{side}_foot") - joint(tai_chi, f"{side}_heel")
        agrees = (faces * toes).sum(axis=-1)
        assert (agrees[np.isfinite(agrees)] > 0).mean() > 0.95


@pytest.mark.data
def test_poses_are_metres_around_the_middle_of_the_hips(tai_chi: list[Frame]) -> None:
    hips = (joint(tai_chi, "left_hip") + joint(tai_chi, "right_hip")) / 2
    assert np.nanmax(np.abs(hips)) < 0.05
    thigh = np.linalg.norm(joint(tai_chi, "left_hip") - joint(tai_chi, "left_knee"), axis=-1)
    assert 0.25 < np.nanmedian(thigh) < 0.6


@pytest.mark.data
def test_pixels_lie_in_the_picture_with_y_down_and_agree_with_the_poses(tai_chi: list[Frame]) -> None:
    nose, hip = MediaPipePose.layout.index("nose"), MediaPipePose.layout.index("left_hip")
    for frame in tai_chi:
        assert frame.pixels is not None
        assert frame.pixels[0, nose, 1] < frame.pixels[0, hip, 1]
        # The same joints are absent in both.
        assert np.array_equal(np.isnan(frame.pixels[0, :, 0]), np.isnan(frame.poses[0, :, 0]))
    pixels = np.concatenate([frame.pixels for frame in tai_chi if frame.pixels is not None])
    x, y = pixels[np.isfinite(pixels).all(axis=-1)].T
    assert ((x > -10) & (x < 350)).all()
    assert ((y > -10) & (y < 266)).all()


@pytest.mark.data
def test_a_mirrored_picture_swaps_left_and_right(data: Path, lite: Path) -> None:
    picture = next(iter(VideoFile(data / "videos" / "stgcn_clean_and_jerk.mp4")))
    flipped = Image(image=np.ascontiguousarray(picture.image[:, ::-1]), time_s=0.0)
    index = MediaPipePose.layout.index
    x = []
    for view in (picture, flipped):
        with MediaPipePose(lite) as opened:
            frame = opened(view)
        assert frame.pixels is not None
        x.append(frame.pixels[0, index("left_shoulder"), 0] - frame.pixels[0, index("right_shoulder"), 0])
    # What was the right shoulder is called the left one: it is named by what a body looks like in the picture.
    # That is why a picture must not be mirrored before the pose is taken.
    assert np.sign(x[0]) == np.sign(x[1])


@pytest.mark.data
def test_times_that_repeat_or_run_back_are_survived(data: Path, estimator: MediaPipePose) -> None:
    pictures = [picture for picture, _ in zip(VideoFile(data / "videos" / "stgcn_ta_chi.mp4"), range(8), strict=False)]
    for picture, time_s in zip(pictures, (0.0, 0.0, 0.0, 0.0004, 5.0, 1.0, 1.0, 1.001), strict=True):
        frame = estimator(Image(image=picture.image, time_s=time_s))
        assert len(frame.poses) == 1
        assert frame.time_s == time_s


@pytest.mark.data
def test_an_empty_room_has_nobody_in_it(estimator: MediaPipePose) -> None:
    frame = estimator(Image(image=np.full((120, 160, 3), 127, np.uint8), time_s=0.0))
    assert frame.poses.shape == (0, 33, 3)
    assert frame.pixels is not None
    assert frame.pixels.shape == (0, 33, 2)


@pytest.mark.data
def test_every_joint_is_there_when_guesses_are_wanted(data: Path, lite: Path) -> None:
    picture = next(iter(VideoFile(data / "videos" / "stgcn_ta_chi.mp4")))
    with MediaPipePose(lite, visibility=0.0) as guessing, MediaPipePose(lite, visibility=1.0) as strict:
        assert np.isfinite(guessing(picture).poses).all()
        # Nobody who has no joint at all is a person.
        assert len(strict(picture).poses) == 0 or np.isnan(strict(picture).poses).any()


@pytest.mark.data
def test_a_picture_that_is_not_contiguous_is_read_the_same(data: Path, lite: Path) -> None:
    picture = next(iter(VideoFile(data / "videos" / "stgcn_ta_chi.mp4")))
    strided = np.repeat(picture.image, 2, axis=1)[:, ::2]
    assert not strided.flags.c_contiguous
    with MediaPipePose(lite) as one, MediaPipePose(lite) as other:
        here, there = one(picture), other(Image(image=strided, time_s=0.0))
    np.testing.assert_array_equal(here.poses, there.poses)


@pytest.mark.data
@pytest.mark.slow
def test_two_passers_by_are_two_people_when_asked_for(data: Path, lite: Path) -> None:
    counts = []
    with MediaPipePose(lite, people=3) as opened:
        for number, picture in enumerate(VideoFile(data / "videos" / "cvzmh_fun_theory.mp4")):
            if number >= 160:
                break
            if number >= 90:
                counts.append(len(opened(picture).poses))
    assert max(counts) >= 2


@pytest.mark.data
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_refused(estimator: MediaPipePose, image: np.ndarray) -> None:
    with pytest.raises(ClipError, match="uint8, RGB"):
        estimator(Image(image=image, time_s=0.0))


@pytest.mark.data
def test_a_time_that_is_no_number_is_refused(estimator: MediaPipePose) -> None:
    with pytest.raises(ClipError, match="finite"):
        estimator(Image(image=np.zeros((8, 8, 3), np.uint8), time_s=float("nan")))


@pytest.mark.data
def test_closing_twice_is_allowed_and_a_closed_estimator_says_so(lite: Path) -> None:
    opened = MediaPipePose(lite)
    opened.close()
    opened.close()
    with pytest.raises(ClipError, match="closed"):
        opened(Image(image=np.zeros((8, 8, 3), np.uint8), time_s=0.0))


def test_a_missing_model_names_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="amr-edge pose fetch full") as refusal:
        MediaPipePose(tmp_path / "none.task")
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(10_000)])
def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.task").write_bytes(content)
    with pytest.raises(ReadError, match=r"bad\.task"):
        MediaPipePose(tmp_path / "bad.task")


@pytest.mark.data
@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_a_model_that_is_cut_short_is_refused_by_name(lite: Path, tmp_path: Path, share: float) -> None:
    whole = lite.read_bytes()
    (tmp_path / "cut.task").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ReadError, match=r"cut\.task"):
        MediaPipePose(tmp_path / "cut.task")


@pytest.mark.parametrize("wrong", [{"people": 0}, {"visibility": 1.5}, {"detection": -0.1}, {"tracking": float("nan")}])
def test_settings_that_cannot_mean_anything_are_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        MediaPipePose(tmp_path / "none.task", **wrong)  # type: ignore[arg-type]


@pytest.mark.data
def test_stderr_stays_clean_but_for_what_others_write(data: Path, lite: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from amr_edge.runtime.pose import mediapipe_tasks
from amr_edge.runtime.sources.video import VideoFile
with mediapipe_tasks.MediaPipePose(Path(sys.argv[1])) as estimator:
    for picture, _ in zip(VideoFile(Path(sys.argv[2])), range(5)):
        assert len(estimator(picture).poses) == 1
with mediapipe_tasks.without_chatter():
    os.write(2, b"W0000 00:00:1.0 1 x.cc:1] chatter\\n")
    os.write(2, b"E0000 00:00:1.0 1 x.cc:1] an error\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(lite), str(data / "videos" / "stgcn_ta_chi.mp4")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "E0000 00:00:1.0 1 x.cc:1] an error\n"
