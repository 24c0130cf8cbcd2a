"""Several processes train what one trains: the same clips, the same curves, one writer, one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amr_edge.cli import run as amr_edge
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError
from amr_edge.training.engine.distributed import micro_batches, world
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.engine.train_step import batches

TINY = [
    "--split=xsub",
    "--set=prepare.frames=16",
    "--set=encoder.width=16",
    "--set=encoder.depth=2",
    "--set=encoder.heads=2",
    "--set=pretrain.pretext.decoder_depth=1",
    "--set=pretrain.optim.epochs=2",
    "--set=pretrain.optim.batch=8",
    "--set=finetune.optim.epochs=2",
    "--set=finetune.optim.batch=8",
    "--set=finetune.optim.ema=0.9",
    "--device=cpu",
    "--threads=1",
]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=900, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@given(
    clips=st.integers(1, 60), batch=st.integers(1, 20), size=st.integers(1, 5), accumulate=st.integers(1, 4),
    epoch=st.integers(0, 3),
)  # fmt: skip
def test_the_processes_share_an_epoch_with_no_clip_twice_and_none_missing(
    clips: int, batch: int, size: int, accumulate: int, epoch: int
) -> None:
    seen: list[int] = []
    for chosen in batches(clips, batch, 0, epoch):
        parts = [micro_batches(chosen, rank, size, accumulate) for rank in range(size)]
        seen += [int(clip) for part in parts for _, piece in part for clip in piece]
        numbers = [number for part in parts for number, _ in part]
        assert len(set(numbers)) == len(numbers)  # no two draw the same randomness
        assert max(numbers) < size * accumulate
        counts = [sum(len(piece) for _, piece in part) for part in parts]
        assert max(counts) - min(counts) <= 1
    assert sorted(seen) == list(range(clips))


@given(chosen=st.integers(1, 40), size=st.integers(1, 6))
def test_processes_cut_a_batch_as_one_process_with_as_many_micro_batches_does(chosen: int, size: int) -> None:
    alone = [(number, piece.tolist()) for number, piece in micro_batches(np.arange(chosen), 0, 1, size)]
    together = [
        (number, piece.tolist())
        for rank in range(size)
        for number, piece in micro_batches(np.arange(chosen), rank, size, 1)
    ]
    assert together == alone


def test_without_torchrun_a_process_is_alone_and_leads() -> None:
    assert world().size == 1
    assert world().is_main
    assert world().own(Path("runs")) == Path("runs")


def test_several_processes_that_cannot_meet_are_refused_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigError, match="torchrun --nproc-per-node"):
        world.__wrapped__()


@pytest.mark.slow
def test_two_processes_under_torchrun_learn_what_one_learns_and_one_of_them_writes(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", f"--data={tiny_store.path}", *TINY, "--json"]
    done = torchrun("-m", "amr_edge", *arguments, f"--project={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    assert amr_edge([*arguments, f"--project={tmp_path / 'one'}", "--accumulate=2"]) == 0
    alone = json.loads(capsys.readouterr().out)
    two = json.loads(done.stdout)  # one answer, not two
    assert [path.name for path in (tmp_path / "two" / "train").iterdir()] == ["amr-small-1"]
    assert two["top1"] == alone["top1"]
    for stage in ("", "pretrain"):
        curves = []
        for answer in (alone, two):
            rows = RunFolder(Path(answer["run"]) / stage).results()
            curves.append([[row[name] for name in ("loss", "grad_norm", "lr")] for row in rows])
        assert len(curves[0]) == 2
        # The same sums of the same numbers; only the order in which a sum is taken may differ.
        np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)
    log = (Path(two["run"]) / "log.txt").read_text().splitlines()
    assert len(log) == len((Path(alone["run"]) / "log.txt").read_text().splitlines())


SCRIPT = """
import importlib.util, os, sys
from dataclasses import replace
from pathlib import Path
spec = importlib.util.spec_from_file_location("toys", sys.argv[1])
toys = importlib.util.module_from_spec(spec)
sys.modules["toys"] = toys
spec.loader.exec_module(toys)
from amr_edge.training.engine.distributed import world
toys.torch.set_num_threads(1)

def still(stage):
    "A step without randomness, whose loss is a mean over clips."
    bodies = toys.torch.randn(toys.CLIPS, 8, 3, 3, generator=toys.torch.Generator().manual_seed(1))
    stage.encoder.set_drop_path(0.0)
    def step(indices, rng, generator):
        body = bodies[indices]
        features, _ = stage.encoder(body, toys.torch.ones(body.shape[:3], dtype=toys.torch.bool))
        return (features - 1).square().mean()
    return replace(stage, step=step)

run = toys.run_in(world().own(Path(sys.argv[2])))
toys.train_loop(still(toys.toy(optim={"clip_norm": 0.5})), run)
if world().size > 1:  # and then one of them fails
    def fail(number):
        if number == 4 and world().rank == 1:
            raise toys.DataError("clip 7 is damaged")
    try:
        toys.train_loop(toys.toy(before=fail), toys.run_in(world().own(Path(sys.argv[2] + "-failing"))))
    except toys.DataError as refusal:
        print("amr-edge:", refusal, file=sys.stderr)
        sys.exit(4)
"""


@pytest.mark.slow
def test_the_same_global_batch_has_the_same_loss_curve_and_a_failure_of_one_ends_all_with_one_sentence(
    tmp_path: Path,
) -> None:
    toys = str(Path(__file__).with_name("test_resume.py"))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = torchrun(str(script), toys, str(tmp_path / "two"))
    alone = subprocess.run(
        [sys.executable, str(script), toys, str(tmp_path / "one")], check=False, capture_output=True, text=True
    )
    assert alone.returncode == 0, alone.stderr
    alone_rows, two_rows = (RunFolder(tmp_path / name).results() for name in ("one", "two"))
    assert len(alone_rows) == 3
    # AdamW makes full steps of gradients that are all but zero, so what was rounded otherwise grows in the norm first.
    for name, tolerance in (("loss", 1e-5), ("grad_norm", 1e-3)):
        np.testing.assert_allclose([row[name] for row in two_rows], [row[name] for row in alone_rows], rtol=tolerance)
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if line.startswith("amr-edge:")]
    assert ours == ["amr-edge: clip 7 is damaged"]
    assert len(RunFolder(tmp_path / "two-failing").results()) == 1
