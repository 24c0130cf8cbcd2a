"""`amr-edge doctor`: the checks of this machine on one screen, with a fix for each failing one."""

import os
import platform
import shutil
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from amr_edge.errors import MissingError
from amr_edge.output_paths import home_folder
from amr_edge.runtime.doctor import checks as examining
from amr_edge.runtime.doctor.checks import Check
from amr_edge.runtime.doctor.system_info import read_system_info
from amr_edge.runtime.hardware.machine import context
from amr_edge.runtime.live_defaults import camera_error
from amr_edge.terminal import note, to_json

_MARKS = {"ok": "ok     ", "warn": "warn   ", "bad": "BAD    ", "absent": "absent"}


@click.command()
@click.option("--need", metavar="pose,trt", help="Areas that must work; exit 3 if one does not.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Write a report for an issue: no pictures, no names.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(need: str | None, bundle: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Show what works on this machine and what does not, each failing line with its fix."""
    areas = examining.needed(need) if need is not None else ()
    if sys.stderr.isatty():
        note("checking this machine; packages are tried one by one, which takes some seconds")
    system = read_system_info(grab=partial(camera_error, 0) if "camera" in areas else None)
    checks = list(examining.examine(system))
    lacking = examining.missing(checks, areas)
    result = {
        "schema": 2,
        "kind": "amr-edge doctor",
        "needed": list(areas),
        "ok": not lacking,
        "checks": [check.to_dict() for check in checks],
        "context": context(),
    }
    names = examining.private_names(os.environ, home_folder(), platform.node())
    result = examining.without_names(result, names)
    if bundle is not None:
        packages = {name: system.installed[name] for name in sorted(system.installed)}
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_text(to_json({**result, "packages": packages}, indent=1) + "\n", encoding="utf-8")
        note(f"written: {bundle}; it holds no picture and no name, read it before you attach it")
    click.echo(to_json(result) if as_json else screen(checks, shutil.get_terminal_size((110, 24)).columns))
    if lacking:
        raise MissingError(
            f"{', '.join(check.name for check in lacking)} {'was' if len(lacking) == 1 else 'were'} requested and "
            f"{'does' if len(lacking) == 1 else 'do'} not work; {'; '.join(check.fix for check in lacking)}"
        )


def screen(checks: Sequence[Check], width: int) -> str:
    """The checks as lines of text, each failing one with its fix below."""
    wide = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        head = f"{_MARKS[check.state]:8} {check.name:{wide}}  "
        lines += textwrap.wrap(check.message, width, initial_indent=head, subsequent_indent=" " * len(head)) or [head]
        if check.fix:
            indent = " " * len(head)
            lines += textwrap.wrap(
                f"-> {check.fix}",
                width,
                initial_indent=indent,
                subsequent_indent=f"{indent}   ",
                break_on_hyphens=False,
            )
    counts = {state: sum(check.state == state for check in checks) for state in _MARKS}
    lines.append(
        f"{counts['ok']} ok, {counts['warn']} with a flaw, {counts['bad']} do not work, {counts['absent']} absent"
    )
    ready = any(check.area == "onnxruntime" and check.state == "ok" for check in checks)
    lines.append("next: amr-edge demo" if ready else "next: pip install onnxruntime")
    return "\n".join(lines)
