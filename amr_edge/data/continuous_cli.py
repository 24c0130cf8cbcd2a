"""`amr-edge data join` and `windows`: join clips into continuous recordings, cut those into training windows."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from amr_edge.data.continuous import JoinConfig, joined_by_subject, training_windows
from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store, write_store
from amr_edge.errors import ConfigError
from amr_edge.output_paths import check_outputs
from amr_edge.terminal import progress, to_json

_path = click.Path(path_type=Path)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed.")


def _writable(destination: Path, source: Path) -> None:
    if destination.suffix != ".npz":
        raise ConfigError(f"{destination}: expected a store to write that ends in .npz; choose such a name")
    if not destination.parent.is_dir():
        raise ConfigError(f"{destination}: there is no folder {destination.parent}; make it first")
    check_outputs({"the result": destination}, [source])


@click.command()
@click.argument("source", type=_path)
@click.argument("destination", type=_path)
@click.option(
    "--idle", nargs=2, type=float, default=(1.0, 3.0), show_default=True, help="Shortest and longest pause, seconds."
)
@click.option(
    "--longest", type=float, default=120.0, show_default=True, help="Approximate length of one recording, seconds."
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of passes over the clips, reshuffled each time.",
)
@_seed
@_json
def join(
    source: Path,
    destination: Path,
    idle: tuple[float, float],
    longest: float,
    rounds: int,
    seed: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Join the labelled clips of the store SOURCE into continuous recordings with idle time, subject by subject."""
    _writable(destination, source)
    store = open_store(source)
    config = JoinConfig(idle_s=idle, longest_s=longest)
    rng = np.random.default_rng(seed)
    acted_s = idle_s = 0.0
    actions = 0

    def joined() -> Iterator[Recording]:
        nonlocal acted_s, idle_s, actions
        for _ in range(rounds):
            with progress(store, label="joining", length=len(store)) as clips:
                for recording in joined_by_subject(clips, rng, config):
                    mine_s = sum(span.end_s - span.start_s for span in recording.spans)
                    acted_s, idle_s = acted_s + mine_s, idle_s + recording.duration_s - mine_s
                    actions += len(recording.spans)
                    yield recording

    made = write_store(destination, joined(), dataset=store.dataset, terms=store.terms, classes=store.classes)
    result = {
        "store": destination,
        "recordings": len(made),
        "actions": actions,
        "acted_minutes": round(acted_s / 60, 2),
        "idle_minutes": round(idle_s / 60, 2),
        "terms": made.terms,
    }
    if as_json:
        click.echo(to_json(result))
        return
    click.echo(
        f"{destination}: {len(made)} continuous recordings, {actions} actions in {acted_s / 60:.1f} minutes, "
        f"{idle_s / 60:.1f} minutes idle\nterms: {made.terms}\n"
        f"next: amr-edge data windows {destination} {destination.stem}_windows.npz"
    )


@click.command()
@click.argument("source", type=_path)
@click.argument("destination", type=_path)
@click.option("--window", type=float, default=2.1, show_default=True, help="Window length, seconds.")
@click.option("--stride", type=float, default=0.7, show_default=True, help="Seconds from one window to the next.")
@click.option("--none", "none_class", default="none", show_default=True, help="Name of the none class.")
@click.option("--none-share", type=float, default=0.2, show_default=True, help="Maximum share of none windows.")
@_seed
@_json
def windows(
    source: Path,
    destination: Path,
    window: float,
    stride: float,
    none_class: str,
    none_share: float,
    seed: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Cut the continuous recordings of SOURCE into labelled windows to train on; those without action are NONE."""
    _writable(destination, source)
    store = open_store(source)
    counts: Counter[str] = Counter()

    def chosen() -> Iterator[Recording]:
        for each in training_windows(
            lambda: store,
            np.random.default_rng(seed),
            window_s=window,
            stride_s=stride,
            none_class=none_class,
            none_share=none_share,
        ):
            counts[str(each.label)] += 1
            yield each

    named = [span.label for recording in store for span in recording.spans]
    known = dict.fromkeys((*store.classes, *sorted(named)))
    classes = (*(name for name in known if name != none_class), none_class)
    made = write_store(
        destination, chosen(), dataset=store.dataset, terms=store.terms, classes=classes, keep_unused=False
    )
    if as_json:
        click.echo(to_json({"store": destination, "windows": len(made), "clips": dict(sorted(counts.items()))}))
        return
    click.echo(
        f"{destination}: {len(made)} windows of {window:g} s, {counts[none_class]} of them '{none_class}', "
        f"{len(made.classes)} classes\nterms: {made.terms}\nnext: amr-edge train --data {destination}"
    )
