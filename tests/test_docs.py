"""Every command that README and docs show is run, or parsed at least, or says to its reader what it needs."""

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import click
import numpy as np
import pytest

from amr_edge import cli, synthetic
from amr_edge.data.readers import FORMATS, jsonl
from amr_edge.data.store import write_store
from amr_edge.skeleton import LAYOUTS
from amr_edge.training.config import override, recipe

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What a command may say that it needs, in a comment behind it: `# needs a camera`. Such a command is parsed, not run.
NEEDS = (
    "a broker",
    "a camera",
    "a display",
    "a film",
    "a GPU",
    "a Jetson",
    "a pose model",
    "GPUs",
    "hours",
    "minutes",
    "MediaPipe",
    "NTU RGB+D",
    "OpenVINO",
    "other recordings",
    "PKU-MMD",
    "root",
    "TensorRT",
    "the network",
    "UI-PRMD",
    "UTD-MHAD",
    "your",
)
# Programs of other people, and the tests that run them as the docs do.
RUN_BY = {
    "g++": "tests/export/test_examples.py",
    "infer": "tests/export/test_examples.py",
    "systemd-analyze": "tests/test_deploy.py",
    "check": ".ci/run",
}
# What readers have, or put their own in the place of.
READERS_OWN = ("pip", "python3", ".", "jq", "my-pose-estimator")
# Pages of which every command without such a comment is run here, in order, on the small world below.
WALKED = ("README.md", "docs/formats.md", "docs/export.md")
# Verbs that tests of their own run; once is enough.
VERBS_RUN_BY = {
    "demo": "tests/runtime/demo/test_demo.py",
    "pretrain": "tests/export/test_own_actions.py",
    "finetune": "tests/export/test_own_actions.py",
    "distill": "tests/training/tasks/test_distill.py",
    "fuse": "tests/training/tasks/test_ensemble.py",
    "asma": "tests/training/asma/test_asma_run.py",
}
# Pages that are walked by tests of their own.
WALKED_BY = {"docs/own-actions.md": "tests/export/test_own_actions.py"}
# What the pages' placeholders stand for in that world.
STANDS_FOR = {
    "RUN": "runs/train/amr-small-1",
    "MODEL": "runs/train/amr-small-1",
    "runs/pretrain/amr-small-1": "runs/train/amr-small-1",
    "SOURCE": "RECORDINGS",
    "recordings/": "RECORDINGS",
    "LONG.npz": "long.npz",
    "model.onnx": "runs/train/amr-small-1/export/model.onnx",
    "VIDEOS": "LABELLED",
}
# So that a step of the tour takes a second.
SETTINGS = ("prepare.frames=16", "encoder.depth=1", "encoder.width=32", "encoder.heads=2")
SETTINGS += ("pretrain.pretext.decoder_depth=1", "pretrain.optim.epochs=1", "finetune.optim.epochs=1")
SMALLER = ["--threads", "1", *(f"--set={setting}" for setting in SETTINGS)]
ADDED = {
    "train": SMALLER,
    "probe": ["--threads", "1", "--set", "epochs=1", "--set", "views=1"],
    "bench": ["--seconds", "0", "--count", "2", "--warmup", "0"],
    "live": ["--threads", "1"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a page, as its reader would type it."""

    page: str
    line: int
    words: tuple[str, ...]
    comment: str
    inline: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {shlex.join(self.words)}"

    @property
    def needs(self) -> str | None:
        """What it tells its reader that it needs."""
        told = re.search(r"\bneeds (.*)", self.comment)
        return told[1] if told else None

    @property
    def ours(self) -> tuple[str, ...] | None:
        """What follows `amr-edge`, or None for another program."""
        names = [Path(word).name for word in self.words]
        if names[0] == "amr-edge":
            return self.words[1:]
        if names[0] == "torchrun":
            return self.words[self.words.index("amr_edge") + 1 :]
        if "sh" in names:
            inner = shlex.split(self.words[-1])
            return tuple(inner[inner.index("amr-edge") + 1 :]) if "amr-edge" in inner else None
        return None

    @property
    def script(self) -> Path | None:
        """The Python file of the project that it runs."""
        if Path(self.words[0]).name in ("python", "python3") and self.words[1].endswith(".py"):
            return ROOT / self.words[1]
        return None


def split(text: str) -> Iterator[tuple[str, ...]]:
    """The programs of one line of a shell, without what goes where."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = list(lexer)
    while words:
        part = list(takewhile(lambda word: word not in ("&&", "|", ";", ">"), words))
        ended = words[len(part)] if len(part) < len(words) else ""
        words = words[len(part) + 1 :]
        if ended == ">":
            words = words[1:]
        if part:
            yield tuple(part)


def commands(page: Path) -> Iterator[Command]:
    """The commands of a page: in its blocks for a shell, and between backticks."""
    name = str(page.relative_to(ROOT))
    fence: str | None = None
    kept = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
        elif fence in ("bash", "console"):
            if fence == "console" and not kept and not line.startswith("$ "):
                continue  # what a command answers
            text, _, comment = (kept + line.removeprefix("$ ")).partition(" #")
            if text.endswith("\\"):
                kept = text[:-1] + " "
                continue
            kept = ""
            for words in split(text):
                yield Command(page=name, line=number, words=words, comment=comment, inline=False)
        elif fence is None:
            for text in re.findall(r"`((?:amr-edge|pip install|torchrun|python (?:bench|exam)\S*) [^`]*)`", line):
                for words in split(text):
                    yield Command(page=name, line=number, words=words, comment=line, inline=True)


EVERY = [command for page in PAGES for command in commands(page)]
OURS = [command for command in EVERY if command.ours is not None]


def parse(arguments: tuple[str, ...], *, whole: bool) -> tuple[list[str], dict[str, object]]:
    """The verbs and the values of a command of ours, by click's own parser; nothing is run.

    Args:
        arguments: What follows `amr-edge`.
        whole: Whether nothing may be missing; a command in a sentence may leave out what is not its point.
    """
    words = [word for word in arguments if word != "--debug"]
    command: click.Command = cli.amr_edge
    context = click.Context(command, info_name="amr-edge")
    verbs = []
    while isinstance(command, click.Group) and words:
        verbs.append(words.pop(0))
        found = command.get_command(context, verbs[-1])
        assert found is not None, f"there is no `amr-edge {' '.join(verbs)}`"
        command, context = found, click.Context(found, parent=context, info_name=verbs[-1])
    if isinstance(command, click.Group) or not (words or whole):
        return verbs, {}
    try:
        made = command.make_context(verbs[-1], words, parent=context.parent)
    except (click.MissingParameter, click.BadOptionUsage):  # an option that is not there is another error
        if whole:
            raise
        return verbs, {}
    return verbs, made.params


@pytest.mark.parametrize("command", OURS, ids=str)
def test_a_command_of_the_docs_is_understood(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = tuple("doctor" if word == "VERB" else word for word in command.ours or () if word != "--help")
    verbs, values = parse(arguments, whole=not command.inline)
    settings = values.get("settings")
    if verbs[0] in ("pretrain", "train", "finetune") and isinstance(settings, tuple):
        override(recipe(str(values.get("recipe") or "amr-small")), settings)


@pytest.mark.parametrize("command", [c for c in EVERY if c.script is not None], ids=str)
def test_a_script_of_the_docs_has_these_options(command: Command) -> None:
    assert command.script is not None
    text = command.script.read_text(encoding="utf-8")
    known = {word.value for word in ast.walk(ast.parse(text)) if isinstance(word, ast.Constant)}
    for option in (word for word in command.words if word.startswith("--")):
        # A loop over names may add their options.
        assert option in known or ('f"--{' in text and option[2:] in known), f"{command.script.name} has no {option}"


@pytest.mark.parametrize("command", [c for c in EVERY if "install" in c.words and "apt" not in c.words], ids=str)
def test_an_extra_of_the_docs_is_one_of_the_project(command: Command) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"\[([a-z,]+)\]", " ".join(command.words)):
        for name in extra.split(","):
            assert re.search(rf"^{name} = \[", project, flags=re.MULTILINE), name


def test_whatever_else_the_docs_type_is_run_elsewhere_or_says_what_it_needs() -> None:
    for command in EVERY:
        program = Path(command.words[0]).name or command.words[0]
        if command.ours is None and command.script is None and program not in READERS_OWN:
            by = RUN_BY.get(program)
            known = by is not None and (ROOT / by).is_file() and program in (ROOT / by).read_text(encoding="utf-8")
            assert known or command.needs, command


def test_a_command_for_a_camera_or_a_board_tells_its_reader() -> None:
    for command in OURS:
        source = command.words[command.words.index("--source") + 1] if "--source" in command.words else ""
        if not command.inline and (source.isdigit() or source.endswith(".mp4") or "--trt" in command.words):
            assert command.needs, command


def test_what_a_command_needs_is_a_word_that_readers_know() -> None:
    for command in EVERY:
        if command.needs and not command.inline:
            assert command.needs.startswith(NEEDS), f"{command}: needs {command.needs}"


def test_every_page_is_on_the_map() -> None:
    on_it = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    assert {page.name for page in PAGES} - on_it == {"README.md", "index.md"}


def test_the_page_on_formats_knows_every_format_and_the_joints_of_every_layout() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert not [name for name in FORMATS if name != "auto" and f"`{name}`" not in text]
    rows = [
        f"| `{one.name}` | {one.title} | {len(one)} | {one.channels} | {', '.join(one.joints)} |\n"
        for one in LAYOUTS.values()
    ]
    assert "".join(rows) in text, "docs/formats.md, Layouts: expected the rows\n" + "".join(rows)


def test_a_verb_that_is_run_elsewhere_is_run_there() -> None:
    for verb, test in VERBS_RUN_BY.items():
        assert f'"{verb}"' in (ROOT / test).read_text(encoding="utf-8"), verb


def test_a_page_that_is_walked_elsewhere_is_named_there() -> None:
    for page, test in WALKED_BY.items():
        assert (ROOT / page).is_file()
        assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages speak of: recordings, stores and, after the README's tour, a run."""
    folder: Path = tmp_path_factory.mktemp("world")
    for index, recording in enumerate(synthetic.corpus(subjects=4, takes=1, seed=0)):
        if recording.label in ("wave", "clap"):
            for where in ("RECORDINGS", f"LABELLED/{recording.label}"):
                (folder / where).mkdir(parents=True, exist_ok=True)
                jsonl.write(folder / where / f"P{recording.subject}-{index}.jsonl", recording)
    jsonl.write(folder / "walk.jsonl", next(iter(synthetic.corpus(subjects=1, takes=1, seed=1))))
    long = [
        synthetic.continuous(synthetic.subject(number, 0), np.random.default_rng(number), seconds=20.0)
        for number in (1, 2)
    ]
    write_store(folder / "long.npz", long, dataset="synthetic", terms="made here", classes=synthetic.CLASSES)
    return folder


def to_walk(page: str) -> list[Command]:
    """The commands of a page that are run here."""
    here = [c for c in OURS if c.page == page and not c.inline and not c.needs]
    return [c for c in here if not VERBS_RUN_BY.keys() & set(c.ours or ())]


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("page", WALKED)
def test_every_command_of_a_page_without_a_need_is_run(
    page: str, world: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the tour trains")
    monkeypatch.chdir(world)
    done = world / "done.txt"  # a command that two pages share is run once
    seen = set(done.read_text(encoding="utf-8").splitlines()) if done.exists() else set()
    for command in to_walk(page):
        words = [STANDS_FOR.get(word, re.sub("^RUN/", f"{STANDS_FOR['RUN']}/", word)) for word in command.ours or ()]
        key = shlex.join(words)
        if key in seen:
            continue
        code = cli.run([*words, *ADDED.get(words[0], [])])
        assert code == 0, f"{command}\n{capfd.readouterr().err}"
        seen.add(key)
        done.write_text("\n".join(sorted(seen)), encoding="utf-8")


def test_the_python_of_the_page_on_formats_runs(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["data", "convert", str(world / "RECORDINGS"), "people.npz"]) == 0
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        scope: dict[str, object] = {}
        exec(compile(block, "docs/formats.md", "exec"), scope)
    poses = scope["poses"]
    assert isinstance(poses, np.ndarray)
    assert np.isfinite(poses).any()
    shutil.rmtree(tmp_path, ignore_errors=True)
