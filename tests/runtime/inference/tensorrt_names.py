"""Which names of TensorRT and CUDA does our code use, and which of them has each version?

    python tests/runtime/inference/tensorrt_names.py SNAPSHOTS          # writes tensorrt_api.json beside this file
    python tests/runtime/inference/tensorrt_names.py SNAPSHOTS --print  # the names our code uses

SNAPSHOTS is a folder of JSON files, each {"version": ..., "api": {class: {"attrs": [...]} or {"enum": [...]}}}, as
made from the real bindings of one version. Only what the classes that we use have is kept.
"""

import ast
import itertools
import json
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SOURCES = [ROOT / "runtime" / "inference" / f"{name}.py" for name in ("tensorrt", "tensorrt_build", "cuda")]
STORED = HERE / "tensorrt_api.json"
VERSIONS = ("10.3", "10.13", "10.16", "11.4")

# How our code names what TensorRT hands out; a variable of such a name is an object of that class.
CLASS_OF = {
    "log": "ILogger",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "error": "ParserError",
    "options": "IBuilderConfig",
    "shapes": "IOptimizationProfile",
    "cache": "ITimingCache",
    "monitor": "IProgressMonitor",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
}
# Names that are ours on a variable of such a name: what our subclasses add, what is a Path or dict of the same name.
OURS = {
    ("ILogger", "errors"),
    ("IProgressMonitor", "stopped"),
    *(("ICudaEngine", name) for name in ("is_file", "name", "with_name", "unlink", "read_bytes", "stat")),
    ("IOptimizationProfile", "items"),
}
# In the package's __init__.py, which the snapshots of the compiled module do not show; true of every version.
OF_THE_PACKAGE = {("", "__version__")}


def used() -> set[tuple[str, str]]:
    """(class, member) of every attribute that our code asks of TensorRT, and ("", name) of the module itself."""
    found: set[tuple[str, str]] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            chain = [node.attr]
            inner = node.value
            while isinstance(inner, ast.Attribute):
                chain.insert(0, inner.attr)
                inner = inner.value
            # network.get_input(i).name: the tensor that a call returns.
            if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "get_input":
                found.add(("ITensor", chain[0]))
            if not isinstance(inner, ast.Name):
                continue
            chain.insert(0, inner.id)
            if "trt" in chain:
                rest = chain[chain.index("trt") + 1 :]
                found |= {("", name) for name in rest[:1]}
                found |= {(rest[0], name) for name in rest[1:2]}
                continue
            for owner, member in itertools.pairwise(chain):
                if owner in CLASS_OF:
                    found.add((CLASS_OF[owner], member))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any("trt" in ast.unparse(base) for base in node.bases):
                base = ast.unparse(node.bases[0]).split(".")[-1]
                methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                found |= {(base, name) for name in methods if not name.startswith("_")}
    return {(owner, name) for owner, name in found - OURS if not name.startswith("__")} | {
        pair for pair in found if pair in OF_THE_PACKAGE
    }


def used_of_cuda() -> set[str]:
    """Names of CUDA's bindings that our code uses."""
    names = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("cuda") and node.attr != "cuda":
                names.add(node.attr)
    return names


def snapshots(folder: Path) -> dict[str, dict[str, dict[str, list[str]]]]:
    """Version -> class -> members, of the versions that we support."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        said = json.loads(path.read_text(encoding="utf-8"))
        short = ".".join(said["version"].split(".")[:2])
        if short in VERSIONS:
            found[said["version"]] = said["api"]
    return dict(sorted(found.items(), key=lambda item: [int(n) for n in item[0].split(".")]))


def stored(folder: Path) -> dict[str, object]:
    """What the tests keep: of each version the classes that we touch, with all members."""
    classes = {owner for owner, _ in used() if owner} | {name for _, name in used() if name[0].isupper()}
    kept = {
        version: {
            name: sorted({*api[name].get("attrs", []), *api[name].get("enum", [])})
            for name in sorted(classes | {"IHostMemory"})
            if name in api
        }
        for version, api in snapshots(folder).items()
    }
    said: dict[str, object] = {"tensorrt": kept}
    try:
        cuda = import_module("cuda.bindings.runtime")
        version = import_module("cuda.bindings").__version__
    except ImportError:
        said["cuda"] = json.loads(STORED.read_text(encoding="utf-8"))["cuda"]
    else:
        kinds = ("cudaDeviceAttr", "cudaMemcpyKind", "cudaError_t")
        names = {name for name in dir(cuda) if name in used_of_cuda() | set(kinds)}
        for kind in kinds:
            names |= {member.name for member in getattr(cuda, kind)} & (used_of_cuda() | CODES)
        said["cuda"] = {version: sorted(names)}
    return said


CODES = {"cudaSuccess", "cudaErrorMemoryAllocation", "cudaErrorInsufficientDriver", "cudaErrorIllegalAddress"}


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write("".join(f"{owner or 'module'}.{name}\n" for owner, name in sorted(used())))
        sys.stdout.write("".join(f"cuda: {name}\n" for name in sorted(used_of_cuda())))
    else:
        STORED.write_text(json.dumps(stored(Path(sys.argv[1])), indent=1) + "\n", encoding="utf-8")
