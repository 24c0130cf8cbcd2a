"""The command line `amr-edge VERB`; a verb's module is imported when it is called."""

import io
import os
import sys
from difflib import get_close_matches
from importlib import import_module

import click

from amr_edge import __version__
from amr_edge.errors import AmrError, DataError
from amr_edge.terminal import terminable

# Verb -> (module:command, one line for the overview).
VERBS: dict[str, tuple[str, str]] = {
    "demo": (
        "amr_edge.export.demo.cli:demo",
        "Run the bundled model on a synthetic person; --train trains one from scratch.",
    ),
    "data": ("amr_edge.data.cli:data", "Convert, describe and check recordings."),
    "pretrain": (
        "amr_edge.training.cli:pretrain",
        "Pre-train an encoder on recordings without labels (AMR).",
    ),
    "finetune": ("amr_edge.training.cli:finetune", "Fine-tune a pre-trained encoder on labelled actions."),
    "train": ("amr_edge.training.cli:train", "Pre-train, fine-tune and evaluate in one run."),
    "distill": ("amr_edge.training.cli:distill", "Train a small student model on a larger model's outputs."),
    "probe": (
        "amr_edge.training.cli:probe",
        "Evaluate a frozen encoder by a linear probe and nearest neighbours.",
    ),
    "fuse": ("amr_edge.training.cli:fuse", "Average the predictions of several runs: joint, bone and motion streams."),
    "asma": (
        "amr_edge.training.asma.cli:asma",
        "Pre-train two masked encoders, align a teacher, distill a light student (ASMa).",
    ),
    "report": ("amr_edge.training.report.cli:report", "Write an HTML report of a run, or a comparison of several."),
    "evaluate": ("amr_edge.export.cli:evaluate", "Evaluate the accuracy of a run or an exported model on a split."),
    "export": ("amr_edge.export.cli:export", "Export to ONNX or TensorRT and verify the accuracy on real clips."),
    "reproduce": (
        "amr_edge.export.demo.reproduce_rehab8:reproduce",
        "Reproduce the bundled model from the raw files of its data.",
    ),
    "calibrate": (
        "amr_edge.runtime.calibration.cli:command",
        "Fit temperature and thresholds for a number of false positives per hour.",
    ),
    "live": (
        "amr_edge.runtime.cli:live",
        "Recognise actions in recordings, video or cameras; predictions as JSON lines.",
    ),
    "bench": ("amr_edge.runtime.cli:bench", "Measure a model's latency on this machine."),
    "doctor": (
        "amr_edge.runtime.cli:doctor",
        "Check this machine: packages, engines, devices; a fix for each problem.",
    ),
    "pose": ("amr_edge.runtime.cli:pose", "Download the pose model that video and cameras need."),
    "model": ("amr_edge.runtime.cli:model", "Show the card of a model file."),
}

# Other spellings of a verb.
ALIASES = {"distil": "distill"}


class Verbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The verbs in the order of `VERBS`."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of a verb; suggest the nearest one for an unknown verb."""
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in VERBS:
            close = get_close_matches(cmd_name, VERBS, n=1)
            if close:
                ctx.fail(f"there is no command '{cmd_name}'; did you mean '{close[0]}'?")
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is no command")
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; end quietly when the reader of stdout is gone, as with `head`."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Caught here because click ends the process with 1; stdout must not be flushed again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="amr-edge")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def amr_edge(debug: bool) -> None:  # noqa: FBT001
    """Skeleton action recognition: train on recordings, export a verified model, recognise live.

    Start with `amr-edge demo`.
    """
    _ = debug  # read in `run`, which must know it even when parsing fails


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; every error is one sentence on stderr."""
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        with terminable():
            result = amr_edge.main(args=arguments, prog_name="amr-edge", standalone_mode=False)
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("amr-edge: interrupted", err=True)
        return 130
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as wrong:
        if debug:
            raise
        wrong.show()
        return 2
    except AmrError as refusal:
        if debug:
            raise
        click.echo(f"amr-edge: {refusal}", err=True)
        return refusal.exit_code
    except OSError as refusal:
        if debug:
            raise
        where = f" ({refusal.filename})" if refusal.filename else ""
        click.echo(
            f"amr-edge: {refusal.strerror or refusal}{where}; check the path, the rights and the free space",
            err=True,
        )
        return DataError.exit_code
    except Exception as bug:
        if debug:
            raise
        click.echo(
            f"amr-edge: internal error: {type(bug).__name__}: {bug}; please report it with its "
            "`--debug` traceback and the report of `amr-edge doctor --bundle report.json`",
            err=True,
        )
        return 1
    return result if isinstance(result, int) else 0


def prepare_streams() -> None:
    """Let no character and no closed stream end a command.

    A label that the terminal's encoding lacks is written escaped; a stream that is closed, as a daemon's or pythonw's
    are, takes what is written to it to nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """The console script."""
    # Spinning OpenMP threads starve other processes; the variable must be set before torch or MediaPipe load.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    prepare_streams()
    sys.exit(run(sys.argv[1:]))
