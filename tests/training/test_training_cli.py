import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from amr_edge.cli import run
from amr_edge.data.store import Store

HAS_CUDA = torch.cuda.is_available()
TINY = [
    "--set=prepare.frames=16",
    "--set=encoder.width=32",
    "--set=encoder.depth=2",
    "--set=pretrain.pretext.decoder_depth=1",
    "--set=pretrain.optim.epochs=2",
    "--set=finetune.optim.epochs=3",
    "--threads=1",
]


def train(store: Store, project: Path, *more: str, verb: str = "train") -> int:
    return run([verb, f"--data={store.path}", f"--project={project}", *TINY, *more])


@pytest.mark.slow
def test_train_writes_a_whole_run_and_says_what_to_type_next(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_store, tmp_path, "--split=xsub") == 0
    folder = tmp_path / "train" / "amr-small-1"
    said = capsys.readouterr().out
    assert f"amr-edge export {folder} --onnx" in said
    expected = {
        "config.json", "environment.json", "log.txt", "results.csv", "curves.png", "confusion_matrix.png",
        "per_class.csv", "score.json", "weights/last.safetensors", "weights/best.safetensors",
        "pretrain/weights/last.safetensors", "pretrain/curves.png",
    }  # fmt: skip
    assert not [name for name in expected if not (folder / name).exists()]
    assert json.loads((folder / "score.json").read_text())["clips"] == 16


@pytest.mark.slow
def test_pretrain_then_finetune_from_its_run_is_the_two_halves_of_train(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_store, tmp_path, "--split=xsub", "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert train(tiny_store, tmp_path, "--split=xsub", verb="pretrain") == 0
    capsys.readouterr()
    init = tmp_path / "pretrain" / "amr-small-1"
    assert train(tiny_store, tmp_path, "--split=xsub", f"--init={init}", "--json", verb="finetune") == 0
    halves = json.loads(capsys.readouterr().out)
    assert Path(halves["weights"]).parts != Path(whole["weights"]).parts
    from amr_edge.training.engine.checkpoint import load_weights

    ours, theirs = load_weights(Path(halves["weights"]))[0], load_weights(Path(whole["weights"]))[0]
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_scratch_is_finetune_without_init_and_validation_subjects_choose_the_best(
    tiny_store: Store, tmp_path: Path
) -> None:
    assert train(tiny_store, tmp_path, "--split=loso:4", "--validate=3", verb="finetune") == 0
    rows = (tmp_path / "finetune" / "amr-small-1" / "results.csv").read_text().splitlines()
    assert "validation_top1" in rows[0]
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--data=nowhere.npz"], 4, "nowhere.npz"),
        (["--split=xview"], 2, "choose one of"),
        (["--recipe=huge"], 2, "amr-small"),
        (["--set=encoder.widht=3"], 2, "width"),
        pytest.param(["--device=cuda"], 3, "cpu", marks=pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")),
        (["--device=quantum"], 2, "auto"),
        (["--validate=seven"], 2, "7,9"),
        (["--resume=nowhere"], 4, "config"),
        (["--nonsense"], 2, "nonsense"),
    ],
)
def test_a_wrong_order_is_refused_in_a_sentence_with_its_exit_code(
    arguments: list[str], code: int, named: str, tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_store, tmp_path, *arguments) == code
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said


def test_a_card_names_what_a_model_started_from_by_content_and_no_path_of_this_machine(
    tiny_store: Store, tmp_path: Path
) -> None:
    from amr_edge.training.engine.checkpoint import load_weights

    assert train(tiny_store, tmp_path, "--split=xsub") == 0
    _, card = load_weights(tmp_path / "train" / "amr-small-1" / "weights" / "last.safetensors")
    assert str(card.recipe["init"]).startswith("sha256:")
    assert str(tmp_path) not in card.to_json()
    assert train(tiny_store, tmp_path, "--init=nowhere", verb="finetune") == 4


@pytest.mark.slow
def test_ctrl_c_leaves_a_usable_checkpoint_and_resume_finishes_the_run(tiny_store: Store, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "amr_edge", "finetune", f"--data={tiny_store.path}", f"--project={tmp_path}", *TINY,
        "--set=finetune.optim.epochs=300", "--split=xsub",
    ]  # fmt: skip
    folder = tmp_path / "finetune" / "amr-small-1"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (folder / "results.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"amr-edge finetune --resume {folder}" in said
    from amr_edge.training.engine.checkpoint import load_classifier

    load_classifier(folder / "weights" / "last.safetensors")
    settings = json.loads((folder / "config.json").read_text())
    settings["recipe"]["finetune"]["optim"]["epochs"] = 1 + len((folder / "results.csv").read_text().splitlines())
    (folder / "config.json").write_text(json.dumps(settings))
    assert run(["finetune", "--resume", str(folder), "--threads=1"]) == 0
    assert (folder / "score.json").exists()
    assert run(["train", "--resume", str(folder)]) == 2  # a run of another command


@pytest.mark.slow
def test_resuming_with_other_data_is_refused(tiny_store: Store, tmp_path: Path) -> None:
    from amr_edge.data.store import write_store

    assert train(tiny_store, tmp_path, "--split=xsub", verb="pretrain") == 0
    other = write_store(
        tmp_path / "other.npz",
        [tiny_store[0], tiny_store[1]],
        dataset="synthetic",
        terms="t",
        classes=("left", "right"),
    )
    folder = tmp_path / "pretrain" / "amr-small-1"
    assert run(["pretrain", "--resume", str(folder), f"--data={other.path}"]) == 4
