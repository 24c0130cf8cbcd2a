"""The one command: quick to start, one sentence for every refusal, exit codes that scripts can rely on."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from amr_edge import __version__, cli
from amr_edge.errors import AmrError, CheckFailedError, ConfigError, MissingError, ReadError

HEAVY = {"cv2", "matplotlib", "mediapipe", "numpy", "onnx", "onnxruntime", "safetensors", "scipy", "torch"}


def fresh(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in an interpreter of its own, then `code`."""
    program = f"import sys\nfrom amr_edge.cli import run\nstatus = run({list(arguments)!r})\n{code}\nsys.exit(status)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let the verb `try` do what the test says."""

    def teach(does: Callable[[], object]) -> None:
        command = click.Command("try", callback=does)
        monkeypatch.setitem(cli.VERBS, "try", (f"{__name__}:taught", "For this test."))
        module = type(sys)(__name__)
        module.taught = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, __name__, module)

    return teach


def test_help_lists_every_verb_with_its_line() -> None:
    done = fresh("--help")
    assert done.returncode == 0
    for name, (_, line) in cli.VERBS.items():
        assert name in done.stdout
        assert line.split()[0] in done.stdout
    assert "amr-edge demo" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["no-such-verb"]])
def test_the_overview_imports_nothing_heavy(arguments: list[str]) -> None:
    told = fresh(*arguments, code=f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)))")
    assert "heavy: []" in told.stdout


def test_the_overview_is_there_in_a_blink() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        fresh("--help")
        return time.perf_counter() - start

    # 0.3 s is the aim on an idle machine; a shared one gets three times that before it counts as slow.
    assert min(seconds() for _ in range(3)) < 0.9


def test_the_version_is_told() -> None:
    done = fresh("--version")
    assert (done.returncode, done.stdout) == (0, f"amr-edge, version {__version__}\n")


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "amr_edge", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"amr-edge, version {__version__}\n")


def test_an_unknown_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["dance"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "dance" in err


def test_an_unknown_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--colour"]) == 2
    assert "--colour" in capsys.readouterr().err


def test_a_verb_that_ends_well_ends_with_zero(verb: Callable[[Callable[[], object]], None]) -> None:
    verb(lambda: None)
    assert cli.run(["try"]) == 0


def test_a_verb_may_say_its_own_exit_code(verb: Callable[[Callable[[], object]], None]) -> None:
    verb(lambda: click.get_current_context().exit(1))
    assert cli.run(["try"]) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AmrError("expected this, got that"), 1),
        (CheckFailedError("expected this, got that"), 1),
        (ConfigError("expected this, got that"), 2),
        (MissingError("expected this, got that"), 3),
        (ReadError("expected this, got that"), 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_is_one_sentence_on_stderr_and_its_exit_code(
    verb: Callable[[Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
    error: AmrError,
    code: int,
) -> None:
    def refuse() -> None:
        raise error

    verb(refuse)
    assert cli.run(["try"]) == code
    assert capsys.readouterr() == ("", "amr-edge: expected this, got that\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort(), EOFError()], ids=lambda e: type(e).__name__)
def test_an_interruption_ends_with_130_and_no_traceback(
    verb: Callable[[Callable[[], object]], None], capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def stop() -> None:
        raise error

    verb(stop)
    assert cli.run(["try"]) == 130
    out, err = capsys.readouterr()
    assert not out
    assert err.strip() == "amr-edge: interrupted"


def test_a_file_that_is_not_there_is_named_and_ends_with_4(
    verb: Callable[[Callable[[], object]], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    verb(lambda: (tmp_path / "gone.npz").read_bytes())
    assert cli.run(["try"]) == 4
    err = capsys.readouterr().err
    assert str(tmp_path / "gone.npz") in err
    assert err.count("\n") == 1


def test_an_error_of_the_system_without_a_file_is_told_too(
    verb: Callable[[Callable[[], object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    verb(fail)
    assert cli.run(["try"]) == 4
    assert "No space left on device" in capsys.readouterr().err


def test_a_bug_is_called_a_bug_and_ends_with_1(
    verb: Callable[[Callable[[], object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb(lambda: {}["missing"])
    assert cli.run(["try"]) == 1
    err = capsys.readouterr().err
    assert "KeyError" in err
    assert "--debug" in err


@pytest.mark.parametrize(
    "error", [ReadError("x"), OSError(2, "x"), RuntimeError("x"), click.UsageError("x")], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("arguments", [["--debug", "try"], ["try", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_is_typed(
    verb: Callable[[Callable[[], object]], None], error: Exception, arguments: list[str]
) -> None:
    def fail() -> None:
        raise error

    verb(fail)
    with pytest.raises(type(error)):
        cli.run(arguments)


def test_a_table_entry_that_is_no_command_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.VERBS, "try", ("amr_edge.errors:AmrError", "For this test."))
    assert cli.run(["try"]) == 1
    with pytest.raises(TypeError, match="is no command"):
        cli.run(["--debug", "try"])


@pytest.mark.skipif(os.name != "posix", reason="a reader that goes away is a matter of POSIX pipes")
def test_a_reader_that_goes_away_is_no_error() -> None:
    program = (
        "import sys, click, types\n"
        "from amr_edge import cli\n"
        "def much():\n"
        "    for number in range(100_000): click.echo(number)\n"
        "sys.modules['much'] = types.SimpleNamespace(much=click.Command('much', callback=much))\n"
        "cli.VERBS['much'] = ('much:much', '')\n"
        "sys.argv = ['amr-edge', 'much']\n"
        "cli.main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as much:
        assert much.stdout is not None
        assert much.stderr is not None
        much.stdout.readline()
        much.stdout.close()
        complaint = much.stderr.read()
    assert complaint == b""
    assert much.returncode == 0


def test_a_label_that_the_terminal_cannot_show_is_written_escaped() -> None:
    environ = dict(os.environ, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    done = subprocess.run(
        [sys.executable, "-m", "amr_edge", "mode\u0142"], capture_output=True, text=True, check=False, env=environ
    )
    assert done.returncode == 2
    assert "mode\\u0142" in done.stderr
    assert "internal error" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="the shell closes the streams")
def test_closed_streams_do_not_end_a_command() -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec '{sys.executable}' -m amr_edge --version >&- 2>&-"], capture_output=True, check=False
    )
    assert done.returncode == 0
