"""What is handed out for devices: the service, the container recipes and the guide say what the commands know."""

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from amr_edge.cli import VERBS, amr_edge

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"


def test_the_service_is_a_unit_that_systemd_accepts(tmp_path: Path) -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("systemd-analyze is not installed: the unit cannot be verified")
    unit = (DEPLOY / "amr-edge-live.service").read_text(encoding="utf-8")
    # The one thing that this machine lacks is the installed program.
    unit = unit.replace("/opt/amr-edge/venv/bin/amr-edge", "/bin/true")
    (tmp_path / "amr-edge-live.service").write_text(unit, encoding="utf-8")
    done = subprocess.run(
        [analyse, "verify", "--man=no", str(tmp_path / "amr-edge-live.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "amr-edge-live" in line]
    assert said == []


def test_a_unit_with_a_mistake_would_be_found(tmp_path: Path) -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("systemd-analyze is not installed: the unit cannot be verified")
    (tmp_path / "bad.service").write_text("[Service]\nExecStart=/bin/true\nRestartSecs=5\n", encoding="utf-8")
    done = subprocess.run(
        [analyse, "verify", "--man=no", str(tmp_path / "bad.service")], capture_output=True, text=True, check=False
    )
    assert "RestartSecs" in done.stderr


def options_of(verb: str) -> set[str]:
    """Every option of a verb and its sub-commands, as typed."""
    with click.Context(amr_edge) as ctx:
        command = amr_edge.get_command(ctx, verb)
    assert command is not None
    commands = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    return {name for one in commands for option in one.params for name in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize(
    "path",
    [*sorted(DEPLOY.iterdir()), ROOT / "docs" / "jetson.md", ROOT / "docs" / "bench.md", ROOT / "docs" / "doctor.md"],
    ids=lambda path: path.name,
)
def test_every_command_that_is_written_exists_with_its_options(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    typed = re.findall(r"(?:^|[`/ ]|&& )amr-edge ((?:[a-z]+)\b[^\n`|;&]*)", text, re.MULTILINE)
    commands = [line for line in typed if line.split()[0] in VERBS]
    assert commands or path.suffix != ".md", path
    for line in commands:
        known = options_of(line.split()[0])
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", line):
            assert option in known, f"{path.name}: amr-edge {line}"


def test_every_line_of_the_guide_for_jetsons_says_whether_it_was_run() -> None:
    text = (ROOT / "docs" / "jetson.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        for line in block.splitlines():
            if line.startswith("$ "):
                assert re.search(r"# (needs|not run|tested)", line), line
