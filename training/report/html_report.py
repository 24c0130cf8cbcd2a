"""One page about one run, or about several beside each other."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

from amr_edge.data.store import open_store
from amr_edge.errors import AmrError, ConfigError
from amr_edge.training.engine.run_folder import RunFolder
from amr_edge.training.report import html
from amr_edge.training.report.plots import (
    SERIES,
    budget_figure,
    columns,
    confusion_figure,
    curve_figure,
    per_class_figure,
)
from amr_edge.training.report.reconstruction_plots import draw_reconstruction
from amr_edge.training.report.run_summary import HEADLINE, Answer, RunSummary, compare, flat, read_run, usual, wilson
from amr_edge.training.report.skeleton_plots import as_strip, draw_strips, wrong_title

PAIRS, FILES = 12, 60  # rows of the longest tables


def _draw_worst(summary: RunSummary) -> str:
    """Draw the worst clips of a run that has no picture of them; what hinders it, or "" if it is there."""
    path = summary.folder / "worst_clips.png"
    if not summary.worst() or path.with_suffix(".svg").exists():
        return ""
    data = Path(str(summary.settings.get("data", "")))
    if summary.card is None or not summary.settings.get("data"):
        return "They are drawn in the reports of the runs that this one is made of."
    if not data.is_file():
        return f"The clips cannot be drawn: the recordings ({data.name or 'unknown'}) are not where the run had them."
    try:
        store = open_store(data)
        place = {name: index for index, name in enumerate(store.names)}
        strips = [
            as_strip(
                store,
                place[a.clip],
                summary.card.prepare,
                summary.card.persons,
                wrong_title(a.truth, a.answer, a.prob, a.clip),
            )
            for a in summary.worst()
            if a.clip in place
        ]
    except AmrError as cause:
        return f"The clips cannot be drawn: {cause}"
    draw_strips(strips, path)
    return "" if strips else f"The clips cannot be drawn: {data.name} does not hold them any more."


def write_report(folders: Sequence[Path], path: Path) -> list[RunSummary]:
    """Write one self-contained HTML page about runs, and return what was read of them.

    Args:
        folders: RunFolder folders, one or several to be compared.
        path: Where the page goes; links in it are relative to its folder.

    Raises:
        ReadError: If a folder is no run, or a file in it is damaged.
        ConfigError: If no run is named, or one twice.
    """
    if not folders or len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("a report is about one run or several different ones; name each folder once")
    runs = [read_run(folder) for folder in folders]
    if len(runs) == 1:
        title, body = runs[0].name, _run_page(runs[0], path)
    else:
        title, body = f"{len(runs)} runs compared", _comparison(runs, path)
    page = Template(files("amr_edge.training.report").joinpath("report.html").read_text(encoding="utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(page.substitute(title=html.text(title), body=body), encoding="utf-8")
    part.replace(path)
    return runs


def write_page(run: RunFolder) -> None:
    """Write the page of one run into its folder."""
    write_report([run.folder], run.folder / "report.html")


def _which_epoch(summary: RunSummary) -> str:
    by = str(summary.score.get("epoch_chosen_by", "last"))
    if summary.score.get("epoch") is None:
        return by if "epoch_chosen_by" in summary.score else "each fold's own"
    how = "the last, fixed in advance" if by == "last" else f"chosen by {by}"
    return f"epoch {summary.score.get('epoch')}, {how}"


def _headline(summary: RunSummary) -> str:
    tiles = []
    figures = summary.figures()
    if figures:
        clips, top1 = int(figures["clips"]), figures["top1"]
        low, high = wilson(top1, clips)
        tiles.append(
            html.tile(
                html.percent(top1),
                f"top-1 of {clips} test clips; 95 % interval {html.percent(low)} to {html.percent(high)}",
            )
        )
        if summary.score.get("copies"):
            rest = f"top-1 without {summary.score['copies']} clips that duplicate training recordings"
            tiles.append(html.tile(html.percent(summary.score.get("top1_without_copies")), rest))
        if "mean_class" in figures:
            tiles.append(html.tile(html.percent(figures["mean_class"]), f"mean over {len(summary.classes)} classes"))
        if "top5" in figures:
            tiles.append(html.tile(html.percent(figures["top5"]), "top-5"))
        done = str(len(list(summary.stages.values())[-1])) if summary.stages else "–"
        tiles.append(html.tile(done, f"epochs; reported is {_which_epoch(summary)}"))
    elif summary.stages:
        stage, rows = list(summary.stages.items())[-1]
        if rows:
            tiles.append(html.tile(f"{rows[-1].get('loss', math.nan):.4f}", f"loss of {stage}, epoch {len(rows)}"))
    already_reported = list(summary.stages)[-1:] if tiles else []
    for stage, rows in summary.stages.items():
        if stage in already_reported:
            continue
        tiles.append(html.tile(f"{len(rows)}", f"epochs of {stage}, of {summary.epochs.get(stage, len(rows))}"))
    if summary.seconds:
        tiles.append(html.tile(html.seconds(summary.seconds), "of training"))
    if summary.parameters:
        tiles.append(html.tile(f"{summary.parameters / 1e6:.2f} M", "parameters"))
    return f'<div class="figures">{"".join(tiles)}</div>'


def _about(summary: RunSummary) -> str:
    """One sentence: what was done on what."""
    data = summary.card.data if summary.card else {}
    name = data.get("name") or Path(str(summary.settings.get("data", ""))).name or "several runs"
    parts = [f"{name}, split {summary.settings.get('split', summary.score.get('split'))}"]
    if data.get("train_clips"):
        parts.append(f"{data['train_clips']} clips to learn from")
    if "seed" in summary.settings:
        parts.append(f"seed {summary.settings['seed']}")
    if summary.settings.get("validate"):
        parts.append(f"validation subjects {summary.settings['validate']}")
    return ", ".join(parts)


def _curves(runs: Sequence[RunSummary]) -> str:
    """Every stage's curves, those of several runs in one picture."""
    parts = []
    for stage in dict.fromkeys(stage for summary in runs for stage in summary.stages):
        rows = {summary.name: summary.stages[stage] for summary in runs if summary.stages.get(stage)}
        if not rows:
            continue
        colors = {summary.name: index for index, summary in enumerate(runs)}
        names = columns([row for each in rows.values() for row in each])
        pictures = "".join(
            f"<figure>{html.drawn(curve_figure(name, rows, stage, colors), f'{stage}: {name} over epochs')}</figure>"
            for name in names
        )
        parts.append(f'<h3>{html.text(stage[:1].upper() + stage[1:])}</h3><div class="curves">{pictures}</div>')
    return "".join(parts)


