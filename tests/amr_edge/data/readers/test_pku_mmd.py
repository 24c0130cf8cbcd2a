"""Long recordings are cut where their labels say, on the long one's clock, and sides follow the split files."""

from pathlib import Path

import numpy as np
import pytest

from amr_edge.data.readers import pku_mmd
from amr_edge.errors import ReadError

FRAMES = 30


def values(frames: int = FRAMES) -> np.ndarray:
    """(T, 2, 25, 3), the second person there in frames 10 to 19 only."""
    found = np.random.default_rng(0).uniform(1, 3, (frames, 2, 25, 3)).astype(np.float32)
    found[:10, 1] = found[20:, 1] = 0
    return found


def lay_out(
    root: Path, labels: str = "3,2,8,1\n51,12,18,0\n", name: str = "0002-M", numbers: np.ndarray | None = None
) -> Path:
    numbers = values() if numbers is None else numbers
    for folder in ("skeleton", "label"):
        (root / folder).mkdir(exist_ok=True)
    rows = (" ".join(repr(float(value)) for value in frame.ravel()) for frame in numbers)
    (root / "skeleton" / f"{name}.txt").write_text("\n".join(rows) + "\n")
    (root / "label" / f"{name}.txt").write_text(labels)
    return root / "skeleton" / f"{name}.txt"


def test_actions_are_cut_out_with_their_true_times(tmp_path: Path) -> None:
    one, two = pku_mmd.read(lay_out(tmp_path))
    assert np.array_equal(one.poses, values()[2:8, :1].transpose(1, 0, 2, 3))
    assert np.array_equal(two.poses, values()[12:18].transpose(1, 0, 2, 3))
    assert one.times_s == pytest.approx(np.arange(2, 8) / 30)
    assert (one.label, two.label) == ("A03", "A51")
    assert (one.source, two.source, one.camera, one.subject) == ("0002-M.txt#1", "0002-M.txt#2", 2, None)
    assert one.layout == "ntu25"


def test_the_untrimmed_recording_has_the_actions_as_spans(tmp_path: Path) -> None:
    long = pku_mmd.read_untrimmed(lay_out(tmp_path))
    assert long.poses.shape == (2, FRAMES, 25, 3)
    assert long.present.any(axis=2)[1].sum() == 10
    assert [(span.start_s * 30, span.end_s * 30, span.label) for span in long.spans] == [(2, 8, "A03"), (12, 18, "A51")]
    (tmp_path / "label" / "0002-M.txt").unlink()
    assert pku_mmd.read_untrimmed(tmp_path / "skeleton" / "0002-M.txt").spans == ()


def test_an_action_beyond_the_last_frame_has_no_frame_and_one_across_it_ends_there(tmp_path: Path) -> None:
    across, beyond = pku_mmd.read(lay_out(tmp_path, "1,25,40,1\n1,30,40,1\n"))
    assert across.poses.shape[1] == 5
    assert beyond.poses.shape[1] == 0


def test_the_split_files_say_who_trains_and_all_others_are_the_test(tmp_path: Path) -> None:
    (tmp_path / "cross-subject.txt").write_text("Training videos:\n0002-L, 0002-M, 0002-R\nValidation:\n0003-L\n")
    (tmp_path / "cross-view.txt").write_text("Training videos:\n0002-L, 0002-R\n")
    assert next(pku_mmd.read(lay_out(tmp_path))).parts == ("xsub_train", "xview_test")
    assert next(pku_mmd.read(lay_out(tmp_path, name="0009-L"))).parts == ("xsub_test", "xview_test")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [("52,0,5,1\n", "in line 1"), ("1,5,5,1\n", "in line 1"), ("1,0,5,1\n1,x,5\n", "in line 2, got '1,x,5'")],
)
def test_labels_that_cannot_be_are_refused(tmp_path: Path, labels: str, sentence: str) -> None:
    with pytest.raises(ReadError, match=rf"label.0002-M\.txt: .*{sentence}"):
        list(pku_mmd.read(lay_out(tmp_path, labels)))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "a frame in each line, found none"),
        (b"1 2 3\n", "expected 150 numbers in every line, line 1 has 3"),
        (b" ".join([b"x"] * 150), "only numbers"),
        (b"\xff" * 10, "expected text"),
        (b" ".join([b"1e9"] * 150), "below 1e"),
    ],
)
def test_a_skeleton_file_that_is_none_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = lay_out(tmp_path)
    path.write_bytes(content)
    with pytest.raises(ReadError, match=rf"0002-M\.txt: .*{sentence}"):
        list(pku_mmd.read(path))


def test_a_recording_without_labels_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = lay_out(tmp_path)
    (tmp_path / "label" / "0002-M.txt").unlink()
    with pytest.raises(ReadError, match="fetch the labels"):
        list(pku_mmd.read(path))


def test_skeletons_are_known_and_labels_and_splits_are_companions(tmp_path: Path) -> None:
    path = lay_out(tmp_path)
    assert pku_mmd.recognizes(path)
    assert not pku_mmd.recognizes(tmp_path / "label" / path.name)
    assert pku_mmd.companion(tmp_path / "label" / path.name)
    assert pku_mmd.companion(tmp_path / "cross_subject_v2.txt")
    assert not pku_mmd.companion(path)
