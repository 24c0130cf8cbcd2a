"""Where the real recordings lie, for tests that are marked `data`."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder `data` of the real recordings."""
    root = os.environ.get("AMR_EDGE_DATA")
    if not root:
        pytest.skip("AMR_EDGE_DATA is not set: the real recordings are not read, only generated ones")
    folder = Path(root) / "data"
    if not folder.is_dir():
        pytest.skip(f"AMR_EDGE_DATA is {root}, which has no folder 'data': the real recordings are not read")
    return folder
