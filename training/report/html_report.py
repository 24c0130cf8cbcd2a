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


def _draw_worst(told: RunSummary) -> str:
    """Draw the worst clips of a run that has no picture of them; what hinders it, or "" if it is there."""
    path = told.folder / "worst_clips.png"
    if not told.worst() or path.with_suffix(".svg").exists():
        return ""
    data = Path(str(told.settings.get("data", "")))
    if told.card is None or not told.settings.get("data"):
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
                told.card.prepare,
                told.card.persons,
                wrong_title(a.truth, a.answer, a.prob, a.clip),
            )
            for a in told.worst()
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


def _which_epoch(told: RunSummary) -> str:
    by = str(told.score.get("epoch_chosen_by", "last"))
    if told.score.get("epoch") is None:
        return by if "epoch_chosen_by" in told.score else "each fold's own"
    how = "the last, fixed in advance" if by == "last" else f"chosen by {by}"
    return f"epoch {told.score.get('epoch')}, {how}"


def _headline(told: RunSummary) -> str:
    tiles = []
    figures = told.figures()
    if figures:
        clips, top1 = int(figures["clips"]), figures["top1"]
        low, high = wilson(top1, clips)
        tiles.append(
            html.tile(
                html.percent(top1),
                f"top-1 of {clips} test clips; 95 % interval {html.percent(low)} to {html.percent(high)}",
            )
        )
        if told.score.get("copies"):
            rest = f"top-1 without {told.score['copies']} clips that are copies of training recordings"
            tiles.append(html.tile(html.percent(told.score.get("top1_without_copies")), rest))
        if "mean_class" in figures:
            tiles.append(html.tile(html.percent(figures["mean_class"]), f"mean over {len(told.classes)} classes"))
        if "top5" in figures:
            tiles.append(html.tile(html.percent(figures["top5"]), "top-5"))
        done = str(len(list(told.stages.values())[-1])) if told.stages else "–"
        tiles.append(html.tile(done, f"epochs; reported is {_which_epoch(told)}"))
    elif told.stages:
        stage, rows = list(told.stages.items())[-1]
        if rows:
            tiles.append(html.tile(f"{rows[-1].get('loss', math.nan):.4f}", f"loss of {stage}, epoch {len(rows)}"))
    told_already = list(told.stages)[-1:] if tiles else []
    for stage, rows in told.stages.items():
        if stage in told_already:
            continue
        tiles.append(html.tile(f"{len(rows)}", f"epochs of {stage}, of {told.epochs.get(stage, len(rows))}"))
    if told.seconds:
        tiles.append(html.tile(html.seconds(told.seconds), "of training"))
    if told.parameters:
        tiles.append(html.tile(f"{told.parameters / 1e6:.2f} M", "parameters"))
    return f'<div class="figures">{"".join(tiles)}</div>'


def _about(told: RunSummary) -> str:
    """One sentence: what was done on what."""
    data = told.card.data if told.card else {}
    name = data.get("name") or Path(str(told.settings.get("data", ""))).name or "several runs"
    parts = [f"{name}, split {told.settings.get('split', told.score.get('split'))}"]
    if data.get("train_clips"):
        parts.append(f"{data['train_clips']} clips to learn from")
    if "seed" in told.settings:
        parts.append(f"seed {told.settings['seed']}")
    if told.settings.get("validate"):
        parts.append(f"validation subjects {told.settings['validate']}")
    return ", ".join(parts)


def _curves(runs: Sequence[RunSummary]) -> str:
    """Every stage's curves, those of several runs in one picture."""
    parts = []
    for stage in dict.fromkeys(stage for told in runs for stage in told.stages):
        rows = {told.name: told.stages[stage] for told in runs if told.stages.get(stage)}
        if not rows:
            continue
        colors = {told.name: index for index, told in enumerate(runs)}
        names = columns([row for each in rows.values() for row in each])
        pictures = "".join(
            f"<figure>{html.drawn(curve_figure(name, rows, stage, colors), f'{stage}: {name} over epochs')}</figure>"
            for name in names
        )
        parts.append(f'<h3>{html.text(stage[:1].upper() + stage[1:])}</h3><div class="curves">{pictures}</div>')
    return "".join(parts)


