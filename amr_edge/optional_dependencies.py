"""Optional packages by extra, and the refusal of a command whose packages are not installed."""

from importlib.util import find_spec

from amr_edge.errors import MissingError

# Extra (as in pyproject.toml) -> the modules that it brings and that we import.
EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "safetensors", "matplotlib"),
    "export": ("torch", "safetensors", "onnx", "onnxscript"),
    "pose": ("mediapipe", "cv2"),
    "video": ("cv2",),
    "openvino": ("openvino",),
    "sinks": ("paho", "websockets"),
    "tensorboard": ("tensorboard",),
}


def require(extra: str, wanted_by: str) -> None:
    """Refuse, with the line to type, when a package of `extra` is not installed.

    Args:
        extra: A key of `EXTRAS`.
        wanted_by: What needs the packages, as the subject of the sentence: "`amr-edge train`".

    Raises:
        MissingError: If a module of the extra cannot be found. Nothing is imported to find out.
    """
    absent = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if absent:
        raise MissingError(
            f"{wanted_by} needs {', '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not installed; "
            f'type: pip install "amr-edge[{extra}]"'
        )
