from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amr_edge.cli import run
from amr_edge.errors import AmrError, ConfigError, DataError, ReadError
from amr_edge.training.engine.predictions import FILE, SavedPredictions, load_predictions, save_predictions
from amr_edge.training.tasks.ensemble import fuse_runs, weights_of

FIRST = SavedPredictions(
    names=("a", "b", "c"),
    labels=np.array([0, 1, 1]),
    probs=np.float32([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]),
    classes=("left", "right"),
    data_hash="h",
    split="xsub",
)
SECOND = replace(FIRST, probs=np.float32([[0.4, 0.6], [0.1, 0.9], [0.45, 0.55]]))


def kept(folder: Path, *runs: SavedPredictions) -> list[Path]:
    folders = [folder / f"run-{i}" for i in range(len(runs))]
    for path, answers in zip(folders, runs, strict=True):
        path.mkdir(parents=True)
        save_predictions(answers, path / FILE)
    return folders


def test_a_fusion_is_the_mean_worked_by_hand_and_can_be_better_than_both(tmp_path: Path) -> None:
    fused = fuse_runs(kept(tmp_path, FIRST, SECOND), None)
    assert fused.answers.probs == pytest.approx(np.float32([[0.65, 0.35], [0.35, 0.65], [0.425, 0.575]]))
    assert [each.top1 for each in fused.each] == pytest.approx([2 / 3, 2 / 3])
    assert fused.together.top1 == 1


def test_weights_weigh(tmp_path: Path) -> None:
    folders = kept(tmp_path, FIRST, SECOND)
    assert np.array_equal(fuse_runs(folders, "1,0").answers.probs, FIRST.probs)
    assert fuse_runs(folders, "3,1").answers.probs[0] == pytest.approx([0.775, 0.225])
    assert weights_of(None, 4) == (0.25,) * 4


def test_clips_and_classes_in_another_order_are_the_same_clips(tmp_path: Path) -> None:
    order = [2, 0, 1]
    shuffled = replace(
        SECOND,
        names=tuple(SECOND.names[i] for i in order),
        labels=1 - SECOND.labels[order],
        probs=SECOND.probs[order][:, ::-1],
        classes=("right", "left"),
    )
    fused = fuse_runs(kept(tmp_path, FIRST, shuffled), None)
    assert fused.answers.probs == pytest.approx((FIRST.probs + SECOND.probs) / 2)
    assert fused.answers.classes == FIRST.classes


def test_copies_of_what_was_learned_from_keep_their_place_and_are_told_apart(tmp_path: Path) -> None:
    order = [2, 0, 1]
    shuffled = replace(
        SECOND,
        names=tuple(SECOND.names[i] for i in order),
        labels=SECOND.labels[order],
        probs=SECOND.probs[order],
        copied=np.array([False, True, False]),  # "a"
    )
    fused = fuse_runs(kept(tmp_path, FIRST, shuffled), "1,0")
    assert fused.answers.copied is not None
    assert fused.answers.copied.tolist() == [True, False, False]
    assert fused.to_dict()["copies"] == 1
    assert fused.to_dict()["top1_without_copies"] == 0.5
    assert "without the 1 clips that duplicate training recordings: top-1 0.5000" in fused.text()
    assert "copies" not in fuse_runs(kept(tmp_path / "again", FIRST, SECOND), None).to_dict()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(SECOND, data_hash="other"), "other recordings"),
        (replace(SECOND, names=("a", "b", "d")), "'c' is in one only"),
        (replace(SECOND, names=("a", "b"), labels=SECOND.labels[:2], probs=SECOND.probs[:2]), "2 clips"),
        (replace(SECOND, classes=("left", "up")), "classes"),
        (replace(SECOND, labels=np.array([1, 1, 1])), "labelled otherwise"),
    ],
)
def test_runs_on_different_clips_are_refused_with_the_way_out(
    other: SavedPredictions, named: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=named) as refusal:
        fuse_runs(kept(tmp_path, FIRST, other), None)
    assert "run-1" in str(refusal.value)
    assert "same data and split" in str(refusal.value)


@pytest.mark.parametrize("text", ["1", "1,2,3", "1,x", "-1,2", "0,0", "nan,1"])
def test_weights_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--weights expects"):
        weights_of(text, 2)


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "truncated", "shape"])
def test_damaged_answers_are_refused_by_name(damage: str, tmp_path: Path) -> None:
    path = save_predictions(FIRST, tmp_path / FILE)
    whole = path.read_bytes()
    {
        "missing": path.unlink,
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("answers"),
        "truncated": lambda: path.write_bytes(whole[: len(whole) // 2]),
        "shape": lambda: save_predictions(replace(FIRST, names=("a",)), path),
    }[damage]()
    with pytest.raises(AmrError, match=FILE):
        load_predictions(path)


def test_answers_come_back_bit_for_bit(tmp_path: Path) -> None:
    again = load_predictions(save_predictions(FIRST, tmp_path / FILE))
    assert (again.names, again.classes, again.data_hash, again.split) == (("a", "b", "c"), FIRST.classes, "h", "xsub")
    assert np.array_equal(again.probs, FIRST.probs)
    assert np.array_equal(again.labels, FIRST.labels)


def test_the_command_reports_each_run_and_the_fusion_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = kept(tmp_path, FIRST, SECOND)
    assert run(["fuse", *map(str, folders), f"--project={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "0.6667" in said
    assert "together" in said
    assert "next: amr-edge" in said
    assert load_predictions(tmp_path / "fuse" / "fused-1" / FILE).probs.shape == (3, 2)
    assert run(["fuse", str(folders[0]), f"--project={tmp_path}"]) == 2
    assert run(["fuse", str(folders[0]), str(tmp_path / "none"), f"--project={tmp_path}"]) == 4


def test_no_run_is_no_fusion() -> None:
    with pytest.raises(ConfigError, match="two runs"):
        fuse_runs([], None)
    with pytest.raises(ReadError, match="no predictions"):
        load_predictions(Path("nowhere") / FILE)