def _scored(summary: RunSummary) -> str:
    """Per class, confusion and worst clips."""
    if not summary.answers:
        return ""
    rows = summary.per_class()
    size = "own" if len(summary.classes) > 40 else "large" if len(summary.classes) > 12 else "fits"
    bars = html.drawn(per_class_figure(rows), "accuracy by class", "wide" if len(rows) > 40 else "bars")
    parts = ["<h2>Class by class</h2>", f'<div class="box">{bars}</div>']
    pairs = summary.confused()
    parts.append("<h2>What is taken for what</h2>")
    if pairs:
        parts.append(html.table(("done", "answered", "clips"), pairs[:PAIRS], numeric=(2,)))
        if len(pairs) > PAIRS:
            parts.append(f"<p class=quiet>and {len(pairs) - PAIRS} more pairs</p>")
    matrix = confusion_figure(summary.confusion(), summary.classes, "")
    parts.append(f'<div class="box">{html.drawn(matrix, "confusion matrix", size)}</div>')
    parts.append("<h2>Most confidently wrong</h2>")
    if not summary.worst():
        return "".join([*parts, "<p>Every test clip was predicted rightly.</p>"])
    hindered = _draw_worst(summary)
    picture = html.stored(summary.folder / "worst_clips.png", "the worst clips as stick figures")
    return "".join(
        [
            *parts,
            picture or html.table(Answer._fields, summary.worst(), (3,)),
            f"<p class=quiet>{html.text(hindered)}</p>",
        ]
    )


def _more(summary: RunSummary) -> str:
    """Further contents of score.json: folds, fused runs, neighbours, label subsets."""
    parts, rows = [], []
    for key, value in summary.score.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            header = tuple(dict.fromkeys(name for item in value for name in item))
            table = [tuple(_brief(item.get(name, "")) for name in header) for item in value]
            numeric = [
                i for i, name in enumerate(header) if all(isinstance(item.get(name), int | float) for item in value)
            ]
            parts.append(
                f"<h2>{html.text(key.replace('_', ' ').capitalize())}</h2>{html.table(header, table, numeric)}"
            )
        elif isinstance(value, dict):
            rows += [(f"{key} {name}", _brief(item)) for name, item in flat(value).items()]
        elif key not in (*HEADLINE, "clips", "epoch", "epoch_chosen_by", "split", "seed", "run") and value is not None:
            rows.append((key, _brief(value)))
    more = [(name.replace("_", " "), value) for name, value in rows]
    return "".join([*parts, f"<h2>More figures</h2>{html.table(('', ''), more)}" if more else ""])


