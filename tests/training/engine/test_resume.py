"""Nothing is lost: interruption at any step, kills, full disks, losses that are not finite, time limits."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from amr_edge.card import Card
from amr_edge.errors import CheckFailedError, ConfigError, DataError, MissingError
from amr_edge.preprocess import PrepareConfig
from amr_edge.training.config import EncoderConfig, OptimizerConfig
from amr_edge.training.engine.checkpoint import read_tensors
from amr_edge.training.engine.checkpointing import MAX_LR_HALVINGS
from amr_edge.training.engine.device import RunOptions
from amr_edge.training.engine.distributed import DistributedContext
from amr_edge.training.engine.interrupts import Action, InterruptHandler, OutOfTimeError
from amr_edge.training.engine.optimizer import EmaWeights, build_optimizer, learning_rate
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.engine.train_state import Progress, read_progress, save_state
from amr_edge.training.engine.train_step import TrainStep, batches
from amr_edge.training.engine.trainer import Stage, train_loop
from amr_edge.training.models.transformer import Encoder

CPU = RunOptions(device=torch.device("cpu"))
SMALL = EncoderConfig(width=8, depth=2, heads=2)
CLIPS, BATCH, EPOCHS = 10, 4, 3
STEPS = EPOCHS * 3  # ten clips in batches of 4, 3 and 3
FOREVER = 1e9


class Killed(BaseException):
    """A process that ends here and now."""


def run_in(folder: Path) -> RunFolder:
    folder.mkdir(parents=True, exist_ok=True)
    return RunFolder(folder, quiet=True)


def toy(
    *,
    machine: RunOptions = CPU,
    before: Callable[[int], None] | None = None,
    bend: Callable[[Tensor], Tensor] | None = None,
    optim: Mapping[str, float] | None = None,
) -> Stage:
    """An encoder with drop-path that learns to stay near its noisy input; `before` is told the number of every step."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(SMALL, frames=8, joints=3)
        bodies = torch.randn(CLIPS, 8, 3, 3)
    encoder.set_drop_path(0.5)
    calls = 0

    def step(indices: np.ndarray, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        nonlocal calls
        if before is not None:
            before(calls)
        calls += 1
        noise = torch.from_numpy(rng.normal(size=(len(indices), 8, 3, 3))).float()
        body = bodies[indices] + noise
        features, _ = encoder(body, torch.ones(body.shape[:3], dtype=torch.bool))
        loss = (features + torch.rand(features.shape, generator=generator)).square().mean()
        return loss if bend is None else bend(loss)

    settings = {"epochs": EPOCHS, "batch": BATCH, "warmup": 0.0, "lr": 1e-2, "min_lr": 0.0, **(optim or {})}
    return Stage(
        title="test",
        module=encoder,
        encoder=encoder,
        step=step,
        saved=encoder,
        card=Card(name="t", kind="encoder", prepare=PrepareConfig()),
        clips=CLIPS,
        config=OptimizerConfig(**settings),  # type: ignore[arg-type]
        seed=3,
        machine=machine,
        judge=lambda: (float(encoder.embed.weight.detach().abs().sum()), {}),
    )


def outcome(run: RunFolder) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """All tensors of a run that has ended, and its rows without the time they took."""
    tensors = {f"last/{name}": t for name, t in load_file(run.last).items()}
    tensors |= {f"best/{name}": t for name, t in load_file(run.best).items()}
    tensors |= {f"state/{name}": t for name, t in load_file(run.state).items()}
    return tensors, [{k: v for k, v in row.items() if k != "seconds"} for row in run.results()]


def same(run: RunFolder, expected: tuple[dict[str, Tensor], list[dict[str, float]]]) -> bool:
    tensors, rows = outcome(run)
    return (
        tensors.keys() == expected[0].keys()
        and all(torch.equal(t, expected[0][name]) for name, t in tensors.items())
        and rows == expected[1]
    )


@cache
def uninterrupted(ema: float, accumulate: int) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    with TemporaryDirectory() as folder:
        run = run_in(Path(folder))
        train_loop(toy(machine=replace(CPU, accumulate=accumulate), optim={"ema": ema}), run)
        return outcome(run)


@settings(max_examples=25, deadline=None)
@given(
    at=st.lists(st.integers(0, STEPS - 1), min_size=1, max_size=3),
    how=st.sampled_from([signal.SIGINT, signal.SIGTERM, signal.SIGHUP, Killed, KeyboardInterrupt]),
    ema=st.sampled_from([0.0, 0.9]),
    accumulate=st.sampled_from([1, 2]),
    save_every_s=st.sampled_from([0.0, FOREVER]),
)
@pytest.mark.slow
def test_interrupted_at_any_step_and_resumed_a_run_ends_bit_for_bit_as_the_uninterrupted_one(
    at: list[int], how: object, ema: float, accumulate: int, save_every_s: float
) -> None:
    machine = replace(CPU, accumulate=accumulate, save_every_s=save_every_s)
    with TemporaryDirectory() as folder:
        run = run_in(Path(folder))
        for stop in at:

            def stopping(number: int, stop: int = stop * accumulate) -> None:
                if number == stop:
                    if isinstance(how, signal.Signals):
                        signal.raise_signal(how)
                    else:
                        raise how  # type: ignore[misc]

            try:
                train_loop(toy(machine=machine, before=stopping, optim={"ema": ema}), run, resume=True)
            except (KeyboardInterrupt, Killed):
                continue
            break  # it had finished before that step
        train_loop(toy(machine=machine, optim={"ema": ema}), run, resume=True)
        assert same(run, uninterrupted(ema, accumulate))
        assert not run.midway.exists()


def test_after_ctrl_c_a_resumed_run_goes_on_with_the_next_step_and_not_with_the_epoch(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    seen: list[int] = []

    def stopping(number: int) -> None:
        if number == 4:  # the second step of the second epoch
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_loop(toy(before=stopping), run)
    assert (read_progress(run.midway).epochs, read_progress(run.midway).steps) == (1, 2)
    train_loop(toy(before=seen.append), run, resume=True)
    assert len(seen) == STEPS - 5
    assert "resumed after epoch 1 of 3 and 2 steps" in (run.folder / "log.txt").read_text()


def test_the_handlers_of_ctrl_c_and_sigterm_are_given_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train_loop(toy(), run_in(tmp_path))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_ctrl_c_stops_at_once() -> None:
    with InterruptHandler(CPU, verbose=False) as watch:
        signal.raise_signal(signal.SIGINT)
        assert watch.next_action() is Action.STOP_NOW
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_clock_asks_for_a_save_and_then_for_the_end() -> None:
    now = 0.0
    machine = replace(CPU, save_every_s=10.0, time_limit_s=25.0, began_s=0.0)
    watch = InterruptHandler(machine, now=lambda: now)
    asked = []
    for second in range(0, 30, 5):
        now = second
        asked.append(watch.next_action())
        if asked[-1]:
            watch.mark_saved()
    assert asked == [
        Action.CONTINUE,
        Action.CONTINUE,
        Action.SAVE,
        Action.CONTINUE,
        Action.SAVE,
        Action.STOP_AT_TIME_LIMIT,
    ]


def test_a_time_limit_ends_with_exit_code_0_says_that_it_is_unfinished_and_loses_nothing(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    for steps in range(1, 4):
        with pytest.raises(OutOfTimeError, match=r"unfinished.*time limit.*resume") as stop:
            train_loop(toy(machine=replace(CPU, time_limit_s=1e-9)), run, resume=True)
        assert stop.value.exit_code == 0
        assert f"and {steps} steps" in str(stop.value) or steps == 3
    train_loop(toy(), run, resume=True)
    assert same(run, uninterrupted(0.0, 1))


KILLABLE = """
import importlib.util, sys
from dataclasses import replace
from pathlib import Path
spec = importlib.util.spec_from_file_location("toys", sys.argv[1])
toys = importlib.util.module_from_spec(spec)
sys.modules["toys"] = toys
spec.loader.exec_module(toys)
toys.torch.set_num_threads(1)
print("go", flush=True)
machine = replace(toys.CPU, save_every_s=0.0)
toys.train_loop(toys.toy(machine=machine, optim={"ema": 0.9}), toys.run_in(Path(sys.argv[2])), resume=True)
print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_with_kill_9_at_random_moments_a_run_ends_bit_for_bit_as_the_uninterrupted_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLABLE, __file__, str(tmp_path / "run")]
    rng = np.random.default_rng()  # another moment every time
    for patience_s in (*rng.uniform(0, 0.4, 3), 120.0):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
        said, complaint = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, complaint
    assert said == "done\n"
    assert same(RunFolder(tmp_path / "run"), uninterrupted(0.9, 1))


@pytest.mark.parametrize("call", range(5))
def test_a_full_disk_at_any_write_leaves_a_run_that_can_go_on_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    from amr_edge.training.engine import checkpoint

    run = run_in(tmp_path)
    (run.folder / "config.json").write_text('{"verb": "pretrain", "recipe": {}}')
    monkeypatch.setattr(RunFolder, "read_settings", lambda _: (None, {"verb": "pretrain"}))
    real, written = checkpoint.save_file, 0

    def disk_full(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
        nonlocal written
        written += 1
        if written == 3 + call:  # after the first weights and the first state
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real(tensors, path, metadata=metadata)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", disk_full)
        with pytest.raises(DataError, match=f"No space left.*free some space.*pretrain --resume {run.folder}"):
            train_loop(toy(), run)
    assert not list(run.folder.rglob("*.part"))
    train_loop(toy(), run, resume=True)
    assert same(run, uninterrupted(0.0, 1))


FILLED = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("toys", sys.argv[1])
toys = importlib.util.module_from_spec(spec)
sys.modules["toys"] = toys
spec.loader.exec_module(toys)
toys.torch.set_num_threads(1)
run = toys.run_in(Path(sys.argv[2]))
filler = run.folder / "filler"
def fill(number):
    if number == 4:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(512))
            except OSError:
                pass
try:
    toys.train_loop(toys.toy(before=fill), run)
except toys.DataError as refusal:
    print(refusal)
filler.unlink()
toys.train_loop(toys.toy(), run, resume=True)
expected = toys.uninterrupted(0.0, 1)
print("same" if toys.same(run, expected) else "other")
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full_leaves_the_last_good_state(tmp_path: Path) -> None:
    mounted = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=2m none "$0" && exec "$@"', str(tmp_path)]
    try:
        possible = subprocess.run([*mounted, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        possible = False
    if not possible:
        pytest.skip("a file system of our own cannot be mounted here (unshare -rm, tmpfs)")
    command = [*mounted, sys.executable, "-c", FILLED, __file__, str(tmp_path / "run")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    refusal, verdict = done.stdout.splitlines()
    assert "No space left" in refusal
    assert "free some space" in refusal
    assert verdict == "same"


def stumbling(run: RunFolder, epoch: int) -> Callable[[Tensor], Tensor]:
    """A loss that is not a number in an epoch, unless the learning rate has been halved."""

    def bend(loss: Tensor) -> Tensor:
        progress = read_progress(run.state)
        return loss * math.nan if progress.epochs == epoch and not progress.halvings else loss

    return bend


def test_a_loss_that_is_not_finite_goes_back_an_epoch_and_on_with_half_the_learning_rate(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    rows = train_loop(toy(bend=stumbling(run, 1)), run)
    rates = [row["lr"] for row in rows]
    config = toy().config
    assert rates == [learning_rate(3 * epoch + 2, 3, config) * (0.5 if epoch else 1) for epoch in range(EPOCHS)]
    assert read_progress(run.state).halvings == 1
    assert "epoch 1 with the learning rate times 0.5" in (run.folder / "log.txt").read_text()
    assert all(torch.isfinite(t).all() for t in load_file(run.last).values())


@settings(max_examples=8, deadline=None)
@given(at=st.integers(0, STEPS - 1), save_every_s=st.sampled_from([0.0, FOREVER]))
def test_a_run_that_recovered_resumes_exactly_too(at: int, save_every_s: float) -> None:
    machine = replace(CPU, save_every_s=save_every_s)
    with TemporaryDirectory() as folder:
        straight, broken = run_in(Path(folder) / "a"), run_in(Path(folder) / "b")
        train_loop(toy(bend=stumbling(straight, 1)), straight)

        def stopping(number: int) -> None:
            if number == at:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            train_loop(toy(machine=machine, before=stopping, bend=stumbling(broken, 1)), broken)
        train_loop(toy(machine=machine, bend=stumbling(broken, 1)), broken, resume=True)
        assert same(broken, outcome(straight))


def test_a_gradient_that_is_not_finite_in_the_very_last_step_is_noticed_before_it_is_saved(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    calls = 0

    def bend(loss: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        # The root of 0 has a finite value and an infinite slope.
        return loss + (loss - loss.detach()).clamp(min=0).sqrt() if calls == STEPS else loss

    train_loop(toy(bend=bend), run)
    assert read_progress(run.state).halvings == 1
    assert all(torch.isfinite(t).all() for t in load_file(run.state).values())


def test_a_loss_that_is_never_finite_is_given_up_with_the_last_good_weights(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with pytest.raises(
        CheckFailedError, match=rf"epoch 2.*halved {MAX_LR_HALVINGS} times.*epoch 1 are kept.*optim\.lr"
    ):
        train_loop(toy(bend=lambda loss: loss * (math.nan if read_progress(run.state).epochs else 1.0)), run)
    assert len(run.results()) == 1
    assert all(torch.isfinite(t).all() for t in load_file(run.last).values())


def test_no_better_judgement_for_as_many_epochs_as_patience_says_stops_also_after_a_resume(tmp_path: Path) -> None:
    def judged(stage: Stage) -> Stage:
        return replace(stage, judge=lambda: (0.5, {"validation_top1": 0.5}))

    optim = {"patience": 2, "epochs": 9}
    straight, broken = run_in(tmp_path / "a"), run_in(tmp_path / "b")
    assert len(train_loop(judged(toy(optim=optim)), straight)) == 3  # the first was the best, two more were no better

    def stopping(number: int) -> None:
        if number == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_loop(judged(toy(optim=optim, before=stopping)), broken)
    train_loop(judged(toy(optim=optim)), broken, resume=True)
    assert same(broken, outcome(straight))
    assert "optim.patience" in (broken.folder / "log.txt").read_text()
    assert len(train_loop(judged(toy(optim=optim)), broken, resume=True)) == 3  # it has ended and stays so


def test_patience_without_anybody_to_judge_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optim\.patience=2.*--validate"):
        train_loop(replace(toy(optim={"patience": 2}), judge=None), run_in(tmp_path))


def test_the_average_of_weights_is_what_is_judged_saved_and_left_in_the_module(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    stage = toy(optim={"ema": 0.99})
    judged: list[Tensor] = []

    def judge() -> tuple[float, dict[str, float]]:
        judged.append(stage.encoder.embed.weight.detach().clone())
        return 0.0, {}

    train_loop(replace(stage, judge=judge), run)
    state, last = load_file(run.state), load_file(run.last)
    assert torch.equal(last["embed.weight"], state["average/embed.weight"])
    assert torch.equal(last["embed.weight"], judged[-1])
    assert torch.equal(last["embed.weight"], stage.encoder.embed.weight)
    assert not torch.equal(last["embed.weight"], state["module/embed.weight"])


def test_the_average_of_a_weight_is_the_one_worked_by_hand() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)
    average = EmaWeights(module, 0.25)
    for step, value in enumerate((2.0, 4.0), start=1):
        with torch.no_grad():
            module.weight.fill_(value)
        average.update(step)
    # Decays of 2 / 11 after the first step and 1 / 4, the largest, after the second.
    first = 1.0 * 2 / 11 + 2.0 * 9 / 11
    assert float(average.tensors["weight"]) == pytest.approx(first * 0.25 + 4.0 * 0.75)
    with average.applied():
        assert float(module.weight.detach()) == pytest.approx(first * 0.25 + 4.0 * 0.75)
    assert float(module.weight.detach()) == 4.0


def test_the_state_keeps_the_name_that_earlier_versions_gave_its_micro_batches(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(module.parameters())
    save_state(tmp_path / "state.safetensors", module, optimizer, None, Progress(epochs=2, micro_batches=3))
    stored = json.loads(read_tensors(tmp_path / "state.safetensors")[1]["progress"])
    assert stored["pieces"] == 3
    assert "micro_batches" not in stored
    assert read_progress(tmp_path / "state.safetensors") == Progress(epochs=2, micro_batches=3)


def test_micro_batches_have_the_gradient_of_the_whole_batch() -> None:
    found = []
    for accumulate in (1, 2, 3, 7):
        stage = toy()
        module = stage.encoder.double()
        module.set_drop_path(0.0)
        bodies = torch.randn(CLIPS, 8, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

        def step(indices: np.ndarray, *_: object, module: Encoder = module, bodies: Tensor = bodies) -> Tensor:
            features, _ = module(bodies[indices], torch.ones(len(indices), 8, 3, dtype=torch.bool))
            return (features - 1).abs().mean()

        train_step = TrainStep(
            loss=step,
            module=module,
            optimizer=build_optimizer(module, module, stage.config),
            clip_norm=stage.config.clip_norm,
            options=replace(CPU, accumulate=accumulate),
            distributed=DistributedContext(),
        )
        loss, norm = train_step(np.array([0, 3, 4, 7, 9]), position=(0, 0, 0), lr=0.0)
        gradient = torch.cat([p.grad.reshape(-1) for p in module.parameters() if p.grad is not None])
        found.append((float(loss), float(norm), gradient))
    for loss, norm, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)  # the sum of losses is kept in float32
        assert norm == pytest.approx(found[0][1], rel=1e-12)
        torch.testing.assert_close(gradient, found[0][2], rtol=1e-10, atol=1e-14)


@given(clips=st.integers(1, 200), batch=st.integers(1, 60), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_an_epoch_sees_every_clip_once_in_batches_no_larger_than_asked(
    clips: int, batch: int, seed: int, epoch: int
) -> None:
    made = batches(clips, batch, seed, epoch)
    assert sorted(np.concatenate(made).tolist()) == list(range(clips))
    assert max(map(len, made)) <= batch
    assert min(map(len, made)) >= max(map(len, made)) - 1


def test_steps_of_an_epoch_do_not_share_their_randomness_with_its_order_or_each_other(tmp_path: Path) -> None:
    drawn: list[float] = []
    stage = toy()

    def step(indices: np.ndarray, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        drawn.extend((rng.random(), float(torch.rand((), generator=generator)), float(torch.rand(()))))
        return stage.encoder.embed.weight.sum()

    train_loop(replace(stage, step=step, machine=replace(CPU, accumulate=2)), run_in(tmp_path))
    assert len(drawn) == 3 * 2 * STEPS
    assert len(set(drawn)) == len(drawn)
    assert np.random.default_rng([3, 0]).random() not in drawn


def test_results_tell_the_loss_the_gradient_norm_and_the_learning_rate_of_every_epoch(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    train_loop(toy(), run)
    assert (run.folder / "results.csv").read_text().splitlines()[0] == "epoch,loss,grad_norm,lr,seconds"
    assert all(row["grad_norm"] > 0 for row in run.results())


def test_a_state_of_other_settings_is_refused_with_the_way_out(tmp_path: Path) -> None:
    from amr_edge.errors import ReadError

    run = run_in(tmp_path)
    train_loop(toy(optim={"epochs": 1}), run)
    with pytest.raises(ReadError, match=r"state\.safetensors.*settings it was started with"):
        train_loop(toy(optim={"ema": 0.9}), run, resume=True)


def test_a_resume_with_another_number_of_micro_batches_says_that_randomness_goes_on_differently(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    train_loop(toy(optim={"epochs": 1}), run)
    train_loop(toy(machine=replace(CPU, accumulate=2), optim={"epochs": 2}), run, resume=True)
    assert "1 parts before and are into 2 now" in (run.folder / "log.txt").read_text()


def test_tensorboard_takes_the_rows_or_is_missed_with_the_line_to_type(tmp_path: Path) -> None:
    from importlib.util import find_spec

    stage = toy(machine=replace(CPU, tensorboard=True), optim={"epochs": 1})
    if find_spec("tensorboard") is None:
        with pytest.raises(MissingError, match=r'pip install "amr-edge\[tensorboard\]"'):
            train_loop(stage, run_in(tmp_path))
    else:
        train_loop(stage, run_in(tmp_path))
        assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler warns of its own imports and of gradients it looks for
def test_a_compiled_run_learns_what_the_plain_one_learns(tmp_path: Path) -> None:
    plain, compiled = run_in(tmp_path / "a"), run_in(tmp_path / "b")
    stage = toy(machine=replace(CPU, compile=True), optim={"epochs": 1})
    stage.encoder.set_drop_path(0.0)
    train_loop(stage, compiled)
    if "no working compiler" in (compiled.folder / "log.txt").read_text():
        pytest.skip("there is no C++ compiler here")
    stage = toy(optim={"epochs": 1})
    stage.encoder.set_drop_path(0.0)
    train_loop(stage, plain)
    assert compiled.results()[0]["loss"] == pytest.approx(plain.results()[0]["loss"], rel=1e-4)
    assert asdict(read_progress(compiled.state)) | {"best": 0} == asdict(read_progress(plain.state)) | {"best": 0}
