"""Fine-tuning protocols from the command line: transfer, validation, leave one subject out, streams, refusals."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from amr_edge.card import Card
from amr_edge.cli import run
from amr_edge.data.store import Store, write_store
from amr_edge.preprocess import PrepareConfig, prepare
from amr_edge.runtime.pipeline.recognizer import check_source
from amr_edge.skeleton import layout, remap
from amr_edge.training.config import EncoderConfig
from amr_edge.training.engine.checkpoint import load_weights, read_tensors, save_weights
from amr_edge.training.engine.predictions import FILE, load_predictions
from amr_edge.training.engine.run_folder import RunFolder, selected_checkpoint
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.token_selection import choice_of
from amr_edge.training.models.transformer import Encoder

CONFIG = EncoderConfig(width=16, depth=1, heads=2)
SEEN = PrepareConfig(frames=16, view="body", scale="torso", window_s=4.0)
CARD = Card(name="tiny", kind="encoder", prepare=SEEN, encoder=asdict(CONFIG), focal_windows=(4, 8))
SHORT = ["--set=finetune.optim.epochs=2", "--threads=1"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_weights(tmp_path / "tiny.safetensors", Classifier(Encoder(CONFIG, frames=16, joints=25), 2), CARD)
    return tmp_path / "tiny.safetensors"


def finetune(store: Store, init: Path, *more: str) -> int:
    return run(["finetune", f"--data={store.path}", f"--init={init}", f"--project={init.parent}", *SHORT, *more])


def as_layout(store: Store, name: str, path: Path, keep: slice = slice(None)) -> Store:
    """The same recordings of another skeleton."""
    recordings = [
        replace(each, poses=remap(each.poses, layout("ntu25"), layout(name)).poses, layout=name)
        for each in list(store)[keep]
    ]
    return write_store(path, recordings, dataset="synthetic", terms="t", classes=store.classes)


@pytest.mark.slow
def test_a_checkpoint_brings_its_encoder_and_its_view_of_clips_with_it(tiny_store: Store, checkpoint: Path) -> None:
    assert finetune(tiny_store, checkpoint, "--split=xsub", "--labels=0.3") == 0
    folder = checkpoint.parent / "finetune" / "amr-small-1"
    _, card = load_weights(folder / "weights" / "last.safetensors")
    assert card.encoder == CARD.encoder
    # Clips are stretched to the checkpoint's frames; the live window is as long as the clips that it was taught on.
    assert card.prepare == replace(SEEN, window_s=card.prepare.window_s)
    assert card.prepare.window_s < 2
    subset = json.loads((folder / "labels.json").read_text())
    assert card.data["labels"]["sha256"] == subset["sha256"]
    score = json.loads((folder / "score.json").read_text())
    assert score["labels"]["clips"] == len(subset["clips"]) == 4
    assert (score["epoch"], score["epoch_chosen_by"]) == (2, "last")


def test_another_layout_is_refused_without_transfer_and_read_in_the_checkpoints_with_it(
    tiny_store: Store, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinect = as_layout(tiny_store, "kinect20", checkpoint.parent / "kinect.npz")
    assert finetune(kinect, checkpoint, "--split=xsub") == 4
    assert "add --transfer" in capsys.readouterr().err
    assert finetune(kinect, checkpoint, "--split=xsub", "--transfer") == 0
    assert "lack left_hand_tip" in capsys.readouterr().err
    _, card = load_weights(checkpoint.parent / "finetune" / "amr-small-1" / "weights" / "last.safetensors")
    assert card.prepare.layout == "ntu25"
    # A live stream of the new data's skeletons can feed it, with the same joints absent.
    note = check_source(card, layout("kinect20"), "m")
    assert note is not None
    assert "left_hand_tip" in note
    probe = ["probe", str(checkpoint), f"--data={kinect.path}", f"--project={checkpoint.parent}", "--split=xsub"]
    assert run([*probe, "--knn"]) == 4
    assert run([*probe, "--knn", "--transfer"]) == 0


def test_validation_subjects_choose_the_epoch_and_its_weights_are_what_is_kept(
    tiny_store: Store, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--split=loso:4", "--validate=3", "--set=finetune.optim.epochs=4", "--set=finetune.optim.lr=0.03")
    assert finetune(tiny_store, checkpoint, *more) == 0
    said = capsys.readouterr().out
    folder = checkpoint.parent / "finetune" / "amr-small-1"
    rows = [line.split(",") for line in (folder / "results.csv").read_text().splitlines()]
    judged = [float(row[rows[0].index("validation_top1")]) for row in rows[1:]]
    epoch = judged.index(max(judged)) + 1
    score = json.loads((folder / "score.json").read_text())
    assert (score["epoch"], score["epoch_chosen_by"]) == (epoch, "validation subjects 3")
    assert f"the weights of epoch {epoch} of 4, chosen on validation subjects 3" in said
    best, card = load_weights(folder / "weights" / "best.safetensors")
    last, last_card = load_weights(folder / "weights" / "last.safetensors")
    assert RunFolder(folder).selected == folder / "weights" / "best.safetensors"
    assert (card.recipe["epoch"], card.metrics["top1"]) == (epoch, score["top1"])
    assert "epoch" not in last_card.recipe
    assert epoch == 4 or not all(torch.equal(last[name], best[name]) for name in best)
    state, _ = read_tensors(folder / "state.safetensors")
    assert all(torch.equal(state[f"module/{name}"], last[name]) for name in last)


def test_the_selected_checkpoint_is_best_and_in_runs_of_earlier_versions_last(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    model = Classifier(Encoder(CONFIG, frames=16, joints=25), 2)
    assert selected_checkpoint(tmp_path) == run.last
    save_weights(run.last, model, CARD)
    save_weights(run.best, model, CARD)  # as an earlier version did, and as an unfinished run with --validate does
    assert selected_checkpoint(tmp_path) == run.last
    save_weights(run.best, model, replace(CARD, recipe={"epoch": 3, "epoch_chosen_by": "last"}))
    assert selected_checkpoint(tmp_path) == run.best
    assert selected_checkpoint(run.last) == run.last


def test_leave_one_out_pools_folds_and_goes_on_where_it_was(
    tiny_store: Store, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = write_store(
        checkpoint.parent / "two.npz",
        [each for each in tiny_store if each.subject in (2, 3)],
        dataset="synthetic",
        terms="t",
        classes=tiny_store.classes,
    )
    assert finetune(two, checkpoint, "--split=loso", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    folder = Path(said["run"])
    assert [fold["subject"] for fold in said["folds"]] == [2, 3]
    each = [fold["top1"] for fold in said["folds"]]
    assert said["mean"] == pytest.approx(np.mean(each))
    assert said["std"] == pytest.approx(abs(each[0] - each[1]) / np.sqrt(2))
    pooled = load_predictions(folder / FILE)
    assert sorted(pooled.names) == sorted(two.names)
    assert (folder / "confusion_matrix.png").exists()
    # Nobody taught the fold that examines them.
    config = json.loads((folder / "folds" / "s03" / "config.json").read_text())
    assert config["split"] == "loso:3"
    (folder / "folds" / "s03" / FILE).unlink()
    kept = (folder / "folds" / "s02" / FILE).stat().st_mtime_ns
    assert run(["finetune", f"--resume={folder}", "--threads=1"]) == 0
    assert "standard deviation" in capsys.readouterr().out
    assert (folder / "folds" / "s02" / FILE).stat().st_mtime_ns == kept
    assert np.array_equal(load_predictions(folder / FILE).probs, pooled.probs)
    assert run(["train", f"--resume={folder}"]) == 2


def ranked_first(stream: str) -> list[int]:
    """The joints of the first tokens where the left wrist drifts by a metre and the right one trembles by 5 cm."""
    ntu = layout("ntu25")
    poses = np.tile(np.linspace(0, 1, 25)[:, None] * np.float32([0.3, 1.0, 0.1]), (1, 16, 1, 1)).astype(np.float32)
    poses[0, :, ntu.index("left_wrist"), 0] += np.linspace(0, 1, 16)
    poses[0, :, ntu.index("right_wrist"), 0] += 0.05 * (np.arange(16) % 2)
    card = Card(
        name="t",
        kind="encoder",
        prepare=PrepareConfig(frames=16, stream=stream),
        focal_windows=(4, 8),  # type: ignore[arg-type]
    )
    clip = prepare(poses, np.arange(16) / 15, ntu, card.prepare)
    body, present = torch.from_numpy(clip.values), torch.from_numpy(clip.present)
    return [int(token) % 25 for token in choice_of(card)(body, present, torch.arange(card.tokens))[0]]


def test_tokens_are_ranked_by_the_energy_of_what_the_model_sees_not_of_the_positions() -> None:
    ntu = layout("ntu25")
    drifts, trembles, hand = (ntu.index(name) for name in ("left_wrist", "right_wrist", "left_hand"))
    assert ranked_first("joint")[0] == drifts
    # The hand hangs from the wrist that moves: its bone turns although it stays where it is.
    assert set(ranked_first("bone")[:6]) == {drifts, hand}
    # A steady drift has a steady step, whose energy is nothing.
    assert ranked_first("motion")[0] == trembles


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--set=pretrain.pretext.enlarge=3"], 2, "pretext.enlarge must divide"),
        (["--set=pretrain.pretext.focal_windows=0"], 2, "focal_windows"),
        (["--set=pretrain.pretext.focal_windows=5"], 2, "focal_windows must divide"),
        (["--set=prepare.window_s=0"], 2, "window_s"),
        (["--set=prepare.stream=velocity"], 2, "stream must be joint, bone or motion"),
        (["--set=encoder.width=64"], 2, "encoder.width is 16"),
        (["--set=prepare.frames=32"], 2, "prepare.frames is 16"),
        (["--split=subjects:2,3,4", "--validate=1"], 2, "--validate 1"),
        (["--labels=0"], 2, "--labels expects a share"),
        (["--labels=tenth.json"], 4, "no such file"),
        (["--init=nowhere"], 4, "nowhere"),
        (["--split=loso", "--validate=1"], 2, "--validate 1"),
        (["--split=loso:9"], 2, "no subject 9"),
    ],
)
def test_every_bad_setting_ends_in_one_sentence_that_names_it(
    arguments: list[str],
    code: int,
    named: str,
    tiny_store: Store,
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert finetune(tiny_store, checkpoint, *arguments) == code
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert named in said
    assert said.startswith("amr-edge: ")
    assert "bug of ours" not in said


def test_what_a_layout_cannot_fill_by_half_is_refused_even_for_a_transfer(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = Encoder(CONFIG, frames=16, joints=33)
    init = tmp_path / "face.safetensors"
    save_weights(init, Classifier(encoder, 2), replace(CARD, prepare=replace(SEEN, layout="mediapipe33")))
    penn = as_layout(tiny_store, "penn13", tmp_path / "penn.npz")
    assert finetune(penn, init, "--transfer") == 4
    assert "fewer than half" in capsys.readouterr().err


def test_a_class_that_only_the_left_out_subject_shows_is_refused_before_any_fold_is_run(
    tiny_store: Store, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [each for each in tiny_store if each.label == "left" or each.subject == 4]
    path = checkpoint.parent / "uneven.npz"
    uneven = write_store(path, shown, dataset="synthetic", terms="t", classes=tiny_store.classes)
    for name in ("loso", "loso:4"):
        assert finetune(uneven, checkpoint, f"--split={name}") == 2
        assert "no clip of the training part shows right" in capsys.readouterr().err
    assert not list(checkpoint.parent.glob("finetune/*/folds/*"))


def test_a_subset_of_other_data_is_refused(
    tiny_store: Store, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from amr_edge.training.data.label_subsets import draw, save_subset

    path = checkpoint.parent / "labels.json"
    other = replace(tiny_store, terms="other")
    save_subset(draw(other, np.ones(len(other), dtype=np.bool_), "xsub", 0.5, 0), path)
    assert finetune(tiny_store, checkpoint, "--split=xsub", f"--labels={path}") == 4
    assert "other data" in capsys.readouterr().err


def test_transfer_from_nowhere_is_refused(tiny_store: Store, tmp_path: Path) -> None:
    assert run(["finetune", f"--data={tiny_store.path}", f"--project={tmp_path}", "--transfer"]) == 2


@pytest.mark.slow
def test_what_the_test_shares_with_training_is_told_apart(
    tiny_store: Store, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = list(tiny_store)
    taught = [clip for clip in clips if clip.subject == 1][:3]
    copied = [replace(clip, subject=2, source=f"copy of {clip.source}") for clip in taught]
    store = write_store(
        checkpoint.parent / "copied.npz", [*clips, *copied], dataset="synthetic", terms="t", classes=tiny_store.classes
    )
    assert finetune(store, checkpoint, "--split=xsub") == 0
    told = capsys.readouterr()
    assert "3 of the 19 test recordings are duplicates of training recordings" in told.err
    folder = checkpoint.parent / "finetune" / "amr-small-1"
    score = json.loads((folder / "score.json").read_text())
    answers = load_predictions(folder / FILE)
    own = np.array([not name.startswith("copy of") for name in answers.names])
    right = (answers.probs.argmax(axis=1) == answers.labels)[own]
    assert (score["clips"], score["copies"], len(right)) == (19, 3, 16)
    assert score["top1_without_copies"] == pytest.approx(right.mean())
    assert f"without the 3 clips that duplicate training recordings: top-1 {right.mean():.4f}" in told.out
    assert "top-1 without 3 clips that duplicate training recordings" in (folder / "report.html").read_text()

    probe = ["probe", str(checkpoint), f"--data={store.path}", f"--project={checkpoint.parent}", "--split=xsub"]
    for more in (["--knn"], ["--set=epochs=2"]):
        assert run([*probe, *more, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["copies"] == 3
    assert finetune(tiny_store, checkpoint, "--split=xsub") == 0
    assert "copies" not in json.loads((folder.parent / "amr-small-2" / "score.json").read_text())
