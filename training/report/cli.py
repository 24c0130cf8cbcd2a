"""`amr-edge report`: parse, call one function, print."""

from pathlib import Path

import click

from amr_edge.optional_dependencies import require


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Page to write.  [default: report.html in the run, or here for several]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the same figures as JSON.")
def report(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Write one HTML page about RUNS: figures, curves, classes, worst clips, settings; several are compared."""
    require("train", "`amr-edge report`")
    from amr_edge.terminal import table, to_json
    from amr_edge.training.report.html_report import write_report
    from amr_edge.training.report.run_summary import compare

    path = out or (runs[0] if len(runs) == 1 else Path()) / "report.html"
    summaries = write_report(runs, path)
    if as_json:
        answer: dict[str, object] = {"report": path, "runs": [one.to_dict() for one in summaries]}
        if len(summaries) > 1:
            answer["against_the_first"] = compare(summaries)
        click.echo(to_json(answer))
        return
    rows = [
        (
            one.name,
            one.settings.get("split") or one.score.get("split", ""),
            f"{one.figures()['top1']:.4f}" if one.figures() else "-",
            one.figures().get("clips", "-"),
            one.score.get("epoch") or max((len(stage) for stage in one.stages.values()), default=0),
            f"{one.parameters / 1e6:.2f}",
            f"{one.seconds:.0f}",
        )
        for one in summaries
    ]
    click.echo(table(rows, ("run", "split", "top-1", "clips", "epoch", "M parameters", "seconds")))
    click.echo(f"written: {path}\nnext: open {path} in a browser; it needs no network")
