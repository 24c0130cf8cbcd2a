import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from amr_edge.card import BudgetPoint
from amr_edge.cli import run
from amr_edge.data.store import Store
from amr_edge.errors import ConfigError, ReadError
from amr_edge.training.engine.checkpoint import load_classifier, save_weights
from amr_edge.training.engine.predictions import SavedPredictions, save_predictions
from amr_edge.training.report.html_report import write_report
from amr_edge.training.report.run_summary import changed, compare, read_run, sign_test, wilson
from amr_edge.training.tasks.evaluate import worst_clips

EVIL = '<img src=x onerror="document.title=1"> & </script> $body'


@pytest.fixture(scope="module")
def trained(tiny_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of `amr-edge train`, too short to know its classes."""
    project = tmp_path_factory.mktemp("runs")
    settings = [
        "prepare.frames=16",
        "encoder.width=16",
        "encoder.depth=1",
        "encoder.heads=2",
        "finetune.optim.epochs=1",
    ]
    settings += ["pretrain.pretext.decoder_depth=1", "pretrain.optim.epochs=2"]
    order = [f"--set={setting}" for setting in settings]
    assert (
        run(["train", f"--data={tiny_store.path}", f"--project={project}", "--split=xsub", "--threads=1", *order]) == 0
    )
    return project / "train" / "amr-small-1"


class Page(HTMLParser):
    """Tags that are open at the end, addresses, and whether there is any script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_a_run_ends_with_a_page_that_is_whole_and_needs_no_network(trained: Path) -> None:
    page = page_of(trained / "report.html")
    assert page.open in (["html"], [])
    assert "script" not in page.tags
    pictures = [address for address in page.addresses if address.startswith("data:image/")]
    assert len(pictures) >= 6  # two stages of curves, bars, confusion, worst clips, reconstruction
    links = [address for address in page.addresses if not address.startswith("data:")]
    assert links
    assert all((trained / link).is_file() for link in links)
    text = (trained / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", text)
    for heading in (
        "Training curves",
        "Class by class",
        "Most confidently wrong",
        "What pre-training sees",
        "Settings",
    ):
        assert heading in text


def test_the_page_and_the_machine_tell_the_same_numbers(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(trained), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["runs"]
    score = json.loads((trained / "score.json").read_text())
    assert told["top1"] == score["top1"]
    assert told["clips"] == score["clips"] == 16
    assert told["epochs"] == {"pre-training": {"done": 2, "of": 2}, "fine-tuning": {"done": 1, "of": 1}}
    low, high = told["top1_interval_95"]
    assert low <= told["top1"] <= high
    text = (trained / "report.html").read_text(encoding="utf-8")
    assert f"{100 * score['top1']:.1f} %" in text
    changes = {change["field"]: change["here"] for change in told["settings_changed"]}
    assert changes["encoder.width"] == 16
    assert changes["prepare.layout" if "prepare.layout" in changes else "persons"] in ("ntu25", 1)
    assert "finetune.optim.lr" not in changes
    right = sum(row["right"] * row["clips"] for row in told["per_class"])
    assert right == pytest.approx(told["top1"] * told["clips"])


def test_the_worst_clips_are_the_wrong_ones_the_most_certain_first(trained: Path) -> None:
    with (trained / "predictions.csv").open(newline="", encoding="utf-8") as file:
        wrong = [row for row in csv.DictReader(file) if row["truth"] != row["prediction"]]
    told = read_run(trained)
    assert [a.clip for a in told.worst(99)] == [r["clip"] for r in sorted(wrong, key=lambda r: -float(r["prob"]))]
    assert (trained / "worst_clips.png").exists() == bool(wrong)


def test_right_clips_are_never_among_the_worst() -> None:
    probs = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]])
    assert worst_clips(probs, np.array([0, 0, 0, 1])) == [3, 2, 1]
    assert worst_clips(probs, np.array([0, 1, 1, 0])) == []
    assert worst_clips(probs, np.array([1, 0, 0, 1]), count=2) == [0, 3]


def copy_of(trained: Path, folder: Path) -> Path:
    shutil.copytree(trained, folder)
    return folder


