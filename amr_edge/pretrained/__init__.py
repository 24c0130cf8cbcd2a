"""Bundled models and the paths of their files."""

from pathlib import Path

from amr_edge.errors import ConfigError, MissingError

MODELS = ("rehab8",)
DEFAULT = "rehab8"  # what is used when no model is named


def bundled(name: str = DEFAULT) -> Path:
    """The file of a model that is installed with amr-edge, a `model.onnx` like any other.

    Args:
        name: One of `MODELS`.

    Raises:
        ConfigError: If no model of that name comes with amr-edge.
        MissingError: If its file is not where the installation should have put it.
    """
    if name not in MODELS:
        raise ConfigError(f"no model '{name}' comes with amr-edge; choose {', '.join(MODELS)}, or name a file")
    path = Path(__file__).with_name(f"{name}.onnx")
    if not path.is_file():
        raise MissingError(
            f"{path}: the model that comes with amr-edge is not in this installation; type: pip install "
            "--force-reinstall --no-deps amr-edge, or name a model of your own"
        )
    return path


def resolve_model_path(word: str | Path) -> Path:
    """Resolve the name of a bundled model to its path; other paths, and existing files of that name, stay as they are.

    Raises:
        MissingError: See `bundled`.

    >>> resolve_model_path("runs/wave").as_posix()
    'runs/wave'
    """
    path = Path(word)
    return bundled(str(word)) if str(word) in MODELS and not path.exists() else path


def is_bundled(path: Path) -> bool:
    """True if a file is one of those that are installed with amr-edge, which are left as they are."""
    return path.resolve().parent == Path(__file__).resolve().parent