def _scored(told: RunSummary) -> str:
    """Per class, confusion and worst clips."""
    if not told.answers:
        return ""
    rows = told.per_class()
    size = "own" if len(told.classes) > 40 else "large" if len(told.classes) > 12 else "fits"
    bars = html.drawn(per_class_figure(rows), "accuracy by class", "wide" if len(rows) > 40 else "bars")
    parts = ["<h2>Class by class</h2>", f'<div class="box">{bars}</div>']
    pairs = told.confused()
    parts.append("<h2>What is taken for what</h2>")
    if pairs:
        parts.append(html.table(("done", "answered", "clips"), pairs[:PAIRS], numeric=(2,)))
        if len(pairs) > PAIRS:
            parts.append(f"<p class=quiet>and {len(pairs) - PAIRS} more pairs</p>")
    matrix = confusion_figure(told.confusion(), told.classes, "")
    parts.append(f'<div class="box">{html.drawn(matrix, "confusion matrix", size)}</div>')
    parts.append("<h2>Most confidently wrong</h2>")
    if not told.worst():
        return "".join([*parts, "<p>Every test clip was answered rightly.</p>"])
    hindered = _draw_worst(told)
    picture = html.stored(told.folder / "worst_clips.png", "the worst clips as stick figures")
    return "".join(
        [
            *parts,
            picture or html.table(Answer._fields, told.worst(), (3,)),
            f"<p class=quiet>{html.text(hindered)}</p>",
        ]
    )


def _more(told: RunSummary) -> str:
    """What else score.json tells: folds, fused runs, neighbours, label subsets."""
    parts, rows = [], []
    for key, value in told.score.items():
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
    """A value for a table; of a path its end, because what lies above is nobody's business."""
    if isinstance(value, str) and "/" in value and not value.startswith("http"):
        return "/".join(value.rsplit("/", 2)[-2:])
    return value


def _reconstructed(told: RunSummary) -> str:
    """What pre-training sees and predicts; drawn now where the run's state is newer than its picture."""
    stage = RunFolder(told.folder if told.verb == "pretrain" else told.folder / "pretrain")
    drawn = stage.folder / "reconstruction.svg"
    if not stage.state.is_file():
        return ""
    said = ""
    if not drawn.exists() or drawn.stat().st_mtime < stage.state.stat().st_mtime:
        try:
            made, settings = RunFolder(told.folder, quiet=True).read_settings()
            draw_reconstruction(stage, made, settings)
        except AmrError as cause:
            said = (
                f"<p class=quiet>{'From an earlier epoch' if drawn.exists() else 'Not drawn'}: {html.text(cause)}</p>"
            )
    picture = html.stored(drawn, "masked input, prediction, target and focal weights")
    return f"<h2>What pre-training sees and predicts</h2>{said}{picture}"


def _budget(told: RunSummary) -> str:
    points = told.card.budget_curve if told.card else ()
    if not points:
        return ""
    rows = [(html.percent(p.share), p.tokens, f"{p.macs / 1e6:.1f}", html.percent(p.top1)) for p in points]
    table = html.table(("budget", "tokens", "M MACs", "top-1"), rows, numeric=(0, 1, 2, 3))
    drawn = f'<div class="box">{html.drawn(budget_figure([asdict(p) for p in points]), "top-1 by token budget")}</div>'
    return f"<h2>Accuracy by token budget</h2>{drawn if len(points) > 1 else ''}{table}"


def _teacher(told: RunSummary) -> str:
    if not told.beside:
        return ""
    rows = [(str(key).replace("_", " "), value) for key, value in told.beside.items()]
    return f"<h2>Beside its teacher</h2>{html.table(('', ''), rows, (1,))}"


def _settings(told: RunSummary) -> str:
    if not told.recipe:
        return ""
    chosen = [(c.field, c.usual, c.here) for c in told.changes if not c.fitted]
    fitted = [(c.field, c.here) for c in told.changes if c.fitted]
    name = told.recipe.get("name")
    parts = [f"<h2>Settings</h2><p>Recipe <b>{html.text(name)}</b>"]
    known = usual(told.verb, told.recipe) is not None
    parts.append(", changed in:</p>" if chosen else ", nothing changed.</p>" if known else ".</p>")
    if chosen:
        parts.append(html.table(("setting", "recipe", "this run"), chosen))
    if fitted:
        said = ", ".join(f"{field.partition('.')[2] or field} {value}" for field, value in fitted)
        parts.append(f"<p class=quiet>Taken from the data: {html.text(said)}.</p>")
    return "".join(parts)


