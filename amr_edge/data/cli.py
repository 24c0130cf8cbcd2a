"""`amr-edge data`: convert recordings into a store, describe a store, check recordings before training on them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np

from amr_edge.data import convert as conversion
from amr_edge.data.continuous_cli import join, windows
from amr_edge.data.convert import facts_of
from amr_edge.data.quality_checks import KINDS, Duplicates, Finding, findings
from amr_edge.data.readers import FORMATS, Found, find, recordings, stored
from amr_edge.data.recording import Recording
from amr_edge.data.splits import available_splits
from amr_edge.data.store import Store, open_store
from amr_edge.errors import AmrError, CheckFailedError, ReadError
from amr_edge.terminal import note, progress, table, to_json

_SHOWN = 10  # sentences of one kind that are printed

_format = click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="Format of the files.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_path = click.Path(path_type=Path)


# Sub-command -> (module:command, one line): they need what runs on the device, which is above this module.
ABOVE: dict[str, tuple[str, str]] = {
    "record": ("amr_edge.runtime.record.cli:record", "Record takes of your own actions, from a camera or any source."),
    "make": ("amr_edge.runtime.record.cli:make", "Turn videos in folders named by action into a store."),
}


class _Data(click.Group):
    """A group of which some commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them."""
        return [*super().list_commands(ctx), *ABOVE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command if it lies above."""
        if cmd_name not in ABOVE:
            return super().get_command(ctx, cmd_name)
        module, _, name = ABOVE[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List them, importing none."""
        rows = [(name, command.get_short_help_str(80)) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl([*rows, *((name, line) for name, (_, line) in ABOVE.items())])


@click.group(cls=_Data, context_settings={"help_option_names": ["-h", "--help"]})
def data() -> None:
    """Convert, describe and check recordings."""


data.add_command(join)
data.add_command(windows)


def _bytes(count: float) -> str:
    """A size in readable units."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _read(found: Found, label: str, on_bad: Callable[[ReadError], None]) -> Iterator[Recording]:
    """The recordings that were found, with a progress bar over the files."""
    with progress(found.files, label=label, length=len(found.files)) as files:
        yield from recordings(found.reader, files, on_bad)


def _note_each(sentences: Sequence[str]) -> None:
    """The first sentences on stderr, then how many more there are."""
    for sentence in sentences[:_SHOWN]:
        note(sentence)
    if len(sentences) > _SHOWN:
        note(f"... and {len(sentences) - _SHOWN} more of this kind")


def store_facts(store: Store) -> dict[str, Any]:
    """Facts about a store, for JSON."""
    return asdict(facts_of(store))


def store_sentence(facts: dict[str, Any]) -> str:
    """Facts about a store in one sentence."""
    known = (f"{facts[name]} {name}" for name in ("classes", "subjects", "cameras") if facts[name])
    return (
        f"{facts['recordings']} recordings, {''.join(f'{each}, ' for each in known)}{facts['frames']} frames "
        f"at {facts['fps']:.4g} fps, {facts['layout']} in {facts['units']}, {_bytes(facts['bytes'])}"
    )


@data.command()
@click.argument("source", type=_path)
@click.argument("destination", type=_path)
@_format
@click.option("--skip-bad", is_flag=True, help="Leave out files and clips that cannot be read; each is reported.")
@click.option("--part", help="Keep only recordings of this official part, such as train or correct.")
@_json
def convert(
    source: Path,
    destination: Path,
    format_name: str,
    skip_bad: bool,  # noqa: FBT001
    part: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Read SOURCE, a file or folder, into the store DESTINATION (.npz)."""
    bad: list[ReadError] = []
    try:
        done = conversion.convert(
            source, destination, format=format_name, skip_bad=skip_bad, part=part, on_bad=bad.append
        )
    except AmrError:
        _note_each([str(refusal) for refusal in bad])
        raise
    if as_json:
        click.echo(to_json(done.to_dict()))
    else:
        click.echo(f"{destination}: {store_sentence(asdict(done.facts))}")
        click.echo(f"terms: {done.facts.terms}")
        click.echo(f"next: amr-edge data info {destination}")
    _note_each([f"left out: {sentence}" for sentence in done.left_out])
    if done.left_out:
        others = f", {done.other_parts} are of other parts" if done.other_parts else ""
        note(
            f"{len(done.left_out)} of {done.found} files or clips were left out because they cannot be read, "
            f"{done.facts.recordings} are in the store{others}"
        )
    _note_each([f"no person in any frame: {name}" for name in done.without_persons])
    if done.without_persons:
        note(f"{len(done.without_persons)} recordings in the store show no person in any frame")
    if done.other_files:
        names = ", ".join(path.name for path in done.other_files[:3]) + (", ..." if len(done.other_files) > 3 else "")
        note(f"{len(done.other_files)} other files are no recordings known here: {names}")


@data.command()
@click.argument("file", type=_path)
@_json
def info(file: Path, as_json: bool) -> None:  # noqa: FBT001
    """Describe the store FILE.

    Classes with their clips, subjects, lengths, official parts, and the splits to train with.
    """
    store = open_store(file)
    facts = store_facts(store)
    counts = np.bincount(store.labels[store.labels >= 0], minlength=len(store.classes)).tolist()
    lengths = (
        {
            name: float(value)
            for name, value in zip(("least", "median", "most"), np.percentile(store.lengths, (0, 50, 100)), strict=True)
        }
        if len(store)
        else {}
    )
    parts = Counter(part for each in store.parts for part in each)
    splits = available_splits(store)
    if as_json:
        click.echo(
            to_json(
                {
                    "store": file,
                    "dataset": store.dataset,
                    **facts,
                    "clips": dict(zip(store.classes, counts, strict=True)),
                    "lengths": lengths,
                    "parts": dict(sorted(parts.items())),
                    "splits": splits,
                    "sha256": store.content_hash,
                }
            )
        )
        return
    click.echo(f"{file}: {store.dataset}, {store_sentence(facts)}")
    rows: list[list[object]] = [["terms", store.terms]]
    if lengths:
        rows.append(["frames", f"{lengths['least']:.0f} to {lengths['most']:.0f}, median {lengths['median']:.0f}"])
    rows += [
        ["persons", f"at most {facts['persons']}"],
        ["unlabelled", str(facts["unlabelled"])],
        ["parts", ", ".join(f"{name} {count}" for name, count in sorted(parts.items())) or "none"],
        ["splits", ", ".join(splits)],
        ["sha256", store.content_hash],
    ]
    click.echo("\n".join(f"{name:<10}  {value}" for name, value in rows))
    if store.classes:
        click.echo("\n" + table(list(zip(store.classes, counts, strict=True)), ["class", "clips"]))
    click.echo(f"\nnext: amr-edge train --data {file} --split {splits[0]}")


@data.command()
@click.argument("source", type=_path)
@_format
@_json
def check(source: Path, format_name: str, as_json: bool) -> None:  # noqa: FBT001
    """Check the recordings in SOURCE before training.

    Lost or frozen joints, an odd scale, swapped sides, jumps in time, duplicates, unreadable files. Ends with 1
    if anything was found.
    """
    found = find(source, format_name)
    seen: list[Finding] = []
    duplicates = Duplicates()
    count = 0

    def unreadable(refusal: ReadError) -> None:
        seen.append(Finding("unreadable", str(refusal).partition(": ")[0], str(refusal)))

    for recording in _read(found, "checking", unreadable):
        count += 1
        seen.extend(findings(recording))
        seen.extend(duplicates.check(recording))
    names = {finding.source for finding in seen}
    kinds = Counter(finding.kind for finding in seen)
    if as_json:
        click.echo(
            to_json(
                {
                    "source": source,
                    "format": found.reader.NAME,
                    "files": len(found.files),
                    "recordings": count,
                    "found": {kind: kinds[kind] for kind in KINDS if kinds[kind]},
                    "findings": [finding._asdict() for finding in seen],
                }
            )
        )
    else:
        for kind in KINDS:
            each = [finding.sentence for finding in seen if finding.kind == kind]
            for sentence in each[:_SHOWN]:
                click.echo(sentence)
            if len(each) > _SHOWN:
                click.echo(f"... and {len(each) - _SHOWN} more of this kind ({kind}: {KINDS[kind]}); --json lists all")
        if seen:
            rows = [[kind, kinds[kind], KINDS[kind]] for kind in KINDS if kinds[kind]]
            click.echo("\n" + table(rows, ["finding", "count", "meaning"]))
    if seen:
        raise CheckFailedError(
            f"{source}: {len(seen)} findings in {len(names)} of {count + kinds['unreadable']} recordings; "
            "look at them before you train"
        )
    if not as_json:
        click.echo(f"{source}: nothing looks wrong in {count} recordings of {len(found.files)} files")
        if found.reader.NAME == stored.NAME:
            click.echo(f"next: amr-edge data info {found.files[0]}")
        else:
            click.echo(f"next: amr-edge data convert {source} {source.resolve().stem}.npz")
