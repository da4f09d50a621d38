"""The tests of the image run where it was built: by `make image-test`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.containers import STORE

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip loudly where no image was built; the suite has no time to build one."""
    if HERE in item.path.parents and not os.environ.get(STORE):
        pytest.skip("IMAGE NOT BUILT: run `make image-test`")