def test_names_from_outside_are_text_and_never_markup(trained: Path, tmp_path: Path) -> None:
    folder = copy_of(trained, tmp_path / "a <b> run")
    answers = SavedPredictions(
        names=(EVIL, "b"),
        labels=np.array([0, 1]),
        probs=np.array([[0.2, 0.8], [0.1, 0.9]], dtype=np.float32),
        classes=(EVIL, "wave"),
        data_hash="",
        split="xsub",
    )
    save_predictions(answers, folder / "predictions.npz")
    (folder / "environment.json").write_text(json.dumps({"command": EVIL, EVIL: EVIL}))
    (folder / "score.json").write_text(json.dumps({"top1": 0.5, "clips": 2, EVIL: [{EVIL: EVIL}], "method": EVIL}))
    (folder / "log.txt").write_text(f"note: {EVIL}\n")
    shutil.copy(folder / "log.txt", folder / "x&y #1.txt")
    write_report([folder], folder / "report.html")
    page = page_of(folder / "report.html")
    assert "script" not in page.tags
    assert "b" not in [tag for tag in page.tags if tag == "run"]
    assert not [address for address in page.addresses if address == "x"]
    assert "onerror=&quot;" in (folder / "report.html").read_text(encoding="utf-8")
    assert [a for a in page.addresses if "%20%231.txt" in a]


def test_several_runs_are_compared_and_the_better_is_marked_only_on_the_same_clips(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copy_of(trained, tmp_path / "train" / "other-1")
    out = tmp_path / "both.html"
    assert run(["report", str(trained), str(other), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["against_the_first"] == [
        {"run": "train/other-1", "clips": 16, "right_only_here": 0, "right_only_first": 0, "p": 1.0}
    ]
    text = out.read_text(encoding="utf-8")
    assert 'class="best"' in text
    assert "do not compare" not in text
    assert text.count("<details>") == 2
    kept = "".join((other / "predictions.csv").read_text().splitlines(keepends=True)[:-1])
    (other / "predictions.npz").unlink(missing_ok=True)
    (other / "predictions.csv").write_text(kept)
    write_report([trained, other], out)
    text = out.read_text(encoding="utf-8")
    assert 'class="best"' not in text
    assert "do not compare" in text


def test_pairs_are_counted_clip_by_clip(trained: Path, tmp_path: Path) -> None:
    def folder(name: str, right: list[bool]) -> Path:
        made = tmp_path / name
        made.mkdir()
        (made / "score.json").write_text("{}")
        probs = np.array([[0.9, 0.1] if r else [0.1, 0.9] for r in right], dtype=np.float32)
        labels = np.zeros(len(right), dtype=np.int64)
        names = tuple(f"clip{i}" for i in range(len(right)))
        answers = SavedPredictions(names=names, labels=labels, probs=probs, classes=("a", "b"), data_hash="", split="x")
        save_predictions(answers, made / "predictions.npz")
        return made

    one = read_run(folder("one", [True, True, False, False]))
    two = read_run(folder("two", [True, False, True, True]))
    (row,) = compare([one, two])
    assert (row["right_only_here"], row["right_only_first"], row["p"]) == (2, 1, 1.0)
    assert one.figures() == {"top1": 0.5, "clips": 4}


def test_a_fusion_without_weights_and_settings_has_a_report_too(tmp_path: Path) -> None:
    score = {"top1": 0.75, "clips": 4, "split": "xsub", "epoch_chosen_by": "each run's own rule"}
    (tmp_path / "score.json").write_text(
        json.dumps({**score, "runs": [{"run": "/somewhere/else/runs/a", "top1": 0.5}]})
    )
    (told,) = write_report([tmp_path], tmp_path / "report.html")
    assert told.figures() == {"top1": 0.75, "clips": 4}
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "75.0 %" in text
    assert "/somewhere" not in text


def test_an_interrupted_run_is_told_as_such(trained: Path, tmp_path: Path) -> None:
    folder = copy_of(trained, tmp_path / "run")
    for name in ("score.json", "predictions.csv", "predictions.npz"):
        (folder / name).unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    config["recipe"]["finetune"]["optim"]["epochs"] = 9
    (folder / "config.json").write_text(json.dumps(config))
    (told,) = write_report([folder], folder / "report.html")
    assert not told.finished
    assert "fine-tuning has 1 of 9 epochs" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_run_whose_recordings_are_gone_says_why_nothing_is_drawn(trained: Path, tmp_path: Path) -> None:
    folder = copy_of(trained, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "data": "/gone/far.npz"}))
    for picture in [*folder.rglob("worst_clips.*"), *folder.rglob("reconstruction.*")]:
        picture.unlink()
    (told,) = write_report([folder], folder / "report.html")
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "far.npz" in text
    assert not told.worst() or "cannot be drawn" in text


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("config.json", "{", "config.json"),
        ("config.json", "[]", "object"),
        ("score.json", "nonsense", "score.json"),
        ("predictions.csv", "clip,truth\na,b\n", "predictions.csv"),
        ("results.csv", "epoch,loss\n1,much\n", "results.csv"),
        ("results.csv", "loss\n1\n", "epoch"),
    ],
)
def test_a_damaged_run_is_refused_with_the_file_that_is_damaged(
    name: str, content: str, named: str, trained: Path, tmp_path: Path
) -> None:
    folder = copy_of(trained, tmp_path / "run")
    (folder / "predictions.npz").unlink(missing_ok=True)
    (folder / name).write_text(content)
    with pytest.raises(ReadError, match=named):
        read_run(folder)


