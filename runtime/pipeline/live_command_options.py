"""Options of `amr-edge live` besides those of the Python function: outputs and the choice of a budget."""

# ruff: noqa: RUF009 - `option` makes a dataclass field

from dataclasses import dataclass
from pathlib import Path

import click

from amr_edge.click_options import option
from amr_edge.errors import ConfigError
from amr_edge.runtime.pipeline.live_options import ABOVE_0, LiveOptions
from amr_edge.runtime.pipeline.outputs import OutputsConfig
from amr_edge.runtime.pipeline.records import DEFAULT_SCHEMA, SCHEMAS


@dataclass(frozen=True, kw_only=True)
class LiveCommandOptions(LiveOptions):
    """Options of the command.

    Attributes:
        emit: "all", "predictions" or "events".
    """

    save: Path | None = option(None, "Write an MP4 with skeletons and labels.", type=click.Path(path_type=Path))
    show: bool = option(default=False, text="Show a window.")
    ui: int | None = option(
        None, "Serve a web page at this port.  [8765]", type=click.IntRange(0, 65535), is_flag=False, flag_value=8765
    )
    ui_host: str = option("127.0.0.1", "Address that the page listens at; other than loopback needs a token.")
    show_video: bool = option(default=False, text="Show the pictures on the page, not only joints.")
    mirror_view: bool = option(default=False, text="Mirror what is shown; the model never sees that.")
    rebuild: bool = option(default=False, text="Build a TensorRT engine again that does not fit this machine.")
    target_ms: float | None = option(None, "Take the largest budget that keeps this latency.", type=ABOVE_0)
    schema: str = option(
        str(DEFAULT_SCHEMA),
        "Schema of the JSON lines (docs/live-output.md).",
        type=click.Choice([str(each) for each in SCHEMAS]),
    )
    emit: str = "all"

    def __post_init__(self) -> None:
        if self.budget is not None and self.target_ms is not None:
            raise ConfigError("--budget sets the share of the tokens and --target-ms finds it; give one of them")
        if self.save is not None and self.save.suffix.lower() != ".mp4":
            raise ConfigError(f"--save {self.save}: a film is written as MP4; give it a name that ends in .mp4")

    def outputs_config(self, *, live: bool) -> OutputsConfig:
        """Where the records go; a recording at full speed waits for slow outputs."""
        return OutputsConfig(
            to=(*map(str, self.to), *([] if self.save is None else [str(self.save)])),
            predictions=self.emit != "events",
            events=self.emit != "predictions",
            schema=int(self.schema),
            replay=not live and not self.speed,
            mirror=self.mirror_view,
            window=self.show,
            port=self.ui,
            host=self.ui_host,
            video=self.show_video,
        )
