"""The whole way from raw files to a proven model, on a data set of our own that looks like UI-PRMD."""

import json
from pathlib import Path

import numpy as np
import pytest

from amr_edge.cli import run
from amr_edge.data.readers.ui_prmd_vicon import MARKERS
from amr_edge.runtime.inference.onnx_metadata import read_onnx
from amr_edge.runtime.inference.session import open_session
from amr_edge.skeleton import CANONICAL15, UI_PRMD22, remap
from amr_edge.synthetic import subject
from amr_edge.synthetic.exercises import exercise
from amr_edge.training.recipes.rehab8.dataset import CLASSES, GROUPS

PEOPLE = (1, 2, 3)


def rows(values: np.ndarray) -> str:
    """(T, V, 3) as the data set writes it."""
    return "\n".join(",".join(f"{value:.3f}" for value in row.ravel()) for row in values)


def offsets(poses: np.ndarray) -> np.ndarray:
    """Positions (T, 22, 3) in metres as offsets in centimetres; with angles of 0 they are a pose."""
    parents = [max(parent, 0) for parent in UI_PRMD22.parents]
    out = poses - poses[:, parents]
    out[:, 0] = poses[:, 0]
    return 100 * out


def markers(poses: np.ndarray) -> np.ndarray:
    """Positions (T, 15, 3) in metres as 39 markers in millimetres: x forward, y left, z up."""
    joint = dict(zip(CANONICAL15.joints, np.moveaxis(poses, 1, 0), strict=True))
    left, up, ahead = np.eye(3)
    width = 0.25
    front = joint["mid_hip"] + 0.3 * width * up + 0.19 * width * ahead
    places = {
        "LASI": front + width / 2 * left, "RASI": front - width / 2 * left,
        "LPSI": front - 0.15 * ahead + 0.05 * left, "RPSI": front - 0.15 * ahead - 0.05 * left,
    }  # fmt: skip
    for side in ("left", "right"):
        letter = side[0].upper()
        places |= {
            f"{letter}SHO": joint[f"{side}_shoulder"], f"{letter}ELB": joint[f"{side}_elbow"],
            f"{letter}WRA": joint[f"{side}_wrist"], f"{letter}WRB": joint[f"{side}_wrist"],
            f"{letter}KNE": joint[f"{side}_knee"], f"{letter}ANK": joint[f"{side}_ankle"],
        }  # fmt: skip
    values = np.stack([places.get(name, joint["head"]) for name in MARKERS], axis=1)  # (T, 39, 3)
    return 1000 * values[..., [2, 0, 1]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people who do every exercise twice, rightly and wrongly."""
    root = tmp_path_factory.mktemp("ui_prmd")
    for number in PEOPLE:
        for kind, group in GROUPS.items():
            for wrong in (False, True):
                seed = [number, kind, int(wrong)]
                made = exercise(group, subject(number, 5), np.random.default_rng(seed), reps=2, fps=30.0)
                stem = f"m{kind:02d}_s{number:02d}_e01"
                tail = "_inc.txt" if wrong else ".txt"
                folder = root / ("Incorrect Segmented Movements" if wrong else "Segmented Movements")
                seen = np.nan_to_num(remap(made.poses, made.skeleton, UI_PRMD22).poses[0].astype(np.float64))
                write(folder / "Kinect" / "Positions" / f"{stem}_positions{tail}", rows(offsets(seen)))
                write(folder / "Kinect" / "Angles" / f"{stem}_angles{tail}", rows(np.zeros_like(seen)))
                if not wrong:
                    poses = remap(made.poses, made.skeleton, CANONICAL15).poses[0].astype(np.float64)
                    write(folder / "Vicon" / "Positions" / f"{stem}_positions{tail}", rows(markers(poses)))
    return root


def write(path: Path, text: str) -> None:
    """Make the folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def test_other_data_is_refused_before_anything_is_trained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(["reproduce", "rehab8", "--data", str(data), "--out", str(tmp_path / "out"), "--smoke"]) == 4
    assert "--any-data" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_way_ends_in_a_proven_model_and_a_second_call_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    words = ["reproduce", "rehab8", "--data", str(data), "--out", str(out), "--smoke", "--any-data", "--fold", "2"]
    assert run([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["left_out"] == [2]
    assert said["fold"]["proven"]
    trained = (out / "without-2" / "finetune" / "weights" / "last.safetensors").read_bytes()
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == said["metrics"]
    assert (out / "without-2" / "finetune" / "weights" / "last.safetensors").read_bytes() == trained
    file = out / "without-2" / "rehab8.onnx"
    card = read_onnx(file).card
    assert card.classes == CLASSES
    assert card.none_class == "none"
    assert card.rules
    assert card.metrics == said["metrics"]
    assert file.stat().st_size < 4e6
    session = open_session(file, budget=card.budget)
    probs = session.probs(np.zeros((1, 1, 64, 15, 3), np.float32), np.ones((1, 1, 64, 15), np.bool_))
    assert probs.shape == (1, len(CLASSES))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--fold", "a"], "subject numbers"),
        (["--fold", "2", "--all"], "exclude each other"),
        (["--kinect-only"], "name a --fold"),
        (["--fold", "9", "--any-data", "--smoke"], "some of the subjects 1, 2, 3"),
        (["--all", "--any-data", "--smoke"], "--fold 9,10 first"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_is_refused_in_a_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, words: list[str], sentence: str
) -> None:
    assert run(["reproduce", "rehab8", "--data", str(data), "--out", str(tmp_path / "out"), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(["reproduce", "rehab8", "--data", str(tmp_path / "nowhere")]) == 4
    assert "download UI-PRMD" in capsys.readouterr().err
