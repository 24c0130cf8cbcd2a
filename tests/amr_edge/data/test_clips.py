from pathlib import Path

import numpy as np
import pytest

from amr_edge.data.clips import Clips
from amr_edge.data.recording import Recording, Span
from amr_edge.data.spans import window_label, windows
from amr_edge.data.store import Store, write_store
from amr_edge.errors import ConfigError, DataError
from amr_edge.preprocess import PrepareConfig, prepare

CONFIG = PrepareConfig(frames=8, window_s=1.0)


def recording(people: int, seed: int, frames: int = 20, **more: object) -> Recording:
    rng = np.random.default_rng(seed)
    poses = rng.normal(size=(people, 1, 25, 3)) + rng.normal(0, 0.05, (people, frames, 25, 3))
    poses[-1] += np.sin(np.arange(frames))[:, None, None]  # the last person moves most
    return Recording(
        poses=poses.astype(np.float32),
        times_s=np.arange(frames) / 30,
        layout="ntu25",
        source=f"r{seed}",
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = [recording(1, 0, label="a"), recording(3, 1, label="b"), recording(2, 2)]
    return write_store(tmp_path / "s.npz", made, dataset="t", terms="t", classes=("a", "b"))


def everything(store: Store) -> np.ndarray:
    return np.ones(len(store), dtype=bool)


def test_a_clip_of_one_person_is_what_prepare_makes_of_the_recording(store: Store) -> None:
    clip = Clips(store, everything(store), CONFIG, 1).clip(0)
    own = store[0]
    expected = prepare(own.poses, own.times_s, own.skeleton, CONFIG)
    np.testing.assert_array_equal(clip.values, expected.values)


def test_of_three_people_the_two_who_move_most_are_taken_the_most_moving_first(store: Store) -> None:
    clip = Clips(store, everything(store), CONFIG, 2).clip(1)
    own = store[1]
    alone = prepare(own.poses[2:], own.times_s, own.skeleton, CONFIG)
    assert clip.values.shape == (2, 8, 25, 3)
    np.testing.assert_array_equal(clip.values[0], alone.values[0])


def test_missing_people_are_absent_and_zero(store: Store) -> None:
    clip = Clips(store, everything(store), CONFIG, 2).clip(0)
    assert not clip.present[1].any()
    assert not clip.values[1].any()


def test_an_empty_part_and_unscaled_pixels_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="split"):
        Clips(store, ~everything(store), CONFIG, 1)
    flat = Recording(
        poses=np.ones((1, 4, 17, 2), dtype=np.float32), times_s=np.arange(4.0), layout="coco17", units="px", source="p"
    )
    pixels = write_store(tmp_path / "p.npz", [flat], dataset="t", terms="t")
    with pytest.raises(ConfigError, match="torso"):
        Clips(pixels, everything(pixels), PrepareConfig(layout="coco17", frames=8), 1)


def test_a_window_shows_what_fills_it_or_what_it_holds_and_is_left_out_when_unclear() -> None:
    spans = [Span(2.0, 4.0, "wave"), Span(10.0, 10.5, "clap")]
    assert window_label(spans, 2.0, 4.0, "idle") == "wave"
    assert window_label(spans, 9.0, 11.0, "idle") == "clap"  # short, but all of it is in the window
    assert window_label(spans, 5.0, 7.0, "idle") == "idle"
    assert window_label(spans, 1.0, 3.0, "idle") is None  # half of each
    assert window_label([], 0.0, 1.0, "idle") == "idle"


def test_windows_are_labelled_recordings_on_the_same_clock() -> None:
    long = recording(1, 3, frames=301, spans=(Span(4.0, 7.0, "wave"),))
    cut = list(windows(long, 2.0, 1.0, "idle"))
    assert [(round(float(w.times_s[0])), w.label) for w in cut] == [
        (0, "idle"), (1, "idle"), (2, "idle"), (4, "wave"), (5, "wave"), (7, "idle"), (8, "idle"),
    ]  # fmt: skip
    assert all(w.duration_s < 2.0 and not w.spans for w in cut)
    with pytest.raises(ConfigError, match="stride_s"):
        list(windows(long, 2.0, 0.0, "idle"))
