"""The JSON beside a TensorRT engine: its build settings, machine and ONNX file.

A TensorRT engine runs only where it was built: same TensorRT, same GPU generation, same platform. Loaded elsewhere it
fails with codes or crashes, so everything that must match is written down and compared before the engine is touched.
"""

import hashlib
import json
import platform
import re
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from amr_edge.card import Card
from amr_edge.errors import CardError, ReadError
from amr_edge.runtime.inference.tensorrt_build import BuildConfig, Profile, write_whole

SCHEMA = 1
L4T_RELEASE = Path("/etc/nv_tegra_release")  # a Jetson has it, nothing else does
AGAIN = "build it again here: amr-edge export {onnx} --trt"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildMachine:
    """Versions and device that an engine depends on.

    Attributes:
        tensorrt: "10.3.0".
        cuda: "12.6", of the runtime library; written down, not compared.
        compute: Compute capability of the GPU, "8.7".
        system: "Linux".
        machine: "aarch64".
        l4t: Release of Jetson Linux, "R36.4.0"; empty elsewhere.
    """

    tensorrt: str
    cuda: str
    compute: str
    system: str
    machine: str
    l4t: str

    @property
    def place(self) -> str:
        """The platform in words."""
        return f"{self.system} {self.machine}" + (f" with L4T {self.l4t}" if self.l4t else "")

    def differs(self, here: "BuildMachine") -> str:
        """Why an engine of this machine cannot run `here`, in half a sentence; empty if it can."""
        if (version(self.tensorrt), self.compute) != (version(here.tensorrt), here.compute):
            return (
                f"built with TensorRT {self.tensorrt} for compute {self.compute}; "
                f"this machine has {here.tensorrt} and {here.compute}"
            )
        return f"built on {self.place}; this machine is {here.place}" if self.place != here.place else ""


def version(text: str) -> tuple[str, ...]:
    """The part of TensorRT's version that engines are bound to.

    >>> version("10.13.3.9") == version("10.13.3"), version("10.13.3.9") == version("10.14.1.48")
    (True, False)
    """
    return tuple(text.split(".")[:3])


def l4t(release: Path = L4T_RELEASE) -> str:
    """Release of Jetson Linux as "R36.4.0", empty on any other machine."""
    if not release.is_file():
        return ""
    text = release.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"R{found[1]}.{found[2]}" if found else "unknown"


def machine(tensorrt: str, cuda: str, compute: str, release: Path = L4T_RELEASE) -> BuildMachine:
    """This machine."""
    return BuildMachine(
        tensorrt=tensorrt,
        cuda=cuda,
        compute=compute,
        system=platform.system() or sys.platform,
        machine=platform.machine(),
        l4t=l4t(release),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything about an engine that must be known before it is loaded.

    Attributes:
        engine_sha256: Of the engine file, so that a cut or foreign one is not handed to TensorRT.
        onnx: Name of the ONNX file it was built from, in the same folder.
        onnx_sha256: Of that file.
        built_for: The machine.
        built_by: "Python" or "trtexec".
        profile: Input -> smallest, usual and largest shape.
        workspace_mb: Scratch memory that the builder was allowed.
        level: Optimisation level of the builder.
        card: The model's contract.
    """

    engine_sha256: str
    onnx: str
    onnx_sha256: str
    built_for: BuildMachine
    built_by: str
    profile: Profile
    workspace_mb: int
    level: int
    card: Card

    @property
    def config(self) -> BuildConfig:
        """Build settings, to build it again."""
        largest = self.profile["clip"][2]
        return BuildConfig(max_clips=largest[0], workspace_mb=self.workspace_mb, level=self.level)

    def write(self, engine: Path) -> Path:
        """Write it beside `engine`, whole or not at all.

        Returns:
            Its path.
        """
        tokens = self.card.fixed_tokens or self.card.tokens
        content = asdict(self) | {
            "schema": SCHEMA,
            "card": json.loads(self.card.to_json()),
            # For human readers; programs use the card.
            "precision": self.card.precision,
            "tokens": tokens,
            "budget": tokens / self.card.tokens,
        }
        path = manifest_path(engine)
        text = json.dumps(content | {"seal": _seal(content)}, indent=2, sort_keys=True, allow_nan=False) + "\n"
        write_whole(path, text.encode("utf-8"))
        return path


def manifest_path(engine: Path) -> Path:
    """Path of an engine's manifest."""
    return engine.with_name(engine.name + ".json")


def sha256(path: Path) -> str:
    """Of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _seal(content: dict[str, Any]) -> str:
    """Digest of all other fields: it tells a changed manifest, it is no signature."""
    # Through JSON and back, so that what is written and what is read are the same text.
    plain = json.loads(json.dumps({key: value for key, value in content.items() if key != "seal"}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode("utf-8")).hexdigest()


def read_manifest(engine: Path) -> Manifest:
    """The manifest beside `engine`.

    Raises:
        ReadError: If there is none, or it cannot be read.
        CardError: If it was changed after it was written, or holds what no manifest of ours does.
    """
    path = manifest_path(engine)
    again = AGAIN.format(onnx=onnx_beside(engine))
    if not path.is_file():
        raise ReadError(
            f"{engine}: there is no {path.name} beside it, so its TensorRT, GPU and model are unknown"
            f"to; copy both files, or {again}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as cause:
        raise ReadError(f"{path}: expected the JSON that was written with the engine; {again}") from cause
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise CardError(f"{path}: expected a manifest of schema {SCHEMA}, got {found}; {again}")
    if content.get("seal") != _seal(content):
        raise CardError(f"{path}: it was changed after it was written (its seal does not fit); {again}")
    try:
        card = Card.from_json(json.dumps(content["card"]), str(path))
        held = {name: content[name] for name in (field.name for field in fields(Manifest))}
        return Manifest(
            **held | {"built_for": BuildMachine(**content["built_for"]), "profile": _profile(content), "card": card}
        )
    except (KeyError, TypeError, ValueError) as cause:
        raise CardError(f"{path}: the manifest cannot be used ({cause!r}); {again}") from cause


def _profile(content: dict[str, Any]) -> Profile:
    found = {}
    for name, shapes in content["profile"].items():
        smallest, usual, largest = (tuple(int(size) for size in shape) for shape in shapes)
        found[str(name)] = (smallest, usual, largest)
    return found


def onnx_beside(engine: Path) -> Path:
    """The ONNX file that an engine is built from: model.engine -> model.engine.onnx."""
    return engine.with_name(engine.name + ".onnx")


def remove(engine: Path) -> None:
    """Delete an engine and its manifest, the manifest first: an engine alone is never loaded."""
    manifest_path(engine).unlink(missing_ok=True)
    engine.unlink(missing_ok=True)