def test_a_damaged_checkpoint_costs_the_figures_it_held_and_no_more(trained: Path, tmp_path: Path) -> None:
    folder = copy_of(trained, tmp_path / "run")
    (folder / "weights" / "best.safetensors").write_bytes(b"no weights")
    (told,) = write_report([folder], folder / "report.html")
    assert told.parameters == 0
    assert any("safetensors" in note for note in told.notes)
    assert told.figures()["clips"] == 16


@pytest.mark.parametrize(
    ("arguments", "code", "named"), [([], 2, "RUNS"), (["nowhere"], 4, "nowhere: is not the folder")]
)
def test_what_is_no_run_is_refused_in_one_sentence(
    arguments: list[str], code: int, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", *arguments]) == code
    assert named in capsys.readouterr().err


def test_a_run_named_twice_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="once"):
        write_report([trained, trained], tmp_path / "r.html")


def test_settings_of_an_unknown_recipe_are_not_compared() -> None:
    assert changed("train", {"name": "gone", "persons": 1}) is None
    (change,) = changed("train", {"name": "amr-small", "persons": 7}) or ()
    assert (change.field, change.usual, change.here, change.fitted) == ("persons", 2, 7, True)


def test_an_interval_holds_its_share_and_shrinks_with_the_clips() -> None:
    for share in (0.0, 0.3, 1.0):
        few, many = wilson(share, 10), wilson(share, 1000)
        assert few[0] <= many[0] <= share + 1e-12
        assert share - 1e-12 <= many[1] <= few[1]
    assert wilson(0.5, 0) == (0.0, 1.0)


def test_the_sign_test_is_that_of_a_fair_coin() -> None:
    assert sign_test(0, 0) == 1.0
    assert sign_test(5, 5) == 1.0
    assert sign_test(0, 5) == pytest.approx(2 / 32)


def test_the_budget_curve_of_the_card_is_in_the_page(trained: Path, tmp_path: Path) -> None:
    folder = copy_of(trained, tmp_path / "run")
    model, card = load_classifier(folder / "weights" / "best.safetensors")
    points = tuple(BudgetPoint(share=s, tokens=4, top1=0.5 + s / 4, macs=1000) for s in (1.0, 0.25))
    save_weights(folder / "weights" / "best.safetensors", model, replace(card, budget_curve=points))
    (told,) = write_report([folder], folder / "report.html")
    assert len(told.to_dict()["budget_curve"]) == 2  # type: ignore[arg-type]
    assert "Accuracy by token budget" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_loads_the_page_without_a_complaint(width: int, trained: Path, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium or Chrome on this machine: the page was not opened in a browser")
    # A window cannot be narrower than about 500 pixels, a frame in it can.
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe src="{(trained / "report.html").as_uri()}" width="{width}" height="900"></iframe>')
    shot = tmp_path / "shot.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--v=0"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width + 40},950", f"--screenshot={shot}"]
    try:
        done = subprocess.run([*command, frame.as_uri()], capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("Chromium did not finish within two minutes on this machine: the page was not opened in a browser")
    assert shot.stat().st_size > 5000
    assert "CONSOLE" not in done.stderr, done.stderr


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_a_run_of_an_earlier_version_opens_under_its_old_file_names(suffix: str, trained: Path, tmp_path: Path) -> None:
    new = read_run(trained)
    folder = copy_of(trained, tmp_path / "run")
    if suffix == "csv":
        (folder / "predictions.npz").unlink()
        table = (folder / "predictions.csv").read_text(encoding="utf-8")
        (folder / "predictions.csv").write_text(table.replace("prediction", "answer", 1), encoding="utf-8")
    (folder / f"predictions.{suffix}").rename(folder / f"answers.{suffix}")
    old = read_run(folder)
    assert [(each.clip, each.answer) for each in old.answers] == [(each.clip, each.answer) for each in new.answers]
    assert old.answers
