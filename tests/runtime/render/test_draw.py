"""A film shows what was seen, where it was seen, for as long as it was seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.data.recording import Recording
from amr_edge.errors import ConfigError, ReadError
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.render.draw import BLACK_SIZE, COLOURS, HOT, Fit, Person, VideoWriter, draw, mirrored
from amr_edge.skeleton import COCO17, KINECT20

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: no films")

NAN = np.nan


def film_of(path: Path) -> tuple[list[np.ndarray], float]:
    """The frames of a film, RGB, and its frame rate."""
    capture: Any = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, image = capture.read()
        if not good:
            break
        frames.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return frames, fps


def frame(time_s: float, poses: np.ndarray, *, picture: np.ndarray | None = None) -> Frame:
    if picture is None:
        return Frame(time_s=time_s, poses=poses)
    pixels = poses[..., :2].astype(np.float32)
    return Frame(time_s=time_s, poses=poses, pixels=pixels, picture=Image(image=picture, time_s=time_s))


def test_poses_fill_the_black_picture_but_for_the_margin() -> None:
    poses = np.float32([[[0, 0, 5], [1, 2, 5], [NAN, NAN, NAN]]])
    pixels = Fit((100, 200))(poses)
    # 1 m x 2 m into 80 x 160 pixels: 80 pixels a metre, the middle in the middle, y up.
    np.testing.assert_allclose(pixels[0, :2], [[10, 180], [90, 20]])
    assert np.isnan(pixels[0, 2]).all()


def test_the_scale_never_grows_again() -> None:
    fit = Fit((100, 100))
    wide = fit(np.float32([[[0, 0], [2, 0]]]))
    narrow = fit(np.float32([[[0.5, 0], [1.5, 0]]]))
    assert np.ptp(wide[..., 0]) == pytest.approx(80)
    assert np.ptp(narrow[..., 0]) == pytest.approx(40)


def test_nobody_and_a_single_point_can_be_fitted() -> None:
    assert np.isnan(Fit((100, 100))(np.full((1, 3, 3), NAN, np.float32))).all()
    assert Fit((100, 100))(np.zeros((0, 3, 3), np.float32)).shape == (0, 3, 2)
    np.testing.assert_allclose(Fit((100, 100))(np.float32([[[7, 7, 7]]])), [[[50, 50]]])


def test_a_mirror_swaps_left_and_right_of_picture_and_joints_alike() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[1, 1] = 255
    other, pixels = mirrored(image, np.float32([[[1, 1], [NAN, NAN]]]))
    assert other[1, 4].tolist() == [255, 255, 255]
    assert pixels[0, 0].tolist() == [4, 1]
    assert np.isnan(pixels[0, 1]).all()


def test_bones_are_drawn_between_joints_that_are_there_and_only_there() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    pixels = np.full((1, 17, 2), NAN, np.float32)
    pixels[0, COCO17.index("left_shoulder")] = (50, 100)
    pixels[0, COCO17.index("left_elbow")] = (150, 100)
    draw(cv2, image, pixels, COCO17, [Person(1, "")], "")
    assert np.abs(image[100, 100].astype(int) - COLOURS[1]).max() < 40  # a thin line is blended a little
    assert not image[:80].any()
    assert not image[120:].any()


def test_a_joint_far_outside_harms_nothing() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    pixels = np.full((1, 17, 2), 1e30, np.float32)
    draw(cv2, image, pixels, COCO17, [Person(None, "far away")], "")
    draw(cv2, image, np.full((1, 17, 2), NAN, np.float32), COCO17, [Person(None, "nobody")], "")


def test_a_caption_stands_inside_the_picture_above_the_person() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    pixels = np.full((1, 17, 2), NAN, np.float32)
    pixels[0, 0] = (399, 100)
    draw(cv2, image, pixels, COCO17, [Person(0, "wave 0.93")], "")
    written = np.argwhere(image[:94].any(axis=2))
    assert len(written)
    assert written[:, 1].max() < 400
    assert written[:, 0].min() > 70


def test_a_film_lasts_as_long_as_its_source(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times_s = np.sort(rng.uniform(0, 2, 31))  # as irregular as a bad camera
    body = rng.normal(size=(1, 20, 3)).astype(np.float32)
    with VideoWriter(tmp_path / "a.mp4") as film:
        film.begin(25.0)
        for time_s in times_s:
            film.show(frame(float(time_s), body), KINECT20, [Person(0, "wave 0.50")], "")
    frames, fps = film_of(tmp_path / "a.mp4")
    assert fps == 25
    assert len(frames) == film.frames == round((times_s[-1] - times_s[0]) * 25) + 1
    assert frames[0].shape[1::-1] == BLACK_SIZE
    assert frames[0].any()


def test_a_film_over_pictures_shows_them_and_has_their_size(tmp_path: Path) -> None:
    picture = np.full((120, 161, 3), (200, 30, 30), np.uint8)  # an odd width, which the codec does not take
    nobody = np.zeros((0, 17, 3), np.float32)
    with VideoWriter(tmp_path / "a.mp4") as film:
        film.begin(30.0)
        for k in range(5):
            film.show(frame(k / 30, nobody, picture=picture), COCO17, [], "")
    frames, _ = film_of(tmp_path / "a.mp4")
    assert frames[0].shape == (120, 160, 3)
    assert np.abs(frames[2].astype(int) - (200, 30, 30)).max() < 30


def test_takes_follow_one_another_in_one_film(tmp_path: Path, people: Callable[..., Recording]) -> None:
    body = people(np.random.default_rng(0)).poses[:, 0]
    with VideoWriter(tmp_path / "a.mp4") as film:
        for _ in range(2):
            film.begin(10.0)
            for k in range(5):
                film.show(frame(k / 10, body), KINECT20, [Person(0, "")], "two")
    assert len(film_of(tmp_path / "a.mp4")[0]) == 10


def test_a_long_pause_is_cut(tmp_path: Path) -> None:
    body = np.random.default_rng(0).normal(size=(1, 20, 3)).astype(np.float32)
    with VideoWriter(tmp_path / "a.mp4") as film:
        film.begin(10.0)
        for time_s in (0.0, 3600.0, 3600.1):
            film.show(frame(time_s, body), KINECT20, [Person(0, "")], "")
    assert film.frames == 102


def test_closing_twice_and_a_film_without_frames_are_fine(tmp_path: Path) -> None:
    film = VideoWriter(tmp_path / "a.mp4")
    film.close()
    film.close()
    assert not (tmp_path / "a.mp4").exists()


def test_other_names_than_mp4_and_absent_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MP4"):
        VideoWriter(tmp_path / "a.avi")
    with pytest.raises(ConfigError, match="does not exist"):
        VideoWriter(tmp_path / "nowhere" / "a.mp4")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    film = VideoWriter(tmp_path / "a.mp4")
    film.begin(30.0)
    with pytest.raises(ReadError, match="cannot write"):
        film.show(frame(0.0, np.zeros((0, 20, 3), np.float32)), KINECT20, [], "")


def test_captions_of_neighbors_do_not_cover_each_other() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    pixels = np.full((2, 17, 2), NAN, np.float32)
    pixels[:, 0] = (100, 100)
    draw(cv2, image, pixels, COCO17, [Person(0, "one 0.93"), Person(1, "another 0.93")], "")
    blue, orange = (np.abs(image.astype(int) - color).max(axis=2) < 60 for color in COLOURS[:2])
    rows = [set(np.flatnonzero(color[:95].any(axis=1)).tolist()) for color in (blue, orange)]
    assert rows[0]
    assert rows[1]
    assert not rows[0] & rows[1]


def test_a_joint_that_drove_the_label_is_larger_and_warmer_and_so_is_its_moment() -> None:
    pixels = np.full((1, 17, 2), NAN, np.float32)
    pixels[0, 5], pixels[0, 10] = (50, 50), (150, 50)
    weights = np.zeros(17, np.float32)
    weights[10] = 1
    image = np.zeros((240, 200, 3), np.uint8)
    draw(cv2, image, pixels, COCO17, [Person(0, "", weights, np.float32([0, 1]))], "")
    hot = np.abs(image.astype(int) - HOT).max(axis=2) < 30
    assert hot[50, 150]
    assert not hot[:, :100].any()
    assert hot[:100, 100:].sum() > 100  # the joint
    assert hot[232:, 102:198].mean() > 0.5  # the second half of the window, along the lower edge
