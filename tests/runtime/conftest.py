"""Tiny but real ONNX classifiers with the contract of an exported model, and people who move."""

import base64
import http.client
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from amr_edge.card import CARD_KEY, Card
from amr_edge.data.recording import Recording
from amr_edge.preprocess import PrepareConfig
from amr_edge.skeleton import layout

WriteModel = Callable[..., Path]


def _card(**changes: object) -> Card:
    """A classifier's card: kinect20, 16 frames over a second, four answers a second."""
    plain = Card(
        name="tiny",
        kind="classifier",
        classes=("none", "wave", "sit"),
        none_class="none",
        prepare=PrepareConfig(layout="kinect20", frames=16, window_s=1.0, max_gap_s=0.4),
        stride_s=0.25,
        threshold=0.5,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def _graph(card: Card, *, joints: int | None = None, classes: int | None = None) -> onnx.ModelProto:
    """Masked mean of the clip and of its steps over M, T and V -> MatMul -> Softmax."""
    t, v = card.prepare.frames, joints or len(layout(card.prepare.layout))
    k = classes or len(card.classes)
    rng = np.random.default_rng(7)
    weights = rng.normal(size=(6, k)).astype(np.float32) * 4
    constants = {
        "weights": weights,
        "bias": np.linspace(0.3, -0.3, k, dtype=np.float32),
        "last": np.array([4], np.int64),
        "mtv": np.array([1, 2, 3], np.int64),
        "time": np.array([2], np.int64),
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "minus_one": np.array([-1], np.int64),
        "huge": np.array([10**9], np.int64),
        "floor": np.array([1.0], np.float32),
        "gain": np.array([10.0], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["present"], ["seen3"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["seen3", "last"], ["seen"]),
        helper.make_node("Mul", ["clip", "seen"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "mtv"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["seen", "mtv"], ["count0"], keepdims=0),
        helper.make_node("Max", ["count0", "floor"], ["count"]),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("Slice", ["masked", "one", "huge", "time"], ["later"]),
        helper.make_node("Slice", ["masked", "zero", "minus_one", "time"], ["earlier"]),
        helper.make_node("Sub", ["later", "earlier"], ["step"]),
        helper.make_node("Abs", ["step"], ["speed"]),
        helper.make_node("ReduceSum", ["speed", "mtv"], ["moved0"], keepdims=0),
        helper.make_node("Div", ["moved0", "count"], ["moved1"]),
        helper.make_node("Mul", ["moved1", "gain"], ["moved"]),
        helper.make_node("Concat", ["mean", "moved"], ["features"], axis=1),
        helper.make_node("MatMul", ["features", "weights"], ["scores"]),
        helper.make_node("Add", ["scores", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probs"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("clip", TensorProto.FLOAT, ["N", "M", t, v, 3]),
            helper.make_tensor_value_info("present", TensorProto.BOOL, ["N", "M", t, v]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", k]),
            helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["N", k]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def write_model(tmp_path: Path) -> WriteModel:
    """Write a model file: write_model(card, name="model.onnx", joints=..., classes=..., carded=True)."""

    def write(
        card: Card | None = None,
        *,
        name: str = "model.onnx",
        joints: int | None = None,
        classes: int | None = None,
        carded: bool = True,
    ) -> Path:
        card = card or _card()
        model = _graph(card, joints=joints, classes=classes)
        if carded:
            entry = model.metadata_props.add()
            entry.key, entry.value = CARD_KEY, card.to_json()
        onnx.checker.check_model(model)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
        return path

    return write


def _people(
    rng: np.random.Generator,
    *,
    persons: int = 1,
    seconds: float = 3.0,
    fps: float = 30.0,
    jitter: float = 0.0,
    holes: float = 0.0,
    layout_name: str = "kinect20",
    **known: object,
) -> Recording:
    """Bodies that sway, `holes` of their joints unseen, frame times off by up to `jitter` of a frame."""
    skeleton = layout(layout_name)
    frames = max(round(seconds * fps) + 1, 1)
    times_s = np.arange(frames) / fps
    times_s = times_s + rng.uniform(-jitter, jitter, frames) / (2 * fps)
    rest = rng.normal(scale=0.4, size=(persons, 1, len(skeleton), skeleton.channels))
    rest[..., 0] += 2.0 * np.arange(persons)[:, None, None]
    rate, phase = rng.uniform(0.5, 2.0, (persons, 1, len(skeleton), 1)), rng.uniform(0, 6, (persons, 1, 1, 1))
    sway = 0.2 * np.sin(2 * np.pi * rate * times_s[None, :, None, None] + phase)
    poses = (rest + sway).astype(np.float32)  # (M, T, V, C)
    poses[rng.random(poses.shape[:3]) < holes] = np.nan
    return Recording(
        poses=poses,
        times_s=times_s,
        layout=layout_name,
        units="px" if skeleton.channels == 2 else "m",
        source=str(known.pop("source", "generated")),
        **known,  # type: ignore[arg-type]
    )


@pytest.fixture
def card_of() -> Callable[..., Card]:
    """card_of(persons=2, ...): the tiny classifier's card with other values."""
    return _card


@pytest.fixture
def people() -> Callable[..., Recording]:
    """people(rng, persons=2, seconds=3, ...): a recording of bodies that sway."""
    return _people


class Replayed(NamedTuple):
    """What `live` said at the end of a stream that was written to it, and how much memory it held on the way."""

    summary: dict[str, Any]
    resident_kib: list[int]


def _resident_kib(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.fixture
def replayed() -> Callable[[Path, Iterable[str], int], Replayed]:
    """A process of its own that reads lines as fast as it goes, weighed after every so many of them."""

    def replay(model: Path, lines: Iterable[str], every: int) -> Replayed:
        process = subprocess.Popen(
            [sys.executable, "-m", "amr_edge", "live", str(model), "-s", "-", "--events", "--threads", "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        last: deque[str] = deque(maxlen=1)
        # Somebody must read: an event a second fills a pipe within minutes, and a replay waits for whoever reads.
        reader = threading.Thread(target=last.extend, args=(process.stdout,), daemon=True)
        reader.start()
        resident: list[int] = []
        for at, line in enumerate(lines):
            process.stdin.write(line)
            # The pipe holds a few dozen lines: what is written has been read but for those.
            if at and at % every == 0:
                process.stdin.flush()
                assert process.poll() is None
                resident.append(_resident_kib(process.pid))
        process.stdin.close()
        assert process.wait(timeout=300) == 0
        reader.join(timeout=60)
        process.stdout.close()
        return Replayed(json.loads(last[0]), resident)

    return replay


class Browser:
    """A headless Chromium, driven by the DevTools protocol."""

    def __init__(self, folder: Path) -> None:
        from websockets.sync.client import connect

        binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if binary is None:
            pytest.skip("Chromium is not installed: the page is not looked at in a browser")
        flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
        flags += " --disable-component-update --disable-sync --remote-debugging-port=0"
        self._process = subprocess.Popen(
            [binary, *flags.split(), f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        lines: list[str] = []
        limit_s = time.monotonic() + 60
        while len(lines) < 2:
            assert time.monotonic() < limit_s, "Chromium did not start"
            time.sleep(0.1)
            file = folder / "DevToolsActivePort"
            lines = file.read_text().splitlines() if file.is_file() else []
        self._port = int(lines[0])
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request("GET", "/json/list")
        pages = [target for target in json.loads(connection.getresponse().read()) if target["type"] == "page"]
        connection.close()
        self._held = ExitStack()
        self._socket = self._held.enter_context(connect(pages[0]["webSocketDebuggerUrl"], max_size=None))
        self._count = 0
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=30))
            if message.get("method") == "Runtime.exceptionThrown" or (
                message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error"
            ):
                self.errors.append(json.dumps(message["params"])[:500])
            if message.get("id") == self._count:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def before(self, script: str) -> None:
        """Run a script in every page before the page's own."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url: str, width: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=url)

    def value(self, script: str) -> Any:
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_for(self, script: str) -> None:
        limit_s = time.monotonic() + 20
        while not self.value(script):
            assert time.monotonic() < limit_s, f"never true: {script}; {self.errors}"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self._held.close()
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    pytest.importorskip("websockets", reason="websockets is not installed: no browser can be driven")
    opened = Browser(tmp_path / "profile")
    yield opened
    opened.close()


@pytest.fixture
def jetson_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """jetson_tree("orin-nano", locked=True, slowed=1) -> the root of the files of a board."""
    path = Path(__file__).parent / "hardware" / "jetson_trees.py"
    spec = importlib.util.spec_from_file_location("jetson_trees", path)
    assert spec is not None
    assert spec.loader is not None
    trees = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "jetson_trees", trees)  # dataclasses look their module up there
    spec.loader.exec_module(trees)

    def make(name: str, *, locked: bool = False, slowed: int = 0) -> Path:
        root: Path = trees.plant(tmp_path / name, trees.BOARDS[name], locked=locked, slowed=slowed)
        return root

    return make