def _environment(told: RunSummary) -> str:
    command = told.environment.get("command")
    rows = [(key.replace("_", " "), value) for key, value in told.environment.items() if key != "command" and value]
    said = f"<p><code>{html.text(command)}</code></p>" if command else ""
    return f"<h2>Made by</h2>{said}{html.table(('', ''), rows)}" if rows or said else ""


def _links(told: RunSummary, page: Path) -> str:
    """The files of the run, as links relative to the page."""
    found = sorted(p for p in told.folder.rglob("*") if p.is_file() and p.resolve() != page.resolve())
    rows = []
    for file in found[:FILES]:
        address = quote(Path(os.path.relpath(file, page.parent)).as_posix())
        size = file.stat().st_size
        said = f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.1f} kB"
        rows.append(
            (
                html.Markup(
                    f'<a href="{html.text(address)}">{html.text(file.relative_to(told.folder).as_posix())}</a>'
                ),
                said,
            )
        )
    more = f"<p class=quiet>and {len(found) - FILES} more</p>" if len(found) > FILES else ""
    return f"<h2>Files</h2>{html.table(('file', 'size'), rows, (1,))}{more}"


def _notes(told: RunSummary) -> str:
    unfinished = [
        f"{stage} has {len(rows)} of {told.epochs[stage]} epochs: the run was interrupted or stopped early"
        for stage, rows in told.stages.items()
        if len(rows) < told.epochs.get(stage, 0)
    ]
    return "".join(f'<p class="note">{html.text(note)}</p>' for note in [*unfinished, *told.notes])


def _run_page(told: RunSummary, page: Path) -> str:
    """Everything about one run."""
    return "\n".join(
        [
            f"<h1>{html.text(told.name)}</h1><p class=quiet>{html.text(_about(told))}</p>",
            _headline(told),
            _notes(told),
            f"<h2>How it learned</h2>{_curves([told])}" if any(told.stages.values()) else "",
            _scored(told),
            _more(told),
            _budget(told),
            _teacher(told),
            _reconstructed(told),
            _settings(told),
            _environment(told),
            _links(told, page),
        ]
    )


def _same_test(runs: Sequence[RunSummary]) -> bool:
    """Whether the scores are about the same clips."""
    return len({frozenset(a.clip for a in told.answers) for told in runs}) == 1


def _comparison(runs: Sequence[RunSummary], page: Path) -> str:
    """Runs beside each other, then each in turn."""
    parts = [f"<h1>{len(runs)} runs compared</h1>"]
    figures = [told.figures() for told in runs]
    scored = [told for told, found in zip(runs, figures, strict=True) if found]
    best = {key: max((found[key] for found in figures if key in found), default=math.nan) for key in HEADLINE}
    comparable = len(scored) > 1 and _same_test(scored)

    def share(told: RunSummary, key: str) -> object:
        value = told.figures().get(key)
        bold = comparable and value == best[key]
        return html.Markup(f'<span class="best">{html.percent(value)}</span>') if bold else html.percent(value)

    rows = [
        (
            html.Markup(
                f'<span class="key" style="background:{SERIES[i % len(SERIES)]}"></span>{html.text(told.name)}'
            ),
            _about(told),
            share(told, "top1"),
            share(told, "mean_class"),
            told.figures().get("clips", "–"),
            _which_epoch(told) if told.score else "–",
            f"{told.parameters / 1e6:.2f}" if told.parameters else "–",
            html.seconds(told.seconds) if told.seconds else "–",
        )
        for i, told in enumerate(runs)
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
    parts.append(f"<h2>How they learned</h2>{_curves(runs)}")
    parts.append(_differing(runs))
    parts += [f"<details><summary>{html.text(told.name)}</summary>{_run_page(told, page)}</details>" for told in runs]
    return "\n".join(parts)


def _init(told: RunSummary) -> str:
    """Which run it started from, without the folders above that."""
    init = told.settings.get("init")
    return "/".join(Path(str(init)).parts[-4:-2]) if init else "scratch"


def _differing(runs: Sequence[RunSummary]) -> str:
    """The settings in which the runs differ."""
    each = [flat(told.recipe) | {"seed": told.settings.get("seed"), "init": told.settings.get("init")} for told in runs]
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
    return f"<h2>Settings that differ</h2>{html.table(('setting', *(told.name for told in runs)), rows)}"
