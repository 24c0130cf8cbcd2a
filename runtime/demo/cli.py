"""The instant demo at a terminal: the model of the box, a folder, and a page while it goes on."""

from collections.abc import Callable
from pathlib import Path

from amr_edge.pretrained import DEFAULT
from amr_edge.runtime.demo.demo import DemoResult, Say, run_demo
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.ui.page import Page, PageConfig

LOOK_S = 3.0  # so long the page waits for its browser before the first frame


def run_bundled_demo(
    folder: Path, *, seed: int, threads: int | None, port: int | None, progress: Say, sleep: Callable[[float], None]
) -> DemoResult:
    """Run the demo with the model of the box.

    Args:
        folder: Where everything goes.
        seed: Of the person and of what they do.
        threads: Of the model; None takes one for each core.
        port: Serve a page at this port of this machine, in real time; None replays as fast as it goes.
        progress: Takes each line for the person.
        sleep: Waits for so many seconds.

    Raises:
        MissingError: If the model or its engine is not here.
        ConfigError: If the port cannot be listened at.
    """
    session = open_session(DEFAULT, threads=threads)
    progress(f"model: {session.title}")
    if port is None:
        return run_demo(folder, session, seed=seed, progress=progress)
    page = Page(session.card, PageConfig(port=port), title=session.title)
    try:
        progress(f"page: {page.url} shows it in real time, once; Ctrl-C ends it")
        sleep(LOOK_S)
        return run_demo(folder, session, seed=seed, progress=progress, speed=1.0, views=(page,), on_record=page.emit)
    finally:
        page.close()
