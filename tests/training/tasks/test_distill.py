import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge import cli
from amr_edge.data.store import Store, open_store, write_store
from amr_edge.errors import CardError, ConfigError, DataError, LayoutError
from amr_edge.preprocess import PrepareConfig
from amr_edge.training.config import STUDENTS, DistillConfig, Recipe, override, student
from amr_edge.training.data.random_views import Views
from amr_edge.training.engine.checkpoint import load_classifier, load_weights, save_weights
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder
from amr_edge.training.tasks.distill import compare, distill, distill_loss
from amr_edge.training.tasks.job import SplitMasks, TrainJob
from amr_edge.training.tasks.teacher import Teacher, open_teacher, teacher_train_overlap, with_teacher_classes

CPU = RunOptions(device=torch.device("cpu"))
SHORT = [
    "encoder.width=32",
    "encoder.depth=2",
    "encoder.heads=2",
    "finetune.optim.epochs=3",
    "finetune.optim.batch=8",
]


def run_in(folder: Path) -> RunFolder:
    folder.mkdir(parents=True)
    return RunFolder(folder, quiet=True)


@pytest.fixture(scope="module")
def taught(tiny_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a teacher that tells left from right, trained on the subjects 1 to 3."""
    from amr_edge.cli import run

    torch.set_num_threads(1)
    project = tmp_path_factory.mktemp("teacher")
    wishes = [
        "prepare.frames=16", "encoder.width=32", "encoder.depth=3", "encoder.heads=2", "finetune.optim.epochs=40",
        "finetune.optim.lr=1e-3", "finetune.optim.batch=4", "finetune.full_share=0.5",
        "finetune.augment.crop=0.9", "finetune.dropout=0",
    ]  # fmt: skip
    command = ["finetune", f"--data={tiny_store.path}", "--split=loso:4", f"--project={project}", "--threads=1"]
    assert run([*command, *(f"--set={wish}" for wish in wishes)]) == 0
    return project / "finetune" / "amr-small-1"


@pytest.fixture
def teacher(taught: Path) -> Teacher:
    return open_teacher(RunFolder(taught).selected)


def recipe_for(teacher: Teacher, *wishes: str) -> Recipe:
    return override(student("small", teacher.card.prepare, teacher.card.persons), [*SHORT, *wishes])


def test_the_loss_is_the_one_worked_by_hand() -> None:
    # T = 2; the teacher's logits (2 ln 3, 0) soften to (3/4, 1/4), the student's (0, 0) to (1/2, 1/2):
    # KL = 3/4 ln(3/2) + 1/4 ln(1/2); the cross-entropy of (1/2, 1/2) is ln 2.
    wanted, answered = torch.tensor([[2 * math.log(3), 0.0]]), torch.zeros(1, 2)
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    loss = distill_loss(answered, wanted, torch.tensor([1]), DistillConfig(alpha=0.7, temperature=2.0))
    assert loss.item() == pytest.approx(0.7 * 4 * kl + 0.3 * math.log(2), rel=1e-6)


def test_a_student_that_answers_as_its_teacher_is_at_the_minimum() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    loss = distill_loss(logits, logits.detach(), torch.zeros(5, dtype=torch.int64), DistillConfig(alpha=1.0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_at_a_high_temperature_the_distance_is_that_of_the_centerd_logits() -> None:
    # Hinton et al. 2015, eq. 4: T^2 KL -> |z_s - z_t|^2 / (2 K) for logits of zero mean.
    torch.manual_seed(0)
    answered, wanted = torch.randn(3, 6), torch.randn(3, 6)
    answered, wanted = (z - z.mean(dim=1, keepdim=True) for z in (answered, wanted))
    expected = (answered - wanted).square().sum(dim=1).mean() / (2 * 6)
    labels = torch.zeros(3, dtype=torch.int64)
    for temperature, within in ((10.0, 0.2), (100.0, 0.02)):
        loss = distill_loss(answered, wanted, labels, DistillConfig(alpha=1.0, temperature=temperature))
        assert loss.item() == pytest.approx(expected.item(), rel=within)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), alpha=st.floats(0.01, 1.0), temperature=st.floats(0.5, 20.0))
def test_the_loss_is_never_negative_and_shifting_all_logits_changes_nothing(
    seed: int, alpha: float, temperature: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    answered, wanted = torch.randn(4, 5, generator=generator), torch.randn(4, 5, generator=generator)
    labels = torch.randint(-1, 5, (4,), generator=generator)
    config = DistillConfig(alpha=alpha, temperature=temperature)
    loss = distill_loss(answered, wanted, labels, config)
    assert loss.item() >= -1e-5
    assert distill_loss(answered + 3, wanted - 2, labels, config).item() == pytest.approx(loss.item(), abs=2e-3)


def test_a_clip_without_a_label_counts_by_its_teacher_alone() -> None:
    torch.manual_seed(0)
    answered, wanted, config = torch.randn(2, 3), torch.randn(2, 3), DistillConfig()
    none = distill_loss(answered, wanted, torch.tensor([-1, -1]), config)
    soft = distill_loss(answered, wanted, torch.tensor([0, 1]), DistillConfig(alpha=1.0))
    assert none.item() == pytest.approx(config.alpha * soft.item(), rel=1e-6)
    # Half of the batch labelled: half the weight of the labels, not all of it.
    one = distill_loss(answered, wanted, torch.tensor([2, -1]), config)
    hard = torch.nn.functional.cross_entropy(answered[:1], torch.tensor([2]))
    assert (one - none).item() == pytest.approx((1 - config.alpha) * hard.item() / 2, rel=1e-5)


@pytest.mark.parametrize(("name", "parameters"), [("small", 546_236), ("tiny", 208_124)])
def test_a_student_has_the_size_that_is_told(name: str, parameters: int) -> None:
    made = student(name, PrepareConfig(layout="ntu25", frames=120), 2)
    model = Classifier(Encoder(made.encoder, frames=120, joints=25), 60)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("frames", [16, 64, 120])
def test_a_student_fits_the_clips_of_both_recipes(name: str, frames: int) -> None:
    made = student(name, PrepareConfig(frames=frames), 1)
    assert made.prepare.frames == frames
    assert frames % made.encoder.patch_frames == 0


def test_a_teacher_whose_clip_the_patches_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="60"):
        student("small", PrepareConfig(frames=60), 1)
    with pytest.raises(ConfigError, match="tiny"):
        student("giant", PrepareConfig(), 1)


@pytest.mark.parametrize("change", [{"alpha": 0.0}, {"alpha": 1.1}, {"temperature": 0.0}, {"teacher_budget": 0.0}])
def test_a_distillation_cannot_hold_nonsense(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        DistillConfig(**change)


def make(store: Store, teacher: Teacher, folder: Path, *wishes: str, unlabelled: bool = False) -> RunFolder:
    run = run_in(folder)
    distill(job_of(store, teacher, run, *wishes, unlabelled=unlabelled))
    return run


def job_of(store: Store, teacher: Teacher, run: RunFolder, *wishes: str, unlabelled: bool = False) -> TrainJob[Recipe]:
    return TrainJob(
        store=with_teacher_classes(store, teacher, unlabelled=unlabelled),
        split="loso:4",
        masks=SplitMasks(train=store.subjects < 4, test=store.subjects == 4),
        recipe=recipe_for(teacher, *wishes),
        run=run,
        machine=CPU,
        seed=1,
        teacher=teacher,
        unlabelled=unlabelled,
    )


def same(one: Path, other: Path) -> bool:
    ours, theirs = load_weights(one)[0], load_weights(other)[0]
    return all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def relabelled(store: Store, seed: int) -> Store:
    return replace(store, labels=np.random.default_rng(seed).permutation(store.labels))


def test_without_labels_it_does_not_matter_what_they_say(tiny_store: Store, teacher: Teacher, tmp_path: Path) -> None:
    straight = make(tiny_store, teacher, tmp_path / "a", "distill.alpha=1", unlabelled=True)
    permuted = make(relabelled(tiny_store, 0), teacher, tmp_path / "b", "distill.alpha=1", unlabelled=True)
    nothing = replace(tiny_store, labels=np.full(len(tiny_store), -1))
    absent = make(nothing, teacher, tmp_path / "c", "distill.alpha=1", unlabelled=True)
    assert same(straight.last, permuted.last)
    assert same(straight.last, absent.last)
    # With labels they do matter, so the equality above says something.
    right = make(tiny_store, teacher, tmp_path / "d")
    wrong = make(relabelled(tiny_store, 0), teacher, tmp_path / "e")
    assert not same(right.last, wrong.last)


def test_alpha_1_ignores_labels_even_where_they_are_given(tiny_store: Store, teacher: Teacher, tmp_path: Path) -> None:
    right = make(tiny_store, teacher, tmp_path / "a", "distill.alpha=1")
    wrong = make(relabelled(tiny_store, 0), teacher, tmp_path / "b", "distill.alpha=1")
    assert same(right.last, wrong.last)


@pytest.mark.slow
def test_a_student_comes_to_answer_as_its_teacher(tiny_store: Store, teacher: Teacher, tmp_path: Path) -> None:
    words = with_teacher_classes(tiny_store, teacher, unlabelled=True)
    learned = tiny_store.subjects < 4
    run = make(
        tiny_store, teacher, tmp_path / "a", "finetune.optim.epochs=40", "finetune.optim.lr=1e-3",
        "finetune.optim.batch=4", "finetune.augment.crop=0.9", "finetune.full_share=0.5", "distill.alpha=1",
        "distill.teacher_budget=1", unlabelled=True,
    )  # fmt: skip
    model, card = load_classifier(run.last)
    after = compare(teacher, model, words, learned, CPU.device)
    assert after["agreement"] >= 0.9
    losses = [row["loss"] for row in run.results()]
    assert losses[-1] < 0.8 * losses[0]
    assert card.recipe["teacher_sha256"] == hashlib.sha256(teacher.path.read_bytes()).hexdigest()
    assert card.recipe["labels"] is False
    assert card.prepare == teacher.card.prepare
    assert card.patch_frames == 8
    assert teacher.card.patch_frames == 4


def test_the_teacher_may_look_at_a_part_of_the_clip(tiny_store: Store, teacher: Teacher, tmp_path: Path) -> None:
    whole = make(tiny_store, teacher, tmp_path / "a", "finetune.optim.epochs=1", "distill.teacher_budget=1")
    part = make(tiny_store, teacher, tmp_path / "b", "finetune.optim.epochs=1", "distill.teacher_budget=0.5")
    again = make(tiny_store, teacher, tmp_path / "c", "finetune.optim.epochs=1", "distill.teacher_budget=0.5")
    assert not same(whole.last, part.last)
    assert same(part.last, again.last)


def test_the_teacher_is_not_changed_by_teaching(tiny_store: Store, teacher: Teacher, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in teacher.model.state_dict().items()}
    make(tiny_store, teacher, tmp_path / "a", "finetune.optim.epochs=1")
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.model.state_dict().items())
    assert not [name for name, parameter in teacher.model.named_parameters() if parameter.grad is not None]


def test_labels_are_matched_by_name_and_not_by_number(tiny_store: Store, teacher: Teacher, tmp_path: Path) -> None:
    swapped = write_store(
        tmp_path / "swapped.npz",
        list(tiny_store),
        dataset="synthetic",
        terms="made",
        classes=("right", "other", "left"),
    )
    words = with_teacher_classes(swapped, teacher, unlabelled=False)
    assert words.classes == ("left", "right")
    assert np.array_equal(words.labels, tiny_store.labels)
    assert not np.array_equal(swapped.labels, tiny_store.labels)


def renamed(store: Store, path: Path) -> Store:
    made = [replace(recording, label="jump" if recording.label == "left" else "right") for recording in store]
    return write_store(path, made, dataset="synthetic", terms="made", classes=("jump", "right"))


def test_an_action_that_the_teacher_does_not_know_is_refused_unless_labels_are_not_looked_at(
    tiny_store: Store, teacher: Teacher, tmp_path: Path
) -> None:
    foreign = renamed(tiny_store, tmp_path / "foreign.npz")
    with pytest.raises(DataError, match=r"foreign\.npz: has the actions jump.*--unlabelled"):
        with_teacher_classes(foreign, teacher, unlabelled=False)
    words = with_teacher_classes(foreign, teacher, unlabelled=True)
    assert sorted(set(words.labels.tolist())) == [-1, 1]


def test_another_skeleton_or_unit_is_refused(tiny_store: Store, teacher: Teacher) -> None:
    with pytest.raises(LayoutError, match=r"coco17.*ntu25"):
        with_teacher_classes(replace(tiny_store, layout="coco17"), teacher, unlabelled=True)
    with pytest.raises(DataError, match="'px'"):
        with_teacher_classes(replace(tiny_store, units="px"), teacher, unlabelled=True)


def test_a_pre_trained_encoder_teaches_nothing(teacher: Teacher, tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_weights(path, teacher.model, replace(teacher.card, kind="encoder", classes=()))
    with pytest.raises(CardError, match="fine-tune"):
        open_teacher(path)


def test_what_the_teacher_has_seen_of_the_test_part_is_told(tiny_store: Store, teacher: Teacher) -> None:
    everyone = np.ones(len(tiny_store), dtype=bool)
    assert teacher_train_overlap(teacher, tiny_store, tiny_store.subjects == 4) == ()
    (warning,) = teacher_train_overlap(teacher, tiny_store, everyone)
    assert "24 of the 32" in warning


def test_a_resumed_distillation_ends_with_the_weights_of_the_uninterrupted_one(
    tiny_store: Store, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = make(tiny_store, teacher, tmp_path / "straight", "distill.teacher_budget=0.5")
    with monkeypatch.context() as patch:
        patch.setattr(Views, "batch", stopping(Views.batch, at=5))
        with pytest.raises(KeyboardInterrupt):
            make(tiny_store, teacher, tmp_path / "broken", "distill.teacher_budget=0.5")
    broken = RunFolder(tmp_path / "broken", quiet=True)
    assert len(broken.results()) == 1
    distill(replace(job_of(tiny_store, teacher, broken, "distill.teacher_budget=0.5"), resume=True))
    assert same(straight.last, broken.last)
    assert [row["loss"] for row in broken.results()] == [row["loss"] for row in straight.results()]


def stopping(real: Callable[..., object], at: int) -> Callable[..., object]:
    """`real`, until Ctrl-C is pressed in its call number `at`."""
    calls = 0

    def call(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return real(*arguments)

    return call


def order(taught: Path, project: Path, *more: str) -> list[str]:
    return ["distill", str(taught), f"--project={project}", "--threads=1", *(f"--set={wish}" for wish in SHORT), *more]


def test_the_command_learns_from_what_the_teacher_learned_from_and_says_what_to_type_next(
    taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(order(taught, tmp_path, "--student=tiny", "--alpha=0.5", "--temperature=2")) == 0
    said = capsys.readouterr()
    folder = tmp_path / "distill" / "tiny-1"
    assert f"next: amr-edge export {folder} --onnx" in said.out
    assert "answers as its teacher in" in said.out
    assert "(split loso:4)" in said.err
    config = json.loads((folder / "config.json").read_text())
    assert (config["recipe"]["distill"]["alpha"], config["recipe"]["distill"]["temperature"]) == (0.5, 2.0)
    assert json.loads((folder / "teacher.json").read_text())["clips"] == 8
    _, card = load_classifier(folder / "weights" / "best.safetensors")
    assert card.recipe["teacher"] == "amr-small"
    assert set(card.metrics) >= {"top1", "top5"}


def test_the_command_answers_in_json_from_a_checkpoint_without_a_label(
    taught: Path, tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = renamed(tiny_store, tmp_path / "foreign.npz")
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(RunFolder(taught).selected.read_bytes())
    command = [*order(alone, tmp_path), "--unlabelled", f"--data={foreign.path}", "--json"]
    assert cli.run(command) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["split"] == "all"
    assert "top1" not in answer
    assert answer["beside_the_teacher"]["clips"] == 32


@pytest.mark.parametrize(
    ("more", "code", "named"),
    [
        (["--unlabelled", "--alpha=0.5"], 2, "alpha"),
        (["--alpha=2"], 2, "distill.alpha"),
        (["--temperature=0"], 2, "distill.temperature"),
        (["--student=giant"], 2, "giant"),
        (["--set=prepare.frames=32"], 2, "sees what its teacher sees"),
        (["--set=encoder.patch_frames=5"], 2, "patch_frames"),
        (["--data=nowhere.npz"], 4, "nowhere.npz"),
    ],
)
def test_a_distillation_that_cannot_be_is_refused_before_it_makes_a_folder(
    more: list[str], code: int, named: str, taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(order(taught, tmp_path, *more)) == code
    assert named in capsys.readouterr().err
    assert not (tmp_path / "distill").exists()


def test_a_missing_teacher_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["distill", f"--project={tmp_path}"]) == 2
    assert "TEACHER" in capsys.readouterr().err
    assert cli.run(["distill", "nobody.safetensors", f"--project={tmp_path}"]) == 4
    assert "nobody.safetensors" in capsys.readouterr().err


def test_ctrl_c_ends_with_130_and_resuming_ends_as_if_it_had_not_been(
    taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(order(taught, tmp_path, "--name=straight")) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Views, "batch", stopping(Views.batch, at=5))
        assert cli.run(order(taught, tmp_path, "--name=broken")) == 130
    broken = tmp_path / "distill" / "broken-1"
    assert f"amr-edge distill --resume {broken}" in capsys.readouterr().err
    assert cli.run(["distill", f"--resume={broken}"]) == 0
    assert same(tmp_path / "distill" / "straight-1" / "weights" / "last.safetensors", RunFolder(broken).last)


def test_a_run_is_not_resumed_with_another_teacher(
    taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(order(taught, tmp_path)) == 0
    folder = tmp_path / "distill" / "small-1"
    stranger = RunFolder(folder).selected
    assert cli.run(["distill", str(stranger), f"--resume={folder}"]) == 4
    assert "is not the teacher" in capsys.readouterr().err
    assert cli.run(["train", f"--resume={folder}"]) == 2
    assert open_store(Path(json.loads((folder / "config.json").read_text())["data"])).content_hash
