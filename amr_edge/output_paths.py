"""Where commands write: no output may replace an input, and the home that caches lie under."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import gettempdir

from amr_edge.errors import ConfigError


def check_outputs(outputs: Mapping[str, Path | str | None], inputs: Iterable[Path | str | None]) -> None:
    """Refuse an output that is one of the inputs, or lies in an input folder, also through links.

    Args:
        outputs: The option or argument that named a file -> the file; None is not written.
        inputs: Files and folders that are read; what does not exist, such as an address, is passed over.

    Raises:
        ConfigError: Naming the option and the input.
    """
    read = [Path(each) for each in inputs if each is not None and Path(each).exists()]
    for option, path in outputs.items():
        if path is None or not Path(path).exists():
            continue
        output = Path(path).resolve()
        for each in read:
            inside = each.is_dir() and output.is_file() and output.is_relative_to(each.resolve())
            if output.samefile(each) or inside:
                raise ConfigError(f"{option}: {path} would replace {each}, which is read; give another file")


def home_folder() -> Path:
    """The user's home; the folder of temporary files for a user who has none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(gettempdir())