def _brief(value: object) -> object:
    """A value for a table; of a path its end, because folders above are private."""
    if isinstance(value, str) and "/" in value and not value.startswith("http"):
        return "/".join(value.rsplit("/", 2)[-2:])
    return value


def _reconstructed(summary: RunSummary) -> str:
    """Figure of pre-training inputs and predictions; drawn now where the run's state is newer than its picture."""
    stage = RunFolder(summary.folder if summary.verb == "pretrain" else summary.folder / "pretrain")
    drawn = stage.folder / "reconstruction.svg"
    if not stage.state.is_file():
        return ""
    body = ""
    if not drawn.exists() or drawn.stat().st_mtime < stage.state.stat().st_mtime:
        try:
            made, settings = RunFolder(summary.folder, quiet=True).read_settings()
            draw_reconstruction(stage, made, settings)
        except AmrError as cause:
            body = (
                f"<p class=quiet>{'From an earlier epoch' if drawn.exists() else 'Not drawn'}: {html.text(cause)}</p>"
            )
    picture = html.stored(drawn, "masked input, prediction, target and focal weights")
    return f"<h2>What pre-training sees and predicts</h2>{body}{picture}"


def _budget(summary: RunSummary) -> str:
    points = summary.card.budget_curve if summary.card else ()
    if not points:
        return ""
    rows = [(html.percent(p.share), p.tokens, f"{p.macs / 1e6:.1f}", html.percent(p.top1)) for p in points]
    table = html.table(("budget", "tokens", "M MACs", "top-1"), rows, numeric=(0, 1, 2, 3))
    drawn = f'<div class="box">{html.drawn(budget_figure([asdict(p) for p in points]), "top-1 by token budget")}</div>'
    return f"<h2>Accuracy by token budget</h2>{drawn if len(points) > 1 else ''}{table}"


def _teacher(summary: RunSummary) -> str:
    if not summary.beside:
        return ""
    rows = [(str(key).replace("_", " "), value) for key, value in summary.beside.items()]
    return f"<h2>Beside its teacher</h2>{html.table(('', ''), rows, (1,))}"


def _settings(summary: RunSummary) -> str:
    if not summary.recipe:
        return ""
    chosen = [(c.field, c.usual, c.here) for c in summary.changes if not c.fitted]
    fitted = [(c.field, c.here) for c in summary.changes if c.fitted]
    name = summary.recipe.get("name")
    parts = [f"<h2>Settings</h2><p>Recipe <b>{html.text(name)}</b>"]
    known = usual(summary.verb, summary.recipe) is not None
    parts.append(", changed in:</p>" if chosen else ", nothing changed.</p>" if known else ".</p>")
    if chosen:
        parts.append(html.table(("setting", "recipe", "this run"), chosen))
    if fitted:
        body = ", ".join(f"{field.partition('.')[2] or field} {value}" for field, value in fitted)
        parts.append(f"<p class=quiet>Taken from the data: {html.text(body)}.</p>")
    return "".join(parts)


def _environment(summary: RunSummary) -> str:
    command = summary.environment.get("command")
    rows = [(key.replace("_", " "), value) for key, value in summary.environment.items() if key != "command" and value]
    body = f"<p><code>{html.text(command)}</code></p>" if command else ""
    return f"<h2>Made by</h2>{body}{html.table(('', ''), rows)}" if rows or body else ""


def _links(summary: RunSummary, page: Path) -> str:
    """The files of the run, as links relative to the page."""
    found = sorted(p for p in summary.folder.rglob("*") if p.is_file() and p.resolve() != page.resolve())
    rows = []
    for file in found[:FILES]:
        address = quote(Path(os.path.relpath(file, page.parent)).as_posix())
        size = file.stat().st_size
        body = f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.1f} kB"
        rows.append(
            (
                html.Markup(
                    f'<a href="{html.text(address)}">{html.text(file.relative_to(summary.folder).as_posix())}</a>'
                ),
                body,
            )
        )
    more = f"<p class=quiet>and {len(found) - FILES} more</p>" if len(found) > FILES else ""
    return f"<h2>Files</h2>{html.table(('file', 'size'), rows, (1,))}{more}"


