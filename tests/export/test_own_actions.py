"""The page on own actions is a walk that can be walked: what needs no camera is run, command by command."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from amr_edge.cli import run
from amr_edge.data.readers import jsonl
from amr_edge.data.recording import Recording
from amr_edge.skeleton import KINECT20

pytest.importorskip("torch", reason="fine-tuning needs torch")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-actions.md"


def somebody(label: str, seed: int, *, seconds: float = 3.0) -> Recording:
    """A body that waves an arm or goes up and down."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(round(seconds * 30)) / 30
    poses = np.zeros((1, len(times_s), 20, 3), dtype=np.float32)
    heights = {"pelvis": 1.0, "spine": 1.2, "upper_spine": 1.5, "head": 1.7}
    for place, joint in enumerate(KINECT20.joints):
        side = {"left": 0.2, "right": -0.2}.get(joint.partition("_")[0], 0.0)
        poses[0, :, place] = (side, heights.get(joint, 0.3 + 0.05 * place), 2.0)
    swing = np.sin(2 * np.pi * rng.uniform(0.9, 1.1) * times_s)[:, None]
    if label == "wave":
        arm = [KINECT20.index(f"right_{part}") for part in ("elbow", "wrist", "hand")]
        poses[0][:, arm, 0] += (0.3 * swing).astype(np.float32)
    else:
        poses[0, :, :, 1] += (0.25 * swing).astype(np.float32)
    poses += rng.normal(scale=0.004, size=poses.shape).astype(np.float32)
    return Recording(poses=poses, times_s=times_s, layout="kinect20", label=label, source=label)


@pytest.mark.slow
@pytest.mark.torch
def test_from_record_to_a_model_that_answers_by_the_commands_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl.write(Path("session.jsonl"), somebody("wave", 0, seconds=40))
    jsonl.write(Path("held-out.jsonl"), somebody("squat", 99))
    for number, label in enumerate(("wave", "squat")):
        (Path("VIDEOS") / label).mkdir(parents=True)
        for person in (1, 2, 3):
            jsonl.write(Path("VIDEOS") / label / f"P{person}.jsonl", somebody(label, 10 * number + person))
    assert run(["data", "convert", "VIDEOS", "others.npz"]) == 0
    tiny = [
        f"--set={setting}"
        for setting in ("encoder.depth=1", "encoder.width=32", "encoder.heads=2", "pretrain.optim.epochs=1")
    ]
    assert run(["pretrain", "--data", "others.npz", *tiny, "--name", "RUN", "--threads", "1"]) == 0
    (Path("runs") / "pretrain" / "RUN-1").rename("RUN")
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.removeprefix("$ amr-edge ") for block in blocks for line in block.splitlines()]
    walked = [line for line in lines if "# needs a camera" not in line and not line.startswith("pose fetch")]
    assert [line.split()[0] for line in walked] == ["data", "data", "finetune", "export", "live"]
    for line in walked:
        capfd.readouterr()
        assert run(shlex.split(line, comments=True)) == 0, line
        if line.startswith("data record"):
            assert "mine.npz: 10 takes added" in capfd.readouterr().out
            Path("mine.npz").unlink()
    answers = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (whole,) = [answer for answer in answers if answer["type"] == "recording"]
    # Twenty steps of a tiny encoder on four clips: that there is an answer is what is walked to, not that it is right.
    assert whole["answers"] >= 1
    assert (whole["label"] in ("squat", "wave"), whole["truth"]) == (True, "squat")