def _notes(summary: RunSummary) -> str:
    unfinished = [
        f"{stage} has {len(rows)} of {summary.epochs[stage]} epochs: the run was interrupted or stopped early"
        for stage, rows in summary.stages.items()
        if len(rows) < summary.epochs.get(stage, 0)
    ]
    return "".join(f'<p class="note">{html.text(note)}</p>' for note in [*unfinished, *summary.notes])


def _run_page(summary: RunSummary, page: Path) -> str:
    """Everything about one run."""
    return "\n".join(
        [
            f"<h1>{html.text(summary.name)}</h1><p class=quiet>{html.text(_about(summary))}</p>",
            _headline(summary),
            _notes(summary),
            f"<h2>Training curves</h2>{_curves([summary])}" if any(summary.stages.values()) else "",
            _scored(summary),
            _more(summary),
            _budget(summary),
            _teacher(summary),
            _reconstructed(summary),
            _settings(summary),
            _environment(summary),
            _links(summary, page),
        ]
    )


def _same_test(runs: Sequence[RunSummary]) -> bool:
    """True if the scores are about the same clips."""
    return len({frozenset(a.clip for a in summary.answers) for summary in runs}) == 1


def _comparison(runs: Sequence[RunSummary], page: Path) -> str:
    """Runs beside each other, then each in turn."""
    parts = [f"<h1>{len(runs)} runs compared</h1>"]
    figures = [summary.figures() for summary in runs]
    scored = [summary for summary, found in zip(runs, figures, strict=True) if found]
    best = {key: max((found[key] for found in figures if key in found), default=math.nan) for key in HEADLINE}
    comparable = len(scored) > 1 and _same_test(scored)

    def share(summary: RunSummary, key: str) -> object:
        value = summary.figures().get(key)
        bold = comparable and value == best[key]
        return html.Markup(f'<span class="best">{html.percent(value)}</span>') if bold else html.percent(value)

    rows = [
        (
            html.Markup(
                f'<span class="key" style="background:{SERIES[i % len(SERIES)]}"></span>{html.text(summary.name)}'
            ),
            _about(summary),
            share(summary, "top1"),
            share(summary, "mean_class"),
            summary.figures().get("clips", "–"),
            _which_epoch(summary) if summary.score else "–",
            f"{summary.parameters / 1e6:.2f}" if summary.parameters else "–",
            html.seconds(summary.seconds) if summary.seconds else "–",
        )
        for i, summary in enumerate(runs)
    ]
    names = ("run", "data", "top-1", "mean class", "clips", "reported", "M parameters", "training")
    parts.append(html.table(names, rows, (2, 3, 4, 6, 7)))
    if len(scored) > 1 and not comparable:
        parts.append('<p class="note">The runs were not tested on the same clips, so their scores do not compare.</p>')
    pairs = [row for row in compare(runs) if row["clips"]]
    if pairs:
        parts.append(f"<h2>Against {html.text(runs[0].name)}, clip by clip</h2>")
        header = ("run", "same clips", "right only here", "right only there", "sign test p")
        parts.append(html.table(header, [tuple(row.values()) for row in pairs], (1, 2, 3, 4)))
        parts.append(
            "<p class=quiet>The smaller p, the less the difference looks like chance on these clips; other "
            "seeds vary besides.</p>"
        )
    parts.append(f"<h2>Training curves</h2>{_curves(runs)}")
    parts.append(_differing(runs))
    parts += [
        f"<details><summary>{html.text(summary.name)}</summary>{_run_page(summary, page)}</details>" for summary in runs
    ]
    return "\n".join(parts)


def _init(summary: RunSummary) -> str:
    """Initial run, without the folders above it."""
    init = summary.settings.get("init")
    return "/".join(Path(str(init)).parts[-4:-2]) if init else "scratch"


def _differing(runs: Sequence[RunSummary]) -> str:
    """The settings in which the runs differ."""
    each = [
        flat(summary.recipe) | {"seed": summary.settings.get("seed"), "init": summary.settings.get("init")}
        for summary in runs
    ]
    each = [
        values | {"init": Path(str(values["init"])).parent.parent.name if values["init"] else None} for values in each
    ]
    fields = dict.fromkeys(field for values in each for field in values)
    rows = [
        (field, *(values.get(field, "–") for values in each))
        for field in fields
        if len({json.dumps(values.get(field)) for values in each}) > 1
    ]
    if not rows:
        return "<h2>Settings</h2><p>All the same.</p>"
    return f"<h2>Settings that differ</h2>{html.table(('setting', *(summary.name for summary in runs)), rows)}"
